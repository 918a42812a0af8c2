//! Waiting: a call that waits without end on one side and returns on the other.
//!
//! Not applicable to programs of which no call waited on either side.

use super::differential::{show_state, state_kind};
use super::{Evidence, Verdict};
use parallax_corpus::State;

/// The first call that blocked on one side alone.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut applies = false;
    for (k, call) in evidence.code.calls.iter().enumerate() {
        let (Some(native), Some(target)) = (evidence.native.outcomes.get(k), evidence.target.outcomes.get(k))
        else {
            break;
        };
        let waits = [native, target].map(|o| o.state == State::Blocked);
        applies |= waits[0] || waits[1];
        // What never ran says nothing about waiting: the program had come to its end before.
        let ran = [native, target].iter().all(|o| o.state != State::NotRun);
        if waits[0] == waits[1] || !ran || super::differential::lacks(native, target) {
            continue;
        }
        let desc = call.id.desc();
        let shown = (show_state(desc, native), show_state(desc, target));
        let kind = format!("{} became {}", state_kind(native), state_kind(target));
        return Verdict::Diverge(evidence.finding("blocked", k, "state", shown, kind));
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}
