//! The store: what goes in comes out, once; what people decide stays; nothing is lost by force, and nothing hostile does harm.

mod common;

use common::{campaign, case, keep};
use parallax_replay::ReplayVerdict;
use parallax_triage::db::{Change, Db, Filter, MAX_VERSIONS, MatrixRow, State, Verdict};
use parallax_triage::results::{Replayed, Results};
use parallax_triage::severity::Severity;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn folder() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let (cases, store) = (dir.path().join("G"), dir.path().join("store.sqlite"));
    (dir, cases, store)
}

fn filled(cases: usize) -> (tempfile::TempDir, PathBuf, Db) {
    let (dir, campaign_dir, store) = folder();
    campaign(&campaign_dir, "gvisor", "runsc 1", cases);
    let mut db = Db::open(&store).expect("a store");
    db.import(std::slice::from_ref(&campaign_dir)).expect("imported");
    (dir, campaign_dir, db)
}

fn all(db: &Db) -> Vec<String> {
    let listed = db.list(&Filter::default()).expect("listed");
    listed.buckets.into_iter().map(|b| b.id).collect()
}

#[test]
fn what_is_imported_is_listed_by_facets_and_found_by_words() {
    let (_dir, campaign_dir, db) = filled(16);
    let listed = db.list(&Filter::default()).expect("listed");
    assert_eq!(listed.total, 16);
    assert!(listed.buckets.is_sorted_by_key(|b| b.severity));
    let by_area = &listed.facets["area"];
    assert_eq!(by_area.iter().map(|f| f.count).sum::<usize>(), 16);
    for facet in by_area {
        let only = db.list(&Filter::default().with("area", &facet.value)).expect("listed");
        assert_eq!(only.total, facet.count, "{}", facet.value);
        // The facet itself still offers the other values.
        assert_eq!(only.facets["area"], *by_area);
    }
    let found = |q: &str| db.list(&Filter { q: q.into(), ..Filter::default() }).expect("listed").total;
    assert_eq!(found("fcntl$getfl"), 2);
    assert_eq!(found("ENXIO"), 2);
    assert_eq!(found("lseek data"), 2);
    assert_eq!(found("nothing of the kind"), 0);
    assert_eq!(found("\"' OR 1=1 -- * ^ NEAR("), 0);

    let bucket = db.bucket(&listed.buckets[0].id).expect("read").expect("there");
    assert_eq!(bucket.cases.len(), 1);
    assert!(bucket.shown.is_some());
    assert_eq!(db.campaigns().expect("read")[0].stats.programs, 6000);
    assert_eq!(db.campaigns().expect("read")[0].cases, 16);
    let covered = db.coverage().expect("read");
    let lseek = covered.calls.iter().find(|(name, _)| name == "lseek").expect("described");
    assert_eq!((lseek.1[0].runs, lseek.1[0].ok, lseek.1[0].buckets), (50, 40, 2));
    drop(campaign_dir);
}

#[test]
fn an_import_again_changes_nothing_and_a_store_made_anew_is_the_same() {
    let (_dir, campaign_dir, mut db) = filled(9);
    let before = all(&db);
    assert_eq!(db.import(std::slice::from_ref(&campaign_dir)).expect("imported"), Default::default());
    db.change(&before[3], Change::State(State::Known, "told them".into())).expect("changed");
    db.change(&before[4], Change::Note("look at <b>this</b> gizmo".into())).expect("changed");
    db.change(&before[5], Change::Merge(before[6].clone())).expect("changed");
    let (listed, bucket) = (all(&db), db.bucket(&before[3]).expect("read").expect("there"));

    // Of the folders it knows, from nothing but files.
    assert_eq!(db.rebuild(&[]).expect("made anew").cases, 9);
    let again = db.bucket(&before[3]).expect("read").expect("there");
    assert_eq!((again.summary.state, &again.reason), (State::Known, &bucket.reason));
    assert_eq!(again.history.len(), bucket.history.len());
    assert_eq!(db.list(&Filter { q: "gizmo".into(), ..Filter::default() }).expect("listed").total, 1);
    assert_eq!(db.bucket(&before[6]).expect("read").expect("there").members.len(), 1);
    assert_eq!(all(&db), listed);

    // A damaged store says what to do.
    let path = db.path().to_owned();
    drop(db);
    std::fs::write(&path, vec![7; 8192]).expect("written");
    let _ = std::fs::remove_file(path.with_extension("sqlite-wal"));
    let error = Db::open(&path).expect_err("damaged").to_string();
    assert!(error.contains("parallax triage rebuild"), "{error}");
}

#[test]
fn a_bucket_lives_by_what_people_say_and_by_what_shows() {
    let (dir, campaign_dir, mut db) = filled(3);
    let id = all(&db)[0].clone();
    let state = |db: &Db| db.bucket(&id).expect("read").expect("there").summary.state;
    let refused = |db: &mut Db, change| db.change(&id, change).expect_err("refused").to_string();
    assert_eq!(state(&db), State::New);
    assert!(refused(&mut db, Change::State(State::NotABug, "  ".into())).contains("why"));
    assert!(refused(&mut db, Change::State(State::Reopened, "x".into())).contains("cannot become"));
    assert!(refused(&mut db, Change::Merge(id.clone())).contains("itself"));
    assert!(refused(&mut db, Change::Note("x".repeat(5000))).contains("longer"));
    assert!(db.change("0123456789abcdef", Change::Note("x".into())).is_err());
    db.change(&id, Change::State(State::Fixed, "in their commit".into())).expect("changed");

    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("now").as_secs();
    std::thread::sleep(Duration::from_millis(1100));
    let case = db.bucket(&id).expect("read").expect("there").shown.expect("a case");
    let replayed = |db: &mut Db, version: &str, verdict, k| {
        let one = Replayed {
            id: case.id.clone(),
            signature: case.signature.clone(),
            verdict,
            k,
            n: 5,
            detail: String::new(),
        };
        let results =
            Results { target: "gvisor".into(), version: version.into(), at: now(), cases: vec![one] };
        results.save(&campaign_dir).expect("saved");
        assert_eq!(db.import(std::slice::from_ref(&campaign_dir)).expect("imported").replays, 1);
    };
    // The old version is as wrong as it was: no news.
    replayed(&mut db, "runsc 1", ReplayVerdict::StillThere, 5);
    assert_eq!(state(&db), State::Fixed);
    replayed(&mut db, "runsc 2", ReplayVerdict::Gone, 0);
    assert_eq!(state(&db), State::Fixed);
    replayed(&mut db, "runsc 10", ReplayVerdict::StillThere, 3);
    assert_eq!(state(&db), State::Reopened);
    let (versions, rows) = db.matrix("gvisor", Some(&id)).expect("read");
    assert_eq!(versions, ["runsc 1", "runsc 2", "runsc 10"]);
    let verdicts: Vec<Verdict> = rows[0].cells.iter().map(|c| c.verdict).collect();
    assert_eq!(verdicts, [Verdict::Diverges, Verdict::Agrees, Verdict::Flaky]);
    assert_eq!(
        rows[0].changed,
        ["gone in runsc 2, still in runsc 1", "came in runsc 10, not yet in runsc 2"]
    );
    let history = db.bucket(&id).expect("read").expect("there").history;
    let steps: Vec<&str> = history.iter().map(|h| h.now.as_str()).collect();
    assert_eq!(steps, ["new", "fixed", "reopened"]);
    assert!(history.iter().all(|h| h.at > 1_600_000_000));
    drop(dir);
}

#[test]
fn near_buckets_are_offered_and_never_merged_by_themselves() {
    let (_dir, _, mut db) = filled(16);
    let id = all(&db)[0].clone();
    let near = db.near(&id).expect("read");
    assert_eq!(near.len(), 1);
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 16);
    db.change(&near[0].bucket.id, Change::Merge(id.clone())).expect("merged");
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 15);
    assert!(db.near(&id).expect("read").is_empty());
    db.change(&near[0].bucket.id, Change::Apart).expect("taken apart");
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 16);
}

#[test]
fn two_imports_at_once_lose_nothing() {
    let (dir, one, store) = folder();
    let two = dir.path().join("H");
    campaign(&one, "gvisor", "runsc 1", 150);
    campaign(&two, "gvisor", "runsc 2", 200);
    std::thread::scope(|scope| {
        for dirs in [[one.clone(), two.clone()], [two.clone(), one.clone()]] {
            let store = &store;
            scope.spawn(move || Db::open(store).expect("a store").import(&dirs).expect("imported"));
        }
    });
    let db = Db::open(&store).expect("a store");
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 200);
    assert_eq!(db.campaigns().expect("read").iter().map(|c| c.cases).sum::<i64>(), 350);
}

/// Runs [`import_in_a_child`] in a process of its own.
fn child(store: &Path, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", "import_in_a_child", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env("PARALLAX_TEST_STORE", store).env("PARALLAX_TEST_DIR", dir);
    command
}

#[test]
fn import_in_a_child() {
    let of = |name| std::env::var_os(name).map(PathBuf::from);
    let (Some(store), Some(dir)) = (of("PARALLAX_TEST_STORE"), of("PARALLAX_TEST_DIR")) else { return };
    match Db::open(&store).and_then(|mut db| db.import(&[dir])) {
        Ok(done) => println!("took {} cases", done.cases),
        Err(error) => println!("failed: {error}"),
    }
}

#[test]
fn an_import_that_is_killed_leaves_all_or_nothing() {
    let (_dir, campaign_dir, store) = folder();
    campaign(&campaign_dir, "gvisor", "runsc 1", 300);
    let mut left = Vec::new();
    for ms in [5, 20, 40, 60, 90, 130] {
        let mut process = child(&store, &campaign_dir).spawn().expect("started");
        std::thread::sleep(Duration::from_millis(ms));
        let _ = process.kill();
        let _ = process.wait();
        let db = Db::open(&store).expect("the store is whole");
        left.push(db.list(&Filter::default()).expect("listed").total);
    }
    assert!(left.iter().all(|n| *n == 0 || *n == 300), "{left:?}");
    let mut db = Db::open(&store).expect("a store");
    db.import(std::slice::from_ref(&campaign_dir)).expect("imported");
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 300);
}

#[test]
fn a_full_disk_is_told_and_leaves_the_store_as_it_was() {
    let (dir, campaign_dir, _) = folder();
    campaign(&campaign_dir, "gvisor", "runsc 1", 300);
    let small = dir.path().join("small");
    std::fs::create_dir(&small).expect("a folder");
    // A disk of half a megabyte, in a namespace that goes with the process.
    let script = "mount -t tmpfs -o size=512k none \"$0\" && exec \"$@\"";
    let run = child(&small.join("store.sqlite"), &campaign_dir);
    let mut mounted = Command::new("unshare");
    mounted.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(&small);
    mounted.arg(run.get_program()).args(run.get_args());
    mounted.envs(run.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let Ok(output) = mounted.output() else {
        eprintln!("skipped: no unshare here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !said.contains("cases") && !said.contains("failed") {
        eprintln!("skipped: no small disk can be had here: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    assert!(said.contains("the disk is full"), "{said}");
}

#[test]
fn hostile_files_are_told_and_do_no_harm() {
    let (dir, campaign_dir, store) = folder();
    let cases = campaign_dir.join("cases");
    let tag = "<script>alert(1)</script>\u{202e}\u{0}\u{1b}[31m";
    let mut evil = case(0, "gvisor", &format!("runsc {tag}"), tag, u64::MAX);
    evil.kernel = tag.into();
    evil.history[0].detail = tag.into();
    evil.finding.native = tag.into();
    keep(&campaign_dir, &evil);
    let huge = std::fs::File::create(cases.join("huge.plx")).expect("a file");
    huge.set_len(2 << 30).expect("2 GB, most of it holes");
    std::fs::write(cases.join("junk.plx"), [0xc1; 300]).expect("a file");
    let mut forged = case(1, "gvisor", "runsc 1", "", 1);
    forged.id = "00000000deadbeef".into();
    keep(&campaign_dir, &forged);
    let secret = dir.path().join("secret.plx");
    std::fs::write(&secret, case(2, "gvisor", "runsc 1", "", 1).to_bytes()).expect("a file");
    std::os::unix::fs::symlink(&secret, cases.join("link.plx")).expect("a link");
    let pipe = Command::new("mkfifo").arg(cases.join("pipe.plx")).status();
    assert!(pipe.is_ok_and(|status| status.success()));
    std::fs::write(campaign_dir.join("stats.json"), "{\"seconds\": 1e999").expect("a file");
    std::fs::create_dir(campaign_dir.join("replays")).expect("a folder");
    std::fs::write(campaign_dir.join("replays/a.json"), "[".repeat(100_000)).expect("a file");

    let mut db = Db::open(&store).expect("a store");
    let done = db.import(std::slice::from_ref(&campaign_dir)).expect("imported");
    assert_eq!((done.cases, done.buckets), (1, 1));
    assert_eq!(done.unreadable.len(), 5, "{:#?}", done.unreadable);
    let bucket = db.bucket(&all(&db)[0]).expect("read").expect("there");
    assert!(!bucket.summary.versions[0].contains(['\0', '\u{1b}']));
    assert!(bucket.cases[0].created <= parallax_triage::db::now());
    assert_eq!(db.campaigns().expect("read")[0].unreadable, 4);
}

#[test]
fn a_folder_with_a_version_for_each_case_has_a_matrix_of_the_newest() {
    let (_dir, campaign_dir, store) = folder();
    for k in 0..130 {
        keep(
            &campaign_dir,
            &case(k, "gvisor", &format!("runsc {k}"), &format!("by number {k}"), 1_700_000_000),
        );
    }
    let mut db = Db::open(&store).expect("a store");
    db.import(&[campaign_dir]).expect("imported");
    let (versions, rows) = db.matrix("gvisor", None).expect("read");
    assert_eq!((versions.len(), rows.len()), (MAX_VERSIONS, 130));
    assert_eq!(versions.first().map(String::as_str), Some("runsc 30"));
    assert!(rows.iter().all(|row| row.cells.len() == versions.len()));
    let known = |row: &MatrixRow| row.cells.iter().filter(|c| c.verdict == Verdict::Diverges).count();
    assert_eq!(rows.iter().map(known).sum::<usize>(), MAX_VERSIONS);
}

#[test]
fn severity_is_in_the_order_of_lists() {
    assert!(Severity::ALL.is_sorted());
    let places: Vec<usize> = Severity::ALL.iter().map(|s| *s as usize).collect();
    assert_eq!(places, [0, 1, 2, 3, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_search_and_no_filter_is_an_error(q in ".{0,40}", value in "[a-z\"'%_ \\PC]{0,12}", page in 0usize..usize::MAX) {
        thread_local!(static STORE: (tempfile::TempDir, PathBuf, Db) = filled(8));
        STORE.with(|(_, _, db)| {
            for facet in Filter::FACETS {
                let filter = Filter { q: q.clone(), page, ..Filter::default() }.with(facet, &value);
                prop_assert!(db.list(&filter).is_ok());
            }
            prop_assert!(db.bucket(&value).is_ok());
            prop_assert!(db.matrix(&value, Some(&q)).is_ok());
            Ok(())
        })?;
    }
}
