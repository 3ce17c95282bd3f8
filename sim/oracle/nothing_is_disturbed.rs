//! Quiet: judges that jobs whose nodes had no trouble were left alone. For scenarios in which only
//! controllers, clients or clocks misbehave.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::Nanos;
use crate::world::history::{Effect, Gone, History, Order};

/// Where no node had trouble, a job's script ends by itself, unless somebody cancelled or requeued
/// it or its time was up; and no job is requeued or fails for its node's sake. Source: a change of
/// leaders is no reason to touch a job.
pub(super) struct NothingIsDisturbed;

const NODE_FAIL: u32 = 7;

impl Oracle for NothingIsDisturbed {
    const NAME: &'static str = "nothing_is_disturbed";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut touched: BTreeSet<u32> = BTreeSet::new();
        let mut limited: BTreeSet<&str> = BTreeSet::new();
        let mut scripts: BTreeMap<(u32, u32), bool> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Cancelling { job } => {
                    touched.insert(*job);
                }
                Effect::Ordering(Order::Requeue(job)) => {
                    touched.insert(*job);
                }
                Effect::Wanted { key, time_limit_min: Some(_), .. } => {
                    limited.insert(key);
                }
                Effect::Started(process) => {
                    scripts.insert((process.machine.0, process.pid), !process.left_behind);
                }
                Effect::Gone(process, Gone::Ended(status)) => {
                    let script = scripts.remove(&(process.machine.0, process.pid)) == Some(true);
                    let Some(job) = process.job.filter(|_| script) else { continue };
                    let allowed = touched.contains(&job)
                        || process.key.as_deref().is_some_and(|key| limited.contains(key));
                    if status & 0x7f != 0 && !allowed {
                        let machine = history.machine_name(process.machine);
                        return Err((*at, format!("job {job} was killed on {machine} for nothing")));
                    }
                }
                Effect::Listed { jobs, .. } => {
                    for job in jobs.iter().filter(|job| !touched.contains(&job.job)) {
                        if job.restarts > 0 || state::base(job.state) == NODE_FAIL {
                            let (id, state) = (job.job, state::name(job.state));
                            let text = format!(
                                "job {id} is {state} after {} restarts, and no node had trouble",
                                job.restarts
                            );
                            return Err((*at, text));
                        }
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
    use crate::world::history::SeenJob;

    #[test]
    fn a_script_that_is_killed_for_no_reason_is_noticed() {
        let tale = Tale::new().starts(&on(1, 7, "a")).ends(&on(1, 7, "a"), 256);
        assert_eq!(tale.verdict::<NothingIsDisturbed>(), "fine");
        let tale = Tale::new().starts(&on(1, 7, "a")).ends(&on(1, 7, "a"), 15);
        assert_eq!(tale.verdict::<NothingIsDisturbed>(), "job 7 was killed on n1 for nothing");
        let tale = Tale::new().starts(&on(1, 7, "a")).then(Effect::Cancelling { job: 7 });
        assert_eq!(tale.ends(&on(1, 7, "a"), 15).verdict::<NothingIsDisturbed>(), "fine");
    }

    #[test]
    fn a_requeue_for_no_reason_is_noticed() {
        let again = SeenJob { restarts: 1, ..seen(7, 0) };
        let text = "job 7 is PENDING after 1 restarts, and no node had trouble";
        assert_eq!(Tale::new().listed(1, &[again]).verdict::<NothingIsDisturbed>(), text);
    }
}
