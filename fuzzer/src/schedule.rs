//! Which program of the corpus is mutated next.

use crate::dice::Dice;
use crate::engine::SearchState;
use crate::input::ProgramInput;
use libafl::Error;
use libafl::corpus::{Corpus, CorpusId};
use libafl::schedulers::Scheduler;
use libafl::state::{HasCorpus, HasRand};
use parallax_corpus::{Area, Program};

/// How often a program of the wanted area is looked for before any other will do.
const TRIES: usize = 8;

/// Half the time any program, half the time one of the newest eighth: what was just learned is followed up,
/// and nothing is forgotten. Each time an area is drawn first and a program of it preferred: novelty comes
/// easier in some areas, and the others would starve.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewestScheduler;

/// What a program is mostly about.
fn main_area(program: &Program) -> Option<Area> {
    let count = |area: &Area| program.calls.iter().filter(|call| call.id.desc().area == *area).count();
    Area::ALL.into_iter().max_by_key(count)
}

impl Scheduler<ProgramInput, SearchState> for NewestScheduler {
    fn on_add(&mut self, _state: &mut SearchState, _id: CorpusId) -> Result<(), Error> {
        Ok(())
    }

    fn next(&mut self, state: &mut SearchState) -> Result<CorpusId, Error> {
        let count = state.corpus().count();
        if count == 0 {
            return Err(Error::empty("the corpus is empty"));
        }
        let newest = if state.rand_mut().percent(50) { count.div_ceil(8) } else { count };
        let wanted = state.rand_mut().pick(&Area::ALL).copied();
        let mut id = state.corpus().nth(count - 1);
        for _ in 0..TRIES {
            let nth = count - 1 - state.rand_mut().below(newest);
            id = state.corpus().nth(nth);
            let testcase = state.corpus().get(id)?.borrow();
            if testcase.input().as_ref().and_then(|input| main_area(&input.0)) == wanted {
                break;
            }
        }
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
