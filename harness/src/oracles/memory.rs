//! Memory: what a program holds, there and in its registers, is the same after a stop, a dump and restore, or an injection.

use super::{Evidence, Verdict};
use parallax_corpus::State;
use parallax_corpus::desc::Op;
use parallax_corpus::wire::{OP_STOP, STOP_LOST};

/// Pages and registers that changed across a checkpoint, as the agent saw it itself.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let mut applies = false;
    for (k, call) in evidence.code.calls.iter().enumerate() {
        if call.id.desc().op != Op::Agent(OP_STOP) {
            continue;
        }
        let (native, target) = (&evidence.native.outcomes[k], &evidence.target.outcomes[k]);
        if native.state != State::Done || target.state != State::Done || native.ret != 0 {
            continue;
        }
        applies = true;
        let (pages, lost) = (target.ret & ((1 << STOP_LOST) - 1), target.ret >> STOP_LOST);
        if target.ret > 0 {
            let (field, what, count) = if pages > 0 {
                ("pages", "pages", pages)
            } else {
                ("registers", "x87 and vector registers", lost)
            };
            let shown = (format!("0 {what} changed"), format!("{count} {what} changed"));
            return Verdict::Diverge(evidence.finding("memory", k, field, shown, "changed".into()));
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}
