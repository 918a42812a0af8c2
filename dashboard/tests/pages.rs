//! Pages and what guards them, asked for as a program would.

mod common;

use common::{Server, cases, files};
use parallax_triage::db::Db;

/// The value of the form field `token` on a page.
fn token(page: &str) -> String {
    let at = page.find("name=\"token\" value=\"").expect("a form") + 20;
    page[at..].split('"').next().unwrap_or_default().to_owned()
}

fn first_bucket(server: &Server) -> String {
    let answer = server.get("/api/buckets");
    let value: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    value["buckets"][0]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn every_page_is_there_and_says_what_it_is_about() {
    let server = Server::of(24);
    let id = first_bucket(&server);
    let campaign = {
        let value: serde_json::Value =
            serde_json::from_str(&server.get("/api/campaigns").body).expect("JSON");
        value[0]["id"].as_str().expect("an id").to_owned()
    };
    let pages = [
        ("/".to_owned(), "24 open buckets"),
        ("/buckets".to_owned(), "id=\"total\">24<"),
        ("/buckets?area=files".to_owned(), "aria-current=\"true\""),
        ("/buckets?q=getfl".to_owned(), "id=\"total\">3<"),
        ("/buckets?q=%22%27%3B--".to_owned(), "id=\"total\">24<"),
        ("/buckets?page=99999999999".to_owned(), "No bucket is like that"),
        (format!("/bucket/{id}"), "Replay it"),
        ("/matrix".to_owned(), "24 buckets of gvisor"),
        ("/coverage".to_owned(), "calls were run"),
        ("/campaigns".to_owned(), "1 campaign"),
        (format!("/campaign/{campaign}"), "programs/s"),
        ("/assets/style.css".to_owned(), "prefers-color-scheme: dark"),
        ("/metrics".to_owned(), "parallax_buckets{state=\"new\"} 24"),
        ("/api/overview".to_owned(), "\"new\":24"),
        (format!("/api/bucket/{id}"), "\"explanation\""),
        ("/api/matrix".to_owned(), "\"versions\":[\"runsc 1\"]"),
        ("/api/coverage".to_owned(), "\"targets\":[\"gvisor\"]"),
        (format!("/api/campaign/{campaign}"), "\"points\""),
        ("/api/live".to_owned(), "\"numbers\""),
    ];
    for (path, wanted) in pages {
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.body.contains(wanted), "{path}: no {wanted:?} in {}", answer.body);
        assert!(
            answer.head.contains("content-security-policy: default-src 'none'"),
            "{path}: {}",
            answer.head
        );
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{path}");
        assert!(!answer.body.contains("style=\"") && !answer.body.contains("onclick"), "{path}: not strict");
    }
    for path in
        ["/bucket/0000000000000000", "/nothing", "/campaign/x", "/assets/../Cargo.toml", "/assets/%2e%2e%2fx"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/buckets?page=x").status, 400);
}

#[test]
fn a_change_needs_a_form_of_this_server() {
    let server = Server::of(4);
    let id = first_bucket(&server);
    let page = server.get(&format!("/bucket/{id}")).body;
    let (form, path) = ("Content-Type: application/x-www-form-urlencoded", format!("/bucket/{id}/state"));
    let good = format!("token={}&state=known&reason=told+them", token(&page));
    let post = |headers: &[&str], body: &str| server.ask("POST", &path, headers, body).status;
    let own = format!("Origin: http://{}", server.address);
    assert_eq!(post(&[form], "state=known&token=wrong"), 403);
    assert_eq!(post(&[form, "Sec-Fetch-Site: cross-site"], &good), 403);
    assert_eq!(post(&[form, "Sec-Fetch-Site: same-site"], &good), 403);
    assert_eq!(post(&[form, "Origin: http://evil.example"], &good), 403);
    assert_eq!(post(&[form, "Origin: null"], &good), 403);
    assert_eq!(post(&[form, "Host: evil.example"], &good), 403);
    assert_eq!(server.ask("GET", "/", &["Host: evil.example:7070"], "").status, 403);
    assert_eq!(post(&[form, &own], &"x".repeat(100_000)), 413);
    assert_eq!(server.get(&format!("/bucket/{id}")).body.matches("id=\"state\">new<").count(), 1);
    assert_eq!(post(&[form, &own, "Sec-Fetch-Site: same-origin"], &good), 303);
    let page = server.get(&format!("/bucket/{id}")).body;
    assert!(page.contains("id=\"state\">known<") && page.contains("told them"), "{page}");

    // The same by the API, which takes JSON only.
    let api = format!("/api/bucket/{id}");
    let json = "Content-Type: application/json";
    let order = r#"{"state":"not-a-bug"}"#;
    assert_eq!(server.ask("POST", &api, &["Content-Type: text/plain"], order).status, 415);
    assert_eq!(server.ask("POST", &api, &[json, "Origin: http://evil.example"], order).status, 403);
    let refused = server.ask("POST", &api, &[json], order);
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("say why"), "{}", refused.body);
    let order = r#"{"state":"not-a-bug","reason":"documented"}"#;
    assert!(server.ask("POST", &api, &[json], order).body.contains("\"state\":\"not-a-bug\""));
    assert_eq!(server.ask("POST", &api, &[json], "{").status, 400);
}

#[test]
fn another_address_needs_a_token_and_a_token_opens_everything() {
    let dir = tempfile::tempdir().expect("a folder");
    cases::campaign(&dir.path().join("G"), "gvisor", "runsc 1", 2);
    let open = parallax_dashboard::Options {
        store: dir.path().join("store.sqlite"),
        dirs: vec![dir.path().join("G")],
        listen: "0.0.0.0:0".parse().expect("an address"),
        token: None,
    };
    let error = parallax_dashboard::serve(open, &|_| ()).expect_err("refused").to_string();
    assert!(error.contains("--token"), "{error}");

    let server = Server::start(dir, Some("correct horse battery"));
    assert_eq!(server.get("/").status, 401);
    assert!(server.get("/").body.contains("type=\"password\""));
    assert_eq!(server.get("/api/buckets").status, 401);
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.get("/assets/style.css").status, 200);
    assert_eq!(
        server.ask("GET", "/metrics", &["Authorization: Bearer correct horse battery"], "").status,
        200
    );
    assert_eq!(server.ask("GET", "/", &["Authorization: Bearer wrong"], "").status, 401);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let login = |token: &str| server.ask("POST", "/login", &[form], &format!("token={token}"));
    assert_eq!(login("wrong").status, 401);
    let entered = login("correct+horse+battery");
    assert_eq!(entered.status, 303);
    let at = entered.head.find("set-cookie: ").expect("a cookie") + 12;
    let cookie = entered.head[at..].split(';').next().unwrap_or_default();
    assert!(entered.head.contains("httponly; samesite=strict"));
    assert_eq!(server.ask("GET", "/buckets", &[&format!("Cookie: {cookie}")], "").status, 200);
    // Guessing is slow.
    assert!((0..20).map(|_| login("guess").status).any(|status| status == 429));
}

#[test]
fn hostile_texts_are_shown_and_never_executed() {
    let dir = tempfile::tempdir().expect("a folder");
    let tag = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}";
    let evil = cases::hostile(tag);
    cases::keep(&dir.path().join("G"), &evil);
    cases::stats(&dir.path().join("G"), "<script>alert(3)</script>", 60.0, 1);
    let server = Server::start(dir, None);
    let id = first_bucket(&server);
    let query = "/buckets?q=%3Cscript%3Ealert(4)%3C/script%3E&area=%22%3E%3Cscript%3E";
    for path in ["/", "/buckets", query, "/matrix", "/coverage", "/campaigns", &format!("/bucket/{id}")] {
        let page = server.get(path).body;
        assert!(!page.contains("<script>") && !page.contains("<img"), "{path}: {page}");
    }
    assert!(server.get(&format!("/bucket/{id}")).body.contains("&#60;script&#62;alert(1)"));

    let out = server.dir.path().join("pages");
    let db = Db::open(&server.dir.path().join("store.sqlite")).expect("a store");
    parallax_dashboard::export(&db, &out).expect("exported");
    for file in files(&out) {
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(!text.contains("<script>") && !text.contains("<img"), "{}", file.display());
    }
}

#[test]
fn each_case_of_a_bucket_has_its_page_and_the_list_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let of =
        |target| cases::of_program(("mknodat(\"f0\", S_IFDIR)\n", -1, target), "gvisor", "runsc 1", "", 1);
    let both = [of(-13), of(-17)];
    both.iter().for_each(|repro| cases::keep(&dir.path().join("G"), repro));
    let server = Server::start(dir, None);
    assert!(server.get("/buckets").body.contains("<span id=\"total\">1</span> bucket<"));
    for (repro, errno) in both.iter().zip(["EACCES", "EEXIST"]) {
        let page = server.get(&format!("/bucket/{}", repro.id)).body;
        assert!(page.contains(&format!("EPERM became {errno}</code> · one of")), "{page}");
        assert!(page.contains(&format!("DIR/cases/{}.plx", repro.id)));
        both.iter().for_each(|other| assert!(page.contains(&format!("href=\"/bucket/{}\"", other.id))));
    }
}

#[test]
fn an_export_is_whole_and_every_link_in_it_leads_somewhere() {
    let server = Server::of(130);
    let out = server.dir.path().join("pages");
    let db = Db::open(&server.dir.path().join("store.sqlite")).expect("a store");
    let pages = parallax_dashboard::export(&db, &out).expect("exported");
    assert!(pages > 140, "{pages}");
    // Again over the same folder, but never over something else.
    assert_eq!(parallax_dashboard::export(&db, &out).expect("exported"), pages);
    assert!(parallax_dashboard::export(&db, &server.campaign()).is_err());
    let mut links = 0;
    for file in files(&out).into_iter().filter(|f| f.extension().is_some_and(|e| e == "html")) {
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(!text.contains("<form"), "{}: a form without a server", file.display());
        for part in text.split(" href=\"").skip(1).chain(text.split(" src=\"").skip(1)) {
            let link = part.split('"').next().unwrap_or_default();
            if link.starts_with('#') || link.starts_with("data:") {
                continue;
            }
            let to = file.parent().expect("a folder").join(link);
            assert!(to.is_file(), "{}: {link} leads nowhere", file.display());
            links += 1;
        }
    }
    assert!(links > 1000, "{links}");
    let all = std::fs::read_to_string(out.join("buckets.html")).expect("a page");
    assert_eq!(all.matches("href=\"bucket/").count(), 130);
}

#[test]
fn too_many_requests_are_refused_and_the_server_goes_on() {
    let server = Server::of(2);
    let id = first_bucket(&server);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let statuses: Vec<u16> = (0..80)
        .map(|_| server.ask("POST", &format!("/bucket/{id}/note"), &[form], "token=x").status)
        .collect();
    assert!(statuses.contains(&403) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn no_answer_and_no_exported_page_names_a_folder_of_this_machine() {
    let server = Server::of(6);
    let id = first_bucket(&server);
    let campaigns: serde_json::Value =
        serde_json::from_str(&server.get("/api/campaigns").body).expect("JSON");
    let campaign = campaigns[0]["id"].as_str().expect("an id");
    let own = server.dir.path().to_str().expect("text");
    let bucket: serde_json::Value =
        serde_json::from_str(&server.get(&format!("/api/bucket/{id}")).body).expect("JSON");
    let case = bucket["cases"][0]["id"].as_str().expect("an id");
    assert_eq!(bucket["cases"][0]["file"], format!("{case}.plx"));
    let paths = ["/", "/campaigns", "/metrics", "/api/overview", "/api/buckets", "/api/matrix", "/api/live"];
    let of_one = [
        format!("/bucket/{id}"),
        format!("/api/bucket/{id}"),
        format!("/campaign/{campaign}"),
        format!("/api/campaign/{campaign}"),
    ];
    for path in paths.into_iter().chain(of_one.iter().map(String::as_str)) {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(own), "{path}: {}", answer.body);
    }
    let out = server.dir.path().join("pages");
    let db = Db::open(&server.dir.path().join("store.sqlite")).expect("a store");
    parallax_dashboard::export(&db, &out).expect("exported");
    for file in files(&out) {
        assert!(!std::fs::read_to_string(&file).expect("text").contains(own), "{}", file.display());
    }

    // Nor where the store has become unusable.
    let server = Server::of(1);
    let store = server.dir.path().join("store.sqlite");
    std::fs::rename(&store, store.with_extension("gone")).expect("renamed");
    std::fs::create_dir(&store).expect("something else in its place");
    let answer = server.get("/api/buckets");
    assert_eq!(answer.status, 500);
    assert!(!answer.body.contains("store.sqlite"), "{}", answer.body);
}
