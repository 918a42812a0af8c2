//! Relations between calls: which earlier call changed what a later one did.
//!
//! They are learned from runs that are made anyway. Where a mutant differs from its parent by nothing but calls put in
//! (or taken out), and a call after them does something else than it did in the parent, the former influence the latter.

use crate::novelty::class_of;
use crate::tally::Weights;
use parallax_corpus::{CallId, Outcome, Program, tables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most calls put in or taken out at once from which something is learned.
const SEGMENT: usize = 3;
/// Sightings before a relation is believed: outcomes vary by chance, too.
const BELIEVED: u32 = 2;
/// Most relations that are kept.
const MOST: usize = 1 << 14;

/// One call influences another: earlier, later.
pub type Pair = (CallId, CallId);

/// What a call did, in a word: how it ended, and which words of its answers are zero.
pub fn digest(id: CallId, outcome: &Outcome) -> u64 {
    let mut hash = class_of(id, outcome).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (k, word) in outcome.out.chunks(4).take(64).enumerate() {
        hash ^= u64::from(word.iter().any(|byte| *byte != 0)) << (k % 64);
    }
    hash
}

/// The digests of a program's calls.
pub fn digests(program: &Program, outcomes: &[Outcome]) -> Vec<u64> {
    program.calls.iter().zip(outcomes).map(|(call, outcome)| digest(call.id, outcome)).collect()
}

/// What a mutant's run says about relations. `before` and `after` are the digests of the parent's and of its own calls.
pub fn compare(parent: &Program, before: &[u64], mutant: &Program, after: &[u64]) -> Vec<Pair> {
    let (a, b) = (&parent.calls, &mutant.calls);
    // Arguments that name things move with their calls, so only the calls are compared.
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let room = a.len().min(b.len()) - head;
    let same = |(a, b): &(&parallax_corpus::Call, &parallax_corpus::Call)| a.id == b.id;
    let tail = a.iter().rev().zip(b.iter().rev()).take(room).take_while(same).count();
    let (cut, put) = (a.len() - head - tail, b.len() - head - tail);
    if tail == 0 || cut > 0 && put > 0 || !(1..=SEGMENT).contains(&(cut + put)) {
        return Vec::new();
    }
    let changed = if cut > 0 { &a[head..head + cut] } else { &b[head..head + put] };
    let mut pairs = Vec::new();
    for k in 1..=tail {
        let (Some(old), Some(new)) = (before.get(a.len() - k), after.get(b.len() - k)) else { continue };
        if old != new {
            let later = b[b.len() - k].id;
            pairs.extend(changed.iter().map(|earlier| (earlier.id, later)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// All relations seen, with how often. Written by name, so that tables may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, String, u32)>", into = "Vec<(String, String, u32)>")]
pub struct Relations {
    counts: BTreeMap<Pair, u32>,
}

libafl_bolts::impl_serdeany!(Relations);

impl Relations {
    /// Counts what a run said.
    pub fn count(&mut self, pairs: &[Pair]) {
        for pair in pairs {
            if self.counts.len() < MOST || self.counts.contains_key(pair) {
                let count = self.counts.entry(*pair).or_insert(0);
                *count = count.saturating_add(1);
            }
        }
    }

    /// How many are believed.
    pub fn believed(&self) -> usize {
        self.counts.values().filter(|count| **count >= BELIEVED).count()
    }
}

impl From<Vec<(String, String, u32)>> for Relations {
    fn from(names: Vec<(String, String, u32)>) -> Relations {
        let counts = names
            .into_iter()
            .filter_map(|(a, b, count)| Some(((CallId::named(&a)?, CallId::named(&b)?), count)));
        Relations { counts: counts.collect() }
    }
}

impl From<Relations> for Vec<(String, String, u32)> {
    fn from(relations: Relations) -> Vec<(String, String, u32)> {
        let name = |id: CallId| id.name().to_owned();
        relations.counts.into_iter().map(|((a, b), count)| (name(a), name(b), count)).collect()
    }
}

/// Calls with their weights.
type Weighed = Vec<(CallId, u32)>;

/// What is known about relations, ready to be drawn from: what was learned, and that calls which set and get the same
/// thing have to do with each other.
#[derive(Clone, Debug, Default)]
pub struct Guide {
    after: Vec<Weighed>,
    before: Vec<Weighed>,
}

/// What a call's name is about: `timerfd_settime` and `timerfd_gettime` are about the same.
fn stem(id: CallId) -> String {
    id.name().replace("set", "").replace("get", "")
}

impl Guide {
    /// A guide by names alone, for calls with these weights.
    pub fn by_name(weights: &Weights) -> Guide {
        let ids: Vec<CallId> = (0..tables::all().len()).filter_map(CallId::from_index).collect();
        let mut groups: BTreeMap<String, Vec<CallId>> = BTreeMap::new();
        for id in &ids {
            groups.entry(stem(*id)).or_default().push(*id);
        }
        let mates = |id: &CallId| -> Weighed {
            let all = groups.get(&stem(*id)).into_iter().flatten();
            all.filter(|mate| weights.of(**mate) > 0)
                .map(|mate| (*mate, if mate == id { 1 } else { 3 }))
                .collect()
        };
        let after: Vec<Weighed> = ids.iter().map(mates).collect();
        Guide { before: after.clone(), after }
    }

    /// Adds what was learned.
    #[must_use]
    pub fn with(mut self, relations: &Relations, weights: &Weights) -> Guide {
        for ((earlier, later), count) in &relations.counts {
            if *count >= BELIEVED && weights.of(*earlier) > 0 && weights.of(*later) > 0 {
                let weight = count.ilog2();
                self.after[earlier.index()].push((*later, weight));
                self.before[later.index()].push((*earlier, weight));
            }
        }
        self
    }

    /// Calls that are influenced by this one.
    pub fn after(&self, id: CallId) -> &[(CallId, u32)] {
        self.after.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// Calls that influence this one.
    pub fn before(&self, id: CallId) -> &[(CallId, u32)] {
        self.before.get(id.index()).map_or(&[], Vec::as_slice)
    }
}
