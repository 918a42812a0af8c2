//! Cases made by hand: a program in text form, what Linux does, and what a layer would do wrong.
#![allow(dead_code)]

use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::{Code, End, Outcome, Program, State, Trace, text};
use parallax_harness::link::Environment;
use parallax_harness::oracles::{Evidence, judge};
use parallax_harness::pair::{Isolation, Pair, RunOptions};
use parallax_harness::target::Slot;
use parallax_harness::targets::native::Native;
use parallax_replay::{Confirmation, Count, HistoryEntry, Repro};
use std::sync::Arc;

/// Parses and compiles.
pub fn program(source: &str) -> (Program, Code) {
    let program = text::parse(source).unwrap_or_else(|e| panic!("{e}\n{source}"));
    let code = compile(&program, Mode { fork: true, block_us: 120_000, probes: true }).expect("compiles");
    (program, code)
}

/// A call that returned.
pub fn done(ret: i64, out: &[u8]) -> Outcome {
    Outcome { state: State::Done, ret, clocks: None, woken: None, out: out.to_vec() }
}

/// A trace in which every call returned 0 and wrote zeros.
pub fn blank(code: &Code) -> Trace {
    let outcomes = code.spans.iter().map(|spans| {
        let len: usize = spans.iter().map(|s| s.len as usize).sum();
        done(0, &vec![0; len])
    });
    Trace { outcomes: outcomes.collect(), ..Trace::lost(End::Exited, 0) }
}

/// What Linux really does with it, by the agent in its jail. `None` where no jail can be built.
pub fn native(program: &Program) -> Option<Trace> {
    let mut pair = match Pair::start(Arc::new(Native), Slot::default()) {
        Ok(pair) => pair,
        Err(e) => {
            eprintln!("skipped: {e}");
            return None;
        }
    };
    let how = RunOptions::PATIENT.at(Isolation::Forked);
    Some(pair.run_native(std::slice::from_ref(program), how).expect("the native side runs").remove(0))
}

/// The case of two traces.
pub fn case(program: Program, code: &Code, native: Trace, target: Trace) -> Repro {
    let finding =
        judge(Evidence { code, native: &native, target: &target }).expect("the traces differ in a finding");
    let signature = finding.signature();
    let world = Environment { words: vec![7; 48], uname: Default::default() };
    let mut theirs = world.clone();
    theirs.words[7] = 0o77;
    Repro {
        id: Repro::id_of("toy", &signature),
        parallax: "0.1.0".into(),
        program,
        probes: Repro::probes_of(code),
        native,
        target,
        native_environment: Some(world),
        target_environment: Some(theirs),
        target_name: "toy".into(),
        target_version: "1.2.3".into(),
        target_command: Some("toy run --".into()),
        kernel: "6.1.0".into(),
        finding,
        signature,
        confirmation: Confirmation {
            native_self: Count { k: 16, n: 16 },
            target_self: Count { k: 16, n: 16 },
            diverged: Count { k: 17, n: 17 },
            isolation: Isolation::Fresh,
        },
        history: vec![
            HistoryEntry { what: "found".into(), detail: "at program 4711 after 12.5 s with seed 9".into() },
            HistoryEntry { what: "minimized".into(), detail: "from 18 calls to 3".into() },
        ],
        last_words: String::new(),
        created: 1_700_000_000,
        seed: 9,
    }
}
