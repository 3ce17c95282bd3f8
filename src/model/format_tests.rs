//! Stored bytes: what a release wrote, every later one reads.
//!
//! `golden/v1.txt` and its successors hold a name and the bytes, in hexadecimal, of a command of
//! every kind and of a snapshot. When a stored type changes, `FORMAT_VERSION` grows, a new file is
//! added, and the old ones must still be read.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId, RequestKey, Time, hex};

use crate::kit::{ALICE, Kit, ROOT, config, facts, name, spec};
use crate::{
    AllocClient, ArrayRequest, BatchEnd, Cluster, CodecError, Command, DownCause, FORMAT_VERSION,
    JobChanges, JobSpec, Limit, News, NodeChanges, NodeStateChange, PartitionName, Placement,
    PriorityChange, Reason, Reply, RequeueFlags, Start, StepSpec, TaskAct, TaskSet,
};

/// What each version wrote, oldest first; the last one is written today.
const GOLDEN: [&str; 11] = [
    include_str!("golden/v1.txt"),
    include_str!("golden/v2.txt"),
    include_str!("golden/v3.txt"),
    include_str!("golden/v4.txt"),
    include_str!("golden/v5.txt"),
    include_str!("golden/v6.txt"),
    include_str!("golden/v7.txt"),
    include_str!("golden/v8.txt"),
    include_str!("golden/v9.txt"),
    include_str!("golden/v10.txt"),
    include_str!("golden/v11.txt"),
];

fn golden(version: usize) -> BTreeMap<&'static str, Vec<u8>> {
    let entry = |line: &'static str| {
        let (name, bytes) = line.split_once(' ').expect("a name and bytes");
        (name, hex::decode(bytes).expect("hexadecimal"))
    };
    GOLDEN[version - 1].lines().map(entry).collect()
}

/// One command of every kind.
fn commands() -> Vec<(&'static str, Command)> {
    let (at, job, attempt, node) = (Time(1_234_567), JobId(7), AttemptId(300), name("n1"));
    let mut all = people(at, job);
    all.extend(nodes(at, job, attempt));
    let part = Placement {
        node: node.clone(),
        cpus: 2,
        memory_mb: 99,
        tasks: 1,
        whole_node: true,
        gres: Vec::new(),
    };
    let partition = PartitionName::from("main");
    let start = Start { job, attempt, partition, placements: vec![part], time_limit: None };
    let reasons = vec![(JobId(8), Reason::Resources)];
    all.push(("schedule", Command::Schedule { at, starts: vec![start], reasons }));
    let confirmed = Command::LaunchConfirmed { at, job, attempt, node: node.clone() };
    all.push(("launch_confirmed", confirmed));
    let failed = Command::LaunchFailed { at, job, attempt, node: node.clone(), errno: 4022 };
    all.push(("launch_failed", failed));
    let end = BatchEnd {
        job,
        attempt,
        node: node.clone(),
        status: 256,
        errno: 0,
        out_of_memory: false,
        node_restarted: true,
    };
    all.push(("batch_complete", Command::BatchComplete { at, end }));
    all.push(("epilog_complete", Command::EpilogComplete { at, job, attempt, node, rc: 1 }));
    all.push(("signal_delivered", Command::SignalDelivered { job, attempt, sequence: 3 }));
    all.push(("time_limit_reached", Command::TimeLimitReached { at, job, attempt }));
    all.push(("warn", Command::Warn { at, job, attempt }));
    all.push(("purge", Command::Purge { at }));
    all.extend(arrays(at));
    all.extend(steps(at, job, attempt));
    all.extend(suspensions(at, job, attempt));
    all
}

fn suspensions(at: Time, job: JobId, attempt: AttemptId) -> Vec<(&'static str, Command)> {
    let (node, sequence, by) = (name("n1"), 3, ROOT);
    let act = TaskAct::Suspend { resume: true };
    let reservation = Box::new(crate::Reservation {
        name: "maint".into(),
        start: at,
        end: Time(at.0 + 1),
        flags: crate::reservation_flags::MAINT,
        nodes: vec![node.clone()],
        users: vec!["root".into()],
        ..crate::Reservation::default()
    });
    vec![
        ("put_reservation", Command::PutReservation { at, by, create: true, reservation }),
        ("delete_reservation", Command::DeleteReservation { at, by, name: "maint".into() }),
        ("reservation_over", Command::ReservationOver { at, name: "maint".into() }),
        ("top", Command::Top { at, by, jobs: vec![job, JobId(8)] }),
        ("suspend", Command::Suspend { at, job, by, resume: false }),
        ("suspension_told", Command::SuspensionTold { at, job, attempt, node, sequence }),
        ("suspend_tasks", Command::OfTasks { at, by, array: job, tasks: None, act }),
    ]
}

fn arrays(at: Time) -> Vec<(&'static str, Command)> {
    let tasks = TaskSet::parse("1-7:2,20", 1001).expect("a good list");
    let array = Some(ArrayRequest { tasks: tasks.clone(), running_max: Some(2), step: 2 });
    let spec = Box::new(JobSpec { array, ..spec() });
    let act = TaskAct::Kill { signal: 9, flags: 0 };
    let (by, array) = (ALICE, JobId(7));
    vec![
        ("submit_array", Command::Submit { at, key: None, by, spec }),
        ("of_tasks", Command::OfTasks { at, by, array, tasks: Some(tasks), act }),
    ]
}

fn steps(at: Time, job: JobId, attempt: AttemptId) -> Vec<(&'static str, Command)> {
    let (key, step) = (Some(RequestKey([9; 16])), 2);
    let client = Box::new(client());
    let told = Command::NewsTold { at, job, attempt, news: News::Over };
    let range = (0, 1);
    vec![
        ("allocate", Command::Allocate { at, key, by: ALICE, spec: Box::new(spec()), client }),
        ("allocation_over", Command::AllocationOver { at, job, by: ALICE, status: 256 }),
        ("news_told", told),
        ("create_step", Command::CreateStep { at, job, key, spec: Box::new(step_spec()) }),
        ("step_part_ended", Command::StepPartEnded { at, job, attempt, step, range, status: 9 }),
        ("signal_step", Command::SignalStep { at, job, step, signal: 10, flags: 1 }),
        ("step_signal_delivered", Command::StepSignalDelivered { job, attempt, step, sequence: 3 }),
        ("step_time_limit_reached", Command::StepTimeLimitReached { at, job, attempt, step }),
    ]
}

fn client() -> AllocClient {
    AllocClient {
        host: String::from("login"),
        allocation_port: 40_001,
        message_port: 40_002,
        release: 0x2a00,
    }
}

fn step_spec() -> StepSpec {
    StepSpec {
        nodes_min: Some(1),
        cpus: 2,
        tasks: 2,
        memory: Some(crate::Memory::PerCpu(100)),
        flags: 8,
        distribution: 2,
        time_limit: Some(Limit::Max(5)),
        name: String::from("hostname"),
        host: Some(String::from("login")),
        port: 40_003,
        client_release: 0x2a00,
        ..StepSpec::default()
    }
}

fn people(at: Time, job: JobId) -> Vec<(&'static str, Command)> {
    let key = Some(RequestKey([9; 16]));
    let changes = JobChanges {
        priority: Some(PriorityChange::Hold { as_user: true }),
        time_limit: Some(Limit::Unlimited),
        comment: Some(String::from("why")),
        ..JobChanges::default()
    };
    let flags = RequeueFlags { hold: true, ..RequeueFlags::default() };
    let partition = Box::new(config(2).partitions[1].clone());
    let name = PartitionName::from("short");
    vec![
        ("configure", Command::Configure { at, config: Box::new(config(2)) }),
        ("configure_accounts", Command::Configure { at, config: Box::new(accounts()) }),
        ("submit", Command::Submit { at, key, by: ALICE, spec: Box::new(spec()) }),
        ("update", Command::Update { at, job, by: ROOT, changes: Box::new(changes) }),
        ("requeue", Command::Requeue { at, job, by: ALICE, flags }),
        ("kill", Command::Kill { at, job, by: ALICE, signal: 9, flags: 1 }),
        ("update_partition", Command::UpdatePartition { at, by: ROOT, create: true, partition }),
        ("delete_partition", Command::DeletePartition { at, by: ROOT, partition: name }),
    ]
}

/// A configuration that weighs jobs and knows accounts.
fn accounts() -> crate::Config {
    let text = "QOS - high:Priority=5:Preempt=normal:GraceTime=9:MaxTRESPerUser=cpu=4,mem=2G\n\
                Parent - root\nAccount - a:Fairshare=3:GrpTRES=cpu=10:MaxWall=60\n\
                Parent - a\nUser - alice:Fairshare=parent:QOS=high:DefaultQOS=high";
    let load = |_: &str| Ok(text.to_owned());
    let parsed = flurm_conf::associations::parse(&load, "f").expect("it is good");
    let mut config = config(1);
    config.settings.priority = Some(crate::Multifactor {
        age: 1,
        tres: vec![("cpu".into(), 1_500)],
        age_max: flurm_base::Span::secs(60),
        ..crate::Multifactor::default()
    });
    config.settings.accounting = crate::Accounting {
        enforce: crate::enforce::LIMITS,
        associations: parsed.associations,
        uids: BTreeMap::from([("alice".into(), 1000)]),
    };
    config
}

fn nodes(at: Time, job: JobId, attempt: AttemptId) -> Vec<(&'static str, Command)> {
    let node = name("n1");
    let changes = NodeChanges {
        state: Some(NodeStateChange::Drain),
        reason: Some(String::from("disk")),
        ..NodeChanges::default()
    };
    let registered = Command::NodeRegistered {
        at,
        node: node.clone(),
        facts: Box::new(facts()),
        running: vec![(job, attempt)],
    };
    let responding = Command::NodeResponding {
        at,
        node: node.clone(),
        cpu_load: Some(150),
        free_memory_mb: None,
    };
    let update =
        Command::UpdateNode { at, node: node.clone(), by: ROOT, changes: Box::new(changes) };
    vec![
        ("node_registered", registered),
        ("node_responding", responding),
        ("node_not_responding", Command::NodeNotResponding { at, node: node.clone() }),
        ("node_down", Command::NodeDown { at, node, cause: DownCause::Silence }),
        ("update_node", update),
    ]
}

/// A cluster with a job in each stage of its life.
fn cluster() -> Cluster {
    let mut kit = kit_before_suspensions();
    let stopped = kit.runs("n1");
    kit.passes(60);
    assert_eq!(kit.suspends(stopped), Reply::Done);
    kit.cluster
}

/// The same without anything that formats before 6 did not know.
fn cluster_before_suspensions() -> Cluster {
    kit_before_suspensions().cluster
}

fn kit_before_suspensions() -> Kit {
    let mut kit = kit_before_steps();
    let (at, key) = (kit.now, None);
    let spec = Box::new(JobSpec { batch: None, ..spec() });
    let client = Box::new(client());
    let reply = kit.apply(&Command::Allocate { at, key, by: ALICE, spec, client }).reply;
    let Reply::Submitted { job, .. } = reply else { panic!("{reply:?}") };
    kit.starts(job, &["n1"]);
    let spec = Box::new(StepSpec { memory: None, ..step_spec() });
    let reply = kit.apply(&Command::CreateStep { at, job, key, spec: spec.clone() }).reply;
    assert_eq!(reply, Reply::Refused(crate::Errno::TooManyRequestedCpus.into()));
    let spec = Box::new(StepSpec { cpus: 1, tasks: 1, ..*spec });
    let reply = kit.apply(&Command::CreateStep { at, job, key, spec }).reply;
    assert_eq!(reply, Reply::StepCreated { job, step: 0 });
    kit.apply(&Command::SignalStep { at, job, step: 0, signal: 10, flags: 0 });
    kit
}

/// The same without anything that formats before 4 did not know.
fn cluster_before_steps() -> Cluster {
    kit_before_steps().cluster
}

fn kit_before_steps() -> Kit {
    let mut kit = Kit::new(2);
    let ended = kit.runs("n1");
    kit.ends(ended, "n1", 256);
    kit.epilog(ended, "n1");
    let ending = kit.runs("n1");
    kit.cancels(ending, ALICE);
    kit.runs("n2");
    let launching = kit.submits();
    kit.starts(launching, &["n2"]);
    let held = kit.submits();
    kit.holds(held, ROOT);
    kit.submit_with(Some(RequestKey([1; 16])), ALICE, spec()).expect("accepted");
    kit.operator("n2", NodeStateChange::Drain);
    kit
}

#[test]
fn every_kind_of_command_keeps_its_bytes() {
    let golden = golden(GOLDEN.len());
    let mut differing = String::new();
    for (name, command) in commands() {
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes), Ok(command));
        if golden.get(name) != Some(&bytes) {
            differing.push_str(&format!("\n{name} {}", hex::encode(&bytes)));
        }
    }
    assert!(differing.is_empty(), "the bytes of commands differ:{differing}");
    assert_eq!(golden.len(), commands().len() + 1, "and one snapshot");
}

#[test]
fn a_snapshot_keeps_its_bytes() {
    let bytes = cluster().snapshot();
    let stored = golden(GOLDEN.len()).remove("snapshot").unwrap_or_default();
    assert!(bytes == stored, "the bytes of a snapshot differ:\nsnapshot {}", hex::encode(&bytes));
    let restored = Cluster::restore(&stored).expect("it is readable");
    assert!(restored == cluster());
    assert_eq!(restored.check(), Ok(()));
    assert_eq!(restored.outstanding().count(), 4);
}

#[test]
fn what_older_versions_wrote_is_read() {
    let today: BTreeMap<&str, Command> = commands().into_iter().collect();
    for version in 1..GOLDEN.len() {
        for (name, bytes) in golden(version) {
            if name == "snapshot" {
                let restored = Cluster::restore(&bytes).expect("it is readable");
                let expected = match version {
                    ..4 => cluster_before_steps(),
                    4..6 => cluster_before_suspensions(),
                    6.. => cluster(),
                };
                assert!(restored == expected, "the snapshot of version {version}");
                continue;
            }
            let read = Command::decode(&bytes);
            assert_eq!(read.as_ref(), Ok(&today[name]), "{name} of version {version}");
        }
    }
}

#[test]
fn an_unknown_kind_of_command_is_an_error_and_not_skipped() {
    let mut bytes = Command::Purge { at: Time(0) }.encode();
    bytes[2] = 200;
    let error = Command::decode(&bytes).expect_err("there is no such command");
    assert!(matches!(error, CodecError::Content(_)), "{error}");
}

#[test]
fn a_newer_format_and_foreign_bytes_are_told_apart() {
    let bytes = Command::Purge { at: Time(0) }.encode();
    let mut newer = bytes.clone();
    newer[1] = FORMAT_VERSION + 1;
    let found = FORMAT_VERSION + 1;
    assert_eq!(Command::decode(&newer), Err(CodecError::Version { found }));
    assert_eq!(Cluster::restore(&bytes), Err(CodecError::Kind { found: Some(0xC1) }));
    assert_eq!(Command::decode(&[]), Err(CodecError::Kind { found: None }));
    let long = [bytes, vec![0]].concat();
    assert!(matches!(Command::decode(&long), Err(CodecError::Content(_))));
}
