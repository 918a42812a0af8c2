//! Folders of cases made by hand, for the store and for pages of it.
#![allow(dead_code)]

use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::trace::{Fate, Mishap};
use parallax_corpus::{End, Outcome, State, Trace, text};
use parallax_harness::link::Environment;
use parallax_harness::oracles::{Evidence, judge};
use parallax_replay::{Confirmation, Count, HistoryEntry, Repro};
use std::path::Path;

/// Programs whose last call differs, with what Linux and the layer return there.
const PROGRAMS: [(&str, i64, i64); 8] = [
    ("r0 = openat$create(\"f0\", 0)\nlseek$data(r0, 0)\n", -6, 0),
    ("r0 = openat$create(\"f0\", 0)\nlseek(r0, 5, SEEK_SET)\n", 5, 0),
    ("r0, r1 = pipe2(out, 0)\nfcntl$getpipe_sz(r0)\n", 65536, -22),
    ("r0, r1 = pipe2(out, 0)\nwrite(r1, \"abc\")\n", 3, 2),
    ("r0 = openat$create(\"f0\", 0)\nfcntl$getfl(r0)\n", 0o100002, 0o102002),
    ("r0 = eventfd2(0, 0)\nfcntl$getfd(r0)\n", 0, 1),
    ("r0 = openat$create(\"f0\", 0)\nfsync(r0)\n", -22, 0),
    ("r0 = openat$create(\"f0\", 0)\nftruncate(r0, 4096)\n", 0, -27),
];

/// The case of one of the programs on a version of a target, with something of its own in its signature.
pub fn case(k: usize, target: &str, version: &str, own: &str, created: u64) -> Repro {
    of_program(PROGRAMS[k % PROGRAMS.len()], target, version, own, created)
}

/// The case of a program whose last call returns otherwise.
pub fn of_program(
    (source, theirs, ours): (&str, i64, i64),
    target: &str,
    version: &str,
    own: &str,
    created: u64,
) -> Repro {
    let program = text::parse(source).unwrap_or_else(|e| panic!("{e}\n{source}"));
    let code = compile(&program, Mode { fork: true, block_us: 120_000, probes: true }).expect("compiles");
    let last = code.own - 1;
    let trace = |ret: i64| {
        let outcomes = code.spans.iter().enumerate().map(|(at, spans)| {
            let len: usize = spans.iter().map(|s| s.len as usize).sum();
            let ret = if at == last { ret } else { i64::from(at == 0) * 3 };
            Outcome { state: State::Done, ret, clocks: None, woken: None, out: vec![0; len] }
        });
        Trace { outcomes: outcomes.collect(), ..Trace::lost(End::Exited, 0) }
    };
    let (native, shown) = (trace(theirs), trace(ours));
    let mut finding =
        judge(Evidence { code: &code, native: &native, target: &shown }).expect("the traces differ");
    if !own.is_empty() {
        finding.kind = format!("{} {own}", finding.kind);
    }
    let signature = finding.signature();
    Repro {
        id: Repro::id_of(target, &signature),
        parallax: "0.1.0".into(),
        probes: Repro::probes_of(&code),
        program,
        native,
        target: shown,
        native_environment: None,
        target_environment: None,
        target_name: target.into(),
        target_version: version.into(),
        target_command: None,
        kernel: "6.1.0".into(),
        finding,
        signature,
        confirmation: Confirmation { diverged: Count { k: 17, n: 17 }, ..Confirmation::default() },
        history: vec![
            HistoryEntry { what: "found".into(), detail: "by a program of 9 calls, seed 1".into() },
            HistoryEntry { what: "minimized".into(), detail: "to 2 calls in 40 runs".into() },
        ],
        last_words: String::new(),
        created,
        seed: 1,
    }
}

/// A case with that text in everything that is a text, and in what its program writes.
pub fn hostile(tag: &str) -> Repro {
    let quoted = tag.replace('\\', "\\\\").replace('"', "\\\"");
    let source = format!("r0, r1 = pipe2(out, 0)\nwrite(r1, \"{quoted}\")\n");
    let mut evil = of_program((&source, 3, 2), &format!("layer{tag}"), tag, tag, 1_700_000_000);
    let finding = &mut evil.finding;
    let texts = [
        &mut finding.oracle,
        &mut finding.name,
        &mut finding.cause,
        &mut finding.field,
        &mut finding.native,
        &mut finding.target,
        &mut finding.kind,
        &mut evil.kernel,
        &mut evil.last_words,
        &mut evil.parallax,
        &mut evil.signature.0,
    ];
    texts.into_iter().for_each(|text| tag.clone_into(text));
    evil.target_command = Some(tag.into());
    for entry in &mut evil.history {
        (entry.what, entry.detail) = (tag.into(), tag.into());
    }
    let world =
        |n: u64| Environment { words: vec![n; 8], uname: std::array::from_fn(|k| format!("{n} {k} {tag}")) };
    evil.native_environment = Some(world(1));
    evil.target_environment = Some(world(2));
    let mishap = Mishap { fate: Fate::Lost, reason: tag.into(), log: tag.into() };
    evil.target.mishaps = vec![mishap];
    renamed(evil)
}

/// The case with its id after its target or signature was changed.
pub fn renamed(mut repro: Repro) -> Repro {
    repro.id = Repro::id_of(&repro.target_name, &repro.signature);
    repro
}

/// Puts a case where campaigns put theirs.
pub fn keep(dir: &Path, repro: &Repro) {
    let cases = dir.join("cases");
    std::fs::create_dir_all(&cases).expect("a folder");
    std::fs::write(cases.join(repro.file_name()), repro.to_bytes()).expect("a file");
}

/// A campaign's folder with so many cases, each of a bucket of its own, and statistics.
pub fn campaign(dir: &Path, target: &str, version: &str, cases: usize) {
    for k in 0..cases {
        keep(dir, &case(k, target, version, &format!("by number {k}"), 1_700_000_000 + k as u64));
    }
    stats(dir, target, 60.0, cases);
}

/// Statistics as a campaign writes them.
pub fn stats(dir: &Path, target: &str, seconds: f64, cases: usize) {
    std::fs::create_dir_all(dir).expect("a folder");
    let text = format!(
        r#"{{"target":"{target}","seed":1,"jobs":2,"seconds":{seconds},"programs":{programs},
        "programs_per_second":100.0,"calls":5000,"calls_ok":4000,"corpus":40,"cases":{cases},"restarts":0,
        "per_call":{{"lseek":{{"runs":50,"ok":40}},"write":{{"runs":9,"ok":0}}}}}}"#,
        programs = (seconds * 100.0) as u64,
    );
    // As a campaign does it: a reader never sees half of it.
    std::fs::write(dir.join("stats.new"), text).expect("a file");
    std::fs::rename(dir.join("stats.new"), dir.join("stats.json")).expect("renamed");
}
