//! The planner against a reference that tries every way to place a job.

use std::collections::BTreeMap;

use flurm_base::{JobId, Time};
use flurm_model::{Cluster, Command, Config, JobSpec, Memory, NodeName, Reply, Sharing, Size};
use proptest::prelude::*;

use crate::kit::{add_job, cluster};
use crate::{JobView, NodeView, Plan, Snapshot, feasible, plan};

/// A random job: tasks, CPUs per task, memory, node counts, exclusive.
type JobShape = (u32, u16, u8, u32, Option<u32>, bool, Option<u16>);

fn job_shape() -> impl Strategy<Value = JobShape> {
    let nodes = (1u32..4, prop::option::of(0u32..3));
    (1u32..7, 1u16..3, 0u8..4, nodes, any::<u8>(), prop::option::of(1u16..4)).prop_map(
        |(tasks, per, memory, (least, more), coin, per_node)| {
            let most = more.map(|more| least + more);
            (tasks, per, memory, least, most, coin < 25, per_node)
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let nodes = prop::collection::vec((1u32..5, 0u32..5, any::<bool>(), 1u32..3), 1..5);
    let jobs = prop::collection::vec(job_shape(), 1..6);
    (nodes, jobs).prop_map(|(nodes, jobs)| {
        let cpus: Vec<u32> = nodes.iter().map(|(cpus, ..)| *cpus).collect();
        let mut snapshot = cluster(&cpus);
        for (node, (cpus, used, usable, weight)) in snapshot.nodes.iter_mut().zip(&nodes) {
            node.cpus_used = (*used).min(*cpus);
            node.memory_used_mb = u64::from(node.cpus_used) * 500;
            node.jobs = node.cpus_used;
            node.usable = *usable || *used == 0;
            node.weight = *weight;
        }
        let mut order: Vec<usize> = (0..cpus.len()).collect();
        order.sort_by_key(|at| (snapshot.nodes[*at].weight, *at));
        snapshot.partitions[0].nodes = order;
        for (tasks, per, memory, least, most, alone, per_node) in jobs {
            add_job(&mut snapshot, tasks, |_, spec| {
                spec.size.cpus_per_task = Some(per);
                spec.size.cpus_min = tasks * u32::from(per);
                spec.size.tasks_per_node = per_node;
                spec.size.memory = match memory {
                    0 => None,
                    1 => Some(Memory::PerCpu(700)),
                    2 => Some(Memory::PerNode(1_500)),
                    _ => Some(Memory::PerNode(0)),
                };
                (spec.size.nodes_min, spec.size.nodes_max) = (least, most);
                spec.sharing = alone.then_some(Sharing::Exclusive);
            });
        }
        snapshot
    })
}

/// Whether so many tasks fit on a node, written from the user's side and without rounding: the
/// nodes here have one thread per core.
fn fits(spec: &JobSpec, node: &NodeView, tasks: u32) -> bool {
    let alone = spec.sharing.is_some();
    if node.whole_node_taken || (alone && node.jobs > 0) {
        return false;
    }
    let needed = tasks * u32::from(spec.size.cpus_per_task.unwrap_or(1));
    let cpus = if alone { node.cpus } else { needed };
    let memory = spec.size.memory.map_or(node.memory_mb, |memory| match memory {
        Memory::PerNode(0) => node.memory_mb,
        Memory::PerNode(mb) => mb,
        Memory::PerCpu(mb) => mb * u64::from(cpus),
    });
    needed <= node.cpus
        && cpus <= node.cpus - node.cpus_used
        && memory <= node.memory_mb - node.memory_used_mb
        && tasks <= spec.size.tasks_per_node.map_or(u32::MAX, u32::from)
}

/// Whether any set of nodes with any spread of the tasks could take the job now.
pub(crate) fn could_start(spec: &JobSpec, nodes: &[NodeView]) -> bool {
    could_start_on(spec, nodes, u32::MAX, u32::MAX)
}

/// The same with so many nodes of such a weight at most.
fn could_start_on(spec: &JobSpec, nodes: &[NodeView], weight: u32, count: u32) -> bool {
    let most = spec.size.nodes_max.unwrap_or(u32::MAX).min(count);
    // Every node of a job has at least one task.
    let tasks = spec.size.tasks.unwrap_or(1).max(spec.size.nodes_min);
    (1u32..1 << nodes.len()).any(|set| {
        let chosen: Vec<&NodeView> = nodes
            .iter()
            .enumerate()
            .filter(|(at, node)| set & (1 << at) != 0 && node.usable && node.weight <= weight)
            .map(|(_, node)| node)
            .collect();
        let count = chosen.len() as u32;
        let right = count == set.count_ones() && count >= spec.size.nodes_min && count <= most;
        right && spreads(spec, &chosen, tasks)
    })
}

/// Whether the tasks can be spread over exactly these nodes, trying every count on each.
fn spreads(spec: &JobSpec, nodes: &[&NodeView], tasks: u32) -> bool {
    match nodes {
        [] => tasks == 0,
        [node, rest @ ..] => {
            (1..=tasks).any(|here| fits(spec, node, here) && spreads(spec, rest, tasks - here))
        }
    }
}

/// Lighter nodes would not have sufficed, and fewer as light would not either; of a range, more
/// could not be had.
fn judge_choice(nodes: &[NodeView], plan: &Plan, job: &JobView) {
    let start = plan.starts.iter().find(|start| start.job == job.id).expect("it starts");
    let of = |name: &NodeName| nodes.iter().find(|node| node.name == *name).expect("a real node");
    let weights = start.placements.iter().map(|part| of(&part.node).weight);
    let heaviest = weights.max().expect("some node");
    let count = start.placements.len() as u32;
    let tasks = job.spec.size.tasks.unwrap_or(1);
    if let Some(most) = job.spec.size.nodes_max.map(|most| most.min(tasks)) {
        let mut spec = (*job.spec).clone();
        spec.size.nodes_min = spec.size.nodes_min.max(most.min(count + 1));
        let wanted = spec.size.nodes_min;
        let more = wanted > count && could_start_on(&spec, nodes, u32::MAX, wanted);
        assert!(!more, "{wanted} nodes could be had");
        let lighter = count >= wanted && could_start_on(&spec, nodes, heaviest - 1, u32::MAX);
        assert!(!lighter, "lighter nodes suffice");
        return;
    }
    assert!(!could_start_on(&job.spec, nodes, heaviest - 1, u32::MAX), "lighter nodes suffice");
    assert!(!could_start_on(&job.spec, nodes, heaviest, count - 1), "fewer nodes suffice");
}

/// Takes over a start, checking that it breaks nothing.
fn occupy(nodes: &mut [NodeView], plan: &Plan, job: &JobView) {
    let start = plan.starts.iter().find(|start| start.job == job.id).expect("it starts");
    let mut cpus = 0;
    for part in &start.placements {
        let node = nodes.iter_mut().find(|node| node.name == part.node).expect("a real node");
        assert!(node.usable, "{} is out of service", node.name);
        assert!(!node.whole_node_taken, "{} is taken whole", node.name);
        assert!(!part.whole_node || node.jobs == 0, "{} is not empty", node.name);
        node.cpus_used += part.cpus;
        node.memory_used_mb += part.memory_mb;
        node.jobs += 1;
        node.whole_node_taken |= part.whole_node;
        assert!(node.cpus_used <= node.cpus, "{} has no such CPUs", node.name);
        assert!(node.memory_used_mb <= node.memory_mb, "{} has no such memory", node.name);
        cpus += part.cpus;
    }
    let count = start.placements.len() as u32;
    let size = &job.spec.size;
    assert!(cpus >= size.cpus_min, "job {} got too few CPUs", job.id);
    assert!(count >= size.nodes_min, "job {} got too few nodes", job.id);
    assert!(size.nodes_max.is_none_or(|most| count <= most), "job {} got too many nodes", job.id);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn jobs_start_exactly_as_a_search_of_all_placements_says(snapshot in snapshot()) {
        let plan = plan(&snapshot);
        let mut nodes = snapshot.nodes.clone();
        let mut empty = snapshot.nodes.clone();
        empty.iter_mut().for_each(NodeView::vacate);
        let mut blocked = false;
        for job in &snapshot.pending {
            let starts = plan.starts.iter().any(|start| start.job == job.id);
            let expected = !blocked && could_start(&job.spec, &nodes);
            prop_assert_eq!(starts, expected, "job {} of {:?}", job.id, &snapshot);
            if starts {
                judge_choice(&nodes, &plan, job);
                occupy(&mut nodes, &plan, job);
            } else {
                blocked |= could_start(&job.spec, &empty);
            }
        }
    }

    #[test]
    fn every_start_is_accepted_by_the_cluster(snapshot in snapshot()) {
        let (mut cluster, config) = replicated(&snapshot);
        for job in &snapshot.pending {
            let submit = Command::Submit {
                at: snapshot.now,
                key: None,
                by: flurm_model::Actor { uid: 1, privileged: false },
                spec: Box::new((*job.spec).clone()),
            };
            cluster.apply(&submit);
        }
        for _pass in 0..8 {
            let plan = plan(&Snapshot::of(&cluster, snapshot.now));
            let Some(command) = plan.command(snapshot.now) else { break };
            let wanted: Vec<JobId> = plan.starts.iter().map(|start| start.job).collect();
            match cluster.apply(&command).reply {
                Reply::Scheduled { started, refused } => {
                    prop_assert_eq!(refused, vec![], "{:?} on {:?}", &plan, &config);
                    prop_assert_eq!(started, wanted);
                }
                other => prop_assert!(false, "{:?}", other),
            }
            prop_assert_eq!(cluster.check(), Ok(()));
        }
    }

    #[test]
    fn the_same_snapshot_gives_the_same_plan(snapshot in snapshot()) {
        prop_assert_eq!(plan(&snapshot), plan(&snapshot.clone()));
    }
}

/// A real cluster with the snapshot's nodes, empty.
fn replicated(snapshot: &Snapshot) -> (Cluster, Config) {
    let node = |view: &NodeView| flurm_model::NodeConf {
        name: view.name.clone(),
        cpus: view.cpus,
        cores_per_socket: u16::try_from(view.cpus).expect("few"),
        real_memory_mb: view.memory_mb,
        weight: view.weight,
        ..flurm_model::NodeConf::default()
    };
    let nodes: Vec<flurm_model::NodeConf> = snapshot.nodes.iter().map(node).collect();
    let names: Vec<NodeName> = nodes.iter().map(|node| node.name.clone()).collect();
    let main = flurm_model::PartitionConf {
        name: "main".into(),
        nodes: names.clone(),
        is_default: true,
        ..flurm_model::PartitionConf::default()
    };
    let config = Config { nodes, partitions: vec![main], ..Config::default() };
    let mut cluster = Cluster::default();
    cluster.apply(&Command::Configure { at: Time(0), config: Box::new(config.clone()) });
    let views: BTreeMap<&NodeName, &NodeView> =
        snapshot.nodes.iter().map(|view| (&view.name, view)).collect();
    for node in names.iter().filter(|name| views[name].usable) {
        let view = views[node];
        let facts = flurm_model::NodeFacts {
            cpus: view.cpus,
            sockets: 1,
            cores_per_socket: u16::try_from(view.cpus).expect("few"),
            threads_per_core: 1,
            real_memory_mb: view.memory_mb,
            ..flurm_model::NodeFacts::default()
        };
        let (at, node, facts) = (Time(1), node.clone(), Box::new(facts));
        cluster.apply(&Command::NodeRegistered { at, node, facts, running: Vec::new() });
    }
    (cluster, config)
}

#[test]
fn an_idle_cluster_is_what_could_ever_be() {
    let mut small = cluster(&[4]);
    small.nodes[0].usable = false;
    let (real, _) = replicated(&small);
    let wants = |tasks| {
        let size = Size { tasks: Some(tasks), cpus_min: tasks, ..Size::default() };
        JobSpec { size, ..JobSpec::default() }
    };
    let main = ["main".into()];
    let idle = Snapshot::idle(&real, small.now);
    assert_eq!(feasible(&idle, &wants(4), &main), Ok(()), "the node is only out of service");
    assert!(feasible(&idle, &wants(5), &main).is_err());
    assert!(feasible(&Snapshot::of(&real, small.now), &wants(4), &main).is_ok());
}
