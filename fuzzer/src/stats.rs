//! Writing what a campaign did so far. What it is made of is `parallax_triage::stats`, which also reads it back.

use crate::files::write_fresh;
use parallax_triage::stats::{Progress, Stats};
use std::io::{self, Write};
use std::path::Path;

/// Writes `stats.json`, whole or not at all.
///
/// # Errors
/// As of the file system.
pub fn write(stats: &Stats, path: &Path) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(stats)?;
    text.push(b'\n');
    write_fresh(path, &text)
}

/// Adds a line to what a campaign was like over time. A line that was cut short is left to its readers.
///
/// # Errors
/// As of the file system.
pub fn append(stats: &Stats, path: &Path) -> io::Result<()> {
    let tenths = |number: f64| (number * 10.0).round() / 10.0;
    let now = stats.progress();
    let now = Progress { seconds: tenths(now.seconds), rate: tenths(now.rate), ..now };
    let line = format!("\n{}\n", serde_json::to_string(&now)?);
    std::fs::OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
}
