//! Time limits: judges that jobs are ended when their time is up, and not before.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::history::{Effect, History, JobProcess, Order};
use crate::world::{Nanos, SECOND};

/// A job with a time limit does not run much longer than that once there is a healed cluster to end
/// it, and is not called TIMEOUT before its time, as far as clocks agree. The time counts from the
/// job's start; a node whose daemon is not there begins the script later. Source: `--time` in
/// sbatch(1).
pub(super) struct TimeLimitsHold;

/// Time to notice, to tell the node, and for `KillWait`.
const GRACE: Nanos = 90 * SECOND;
/// How much too early is still on time, beside what clocks are wrong.
const EARLY_MAX: Nanos = 3 * SECOND;
const TIMEOUT: u32 = 6;

impl Oracle for TimeLimitsHold {
    const NAME: &'static str = "time_limits_hold";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut limits: BTreeMap<&str, Nanos> = BTreeMap::new();
        let mut changed: BTreeSet<u32> = BTreeSet::new();
        let mut live: BTreeMap<(u32, u32), (Nanos, &JobProcess)> = BTreeMap::new();
        let mut longest: BTreeMap<u32, Nanos> = BTreeMap::new();
        let end = history.effects().last().map_or(0, |(at, _)| *at);
        let healed = history.healed_at().unwrap_or(Nanos::MAX);
        for (at, effect) in history.effects() {
            match effect {
                Effect::Wanted { key, time_limit_min: Some(minutes), .. } => {
                    limits.insert(key, u64::from(*minutes) * 60 * SECOND);
                }
                Effect::Ordering(Order::TimeLimit(job, _) | Order::SuspendJob(job)) => {
                    changed.insert(*job);
                }
                Effect::Started(process) if !process.left_behind => {
                    live.insert((process.machine.0, process.pid), (*at, process));
                }
                Effect::Gone(process, _) => {
                    let Some((began, _)) = live.remove(&(process.machine.0, process.pid)) else {
                        continue;
                    };
                    let Some(job) = process.job else { continue };
                    let ran = longest.entry(job).or_insert(0);
                    *ran = (*ran).max(*at - began);
                    late(&limits, &changed, process, (began, *at, healed))
                        .map_err(|text| (*at, text))?;
                }
                Effect::Listed { jobs, .. } => {
                    let timed_out = jobs.iter().filter(|job| state::base(job.state) == TIMEOUT);
                    for job in timed_out.filter(|job| !changed.contains(&job.job)) {
                        let Some(limit) = limits.get(job.name.as_str()) else { continue };
                        let ran = longest.get(&job.job).copied().unwrap_or(*limit);
                        let ran = ran.max(job.lasts_s.saturating_mul(SECOND));
                        if ran + EARLY_MAX + history.clocks_wrong < *limit {
                            let (id, ran, limit) = (job.job, ran / SECOND, limit / SECOND);
                            let text =
                                format!("job {id} timed out after {ran} s of {limit} s");
                            return Err((*at, text));
                        }
                    }
                }
                _ => {}
            }
        }
        for (began, process) in live.into_values() {
            late(&limits, &changed, process, (began, end, healed)).map_err(|text| (end, text))?;
        }
        Ok(())
    }
}

fn late(
    limits: &BTreeMap<&str, Nanos>,
    changed: &BTreeSet<u32>,
    process: &JobProcess,
    (began, ended, healed): (Nanos, Nanos, Nanos),
) -> Result<(), String> {
    let (Some(job), Some(key)) = (process.job, process.key.as_deref()) else { return Ok(()) };
    let Some(limit) = limits.get(key).filter(|_| !changed.contains(&job)) else { return Ok(()) };
    let due = (began + limit).max(healed);
    if ended > due.saturating_add(GRACE) {
        let (ran, limit) = ((ended - began) / SECOND, limit / SECOND);
        return Err(format!("job {job} ran for {ran} s and its limit is {limit} s"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on, seen};
    use crate::world::history::SeenJob;
    use super::*;

    fn limited() -> Tale {
        let (key, partition, time_limit_min) = ("k7".to_owned(), None, Some(1));
        let wanted =
            Effect::Wanted { key, cpus: 1, memory_mib: 0, partition, time_limit_min, held: false };
        Tale::new().then(wanted).then(Effect::Healed).starts(&on(1, 7, "a"))
    }

    #[test]
    fn a_job_is_ended_when_its_time_is_up_and_a_while() {
        let tale = limited().later(100).ends(&on(1, 7, "a"), 9);
        assert_eq!(tale.verdict::<TimeLimitsHold>(), "fine");
        let tale = limited().later(300).ends(&on(1, 7, "a"), 9);
        assert_eq!(tale.verdict::<TimeLimitsHold>(), "job 7 ran for 301 s and its limit is 60 s");
    }

    #[test]
    fn a_job_that_still_runs_long_after_its_time_is_caught() {
        let tale = limited().later(300).listed(1, &[seen(7, 1)]);
        assert_eq!(tale.verdict::<TimeLimitsHold>(), "job 7 ran for 301 s and its limit is 60 s");
    }

    #[test]
    fn a_timeout_before_its_time_is_caught() {
        let tale = limited().later(20).ends(&on(1, 7, "a"), 9).listed(1, &[seen(7, TIMEOUT)]);
        assert_eq!(tale.verdict::<TimeLimitsHold>(), "job 7 timed out after 21 s of 60 s");
    }

    #[test]
    fn time_counts_from_the_start_that_the_queue_shows() {
        let late = |lasts_s| SeenJob { lasts_s, ..seen(7, TIMEOUT) };
        let tale = limited().later(20).ends(&on(1, 7, "a"), 9).listed(1, &[late(60)]);
        assert_eq!(tale.verdict::<TimeLimitsHold>(), "fine");
        let tale = limited().later(20).ends(&on(1, 7, "a"), 9).listed(1, &[late(30)]);
        assert_eq!(tale.verdict::<TimeLimitsHold>(), "job 7 timed out after 30 s of 60 s");
    }
}
