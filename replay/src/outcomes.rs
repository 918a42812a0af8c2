//! Both sides' outcomes beside each other, call by call, in words: what every rendering shows.

use crate::repro::Repro;
use parallax_corpus::compile::{FieldAt, Span, fields_of};
use parallax_corpus::desc::{Desc, Line, Out, Ty, Unit, said};
use parallax_corpus::text::{show_meaning, show_ret};
use parallax_corpus::{Code, Meaning, Outcome, Program, State, text};
use serde::Serialize;

/// Most bytes of a buffer that are shown.
const SHOWN: usize = 32;
/// What buffers are filled with before a call (see `parallax_corpus::compile`).
const FILL: u8 = 0xa5;

/// How a call stands to the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Both sides say the same.
    Same,
    /// The finding is here.
    Finding,
    /// They differ too: a consequence, or nothing that is compared.
    Differs,
}

/// One output of a call on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRow {
    /// Its name; the argument's for a buffer.
    pub name: String,
    /// Linux's.
    pub native: String,
    /// The target's.
    pub target: String,
    /// Whether they differ in a way that is compared.
    pub differs: bool,
}

/// One call on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its index in the compiled code.
    pub index: usize,
    /// Whether Parallax appended it, to look at what the program left behind.
    pub probe: bool,
    /// How it stands to the finding.
    pub mark: Mark,
    /// Its text.
    pub call: String,
    /// What became of it on Linux.
    pub native: String,
    /// What became of it on the target.
    pub target: String,
    /// Its outputs.
    pub fields: Vec<FieldRow>,
}

/// All calls of a case, probes included.
pub fn rows(repro: &Repro, code: &Code) -> Vec<Row> {
    let whole = Program { calls: code.calls.clone() };
    let mut rows = Vec::with_capacity(code.calls.len());
    for (index, call) in code.calls.iter().enumerate() {
        let desc = call.id.desc();
        let (Some(native), Some(target)) =
            (repro.native.outcomes.get(index), repro.target.outcomes.get(index))
        else {
            break;
        };
        let mut fields = field_rows(desc, &code.spans[index], native, target);
        if index == repro.finding.call {
            // What the case is about, though values of its meaning are not compared one by one.
            let about = fields.iter_mut().find(|f| f.name == repro.finding.field && f.native != f.target);
            if let Some(field) = about {
                field.differs = true;
            }
        }
        let (a, b) = (show_outcome(desc, native), show_outcome(desc, target));
        let mark = if index == repro.finding.call {
            Mark::Finding
        } else if (is_compared(desc.ret) || !native.ok() || !target.ok()) && a != b
            || fields.iter().any(|f| f.differs)
        {
            Mark::Differs
        } else {
            Mark::Same
        };
        let text = text::write_call(&whole, index);
        rows.push(Row { index, probe: index >= code.own, mark, call: text, native: a, target: b, fields });
    }
    rows
}

/// What became of a call: its return value by meaning, an errno's name, or its state.
pub fn show_outcome(desc: &Desc, outcome: &Outcome) -> String {
    let returned = match outcome.state {
        State::Done => match desc.ret {
            Meaning::Clock(_, unit) | Meaning::Duration(_, unit) if outcome.ok() => {
                show_time(unit, &outcome.ret.to_le_bytes())
            }
            meaning => show_ret(meaning, outcome.ret),
        },
        State::NotRun => "not run".into(),
        State::Blocked => "blocked".into(),
        State::Skipped => "skipped".into(),
        State::Died => "died".into(),
        State::Absent => "absent".into(),
        State::Missed => "missed".into(),
    };
    match outcome.woken {
        Some(by) => format!("{returned}, woken after {by}"),
        None => returned,
    }
}

/// Whether values of that meaning are compared by value.
fn is_compared(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Exact | Meaning::Flags(_) | Meaning::Fd | Meaning::Device | Meaning::Where(..))
}

fn field_rows(desc: &Desc, spans: &[Span], native: &Outcome, target: &Outcome) -> Vec<FieldRow> {
    let mut rows = Vec::new();
    for f in fields_of(desc, spans) {
        if f.field.meaning == Meaning::Opaque {
            continue;
        }
        let range = f.at..f.at + f.field.size as usize;
        let (a, b) = (native.out.get(range.clone()), target.out.get(range));
        if a.is_none() && b.is_none() {
            continue;
        }
        rows.push(FieldRow {
            name: field_name(&f, desc),
            native: a.map_or_else(String::new, |a| show_field(&f, a)),
            target: b.map_or_else(String::new, |b| show_field(&f, b)),
            differs: is_compared(f.field.meaning) && a.is_some() && b.is_some() && a != b,
        });
    }
    let mut at = 0;
    for span in spans {
        let range = at..at + span.len as usize;
        at = range.end;
        let argument = &desc.args[span.arg as usize];
        let listing = match argument.ty {
            Ty::Ptr(_, Out::Fields(..) | Out::Array(..)) => continue,
            Ty::Ptr(_, Out::Lines(_, lines)) => {
                rows.extend(line_rows(lines, range, native, target));
                continue;
            }
            Ty::Ptr(_, Out::Dirents(_)) => true,
            _ => false,
        };
        let (a, b) = (native.out.get(range.clone()), target.out.get(range));
        if a.is_none() && b.is_none() {
            continue;
        }
        let show = |bytes: Option<&[u8]>, ret: i64| match bytes {
            None => String::new(),
            Some(bytes) if listing => show_listing(bytes, ret),
            Some(bytes) => show_bytes(bytes),
        };
        let (native, target) = (show(a, native.ret), show(b, target.ret));
        let differs = a.is_some() && b.is_some() && if listing { native != target } else { a != b };
        rows.push(FieldRow { name: argument.name.into(), native, target, differs });
    }
    rows
}

/// The lines of a text that are looked at, as far as Linux has them.
fn line_rows(
    lines: &'static [Line],
    range: std::ops::Range<usize>,
    native: &Outcome,
    target: &Outcome,
) -> Vec<FieldRow> {
    let of = |o: &Outcome| o.out.get(range.clone()).map_or_else(Vec::new, |bytes| said(lines, bytes, o.ret));
    let theirs = of(target);
    let rows = of(native).into_iter().map(|(line, native)| {
        let found = theirs.iter().find(|(other, _)| *other == line).map(|(_, value)| value.clone());
        let differs = target.ok() && found.as_ref() != Some(&native);
        FieldRow { name: line.key.into(), native, target: found.unwrap_or_default(), differs }
    });
    rows.collect()
}

/// A field's name, with its element where there are several.
fn field_name(f: &FieldAt, desc: &Desc) -> String {
    match desc.args[f.arg as usize].ty {
        Ty::Ptr(_, Out::Array(..)) => format!("[{}].{}", f.element, f.field.name),
        _ => f.field.name.to_owned(),
    }
}

fn show_field(f: &FieldAt, bytes: &[u8]) -> String {
    match f.field.meaning {
        Meaning::Clock(_, unit) | Meaning::Duration(_, unit) => show_time(unit, bytes),
        meaning if bytes.len() <= 8 => show_meaning(meaning, word(bytes), f.field.size),
        _ => show_bytes(bytes),
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// A time in its own unit's precision.
fn show_time(unit: Unit, bytes: &[u8]) -> String {
    let part = |k: usize| bytes.get(8 * k..8 * k + 8).map_or(0, |b| word(b) as i64);
    match unit {
        Unit::Timespec => format!("{}.{:09} s", part(0), part(1)),
        Unit::Timeval => format!("{}.{:06} s", part(0), part(1)),
        Unit::Secs => format!("{} s", part(0)),
        Unit::Ticks => format!("{} ticks", part(0)),
    }
}

/// Bytes for people: without the filling behind them, and shortened.
pub fn show_bytes(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&b| b != FILL).map_or(0, |n| n + 1);
    let shown = bytes[..end.min(SHOWN)].escape_ascii();
    let rest = if end > SHOWN { format!(" and {} bytes more", end - SHOWN) } else { String::new() };
    format!("\"{shown}\"{rest}")
}

/// The entries of a buffer of `struct linux_dirent64` (getdents64(2)), sorted: name and `d_type`.
pub fn listing(bytes: &[u8], ret: i64) -> Vec<(Vec<u8>, u8)> {
    let bytes = &bytes[..(ret.max(0) as usize).min(bytes.len())];
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 19) {
        let len = u16::from_le_bytes([head[16], head[17]]) as usize;
        let Some(name) = bytes.get(at + 19..at + len) else { break };
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        entries.push((name[..end].to_vec(), head[18]));
        at += len.max(19);
    }
    entries.sort();
    entries
}

fn show_listing(bytes: &[u8], ret: i64) -> String {
    let names: Vec<String> = listing(bytes, ret)
        .iter()
        .map(|(name, kind)| {
            let name = name.escape_ascii();
            match kind {
                4 => format!("{name}/"),
                8 => name.to_string(),
                10 => format!("{name}@"),
                kind => format!("{name} (type {kind})"),
            }
        })
        .collect();
    format!("[{}]", names.join(" "))
}
