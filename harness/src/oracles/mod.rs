//! Oracles: what two traces of one program say about the layer. One file an oracle.

pub mod clocks;
pub mod differential;
pub mod layer;
pub mod memory;
pub mod rusage;
pub mod woken;

use parallax_corpus::compile::fields_of;
use parallax_corpus::desc::Unit;
use parallax_corpus::{Arg, Code, End, Meaning, Trace};
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
        // A descriptor that is not the next one shows wherever the next one is made.
        let field = if self.kind == differential::SHIFTED { "number" } else { &self.field };
        Signature(format!("{} {}.{field} {}{via}", self.oracle, self.name, self.kind))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    if [evidence.native, evidence.target].iter().any(|t| matches!(t.end, End::Failed(..))) {
        // A side could not set the program up: nothing was run, nothing is said.
        return None;
    }
    if woken::is_a_race(evidence) {
        return None;
    }
    let oracles: [fn(Evidence<'_>) -> Verdict; 5] =
        [memory::judge, clocks::judge, rusage::judge, differential::judge, woken::judge];
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
            class: Class::Divergence,
            call,
            name: self.code.calls[call].id.name().to_owned(),
            cause: self.cause(call),
            field: field.to_owned(),
            native: shown.0,
            target: shown.1,
            kind,
        }
    }

    /// The program's call that a difference at `call` is laid to. For a probe: the last call that used the
    /// probed descriptor, or made it; for probes of the whole process, the program's last call.
    fn cause(&self, call: usize) -> String {
        let calls = &self.code.calls;
        if call < self.code.own {
            return calls[call].id.name().to_owned();
        }
        let probed = calls[call].args.first();
        let own = &calls[..self.code.own];
        let by = match probed {
            Some(fd @ (Arg::Res(_) | Arg::Int(_))) => own
                .iter()
                .rposition(|c| c.args.contains(fd))
                .or(match fd {
                    Arg::Res(r) if (r.call as usize) < own.len() => Some(r.call as usize),
                    _ => None,
                })
                .or(own.len().checked_sub(1)),
            _ => own.len().checked_sub(1),
        };
        by.map_or_else(|| "start".to_owned(), |k| own[k].id.name().to_owned())
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

impl Finding {
    /// Whether two findings are the same difference at the same call, whatever it is laid to. Minimization
    /// holds on to this: the call a probe's finding is laid to may well be removed.
    pub fn same_core(&self, other: &Finding) -> bool {
        (self.class, &self.oracle, &self.name, &self.field, &self.kind)
            == (other.class, &other.oracle, &other.name, &other.field, &other.kind)
    }
}
