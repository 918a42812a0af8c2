//! Memory: what a program holds is the same after a stop, a dump and restore, or an injection.

use super::{Evidence, Verdict};
use parallax_corpus::State;
use parallax_corpus::desc::Op;
use parallax_corpus::wire::OP_STOP;

/// Pages that changed across a checkpoint, by the agent's own digests.
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
        if target.ret > 0 {
            let shown = ("0 pages changed".to_owned(), format!("{} pages changed", target.ret));
            return Verdict::Diverge(evidence.finding("memory", k, "pages", shown, "changed".into()));
        }
    }
    if applies { Verdict::Agree } else { Verdict::NotApplicable }
}
