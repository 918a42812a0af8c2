//! Understanding what was found: confirm it, cut it down, name it, keep it.
//!
//! [`confirm`] asks whether a finding is real: each side against itself, k of n, up the isolation ladder.
//! [`minimize`] cuts the program to what the finding needs. [`investigate`] does both and ends in a case or a
//! doubt. [`store`] keeps the cases. Searching is the `fuzzer` crate's.

pub mod confirm;
pub mod investigate;
pub mod minimize;
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

    /// Whether work on a finding is to end at once, undecided. The last results may be too few then.
    fn stopped(&self) -> bool {
        false
    }
}

impl Lab for Pair {
    fn run(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        Pair::run(self, programs, how)
    }
}

/// Programs between two looks at the clock: a run that waits takes up to 0.1 s.
const STRIDE: usize = 16;

/// A pair whose work ends when `stop` says so: triage must not keep a campaign from ending.
pub struct Until<'a> {
    /// The pair.
    pub pair: &'a mut Pair,
    /// Whether to end.
    pub stop: &'a dyn Fn() -> bool,
}

impl Lab for Until<'_> {
    fn run(&mut self, programs: &[Program], how: RunOptions) -> Result<Vec<PairResult>, TargetError> {
        let mut results = Vec::with_capacity(programs.len());
        for part in programs.chunks(STRIDE) {
            if self.stopped() {
                break;
            }
            results.extend(self.pair.run(part, how)?);
        }
        Ok(results)
    }

    fn stopped(&self) -> bool {
        (self.stop)()
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
