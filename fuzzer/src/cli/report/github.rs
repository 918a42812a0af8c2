//! GitHub Actions: annotations on standard output, and a summary in the file it names.

use super::{Status, Told};
use std::fmt::Write as _;
use std::io::Write;

/// Annotations that are printed: GitHub shows ten of a kind for a step.
const MOST: usize = 50;

/// Prints annotations; appends a table to the job's summary, if there is one.
pub(super) fn annotate(told: &[Told]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in annotations(told) {
        writeln!(out, "{line}")?;
    }
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(summary(told).as_bytes())?;
    }
    Ok(())
}

/// Errors for what fails, notices for what is fixed though expected.
pub(super) fn annotations(told: &[Told]) -> Vec<String> {
    let level = |case: &Told| match case.status {
        _ if case.fails() => Some("error"),
        Status::NotRun => Some("warning"),
        _ if case.unexpected_fix => Some("notice"),
        _ => None,
    };
    let line = |case: &Told| {
        let title = property(&format!("{} {}", case.repro.target_name, case.status.words()));
        let what = message(&format!("{}\n{}", case.sentence(), case.seen()));
        Some(format!(
            "::{} title={title},file={}::{what}",
            level(case)?,
            property(&case.file.to_string_lossy())
        ))
    };
    told.iter().filter_map(line).take(MOST).collect()
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// A table in Markdown: how many there are of each, and those that fail.
pub(super) fn summary(told: &[Told]) -> String {
    let mut text = String::from("## Parallax\n\n| | cases |\n|---|---|\n");
    let all =
        [Status::StillDiverges, Status::New, Status::Changed, Status::Flaky, Status::Fixed, Status::NotRun];
    for status in all {
        let of = |case: &&Told| case.status == status;
        let expected = told.iter().filter(of).filter(|c| c.expected).count();
        let words = status.words();
        // Writing to a string does not fail.
        let _ = match expected {
            0 => writeln!(text, "| {words} | {} |", told.iter().filter(of).count()),
            n => writeln!(text, "| {words} | {} ({n} expected) |", told.iter().filter(of).count()),
        };
    }
    let failing: Vec<&Told> = told.iter().filter(|c| c.fails()).take(MOST).collect();
    if !failing.is_empty() {
        text.push_str("\n| case | status | what differs |\n|---|---|---|\n");
        for case in failing {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                case.repro.id,
                case.status.words(),
                plain(&case.sentence())
            );
        }
    }
    text
}

/// A text as a cell of a table: nothing in it is markup.
fn plain(text: &str) -> String {
    let mut cell = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => cell.push(' '),
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            '&' => cell.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '!' | '#' | '@' => cell.extend(['\\', c]),
            c => cell.push(c),
        }
    }
    cell
}
