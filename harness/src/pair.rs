//! A pair: one native agent and one target agent that run the same programs at the same time.

use crate::link::{Environment, StopWhen};
use crate::oracles::{self, Evidence, Finding};
use crate::side::Side;
use crate::target::{Slot, Target, TargetError};
use parallax_corpus::compile::{Mode, compile, request};
use parallax_corpus::desc::{self, Op};
use parallax_corpus::{CallId, Code, End, Program, Trace};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How hard a run is isolated, lowest first: the ladder a finding climbs before it is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// A child that shares the agent's memory.
    #[default]
    Shared,
    /// A forked child.
    Forked,
    /// A forked child in a freshly started agent (native) and layer (target), nothing run before.
    Fresh,
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Isolation of each program.
    pub isolation: Isolation,
    /// How long a call may wait before it counts as blocked, µs.
    pub block_us: u32,
    /// The layer counts as hung after this part of its patience, and of what every program adds to it. Who hurries
    /// takes slow for hung now and then, and must ask again.
    pub haste: u32,
}

impl RunOptions {
    /// What the search uses.
    pub const SEARCH: RunOptions = RunOptions { isolation: Isolation::Shared, block_us: 3_000, haste: 3 };
    /// What confirmation, minimization and replay use: patient, so that a loaded machine changes no verdict.
    pub const PATIENT: RunOptions = RunOptions { isolation: Isolation::Shared, block_us: 120_000, haste: 1 };

    /// The same on another rung of the ladder.
    #[must_use]
    pub fn at(self, isolation: Isolation) -> RunOptions {
        RunOptions { isolation, ..self }
    }
}

/// What both sides made of one program.
#[derive(Clone, Debug)]
pub struct PairResult {
    /// The native trace.
    pub native: Trace,
    /// The target's trace.
    pub target: Trace,
    /// The first difference, by all oracles.
    pub finding: Option<Finding>,
    /// What a layer said before it died, empty otherwise.
    pub last_words: String,
}

/// Where a pair's time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Compiling programs and joining requests.
    pub compile: Duration,
    /// Writing requests.
    pub send: Duration,
    /// Waiting for the native reply.
    pub native: Duration,
    /// Waiting on for the target's, after the native one has come.
    pub target: Duration,
    /// Reading traces and judging them.
    pub judge: Duration,
}

/// Most programs in one message. Natively the transport no longer shows from 16 on; a layer that falls asleep between
/// messages takes up to 10 ms to wake.
const BATCH: usize = 64;
/// Largest request sent, bytes; well below what the agent takes.
const REQUEST_SIZE: usize = 256 << 10;

/// One native agent and one target agent.
pub struct Pair {
    native: Side,
    target: Side,
    /// Where the time went so far.
    pub times: Times,
}

/// What both sides of one program did: the native trace, then the target's with its last words.
type Sides = (Trace, (Trace, String));

impl Pair {
    /// Starts both sides.
    ///
    /// # Errors
    /// Either side cannot be had.
    pub fn start(target: Arc<dyn Target>, slot: Slot) -> Result<Pair, TargetError> {
        let native = Side::start(target.reference(), slot.clone())?;
        let target = Side::start(target, slot)?;
        Ok(Pair { native, target, times: Times::default() })
    }

    /// From now on a run ends as [`TargetError::Stopped`] soon after `stop` says so; its programs count as not run.
    pub fn stop_when(&mut self, stop: StopWhen) {
        for side in [&mut self.native, &mut self.target] {
            if let Some(instance) = &mut side.instance {
                instance.link().stop_when(Some(Arc::clone(&stop)));
            }
            side.stop = Some(Arc::clone(&stop));
        }
    }

    /// Pins the calling thread to the pair's core, if it has one: whoever talks to the pair from another core waits
    /// for that core to wake up, message by message. Threads and processes it starts inherit that.
    pub fn pin_thread(&self) {
        let Some(cpu) = self.native.slot.cpu else { return };
        let mut set = nix::sched::CpuSet::new();
        // Where it cannot be pinned it is slower, and as right.
        let _ =
            set.set(cpu).and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set));
    }

    /// How often the target had to be started again.
    pub fn restarts(&self) -> u64 {
        self.target.restarts
    }

    /// What checkpoints have cost the target's instance so far, by steps.
    pub fn point_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.target.instance.as_mut().map(|i| i.link().point_times()).unwrap_or_default()
    }

    /// The worlds of both sides: native, target.
    pub fn environments(&self) -> (&Environment, &Environment) {
        (&self.native.environment, &self.target.environment)
    }

    /// Whether both worlds have what a call needs: a vdso function, a pseudo-terminal, the outside
    /// terminal.
    pub fn can_run(&self, call: CallId) -> bool {
        use parallax_corpus::wire::hello;
        let desc = call.desc();
        [&self.native.environment, &self.target.environment].iter().all(|world| {
            let vdso = match desc.op {
                Op::Vdso(function) => world.has_vdso(function),
                _ => true,
            };
            vdso && (desc.needs & desc::NEED_TTY == 0 || world.words[hello::PTY] == 0)
                && (desc.needs & desc::NEED_OUTER == 0 || world.has_outer())
        })
    }

    /// Runs a batch on both sides and compares. Never fails for what a *program* or a layer does: a hung or
    /// dead layer is restarted and its program's trace ends in `Hung` or `Crashed`.
    ///
    /// # Errors
    /// A side cannot be restarted, or the pair was told to stop.
    pub fn run(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        let (codes, slots) = self.compile(programs, how);
        let mut results: Vec<Option<PairResult>> = vec![None; codes.len()];
        for range in chunks(&codes, how) {
            let refs: Vec<&Code> = codes[range.clone()].iter().collect();
            let pairs = self.run_chunk(&refs, how)?;
            let clock = Instant::now();
            for (k, (native, (target, last_words))) in range.zip(pairs) {
                let finding = oracles::judge(Evidence { code: &codes[k], native: &native, target: &target });
                results[k] = Some(PairResult { native, target, finding, last_words });
            }
            self.times.judge += clock.elapsed();
        }
        Ok(slots
            .into_iter()
            .map(|slot| slot.and_then(|k| results[k].take()).unwrap_or_else(PairResult::not_run))
            .collect())
    }

    /// Runs a batch on the native side alone.
    ///
    /// # Errors
    /// As [`Pair::run`].
    pub fn run_native(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<Trace>, TargetError> {
        let (codes, slots) = self.compile(programs, how);
        let refs: Vec<&Code> = codes.iter().collect();
        let mut traces: Vec<Option<Trace>> = Vec::new();
        for chunk in refs.chunks(BATCH) {
            if how.isolation == Isolation::Fresh {
                self.native.refresh();
            }
            let answer = self.native.ask(chunk, how)?;
            traces.extend(self.native.complete(chunk, how, answer)?.into_iter().map(|(t, _)| Some(t)));
        }
        Ok(slots
            .into_iter()
            .map(|slot| slot.and_then(|k| traces[k].take()).unwrap_or_else(|| PairResult::not_run().native))
            .collect())
    }

    /// Compiles what can be compiled; for each program the index of its code.
    fn compile(&mut self, programs: &[Program], how: RunOptions) -> (Vec<Code>, Vec<Option<usize>>) {
        let clock = Instant::now();
        let mode = Mode { fork: how.isolation > Isolation::Shared, block_us: how.block_us, probes: true };
        let mut codes = Vec::with_capacity(programs.len());
        let slots = programs
            .iter()
            .map(|program| {
                let code = compile(program, mode).ok()?;
                codes.push(code);
                Some(codes.len() - 1)
            })
            .collect();
        self.times.compile += clock.elapsed();
        (codes, slots)
    }

    /// Sends to both, then reads from both.
    fn run_chunk(&mut self, codes: &[&Code], how: RunOptions) -> Result<Vec<Sides>, TargetError> {
        if how.isolation == Isolation::Fresh {
            self.native.refresh();
            self.target.refresh();
        }
        let mut clock = Instant::now();
        let mut lap = |sum: &mut Duration| {
            let now = Instant::now();
            *sum += now - clock;
            clock = now;
        };
        let each = [&self.native, &self.target].map(|side| codes.len() > 1 && side.target.answers_each());
        let mut bytes = request(codes, each[0]);
        lap(&mut self.times.compile);
        let native = self.native.send(&bytes, codes.len(), how)?;
        if each[1] != each[0] {
            bytes = request(codes, each[1]);
        }
        let target = self.target.send(&bytes, codes.len(), how)?;
        lap(&mut self.times.send);
        let native = self.native.answer(codes, each[0], how, native);
        lap(&mut self.times.native);
        let target = self.target.answer(codes, each[1], how, target);
        lap(&mut self.times.target);
        // Only now: a side that has to be started again would keep the other's answers waiting.
        let native = self.native.complete(codes, how, native)?.into_iter().map(|(t, _)| t);
        let target = self.target.complete(codes, how, target)?;
        Ok(native.zip(target).collect())
    }
}

impl PairResult {
    /// For a program that could not be compiled: nothing was run.
    fn not_run() -> PairResult {
        let lost = Trace::lost(End::Failed(0, 0), 0);
        PairResult { native: lost.clone(), target: lost, finding: None, last_words: String::new() }
    }

    /// Whether a side could not set the program up at all, or the native side itself was lost.
    pub fn unusable(&self) -> bool {
        matches!(self.native.end, End::Failed(..) | End::Hung | End::Crashed)
            || matches!(self.target.end, End::Failed(..))
    }
}

/// Ranges of programs for one message each.
fn chunks(codes: &[Code], how: RunOptions) -> Vec<std::ops::Range<usize>> {
    let most = if how.isolation == Isolation::Fresh { 1 } else { BATCH };
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < codes.len() {
        let mut size = 0;
        let mut end = start;
        while end < codes.len() && end - start < most {
            size += codes[end].bytes.len();
            if size > REQUEST_SIZE && end > start {
                break;
            }
            end += 1;
        }
        ranges.push(start..end);
        start = end;
    }
    ranges
}
