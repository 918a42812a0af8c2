//! The stage: draws a batch of programs, has it run on all runners, and judges the results in order.
//!
//! All chance is used while drawing and judging, on one thread, so that a campaign does not depend on how many
//! runners there are.

use crate::dice::Dice;
use crate::engine::{Search, SearchState};
use crate::generate::Generator;
use crate::input::ProgramInput;
use crate::mutate::{Context, mutate, remove_healing};
use crate::novelty::PairObserver;
use crate::objective::{LEDGER, Ledger};
use crate::runner::{CHUNK, PoolExecutor, Runner};
use crate::tally::{Tally, Weights};
use libafl::corpus::{Corpus, CorpusId, HasCurrentCorpusId, Testcase};
use libafl::events::NopEventManager;
use libafl::executors::ExitKind;
use libafl::feedbacks::Feedback;
use libafl::inputs::Input;
use libafl::mutators::{MutationResult, Mutator};
use libafl::schedulers::Scheduler;
use libafl::stages::{Restartable, Stage};
use libafl::state::{HasCorpus, HasExecutions, HasRand};
use libafl::{
    Error, ExecuteInputResult, ExecutionProcessor, HasFeedback, HasMetadata, HasNamedMetadata, HasScheduler,
};
use libafl_bolts::Named;
use parallax_corpus::{CallId, Program};
use parallax_harness::oracles::{Class, Finding};
use parallax_harness::pair::PairResult;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One group of programs in so many is fresh from the generator; the others are mutants of one program each.
const FRESH: u64 = 8;
/// Sightings after which a signature counts as seen often.
const OFTEN: u64 = 10;
/// Most programs that wait to be run with their known difference taken out.
const MAX_UNMASKED: usize = 256;

/// The changes of [`crate::mutate`] as LibAFL's mutator. The donor is drawn from the corpus.
pub struct ProgramMutator {
    generator: Arc<Generator>,
    weights: Weights,
}

impl ProgramMutator {
    /// A mutator that makes new calls with that generator.
    pub fn new(generator: Arc<Generator>) -> ProgramMutator {
        ProgramMutator { generator, weights: Weights::even() }
    }
}

impl Named for ProgramMutator {
    fn name(&self) -> &Cow<'static, str> {
        static NAME: Cow<'static, str> = Cow::Borrowed("program");
        &NAME
    }
}

impl Mutator<ProgramInput, SearchState> for ProgramMutator {
    fn mutate(&mut self, state: &mut SearchState, input: &mut ProgramInput) -> Result<MutationResult, Error> {
        // The dice are taken out of the state, so that the donor need not be copied out of it.
        let mut dice = *state.rand();
        let nth = dice.below(state.corpus().count());
        let testcase = state.corpus().get(state.corpus().nth(nth))?.borrow();
        let nothing = Program::default();
        let donor = testcase.input().as_ref().map_or(&nothing, |donor| &donor.0);
        let context = Context { generator: &self.generator, weights: &self.weights, donor };
        let changed = mutate(&mut dice, &context, &mut input.0);
        drop(testcase);
        *state.rand_mut() = dice;
        Ok(if changed { MutationResult::Mutated } else { MutationResult::Skipped })
    }

    fn post_exec(&mut self, _: &mut SearchState, _: Option<CorpusId>) -> Result<(), Error> {
        Ok(())
    }
}

fn input_of(state: &SearchState, id: CorpusId) -> Result<ProgramInput, Error> {
    state.corpus().cloned_input_for_id(id)
}

/// What a result is judged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The program is kept if it is novel.
    Novel,
    /// The program is kept anyway: an earlier session kept it.
    Always,
}

/// The batch stage.
pub struct BatchStage {
    mutator: ProgramMutator,
    generator: Arc<Generator>,
    batch: usize,
    /// Most programs the next batch may have.
    pub budget: usize,
    /// Groups of programs drawn so far.
    pub groups: u64,
    /// Names of the corpus's files.
    pub names: BTreeSet<String>,
    /// Programs to be run first: known differences taken out.
    unmasked: Vec<Program>,
    /// Results that said nothing: a side could not set the program up.
    pub unusable: u64,
}

impl BatchStage {
    /// A stage that runs `batch` programs at a time. The batch must not depend on the number of runners, or
    /// the campaign does.
    pub fn new(generator: Arc<Generator>, batch: usize) -> BatchStage {
        BatchStage {
            mutator: ProgramMutator::new(Arc::clone(&generator)),
            generator,
            batch,
            budget: usize::MAX,
            groups: 0,
            names: BTreeSet::new(),
            unmasked: Vec::new(),
            unusable: 0,
        }
    }

    /// Draws the programs of a batch.
    fn draw(&mut self, search: &mut Search, state: &mut SearchState) -> Result<Vec<Program>, Error> {
        let size = self.batch.min(self.budget);
        self.mutator.weights = Weights::from_tally(state.metadata::<Tally>()?);
        let mut programs: Vec<Program> = self.unmasked.drain(..self.unmasked.len().min(size)).collect();
        let mut base = *state.corpus().current();
        // Where nothing can be drawn, as with all calls switched off, the batch is short.
        for _ in 0..2 * size.div_ceil(CHUNK) + 1 {
            if programs.len() >= size {
                break;
            }
            self.groups += 1;
            let end = (programs.len() + CHUNK).min(size);
            if self.groups % FRESH == 0 {
                programs.extend(self.fresh(state, end - programs.len()));
                continue;
            }
            let id = match base.take() {
                Some(id) => id,
                None => search.scheduler_mut().next(state)?,
            };
            let original = input_of(state, id)?;
            // A change may fail to apply; a few more tries make up for that.
            for _ in 0..2 * CHUNK {
                let mut mutant = original.clone();
                if programs.len() < end && self.mutator.mutate(state, &mut mutant)? == MutationResult::Mutated
                {
                    programs.push(mutant.0);
                }
            }
        }
        Ok(programs)
    }

    /// Fresh programs.
    pub fn fresh(&mut self, state: &mut SearchState, count: usize) -> Vec<Program> {
        let weights = &self.mutator.weights;
        let programs = (0..count).map(|_| self.generator.generate(state.rand_mut(), weights));
        programs.filter(|program| !program.calls.is_empty()).collect()
    }

    /// Runs programs and judges them in order. Returns how many were judged: fewer if the campaign was stopped
    /// or a runner failed.
    ///
    /// # Errors
    /// A program that is worth keeping cannot be written.
    pub fn evaluate<R: Runner>(
        &mut self,
        search: &mut Search,
        executor: &mut PoolExecutor<'_, R>,
        state: &mut SearchState,
        programs: Vec<Program>,
        keep: Keep,
    ) -> Result<usize, Error> {
        let results = executor.run_batch(&programs);
        let judged = results.len();
        for (program, result) in programs.into_iter().zip(results) {
            self.judge(search, &mut executor.observers, state, program, result, keep)?;
        }
        Ok(judged)
    }

    fn judge(
        &mut self,
        search: &mut Search,
        observers: &mut (PairObserver, ()),
        state: &mut SearchState,
        program: Program,
        result: PairResult,
        keep: Keep,
    ) -> Result<(), Error> {
        *state.executions_mut() += 1;
        let unusable = result.unusable();
        self.unusable += u64::from(unusable);
        if unusable && keep == Keep::Novel {
            return Ok(());
        }
        state.metadata_mut::<Tally>()?.count(&program, &result);
        observers.0.absorb(&program, result);
        let input = ProgramInput(program);
        let manager = &mut NopEventManager::new();
        let kind = ExitKind::Ok;
        search.scheduler_mut().on_evaluation(state, &input, observers)?;
        let (outcome, mut id) = search.evaluate_execution(state, manager, &input, observers, &kind, false)?;
        // LibAFL does not ask for novelty once the objective has fired; a program that found something is as
        // good a start as any.
        let missed = outcome == ExecuteInputResult::Solution
            && search.feedback_mut().is_interesting(state, manager, &input, observers, &kind)?;
        if id.is_none() && (missed || keep == Keep::Always) {
            let added = state.corpus_mut().add(Testcase::from(input.clone()))?;
            search.scheduler_mut().on_add(state, added)?;
            id = Some(added);
        }
        if let Some(finding) = observers.0.finding.take() {
            self.account(state, &input.0, &finding)?;
        }
        match id {
            Some(id) => self.settle(state, id, input),
            None => Ok(()),
        }
    }

    /// Keeps a new corpus program in memory, and makes sure that it is on disk: LibAFL's corpus only logs that
    /// it could not write.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn settle(
        &mut self,
        state: &mut SearchState,
        id: CorpusId,
        input: ProgramInput,
    ) -> Result<(), Error> {
        let mut testcase = state.corpus().get(id)?.borrow_mut();
        if let Some(path) = testcase.file_path() {
            if !path.exists() {
                input.to_file(path)?;
            }
        }
        self.names.extend(testcase.filename().clone());
        testcase.set_input(input);
        Ok(())
    }

    /// Counts a known finding against its call, and now and then takes that call out of the program, to see
    /// what it hides.
    fn account(
        &mut self,
        state: &mut SearchState,
        program: &Program,
        finding: &Finding,
    ) -> Result<(), Error> {
        let count = state.named_metadata::<Ledger>(LEDGER)?.count(&finding.signature());
        let Some(index) = culprit(program, finding) else { return Ok(()) };
        let counts = state.metadata_mut::<Tally>()?.of_mut(program.calls[index].id);
        let unsupported = finding.class == Class::Unsupported;
        counts.known += u64::from(count > 1);
        counts.unsupported += u64::from(unsupported);
        let often = count > OFTEN && self.unmasked.len() < MAX_UNMASKED;
        if often && program.calls.len() > 1 && state.rand_mut().percent(if unsupported { 50 } else { 12 }) {
            let mut rest = program.clone();
            remove_healing(&mut rest, index);
            self.unmasked.push(rest);
        }
        Ok(())
    }
}

/// The program's call a finding is laid to.
fn culprit(program: &Program, finding: &Finding) -> Option<usize> {
    if finding.call < program.calls.len() {
        return Some(finding.call);
    }
    let cause = CallId::named(&finding.cause)?;
    program.calls.iter().rposition(|call| call.id == cause)
}

impl Named for BatchStage {
    fn name(&self) -> &Cow<'static, str> {
        static NAME: Cow<'static, str> = Cow::Borrowed("batch");
        &NAME
    }
}

impl<R: Runner> Stage<PoolExecutor<'_, R>, NopEventManager, SearchState, Search> for BatchStage {
    fn perform(
        &mut self,
        search: &mut Search,
        executor: &mut PoolExecutor<'_, R>,
        state: &mut SearchState,
        _manager: &mut NopEventManager,
    ) -> Result<(), Error> {
        let programs = self.draw(search, state)?;
        self.evaluate(search, executor, state, programs, Keep::Novel)?;
        Ok(())
    }
}

impl<S: HasCurrentCorpusId> Restartable<S> for BatchStage {
    fn should_restart(&mut self, _: &mut S) -> Result<bool, Error> {
        Ok(true)
    }
    fn clear_progress(&mut self, _: &mut S) -> Result<(), Error> {
        Ok(())
    }
}
