//! `parallax replay`: is it still there? And programs that are no cases: do both sides agree?

use super::expect::ExpectArgs;
use super::{TargetArgs, by_class, code, programs, repro_files};
use anyhow::Context as _;
use parallax_harness::pair::Pair;
use parallax_harness::target::{Slot, Target, TargetError};
use parallax_harness::targets::{self, Choice};
use parallax_replay::{ReplayOutcome, ReplayVerdict, Repro, replay_live, replay_recorded};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Run repro files again and say whether they still diverge; run programs and say whether they do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax replay parallax-out/cases                       each on the target it was found on
  parallax replay case.plx --target gvisor --target-path ./runsc-new --runs 20
  parallax replay cases --recorded                         judge the recordings again, run nothing
  parallax replay vi-programs --target gvisor              programs: text (*.txt) or binary (*.prog)
  parallax replay cases --json | jq '.[] | select(.verdict == \"gone\")'

Exit codes: 0 nothing diverges, 1 something does, 2 bad input or usage, 3 no target or no jail.")]
pub struct Options {
    /// Repro files or programs, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// Runs of each case
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// Judge the two recorded traces again; run nothing
    #[arg(long, conflicts_with_all = ["runs", "target", "target_cmd", "target_path"])]
    recorded: bool,
    #[command(flatten)]
    expect: ExpectArgs,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let (programs, repros) = sorted(&options.paths);
    if repros.is_empty() {
        anyhow::ensure!(!options.recorded, "programs have no recording to judge: leave --recorded out");
        let programs = programs::load_all(&programs)?;
        let (ran, code) = programs::replay(&programs, &options.target, options.json)?;
        if options.json {
            writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&ran)?)?;
        }
        return Ok(code);
    }
    anyhow::ensure!(programs.is_empty(), "repro files and programs: replay them one after the other");
    cases(options)
}

/// Paths of programs, and of repro files: a folder is of programs if it holds programs and no repro file.
fn sorted(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let holds = |dir: &Path, wanted: &dyn Fn(&Path) -> bool| {
        std::fs::read_dir(dir).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| wanted(&e.path()))))
    };
    let is_repro = |path: &Path| path.extension().is_some_and(|e| e == "plx");
    paths.iter().cloned().partition(|path| {
        if path.is_dir() {
            holds(path, &programs::is_program) && !holds(path, &is_repro)
        } else {
            programs::is_program(path)
        }
    })
}

fn cases(options: &Options) -> anyhow::Result<u8> {
    let mut expectations = options.expect.read()?;
    let files = repro_files(&options.paths)?;
    let mut repros = Vec::with_capacity(files.len());
    for file in &files {
        repros.push((file, Repro::load(file)?));
    }
    let mut pairs = Pairs { options, open: BTreeMap::new() };
    let mut outcomes = Vec::new();
    let mut out = std::io::stdout().lock();
    for (file, repro) in &repros {
        let outcome = if options.recorded {
            replay_recorded(repro).with_context(|| file.display().to_string())?
        } else {
            pairs.replay(repro)?
        };
        let target = options.target.target.as_deref().unwrap_or(&repro.target_name);
        let expected = outcome.verdict == ReplayVerdict::StillThere
            && outcome.other.is_empty()
            && expectations.silences(target, &outcome.signature);
        if !options.json {
            writeln!(out, "{}", line(file, &outcome, expected))?;
        }
        outcomes.push((outcome, expected));
    }
    if options.json {
        let told: Result<Vec<_>, _> = outcomes.iter().map(as_json).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&told?)?)?;
    } else {
        if outcomes.len() > 1 {
            writeln!(out, "{}", summary(&outcomes))?;
        }
        for text in expectations.told().iter().chain(&expectations.unused()) {
            writeln!(out, "  {text}")?;
        }
    }
    if outcomes.iter().any(|(o, expected)| o.diverged > 0 && !expected) {
        return Ok(code::DIVERGES);
    }
    Ok(if outcomes.iter().any(|(o, _)| o.verdict == ReplayVerdict::NotRun) {
        code::NO_TARGET
    } else {
        code::OK
    })
}

fn as_json((outcome, expected): &(ReplayOutcome, bool)) -> serde_json::Result<serde_json::Value> {
    let mut value = serde_json::to_value(outcome)?;
    value["expected"] = (*expected).into();
    Ok(value)
}

/// All cases in a line, and those that are news by their class.
fn summary(outcomes: &[(ReplayOutcome, bool)]) -> String {
    let count = |verdict| outcomes.iter().filter(|(o, _)| o.verdict == verdict).count();
    let mut classes = BTreeMap::new();
    let mut expected = 0;
    for (outcome, is_expected) in outcomes {
        if *is_expected {
            expected += 1;
        } else if outcome.verdict == ReplayVerdict::StillThere {
            *classes.entry(outcome.class).or_default() += 1;
        }
    }
    let parts =
        [by_class(&classes), if expected > 0 { format!("{expected} expected") } else { String::new() }];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    let which = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!(
        "{} cases: {} still there{which}, {} gone, {} diverge otherwise, {} could not be run",
        outcomes.len(),
        count(ReplayVerdict::StillThere),
        count(ReplayVerdict::Gone),
        count(ReplayVerdict::Other),
        count(ReplayVerdict::NotRun)
    )
}

fn line(file: &Path, outcome: &ReplayOutcome, expected: bool) -> String {
    let verdict = match outcome.verdict {
        ReplayVerdict::StillThere if expected => "still there, as expected",
        ReplayVerdict::StillThere => "still there",
        ReplayVerdict::Gone => "gone",
        ReplayVerdict::Other => "diverges otherwise",
        ReplayVerdict::NotRun => "could not be run",
    };
    let mut text = format!(
        "{}: {verdict} ({} of {} runs): {}",
        file.display(),
        outcome.same_signature,
        outcome.runs,
        outcome.signature
    );
    for other in &outcome.other {
        text.push_str(&format!("\n  {} runs: {}", other.runs, other.line));
    }
    if let Some(change) = &outcome.reference_changed {
        text.push_str(&format!("\n  native Linux itself answers otherwise than recorded: {change}"));
    }
    text
}

/// Pairs by target, started when a case needs them.
struct Pairs<'a> {
    options: &'a Options,
    open: BTreeMap<(String, Option<String>), Pair>,
}

impl Pairs<'_> {
    fn replay(&mut self, repro: &Repro) -> Result<ReplayOutcome, TargetError> {
        let key = if self.options.target.named() {
            (String::new(), None)
        } else {
            (repro.target_name.clone(), repro.target_command.clone())
        };
        let pair = match self.open.entry(key) {
            std::collections::btree_map::Entry::Occupied(e) => e.into_mut(),
            std::collections::btree_map::Entry::Vacant(e) => {
                let target = self.options.target.recorded_or_named(repro)?;
                e.insert(Pair::start(target, Slot::default())?)
            }
        };
        replay_live(repro, pair, self.options.runs)
    }
}

impl TargetArgs {
    /// The target that was named, or the one a case was found on; its canary checked.
    pub(super) fn recorded_or_named(&self, repro: &Repro) -> Result<Arc<dyn Target>, TargetError> {
        if self.named() {
            return self.active();
        }
        let found_on = if repro.target_name.starts_with("command") {
            Choice { command: repro.target_command.clone(), ..Choice::default() }
        } else {
            Choice {
                name: Some(repro.target_name.clone()),
                path: repro.target_command.clone().map(PathBuf::from),
                command: None,
            }
        };
        let target = targets::choose(&found_on)?;
        let proof = target.canary()?;
        eprintln!("target {}: {}; {proof}", target.name(), target.version()?);
        Ok(target)
    }
}
