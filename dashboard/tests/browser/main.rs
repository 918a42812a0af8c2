//! The pages in a real browser. With `PARALLAX_SCREENSHOTS=DIR` what was seen is kept there.

#[path = "../common/mod.rs"]
mod common;
mod driver;

use common::{Server, cases, files};
use driver::{of_file, run};
use parallax_replay::ReplayVerdict;
use parallax_triage::db::Db;
use parallax_triage::results::{Replayed, Results};
use serde_json::json;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const BACKGROUND: &str = "return getComputedStyle(document.body).backgroundColor";

#[test]
fn an_engineer_finds_reads_and_settles_a_bucket() {
    let server = Server::of(40);
    run(async |page| {
        let root = format!("http://{}", server.address);
        page.open(&root).await;
        page.says("h1", "40 open buckets").await;
        page.shot("overview").await;

        // Facets: what is chosen is in the address, and stays with a search.
        page.open(&format!("{root}/buckets")).await;
        page.says("#total", "40").await;
        page.shot("buckets").await;
        page.click("a[data-facet=area][href*='area=io']").await;
        page.until("location.search === '?area=io' && document.getElementById('total')").await;
        let total = page.script("return Number(document.getElementById('total').textContent)").await;
        assert!(total.as_u64().is_some_and(|n| n > 5 && n < 40), "{total}");
        page.type_into("#search input[type=search]", &format!("lseek data{ENTER}")).await;
        page.until("location.search.includes('q=lseek') && location.search.includes('area=io')").await;
        page.says("#total", "5").await;
        page.shot("search").await;

        // By keyboard: the next row, and into it.
        page.press("j").await;
        page.until("document.activeElement.pathname.startsWith('/bucket/')").await;
        page.press(ENTER).await;
        page.mentions("#sentence", "ENXIO").await;
        assert_eq!(page.count(".trace mark").await, 2, "one difference, on both sides");
        page.shot("bucket").await;
        let address = page.address().await;
        page.click("button[data-copy=replay]").await;
        page.until(
            "document.querySelector('button[data-copy=replay]').textContent === 'copied'
                || getSelection().toString().startsWith('parallax replay')",
        )
        .await;

        // A change of state, and a note.
        page.type_into("#change input[name=reason]", "reported <b>today</b>").await;
        page.choose("#change select", "known").await;
        page.click("#change button").await;
        page.says("#state", "known").await;
        assert_eq!(page.address().await, address);
        page.type_into("#note textarea", "a gizmo").await;
        page.click("#note button").await;
        page.mentions("#history", "a gizmo").await;
        page.mentions("#history", "reported <b>today</b>").await;
        page.shot("settled").await;
        page.open(&format!("{root}/buckets?q=gizmo")).await;
        page.says("#total", "1").await;

        // What cannot be done is said, and nothing changes.
        page.open(address.as_str()).await;
        page.choose("#change select", "not-a-bug").await;
        page.click("#change button").await;
        page.mentions(".said", "Nothing was changed").await;
        page.says("#state", "known").await;
        // The browser itself tells of an answer that is no success.
        let said = page.complaints().await;
        assert!(said.len() == 1 && said[0].contains("400 (Bad Request)"), "{said:?}");
    });
}

#[test]
fn everything_can_be_reached_by_keys() {
    let server = Server::of(12);
    run(async |page| {
        page.open(&format!("http://{}/", server.address)).await;
        page.says("h1", "12 open buckets").await;
        page.press("?").await;
        page.until("document.getElementById('keys').checkVisibility()").await;
        for (key, path) in
            [("b", "/buckets"), ("m", "/matrix"), ("c", "/coverage"), ("a", "/campaigns"), ("o", "/")]
        {
            page.press(key).await;
            page.until(&format!("location.pathname === '{path}' && document.readyState === 'complete'"))
                .await;
        }
        // Two rows down, one up.
        for (key, row) in [("j", 0), ("j", 1), ("j", 2), ("k", 1)] {
            page.press(key).await;
            let rows = "document.querySelectorAll('table.list tbody tr')";
            page.until(&format!("{rows}[{row}].contains(document.activeElement)")).await;
        }
        assert_eq!(page.count("tr.at").await, 1);
        // In a field keys are letters, until it is left.
        page.press("/").await;
        page.until("document.activeElement.type === 'search'").await;
        page.press("mb").await;
        page.until("document.activeElement.value === 'mb'").await;
        page.press(ESCAPE).await;
        page.until("document.activeElement === document.body").await;
        assert_eq!(page.address().await.path(), "/");
        // Without a mouse the content is one step away.
        page.press("\u{e004}").await;
        page.until("document.activeElement.tagName === 'A'").await;
    });
}

#[test]
fn whoever_has_the_token_enters_and_changes_things() {
    let dir = tempfile::tempdir().expect("a folder");
    cases::campaign(&dir.path().join("G"), "gvisor", "runsc 1", 3);
    let server = Server::start(dir, Some("correct horse battery"));
    run(async |page| {
        page.open(&format!("http://{}/buckets", server.address)).await;
        page.says("h1", "This server asks for its token").await;
        page.type_into("input[name=token]", &format!("wrong{ENTER}")).await;
        page.says(".said", "That is not it.").await;
        page.shot("login").await;
        page.type_into("input[name=token]", &format!("correct horse battery{ENTER}")).await;
        page.says("h1", "3 open buckets").await;
        page.click("table.list a").await;
        page.until("document.getElementById('change')").await;
        page.choose("#change select", "confirmed").await;
        page.click("#change button").await;
        page.says("#state", "confirmed").await;
        let said = page.complaints().await;
        assert!(said.iter().all(|line| line.contains("401 (Unauthorized)")), "{said:?}");
    });
}

#[test]
fn pages_are_light_and_dark_as_the_system_is_and_can_be_read_in_both() {
    let server = Server::of(24);
    run(async |page| {
        let pages = ["", "buckets", "matrix", "coverage", "campaigns"];
        for path in pages {
            page.open(&format!("http://{}/{path}", server.address)).await;
            page.dark(false).await;
            let light = page.script(BACKGROUND).await;
            page.dark(true).await;
            assert_ne!(light, page.script(BACKGROUND).await, "/{path}");
            for dark in [true, false] {
                page.dark(dark).await;
                let worst = page.script(CONTRAST).await;
                let worst = worst.as_array().expect("a pair");
                assert!(worst[0].as_f64().is_some_and(|c| c >= 4.5), "/{path}, dark {dark}: {worst:?}");
            }
        }
    });
}

/// The text that stands out least against what is behind it, as WCAG counts contrast.
const CONTRAST: &str = "
    const parts = (color) => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d');
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (color) => {
        const [r, g, b] = color.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const over = (top, below) => [0, 1, 2].map((k) => (top[k] * top[3] + below[k] * (255 - top[3])) / 255);
    const behind = (element) => {
        if (!element) return [255, 255, 255];
        return over(parts(getComputedStyle(element).backgroundColor), behind(element.parentElement));
    };
    let worst = [99, ''];
    for (const element of document.querySelectorAll('body *')) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim() !== '');
        if (!own || !element.checkVisibility()) continue;
        const a = light(parts(getComputedStyle(element).color)), b = light(behind(element));
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < worst[0]) worst = [contrast, element.outerHTML.slice(0, 200)];
    }
    return worst;";

#[test]
fn numbers_of_a_running_campaign_change_by_themselves() {
    let server = Server::of(12);
    run(async |page| {
        page.open(&format!("http://{}/campaigns", server.address)).await;
        page.mentions("[data-number$=programs]", "6").await;
        page.script("window.loaded = 1").await;
        cases::stats(&server.campaign(), "gvisor", 1234.0, 12);
        page.says("[data-number$=clock]", "0:20:34").await;
        assert_eq!(page.script("return window.loaded").await, json!(1), "the page was not loaded again");
        page.open(&format!("http://{}/", server.address)).await;
        page.mentions("a.live", "G").await;
        page.shot("overview-running").await;
        page.click("a.live").await;
        page.until("document.querySelectorAll('.chart svg').length >= 2").await;
        page.shot("campaign").await;
    });
}

#[test]
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
    run(async |page| {
        page.open(&format!("http://{}/matrix", server.address)).await;
        page.says("h1", "16 buckets of gvisor on 2 versions").await;
        assert_eq!(page.count("td.agrees").await, 4);
        page.mentions("tbody tr td:last-child", "gone in runsc 2024").await;
        page.shot("matrix").await;
        page.open(&format!("http://{}/coverage", server.address)).await;
        page.shot("coverage").await;
        page.click("td.bad a").await;
        page.until("Number(document.getElementById('total').textContent) > 0").await;
    });
}

#[test]
fn an_export_works_from_a_folder_without_a_server() {
    let server = Server::of(24);
    let out = server.dir.path().join("pages");
    let db = Db::open(&server.dir.path().join("store.sqlite")).expect("a store");
    parallax_dashboard::export(&db, &out).expect("exported");
    assert!(files(&out).len() > 40);
    run(async |page| {
        page.open(&of_file(&out.join("index.html"))).await;
        page.click("nav a[data-page=buckets]").await;
        page.until("document.querySelectorAll('table.list tbody tr').length === 24").await;
        page.shot("export").await;
        page.type_into("input[data-filter]", "getfl").await;
        let shown =
            "[...document.querySelectorAll('table.list tbody tr')].filter((r) => r.checkVisibility())";
        page.until(&format!("{shown}.length === 3")).await;
        let display =
            page.script("return getComputedStyle(document.querySelector('header.top')).display").await;
        assert_eq!(display, json!("flex"), "the style is there");
        page.dark(false).await;
        let light = page.script(BACKGROUND).await;
        page.dark(true).await;
        assert_ne!(light, page.script(BACKGROUND).await);
    });
}

#[test]
fn a_case_full_of_scripts_runs_none_of_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let campaign = dir.path().join("G");
    let tag = "\"'></title></script><script>document.title='owned';window.owned=1;alert(1)</script>\
               <img src=x onerror=\"document.title='owned';alert(2)\"><svg onload=alert(3)>{{7*7}}javascript:alert(4)";
    let evil = cases::hostile(tag);
    cases::keep(&campaign, &evil);
    cases::stats(&campaign, "<script>alert(5)</script>", 60.0, 1);
    let results = Results {
        target: evil.target_name.clone(),
        version: tag.into(),
        at: 1_710_000_000,
        cases: vec![Replayed {
            id: evil.id.clone(),
            signature: evil.signature.clone(),
            verdict: ReplayVerdict::Other,
            k: 0,
            n: 5,
            detail: tag.into(),
        }],
    };
    results.save(&campaign).expect("saved");
    let server = Server::start(dir, None);
    let out = server.dir.path().join("pages");
    let db = Db::open(&server.dir.path().join("store.sqlite")).expect("a store");
    parallax_dashboard::export(&db, &out).expect("exported");
    let root = format!("http://{}", server.address);
    let number = db.campaigns().expect("read")[0].id.clone();
    let query =
        "buckets?q=%3Cscript%3Edocument.title%3D%27owned%27%3C/script%3E&area=%22%3E%3Cscript%3Ealert(6)";
    let bucket = format!("bucket/{}", evil.id);
    let campaign = format!("campaign/{number}");
    let live = ["", "buckets", "matrix", "coverage", "campaigns", query, &bucket, &campaign];
    let mut all: Vec<String> = live.iter().map(|path| format!("{root}/{path}")).collect();
    all.extend(files(&out).iter().filter(|f| f.extension().is_some_and(|e| e == "html")).map(|f| of_file(f)));
    assert!(all.len() > 20);
    run(async |page| {
        for address in &all {
            page.open(address).await;
            page.until("document.readyState === 'complete'").await;
            assert_eq!(page.dialog().await, None, "{address}");
            let owned = page.script("return window.owned === 1 || document.title === 'owned'").await;
            assert_eq!(owned, json!(false), "{address}");
            assert_eq!(page.count("script:not([src]), img, body svg:not(.chart svg)").await, 0, "{address}");
        }
        page.open(&format!("{root}/{bucket}")).await;
        page.mentions("main", "<script>document.title='owned'").await;
        page.shot("hostile").await;
    });
}
