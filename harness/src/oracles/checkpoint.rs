//! A checkpoint that did not go as it should: the layer refused to dump the program, or lost it, or gave back another
//! one. What the layer itself said is the kind of difference, without what differs from run to run.

use super::{Class, Evidence, Finding};
use parallax_corpus::State;
use parallax_corpus::desc::Op;
use parallax_corpus::trace::Fate;
use parallax_corpus::wire::OP_STOP;

/// The first mishap of the target's.
pub fn judge(evidence: Evidence<'_>) -> Option<Finding> {
    let mishap = evidence.target.mishaps.first()?;
    let (field, native, target) = match mishap.fate {
        Fate::Refused => ("dump", "stopped and continued", "refused"),
        Fate::Lost => ("restore", "stopped and continued", "taken and not given back"),
        Fate::Changed => ("state", "as it was", "changed"),
    };
    let calls = evidence.code.calls.iter().enumerate();
    let mut points = calls.filter(|(_, c)| c.id.desc().op == Op::Agent(OP_STOP)).map(|(k, _)| k);
    // Where it ended it is the first that was not passed.
    let passed = |k: &usize| evidence.target.outcomes[*k].state == State::Done;
    let call = points.clone().find(|k| !passed(k)).or_else(|| points.next())?;
    let shown = (native.to_owned(), format!("{target}: {}", mishap.reason));
    let mut finding = evidence.finding("checkpoint", call, field, shown, mishap.reason.clone());
    if mishap.fate == Fate::Refused {
        finding.class = Class::Refusal;
    }
    Some(finding)
}
