//! What became of each call so far, and the weights that follow from it.

use parallax_corpus::{Area, CallId, Program, State, tables};
use parallax_harness::pair::PairResult;
use parallax_triage::stats::Counts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of all calls, by their place in the tables. Written by name, so that tables may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Counts>", into = "BTreeMap<String, Counts>")]
pub struct Tally {
    calls: Vec<Counts>,
}

libafl_bolts::impl_serdeany!(Tally);

impl Tally {
    /// Counts one run.
    pub fn count(&mut self, program: &Program, result: &PairResult) {
        for (call, outcome) in program.calls.iter().zip(&result.native.outcomes) {
            if matches!(outcome.state, State::NotRun | State::Absent | State::Missed) {
                continue;
            }
            let counts = self.of_mut(call.id);
            counts.runs += 1;
            counts.ok += u64::from(outcome.ok());
            counts.blocked += u64::from(outcome.state == State::Blocked);
        }
    }

    /// The counts of one call.
    pub fn of(&self, id: CallId) -> Counts {
        self.calls.get(id.index()).copied().unwrap_or_default()
    }

    /// The counts of one call, to be changed.
    pub fn of_mut(&mut self, id: CallId) -> &mut Counts {
        let size = tables::all().len().max(id.index() + 1);
        if self.calls.len() < size {
            self.calls.resize(size, Counts::default());
        }
        &mut self.calls[id.index()]
    }

    /// All calls that were run, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (CallId, Counts)> + '_ {
        let ids = self.calls.iter().enumerate();
        ids.filter_map(|(i, counts)| Some((CallId::from_index(i)?, *counts))).filter(|(_, c)| c.runs > 0)
    }

    /// The counts of all calls together.
    pub fn total(&self) -> Counts {
        self.calls.iter().fold(Counts::default(), |mut sum, counts| {
            sum += *counts;
            sum
        })
    }

    /// The counts of each area that was run.
    pub fn by_area(&self) -> BTreeMap<Area, Counts> {
        let mut areas = BTreeMap::new();
        for (id, counts) in self.iter() {
            *areas.entry(id.desc().area).or_insert_with(Counts::default) += counts;
        }
        areas
    }
}

impl From<BTreeMap<String, Counts>> for Tally {
    fn from(names: BTreeMap<String, Counts>) -> Tally {
        let mut tally = Tally::default();
        for (name, counts) in names {
            if let Some(id) = CallId::named(&name) {
                *tally.of_mut(id) = counts;
            }
        }
        tally
    }
}

impl From<Tally> for BTreeMap<String, Counts> {
    fn from(tally: Tally) -> BTreeMap<String, Counts> {
        tally
            .calls
            .iter()
            .enumerate()
            .filter_map(|(i, c)| Some((CallId::from_index(i)?.name().to_owned(), *c)))
            .collect()
    }
}

/// How likely each call is to be drawn: its table weight, less for one whose known differences hide what comes
/// after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights(Vec<u32>);

/// Runs of a call before its record counts.
const TRIAL: u64 = 64;
/// Answers of "no such call" before it is believed.
const MISSING: u64 = 8;

impl Weights {
    /// The tables' weights.
    pub fn even() -> Weights {
        Weights::from_tally(&Tally::default())
    }

    /// The tables' weights, damped by the share of runs that ended in a known difference: to an eighth at most,
    /// since another bug may hide in the same call. A call that the target lacks is not drawn any more.
    pub fn from_tally(tally: &Tally) -> Weights {
        let weight = |(i, desc): (usize, &&parallax_corpus::Desc)| {
            let counts = CallId::from_index(i).map(|id| tally.of(id)).unwrap_or_default();
            let full = u32::from(desc.weight) * 64;
            if counts.unsupported >= MISSING && counts.unsupported * 2 > counts.known {
                0
            } else if counts.runs < TRIAL {
                full
            } else {
                // A difference in one run of two is already one too many: everything after it is in its shadow.
                let kept = counts.runs.saturating_sub(2 * counts.known.min(counts.runs));
                (full / 8).max((u64::from(full) * kept / counts.runs) as u32)
            }
        };
        Weights(tables::all().iter().enumerate().map(weight).collect())
    }

    /// The weight of a call; 0 for one that must not be drawn.
    pub fn of(&self, id: CallId) -> u32 {
        self.0.get(id.index()).copied().unwrap_or(0)
    }
}
