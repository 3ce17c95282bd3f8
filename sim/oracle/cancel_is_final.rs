//! Cancellation: judges that what was cancelled, and said to be, stays so.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History, Order};

/// A cancellation takes effect before it is acknowledged: whoever asks afterwards is shown a job that
/// is over or being cleaned up, never one that waits, runs or completed; and a job that was over does
/// not start. A requeue by hand brings a job back. Source: the meaning of `scancel`.
pub(super) struct CancelIsFinal;

impl Oracle for CancelIsFinal {
    const NAME: &'static str = "cancel_is_final";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut cancelled: BTreeMap<u32, Nanos> = BTreeMap::new();
        let mut brought_back: BTreeSet<u32> = BTreeSet::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Cancelled { job, answer: Answer::Done } => {
                    cancelled.entry(*job).or_insert(*at);
                }
                Effect::Ordering(Order::Requeue(job)) => {
                    brought_back.insert(*job);
                }
                Effect::Listed { asked, jobs, .. } => {
                    for job in jobs {
                        let Some(done) = cancelled.get(&job.job) else { continue };
                        let came_back = brought_back.contains(&job.job);
                        if *done < *asked && !came_back && !may_follow(job.state) {
                            let (id, state) = (job.job, state::name(job.state));
                            let text = format!("job {id} was cancelled and is {state} afterwards");
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

/// What a cancelled job may look like: cancelled, or ended by something that came first.
fn may_follow(job: u32) -> bool {
    let base = state::base(job);
    base > state::COMPLETED
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, seen};
    use super::*;

    fn cancelled() -> Tale {
        let tale = Tale::new().submitted("k1", Answer::Accepted(1));
        tale.then(Effect::Cancelled { job: 1, answer: Answer::Done }).later(1)
    }

    #[test]
    fn a_cancelled_job_is_cancelled_for_whoever_asks_later() {
        assert_eq!(cancelled().listed(1, &[seen(1, 4)]).verdict::<CancelIsFinal>(), "fine");
        let text = "job 1 was cancelled and is RUNNING afterwards";
        assert_eq!(cancelled().listed(1, &[seen(1, 1)]).verdict::<CancelIsFinal>(), text);
        let text = "job 1 was cancelled and is COMPLETED afterwards";
        assert_eq!(cancelled().listed(1, &[seen(1, 3)]).verdict::<CancelIsFinal>(), text);
    }

    #[test]
    fn an_unanswered_cancellation_and_a_requeue_promise_nothing() {
        let tale = Tale::new().then(Effect::Cancelled { job: 1, answer: Answer::None });
        assert_eq!(tale.listed(1, &[seen(1, 1)]).verdict::<CancelIsFinal>(), "fine");
        let tale = cancelled().then(Effect::Ordering(Order::Requeue(1)));
        assert_eq!(tale.listed(1, &[seen(1, 0)]).verdict::<CancelIsFinal>(), "fine");
    }
}
