//! Lines to calls: whose they are, halves joined, ends and signals noted.

use super::value::{Reader, Value};
use super::{MAX_LINE, StraceError};
use std::collections::HashMap;

/// A recorded call.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Whose.
    pub(super) pid: u64,
    /// Index of the file, and the line where it ended, from 1.
    pub(super) place: (usize, usize),
    /// The system call.
    pub(super) name: String,
    /// Its arguments as printed.
    pub(super) args: Vec<Value>,
    /// What it returned; `None` if it never did.
    pub(super) ret: Option<Ret>,
    /// The line, shortened.
    pub(super) text: String,
}

/// What a call returned.
#[derive(Clone, Debug)]
pub(super) struct Ret {
    /// The value, -1 for errors.
    pub(super) value: i64,
    /// The error's name, empty if there was none.
    pub(super) errno: String,
}

impl Event {
    /// Whether it succeeded.
    pub(super) fn ok(&self) -> Option<i64> {
        self.ret.as_ref().filter(|r| r.errno.is_empty()).map(|r| r.value)
    }
    /// The error's name, empty if there was none.
    pub(super) fn errno(&self) -> &str {
        self.ret.as_ref().map_or("", |r| &r.errno)
    }
    /// The argument of that index, without what came out.
    pub(super) fn arg(&self, k: usize) -> &Value {
        self.args.get(k).map_or(&Value::Number(0), Value::before)
    }
}

/// Something that happened in the recording.
#[derive(Clone, Debug)]
pub(super) enum Happened {
    /// A call ended, or the recording did before it.
    Call(Event),
    /// A call that makes a process began: a new pid may be its child.
    Forks(u64),
    /// A process ended with that code, or by a signal.
    Exit(u64, u64),
}

/// What a file says besides its calls.
#[derive(Default)]
pub(super) struct Notes {
    /// Signals that came.
    pub(super) signals: usize,
    /// Processes that ended.
    pub(super) exits: usize,
    /// Lines nobody can read, with why.
    pub(super) unreadable: Vec<((usize, usize), String)>,
}

/// The pid a file of `strace -ff` is named after.
fn pid_of_name(name: &str) -> u64 {
    name.rsplit_once('.').and_then(|(_, pid)| pid.parse().ok()).unwrap_or(0)
}

/// Reads one file.
pub(super) fn read(
    file: usize,
    name: &str,
    bytes: &[u8],
    notes: &mut Notes,
) -> Result<Vec<Happened>, StraceError> {
    let mut happened = Vec::new();
    let mut halves: HashMap<u64, String> = HashMap::new();
    let own = pid_of_name(name);
    let mut readable = 0usize;
    for (n, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let place = (file, n + 1);
        if line.len() > MAX_LINE {
            notes.unreadable.push((place, format!("longer than {MAX_LINE} bytes")));
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let (pid, rest) = whose(line.trim_end(), own);
        if rest.is_empty() || rest.starts_with("strace:") {
            continue;
        }
        match line_of(rest, pid, place, &mut halves) {
            Ok(Line::Call(event)) => happened.push(Happened::Call(event)),
            Ok(Line::Begun) => {
                if forks(rest.split('(').next().unwrap_or_default()) {
                    happened.push(Happened::Forks(pid));
                }
            }
            Ok(Line::Exit(code)) => {
                notes.exits += 1;
                happened.push(Happened::Exit(pid, code));
            }
            Ok(Line::Signal) => notes.signals += 1,
            Err(why) => {
                notes.unreadable.push((place, why));
                continue;
            }
        }
        readable += 1;
    }
    let first_bad = notes.unreadable.iter().find(|(place, _)| place.0 == file);
    if readable == 0 {
        let (line, what) =
            first_bad.map_or((1, "it is empty".to_owned()), |((_, n), what)| (*n, what.clone()));
        let what = format!("{what}: no recording of `strace -f -v -xx -o FILE`");
        return Err(StraceError { file: name.to_owned(), line, what });
    }
    // What never came back: blocked to the end.
    let mut left: Vec<(u64, String)> = halves.into_iter().collect();
    left.sort();
    for (pid, text) in left {
        let name = text.split('(').next().unwrap_or_default().to_owned();
        let place = (file, bytes.split(|b| *b == b'\n').count());
        happened.push(Happened::Call(Event {
            pid,
            place,
            name,
            args: Vec::new(),
            ret: None,
            text: shorten(&text),
        }));
    }
    Ok(happened)
}

/// Whether a call makes a process.
pub(super) fn forks(name: &str) -> bool {
    matches!(name, "fork" | "vfork" | "clone" | "clone3")
}

enum Line {
    Call(Event),
    Begun,
    Signal,
    Exit(u64),
}

/// Takes the pid and times off a line.
fn whose(line: &str, own: u64) -> (u64, &str) {
    let mut pid = own;
    let mut rest = line.trim_start();
    if let Some((number, after)) = rest.strip_prefix("[pid").and_then(|r| r.split_once(']')) {
        if let Ok(n) = number.trim().parse() {
            pid = n;
            rest = after.trim_start();
        }
    } else if let Some((word, after)) = rest.split_once(' ') {
        if let Ok(n) = word.parse() {
            pid = n;
            rest = after.trim_start();
        }
    }
    // Times, as -t, -tt, -ttt and -r print them.
    while let Some((word, after)) = rest.split_once(' ') {
        let time = word.bytes().any(|b| b == b'.' || b == b':')
            && word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':'));
        if !time {
            break;
        }
        rest = after.trim_start();
    }
    (pid, rest)
}

fn line_of(
    rest: &str,
    pid: u64,
    place: (usize, usize),
    halves: &mut HashMap<u64, String>,
) -> Result<Line, String> {
    if rest.starts_with("---") {
        return Ok(Line::Signal);
    }
    if let Some(end) = rest.strip_prefix("+++ ") {
        let code = end.strip_prefix("exited with ").and_then(|c| c.split(' ').next()?.parse().ok());
        return Ok(Line::Exit(code.unwrap_or(0)));
    }
    if let Some(half) = rest.strip_suffix("<unfinished ...>") {
        if halves.len() < 4096 {
            halves.insert(pid, half.trim_end().to_owned());
        }
        return Ok(Line::Begun);
    }
    let joined;
    let whole = match rest.strip_prefix("<... ") {
        Some(resumed) => {
            let (_, tail) = resumed.split_once(" resumed>").ok_or("a call that is resumed has no name")?;
            let half = halves.remove(&pid).ok_or("it resumes a call that never began")?;
            joined = join(&half, tail);
            &joined
        }
        None => rest,
    };
    // A call the process died in.
    let died = whole.contains(" <unfinished ...>)").then(|| whole.replace(" <unfinished ...>)", ")"));
    event(died.as_deref().unwrap_or(whole), pid, place).map(Line::Call)
}

/// Two halves of a call. strace prints the comma with the first.
fn join(half: &str, tail: &str) -> String {
    format!("{half} {tail}")
}

fn event(whole: &str, pid: u64, place: (usize, usize)) -> Result<Event, String> {
    let (name, args) = whole.split_once('(').ok_or("no call")?;
    if name.is_empty() || name.len() > 40 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("no call".to_owned());
    }
    let mut reader = Reader::new(args);
    let values = reader.args()?;
    let tail = args.get(reader.at..).unwrap_or_default().trim_start();
    let tail = tail.strip_prefix('=').ok_or("the call has no result")?.trim();
    Ok(Event { pid, place, name: name.to_owned(), args: values, ret: result(tail), text: shorten(whole) })
}

/// `3</tmp/x>`, `-1 ENOENT (No such file or directory)`, `0x2 (flags O_RDWR)`, `?`.
fn result(tail: &str) -> Option<Ret> {
    let end = tail.find([' ', '<']).unwrap_or(tail.len());
    let (word, rest) = tail.split_at(end);
    let value = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        None => word.parse().ok()?,
    };
    let rest = rest.trim_start();
    let errno = if value == -1 && rest.starts_with('E') {
        rest.split(' ').next().unwrap_or_default().to_owned()
    } else {
        String::new()
    };
    Some(Ret { value, errno })
}

/// A line for people: bytes as text where they are, at most 140 characters.
fn shorten(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let hex =
            rest.strip_prefix("\\x").and_then(|r| r.get(..2)).and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) if byte.is_ascii_graphic() || byte == b' ' => {
                text.push(byte.into());
                rest = &rest[4..];
            }
            _ => {
                text.push(if c.is_control() { '.' } else { c });
                rest = &rest[c.len_utf8()..];
            }
        }
        if text.len() >= 140 {
            text.push_str("...");
            break;
        }
    }
    text
}
