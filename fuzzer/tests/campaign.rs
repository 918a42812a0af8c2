//! Campaigns on a fake pair: determinism, resuming, what is kept, and what is counted.

mod common;

use common::{Believing, Fake, fakes};
use parallax_corpus::Program;
use parallax_fuzzer::campaign::{CampaignOptions, Ending, Summary, run};
use parallax_fuzzer::objective::is_due;
use parallax_fuzzer::runner::Runner;
use parallax_harness::pair::PairResult;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn options(dir: &Path, execs: u64) -> CampaignOptions {
    CampaignOptions { execs: Some(execs), quiet: true, seed: 7, ..CampaignOptions::new(dir.to_owned()) }
}

fn campaign(dir: &Path, execs: u64, jobs: usize) -> (Summary, Believing) {
    let triage = Believing::default();
    let summary = run(options(dir, execs), fakes(jobs), &triage, &AtomicBool::new(false)).unwrap();
    (summary, triage)
}

fn names(dir: &Path) -> BTreeSet<String> {
    let all =
        fs::read_dir(dir.join("corpus")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    all.filter(|name| !name.starts_with('.')).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("corpus")).unwrap();
    for part in ["", "corpus"] {
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                // A file may be renamed away while it is copied, as after a kill.
                let _ = fs::copy(&path, to.join(part).join(path.file_name().unwrap()));
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_campaign_for_any_number_of_jobs() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, asked_a) = campaign(one.path(), 20_000, 1);
    let (b, asked_b) = campaign(two.path(), 20_000, 3);
    assert_eq!(names(one.path()), names(two.path()));
    assert_eq!(*asked_a.seen.lock().unwrap(), *asked_b.seen.lock().unwrap());
    assert_eq!(a.stats.per_call, b.stats.per_call);
    assert_eq!(a.stats.programs, 20_000);
    assert_eq!(a.ending, Ending::Programs);
}

#[test]
fn all_planted_faults_are_found_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (summary, asked) = campaign(dir.path(), 30_000, 2);
    let found: BTreeSet<String> = asked.seen.lock().unwrap().iter().map(|(_, f)| f.name.clone()).collect();
    for name in ["fcntl$getfl", "pipe2", "clock_gettime"] {
        assert!(found.contains(name), "{name} is not among {found:?}");
    }
    assert_eq!(summary.stats.cases, summary.new_cases);
    assert!(summary.stats.known_sightings > 100);
    let text = fs::read_to_string(dir.path().join("stats.json")).unwrap();
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in
        ["programs", "programs_per_second", "calls", "calls_ok", "corpus", "cases", "unstable", "restarts"]
    {
        assert!(stats[field].is_number(), "{field}");
    }
    assert!(stats["areas"]["tty"]["calls"].as_u64().unwrap() > 0);
}

#[test]
fn novelty_does_not_saturate_and_areas_stay_fair() {
    let dir = tempfile::tempdir().unwrap();
    let (warm, _) = campaign(dir.path(), 20_000, 2);
    let (hot, _) = campaign(dir.path(), 20_000, 2);
    let kept = hot.stats.corpus - warm.stats.corpus;
    assert!(kept < 1_000, "{kept} of 20000 mutants were kept");
    assert!(hot.stats.corpus > 200, "the corpus has {} programs only", hot.stats.corpus);
    for (area, counts) in &hot.stats.areas {
        let share = 100 * counts.calls / hot.stats.calls;
        assert!(share >= 4, "{area} has {share}% of all calls");
    }
}

/// Stops the campaign after so many programs, and copies its directory then: what a kill leaves behind.
struct Killed<'a> {
    fake: Fake,
    left: usize,
    from: &'a Path,
    to: &'a Path,
    stop: &'a AtomicBool,
}

impl Runner for Killed<'_> {
    fn run(&mut self, programs: &[Program]) -> anyhow::Result<Vec<PairResult>> {
        if self.left > 0 && self.left <= programs.len() {
            copy(self.from, self.to);
            self.stop.store(true, Ordering::Relaxed);
        }
        self.left = self.left.saturating_sub(programs.len());
        self.fake.run(programs)
    }
    fn restarts(&self) -> u64 {
        0
    }
}

#[test]
fn a_killed_campaign_loses_nothing_it_had_kept() {
    for (round, at) in [300usize, 1_111, 2_600, 4_003, 7_777].into_iter().enumerate() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stop = AtomicBool::new(false);
        let runner = Killed {
            fake: Fake { thinks: true },
            left: at,
            from: first.path(),
            to: second.path(),
            stop: &stop,
        };
        // A few snapshots before the end, so that some programs are in one and some are not.
        let options = CampaignOptions {
            snapshot_programs: 900 + 100 * round as u64,
            ..options(first.path(), 1_000_000)
        };
        let summary = run(options, vec![runner], &Believing::default(), &stop).unwrap();
        assert_eq!(summary.ending, Ending::Stopped);

        let before = names(second.path());
        assert!(!before.is_empty());
        let (resumed, _) = campaign(second.path(), 1, 1);
        assert!(names(second.path()).is_superset(&before));
        assert!(resumed.stats.corpus >= before.len() as u64, "{} of {}", resumed.stats.corpus, before.len());
    }
}

#[test]
fn damaged_files_are_skipped_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (before, _) = campaign(dir.path(), 3_000, 1);
    let corpus = names(dir.path());
    let mut files = corpus.iter().map(|name| dir.path().join("corpus").join(name));
    fs::write(files.next().unwrap(), b"PLXPROG\0 but not for long").unwrap();
    fs::write(files.next().unwrap(), b"").unwrap();
    fs::remove_file(files.next().unwrap()).unwrap();
    fs::create_dir(dir.path().join("corpus/odd.prog")).unwrap();
    let (after, _) = campaign(dir.path(), 1, 1);
    assert!(after.stats.corpus >= before.stats.corpus - 3);
    assert!(after.stats.programs > before.stats.programs);

    let state = dir.path().join("state.bin");
    let mut bytes = fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&state, bytes).unwrap();
    let (again, _) = campaign(dir.path(), 2_000, 1);
    assert!(again.stats.corpus >= after.stats.corpus);
}

#[test]
fn a_campaign_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let timed =
        CampaignOptions { execs: None, time: Some(Duration::from_millis(300)), ..options(dir.path(), 0) };
    let summary = run(timed, fakes(2), &Believing::default(), &AtomicBool::new(false)).unwrap();
    assert_eq!(summary.ending, Ending::Time);
    assert!(started.elapsed() < Duration::from_secs(5));

    let dir = tempfile::tempdir().unwrap();
    let counted = CampaignOptions { stop_after: Some(1), ..options(dir.path(), 1_000_000) };
    let summary = run(counted, fakes(2), &Believing::default(), &AtomicBool::new(false)).unwrap();
    assert_eq!(summary.ending, Ending::Cases);
    assert!(summary.new_cases >= 1);
}

/// Fails for good after a while.
struct Failing(usize);

impl Runner for Failing {
    fn run(&mut self, programs: &[Program]) -> anyhow::Result<Vec<PairResult>> {
        self.0 = self.0.saturating_sub(programs.len());
        anyhow::ensure!(self.0 > 0, "the layer is gone");
        Fake { thinks: true }.run(programs)
    }
    fn restarts(&self) -> u64 {
        0
    }
}

#[test]
fn a_runner_that_fails_for_good_ends_the_campaign_and_the_state_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let error = run(
        options(dir.path(), 100_000),
        vec![Failing(2_000)],
        &Believing::default(),
        &AtomicBool::new(false),
    )
    .unwrap_err();
    assert!(error.to_string().contains("the layer is gone"), "{error}");
    assert!(dir.path().join("state.bin").exists());
    let (resumed, _) = campaign(dir.path(), 1, 1);
    assert!(resumed.stats.programs > 1_000);
}

#[test]
fn a_signature_is_looked_at_again_at_its_tenth_and_hundredth_sighting() {
    let due: Vec<u64> = (0..=2_000).filter(|n| is_due(*n)).collect();
    assert_eq!(due, [1, 10, 100, 1000]);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture cost"]
fn what_the_search_itself_costs() {
    for thinks in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let runners = vec![Fake { thinks }];
        let summary =
            run(options(dir.path(), 200_000), runners, &Believing::default(), &AtomicBool::new(false))
                .unwrap();
        let micros = summary.stats.seconds * 1e6 / summary.stats.programs as f64;
        println!("thinks {thinks}: {micros:.1} µs a program, corpus {}", summary.stats.corpus);
    }
}
