//! Repeatability: the same program on the same layer says the same, where Linux always does. Not asked by [`super::judge`],
//! which sees one run, but by triage, of findings that came and went.

use super::{Evidence, Finding, Verdict, blocked, differential};
use parallax_corpus::desc::{NEED_OUTER, NEED_SIG, NEED_TASK, NEED_TTY};
use parallax_corpus::{Code, End, Trace};

/// In so many of a hundred runs (9 of 17) a difference must show, or it may be a stroke of bad luck: a loaded machine,
/// a timer.
pub const SHARE: usize = 50;
/// What such programs see may hang on when a kernel worker, another task or a signal comes, which a slow layer shifts.
const UNSURE: u32 = NEED_TTY | NEED_OUTER | NEED_TASK | NEED_SIG;

/// What many runs of one program say. `runs` are pairs of traces, native and target; `finding` the difference that came
/// and went.
///
/// Not applicable if Linux did not repeat itself, a run was lost, or the program has a terminal, tasks or signals, or waits.
pub fn judge(code: &Code, runs: &[(&Trace, &Trace)], finding: &Finding) -> Verdict {
    if finding.oracle == "blocked" || code.calls.iter().any(|c| c.id.desc().needs & UNSURE != 0) {
        return Verdict::NotApplicable;
    }
    let Some((first, _)) = runs.first() else { return Verdict::NotApplicable };
    let lost = |t: &Trace| !matches!(t.end, End::Exited | End::Killed(_));
    if runs.iter().any(|(native, target)| lost(native) || lost(target) || !same(code, first, native)) {
        return Verdict::NotApplicable;
    }
    let shows = runs.iter().filter(|(native, target)| {
        super::judge(Evidence { code, native, target }).is_some_and(|f| f.same_core(finding))
    });
    let (shown, agree) = (shows.count(), runs.iter().filter(|(n, t)| same(code, n, t)).count());
    if shown * 100 < runs.len() * SHARE || agree == 0 {
        return Verdict::Agree;
    }
    let mut found = finding.clone();
    "repeat".clone_into(&mut found.oracle);
    Verdict::Diverge(found)
}

/// Whether two traces of one program say the same.
pub fn same(code: &Code, a: &Trace, b: &Trace) -> bool {
    let evidence = Evidence { code, native: a, target: b };
    [blocked::judge(evidence), differential::judge(evidence)]
        .iter()
        .all(|v| !matches!(v, Verdict::Diverge(_)))
}
