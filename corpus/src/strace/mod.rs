//! Recordings of real programs, as `strace -f -v -xx -o FILE` writes them, to programs of this language.
//!
//! A recording is read line by line (`lex`, `value`), gone through in order with the descriptors, pids, timers,
//! pages and files of each process in mind (`walk`), each call said by the description that fits best (`pick`),
//! and cut into programs that carry what they need (`cut`). Threads' calls stand among their process's.
//!
//! Recordings are hostile input: sizes are capped, and a line nobody can read is reported and left out.

mod cut;
mod files;
mod lex;
mod names;
mod parts;
mod pick;
mod say;
mod value;
mod walk;

use crate::program::Program;
use crate::text;
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest line that is read, in bytes.
pub const MAX_LINE: usize = 1 << 20;
/// Most bytes of all files of one import.
pub const MAX_RECORDING: usize = 256 << 20;
/// Most calls of one import.
pub const MAX_EVENTS: usize = 200_000;

/// A recording that cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {what}")]
pub struct StraceError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Where a call was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index of the file.
    pub file: usize,
    /// The line, from 1.
    pub line: usize,
    /// The line itself, shortened, on one line.
    pub text: String,
}

/// A program cut out of a recording.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The recording's name, the pid, and a number.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Where each call was recorded; `None` for those the import adds.
    pub origins: Vec<Option<Origin>>,
}

impl Imported {
    /// The program as text, the recorded line as a comment before each call.
    pub fn text(&self, files: &[String]) -> String {
        let mut out = String::new();
        for (index, origin) in self.origins.iter().enumerate() {
            if let Some(origin) = origin {
                let file = files.get(origin.file).map_or("", String::as_str);
                out.push_str(&format!("# {file}:{}: {}\n", origin.line, origin.text));
            }
            out.push_str(&text::write_call(&self.program, index));
            out.push('\n');
        }
        out
    }
}

/// What became of the calls of a recording.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Calls read.
    pub read: usize,
    /// Calls that are in a program.
    pub landed: usize,
    /// Of these, how many were changed to what programs may say (a length cut, a flag left out).
    pub adapted: usize,
    /// Programs they make.
    pub programs: usize,
    /// Calls of these programs, with those the import adds.
    pub calls: usize,
    /// Signals noted.
    pub signals: usize,
    /// Ends of processes noted.
    pub exits: usize,
    /// Why the others were left out: by call and reason, how often.
    pub skipped: BTreeMap<String, BTreeMap<String, usize>>,
    /// Lines nobody can read.
    pub unreadable: Vec<String>,
}

impl Report {
    fn skip(&mut self, call: &str, why: &str) {
        *self.skipped.entry(why.to_owned()).or_default().entry(call.to_owned()).or_default() += 1;
    }
    /// The share of the calls read that landed, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.read == 0 { 0.0 } else { self.landed as f64 / self.read as f64 }
    }
}

/// A whole import.
#[derive(Clone, Debug)]
pub struct Import {
    /// The programs, process by process, each in its order.
    pub programs: Vec<Imported>,
    /// What became of the calls.
    pub report: Report,
}

/// Imports a recording: one file, or those of `strace -ff`, by name and content.
///
/// # Errors
/// There is too much of it, or a file holds no line that strace would write.
pub fn import(recording: &[(String, Vec<u8>)]) -> Result<Import, StraceError> {
    let total: usize = recording.iter().map(|(_, bytes)| bytes.len()).sum();
    let first = || recording.first().map_or_else(String::new, |(name, _)| name.clone());
    if total > MAX_RECORDING {
        let what =
            format!("{total} bytes, more than the {MAX_RECORDING} that are read: record less of the program");
        return Err(StraceError { file: first(), line: 1, what });
    }
    let mut notes = lex::Notes::default();
    let mut happened = Vec::new();
    for (index, (name, bytes)) in recording.iter().enumerate() {
        happened.extend(lex::read(index, name, bytes, &mut notes)?);
        if happened.len() > MAX_EVENTS {
            let what = format!("more than {MAX_EVENTS} calls: record less of the program");
            return Err(StraceError { file: name.clone(), line: 1, what });
        }
    }
    // Twice: what a file is may show only later.
    let mut first_walk = walk::Walk::new(None);
    first_walk.run(&happened);
    first_walk.files.name_all();
    let mut walk = walk::Walk::new(Some(first_walk));
    walk.run(&happened);
    walk.files.name_all();
    let stem = stem(&first());
    let (programs, lost) = cut::cut(&walk, &stem);
    let mut report = std::mem::take(&mut walk.report);
    for (item, why) in lost {
        report.landed -= 1;
        report.skip(walk.items[item].id.desc().base_name(), &why);
    }
    report.programs = programs.len();
    report.calls = programs.iter().map(|p| p.program.calls.len()).sum();
    report.signals = notes.signals;
    report.exits = notes.exits;
    let named = |((file, line), why): &((usize, usize), String)| {
        format!("{}, line {line}: {why}", recording[*file].0)
    };
    report.unreadable = notes.unreadable.iter().take(20).map(named).collect();
    Ok(Import { programs, report })
}

/// A file's name without folder and ending, fit for other names.
fn stem(name: &str) -> String {
    let base = name.rsplit('/').next().unwrap_or(name);
    let base = base.split('.').next().unwrap_or(base);
    let clean: String =
        base.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(40).collect();
    if clean.is_empty() { "trace".to_owned() } else { clean }
}
