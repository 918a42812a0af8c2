//! Waiting and waking: a call that its task was left waiting in returns after the same call of another task on both
//! sides, and what waits on one side waits on the other. The agent's coordinator says when each returned.

use super::{Evidence, Verdict};
use parallax_corpus::State;
use parallax_corpus::desc::NEED_TASK;

/// The first call that was woken by another one, or did not wait.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    if !evidence.code.calls.iter().any(|c| c.id.desc().needs & NEED_TASK != 0) {
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
