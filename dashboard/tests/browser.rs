//! The pages in a real browser: headless Chromium by chromedriver. Without them the tests are skipped, unless `CI` is
//! set. With `PARALLAX_SCREENSHOTS=DIR` what was seen is kept there.

mod common;

use common::{Answer, Server, cases, files};
use fantoccini::{Client, ClientBuilder, Locator};
use parallax_replay::ReplayVerdict;
use parallax_triage::db::Db;
use parallax_triage::results::{Replayed, Results};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A chromedriver that ends with the test.
struct Driver {
    process: Child,
    port: u16,
    profile: tempfile::TempDir,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn driver() -> Option<Driver> {
    let started = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut process = match started {
        Ok(process) => process,
        Err(error) => {
            let wanted = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!wanted, "chromedriver: {error}: .ci/run installs it");
            eprintln!("skipped: chromedriver: {error} (Debian: chromium, chromium-driver)");
            return None;
        }
    };
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    // First it says what it was asked for, then what it got.
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("on port ")?;
        rest.trim_end_matches('.').parse().ok().filter(|port| *port != 0)
    });
    let port = port.expect("chromedriver says its port");
    std::thread::spawn(move || lines.for_each(drop));
    Some(Driver { process, port, profile: tempfile::tempdir().expect("a folder") })
}

impl Driver {
    async fn browser(&self) -> Client {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1300,1000",
            &profile,
        ];
        let wanted = json!({
            "goog:chromeOptions": { "args": options },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(wanted.as_object().expect("an object").clone());
        builder.connect(&format!("http://127.0.0.1:{}", self.port)).await.expect("a browser")
    }

    /// A command that is not of WebDriver but of Chromium.
    async fn extra(&self, client: &Client, what: &str, body: &Value) -> Value {
        let session = client.session_id().await.expect("asked").expect("a session");
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let head = format!(
            "POST /session/{session}/{what} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let answer: Value = serde_json::from_str(&Answer::of(&answer).body).expect("JSON");
        answer["value"].clone()
    }

    /// What the console complained of since it was last asked.
    async fn complaints(&self, client: &Client) -> Vec<String> {
        let log = self.extra(client, "se/log", &json!({ "type": "browser" })).await;
        let entries = log.as_array().cloned().expect("a log");
        entries.iter().map(ToString::to_string).collect()
    }
}

async fn text(client: &Client, css: &str) -> String {
    client
        .find(Locator::Css(css))
        .await
        .unwrap_or_else(|e| panic!("{css}: {e}"))
        .text()
        .await
        .expect("a text")
}

async fn shot(client: &Client, name: &str) {
    if let Some(dir) = std::env::var_os("PARALLAX_SCREENSHOTS").map(PathBuf::from) {
        let png = client.screenshot().await.expect("a picture");
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::write(dir.join(format!("{name}.png")), png).expect("written");
    }
}

async fn script(client: &Client, what: &str) -> Value {
    client.execute(what, Vec::new()).await.expect("executed")
}

/// Waits until something is so.
async fn until(client: &Client, what: &str) {
    let start = Instant::now();
    while script(client, &format!("return Boolean({what})")).await != json!(true) {
        assert!(start.elapsed() < Duration::from_secs(40), "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn run(test: impl AsyncFnOnce(&Driver, &Client)) {
    let Some(driver) = driver() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client = driver.browser().await;
        test(&driver, &client).await;
        assert_eq!(driver.complaints(&client).await, Vec::<String>::new());
        client.close().await.expect("closed");
    });
}

#[test]
#[ignore = "drives a real browser: cargo test -p parallax-dashboard --test browser -- --ignored"]
fn an_engineer_finds_reads_and_settles_a_bucket() {
    let server = Server::of(40);
    run(async |driver, client| {
        let root = format!("http://{}", server.address);
        client.goto(&root).await.expect("there");
        assert_eq!(text(client, "h1").await, "40 open buckets");
        shot(client, "overview").await;

        // Facets: what is chosen is in the address, and stays with a search.
        client.goto(&format!("{root}/buckets")).await.expect("there");
        shot(client, "buckets").await;
        let facet = "a[data-facet=area][href*='area=io']";
        client.find(Locator::Css(facet)).await.expect("offered").click().await.expect("clicked");
        let address = client.current_url().await.expect("an address");
        assert_eq!(address.query(), Some("area=io"));
        let count: usize = text(client, "#total").await.parse().expect("a number");
        assert!(count > 0 && count < 40);
        let search = client.find(Locator::Css("#search input[type=search]")).await.expect("a field");
        search.send_keys("lseek data\u{e007}").await.expect("typed");
        until(client, "location.search.includes('q=lseek')").await;
        let address = client.current_url().await.expect("an address");
        assert!(address.query().is_some_and(|q| q.contains("area=io")), "{address}");
        assert_eq!(text(client, "#total").await, "5");
        shot(client, "search").await;

        // By keyboard: the next row, and into it.
        let body = client.find(Locator::Css("body")).await.expect("a page");
        body.send_keys("j").await.expect("typed");
        let focus = script(client, "return document.activeElement.getAttribute('href')").await;
        assert!(focus.as_str().is_some_and(|href| href.starts_with("/bucket/")), "{focus}");
        client.active_element().await.expect("a link").send_keys("\u{e007}").await.expect("typed");
        until(client, "document.getElementById('sentence')").await;
        assert!(text(client, "#sentence").await.contains("ENXIO"));
        let lit = client.find_all(Locator::Css(".trace mark")).await.expect("asked").len();
        assert_eq!(lit, 2, "one difference, on both sides");
        shot(client, "bucket").await;
        let page = client.current_url().await.expect("an address");

        // A change of state, and a note.
        let reason = client.find(Locator::Css("#change input[name=reason]")).await.expect("a field");
        reason.send_keys("reported <b>today</b>").await.expect("typed");
        let choice = client.find(Locator::Css("#change select")).await.expect("a choice");
        choice.select_by_label("known").await.expect("chosen");
        client.find(Locator::Css("#change button")).await.expect("a button").click().await.expect("clicked");
        until(client, "document.getElementById('state').textContent === 'known'").await;
        assert_eq!(client.current_url().await.expect("an address"), page);
        let note = client.find(Locator::Css("#note textarea")).await.expect("a field");
        note.send_keys("a gizmo").await.expect("typed");
        client.find(Locator::Css("#note button")).await.expect("a button").click().await.expect("clicked");
        until(client, "document.getElementById('history').textContent.includes('a gizmo')").await;
        assert!(text(client, "#history").await.contains("reported <b>today</b>"));
        shot(client, "settled").await;
        client.goto(&format!("{root}/buckets?q=gizmo")).await.expect("there");
        assert_eq!(text(client, "#total").await, "1");

        // Light and dark.
        let background = "return getComputedStyle(document.body).backgroundColor";
        let light = script(client, background).await;
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        driver
            .extra(
                client,
                "goog/cdp/execute",
                &json!({ "cmd": "Emulation.setEmulatedMedia", "params": dark }),
            )
            .await;
        assert_ne!(light, script(client, background).await);
        client.goto(page.as_str()).await.expect("there");
        shot(client, "dark").await;
    });
}

#[test]
#[ignore = "drives a real browser: cargo test -p parallax-dashboard --test browser -- --ignored"]
fn numbers_of_a_running_campaign_change_by_themselves() {
    let server = Server::of(12);
    run(async |_, client| {
        client.goto(&format!("http://{}/campaigns", server.address)).await.expect("there");
        until(client, "document.querySelector('[data-number$=programs]').textContent.includes('6')").await;
        let loaded = script(client, "window.loaded = 1; return 1").await;
        cases::stats(&server.campaign(), "gvisor", 1234.0, 12);
        until(client, "document.querySelector('[data-number$=clock]').textContent === '0:20:34'").await;
        assert_eq!(script(client, "return window.loaded").await, loaded, "the page was not loaded again");
        client.goto(&format!("http://{}/", server.address)).await.expect("there");
        assert!(text(client, "a.live").await.contains('G'));
        client.find(Locator::Css("a.live")).await.expect("a link").click().await.expect("clicked");
        until(client, "document.querySelectorAll('.chart svg').length >= 2").await;
        shot(client, "campaign").await;
    });
}

#[test]
#[ignore = "drives a real browser: cargo test -p parallax-dashboard --test browser -- --ignored"]
fn the_matrix_says_in_which_version_a_bucket_went() {
    let dir = tempfile::tempdir().expect("a folder");
    let campaign = dir.path().join("G");
    let mut replayed = Vec::new();
    for k in 0..16 {
        let case = cases::case(k, "gvisor", "runsc 2022", &format!("by number {k}"), 1_700_000_000);
        let verdict = if k % 4 == 0 { ReplayVerdict::Gone } else { ReplayVerdict::StillThere };
        let seen = if k % 4 == 0 { 0 } else { 5 };
        let (id, signature) = (case.id.clone(), case.signature.clone());
        replayed.push(Replayed { id, signature, verdict, k: seen, n: 5, detail: String::new() });
        cases::keep(&campaign, &case);
    }
    cases::stats(&campaign, "gvisor", 60.0, 16);
    let results =
        Results { target: "gvisor".into(), version: "runsc 2024".into(), at: 1_710_000_000, cases: replayed };
    results.save(&campaign).expect("saved");
    let server = Server::start(dir, None);
    run(async |_, client| {
        client.goto(&format!("http://{}/matrix", server.address)).await.expect("there");
        assert_eq!(text(client, "h1").await, "16 buckets of gvisor on 2 versions");
        let agrees = client.find_all(Locator::Css("td.agrees")).await.expect("asked").len();
        assert_eq!(agrees, 4);
        assert!(text(client, "tbody tr td:last-child").await.contains("gone in runsc 2024"));
        shot(client, "matrix").await;
        client.goto(&format!("http://{}/coverage", server.address)).await.expect("there");
        shot(client, "coverage").await;
        client.find(Locator::Css("td.bad a")).await.expect("a link").click().await.expect("clicked");
        until(client, "document.getElementById('total')").await;
    });
}

#[test]
#[ignore = "drives a real browser: cargo test -p parallax-dashboard --test browser -- --ignored"]
fn an_export_works_from_a_folder_without_a_server() {
    let server = Server::of(24);
    let out = server.dir.path().join("pages");
    let db = Db::open(&server.dir.path().join("store.sqlite")).expect("a store");
    parallax_dashboard::export(&db, &out).expect("exported");
    assert!(files(&out).len() > 40);
    run(async |_, client| {
        client.goto(&format!("file://{}/index.html", out.display())).await.expect("there");
        client
            .find(Locator::Css("nav a[data-page=buckets]"))
            .await
            .expect("a link")
            .click()
            .await
            .expect("clicked");
        until(client, "document.querySelectorAll('table.list tbody tr').length === 24").await;
        shot(client, "export").await;
        let filter = client.find(Locator::Css("input[data-filter]")).await.expect("a field");
        filter.send_keys("getfl").await.expect("typed");
        until(
            client,
            "[...document.querySelectorAll('table.list tbody tr')].filter((r) => !r.hidden).length === 3",
        )
        .await;
        let color =
            script(client, "return getComputedStyle(document.querySelector('header.top')).display").await;
        assert_eq!(color, json!("flex"), "the style is there");
    });
}
