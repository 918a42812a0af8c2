//! Oracles: what two traces of one program say about the layer. One file an oracle.

pub mod across;
pub mod blocked;
pub mod checkpoint;
pub mod children;
pub mod class;
pub mod clocks;
pub mod differential;
pub mod ends;
pub mod layer;
pub mod memory;
pub mod repeat;
pub mod rusage;
pub mod state;
pub mod tasks;
pub mod woken;

use parallax_corpus::compile::fields_of;
use parallax_corpus::desc::Unit;
use parallax_corpus::{Code, End, Meaning, Trace};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of finding it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The target has the thing and does it otherwise.
    #[serde(alias = "divergence")]
    Semantic,
    /// The target lacks the call, or the request, and says so.
    Unsupported,
    /// The target reports a release of Linux older than the one that brought what it lacks.
    VersionSkew,
    /// The target says that it cannot dump the program.
    Refusal,
    /// The whole layer gave no answer.
    Hang,
    /// The whole layer died.
    Crash,
}

impl Class {
    /// All of them, in the order they are told in.
    pub const ALL: [Class; 6] =
        [Class::Crash, Class::Hang, Class::Semantic, Class::VersionSkew, Class::Unsupported, Class::Refusal];

    /// Its name, as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Class::Semantic => "semantic",
            Class::Unsupported => "unsupported",
            Class::VersionSkew => "version-skew",
            Class::Refusal => "refusal",
            Class::Hang => "hang",
            Class::Crash => "crash",
        }
    }

    /// The layer as a whole was lost: every run costs a new one.
    pub fn is_layer(self) -> bool {
        matches!(self, Class::Hang | Class::Crash)
    }
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
    /// The program's call the finding is laid to: the call itself, or where state was looked at the call that made
    /// it differ. A guess until triage has replayed the program's beginnings.
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

/// What makes two findings the same bug: oracle, call or thing looked at, field, kind and cause; never free numbers
/// (`docs/decisions/0018-signatures.md`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub String);

/// What a signature is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The oracle that saw it.
    pub oracle: String,
    /// The call that answered otherwise, or the thing that was looked at, under the name it is kept under.
    pub subject: String,
    /// Which output.
    pub field: String,
    /// How the two sides differ.
    pub kind: String,
    /// The operation that brought it about, where that is not the subject itself.
    pub cause: Option<String>,
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { oracle, subject, field, kind, cause } = self;
        write!(f, "{oracle} {subject}.{field} {kind}")?;
        cause.iter().try_for_each(|cause| write!(f, " after {cause}"))
    }
}

impl Finding {
    /// Its signature.
    pub fn signature(&self) -> Signature {
        Signature(self.parts().to_string())
    }

    /// What its signature is made of.
    pub fn parts(&self) -> Parts {
        let Finding { oracle, name, field, cause, .. } = self;
        // A layer older than what was asked for knows nothing of what Linux looked at next.
        let unknown = self.kind.split_once(" became E").filter(|_| self.class == Class::VersionSkew);
        let answered = unknown.map(|(_, errno)| format!("answered E{errno}"));
        let kind = answered.as_ref().unwrap_or(&self.kind);
        // A descriptor that is not the next one shows wherever the next one is made.
        let field = if kind == differential::SHIFTED { "number" } else { field };
        let parts = |subject: &str, field: &str, kind: &str, cause: Option<&str>| Parts {
            oracle: oracle.clone(),
            subject: subject.to_owned(),
            field: field.to_owned(),
            kind: kind.to_owned(),
            cause: cause.map(str::to_owned),
        };
        if cause == name {
            // An errno is the call's own; what it does to the process, or brings, is the operation's.
            let effect = ["state", "stops", "end"].contains(&field);
            // What kills the whole layer is no operation: it lies in the code of one call.
            let joined = oracle != "layer" && (effect || !class::names_error(kind));
            let own = if joined { state::operation(name) } else { state::spelled(name) };
            return parts(own, field, kind, None);
        }
        let cause = Some(state::operation(cause));
        match state::thing(name) {
            Some(thing) => {
                let field = state::thing_field(field);
                // How much was left behind follows from free numbers, and so does whether it was nothing.
                let kind = if was_or_is_nothing(kind) { ANOTHER } else { kind.as_str() };
                parts(thing, &field, kind, cause)
            }
            None => parts(state::spelled(name), field, kind, cause),
        }
    }

    /// Whether two findings are the same difference at the same call, whatever it is laid to. Minimization
    /// holds on to this: the call a state is laid to may well be removed.
    pub fn same_core(&self, other: &Finding) -> bool {
        // Older files name a call of a program of several tasks that died, a guess.
        let program = self.field == "end" && [self, other].iter().any(|f| f.name == ends::PROGRAM);
        self.class.is_layer() == other.class.is_layer()
            && (self.name == other.name || program)
            && (&self.field, &self.kind) == (&other.field, &other.kind)
    }

    /// One line for people.
    pub fn line(&self) -> String {
        format!(
            "{}.{}: native {}, target {} ({})",
            self.name, self.field, self.native, self.target, self.kind
        )
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How two numbers differ of which neither says more than the other.
pub const ANOTHER: &str = "another value";

/// Whether such a kind says that one of two numbers is zero.
pub fn was_or_is_nothing(kind: &str) -> bool {
    ["zero became something", "something became zero"].contains(&kind)
}

/// What an oracle is asked about: one program and what both sides saw.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The compiled program, with the descriptions that say what every output means.
    pub code: &'a Code,
    /// The native trace.
    pub native: &'a Trace,
    /// The target's trace.
    pub target: &'a Trace,
}

/// An oracle's answer: nothing to say about such programs, all well, or a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The program has nothing this oracle looks at, or the native side breaks the rule too.
    NotApplicable,
    /// All well.
    Agree,
    /// The first difference it sees.
    Diverge(Finding),
}

/// Asks every oracle; the finding at the earliest call wins, invariants before the comparison.
pub fn judge(evidence: Evidence<'_>) -> Option<Finding> {
    if matches!(evidence.native.end, End::Hung | End::Crashed) {
        // The reference itself was lost: nothing can be said.
        return None;
    }
    if let Some(finding) = layer::judge(evidence) {
        return Some(finding);
    }
    if let Some(finding) = checkpoint::judge(evidence) {
        return Some(finding);
    }
    if [evidence.native, evidence.target].iter().any(|t| matches!(t.end, End::Failed(..))) {
        // A side could not set the program up: nothing was run, nothing is said.
        return None;
    }
    if woken::is_a_race(evidence) {
        return None;
    }
    let oracles: [fn(Evidence<'_>) -> Verdict; 8] = [
        memory::judge,
        clocks::judge,
        children::judge,
        rusage::judge,
        blocked::judge,
        differential::judge,
        across::judge,
        woken::judge,
    ];
    let mut first: Option<Finding> = None;
    for oracle in oracles {
        if let Verdict::Diverge(finding) = oracle(evidence) {
            if first.as_ref().is_none_or(|f| finding.call < f.call) {
                first = Some(finding);
            }
        }
    }
    first
}

impl Evidence<'_> {
    /// A finding at one call.
    fn finding(
        &self,
        oracle: &str,
        call: usize,
        field: &str,
        shown: (String, String),
        kind: String,
    ) -> Finding {
        Finding {
            oracle: oracle.to_owned(),
            class: Class::Semantic,
            call,
            name: self.code.calls[call].id.name().to_owned(),
            cause: state::guess(self, call),
            field: field.to_owned(),
            native: shown.0,
            target: shown.1,
            kind,
        }
    }
}

/// A described time in nanoseconds, read from its bytes.
fn nanoseconds(unit: Unit, bytes: &[u8]) -> Option<i128> {
    let word = |at: usize| {
        bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(|b| i128::from(i64::from_le_bytes(b)))
    };
    Some(match unit {
        Unit::Timespec => word(0)? * 1_000_000_000 + word(8)?,
        Unit::Timeval => word(0)? * 1_000_000_000 + word(8)? * 1000,
        Unit::Secs => word(0)? * 1_000_000_000,
        Unit::Ticks => word(0)? * 10_000_000,
    })
}

/// Every time-like output of a call with its meaning and value in nanoseconds.
fn times_of(evidence: &Evidence<'_>, trace: &Trace, call: usize) -> Vec<(&'static str, Meaning, i128)> {
    let outcome = &trace.outcomes[call];
    let desc = evidence.code.calls[call].id.desc();
    let mut times = Vec::new();
    if !outcome.ok() {
        return times;
    }
    if let Meaning::Clock(_, unit) | Meaning::Duration(_, unit) = desc.ret {
        times.extend(nanoseconds(unit, &outcome.ret.to_le_bytes()).map(|ns| ("ret", desc.ret, ns)));
    }
    for f in fields_of(desc, &evidence.code.spans[call]) {
        if let Meaning::Clock(_, unit) | Meaning::Duration(_, unit) = f.field.meaning {
            let bytes = outcome.out.get(f.at..f.at + f.field.size as usize).unwrap_or_default();
            times.extend(nanoseconds(unit, bytes).map(|ns| (f.field.name, f.field.meaning, ns)));
        }
    }
    times
}

/// Milliseconds, for people.
fn ms(ns: i128) -> String {
    format!("{}.{:03} ms", ns / 1_000_000, (ns / 1000 % 1000).abs())
}
