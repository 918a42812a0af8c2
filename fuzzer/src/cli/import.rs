//! `parallax import`: recordings of real programs become programs.

use super::programs::{self, Named};
use super::{TargetArgs, code};
use anyhow::Context as _;
use parallax_corpus::strace::{self, Import};
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

/// Turn recordings of real programs into programs.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, clap::Subcommand)]
enum Form {
    /// Recordings made by strace
    Strace(StraceOptions),
}

/// Recordings made by strace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  strace -f -v -xx -s 4096 -o vi.strace vi notes.txt
  parallax import strace vi.strace                         how much of it can be said
  parallax import strace vi.strace --replay --target gvisor   where does gVisor differ?
  parallax import strace vi.strace --out vi-programs
  parallax fuzz --seeds vi-programs --target gvisor        search around it

Exit codes: 0 nothing diverges, 1 something does (with --replay), 2 bad input or usage, 3 no target or no jail.")]
pub struct StraceOptions {
    /// Recordings: of `strace -f -v -xx -o FILE`, or all files of `strace -ff`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    what: Further,
}

/// What happens to what was imported.
#[derive(Debug, Default, clap::Args)]
pub struct Further {
    /// Write the programs into this folder, as text with the recorded lines as comments
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run the programs on both sides and show the first call that differs
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let Form::Strace(options) = &options.form;
    anyhow::ensure!(
        options.what.replay || !options.what.target.named(),
        "a target is for running the programs: add --replay"
    );
    import(&options.files, &options.what, options.what.replay)
}

/// Imports files, says what became of them, and goes on as asked.
pub(super) fn import(files: &[PathBuf], what: &Further, replay: bool) -> anyhow::Result<u8> {
    let mut recording = Vec::new();
    for path in files {
        recording.push((path.display().to_string(), read(path)?));
    }
    let import = strace::import(&recording)?;
    let names: Vec<String> = recording.into_iter().map(|(name, _)| base(&name)).collect();
    if let Some(dir) = &what.out {
        write_all(dir, &import, &names)?;
    }
    if !what.json {
        tell(&mut std::io::stdout().lock(), &import, what.out.as_deref())?;
    }
    let mut code = code::OK;
    let mut ran = Vec::new();
    if replay {
        let programs: Vec<Named> = import.programs.iter().map(|program| named(program, &names)).collect();
        (ran, code) = programs::replay(&programs, programs::RUNS, &what.target, what.json)?;
    }
    if what.json {
        let mut whole = serde_json::to_value(&import.report)?;
        whole["share"] = import.report.share().into();
        if replay {
            whole["replayed"] = serde_json::to_value(&ran)?;
        }
        writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&whole)?)?;
    }
    Ok(code)
}

impl Further {
    /// Whether the programs are to be run: asked for, or a target was named.
    pub(super) fn wants_replay(&self) -> bool {
        self.replay || self.target.named()
    }
}

fn base(name: &str) -> String {
    Path::new(name).file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let most = strace::MAX_RECORDING as u64 + 1;
    file.take(most).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    Ok(bytes)
}

fn named(imported: &strace::Imported, files: &[String]) -> Named {
    let line = |origin: &strace::Origin| {
        format!("{}:{}: {}", files.get(origin.file).map_or("", String::as_str), origin.line, origin.text)
    };
    Named {
        name: imported.name.clone(),
        program: imported.program.clone(),
        comments: imported.origins.iter().map(|origin| origin.as_ref().map(line)).collect(),
    }
}

fn write_all(dir: &Path, import: &Import, files: &[String]) -> anyhow::Result<()> {
    let failed = || format!("cannot write to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(failed)?;
    for program in &import.programs {
        let path = dir.join(format!("{}.txt", program.name));
        parallax_fuzzer::files::write_fresh(&path, program.text(files).as_bytes()).with_context(failed)?;
    }
    Ok(())
}

fn tell(out: &mut impl Write, import: &Import, dir: Option<&Path>) -> std::io::Result<()> {
    let report = &import.report;
    writeln!(
        out,
        "{} calls read, {} landed ({:.1} %), {} of them fitted; {} programs of {} calls{}",
        report.read,
        report.landed,
        100.0 * report.share(),
        report.adapted,
        report.programs,
        report.calls,
        dir.map_or_else(String::new, |dir| format!(" in {}", dir.display()))
    )?;
    if report.signals + report.exits > 0 {
        writeln!(out, "noted: {} signals, {} ends of processes", report.signals, report.exits)?;
    }
    let mut reasons: Vec<_> =
        report.skipped.iter().map(|(why, calls)| (calls.values().sum::<usize>(), why, calls)).collect();
    reasons.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    for (count, why, calls) in reasons {
        let calls: Vec<String> = calls.iter().map(|(call, n)| format!("{call} {n}")).collect();
        writeln!(out, "left out {count:>5}  {why}: {}", calls.join(", "))?;
    }
    for line in &report.unreadable {
        writeln!(out, "not read: {line}")?;
    }
    Ok(())
}
