//! `parallax targets`: what can be tested here.

use super::code;
use parallax_harness::targets::all_known;
use std::io::Write;

/// List the targets: what is here, its version, and whether it is active.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax targets
  parallax targets --json | jq -r '.[] | select(.active) | .name'

Each target's canary is started: a layer counts as active only if it is really there.")]
pub struct Options {
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    let targets = all_known();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&targets)?)?;
        return Ok(code::OK);
    }
    for t in &targets {
        let mark = if t.active { "active  " } else { "inactive" };
        writeln!(out, "{:<18} {mark}  {}", t.name, t.version.as_deref().unwrap_or("-"))?;
        writeln!(out, "{:<18}           {}", "", t.reason)?;
    }
    Ok(code::OK)
}
