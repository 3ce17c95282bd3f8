//! Suspended jobs: judges that they stand still.

use std::collections::BTreeMap;

use super::{Oracle, state};
use crate::world::history::{Answer, Effect, Gone, History, Order};
use crate::world::{Nanos, SECOND};

/// A suspended job neither comes to its end by itself nor runs out of time before somebody asks that
/// it may go on. Source: `scontrol suspend` in scontrol(1).
pub(super) struct SuspendedJobsRest;

/// Time until all its nodes were told, whatever broke meanwhile.
const GRACE: Nanos = 30 * SECOND;
const TIMEOUT: u32 = 6;
/// The part of a wait status that holds the signal.
const SIGNAL: u32 = 0x7f;

impl Oracle for SuspendedJobsRest {
    const NAME: &'static str = "suspended_jobs_rest";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut asked: BTreeMap<u32, Nanos> = BTreeMap::new();
        let mut resting: BTreeMap<u32, Nanos> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Ordering(Order::SuspendJob(job)) => {
                    asked.insert(*job, *at);
                }
                Effect::Ordering(Order::ResumeJob(job)) => {
                    asked.remove(job);
                    resting.remove(job);
                }
                Effect::Ordered(Order::SuspendJob(job), Answer::Done)
                    if asked.contains_key(job) =>
                {
                    resting.insert(*job, *at);
                }
                // Another attempt is another thing.
                Effect::Started(process) if !process.left_behind => {
                    if let Some(job) = process.job {
                        resting.remove(&job);
                    }
                }
                Effect::Gone(process, Gone::Ended(status)) if status & SIGNAL == 0 => {
                    let Some(job) = process.job else { continue };
                    let Some(since) = resting.get(&job).filter(|since| **since + GRACE < *at)
                    else {
                        continue;
                    };
                    let rested = (at - since) / SECOND;
                    return Err((*at, format!("job {job} ends after {rested} s of rest")));
                }
                Effect::Listed { asked, jobs, .. } => {
                    let late = jobs.iter().find(|job| {
                        let since = resting.get(&job.job);
                        since.is_some_and(|since| since < asked)
                            && state::base(job.state) == TIMEOUT
                    });
                    if let Some(job) = late {
                        return Err((*at, format!("job {} timed out while it rests", job.job)));
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

    fn suspended() -> Tale {
        let tale = Tale::new().starts(&on(1, 7, "a"));
        let tale = tale.then(Effect::Ordering(Order::SuspendJob(7)));
        tale.then(Effect::Ordered(Order::SuspendJob(7), Answer::Done))
    }

    #[test]
    fn a_job_that_ends_while_it_should_rest_is_caught() {
        let tale = suspended().later(60).ends(&on(1, 7, "a"), 0);
        assert_eq!(tale.verdict::<SuspendedJobsRest>(), "job 7 ends after 61 s of rest");
        let tale = suspended().later(60).ends(&on(1, 7, "a"), 9);
        assert_eq!(tale.verdict::<SuspendedJobsRest>(), "fine", "it was killed");
        let tale = suspended().later(60).then(Effect::Ordering(Order::ResumeJob(7)));
        assert_eq!(tale.ends(&on(1, 7, "a"), 0).verdict::<SuspendedJobsRest>(), "fine");
    }

    #[test]
    fn a_time_limit_that_ends_a_job_at_rest_is_caught() {
        let tale = suspended().later(1).listed(1, &[seen(7, TIMEOUT)]);
        let text = "job 7 timed out while it rests";
        assert_eq!(tale.verdict::<SuspendedJobsRest>(), text);
    }

    #[test]
    fn an_order_that_another_one_has_overtaken_is_no_proof() {
        let tale = Tale::new().then(Effect::Ordering(Order::SuspendJob(7)));
        let tale = tale.then(Effect::Ordering(Order::ResumeJob(7)));
        let tale = tale.then(Effect::Ordered(Order::SuspendJob(7), Answer::Done));
        let tale = tale.starts(&on(1, 7, "a")).later(60).ends(&on(1, 7, "a"), 0);
        assert_eq!(tale.verdict::<SuspendedJobsRest>(), "fine");
    }
}
