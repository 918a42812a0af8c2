//! The command line: one file a subcommand. Here: what they share, and the exit codes.

mod bench;
mod calls;
mod crew;
mod expect;
mod fuzz;
mod import;
mod matrix;
mod minimize;
mod programs;
mod record;
mod replay;
mod report;
mod show;
mod targets;
mod triage;

use clap::{Args, Parser, Subcommand};
use parallax_harness::oracles::Class;
use parallax_harness::target::{Slot, Target, TargetError};
use parallax_harness::targets::{self as known, Choice};
use parallax_replay::repro::ReproError;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Exit codes, the contract with scripts and CI.
pub mod code {
    /// Nothing diverges; done.
    pub const OK: u8 = 0;
    /// Something diverges.
    pub const DIVERGES: u8 = 1;
    /// Bad input or usage.
    pub const USAGE: u8 = 2;
    /// The target or the jail cannot be had.
    pub const NO_TARGET: u8 = 3;
}

/// Finds, with proof, where an emulated syscall layer behaves differently from Linux.
#[derive(Debug, Parser)]
#[command(name = "parallax", version, max_term_width = 100)]
#[command(after_help = "Examples:
  parallax targets                                what can be tested here
  parallax fuzz --target gvisor --time 10m        search for differences
  parallax show parallax-out/cases/*.plx          read what was found
  parallax replay parallax-out/cases --json       does it still diverge? (exit 1 if so)
  parallax triage serve parallax-out              cases as pages in a browser
  parallax record --target gvisor -- vi notes.txt where does my editor's Linux differ from gVisor's?

Exit codes: 0 nothing diverges, 1 something does, 2 bad input or usage, 3 the target or the jail cannot be had.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Search for differences between a target and native Linux
    Fuzz(fuzz::Options),
    /// Run repro files again and say whether they still diverge
    Replay(replay::Options),
    /// Replay all cases on several versions of a target
    Matrix(matrix::Options),
    /// Turn recordings of real programs into programs, and run them on both sides
    Import(import::Options),
    /// Run a program under strace and import what it did
    Record(record::Options),
    /// Print a repro file as text, as a C program or as JSON
    Show(show::Options),
    /// Cut a repro file's program down further
    Minimize(minimize::Options),
    /// Follow cases over time: as pages, as files, as a store
    Triage(triage::Options),
    /// List the targets: what is here, its version, and whether it is active
    Targets(targets::Options),
    /// List the described system calls
    Calls(calls::Options),
    /// Measure programs per second, and where the time goes
    Bench(bench::Options),
}

/// How a target is named on the command line.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetArgs {
    /// Target: native, gvisor, gvisor:ptrace, qemu-user, criu, criu:lazy-pages, compel, gvisor-checkpoint, mutant:FAULT
    /// and more (see `parallax targets` and docs/targets.md)
    #[arg(long, value_name = "NAME", conflicts_with = "target_cmd")]
    target: Option<String>,
    /// Any command that runs a program under a layer, such as 'proot {agent}'
    #[arg(long, value_name = "TEMPLATE")]
    target_cmd: Option<String>,
    /// The layer's executable, where it is not the one found in PATH
    #[arg(long, value_name = "PATH", requires = "target")]
    target_path: Option<PathBuf>,
}

impl TargetArgs {
    fn choice(&self) -> Choice {
        Choice { name: self.target.clone(), command: self.target_cmd.clone(), path: self.target_path.clone() }
    }
    fn named(&self) -> bool {
        self.target.is_some() || self.target_cmd.is_some()
    }
    /// The target, its canary checked: a layer that is not active must not be believed. Says on standard error
    /// what was chosen.
    fn active(&self) -> Result<Arc<dyn Target>, TargetError> {
        let target = if self.named() { known::choose(&self.choice())? } else { known::best()? };
        let version = target.version()?;
        let proof = target.canary()?;
        eprintln!("target {}: {version}; {proof}", target.name());
        Ok(target)
    }
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Matrix(options) => matrix::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Record(options) => record::run(&options),
        Command::Show(options) => show::run(&options),
        Command::Minimize(options) => minimize::run(&options),
        Command::Triage(options) => triage::run(&options),
        Command::Targets(options) => targets::run(&options),
        Command::Calls(options) => calls::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(code::OK),
        Err(error) => {
            eprintln!("parallax: {}", told(&error));
            let no_target = error.chain().any(|e| e.is::<TargetError>());
            // An unknown name is the user's slip, not a missing layer.
            let slip = error
                .chain()
                .any(|e| matches!(e.downcast_ref::<TargetError>(), Some(TargetError::Unknown { .. })));
            ExitCode::from(if no_target && !slip { code::NO_TARGET } else { code::USAGE })
        }
    }
}

/// The error with its causes, each once: many of our errors name their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text
}

/// Whoever reads our output has stopped reading (`parallax calls | head`): no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|e| {
        e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// All repro files that paths name: files themselves, and `*.plx` in folders, sorted.
fn repro_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(|error| ReproError::Io { path: path.clone(), action: "list", error })?
                .filter_map(|e| e.ok().map(|e| e.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "plx"))
                .collect();
            inside.sort();
            anyhow::ensure!(!inside.is_empty(), "{}: no repro files (*.plx) in this folder", path.display());
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// How many there are of each class, for people: `3 semantic, 1 unsupported`.
fn by_class(counts: &std::collections::BTreeMap<Class, u64>) -> String {
    let told = Class::ALL.iter().filter_map(|class| Some((class, counts.get(class).filter(|n| **n > 0)?)));
    told.map(|(class, n)| format!("{n} {}", class.name())).collect::<Vec<_>>().join(", ")
}

/// The cores this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// That many pairs, spread over the cores; both sides of a pair stay on one core, where the pipes between them and us
/// cost least.
fn pairs(target: &Arc<dyn Target>, jobs: usize) -> Result<Vec<parallax_harness::pair::Pair>, TargetError> {
    let cores = cores();
    (0..jobs)
        .map(|worker| {
            let cpu = Some(worker % cores);
            parallax_harness::pair::Pair::start(Arc::clone(target), Slot { worker, cpu })
        })
        .collect()
}

/// The number of pairs: as asked, or as many for each core as the target has use for.
fn jobs(target: &dyn Target, asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| target.pairs_a_core() * cores()).clamp(1, 256)
}
