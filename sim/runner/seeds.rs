//! Which seeds a sweep runs: from where, how many or how long, which share of them, and which were
//! done before.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::args::Shard;

/// Sorted ranges `[from, to)` of numbers that are done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(pub(super) Vec<(u64, u64)>);

impl Ranges {
    /// Adds a number.
    pub(super) fn add(&mut self, number: u64) {
        let at = self.0.partition_point(|(from, _)| *from <= number);
        if at > 0 && number < self.0[at - 1].1 {
            return;
        }
        let joins_before = at > 0 && self.0[at - 1].1 == number;
        let joins_after = at < self.0.len() && self.0[at].0 == number + 1;
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = number + 1,
            (false, true) => self.0[at].0 = number,
            (false, false) => self.0.insert(at, (number, number + 1)),
        }
    }

    /// The first number from `from` on that is not done.
    pub(super) fn next_free(&self, from: u64) -> u64 {
        let at = self.0.partition_point(|(begin, _)| *begin <= from);
        match at.checked_sub(1).map(|before| self.0[before].1) {
            Some(end) if from < end => end,
            Some(_) | None => from,
        }
    }
}

/// What a sweep may run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The first seed of all shards.
    pub(super) first: u64,
    /// Seeds of all shards together; no end when `None`.
    pub(super) seeds: Option<u64>,
    /// No seed is begun after this.
    pub(super) deadline: Option<Instant>,
    /// Which share of them.
    pub(super) shard: Shard,
}

struct Position {
    /// Counts the seeds of this shard.
    next: u64,
    stopped: bool,
}

/// Hands out seeds to the threads of a sweep.
pub(super) struct Seeds {
    limits: Limits,
    done_before: Ranges,
    position: Mutex<Position>,
}

impl Seeds {
    pub(super) fn new(limits: Limits, done_before: Ranges) -> Self {
        let position = Mutex::new(Position { next: 0, stopped: false });
        Self { limits, done_before, position }
    }

    /// How many seeds this shard has; `None` without an end.
    pub(super) fn count(&self) -> Option<u64> {
        let Shard { index, count } = self.limits.shard;
        self.limits.seeds.map(|seeds| seeds.saturating_sub(index).div_ceil(count))
    }

    /// The next seed, with its number in the shard.
    pub(super) fn next(&self) -> Option<(u64, u64)> {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let late = self.limits.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if position.stopped || late {
            return None;
        }
        let number = self.done_before.next_free(position.next);
        if self.count().is_some_and(|count| number >= count) {
            return None;
        }
        position.next = number + 1;
        let Shard { index, count } = self.limits.shard;
        let seed = number.checked_mul(count)?.checked_add(index)?.checked_add(self.limits.first)?;
        Some((number, seed))
    }

    /// Hands out no more.
    pub(super) fn stop(&self) {
        self.position.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let mut ranges = Ranges::default();
        for number in [5, 3, 4, 0, 9, 1, 4] {
            ranges.add(number);
        }
        assert_eq!(ranges.0, [(0, 2), (3, 6), (9, 10)]);
        let free: Vec<u64> = (0..11).map(|from| ranges.next_free(from)).collect();
        assert_eq!(free, [2, 2, 2, 6, 6, 6, 6, 7, 8, 10, 10]);
    }

    fn all(shard: Shard, seeds: u64, done: &[u64]) -> Vec<u64> {
        let mut ranges = Ranges::default();
        done.iter().for_each(|number| ranges.add(*number));
        let limits = Limits { first: 100, seeds: Some(seeds), deadline: None, shard };
        let source = Seeds::new(limits, ranges);
        std::iter::from_fn(|| source.next().map(|(_, seed)| seed)).collect()
    }

    #[test]
    fn shards_share_the_seeds_without_overlap() {
        let mut together: Vec<u64> =
            (0..3).flat_map(|index| all(Shard { index, count: 3 }, 10, &[])).collect();
        together.sort_unstable();
        assert_eq!(together, (100..110).collect::<Vec<u64>>());
        assert_eq!(all(Shard { index: 2, count: 3 }, 10, &[]), [102, 105, 108]);
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        assert_eq!(all(Shard::WHOLE, 5, &[0, 1, 3]), [102, 104]);
        assert_eq!(all(Shard { index: 1, count: 2 }, 6, &[1]), [101, 105]);
    }

    #[test]
    fn nothing_begins_after_the_deadline_or_a_stop() {
        let deadline = Some(Instant::now());
        let shard = Shard::WHOLE;
        let source =
            Seeds::new(Limits { first: 0, seeds: None, deadline, shard }, Ranges::default());
        assert_eq!(source.next(), None);
        let limits = Limits { first: 0, seeds: None, deadline: None, shard };
        let source = Seeds::new(limits, Ranges::default());
        assert_eq!(source.next(), Some((0, 0)));
        source.stop();
        assert_eq!(source.next(), None);
    }
}
