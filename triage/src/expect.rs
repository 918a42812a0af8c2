//! Expected differences: what a layer declares, or its user has accepted, kept apart from what is news.
//!
//! A file is TOML: a list of `[[expect]]` tables with a `signature` pattern (`*` stands for anything), a `reason`, and
//! perhaps a `target` pattern, a `source` and a day it `expires` on. It is hostile until proven otherwise: sizes are
//! capped, and every error names the line.

use parallax_harness::oracles::Signature;
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use toml::Spanned;

/// Longest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// Most entries of a file.
pub const MAX_ENTRIES: usize = 4096;
/// Longest pattern or text, in bytes.
pub const MAX_TEXT: usize = 2048;

/// The lists that come with Parallax, under the names of their files.
const SHIPPED: [(&str, &str); 3] = [
    ("expect/gvisor.toml", include_str!("../../expect/gvisor.toml")),
    ("expect/criu.toml", include_str!("../../expect/criu.toml")),
    ("expect/qemu-user.toml", include_str!("../../expect/qemu-user.toml")),
];

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Years since the birth of Christ.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Day {
    /// Today, by the clock of this machine (UTC).
    pub fn today() -> Day {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Day::of(seconds / 86_400)
    }

    /// So many days after 1 January 1970, in the Gregorian calendar.
    pub fn of(days: u64) -> Day {
        let mut left = days;
        let mut year = 1970u16;
        let leap = |y: u16| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
        while left >= 365 + u64::from(leap(year)) && year < u16::MAX {
            left -= 365 + u64::from(leap(year));
            year += 1;
        }
        let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        for length in lengths {
            if left < length || month == 12 {
                break;
            }
            left -= length;
            month += 1;
        }
        Day { year, month, day: left.min(30) as u8 + 1 }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// One expected difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Pattern of the signatures it silences.
    pub signature: String,
    /// Pattern of the targets it is about; all, if none is given.
    pub target: Option<String>,
    /// Why it is expected.
    pub reason: String,
    /// Where that is said.
    pub source: Option<String>,
    /// The last day it silences anything.
    pub expires: Option<Day>,
    /// The file it is from.
    pub file: String,
    /// The line it begins in.
    pub line: usize,
    /// It came with Parallax.
    pub shipped: bool,
}

impl Entry {
    /// Whether it no longer silences anything.
    pub fn is_expired(&self, today: Day) -> bool {
        self.expires.is_some_and(|last| today > last)
    }

    /// Whether it is about that difference, expired or not.
    pub fn is_about(&self, target: &str, signature: &Signature) -> bool {
        self.target.as_ref().is_none_or(|pattern| matches(pattern, target))
            && matches(&self.signature, &signature.0)
    }
}

/// Why a file of expected differences cannot be used. Every text says where.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// It cannot be read.
    #[error("{file}: cannot read it: {error}")]
    Io {
        /// Which.
        file: String,
        /// The system's answer.
        #[source]
        error: std::io::Error,
    },
    /// It is longer than any such file need be.
    #[error("{0}: more than the {MAX_FILE} bytes allowed")]
    TooLarge(String),
    /// It is no TOML, or has other fields.
    #[error("{file}:{line}: {what}")]
    Wrong {
        /// Which.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    expect: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    signature: String,
    target: Option<String>,
    reason: String,
    source: Option<String>,
    expires: Option<toml::value::Datetime>,
}

/// Expected differences, in the order they are asked.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    entries: Vec<Entry>,
    /// How often each has silenced something.
    silenced: Vec<u64>,
    /// How often each would have, were it not expired.
    lapsed: Vec<u64>,
    today: Option<Day>,
}

impl Expectations {
    /// None at all: everything is told.
    pub fn none() -> Expectations {
        Expectations::default()
    }

    /// What the layers' own documents declare.
    ///
    /// # Errors
    /// A list that came with Parallax is wrong, which a test forbids.
    pub fn shipped() -> Result<Expectations, ExpectError> {
        let mut all = Expectations::none();
        for (name, text) in SHIPPED {
            let entries = parse(name, text)?;
            all.add(entries.into_iter().map(|entry| Entry { shipped: true, ..entry }).collect());
        }
        Ok(all)
    }

    /// Takes more entries.
    pub fn add(&mut self, entries: Vec<Entry>) {
        self.silenced.resize(self.silenced.len() + entries.len(), 0);
        self.lapsed.resize(self.silenced.len(), 0);
        self.entries.extend(entries);
    }

    /// Judges expiry by that day rather than by the clock.
    #[must_use]
    pub fn on(mut self, today: Day) -> Expectations {
        self.today = Some(today);
        self
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a difference is expected, which is counted. The first entry that is about it and not expired answers.
    pub fn silences(&mut self, target: &str, signature: &Signature) -> bool {
        let today = self.today.unwrap_or_else(Day::today);
        for (k, entry) in self.entries.iter().enumerate() {
            if !entry.is_about(target, signature) {
                continue;
            }
            if entry.is_expired(today) {
                self.lapsed[k] += 1;
                continue;
            }
            self.silenced[k] += 1;
            return true;
        }
        false
    }

    /// Counts from nothing again.
    pub fn forget(&mut self) {
        self.silenced.fill(0);
        self.lapsed.fill(0);
    }

    /// How many differences were silenced so far.
    pub fn total(&self) -> u64 {
        self.silenced.iter().sum()
    }

    /// What to tell people: how many each entry silenced, and which would have but have expired.
    pub fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((entry, silenced), lapsed) in self.entries.iter().zip(&self.silenced).zip(&self.lapsed) {
            let place = format!("{}:{}", entry.file, entry.line);
            if *silenced > 0 {
                lines.push(format!("{silenced} expected ({place}): {}", entry.reason));
            }
            if let (Some(last), 1..) = (entry.expires, *lapsed) {
                lines.push(format!(
                    "expired on {last} ({place}), and silences {lapsed} no longer: {}",
                    entry.reason
                ));
            }
        }
        lines
    }

    /// The user's own entries that never matched: what they expect is gone, or they were never right.
    pub fn unused(&self) -> Vec<String> {
        let counts = self.silenced.iter().zip(&self.lapsed);
        let unused = self.entries.iter().zip(counts).filter(|(e, (s, l))| !e.shipped && **s + **l == 0);
        unused.map(|(e, _)| format!("never matched ({}:{}): {}", e.file, e.line, e.signature)).collect()
    }
}

/// Reads a file of expected differences.
///
/// # Errors
/// It cannot be read, or is not as described above.
pub fn load(path: &Path) -> Result<Vec<Entry>, ExpectError> {
    use std::io::Read;
    let file = path.display().to_string();
    let io = |error| ExpectError::Io { file: file.clone(), error };
    let mut bytes = Vec::new();
    // One byte more than allowed shows that it is too long without reading all of it.
    let opened = std::fs::File::open(path).map_err(io)?;
    opened.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > MAX_FILE {
        return Err(ExpectError::TooLarge(file));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = line_of(&bytes, error.valid_up_to());
        ExpectError::Wrong { file: file.clone(), line, what: "no UTF-8".to_owned() }
    })?;
    parse(&file, text)
}

/// Reads a file's text.
///
/// # Errors
/// As [`load`].
pub fn parse(file: &str, text: &str) -> Result<Vec<Entry>, ExpectError> {
    if text.len() > MAX_FILE {
        return Err(ExpectError::TooLarge(file.to_owned()));
    }
    let wrong = |at: usize, what: String| ExpectError::Wrong {
        file: file.to_owned(),
        line: line_of(text.as_bytes(), at),
        what,
    };
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, error.message().to_owned())
    })?;
    if raw.expect.len() > MAX_ENTRIES {
        return Err(wrong(text.len(), format!("more than the {MAX_ENTRIES} entries allowed")));
    }
    let entry = |spanned: Spanned<RawEntry>| {
        let at = spanned.span().start;
        let RawEntry { signature, target, reason, source, expires } = spanned.into_inner();
        let texts = [Some(&signature), target.as_ref(), Some(&reason), source.as_ref()];
        if texts.into_iter().flatten().any(|t| t.len() > MAX_TEXT) {
            return Err(wrong(at, format!("a text of this entry is longer than {MAX_TEXT} bytes")));
        }
        if !signature.contains(|c: char| c.is_alphanumeric()) {
            return Err(wrong(at, format!("the signature {signature:?} would silence everything")));
        }
        if reason.trim().is_empty() {
            return Err(wrong(at, "an entry without a reason: say why it is expected".to_owned()));
        }
        let expires = match expires {
            None => None,
            Some(stamp) => {
                let date = stamp.date.ok_or_else(|| wrong(at, "`expires` is no date".to_owned()))?;
                Some(Day { year: date.year, month: date.month, day: date.day })
            }
        };
        let line = line_of(text.as_bytes(), at);
        Ok(Entry { signature, target, reason, source, expires, file: file.to_owned(), line, shipped: false })
    };
    raw.expect.into_iter().map(entry).collect()
}

/// The line of a place in a text, from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    text.iter().take(at).filter(|b| **b == b'\n').count() + 1
}

/// Whether a text is as a pattern says, in which `*` stands for any text. Takes at most the product of both lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` stands, and where what it stands for ends so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, end)) = star {
            star = Some((at, end + 1));
            p = at + 1;
            t = end + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}
