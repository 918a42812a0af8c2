//! From a finding to a case or a doubt: a first look, minimization, the whole isolation ladder, the repro.

use crate::confirm::{Confirmed, Doubt, FIRST_LOOK, LADDER, LAYER_LADDER, confirm, repeats_not};
use crate::minimize::{Minimized, minimize};
use crate::{Lab, cause};
use parallax_corpus::Program;
use parallax_corpus::compile::{Mode, compile};
use parallax_harness::link::Environment;
use parallax_harness::oracles::{Evidence, Finding, Signature, class};
use parallax_harness::pair::{Pair, PairResult, RunOptions};
use parallax_harness::target::TargetError;
use parallax_replay::{HistoryEntry, Repro};
use std::time::{SystemTime, UNIX_EPOCH};

/// What all cases of a campaign have in common.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The target's name.
    pub target_name: String,
    /// Its version.
    pub target_version: String,
    /// The path or command it was started by, if the user gave one.
    pub target_command: Option<String>,
    /// Release of the native kernel.
    pub kernel: String,
    /// The campaign's seed.
    pub seed: u64,
}

/// What became of a finding.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// A case.
    Case(Box<Repro>),
    /// A case that is there already, and the program as far as it was cut down.
    Known(Signature, Program),
    /// Not believed, and the program as far as it was cut down.
    Doubt(Doubt, Program),
}

/// How patient minimization is with calls that wait: less than confirmation, which has the last word.
const MINIMIZE: RunOptions = RunOptions { block_us: 30_000, haste: 3, ..RunOptions::PATIENT };

/// Investigates a finding on one pair.
///
/// # Errors
/// A side cannot be had any more, or the pair was told to stop: then nothing is decided.
pub fn investigate(
    pair: &mut Pair,
    program: &Program,
    finding: &Finding,
    from: &Provenance,
    known: &dyn Fn(&Signature) -> bool,
) -> Result<Verdict, TargetError> {
    let layer = finding.class.is_layer();
    let (look, ladder): (&[_], &[_]) =
        if layer { (&LAYER_LADDER, &LAYER_LADDER) } else { (&FIRST_LOOK, &LADDER) };
    let same = |f: &Finding| f.same_core(finding);
    if let Err(doubt) = confirm(pair, program, &same, look, RunOptions::PATIENT)? {
        return waverer(pair, program, finding, from, known, doubt);
    }
    let mut small = understand(pair, program, finding)?;
    let release = release_of(pair.environments().1);
    if !layer {
        // One run more tells its class, and so whether it is known.
        let seen = pair.run(std::slice::from_ref(&small.program), MINIMIZE)?.pop();
        if let Some(seen) = seen {
            settle(&mut small.finding, &small.program, &seen, release.as_deref());
        }
    }
    let meant = |f: &Finding| f.same_core(&small.finding);
    let likely = small.finding.signature();
    if known(&likely) {
        return Ok(Verdict::Known(likely, small.program));
    }
    let confirmed = match confirm(pair, &small.program, &meant, ladder, RunOptions::PATIENT)? {
        Ok(confirmed) => confirmed.laid(&small.program, &small.finding, release.as_deref()),
        Err(doubt) => return waverer(pair, &small.program, &small.finding, from, known, doubt),
    };
    let signature = confirmed.finding.signature();
    if known(&signature) {
        return Ok(Verdict::Known(signature, small.program));
    }
    let mut repro = repro_of(&small.program, &signature, confirmed, pair.environments(), from);
    repro.history = vec![
        entry("found", format!("by a program of {} calls, seed {}", program.calls.len(), from.seed)),
        entry("minimized", format!("to {} calls in {} runs", small.program.calls.len(), small.runs)),
        entry("confirmed", format!("{} runs diverged", repro.confirmation.diverged)),
    ];
    Ok(Verdict::Case(Box::new(repro)))
}

/// A program cut down, and its finding laid to the call that brought it about.
fn understand(lab: &mut dyn Lab, program: &Program, finding: &Finding) -> Result<Minimized, TargetError> {
    let mut small = minimize(lab, program, finding, MINIMIZE)?;
    if let Some((shorter, found)) = cause::earlier(lab, &small.program, &small.finding, MINIMIZE)? {
        let again = minimize(lab, &shorter, &found, MINIMIZE)?;
        small = Minimized { runs: small.runs + again.runs, ..again };
    }
    small.finding = cause::lay(lab, &small.program, &small.finding, MINIMIZE)?;
    Ok(small)
}

/// A finding that comes and goes: a case only if it is the layer alone that does not repeat itself, often enough, and
/// twice.
fn waverer(
    pair: &mut Pair,
    program: &Program,
    finding: &Finding,
    from: &Provenance,
    known: &dyn Fn(&Signature) -> bool,
    doubt: Doubt,
) -> Result<Verdict, TargetError> {
    if !matches!(doubt, Doubt::Flaky(_, count) if count.k > 0) || finding.class.is_layer() {
        return Ok(Verdict::Doubt(doubt, program.clone()));
    }
    let mut program = program.clone();
    // Nothing after the call that differs matters; without it there is less to look at.
    if finding.call < program.calls.len() {
        program.calls.truncate(finding.call + 1);
    }
    let signature = Finding { oracle: "repeat".to_owned(), ..finding.clone() }.signature();
    if known(&signature) {
        return Ok(Verdict::Known(signature, program));
    }
    let mut last = None;
    for _ in 0..2 {
        match repeats_not(pair, &program, finding, RunOptions::PATIENT)? {
            Some(confirmed) => last = Some(confirmed),
            None => return Ok(Verdict::Doubt(doubt, program)),
        }
    }
    let Some(confirmed) = last else { return Ok(Verdict::Doubt(doubt, program)) };
    let signature = confirmed.finding.signature();
    let mut repro = repro_of(&program, &signature, confirmed, pair.environments(), from);
    let shown = repro.confirmation.diverged;
    repro.history = vec![
        entry("found", format!("by a program of {} calls, seed {}", program.calls.len(), from.seed)),
        entry("confirmed", format!("{shown} runs differed, where Linux always says the same; twice")),
    ];
    Ok(Verdict::Case(Box::new(repro)))
}

/// The release of Linux that a world reports.
fn release_of(world: &Environment) -> Option<String> {
    Some(world.uname[2].clone()).filter(|release| !release.is_empty())
}

impl Confirmed {
    /// With the cause that was found, and its class.
    fn laid(mut self, program: &Program, finding: &Finding, release: Option<&str>) -> Confirmed {
        self.finding.cause.clone_from(&finding.cause);
        settle(&mut self.finding, program, &self.result, release);
        self
    }
}

/// Sets the finding's class, as this run shows it.
fn settle(finding: &mut Finding, program: &Program, result: &PairResult, release: Option<&str>) {
    let mode = Mode { fork: true, block_us: RunOptions::PATIENT.block_us, probes: true };
    if let Ok(code) = compile(program, mode) {
        let evidence = Evidence { code: &code, native: &result.native, target: &result.target };
        class::settle(finding, evidence, release);
    }
}

/// Minimizes a case once more, with everything the lab has, lays it to a call again and confirms what is left; `None` if
/// it neither got smaller nor another signature, or no longer shows.
///
/// # Errors
/// A side cannot be had any more.
pub fn reminimize(
    lab: &mut dyn Lab,
    repro: &Repro,
    worlds: (&Environment, &Environment),
    from: &Provenance,
) -> Result<Option<Repro>, TargetError> {
    let small = understand(lab, &repro.program, &repro.finding)?;
    let meant = |f: &Finding| f.same_core(&small.finding);
    let Ok(confirmed) = confirm(lab, &small.program, &meant, &LADDER, RunOptions::PATIENT)? else {
        return Ok(None);
    };
    let confirmed = confirmed.laid(&small.program, &small.finding, release_of(worlds.1).as_deref());
    let signature = confirmed.finding.signature();
    if small.program == repro.program && signature == repro.signature {
        return Ok(None);
    }
    let mut new = repro_of(&small.program, &signature, confirmed, worlds, from);
    new.history.clone_from(&repro.history);
    let (before, after) = (repro.program.calls.len(), small.program.calls.len());
    new.history.push(entry("minimized", format!("from {before} to {after} calls in {} runs", small.runs)));
    Ok(Some(new))
}

fn entry(what: &str, detail: String) -> HistoryEntry {
    HistoryEntry { what: what.to_owned(), detail }
}

fn repro_of(
    program: &Program,
    signature: &Signature,
    confirmed: Confirmed,
    worlds: (&Environment, &Environment),
    from: &Provenance,
) -> Repro {
    let Confirmed { confirmation, result, probes, finding } = confirmed;
    Repro {
        id: Repro::id_of(&from.target_name, signature),
        parallax: env!("CARGO_PKG_VERSION").to_owned(),
        program: program.clone(),
        probes,
        native: result.native,
        target: result.target,
        native_environment: Some(worlds.0.clone()),
        target_environment: Some(worlds.1.clone()),
        target_name: from.target_name.clone(),
        target_version: from.target_version.clone(),
        target_command: from.target_command.clone(),
        kernel: from.kernel.clone(),
        finding,
        signature: signature.clone(),
        confirmation,
        history: Vec::new(),
        last_words: result.last_words,
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        seed: from.seed,
    }
}
