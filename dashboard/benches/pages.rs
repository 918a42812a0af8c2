//! How long a page takes of a store of 10,000 cases. Each must be whole in less than 100 ms.

// Criterion makes a public function.
#![allow(missing_docs)]

#[path = "../../triage/tests/common/mod.rs"]
mod cases;

use askama::Template;
use criterion::{Criterion, criterion_group, criterion_main};
use parallax_dashboard::links::Links;
use parallax_dashboard::pages::{
    BucketPage, BucketsPage, CampaignPage, CampaignsPage, CoveragePage, MatrixPage, OverviewPage,
};
use parallax_triage::db::{Db, Filter};
use std::time::Duration;

const CASES: usize = 10_000;

fn pages(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let campaign = dir.path().join("G");
    cases::campaign(&campaign, "gvisor", "runsc 1", CASES);
    let mut db = Db::open(&dir.path().join("store.sqlite")).expect("a store");
    let start = std::time::Instant::now();
    db.import(std::slice::from_ref(&campaign)).expect("imported");
    println!("import of {CASES} cases: {:.1} s", start.elapsed().as_secs_f64());
    let links = Links::live();
    let all = Filter::default();
    let id = db.list(&all).expect("listed").buckets[0].id.clone();
    let number = db.campaigns().expect("read")[0].id.clone();
    let mut group = c.benchmark_group("10000 cases");
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    let mut bench = |name: &str, page: &dyn Fn() -> String| {
        // A page that is too slow fails at once.
        let start = std::time::Instant::now();
        let bytes = page().len();
        println!("{name}: {bytes} bytes, at first in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        group.bench_function(name, |b| b.iter(page));
    };
    bench("overview", &|| OverviewPage::new(&db, &links, None).expect("made").render().expect("rendered"));
    bench("buckets", &|| {
        BucketsPage::new(&db, &links, all.clone()).expect("made").render().expect("rendered")
    });
    let filter = Filter { q: "openat".into(), ..all.with("area", "io").with("state", "open") };
    bench("search", &|| {
        BucketsPage::new(&db, &links, filter.clone()).expect("made").render().expect("rendered")
    });
    bench("bucket", &|| {
        let page = BucketPage::new(&db, &links, &id, Some("t"), None).expect("made").expect("there");
        page.render().expect("rendered")
    });
    bench("matrix", &|| MatrixPage::new(&db, &links, "", 0).expect("made").render().expect("rendered"));
    bench("coverage", &|| CoveragePage::new(&db, &links).expect("made").render().expect("rendered"));
    bench("campaigns", &|| CampaignsPage::new(&db, &links).expect("made").render().expect("rendered"));
    bench("campaign", &|| {
        let page = CampaignPage::new(&db, &links, &number).expect("made").expect("there");
        page.render().expect("rendered")
    });
    group.finish();
}

criterion_group!(benches, pages);
criterion_main!(benches);
