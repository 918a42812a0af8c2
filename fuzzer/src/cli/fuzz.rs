//! `parallax fuzz`: a campaign.

use super::expect::{ExpectArgs, Stores};
use super::{TargetArgs, by_class, code, jobs, pairs, programs};
use anyhow::Context as _;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use parallax_corpus::{CallId, Program, tables};
use parallax_fuzzer::campaign::{self, CampaignOptions, Ending};
use parallax_fuzzer::guidance::Guidance;
use parallax_fuzzer::objective::{Triage, Verdict};
use parallax_fuzzer::runner::{PairRunner, lock, stopped};
use parallax_harness::link::StopWhen;
use parallax_harness::oracles::{Finding, Signature};
use parallax_harness::pair::{Pair, RunOptions};
use parallax_harness::target::{Target, TargetError};
use parallax_harness::targets::native::Native;
use parallax_replay::{Repro, ReproError};
use parallax_triage::doubts::{self, Doubts};
use parallax_triage::expect::Expectations;
use parallax_triage::investigate::{self, Provenance, investigate};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is under investigation when the time is up gets this much longer.
const GRACE: Duration = Duration::from_secs(3);

/// Search for differences between a target and native Linux.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax fuzz                                    a minute on the best layer found here
  parallax fuzz --target gvisor --time 8h --out night
  parallax fuzz --target qemu-user --target-path ~/qemu/qemu-x86_64 --time 1h
  parallax fuzz --target-cmd 'proot {agent}' --time 10m
  parallax fuzz --target mutant:tty-shared-flags --stop-after 1
  parallax fuzz --resume --out night --target gvisor --time 1h
  parallax fuzz --seeds vi-programs --target gvisor  begin with these too (see parallax import)
  parallax fuzz --no-seeds --target gvisor         from nothing but the descriptions

Cases are written to OUT/cases as they are confirmed, expected differences to OUT/expected,
findings that do not show every time to OUT/doubts; Ctrl-C ends cleanly and keeps everything.
Exit codes: 0 no case was found, 1 at least one was, 2 bad usage, 3 no target or no jail.")]
pub struct Options {
    #[command(flatten)]
    target: TargetArgs,
    /// Stop after this time (30s, 10m, 8h); without it and --execs and --stop-after: 60s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Stop after so many programs
    #[arg(long, value_name = "N")]
    execs: Option<u64>,
    /// Stop after so many new cases
    #[arg(long, value_name = "CASES")]
    stop_after: Option<u64>,
    /// Where cases, corpus and statistics go
    #[arg(long, value_name = "DIR", default_value = "parallax-out")]
    out: PathBuf,
    /// Seed of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pairs of a native agent and a target agent; unless given, as many a core as the target has use for (gVisor 1,
    /// qemu-user 2, others 4)
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Begin with these programs too: files, or folders of them (*.txt, *.prog)
    #[arg(long, value_name = "PATH", num_args = 1..)]
    seeds: Vec<PathBuf>,
    /// Leave out the programs that come with Parallax: begin with generated ones (and those of --seeds) only
    #[arg(long)]
    no_seeds: bool,
    /// Go on with the campaign in OUT
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    expect: ExpectArgs,
    /// Search without a part of the guidance, to see what it is worth: relations, novelty, survey, observe
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    without: Vec<String>,
    /// No progress line
    #[arg(long, short)]
    quiet: bool,
    /// Print the summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Reads `90`, `90s`, `10m`, `8h`, `2d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("`{text}` is no time: write 30s, 10m, 8h or 2d");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let scale = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(scale).map(Duration::from_secs).ok_or_else(wrong)
}

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let begun = options.out.join("state.bin").exists() || options.out.join("corpus").exists();
    anyhow::ensure!(
        options.resume || !begun,
        "{} holds a campaign already: go on with --resume, or give another --out",
        options.out.display()
    );
    anyhow::ensure!(
        !options.resume || begun,
        "{} holds no campaign to go on with: leave --resume out, or give its --out",
        options.out.display()
    );
    let mut expectations = options.expect.read()?;
    let seeds = seeds(options)?;
    let guidance = Guidance::default().without(&options.without).map_err(|error| anyhow::anyhow!(error))?;
    let _lock = claim(&options.out)?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            // Asked twice: now. Every file on disk is whole at any moment.
            std::process::exit(130);
        }
        eprintln!("\nending; press Ctrl-C again to leave at once");
    })
    .context("cannot catch Ctrl-C")?;
    let target = options.target.active()?;
    let jobs = jobs(&*target, options.jobs);
    let pairs: Vec<Arc<Mutex<Pair>>> =
        pairs(&target, jobs)?.into_iter().map(|pair| Arc::new(Mutex::new(pair))).collect();
    let allowed = allowed_calls(&pairs);
    let stores = Stores::open(&options.out, &target.name(), &mut expectations)?;
    let known_cases = stores.cases.cases().len() as u64;
    let limited = options.time.is_some() || options.execs.is_some() || options.stop_after.is_some();
    let time = options.time.or((!limited).then_some(Duration::from_secs(60)));
    let deadline = time.map(|time| Instant::now() + time + GRACE);
    let asked = Arc::clone(&stop);
    let end: StopWhen = Arc::new(move || stopped(&asked, deadline));
    pairs.iter().for_each(|pair| lock(pair).stop_when(Arc::clone(&end)));
    let triage = CampaignTriage {
        pairs: pairs.clone(),
        from: provenance(&*target, &options.target, options.seed)?,
        kept: Mutex::new((stores, expectations)),
        doubts: Mutex::new(Doubts::open(&options.out).context("cannot read what was not believed")?),
        failure: Mutex::new(None),
    };
    let campaign = CampaignOptions {
        target: target.name(),
        seed: options.seed,
        time,
        execs: options.execs,
        stop_after: options.stop_after,
        seeds: runnable(seeds, &allowed),
        allowed,
        points: target.has_points(),
        quiet: options.quiet,
        known_cases,
        guidance,
        ..CampaignOptions::new(options.out.clone())
    };
    let runners =
        pairs.iter().map(|pair| PairRunner { pair: Arc::clone(pair), how: RunOptions::SEARCH }).collect();
    let summary = campaign::run(campaign, runners, &triage, &stop)?;
    if let Some(error) = triage.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let (stores, expectations) = triage.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = stores.cases.cases().len();
    if options.json {
        let mut printed = serde_json::to_value(&summary.stats)?;
        printed["classes"] = serde_json::to_value(stores.cases.classes())?;
        printed["expected"] = stores.expected.cases().len().into();
        println!("{}", serde_json::to_string_pretty(&printed)?);
    } else {
        let why = match summary.ending {
            Ending::Time => "time is up",
            Ending::Programs => "all programs are run",
            Ending::Cases => "enough cases are found",
            Ending::Stopped => "stopped",
        };
        let dir = options.out.join("cases");
        println!("{why}: {count} cases in {}, {} of them new", dir.display(), summary.new_cases);
        if count > 0 {
            println!("  {}", by_class(stores.cases.classes()));
        }
        if summary.stats.waiting > 0 {
            println!("{} findings still wait to be confirmed: go on with --resume", summary.stats.waiting);
        }
        if summary.stats.unstable > 0 {
            let (unstable, dir) = (summary.stats.unstable, options.out.join(doubts::FOLDER));
            println!("{unstable} findings did not show every time and are no cases; why: {}", dir.display());
        }
        tell_expected(&stores, &expectations, &options.out);
        if count > 0 {
            println!("read them: parallax show {}/*.plx", dir.display());
            println!(
                "those that are mended together as one: parallax triage serve {}",
                options.out.display()
            );
        }
    }
    Ok(if count > 0 { code::DIVERGES } else { code::OK })
}

/// Says what was silenced, and by what.
fn tell_expected(stores: &Stores, expectations: &Expectations, out: &Path) {
    let lines = expectations.told();
    let silenced = stores.expected.cases().len();
    if silenced > 0 {
        println!(
            "{silenced} expected differences are not among them, but in {}:",
            out.join("expected").display()
        );
    }
    lines.iter().for_each(|line| println!("  {line}"));
}

/// What the campaign begins with, besides generated programs.
fn seeds(options: &Options) -> anyhow::Result<Vec<Program>> {
    let given = programs::load_all(&options.seeds)?.into_iter().map(|named| named.program);
    let own = if options.no_seeds { Vec::new() } else { parallax_corpus::seeds::programs() };
    Ok(own.into_iter().chain(given).collect())
}

/// The programs all of whose calls may be made.
fn runnable(seeds: Vec<Program>, allowed: &[bool]) -> Vec<Program> {
    let may = |call: &parallax_corpus::Call| allowed.get(call.id.index()).copied().unwrap_or(true);
    seeds.into_iter().filter(|program| program.calls.iter().all(may)).collect()
}

/// Keeps other campaigns out of the folder. The lock goes with the process, however that ends.
fn claim(dir: &Path) -> anyhow::Result<Flock<File>> {
    let unusable = || format!("cannot use {}", dir.display());
    std::fs::create_dir_all(dir).with_context(unusable)?;
    let file = File::create(dir.join("lock")).with_context(unusable)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        Errno::EWOULDBLOCK => {
            anyhow::anyhow!(
                "another campaign is at work in {}: give another --out, or wait for it",
                dir.display()
            )
        }
        error => anyhow::Error::new(error).context(unusable()),
    })
}

/// Calls that both worlds can run; what is left out is said, since it will not be searched.
fn allowed_calls(pairs: &[Arc<Mutex<Pair>>]) -> Vec<bool> {
    let Some(first) = pairs.first() else { return Vec::new() };
    let pair = lock(first);
    let (native, target) = pair.environments();
    for line in native.differences(target) {
        eprintln!("the worlds differ: {line}");
    }
    let allowed: Vec<bool> = (0..tables::all().len())
        .map(|k| CallId::from_index(k).is_some_and(|call| pair.can_run(call)))
        .collect();
    let off: Vec<&str> =
        tables::all().iter().zip(&allowed).filter(|(_, on)| !**on).map(|(d, _)| d.name).collect();
    if !off.is_empty() {
        eprintln!("left out, since a side lacks what they need: {}", off.join(", "));
    }
    allowed
}

/// What the campaign's cases have in common.
pub(super) fn provenance(target: &dyn Target, args: &TargetArgs, seed: u64) -> anyhow::Result<Provenance> {
    Ok(Provenance {
        target_name: target.name(),
        target_version: target.version()?,
        target_command: args
            .target_cmd
            .clone()
            .or_else(|| args.target_path.as_ref().map(|path| path.display().to_string())),
        kernel: Native.version()?,
        seed,
    })
}

/// Triage between batches: one thread a pair, verdicts in the order of the findings.
struct CampaignTriage {
    pairs: Vec<Arc<Mutex<Pair>>>,
    from: Provenance,
    /// What is stored, and what is expected.
    kept: Mutex<(Stores, Expectations)>,
    /// What was not believed.
    doubts: Mutex<Doubts>,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Triage for CampaignTriage {
    fn investigate(&self, found: Vec<(Program, Finding)>, most: u64) -> Vec<Verdict> {
        let known: BTreeSet<Signature> = {
            let (stores, _) = &*lock(&self.kept);
            stores.cases.cases().keys().chain(stores.expected.cases().keys()).cloned().collect()
        };
        let next = AtomicUsize::new(0);
        let mut answers: Vec<Option<Result<investigate::Verdict, TargetError>>> = Vec::new();
        answers.resize_with(found.len(), || None);
        let slots: Vec<Mutex<&mut Option<_>>> = answers.iter_mut().map(Mutex::new).collect();
        std::thread::scope(|scope| {
            for pair in &self.pairs {
                let (found, known, slots, from, next) = (&found, &known, &slots, &self.from, &next);
                scope.spawn(move || {
                    let mut pair = lock(pair);
                    pair.pin_thread();
                    loop {
                        let k = next.fetch_add(1, Ordering::Relaxed);
                        let Some((program, finding)) = found.get(k) else { break };
                        let known = |s: &Signature| known.contains(s);
                        let answer = investigate(&mut pair, program, finding, from, &known);
                        **lock(&slots[k]) = Some(answer);
                    }
                });
            }
        });
        drop(slots);
        let mut left = most;
        answers
            .into_iter()
            .zip(&found)
            .map(|(answer, (_, finding))| {
                // What is beyond the number asked for waits, as if nobody had looked at it yet.
                let verdict = if left == 0 { Verdict::Undecided } else { self.settle(answer, finding) };
                left -= u64::from(matches!(verdict, Verdict::Case { .. }));
                verdict
            })
            .collect()
    }
}

impl CampaignTriage {
    /// Keeps a case where it belongs; whether it is new and not expected.
    fn keep(&self, repro: &Repro) -> Result<bool, ReproError> {
        let (stores, expectations) = &mut *lock(&self.kept);
        if stores.cases.knows(&repro.signature) || stores.expected.knows(&repro.signature) {
            return Ok(false);
        }
        if expectations.silences(&self.from.target_name, &repro.signature) {
            stores.expected.keep(repro)?;
            return Ok(false);
        }
        stores.cases.keep(repro)
    }

    /// Stores what is new, in order.
    fn settle(
        &self,
        answer: Option<Result<investigate::Verdict, TargetError>>,
        finding: &Finding,
    ) -> Verdict {
        let kept = match answer {
            Some(Ok(investigate::Verdict::Case(repro))) => match self.keep(&repro) {
                Ok(true) => {
                    return Verdict::Case {
                        signature: repro.signature,
                        calls: repro.program.calls.len(),
                        program: repro.program,
                    };
                }
                Ok(false) => Ok(Verdict::Known(Some(repro.program))),
                Err(error) => Err(error.into()),
            },
            Some(Ok(investigate::Verdict::Known(_, program))) => Ok(Verdict::Known(Some(program))),
            Some(Err(TargetError::Stopped)) | None => Ok(Verdict::Undecided),
            Some(Ok(investigate::Verdict::Doubt(doubt, program))) => {
                let kept = lock(&self.doubts).keep(&self.from.target_name, &program, finding, &doubt);
                kept.map(|_| Verdict::Unstable).context("cannot keep what was not believed")
            }
            Some(Err(error)) => Err(error.into()),
        };
        kept.unwrap_or_else(|error| {
            eprintln!("parallax: {error:#}");
            lock(&self.failure).get_or_insert(error);
            Verdict::Unstable
        })
    }
}
