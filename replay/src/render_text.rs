//! `parallax show`: a case for people, and the same as JSON for programs.

use crate::outcomes::{Mark, Row, rows};
use crate::repro::Repro;
use parallax_corpus::{CompileError, End, text};
use parallax_harness::oracles::{Class, Finding};
use parallax_harness::pair::Isolation;
use serde_json::{Value, json};
use std::fmt::Write;

/// Widest call that shares its line with its outcomes.
const CALL_WIDTH: usize = 56;
/// Widest outcome that others are aligned to.
const OUTCOME_WIDTH: usize = 28;

/// The case as text. Lines are not wrapped.
///
/// # Errors
/// Its program cannot be compiled by this version.
pub fn render_text(repro: &Repro) -> Result<String, CompileError> {
    let code = repro.code()?;
    let rows = rows(repro, &code);
    let mut out = String::new();
    let target = if repro.target_name.is_empty() { "the target" } else { &repro.target_name };
    line(&mut out, format_args!("{}  {}", repro.id, sentence(&repro.finding, target)));
    out.push('\n');
    let kernel = if repro.kernel.is_empty() { "(release unknown)" } else { &repro.kernel };
    let mut head = |name: &str, value: &str| {
        if !value.is_empty() {
            line(&mut out, format_args!("  {name:<10} {value}"));
        }
    };
    head("signature", &repro.signature.0);
    head("class", repro.finding.class.name());
    head("native", &format!("Linux {kernel}"));
    head("target", format!("{target} {}", repro.target_version).trim_end());
    head("command", repro.target_command.as_deref().unwrap_or_default());
    head("confirmed", &confirmed(repro));
    head("parallax", &repro.parallax);
    out.push('\n');
    table(&mut out, &rows, target);
    for (side, end) in [("Linux", repro.native.end), (target, repro.target.end)] {
        if end != End::Exited {
            line(&mut out, format_args!("\n{side}: the program {}.", show_end(end)));
        }
    }
    list(&mut out, "Differences between the two worlds", &repro.environment_differences());
    let history: Vec<String> = repro
        .history
        .iter()
        .map(|h| if h.detail.is_empty() { h.what.clone() } else { format!("{}: {}", h.what, h.detail) })
        .collect();
    list(&mut out, "History", &history);
    let words: Vec<String> = repro.last_words.lines().map(|l| l.escape_debug().to_string()).collect();
    list(&mut out, "The layer's last words", &words);
    Ok(out)
}

/// The case as one JSON object. Fields may be added, but keep their names and meanings.
///
/// # Errors
/// Its program cannot be compiled by this version.
pub fn render_json(repro: &Repro) -> Result<Value, CompileError> {
    let code = repro.code()?;
    Ok(json!({
        "id": repro.id,
        "sentence": sentence(&repro.finding, &repro.target_name),
        "signature": repro.signature,
        "class": repro.finding.class,
        "finding": repro.finding,
        "parallax": repro.parallax,
        "kernel": repro.kernel,
        "target": {
            "name": repro.target_name,
            "version": repro.target_version,
            "command": repro.target_command,
        },
        "confirmation": repro.confirmation,
        "program": text::write(&repro.program),
        "calls": rows(repro, &code),
        "ends": { "native": show_end(repro.native.end), "target": show_end(repro.target.end) },
        "environment_differences": repro.environment_differences(),
        "history": repro.history,
        "last_words": repro.last_words,
        "created": repro.created,
        "seed": repro.seed,
    }))
}

/// A finding in one sentence.
pub fn sentence(finding: &Finding, target: &str) -> String {
    let Finding { name, field, native, target: theirs, cause, kind, .. } = finding;
    let via = if cause == name { String::new() } else { format!(", after {cause}") };
    match finding.class {
        Class::Unsupported | Class::VersionSkew if kind == "unsupported" => {
            format!("{target} does not have {name}: Linux gives {native}, {target} {theirs}")
        }
        Class::Refusal => format!("{target} refuses the program at a checkpoint: {kind}"),
        Class::Hang => format!("{target} hangs at {name}"),
        Class::Crash => format!("{target} dies at {name}"),
        Class::Semantic | Class::VersionSkew | Class::Unsupported => {
            let what = match field.as_str() {
                "ret" | "state" => format!("{name}{via}"),
                "end" => format!("the end of the program{via}"),
                field => format!("{name}, {field}{via}"),
            };
            if ["differential", "blocked"].contains(&finding.oracle.as_str()) {
                format!("{what}: Linux gives {native}, {target} gives {theirs}")
            } else if finding.oracle == "repeat" {
                format!("{what}: Linux always gives {native}, {target} sometimes {theirs}")
            } else {
                // An invariant says no value but how it stands.
                format!("{what}: {native} on Linux, {theirs} on {target}")
            }
        }
    }
}

fn confirmed(repro: &Repro) -> String {
    let c = &repro.confirmation;
    let rung = rung(c.isolation);
    if c.diverged.n == 0 {
        return String::new();
    }
    format!(
        "diverged in {} runs, up to {rung}; Linux agreed with itself in {}, the target in {}",
        c.diverged, c.native_self, c.target_self
    )
}

/// What programs ran in.
pub fn rung(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Shared => "children sharing memory",
        Isolation::Forked => "forked children",
        Isolation::Fresh => "a fresh layer",
    }
}

/// How a program ended.
pub fn show_end(end: End) -> String {
    match end {
        End::Exited => "came to its end".into(),
        End::Killed(signal) => {
            let name = parallax_corpus::names::signal_name(signal.into());
            format!("was killed by {}", name.map_or_else(|| format!("signal {signal}"), str::to_owned))
        }
        End::Failed(step, errno) => format!("could not be set up (step {step}, errno {})", -errno),
        End::Hung => "gave no answer".into(),
        End::Crashed => "took the layer down".into(),
    }
}

/// The calls with both sides' outcomes in columns. Probes only where they differ.
fn table(out: &mut String, rows: &[Row], target: &str) {
    let shown: Vec<&Row> = rows.iter().filter(|r| !r.probe || r.mark != Mark::Same).collect();
    let width = |texts: &mut dyn Iterator<Item = &str>, max: usize| {
        texts.map(|t| t.chars().count()).filter(|n| *n <= max).max().unwrap_or(0)
    };
    let call = width(&mut shown.iter().map(|r| r.call.as_str()), CALL_WIDTH).max(8);
    let native = shown
        .iter()
        .flat_map(|r| std::iter::once(r.native.as_str()).chain(visible(r).map(|f| f.native.as_str())));
    let native = width(&mut { native }, OUTCOME_WIDTH).max("Linux".len());
    line(out, format_args!("      {:call$} | {:native$} | {target}", "", "Linux"));
    let mut probes = false;
    for row in shown {
        if row.probe && !probes {
            probes = true;
            line(out, format_args!("    what it left behind:"));
        }
        let mark = mark(row.mark);
        let mut text = row.call.as_str();
        if text.chars().count() > call {
            line(out, format_args!("{mark} {:>3} {text}", row.index));
            text = "";
            line(out, format_args!("      {text:call$} | {:native$} | {}", row.native, row.target));
        } else {
            line(
                out,
                format_args!(
                    "{mark} {:>3} {text:call$} | {:native$} | {}",
                    row.index, row.native, row.target
                ),
            );
        }
        for field in visible(row) {
            let mark = if field.differs { mark } else { ' ' };
            let name = format!("  {}", field.name);
            line(out, format_args!("{mark}     {name:call$} | {:native$} | {}", field.native, field.target));
        }
    }
}

fn mark(mark: Mark) -> char {
    match mark {
        Mark::Same => ' ',
        Mark::Finding => '>',
        Mark::Differs => '~',
    }
}

/// The outputs worth a line: all that differ, and a call's only one.
fn visible(row: &Row) -> impl Iterator<Item = &crate::outcomes::FieldRow> {
    let single = row.fields.len() == 1 && !row.probe;
    let finding = row.mark == Mark::Finding;
    let none = !row.fields.iter().any(|f| f.differs);
    // A finding of an invariant has no compared difference: all of its call's outputs are evidence.
    row.fields.iter().filter(move |f| f.differs || single || finding && none)
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        line(out, format_args!("\n{title}:"));
        for text in lines {
            line(out, format_args!("  {text}"));
        }
    }
}

fn line(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{what}");
    // Empty last columns leave blanks behind.
    let len = out.trim_end_matches([' ', '\n']).len();
    out.truncate(len);
    out.push('\n');
}
