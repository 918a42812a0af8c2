//! The stage: says what programs are made from, has them made and run on all runners, and judges them in order.
//!
//! Programs go in orders. As soon as one is judged, the next one is given, and a batch of them is on its way: so
//! there is always something to be run meanwhile, and what an order is made from (all that was judged before it was
//! given) does not depend on how many runners there are or how fast they were. All chance is used while giving
//! orders and judging, on one thread; an order has a seed for the rest.

use crate::dice::Dice;
use crate::engine::{Search, SearchState};
use crate::files::Writer;
use crate::generate::Generator;
use crate::guidance::Guidance;
use crate::hangs::Hangs;
use crate::input::ProgramInput;
use crate::mutate::remove_healing;
use crate::novelty::PairObserver;
use crate::objective::{LEDGER, Ledger};
use crate::order::{Order, Recipe};
use crate::pool::{Answer, Done};
use crate::relations::{self, Guide, Relations};
use crate::runner::{CHUNK, PoolExecutor, Runner};
use crate::survey::{self, Item};
use crate::tally::{Tally, Weights};
use libafl::corpus::{Corpus, CorpusId, HasCurrentCorpusId, Testcase};
use libafl::events::NopEventManager;
use libafl::executors::ExitKind;
use libafl::feedbacks::Feedback;
use libafl::schedulers::Scheduler;
use libafl::stages::{Restartable, Stage};
use libafl::state::{HasCorpus, HasExecutions, HasRand, HasSolutions};
use libafl::{
    Error, ExecuteInputResult, ExecutionProcessor, HasFeedback, HasMetadata, HasNamedMetadata, HasScheduler,
};
use libafl_bolts::Named;
use parallax_corpus::{CallId, Program};
use parallax_harness::oracles::{Class, Finding};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// One order in so many is for fresh programs; the others are for mutants of one program each.
const FRESH: u64 = 8;
/// Orders after which the calls' weights are worked out again, and findings are looked into if there are any.
const REWEIGHED: u64 = 16;
/// One order in so many is the survey's, until it is through.
const SURVEY: u64 = 2;
/// Donors in an order.
const DONORS: usize = 4;
/// Sightings after which a signature counts as seen often.
const OFTEN: u64 = 10;
/// Most programs that wait to be run with their known difference taken out.
const MAX_UNMASKED: usize = 256;

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

/// An order that was given, and whose programs are not judged yet.
struct Ahead {
    number: u64,
    order: Arc<Order>,
    done: Option<Vec<Done>>,
}

/// Where orders come from: from the search itself, or from a list.
enum Source {
    Search,
    List(std::vec::IntoIter<Program>),
}

/// The batch stage.
pub struct BatchStage {
    generator: Arc<Generator>,
    weights: Arc<Weights>,
    guide: Arc<Guide>,
    guidance: Guidance,
    /// What the layer is known not to survive.
    pub hangs: Arc<Hangs>,
    survey: Vec<Item>,
    /// How many items of the survey are ordered.
    ordered: usize,
    /// What the calls of corpus programs did, where it is known.
    digests: BTreeMap<usize, Arc<[u64]>>,
    /// Programs on their way at a time, at least.
    batch: usize,
    /// Most programs to be judged before the stage returns.
    pub budget: usize,
    /// When the stage is to return, though there is more to do.
    pub pause: Option<Instant>,
    /// Orders given by the search so far.
    pub groups: u64,
    /// Names of the corpus's files.
    pub names: BTreeSet<String>,
    /// The corpus's folder.
    dir: PathBuf,
    /// Writes the corpus's files.
    pub writer: Writer,
    /// Programs to be run first: known differences taken out.
    unmasked: Vec<Program>,
    /// Results that said nothing: a side could not set the program up.
    pub unusable: u64,
    /// What is on its way, in order.
    ahead: VecDeque<Ahead>,
    numbers: u64,
    judged: u64,
}

impl BatchStage {
    /// A stage with `batch` programs on their way at a time, that keeps programs in `dir`. The batch must not depend
    /// on the number of runners, or the campaign does.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn new(
        generator: Arc<Generator>,
        guidance: Guidance,
        batch: usize,
        dir: PathBuf,
    ) -> std::io::Result<BatchStage> {
        Ok(BatchStage {
            survey: if guidance.survey { survey::items(&generator) } else { Vec::new() },
            generator,
            weights: Arc::new(Weights::even()),
            guide: Arc::default(),
            guidance,
            hangs: Arc::default(),
            ordered: 0,
            digests: BTreeMap::new(),
            batch,
            budget: usize::MAX,
            pause: None,
            groups: 0,
            names: BTreeSet::new(),
            dir,
            writer: Writer::start()?,
            unmasked: Vec::new(),
            unusable: 0,
            ahead: VecDeque::new(),
            numbers: 0,
            judged: 0,
        })
    }

    /// How many items of the survey were tried.
    pub fn surveyed(&self) -> usize {
        let on_way = self.ahead.iter().map(|ahead| match &ahead.order.recipe {
            Recipe::Survey(items) => items.len(),
            _ => 0,
        });
        self.ordered - on_way.sum::<usize>()
    }

    /// Goes on with the survey from there.
    pub fn survey_from(&mut self, tried: usize) {
        self.ordered = tried.min(self.survey.len());
    }

    /// The next order of at most `most` programs. `None` if there is nothing more to run.
    fn order(
        &mut self,
        source: &mut Source,
        search: &mut Search,
        state: &mut SearchState,
        most: usize,
    ) -> Result<Option<Order>, Error> {
        let mut size = CHUNK.min(most);
        let recipe = match source {
            Source::List(list) => Recipe::Given(list.take(size).collect()),
            Source::Search => self.recipe(search, state, size)?,
        };
        match &recipe {
            Recipe::Given(programs) => size = programs.len(),
            Recipe::Survey(items) => size = items.len(),
            _ => {}
        }
        let order = Order {
            recipe,
            size,
            seed: state.rand_mut().word(),
            weights: Arc::clone(&self.weights),
            guide: Arc::clone(&self.guide),
            guidance: self.guidance,
            hangs: Arc::clone(&self.hangs),
        };
        Ok(Some(order).filter(|order| order.size > 0))
    }

    /// What the search makes programs from next.
    fn recipe(&mut self, search: &mut Search, state: &mut SearchState, size: usize) -> Result<Recipe, Error> {
        self.groups += 1;
        if self.groups % REWEIGHED == 1 {
            self.weights = Arc::new(Weights::from_tally(state.metadata::<Tally>()?));
            if self.guidance.relations {
                let known = state.metadata::<Relations>()?;
                self.guide = Arc::new(Guide::by_name(&self.weights).with(known, &self.weights));
            }
        }
        if !self.unmasked.is_empty() {
            return Ok(Recipe::Given(self.unmasked.drain(..self.unmasked.len().min(size)).collect()));
        }
        if self.groups % SURVEY == 0 && self.ordered < self.survey.len() {
            let items = self.survey[self.ordered..].iter().take(size).copied().collect::<Vec<_>>();
            self.ordered += items.len();
            return Ok(Recipe::Survey(items));
        }
        if self.groups % FRESH == 1 {
            return Ok(Recipe::Fresh);
        }
        let id = search.scheduler_mut().next(state)?;
        let base = input_of(state, id)?.0;
        let count = state.corpus().count();
        let mut donors = Vec::with_capacity(DONORS);
        for _ in 0..DONORS {
            let nth = state.rand_mut().below(count);
            donors.push(input_of(state, state.corpus().nth(nth))?.0);
        }
        let digests = self.digests.get(&id.0).cloned().unwrap_or_default();
        Ok(Recipe::Mutants { base, digests, donors })
    }

    /// Fresh programs.
    pub fn fresh(&mut self, state: &mut SearchState, count: usize) -> Vec<Program> {
        let programs = (0..count).map(|_| self.generator.generate(state.rand_mut(), &self.weights));
        programs.filter(|program| !program.calls.is_empty()).collect()
    }

    /// Runs programs and judges them in order: fewer of them if the campaign was stopped or a runner failed. What
    /// the search has on its way stays so.
    ///
    /// # Errors
    /// LibAFL's corpus contradicts itself.
    pub fn evaluate<R: Runner>(
        &mut self,
        search: &mut Search,
        executor: &mut PoolExecutor<'_, R>,
        state: &mut SearchState,
        programs: Vec<Program>,
        keep: Keep,
    ) -> Result<(), Error> {
        let on_way = std::mem::take(&mut self.ahead);
        let done = self.flow(search, executor, state, Source::List(programs.into_iter()), keep);
        self.ahead = on_way;
        done
    }

    /// Keeps the runners busy and judges in order, until there is a reason to return.
    fn flow<R: Runner>(
        &mut self,
        search: &mut Search,
        executor: &mut PoolExecutor<'_, R>,
        state: &mut SearchState,
        mut source: Source,
        keep: Keep,
    ) -> Result<(), Error> {
        let PoolExecutor { pool, observers, failure } = executor;
        let generator = Arc::clone(&self.generator);
        let searching = matches!(source, Source::Search);
        let mut left = if searching { self.budget } else { usize::MAX };
        pool.serve(&generator, |desk| {
            for ahead in self.ahead.iter().filter(|ahead| ahead.done.is_none()) {
                desk.hand_in(ahead.number, Arc::clone(&ahead.order));
            }
            let mut on_way: usize = self.ahead.iter().map(|ahead| ahead.order.size).sum();
            let done = loop {
                while on_way < self.batch.min(left) {
                    let Some(order) = self.order(&mut source, search, state, left - on_way)? else { break };
                    on_way += order.size;
                    let order = Arc::new(order);
                    self.numbers += 1;
                    desk.hand_in(self.numbers, Arc::clone(&order));
                    self.ahead.push_back(Ahead { number: self.numbers, order, done: None });
                }
                let Some(first) = self.ahead.front_mut() else { break Ok(()) };
                let Some(done) = first.done.take() else {
                    if desk.collect().is_some_and(|answer| self.note(answer, failure)) {
                        continue;
                    }
                    break Ok(());
                };
                on_way -= first.order.size;
                self.ahead.pop_front();
                left = left.saturating_sub(done.len());
                for done in done {
                    self.judge(search, observers, state, done, keep)?;
                }
                self.judged += 1;
                // Not after each order: the runners stand still while findings are looked into. And not by time
                // alone, since what comes of them is part of the campaign.
                let paused = || self.pause.is_some_and(|pause| Instant::now() >= pause);
                let now = self.judged % REWEIGHED == 0 && (state.solutions().count() > 0 || paused());
                if searching && (now || left == 0) {
                    break Ok(());
                }
            };
            desk.close();
            while let Some(answer) = desk.collect() {
                self.note(answer, failure);
            }
            done
        })
    }

    /// Puts an answer where it belongs. Returns whether the work can go on.
    fn note(&mut self, answer: Answer, failure: &mut Option<anyhow::Error>) -> bool {
        match answer.done {
            Ok(Some(done)) => {
                if let Some(ahead) = self.ahead.iter_mut().find(|ahead| ahead.number == answer.number) {
                    ahead.done = Some(done);
                }
                return true;
            }
            Ok(None) => {}
            Err(error) => *failure = Some(error),
        }
        false
    }

    fn judge(
        &mut self,
        search: &mut Search,
        observers: &mut (PairObserver, ()),
        state: &mut SearchState,
        done: Done,
        keep: Keep,
    ) -> Result<(), Error> {
        let Done { program, result, classes, relations } = done;
        *state.executions_mut() += 1;
        let unusable = result.unusable();
        self.unusable += u64::from(unusable);
        if unusable && keep == Keep::Novel {
            return Ok(());
        }
        state.metadata_mut::<Tally>()?.count(&program, &result);
        state.metadata_mut::<Relations>()?.count(&relations);
        let lost = result.finding.as_ref().is_some_and(|finding| finding.class.is_layer());
        if lost && keep == Keep::Novel && self.hangs.explains(&program) {
            // The same again: nothing to look into, and no start for mutants.
            if !self.hangs.foresees(&program) {
                Arc::make_mut(&mut self.hangs).widen(&program);
            }
            return Ok(());
        }
        let outcomes = result.native.outcomes.clone();
        observers.0.absorb(classes, result);
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
            Some(id) => {
                self.digests.insert(id.0, relations::digests(&input.0, &outcomes).into());
                self.settle(state, id)
            }
            None => Ok(()),
        }
    }

    /// Has a new corpus program written.
    ///
    /// # Errors
    /// LibAFL's corpus contradicts itself.
    pub fn settle(&mut self, state: &mut SearchState, id: CorpusId) -> Result<(), Error> {
        let mut testcase = state.corpus().get(id)?.borrow_mut();
        if let Some(input) = testcase.input() {
            let (name, bytes) = input.to_named_bytes();
            self.writer.write(self.dir.join(&name), bytes);
            self.names.insert(name.clone());
            *testcase.filename_mut() = Some(name);
        }
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
        self.flow(search, executor, state, Source::Search, Keep::Novel)
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
