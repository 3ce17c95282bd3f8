//! Listings: judges that what a client has seen is not taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::Nanos;
use crate::world::history::{Answer, Effect, History, SeenJob};

/// For one client, the queue never goes back: a job once listed stays listed, and its state moves
/// forward unless it was requeued; and what anybody was told is accepted is listed to whoever asks
/// afterwards. Source: what a user infers from two `squeue` runs.
pub(super) struct ReadsNeverGoBack;

fn progress(job: &SeenJob) -> (u32, u32) {
    (job.restarts, state::rank(job.state))
}

impl Oracle for ReadsNeverGoBack {
    const NAME: &'static str = "reads_never_go_back";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut acknowledged: Vec<(Nanos, u32)> = Vec::new();
        let mut ran: BTreeSet<u32> = BTreeSet::new();
        let mut last: BTreeMap<u32, BTreeMap<u32, &SeenJob>> = BTreeMap::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Submitted { answer: Answer::Accepted(job), .. } => {
                    acknowledged.push((*at, *job));
                }
                Effect::Listed { client, asked, jobs } => {
                    let now: BTreeMap<u32, &SeenJob> =
                        jobs.iter().map(|job| (job.job, job)).collect();
                    let forgotten = |job: &u32| now.contains_key(job) || ran.contains(job);
                    let missing =
                        acknowledged.iter().find(|(at, job)| at < asked && !forgotten(job));
                    if let Some((_, job)) = missing {
                        let text = format!("job {job} was acknowledged and is not listed");
                        return Err((*at, text));
                    }
                    let before = last.insert(*client, now.clone()).unwrap_or_default();
                    compare(*client, &before, &now, &ran).map_err(|text| (*at, text))?;
                }
                // What ran and is over is forgotten some time (MinJobAge).
                Effect::Gone(process, _) => ran.extend(process.job),
                _ => {}
            }
        }
        Ok(())
    }
}

fn compare(
    client: u32,
    before: &BTreeMap<u32, &SeenJob>,
    now: &BTreeMap<u32, &SeenJob>,
    ran: &BTreeSet<u32>,
) -> Result<(), String> {
    for (id, old) in before {
        if ran.contains(id) && !now.contains_key(id) {
            continue;
        }
        let Some(new) = now.get(id) else {
            return Err(format!("client {client} saw job {id} and later does not"));
        };
        if progress(new) < progress(old) {
            let (from, to) = (state::name(old.state), state::name(new.state));
            return Err(format!("client {client} saw job {id} {from} and later {to}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, seen};
    use super::*;

    #[test]
    fn forward_and_a_requeue_are_fine() {
        let requeued = SeenJob { restarts: 1, ..seen(1, 0) };
        let tale = Tale::new().listed(1, &[seen(1, 0)]).listed(1, &[seen(1, 1)]);
        let tale = tale.listed(1, &[requeued]).listed(2, &[seen(1, 0)]);
        assert_eq!(tale.verdict::<ReadsNeverGoBack>(), "fine");
    }

    #[test]
    fn a_state_that_goes_back_is_caught() {
        let tale = Tale::new().listed(1, &[seen(1, 3)]).listed(1, &[seen(1, 1)]);
        assert_eq!(
            tale.verdict::<ReadsNeverGoBack>(),
            "client 1 saw job 1 COMPLETED and later RUNNING"
        );
    }

    #[test]
    fn a_job_that_vanishes_or_was_never_shown_is_caught() {
        let tale = Tale::new().listed(1, &[seen(1, 0)]).listed(1, &[]);
        assert_eq!(tale.verdict::<ReadsNeverGoBack>(), "client 1 saw job 1 and later does not");
        let tale = Tale::new().submitted("k1", Answer::Accepted(1)).then(Effect::Healed);
        let tale = tale.listed(2, &[]);
        assert_eq!(tale.verdict::<ReadsNeverGoBack>(), "job 1 was acknowledged and is not listed");
    }
}
