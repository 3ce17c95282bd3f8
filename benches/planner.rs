//! One pass of the planner over large clusters and long queues.
//!
//! Prints a table: milliseconds for a pass, by nodes and waiting jobs, on a full cluster with mixed
//! sizes and limits, with backfill; and what the pass decided.

use std::sync::Arc;
use std::time::Instant;

use flurm_base::{AttemptId, JobId, Span, Time};
use flurm_model::{
    Hold, JobSpec, Limit, Memory, NodeName, PartitionConf, PartitionName, Reason, Select,
    SelectUnit, Size,
};
use flurm_sched::{JobView, Leave, Licenses, NodeView, PartitionView, Snapshot, plan};

const NOW: Time = Time::from_secs(1_000_000);
/// CPUs of each node.
const CPUS: u32 = 64;
/// Slurm's default of `bf_max_job_test`.
const PLANNED_MAX: u32 = 500;
/// Passes of each size; the median counts.
const ROUNDS: usize = 5;

/// A small generator: figures must not depend on a library's version.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn node(at: usize) -> NodeView {
    NodeView {
        name: NodeName::from(format!("n{at}")),
        index: u32::try_from(at).expect("few nodes"),
        weight: 1,
        usable: true,
        cpus: CPUS,
        sockets: 2,
        threads_per_core: 1,
        cores_per_socket: CPUS / 2,
        memory_mb: 256_000,
        tmp_disk_mb: 0,
        features: Vec::new(),
        cpus_used: 0,
        memory_used_mb: 0,
        jobs: 0,
        whole_node_taken: false,
        tenants: flurm_model::Tenants::Nobody,
        gres: None,
        gres_used: Vec::new(),
    }
}

/// Jobs of 1 to 1,024 CPUs, of 10 minutes to a day.
fn job(number: u32, dice: &mut Dice) -> JobView {
    let tasks = 1u32 << dice.roll(11);
    let size = Size {
        tasks: Some(tasks),
        cpus_min: tasks,
        memory: Some(Memory::PerCpu(1_000 + 500 * dice.roll(5))),
        ..Size::default()
    };
    JobView {
        depends: None,
        tasks: 1,
        tasks_startable: 1,
        id: JobId(number),
        attempt: AttemptId(u64::from(number)),
        spec: Arc::new(JobSpec { size, ..JobSpec::default() }),
        priority: 10_000_000 - number,
        priorities: Vec::new(),
        submit: NOW,
        hold: Hold::None,
        partitions: vec![PartitionName::from("main")],
        time_limit: Limit::Max(10 * (1 + u32::try_from(dice.roll(144)).expect("small"))),
        time_limit_fixed: false,
        reason: Reason::None,
    }
}

/// A cluster where a few jobs run on every node, and some CPUs are idle on some.
fn snapshot(nodes: usize, jobs: u32) -> Snapshot {
    let mut dice = Dice(7);
    let mut views: Vec<NodeView> = (0..nodes).map(node).collect();
    let mut leaves = Vec::new();
    for (at, view) in views.iter_mut().enumerate() {
        let idle = if dice.roll(4) == 0 { u32::try_from(dice.roll(8)).expect("small") } else { 0 };
        while view.cpus_used + idle < CPUS {
            let most = CPUS - idle - view.cpus_used;
            let cpus = (1u32 << dice.roll(7)).min(most);
            let memory_mb = u64::from(cpus) * 2_000;
            view.cpus_used += cpus;
            view.memory_used_mb += memory_mb;
            view.jobs += 1;
            let ends = NOW + Span::secs(60 * (1 + dice.roll(1_440)));
            leaves.push(Leave {
                at: ends,
                node: at,
                cpus,
                memory_mb,
                whole_node: false,
                gres: vec![],
            });
        }
    }
    let conf = PartitionConf { name: PartitionName::from("main"), ..PartitionConf::default() };
    let partition = PartitionView { conf: Arc::new(conf), nodes: (0..nodes).collect() };
    Snapshot {
        now: NOW,
        select: Select { unit: SelectUnit::Core, memory: true },
        planned_max: PLANNED_MAX,
        over_time_limit: Limit::Max(0),
        leaves,
        nodes: views,
        partitions: vec![partition],
        licenses: Licenses::default(),
        reservations: Vec::new(),
        pending: (1..=jobs).map(|number| job(number, &mut dice)).collect(),
    }
}

fn main() {
    println!("| nodes | waiting jobs | a pass, ms | started | planned ahead |");
    println!("|---|---|---|---|---|");
    for (nodes, jobs) in
        [(100, 10_000), (1_000, 10_000), (10_000, 1_000), (10_000, 10_000), (10_000, 100_000)]
    {
        let snapshot = snapshot(nodes, jobs);
        let mut times = Vec::with_capacity(ROUNDS);
        let mut told = (0, 0);
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            let plan = plan(&snapshot);
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            told = (plan.starts.len(), plan.planned.len());
        }
        times.sort_by(f64::total_cmp);
        println!("| {nodes} | {jobs} | {:.1} | {} | {} |", times[ROUNDS / 2], told.0, told.1);
    }
}
