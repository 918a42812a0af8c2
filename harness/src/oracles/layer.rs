//! The layer itself: it gave no answer, or died. Such a program is a case of its own class.

use super::{Class, Evidence, Finding};
use parallax_corpus::End;

/// A hung or dead target.
pub fn judge(evidence: Evidence<'_>) -> Option<Finding> {
    let (class, what) = match evidence.target.end {
        End::Hung => (Class::Hang, "hung"),
        End::Crashed => (Class::Crash, "died"),
        _ => return None,
    };
    // Which call it was in died with it; after minimization the last one is it.
    let call = evidence.code.own.checked_sub(1)?;
    let mut finding = evidence.finding("layer", call, "end", ("answered".into(), what.into()), what.into());
    finding.class = class;
    Some(finding)
}
