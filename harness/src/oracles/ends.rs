//! The comparison of how programs end: killed or not, and how often stopped on the way.

use super::{Evidence, Finding, tasks};
use parallax_corpus::{End, State, Trace};

/// The name of a finding that is about a program of several tasks as a whole.
pub const PROGRAM: &str = "program";

/// The program as a whole came to another end.
pub(super) fn ends(evidence: &Evidence<'_>) -> Option<Finding> {
    let (native, target) = (evidence.native.end, evidence.target.end);
    if native == target {
        return None;
    }
    // The call it died in, or after which it is not known how far it came, not the last one of the program.
    let first = |side: &Trace, state| side.outcomes.iter().position(|o| o.state == state);
    let killed = [evidence.native, evidence.target].into_iter().find(|s| matches!(s.end, End::Killed(_)));
    let known = first(evidence.native, State::Died);
    let died = known.or_else(|| first(killed?, State::NotRun));
    let last = died.filter(|&k| k < evidence.code.calls.len()).or(evidence.code.own.checked_sub(1))?;
    let shown = (format!("{native:?}"), format!("{target:?}"));
    let kind = format!("{} became {}", shown.0, shown.1);
    let mut finding = evidence.finding("differential", last, "end", shown, kind);
    if known.is_none() && tasks::are_in(evidence.code) {
        // Which of its tasks was where is not known.
        PROGRAM.clone_into(&mut finding.name);
        PROGRAM.clone_into(&mut finding.cause);
    }
    Some(finding)
}

/// The program was stopped more often on one side.
pub(super) fn stops(evidence: &Evidence<'_>) -> Option<Finding> {
    let (a, b) = (evidence.native.stops, evidence.target.stops);
    if a == b {
        return None;
    }
    let stopped = if a < b { evidence.target.stopped_in } else { evidence.native.stopped_in };
    // The call it was stopped in, which a hostile file may place anywhere.
    let stopped = stopped.map(usize::from).filter(|&k| k < evidence.code.calls.len());
    let last = stopped.or(evidence.code.own.checked_sub(1))?;
    let kind = if a < b { "stopped too often" } else { "not stopped" };
    let shown = (format!("stopped {a} times"), format!("stopped {b} times"));
    Some(evidence.finding("differential", last, "stops", shown, kind.into()))
}
