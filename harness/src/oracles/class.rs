//! What kind of difference a finding is: something the layer lacks, something newer than it says it is, or something
//! it does otherwise. Looked at once a finding is confirmed; the search only needs to know what is not there at all.

use super::{Class, Evidence, Finding};
use parallax_corpus::{Call, Outcome, State};

/// Sets the class of a finding. `release` is what the target's uname says.
pub fn settle(finding: &mut Finding, evidence: Evidence<'_>, release: Option<&str>) {
    let found = (evidence.code.calls.get(finding.call), evidence.native.outcomes.get(finding.call));
    let ((Some(call), Some(native)), Some(target)) = (found, evidence.target.outcomes.get(finding.call))
    else {
        return;
    };
    if finding.class.is_layer() || finding.class == Class::Refusal {
        return;
    }
    let refused = refuses(native, target);
    let newer = || release.is_some_and(|release| is_older(release, needed(call).0));
    let says_so = says_it_lacks(&finding.kind);
    finding.class = match refused {
        true if newer() => Class::VersionSkew,
        true if says_so => Class::Unsupported,
        _ => Class::Semantic,
    };
}

/// Whether the target answers by an error that says it does not know what was asked, and Linux by something else.
fn refuses(native: &Outcome, target: &Outcome) -> bool {
    /// `EINVAL`, `ENOTTY`, `ENOSYS`, `ENOPROTOOPT`, `EOPNOTSUPP`.
    const UNKNOWN: [i32; 5] = [22, 25, 38, 92, 95];
    let ran = matches!(native.state, State::Done | State::Died | State::Blocked);
    ran && target.errno().is_some_and(|e| UNKNOWN.contains(&e) && native.errno() != Some(e))
}

/// The release a call needs with these arguments, and why.
fn needed(call: &Call) -> (&'static str, &'static str) {
    (call.id.desc().since, call.id.name())
}

/// Whether a release is before another. What cannot be read is before nothing.
pub fn is_older(release: &str, than: &str) -> bool {
    match (numbers(release), numbers(than)) {
        (Some(a), Some(b)) => a < b,
        _ => false,
    }
}

/// `5.10.0-8-amd64` as 5, 10, 0.
fn numbers(release: &str) -> Option<[u32; 3]> {
    let mut found = [0; 3];
    for (k, part) in release.split('.').take(3).enumerate() {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part[..digits].parse() {
            Ok(n) => found[k] = n,
            Err(_) if k == 0 => return None,
            Err(_) => break,
        }
        if digits < part.len() {
            break;
        }
    }
    Some(found)
}

/// Whether that is an errno's name.
pub fn is_errno(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next() == Some('E')
        && letters.next().is_some_and(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// Whether a difference of that kind is a layer that says that it has no such thing.
pub fn says_it_lacks(kind: &str) -> bool {
    kind == "unsupported" || kind.starts_with("answered ")
}

/// Whether a difference of that kind is about how something is refused.
pub fn names_error(kind: &str) -> bool {
    says_it_lacks(kind) || kind.split(" became ").any(is_errno)
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn releases_are_compared_by_number() {
        assert!(is_older("4.4.0", "4.5"));
        assert!(is_older("4.4.0", "4.11"));
        assert!(is_older("5.9.1-arch1-1", "5.10"));
        assert!(!is_older("6.18.44-fc-v445", "6.6"));
        assert!(!is_older("4.4.0", "4.4"));
        assert!(!is_older("4.4.0", "2.6.28"));
        assert!(!is_older("", "2.6"));
        assert!(!is_older("future", "2.6"));
        assert!(!is_older("99999999999999.1", "2.6"));
        assert!(!is_older("4.4", "soon"));
    }
}
