//! A pair: one native agent and one target agent that run the same programs at the same time.

use crate::link::{Environment, LinkError, StopWhen};
use crate::oracles::{self, Evidence, Finding};
use crate::pace::{self, Pace};
use crate::renumber;
use crate::target::{Instance, Slot, Target, TargetError};
use parallax_corpus::compile::{Mode, compile, request};
use parallax_corpus::desc::{self, Op};
use parallax_corpus::{CallId, Code, End, Program, Trace, wire};
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

/// One side of a pair: a target with its running instance.
struct Side {
    target: Arc<dyn Target>,
    slot: Slot,
    instance: Option<Box<dyn Instance>>,
    environment: Environment,
    restarts: u64,
    used: bool,
    stop: Option<StopWhen>,
    pace: Pace,
    /// It has not answered any program since it was started: the first takes longer.
    cold: bool,
    /// When something was sent last.
    sent: Instant,
}

/// The traces that came, and why not all did.
struct Answer {
    traces: Vec<Trace>,
    error: Option<LinkError>,
    /// Each program was to be answered by itself: the first without an answer is the one that did it.
    each: bool,
}

impl Side {
    fn start(target: Arc<dyn Target>, slot: Slot) -> Result<Side, TargetError> {
        let (instance, environment) = launch(&*target, &slot, None)?;
        Ok(Side {
            target,
            slot,
            instance: Some(instance),
            environment,
            restarts: 0,
            used: false,
            stop: None,
            pace: Pace::default(),
            cold: true,
            sent: Instant::now(),
        })
    }

    fn instance(&mut self) -> Result<&mut Box<dyn Instance>, TargetError> {
        if self.instance.is_none() {
            let (instance, environment) = launch(&*self.target, &self.slot, self.stop.clone())?;
            self.environment = environment;
            self.instance = Some(instance);
            self.cold = true;
        }
        self.instance.as_mut().ok_or_else(|| TargetError::Start {
            target: self.target.name(),
            why: "it vanished while starting".into(),
        })
    }

    /// Ends the instance after trouble; gives what it said last. The next use starts another.
    fn bury(&mut self) -> String {
        self.restarts += 1;
        match self.instance.take() {
            Some(mut instance) => {
                instance.kill();
                instance.last_words()
            }
            None => String::new(),
        }
    }

    /// A fresh instance, if programs have run in this one.
    fn refresh(&mut self) {
        if self.used {
            if let Some(mut old) = self.instance.take() {
                old.kill();
            }
            self.used = false;
        }
    }

    /// Time for one message of answers.
    fn patience(&self, programs: usize, how: RunOptions) -> Duration {
        let haste = u64::from(how.haste.max(1));
        let each = u64::from(how.block_us) / 1000 * 2 + 100 / haste;
        Duration::from_millis(self.target.patience_ms() / haste + each * programs as u64)
    }

    /// Time for the answer to a whole batch. Who hurries suspects a side as soon as it takes much longer than usual:
    /// that only has the batch run again.
    fn patience_of_batch(&self, programs: usize, how: RunOptions) -> Duration {
        let most = self.patience(programs, how);
        if how.haste > 1 && programs >= pace::SMALLEST && !self.cold {
            most.min(self.pace.suspects_after(programs, Duration::from_micros(u64::from(how.block_us) * 2)))
        } else {
            most
        }
    }

    /// Sends a request of so many programs.
    fn send(
        &mut self,
        request: &[u8],
        programs: usize,
        how: RunOptions,
    ) -> Result<Result<(), LinkError>, TargetError> {
        self.used = true;
        let patience = self.patience(programs, how);
        let sent = self.instance()?.link().send(request, patience);
        self.sent = Instant::now();
        Ok(sent)
    }

    fn receive(&mut self, codes: &[&Code], each: bool, how: RunOptions) -> Answer {
        let mut traces = Vec::with_capacity(codes.len());
        let mut error = None;
        for part in codes.chunks(if each { 1 } else { codes.len().max(1) }) {
            let patience = if each { self.patience(1, how) } else { self.patience_of_batch(part.len(), how) };
            match self.receive_part(part, patience) {
                Ok(part) => traces.extend(part),
                Err(e) => {
                    error = Some(e);
                    break;
                }
            }
        }
        if !each && !self.cold && error.is_none() && how.haste > 1 && codes.len() >= pace::SMALLEST {
            self.pace.note(self.sent.elapsed(), codes.len());
        }
        self.cold &= traces.is_empty();
        Answer { traces, error, each }
    }

    fn receive_part(&mut self, codes: &[&Code], patience: Duration) -> Result<Vec<Trace>, LinkError> {
        let Some(instance) = self.instance.as_mut() else { return Err(LinkError::Closed) };
        let reply = instance.link().receive(patience)?;
        let mishaps = instance.link().take_mishaps();
        let calls: Vec<usize> = codes.iter().map(|c| c.calls.len()).collect();
        let mut traces =
            Trace::decode_reply(&reply, &calls).map_err(|e| LinkError::Garbage(e.to_string()))?;
        let agent = self.environment.words[wire::hello::PID];
        for (code, trace) in codes.iter().zip(&mut traces) {
            renumber::agent_is_init(code, trace, agent);
            if oracles::tasks::are_in(code) {
                trace.forget_race(|call| code.calls[call].task);
            }
        }
        // Whoever has checkpoints answers each program by itself.
        if let Some(trace) = traces.first_mut() {
            trace.mishaps = mishaps;
        }
        Ok(traces)
    }

    /// Waits for the answers to what was sent, if it was.
    fn answer(
        &mut self,
        codes: &[&Code],
        each: bool,
        how: RunOptions,
        sent: Result<(), LinkError>,
    ) -> Answer {
        match sent {
            Ok(()) => self.receive(codes, each, how),
            Err(error) => Answer { traces: Vec::new(), error: Some(error), each },
        }
    }

    /// Brings a batch to its end: what hung or killed the layer is found, the layer started again, and the rest
    /// run. A trace for each program, and the layer's last words where it did not survive it.
    fn complete(
        &mut self,
        codes: &[&Code],
        how: RunOptions,
        first: Answer,
    ) -> Result<Vec<(Trace, String)>, TargetError> {
        let mut done: Vec<(Trace, String)> = Vec::with_capacity(codes.len());
        let mut answer = first;
        let mut suspected = false;
        loop {
            done.extend(answer.traces.into_iter().map(|trace| (trace, String::new())));
            let Some(error) = answer.error else { break };
            let words = self.bury();
            if matches!(error, LinkError::Stopped) {
                return Err(TargetError::Stopped);
            }
            if answer.each || codes.len() - done.len() == 1 {
                done.push((Trace::lost(end_of(&error), codes[done.len()].calls.len()), words));
            } else {
                suspected |= matches!(error, LinkError::Timeout(_)) && how.haste > 1;
            }
            let rest = &codes[done.len()..];
            answer = match rest {
                [] => break,
                _ => self.ask(rest, how)?,
            };
        }
        if suspected && done.iter().all(|(trace, _)| !matches!(trace.end, End::Hung | End::Crashed)) {
            self.pace.was_wrong();
        }
        Ok(done)
    }

    /// Sends programs and waits for their answers, one by one.
    fn ask(&mut self, codes: &[&Code], how: RunOptions) -> Result<Answer, TargetError> {
        let sent = self.send(&request(codes, true), codes.len(), how)?;
        Ok(self.answer(codes, true, how, sent))
    }
}

fn end_of(error: &LinkError) -> End {
    if matches!(error, LinkError::Timeout(_)) { End::Hung } else { End::Crashed }
}

/// Starts an instance and reads its hello.
fn launch(
    target: &dyn Target,
    slot: &Slot,
    stop: Option<StopWhen>,
) -> Result<(Box<dyn Instance>, Environment), TargetError> {
    let mut instance = target.start(slot)?;
    instance.link().stop_when(stop);
    match instance.link().hello(Duration::from_secs(20)) {
        Ok(environment) => Ok((instance, environment)),
        Err(e) => {
            instance.kill();
            if matches!(e, LinkError::Stopped) {
                return Err(TargetError::Stopped);
            }
            let words = instance.last_words();
            Err(TargetError::Start { target: target.name(), why: format!("{e}; it said: {}", words.trim()) })
        }
    }
}

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
