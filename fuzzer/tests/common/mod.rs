//! A fake pair: a small deterministic "kernel" with a few planted faults, so that campaigns can be tested
//! without running anything.
#![allow(dead_code, missing_docs)]

use parallax_corpus::{Arg, End, Outcome, Program, State, Trace};
use parallax_fuzzer::objective::{Triage, Verdict};
use parallax_fuzzer::runner::Runner;
use parallax_harness::oracles::{Class, Finding};
use parallax_harness::pair::PairResult;
use std::sync::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Runs programs on the fake kernel, twice.
pub struct Fake {
    /// Without it the runner answers nothing at all, for measuring what the search itself costs.
    pub thinks: bool,
}

fn size_class(n: u64) -> u64 {
    u64::from(64 - n.leading_zeros())
}

fn arg_class(arg: &Arg) -> u64 {
    match arg {
        Arg::Int(n) => size_class(*n),
        Arg::Res(r) => 100 + u64::from(r.slot),
        Arg::Bytes(bytes) => 200 + bytes.len().min(3) as u64,
        Arg::Out(n) => 300 + size_class(u64::from(*n)),
        Arg::Group(parts) => 400 + parts.len() as u64,
    }
}

fn trace(program: &Program, faulty: bool) -> Trace {
    let mut opened = 0u64;
    let outcomes = program.calls.iter().map(|call| {
        let mut words: Vec<u64> = vec![xxh3_64(call.id.name().as_bytes())];
        words.extend(call.args.iter().take(2).map(arg_class));
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let hash = xxh3_64(&bytes);
        let errno = [22, 9, 2, 13][(hash >> 8 & 3) as usize];
        let mut ret = if hash % 5 == 0 { -errno } else { (hash >> 20 & 31) as i64 };
        opened += u64::from(ret >= 0 && !call.id.desc().makes.is_empty());
        if faulty && call.id.name() == "fcntl$getfl" && opened >= 2 {
            ret ^= 1;
        }
        if faulty && call.id.name() == "pipe2" && opened >= 4 {
            ret = -38;
        }
        if faulty && call.id.name() == "clock_gettime" && hash % 7 == 0 {
            ret = -22;
        }
        Outcome { state: State::Done, ret, clocks: None, woken: None, out: Vec::new() }
    });
    Trace { outcomes: outcomes.collect(), ..Trace::lost(End::Exited, 0) }
}

/// What both fake sides make of a program.
pub fn judge(program: &Program) -> PairResult {
    let (native, target) = (trace(program, false), trace(program, true));
    let differs = native.outcomes.iter().zip(&target.outcomes).position(|(a, b)| a != b);
    let finding = differs.map(|call| {
        let name = program.calls[call].id.name().to_owned();
        let (a, b) = (&native.outcomes[call], &target.outcomes[call]);
        Finding {
            oracle: "fake".into(),
            class: Class::Semantic,
            call,
            cause: name.clone(),
            name,
            field: "ret".into(),
            native: a.ret.to_string(),
            target: b.ret.to_string(),
            kind: format!("{:?} {:?}", a.errno(), b.errno()),
        }
    });
    PairResult { native, target, finding, last_words: String::new() }
}

impl Runner for Fake {
    fn run(&mut self, programs: &[Program]) -> anyhow::Result<Vec<PairResult>> {
        if self.thinks {
            return Ok(programs.iter().map(judge).collect());
        }
        let silent = |p: &Program| Trace {
            end: End::Exited,
            start_ns: 0,
            mishaps: Vec::new(),
            stops: 0,
            stopped_in: None,
            outcomes: vec![
                Outcome { state: State::Done, ret: 0, clocks: None, woken: None, out: Vec::new() };
                p.calls.len()
            ],
        };
        let result =
            |p| PairResult { native: silent(p), target: silent(p), finding: None, last_words: String::new() };
        Ok(programs.iter().map(result).collect())
    }

    fn restarts(&self) -> u64 {
        0
    }
}

/// As many runners.
pub fn fakes(jobs: usize) -> Vec<Fake> {
    (0..jobs).map(|_| Fake { thinks: true }).collect()
}

/// A triage that believes everything, and remembers what it was asked.
#[derive(Default)]
pub struct Believing {
    pub seen: Mutex<Vec<(Program, Finding)>>,
}

impl Triage for Believing {
    fn investigate(&self, found: Vec<(Program, Finding)>, most: u64) -> Vec<Verdict> {
        let mut seen = self.seen.lock().unwrap();
        let mut left = most;
        let verdict = |(program, finding): (Program, Finding)| {
            let signature = finding.signature();
            let new = seen.iter().all(|(_, known)| known.signature() != signature);
            if new && left == 0 {
                return Verdict::Undecided;
            }
            seen.push((program.clone(), finding));
            if new {
                left -= 1;
                Verdict::Case { signature, calls: program.calls.len(), program }
            } else {
                Verdict::Known(None)
            }
        };
        found.into_iter().map(verdict).collect()
    }
}
