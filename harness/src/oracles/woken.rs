//! Waiting and waking: a call that its task was left waiting in returns after the same call of another task on both
//! sides, and what waits on one side waits on the other. The agent's coordinator says when each returned.

use super::{Evidence, Verdict, tasks};
use parallax_corpus::{Arg, Code, State, Trace};

/// The first call that was woken by another one, or did not wait.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    if !tasks::are_in(evidence.code) {
        return Verdict::NotApplicable;
    }
    for (k, (native, target)) in evidence.native.outcomes.iter().zip(&evidence.target.outcomes).enumerate() {
        if native.state != State::Done || target.state != State::Done || native.woken == target.woken {
            continue;
        }
        let kind = match (native.woken, target.woken) {
            (None, _) => "waited",
            (_, None) => "did not wait",
            (Some(a), Some(b)) if b < a => "woken too early",
            _ => "woken too late",
        };
        let shown = |woken: Option<u16>| match woken {
            Some(by) => format!("woken after call {by}"),
            None => "returned at once".to_owned(),
        };
        let shown = (shown(native.woken), shown(target.woken));
        return Verdict::Diverge(evidence.finding("woken", k, "woken", shown, kind.into()));
    }
    Verdict::Agree
}

/// Whether two tasks were left waiting for the same thing at the same time: who gets it first is nobody's promise, and
/// all that follows hangs on it.
pub fn is_a_race(evidence: Evidence<'_>) -> bool {
    tasks::are_in(evidence.code)
        && [evidence.native, evidence.target].iter().any(|trace| two_wait(evidence.code, trace))
}

fn two_wait(code: &Code, trace: &Trace) -> bool {
    let waiting: Vec<(usize, usize)> = (0..code.own.min(trace.outcomes.len()))
        .filter_map(|k| match (&trace.outcomes[k].state, trace.outcomes[k].woken) {
            (_, Some(by)) => Some((k, usize::from(by))),
            (State::Blocked, None) => Some((k, code.own)),
            _ => None,
        })
        .collect();
    let things = |k: usize| code.calls[k].args.iter().filter(|a| matches!(a, Arg::Res(_) | Arg::Int(_)));
    waiting.iter().enumerate().any(|(n, (a, until))| {
        waiting[n + 1..].iter().any(|(b, _)| {
            b < until
                && code.calls[*a].task != code.calls[*b].task
                && things(*a).any(|x| things(*b).any(|y| x == y))
        })
    })
}
