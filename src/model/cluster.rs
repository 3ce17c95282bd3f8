//! The cluster's state, and what can be asked of it.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId, RequestKey, Time};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, KIND_COMMAND, KIND_SNAPSHOT};
use crate::index::Index;
use crate::{
    Command, EndCause, Job, JobBase, JobSteps, Launch, Node, NodeBase, NodeFlags, NodeName,
    NodeUse, Order, Partition, PartitionName, Settings, ShareState, Tenants,
};

/// When each table last changed: lets a client that has seen it be told "no change".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// Jobs.
    pub jobs: Time,
    /// Nodes.
    pub nodes: Time,
    /// Partitions.
    pub partitions: Time,
    /// Configuration.
    pub config: Time,
}

/// What became of an earlier request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) job: JobId,
    pub(crate) attempt: AttemptId,
    pub(crate) at: Time,
}

/// The whole replicated state. Changed by `apply` only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) cluster_id: u16,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) nodes: BTreeMap<NodeName, Node>,
    pub(crate) partitions: BTreeMap<PartitionName, Partition>,
    pub(crate) requests: BTreeMap<RequestKey, Accepted>,
    pub(crate) job_id_next: u32,
    pub(crate) attempt_last: u64,
    pub(crate) priority_next: u32,
    pub(crate) updated: Updated,
    pub(crate) starts_refused: u64,
    #[serde(deserialize_with = "crate::codec::since::<4, _, _>")]
    pub(crate) steps: BTreeMap<JobId, JobSteps>,
    #[serde(deserialize_with = "crate::codec::since::<9, _, _>")]
    pub(crate) reservations: BTreeMap<String, crate::Reservation>,
    /// What associations have used, by account, user and partition.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub(crate) usage: BTreeMap<crate::association::Key, crate::Usage>,
    #[serde(skip)]
    pub(crate) index: Index,
}

impl Cluster {
    /// Settings of the last configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether any configuration was ever applied.
    pub fn is_configured(&self) -> bool {
        self.cluster_id != 0
    }

    /// The cluster's number within job attempts' ids.
    pub fn cluster_id(&self) -> u16 {
        self.cluster_id
    }

    /// When each table last changed.
    pub fn updated(&self) -> Updated {
        self.updated
    }

    /// Starts that were decided and refused, since the cluster exists.
    pub fn starts_refused(&self) -> u64 {
        self.starts_refused
    }

    /// All jobs, by number.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// How many jobs there are, ended ones included.
    pub fn jobs_count(&self) -> usize {
        self.jobs.len()
    }

    /// A job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// The records of a job array: the tasks that have one of their own, and the one that stands
    /// for all others.
    pub fn array(&self, array: JobId) -> Option<&crate::ArrayUse> {
        self.index.arrays.get(&array)
    }

    /// The number that the next submission gets.
    pub fn job_id_next(&self) -> u32 {
        self.job_id_next
    }

    /// The job an earlier submission with this key became.
    pub fn submitted(&self, key: &RequestKey) -> Option<JobId> {
        self.requests.get(key).map(|accepted| accepted.job)
    }

    /// All nodes, in the configuration's order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let node = |name| self.nodes.get(name).expect("the order names existing nodes");
        self.index.node_order.iter().map(node)
    }

    /// A node.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// What jobs take of a node.
    pub fn node_use(&self, name: &str) -> NodeUse {
        self.index.node_use.get(name).copied().unwrap_or_default()
    }

    /// Whose jobs a node has.
    pub fn tenants(&self, name: &str) -> Tenants {
        let users = self.index.tenants.get(name).into_iter().flatten();
        users.fold(Tenants::Nobody, |all, (uid, (_, closed))| all.with(*uid, *closed > 0))
    }

    /// What a node has of generic resources.
    pub fn gres_of(&self, name: &str) -> &[crate::GresPart] {
        self.index.gres_parts.get(name).map_or(&[], |parts| &parts[..])
    }

    /// What a node has of generic resources, to be kept; `None` where it has none.
    pub fn gres_shared(&self, name: &str) -> Option<std::sync::Arc<[crate::GresPart]>> {
        self.index.gres_parts.get(name).cloned()
    }

    /// What jobs have of a node's generic resources, suspended ones included.
    pub fn gres_use(&self, name: &str) -> Option<&crate::GresUses> {
        self.index.gres_use.get(name)
    }

    /// Whether no job has anything of a node, suspended ones included.
    pub(crate) fn is_vacant(&self, name: &NodeName) -> bool {
        !self.index.node_jobs.contains_key(name)
    }

    /// Jobs with a share on a node that is not confirmed ended.
    pub fn jobs_on(&self, name: &str) -> impl Iterator<Item = &Job> {
        let ids = self.index.node_jobs.get(name).into_iter().flatten();
        ids.map(|id| self.jobs.get(id).expect("the index names existing jobs"))
    }

    /// Slurm's state of a node: base and flags in one number.
    pub fn node_state_number(&self, node: &Node) -> u32 {
        let used = self.node_use(&node.conf.name);
        let base = match node.base {
            NodeBase::Unknown => 0,
            NodeBase::Down => 1,
            NodeBase::Future => 6,
            NodeBase::Up if used.jobs == used.ending => 2,
            NodeBase::Up if used.cpus >= node.conf.usable_cpus() => 3,
            NodeBase::Up if used.whole_node_jobs > 0 => 3,
            NodeBase::Up => 5,
        };
        let ends = used.ending > 0 || node.is_responding() && !node.orphans.is_empty();
        let completing = if ends { NodeFlags::COMPLETING } else { 0 };
        base | node.flags.0 | completing
    }

    /// All partitions, in the configuration's order.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        let partition = |name| self.partitions.get(name).expect("the order names existing ones");
        self.index.partition_order.iter().map(partition)
    }

    /// A partition.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.get(name)
    }

    /// The partition for jobs that name none.
    pub fn partition_default(&self) -> Option<&Partition> {
        self.partitions().find(|partition| partition.conf.is_default)
    }

    /// Jobs that wait, held ones included, higher priority first, then older first. Jobs whose
    /// earlier attempt is still being cleaned up are left out.
    pub fn pending(&self) -> impl Iterator<Item = &Job> {
        let ids = self.index.pending.iter().map(|(_, _, id)| id);
        ids.map(|id| self.jobs.get(id).expect("the index names existing jobs"))
    }

    /// How many jobs wait.
    pub fn pending_count(&self) -> usize {
        self.index.pending.len()
    }

    /// Jobs that hold resources: running, suspended, or being cleaned up.
    pub fn holding(&self) -> impl Iterator<Item = &Job> {
        let job = |id| self.jobs.get(id).expect("the index names existing jobs");
        self.index.holding.iter().map(job)
    }

    /// Jobs of a user that wait, and that run.
    pub fn user_counts(&self, uid: u32) -> (u32, u32) {
        self.index.users.get(&uid).map_or((0, 0), |counts| (counts.pending, counts.running))
    }

    /// When a running job ends at the latest; `None` when nothing ends it.
    pub fn ends_by(&self, job: &Job) -> Option<Time> {
        let over = crate::index::over_time_limit_of(&self.partitions, &self.settings, job);
        crate::index::end_due(job, over)
    }

    /// The earliest time at which a job passes its limit or deadline.
    pub fn time_limit_next(&self) -> Option<Time> {
        self.index.deadlines.first().map(|(at, _)| *at)
    }

    /// Attempts whose limit or deadline has passed: each deserves `Command::TimeLimitReached`.
    pub fn time_limits_reached(&self, now: Time) -> impl Iterator<Item = (JobId, AttemptId)> {
        let due = self.index.deadlines.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, id)| (*id, self.jobs[id].attempt))
    }

    /// The earliest time at which a running attempt is to be warned of its end (`--signal`).
    pub fn warning_next(&self) -> Option<Time> {
        self.index.warnings.first().map(|(at, _)| *at)
    }

    /// Running attempts to be warned: each deserves `Command::Warn`.
    pub fn warnings_due(&self, now: Time) -> impl Iterator<Item = (JobId, AttemptId)> {
        let due = self.index.warnings.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, id)| (*id, self.jobs[id].attempt))
    }

    /// The earliest time at which `Command::Purge` would forget a job.
    pub fn purge_next(&self) -> Option<Time> {
        let age = self.settings.job_age_min;
        let (ended, _) = self.index.finished.first()?;
        (age.0 > 0).then(|| *ended + age)
    }

    /// The earliest begin time, or time after another job's start, that a waiting job has and that
    /// is later than `now`: planning again then can make a difference.
    pub fn begin_next(&self, now: Time) -> Option<Time> {
        let later = (now, JobId(u32::MAX));
        let next = |times: &std::collections::BTreeSet<(Time, JobId)>| {
            times.range(later..).map(|(at, _)| *at).find(|at| *at > now)
        };
        let begin = next(&self.index.begins);
        let others = [next(&self.index.dependents.due), self.reservation_next(now)];
        begin.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Everything that nodes are still to be told, in a fixed order: launches, terminations,
    /// signals.
    pub fn outstanding(&self) -> impl Iterator<Item = Order> {
        let launches = self.index.launching.iter().filter_map(|id| self.launch_order(*id));
        let ends = self.index.ending.iter().flat_map(|id| self.terminate_orders(*id));
        let signals = self.index.signalling.iter().flat_map(|id| self.signal_orders(*id));
        let steps = self.index.step_orders.iter().flat_map(|id| self.step_orders(*id));
        let stops = self.index.suspending.iter().flat_map(|id| self.suspend_orders(*id));
        let orphans = self.index.orphaned.iter().flat_map(|name| self.orphan_orders(name));
        launches.chain(ends).chain(signals).chain(steps).chain(stops).chain(orphans)
    }

    /// A node that does not answer is told once it does.
    fn orphan_orders(&self, name: &NodeName) -> Vec<Order> {
        let node = self.nodes.get(name).filter(|node| node.is_responding());
        let orphans = node.into_iter().flat_map(|node| &node.orphans);
        let order = |(job, attempt): &(JobId, flurm_base::AttemptId)| Order::EndOrphan {
            job: *job,
            attempt: *attempt,
            node: name.clone(),
        };
        orphans.map(order).collect()
    }

    /// The orders of one job.
    pub fn orders_of(&self, id: JobId) -> Vec<Order> {
        let launch = self.launch_order(id);
        let ends = self.terminate_orders(id);
        let all = launch.into_iter().chain(ends).chain(self.signal_orders(id));
        all.chain(self.step_orders(id)).chain(self.suspend_orders(id)).collect()
    }

    fn launch_order(&self, id: JobId) -> Option<Order> {
        let job = self.jobs.get(&id)?;
        let Launch::Needed { .. } = job.launch else { return None };
        let node = job.allocation.as_ref()?.batch_host().clone();
        Some(Order::Launch { job: id, attempt: job.attempt, node })
    }

    fn terminate_orders(&self, id: JobId) -> Vec<Order> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        let Some(allocation) = &job.allocation else { return Vec::new() };
        if job.launch_failures > 0 && flurm_base::planted::is("model_leaks_failed_launches") {
            return Vec::new();
        }
        // A job that goes on without a failed node has no cause of its own yet.
        let cause = job.end_cause.unwrap_or(EndCause::Killed);
        let order = |share: &crate::Share| match share.state {
            ShareState::Ending { since } => Some(Order::Terminate {
                job: id,
                attempt: job.attempt,
                node: share.node.clone(),
                cause,
                since,
            }),
            ShareState::Held | ShareState::Freed => None,
        };
        allocation.shares.iter().filter_map(order).collect()
    }

    fn signal_orders(&self, id: JobId) -> Vec<Order> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        let Some(allocation) = &job.allocation else { return Vec::new() };
        let held = allocation.shares.iter().filter(|share| share.state == ShareState::Held);
        let nodes: Vec<NodeName> = held.map(|share| share.node.clone()).collect();
        let order = |request: &crate::SignalRequest| Order::Signal {
            job: id,
            attempt: job.attempt,
            nodes: nodes.clone(),
            signal: request.signal,
            flags: request.flags,
            sequence: request.sequence,
        };
        job.signals.iter().map(order).collect()
    }

    /// The state as bytes, for a snapshot.
    pub fn snapshot(&self) -> Vec<u8> {
        codec::encode(KIND_SNAPSHOT, self)
    }

    /// The state from a snapshot's bytes.
    pub fn restore(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut cluster: Self = codec::decode(KIND_SNAPSHOT, bytes)?;
        cluster.spoil();
        cluster.reindex();
        Ok(cluster)
    }

    /// Bugs that may be planted into restoring a snapshot.
    fn spoil(&mut self) {
        if flurm_base::planted::is("model_reuses_job_numbers") {
            let last = self.jobs.last_key_value().map(|(id, _)| id.0);
            self.job_id_next = last.map_or(self.settings.job_id_first.max(1), |last| last + 1);
        }
        if flurm_base::planted::is("model_snapshot_forgets_holds") {
            self.jobs.values_mut().for_each(|job| job.hold = crate::Hold::None);
        }
        if flurm_base::planted::is("model_snapshot_forgets_request_keys") {
            self.requests.clear();
        }
        if flurm_base::planted::is("model_recovery_needs_every_partition") {
            let known = |job: &Job| self.partitions.contains_key(&job.partition);
            assert!(self.jobs.values().all(known), "a job is in no partition");
        }
    }

    pub(crate) fn reindex(&mut self) {
        self.index = Index::of(self);
    }

    /// Jobs that run or are suspended.
    pub fn running_count(&self) -> usize {
        let runs =
            |id: &&JobId| matches!(self.jobs[id].base, JobBase::Running | JobBase::Suspended);
        self.index.holding.iter().filter(runs).count()
    }
}

impl Command {
    /// As bytes, for the replicated log.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(KIND_COMMAND, self)
    }

    /// From the replicated log's bytes. An unknown kind is an error that must stop the process: to
    /// skip it would make replicas differ.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(KIND_COMMAND, bytes)
    }
}
