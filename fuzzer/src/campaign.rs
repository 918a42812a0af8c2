//! A campaign: the search from its start, or from where it stopped, to its end.

use crate::engine::Engine;
use crate::generate::Generator;
use crate::guidance::Guidance;
use crate::monitor::Monitor;
use crate::objective::{Triage, Verdict};
use crate::runner::{CHUNK, PoolExecutor, Runner};
use crate::snapshot::Snapshot;
use crate::stats;
use anyhow::Context as _;
use parallax_corpus::Program;
use parallax_triage::stats::{AreaStats, Stats};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The snapshot's name in a campaign's folder.
pub const SNAPSHOT: &str = "state.bin";

/// How often `stats.json` is written.
const STATS_EVERY: Duration = Duration::from_secs(3);
/// Findings handed to triage at a time; between two such groups the campaign may end.
const TRIAGED: usize = 8;

/// What a campaign is to do.
#[derive(Clone, Debug)]
pub struct CampaignOptions {
    /// Where `corpus/`, `state.bin` and `stats.json` lie. A campaign that is there already goes on.
    pub dir: PathBuf,
    /// The target's name, for the statistics.
    pub target: String,
    /// The seed. A campaign that goes on keeps its own.
    pub seed: u64,
    /// Ends after this time in this session.
    pub time: Option<Duration>,
    /// Ends after so many programs in this session.
    pub execs: Option<u64>,
    /// Ends after so many new cases in this session.
    pub stop_after: Option<u64>,
    /// Programs on their way at a time. It must not depend on the number of runners, or the campaign does; keep it at
    /// 32 times the number of runners at least, and lower for a target that runs few programs a second.
    pub batch: usize,
    /// Which calls of the tables may be made; missing entries count as allowed.
    pub allowed: Vec<bool>,
    /// Each program is to have a checkpoint.
    pub points: bool,
    /// Programs to begin with, besides generated ones.
    pub seeds: Vec<Program>,
    /// A snapshot is written after so many programs.
    pub snapshot_programs: u64,
    /// A snapshot is written after this time.
    pub snapshot_every: Duration,
    /// Cases that are there already. After a crash they may be more than the snapshot knows.
    pub known_cases: u64,
    /// What guides the search.
    pub guidance: Guidance,
    /// No progress line.
    pub quiet: bool,
}

impl CampaignOptions {
    /// The usual options for a campaign in `dir`.
    pub fn new(dir: PathBuf) -> CampaignOptions {
        CampaignOptions {
            dir,
            target: String::new(),
            seed: 0,
            time: None,
            execs: None,
            stop_after: None,
            batch: 16 * CHUNK,
            allowed: Vec::new(),
            points: false,
            seeds: Vec::new(),
            snapshot_programs: 1_000_000,
            snapshot_every: Duration::from_secs(20),
            known_cases: 0,
            guidance: Guidance::default(),
            quiet: false,
        }
    }
}

/// Why a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its time was over.
    Time,
    /// It had run as many programs as it should.
    Programs,
    /// It had found as many cases as it should.
    Cases,
    /// Somebody stopped it.
    Stopped,
}

/// How a campaign went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub ending: Ending,
    /// New cases in this session.
    pub new_cases: u64,
    /// All numbers.
    pub stats: Stats,
}

/// Runs a campaign with one pool thread for each runner. Blocks until it ends; setting `stop` ends it within
/// about one message to each runner; investigations that are under way end undecided, if triage sees to it.
///
/// # Errors
/// The directory cannot be used, or a runner failed for good. The state is saved first.
pub fn run<R: Runner>(
    options: CampaignOptions,
    runners: Vec<R>,
    triage: &dyn Triage,
    stop: &AtomicBool,
) -> anyhow::Result<Summary> {
    anyhow::ensure!(options.batch > 0, "a batch must have at least one program");
    Campaign::start(options, runners, triage, stop)?.run()
}

struct Campaign<'a, R> {
    options: CampaignOptions,
    engine: Engine<'a, R>,
    triage: &'a dyn Triage,
    monitor: Monitor,
    jobs: usize,
    started: Instant,
    /// What the sessions before this one came to.
    before: Snapshot,
    seed: u64,
    new_cases: u64,
    known_cases: u64,
    unstable: u64,
    last_case: Instant,
    saved: (Instant, u64),
    stats_written: Instant,
}

impl<'a, R: Runner> Campaign<'a, R> {
    fn start(
        options: CampaignOptions,
        runners: Vec<R>,
        triage: &'a dyn Triage,
        stop: &'a AtomicBool,
    ) -> anyhow::Result<Campaign<'a, R>> {
        let started = Instant::now();
        let mut monitor = Monitor::new(options.quiet);
        let jobs = runners.len();
        let corpus = options.dir.join("corpus");
        // A damaged snapshot costs the statistics and some repetition, never the corpus.
        let snapshot = Snapshot::read(&options.dir.join(SNAPSHOT)).unwrap_or_else(|error| {
            monitor.say(&format!("snapshot skipped: {error}"));
            None
        });
        let seed = snapshot.as_ref().map_or(options.seed, |old| old.seed);
        let generator = Arc::new(Generator::new(&options.allowed).with_points(options.points));
        let executor = PoolExecutor::new(runners, stop, options.time.map(|time| started + time))?;
        let engine = Engine::new(&corpus, seed, options.batch, generator, options.guidance, executor)?;
        let mut before = snapshot.clone().unwrap_or_default();
        before.cases = before.cases.max(options.known_cases);
        let mut campaign = Campaign {
            options,
            engine,
            triage,
            monitor,
            jobs,
            started,
            seed,
            new_cases: 0,
            known_cases: 0,
            unstable: 0,
            last_case: started,
            saved: (started, before.programs),
            stats_written: started,
            before,
        };
        if let Some(snapshot) = snapshot {
            let complaints = campaign.engine.restore(&snapshot)?;
            complaints.iter().for_each(|text| campaign.monitor.say(text));
        }
        Ok(campaign)
    }

    fn run(mut self) -> anyhow::Result<Summary> {
        let ended = self.search();
        // Whatever ended it, what was learned is kept; the first error is the one to tell.
        let saved = self.save();
        let stats = self.stats()?;
        let written =
            stats::write(&stats, &self.options.dir.join("stats.json")).context("cannot write stats.json");
        self.monitor.finish(&stats);
        let ending = ended?;
        saved?;
        written?;
        Ok(Summary { ending, new_cases: self.new_cases, stats })
    }

    fn search(&mut self) -> anyhow::Result<Ending> {
        let (found, complaints) = self.engine.resume()?;
        complaints.iter().for_each(|text| self.monitor.say(text));
        if found > 0 && !self.options.quiet {
            self.monitor
                .say(&format!("{found} programs on disk that the snapshot lacks: run again and kept"));
        }
        let fresh = self.before.programs == 0;
        if fresh {
            let seeds = std::mem::take(&mut self.options.seeds);
            self.engine.import(seeds)?;
        }
        if fresh || self.engine.corpus_size() == 0 {
            self.engine.begin()?;
        }
        loop {
            self.investigate()?;
            self.report()?;
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            self.engine.round(self.left())?;
        }
    }

    /// Programs run in this session.
    fn programs(&self) -> u64 {
        self.engine.programs().saturating_sub(self.before.programs)
    }

    /// How many programs may still be run.
    fn left(&self) -> usize {
        let left = self.options.execs.map_or(u64::MAX, |most| most.saturating_sub(self.programs()));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn ending(&self) -> Option<Ending> {
        if self.options.stop_after.is_some_and(|most| self.new_cases >= most) {
            Some(Ending::Cases)
        } else if self.left() == 0 {
            Some(Ending::Programs)
        } else if self.options.time.is_some_and(|time| self.started.elapsed() >= time) {
            Some(Ending::Time)
        } else if self.engine.executor.pool.stopped() {
            Some(Ending::Stopped)
        } else {
            None
        }
    }

    /// Hands what was found to triage, a few findings at a time.
    fn investigate(&mut self) -> anyhow::Result<()> {
        let enough = self.options.stop_after.unwrap_or(u64::MAX);
        while !self.engine.executor.pool.stopped() && self.new_cases < enough {
            let found = self.engine.take_findings(TRIAGED)?;
            if found.is_empty() {
                break;
            }
            let mut asked = found.clone().into_iter();
            for verdict in self.triage.investigate(found, enough - self.new_cases) {
                let waiting = asked.next();
                let lost = waiting.as_ref().is_some_and(|(_, finding)| finding.class.is_layer());
                match verdict {
                    Verdict::Case { signature, calls, program } => {
                        self.new_cases += 1;
                        self.last_case = Instant::now();
                        if !self.options.quiet {
                            let plural = if calls == 1 { "" } else { "s" };
                            self.monitor.say(&format!("new case, {calls} call{plural}: {signature}"));
                        }
                        // What the layer does not survive is no start for mutants.
                        if lost {
                            self.engine.avoid(&program);
                        } else {
                            self.engine.add(program)?;
                        }
                    }
                    Verdict::Known(program) => {
                        self.known_cases += 1;
                        program.iter().filter(|_| lost).for_each(|program| self.engine.avoid(program));
                    }
                    Verdict::Unstable => self.unstable += 1,
                    Verdict::Undecided => {
                        if let Some((program, finding)) = waiting {
                            self.engine.put_back(program, finding)?;
                        }
                    }
                }
            }
            self.report()?;
        }
        Ok(())
    }

    /// Writes what is due: the progress line, the statistics, a snapshot.
    fn report(&mut self) -> anyhow::Result<()> {
        let write = self.stats_written.elapsed() >= STATS_EVERY;
        if write || self.monitor.is_due() {
            let stats = self.stats()?;
            if self.monitor.is_due() {
                self.monitor.show(&stats);
            }
            if write {
                self.stats_written = Instant::now();
                let dir = &self.options.dir;
                stats::write(&stats, &dir.join("stats.json")).context("cannot write stats.json")?;
                stats::append(&stats, &dir.join("progress.jsonl")).context("cannot write progress.jsonl")?;
            }
        }
        let (when, programs) = self.saved;
        let run = self.engine.programs() - programs;
        if run > 0 && (run >= self.options.snapshot_programs || when.elapsed() >= self.options.snapshot_every)
        {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let snapshot = Snapshot {
            seed: self.seed,
            cases: self.before.cases + self.new_cases,
            known_cases: self.before.known_cases + self.known_cases,
            unstable: self.before.unstable + self.unstable,
            restarts: self.before.restarts + self.engine.executor.pool.restarts(),
            elapsed: self.before.elapsed + self.started.elapsed(),
            ..self.engine.snapshot()?
        };
        let path = self.options.dir.join(SNAPSHOT);
        snapshot.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
        self.saved = (Instant::now(), self.engine.programs());
        Ok(())
    }

    fn stats(&self) -> anyhow::Result<Stats> {
        let seconds = self.started.elapsed().as_secs_f64();
        let (tally, ledger) = (self.engine.tally()?, self.engine.ledger()?);
        let total = tally.total();
        let areas = tally.by_area().into_iter();
        Ok(Stats {
            target: self.options.target.clone(),
            seed: self.seed,
            jobs: self.jobs as u64,
            seconds: self.before.elapsed.as_secs_f64() + seconds,
            programs: self.engine.programs(),
            programs_per_second: self.programs() as f64 / seconds.max(1e-3),
            calls: total.runs,
            calls_ok: total.ok,
            calls_blocked: total.blocked,
            corpus: self.engine.corpus_size() as u64,
            cases: self.before.cases + self.new_cases,
            known_cases: self.before.known_cases + self.known_cases,
            unstable: self.before.unstable + self.unstable,
            waiting: self.engine.waiting() as u64,
            signatures: ledger.signatures() as u64,
            known_sightings: ledger.known(),
            restarts: self.before.restarts + self.engine.executor.pool.restarts(),
            unusable: self.engine.unusable(),
            seconds_since_last_case: self.last_case.elapsed().as_secs_f64(),
            areas: areas
                .map(|(area, c)| (area.name().to_owned(), AreaStats { calls: c.runs, ok: c.ok }))
                .collect(),
            per_call: tally.iter().map(|(id, counts)| (id.name().to_owned(), counts)).collect(),
        })
    }
}
