//! `parallax bench`: programs per second, side by side with a bare fork loop in the same run.

use super::{TargetArgs, code, cores, pairs};
use libafl_bolts::rands::StdRand;
use parallax_corpus::{Call, CallId, End, Program, tables};
use parallax_fuzzer::generate::Generator;
use parallax_fuzzer::points;
use parallax_fuzzer::tally::Weights;
use parallax_harness::bare::fork_loop;
use parallax_harness::pair::{Pair, PairResult, RunOptions, Times};
use parallax_harness::target::Target;
use parallax_harness::targets::{self, native::Native};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measure programs per second, and where the time goes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  parallax bench                       native against native, and the best layer found
  parallax bench --target gvisor:ptrace --rounds 5
  parallax bench --json | jq '.targets[0].programs_per_second'

Figures are medians of the rounds. A program has 10 generated calls and its probes; it runs on both sides. Programs
that hang or kill the layer are left out, and measured beside the others. The bare loop only forks, exits and waits, on
as many cores. On a shared machine only the ratios mean something.")]
pub struct Options {
    #[command(flatten)]
    target: TargetArgs,
    /// Rounds; the medians are given
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    cores: usize,
    calls_per_program: usize,
    /// A bare loop of fork, exit and wait on all cores, per second.
    fork_loop_per_second: f64,
    targets: Vec<Figures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    target: String,
    version: String,
    /// Different programs in the mix.
    programs: usize,
    /// Of programs that the layer survives.
    programs_per_second: f64,
    programs_per_second_one_core: f64,
    /// Of all programs.
    programs_per_second_with_hangs: f64,
    /// Programs that hung or killed the layer when all were run for the first time, by their first call.
    hangs: BTreeMap<&'static str, u64>,
    /// Programs of as many calls of getpid() on all cores: what transport, child and judging cost by themselves.
    getpid_programs_per_second: f64,
    scaling: f64,
    /// Programs a second to the bare loop's forks a second, though each program is a child on either side.
    of_fork_loop: f64,
    calls_ok_percent: f64,
    blocked_percent: f64,
    /// Where a worker's time goes, percent.
    time: Vec<(&'static str, f64)>,
    /// What a checkpoint costs, where the target has a hand in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoints: Option<Checkpoints>,
}

/// Checkpoints of the simplest program that has one.
#[derive(Debug, Serialize)]
struct Checkpoints {
    per_second_one_core: f64,
    per_second: f64,
    /// The steps of one, in milliseconds, with all cores busy.
    milliseconds: Vec<(&'static str, f64)>,
}

/// Calls in a program.
const CALLS: usize = 10;
/// Different programs in the mix.
const PROGRAMS: usize = 2048;
/// The same where each is dumped and restored.
const POINTED: usize = 128;
/// Programs in one batch.
const BATCH: usize = 64;
/// The same.
const POINTED_BATCH: usize = 4;

/// Runs it.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let cores = cores();
    // First, while this process is small: a fork costs what its parent has mapped.
    let second = Duration::from_secs(1);
    let forks: Result<Vec<f64>, _> = (0..options.rounds).map(|_| fork_loop(cores, second)).collect();
    let forks = median(forks?);
    let mut list: Vec<Arc<dyn Target>> = vec![Arc::new(Native)];
    if options.target.named() {
        list.push(options.target.active()?);
    } else {
        list.extend(targets::best().ok().filter(|t| t.name() != "native"));
    }
    let mut figures = Vec::new();
    for target in list {
        figures.push(measure(&target, cores, options, forks)?);
    }
    let report = Report { cores, calls_per_program: CALLS, fork_loop_per_second: forks, targets: figures };
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(code::OK);
    }
    writeln!(out, "bare fork, exit, wait on {cores} cores: {forks:.0}/s")?;
    for f in &report.targets {
        writeln!(out, "\n{} ({})", f.target, f.version)?;
        writeln!(
            out,
            "  {} programs/s of {CALLS} generated calls on {cores} cores, {} on one: {:.2} times",
            shown(f.programs_per_second),
            shown(f.programs_per_second_one_core),
            f.scaling
        )?;
        let hangs: u64 = f.hangs.values().sum();
        if hangs > 0 {
            let named: Vec<String> = f.hangs.iter().map(|(call, n)| format!("{call}: {n}")).collect();
            writeln!(
                out,
                "  {:.0} with those among them that hang or kill the layer: {hangs} of {}, by their first calls {}",
                f.programs_per_second_with_hangs,
                f.programs,
                named.join(", ")
            )?;
        }
        writeln!(
            out,
            "  {} programs/s of {CALLS} times getpid() on {cores} cores",
            shown(f.getpid_programs_per_second)
        )?;
        writeln!(
            out,
            "  {:.2} of the bare loop (programs/s to forks/s); {:.1}% of calls succeed, {:.2}% of programs block",
            f.of_fork_loop, f.calls_ok_percent, f.blocked_percent
        )?;
        for (what, percent) in &f.time {
            writeln!(out, "  {percent:5.1}%  {what}")?;
        }
        if let Some(c) = &f.checkpoints {
            writeln!(
                out,
                "  {} checkpoints/s on {cores} cores, {} on one; of each:",
                shown(c.per_second),
                shown(c.per_second_one_core)
            )?;
            for (what, ms) in &c.milliseconds {
                writeln!(out, "  {ms:5.2} ms {what}")?;
            }
        }
    }
    Ok(code::OK)
}

/// A rate without digits that mean nothing.
fn shown(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// Programs of exactly [`CALLS`] calls that both worlds can run.
fn programs(pair: &Pair, points: bool) -> Vec<Program> {
    let allowed: Vec<bool> = (0..tables::all().len())
        .map(|k| CallId::from_index(k).is_some_and(|call| pair.can_run(call)))
        .collect();
    let generator = Generator::new(&allowed);
    let weights = Weights::even();
    let mut dice = StdRand::with_seed(1);
    let count = if points { POINTED } else { PROGRAMS };
    let mut programs = Vec::with_capacity(count);
    while programs.len() < count {
        let mut program = generator.generate(&mut dice, &weights);
        while program.calls.len() < CALLS {
            generator.append(&mut dice, &weights, &mut program, None);
        }
        program.calls.truncate(CALLS);
        if points {
            points::ensure(&mut dice, &generator, &weights, &mut program);
        }
        programs.push(program);
    }
    programs
}

/// The simplest program of [`CALLS`] calls, one of them a checkpoint if there is to be one.
fn simple(points: bool) -> Program {
    let call = |name| CallId::named(name).map(|id| Call::new(id, Vec::new()));
    let mut calls: Vec<Call> = call("getpid").into_iter().cycle().take(CALLS).collect();
    if points {
        calls.truncate(CALLS - 1);
        calls.extend(call("checkpoint"));
    }
    Program { calls }
}

fn measure(target: &Arc<dyn Target>, cores: usize, options: &Options, forks: f64) -> anyhow::Result<Figures> {
    let a_core = target.pairs_a_core();
    let mut workers = pairs(target, a_core * cores)?;
    // The first core's pairs first, so that a prefix of the list is one core.
    workers = by_core(workers, cores);
    let points = target.has_points();
    let everything = programs(&workers[0], points);
    let time = Duration::from_secs(options.seconds);
    let (mut all, mut one) = (Vec::new(), Vec::new());
    // Once over everything first, for warmth and for the counts.
    let batch = if points { POINTED_BATCH } else { BATCH };
    let Warm { run, ok, calls, blocked, hangs, programs } = warm_up(&mut workers, &everything, batch)?;
    let everything = &everything[..run];
    let before: Vec<Times> = workers.iter().map(|p| p.times).collect();
    let mut wall = Duration::ZERO;
    for _ in 0..options.rounds {
        one.push(rate(&mut workers[..a_core], &programs, time, batch)?);
        all.push(rate(&mut workers, &programs, time, batch)?);
        wall += time;
    }
    // The first worker ran in both measurements.
    let spent = workers[0].times;
    let repeated = |workers: &mut [Pair], programs: &[Program]| -> anyhow::Result<f64> {
        let rates: anyhow::Result<Vec<f64>> =
            (0..options.rounds).map(|_| rate(workers, programs, time, batch)).collect();
        Ok(median(rates?))
    };
    let with_hangs = if hangs.is_empty() { None } else { Some(repeated(&mut workers, everything)?) };
    let checkpoints = points.then(|| checkpoints(&mut workers, a_core, options)).transpose()?;
    let getpid = match &checkpoints {
        // The same programs, measured already.
        Some(measured) => measured.per_second,
        None => {
            let simple = vec![simple(false); BATCH * workers.len()];
            repeated(&mut workers, &simple)?
        }
    };
    let (all, one) = (median(all), median(one));
    let part =
        |now: Duration, then: Duration| (now - then).as_secs_f64() / (2.0 * wall.as_secs_f64()) * 100.0;
    let then = before[0];
    let mut parts = vec![
        ("compiling programs", part(spent.compile, then.compile)),
        ("sending requests", part(spent.send, then.send)),
        ("waiting for native", part(spent.native, then.native)),
        ("waiting on for the target", part(spent.target, then.target)),
        ("judging", part(spent.judge, then.judge)),
    ];
    let rest = 100.0 - parts.iter().map(|p| p.1).sum::<f64>();
    parts.push(("rest (reading traces, threads)", rest.max(0.0)));
    Ok(Figures {
        target: target.name(),
        version: target.version()?,
        programs: everything.len(),
        programs_per_second: all,
        programs_per_second_one_core: one,
        programs_per_second_with_hangs: with_hangs.unwrap_or(all),
        hangs,
        getpid_programs_per_second: getpid,
        scaling: all / one.max(1e-9),
        of_fork_loop: all / forks.max(1e-9),
        calls_ok_percent: 100.0 * ok as f64 / calls.max(1) as f64,
        blocked_percent: 100.0 * blocked as f64 / everything.len().max(1) as f64,
        time: parts,
        checkpoints,
    })
}

/// What checkpoints alone cost.
fn checkpoints(workers: &mut [Pair], a_core: usize, options: &Options) -> anyhow::Result<Checkpoints> {
    let time = Duration::from_secs(options.seconds);
    let simple = vec![simple(true); BATCH * workers.len()];
    let (mut one, mut all) = (Vec::new(), Vec::new());
    let mut spent: BTreeMap<&'static str, Duration> = BTreeMap::new();
    let mut count = 0.0;
    for _ in 0..options.rounds {
        one.push(rate(&mut workers[..a_core], &simple, time, POINTED_BATCH)?);
        let before: BTreeMap<_, _> = workers[0].point_times().into_iter().collect();
        let begin = Instant::now();
        all.push(rate(workers, &simple, time, POINTED_BATCH)?);
        count += all.last().copied().unwrap_or(0.0) * begin.elapsed().as_secs_f64() / workers.len() as f64;
        for (what, now) in workers[0].point_times() {
            // A target that was started again meanwhile counts anew.
            let then = before.get(what).copied().unwrap_or_default();
            *spent.entry(what).or_default() += now.saturating_sub(then);
        }
    }
    let each = |time: Duration| 1000.0 * time.as_secs_f64() / f64::max(count, 1.0);
    let milliseconds = spent.into_iter().map(|(what, time)| (what, each(time))).collect();
    Ok(Checkpoints { per_second_one_core: median(one), per_second: median(all), milliseconds })
}

/// Brings pairs that were spread over the cores in turn into the order of their cores.
fn by_core(pairs: Vec<Pair>, cores: usize) -> Vec<Pair> {
    let mut indexed: Vec<(usize, Pair)> = pairs.into_iter().enumerate().collect();
    indexed.sort_by_key(|(k, _)| k % cores);
    indexed.into_iter().map(|(_, pair)| pair).collect()
}

/// What came of running every program once.
struct Warm {
    /// How many of them were run before the time was up.
    run: usize,
    /// Calls that succeeded natively.
    ok: u64,
    /// Calls executed.
    calls: u64,
    /// Programs that blocked.
    blocked: u64,
    /// Programs that hung or killed the layer, by their first call.
    hangs: BTreeMap<&'static str, u64>,
    /// The others.
    programs: Vec<Program>,
}

/// How long a slow layer may take over its programs once; at least a batch of each worker is run.
const WARM_UP: Duration = Duration::from_secs(20);

/// Runs every program once. What hangs or kills the layer is run again, patiently, before it is believed.
fn warm_up(workers: &mut [Pair], programs: &[Program], batch: usize) -> anyhow::Result<Warm> {
    use parallax_corpus::State;
    let survived = |result: &PairResult| !matches!(result.target.end, End::Hung | End::Crashed);
    let mut warm = Warm { run: 0, ok: 0, calls: 0, blocked: 0, hangs: BTreeMap::new(), programs: Vec::new() };
    let (begin, least) = (Instant::now(), batch * workers.len());
    for batch in programs.chunks(batch) {
        if begin.elapsed() > WARM_UP && warm.run >= least {
            break;
        }
        warm.run += batch.len();
        for (program, result) in batch.iter().zip(workers[0].run(batch, RunOptions::SEARCH)?) {
            let own = &result.native.outcomes[..CALLS.min(result.native.outcomes.len())];
            let ran = |state| !matches!(state, State::NotRun | State::Skipped);
            warm.ok += own.iter().filter(|o| o.ok()).count() as u64;
            warm.calls += own.iter().filter(|o| ran(o.state)).count() as u64;
            warm.blocked += u64::from(own.iter().any(|o| o.state == State::Blocked));
            let again = std::slice::from_ref(program);
            if survived(&result) || workers[0].run(again, RunOptions::PATIENT)?.iter().all(survived) {
                warm.programs.push(program.clone());
            } else if let Some(first) = program.calls.first() {
                *warm.hangs.entry(first.id.name()).or_default() += 1;
            }
        }
    }
    Ok(warm)
}

/// Programs a second on those workers.
fn rate(workers: &mut [Pair], programs: &[Program], time: Duration, batch: usize) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let share = programs.len() / workers.len();
    let counts: Vec<anyhow::Result<u64>> = std::thread::scope(|scope| {
        let handles: Vec<_> = workers
            .iter_mut()
            .enumerate()
            .map(|(k, pair)| {
                scope.spawn(move || -> anyhow::Result<u64> {
                    pair.pin_thread();
                    let mut run = 0;
                    for batch in programs[k * share..].iter().as_slice().chunks(batch).cycle() {
                        if begin.elapsed() >= time {
                            break;
                        }
                        run += pair.run(batch, RunOptions::SEARCH)?.len() as u64;
                    }
                    Ok(run)
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap_or_else(|_| anyhow::bail!("a worker panicked"))).collect()
    });
    let mut total = 0;
    for count in counts {
        total += count?;
    }
    Ok(total as f64 / begin.elapsed().as_secs_f64())
}
