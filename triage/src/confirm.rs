//! Is a finding real? Each side is compared with itself first; then it must show again and again, on each rung
//! of the isolation ladder.

use crate::Lab;
use parallax_corpus::compile::{Mode, compile};
use parallax_corpus::{Code, End, Program, Trace};
use parallax_harness::oracles::{Finding, Verdict, repeat};
use parallax_harness::pair::{Isolation, PairResult, RunOptions};
use parallax_harness::target::TargetError;
use parallax_replay::{Confirmation, Count, Repro};

/// Why a finding is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Native runs differ among themselves.
    NativeUnstable,
    /// It did not show every time on that rung.
    Flaky(Isolation, Count),
    /// The program could not be set up on a side.
    NotRun,
}

/// What a confirmed finding leaves: the counts, and the last run's traces.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Counts over all rungs.
    pub confirmation: Confirmation,
    /// The last rung's last run.
    pub result: PairResult,
    /// Its finding.
    pub finding: Finding,
    /// The probes that were run, in text form.
    pub probes: Vec<String>,
}

/// The ladder for a finding that is to become a case: rung and number of runs.
pub const LADDER: [(Isolation, u32); 3] =
    [(Isolation::Shared, 10), (Isolation::Forked, 5), (Isolation::Fresh, 2)];
/// A first look, before any work is put into a finding.
pub const FIRST_LOOK: [(Isolation, u32); 1] = [(Isolation::Shared, 4)];
/// For layers that hang or die: every run costs a restart.
pub const LAYER_LADDER: [(Isolation, u32); 1] = [(Isolation::Fresh, 2)];

/// Climbs the ladder with one program; `want` says which finding is meant.
///
/// # Errors
/// `Ok(Err(doubt))` where the finding is not believed; `Err` where a side cannot be had any more.
pub fn confirm(
    lab: &mut dyn Lab,
    program: &Program,
    want: &dyn Fn(&Finding) -> bool,
    ladder: &[(Isolation, u32)],
    how: RunOptions,
) -> Result<Result<Confirmed, Doubt>, TargetError> {
    let mut total = Confirmation::default();
    let mut last = None;
    let mode = Mode { fork: true, block_us: how.block_us, probes: true };
    let Ok(code) = compile(program, mode) else { return Ok(Err(Doubt::NotRun)) };
    let mut first: Option<PairResult> = None;
    for &(isolation, n) in ladder {
        let copies = vec![program.clone(); n as usize];
        let results = lab.run(&copies, how.at(isolation))?;
        let mut here = Count { k: 0, n };
        for result in results {
            if result.unusable() || result.native.outcomes.len() != code.calls.len() {
                return Ok(Err(Doubt::NotRun));
            }
            here.k += u32::from(result.finding.as_ref().is_some_and(want));
            if let Some(first) = &first {
                tally(&mut total.native_self, agrees(&code, &first.native, &result.native));
                tally(&mut total.target_self, agrees(&code, &first.target, &result.target));
            } else {
                first = Some(result.clone());
            }
            last = Some(result);
        }
        total.diverged.k += here.k;
        total.diverged.n += here.n;
        total.isolation = isolation;
        if total.native_self.k < total.native_self.n {
            return Ok(Err(Doubt::NativeUnstable));
        }
        if here.k < here.n {
            return Ok(Err(Doubt::Flaky(isolation, here)));
        }
    }
    let probes = Repro::probes_of(&code);
    Ok(last
        .and_then(|result| {
            let finding = result.finding.clone()?;
            Some(Confirmed { confirmation: total, result, finding, probes })
        })
        .ok_or(Doubt::NotRun))
}

/// Asks whether the layer repeats itself, of a finding that came and went: the whole ladder, however often it shows.
/// `None` if Linux does not repeat itself either, or it shows too seldom to be believed.
///
/// # Errors
/// A side cannot be had any more.
pub fn repeats_not(
    lab: &mut dyn Lab,
    program: &Program,
    finding: &Finding,
    how: RunOptions,
) -> Result<Option<Confirmed>, TargetError> {
    let mode = Mode { fork: true, block_us: how.block_us, probes: true };
    let Ok(code) = compile(program, mode) else { return Ok(None) };
    let mut results = Vec::new();
    for (isolation, n) in LADDER {
        results.extend(lab.run(&vec![program.clone(); n as usize], how.at(isolation))?);
    }
    let whole = |r: &PairResult| !r.unusable() && r.native.outcomes.len() == code.calls.len();
    if !results.iter().all(whole) {
        return Ok(None);
    }
    let runs: Vec<(&Trace, &Trace)> = results.iter().map(|r| (&r.native, &r.target)).collect();
    let Verdict::Diverge(mut found) = repeat::judge(&code, &runs, finding) else { return Ok(None) };
    let mut total = Confirmation { isolation: Isolation::Fresh, ..Confirmation::default() };
    let mut shown = None;
    for result in &results {
        let seen = result.finding.as_ref().filter(|f| f.same_core(finding));
        tally(&mut total.diverged, seen.is_some());
        tally(&mut total.native_self, true);
        tally(&mut total.target_self, repeat::same(&code, &results[0].target, &result.target));
        shown = seen.map(|f| (f.clone(), result.clone())).or(shown);
    }
    let probes = Repro::probes_of(&code);
    Ok(shown.map(|(seen, result)| {
        // As this very run shows it.
        found = Finding { oracle: found.oracle, ..seen };
        Confirmed { confirmation: total, result, finding: found, probes }
    }))
}

fn tally(count: &mut Count, yes: bool) {
    count.n += 1;
    count.k += u32::from(yes);
}

/// Whether two traces of one side say the same.
fn agrees(code: &Code, a: &Trace, b: &Trace) -> bool {
    if matches!(a.end, End::Hung | End::Crashed) {
        return a.end == b.end;
    }
    repeat::same(code, a, b)
}
