//! Understanding what was found: confirm it, cut it down, name it, keep it.
//!
//! [`confirm`] asks whether a finding is real: each side against itself, k of n, up the isolation ladder.
//! [`minimize`] cuts the program to what the finding needs. [`cause`] finds the call that brought a wrong state about.
//! [`investigate`] does all of that and ends in a case or a doubt; [`doubts`] keeps the latter for whoever looks into them. [`expect`] knows what need not be told, [`store`]
//! keeps the cases of one campaign. [`db`] follows the cases of all campaigns over time, in [`bucket`]s; [`severity`] and [`explain`]
//! say of each how bad it is and what it means; [`stats`] and [`results`] read what campaigns and replays leave behind.
//! Searching is the `fuzzer` crate's.

pub mod bucket;
pub mod cause;
pub mod confirm;
pub mod db;
pub mod doubts;
pub mod expect;
pub mod explain;
pub mod investigate;
pub mod minimize;
pub mod results;
pub mod severity;
pub mod stats;
pub mod store;

use parallax_corpus::Program;
use parallax_harness::pair::{Pair, PairResult, RunOptions};
use parallax_harness::target::TargetError;

/// Somewhere programs can be run on both sides: one pair, or many.
pub trait Lab {
    /// Runs programs on both sides and judges them, in order.
    ///
    /// # Errors
    /// A side cannot be had any more.
    fn run(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<PairResult>, TargetError>;
}

impl Lab for Pair {
    fn run(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        Pair::run(self, programs, how)
    }
}

/// Several pairs that share a list of programs: for one case that is to be minimized on all cores.
pub struct Many<'a>(pub &'a mut [Pair]);

impl Lab for Many<'_> {
    fn run(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        use rayon::prelude::*;
        let share = programs.len().div_ceil(self.0.len()).max(1);
        let parts: Result<Vec<Vec<PairResult>>, TargetError> = self
            .0
            .par_iter_mut()
            .zip(programs.par_chunks(share))
            .map(|(pair, part)| pair.run(part, how))
            .collect();
        Ok(parts?.into_iter().flatten().collect())
    }
}
