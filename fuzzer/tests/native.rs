//! What generated programs do on a real kernel: most of their calls must get past the door.
//! `PROGRAMS=5000 cargo test --test native -- --nocapture` shows which calls fail and how.

use libafl_bolts::rands::StdRand;
use parallax_corpus::names::errno_name;
use parallax_corpus::{CallId, Program, State, tables};
use parallax_fuzzer::campaign::{CampaignOptions, run};
use parallax_fuzzer::generate::Generator;
use parallax_fuzzer::knowledge::FRUITLESS;
use parallax_fuzzer::objective::{Triage, Verdict};
use parallax_fuzzer::runner::PairRunner;
use parallax_fuzzer::scenes::SCENES;
use parallax_fuzzer::tally::{Tally, Weights};
use parallax_harness::oracles::Finding;
use parallax_harness::pair::{Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::native::Native;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

#[test]
fn most_calls_of_generated_programs_succeed_on_linux() {
    let mut pair = match Pair::start(Arc::new(Native), Slot::default()) {
        Ok(pair) => pair,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let allowed: Vec<bool> =
        (0..tables::all().len()).map(|i| CallId::from_index(i).is_some_and(|id| pair.can_run(id))).collect();
    let generator = Generator::new(&allowed);
    let mut dice = StdRand::with_seed(1);
    let weights = Weights::even();
    let mut tally = Tally::default();
    let mut errors: BTreeMap<(String, String), u64> = BTreeMap::new();
    let count = std::env::var("PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    let programs: Vec<_> = (0..count).map(|_| generator.generate(&mut dice, &weights)).collect();
    let clock = std::time::Instant::now();
    let mut cut_short = 0;
    for chunk in programs.chunks(16) {
        for (program, result) in chunk.iter().zip(pair.run(chunk, RunOptions::SEARCH).unwrap()) {
            tally.count(program, &result);
            if result.unusable() {
                eprintln!(
                    "{:?} {:?} unusable:\n{}",
                    result.native.end,
                    result.target.end,
                    parallax_corpus::text::write(program)
                );
            }
            cut_short += u64::from(result.native.outcomes.iter().any(|o| o.state == State::NotRun));
            for (call, outcome) in program.calls.iter().zip(&result.native.outcomes) {
                let what = match outcome.state {
                    State::Done if outcome.ok() => continue,
                    State::Done => errno_name(outcome.errno().unwrap_or(0)).to_owned(),
                    state => format!("{state:?}"),
                };
                *errors.entry((call.id.name().to_owned(), what)).or_default() += 1;
            }
        }
    }
    let total = tally.total();
    println!("{} programs in {:?}, {cut_short} cut short; {total:?}", programs.len(), clock.elapsed());
    let mut worst: Vec<_> = errors.into_iter().map(|((name, what), n)| (n, name, what)).collect();
    worst.sort_unstable();
    for (n, name, what) in worst.iter().rev().take(60) {
        let runs = CallId::named(name).map(|id| tally.of(id).runs).unwrap_or_default();
        println!("{n:6} of {runs:6} {name} {what}");
    }
    for (area, counts) in tally.by_area() {
        println!(
            "{:10} {:6} runs, {:.0}% ok",
            area.name(),
            counts.runs,
            100.0 * counts.ok as f64 / counts.runs as f64
        );
    }
    assert!(total.ok * 100 >= total.runs * 70, "{} of {} calls succeeded", total.ok, total.runs);
    assert!(total.blocked * 100 <= total.runs * 2, "{} of {} calls blocked", total.blocked, total.runs);
}

#[test]
#[ignore = "a measurement: PROGRAMS=50000 cargo test --test native -- --ignored --nocapture"]
fn how_a_campaign_of_linux_against_itself_goes() {
    let dir = tempfile::tempdir().unwrap();
    let pair = |worker| Pair::start(Arc::new(Native), Slot { worker, cpu: None }).unwrap();
    let runner = |worker| PairRunner { pair: Arc::new(Mutex::new(pair(worker))), how: RunOptions::SEARCH };
    let execs = std::env::var("PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let mut last = 0;
    for round in 1..=4 {
        let options =
            CampaignOptions { execs: Some(execs / 4), ..CampaignOptions::new(dir.path().to_owned()) };
        let runners = vec![runner(0), runner(1)];
        let stats = run(options, runners, &Doubting, &AtomicBool::new(false)).unwrap().stats;
        println!(
            "quarter {round}: kept {}, {:.1}% ok, {} blocked, {} signatures, {} unusable, {:?}",
            stats.corpus - last,
            stats.ok_percent(),
            stats.calls_blocked,
            stats.signatures,
            stats.unusable,
            stats.areas,
        );
        last = stats.corpus;
    }
}

/// Believes nothing: Linux does not differ from itself.
struct Doubting;

impl Triage for Doubting {
    fn investigate(&self, found: Vec<(Program, Finding)>, _: u64) -> Vec<Verdict> {
        for (program, finding) in &found {
            println!("{}\n{}", finding.signature(), parallax_corpus::text::write(program));
        }
        found.iter().map(|_| Verdict::Unstable).collect()
    }
}

/// Runs programs on Linux alone and gives the outcomes of each one's last call.
fn last_calls(programs: &[Program]) -> Option<Vec<parallax_corpus::Outcome>> {
    let mut pair = match Pair::start(Arc::new(Native), Slot::default()) {
        Ok(pair) => pair,
        Err(error) => {
            eprintln!("skipped: {error}");
            return None;
        }
    };
    let mut outcomes = Vec::new();
    for chunk in programs.chunks(8) {
        for (program, result) in chunk.iter().zip(pair.run(chunk, RunOptions::PATIENT).unwrap()) {
            assert_eq!(result.finding, None, "{}", parallax_corpus::text::write(program));
            outcomes.push(result.native.outcomes[program.calls.len() - 1].clone());
        }
    }
    Some(outcomes)
}

#[test]
fn every_scene_succeeds_on_linux() {
    let programs: Vec<Program> =
        SCENES.iter().map(|scene| parallax_corpus::text::parse(scene).expect(scene)).collect();
    let Some(outcomes) = last_calls(&programs) else { return };
    let failed: Vec<String> = SCENES
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| !outcome.ok())
        .map(|(scene, outcome)| format!("{:?} {}\n{scene}\n", outcome.state, outcome.ret))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_is_said_to_be_fruitless_is() {
    let generator = Generator::new(&[]);
    let mut dice = StdRand::with_seed(7);
    let mut programs = Vec::new();
    for (name, _) in FRUITLESS.iter().filter(|(_, why)| !why.starts_with("needs a processor")) {
        let id = CallId::named(name).unwrap_or_else(|| panic!("{name} is no call"));
        for _ in 0..8 {
            let mut program = Program::default();
            generator.append_call(&mut dice, &Weights::even(), &mut program, id);
            programs.push(program);
        }
    }
    let Some(outcomes) = last_calls(&programs) else { return };
    for (program, outcome) in programs.iter().zip(outcomes) {
        assert!(!outcome.ok(), "{}", parallax_corpus::text::write(program));
    }
}
