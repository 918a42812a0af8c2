//! What a program sees right before a checkpoint it sees right after it: for this nobody else needs to be asked.

use super::differential::changed;
use super::{Evidence, Verdict, state};
use parallax_corpus::desc::Op;
use parallax_corpus::wire::OP_STOP;

/// The same look before and after a checkpoint, whose answers differ on the target and not natively.
///
/// The reference has the last word: a stop and a continuation are no secret to a program (a pending SIGCONT, a timer
/// that ran out meanwhile), and what they change natively may change.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let calls = &evidence.code.calls;
    let mut applies = false;
    for k in 1..evidence.code.own.saturating_sub(1) {
        let around = (&calls[k - 1], &calls[k + 1]);
        if calls[k].id.desc().op != Op::Agent(OP_STOP)
            || around.0 != around.1
            || state::thing(around.0.id.name()).is_none()
        {
            continue;
        }
        applies = true;
        if changed(&evidence, evidence.native, k - 1, k + 1).is_some() {
            continue;
        }
        if let Some((field, before, after)) = changed(&evidence, evidence.target, k - 1, k + 1) {
            let kind = "changed across a checkpoint".to_owned();
            return Verdict::Diverge(evidence.finding("across", k + 1, &field, (before, after), kind));
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}
