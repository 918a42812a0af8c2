//! How bad a case is, from its evidence alone: nobody is asked, and the same evidence always gives the same answer.

use parallax_corpus::desc::{In, Out, Ty};
use parallax_corpus::{CallId, Desc};
use parallax_harness::oracles::class::is_errno;
use parallax_harness::oracles::{Class, Finding};
use serde::{Deserialize, Serialize};

/// How bad, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The layer as a whole died or gave no answer.
    Layer,
    /// Bytes, entries or pages are lost or are others.
    Data,
    /// A call says or does something else.
    Result,
    /// Both sides refuse, for other reasons.
    Errno,
    /// The layer lacks something, or has something that Linux has not.
    Feature,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Severity; 5] =
        [Severity::Layer, Severity::Data, Severity::Result, Severity::Errno, Severity::Feature];

    /// Its name in addresses and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Layer => "layer",
            Severity::Data => "data",
            Severity::Result => "result",
            Severity::Errno => "errno",
            Severity::Feature => "feature",
        }
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Severity::Layer => "crash or hang",
            Severity::Data => "data loss or corruption",
            Severity::Result => "wrong result",
            Severity::Errno => "wrong errno",
            Severity::Feature => "extra or missing feature",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// How bad a finding is, and what says so.
pub fn of(finding: &Finding) -> (Severity, &'static str) {
    let Finding { class, oracle, name, field, kind, .. } = finding;
    if class.is_layer() {
        return (Severity::Layer, "the whole layer was lost");
    }
    if matches!(class, Class::Unsupported | Class::VersionSkew) {
        return (Severity::Feature, "the layer says that it does not have it");
    }
    if field == "end" || field == "stops" {
        return (Severity::Result, "the program comes to another end");
    }
    if oracle == "memory" || name == "window" && field != "protection" {
        return (Severity::Data, "memory changed that nobody wrote to");
    }
    if kind.starts_with("entries ") || name == "tree" && field != "ret" {
        return (Severity::Data, "the files left behind are others");
    }
    if kind == "bytes differ" && CallId::named(name).is_some_and(|id| is_content(id.desc(), field)) {
        return (Severity::Data, "the bytes that were read are others");
    }
    if matches!(field.as_str(), "st_size" | "stx_size") {
        return (Severity::Data, "a file has another length");
    }
    if let Some((before, after)) = kind.split_once(" became ") {
        let (refused, refuses) = (is_errno(before), is_errno(after));
        if refused && refuses {
            return (Severity::Errno, "both refuse, for other reasons");
        }
        if refused && after == "success" {
            return match before {
                "EACCES" | "EPERM" | "EROFS" => (Severity::Result, "the layer allows what Linux forbids"),
                _ => (Severity::Feature, "the layer takes what Linux refuses"),
            };
        }
        if refuses && before == "success" {
            return (Severity::Result, "the layer refuses what Linux does");
        }
    }
    (Severity::Result, "the answer is another one")
}

/// Whether that output is content that a program put somewhere and gets back, byte by byte.
fn is_content(desc: &Desc, field: &str) -> bool {
    desc.args
        .iter()
        .any(|a| a.name == field && matches!(a.ty, Ty::Ptr(_, Out::Buf(_)) | Ty::Ptr(In::IovOut, _)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, field: &str, kind: &str) -> Finding {
        Finding {
            oracle: "differential".into(),
            class: Class::Semantic,
            call: 0,
            name: name.into(),
            cause: name.into(),
            field: field.into(),
            native: String::new(),
            target: String::new(),
            kind: kind.into(),
        }
    }

    #[test]
    fn the_evidence_says_how_bad_it_is() {
        let of = |name, field, kind| super::of(&finding(name, field, kind)).0;
        assert_eq!(of("open", "ret", "ENOENT became EACCES"), Severity::Errno);
        assert_eq!(of("open", "ret", "ENOENT became success"), Severity::Feature);
        assert_eq!(of("open", "ret", "EACCES became success"), Severity::Result);
        assert_eq!(of("open", "ret", "success became EINVAL"), Severity::Result);
        assert_eq!(of("read", "buf", "bytes differ"), Severity::Data);
        assert_eq!(of("fstat", "st_size", "another value"), Severity::Data);
        assert_eq!(of("getdents64", "dirp", "entries added"), Severity::Data);
        assert_eq!(of("lseek", "ret", "another value"), Severity::Result);
        assert_eq!(of("tree", "end", "Killed(1) became Exited"), Severity::Result);
        let lost = Finding { class: Class::Crash, ..finding("open", "end", "died") };
        assert_eq!(super::of(&lost).0, Severity::Layer);
        let lacks = Finding { class: Class::Unsupported, ..finding("open", "ret", "unsupported") };
        assert_eq!(super::of(&lacks).0, Severity::Feature);
    }
}
