//! `parallax replay`: is it still there? And programs that are no cases: do both sides agree?

use super::crew::replay_all;
use super::expect::ExpectArgs;
use super::report::{ReportArgs, Status, Told};
use super::{TargetArgs, by_class, code, jobs, programs, repro_files};
use anyhow::Context as _;
use parallax_harness::oracles::Signature;
use parallax_harness::target::{Target, TargetError};
use parallax_harness::targets::{self, Choice};
use parallax_replay::{ReplayOutcome, ReplayVerdict, Repro, replay_recorded};
use parallax_triage::expect::{Day, Entry};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs of a case.
const CASE_RUNS: u32 = 5;

/// Run repro files again and say whether they still diverge; run programs and say whether they do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax replay parallax-out/cases                       each on the target it was found on
  parallax replay case.plx --target gvisor --target-path ./runsc-new --runs 20
  parallax replay cases --recorded                         judge the recordings again, run nothing
  parallax replay vi-programs --target gvisor              programs: text (*.txt) or binary (*.prog)
  parallax replay parallax-out/doubts --target gvisor --runs 100   how often do they differ?
  parallax replay cases --target gvisor --expect ours.toml --junit r.xml --sarif r.sarif --github   (docs/ci.md)
  parallax replay cases --json | jq '.[] | select(.verdict == \"gone\")'

Exit codes: 0 nothing diverges, 1 something does, 2 bad input or usage, 3 no target or no jail.")]
pub struct Options {
    /// Repro files or programs, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    /// Runs of each case (5) or program (1; more for what comes and goes)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: Option<u32>,
    /// Judge the two recorded traces again; run nothing
    #[arg(long, conflicts_with_all = ["runs", "jobs", "target", "target_cmd", "target_path"])]
    recorded: bool,
    #[command(flatten)]
    expect: ExpectArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Pairs at once
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
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
        let runs = options.runs.unwrap_or(programs::RUNS);
        let (ran, code) = programs::replay(&programs, runs, &options.target, options.json)?;
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
    let repros = files.iter().map(|file| Repro::load(file)).collect::<Result<Vec<Repro>, _>>()?;
    let outcomes = if options.recorded {
        let judge = |(file, repro): (&PathBuf, &Repro)| {
            replay_recorded(repro).with_context(|| file.display().to_string())
        };
        files.iter().zip(&repros).map(judge).collect::<anyhow::Result<Vec<ReplayOutcome>>>()?
    } else {
        live(options, &repros)?
    };
    let known: BTreeSet<Signature> = repros.iter().map(|repro| repro.signature.clone()).collect();
    let known = known.iter().collect();
    let today = Day::today();
    let mut told = Vec::with_capacity(outcomes.len());
    for ((file, repro), outcome) in files.into_iter().zip(repros).zip(outcomes) {
        let target = options.target.target.as_deref().unwrap_or(&repro.target_name);
        let as_it_was = outcome.verdict == ReplayVerdict::StillThere && outcome.other.is_empty();
        let gone = outcome.verdict == ReplayVerdict::Gone;
        // What the user listed as diverging, and is gone.
        let listed = |e: &Entry| !e.shipped && !e.is_expired(today) && e.is_about(target, &outcome.signature);
        let unexpected_fix = gone && expectations.entries().iter().any(listed);
        let expected = as_it_was && expectations.silences(target, &outcome.signature);
        told.push(Told {
            status: Status::of(&outcome, &known),
            expected,
            unexpected_fix,
            file,
            repro,
            outcome,
        });
    }
    options.report.tell(&told)?;
    let mut out = std::io::stdout().lock();
    if options.json {
        let values: Result<Vec<_>, _> = told.iter().map(as_json).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&values?)?)?;
    } else {
        for case in &told {
            writeln!(out, "{}", line(case))?;
        }
        if told.len() > 1 {
            writeln!(out, "{}", summary(&told))?;
        }
        for text in expectations.told().iter().chain(&expectations.unused()) {
            writeln!(out, "  {text}")?;
        }
    }
    if told.iter().any(Told::fails) {
        return Ok(code::DIVERGES);
    }
    let not_run = told.iter().any(|case| case.outcome.verdict == ReplayVerdict::NotRun);
    Ok(if not_run { code::NO_TARGET } else { code::OK })
}

/// Replays all cases, those of one target at once.
fn live(options: &Options, repros: &[Repro]) -> anyhow::Result<Vec<ReplayOutcome>> {
    let mut groups: BTreeMap<(&str, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (at, repro) in repros.iter().enumerate() {
        let key = if options.target.named() {
            ("", None)
        } else {
            (repro.target_name.as_str(), repro.target_command.as_deref())
        };
        groups.entry(key).or_default().push(at);
    }
    let mut outcomes: Vec<(usize, ReplayOutcome)> = Vec::with_capacity(repros.len());
    for places in groups.into_values() {
        let members: Vec<&Repro> = places.iter().map(|at| &repros[*at]).collect();
        let target = options.target.recorded_or_named(members[0])?;
        let crew = jobs(target.as_ref(), options.jobs);
        outcomes.extend(places.iter().copied().zip(replay_all(
            &target,
            &members,
            options.runs.unwrap_or(CASE_RUNS),
            crew,
        )?));
    }
    outcomes.sort_by_key(|(at, _)| *at);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn as_json(told: &Told) -> serde_json::Result<serde_json::Value> {
    let mut value = serde_json::to_value(&told.outcome)?;
    value["expected"] = told.expected.into();
    value["unexpected_fix"] = told.unexpected_fix.into();
    value["status"] = serde_json::to_value(told.status)?;
    Ok(value)
}

/// All cases in a line, and those that are news by their class.
fn summary(told: &[Told]) -> String {
    let mut counts = BTreeMap::new();
    let mut classes = BTreeMap::new();
    let mut expected = 0;
    for case in told {
        *counts.entry(case.status).or_default() += 1;
        if case.expected {
            expected += 1;
        } else if case.status == Status::StillDiverges {
            *classes.entry(case.outcome.class).or_default() += 1;
        }
    }
    let parts =
        [by_class(&classes), if expected > 0 { format!("{expected} expected") } else { String::new() }];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    let which = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let of = |(status, count): (Status, usize)| {
        let which = if status == Status::StillDiverges { which.as_str() } else { "" };
        format!("{count} {}{which}", status.words())
    };
    let counts: Vec<String> = counts.into_iter().map(of).collect();
    format!("{} cases: {}", told.len(), counts.join(", "))
}

fn line(told: &Told) -> String {
    let Told { file, outcome, .. } = told;
    let mut text = format!("{}: {}: {}", file.display(), told.verdict(), outcome.signature);
    for other in &outcome.other {
        text.push_str(&format!("\n  {} runs: {}", other.runs, other.line));
    }
    if let Some(change) = &outcome.reference_changed {
        text.push_str(&format!("\n  native Linux itself answers otherwise than recorded: {change}"));
    }
    text
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
