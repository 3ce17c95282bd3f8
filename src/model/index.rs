//! Derived indexes: rebuilt on restore, kept in step by every change, never stored.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flurm_base::{JobId, RequestKey, Span, Time};

use crate::dependents::Dependents;
use crate::{
    ArrayUse, Cluster, GresPart, GresUses, Job, JobBase, JobSteps, Launch, Limit, Node, NodeName,
    NodeUse, Partition, PartitionName, Settings, Share, ShareState,
};

/// How many jobs of one user wait and run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserCounts {
    pub(crate) pending: u32,
    pub(crate) running: u32,
}

/// Everything that can be looked up without a walk over all jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    pub(crate) pending: BTreeSet<(Reverse<u32>, Time, JobId)>,
    pub(crate) begins: BTreeSet<(Time, JobId)>,
    pub(crate) deadlines: BTreeSet<(Time, JobId)>,
    pub(crate) warnings: BTreeSet<(Time, JobId)>,
    pub(crate) launching: BTreeSet<JobId>,
    pub(crate) ending: BTreeSet<JobId>,
    pub(crate) signalling: BTreeSet<JobId>,
    pub(crate) suspending: BTreeSet<JobId>,
    /// Licences in use.
    pub(crate) licenses: BTreeMap<String, u32>,
    pub(crate) holding: BTreeSet<JobId>,
    pub(crate) finished: BTreeSet<(Time, JobId)>,
    pub(crate) users: BTreeMap<u32, UserCounts>,
    pub(crate) node_jobs: BTreeMap<NodeName, BTreeSet<JobId>>,
    pub(crate) node_use: BTreeMap<NodeName, NodeUse>,
    /// Jobs of each user on a node that are not suspended, and how many of those keep others off.
    pub(crate) tenants: BTreeMap<NodeName, BTreeMap<u32, (u32, u32)>>,
    /// Generic resources that jobs have, of nodes where they have some.
    pub(crate) gres_use: BTreeMap<NodeName, GresUses>,
    /// Generic resources of nodes that have some.
    pub(crate) gres_parts: BTreeMap<NodeName, Arc<[GresPart]>>,
    /// Jobs whose steps or client are to be told something.
    pub(crate) step_orders: BTreeSet<JobId>,
    /// Nodes that have something that nobody wants.
    pub(crate) orphaned: BTreeSet<NodeName>,
    /// Earliest end of a step's time limit, by job.
    pub(crate) step_limits: BTreeSet<(Time, JobId)>,
    pub(crate) requests_by_age: BTreeSet<(Time, RequestKey)>,
    pub(crate) node_order: Vec<NodeName>,
    pub(crate) partition_order: Vec<PartitionName>,
    pub(crate) members: BTreeMap<PartitionName, BTreeSet<NodeName>>,
    pub(crate) arrays: BTreeMap<JobId, ArrayUse>,
    pub(crate) dependents: Dependents,
    pub(crate) directory: crate::association::Directory,
    /// Jobs, each task of an array that has no record of its own counted too.
    pub(crate) jobs_with_tasks: u64,
}

impl Index {
    /// Computed from nothing but the state.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let mut index = Self::default();
        index.order_tables(cluster);
        index.directory = crate::association::Directory::of(&cluster.settings.accounting);
        cluster.nodes.values().for_each(|node| index.know(node));
        for job in cluster.jobs.values() {
            let over = over_time_limit_of(&cluster.partitions, &cluster.settings, job);
            index.insert(job, over);
        }
        for (id, steps) in &cluster.steps {
            index.place_steps(*id, steps, true);
        }
        for (key, accepted) in &cluster.requests {
            index.requests_by_age.insert((accepted.at, *key));
        }
        index
    }

    /// The orders of nodes and partitions, after a change of either table.
    fn order_tables(&mut self, cluster: &Cluster) {
        let mut nodes: Vec<_> = cluster.nodes.values().map(|n| (n.index, &n.conf.name)).collect();
        nodes.sort();
        self.node_order = nodes.into_iter().map(|(_, name)| name.clone()).collect();
        let mut partitions: Vec<_> =
            cluster.partitions.values().map(|p| (p.index, &p.conf.name)).collect();
        partitions.sort();
        self.partition_order = partitions.into_iter().map(|(_, name)| name.clone()).collect();
        let members = |partition: &Partition| {
            (partition.conf.name.clone(), partition.conf.nodes.iter().cloned().collect())
        };
        self.members = cluster.partitions.values().map(members).collect();
    }

    /// What a node has of generic resources, and what nobody wants there, after it changed.
    pub(crate) fn know(&mut self, node: &Node) {
        let name = &node.conf.name;
        match node.orphans.is_empty() {
            true => _ = self.orphaned.remove(name),
            false => _ = self.orphaned.insert(name.clone()),
        }
        let found = node.facts.as_ref().and_then(|facts| facts.gres.as_deref());
        match node.conf.gres.as_deref() {
            None => _ = self.gres_parts.remove(name),
            Some(conf) => {
                let parts = GresPart::of_node(Some(conf), found);
                self.gres_parts.insert(name.clone(), parts.into());
            }
        }
    }

    /// Takes a share's generic resources in or out.
    fn count_gres(&mut self, share: &Share, add: bool) {
        if share.gres.is_empty() {
            return;
        }
        let node = self.gres_use.entry(share.node.clone()).or_default();
        for held in &share.gres {
            let key = (held.name.clone(), held.kind.clone());
            let used = node.entry(key).or_default();
            used.count = match add {
                true => used.count.saturating_add(held.count),
                false => used.count.saturating_sub(held.count),
            };
            held.devices.iter().for_each(|device| put(&mut used.devices, *device, add));
        }
        node.retain(|_, used| used.count > 0);
        if node.is_empty() {
            self.gres_use.remove(&share.node);
        }
    }

    /// Takes a job in.
    pub(crate) fn insert(&mut self, job: &Job, over_time: Limit) {
        self.place(job, over_time, true);
        self.count(job, true);
    }

    /// Takes a job out; `job` and `over_time` must be as they were when it was taken in.
    pub(crate) fn remove(&mut self, job: &Job, over_time: Limit) {
        self.place(job, over_time, false);
        self.count(job, false);
    }

    /// Takes a job's steps in or out.
    pub(crate) fn place_steps(&mut self, id: JobId, steps: &JobSteps, add: bool) {
        if steps.has_orders() {
            put(&mut self.step_orders, id, add);
        }
        if let Some(end) = steps.time_limit_next() {
            put(&mut self.step_limits, (end, id), add);
        }
    }

    fn place(&mut self, job: &Job, over_time: Limit, add: bool) {
        let id = job.id;
        crate::array::count(&mut self.arrays, job, add);
        self.dependents.count(job, add);
        let records = u64::from(job.tasks_waiting().max(1));
        self.jobs_with_tasks = match add {
            true => self.jobs_with_tasks + records,
            false => self.jobs_with_tasks - records,
        };
        if job.is_startable() {
            put(&mut self.pending, (Reverse(job.priority), job.submit, id), add);
            if let Some(begin) = job.spec.begin {
                put(&mut self.begins, (begin, id), add);
            }
        }
        if let Some(due) = end_due(job, over_time) {
            put(&mut self.deadlines, (due, id), add);
        }
        if let Some(due) = job.warning_due() {
            put(&mut self.warnings, (due, id), add);
        }
        if let Launch::Needed { .. } = job.launch {
            put(&mut self.launching, id, add);
        }
        if !job.signals.is_empty() {
            put(&mut self.signalling, id, add);
        }
        if job.suspension.as_ref().is_some_and(|last| !last.untold.is_empty()) {
            put(&mut self.suspending, id, add);
        }
        if let (true, Some(end)) = (job.is_finished(), job.end) {
            put(&mut self.finished, (end, id), add);
        }
        let Some(allocation) = &job.allocation else { return };
        if allocation.is_open() {
            put(&mut self.holding, id, add);
        }
        let ending = |share: &crate::Share| matches!(share.state, ShareState::Ending { .. });
        if allocation.shares.iter().any(ending) {
            put(&mut self.ending, id, add);
        }
    }

    fn count(&mut self, job: &Job, add: bool) {
        let user = self.users.entry(job.spec.uid).or_default();
        match job.base {
            JobBase::Pending => step(&mut user.pending, 1, add),
            JobBase::Running | JobBase::Suspended => step(&mut user.running, 1, add),
            _ => {}
        }
        if *user == UserCounts::default() {
            self.users.remove(&job.spec.uid);
        }
        let Some(allocation) = &job.allocation else { return };
        for (name, count) in job.licenses.iter().filter(|_| allocation.is_open()) {
            let used = self.licenses.entry(name.clone()).or_default();
            step(used, *count, add);
            if *used == 0 {
                self.licenses.remove(name);
            }
        }
        for share in allocation.shares.iter().filter(|share| share.is_open()) {
            let used = self.node_use.entry(share.node.clone()).or_default();
            // What is suspended keeps its memory and nothing else.
            if job.base != JobBase::Suspended || share.state != ShareState::Held {
                step(&mut used.cpus, share.cpus, add);
                step(&mut used.jobs, 1, add);
                step(&mut used.whole_node_jobs, u32::from(share.whole_node), add);
                step(&mut used.ending, u32::from(share.state != ShareState::Held), add);
                let users = self.tenants.entry(share.node.clone()).or_default();
                let (jobs, closed) = users.entry(job.spec.uid).or_default();
                step(jobs, 1, add);
                step(closed, u32::from(share.user_only), add);
                if *jobs == 0 {
                    users.remove(&job.spec.uid);
                }
                if users.is_empty() {
                    self.tenants.remove(&share.node);
                }
            }
            used.memory_mb = if add {
                used.memory_mb.saturating_add(share.memory_mb)
            } else {
                used.memory_mb.saturating_sub(share.memory_mb)
            };
            self.count_gres(share, add);
            let jobs = self.node_jobs.entry(share.node.clone()).or_default();
            put(jobs, job.id, add);
            if jobs.is_empty() {
                self.node_jobs.remove(&share.node);
                self.node_use.remove(&share.node);
            }
        }
    }
}

/// When the passing of time ends a job: at its limit with what it may run over, or its deadline.
pub(crate) fn end_due(job: &Job, over_time: Limit) -> Option<Time> {
    let limit = match (job.time_limit_end(), over_time) {
        (Some(end), Limit::Max(minutes)) => Some(end + Span::secs(u64::from(minutes) * 60)),
        (Some(_), Limit::Unlimited) | (None, _) => None,
    };
    match (limit, job.deadline_due()) {
        (Some(limit), Some(deadline)) => Some(limit.min(deadline)),
        (limit, deadline) => limit.or(deadline),
    }
}

/// Minutes a job may run over its limit.
pub(crate) fn over_time_limit_of(
    partitions: &BTreeMap<PartitionName, Partition>,
    settings: &Settings,
    job: &Job,
) -> Limit {
    let partition = partitions.get(&job.partition);
    let own = partition.and_then(|partition| partition.conf.over_time_limit);
    own.unwrap_or(settings.over_time_limit)
}

fn put<T: Ord>(set: &mut BTreeSet<T>, value: T, add: bool) {
    let changed = if add { set.insert(value) } else { set.remove(&value) };
    assert!(changed, "an index and the state disagree");
}

fn step(count: &mut u32, by: u32, add: bool) {
    *count = if add { count.saturating_add(by) } else { count.saturating_sub(by) };
}
