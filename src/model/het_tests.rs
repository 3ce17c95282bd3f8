//! Heterogeneous jobs: submitted, started, lost, requeued and ended as one.

use flurm_base::{JobId, RequestKey};

use crate::kit::{ALICE, Kit, ROOT, spec};
use crate::{
    Command, Errno, JobChanges, JobSpec, NodeStateChange, PriorityChange, Reply, RequeueFlags,
    StartRefusal, TaskAct,
};

fn submit(kit: &mut Kit, specs: Vec<JobSpec>) -> Reply {
    let (at, key) = (kit.now, Some(RequestKey([7; 16])));
    kit.apply(&Command::SubmitHet { at, key, by: ALICE, specs, client: None }).reply
}

/// A leader with a script and two components without.
fn three() -> Vec<JobSpec> {
    let led = JobSpec { batch: None, ..spec() };
    vec![JobSpec { requeue: Some(true), ..spec() }, led.clone(), led]
}

fn submitted() -> (Kit, Vec<JobId>) {
    let mut kit = Kit::new(3);
    let reply = submit(&mut kit, three());
    let Reply::Submitted { job, .. } = reply else { panic!("{reply:?}") };
    (kit, vec![job, JobId(job.0 + 1), JobId(job.0 + 2)])
}

fn running() -> (Kit, Vec<JobId>) {
    let (mut kit, ids) = submitted();
    let starts = [("n1", ids[0]), ("n2", ids[1]), ("n3", ids[2])];
    let starts = starts.map(|(node, id)| kit.start_of(id, &[node])).to_vec();
    let reply = kit.schedule(starts);
    assert_eq!(reply, Reply::Scheduled { started: ids.clone(), refused: Vec::new() });
    kit.launches(ids[0], "n1");
    (kit, ids)
}

fn states(kit: &Kit, ids: &[JobId]) -> Vec<String> {
    ids.iter().map(|id| kit.state(*id)).collect()
}

fn acts(kit: &mut Kit, leader: JobId, act: TaskAct) -> Reply {
    let at = kit.now;
    kit.apply(&Command::OfHet { at, by: ALICE, leader, act }).reply
}

fn clean_up(kit: &mut Kit, ids: &[JobId]) {
    for (id, node) in ids.iter().zip(["n1", "n2", "n3"]) {
        kit.epilog(*id, node);
    }
}

#[test]
fn a_repeated_submission_is_the_same_job() {
    let (mut kit, ids) = submitted();
    let Reply::Submitted { job, repeated, .. } = submit(&mut kit, three()) else { panic!() };
    assert_eq!((job, repeated), (ids[0], true));
    assert_eq!(kit.cluster.jobs().count(), 3);
    assert_eq!(kit.cluster.component(ids[0], 2).map(|job| job.id), Some(ids[2]));
}

#[test]
fn one_component_that_cannot_be_refuses_all() {
    let mut kit = Kit::new(3);
    let mut specs = three();
    specs[2].partitions = vec!["nowhere".into()];
    let Reply::Refused(refusal) = submit(&mut kit, specs) else { panic!() };
    assert_eq!(refusal.errno, Errno::InvalidPartitionName);
    assert_eq!(refusal.text, "component 2: there is no partition nowhere");
    assert_eq!(kit.cluster.jobs().count(), 0);
}

#[test]
fn components_do_not_start_apart() {
    let (mut kit, ids) = submitted();
    let start = kit.start_of(ids[1], &["n2"]);
    let Reply::Scheduled { started, refused } = kit.schedule(vec![start]) else { panic!() };
    assert_eq!((started, refused), (Vec::new(), vec![(ids[1], StartRefusal::NotPending)]));
    assert_eq!(states(&kit, &ids), ["Pending", "Pending", "Pending"]);
}

#[test]
fn a_start_that_one_component_cannot_have_is_taken_back() {
    let (mut kit, ids) = submitted();
    kit.operator("n3", NodeStateChange::Drain);
    let before = kit.cluster.snapshot();
    let starts = [("n1", ids[0]), ("n2", ids[1]), ("n3", ids[2])];
    let starts = starts.map(|(node, id)| kit.start_of(id, &[node])).to_vec();
    let Reply::Scheduled { started, refused } = kit.schedule(starts) else { panic!() };
    assert_eq!((started, refused), (Vec::new(), vec![(ids[2], StartRefusal::Node)]));
    assert_eq!(states(&kit, &ids), ["Pending", "Pending", "Pending"]);
    assert!(kit.orders().is_empty());
    let after = kit.cluster.snapshot();
    assert_eq!(before.len(), after.len());
}

#[test]
fn all_end_with_their_leader() {
    let (mut kit, ids) = running();
    kit.ends(ids[0], "n1", 0);
    assert_eq!(states(&kit, &ids), ["Completed+COMPLETING"; 3]);
    clean_up(&mut kit, &ids);
    assert_eq!(states(&kit, &ids), ["Completed"; 3]);
}

#[test]
fn a_component_may_be_ended_alone_while_it_runs_but_not_while_it_waits() {
    let (mut kit, ids) = submitted();
    let Reply::Refused(refusal) = kit.cancels(ids[1], ALICE) else { panic!() };
    assert_eq!(refusal.errno, Errno::NotWholeHetJob);
    let kill = TaskAct::Kill { signal: 9, flags: 0 };
    assert_eq!(acts(&mut kit, ids[0], kill), Reply::Done);
    assert_eq!(states(&kit, &ids), ["Cancelled"; 3]);
    let (mut kit, ids) = running();
    assert_eq!(kit.cancels(ids[1], ALICE), Reply::Done);
    assert_eq!(states(&kit, &ids), ["Running", "Cancelled+COMPLETING", "Running"]);
}

#[test]
fn a_component_whose_node_fails_takes_all_with_it_and_all_run_again() {
    let (mut kit, ids) = running();
    kit.operator("n2", NodeStateChange::Down);
    assert_eq!(states(&kit, &ids), ["Pending+COMPLETING"; 3]);
    clean_up(&mut kit, &ids);
    assert_eq!(states(&kit, &ids), ["Pending"; 3]);
    let starts = [("n1", ids[0]), ("n3", ids[1]), ("n3", ids[2])];
    let starts = starts.map(|(node, id)| kit.start_of(id, &[node])).to_vec();
    let reply = kit.schedule(starts);
    assert_eq!(reply, Reply::Scheduled { started: ids, refused: Vec::new() });
}

#[test]
fn a_job_is_requeued_held_and_released_as_a_whole() {
    let (mut kit, ids) = running();
    assert_eq!(kit.cancels(ids[2], ALICE), Reply::Done);
    let Reply::Refused(refusal) = kit.requeues(ids[1]) else { panic!() };
    assert_eq!(refusal.errno, Errno::NotHetJobLeader);
    let flags = RequeueFlags { hold: true, ..RequeueFlags::default() };
    assert_eq!(acts(&mut kit, ids[0], TaskAct::Requeue(flags)), Reply::Done);
    clean_up(&mut kit, &ids);
    assert_eq!(states(&kit, &ids), ["Pending"; 3]);
    assert!(ids.iter().all(|id| kit.job(*id).priority == 0));
    let priority = Some(PriorityChange::Release);
    let release = Box::new(JobChanges { priority, ..JobChanges::default() });
    assert_eq!(acts(&mut kit, ids[0], TaskAct::Update(release)), Reply::Done);
    assert!(ids.iter().all(|id| kit.job(*id).priority > 0));
}

#[test]
fn a_job_is_suspended_as_a_whole() {
    let (mut kit, ids) = running();
    let Reply::Refused(refusal) = kit.suspends(ids[1]) else { panic!() };
    assert_eq!(refusal.errno, Errno::NotWholeHetJob);
    assert_eq!(acts(&mut kit, ids[0], TaskAct::Suspend { resume: false }), Reply::Done);
    assert_eq!(states(&kit, &ids), ["Suspended"; 3]);
}

#[test]
fn components_are_forgotten_when_all_are_over() {
    let (mut kit, ids) = running();
    kit.cancels(ids[1], ROOT);
    kit.epilog(ids[1], "n2");
    kit.passes(10_000);
    assert_eq!(kit.cluster.purge_next(), None);
    let at = kit.now;
    kit.apply(&Command::Purge { at });
    assert_eq!(kit.cluster.jobs().count(), 3);
    kit.ends(ids[0], "n1", 0);
    clean_up(&mut kit, &ids);
    kit.passes(10_000);
    let at = kit.now;
    kit.apply(&Command::Purge { at });
    assert_eq!(kit.cluster.jobs().count(), 0);
}
