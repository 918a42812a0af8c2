//! The comparison: call by call, field by field, each by its declared meaning.

use super::{Class, Evidence, Finding, Verdict, ends};
use parallax_corpus::compile::{Span, fields_of};
use parallax_corpus::desc::{Desc, Dur, In, Kind, Line, Out, Ty, said};
use parallax_corpus::names::errno_name;
use parallax_corpus::text::{show_meaning, show_ret};
use parallax_corpus::{End, Meaning, Outcome, State, Trace};
use std::collections::{BTreeMap, BTreeSet};

const EPIPE: i32 = 32;
const SIGPIPE: u8 = 13;

/// The first call whose outcomes differ in a way their meanings do not allow.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    if evidence.code.calls.is_empty() {
        return Verdict::NotApplicable;
    }
    let mut names = Renaming::default();
    let first = (0..evidence.code.calls.len()).find_map(|k| at(&evidence, k, &mut names));
    first
        .or_else(|| ends::ends(&evidence))
        .or_else(|| ends::stops(&evidence))
        .map_or(Verdict::Agree, Verdict::Diverge)
}

/// Whether the two sides differ at that call, in that field and in that way, whatever differed before it.
pub fn differs_at(evidence: Evidence<'_>, call: usize, field: &str, kind: &str) -> bool {
    let mut names = Renaming::default();
    let last = (0..evidence.code.calls.len()).take(call + 1).map(|k| at(&evidence, k, &mut names)).last();
    last.flatten().is_some_and(|f| f.call == call && f.field == field && f.kind == kind)
}

/// The difference at one call, if there is one.
fn at(evidence: &Evidence<'_>, k: usize, names: &mut Renaming) -> Option<Finding> {
    let desc = evidence.code.calls[k].id.desc();
    let (native, target) = (evidence.native.outcomes.get(k)?, evidence.target.outcomes.get(k)?);
    // Killed among several tasks, and how far each side came is not known: only the ends can differ.
    let unknown = (native.state == State::NotRun) != (target.state == State::NotRun);
    let killed = [evidence.native.end, evidence.target.end].iter().any(|end| matches!(end, End::Killed(_)));
    if unknown && killed && super::tasks::are_in(evidence.code) {
        return None;
    }
    if evidence.code.raw_text && reads(desc) && native.ok() && target.ok() {
        return None;
    }
    let difference = compare(desc, &evidence.code.spans[k], native, target, names)?;
    let shown = (difference.native, difference.target);
    let mut finding = evidence.finding("differential", k, &difference.field, shown, difference.kind);
    let refused = target.errno().filter(|&errno| errno != EPIPE);
    if let (State::Died, End::Killed(SIGPIPE), Some(errno)) = (native.state, evidence.native.end, refused) {
        // Linux says EPIPE there, and the signal is only how it says it.
        finding.field = "ret".into();
        finding.kind = format!("EPIPE became {}", errno_name(errno));
    }
    if lacks(native, target) {
        finding.class = Class::Unsupported;
        finding.kind = "unsupported".into();
        finding.name = desc.base_name().to_owned();
        finding.cause.clone_from(&finding.name);
        finding.field = "ret".into();
    } else if finding.kind == SHIFTED {
        // Whichever call shows it.
        finding.name = "descriptors".to_owned();
        finding.cause = taker(evidence, k).to_owned();
    }
    Some(finding)
}

/// Whether it brings bytes that it knows no meaning of.
fn reads(desc: &Desc) -> bool {
    desc.args.iter().any(|a| matches!(a.ty, Ty::Ptr(In::IovOut, _) | Ty::Ptr(_, Out::Buf(_))))
}

/// Whether one side's answers to the same look differ, though their meanings say that they should not: the field, and
/// both answers.
pub(super) fn changed(
    evidence: &Evidence<'_>,
    side: &Trace,
    before: usize,
    after: usize,
) -> Option<(String, String, String)> {
    let desc = evidence.code.calls[before].id.desc();
    let (a, b) = (side.outcomes.get(before)?, side.outcomes.get(after)?);
    let spans = &evidence.code.spans;
    if spans[before] != spans[after] || [a, b].iter().any(|o| o.state != State::Done) {
        return None;
    }
    let difference = compare(desc, &spans[before], a, b, &mut Renaming::default())?;
    Some((difference.field, difference.native, difference.target))
}

/// The call that most likely took a descriptor and did not give it back, given the one that shows it: the first that
/// was to make one and failed, or else the last that made one.
fn taker(evidence: &Evidence<'_>, shows: usize) -> &'static str {
    let own = shows.min(evidence.code.own);
    let name = |k: usize| evidence.code.calls[k].id.name();
    let makes =
        |k: &usize| evidence.code.calls[*k].id.desc().makes.iter().any(|m| matches!(m.kind, Kind::Fd(_)));
    let failed = |k: &usize| evidence.native.outcomes.get(*k).is_some_and(|o| o.errno().is_some());
    let laid = (0..own).filter(makes).find(failed).or_else(|| (0..own).rfind(makes));
    laid.or(own.checked_sub(1)).map_or("start", name)
}

/// The layer has no such call: `ENOSYS` where Linux says, or does, something else.
pub(super) fn lacks(native: &Outcome, target: &Outcome) -> bool {
    const ENOSYS: i32 = 38;
    let ran = matches!(native.state, State::Done | State::Died | State::Blocked);
    target.errno() == Some(ENOSYS) && ran && native.errno() != Some(ENOSYS)
}

/// How an answer differs that says "there is no such thing here": whatever Linux made of the arguments, since a layer
/// that lacks a request says so before it looks at them. `None` for other answers.
fn refused(desc: &Desc, native: &Outcome, target: &Outcome) -> Option<String> {
    const ENOTTY: i32 = 25;
    const EOPNOTSUPP: i32 = 95;
    let errno = target.errno()?;
    let refuses = errno == EOPNOTSUPP || errno == ENOTTY && desc.base_name() == "ioctl";
    (refuses && native.errno() != Some(errno)).then(|| format!("answered {}", errno_name(errno)))
}

/// A descriptor's number is not the lowest free one.
pub(super) const SHIFTED: &str = "shifted";

struct Difference {
    field: String,
    native: String,
    target: String,
    kind: String,
}

/// Values that are equal up to renaming: a function from native to target values, kept through a program.
#[derive(Default)]
struct Renaming {
    pids: BTreeMap<u64, u64>,
    pids_back: BTreeMap<u64, u64>,
    inodes: BTreeMap<u64, u64>,
}

impl Renaming {
    /// Whether the two may be the same thing under two names.
    fn same(&mut self, meaning: Meaning, native: u64, target: u64) -> bool {
        match meaning {
            // 0 and small negatives (-1: no such group) are no names.
            Meaning::Pid if plain(native) || plain(target) => native == target,
            Meaning::Pid => {
                *self.pids.entry(native).or_insert(target) == target
                    && *self.pids_back.entry(target).or_insert(native) == native
            }
            // One way only: a layer may use an inode number again where tmpfs does not.
            Meaning::Inode => *self.inodes.entry(native).or_insert(target) == target,
            _ => true,
        }
    }
}

/// 0, 1 (the agent itself, init on both sides) and negative numbers stand for themselves.
fn plain(pid: u64) -> bool {
    pid <= 1 || (pid as i32) < 0
}

fn compare(
    desc: &Desc,
    spans: &[Span],
    native: &Outcome,
    target: &Outcome,
    names: &mut Renaming,
) -> Option<Difference> {
    if native.state != target.state {
        if [native, target].iter().any(|o| o.state == State::Blocked) && !lacks(native, target) {
            // The oracle of blocked calls says it.
            return None;
        }
        // A call that died or returned: how it ended is the difference.
        return Some(Difference {
            field: "state".into(),
            native: show_state(desc, native),
            target: show_state(desc, target),
            kind: format!("{} became {}", state_kind(native), state_kind(target)),
        });
    }
    if native.state != State::Done {
        return None;
    }
    if native.errno() != target.errno() {
        return Some(Difference {
            field: "ret".into(),
            native: show_ret(desc.ret, native.ret),
            target: show_ret(desc.ret, target.ret),
            kind: refused(desc, native, target)
                .unwrap_or_else(|| format!("{} became {}", state_kind(native), state_kind(target))),
        });
    }
    if native.errno().is_some() {
        return None;
    }
    let (a, b) = (native.ret as u64, target.ret as u64);
    if let Some(kind) = differ(desc.ret, a, b, 8, names) {
        return Some(Difference {
            field: "ret".into(),
            native: show_ret(desc.ret, native.ret),
            target: show_ret(desc.ret, target.ret),
            kind,
        });
    }
    compare_fields(desc, spans, native, target, names).or_else(|| compare_bytes(desc, spans, native, target))
}

/// Whether a device number is a UNIX98 pseudo-terminal's slave (the kernel's devices.txt, majors 136 to 143).
fn is_pty(rdev: u64) -> bool {
    (136..=143).contains(&(rdev >> 8 & 0xfff))
}

fn compare_fields(
    desc: &Desc,
    spans: &[Span],
    native: &Outcome,
    target: &Outcome,
    names: &mut Renaming,
) -> Option<Difference> {
    for f in fields_of(desc, spans) {
        let size = f.field.size as usize;
        let (Some(a), Some(b)) = (native.out.get(f.at..f.at + size), target.out.get(f.at..f.at + size))
        else {
            continue;
        };
        let difference = |native: String, target: String, kind: String| {
            Some(Difference { field: f.field.name.to_owned(), native, target, kind })
        };
        if f.field.meaning == Meaning::Text {
            let (a, b) = (text(a), text(b));
            if a != b {
                return difference(show_bytes(a), show_bytes(b), "bytes differ".into());
            }
            continue;
        }
        if size > 8 {
            if matches!(f.field.meaning, Meaning::Duration(Dur::Left, _)) && !near(a, b) {
                let show = |of: &[u8]| format!("{} s left", word(&of[..8]));
                return difference(show(a), show(b), "another time left".into());
            }
            if f.field.meaning == Meaning::Exact && a != b {
                return difference(show_bytes(a), show_bytes(b), "bytes differ".into());
            }
            continue;
        }
        let (mut x, mut y) = (word(a), word(b));
        if f.field.meaning == Meaning::Inode {
            let dev = f.at - f.field.off as usize;
            (x, y) = (file_id(&native.out, dev, x), file_id(&target.out, dev, y));
        }
        if let Meaning::Where(at, given) = f.field.meaning {
            let at = f.at - f.field.off as usize + at as usize;
            let word_at = |o: &Outcome| o.out.get(at..at + 2).map(|bytes| word(bytes) as u16);
            if ![native, target].iter().all(|o| word_at(o).is_some_and(|word| given.holds(word))) {
                continue;
            }
        }
        if let Some(kind) = differ(f.field.meaning, x, y, size, names) {
            let show = |v| show_meaning(f.field.meaning, v, f.field.size);
            return difference(show(word(a)), show(word(b)), kind);
        }
    }
    None
}

/// What names a file: an inode number is one only together with its device, the first word of `struct stat`.
fn file_id(out: &[u8], dev: usize, ino: u64) -> u64 {
    let dev = out.get(dev..dev + 8).map_or(0, word);
    dev.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ino
}

fn compare_bytes(desc: &Desc, spans: &[Span], native: &Outcome, target: &Outcome) -> Option<Difference> {
    let mut at = 0;
    for span in spans {
        let range = at..at + span.len as usize;
        at = range.end;
        let (Some(a), Some(b)) = (native.out.get(range.clone()), target.out.get(range)) else { continue };
        let argument = &desc.args[span.arg as usize];
        match argument.ty {
            Ty::Ptr(_, Out::Fields(..) | Out::Array(..)) => {}
            Ty::Ptr(_, Out::Dirents(_)) => {
                let (a, b) = (listing(a, native.ret), listing(b, target.ret));
                if a != b {
                    let missing = a.difference(&b).next().is_some();
                    return Some(Difference {
                        field: argument.name.into(),
                        native: show_listing(&a),
                        target: show_listing(&b),
                        kind: if missing { "entries missing or changed" } else { "entries added" }.into(),
                    });
                }
            }
            Ty::Ptr(_, Out::Lines(_, lines)) => {
                if let Some(difference) = compare_lines(lines, (a, native.ret), (b, target.ret)) {
                    return Some(difference);
                }
            }
            _ if a != b => {
                return Some(Difference {
                    field: argument.name.into(),
                    native: show_bytes(a),
                    target: show_bytes(b),
                    kind: "bytes differ".into(),
                });
            }
            _ => {}
        }
    }
    None
}

/// The first of the lines looked at that Linux has and the target has not, or otherwise.
fn compare_lines(
    lines: &'static [Line],
    (a, read): (&[u8], i64),
    (b, theirs): (&[u8], i64),
) -> Option<Difference> {
    let theirs = said(lines, b, theirs);
    said(lines, a, read).into_iter().find_map(|(line, native)| {
        let target = theirs.iter().find(|(other, _)| *other == line).map(|(_, value)| value.as_str());
        let kind = match target {
            None => "line missing",
            Some(target) if target != native => "another value",
            Some(_) => return None,
        };
        let target = target.unwrap_or("no such line").to_owned();
        Some(Difference { field: line.key.to_owned(), native, target, kind: kind.into() })
    })
}

/// How two values differ by their meaning, or `None`.
fn differ(meaning: Meaning, a: u64, b: u64, size: usize, names: &mut Renaming) -> Option<String> {
    if a == b && !matches!(meaning, Meaning::Pid | Meaning::Inode) {
        return None;
    }
    match meaning {
        Meaning::Fd => Some(SHIFTED.into()),
        Meaning::Device if is_pty(a) && is_pty(b) => None,
        Meaning::Exact | Meaning::Text | Meaning::Device | Meaning::Where(..) => Some(
            match (a, b) {
                (0, _) => "zero became something",
                (_, 0) => "something became zero",
                _ => "another value",
            }
            .into(),
        ),
        Meaning::Flags(set) => {
            let diff = (a ^ b) & !set.free;
            if diff == 0 {
                return None;
            }
            // What Linux has and the target has not, or the other way round; of values that share bits (the sizes
            // and speeds of termios) the one that is there as a whole.
            let whole = |value: u64| {
                let there = set.names.iter().filter(|(_, v)| v & diff != 0 && v & value == *v);
                there.reduce(|best, one| if one.1.count_ones() > best.1.count_ones() { one } else { best })
            };
            Some(match (whole(a), whole(b)) {
                (Some((name, _)), _) => format!("lost {name}"),
                (None, Some((name, _))) => format!("gained {name}"),
                (None, None) => {
                    let low = diff & diff.wrapping_neg();
                    format!("{} {low:#x}", if a & low != 0 { "lost" } else { "gained" })
                }
            })
        }
        Meaning::Pid | Meaning::Inode => {
            let (a, b) = if size == 4 { (sign(a), sign(b)) } else { (a, b) };
            (!names.same(meaning, a, b)).then(|| "not the same one".into())
        }
        Meaning::Address
        | Meaning::Clock(..)
        | Meaning::Duration(..)
        | Meaning::SizeHint
        | Meaning::Opaque => None,
    }
}

/// Whether two times that are left, `struct timespec` or `struct timeval`, may be the same timer's on both sides: what
/// a program arms runs for minutes, and no program does. What is not a time at all (a buffer not written) is let pass.
fn near(a: &[u8], b: &[u8]) -> bool {
    /// Far longer than a program runs, seconds.
    const SLACK: u64 = 60;
    const MOST: u64 = 1 << 32;
    let [a, b] = [a, b].map(|of| word(&of[..8]));
    a.max(b) > MOST || a.abs_diff(b) <= SLACK
}

/// A 32-bit value as the signed number it is.
fn sign(value: u64) -> u64 {
    value as i32 as i64 as u64
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

pub(super) fn state_kind(outcome: &Outcome) -> String {
    match (outcome.state, outcome.errno()) {
        (State::Done, None) => "success".into(),
        (State::Done, Some(errno)) => errno_name(errno).into(),
        (state, _) => format!("{state:?}").to_lowercase(),
    }
}

pub(super) fn show_state(desc: &Desc, outcome: &Outcome) -> String {
    match outcome.state {
        State::Done => show_ret(desc.ret, outcome.ret),
        _ => state_kind(outcome),
    }
}

/// What stands before the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// Bytes for people, shortened.
fn show_bytes(bytes: &[u8]) -> String {
    const SHOWN: usize = 48;
    let end = bytes.iter().rposition(|&b| b != 0xa5).map_or(0, |n| n + 1);
    let shown = bytes[..end.min(SHOWN)].escape_ascii().to_string();
    let rest = if end > SHOWN { format!(" and {} bytes more", end - SHOWN) } else { String::new() };
    format!("\"{shown}\"{rest}")
}

/// The names and types of a buffer of `struct linux_dirent64` (getdents64(2)), as a set: their order is free.
fn listing(bytes: &[u8], ret: i64) -> BTreeSet<(String, u8)> {
    let bytes = &bytes[..(ret.max(0) as usize).min(bytes.len())];
    let mut entries = BTreeSet::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 19) {
        let len = u16::from_le_bytes([head[16], head[17]]) as usize;
        let Some(name) = bytes.get(at + 19..at + len) else { break };
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        entries.insert((name[..end].escape_ascii().to_string(), head[18]));
        at += len.max(19);
    }
    entries
}

fn show_listing(entries: &BTreeSet<(String, u8)>) -> String {
    let names: Vec<String> = entries.iter().map(|(name, kind)| format!("{name} (type {kind})")).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::near;

    fn left(seconds: u64) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seconds.to_le_bytes());
        bytes
    }

    #[test]
    fn a_timer_that_runs_for_minutes_is_not_over_at_once() {
        assert!(near(&left(999), &left(998)) && near(&left(0), &left(0)));
        assert!(!near(&left(999), &left(0)) && !near(&left(0), &left(999)));
        assert!(!near(&left(100_000), &left(1000)));
    }

    #[test]
    fn what_was_never_written_is_no_time() {
        assert!(near(&[0xa5; 16], &left(0)));
    }
}
