//! Which program of the corpus is mutated next.

use crate::dice::Dice;
use crate::engine::SearchState;
use crate::input::ProgramInput;
use libafl::Error;
use libafl::corpus::{Corpus, CorpusId};
use libafl::schedulers::Scheduler;
use libafl::state::{HasCorpus, HasRand};

/// Half the time any program, half the time one of the newest eighth: what was just learned is followed up,
/// and nothing is forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewestScheduler;

impl Scheduler<ProgramInput, SearchState> for NewestScheduler {
    fn on_add(&mut self, _state: &mut SearchState, _id: CorpusId) -> Result<(), Error> {
        Ok(())
    }

    fn next(&mut self, state: &mut SearchState) -> Result<CorpusId, Error> {
        let count = state.corpus().count();
        if count == 0 {
            return Err(Error::empty("the corpus is empty"));
        }
        let dice = state.rand_mut();
        let newest = if dice.percent(50) { count.div_ceil(8) } else { count };
        let nth = count - 1 - dice.below(newest);
        let id = state.corpus().nth(nth);
        self.set_current_scheduled(state, Some(id))?;
        Ok(id)
    }

    fn set_current_scheduled(
        &mut self,
        state: &mut SearchState,
        next: Option<CorpusId>,
    ) -> Result<(), Error> {
        *state.corpus_mut().current_mut() = next;
        Ok(())
    }
}
