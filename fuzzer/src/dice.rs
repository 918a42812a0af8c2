//! Chance: the few ways in which the search draws random things.
//!
//! Everything random in a campaign comes from the one generator in LibAFL's state, so a seed and a corpus
//! determine the campaign.

use libafl_bolts::rands::{Rand, StdRand};

/// A source of random words, and what the generator and the mutators ask of it.
pub trait Dice {
    /// 64 random bits.
    fn word(&mut self) -> u64;

    /// A number in `0..n`; 0 if `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.word()) * n as u128) >> 64) as usize
    }

    /// True `percent` times of a hundred.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `things`, if there are any.
    fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len()))
    }

    /// An index drawn by weight, if any weight is above zero.
    fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> Option<usize>
    where
        Self: Sized,
    {
        let total: u64 = weights.clone().map(u64::from).sum();
        if total == 0 {
            return None;
        }
        let mut left = self.below(total as usize) as u64;
        for (i, weight) in weights.enumerate() {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return Some(i),
            }
        }
        None
    }
}

impl Dice for StdRand {
    fn word(&mut self) -> u64 {
        Rand::next(self)
    }
}
