//! What is planned ahead, in sentences, and against a reference that looks at every minute.

use std::collections::BTreeMap;

use flurm_base::{JobId, Span, Time};
use flurm_model::{
    Limit, Memory, NodeName, PartitionName, Placement, Reservation, Select, SelectUnit,
};
use proptest::prelude::*;

use crate::demand::Demand;
use crate::gate::Gate;
use crate::kit::{NOW, add_job, add_partition, cluster, line};
use crate::reference_tests::could_start;
use crate::timeline::Timeline;
use crate::{JobView, Leave, NodeView, Plan, Snapshot, plan};

fn minutes(minutes: u64) -> Span {
    Span::secs(minutes * 60)
}

/// Takes CPUs of a node until so many minutes have passed.
fn occupy(snapshot: &mut Snapshot, node: usize, cpus: u32, until: u64) {
    let memory_mb = u64::from(cpus);
    let view = &mut snapshot.nodes[node];
    view.cpus_used += cpus;
    view.memory_used_mb += memory_mb;
    view.jobs += 1;
    let at = NOW + minutes(until);
    snapshot.leaves.push(Leave { at, node, cpus, memory_mb, whole_node: false, gres: vec![] });
}

/// `1@10:n1,n2` for each job with a forecast: minutes from now, and nodes.
fn forecasts(plan: &Plan) -> String {
    let one = |(job, forecast): (&JobId, &crate::Planned)| {
        let nodes: Vec<&str> = forecast.nodes.iter().map(|name| name.as_str()).collect();
        format!("{}@{}:{}", job.0, forecast.start.since(NOW).as_secs() / 60, nodes.join(","))
    };
    plan.planned.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn backfilled(cpus: &[u32]) -> Snapshot {
    Snapshot { planned_max: 100, ..cluster(cpus) }
}

fn limit(minutes: u32) -> impl Fn(&mut JobView, &mut flurm_model::JobSpec) {
    move |job, _| job.time_limit = Limit::Max(minutes)
}

#[test]
fn a_job_takes_the_most_time_that_the_gap_has_and_no_less_than_it_needs() {
    let mut s = backfilled(&[4]);
    occupy(&mut s, 0, 2, 10);
    add_job(&mut s, 4, limit(5));
    for least in [None, Some(11), Some(3)] {
        add_job(&mut s, 1, |job, spec| (job.time_limit, spec.time_min) = (Limit::Max(60), least));
    }
    let plan = plan(&s);
    let starts: Vec<_> = plan.starts.iter().map(|start| (start.job.0, start.time_limit)).collect();
    assert_eq!(starts, [(4, Some(10))]);
}

#[test]
fn a_short_job_fills_the_gap_before_the_top_job() {
    let mut s = backfilled(&[4]);
    occupy(&mut s, 0, 2, 10);
    add_job(&mut s, 4, limit(5));
    add_job(&mut s, 1, limit(11));
    add_job(&mut s, 1, limit(10));
    add_job(&mut s, 1, limit(1));
    add_job(&mut s, 1, limit(1));
    assert_eq!(line(&s), "1=Resources, 2=Priority, 3=n1:1, 4=n1:1, 5=Priority");
    assert_eq!(forecasts(&plan(&s)), "1@10:n1 2@15:n1 5@1:n1");
}

#[test]
fn without_backfill_nothing_overtakes() {
    let mut s = backfilled(&[4]);
    s.planned_max = 0;
    occupy(&mut s, 0, 2, 10);
    add_job(&mut s, 4, limit(5));
    add_job(&mut s, 1, limit(1));
    assert_eq!(line(&s), "1=Resources, 2=Priority");
    assert_eq!(forecasts(&plan(&s)), "");
}

#[test]
fn jobs_may_run_over_their_limit_where_the_site_says_so() {
    let mut s = backfilled(&[4]);
    s.over_time_limit = Limit::Max(2);
    occupy(&mut s, 0, 2, 10);
    add_job(&mut s, 4, limit(5));
    add_job(&mut s, 1, limit(9));
    add_job(&mut s, 1, limit(8));
    assert_eq!(line(&s), "1=Resources, 2=Priority, 3=n1:1");
    s.over_time_limit = Limit::Unlimited;
    assert_eq!(line(&s), "1=Resources, 2=Priority, 3=Priority");
}

#[test]
fn a_job_without_an_end_is_never_in_front_of_a_planned_one() {
    let mut s = backfilled(&[4, 4]);
    occupy(&mut s, 0, 4, 10);
    add_job(&mut s, 8, |job, spec| {
        spec.size.nodes_min = 2;
        job.time_limit = Limit::Unlimited;
    });
    add_job(&mut s, 1, |job, _| job.time_limit = Limit::Unlimited);
    assert_eq!(line(&s), "1=Resources, 2=Priority");
    assert_eq!(forecasts(&plan(&s)), "1@10:n1,n2", "after a job without an end comes nothing");
}

#[test]
fn a_planned_start_is_given_back_when_another_partition_has_room() {
    let mut s = backfilled(&[2, 2]);
    add_partition(&mut s, "side", [1], |_| {});
    s.partitions[0].nodes = vec![0];
    occupy(&mut s, 0, 1, 10);
    let both = ["main", "side"].map(PartitionName::from).to_vec();
    add_job(&mut s, 2, |job, _| job.partitions = both);
    add_job(&mut s, 1, limit(60));
    assert_eq!(line(&s), "1=n2:2, 2=n1:1");
}

#[test]
fn a_job_is_planned_where_it_starts_first() {
    let mut s = backfilled(&[2, 2]);
    add_partition(&mut s, "side", [1], |_| {});
    s.partitions[0].nodes = vec![0];
    occupy(&mut s, 0, 2, 10);
    occupy(&mut s, 1, 2, 5);
    let both = ["main", "side"].map(PartitionName::from).to_vec();
    add_job(&mut s, 2, |job, _| job.partitions = both);
    assert_eq!(forecasts(&plan(&s)), "1@5:n2");
}

#[test]
fn a_plan_that_begins_where_a_window_ended_is_seen_by_the_next_window() {
    let mut s = backfilled(&[1, 3]);
    occupy(&mut s, 1, 1, 6);
    let mut timeline = Timeline::new(&s);
    let part = |at: usize| {
        let node = s.nodes[at].name.clone();
        vec![(
            at,
            Placement {
                node,
                cpus: 1,
                memory_mb: 1,
                tasks: 1,
                whole_node: false,
                gres: Vec::new(),
            },
        )]
    };
    timeline.book(NOW + minutes(12), minutes(2), part(0), (1, false));
    timeline.book(NOW, minutes(5), part(1), (1, false));
    add_job(&mut s, 4, |_, _| {});
    let conf = s.partitions[0].conf.clone();
    let demand = Demand::of(&s.pending[0].spec, &conf, s.select).pop().expect("no constraint");
    let found = timeline.earliest(
        &demand,
        &[0, 1],
        minutes(7),
        NOW,
        &Gate::new(&[], &s.pending[0].spec, Limit::Unlimited),
    );
    assert_eq!(found.map(|(from, _)| from), Some(NOW + minutes(14)));
}

fn reserved(node: &str, from: u64, until: u64) -> Reservation {
    Reservation {
        name: "r".into(),
        start: NOW + minutes(from),
        end: NOW + minutes(until),
        flags: 0,
        nodes: vec![NodeName::from(node)],
        nodes_wanted: 0,
        partition: None,
        users: vec!["somebody".into()],
        accounts: Vec::new(),
        comment: None,
    }
}

#[test]
fn starts_are_planned_around_reservations() {
    let mut s = backfilled(&[2, 2]);
    occupy(&mut s, 0, 2, 10);
    s.reservations = vec![reserved("n2", 15, 40)];
    add_job(&mut s, 4, limit(10));
    add_job(&mut s, 2, limit(5));
    add_job(&mut s, 2, limit(20));
    assert_eq!(forecasts(&plan(&s)), "1@40:n1,n2 3@10:n1", "it would run into the reservation");
    assert_eq!(plan(&s).starts[0].job, JobId(2), "this one is over before");
}

#[test]
fn so_many_jobs_are_planned_ahead_and_no_more() {
    let mut s = backfilled(&[1]);
    s.planned_max = 2;
    occupy(&mut s, 0, 1, 10);
    for _ in 0..4 {
        add_job(&mut s, 1, limit(10));
    }
    assert_eq!(forecasts(&plan(&s)), "1@10:n1 2@20:n1");
    assert_eq!(line(&s), "1=Resources, 2=Priority, 3=Priority, 4=Priority");
}

#[test]
fn tasks_of_an_array_are_planned_one_after_the_other() {
    let mut s = backfilled(&[1]);
    occupy(&mut s, 0, 1, 10);
    add_job(&mut s, 1, |job, _| (job.tasks, job.tasks_startable) = (3, 3));
    add_job(&mut s, 1, limit(10));
    assert_eq!(forecasts(&plan(&s)), "1@10:n1 2@40:n1");
}

/// A short life of a cluster: jobs that end earlier than they may, planned again at each event.
fn live(snapshot: &mut Snapshot, lengths: &[u64]) -> Result<(), TestCaseError> {
    let mut running: Vec<(Time, Vec<Placement>, Time)> = Vec::new();
    let mut promised: BTreeMap<JobId, Time> = BTreeMap::new();
    while !snapshot.pending.is_empty() {
        let plan = plan(snapshot);
        let top = snapshot.pending[0].id;
        for start in &plan.starts {
            let job = snapshot.pending.iter().position(|job| job.id == start.job);
            let job = snapshot.pending.remove(job.expect("it waited"));
            if let Some(promise) = promised.get(&job.id) {
                prop_assert!(snapshot.now <= *promise, "job {} was delayed", job.id.0);
            }
            let Limit::Max(most) = job.time_limit else { unreachable!("all have limits") };
            let real = lengths[job.id.0 as usize % lengths.len()].min(u64::from(most));
            let ends = snapshot.now + minutes(real);
            let parts = start.placements.clone();
            running.push((ends, parts, snapshot.now + minutes(u64::from(most))));
        }
        if let Some(forecast) = plan.planned.get(&top) {
            let promise = promised.entry(top).or_insert(forecast.start);
            prop_assert!(forecast.start <= *promise, "the top job {} was put off", top.0);
            *promise = forecast.start;
        }
        let Some(next) = running.iter().map(|(ends, ..)| *ends).min() else { break };
        snapshot.now = next;
        running.retain(|(ends, ..)| *ends > next);
        show(snapshot, &running);
    }
    prop_assert!(snapshot.pending.is_empty(), "an empty cluster starts nothing");
    Ok(())
}

fn show(snapshot: &mut Snapshot, running: &[(Time, Vec<Placement>, Time)]) {
    snapshot.leaves.clear();
    snapshot.nodes.iter_mut().for_each(NodeView::vacate);
    for (_, parts, at) in running {
        for part in parts {
            let node = snapshot.nodes.iter().position(|node| node.name == part.node);
            let node = node.expect("jobs run on nodes");
            let Placement { cpus, memory_mb, whole_node, .. } = *part;
            let view = &mut snapshot.nodes[node];
            view.cpus_used += cpus;
            view.memory_used_mb += memory_mb;
            view.jobs += 1;
            view.whole_node_taken |= whole_node;
            snapshot.leaves.push(Leave {
                at: *at,
                node,
                cpus,
                memory_mb,
                whole_node,
                gres: vec![],
            });
        }
    }
}

/// Bookings of single nodes: node, CPUs, first minute, minutes.
type Booked = Vec<(usize, u32, u64, u64)>;

/// The nodes with the most that is taken of each in `from..from + length`, minute by minute.
fn naive(snapshot: &Snapshot, booked: &Booked, from: u64, length: u64) -> Vec<NodeView> {
    let mut nodes = snapshot.nodes.clone();
    for (at, node) in nodes.iter_mut().enumerate() {
        let moments = (from..from + length).map(|minute| {
            let time = NOW + minutes(minute);
            let left = snapshot.leaves.iter().filter(|leave| leave.node == at && leave.at <= time);
            let left: Vec<&Leave> = left.collect();
            let here = booked.iter().filter(|(node, _, first, many)| {
                *node == at && (*first..first + many).contains(&minute)
            });
            let here: u32 = here.map(|(_, cpus, ..)| *cpus).sum();
            let cpus = node.cpus_used - left.iter().map(|leave| leave.cpus).sum::<u32>() + here;
            let memory =
                node.memory_used_mb - left.iter().map(|leave| leave.memory_mb).sum::<u64>();
            let jobs = node.jobs - left.len() as u32 + u32::from(here > 0);
            (cpus, memory + u64::from(here), jobs)
        });
        let moments: Vec<(u32, u64, u32)> = moments.collect();
        node.cpus_used = moments.iter().map(|moment| moment.0).max().unwrap_or(0);
        node.memory_used_mb = moments.iter().map(|moment| moment.1).max().unwrap_or(0);
        node.jobs = moments.iter().map(|moment| moment.2).max().unwrap_or(0);
    }
    nodes
}

proptest! {
    #[test]
    fn the_top_job_is_never_delayed(
        cpus in prop::collection::vec(1u32..5, 1..4),
        jobs in prop::collection::vec((1u32..7, 1u32..20, 1u32..3, any::<bool>()), 1..14),
        lengths in prop::collection::vec(1u64..20, 1..5),
        planned_max in 1u32..5,
    ) {
        let mut snapshot = Snapshot { planned_max, ..cluster(&cpus) };
        let total: u32 = cpus.iter().sum();
        for (tasks, most, nodes, alone) in jobs {
            add_job(&mut snapshot, tasks.min(total), |job, spec| {
                job.time_limit = Limit::Max(most);
                spec.size.nodes_min = nodes.min(cpus.len() as u32);
                spec.sharing = (alone && tasks < 3).then_some(flurm_model::Sharing::Exclusive);
            });
        }
        live(&mut snapshot, &lengths)?;
    }

    #[test]
    fn the_earliest_interval_is_the_one_that_looking_at_every_minute_finds(
        cpus in prop::collection::vec(1u32..5, 1..4),
        runs in prop::collection::vec((0usize..3, 1u32..3, 1u64..12), 0..6),
        wanted in prop::collection::vec((0usize..3, 1u32..3, 0u64..20, 1u64..8), 0..5),
        (tasks, nodes, length, alone) in (1u32..7, 1u32..4, 1u64..9, any::<bool>()),
    ) {
        let mut snapshot = backfilled(&cpus);
        for (node, cpus, until) in runs {
            let node = node % snapshot.nodes.len();
            if snapshot.nodes[node].cpus_used + cpus <= snapshot.nodes[node].cpus {
                occupy(&mut snapshot, node, cpus, until);
            }
        }
        let mut timeline = Timeline::new(&snapshot);
        let mut booked = Booked::new();
        for (node, cpus, first, many) in wanted {
            let node = node % snapshot.nodes.len();
            let there = &naive(&snapshot, &booked, first, many)[node];
            if there.cpus_used + cpus <= there.cpus {
                let name: NodeName = there.name.clone();
                let part = Placement { node: name, cpus, memory_mb: u64::from(cpus), tasks: 1, whole_node: false, gres: Vec::new() };
                timeline.book(NOW + minutes(first), minutes(many), vec![(node, part)], (1, false));
                booked.push((node, cpus, first, many));
            }
        }
        let id = add_job(&mut snapshot, tasks, |_, spec| {
            spec.size.nodes_min = nodes;
            spec.size.memory = Some(Memory::PerNode(1));
            spec.sharing = alone.then_some(flurm_model::Sharing::Exclusive);
        });
        let job = snapshot.pending.iter().find(|job| job.id == id).expect("it was added");
        let conf = snapshot.partitions[0].conf.clone();
        let select = Select { unit: SelectUnit::Core, memory: true };
        let demand = Demand::of(&job.spec, &conf, select).pop().expect("it has no constraint");
        let gate = Gate::new(&[], &job.spec, Limit::Unlimited);
        let found = timeline.earliest(&demand, &snapshot.partitions[0].nodes, minutes(length), NOW, &gate);
        let expected = (0..60).find(|from| could_start(&job.spec, &naive(&snapshot, &booked, *from, length)));
        prop_assert_eq!(found.map(|(from, _)| from.since(NOW).as_secs() / 60), expected);
    }
}
