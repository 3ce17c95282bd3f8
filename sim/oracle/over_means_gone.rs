//! Ends: judges that a job that is over has left nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, state};
use crate::world::history::{Effect, History, JobProcess, Order};
use crate::world::{MachineId, Nanos};

/// When a job is shown as over and not completing any more, none of its processes is alive, those it
/// left behind included. An operator who sets a node DOWN answers for what was on it. Source: what
/// slurm.conf(5) says about COMPLETING.
pub(super) struct OverMeansGone;

impl Oracle for OverMeansGone {
    const NAME: &'static str = "over_means_gone";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let mut live: BTreeMap<u32, Vec<&JobProcess>> = BTreeMap::new();
        let mut answered: BTreeSet<MachineId> = BTreeSet::new();
        for (at, effect) in history.effects() {
            match effect {
                Effect::Started(process) => {
                    if let Some(job) = process.job {
                        live.entry(job).or_default().push(process);
                    }
                }
                Effect::Gone(process, _) => {
                    if let Some(here) = process.job.and_then(|job| live.get_mut(&job)) {
                        here.retain(|other| *other != process);
                    }
                }
                Effect::Ordering(Order::Down(node)) => {
                    let named = history.machines.iter().filter(|(_, (name, ..))| name == node);
                    answered.extend(named.map(|(id, _)| *id));
                }
                Effect::Listed { jobs, .. } => {
                    for job in jobs.iter().filter(|job| state::is_over(job.state)) {
                        let here = live.get(&job.job).into_iter().flatten();
                        let left = here.into_iter().find(|p| !answered.contains(&p.machine));
                        let Some(left) = left else { continue };
                        let (id, state) = (job.job, state::name(job.state));
                        let machine = history.machine_name(left.machine);
                        let pid = left.pid;
                        let text = format!("job {id} is {state} and process {pid} of it lives on {machine}");
                        return Err((*at, text));
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

    #[test]
    fn a_completing_job_may_still_have_processes_and_an_ended_one_not() {
        let tale = Tale::new().starts(&on(1, 7, "a")).listed(1, &[seen(7, 4 | 0x8000)]);
        assert_eq!(tale.verdict::<OverMeansGone>(), "fine");
        let text = "job 7 is CANCELLED and process 107 of it lives on n1";
        assert_eq!(tale.listed(1, &[seen(7, 4)]).verdict::<OverMeansGone>(), text);
    }

    #[test]
    fn what_a_script_leaves_behind_counts() {
        let mut child = on(1, 7, "a");
        (child.left_behind, child.pid) = (true, 900);
        let tale = Tale::new().starts(&on(1, 7, "a")).starts(&child).ends(&on(1, 7, "a"), 0);
        let text = "job 7 is COMPLETED and process 900 of it lives on n1";
        assert_eq!(tale.listed(1, &[seen(7, 3)]).verdict::<OverMeansGone>(), text);
    }

    #[test]
    fn an_operator_answers_for_a_node_that_is_set_down() {
        let tale = Tale::new().starts(&on(1, 7, "a")).then(Effect::Ordering(Order::Down("n1".into())));
        assert_eq!(tale.listed(1, &[seen(7, 4)]).verdict::<OverMeansGone>(), "fine");
    }
}
