//! Novelty: which runs showed something no run showed before.
//!
//! A run is turned into a few hashes of coarse classes, of both sides. There is no coverage to go by: what a
//! kernel did is seen only in what it answered. Fine classes (pairs of calls) tell more but are nearly endless;
//! they count only while the corpus grows slowly, so that it holds what differs and not everything.

use crate::resources::makes_path;
use libafl::corpus::Testcase;
use libafl::executors::ExitKind;
use libafl::feedbacks::{Feedback, StateInitializer};
use libafl::observers::Observer;
use libafl::{Error, HasNamedMetadata};
use libafl_bolts::Named;
use libafl_bolts::tuples::{Handle, Handled, MatchName, MatchNameRef};
use parallax_corpus::desc::Meaning;
use parallax_corpus::{Arg, CallId, Outcome, Program, State, Ty};
use parallax_harness::pair::PairResult;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Bits of a class's hash; the set of seen classes has 2^BITS bits.
const BITS: u32 = 18;
/// Fine classes count while fewer than one in `2^RARE` of the latest runs were kept.
const RARE: u32 = 6;
/// Runs after which half of the memory of how many were kept is gone.
const WINDOW: f64 = 2048.0;

/// The classes of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// Always count.
    pub coarse: Vec<u32>,
    /// Count while the corpus grows slowly.
    pub fine: Vec<u32>,
}

fn mix(parts: &[u64]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        hash = (hash.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    (hash >> (64 - BITS)) as u32
}

/// What became of a call, coarsely: its state, its errno, or how large its answer was, if that says anything (a pid is
/// small only in an agent that is new).
pub(crate) fn class_of(id: CallId, outcome: &Outcome) -> u64 {
    match (outcome.state, outcome.errno()) {
        (State::Done, Some(errno)) => 0x1000 + errno as u64,
        _ if outcome.woken.is_some() => 0x200,
        // Where it says nothing, 0 says nothing.
        (State::Done, None) if id.desc().ret == Meaning::Opaque => 3,
        (State::Done, None) => match outcome.ret {
            0 => 1,
            _ if !matches!(id.desc().ret, Meaning::Exact | Meaning::Fd) => 3,
            1..=15 => 2,
            _ => 3,
        },
        (state, _) => 0x100 + state as u64,
    }
}

impl Classes {
    /// The classes of what both sides did with a program. Its finding is none of them: noise has signatures without
    /// end, and new cases come into the corpus through triage.
    pub fn of(program: &Program, result: &PairResult) -> Classes {
        let mut classes = Classes::default();
        for (side, trace) in [(1, &result.native), (2, &result.target)] {
            classes.add_side(program, side, &trace.outcomes);
        }
        classes
    }

    fn add_side(&mut self, program: &Program, side: u64, outcomes: &[Outcome]) {
        let mut previous = 0;
        // For each call, the last one that touched a thing it made.
        let mut touched: Vec<u64> = vec![0; program.calls.len()];
        for (i, (call, outcome)) in program.calls.iter().zip(outcomes).enumerate() {
            if outcome.state == State::NotRun {
                break;
            }
            let id = call.id.index() as u64 + 1;
            let class = class_of(call.id, outcome);
            let ok = u64::from(outcome.ok());
            self.coarse.push(mix(&[side, id, class]));
            if side == 1 {
                for (k, ((index, described), arg)) in call.id.desc().written().zip(&call.args).enumerate() {
                    if let (Ty::Flags(_) | Ty::Enum(_), Arg::Int(value)) = (described.ty, arg) {
                        let lowest = u64::from(value.trailing_zeros());
                        self.coarse.push(mix(&[3, id, k as u64, lowest, ok]));
                    }
                    if let (Ty::Path, Arg::Bytes(path)) = (described.ty, arg) {
                        if makes_path(call.id, index) {
                            self.fine.push(mix(&[8, id, u64::from(path.contains(&b'/')), ok]));
                        }
                    }
                }
            }
            // The call before, and the call before *on the same thing*: the second is what state is made of.
            self.fine.push(mix(&[4, side, previous, id, ok]));
            program.each_ref(i, |r| {
                let Some(last) = touched.get_mut(r.call as usize) else { return };
                let maker = program.calls[r.call as usize].id.index() as u64 + 1;
                self.fine.push(mix(&[5, side, maker, id, class]));
                self.fine.push(mix(&[6, side, *last, id, ok]));
                *last = id * 2 + ok;
            });
            previous = id * 2 + ok;
        }
    }
}

/// The classes of all runs so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    #[serde(with = "serde_bytes_vec")]
    bits: Vec<u8>,
    /// How many classes were seen.
    pub classes: u64,
    /// Share of the latest runs that were kept, 0 to 1.
    kept: f64,
}

libafl_bolts::impl_serdeany!(Seen);

/// A byte string rather than a list of numbers.
mod serde_bytes_vec {
    use serde::de::{Deserializer, Visitor};

    pub fn serialize<S: serde::Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: serde::de::Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
                Ok(v.to_vec())
            }
        }
        d.deserialize_byte_buf(Bytes)
    }
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { bits: vec![0; 1 << (BITS - 3)], classes: 0, kept: 0.0 }
    }
}

impl Seen {
    /// Whether the set has the size this version uses; one read from a file may not.
    pub fn is_usable(&self) -> bool {
        self.bits.len() == 1 << (BITS - 3)
    }

    fn has(&self, class: u32) -> bool {
        self.bits[(class >> 3) as usize] & (1 << (class & 7)) != 0
    }

    /// Remembers a run's classes. Returns whether the run is worth keeping.
    pub fn judge(&mut self, classes: &Classes) -> bool {
        let mut worth = classes.coarse.iter().any(|class| !self.has(*class));
        if self.kept < f64::from(2u32.pow(RARE)).recip() {
            worth |= classes.fine.iter().any(|class| !self.has(*class));
        }
        let one = if worth { 1.0 } else { 0.0 };
        self.kept += (one - self.kept) / WINDOW;
        if worth {
            self.remember(classes);
        }
        worth
    }

    /// Marks a run's classes as seen.
    pub fn remember(&mut self, classes: &Classes) {
        for class in classes.coarse.iter().chain(&classes.fine) {
            if !self.has(*class) {
                self.bits[(class >> 3) as usize] |= 1 << (class & 7);
                self.classes += 1;
            }
        }
    }
}

/// What LibAFL's feedback and objective see of the last run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PairObserver {
    /// Its classes.
    pub classes: Classes,
    /// Its first difference.
    pub finding: Option<parallax_harness::oracles::Finding>,
}

impl PairObserver {
    /// Takes over a run's result and its classes.
    pub fn absorb(&mut self, classes: Classes, result: PairResult) {
        self.classes = classes;
        self.finding = result.finding;
    }
}

impl Named for PairObserver {
    fn name(&self) -> &Cow<'static, str> {
        static NAME: Cow<'static, str> = Cow::Borrowed("pair");
        &NAME
    }
}

impl<I, S> Observer<I, S> for PairObserver {}

/// LibAFL's feedback: keeps a program whose run showed a new class.
#[derive(Debug)]
pub struct NoveltyFeedback {
    observer: Handle<PairObserver>,
    counts: bool,
}

/// The name under which [`Seen`] lies in the state.
pub const NOVELTY: &str = "novelty";

impl NoveltyFeedback {
    /// A feedback that looks at that observer. Where novelty does not count, nothing is kept for it.
    pub fn new(observer: &PairObserver, counts: bool) -> NoveltyFeedback {
        NoveltyFeedback { observer: observer.handle(), counts }
    }
}

impl Named for NoveltyFeedback {
    fn name(&self) -> &Cow<'static, str> {
        static NAME: Cow<'static, str> = Cow::Borrowed(NOVELTY);
        &NAME
    }
}

impl<S: HasNamedMetadata> StateInitializer<S> for NoveltyFeedback {
    fn init_state(&mut self, state: &mut S) -> Result<(), Error> {
        state.add_named_metadata_checked(NOVELTY, Seen::default())
    }
}

impl<EM, I, OT: MatchName, S: HasNamedMetadata> Feedback<EM, I, OT, S> for NoveltyFeedback {
    fn is_interesting(
        &mut self,
        state: &mut S,
        _manager: &mut EM,
        _input: &I,
        observers: &OT,
        _exit_kind: &ExitKind,
    ) -> Result<bool, Error> {
        let observer =
            observers.get(&self.observer).ok_or_else(|| Error::key_not_found("no pair observer"))?;
        Ok(state.named_metadata_mut::<Seen>(NOVELTY)?.judge(&observer.classes) && self.counts)
    }

    fn append_metadata(
        &mut self,
        _state: &mut S,
        _manager: &mut EM,
        _observers: &OT,
        _testcase: &mut Testcase<I>,
    ) -> Result<(), Error> {
        Ok(())
    }
}
