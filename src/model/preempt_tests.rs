//! Preemption: who makes room, when, and what becomes of it.

use flurm_base::{JobId, Span};

use crate::kit::{ALICE, Kit, config, spec};
use crate::{
    Cluster, Command, JobSpec, PartitionName, PreemptMode, PreemptType, Preemption, Reply,
};

/// `main` makes room for `short`.
fn kit(mode: PreemptMode, grace_s: u32, exempt: Span) -> Kit {
    let mut kit = Kit::new(2);
    let mut config = config(2);
    config.settings.preemption = Preemption {
        kind: PreemptType::Partition,
        mode: Some(mode),
        exempt,
        ..Preemption::default()
    };
    config.partitions[0].grace_time_s = grace_s;
    config.partitions[1].priority_tier = 9;
    assert_eq!(kit.configure(config), Reply::Done);
    kit
}

fn urgent(kit: &mut Kit) -> JobId {
    let partitions = vec![PartitionName::from("short")];
    kit.try_submit(JobSpec { partitions, ..spec() }).expect("accepted")
}

fn preempt(kit: &Kit, job: JobId, victims: &[JobId]) -> Command {
    let victims = victims.iter().map(|id| (*id, kit.attempt(*id))).collect();
    let (at, attempt) = (kit.now, kit.attempt(job));
    Command::Preempt { at, job, attempt, partition: PartitionName::from("short"), victims }
}

fn preempts(kit: &mut Kit, job: JobId, victims: &[JobId]) -> Reply {
    let command = preempt(kit, job, victims);
    kit.apply(&command).reply
}

#[test]
fn a_cancelled_victim_holds_its_room_until_its_node_confirms() {
    let mut kit = kit(PreemptMode::Cancel, 0, Span(0));
    let victim = kit.runs("n1");
    let job = urgent(&mut kit);
    assert_eq!(preempts(&mut kit, job, &[victim]), Reply::Done);
    assert_eq!(kit.state(victim), "Preempted+COMPLETING");
    assert_eq!(kit.job(victim).preempt, Some(kit.now));
    assert_eq!(kit.orders(), [format!("terminate {victim} n1 Preempted")]);
    assert_eq!(kit.cluster.node_use("n1").cpus, 1);
    kit.epilog(victim, "n1");
    assert_eq!(kit.state(victim), "Preempted");
    assert_eq!(kit.cluster.node_use("n1").cpus, 0);
}

#[test]
fn a_requeued_victim_gets_a_new_attempt_and_one_that_cannot_run_twice_ends() {
    let mut kit = kit(PreemptMode::Requeue, 0, Span(0));
    let victim = kit.runs("n1");
    let once = kit.try_submit(JobSpec { requeue: Some(false), ..spec() }).expect("accepted");
    kit.starts(once, &["n2"]);
    let (job, first) = (urgent(&mut kit), kit.attempt(victim));
    assert_eq!(preempts(&mut kit, job, &[victim, once]), Reply::Done);
    assert_eq!(kit.state(victim), "Pending+COMPLETING");
    assert_eq!(kit.state(once), "Preempted+COMPLETING");
    kit.epilog(victim, "n1");
    assert_eq!(kit.state(victim), "Pending");
    assert!(kit.attempt(victim) > first);
    assert_eq!(kit.job(victim).restarts, 1);
    assert_eq!(kit.job(victim).preempt, None);
}

#[test]
fn grace_is_given_once_and_survives_a_snapshot() {
    let mut kit = kit(PreemptMode::Cancel, 30, Span(0));
    let victim = kit.runs("n1");
    let job = urgent(&mut kit);
    assert_eq!(preempts(&mut kit, job, &[victim]), Reply::Done);
    assert_eq!(kit.state(victim), "Running");
    assert_eq!(kit.orders(), [format!("signal {victim} 18"), format!("signal {victim} 15")]);
    kit.passes(10);
    assert_eq!(preempts(&mut kit, job, &[victim]), Reply::Stale);
    let until = kit.now + Span::secs(20);
    kit.cluster = Cluster::restore(&kit.cluster.snapshot()).expect("it is readable");
    assert_eq!(kit.cluster.time_limit_next(), Some(until));
    let attempt = kit.attempt(victim);
    let over = |kit: &Kit| Command::TimeLimitReached { at: kit.now, job: victim, attempt };
    let early = over(&kit);
    assert_eq!(kit.apply(&early).reply, Reply::Stale);
    kit.passes(20);
    let due = over(&kit);
    assert_eq!(kit.apply(&due).reply, Reply::Done);
    assert_eq!(kit.state(victim), "Preempted+COMPLETING");
}

#[test]
fn all_of_a_choice_is_done_or_nothing() {
    let mut kit = kit(PreemptMode::Cancel, 0, Span::secs(60));
    let (old, job) = (kit.runs("n1"), urgent(&mut kit));
    kit.passes(60);
    let young = kit.runs("n2");
    assert_eq!(preempts(&mut kit, job, &[old, young]), Reply::Stale);
    assert_eq!(preempts(&mut kit, job, &[]), Reply::Stale);
    let equal = urgent(&mut kit);
    kit.starts(equal, &["n2"]);
    kit.passes(60);
    assert_eq!(preempts(&mut kit, job, &[old, equal]), Reply::Stale);
    assert_eq!(kit.state(old), "Running");
    let late = preempt(&kit, job, &[old]);
    kit.cancels(job, ALICE);
    assert_eq!(kit.apply(&late).reply, Reply::Stale);
    assert_eq!(kit.state(old), "Running");
}
