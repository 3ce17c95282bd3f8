//! Fairness: judges that nobody is overtaken.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History, SeenJob};

/// First come, first served, within a partition: no listing shows a job that came later, and asks for
/// no less and no less time, started while an earlier one still waits. With backfill a smaller or
/// shorter job may start first. Jobs that somebody held, cancelled, updated or
/// requeued, or that their nodes gave back, are not compared. Source: priority/basic in slurm.conf(5).
pub(super) struct QueueIsFair;

/// What is known of a submission.
#[derive(Clone, Debug)]
struct Asked<'h> {
    first_sent: Option<Nanos>,
    acknowledged: Option<Nanos>,
    cpus: u32,
    memory_mib: u64,
    partition: Option<&'h str>,
    time_limit_min: Option<u32>,
    held: bool,
}

impl Asked<'_> {
    /// Whether this one was in the queue before the other was even sent, and needs no more.
    fn comes_before(&self, other: &Self) -> bool {
        let earlier = match (self.acknowledged, other.first_sent) {
            (Some(known), Some(sent)) => known < sent,
            (None, _) | (_, None) => false,
        };
        let fits = self.cpus <= other.cpus && self.memory_mib <= other.memory_mib;
        let shorter = match (self.time_limit_min, other.time_limit_min) {
            (Some(own), Some(others)) => own <= others,
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        earlier && fits && shorter && self.partition == other.partition
    }
}

fn has_started(job: &SeenJob) -> bool {
    // Cancelled and the like say nothing about a start.
    let base = state::base(job.state);
    matches!(base, state::RUNNING | state::SUSPENDED | state::COMPLETED | state::FAILED)
}

impl Oracle for QueueIsFair {
    const NAME: &'static str = "queue_is_fair";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut asked: BTreeMap<&str, Asked<'_>> = BTreeMap::new();
        let mut touched: BTreeSet<u32> = BTreeSet::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Wanted { key, cpus, memory_mib, partition, time_limit_min, held } => {
                    let one = Asked {
                        first_sent: None,
                        acknowledged: None,
                        cpus: *cpus,
                        memory_mib: *memory_mib,
                        partition: partition.as_deref(),
                        time_limit_min: *time_limit_min,
                        held: *held,
                    };
                    asked.insert(key, one);
                }
                Effect::Submitting { key, .. } => {
                    if let Some(one) = asked.get_mut(key.as_str()) {
                        one.first_sent.get_or_insert(*at);
                    }
                }
                Effect::Submitted { key, answer: Answer::Accepted(_) } => {
                    if let Some(one) = asked.get_mut(key.as_str()) {
                        one.acknowledged.get_or_insert(*at);
                    }
                }
                Effect::Ordering(order) => touched.extend(order.job()),
                Effect::Cancelling { job } => {
                    touched.insert(*job);
                }
                Effect::Listed { jobs, .. } => {
                    let left: Vec<(&SeenJob, &Asked<'_>)> = jobs
                        .iter()
                        .filter(|job| !touched.contains(&job.job) && job.restarts == 0)
                        .filter_map(|job| Some((job, asked.get(job.name.as_str())?)))
                        .filter(|(_, one)| !one.held)
                        .collect();
                    compare(&left).map_err(|text| (*at, text))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn compare(jobs: &[(&SeenJob, &Asked<'_>)]) -> Result<(), String> {
    let waits = |job: &&&(&SeenJob, &Asked<'_>)| state::base(job.0.state) == state::PENDING;
    for (waiting, early) in jobs.iter().filter(|job| waits(&job)).copied() {
        let passed = jobs.iter().find(|(job, late)| has_started(job) && early.comes_before(late));
        if let Some((started, _)) = passed {
            let text = format!(
                "job {} waits while job {}, which came later and asks for no less, was started",
                waiting.job, started.job
            );
            return Err(text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, seen};
    use super::*;
    use crate::world::history::Order;

    fn wanted(key: &str, cpus: u32) -> Effect {
        let (key, partition, time_limit_min) = (key.to_owned(), None, None);
        Effect::Wanted { key, cpus, memory_mib: 0, partition, time_limit_min, held: false }
    }

    fn two(first: u32, second: u32) -> Tale {
        let tale = Tale::new().then(wanted("k1", first)).submitted("k1", Answer::Accepted(1));
        tale.then(wanted("k2", second)).submitted("k2", Answer::Accepted(2))
    }

    const OVERTAKEN: &str =
        "job 1 waits while job 2, which came later and asks for no less, was started";

    #[test]
    fn a_later_job_that_asks_for_no_less_waits_its_turn() {
        let tale = two(1, 1).listed(1, &[seen(1, 0), seen(2, 1)]);
        assert_eq!(tale.verdict::<QueueIsFair>(), OVERTAKEN);
        let tale = two(1, 1).listed(1, &[seen(1, 1), seen(2, 0)]);
        assert_eq!(tale.verdict::<QueueIsFair>(), "fine");
    }

    #[test]
    fn a_smaller_job_and_a_job_that_was_touched_are_not_compared() {
        let tale = two(2, 1).listed(1, &[seen(1, 0), seen(2, 1)]);
        assert_eq!(tale.verdict::<QueueIsFair>(), "fine");
        let tale = two(1, 1).then(Effect::Ordering(Order::Hold(1)));
        let tale = tale.listed(1, &[seen(1, 0), seen(2, 1)]);
        assert_eq!(tale.verdict::<QueueIsFair>(), "fine");
    }
}
