//! Suspended jobs: what stops, what goes on, and what others get meanwhile.

use flurm_base::{JobId, Time};

use crate::kit::{ALICE, Kit, NODE_CPUS, name, spec};
use crate::{Command, Errno, JobSpec, Limit, Order, Reply, Size};

fn whole(kit: &mut Kit) -> JobId {
    let size = Size { cpus_min: NODE_CPUS, ..spec().size };
    kit.try_submit(JobSpec { size, time_limit: Some(Limit::Max(10)), ..spec() }).expect("accepted")
}

fn starts(kit: &mut Kit, id: JobId) {
    let mut start = kit.start_of(id, &["n1"]);
    start.placements[0].cpus = NODE_CPUS;
    let Reply::Scheduled { started, .. } = kit.schedule(vec![start]) else { panic!("no plan") };
    assert_eq!(started, [id]);
    kit.launches(id, "n1");
}

/// A job with all CPUs of n1.
fn starts_whole(kit: &mut Kit) -> JobId {
    let id = whole(kit);
    starts(kit, id);
    id
}

fn told(kit: &mut Kit, id: JobId, sequence: u32) -> Reply {
    let (at, attempt, node) = (kit.now, kit.attempt(id), name("n1"));
    kit.apply(&Command::SuspensionTold { at, job: id, attempt, node, sequence }).reply
}

fn refused(errno: Errno) -> Reply {
    Reply::Refused(errno.into())
}

#[test]
fn only_what_runs_is_suspended_and_only_what_is_suspended_goes_on() {
    let mut kit = Kit::new(2);
    let id = kit.submits();
    assert_eq!(kit.suspends(id), refused(Errno::JobPending));
    assert_eq!(kit.resumes(id), refused(Errno::JobPending));
    kit.starts(id, &["n1"]);
    assert_eq!(kit.resumes(id), refused(Errno::JobNotSuspended));
    assert_eq!(kit.suspends(id), Reply::Done);
    assert_eq!(kit.suspends(id), Reply::Done);
    assert_eq!(kit.state(id), "Suspended");
    assert_eq!(kit.resumes(id), Reply::Done);
    assert_eq!(kit.state(id), "Running");
    kit.cancels(id, ALICE);
    assert_eq!(kit.suspends(id), refused(Errno::AlreadyDone));
    assert_eq!(kit.suspends(JobId(99)), refused(Errno::InvalidJobId));
}

#[test]
fn nodes_are_told_the_latest_until_they_confirm_it() {
    let mut kit = Kit::new(2);
    let id = kit.submits();
    kit.starts(id, &["n1", "n2"]);
    kit.suspends(id);
    assert_eq!(kit.orders(), ["launch 1 n1", "stop 1 n2"]);
    kit.launches(id, "n1");
    assert_eq!(kit.orders(), ["stop 1 n1", "stop 1 n2"]);
    assert_eq!(told(&mut kit, id, 1), Reply::Done);
    assert_eq!(told(&mut kit, id, 1), Reply::Stale);
    kit.resumes(id);
    assert_eq!(kit.orders(), ["go on 1 n1", "go on 1 n2"]);
    assert_eq!(told(&mut kit, id, 1), Reply::Stale, "an answer to the order before");
    assert_eq!(told(&mut kit, id, 2), Reply::Done);
    assert_eq!(kit.orders(), ["go on 1 n2"]);
    kit.cancels(id, ALICE);
    assert_eq!(kit.orders(), ["terminate 1 n1 Killed", "terminate 1 n2 Killed"]);
}

#[test]
fn its_cpus_go_to_others_and_its_memory_does_not() {
    let mut kit = Kit::new(1);
    let first = starts_whole(&mut kit);
    kit.suspends(first);
    let used = kit.cluster.node_use("n1");
    assert_eq!((used.cpus, used.jobs, used.memory_mb), (0, 0, 1_000));
    assert_eq!(kit.cluster.node_state_number(kit.cluster.node("n1").unwrap()), 2, "IDLE");
    let second = starts_whole(&mut kit);
    assert_eq!(kit.resumes(first), Reply::Done);
    assert_eq!(kit.cluster.node_use("n1").cpus, 2 * NODE_CPUS, "both have them");
    let third = kit.submits();
    let start = kit.start_of(third, &["n1"]);
    let Reply::Scheduled { refused, .. } = kit.schedule(vec![start]) else { panic!("no plan") };
    assert_eq!(refused.len(), 1, "no third one gets any");
    kit.ends(second, "n1", 0);
    kit.epilog(second, "n1");
    assert_eq!(kit.cluster.node_use("n1").cpus, NODE_CPUS);
}

#[test]
fn its_time_limit_does_not_run() {
    let mut kit = Kit::new(1);
    let (id, start) = (starts_whole(&mut kit), kit.now);
    let after = |seconds: i64| Some(Time(start.0 + seconds * 1_000_000));
    assert_eq!(kit.cluster.time_limit_next(), after(600));
    kit.passes(100);
    kit.suspends(id);
    assert_eq!(kit.cluster.time_limit_next(), None);
    kit.passes(5_000);
    let (at, attempt) = (kit.now, kit.attempt(id));
    let late = Command::TimeLimitReached { at, job: id, attempt };
    assert_eq!(kit.apply(&late).reply, Reply::Stale);
    kit.resumes(id);
    assert_eq!(kit.cluster.time_limit_next(), after(5_600));
    kit.passes(10);
    kit.suspends(id);
    assert_eq!(kit.job(id).ran_before().as_secs(), 110);
    kit.passes(1);
    kit.resumes(id);
    assert_eq!(kit.cluster.time_limit_next(), after(5_601));
    kit.passes(490);
    let (at, attempt) = (kit.now, kit.attempt(id));
    let reached = Command::TimeLimitReached { at, job: id, attempt };
    assert_eq!(kit.apply(&reached).reply, Reply::Done);
    assert_eq!(kit.state(id), "Timeout+COMPLETING");
}

#[test]
fn what_ends_while_it_is_suspended_ended_when_it_was() {
    let mut kit = Kit::new(1);
    let id = starts_whole(&mut kit);
    kit.passes(30);
    kit.suspends(id);
    let stopped = kit.now;
    kit.passes(300);
    kit.cancels(id, ALICE);
    assert_eq!(kit.state(id), "Cancelled+COMPLETING");
    assert_eq!(kit.job(id).end, Some(stopped));
    kit.epilog(id, "n1");
    assert_eq!(kit.state(id), "Cancelled");
}

#[test]
fn a_requeued_job_starts_anew_and_is_not_suspended() {
    let mut kit = Kit::new(1);
    let id = starts_whole(&mut kit);
    kit.suspends(id);
    assert_eq!(kit.requeues(id), Reply::Done);
    kit.epilog(id, "n1");
    assert_eq!((kit.job(id).suspend, kit.job(id).ran_before().0), (None, 0));
    starts(&mut kit, id);
    assert_eq!((kit.state(id).as_str(), kit.orders()), ("Running", Vec::new()));
    kit.suspends(id);
    let orders: Vec<Order> = kit.cluster.outstanding().collect();
    let [Order::Suspend { sequence: 1, attempt, .. }] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!(*attempt, kit.attempt(id));
}

#[test]
fn a_node_that_is_removed_is_kept_while_a_suspended_job_is_there() {
    let mut kit = Kit::new(2);
    let id = kit.runs("n2");
    kit.suspends(id);
    kit.configure(crate::kit::config(1));
    assert_eq!(kit.state(id), "Pending+COMPLETING");
    kit.epilog(id, "n2");
    assert!(kit.cluster.node("n2").is_none());
}
