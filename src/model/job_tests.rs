//! The life of a job, from its submission to its end.

use flurm_base::{JobId, RequestKey, Time};

use crate::kit::{ALICE, Kit, NODE_CPUS, ROOT, config, name, spec};
use crate::{
    Command, EnforcePartLimits, Errno, Event, Hold, JobBase, JobChanges, JobSpec, Launch, Limit,
    NodeFlags, PartitionName, Placement, PriorityChange, Reason, Refusal, Reply, RequeueFlags,
    Size, StartRefusal,
};

fn errno(result: Result<JobId, Refusal>) -> Errno {
    result.expect_err("the submission is refused").errno
}

fn refused(reply: Reply) -> Errno {
    match reply {
        Reply::Refused(refusal) => refusal.errno,
        other => panic!("not refused but {other:?}"),
    }
}

#[test]
fn a_job_runs_from_submission_to_its_end() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    assert_eq!(kit.state(job), "Pending");
    kit.starts(job, &["n1"]);
    assert_eq!(kit.orders(), ["launch 1 n1"]);
    assert_eq!(kit.launches(job, "n1"), Reply::Done);
    assert_eq!(kit.orders(), [""; 0]);
    kit.passes(30);
    assert_eq!(kit.ends(job, "n1", 0), Reply::Done);
    assert_eq!(kit.state(job), "Completed+COMPLETING");
    assert_eq!(kit.orders(), ["terminate 1 n1 Finished"]);
    assert_eq!(kit.cluster.node_use("n1").cpus, 1, "the node has not confirmed yet");
    let attempt = kit.attempt(job);
    let applied = kit.epilog(job, "n1");
    assert!(applied.events.contains(&Event::JobEnded(job, attempt)));
    assert_eq!(kit.state(job), "Completed");
    assert_eq!(kit.cluster.node_use("n1").cpus, 0);
    assert_eq!(kit.orders(), [""; 0]);
}

#[test]
fn job_numbers_count_up_and_priorities_count_down() {
    let mut kit = Kit::new(1);
    let jobs: Vec<JobId> = (0..3).map(|_| kit.submits()).collect();
    assert_eq!(jobs, [JobId(1), JobId(2), JobId(3)]);
    let priorities: Vec<u32> = jobs.iter().map(|job| kit.job(*job).priority).collect();
    assert_eq!(priorities, [4_294_901_759, 4_294_901_758, 4_294_901_757]);
    let pending: Vec<JobId> = kit.cluster.pending().map(|job| job.id).collect();
    assert_eq!(pending, jobs);
}

#[test]
fn nice_moves_one_job_and_not_those_that_follow() {
    let mut kit = Kit::new(1);
    let nice = kit.try_submit(JobSpec { nice: i32::MAX, ..spec() }).expect("accepted");
    let next = kit.submits();
    assert_eq!(kit.job(nice).priority, 4_294_901_759 - i32::MAX as u32);
    assert_eq!(kit.job(next).priority, 4_294_901_758);
}

#[test]
fn a_repeated_submission_is_the_same_job() {
    let mut kit = Kit::new(1);
    let key = Some(RequestKey([7; 16]));
    let first = kit.submit_with(key, ALICE, spec()).expect("accepted");
    kit.passes(60);
    let (at, by) = (kit.now, ALICE);
    let again = Command::Submit { at, key, by, spec: Box::new(spec()) };
    let attempt = kit.attempt(first);
    let reply = kit.apply(&again).reply;
    assert_eq!(reply, Reply::Submitted { job: first, attempt, repeated: true });
    assert_eq!(kit.cluster.jobs_count(), 1);
    let other = kit.submit_with(Some(RequestKey([8; 16])), ALICE, spec()).expect("accepted");
    assert_eq!(other, JobId(2));
}

#[test]
fn a_request_key_is_forgotten_after_an_hour() {
    let mut kit = Kit::new(1);
    let key = RequestKey([7; 16]);
    kit.submit_with(Some(key), ALICE, spec()).expect("accepted");
    kit.passes(3_599);
    kit.apply(&Command::Purge { at: kit.now });
    assert_eq!(kit.cluster.submitted(&key), Some(JobId(1)));
    kit.passes(1);
    kit.apply(&Command::Purge { at: kit.now });
    assert_eq!(kit.cluster.submitted(&key), None);
}

#[test]
fn submissions_that_can_never_be_are_refused_with_slurms_error() {
    let mut kit = Kit::new(2);
    let with = |change: fn(&mut JobSpec)| {
        let mut spec = spec();
        change(&mut spec);
        spec
    };
    type Case = (fn(&mut JobSpec), Errno);
    let cases: [Case; 7] = [
        (|s| s.partitions = vec![PartitionName::from("none")], Errno::InvalidPartitionName),
        (|s| s.nodes_required = vec![name("n9")], Errno::InvalidNodeName),
        (|s| s.time_limit = Some(Limit::Max(0)), Errno::InvalidTimeLimit),
        (|s| s.time_min = Some(61), Errno::InvalidTimeMinLimit),
        (|s| (s.size.nodes_min, s.size.nodes_max) = (3, Some(2)), Errno::InvalidNodeCount),
        (|s| (s.size.cpus_min, s.size.cpus_max) = (3, Some(2)), Errno::InvalidCpuCount),
        (|s| s.deadline = Some(Time::from_secs(1_000_100)), Errno::InvalidTimeLimit),
    ];
    for (change, expected) in cases {
        assert_eq!(errno(kit.try_submit(with(change))), expected);
    }
    assert_eq!(kit.cluster.jobs_count(), 0);
}

#[test]
fn limits_of_a_partition_refuse_only_where_the_site_says_so() {
    let mut kit = Kit::new(2);
    let long = JobSpec {
        partitions: vec![PartitionName::from("short")],
        time_limit: Some(Limit::Max(11)),
        ..spec()
    };
    assert!(kit.try_submit(long.clone()).is_ok(), "it waits");
    let mut strict = config(2);
    strict.settings.enforce_part_limits = EnforcePartLimits::All;
    kit.configure(strict);
    assert_eq!(errno(kit.try_submit(long.clone())), Errno::InvalidTimeLimit);
    let both = ["short", "main"].map(PartitionName::from).to_vec();
    assert_eq!(
        errno(kit.try_submit(JobSpec { partitions: both.clone(), ..long.clone() })),
        Errno::InvalidTimeLimit
    );
    let mut any = config(2);
    any.settings.enforce_part_limits = EnforcePartLimits::Any;
    kit.configure(any);
    assert!(kit.try_submit(JobSpec { partitions: both, ..long }).is_ok());
}

#[test]
fn the_cluster_takes_no_more_jobs_than_configured() {
    let mut kit = Kit::new(1);
    let mut small = config(1);
    small.settings.job_count_max = 1;
    kit.configure(small);
    kit.submits();
    assert_eq!(errno(kit.try_submit(spec())), Errno::MaxJobCount);
}

#[test]
fn job_numbers_start_again_and_skip_those_in_use() {
    let mut kit = Kit::new(1);
    let mut small = config(1);
    small.settings.job_id_max = 3;
    kit.configure(small);
    let jobs: Vec<JobId> = (0..3).map(|_| kit.submits()).collect();
    kit.cancels(jobs[1], ALICE);
    kit.passes(300);
    kit.apply(&Command::Purge { at: kit.now });
    assert_eq!(kit.try_submit(spec()), Ok(JobId(2)));
    assert_eq!(errno(kit.try_submit(spec())), Errno::MaxJobCount);
}

#[test]
fn a_start_is_refused_when_the_state_has_moved_on() {
    let mut kit = Kit::new(2);
    let job = kit.submits();
    let good = kit.start_of(job, &["n1"]);
    let refusal = |kit: &mut Kit, start| match kit.schedule(vec![start]) {
        Reply::Scheduled { started, refused } if started.is_empty() => refused[0].1,
        other => panic!("started after all: {other:?}"),
    };
    let mut twice = kit.start_of(job, &["n1", "n1"]);
    twice.job = job;
    assert_eq!(refusal(&mut kit, twice), StartRefusal::Shape);
    let nothing = kit.start_of(job, &[]);
    assert_eq!(refusal(&mut kit, nothing), StartRefusal::Shape);
    let mut unknown = good.clone();
    unknown.placements[0].node = name("n9");
    assert_eq!(refusal(&mut kit, unknown), StartRefusal::Node);
    let mut elsewhere = good.clone();
    elsewhere.partition = PartitionName::from("short");
    assert_eq!(refusal(&mut kit, elsewhere), StartRefusal::Partition);
    let mut large = good.clone();
    large.placements[0].cpus = NODE_CPUS + 1;
    assert_eq!(refusal(&mut kit, large), StartRefusal::Resources);
    let mut forgetful = good.clone();
    forgetful.placements[0].memory_mb = 999;
    assert_eq!(refusal(&mut kit, forgetful), StartRefusal::Shape);
    kit.operator("n1", crate::NodeStateChange::Drain);
    assert_eq!(refusal(&mut kit, good.clone()), StartRefusal::Node);
    kit.operator("n1", crate::NodeStateChange::Resume);
    kit.holds(job, ALICE);
    assert_eq!(refusal(&mut kit, good.clone()), StartRefusal::NotPending);
    kit.releases(job, ALICE);
    kit.starts(job, &["n1"]);
    assert_eq!(refusal(&mut kit, good), StartRefusal::NotPending);
    assert_eq!(kit.cluster.starts_refused(), 9);
}

#[test]
fn a_whole_node_job_is_alone_on_its_node() {
    let mut kit = Kit::new(1);
    let (first, second) = (kit.submits(), kit.submits());
    kit.starts(first, &["n1"]);
    let mut alone = kit.start_of(second, &["n1"]);
    alone.placements[0] = Placement { whole_node: true, ..alone.placements[0].clone() };
    let reply = kit.schedule(vec![alone.clone()]);
    let refused = vec![(second, StartRefusal::Resources)];
    assert_eq!(reply, Reply::Scheduled { started: Vec::new(), refused });
    kit.ends(first, "n1", 0);
    kit.epilog(first, "n1");
    kit.schedule(vec![alone]);
    let third = kit.submits();
    let start = kit.start_of(third, &["n1"]);
    let refused = vec![(third, StartRefusal::Resources)];
    let reply = kit.schedule(vec![start]);
    assert_eq!(reply, Reply::Scheduled { started: Vec::new(), refused });
}

#[test]
fn users_that_want_to_be_apart_do_not_meet() {
    let mut kit = Kit::new(1);
    let apart = |uid| JobSpec { uid, sharing: Some(crate::Sharing::User), ..spec() };
    let first = kit.try_submit(apart(1000)).expect("accepted");
    kit.starts(first, &["n1"]);
    let (own, other) = (kit.try_submit(apart(1000)), kit.try_submit(JobSpec { uid: 2, ..spec() }));
    let (own, other) = (own.expect("accepted"), other.expect("accepted"));
    let starts = vec![kit.start_of(other, &["n1"]), kit.start_of(own, &["n1"])];
    let refused = vec![(other, StartRefusal::Resources)];
    assert_eq!(kit.schedule(starts), Reply::Scheduled { started: vec![own], refused });
    assert_eq!(kit.cluster.check(), Ok(()));
}

#[test]
fn a_job_may_be_given_less_time_but_not_too_little() {
    let mut kit = Kit::new(1);
    let spec = JobSpec { time_limit: Some(Limit::Max(60)), time_min: Some(10), ..spec() };
    let job = kit.try_submit(spec).expect("accepted");
    for (minutes, starts) in [(9, false), (61, false), (10, true)] {
        let start = crate::Start { time_limit: Some(minutes), ..kit.start_of(job, &["n1"]) };
        let reply = kit.schedule(vec![start]);
        assert_eq!(matches!(reply, Reply::Scheduled { started, .. } if started == [job]), starts);
    }
    assert_eq!(kit.cluster.job(job).map(|job| job.time_limit), Some(Limit::Max(10)));
    let attempt = kit.attempt(job);
    kit.requeues(job);
    kit.epilog_of(job, attempt, "n1");
    assert_eq!(kit.cluster.job(job).map(|job| job.time_limit), Some(Limit::Max(60)));
}

#[test]
fn a_status_decides_how_a_job_ended() {
    let mut kit = Kit::new(1);
    let cases = [
        (0, "Completed", Reason::None, ""),
        (3 << 8, "Failed", Reason::ExitCode, ""),
        (9, "Failed", Reason::Signal, "RaisedSignal:9(Killed)"),
        (253, "OutOfMemory", Reason::OutOfMemory, ""),
    ];
    for (status, state, reason, text) in cases {
        let job = kit.runs("n1");
        kit.ends(job, "n1", status);
        kit.epilog(job, "n1");
        assert_eq!(kit.state(job), state);
        let job = kit.job(job);
        assert_eq!((job.reason, job.reason_text.as_str()), (reason, text));
        assert_eq!(job.exit_status, status);
    }
}

#[test]
fn a_repeated_or_late_report_changes_nothing() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    let first = kit.attempt(job);
    let late = kit.end_of(job, "n1", 1 << 8);
    assert_eq!(kit.ends(job, "n1", 0), Reply::Done);
    assert_eq!(kit.ends(job, "n1", 1 << 8), Reply::Stale);
    kit.epilog(job, "n1");
    assert_eq!(kit.epilog(job, "n1").reply, Reply::Stale);
    assert_eq!(kit.requeues(job), Reply::Done);
    kit.starts(job, &["n2"]);
    kit.launches(job, "n2");
    assert!(kit.attempt(job) > first);
    let reply = kit.apply(&Command::BatchComplete { at: kit.now, end: late }).reply;
    assert_eq!(reply, Reply::Stale);
    assert_eq!(kit.epilog_of(job, first, "n1").reply, Reply::Stale);
    assert_eq!(kit.epilog_of(job, first, "n2").reply, Reply::Stale);
    assert_eq!(kit.state(job), "Running");
}

#[test]
fn a_report_for_a_forgotten_job_is_answered_harmlessly() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let (attempt, end) = (kit.attempt(job), kit.end_of(job, "n1", 0));
    kit.ends(job, "n1", 0);
    kit.epilog(job, "n1");
    kit.passes(299);
    assert!(kit.apply(&Command::Purge { at: kit.now }).events.is_empty());
    kit.passes(1);
    let events = kit.apply(&Command::Purge { at: kit.now }).events;
    assert_eq!(events, [Event::JobPurged(job)]);
    assert_eq!(kit.apply(&Command::BatchComplete { at: kit.now, end }).reply, Reply::Stale);
    assert_eq!(kit.epilog_of(job, attempt, "n1").reply, Reply::Stale);
}

#[test]
fn a_time_limit_ends_a_job_when_it_is_reached_and_not_before() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let attempt = kit.attempt(job);
    kit.passes(3_599);
    let limit = |kit: &mut Kit| {
        let at = kit.now;
        kit.apply(&Command::TimeLimitReached { at, job, attempt }).reply
    };
    assert_eq!(limit(&mut kit), Reply::Stale);
    kit.passes(1);
    assert_eq!(kit.cluster.time_limit_next(), Some(kit.now));
    assert_eq!(limit(&mut kit), Reply::Done);
    assert_eq!(kit.state(job), "Timeout+COMPLETING");
    assert_eq!(kit.job(job).reason, Reason::TimeLimit);
    assert_eq!(kit.orders(), ["terminate 1 n1 TimeLimit"]);
    assert_eq!(limit(&mut kit), Reply::Stale);
    assert_eq!(kit.ends(job, "n1", 9), Reply::Done, "the end is decided; its status is news");
    assert_eq!(kit.job(job).exit_status, 9);
    assert_eq!(kit.state(job), "Timeout+COMPLETING");
    assert_eq!(kit.ends(job, "n1", 15), Reply::Stale, "and only the first one");
    assert_eq!(kit.cluster.time_limit_next(), None);
}

#[test]
fn a_site_may_let_jobs_run_over_their_limit() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let mut patient = config(1);
    patient.settings.over_time_limit = Limit::Max(5);
    kit.configure(patient);
    let start = kit.job(job).start.expect("it runs");
    let limit = start + flurm_base::Span::secs(65 * 60);
    assert_eq!(kit.cluster.time_limit_next(), Some(limit));
}

#[test]
fn cancelling_a_waiting_job_ends_it_at_once() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    assert_eq!(kit.cancels(job, ALICE), Reply::Done);
    assert_eq!(kit.state(job), "Cancelled");
    assert_eq!(refused(kit.cancels(job, ALICE)), Errno::AlreadyDone);
    assert_eq!(refused(kit.cancels(JobId(9), ALICE)), Errno::InvalidJobId);
}

#[test]
fn cancelling_before_the_launch_is_confirmed_still_asks_the_node() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    kit.starts(job, &["n1"]);
    kit.cancels(job, ALICE);
    assert_eq!(kit.orders(), ["terminate 1 n1 Killed"]);
    assert_eq!(kit.launches(job, "n1"), Reply::Stale);
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Cancelled");
}

#[test]
fn a_signal_is_an_order_until_it_is_delivered() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let kill = |signal| Command::Kill { at: Time(0), job, by: ALICE, signal, flags: 0 };
    assert_eq!(kit.apply(&kill(10)).reply, Reply::Done);
    assert_eq!(kit.orders(), ["signal 1 10"]);
    let attempt = kit.attempt(job);
    let delivered = Command::SignalDelivered { job, attempt, sequence: 0 };
    assert_eq!(kit.apply(&delivered).reply, Reply::Done);
    assert_eq!(kit.apply(&delivered).reply, Reply::Stale);
    assert_eq!(kit.orders(), [""; 0]);
    for _ in 0..crate::act::SIGNALS_MAX {
        assert_eq!(kit.apply(&kill(10)).reply, Reply::Done);
    }
    assert_eq!(refused(kit.apply(&kill(10)).reply), Errno::TransitionStateNoUpdate);
    kit.cancels(job, ALICE);
    assert_eq!(kit.orders(), ["terminate 1 n1 Killed"], "signals give way to the end");
}

#[test]
fn a_requeued_job_gets_a_new_attempt_only_after_its_node_confirmed() {
    let mut kit = Kit::new(2);
    let job = kit.runs("n1");
    let first = kit.attempt(job);
    assert_eq!(kit.requeues(job), Reply::Done);
    assert_eq!(kit.state(job), "Pending+COMPLETING");
    assert_eq!(kit.attempt(job), first);
    let start = kit.start_of(job, &["n2"]);
    let refused = vec![(job, StartRefusal::NotPending)];
    assert_eq!(kit.schedule(vec![start]), Reply::Scheduled { started: Vec::new(), refused });
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Pending");
    assert!(kit.attempt(job) > first);
    assert_eq!(kit.job(job).restarts, 1);
    kit.starts(job, &["n2"]);
}

#[test]
fn cancelling_a_job_that_is_being_requeued_keeps_it_from_returning() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    kit.requeues(job);
    kit.cancels(job, ALICE);
    assert_eq!(kit.state(job), "Cancelled+COMPLETING");
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Cancelled");
}

#[test]
fn an_ended_job_can_be_run_again() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    kit.ends(job, "n1", 1 << 8);
    kit.epilog(job, "n1");
    assert_eq!(kit.requeues(job), Reply::Done);
    assert_eq!(kit.state(job), "Pending");
    assert_eq!(refused(kit.requeues(job)), Errno::JobPending);
    let fixed = kit.try_submit(JobSpec { requeue: Some(false), ..spec() }).expect("accepted");
    assert_eq!(refused(kit.requeues(fixed)), Errno::Disabled);
    let plain = kit.try_submit(JobSpec { batch: None, ..spec() }).expect("accepted");
    assert_eq!(refused(kit.requeues(plain)), Errno::BatchOnly);
}

#[test]
fn a_job_requeued_with_a_hold_waits_for_its_release() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let flags = RequeueFlags { hold: true, ..RequeueFlags::default() };
    kit.apply(&Command::Requeue { at: kit.now, job, by: ALICE, flags });
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Pending");
    let held = kit.job(job);
    assert_eq!((held.priority, held.reason), (0, Reason::HeldUser));
    assert_eq!(held.reason_text, "job requeued in held state");
    assert_eq!(kit.releases(job, ALICE), Reply::Done);
    assert_eq!(kit.job(job).reason, Reason::None);
}

#[test]
fn a_user_cannot_release_an_administrators_hold() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    kit.holds(job, ROOT);
    assert_eq!(kit.job(job).reason, Reason::HeldAdmin);
    assert_eq!(refused(kit.releases(job, ALICE)), Errno::AccessDenied);
    assert_eq!(kit.holds(job, ALICE), Reply::Done);
    assert_eq!(kit.job(job).hold, Hold::Admin, "a user's hold does not weaken it");
    assert_eq!(kit.releases(job, ROOT), Reply::Done);
    kit.holds(job, ALICE);
    assert_eq!(kit.job(job).reason, Reason::HeldUser);
    assert_eq!(kit.releases(job, ALICE), Reply::Done);
    assert_eq!(kit.job(job).hold, Hold::None);
}

#[test]
fn a_user_may_lower_a_priority_and_a_time_limit_but_not_raise_them() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let priority = |p| JobChanges { priority: Some(PriorityChange::Set(p)), ..Default::default() };
    let limit = |m| JobChanges { time_limit: Some(Limit::Max(m)), ..Default::default() };
    assert_eq!(kit.updates(job, ALICE, priority(5)), Reply::Done);
    assert_eq!(refused(kit.updates(job, ALICE, priority(6))), Errno::AccessDenied);
    assert_eq!(kit.updates(job, ALICE, limit(30)), Reply::Done);
    assert_eq!(refused(kit.updates(job, ALICE, limit(31))), Errno::AccessDenied);
    assert_eq!(kit.job(job).time_limit, Limit::Max(30));
    assert_eq!(kit.updates(job, ROOT, limit(10_000)), Reply::Done);
    let waiting = kit.submits();
    assert_eq!(kit.updates(waiting, ALICE, limit(120)), Reply::Done, "the partition allows it");
    assert_eq!(refused(kit.updates(waiting, ALICE, limit(121))), Errno::AccessDenied);
}

#[test]
fn a_refused_change_leaves_every_field_alone() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    let before = kit.job(job).clone();
    let changes = JobChanges {
        name: Some(String::from("other")),
        partitions: Some(vec![PartitionName::from("none")]),
        ..JobChanges::default()
    };
    assert_eq!(refused(kit.updates(job, ALICE, changes)), Errno::InvalidPartitionName);
    assert_eq!(*kit.job(job), before);
}

#[test]
fn what_a_job_asks_for_can_change_only_while_it_waits() {
    let mut kit = Kit::new(2);
    let job = kit.submits();
    let size = JobChanges { nodes: Some((2, Some(2))), ..JobChanges::default() };
    assert_eq!(kit.updates(job, ALICE, size.clone()), Reply::Done);
    assert_eq!(kit.job(job).spec.size.nodes_min, 2);
    kit.starts(job, &["n1", "n2"]);
    assert_eq!(refused(kit.updates(job, ALICE, size)), Errno::JobNotPending);
    let comment = JobChanges { comment: Some(String::from("x")), ..JobChanges::default() };
    kit.launches(job, "n1");
    kit.ends(job, "n1", 0);
    kit.epilog(job, "n1");
    kit.epilog(job, "n2");
    assert_eq!(kit.state(job), "Completed");
    assert_eq!(kit.updates(job, ALICE, comment), Reply::Done, "remarks are always possible");
    let renamed = JobChanges { name: Some(String::from("x")), ..JobChanges::default() };
    assert_eq!(refused(kit.updates(job, ALICE, renamed)), Errno::JobFinished);
}

#[test]
fn a_failed_prolog_drains_the_node_and_holds_the_job() {
    let mut kit = Kit::new(2);
    let job = kit.submits();
    kit.starts(job, &["n1"]);
    let (at, attempt) = (kit.now, kit.attempt(job));
    let failed = |errno| Command::LaunchFailed { at, job, attempt, node: name("n1"), errno };
    assert_eq!(kit.apply(&failed(4022)).reply, Reply::Done);
    assert_eq!(kit.state(job), "Pending+COMPLETING");
    assert_eq!(kit.orders(), ["terminate 1 n1 Killed"], "a late launch must be refused there");
    let node = kit.cluster.node("n1").expect("exists");
    assert!(node.flags.has(NodeFlags::DRAIN));
    assert_eq!(node.reason, "Prolog error");
    assert_eq!(kit.apply(&failed(4022)).reply, Reply::Stale);
    kit.epilog(job, "n1");
    assert_eq!(kit.job(job).reason_text, "launch failed requeued held");
}

#[test]
fn a_job_whose_launches_keep_failing_is_held() {
    let mut kit = Kit::new(8);
    let job = kit.submits();
    for number in 1..=6 {
        let node = format!("n{number}");
        kit.starts(job, &[&node]);
        let (at, attempt) = (kit.now, kit.attempt(job));
        kit.apply(&Command::LaunchFailed { at, job, attempt, node: name(&node), errno: 4010 });
        kit.epilog(job, &node);
    }
    assert_eq!(kit.job(job).reason, Reason::MaxRequeue);
    assert_eq!(kit.job(job).priority, 0);
    assert_eq!(kit.job(job).restarts, 6);
}

#[test]
fn a_launch_that_came_too_late_is_not_the_nodes_fault() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    kit.starts(job, &["n1"]);
    let (at, attempt) = (kit.now, kit.attempt(job));
    kit.apply(&Command::LaunchFailed { at, job, attempt, node: name("n1"), errno: 4008 });
    assert!(!kit.cluster.node("n1").expect("exists").flags.has(NodeFlags::DRAIN));
    kit.epilog(job, "n1");
    assert_eq!(kit.state(job), "Pending");
    assert_eq!(kit.job(job).hold, Hold::None);
}

#[test]
fn an_allocation_without_script_launches_nothing() {
    let mut kit = Kit::new(1);
    let job = kit.try_submit(JobSpec { batch: None, ..spec() }).expect("accepted");
    kit.starts(job, &["n1"]);
    assert_eq!(kit.job(job).launch, Launch::None);
    assert_eq!(kit.orders(), [""; 0]);
}

#[test]
fn a_job_of_several_nodes_frees_each_as_it_confirms() {
    let mut kit = Kit::new(3);
    let size = Size { nodes_min: 3, cpus_min: 3, ..spec().size };
    let job = kit.try_submit(JobSpec { size, ..spec() }).expect("accepted");
    kit.starts(job, &["n1", "n2", "n3"]);
    kit.launches(job, "n1");
    kit.ends(job, "n1", 0);
    kit.epilog(job, "n2");
    let used: Vec<u32> = ["n1", "n2", "n3"].map(|n| kit.cluster.node_use(n).cpus).to_vec();
    assert_eq!(used, [1, 0, 1]);
    assert_eq!(kit.state(job), "Completed+COMPLETING");
    kit.epilog(job, "n1");
    kit.epilog(job, "n3");
    assert_eq!(kit.state(job), "Completed");
}

#[test]
fn a_job_waits_for_its_begin_time() {
    let mut kit = Kit::new(1);
    let begin = kit.now + flurm_base::Span::secs(100);
    let job = kit.try_submit(JobSpec { begin: Some(begin), ..spec() }).expect("accepted");
    assert_eq!(kit.job(job).reason, Reason::BeginTime);
    assert_eq!(kit.cluster.begin_next(kit.now), Some(begin));
    let start = kit.start_of(job, &["n1"]);
    let refused = vec![(job, StartRefusal::NotPending)];
    let reply = kit.schedule(vec![start]);
    assert_eq!(reply, Reply::Scheduled { started: Vec::new(), refused });
    kit.passes(100);
    assert_eq!(kit.cluster.begin_next(kit.now), None);
    kit.starts(job, &["n1"]);
    assert_eq!(kit.job(job).base, JobBase::Running);
}

#[test]
fn the_end_of_a_batch_script_is_believed_only_from_its_own_node() {
    let mut kit = Kit::new(2);
    let size = Size { nodes_min: 2, cpus_min: 2, ..spec().size };
    let job = kit.try_submit(JobSpec { size, ..spec() }).expect("accepted");
    kit.starts(job, &["n1", "n2"]);
    assert_eq!(kit.launches(job, "n2"), Reply::Stale);
    kit.launches(job, "n1");
    assert_eq!(kit.ends(job, "n2", 0), Reply::Stale);
    assert_eq!(kit.state(job), "Running");
}

#[test]
fn a_job_that_cannot_end_before_its_deadline_is_ended() {
    let mut kit = Kit::new(1);
    let deadline = Some(kit.now + flurm_base::Span::secs(3_700));
    let job = kit.try_submit(JobSpec { deadline, ..spec() }).expect("there is time for an hour");
    let attempt = kit.attempt(job);
    kit.passes(100);
    let late = |kit: &mut Kit| {
        let at = kit.now;
        kit.apply(&Command::TimeLimitReached { at, job, attempt }).reply
    };
    assert_eq!(late(&mut kit), Reply::Stale, "it could end just in time");
    kit.passes(1);
    assert_eq!(late(&mut kit), Reply::Done);
    assert_eq!(kit.state(job), "Deadline");
    assert_eq!(kit.job(job).reason, Reason::Deadline);
}

#[test]
fn a_running_job_ends_at_its_deadline() {
    let mut kit = Kit::new(1);
    let deadline = Some(kit.now + flurm_base::Span::secs(3_700));
    let job = kit.try_submit(JobSpec { deadline, ..spec() }).expect("accepted");
    kit.starts(job, &["n1"]);
    let long = JobChanges { time_limit: Some(Limit::Unlimited), ..Default::default() };
    kit.updates(job, ROOT, long);
    assert_eq!(kit.cluster.time_limit_next(), deadline);
    kit.passes(3_700);
    let (at, attempt) = (kit.now, kit.attempt(job));
    kit.apply(&Command::TimeLimitReached { at, job, attempt });
    assert_eq!(kit.state(job), "Deadline+COMPLETING");
}

#[test]
fn a_job_is_warned_of_its_end_once_in_each_attempt() {
    let mut kit = Kit::new(1);
    let warning = Some(crate::Warning { signal: 10, before_s: 60, flags: 1 });
    let job = kit.try_submit(JobSpec { warning, ..spec() }).expect("accepted");
    for _run in 0..2 {
        kit.starts(job, &["n1"]);
        kit.launches(job, "n1");
        let (attempt, due) = (kit.attempt(job), kit.now + flurm_base::Span::secs(3_540));
        assert_eq!(kit.cluster.warning_next(), Some(due));
        let early = Command::Warn { at: kit.now, job, attempt };
        assert_eq!(kit.apply(&early).reply, Reply::Stale);
        kit.passes(3_540);
        let warn = Command::Warn { at: kit.now, job, attempt };
        assert_eq!(kit.apply(&warn).reply, Reply::Done);
        assert_eq!(kit.orders(), ["signal 1 10"]);
        assert_eq!(kit.apply(&warn).reply, Reply::Stale);
        assert_eq!(kit.cluster.warning_next(), None);
        kit.requeues(job);
        kit.epilog(job, "n1");
    }
}

#[test]
fn it_is_remembered_who_ended_a_job() {
    let mut kit = Kit::new(1);
    let (first, second) = (kit.runs("n1"), kit.submits());
    kit.cancels(first, ROOT);
    kit.cancels(second, ALICE);
    assert_eq!(kit.job(first).ended_by, Some(ROOT.uid));
    assert_eq!(kit.job(second).ended_by, Some(ALICE.uid));
}

#[test]
fn a_start_decided_for_an_earlier_attempt_is_refused() {
    let mut kit = Kit::new(1);
    let job = kit.submits();
    let old = kit.start_of(job, &["n1"]);
    kit.starts(job, &["n1"]);
    kit.requeues(job);
    kit.epilog(job, "n1");
    let refused = vec![(job, StartRefusal::NotPending)];
    assert_eq!(kit.schedule(vec![old]), Reply::Scheduled { started: Vec::new(), refused });
}

#[test]
fn the_oldest_request_keys_go_when_there_are_too_many() {
    let mut kit = Kit::new(1);
    let mut large = config(1);
    large.settings.job_count_max = u32::MAX;
    kit.configure(large);
    let key = |number: usize| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        RequestKey(bytes)
    };
    for number in 0..=crate::submit::REQUESTS_MAX {
        let at = kit.now + flurm_base::Span(number as u64);
        let key = Some(key(number));
        let spec = Box::new(JobSpec::default());
        kit.cluster.apply(&Command::Submit { at, key, by: ALICE, spec });
    }
    assert_eq!(kit.cluster.submitted(&key(0)), None);
    assert_eq!(kit.cluster.submitted(&key(1)), Some(JobId(2)));
    assert_eq!(kit.cluster.check(), Ok(()));
}

#[test]
fn cancelling_a_job_that_is_being_requeued_keeps_when_it_ran() {
    let mut kit = Kit::new(1);
    let job = kit.runs("n1");
    let start = kit.job(job).start;
    kit.passes(10);
    kit.requeues(job);
    let end = Some(kit.now);
    kit.passes(10);
    kit.cancels(job, ALICE);
    assert_eq!((kit.job(job).start, kit.job(job).end), (start, end));
}

fn queue(kit: &Kit) -> Vec<u32> {
    kit.cluster.pending().map(|job| job.id.0).collect()
}

#[test]
fn jobs_at_the_top_trade_places_with_others_of_their_user() {
    let mut kit = Kit::new(2);
    let jobs: Vec<JobId> = (0..4).map(|_| kit.submits()).collect();
    let bobs = kit.submit_with(None, ROOT, JobSpec { uid: 2_000, ..spec() }).expect("accepted");
    assert_eq!(kit.tops(ALICE, &[jobs[2], jobs[1]]), Reply::Done);
    assert_eq!(queue(&kit), [3, 2, 1, 4, 5]);
    assert_eq!(kit.job(jobs[2]).spec.nice, 0, "what was not nice stays so");
    assert!(kit.job(jobs[0]).spec.nice > 0);
    let denied = Reply::Refused(Errno::AccessDenied.into());
    assert_eq!(kit.tops(ALICE, &[bobs]), denied);
    kit.holds(jobs[3], ALICE);
    assert_eq!(kit.tops(ALICE, &[jobs[3]]), Reply::Refused(Errno::JobHeld.into()));
    kit.starts(jobs[2], &["n1"]);
    assert_eq!(kit.tops(ALICE, &[jobs[2]]), Reply::Refused(Errno::JobNotPending.into()));
    assert_eq!(kit.tops(ROOT, &[JobId(99)]), Reply::Refused(Errno::InvalidJobId.into()));
}
