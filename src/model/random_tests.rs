//! Random histories: whatever is committed, in whatever order, every promise holds.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId, RequestKey, Time};
use proptest::prelude::*;

use crate::kit::{
    ALICE, Kit, NODE_CPUS, NODE_MEMORY_MB, ROOT, config, facts, name, names_job, spec,
};
use crate::{
    Actor, AllocClient, Applied, BatchEnd, Cluster, Command, DownCause, Event, GresTake, Job,
    JobChanges, JobSpec, Limit, Memory, News, NodeChanges, NodeFacts, NodeName, NodeStateChange,
    PartitionName, Placement, PriorityChange, Reason, Reply, RequeueFlags, ShareState, Size, Start,
    StepSpec,
};

const NODES: u32 = 3;

/// One random step: what to do, and numbers that choose on what.
#[derive(Clone, Copy, Debug)]
struct Step {
    kind: u8,
    job: u8,
    node: u8,
    x: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..38, any::<u8>(), any::<u8>(), any::<u8>());
    let step = step.prop_map(|(kind, job, node, x)| Step { kind, job, node, x });
    prop::collection::vec(step, 1..120)
}

impl Step {
    fn node(self) -> NodeName {
        // One more than there are, so that unknown nodes are spoken of too.
        name(&format!("n{}", 1 + u32::from(self.node) % (NODES + 1)))
    }

    fn by(self) -> Actor {
        if self.x.is_multiple_of(2) { ALICE } else { ROOT }
    }

    /// A job that exists, mostly, with its current attempt, mostly.
    fn job(self, cluster: &Cluster) -> (JobId, AttemptId) {
        let jobs: Vec<&Job> = cluster.jobs().collect();
        if jobs.is_empty() || self.job == 255 {
            return (JobId(u32::from(self.job) + 1_000), AttemptId(1));
        }
        let job = jobs[self.job as usize % jobs.len()];
        let stale = self.x == 255;
        let attempt = if stale { AttemptId(job.attempt.0 - 1) } else { job.attempt };
        (job.id, attempt)
    }

    fn submission(self) -> JobSpec {
        let nodes = 1 + u32::from(self.x) % 2;
        let memory = Memory::PerNode(u64::from(self.node) * 20);
        let size =
            Size { nodes_min: nodes, cpus_min: nodes, memory: Some(memory), ..Size::default() };
        let partitions = match self.x % 3 {
            0 => Vec::new(),
            1 => vec![PartitionName::from("short")],
            _ => ["short", "main"].map(PartitionName::from).to_vec(),
        };
        let batch = if self.job.is_multiple_of(5) { None } else { spec().batch };
        let warning = self.x.is_multiple_of(5).then_some(crate::Warning {
            signal: 10,
            before_s: 3_000,
            flags: u16::from(self.node % 2),
        });
        JobSpec {
            size,
            partitions,
            batch,
            warning,
            requeue: Some(!self.job.is_multiple_of(3)),
            kill_on_node_fail: !self.job.is_multiple_of(4),
            priority: self.job.is_multiple_of(7).then_some(0),
            requests: crate::Requests {
                licenses: (self.node > 128).then(|| String::from("a:2|b")),
                ..crate::Requests::default()
            },
            ..spec()
        }
    }

    fn start(self, cluster: &Cluster) -> Start {
        let (job, attempt) = self.job(cluster);
        let known = cluster.job(job);
        let count = known.map_or(1, |job| job.spec.size.nodes_min as usize);
        let mut names: Vec<NodeName> = cluster.nodes().map(|n| n.conf.name.clone()).collect();
        if !names.is_empty() {
            let shift = self.node as usize % names.len();
            names.rotate_left(shift);
        }
        let placement = |node: NodeName| Placement {
            node,
            cpus: 1 + u32::from(self.x) % NODE_CPUS,
            memory_mb: NODE_MEMORY_MB / (1 + u64::from(self.x % 4)),
            tasks: 1,
            whole_node: self.x.is_multiple_of(16),
            gres: self.takes(),
        };
        let placements = names.into_iter().take(count).map(placement).collect();
        let partition =
            known.map_or_else(|| PartitionName::from("main"), |job| job.partition.clone());
        Start { job, attempt, partition, placements, time_limit: None }
    }

    /// Generic resources of a placement: mostly none, sometimes of both types, sometimes too many.
    fn takes(self) -> Vec<GresTake> {
        let take = |kind: &str, count: u64| GresTake {
            name: String::from("gpu"),
            kind: Some(kind.into()),
            count,
        };
        match self.x % 8 {
            0 | 1 => vec![take("a", u64::from(self.x % 3))],
            2 => vec![take("a", 1), take("b", 1)],
            3 => vec![take("a", 1), take("a", 1)],
            4 => vec![take("c", 1)],
            _ => Vec::new(),
        }
    }

    fn command(self, kit: &Kit) -> Command {
        let at = kit.now;
        let (job, attempt) = self.job(&kit.cluster);
        let node = self.node();
        match self.kind {
            0..=3 => {
                let key = self.x.is_multiple_of(4).then_some(RequestKey([self.job; 16]));
                let spec = Box::new(self.submission());
                Command::Submit { at, key, by: self.by(), spec }
            }
            4..=8 => {
                let reasons = vec![(job, Reason::Resources)];
                Command::Schedule { at, starts: vec![self.start(&kit.cluster)], reasons }
            }
            9..=10 => Command::LaunchConfirmed { at, job, attempt, node },
            11 => {
                let errno = [4022, 4008, 4010][self.x as usize % 3];
                Command::LaunchFailed { at, job, attempt, node, errno }
            }
            12..=13 => {
                let end = BatchEnd {
                    job,
                    attempt,
                    node,
                    status: u32::from(self.x),
                    errno: u32::from(self.x % 5 == 4) * 4010,
                    out_of_memory: self.x == 77,
                    node_restarted: self.x % 8 == 3,
                };
                Command::BatchComplete { at, end }
            }
            14..=17 => {
                let rc = u32::from(self.x == 9);
                Command::EpilogComplete { at, job, attempt, node, rc }
            }
            18 => {
                let signal = if self.x < 200 { 9 } else { 10 };
                Command::Kill { at, job, by: self.by(), signal, flags: 0 }
            }
            19 => {
                let hold = self.x.is_multiple_of(3);
                let flags = RequeueFlags { hold, ..RequeueFlags::default() };
                Command::Requeue { at, job, by: self.by(), flags }
            }
            20 => self.node_command(at, node, &kit.cluster),
            21 => Command::NodeDown { at, node, cause: DownCause::Silence },
            22 => self.operator_command(at, node),
            23 => self.update_command(at, job),
            24 => self.configuration(at),
            26..=33 => self.step_command(at, job, attempt),
            37 => {
                let jobs = [job, JobId(u32::from(self.node % 8))].to_vec();
                Command::Top { at, by: self.by(), jobs }
            }
            34 => Command::Suspend { at, job, by: ROOT, resume: false },
            35 => Command::Suspend { at, job, by: ROOT, resume: true },
            36 => {
                let last = kit.cluster.job(job).and_then(|job| job.suspension.as_ref());
                let sequence = last.map_or(1, |last| last.sequence) - u32::from(self.x > 200);
                Command::SuspensionTold { at, job, attempt, node, sequence }
            }
            _ => match self.x % 5 {
                0 => Command::Purge { at },
                1 => Command::TimeLimitReached { at, job, attempt },
                4 => Command::Warn { at, job, attempt },
                2 => Command::SignalDelivered { job, attempt, sequence: u32::from(self.node % 2) },
                _ => Command::NodeNotResponding { at, node },
            },
        }
    }

    /// Something about allocations and steps.
    fn step_command(self, at: Time, job: JobId, attempt: AttemptId) -> Command {
        let step = u32::from(self.node % 4);
        match self.kind {
            26 => {
                let spec = Box::new(JobSpec { batch: None, ..self.submission() });
                let client = Box::new(AllocClient {
                    host: String::from("login"),
                    allocation_port: u16::from(self.x % 2),
                    message_port: u16::from(self.x % 3),
                    release: 0x2d00,
                });
                Command::Allocate { at, key: None, by: self.by(), spec, client }
            }
            27..=29 => {
                let tasks = u32::from(self.x % 5);
                let flags = [0, 8, 64, 4, 16, 8 | 64][usize::from(self.node % 6)];
                let key = self.x.is_multiple_of(9).then_some(RequestKey([self.node; 16]));
                let spec = Box::new(StepSpec {
                    nodes_min: (!self.x.is_multiple_of(3)).then(|| u32::from(self.x % 3)),
                    cpus: tasks * u32::from(self.x % 2 + 1),
                    tasks,
                    memory: (self.x > 128).then(|| Memory::PerNode(u64::from(self.x) * 4)),
                    flags,
                    distribution: u32::from(self.node % 5),
                    time_limit: (self.x > 200).then_some(Limit::Max(1)),
                    ..StepSpec::default()
                });
                Command::CreateStep { at, job, key, spec }
            }
            30 => {
                let (first, last) = (u32::from(self.x % 2), u32::from(self.x % 3));
                let status = u32::from(self.x);
                Command::StepPartEnded { at, job, attempt, step, range: (first, last), status }
            }
            31 => match self.x % 3 {
                0 => Command::SignalStep { at, job, step, signal: 9, flags: 0 },
                1 => Command::StepSignalDelivered { job, attempt, step, sequence: 0 },
                _ => Command::StepTimeLimitReached { at, job, attempt, step },
            },
            32 => {
                let news = if self.x > 100 { News::Allocated } else { News::Over };
                Command::NewsTold { at, job, attempt, news }
            }
            _ => Command::AllocationOver { at, job, by: self.by(), status: u32::from(self.x) },
        }
    }

    fn node_command(self, at: Time, node: NodeName, cluster: &Cluster) -> Command {
        let attempts = cluster.jobs_on(&node).map(|job| (job.id, job.attempt));
        let running = attempts.filter(|_| self.x % 4 != 1).collect();
        let boot = Some(Time::from_secs(1_000 + i64::from(self.x / 64) * 1_000));
        let gres = (!self.x.is_multiple_of(3)).then(|| String::from("gpu:a:3(IDX),gpu:b:1"));
        let facts = NodeFacts { boot, daemon_start: boot, gres, ..facts() };
        Command::NodeRegistered { at, node, facts: Box::new(facts), running }
    }

    fn operator_command(self, at: Time, node: NodeName) -> Command {
        let states = [
            NodeStateChange::Down,
            NodeStateChange::Drain,
            NodeStateChange::Resume,
            NodeStateChange::Resume,
            NodeStateChange::Idle,
            NodeStateChange::Undrain,
            NodeStateChange::Fail,
            NodeStateChange::Future,
        ];
        let state = Some(states[self.x as usize % states.len()]);
        let changes = NodeChanges { state, ..NodeChanges::default() };
        Command::UpdateNode { at, node, by: ROOT, changes: Box::new(changes) }
    }

    fn update_command(self, at: Time, job: JobId) -> Command {
        let priority = match self.x % 5 {
            0 | 1 => Some(PriorityChange::Hold { as_user: self.x > 128 }),
            2 | 3 => Some(PriorityChange::Release),
            _ => Some(PriorityChange::Set(u32::from(self.node))),
        };
        let time_limit = (self.node > 200).then_some(Limit::Max(u32::from(self.x)));
        let changes = JobChanges { priority, time_limit, ..JobChanges::default() };
        Command::Update { at, job, by: self.by(), changes: Box::new(changes) }
    }

    fn configuration(self, at: Time) -> Command {
        let mut config = config(NODES - u32::from(self.x % 4 == 1));
        if self.x % 4 == 2 {
            config.partitions.pop();
        }
        if self.x % 4 == 3 {
            config.nodes[0].cpus = 1 + u32::from(self.node % 4);
        }
        let gres =
            (!self.node.is_multiple_of(4)).then(|| format!("gpu:a:{},gpu:b:1", self.node % 4));
        config.nodes.iter_mut().for_each(|node| node.gres = gres.clone());
        config.settings.licenses = vec![("a".into(), u32::from(self.node % 5)), ("b".into(), 1)];
        config.settings.return_to_service = match self.node % 3 {
            0 => crate::ReturnToService::ByHand,
            1 => crate::ReturnToService::AfterSilence,
            _ => crate::ReturnToService::Always,
        };
        Command::Configure { at, config: Box::new(config) }
    }
}

/// What an outsider remembers of a history, to judge it.
#[derive(Default)]
struct Witness {
    confirmed: BTreeSet<(JobId, AttemptId, NodeName)>,
    attempts: BTreeMap<JobId, AttemptId>,
}

impl Witness {
    /// Judges one step, given the state on both sides.
    fn judge(&mut self, before: &Cluster, command: &Command, applied: &Applied, after: &Cluster) {
        if matches!(applied.reply, Reply::Refused(_) | Reply::Stale) {
            assert!(before == after, "{:?} changed something: {command:?}", applied.reply);
            assert_eq!(applied.events, [], "an event of nothing");
        }
        self.learn(command, before, after);
        for job in after.jobs() {
            self.judge_attempt(before.job(job.id), job);
            judge_terminal(before.job(job.id), job, command);
        }
        judge_events(before, after, &applied.events);
        judge_licenses(before, after, command);
        judge_devices(after);
    }

    fn learn(&mut self, command: &Command, before: &Cluster, after: &Cluster) {
        if let Command::EpilogComplete { job, attempt, node, .. } = command {
            self.confirmed.insert((*job, *attempt, node.clone()));
        }
        // An operator's word for a node that does not answer.
        for cluster in [before, after] {
            for node in cluster.nodes().filter(|node| node.is_answered_for()) {
                for job in before.jobs_on(&node.conf.name).chain(after.jobs_on(&node.conf.name)) {
                    self.confirmed.insert((job.id, job.attempt, node.conf.name.clone()));
                }
            }
        }
    }

    /// A new attempt exists, and a share is free, only when the nodes have confirmed.
    fn judge_attempt(&mut self, before: Option<&Job>, after: &Job) {
        let last = self.attempts.insert(after.id, after.attempt);
        assert!(last.is_none_or(|last| last <= after.attempt), "attempts grow");
        let Some(before) = before else { return };
        let Some(allocation) = &before.allocation else { return };
        for share in &allocation.shares {
            let there = after.allocation.as_ref().and_then(|all| all.share(&share.node));
            let gone = there.is_none_or(|share| share.state == ShareState::Freed);
            if gone || before.attempt != after.attempt {
                let key = (before.id, before.attempt, share.node.clone());
                assert!(self.confirmed.contains(&key), "{key:?} was freed without confirmation");
            }
        }
    }
}

/// Only a configuration makes more of a licence used than there is.
/// No device is held twice, and never more of them than are counted.
fn judge_devices(cluster: &Cluster) {
    let mut held = BTreeSet::new();
    let shares = cluster.jobs().filter_map(|job| job.allocation.as_ref());
    for share in shares.flat_map(|all| &all.shares).filter(|share| share.is_open()) {
        for gres in &share.gres {
            assert!(gres.devices.len() as u64 <= gres.count, "{gres:?}");
            for device in &gres.devices {
                let place = (&share.node, &gres.name, &gres.kind, *device);
                assert!(held.insert(place), "{place:?} is held twice");
            }
        }
    }
}

fn judge_licenses(before: &Cluster, after: &Cluster, command: &Command) {
    if matches!(command, Command::Configure { .. }) {
        return;
    }
    for (was, is) in before.licenses().zip(after.licenses()) {
        assert!(is.used <= is.total.max(was.used), "{is:?} after {was:?}");
    }
}

/// An ended job stays ended as it did, unless somebody asks for another run.
fn judge_terminal(before: Option<&Job>, after: &Job, command: &Command) {
    let Some(before) = before.filter(|before| before.base.is_terminal()) else { return };
    if matches!(command, Command::Requeue { .. }) {
        return;
    }
    assert_eq!((before.base, before.end), (after.base, after.end), "an end was changed");
}

/// Whatever looks different is named by an event.
fn judge_events(before: &Cluster, after: &Cluster, events: &[Event]) {
    let ids: BTreeSet<JobId> = before.jobs().chain(after.jobs()).map(|job| job.id).collect();
    for id in ids {
        if before.job(id) != after.job(id) {
            assert!(events.iter().any(|event| names_job(event, id)), "job {id} changed silently");
        }
    }
    let names: BTreeSet<NodeName> =
        before.nodes().chain(after.nodes()).map(|node| node.conf.name.clone()).collect();
    for name in names {
        let look = |cluster: &Cluster| {
            let node = cluster.node(&name).cloned();
            (node.map(|node| (cluster.node_state_number(&node), node)), cluster.node_use(&name))
        };
        if look(before) != look(after) {
            let named = |event: &Event| match event {
                Event::NodeChanged(node) | Event::NodeRemoved(node) => *node == name,
                Event::Configured => true,
                _ => false,
            };
            assert!(events.iter().any(named), "node {name} changed silently");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_promise_holds_in_every_history(steps in steps()) {
        let mut kit = Kit::new(NODES);
        let mut witness = Witness::default();
        for step in steps {
            let before = kit.cluster.clone();
            let command = step.command(&kit);
            let applied = kit.apply(&command);
            witness.judge(&before, &command, &applied, &kit.cluster);
            kit.passes(u64::from(step.x));
        }
    }

    #[test]
    fn replicas_agree_across_a_restart(steps in steps(), restart in 0usize..120) {
        let mut kit = Kit::new(NODES);
        let mut other = kit.cluster.clone();
        for (at, step) in steps.into_iter().enumerate() {
            let bytes = step.command(&kit).encode();
            let command = Command::decode(&bytes).expect("what was encoded decodes");
            prop_assert_eq!(&command.encode(), &bytes);
            if at == restart {
                other = Cluster::restore(&other.snapshot()).expect("a snapshot restores");
            }
            prop_assert_eq!(kit.apply(&command), other.apply(&command));
            kit.passes(u64::from(step.x));
        }
        prop_assert!(kit.cluster == other);
        prop_assert_eq!(kit.cluster.snapshot(), other.snapshot());
    }

    #[test]
    fn a_cluster_left_alone_by_faults_ends_every_job(steps in steps()) {
        let mut kit = Kit::new(NODES);
        for step in steps {
            let command = step.command(&kit);
            kit.apply(&command);
            kit.passes(u64::from(step.x));
        }
        drain(&mut kit);
        for job in kit.cluster.jobs() {
            prop_assert!(job.is_finished() || job.is_startable(), "{:?}", job);
        }
        prop_assert_eq!(kit.cluster.outstanding().count(), 0);
        prop_assert!(kit.cluster.nodes().all(|node| kit.cluster.node_use(&node.conf.name).jobs == 0));
    }

    #[test]
    fn damaged_bytes_are_an_error_and_never_a_panic(
        steps in steps(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let kit = Kit::new(NODES);
        let mut bytes = steps[0].command(&kit).encode();
        prop_assert!(Command::decode(&bytes[..at.index(bytes.len())]).is_err());
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(command) = Command::decode(&bytes) {
            let mut kit = kit;
            kit.apply(&command);
        }
    }
}

/// Nodes obey every order until there is none, and running jobs end.
fn drain(kit: &mut Kit) {
    for _round in 0..4 {
        let orders: Vec<crate::Order> = kit.cluster.outstanding().collect();
        let at = kit.now;
        for order in orders {
            let command = match order {
                crate::Order::Launch { job, attempt, node } => {
                    Command::LaunchConfirmed { at, job, attempt, node }
                }
                crate::Order::Terminate { job, attempt, node, .. }
                | crate::Order::EndOrphan { job, attempt, node } => {
                    Command::EpilogComplete { at, job, attempt, node, rc: 0 }
                }
                crate::Order::Signal { job, attempt, sequence, .. } => {
                    Command::SignalDelivered { job, attempt, sequence }
                }
                crate::Order::Tell { job, attempt, news } => {
                    Command::NewsTold { at, job, attempt, news }
                }
                crate::Order::SignalStep { job, attempt, step, sequence, .. } => {
                    Command::StepSignalDelivered { job, attempt, step, sequence }
                }
                crate::Order::Suspend { job, attempt, node, sequence, .. } => {
                    Command::SuspensionTold { at, job, attempt, node, sequence }
                }
            };
            kit.apply(&command);
        }
        use crate::JobBase::{Running, Suspended};
        let runs = |job: &&Job| matches!(job.base, Running | Suspended);
        let running: Vec<JobId> = kit.cluster.holding().filter(runs).map(|job| job.id).collect();
        for job in running {
            assert_eq!(kit.cancels(job, ROOT), Reply::Done);
        }
    }
}
