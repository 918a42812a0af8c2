//! Running programs: one runner a pool thread, behind LibAFL's executor.

use crate::input::ProgramInput;
use crate::novelty::PairObserver;
use anyhow::ensure;
use libafl::Error;
use libafl::executors::{Executor, ExitKind, HasObservers};
use libafl::state::HasExecutions;
use libafl_bolts::tuples::RefIndexable;
use parallax_corpus::Program;
use parallax_harness::pair::{Pair, PairResult, RunOptions};
use parallax_harness::target::TargetError;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Programs in one message to a runner; more no longer make the transport cheaper.
pub const CHUNK: usize = 16;

/// Runs programs on both sides.
pub trait Runner: Send {
    /// Runs programs; one result for each, in order.
    ///
    /// # Errors
    /// A side cannot be had any more; or, as [`TargetError::Stopped`], the runner was told to stop, and none of the
    /// programs counts as run. What a *program* does is never an error.
    fn run(&mut self, programs: &[Program]) -> anyhow::Result<Vec<PairResult>>;

    /// How often the target had to be started again so far.
    fn restarts(&self) -> u64;

    /// Called once on the thread that will use it.
    fn settle_in(&self) {}
}

/// A [`Pair`] as a runner. The pair is shared with triage, which uses it between batches.
pub struct PairRunner {
    /// The pair.
    pub pair: Arc<Mutex<Pair>>,
    /// How programs are run.
    pub how: RunOptions,
}

impl Runner for PairRunner {
    fn run(&mut self, programs: &[Program]) -> anyhow::Result<Vec<PairResult>> {
        Ok(lock(&self.pair).run(programs, self.how)?)
    }

    fn restarts(&self) -> u64 {
        lock(&self.pair).restarts()
    }

    fn settle_in(&self) {
        lock(&self.pair).pin_thread();
    }
}

/// A panic in another thread is reported there; what it left behind is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// LibAFL's observers: the one that holds the last run.
pub type Observers = (PairObserver, ());

/// Runners on a thread pool, each used by one thread.
pub struct PoolExecutor<'a, R> {
    runners: Vec<Mutex<R>>,
    pool: rayon::ThreadPool,
    stop: &'a AtomicBool,
    deadline: Option<Instant>,
    /// What LibAFL's feedbacks look at.
    pub observers: Observers,
    /// Why the campaign cannot go on, if it cannot.
    pub failure: Option<anyhow::Error>,
}

impl<'a, R: Runner> PoolExecutor<'a, R> {
    /// A pool with a thread for each runner. `stop` and `deadline` end a batch early.
    ///
    /// # Errors
    /// There is no runner, or no thread can be started.
    pub fn new(runners: Vec<R>, stop: &'a AtomicBool, deadline: Option<Instant>) -> anyhow::Result<Self> {
        ensure!(!runners.is_empty(), "no runner was given");
        let name = |i| format!("pair{i}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(runners.len()).thread_name(name).build()?;
        let runners: Vec<_> = runners.into_iter().map(Mutex::new).collect();
        pool.broadcast(|thread| lock(&runners[thread.index()]).settle_in());
        Ok(PoolExecutor {
            runners,
            pool,
            stop,
            deadline,
            observers: (PairObserver::default(), ()),
            failure: None,
        })
    }

    /// Whether the campaign was told to end.
    pub fn stopped(&self) -> bool {
        stopped(self.stop, self.deadline)
    }

    /// How often targets had to be started again so far.
    pub fn restarts(&self) -> u64 {
        self.runners.iter().map(|runner| lock(runner).restarts()).sum()
    }

    /// Runs a batch; results come in the order of the programs. They may be fewer than the programs: when the
    /// campaign was stopped, or when a runner failed (see [`PoolExecutor::failure`]). Then the first so many
    /// programs have results.
    pub fn run_batch(&mut self, programs: &[Program]) -> Vec<PairResult> {
        let (runners, stop, deadline) = (&self.runners, self.stop, self.deadline);
        // Large messages for few runners, and at least a few for each, so that none waits long for the others.
        let chunk = (programs.len() / (4 * runners.len())).clamp(CHUNK, 4 * CHUNK);
        let run = |chunk: &[Program]| -> anyhow::Result<Vec<PairResult>> {
            if stopped(stop, deadline) {
                return Ok(Vec::new());
            }
            // Never contended: a runner belongs to its thread.
            let mut runner = lock(&runners[rayon::current_thread_index().unwrap_or(0)]);
            let results = match runner.run(chunk) {
                Err(error) if matches!(error.downcast_ref(), Some(TargetError::Stopped)) => Vec::new(),
                other => other?,
            };
            if results.is_empty() {
                return Ok(results);
            }
            let (got, sent) = (results.len(), chunk.len());
            ensure!(got == sent, "a runner answered {got} of {sent} programs");
            Ok(results)
        };
        let chunks: Vec<anyhow::Result<Vec<PairResult>>> =
            self.pool.install(|| programs.par_chunks(chunk).with_max_len(1).map(run).collect());
        let mut results = Vec::with_capacity(programs.len());
        for chunk in chunks {
            match chunk {
                // What comes after a gap would be judged out of order.
                Ok(part) if part.is_empty() => break,
                Ok(part) => results.extend(part),
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        results
    }
}

/// Whether somebody asked to stop, or the time is over.
pub fn stopped(stop: &AtomicBool, deadline: Option<Instant>) -> bool {
    stop.load(Ordering::Relaxed) || deadline.is_some_and(|end| Instant::now() >= end)
}

impl<R> HasObservers for PoolExecutor<'_, R> {
    type Observers = Observers;
    fn observers(&self) -> RefIndexable<&Observers, Observers> {
        RefIndexable::from(&self.observers)
    }
    fn observers_mut(&mut self) -> RefIndexable<&mut Observers, Observers> {
        RefIndexable::from(&mut self.observers)
    }
}

impl<EM, R: Runner, S: HasExecutions, Z> Executor<EM, ProgramInput, S, Z> for PoolExecutor<'_, R> {
    /// Runs one program; the batch stage runs many. LibAFL asks for this one.
    fn run_target(
        &mut self,
        _: &mut Z,
        state: &mut S,
        _: &mut EM,
        input: &ProgramInput,
    ) -> Result<ExitKind, Error> {
        *state.executions_mut() += 1;
        let results = self.run_batch(std::slice::from_ref(&input.0));
        let result =
            results.into_iter().next().ok_or_else(|| Error::illegal_state("the program was not run"))?;
        self.observers.0.absorb(&input.0, result);
        Ok(ExitKind::Ok)
    }
}
