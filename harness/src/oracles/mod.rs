//! Oracles: what two traces of one program say about the layer. One file an oracle.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// An output differs, or an invariant is broken on the target alone.
    Divergence,
    /// The target does not have the call at all (`ENOSYS`).
    Unsupported,
    /// The whole layer gave no answer.
    Hang,
    /// The whole layer died.
    Crash,
}

/// One difference: the first one of a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// The oracle that saw it.
    pub oracle: String,
    /// Its class.
    pub class: Class,
    /// Index of the call in the compiled code (probes come after the program's own calls).
    pub call: usize,
    /// That call's name.
    pub name: String,
    /// The program's call the finding is laid to: the call itself, or for a probe the last call that used
    /// what is probed.
    pub cause: String,
    /// Which output: `ret`, `errno`, `state`, a field's name, ...
    pub field: String,
    /// What the native side had, readable.
    pub native: String,
    /// What the target had, readable.
    pub target: String,
    /// How the two differ, coarse: errno names, flag names, but no free numbers.
    pub kind: String,
}

/// What makes two findings the same bug: oracle, class, call, cause, field and kind; never free numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub String);

impl Finding {
    /// Its signature.
    pub fn signature(&self) -> Signature {
        let via = if self.cause == self.name { String::new() } else { format!(" after {}", self.cause) };
        Signature(format!("{} {}.{} {}{via}", self.oracle, self.name, self.field, self.kind))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
