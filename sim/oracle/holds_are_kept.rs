//! Holds: judges that a held job waits until it is released.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History, Order};

/// A job that was submitted on hold, or was held while it waited, does not start before somebody
/// asks for its release. Source: `scontrol hold` in scontrol(1).
pub(super) struct HoldsAreKept;

impl Oracle for HoldsAreKept {
    const NAME: &'static str = "holds_are_kept";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut born_held: BTreeSet<&str> = BTreeSet::new();
        let mut released: BTreeSet<u32> = BTreeSet::new();
        // When a hold was acknowledged, and whether the job was seen waiting afterwards.
        let mut held: BTreeMap<u32, (Nanos, bool)> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Wanted { key, held: true, .. } => {
                    born_held.insert(key);
                }
                Effect::Ordered(Order::Hold(job), Answer::Done) if !released.contains(job) => {
                    held.insert(*job, (*at, false));
                }
                Effect::Ordering(
                    Order::Release(job) | Order::Requeue(job) | Order::Priority(job, _),
                ) => {
                    released.insert(*job);
                    held.remove(job);
                }
                Effect::Listed { asked, jobs, .. } => {
                    for job in jobs.iter().filter(|job| state::base(job.state) == state::PENDING) {
                        if let Some((since, waits)) = held.get_mut(&job.job) {
                            *waits |= *since < *asked && job.state == state::PENDING;
                        }
                    }
                }
                Effect::Started(process) => {
                    let Some(job) = process.job else { continue };
                    let born = process.key.as_deref().is_some_and(|key| born_held.contains(key));
                    let was_held = held.get(&job).is_some_and(|(_, waits)| *waits);
                    if (born && !released.contains(&job)) || was_held {
                        return Err((*at, format!("job {job} starts although it is held")));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on, seen};
    use super::*;

    fn held() -> Tale {
        let tale = Tale::new().then(Effect::Ordered(Order::Hold(7), Answer::Done)).later(1);
        tale.listed(1, &[seen(7, 0)])
    }

    #[test]
    fn a_held_job_starts_only_after_a_release() {
        let text = "job 7 starts although it is held";
        assert_eq!(held().starts(&on(1, 7, "a")).verdict::<HoldsAreKept>(), text);
        let tale = held().then(Effect::Ordering(Order::Release(7))).starts(&on(1, 7, "a"));
        assert_eq!(tale.verdict::<HoldsAreKept>(), "fine");
    }

    #[test]
    fn a_job_that_was_on_its_way_when_it_was_held_is_no_proof() {
        let tale = Tale::new().then(Effect::Ordered(Order::Hold(7), Answer::Done));
        assert_eq!(tale.starts(&on(1, 7, "a")).verdict::<HoldsAreKept>(), "fine");
    }

    #[test]
    fn a_job_that_was_submitted_on_hold_is_held() {
        let (key, partition, time_limit_min) = ("k7".to_owned(), None, None);
        let wanted =
            Effect::Wanted { key, cpus: 1, memory_mib: 0, partition, time_limit_min, held: true };
        let tale = Tale::new().then(wanted).starts(&on(1, 7, "a"));
        assert_eq!(tale.verdict::<HoldsAreKept>(), "job 7 starts although it is held");
    }
}
