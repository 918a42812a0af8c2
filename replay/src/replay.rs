//! Judging a case again: from its recording, by today's oracles; or live, on both sides.

use crate::repro::Repro;
use parallax_corpus::{CompileError, End};
use parallax_harness::oracles::{Class, Evidence, Finding, Signature, judge};
use parallax_harness::pair::{Isolation, Pair, RunOptions};
use parallax_harness::target::TargetError;
use serde::{Deserialize, Serialize};

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayVerdict {
    /// It shows: the same difference at the same call.
    StillThere,
    /// Both sides agree.
    Gone,
    /// They differ, but in another way.
    Other,
    /// Nothing can be said: a side could not set the program up, or the reference was lost, in every run.
    NotRun,
}

/// A signature and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub signature: Signature,
    /// In how many runs.
    pub runs: u32,
    /// The finding of the first such run, in one line.
    pub line: String,
}

/// What replaying a case gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayOutcome {
    /// The case's.
    pub id: String,
    /// The signature looked for.
    pub signature: Signature,
    /// The case's class.
    pub class: Class,
    /// What it comes to.
    pub verdict: ReplayVerdict,
    /// Runs asked for.
    pub runs: u32,
    /// Runs in which both sides differed.
    pub diverged: u32,
    /// Runs that showed the case's own difference.
    pub same_signature: u32,
    /// Runs a side could not set up.
    pub unusable: u32,
    /// Other signatures, in the order they came.
    pub other: Vec<Seen>,
    /// How Linux itself now differs from the recording, if it does: another kernel, another world.
    pub reference_changed: Option<String>,
    /// What the layer said before it died, if it did.
    pub last_words: String,
}

/// Judges the two recorded traces by today's oracles.
///
/// # Errors
/// The program cannot be compiled.
pub fn replay_recorded(repro: &Repro) -> Result<ReplayOutcome, CompileError> {
    let code = repro.code()?;
    let mut outcome = ReplayOutcome::of(repro, 1);
    // As [`parallax_harness::pair::PairResult::unusable`] has it.
    let unusable = matches!(repro.native.end, End::Failed(..) | End::Hung | End::Crashed)
        || matches!(repro.target.end, End::Failed(..));
    outcome.add(&repro.finding, unusable, judge(repro.evidence(&code)).as_ref());
    Ok(outcome.decided())
}

/// Runs the program on both sides again, patiently, on the rung of the ladder it was confirmed on, but at most forked.
///
/// # Errors
/// A side cannot be had. A program that cannot be compiled counts as not run.
pub fn replay_live(repro: &Repro, pair: &mut Pair, runs: u32) -> Result<ReplayOutcome, TargetError> {
    let mut outcome = ReplayOutcome::of(repro, runs);
    let Ok(code) = repro.code() else {
        outcome.unusable = runs;
        return Ok(outcome.decided());
    };
    // A fresh layer for every run proves nothing more once a case is confirmed, and costs a start each; what hangs or
    // kills a layer needs a new one anyhow.
    let rung = match repro.finding.class.is_layer() {
        true => Isolation::Fresh,
        false => repro.confirmation.isolation.min(Isolation::Forked),
    };
    let how = RunOptions::PATIENT.at(rung);
    let copies = vec![repro.program.clone(); runs as usize];
    for result in pair.run(&copies, how)? {
        outcome.add(&repro.finding, result.unusable(), result.finding.as_ref());
        if outcome.last_words.is_empty() {
            outcome.last_words.clone_from(&result.last_words);
        }
        if outcome.reference_changed.is_none()
            && !result.unusable()
            && result.native.outcomes.len() == code.calls.len()
        {
            let change = Evidence { code: &code, native: &repro.native, target: &result.native };
            outcome.reference_changed = judge(change).map(|f| {
                format!("{}.{}: recorded {}, now {} ({})", f.name, f.field, f.native, f.target, f.kind)
            });
        }
    }
    Ok(outcome.decided())
}

impl ReplayOutcome {
    fn of(repro: &Repro, runs: u32) -> ReplayOutcome {
        ReplayOutcome {
            id: repro.id.clone(),
            signature: repro.signature.clone(),
            class: repro.finding.class,
            verdict: ReplayVerdict::NotRun,
            runs,
            diverged: 0,
            same_signature: 0,
            unusable: 0,
            other: Vec::new(),
            reference_changed: None,
            last_words: String::new(),
        }
    }

    /// Counts a run. What state is laid to takes more runs to tell than these: the same difference at the same call of
    /// the same program is the case's own.
    fn add(&mut self, own: &Finding, unusable: bool, finding: Option<&Finding>) {
        if unusable {
            self.unusable += 1;
            return;
        }
        let Some(finding) = finding else { return };
        self.diverged += 1;
        let signature = finding.signature();
        if finding.same_core(own) {
            self.same_signature += 1;
        } else if let Some(seen) = self.other.iter_mut().find(|s| s.signature == signature) {
            seen.runs += 1;
        } else {
            self.other.push(Seen { signature, runs: 1, line: finding.line() });
        }
    }

    fn decided(mut self) -> ReplayOutcome {
        self.verdict = if self.same_signature > 0 {
            ReplayVerdict::StillThere
        } else if self.diverged > 0 {
            ReplayVerdict::Other
        } else if self.unusable >= self.runs {
            ReplayVerdict::NotRun
        } else {
            ReplayVerdict::Gone
        };
        self
    }
}
