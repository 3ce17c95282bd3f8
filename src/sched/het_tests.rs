//! Components start together or wait together.

use flurm_base::JobId;
use flurm_model::{Het, Limit};

use crate::kit::{NOW, add_job, cluster, told};
use crate::{Leave, Snapshot, plan};

/// Adds a job whose components have so many tasks.
fn add_together(s: &mut Snapshot, tasks: &[u32]) -> JobId {
    let ids = tasks.iter().map(|tasks| add_job(s, *tasks, |_, _| {}));
    let ids: Vec<JobId> = ids.collect();
    for view in &mut s.pending {
        let Some(offset) = ids.iter().position(|id| *id == view.id) else { continue };
        let offset = u32::try_from(offset).unwrap();
        view.het = Some(Het { leader: ids[0], offset, members: ids.clone() });
    }
    ids[0]
}

fn occupy(s: &mut Snapshot, node: usize, cpus: u32, minutes: u64) {
    s.nodes[node].cpus_used += cpus;
    s.nodes[node].jobs += 1;
    let at = NOW + flurm_base::Span::secs(minutes * 60);
    s.leaves.push(Leave { at, node, cpus, memory_mb: 0, whole_node: false, gres: vec![] });
}

#[test]
fn components_that_have_room_start_in_one_plan() {
    for planned_max in [0, 100] {
        let mut s = Snapshot { planned_max, ..cluster(&[4, 2]) };
        add_together(&mut s, &[3, 1, 2]);
        assert_eq!(plan(&s).starts.len(), 3, "{:?}", told(&plan(&s)));
    }
}

#[test]
fn none_starts_while_one_has_no_room_and_all_wait_for_the_same_time() {
    let mut s = Snapshot { planned_max: 100, ..cluster(&[4, 4]) };
    occupy(&mut s, 1, 4, 20);
    add_together(&mut s, &[4, 4]);
    // Ends before the common start: it fills the gap. The other one would delay it.
    let short = add_job(&mut s, 4, |job, _| job.time_limit = Limit::Max(20));
    add_job(&mut s, 4, |job, _| job.time_limit = Limit::Max(21));
    let plan = plan(&s);
    let started: Vec<JobId> = plan.starts.iter().map(|start| start.job).collect();
    assert_eq!(started, [short], "{:?}", told(&plan));
    let planned = [JobId(1), JobId(2)].map(|id| plan.planned[&id].start.since(NOW).as_secs() / 60);
    assert_eq!(planned, [20, 20]);
}

#[test]
fn a_job_of_which_a_component_is_held_waits_as_a_whole() {
    let mut s = Snapshot { planned_max: 100, ..cluster(&[4]) };
    add_together(&mut s, &[1, 1]);
    s.pending[1].hold = flurm_model::Hold::User;
    s.pending[1].reason = flurm_model::Reason::HeldUser;
    let plan = plan(&s);
    assert!(plan.starts.is_empty());
    let reasons: Vec<_> = plan.waiting.iter().map(|why| why.reason.text()).collect();
    assert_eq!(reasons, ["JobHeldUser", "JobHeldUser"]);
}
