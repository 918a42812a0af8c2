//! The time of children: a process that never had any has none of theirs (`RUSAGE_CHILDREN` of getrusage(2),
//! `tms_cutime` of times(2)).

use super::{Evidence, Verdict, ms, tasks, times_of};
use parallax_corpus::desc::Dur;
use parallax_corpus::{Meaning, Trace};

/// The first time of children that never were, where the native side has none.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut applies = false;
    for k in 0..evidence.code.calls.len() {
        if tasks::children_before(evidence.code, k) {
            break;
        }
        let Some(target) = of_nobody(&evidence, evidence.target, k) else { continue };
        applies = true;
        if let (Some((field, ns)), Some(None)) = (target, of_nobody(&evidence, evidence.native, k)) {
            let shown = ("possible".to_owned(), format!("{} of no children", ms(ns)));
            let kind = "children without children".to_owned();
            return Verdict::Diverge(evidence.finding("children", k, field, shown, kind));
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}

/// `None` if the call says nothing of children; else the first time of theirs that is not zero.
fn of_nobody(evidence: &Evidence<'_>, trace: &Trace, call: usize) -> Option<Option<(&'static str, i128)>> {
    trace.outcomes.get(call)?.clocks?;
    let theirs = |m: &Meaning| matches!(m, Meaning::Duration(Dur::Children, _));
    let mut times = times_of(evidence, trace, call).into_iter().filter(|(_, m, _)| theirs(m)).peekable();
    times.peek()?;
    Some(times.find(|(_, _, ns)| *ns != 0).map(|(field, _, ns)| (field, ns)))
}
