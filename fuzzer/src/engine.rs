//! The engine: LibAFL's state and fuzzer, put together, with a snapshot to go on from.

use crate::files;
use crate::generate::Generator;
use crate::guidance::Guidance;
use crate::input::{EXTENSION, ProgramInput};
use crate::novelty::{NOVELTY, NoveltyFeedback, Seen};
use crate::objective::{DivergenceObjective, FindingMeta, LEDGER, Ledger};
use crate::relations::Relations;
use crate::runner::{PoolExecutor, Runner};
use crate::schedule::NewestScheduler;
use crate::snapshot::Snapshot;
use crate::stage::{BatchStage, Keep};
use crate::tally::Tally;
use anyhow::Context as _;
use libafl::corpus::{Corpus, InMemoryCorpus, Testcase};
use libafl::events::NopEventManager;
use libafl::fuzzer::NopInputFilter;
use libafl::inputs::BytesInputConverter;
use libafl::schedulers::Scheduler;
use libafl::stages::Stage;
use libafl::state::{HasCorpus, HasExecutions, HasRand, HasSolutions, StdState};
use libafl::{Error, HasMetadata, HasNamedMetadata, HasScheduler, StdFuzzer};
use libafl_bolts::rands::StdRand;
use parallax_corpus::Program;
use parallax_harness::oracles::Finding;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// LibAFL's state: the corpus on disk and in memory; solutions are the findings that wait for triage.
pub type SearchState =
    StdState<InMemoryCorpus<ProgramInput>, ProgramInput, StdRand, InMemoryCorpus<ProgramInput>>;
/// LibAFL's fuzzer.
pub type Search =
    StdFuzzer<NewestScheduler, NoveltyFeedback, BytesInputConverter, NopInputFilter, DivergenceObjective>;

/// Programs the generator makes to begin with.
const BEGINNING: usize = 128;
/// How long a round takes.
const ROUND: Duration = Duration::from_secs(1);

/// A search that can go on: LibAFL's parts and the pool of runners.
pub struct Engine<'a, R> {
    /// The pool.
    pub executor: PoolExecutor<'a, R>,
    /// LibAFL's state.
    pub state: SearchState,
    search: Search,
    stage: BatchStage,
    generator: Arc<Generator>,
    dir: PathBuf,
}

impl<'a, R: Runner> Engine<'a, R> {
    /// An engine with an empty corpus in `dir`. Programs that are there already stay untouched, see
    /// [`Engine::resume`].
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(
        dir: &Path,
        seed: u64,
        batch: usize,
        generator: Arc<Generator>,
        guidance: Guidance,
        executor: PoolExecutor<'a, R>,
    ) -> anyhow::Result<Engine<'a, R>> {
        let mut feedback = NoveltyFeedback::new(&executor.observers.0, guidance.novelty);
        let mut objective = DivergenceObjective::new(&executor.observers.0);
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the corpus directory {}", dir.display()))?;
        let rand = StdRand::with_seed(seed);
        let mut state =
            StdState::new(rand, InMemoryCorpus::new(), InMemoryCorpus::new(), &mut feedback, &mut objective)?;
        state.add_metadata(Tally::default());
        state.add_metadata(Relations::default());
        Ok(Engine {
            executor,
            state,
            search: StdFuzzer::new(NewestScheduler, feedback, objective),
            stage: BatchStage::new(Arc::clone(&generator), guidance, batch, dir.to_owned())?,
            generator,
            dir: dir.to_owned(),
        })
    }

    /// Searches for about a second, until there are findings, or until `most` programs are judged.
    ///
    /// # Errors
    /// A runner failed for good, or the corpus cannot be written.
    pub fn round(&mut self, most: usize) -> anyhow::Result<()> {
        self.stage.budget = most;
        self.stage.pause = Some(Instant::now() + ROUND);
        // Not through LibAFL's `fuzz_one`, which uses chance each time, while how many rounds there are is up to
        // the clock.
        let mut manager = NopEventManager::new();
        self.stage.perform(&mut self.search, &mut self.executor, &mut self.state, &mut manager)?;
        self.failed()
    }

    /// Runs these programs and keeps the novel ones.
    ///
    /// # Errors
    /// As [`Engine::round`].
    pub fn import(&mut self, programs: Vec<Program>) -> anyhow::Result<()> {
        self.evaluate(programs, Keep::Novel)
    }

    /// Gives an empty corpus something to begin with: generated programs.
    ///
    /// # Errors
    /// As [`Engine::round`]; or no call is allowed at all.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let programs = self.stage.fresh(&mut self.state, BEGINNING);
        anyhow::ensure!(
            programs.iter().any(|p| !p.calls.is_empty()),
            "no call is left to be made on this target"
        );
        self.import(programs.clone())?;
        if self.state.corpus().count() == 0 && !self.executor.pool.stopped() {
            // Nothing was usable. There must be something to mutate, and the next run may fare better.
            self.add(programs.into_iter().next().unwrap_or_default())?;
        }
        Ok(())
    }

    fn evaluate(&mut self, programs: Vec<Program>, keep: Keep) -> anyhow::Result<()> {
        self.stage.evaluate(&mut self.search, &mut self.executor, &mut self.state, programs, keep)?;
        self.failed()
    }

    /// Waits until all programs that were kept are written.
    fn written(&self) -> anyhow::Result<()> {
        self.stage.writer.flush().with_context(|| format!("cannot write to {}", self.dir.display()))
    }

    fn failed(&mut self) -> anyhow::Result<()> {
        self.executor.failure.take().map_or(Ok(()), Err)
    }

    /// Puts a program into the corpus without running it, unless it is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, program: Program) -> anyhow::Result<()> {
        let input = ProgramInput(program);
        if !self.stage.names.contains(&input.file_name()) {
            let id = self.state.corpus_mut().add(Testcase::from(input))?;
            self.search.scheduler_mut().on_add(&mut self.state, id)?;
            self.stage.settle(&mut self.state, id)?;
        }
        Ok(())
    }

    /// Learns a case that the layer did not survive: it is mostly avoided from now on.
    pub fn avoid(&mut self, case: &Program) {
        Arc::make_mut(&mut self.stage.hangs).learn(case);
    }

    /// Takes up to `most` findings that wait for triage, in the order they were found. Of those that the layer did
    /// not survive there is one at most: it may explain the others, and what is explained is not looked into.
    ///
    /// # Errors
    /// Only if LibAFL's corpus contradicts itself.
    pub fn take_findings(&mut self, most: usize) -> anyhow::Result<Vec<(Program, Finding)>> {
        let ids: Vec<_> = self.state.solutions().ids().collect();
        let mut found = Vec::with_capacity(most);
        let mut lost = false;
        for id in ids {
            if found.len() == most {
                break;
            }
            let testcase = self.state.solutions_mut().remove(id)?;
            let finding = testcase.metadata::<FindingMeta>().map(|meta| meta.0.clone());
            let (Some(input), Ok(finding)) = (testcase.input(), finding) else { continue };
            if finding.class.is_layer() {
                if self.stage.hangs.explains(&input.0) {
                    continue;
                }
                if lost {
                    self.put_back(input.0.clone(), finding)?;
                    continue;
                }
                lost = true;
            }
            found.push((input.0.clone(), finding));
        }
        Ok(found)
    }

    /// Lets a finding wait for triage.
    ///
    /// # Errors
    /// Only if LibAFL's corpus contradicts itself.
    pub fn put_back(&mut self, program: Program, finding: Finding) -> anyhow::Result<()> {
        let mut testcase = Testcase::from(ProgramInput(program));
        testcase.add_metadata(FindingMeta(finding));
        self.state.solutions_mut().add(testcase)?;
        Ok(())
    }

    /// Findings that wait for triage.
    pub fn waiting(&self) -> usize {
        self.state.solutions().count()
    }

    /// Programs in the corpus.
    pub fn corpus_size(&self) -> usize {
        self.state.corpus().count()
    }

    /// Programs run, in all sessions.
    pub fn programs(&self) -> u64 {
        *self.state.executions()
    }

    /// What became of each call.
    ///
    /// # Errors
    /// Never: the engine put it there.
    pub fn tally(&self) -> Result<&Tally, Error> {
        self.state.metadata::<Tally>()
    }

    /// The signatures seen.
    ///
    /// # Errors
    /// Never: the engine put it there.
    pub fn ledger(&self) -> Result<&Ledger, Error> {
        self.state.named_metadata::<Ledger>(LEDGER)
    }

    /// Runs that said nothing, because a side could not set the program up; in this session.
    pub fn unusable(&self) -> u64 {
        self.stage.unusable
    }

    /// What is needed to go on later. The programs it names are safely on disk then.
    ///
    /// # Errors
    /// The disk fails.
    pub fn snapshot(&self) -> anyhow::Result<Snapshot> {
        self.written()?;
        files::sync_all(&self.dir).with_context(|| format!("cannot sync {}", self.dir.display()))?;
        let corpus = self.state.corpus();
        let mut names = Vec::with_capacity(corpus.count());
        for id in corpus.ids() {
            names.extend(corpus.get(id)?.borrow().filename().clone());
        }
        let mut waiting = Vec::new();
        for id in self.state.solutions().ids() {
            let testcase = self.state.solutions().get(id)?.borrow();
            if let (Some(input), Ok(meta)) = (testcase.input(), testcase.metadata::<FindingMeta>()) {
                waiting.push((input.0.clone(), meta.0.clone()));
            }
        }
        Ok(Snapshot {
            rand: *self.state.rand(),
            programs: self.programs(),
            groups: self.stage.groups,
            seen: self.state.named_metadata::<Seen>(NOVELTY)?.clone(),
            ledger: self.ledger()?.clone(),
            tally: self.tally()?.clone(),
            relations: self.state.metadata::<Relations>()?.clone(),
            hangs: (*self.stage.hangs).clone(),
            surveyed: self.stage.surveyed(),
            corpus: names,
            waiting,
            ..Snapshot::default()
        })
    }

    /// Goes on from a snapshot: everything it names is loaded without being run. Returns what could not be.
    ///
    /// # Errors
    /// The corpus cannot be written.
    pub fn restore(&mut self, snapshot: &Snapshot) -> anyhow::Result<Vec<String>> {
        let mut complaints = Vec::new();
        *self.state.rand_mut() = snapshot.rand;
        *self.state.executions_mut() = snapshot.programs;
        self.stage.groups = snapshot.groups;
        if snapshot.seen.is_usable() {
            *self.state.named_metadata_mut::<Seen>(NOVELTY)? = snapshot.seen.clone();
        } else {
            complaints.push("the snapshot's novelty is of another version: novelty begins anew".to_owned());
        }
        *self.state.named_metadata_mut::<Ledger>(LEDGER)? = snapshot.ledger.clone();
        *self.state.metadata_mut::<Tally>()? = snapshot.tally.clone();
        *self.state.metadata_mut::<Relations>()? = snapshot.relations.clone();
        self.stage.hangs = Arc::new(snapshot.hangs.clone());
        self.stage.survey_from(snapshot.surveyed);
        for name in &snapshot.corpus {
            // A name in a file is not to be trusted with leaving the directory.
            let path = Path::new(name).file_name().map(|name| self.dir.join(name)).unwrap_or_default();
            if let Some(input) = self.load(&path, &mut complaints) {
                self.add(input.0)?;
            }
        }
        for (program, finding) in &snapshot.waiting {
            self.put_back(program.clone(), finding.clone())?;
        }
        Ok(complaints)
    }

    /// Runs the programs on disk that are not in the corpus yet (kept after the last snapshot, or put there by
    /// hand), and keeps them all. Returns how many those were and what could not be read.
    ///
    /// # Errors
    /// As [`Engine::round`].
    pub fn resume(&mut self) -> anyhow::Result<(usize, Vec<String>)> {
        let mut complaints = Vec::new();
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&self.dir)
            .with_context(|| format!("cannot list {}", self.dir.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == EXTENSION))
            .filter(|path| {
                !self.stage.names.contains(&*path.file_name().unwrap_or_default().to_string_lossy())
            })
            .collect();
        paths.sort();
        let mut programs = Vec::new();
        let mut known = self.stage.names.clone();
        for path in &paths {
            // A copy under another name is the same program.
            if let Some(input) =
                self.load(path, &mut complaints).filter(|input| known.insert(input.file_name()))
            {
                programs.push(input.0);
            }
        }
        let count = programs.len();
        self.evaluate(programs, Keep::Always)?;
        Ok((count, complaints))
    }

    fn load(&self, path: &Path, complaints: &mut Vec<String>) -> Option<ProgramInput> {
        match ProgramInput::read(path) {
            Ok(input) if self.generator.allows_program(&input.0) => Some(input),
            Ok(_) => {
                complaints.push(format!("{}: skipped: it has a call that is switched off", path.display()));
                None
            }
            Err(error) => {
                complaints.push(format!("{}: skipped: {error:#}", path.display()));
                None
            }
        }
    }
}
