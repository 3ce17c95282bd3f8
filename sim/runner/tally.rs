//! What the seeds of one scenario add up to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Exit;
use crate::run::{Failure, Outcome};
use crate::situation::Situation;
use crate::world::SECOND;

/// Failures of one kind that are kept with their words; further ones are counted.
const FAILURES_KEPT: usize = 100;
/// A mark weighs as much as this many situations when seeds are compared by rarity.
const MARK_WEIGHT: f64 = 10.0;

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) seed: u64,
    pub(super) text: String,
    /// The exit code for it.
    pub(super) exit: u8,
}

/// How often something was reached, and by which seed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) seeds: u64,
    pub(super) first: u64,
}

impl Reached {
    fn by(&mut self, seed: u64) {
        self.seeds += 1;
        if self.seeds == 1 {
            self.first = seed;
        }
    }
}

/// Failures of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failures {
    pub(super) count: u64,
    pub(super) kept: Vec<Failed>,
}

/// What the seeds add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) done: u64,
    /// Virtual time, nanoseconds.
    pub(super) simulated: u64,
    pub(super) events: u64,
    pub(super) accepted: u64,
    pub(super) started: u64,
    /// Real time spent, milliseconds; over all runs when a state file is used.
    pub(super) took_ms: u64,
    pub(super) marks: BTreeMap<String, Reached>,
    pub(super) situations: BTreeMap<Situation, Reached>,
    /// Seeds done when a new situation was last reached.
    pub(super) newest_at: u64,
    pub(super) failures: BTreeMap<String, Failures>,
    /// The first step that was refused, by the action that refused it.
    #[serde(default)]
    pub(super) refused: BTreeMap<String, Failed>,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: Outcome) {
        let seed = outcome.seed;
        self.done += 1;
        self.simulated += outcome.simulated;
        self.events += outcome.events;
        self.accepted += outcome.accepted;
        self.started += outcome.started;
        for mark in outcome.marks.into_keys() {
            match self.marks.get_mut(mark) {
                Some(reached) => reached.by(seed),
                None => {
                    self.marks.insert(mark.to_owned(), Reached { seeds: 1, first: seed });
                }
            }
        }
        for situation in outcome.situations {
            let reached = self.situations.entry(situation).or_default();
            reached.by(seed);
            if reached.seeds == 1 {
                self.newest_at = self.done;
            }
        }
        if let Some(refused) = outcome.refused {
            let (text, exit) = (refused.text, Exit::Oracle as u8);
            // "entry 7, job 3: Action: why"
            let action = text.split(": ").nth(1).unwrap_or_default().to_owned();
            self.refused.entry(action).or_insert(Failed { seed, text, exit });
        }
        if let Some(failure) = outcome.failure {
            let failures = self.failures.entry(failure.kind().to_owned()).or_default();
            failures.count += 1;
            if failures.kept.len() < FAILURES_KEPT {
                let (text, exit) = (failure.to_string(), exit_of(&failure) as u8);
                failures.kept.push(Failed { seed, text, exit });
            }
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// The worst failure's exit code.
    pub(super) fn worst(&self) -> Option<Exit> {
        let kept = self.failures.values().flat_map(|failures| &failures.kept);
        kept.filter_map(|failed| Exit::from_code(failed.exit)).max()
    }

    pub(super) fn rate(&self, took: Duration) -> String {
        let took = took.as_secs_f64().max(1e-9);
        let seeds = self.done as f64 / took;
        let simulated = self.simulated as f64 / SECOND as f64 / took;
        format!("{seeds:.1} seeds/s, {simulated:.0} simulated s per wall s")
    }

    /// The seeds that reached what few others did, rarest first.
    pub(super) fn rarest(&self, most: usize) -> Vec<(u64, f64)> {
        let mut worth: BTreeMap<u64, f64> = BTreeMap::new();
        let mut add = |reached: &Reached, weight: f64| {
            if reached.seeds > 0 && reached.seeds * 100 <= self.done.max(100) {
                *worth.entry(reached.first).or_default() += weight / reached.seeds as f64;
            }
        };
        self.marks.values().for_each(|reached| add(reached, MARK_WEIGHT));
        self.situations.values().for_each(|reached| add(reached, 1.0));
        let mut seeds: Vec<(u64, f64)> = worth.into_iter().collect();
        seeds.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        seeds.truncate(most);
        seeds
    }
}

pub(super) fn exit_of(failure: &Failure) -> Exit {
    match failure {
        Failure::Oracle(_) => Exit::Oracle,
        Failure::Unsettled(_) => Exit::Unsettled,
        Failure::Panic(_) => Exit::Panic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_seed_is_the_one_that_reached_what_no_other_did() {
        let mut tally = Tally { done: 1_000, ..Tally::default() };
        tally.situations.insert(1, Reached { seeds: 900, first: 1 });
        tally.situations.insert(2, Reached { seeds: 2, first: 8 });
        tally.situations.insert(3, Reached { seeds: 1, first: 5 });
        tally.marks.insert("often".into(), Reached { seeds: 500, first: 2 });
        tally.marks.insert("rarely".into(), Reached { seeds: 1, first: 9 });
        let seeds: Vec<u64> = tally.rarest(10).into_iter().map(|(seed, _)| seed).collect();
        assert_eq!(seeds, [9, 5, 8]);
        assert_eq!(tally.rarest(1).len(), 1);
    }
}
