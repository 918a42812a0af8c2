//! How long a side's answers take, so that one that does not come is suspected early.
//!
//! A suspicion decides nothing: the layer is started again and the programs run once more, with an answer for each.
//! So it may be wrong now and then, and costs little if it is seldom wrong.

use std::time::Duration;

/// Batches of fewer programs are waited for: there is little to be gained, and one program must not be enough.
pub(crate) const SMALLEST: usize = 16;
/// At first, for each program, before anything is known.
const UNKNOWN: Duration = Duration::from_millis(10);
/// So many times what programs took lately is no reason to suspect anything.
const ROOM: u32 = 8;
/// What a message may take in any case: a busy machine stands still for as long.
const LEAST: Duration = Duration::from_millis(500);
/// Where suspicions are wrong again and again, that grows up to here.
const MOST: Duration = Duration::from_secs(2);

/// What the messages of one side took lately.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// For each program, by the slowest message; older ones count less and less.
    slowest: Duration,
    least: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { slowest: UNKNOWN, least: LEAST }
    }
}

impl Pace {
    /// A message of so many programs was answered.
    pub(crate) fn note(&mut self, took: Duration, programs: usize) {
        let each = took / u32::try_from(programs.max(1)).unwrap_or(u32::MAX);
        self.slowest = each.max(self.slowest * 31 / 32);
    }

    /// From when on a message of so many programs, each of which may wait so long by itself, is suspected.
    pub(crate) fn suspects_after(&self, programs: usize, wait: Duration) -> Duration {
        self.least + (self.slowest * ROOM + wait) * u32::try_from(programs).unwrap_or(u32::MAX)
    }

    /// All was well, though it was suspected.
    pub(crate) fn was_wrong(&mut self) {
        self.least = (self.least * 2).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;

    #[test]
    fn a_quick_side_is_suspected_soon_and_a_slow_one_later() {
        let mut pace = Pace::default();
        let unknown = pace.suspects_after(64, NO_WAIT);
        (0..200).for_each(|_| pace.note(Duration::from_millis(64), 64));
        let quick = pace.suspects_after(64, NO_WAIT);
        pace.note(Duration::from_secs(3), 64);
        let slow = pace.suspects_after(64, NO_WAIT);
        assert!(quick < unknown && quick < Duration::from_millis(1500), "{quick:?} {unknown:?}");
        assert!(slow > Duration::from_secs(6), "{slow:?}");
    }

    #[test]
    fn what_programs_may_wait_by_themselves_is_added() {
        let pace = Pace::default();
        let wait = Duration::from_millis(60);
        assert_eq!(pace.suspects_after(3, wait) - pace.suspects_after(3, NO_WAIT), 3 * wait);
    }

    #[test]
    fn where_suspicions_are_wrong_patience_grows_but_not_without_end() {
        let mut pace = Pace::default();
        let before = pace.suspects_after(1, NO_WAIT);
        pace.was_wrong();
        assert!(pace.suspects_after(1, NO_WAIT) > before);
        (0..100).for_each(|_| pace.was_wrong());
        assert!(pace.suspects_after(1, NO_WAIT) < Duration::from_secs(3));
    }
}
