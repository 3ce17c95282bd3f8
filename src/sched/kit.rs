//! What the tests share: small clusters as the planner sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use flurm_base::{AttemptId, JobId, Time};
use flurm_model::{
    Hold, JobSpec, Limit, Memory, NodeName, PartitionConf, PartitionName, Reason, Select,
    SelectUnit, Size,
};

use crate::{JobView, NodeView, PartitionView, Plan, Snapshot};

pub(crate) const NOW: Time = Time::from_secs(1_000_000);

/// Nodes `n1`… with the given CPUs and 1,000 MB for each CPU, all in partition `main`.
pub(crate) fn cluster(cpus: &[u32]) -> Snapshot {
    let node = |(at, cpus): (usize, &u32)| NodeView {
        name: NodeName::from(format!("n{}", at + 1)),
        index: u32::try_from(at).expect("few nodes"),
        weight: 1,
        usable: true,
        cpus: *cpus,
        sockets: 1,
        threads_per_core: 1,
        cores_per_socket: *cpus,
        memory_mb: u64::from(*cpus) * 1_000,
        tmp_disk_mb: 0,
        features: Vec::new(),
        cpus_used: 0,
        memory_used_mb: 0,
        jobs: 0,
        whole_node_taken: false,
        tenants: flurm_model::Tenants::Nobody,
        gres: None,
        gres_used: Vec::new(),
    };
    let mut snapshot = Snapshot {
        now: NOW,
        select: Select { unit: SelectUnit::Core, memory: true },
        planned_max: 0,
        over_time_limit: Limit::Max(0),
        leaves: Vec::new(),
        nodes: cpus.iter().enumerate().map(node).collect(),
        partitions: Vec::new(),
        pending: Vec::new(),
        licenses: crate::Licenses::default(),
        reservations: Vec::new(),
    };
    add_partition(&mut snapshot, "main", 0..cpus.len(), |_| {});
    snapshot
}

pub(crate) fn add_partition(
    snapshot: &mut Snapshot,
    name: &str,
    members: impl IntoIterator<Item = usize>,
    change: impl FnOnce(&mut PartitionConf),
) {
    let mut nodes: Vec<usize> = members.into_iter().collect();
    nodes.sort_by_key(|at| (snapshot.nodes[*at].weight, *at));
    let mut conf = PartitionConf { name: PartitionName::from(name), ..PartitionConf::default() };
    change(&mut conf);
    snapshot.partitions.push(PartitionView { conf: Arc::new(conf), nodes });
}

/// A job of so many tasks, in `main` unless changed; earlier ones come first.
pub(crate) fn add_job(
    snapshot: &mut Snapshot,
    tasks: u32,
    change: impl FnOnce(&mut JobView, &mut JobSpec),
) -> JobId {
    let number = u32::try_from(snapshot.pending.len()).expect("few jobs") + 1;
    // A job that names no memory would take all of its nodes'.
    let memory = Some(Memory::PerNode(1));
    let size = Size { tasks: Some(tasks), cpus_min: tasks, memory, ..Size::default() };
    let mut spec = JobSpec { size, ..JobSpec::default() };
    let mut view = JobView {
        depends: None,
        tasks: 1,
        tasks_startable: 1,
        id: JobId(number),
        attempt: AttemptId(u64::from(number)),
        spec: Arc::new(JobSpec::default()),
        priority: 1_000_000 - number,
        priorities: Vec::new(),
        submit: NOW,
        hold: Hold::None,
        partitions: vec![PartitionName::from("main")],
        time_limit: Limit::Max(10),
        time_limit_fixed: false,
        reason: Reason::None,
    };
    change(&mut view, &mut spec);
    view.spec = Arc::new(spec);
    let id = view.id;
    snapshot.pending.push(view);
    id
}

/// `n1:2 n2:1` for each started job, in order, and the reason of each other.
pub(crate) fn told(plan: &Plan) -> BTreeMap<u32, String> {
    let mut told = BTreeMap::new();
    for start in &plan.starts {
        let parts: Vec<String> =
            start.placements.iter().map(|part| format!("{}:{}", part.node, part.cpus)).collect();
        told.insert(start.job.0, parts.join(" "));
    }
    for why in &plan.waiting {
        told.insert(why.job.0, String::from(why.reason.text()));
    }
    told
}

/// The same as one line.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    let told = told(&crate::plan(snapshot));
    let parts: Vec<String> = told.into_iter().map(|(id, what)| format!("{id}={what}")).collect();
    parts.join(", ")
}
