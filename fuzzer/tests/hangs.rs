//! Campaigns against a layer that does not survive everything, on fake pairs.

mod common;

use common::{Believing, Fake};
use parallax_corpus::{CallId, End, Program, Trace};
use parallax_fuzzer::campaign::{CampaignOptions, run};
use parallax_fuzzer::objective::{Triage, Verdict};
use parallax_fuzzer::runner::Runner;
use parallax_harness::oracles::{Class, Finding};
use parallax_harness::pair::PairResult;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Programs with one of these hang the layer.
const DEADLY: [&str; 2] = ["getpid", "pipe2"];

fn first_deadly(program: &Program) -> Option<CallId> {
    program.calls.iter().map(|call| call.id).find(|id| DEADLY.contains(&id.name()))
}

/// A fake pair whose layer hangs; counts how often each of the deadly calls did it.
struct Hanging<'a>(&'a [AtomicUsize; 2]);

impl Runner for Hanging<'_> {
    fn run(&mut self, programs: &[Program]) -> anyhow::Result<Vec<PairResult>> {
        let mut results = Fake { thinks: true }.run(programs)?;
        for (program, result) in programs.iter().zip(&mut results) {
            let Some(id) = first_deadly(program) else { continue };
            let which = DEADLY.iter().position(|name| *name == id.name()).unwrap();
            self.0[which].fetch_add(1, Ordering::Relaxed);
            result.target = Trace::lost(End::Hung, program.calls.len());
            let last = program.calls.len() - 1;
            let name = program.calls[last].id.name().to_owned();
            result.finding = Some(Finding {
                oracle: "layer".into(),
                class: Class::Hang,
                call: last,
                cause: name.clone(),
                name,
                field: "end".into(),
                native: "answered".into(),
                target: "hung".into(),
                kind: "hung".into(),
            });
        }
        Ok(results)
    }
    fn restarts(&self) -> u64 {
        0
    }
}

/// Cuts what hangs down to the call that does it, and believes everything.
#[derive(Default)]
struct Cutting(Believing);

impl Triage for Cutting {
    fn investigate(&self, found: Vec<(Program, Finding)>, most: u64) -> Vec<Verdict> {
        let cut = |(program, finding): (Program, Finding)| match first_deadly(&program) {
            Some(id) if finding.class.is_layer() => {
                let only: Vec<_> = program.calls.into_iter().filter(|call| call.id == id).take(1).collect();
                let name = id.name().to_owned();
                (Program { calls: only }, Finding { call: 0, cause: name.clone(), name, ..finding })
            }
            _ => (program, finding),
        };
        self.0.investigate(found.into_iter().map(cut).collect(), most)
    }
}

/// How often the two calls hung the layer, what was looked into, and the corpus.
fn campaign(dir: &Path, execs: u64, jobs: usize) -> ([usize; 2], Vec<String>, BTreeSet<String>) {
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let options =
        CampaignOptions { seed: 7, execs: Some(execs), quiet: true, ..CampaignOptions::new(dir.to_owned()) };
    let triage = Cutting::default();
    let runners = (0..jobs).map(|_| Hanging(&counts)).collect();
    run(options, runners, &triage, &AtomicBool::new(false)).unwrap();
    let seen = triage.0.seen.into_inner().unwrap();
    let lost = seen.iter().filter(|(_, finding)| finding.class.is_layer());
    let signatures = lost.map(|(_, finding)| finding.signature().to_string()).collect();
    let files = std::fs::read_dir(dir.join("corpus")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    (counts.map(AtomicUsize::into_inner), signatures, names)
}

#[test]
fn a_known_hang_is_hardly_met_again_and_another_one_is_still_found() {
    let dir = tempfile::tempdir().unwrap();
    let (begin, looked, _) = campaign(dir.path(), 2_000, 2);
    assert!(
        looked.iter().any(|s| s.contains("getpid")) && looked.iter().any(|s| s.contains("pipe2")),
        "{looked:?}"
    );
    let (later, again, _) = campaign(dir.path(), 8_000, 2);
    eprintln!(
        "hangs in 2,000 programs {begin:?}, in 8,000 after going on {later:?}; looked into again: {again:?}"
    );
    // Without avoiding, getpid() and pipe2() are in every tenth program or so.
    assert!(later.iter().sum::<usize>() < 80, "{later:?}");
    assert!(again.len() <= 4, "{again:?}");
}

#[test]
fn what_is_avoided_does_not_depend_on_the_number_of_jobs() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, looked_a, corpus_a) = campaign(one.path(), 6_000, 1);
    let (_, looked_b, corpus_b) = campaign(two.path(), 6_000, 3);
    assert_eq!(looked_a, looked_b);
    assert_eq!(corpus_a, corpus_b);
}
