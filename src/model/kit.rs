//! What the tests share: a small cluster that is checked after every command.

use std::sync::Arc;

use flurm_base::{AttemptId, JobId, RequestKey, Span, Time};

use crate::{
    Actor, Applied, Batch, BatchEnd, Cluster, Command, Config, Event, Job, JobChanges, JobSpec,
    Limit, Memory, NodeChanges, NodeConf, NodeFacts, NodeName, NodeStateChange, PartitionConf,
    PartitionName, Placement, PriorityChange, Refusal, Reply, RequeueFlags, Settings, Size, Start,
};

pub(crate) const ROOT: Actor = Actor { uid: 0, privileged: true };
pub(crate) const ALICE: Actor = Actor { uid: 1000, privileged: false };
pub(crate) const NODE_CPUS: u32 = 4;
pub(crate) const NODE_MEMORY_MB: u64 = 4_000;

/// A cluster and the time.
#[derive(Clone)]
pub(crate) struct Kit {
    pub(crate) cluster: Cluster,
    pub(crate) now: Time,
}

/// `n1` to `n<count>`, with partition `main` (default, at most two hours) over all of them and
/// `short` (at most ten minutes, two nodes) over the first two.
pub(crate) fn config(count: u32) -> Config {
    let node = |number: u32| NodeConf {
        name: NodeName::from(format!("n{number}")),
        cpus: NODE_CPUS,
        cores_per_socket: 4,
        real_memory_mb: NODE_MEMORY_MB,
        ..NodeConf::default()
    };
    let nodes: Vec<NodeConf> = (1..=count).map(node).collect();
    let names: Vec<NodeName> = nodes.iter().map(|node| node.name.clone()).collect();
    let main = PartitionConf {
        name: PartitionName::from("main"),
        nodes: names.clone(),
        is_default: true,
        time_max: Limit::Max(120),
        time_default: Some(Limit::Max(60)),
        ..PartitionConf::default()
    };
    let short = PartitionConf {
        name: PartitionName::from("short"),
        nodes: names.into_iter().take(2).collect(),
        time_max: Limit::Max(10),
        nodes_max: Limit::Max(2),
        ..PartitionConf::default()
    };
    let settings = Settings { slurm_uid: 64030, ..Settings::default() };
    Config { settings, nodes, partitions: vec![main, short] }
}

/// A batch job of one CPU.
pub(crate) fn spec() -> JobSpec {
    let batch = Batch { script: String::from("#!/bin/sh\ntrue\n"), ..Batch::default() };
    JobSpec {
        name: String::from("test"),
        uid: ALICE.uid,
        gid: 1000,
        batch: Some(Arc::new(batch)),
        size: Size { memory: Some(Memory::PerNode(1_000)), ..Size::default() },
        ..JobSpec::default()
    }
}

pub(crate) fn facts() -> NodeFacts {
    NodeFacts {
        cpus: NODE_CPUS,
        boards: 1,
        sockets: 1,
        cores_per_socket: 4,
        threads_per_core: 1,
        real_memory_mb: NODE_MEMORY_MB,
        boot: Some(Time::from_secs(1_000)),
        daemon_start: Some(Time::from_secs(2_000)),
        ..NodeFacts::default()
    }
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::from(text)
}

impl Kit {
    /// Configured, all nodes registered.
    pub(crate) fn new(nodes: u32) -> Self {
        let mut kit = Self { cluster: Cluster::default(), now: Time::from_secs(1_000_000) };
        kit.configure(config(nodes));
        for number in 1..=nodes {
            kit.registers(&format!("n{number}"), &[]);
        }
        kit
    }

    /// Applies a command and checks everything that must be true.
    pub(crate) fn apply(&mut self, command: &Command) -> Applied {
        let applied = self.cluster.apply(command);
        let verdict = self.cluster.check();
        assert_eq!(verdict, Ok(()), "after {command:?}");
        applied
    }

    pub(crate) fn passes(&mut self, seconds: u64) {
        self.now = self.now + Span::secs(seconds);
    }

    pub(crate) fn configure(&mut self, config: Config) -> Reply {
        let at = self.now;
        self.apply(&Command::Configure { at, config: Box::new(config) }).reply
    }

    pub(crate) fn try_submit(&mut self, spec: JobSpec) -> Result<JobId, Refusal> {
        self.submit_with(None, ALICE, spec)
    }

    pub(crate) fn submit_with(
        &mut self,
        key: Option<RequestKey>,
        by: Actor,
        spec: JobSpec,
    ) -> Result<JobId, Refusal> {
        let at = self.now;
        match self.apply(&Command::Submit { at, key, by, spec: Box::new(spec) }).reply {
            Reply::Submitted { job, .. } => Ok(job),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("a submission was answered with {other:?}"),
        }
    }

    pub(crate) fn submits(&mut self) -> JobId {
        self.try_submit(spec()).expect("a plain job is accepted")
    }

    pub(crate) fn job(&self, id: JobId) -> &Job {
        self.cluster.job(id).expect("the job exists")
    }

    pub(crate) fn attempt(&self, id: JobId) -> AttemptId {
        self.job(id).attempt
    }

    pub(crate) fn start_of(&self, id: JobId, nodes: &[&str]) -> Start {
        let placement = |node: &&str| Placement {
            node: name(node),
            cpus: 1,
            memory_mb: 1_000,
            tasks: 1,
            whole_node: false,
            gres: Vec::new(),
        };
        let placements = nodes.iter().map(placement).collect();
        let partition = self.job(id).partition.clone();
        let attempt = self.attempt(id);
        Start { job: id, attempt, partition, placements, time_limit: None }
    }

    pub(crate) fn schedule(&mut self, starts: Vec<Start>) -> Reply {
        let at = self.now;
        self.apply(&Command::Schedule { at, starts, reasons: Vec::new() }).reply
    }

    pub(crate) fn starts(&mut self, id: JobId, nodes: &[&str]) {
        let start = self.start_of(id, nodes);
        let reply = self.schedule(vec![start]);
        let Reply::Scheduled { started, refused } = reply else { panic!("{reply:?}") };
        assert_eq!((started.len(), refused), (1, Vec::new()));
    }

    pub(crate) fn launches(&mut self, id: JobId, node: &str) -> Reply {
        let (at, attempt, node) = (self.now, self.attempt(id), name(node));
        self.apply(&Command::LaunchConfirmed { at, job: id, attempt, node }).reply
    }

    pub(crate) fn runs(&mut self, node: &str) -> JobId {
        let id = self.submits();
        self.starts(id, &[node]);
        assert_eq!(self.launches(id, node), Reply::Done);
        id
    }

    pub(crate) fn ends(&mut self, id: JobId, node: &str, status: u32) -> Reply {
        let end = self.end_of(id, node, status);
        self.apply(&Command::BatchComplete { at: self.now, end }).reply
    }

    pub(crate) fn end_of(&self, id: JobId, node: &str, status: u32) -> BatchEnd {
        BatchEnd {
            job: id,
            attempt: self.attempt(id),
            node: name(node),
            status,
            errno: 0,
            out_of_memory: false,
            node_restarted: false,
        }
    }

    pub(crate) fn epilog(&mut self, id: JobId, node: &str) -> Applied {
        let attempt = self.attempt(id);
        self.epilog_of(id, attempt, node)
    }

    pub(crate) fn epilog_of(&mut self, job: JobId, attempt: AttemptId, node: &str) -> Applied {
        let (at, node) = (self.now, name(node));
        self.apply(&Command::EpilogComplete { at, job, attempt, node, rc: 0 })
    }

    pub(crate) fn cancels(&mut self, job: JobId, by: Actor) -> Reply {
        let at = self.now;
        self.apply(&Command::Kill { at, job, by, signal: 9, flags: 0 }).reply
    }

    pub(crate) fn suspends(&mut self, job: JobId) -> Reply {
        let at = self.now;
        self.apply(&Command::Suspend { at, job, by: ROOT, resume: false }).reply
    }

    pub(crate) fn resumes(&mut self, job: JobId) -> Reply {
        let at = self.now;
        self.apply(&Command::Suspend { at, job, by: ROOT, resume: true }).reply
    }

    pub(crate) fn tops(&mut self, by: Actor, jobs: &[JobId]) -> Reply {
        let (at, jobs) = (self.now, jobs.to_vec());
        self.apply(&Command::Top { at, by, jobs }).reply
    }

    pub(crate) fn requeues(&mut self, job: JobId) -> Reply {
        let (at, flags) = (self.now, RequeueFlags::default());
        self.apply(&Command::Requeue { at, job, by: ALICE, flags }).reply
    }

    pub(crate) fn updates(&mut self, job: JobId, by: Actor, changes: JobChanges) -> Reply {
        let (at, changes) = (self.now, Box::new(changes));
        self.apply(&Command::Update { at, job, by, changes }).reply
    }

    pub(crate) fn holds(&mut self, job: JobId, by: Actor) -> Reply {
        let priority = Some(PriorityChange::Hold { as_user: false });
        self.updates(job, by, JobChanges { priority, ..JobChanges::default() })
    }

    pub(crate) fn releases(&mut self, job: JobId, by: Actor) -> Reply {
        let priority = Some(PriorityChange::Release);
        self.updates(job, by, JobChanges { priority, ..JobChanges::default() })
    }

    pub(crate) fn registers(&mut self, node: &str, running: &[(JobId, AttemptId)]) -> Reply {
        self.registers_with(node, facts(), running)
    }

    pub(crate) fn registers_with(
        &mut self,
        node: &str,
        facts: NodeFacts,
        running: &[(JobId, AttemptId)],
    ) -> Reply {
        let (at, node, facts) = (self.now, name(node), Box::new(facts));
        self.apply(&Command::NodeRegistered { at, node, facts, running: running.to_vec() }).reply
    }

    pub(crate) fn falls_silent(&mut self, node: &str) {
        let (at, node) = (self.now, name(node));
        let cause = crate::DownCause::Silence;
        assert_eq!(self.apply(&Command::NodeDown { at, node, cause }).reply, Reply::Done);
    }

    pub(crate) fn operator(&mut self, node: &str, state: NodeStateChange) -> Reply {
        let (at, node) = (self.now, name(node));
        let reason = Some(String::from("by hand"));
        let changes = NodeChanges { state: Some(state), reason, ..NodeChanges::default() };
        self.apply(&Command::UpdateNode { at, node, by: ROOT, changes: Box::new(changes) }).reply
    }

    /// The state as `squeue` says it.
    pub(crate) fn state(&self, id: JobId) -> String {
        let job = self.job(id);
        let completing = job.flags.has(crate::JobFlags::COMPLETING);
        let flag = if completing { "+COMPLETING" } else { "" };
        format!("{:?}{flag}", job.base)
    }

    /// What nodes are to be told, one word each.
    pub(crate) fn orders(&self) -> Vec<String> {
        let text = |order: crate::Order| match order {
            crate::Order::Launch { job, node, .. } => format!("launch {job} {node}"),
            crate::Order::Terminate { job, node, cause, .. } => {
                format!("terminate {job} {node} {cause:?}")
            }
            crate::Order::EndOrphan { job, node, .. } => format!("end orphan {job} {node}"),
            crate::Order::Signal { job, signal, .. } => format!("signal {job} {signal}"),
            crate::Order::Tell { job, news, .. } => format!("tell {job} {news:?}"),
            crate::Order::SignalStep { job, step, signal, .. } => {
                format!("signal {job}.{step} {signal}")
            }
            crate::Order::Suspend { job, node, resume: false, .. } => format!("stop {job} {node}"),
            crate::Order::Suspend { job, node, .. } => format!("go on {job} {node}"),
        };
        self.cluster.outstanding().map(text).collect()
    }
}

/// Whether an event is about a job.
pub(crate) fn names_job(event: &Event, job: JobId) -> bool {
    match event {
        Event::JobSubmitted(id) | Event::JobChanged(id) | Event::JobPurged(id) => *id == job,
        Event::JobStarted(id, _) | Event::JobEnding(id, _) => *id == job,
        Event::JobEnded(id, _) | Event::JobRequeued(id, _) => *id == job,
        Event::Configured | Event::NodeChanged(_) | Event::NodeRemoved(_) => false,
        Event::StepEnded(id, _) | Event::StepChanged(id, _) => *id == job,
        Event::JobSuspended(id, _) | Event::JobResumed(id, _) => *id == job,
        Event::PartitionChanged(_) | Event::PartitionRemoved(_) => false,
    }
}
