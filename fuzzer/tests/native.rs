//! What generated programs do on a real kernel: most of their calls must get past the door.
//! `PROGRAMS=5000 cargo test --test native -- --nocapture` shows which calls fail and how.

use libafl_bolts::rands::StdRand;
use parallax_corpus::names::errno_name;
use parallax_corpus::{CallId, State, tables};
use parallax_fuzzer::generate::Generator;
use parallax_fuzzer::tally::{Tally, Weights};
use parallax_harness::pair::{Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::native::Native;
use std::collections::BTreeMap;
use std::sync::Arc;

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
