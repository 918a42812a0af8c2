//! Running programs: one runner a pool thread, behind LibAFL's executor.

use crate::input::ProgramInput;
use crate::novelty::{Classes, PairObserver};
use crate::pool::Pool;
use libafl::Error;
use libafl::executors::{Executor, ExitKind, HasObservers};
use libafl::state::HasExecutions;
use libafl_bolts::tuples::RefIndexable;
use parallax_corpus::Program;
use parallax_harness::pair::{Pair, PairResult, RunOptions};
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
    /// A side cannot be had any more; or, as `TargetError::Stopped`, the runner was told to stop, and none of the
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

/// The pool, as LibAFL sees it.
pub struct PoolExecutor<'a, R> {
    /// The runners.
    pub pool: Pool<'a, R>,
    /// What LibAFL's feedbacks look at.
    pub observers: Observers,
    /// Why the campaign cannot go on, if it cannot.
    pub failure: Option<anyhow::Error>,
}

impl<'a, R: Runner> PoolExecutor<'a, R> {
    /// An executor with a thread for each runner. `stop` and `deadline` end the work early.
    ///
    /// # Errors
    /// There is no runner, or no thread can be started.
    pub fn new(runners: Vec<R>, stop: &'a AtomicBool, deadline: Option<Instant>) -> anyhow::Result<Self> {
        let pool = Pool::new(runners, stop, deadline)?;
        Ok(PoolExecutor { pool, observers: (PairObserver::default(), ()), failure: None })
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
        let done = self.pool.run_one(&input.0).map_err(|error| Error::illegal_state(format!("{error:#}")))?;
        let result = done.ok_or_else(|| Error::illegal_state("the program was not run"))?;
        self.observers.0.absorb(Classes::of(&input.0, &result), result);
        Ok(ExitKind::Ok)
    }
}
