//! A pair: one native agent and one target agent that run the same programs at the same time.

use crate::oracles::Finding;
use crate::target::{Slot, Target, TargetError};
use parallax_corpus::{Code, Program, Trace};
use std::sync::Arc;

/// How hard a run is isolated, lowest first: the ladder a finding climbs before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// A child that shares the agent's memory.
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
}

/// One native agent and one target agent.
pub struct Pair {
    /// Restarts of the target so far.
    pub restarts: u64,
}

impl Pair {
    /// Starts both sides.
    ///
    /// # Errors
    /// Either side cannot be had.
    pub fn start(_target: Arc<dyn Target>, _slot: Slot) -> Result<Pair, TargetError> {
        unimplemented!()
    }
    /// Runs a batch on both sides and compares. Never fails for what a *program* or a layer does: a hung or
    /// dead layer is restarted and its program's trace ends in `Hung` or `Crashed`.
    ///
    /// # Errors
    /// A side cannot be restarted.
    pub fn run(&mut self, _programs: &[Program], _how: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        unimplemented!()
    }
    /// Runs a batch on the native side alone (`side` 0) or the target alone (`side` 1).
    ///
    /// # Errors
    /// As [`Pair::run`].
    pub fn run_side(&mut self, _side: usize, _programs: &[Program], _how: RunOptions) -> Result<Vec<Trace>, TargetError> {
        unimplemented!()
    }
    /// The compiled form of a program as this pair runs it.
    pub fn compile(&self, _program: &Program) -> Option<Code> {
        None
    }
}
