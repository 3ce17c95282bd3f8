//! The life of a node, and configurations that change under live jobs.

use crate::kit::{ALICE, Kit, ROOT, config, facts, name, spec};
use crate::{
    Command, Config, DownCause, Errno, Event, Hold, InitialState, JobSpec, NodeBase, NodeChanges,
    NodeFacts, NodeFlags, NodeStateChange, PartitionConf, PartitionName, PartitionState, Reason,
    Reply, ReturnToService, Size,
};
use flurm_base::Time;

fn refused(reply: Reply) -> Errno {
    match reply {
        Reply::Refused(refusal) => refusal.errno,
        other => panic!("not refused but {other:?}"),
    }
}

fn state(kit: &Kit, node: &str) -> u32 {
    kit.cluster.node_state_number(kit.cluster.node(node).expect("exists"))
}

fn returning(mut config: Config, returns: ReturnToService) -> Config {
    config.settings.return_to_service = returns;
    config
}

#[test]
fn a_node_is_unknown_until_it_registers() {
    let mut kit = Kit { cluster: crate::Cluster::default(), now: Time::from_secs(1) };
    kit.configure(config(1));
    assert_eq!(state(&kit, "n1"), 0);
    kit.registers("n1", &[]);
    assert_eq!(state(&kit, "n1"), 2);
    assert_eq!(refused(kit.registers("n9", &[])), Errno::InvalidNodeName);
}

#[test]
fn a_nodes_state_tells_what_runs_there() {
    let mut kit = Kit::new(1);
    let jobs: Vec<_> = (0..4).map(|_| kit.runs("n1")).collect();
    assert_eq!(state(&kit, "n1"), 3, "ALLOCATED");
    kit.ends(jobs[0], "n1", 0);
    assert_eq!(state(&kit, "n1"), 3 | NodeFlags::COMPLETING);
    kit.epilog(jobs[0], "n1");
    assert_eq!(state(&kit, "n1"), 5, "MIXED");
    for job in &jobs[1..] {
        kit.ends(*job, "n1", 0);
    }
    assert_eq!(state(&kit, "n1"), 2 | NodeFlags::COMPLETING);
}

#[test]
fn a_lost_nodes_job_waits_until_the_node_has_confirmed() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    let first = kit.attempt(job);
    kit.falls_silent("n1");
    assert_eq!(kit.state(job), "Pending+COMPLETING");
    assert_eq!(kit.job(job).reason, Reason::NodeDown);
    assert_eq!(kit.orders(), ["terminate 1 n1 Killed"]);
    assert_eq!(kit.cluster.node_use("n1").cpus, 1);
    kit.passes(86_400);
    kit.registers("n1", &[(job, first)]);
    assert_eq!(kit.state(job), "Pending+COMPLETING", "it still runs there");
    kit.registers("n1", &[]);
    assert_eq!(kit.state(job), "Pending+COMPLETING", "a list is no confirmation");
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Pending");
    assert!(kit.attempt(job) > first);
}

#[test]
fn a_job_that_may_not_be_requeued_fails_with_its_node() {
    let mut kit = Kit::new(1);
    let job = kit.try_submit(JobSpec { requeue: Some(false), ..spec() }).expect("accepted");
    kit.starts(job, &["n1"]);
    kit.falls_silent("n1");
    assert_eq!(kit.state(job), "NodeFail+COMPLETING");
    assert_eq!(kit.job(job).failed_node, Some(name("n1")));
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "NodeFail");
}

#[test]
fn an_operators_word_frees_a_silent_node() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    kit.falls_silent("n1");
    assert_eq!(kit.operator("n1", NodeStateChange::Down), Reply::Done);
    assert_eq!(kit.state(job), "Pending");
    assert_eq!(kit.cluster.node_use("n1").cpus, 0);
    assert_eq!(kit.orders(), [""; 0]);
}

#[test]
fn what_a_word_freed_is_ended_before_anything_starts_beside_it() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    let attempt = kit.attempt(job);
    kit.falls_silent("n1");
    kit.operator("n1", NodeStateChange::Down);
    assert_eq!(kit.state(job), "Pending", "the operator was wrong: it runs");
    kit.registers("n1", &[(job, attempt)]);
    kit.operator("n1", NodeStateChange::Resume);
    assert_eq!(kit.orders(), ["end orphan 1 n1"]);
    assert_eq!(state(&kit, "n1"), 2 | NodeFlags::COMPLETING);
    assert!(!kit.cluster.node("n1").is_some_and(|node| node.is_usable()));
    kit.registers("n1", &[]);
    assert_eq!(kit.orders(), ["end orphan 1 n1"], "a list is no confirmation");
    assert_eq!(kit.epilog_of(job, attempt, "n1").reply, Reply::Done);
    assert_eq!(kit.epilog_of(job, attempt, "n1").reply, Reply::Stale);
    assert!(kit.cluster.node("n1").is_some_and(|node| node.is_usable()));
    assert_eq!(kit.orders(), [""; 0]);
}

#[test]
fn a_node_that_answers_confirms_even_when_an_operator_sets_it_down() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    kit.operator("n1", NodeStateChange::Down);
    assert_eq!(kit.state(job), "Pending+COMPLETING");
    let (at, node) = (kit.now, name("n1"));
    kit.apply(&Command::NodeNotResponding { at, node });
    assert_eq!(kit.state(job), "Pending+COMPLETING", "it was DOWN, and nobody looked since");
    kit.operator("n1", NodeStateChange::Down);
    assert_eq!(kit.state(job), "Pending", "an operator answers for what is silent");
}

#[test]
fn an_operators_word_ends_when_the_node_answers() {
    let mut kit = Kit::new(2);
    kit.falls_silent("n1");
    kit.operator("n1", NodeStateChange::Down);
    assert!(kit.cluster.node("n1").is_some_and(|node| node.is_answered_for()));
    kit.registers("n1", &[]);
    let (at, node) = (kit.now, name("n1"));
    kit.apply(&Command::NodeNotResponding { at, node });
    assert!(!kit.cluster.node("n1").is_some_and(|node| node.is_answered_for()));
}

#[test]
fn a_job_may_go_on_without_a_failed_node() {
    let mut kit = Kit::new(3);
    let size = Size { nodes_min: 2, cpus_min: 2, ..spec().size };
    let spec = JobSpec { size, kill_on_node_fail: false, ..spec() };
    let job = kit.try_submit(spec).expect("accepted");
    kit.starts(job, &["n1", "n2"]);
    kit.launches(job, "n1");
    kit.falls_silent("n2");
    assert_eq!(kit.state(job), "Running");
    assert_eq!(kit.orders(), ["terminate 1 n2 Killed"]);
    kit.epilog(job, "n2");
    assert_eq!(kit.state(job), "Running");
    kit.falls_silent("n1");
    assert_eq!(kit.state(job), "Pending+COMPLETING", "the batch host cannot be spared");
}

#[test]
fn a_registration_shows_an_attempt_that_was_lost() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let attempt = kit.attempt(job);
    kit.registers("n1", &[]);
    assert_eq!(kit.state(job), "Running", "it may have been written before the launch");
    kit.passes(61);
    kit.registers("n1", &[(job, attempt)]);
    assert_eq!(kit.state(job), "Running");
    kit.registers("n1", &[]);
    assert_eq!(kit.state(job), "Pending+COMPLETING");
}

#[test]
fn a_registration_confirms_a_launch_whose_answer_was_lost() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    kit.starts(job, &["n1"]);
    let attempt = kit.attempt(job);
    assert_eq!(kit.orders(), ["launch 1 n1"]);
    kit.registers("n1", &[(job, attempt)]);
    assert_eq!(kit.orders(), [""; 0]);
}

#[test]
fn a_registration_names_attempts_that_nobody_wants() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    let old = kit.attempt(job);
    kit.requeues(job);
    kit.epilog(job, "n1");
    kit.starts(job, &["n2"]);
    let current = kit.attempt(job);
    let unknown = (flurm_base::JobId(99), flurm_base::AttemptId(5));
    let reply = kit.registers("n1", &[(job, old), (job, current), unknown]);
    let orphans = vec![(job, old), (job, current), unknown];
    assert_eq!(reply, Reply::Registered { orphans });
    assert_eq!(kit.registers("n2", &[(job, current)]), Reply::Registered { orphans: Vec::new() });
}

#[test]
fn a_silent_node_returns_as_the_site_wishes() {
    let cases = [
        (ReturnToService::ByHand, NodeBase::Down),
        (ReturnToService::AfterSilence, NodeBase::Up),
        (ReturnToService::Always, NodeBase::Up),
    ];
    for (returns, base) in cases {
        let mut kit = Kit::new(1);
        kit.configure(returning(config(1), returns));
        kit.falls_silent("n1");
        let node = kit.cluster.node("n1").expect("exists");
        assert_eq!((node.base, node.reason.as_str()), (NodeBase::Down, "Not responding"));
        kit.registers("n1", &[]);
        assert_eq!(kit.cluster.node("n1").expect("exists").base, base, "{returns:?}");
    }
}

#[test]
fn an_operators_down_outlasts_registrations_unless_all_nodes_return() {
    let mut kit = Kit::new(1);
    kit.configure(returning(config(1), ReturnToService::AfterSilence));
    kit.operator("n1", NodeStateChange::Down);
    kit.registers("n1", &[]);
    assert_eq!(state(&kit, "n1"), 1);
    assert_eq!(kit.operator("n1", NodeStateChange::Resume), Reply::Done);
    assert_eq!(state(&kit, "n1"), 2);
    let resumed = kit.cluster.node("n1").expect("exists");
    assert!(resumed.reason.is_empty());
    assert_eq!(refused(kit.operator("n1", NodeStateChange::Resume)), Errno::InvalidNodeState);
}

#[test]
fn a_rebooted_node_is_down_and_its_jobs_are_ended() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let later = |seconds| Some(Time::from_secs(seconds));
    let stepped = NodeFacts { boot: later(9_000), ..facts() };
    kit.registers_with("n1", stepped, &[(job, kit.attempt(job))]);
    assert_eq!(kit.state(job), "Running", "only its clock was set: the daemon is the same");
    let rebooted = NodeFacts { boot: later(19_000), daemon_start: later(19_010), ..facts() };
    kit.registers_with("n1", rebooted, &[]);
    let node = kit.cluster.node("n1").expect("exists");
    assert_eq!(node.reason, "Node unexpectedly rebooted");
    assert_eq!(node.base, NodeBase::Down);
    assert_eq!(kit.state(job), "Pending+COMPLETING");
}

#[test]
fn a_node_with_less_than_promised_takes_no_work() {
    let mut kit = Kit::new(1);
    let poor = NodeFacts { real_memory_mb: 3_999, ..facts() };
    kit.registers_with("n1", poor, &[]);
    let node = kit.cluster.node("n1").expect("exists");
    assert!(node.flags.has(NodeFlags::DRAIN | NodeFlags::INVALID_REG));
    let reason = "Low RealMemory (reported:3999 < 100.00% of configured:4000)";
    assert_eq!(node.reason, reason);
    assert_eq!(refused(kit.operator("n1", NodeStateChange::Resume)), Errno::InvalidNodeState);
    kit.registers("n1", &[]);
    assert_eq!(kit.operator("n1", NodeStateChange::Resume), Reply::Done);
    assert!(kit.cluster.node("n1").expect("exists").is_usable());
}

#[test]
fn a_drained_node_finishes_its_jobs() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    kit.operator("n1", NodeStateChange::Drain);
    assert_eq!(state(&kit, "n1"), 5 | NodeFlags::DRAIN);
    assert_eq!(kit.state(job), "Running");
    kit.registers("n1", &[(job, kit.attempt(job))]);
    let node = kit.cluster.node("n1").expect("exists");
    assert_eq!((node.reason.as_str(), node.reason_uid), ("by hand", ROOT.uid));
    assert!(node.flags.has(NodeFlags::DRAIN));
    kit.operator("n1", NodeStateChange::Undrain);
    assert!(kit.cluster.node("n1").expect("exists").is_usable());
}

#[test]
fn an_epilog_that_fails_drains_its_node() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    kit.ends(job, "n1", 0);
    let (at, attempt, node) = (kit.now, kit.attempt(job), name("n1"));
    kit.apply(&Command::EpilogComplete { at, job, attempt, node, rc: 1 });
    assert_eq!(kit.cluster.node("n1").expect("exists").reason, "Epilog error");
    assert_eq!(kit.state(job), "Completed");
}

#[test]
fn a_silent_node_is_marked_before_it_is_down() {
    let mut kit = Kit::new(1);
    let (at, node) = (kit.now, name("n1"));
    kit.apply(&Command::NodeNotResponding { at, node: node.clone() });
    assert_eq!(state(&kit, "n1"), 2 | NodeFlags::NO_RESPOND);
    assert!(!kit.cluster.node("n1").expect("exists").is_usable());
    let load = Some(7);
    let answers = Command::NodeResponding { at, node, cpu_load: load, free_memory_mb: None };
    kit.apply(&answers);
    let node = kit.cluster.node("n1").expect("exists");
    assert!(node.is_usable());
    assert_eq!(node.facts.as_ref().and_then(|facts| facts.cpu_load), load);
}

#[test]
fn the_same_configuration_again_changes_nothing() {
    let mut kit = Kit::new(2);
    kit.runs("n1");
    let changes = NodeChanges { weight: Some(7), ..NodeChanges::default() };
    let (at, node, by) = (kit.now, name("n1"), ROOT);
    kit.apply(&Command::UpdateNode { at, node, by, changes: Box::new(changes) });
    let before = kit.cluster.clone();
    kit.passes(5);
    let again = Command::Configure { at: kit.now, config: Box::new(config(2)) };
    assert_eq!(kit.apply(&again).events, []);
    assert!(kit.cluster == before, "what was changed by hand stays");
}

#[test]
fn a_removed_node_stays_until_its_jobs_are_known_to_have_ended() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n2");
    kit.configure(config(1));
    assert_eq!(kit.state(job), "Pending+COMPLETING");
    let node = kit.cluster.node("n2").expect("it is still there");
    assert!(node.removed);
    assert_eq!(kit.orders(), ["terminate 1 n2 Killed"]);
    kit.registers("n2", &[]);
    assert!(!kit.cluster.node("n2").expect("still").is_usable());
    let events = kit.epilog(job, "n2").events;
    assert!(events.contains(&Event::NodeRemoved(name("n2"))));
    assert!(kit.cluster.node("n2").is_none());
    assert_eq!(kit.state(job), "Pending");
}

#[test]
fn a_node_that_comes_back_into_the_configuration_is_used_again() {
    let mut kit = Kit::new(2);
    kit.runs("n2");
    kit.configure(config(1));
    kit.configure(config(2));
    assert!(kit.cluster.node("n2").expect("exists").is_usable());
}

#[test]
fn a_smaller_node_keeps_its_jobs_until_they_end() {
    let mut kit = Kit::new(1);
    let jobs: Vec<_> = (0..4).map(|_| kit.runs("n1")).collect();
    let mut smaller = config(1);
    smaller.nodes[0].cpus = 2;
    kit.configure(smaller);
    assert_eq!(kit.cluster.node_use("n1").cpus, 4);
    for job in &jobs[..3] {
        kit.ends(*job, "n1", 0);
        kit.epilog(*job, "n1");
    }
    let next = kit.submits();
    kit.starts(next, &["n1"]);
    let over = kit.submits();
    let start = kit.start_of(over, &["n1"]);
    let reply = kit.schedule(vec![start]);
    assert!(matches!(reply, Reply::Scheduled { refused, .. } if refused.len() == 1));
}

#[test]
fn a_job_whose_partition_vanished_is_held_with_a_reason() {
    let mut kit = Kit::new(2);
    let partitions = vec![PartitionName::from("short")];
    let waiting = kit.try_submit(JobSpec { partitions, ..spec() }).expect("accepted");
    let both = ["short", "main"].map(PartitionName::from).to_vec();
    let other = kit.try_submit(JobSpec { partitions: both, ..spec() }).expect("accepted");
    let mut fewer = config(2);
    fewer.partitions.pop();
    kit.configure(fewer);
    let job = kit.job(waiting);
    assert_eq!((job.hold, job.reason), (Hold::Admin, Reason::FailDownPartition));
    assert_eq!(job.reason_text, "partition short was removed");
    assert_eq!(kit.job(other).hold, Hold::None, "another partition is left to it");
    assert_eq!(refused(kit.releases(waiting, ROOT)), Errno::InvalidPartitionName);
    kit.configure(config(2));
    assert_eq!(kit.releases(waiting, ROOT), Reply::Done);
}

#[test]
fn a_running_job_survives_the_loss_of_its_partition() {
    let mut kit = Kit::new(2);
    let partitions = vec![PartitionName::from("short")];
    let job = kit.try_submit(JobSpec { partitions, ..spec() }).expect("accepted");
    kit.starts(job, &["n1"]);
    kit.launches(job, "n1");
    let mut fewer = config(2);
    fewer.partitions.pop();
    kit.configure(fewer);
    assert_eq!(kit.state(job), "Running");
    assert_eq!(refused(kit.requeues(job)), Errno::Disabled);
    kit.falls_silent("n1");
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Pending");
    assert_eq!(kit.job(job).reason, Reason::FailDownPartition);
}

#[test]
fn a_job_that_requires_a_vanished_node_is_held() {
    let mut kit = Kit::new(2);
    let nodes_required = vec![name("n2")];
    let job = kit.try_submit(JobSpec { nodes_required, ..spec() }).expect("accepted");
    kit.configure(config(1));
    assert_eq!(kit.job(job).reason, Reason::BadConstraints);
    assert_eq!(kit.job(job).reason_text, "node n2 was removed");
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused_as_a_whole() {
    let mut kit = Kit::new(1);
    let before = kit.cluster.clone();
    let mut twice = config(1);
    twice.nodes.push(twice.nodes[0].clone());
    assert_eq!(refused(kit.configure(twice)), Errno::InvalidNodeName);
    let mut unknown = config(1);
    unknown.partitions[0].nodes.push(name("n9"));
    assert_eq!(refused(kit.configure(unknown)), Errno::InvalidNodeName);
    assert!(kit.cluster == before);
}

#[test]
fn partitions_can_be_made_changed_and_deleted_by_hand() {
    let mut kit = Kit::new(2);
    let conf = PartitionConf {
        name: PartitionName::from("new"),
        nodes: vec![name("n2")],
        ..PartitionConf::default()
    };
    let update = |kit: &mut Kit, create, conf: &PartitionConf| {
        let (at, by, partition) = (kit.now, ROOT, Box::new(conf.clone()));
        kit.apply(&Command::UpdatePartition { at, by, create, partition }).reply
    };
    assert_eq!(refused(update(&mut kit, false, &conf)), Errno::InvalidPartitionName);
    assert_eq!(update(&mut kit, true, &conf), Reply::Done);
    assert_eq!(refused(update(&mut kit, true, &conf)), Errno::InvalidPartitionName);
    kit.configure(config(2));
    assert!(kit.cluster.partition("new").is_some(), "a reconfiguration keeps it");
    let job = kit.try_submit(JobSpec { partitions: vec![conf.name.clone()], ..spec() });
    let delete = |kit: &mut Kit| {
        let (at, by, partition) = (kit.now, ROOT, PartitionName::from("new"));
        kit.apply(&Command::DeletePartition { at, by, partition }).reply
    };
    assert_eq!(refused(delete(&mut kit)), Errno::PartitionInUse);
    let job = job.expect("accepted");
    kit.starts(job, &["n2"]);
    kit.launches(job, "n2");
    assert_eq!(refused(delete(&mut kit)), Errno::PartitionInUse);
    kit.cancels(job, ALICE);
    assert_eq!(kit.state(job), "Cancelled+COMPLETING");
    assert_eq!(delete(&mut kit), Reply::Done);
    kit.epilog(job, "n2");
    assert_eq!(kit.state(job), "Cancelled");
    let drained = PartitionConf { state: PartitionState::Drain, ..config(2).partitions[0].clone() };
    assert_eq!(update(&mut kit, false, &drained), Reply::Done);
    let refusal = kit.try_submit(spec()).expect_err("it takes no jobs");
    assert_eq!(refusal.errno, Errno::PartitionNotAvail);
    kit.configure(config(2));
    let state = kit.cluster.partition("main").expect("exists").conf.state;
    assert_eq!(state, PartitionState::Drain, "what was changed by hand stays");
}

#[test]
fn a_node_starts_as_its_configuration_says() {
    let mut kit = Kit { cluster: crate::Cluster::default(), now: Time::from_secs(1) };
    let mut various = config(3);
    various.nodes[0].initial = InitialState::Down;
    various.nodes[1].initial = InitialState::Drain;
    various.nodes[2].initial = InitialState::Future;
    kit.configure(various);
    let states = ["n1", "n2", "n3"].map(|node| state(&kit, node));
    assert_eq!(states, [1, NodeFlags::DRAIN, 6]);
}

#[test]
fn a_reboot_seen_by_the_leader_takes_a_node_out_of_service() {
    let mut kit = Kit::new(1);
    let (at, node) = (kit.now, name("n1"));
    kit.apply(&Command::NodeDown { at, node, cause: DownCause::Reboot });
    assert_eq!(state(&kit, "n1"), 1);
    assert_eq!(kit.cluster.node("n1").expect("exists").reason, "Node unexpectedly rebooted");
}
