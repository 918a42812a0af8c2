//! `parallax minimize`: a repro file, smaller.

use super::{TargetArgs, code, fuzz, jobs, pairs};
use parallax_replay::Repro;
use parallax_triage::Many;
use parallax_triage::investigate::reminimize;
use std::path::{Path, PathBuf};

/// Cut a repro file's program down further.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax minimize case.plx                     writes what is left beside it, under its own name
  parallax minimize case.plx --out smaller --jobs 4

What is left is confirmed like any finding. The file given is never changed.
Exit codes: 0 it is minimal already or a smaller case was written, 2 bad input, 3 no target or no jail.")]
pub struct Options {
    /// The repro file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Folder for the smaller case; the file's own with `-min` unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Pairs to run candidates on; as many a core as the target has use for, unless given
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let repro = Repro::load(&options.file)?;
    let target = options.target.recorded_or_named(&repro)?;
    let mut pairs = pairs(&target, jobs(&*target, options.jobs))?;
    let from = fuzz::provenance(&*target, &options.target, repro.seed)?;
    let worlds = {
        let (native, target) = pairs[0].environments();
        (native.clone(), target.clone())
    };
    let before = repro.program.calls.len();
    match reminimize(&mut Many(&mut pairs), &repro, (&worlds.0, &worlds.1), &from)? {
        None => println!("{}: nothing of its {before} calls can go", options.file.display()),
        Some(smaller) => {
            let dir = options.out.clone().unwrap_or_else(|| beside(&options.file));
            std::fs::create_dir_all(&dir)?;
            let path = smaller.save(&dir)?;
            println!("{}: {before} calls before, {} now", path.display(), smaller.program.calls.len());
        }
    }
    Ok(code::OK)
}

/// `dir/case.plx` becomes the folder `dir/case-min`.
fn beside(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{stem}-min"))
}
