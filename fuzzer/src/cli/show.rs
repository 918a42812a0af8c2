//! `parallax show`: a repro file for people, compilers and scripts.

use super::{code, repro_files};
use anyhow::Context as _;
use parallax_replay::{Repro, render_c, render_json, render_text};
use std::io::Write;
use std::path::PathBuf;

/// Print a repro file as text, as a C program or as JSON.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax show parallax-out/cases/*.plx
  parallax show --format c case.plx > case.c && gcc -static -o case case.c && ./case
  parallax show --format json case.plx | jq .signature

The C program performs the calls by itself and says whether the result is Linux's: run it on both sides.")]
pub struct Options {
    /// Repro files, or folders of them (one file with --format c)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    C,
    Json,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let files = repro_files(&options.files)?;
    anyhow::ensure!(
        options.format != Format::C || files.len() == 1,
        "--format c takes one file: a C program shows one case"
    );
    let mut out = std::io::stdout().lock();
    let mut objects = Vec::new();
    for (k, file) in files.iter().enumerate() {
        let repro = Repro::load(file)?;
        let named = || file.display().to_string();
        match options.format {
            Format::Text => {
                if k > 0 {
                    writeln!(out)?;
                }
                write!(out, "{}", render_text(&repro).with_context(named)?)?;
            }
            Format::C => write!(out, "{}", render_c::render_c(&repro).with_context(named)?)?,
            Format::Json => objects.push(render_json(&repro).with_context(named)?),
        }
    }
    if options.format == Format::Json {
        let whole = if objects.len() == 1 { objects.remove(0) } else { serde_json::Value::Array(objects) };
        writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
    }
    Ok(code::OK)
}
