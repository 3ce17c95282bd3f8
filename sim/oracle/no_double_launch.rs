//! Launches: judges that nothing runs twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::Nanos;
use crate::world::history::{Effect, History, JobProcess, Order};

/// No job runs on two places at once, and no attempt of a job is started twice. Source: the promise
/// of a launch.
pub(super) struct NoDoubleLaunch;

fn place(history: &History, process: &JobProcess) -> String {
    format!("{} (process {})", history.machine_name(process.machine), process.pid)
}

impl Oracle for NoDoubleLaunch {
    const NAME: &'static str = "no_double_launch";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut live: BTreeMap<u32, Vec<&JobProcess>> = BTreeMap::new();
        let mut started: BTreeSet<(u32, &str)> = BTreeSet::new();
        let mut over: BTreeSet<u32> = BTreeSet::new();
        // Whoever requeues a job by hand may bring one back that was over.
        let mut requeued: BTreeSet<u32> = BTreeSet::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Started(process) => {
                    let Some(job) = process.job else { continue };
                    let running = live.entry(job).or_default();
                    if over.contains(&job) {
                        return Err((
                            *at,
                            format!("job {job} starts after it was seen to be over"),
                        ));
                    }
                    // Tasks of steps have a workload that judges them.
                    if !process.left_behind && process.task.is_none() {
                        if let Some(other) = running.first() {
                            let (here, there) = (place(history, process), place(history, other));
                            let text = format!("job {job} starts on {here} and runs on {there}");
                            return Err((*at, text));
                        }
                        if let Some(attempt) = &process.attempt
                            && !started.insert((job, attempt))
                        {
                            let text = format!("attempt {attempt} of job {job} is started twice");
                            return Err((*at, text));
                        }
                    }
                    running.push(process);
                }
                Effect::Gone(process, _) => {
                    if let Some(running) = process.job.and_then(|job| live.get_mut(&job)) {
                        running.retain(|other| *other != process);
                    }
                }
                Effect::Listed { jobs, .. } => {
                    let ended = jobs.iter().filter(|job| state::is_over(job.state));
                    let ended = ended.map(|job| job.job).filter(|job| !requeued.contains(job));
                    over.extend(ended);
                }
                Effect::Ordering(Order::Requeue(job)) => {
                    over.remove(job);
                    requeued.insert(*job);
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

    #[test]
    fn a_new_attempt_after_the_end_of_the_old_one_is_fine() {
        let tale = Tale::new().starts(&on(1, 7, "a")).ends(&on(1, 7, "a"), 9);
        let tale = tale.starts(&on(2, 7, "b")).ends(&on(2, 7, "b"), 0);
        assert_eq!(tale.verdict::<NoDoubleLaunch>(), "fine");
    }

    #[test]
    fn two_places_at_once_are_caught() {
        let tale = Tale::new().starts(&on(1, 7, "a")).starts(&on(2, 7, "b"));
        let text = "job 7 starts on n2 (process 107) and runs on n1 (process 107)";
        assert_eq!(tale.verdict::<NoDoubleLaunch>(), text);
    }

    #[test]
    fn one_attempt_twice_is_caught_even_one_after_the_other() {
        let first = on(1, 7, "a");
        let tale = Tale::new().starts(&first).ends(&first, 0).starts(&first);
        assert_eq!(tale.verdict::<NoDoubleLaunch>(), "attempt a of job 7 is started twice");
    }

    #[test]
    fn a_process_left_behind_still_counts_as_running() {
        let mut child = on(1, 7, "a");
        child.left_behind = true;
        child.pid = 900;
        let tale = Tale::new().starts(&on(1, 7, "a")).starts(&child).ends(&on(1, 7, "a"), 0);
        assert_eq!(tale.verdict::<NoDoubleLaunch>(), "fine");
        let tale = tale.starts(&on(2, 7, "b"));
        let text = "job 7 starts on n2 (process 107) and runs on n1 (process 900)";
        assert_eq!(tale.verdict::<NoDoubleLaunch>(), text);
    }

    #[test]
    fn a_job_that_was_seen_over_does_not_start_again() {
        let tale = Tale::new().starts(&on(1, 7, "a")).ends(&on(1, 7, "a"), 0);
        let tale = tale.listed(1, &[seen(7, 3)]).starts(&on(2, 7, "b"));
        assert_eq!(tale.verdict::<NoDoubleLaunch>(), "job 7 starts after it was seen to be over");
    }
}
