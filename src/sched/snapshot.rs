//! What the planner sees of a cluster: a copy that does not change under it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use flurm_base::{AttemptId, JobId, Span, Time};
use flurm_model::{
    Cluster, GresPart, GresTake, Hold, Job, JobSpec, Limit, Node, NodeName, PartitionConf,
    PartitionName, Reason, Select, ShareState, Tenants, Weigher,
};

/// A node's room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: NodeName,
    /// Place in the configuration.
    pub index: u32,
    /// Lighter nodes are taken first.
    pub weight: u32,
    /// Whether new work may be placed there.
    pub usable: bool,
    /// CPUs that jobs may take.
    pub cpus: u32,
    /// Sockets.
    pub sockets: u32,
    /// Threads of each core.
    pub threads_per_core: u32,
    /// Cores of each socket.
    pub cores_per_socket: u32,
    /// Memory that jobs may take, MB.
    pub memory_mb: u64,
    /// Scratch disk, MB.
    pub tmp_disk_mb: u32,
    /// Features that are active.
    pub features: Vec<String>,
    /// CPUs taken.
    pub cpus_used: u32,
    /// Memory taken, MB.
    pub memory_used_mb: u64,
    /// Jobs there.
    pub jobs: u32,
    /// Whether a job there keeps others off.
    pub whole_node_taken: bool,
    /// Whose jobs they are.
    pub tenants: Tenants,
    /// Generic resources; `None` where it has none.
    pub gres: Option<Arc<[GresPart]>>,
    /// How many of each part are taken; parts that are left out are free.
    pub gres_used: Vec<u64>,
}

impl NodeView {
    /// Whether no job can get anything here any more.
    pub(crate) fn is_full(&self) -> bool {
        self.whole_node_taken || self.cpus_used >= self.cpus
    }

    /// Forgets what runs there.
    pub(crate) fn vacate(&mut self) {
        self.cpus_used = 0;
        self.memory_used_mb = 0;
        self.jobs = 0;
        self.whole_node_taken = false;
        self.tenants = Tenants::Nobody;
        self.gres_used.clear();
    }

    /// Its parts of generic resources.
    pub(crate) fn gres_parts(&self) -> &[GresPart] {
        self.gres.as_deref().unwrap_or_default()
    }

    /// How many of a part, by its position, are free.
    pub(crate) fn gres_free(&self, at: usize) -> u64 {
        let used = self.gres_used.get(at).copied().unwrap_or(0);
        self.gres_parts().get(at).map_or(0, |part| part.count.saturating_sub(used))
    }

    /// Takes generic resources.
    pub(crate) fn take_gres(&mut self, taken: &[GresTake]) {
        if taken.is_empty() {
            return;
        }
        let more = self.gres_counts(taken);
        self.gres_used.resize(more.len(), 0);
        let sums = self.gres_used.iter_mut().zip(more);
        sums.for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    /// Gives them back.
    pub(crate) fn give_back_gres(&mut self, taken: &[GresTake]) {
        if taken.is_empty() {
            return;
        }
        let less = self.gres_counts(taken);
        let sums = self.gres_used.iter_mut().zip(less);
        sums.for_each(|(sum, less)| *sum = sum.saturating_sub(less));
    }

    /// What is taken, in the order of the parts.
    pub(crate) fn gres_counts(&self, taken: &[GresTake]) -> Vec<u64> {
        if taken.is_empty() {
            return Vec::new();
        }
        let of = |part: &GresPart| {
            let same = |take: &&GresTake| take.name == part.name && take.kind == part.kind;
            taken.iter().find(same).map_or(0, |take| take.count)
        };
        self.gres_parts().iter().map(of).collect()
    }
}

/// A partition's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    /// The configuration.
    pub conf: Arc<PartitionConf>,
    /// Positions in `Snapshot::nodes`, lightest first, then in the configuration's order.
    pub nodes: Vec<usize>,
}

/// A waiting job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// The attempt to start.
    pub attempt: AttemptId,
    /// What it asks.
    pub spec: Arc<JobSpec>,
    /// Its priority.
    pub priority: u32,
    /// Its priority in each of `partitions`; empty where they are all the same.
    pub priorities: Vec<u32>,
    /// When it was submitted.
    pub submit: Time,
    /// Who holds it.
    pub hold: Hold,
    /// Partitions it may start in.
    pub partitions: Vec<PartitionName>,
    /// Minutes it may run.
    pub time_limit: Limit,
    /// An operator set that: partitions' limits do not bound it.
    pub time_limit_fixed: bool,
    /// Why it was last said to wait.
    pub reason: Reason,
    /// Why other jobs keep it waiting.
    pub depends: Option<Reason>,
    /// Array tasks that it stands for; 1 for a job.
    pub tasks: u32,
    /// How many of them may start: fewer where the array's own limit says so.
    pub tasks_startable: u32,
}

/// A part of a node that a running job gives back at its limit, if not earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// When. Later than `Snapshot::now`.
    pub at: Time,
    /// Position in `Snapshot::nodes`.
    pub node: usize,
    /// CPUs.
    pub cpus: u32,
    /// Memory, MB.
    pub memory_mb: u64,
    /// Whether the job keeps others off the node.
    pub whole_node: bool,
    /// Generic resources, in the order of the node's parts.
    pub gres: Vec<u64>,
}

/// What the planner sees of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The time to plan for.
    pub now: Time,
    /// What is handed out.
    pub select: Select,
    /// For how many waiting jobs a start is planned ahead; zero without backfill.
    pub planned_max: u32,
    /// Minutes that jobs may run over their limit, where their partition does not say.
    pub over_time_limit: Limit,
    /// When running jobs leave at the latest. Jobs without a limit are not among them.
    pub leaves: Vec<Leave>,
    /// Nodes, in the configuration's order.
    pub nodes: Vec<NodeView>,
    /// Partitions, in the configuration's order.
    pub partitions: Vec<PartitionView>,
    /// Waiting jobs: higher priority first, then older, then smaller number.
    pub pending: Vec<JobView>,
    /// Licences that are free.
    pub licenses: crate::Licenses,
    /// Reservations.
    pub reservations: Vec<flurm_model::Reservation>,
}

impl Snapshot {
    /// Copies what matters out of a cluster.
    pub fn of(cluster: &Cluster, now: Time) -> Self {
        let weigher = Weigher::new(cluster, now);
        let mut pending: Vec<JobView> =
            cluster.pending().map(|job| job_view(cluster, &weigher, job, now)).collect();
        if weigher.rules().is_some() {
            pending.sort_by_key(|job| (Reverse(job.priority), job.submit, job.id));
        }
        let hardware = Self::hardware(cluster, now);
        let leaves = if hardware.planned_max > 0 { leaves(cluster, now) } else { Vec::new() };
        let reservations = cluster.reservations().cloned().collect();
        Self { pending, leaves, reservations, ..hardware }
    }

    /// A cluster with every node in service and nothing on it or waiting: what could ever be.
    pub fn idle(cluster: &Cluster, now: Time) -> Self {
        let mut idle = Self::hardware(cluster, now);
        for node in &mut idle.nodes {
            node.usable = true;
            node.vacate();
        }
        idle
    }

    fn hardware(cluster: &Cluster, now: Time) -> Self {
        let nodes: Vec<NodeView> = cluster.nodes().map(|node| node_view(cluster, node)).collect();
        let named = nodes.iter().enumerate().map(|(at, node)| (node.name.clone(), at));
        let positions: BTreeMap<NodeName, usize> = named.collect();
        let partitions = cluster.partitions().map(|partition| {
            let names = partition.conf.nodes.iter();
            let mut members: Vec<usize> =
                names.filter_map(|name| positions.get(name).copied()).collect();
            members.sort_by_key(|at| (nodes[*at].weight, *at));
            members.dedup();
            PartitionView { conf: Arc::new(partition.conf.clone()), nodes: members }
        });
        let partitions = partitions.collect();
        let select = cluster.settings().select;
        let planned_max = cluster.settings().jobs_planned_max;
        let over_time_limit = cluster.settings().over_time_limit;
        let licenses = crate::Licenses::of(cluster);
        Self {
            now,
            select,
            planned_max,
            over_time_limit,
            leaves: Vec::new(),
            nodes,
            partitions,
            pending: Vec::new(),
            licenses,
            reservations: Vec::new(),
        }
    }

    /// A partition by its name.
    pub fn partition(&self, name: &str) -> Option<&PartitionView> {
        self.partitions.iter().find(|partition| partition.conf.name.as_str() == name)
    }
}

fn node_view(cluster: &Cluster, node: &Node) -> NodeView {
    let used = cluster.node_use(&node.conf.name);
    NodeView {
        name: node.conf.name.clone(),
        index: node.index,
        weight: node.conf.weight,
        usable: node.is_usable(),
        cpus: node.conf.usable_cpus(),
        sockets: u32::from(node.conf.sockets.max(1)),
        threads_per_core: u32::from(node.conf.threads_per_core.max(1)),
        cores_per_socket: u32::from(node.conf.cores_per_socket.max(1)),
        memory_mb: node.conf.usable_memory_mb(),
        tmp_disk_mb: node.conf.tmp_disk_mb,
        features: node.features_active().to_vec(),
        cpus_used: used.cpus,
        memory_used_mb: used.memory_mb,
        jobs: used.jobs,
        whole_node_taken: used.whole_node_jobs > 0,
        tenants: cluster.tenants(&node.conf.name),
        gres: cluster.gres_shared(&node.conf.name),
        gres_used: gres_used(cluster, &node.conf.name),
    }
}

/// How many of each part of a node's generic resources jobs have.
fn gres_used(cluster: &Cluster, name: &NodeName) -> Vec<u64> {
    let Some(used) = cluster.gres_use(name) else { return Vec::new() };
    let of = |part: &GresPart| used.get(&part.key()).map_or(0, |used| used.count);
    cluster.gres_of(name).iter().map(of).collect()
}

/// How long what ends, or is over its limit already, is taken to go on.
const ENDING: Span = Span::secs(60);

fn leaves(cluster: &Cluster, now: Time) -> Vec<Leave> {
    let positions: BTreeMap<&NodeName, usize> =
        cluster.nodes().enumerate().map(|(at, node)| (&node.conf.name, at)).collect();
    let mut leaves = Vec::new();
    for job in cluster.holding() {
        let Some(allocation) = &job.allocation else { continue };
        for share in allocation.shares.iter().filter(|share| share.is_open()) {
            let ends = match share.state {
                ShareState::Ending { .. } => Some(now),
                _ => cluster.ends_by(job),
            };
            let (Some(ends), Some(node)) = (ends, positions.get(&share.node)) else { continue };
            leaves.push(Leave {
                at: if ends <= now { now + ENDING } else { ends },
                node: *node,
                cpus: share.cpus,
                memory_mb: share.memory_mb,
                whole_node: share.whole_node,
                gres: gres_counts(cluster, share),
            });
        }
    }
    leaves
}

/// What a share has, in the order of its node's parts.
pub(crate) fn gres_counts(cluster: &Cluster, share: &flurm_model::Share) -> Vec<u64> {
    if share.gres.is_empty() {
        return Vec::new();
    }
    let of = |part: &GresPart| {
        let mut like = share.gres.iter();
        let held = like.find(|held| held.name == part.name && held.kind == part.kind);
        held.map_or(0, |held| held.count)
    };
    cluster.gres_of(&share.node).iter().map(of).collect()
}

fn job_view(cluster: &Cluster, weigher: &Weigher<'_>, job: &Job, now: Time) -> JobView {
    let each = || job.partitions.iter().map(|partition| weigher.priority_in(job, partition));
    let differ = job.partitions.len() > 1 && weigher.rules().is_some();
    JobView {
        id: job.id,
        attempt: job.attempt,
        spec: Arc::clone(&job.spec),
        priority: weigher.priority(job),
        priorities: if differ { each().collect() } else { Vec::new() },
        submit: job.submit,
        hold: job.hold,
        partitions: job.partitions.clone(),
        time_limit: job.time_limit,
        time_limit_fixed: job.time_limit_fixed,
        reason: job.reason,
        depends: job.dependency_reason(now),
        tasks: job.tasks_waiting().max(1),
        tasks_startable: cluster.startable_tasks(job),
    }
}
