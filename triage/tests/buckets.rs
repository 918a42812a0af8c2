//! Buckets: what is mended together lies together, and nothing else; every case in one can still be found.

mod common;

use common::{keep, of_program, stats};
use parallax_corpus::End;
use parallax_harness::oracles::Signature;
use parallax_replay::{ReplayVerdict, Repro};
use parallax_triage::bucket;
use parallax_triage::db::{Change, Db, DbError, Filter, State, Verdict};
use parallax_triage::results::{Replayed, Results};
use parallax_triage::severity;
use std::path::{Path, PathBuf};

const EPERM: i64 = -1;
const ENOENT: i64 = -2;
const EIO: i64 = -5;
const EBADF: i64 = -9;
const EACCES: i64 = -13;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ENOTTY: i64 = -25;
const ENOSYS: i64 = -38;

fn case(source: &str, native: i64, target: i64) -> Repro {
    of_program((source, native, target), "gvisor", "runsc 1", "", 1_700_000_000)
}

fn bucket_of(repro: &Repro) -> Signature {
    bucket::of(repro, &repro.code().expect("compiles")).bucket
}

/// The bucket of a case; of all of them, if it is the same.
fn bucket_of_all(cases: &[Repro]) -> String {
    let first = bucket_of(&cases[0]);
    for case in cases {
        assert_eq!(bucket_of(case), first, "{}", case.signature);
    }
    first.0
}

const MKNOD: &str = "mknodat(\"f0\", S_IFDIR)\n";
const FALLOCATE: &str = "r0 = openat$create(\"f0\", 0)\nfallocate(r0, 0, 0, 1)\n";

#[test]
fn an_order_of_checks_is_one_bucket_whichever_errors_were_seen() {
    let name =
        bucket_of_all(&[case(MKNOD, EPERM, EACCES), case(MKNOD, EPERM, EEXIST), case(MKNOD, ENOENT, EACCES)]);
    assert_eq!(name, "differential mknodat.ret another error");
    assert_ne!(bucket_of(&case(MKNOD, 0, EACCES)), bucket_of(&case(MKNOD, EPERM, EACCES)));
    assert_ne!(bucket_of(&case(MKNOD, EPERM, 0)), bucket_of(&case(MKNOD, ENOENT, 0)));
    assert_ne!(bucket_of(&case(FALLOCATE, EINVAL, EBADF)).0, name);
}

#[test]
fn a_missing_check_is_one_bucket_whatever_the_call_then_does() {
    let wait = "futex$wait({5}, 0, 5, {0x3b9aca00})\n";
    let cases = [case(wait, EINVAL, -11), case(wait, EINVAL, 0)];
    assert_eq!(bucket_of_all(&cases), "differential futex.ret does not refuse with EINVAL");
}

#[test]
fn what_the_descriptor_is_keeps_buckets_apart() {
    let tty = case("r0 = openat$tty(O_RDWR)\nread$tty(r0, out[4])\n", 1, EIO);
    let pipe = case("r0, r1 = pipe2(out, 0)\nread(r0, out[4])\n", 1, EIO);
    assert_eq!(bucket_of(&tty).0, "differential read of a terminal.ret refuses with EIO");
    assert_eq!(bucket_of(&pipe).0, "differential read of a pipe.ret refuses with EIO");
}

#[test]
fn state_is_one_bucket_whether_the_program_looked_or_we_did() {
    let open = "r0 = mq_open({0, 1, 16})\n";
    let own = case(&format!("{open}fcntl$getfd(r0)\n"), 1, 0);
    let mut ours = own.clone();
    ours.finding.cause = "mq_open".into();
    assert_eq!(
        bucket_of_all(&[own, ours]),
        "differential descriptor flags.ret lost FD_CLOEXEC after mq_open"
    );

    let timer = "r0 = timer_create(CLOCK_MONOTONIC, {0, SIGEV_NONE}, out)\ntimer_gettime(r0, out)\n";
    let mut old = case(timer, 0, EINVAL);
    old.finding.kind = "bytes differ".into();
    old.finding.field = "it_interval".into();
    let mut said = old.clone();
    old.finding.cause = "timer_settime".into();
    said.finding.name = "timer_settime".into();
    said.finding.cause = "timer_settime".into();
    assert_eq!(bucket_of_all(&[old, said]), "differential timer.it_interval bytes differ");
}

#[test]
fn each_thing_that_is_not_there_is_a_bucket() {
    let of = |call: &str, errno| bucket_of(&case(&format!("r0 = openat$tty(O_RDWR)\n{call}\n"), 0, errno)).0;
    let excl = of("ioctl$tiocexcl(r0)", ENOTTY);
    assert_eq!(excl, "differential ioctl$tiocexcl.ret answered ENOTTY");
    assert_ne!(excl, of("ioctl$tiocnxcl(r0)", ENOTTY));
    assert_eq!(of("fsync(r0)", ENOSYS), "differential fsync.ret unsupported");
}

/// A folder with two cases of one bucket, and the store of it.
fn two_cases() -> (tempfile::TempDir, PathBuf, PathBuf, [Repro; 2]) {
    let dir = tempfile::tempdir().expect("a folder");
    let (campaign, store) = (dir.path().join("G"), dir.path().join("store.sqlite"));
    let cases = [case(MKNOD, EPERM, EACCES), case(MKNOD, EPERM, EEXIST)];
    cases.iter().for_each(|repro| keep(&campaign, repro));
    stats(&campaign, "gvisor", 60.0, 2);
    (dir, campaign, store, cases)
}

fn imported(store: &Path, campaign: &Path) -> Db {
    let mut db = Db::open(store).expect("a store");
    db.import(&[campaign.to_owned()]).expect("imported");
    db
}

#[test]
fn a_bucket_is_found_by_each_of_its_cases() {
    let (_dir, campaign, store, cases) = two_cases();
    let db = imported(&store, &campaign);
    let listed = db.list(&Filter::default()).expect("listed");
    assert_eq!(listed.total, 1);
    for repro in &cases {
        let bucket = db.bucket(&repro.id).expect("read").expect("there");
        assert_eq!(bucket.summary.id, listed.buckets[0].id);
        assert_eq!(bucket.cases.len(), 2);
        assert_eq!(bucket.shown.expect("a case").signature, repro.signature);
        let words = Filter { q: repro.signature.0.clone(), ..Filter::default() };
        assert_eq!(db.list(&words).expect("listed").total, 1, "{}", repro.signature);
    }
}

#[test]
fn a_bucket_agrees_on_a_version_only_where_all_its_cases_do() {
    let (_dir, campaign, store, cases) = two_cases();
    let mut db = imported(&store, &campaign);
    let mut replayed = |version: &str, verdicts: [ReplayVerdict; 2]| {
        let cases = cases.iter().zip(verdicts).map(|(repro, verdict)| Replayed {
            id: repro.id.clone(),
            signature: repro.signature.clone(),
            verdict,
            k: if verdict == ReplayVerdict::StillThere { 5 } else { 0 },
            n: 5,
            detail: String::new(),
        });
        let (target, version) = ("gvisor".to_owned(), version.to_owned());
        Results { target, version, at: 1_800_000_000, cases: cases.collect() }
            .save(&campaign)
            .expect("saved");
        assert_eq!(db.import(std::slice::from_ref(&campaign)).expect("imported").replays, 2);
    };
    replayed("runsc 2", [ReplayVerdict::Gone, ReplayVerdict::StillThere]);
    replayed("runsc 3", [ReplayVerdict::Gone, ReplayVerdict::Gone]);
    let (versions, rows) = db.matrix("gvisor", None).expect("read");
    assert_eq!(versions, ["runsc 1", "runsc 2", "runsc 3"]);
    let verdicts: Vec<Verdict> = rows[0].cells.iter().map(|cell| cell.verdict).collect();
    assert_eq!(verdicts, [Verdict::Diverges, Verdict::Diverges, Verdict::Agrees]);
    assert_eq!(rows[0].changed, ["gone in runsc 3, still in runsc 2"]);
}

#[test]
fn an_error_instead_of_another_lies_with_what_explains_it_whichever_was_found_first() {
    let unlike = case(MKNOD, EPERM, EACCES);
    let explains = [case(MKNOD, 0, EACCES), case(MKNOD, EPERM, 0)];
    let alone = bucket_of(&unlike);
    for (explains, noted) in explains.iter().flat_map(|repro| [(repro, false), (repro, true)]) {
        let dir = tempfile::tempdir().expect("a folder");
        let (campaign, store) = (dir.path().join("G"), dir.path().join("store.sqlite"));
        keep(&campaign, &unlike);
        let mut db = imported(&store, &campaign);
        let first = db.bucket(&unlike.id).expect("read").expect("there").summary;
        assert_eq!(first.signature, alone.0);
        if noted {
            db.change(&first.id, Change::Note("seen".into())).expect("noted");
        }
        keep(&campaign, explains);
        let done = db.import(std::slice::from_ref(&campaign)).expect("imported");
        assert_eq!((done.cases, done.buckets), (1, u64::from(noted)));
        let listed = db.list(&Filter::default()).expect("listed").buckets;
        assert_eq!(listed.iter().map(|b| &b.signature).collect::<Vec<_>>(), [&bucket_of(explains).0]);
        assert_eq!(db.bucket(&unlike.id).expect("read").expect("there").summary.id, listed[0].id);
        // It is as bad as its worst case, whichever of them came first.
        let worst = [&unlike, explains].map(|repro| severity::of(&repro.finding).0).into_iter().min();
        assert_eq!(Some(listed[0].severity), worst);
        // Nothing moves without a word.
        let history = db.bucket(&unlike.id).expect("read").expect("there").history;
        assert!(history.iter().any(|h| h.what == "case joined" && h.now == unlike.id), "{history:?}");
        // What somebody said is not lost: that bucket points to the other one.
        let old = db.bucket(&first.id).expect("read");
        assert_eq!(old.map(|b| b.merged_into), noted.then(|| Some(listed[0].id.clone())));

        db.rebuild(&[]).expect("made anew");
        let again = db.list(&Filter::default()).expect("listed").buckets;
        assert_eq!(again.iter().map(|b| &b.id).collect::<Vec<_>>(), [&listed[0].id]);
        assert_eq!(db.bucket(&first.id).expect("read").is_some(), noted);
    }
}

#[test]
fn a_bucket_is_known_only_if_all_its_cases_are_expected() {
    let (_dir, campaign, store, cases) = two_cases();
    let expected = campaign.join("expected");
    std::fs::create_dir(&expected).expect("a folder");
    let files = cases.each_ref().map(|repro| repro.file_name());
    for file in &files {
        std::fs::rename(campaign.join("cases").join(file), expected.join(file)).expect("moved");
    }
    let mut db = imported(&store, &campaign);
    let states = |db: &Db| -> Vec<State> {
        db.list(&Filter::default()).expect("listed").buckets.iter().map(|b| b.state).collect()
    };
    assert_eq!(states(&db), [State::Known]);
    let other = case(MKNOD, EPERM, ENOENT);
    keep(&campaign, &other);
    db.import(std::slice::from_ref(&campaign)).expect("imported");
    assert_eq!(states(&db), [State::New]);
    // Where a person has spoken that stays.
    db.change(&other.id, Change::State(State::Known, "reported".into())).expect("changed");
    keep(&campaign, &case(MKNOD, ENOENT, EACCES));
    db.import(std::slice::from_ref(&campaign)).expect("imported");
    assert_eq!(states(&db), [State::Known]);
    db.rebuild(&[]).expect("made anew");
    assert_eq!(states(&db), [State::Known]);
}

#[test]
fn a_case_that_is_taken_in_again_leaves_no_empty_bucket() {
    let (_dir, campaign, store, cases) = two_cases();
    keep(&campaign, &case(MKNOD, 0, EACCES));
    keep(&campaign, &case(MKNOD, 0, EEXIST));
    let mut db = imported(&store, &campaign);
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 2);
    std::thread::sleep(std::time::Duration::from_millis(20));
    // Another time of change: the file is read again.
    cases.iter().for_each(|repro| keep(&campaign, repro));
    assert_eq!(db.import(std::slice::from_ref(&campaign)).expect("imported"), Default::default());
    assert_eq!(db.list(&Filter::default()).expect("listed").total, 2);
}

#[test]
fn a_signal_that_is_not_sent_is_one_bucket_whichever_call_it_came_in() {
    let killed = |source: &str, signal: u8| {
        let mut repro = case(source, 1, 0);
        repro.native.end = End::Killed(signal);
        repro.finding.field = "state".into();
        repro.finding.kind = "died became success".into();
        repro
    };
    let (keys, close) = ("write$keys(3, \"a\")\n", "close(3)\n");
    let name = bucket_of_all(&[killed(keys, 2), killed(close, 2)]);
    assert_eq!(name, "differential program.end is not killed by SIGINT");
    assert_ne!(bucket_of(&killed(keys, 1)).0, name);
    let mut only_there = case(close, 1, 0);
    only_there.target.end = End::Killed(25);
    only_there.finding.field = "end".into();
    only_there.finding.kind = "Exited became Killed(25)".into();
    assert_eq!(bucket_of(&only_there).0, "differential program.end is killed by SIGXFSZ");
    // Its own bad access is the call's, if it is known which call that was.
    let mut tasks = case("task$thread()\ngetpid()\n", 1, 0);
    tasks.target.end = End::Killed(11);
    tasks.finding.field = "end".into();
    tasks.finding.kind = "Exited became Killed(11)".into();
    assert_eq!(bucket_of(&tasks).0, "differential program.end is killed by SIGSEGV");
    assert_eq!(bucket_of(&killed(close, 11)).0, "differential close.state does not end the program");
}

#[test]
fn an_older_store_is_made_anew_with_its_decisions() {
    let (_dir, campaign, store, cases) = two_cases();
    let mut db = imported(&store, &campaign);
    // As it was when each case was a bucket: two states, and one merged into the other.
    db.change(&cases[1].id, Change::State(State::Known, "reported".into())).expect("changed");
    drop(db);
    let journal = PathBuf::from(format!("{}.journal", store.display()));
    let mut told = std::fs::read_to_string(&journal).expect("a journal");
    let merge = told.lines().last().expect("a line").replace("\"state\"", "\"merge\"");
    let merge = merge.replace("\"known\"", &format!("\"{}\"", cases[0].id));
    told.push_str(&format!("{merge}\n"));
    std::fs::write(&journal, told).expect("written");
    let old = rusqlite::Connection::open(&store).expect("opened");
    old.pragma_update(None, "user_version", 1).expect("older");
    drop(old);

    let error = Db::open(&store).expect_err("too old");
    assert!(matches!(error, DbError::Older { found: 1, .. }));
    assert!(error.to_string().contains("parallax triage rebuild"), "{error}");
    let mut db = Db::open_to_rebuild(&store).expect("opened");
    assert_eq!(db.rebuild(&[]).expect("made anew").cases, 2);
    drop(db);
    let listed = Db::open(&store).expect("of today").list(&Filter::default()).expect("listed");
    assert_eq!(listed.buckets.iter().map(|b| b.state).collect::<Vec<_>>(), [State::Known]);
}
