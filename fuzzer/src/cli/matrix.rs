//! `parallax matrix`: all cases on several versions of a target.

use super::{code, crew, jobs, repro_files};
use anyhow::Context as _;
use parallax_harness::target::TargetError;
use parallax_harness::targets::{self, Choice};
use parallax_replay::{ReplayVerdict, Repro};
use parallax_triage::results::{Replayed, Results};
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Replay all cases on several versions of a target.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax matrix parallax-out --target gvisor --target-path ./runsc-2022 --target-path /usr/bin/runsc
  parallax triage serve parallax-out                    and look at the page `matrix`

What each version did is kept in DIR/replays, from where the store takes it.

Exit codes: 0 done, 2 bad input or usage, 3 a target or the jail cannot be had.")]
pub struct Options {
    /// A campaign's folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The target
    #[arg(long, value_name = "NAME")]
    target: String,
    /// The layer's executable, once for each version; without it the one that is found
    #[arg(long = "target-path", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Runs of each case
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Pairs at once
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let cases = options.dir.join("cases");
    let from = if cases.is_dir() { cases } else { options.dir.clone() };
    let repros = repro_files(std::slice::from_ref(&from))?
        .iter()
        .map(|file| Repro::load(file))
        .collect::<Result<Vec<Repro>, _>>()?;
    let all: Vec<&Repro> = repros.iter().collect();
    let paths: Vec<Option<PathBuf>> = match options.paths.is_empty() {
        true => vec![None],
        false => options.paths.iter().cloned().map(Some).collect(),
    };
    // First whether all of them can be had: an hour is not to be lost to a slip in the last one's path.
    let mut versions = Vec::new();
    for path in paths {
        let choice = Choice { name: Some(options.target.clone()), command: None, path };
        let target = targets::choose(&choice)?;
        let (version, proof) = (target.version()?, target.canary()?);
        eprintln!("target {}: {version}; {proof}", target.name());
        versions.push((target, version));
    }
    let mut told = Vec::new();
    for (target, version) in versions {
        let outcomes = crew::replay_all(&target, &all, options.runs, jobs(target.as_ref(), options.jobs))
            .map_err(|error: TargetError| anyhow::Error::new(error).context(version.clone()))?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let results = Results {
            target: target.name(),
            version,
            at,
            cases: outcomes.iter().map(Replayed::from).collect(),
        };
        let kept = results
            .save(&options.dir)
            .with_context(|| format!("cannot keep the results in {}", options.dir.display()))?;
        if !options.json {
            let count = |wanted| results.cases.iter().filter(|c| c.verdict == wanted).count();
            writeln!(
                std::io::stdout(),
                "{}: {} diverge, {} agree, {} diverge otherwise, {} could not be run ({})",
                results.version,
                count(ReplayVerdict::StillThere),
                count(ReplayVerdict::Gone),
                count(ReplayVerdict::Other),
                count(ReplayVerdict::NotRun),
                kept.display()
            )?;
        }
        told.push(results);
    }
    if options.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&told)?)?;
    }
    Ok(code::OK)
}
