//! Generic resources: who gets them, against a reference that tries everything.

use std::sync::Arc;

use flurm_base::Span;
use flurm_model::{GresPart, JobSpec};
use proptest::prelude::*;

use crate::kit::{NOW, add_job, cluster, told};
use crate::{Leave, NodeView, Snapshot, plan};

fn gpus(node: &mut NodeView, parts: &str, used: &[u64]) {
    node.gres = Some(GresPart::of_node(Some(parts), None).into());
    node.gres_used = used.to_vec();
}

fn two_nodes() -> Snapshot {
    let mut snapshot = cluster(&[4, 4]);
    for node in &mut snapshot.nodes {
        gpus(node, "gpu:tesla:2,gpu:kepler:2,net:3", &[0, 0, 0]);
    }
    snapshot
}

fn wants(snapshot: &mut Snapshot, tasks: u32, change: impl FnOnce(&mut JobSpec)) {
    add_job(snapshot, tasks, |_, spec| change(spec));
}

fn amounts(snapshot: &Snapshot) -> Vec<Vec<(String, u64)>> {
    let of = |part: &flurm_model::Placement| {
        let take = |take: &flurm_model::GresTake| {
            (take.kind.clone().unwrap_or_else(|| take.name.clone()), take.count)
        };
        part.gres.iter().map(take).collect()
    };
    let starts = plan(snapshot).starts;
    starts.iter().flat_map(|start| &start.placements).map(of).collect()
}

fn list(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn types_are_kept_apart_and_any_type_will_do() {
    let mut s = two_nodes();
    wants(&mut s, 1, |spec| spec.requests.tres_per_node = Some("gpu:kepler:1,net:2".into()));
    wants(&mut s, 1, |spec| spec.requests.tres_per_node = Some("gres:gpu:3".into()));
    wants(&mut s, 1, |spec| spec.requests.tres_per_node = Some("gres/net:2".into()));
    let [first, second, third] = &amounts(&s)[..] else { panic!("three start") };
    assert_eq!(*first, list(&[("kepler", 1), ("net", 2)]));
    assert_eq!(*second, list(&[("tesla", 2), ("kepler", 1)]));
    assert_eq!(*third, list(&[("net", 2)]));
    assert_eq!(told(&plan(&s))[&3], "n2:1", "the first has no two left");
}

#[test]
fn a_total_takes_as_few_nodes_as_have_it() {
    let total = |text: &str, least: u32| {
        let mut s = two_nodes();
        wants(&mut s, 1, |spec| {
            spec.requests.tres_per_job = Some(text.into());
            spec.size.nodes_min = least;
        });
        let sums: Vec<u64> = amounts(&s).iter().map(|a| a.iter().map(|(_, n)| n).sum()).collect();
        sums
    };
    assert_eq!(total("gpu:3", 1), [3]);
    assert_eq!(total("gpu:6", 1), [4, 2]);
    assert_eq!(total("gpu:3", 2), [2, 1]);
    assert_eq!(total("gpu:kepler:4", 1), [2, 2]);
    assert_eq!(total("gpu:9", 1), [0; 0]);
}

#[test]
fn cpus_and_memory_come_with_each() {
    let mut s = two_nodes();
    wants(&mut s, 1, |spec| {
        spec.requests.tres_per_job = Some("gpu:2".into());
        spec.requests.cpus_per_tres = Some("gpu:2".into());
        spec.requests.mem_per_tres = Some("gpu:100".into());
        spec.size.memory = None;
    });
    let starts = plan(&s).starts;
    let part = &starts[0].placements[0];
    assert_eq!((part.cpus, part.memory_mb), (4, 200));
}

#[test]
fn who_has_a_node_to_itself_has_all_of_it() {
    let mut s = two_nodes();
    wants(&mut s, 1, |spec| spec.sharing = Some(flurm_model::Sharing::Exclusive));
    assert_eq!(amounts(&s), [list(&[("tesla", 2), ("kepler", 2), ("net", 3)])]);
}

#[test]
fn what_is_planned_ahead_keeps_its_devices() {
    let mut s = two_nodes();
    s.planned_max = 10;
    for at in 0..2 {
        gpus(&mut s.nodes[at], "gpu:4", &[3]);
        (s.nodes[at].cpus_used, s.nodes[at].jobs) = (1, 1);
    }
    let at = NOW + Span::secs(300);
    s.leaves.push(Leave { at, node: 0, cpus: 1, memory_mb: 0, whole_node: false, gres: vec![3] });
    // The first waits five minutes for n1; whoever needs a device there longer must not delay it.
    wants(&mut s, 1, |spec| spec.requests.tres_per_node = Some("gpu:4".into()));
    wants(&mut s, 1, |spec| spec.requests.tres_per_node = Some("gpu:1".into()));
    wants(&mut s, 1, |spec| spec.requests.tres_per_node = Some("gpu:1".into()));
    let plan = plan(&s);
    let told = told(&plan);
    assert_eq!((told[&1].as_str(), told[&2].as_str()), ("Resources", "n2:1"));
    assert_eq!(told[&3], "Priority", "the one that is free on n1 is planned for");
    assert_eq!(plan.planned[&flurm_base::JobId(1)].start, at);
}

/// Tasks, kind of wish, its count, the device it names, nodes at least, nodes at most.
type JobShape = (u32, u8, u64, u8, u32, Option<u32>);

fn job_shape() -> impl Strategy<Value = JobShape> {
    (1u32..4, 0u8..3, 1u64..5, 0u8..3, 1u32..3, prop::option::of(1u32..4))
        .prop_map(|(t, k, c, d, least, most)| (t, k, c, d, least, most.map(|m| m.max(least))))
}

const NAMES: [&str; 3] = ["gpu", "gpu:a", "gpu:b"];

fn world() -> impl Strategy<Value = Snapshot> {
    let node = (1u32..5, 0u64..3, 0u64..3, 0u64..3, 0u64..3, 0u32..4);
    let nodes = prop::collection::vec(node, 1..5);
    (nodes, prop::collection::vec(job_shape(), 1..5)).prop_map(|(nodes, jobs)| {
        let mut snapshot = cluster(&nodes.iter().map(|node| node.0).collect::<Vec<_>>());
        for (view, (cpus, a, b, used_a, used_b, used)) in snapshot.nodes.iter_mut().zip(&nodes) {
            gpus(view, &format!("gpu:a:{a},gpu:b:{b}"), &[*used_a.min(a), *used_b.min(b)]);
            view.cpus_used = (*used).min(*cpus);
            view.jobs = view.cpus_used;
        }
        for (tasks, kind, count, device, least, most) in jobs {
            wants(&mut snapshot, tasks, |spec| {
                let text = Some(format!("{}:{count}", NAMES[usize::from(device)]));
                let requests = &mut spec.requests;
                match kind {
                    0 => requests.tres_per_node = text,
                    1 => requests.tres_per_task = text,
                    _ => requests.tres_per_job = text,
                }
                (spec.size.nodes_min, spec.size.nodes_max) = (least, most);
            });
        }
        snapshot
    })
}

/// How many devices like that are free on a node.
fn free(node: &NodeView, device: usize) -> u64 {
    let parts: &[GresPart] = node.gres.as_deref().unwrap_or_default();
    let each = parts.iter().zip(&node.gres_used);
    let like = each.filter(|(part, _)| match device {
        0 => true,
        1 => part.kind.as_deref() == Some("a"),
        _ => part.kind.as_deref() == Some("b"),
    });
    like.map(|(part, used)| part.count - used).sum()
}

/// Whether any set of nodes with any spread could take the job.
fn could_start(shape: &JobShape, nodes: &[NodeView]) -> bool {
    let (tasks, kind, count, device, least, most) = *shape;
    (1u32..1 << nodes.len()).any(|set| {
        let chosen: Vec<&NodeView> = nodes
            .iter()
            .enumerate()
            .filter(|(at, _)| set & (1 << at) != 0)
            .map(|(_, n)| n)
            .collect();
        let size = chosen.len() as u32;
        let total = if kind == 2 { count } else { 0 };
        size >= least
            && most.is_none_or(|most| size <= most)
            && spreads(&chosen, tasks.max(size).max(least), total, kind, count, usize::from(device))
    })
}

fn spreads(
    nodes: &[&NodeView],
    tasks: u32,
    total: u64,
    kind: u8,
    count: u64,
    device: usize,
) -> bool {
    let [node, rest @ ..] = nodes else { return tasks == 0 && total == 0 };
    let cpus = node.cpus - node.cpus_used;
    (1..=tasks.min(cpus)).any(|here| {
        let has = free(node, device);
        match kind {
            0 => count <= has && spreads(rest, tasks - here, 0, kind, count, device),
            1 => {
                count * u64::from(here) <= has
                    && spreads(rest, tasks - here, 0, kind, count, device)
            }
            _ => (1..=total.min(has))
                .any(|part| spreads(rest, tasks - here, total - part, kind, count, device)),
        }
    })
}

fn shape_of(spec: &JobSpec) -> JobShape {
    let requests = &spec.requests;
    let texts = [&requests.tres_per_node, &requests.tres_per_task, &requests.tres_per_job];
    let kind = texts.iter().position(|text| text.is_some()).expect("each wants some");
    let text = texts[kind].as_deref().expect("it was there");
    let (name, count) = text.rsplit_once(':').expect("a count");
    let device = NAMES.iter().position(|known| *known == name).expect("a known name");
    let size = &spec.size;
    let count = count.parse().expect("a number");
    (size.tasks.unwrap_or(1), kind as u8, count, device as u8, size.nodes_min, size.nodes_max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_is_given_twice_and_the_first_job_starts_if_it_can(snapshot in world()) {
        let plan = plan(&snapshot);
        let mut nodes = snapshot.nodes.clone();
        for start in &plan.starts {
            for part in &start.placements {
                let node = nodes.iter_mut().find(|node| node.name == part.node).expect("real");
                node.take_gres(&part.gres);
                node.cpus_used += part.cpus;
                let parts: Arc<[GresPart]> = node.gres.clone().expect("all have some");
                for (part, used) in parts.iter().zip(&node.gres_used) {
                    prop_assert!(*used <= part.count, "{} is given twice", node.name);
                }
                prop_assert!(node.cpus_used <= node.cpus);
            }
        }
        let first = &snapshot.pending[0];
        let starts = plan.starts.iter().any(|start| start.job == first.id);
        prop_assert_eq!(starts, could_start(&shape_of(&first.spec), &snapshot.nodes));
    }
}
