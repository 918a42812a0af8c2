//! From a finding to a case or a doubt: a first look, minimization, the whole isolation ladder, the repro.

use crate::confirm::{Confirmed, Doubt, FIRST_LOOK, LADDER, LAYER_LADDER, confirm};
use crate::minimize::minimize;
use crate::{Lab, Until};
use parallax_corpus::Program;
use parallax_harness::link::Environment;
use parallax_harness::oracles::{Class, Finding, Signature};
use parallax_harness::pair::{Pair, RunOptions};
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
    /// A case that is there already.
    Known(Signature),
    /// Not believed.
    Doubt(Doubt),
}

/// How patient minimization is with calls that wait: less than confirmation, which has the last word.
const MINIMIZE: RunOptions = RunOptions { block_us: 30_000, haste: 3, ..RunOptions::PATIENT };

/// Investigates a finding on one pair. It ends as [`Doubt::Stopped`] soon after `stop` says so.
///
/// # Errors
/// A side cannot be had any more.
pub fn investigate(
    pair: &mut Pair,
    stop: &dyn Fn() -> bool,
    program: &Program,
    finding: &Finding,
    from: &Provenance,
    known: &dyn Fn(&Signature) -> bool,
) -> Result<Verdict, TargetError> {
    let layer = matches!(finding.class, Class::Hang | Class::Crash);
    let (look, ladder): (&[_], &[_]) =
        if layer { (&LAYER_LADDER, &LAYER_LADDER) } else { (&FIRST_LOOK, &LADDER) };
    let same = |f: &Finding| f.same_core(finding);
    let mut lab = Until { pair, stop };
    if let Err(doubt) = confirm(&mut lab, program, &same, look, RunOptions::PATIENT)? {
        return Ok(Verdict::Doubt(doubt));
    }
    let small = minimize(&mut lab, program, finding, MINIMIZE)?;
    if lab.stopped() {
        return Ok(Verdict::Doubt(Doubt::Stopped));
    }
    let signature = small.finding.signature();
    if known(&signature) {
        return Ok(Verdict::Known(signature));
    }
    let meant = |f: &Finding| f.signature() == signature;
    let confirmed = match confirm(&mut lab, &small.program, &meant, ladder, RunOptions::PATIENT)? {
        Ok(confirmed) => confirmed,
        Err(doubt) => return Ok(Verdict::Doubt(doubt)),
    };
    let mut repro = repro_of(&small.program, &signature, confirmed, pair.environments(), from);
    repro.history = vec![
        entry("found", format!("by a program of {} calls, seed {}", program.calls.len(), from.seed)),
        entry("minimized", format!("to {} calls in {} runs", small.program.calls.len(), small.runs)),
        entry("confirmed", format!("{} runs diverged", repro.confirmation.diverged)),
    ];
    Ok(Verdict::Case(Box::new(repro)))
}

/// Minimizes a case once more, with everything the lab has, and confirms what is left; `None` if it did not get
/// smaller or no longer shows.
///
/// # Errors
/// A side cannot be had any more.
pub fn reminimize(
    lab: &mut dyn Lab,
    repro: &Repro,
    worlds: (&Environment, &Environment),
    from: &Provenance,
) -> Result<Option<Repro>, TargetError> {
    let small = minimize(lab, &repro.program, &repro.finding, MINIMIZE)?;
    if small.program == repro.program {
        return Ok(None);
    }
    let signature = small.finding.signature();
    let meant = |f: &Finding| f.signature() == signature;
    let Ok(confirmed) = confirm(lab, &small.program, &meant, &LADDER, RunOptions::PATIENT)? else {
        return Ok(None);
    };
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
