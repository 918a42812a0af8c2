//! `parallax record`: a program under strace, imported, and replayed where a target is named.

use super::code;
use super::import::{self, Further};
use anyhow::Context as _;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// Run a program under strace and import what it did.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax record -- vi notes.txt                       type as usual; how much of it can be said
  parallax record --target gvisor -- vi notes.txt       and where does gVisor differ?
  parallax record --out vi-programs --keep vi.strace -- vi notes.txt

The program keeps the terminal. Exit codes: 0 nothing diverges, 1 something does, 2 bad input or usage or no
strace here, 3 no target or no jail.")]
pub struct Options {
    #[command(flatten)]
    what: Further,
    /// Keep the recording in this file
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    // Ctrl-C at the terminal is for the program.
    ctrlc::set_handler(|| {}).context("cannot leave Ctrl-C to the program")?;
    let folder = tempfile::tempdir().context("cannot make a folder for the recording")?;
    let stem = options.program.first().map(PathBuf::from).unwrap_or_default();
    let stem = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = options.keep.clone().unwrap_or_else(|| folder.path().join(format!("{stem}.strace")));
    let status = Command::new("strace")
        .args(["-f", "-v", "-xx", "-s", "4096", "-o"])
        .arg(&file)
        .arg("--")
        .args(&options.program)
        .status();
    let status = match status {
        Ok(status) => status,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => anyhow::bail!(
            "strace is not installed: install it (on Debian: apt-get install strace), or import a recording \
             made elsewhere (parallax import strace)"
        ),
        Err(error) => return Err(error).context("cannot run strace"),
    };
    if !file.metadata().is_ok_and(|m| m.len() > 0) {
        anyhow::bail!("strace recorded nothing ({status}): it may not be allowed to trace here");
    }
    eprintln!("{}: {status}", options.program[0].to_string_lossy());
    let code = import::import(&[file], &options.what, options.what.wants_replay())?;
    debug_assert!(code <= code::NO_TARGET);
    Ok(code)
}
