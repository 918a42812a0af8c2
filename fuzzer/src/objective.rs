//! The objective: differences with a signature not seen before, and the ledger of those that were.

use crate::novelty::PairObserver;
use libafl::corpus::Testcase;
use libafl::executors::ExitKind;
use libafl::feedbacks::{Feedback, StateInitializer};
use libafl::{Error, HasMetadata, HasNamedMetadata};
use libafl_bolts::Named;
use libafl_bolts::tuples::{Handle, Handled, MatchName, MatchNameRef};
use parallax_corpus::Program;
use parallax_harness::oracles::{Finding, Signature};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Confirmed, minimized, and new: it was stored as a case.
    Case {
        /// The signature of the minimized program.
        signature: Signature,
        /// How many calls are left.
        calls: usize,
        /// The minimized program.
        program: Program,
    },
    /// Confirmed, and a case that was there before; with the minimized program, where there is one.
    Known(Option<Program>),
    /// Not confirmed: a side disagrees with itself.
    Unstable,
    /// Not decided, since the campaign was to end: it goes on waiting.
    Undecided,
}

/// Confirms and minimizes findings. Called between batches, when no runner is at work, so that it may use the
/// same pairs.
pub trait Triage {
    /// Looks into findings; one verdict for each, in order. Beyond `most` new cases the rest stay undecided.
    fn investigate(&self, found: Vec<(Program, Finding)>, most: u64) -> Vec<Verdict>;
}

/// How often each raw signature (of programs as they were found, not minimized) was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    sightings: BTreeMap<Signature, u64>,
}

libafl_bolts::impl_serdeany!(Ledger);

impl Ledger {
    /// Counts a sighting. Returns which one it is, from 1.
    pub fn note(&mut self, signature: Signature) -> u64 {
        let count = self.sightings.entry(signature).or_insert(0);
        *count += 1;
        *count
    }

    /// How often a signature was seen.
    pub fn count(&self, signature: &Signature) -> u64 {
        self.sightings.get(signature).copied().unwrap_or(0)
    }

    /// Sightings of signatures that had been seen before.
    pub fn known(&self) -> u64 {
        self.sightings.values().map(|count| count.saturating_sub(1)).sum()
    }

    /// How many different signatures were seen.
    pub fn signatures(&self) -> usize {
        self.sightings.len()
    }
}

/// Whether the `count`th sighting is to be investigated: the first, and again the 10th, the 100th and so on,
/// since another bug may hide behind the same raw signature.
pub fn is_due(count: u64) -> bool {
    count > 0 && 10u64.checked_pow(count.ilog10()) == Some(count)
}

/// The finding of a program that waits for triage, in its testcase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindingMeta(pub Finding);

libafl_bolts::impl_serdeany!(FindingMeta);

/// The name under which [`Ledger`] lies in the state.
pub const LEDGER: &str = "ledger";

/// LibAFL's objective: a program whose first difference is due for triage is a solution.
#[derive(Debug)]
pub struct DivergenceObjective {
    observer: Handle<PairObserver>,
}

impl DivergenceObjective {
    /// An objective that looks at that observer.
    pub fn new(observer: &PairObserver) -> DivergenceObjective {
        DivergenceObjective { observer: observer.handle() }
    }

    fn finding<'a, OT: MatchName>(&self, observers: &'a OT) -> Option<&'a Finding> {
        observers.get(&self.observer)?.finding.as_ref()
    }
}

impl Named for DivergenceObjective {
    fn name(&self) -> &Cow<'static, str> {
        static NAME: Cow<'static, str> = Cow::Borrowed(LEDGER);
        &NAME
    }
}

impl<S: HasNamedMetadata> StateInitializer<S> for DivergenceObjective {
    fn init_state(&mut self, state: &mut S) -> Result<(), Error> {
        state.add_named_metadata_checked(LEDGER, Ledger::default())
    }
}

impl<EM, I, OT: MatchName, S: HasNamedMetadata> Feedback<EM, I, OT, S> for DivergenceObjective {
    fn is_interesting(
        &mut self,
        state: &mut S,
        _manager: &mut EM,
        _input: &I,
        observers: &OT,
        _exit_kind: &ExitKind,
    ) -> Result<bool, Error> {
        let Some(finding) = self.finding(observers) else { return Ok(false) };
        let count = state.named_metadata_mut::<Ledger>(LEDGER)?.note(finding.signature());
        Ok(is_due(count))
    }

    fn append_metadata(
        &mut self,
        _state: &mut S,
        _manager: &mut EM,
        observers: &OT,
        testcase: &mut Testcase<I>,
    ) -> Result<(), Error> {
        if let Some(finding) = self.finding(observers) {
            testcase.add_metadata(FindingMeta(finding.clone()));
        }
        Ok(())
    }
}
