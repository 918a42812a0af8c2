//! CPU time: a program never used more of it than time has passed since it began, once for each task that could run
//! (getrusage(2), times(2)). What the children used is looked at by [`super::children`].

use super::{Evidence, Verdict, ms, tasks, times_of};
use parallax_corpus::desc::Dur;
use parallax_corpus::{Meaning, Trace};

/// What accounting by ticks may add for each task: two ticks of 10 ms.
const SLACK: i128 = 20_000_000;

/// The first CPU time that cannot be, where the native side's can.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut applies = false;
    for k in 0..evidence.code.calls.len() {
        let target = impossible(&evidence, evidence.target, k);
        applies |= target.is_some();
        if let Some(Some((field, kind, shown))) = target {
            if let Some(None) = impossible(&evidence, evidence.native, k) {
                let shown = ("possible".to_owned(), shown);
                return Verdict::Diverge(evidence.finding("rusage", k, field, shown, kind.into()));
            }
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}

type Impossible = (&'static str, &'static str, String);

/// `None` if the call says nothing of CPU time; else what is impossible about it.
fn impossible(evidence: &Evidence<'_>, trace: &Trace, call: usize) -> Option<Option<Impossible>> {
    let clocks = trace.outcomes.get(call)?.clocks?;
    let wall = i128::from(clocks.mono_after) - i128::from(trace.start_ns);
    let tasks = tasks::before(evidence.code, call) as i128;
    let mut applies = false;
    for (field, meaning, ns) in times_of(evidence, trace, call) {
        let Meaning::Duration(whose, _) = meaning else { continue };
        if whose == Dur::Left {
            continue;
        }
        applies = true;
        if ns < 0 {
            return Some(Some((field, "negative", ms(ns))));
        }
        if ns > (wall + SLACK) * tasks {
            let among = if tasks > 1 { format!(" of {tasks} tasks") } else { String::new() };
            return Some(Some((field, "more than wall time", format!("{} in {}{among}", ms(ns), ms(wall)))));
        }
    }
    applies.then_some(None)
}
