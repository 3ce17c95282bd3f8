//! Situations: how many different states of affairs the seeds of a sweep reach.
//!
//! A situation is what an onlooker outside the system could say at one moment, in coarse words: how
//! many submissions wait for an answer and whether any was repeated, how many acknowledged jobs have
//! not run yet, how many job processes live and on how many machines, whether a job has run more than
//! once, whether something was refused, given up, cancelled or lost with the power, whether faults are
//! over, and what kind of thing happened last. Numbers are put into a few classes, so the count says
//! how much of the space of coarse states was visited. It says nothing about states inside a component.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::history::{Answer, Effect, Gone, History, JobProcess};

/// One situation, as the digits of its classes.
pub type Situation = u64;

/// The class of a number: 0, 1, 2, 3 (3 to 5), 4 (6 to 11), 5 (more).
fn class(count: usize) -> u64 {
    match count {
        0..=2 => count as u64,
        3..=5 => 3,
        6..=11 => 4,
        _ => 5,
    }
}

/// Classes are digits of this base.
const BASE: u64 = 8;

#[derive(Default)]
struct Onlooker<'h> {
    open: BTreeMap<&'h str, u32>,
    waiting: BTreeSet<u32>,
    live: BTreeMap<(u32, u32), Option<u32>>,
    starts: BTreeMap<u32, u32>,
    refused: bool,
    given_up: bool,
    cancelled: usize,
    power_lost: usize,
    healed: bool,
}

fn place(process: &JobProcess) -> (u32, u32) {
    (process.machine.0, process.pid)
}

impl<'h> Onlooker<'h> {
    /// Sees one effect; its kind, as a class.
    fn see(&mut self, effect: &'h Effect) -> u64 {
        match effect {
            Effect::Submitting { key, tries } => {
                self.open.insert(key, *tries);
                0
            }
            Effect::Submitted { key, answer } => {
                self.open.remove(key.as_str());
                match answer {
                    Answer::Accepted(job) if !self.starts.contains_key(job) => {
                        self.waiting.insert(*job);
                    }
                    Answer::Accepted(_) | Answer::Done => {}
                    Answer::Refused(_) => self.refused = true,
                    Answer::None => self.given_up = true,
                }
                1
            }
            Effect::Cancelled { .. } => {
                self.cancelled += 1;
                2
            }
            Effect::Started(process) => {
                self.live.insert(place(process), process.job);
                if let Some(job) = process.job {
                    self.waiting.remove(&job);
                    *self.starts.entry(job).or_insert(0) += 1;
                }
                3
            }
            Effect::Gone(process, gone) => {
                self.live.remove(&place(process));
                match gone {
                    Gone::Ended(_) => 4,
                    Gone::PowerLost => {
                        self.power_lost += 1;
                        5
                    }
                }
            }
            Effect::Listed { .. }
            | Effect::NodesListed { .. }
            | Effect::OutputRead { .. }
            | Effect::Observed { .. }
            | Effect::Wanted { .. }
            | Effect::Cancelling { .. }
            | Effect::Ordering(_)
            | Effect::Ordered(..) => 6,
            Effect::Healed => {
                self.healed = true;
                7
            }
        }
    }

    fn digits(&self, kind: u64) -> [u64; 11] {
        let machines: BTreeSet<u32> = self.live.keys().map(|(machine, _)| *machine).collect();
        let repeated = self.open.values().filter(|tries| **tries > 0).count();
        let again = self.starts.values().filter(|starts| **starts > 1).count();
        [
            kind,
            class(self.open.len()),
            class(repeated),
            class(self.waiting.len()),
            class(self.live.len()),
            class(machines.len()),
            class(again),
            class(self.cancelled),
            class(self.power_lost),
            u64::from(self.refused) + 2 * u64::from(self.given_up),
            u64::from(self.healed),
        ]
    }
}

/// The situations a history went through.
pub fn situations(history: &History) -> BTreeSet<Situation> {
    let mut onlooker = Onlooker::default();
    let mut seen = BTreeSet::new();
    for (_, effect) in history.effects() {
        let kind = onlooker.see(effect);
        seen.insert(onlooker.digits(kind).into_iter().fold(0, |sum, digit| sum * BASE + digit));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(effects: &[Effect]) -> usize {
        let mut history = History::default();
        for (at, effect) in effects.iter().enumerate() {
            history.push(at as u64, effect.clone());
        }
        situations(&history).len()
    }

    #[test]
    fn names_and_times_make_no_new_situation_but_numbers_do() {
        let submitting = |key: &str| Effect::Submitting { key: key.into(), tries: 0 };
        let accepted =
            |key: &str, job| Effect::Submitted { key: key.into(), answer: Answer::Accepted(job) };
        let once = [submitting("a"), accepted("a", 1)];
        assert_eq!(told(&once), 2);
        let cancel = |job| Effect::Cancelled { job, answer: Answer::Done };
        let pairs = [submitting("a"), submitting("b"), cancel(1), cancel(2)];
        assert_eq!(told(&pairs), 4);
        let repeated = Effect::Submitting { key: "a".into(), tries: 1 };
        assert_eq!(told(&[submitting("a"), repeated.clone(), repeated]), 2);
    }
}
