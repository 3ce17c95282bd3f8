//! When a job would start, if every job runs as long as it may and nothing else comes.
//!
//! The planner is asked again and again, at each time at which a running job ends or a waiting one
//! may begin, and what it would start is put into a copy of the cluster.

use std::collections::BTreeMap;

use flurm_base::{JobId, Span, Time};
use flurm_model::{
    Cluster, Job, JobBase, JobSpec, Limit, NodeName, PartitionName, Placement, Share, Start,
};

use crate::{JobView, Leave, NodeView, Snapshot, plan};

/// How long a job without a time limit is taken to run, as Slurm shows it.
const UNLIMITED_RUN: Span = Span::secs(365 * 24 * 3600);
/// Looks at waiting jobs that one forecast may take: a forecast beyond it ignores those that wait.
const LOOKS_MAX: usize = 200_000;
/// Times that one forecast looks at, however few jobs wait.
const TIMES_MIN: usize = 50;
/// The number of a job that does not exist yet.
const NOT_YET: JobId = JobId(u32::MAX);

/// When and where a job would start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// When.
    pub start: Time,
    /// In which partition.
    pub partition: PartitionName,
    /// On what.
    pub placements: Vec<Placement>,
}

/// What takes room, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Occupant {
    job: JobId,
    parts: Vec<(usize, Placement)>,
    licenses: Vec<(String, u32)>,
}

/// The job whose start is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// One that waits.
    Waiting(JobId),
    /// One that might be submitted to these partitions: it would come last.
    New(&'a JobSpec, &'a [PartitionName]),
}

/// When and where a job would start; `None` when that cannot be foreseen, because nodes are out of
/// service, or because it is held or waits for other jobs.
pub fn forecast(cluster: &Cluster, now: Time, asked: Asked<'_>) -> Option<Forecast> {
    let mut snapshot = Snapshot::of(cluster, now);
    let job = match asked {
        Asked::Waiting(job) => job,
        Asked::New(spec, partitions) => {
            snapshot.pending.push(view_of(spec, partitions, now));
            NOT_YET
        }
    };
    let until = occupants(cluster, &snapshot);
    let looks = LOOKS_MAX / snapshot.pending.len().max(1);
    if looks >= TIMES_MIN {
        return Future { snapshot, until }.start_of(job, looks);
    }
    // Too many jobs wait: the first time at which there is room for it, if all others kept waiting.
    snapshot.pending.retain(|waiting| waiting.id == job);
    Future { snapshot, until }.start_of(job, LOOKS_MAX)
}

/// A job that comes last.
fn view_of(spec: &JobSpec, partitions: &[PartitionName], now: Time) -> JobView {
    JobView {
        id: NOT_YET,
        attempt: flurm_base::AttemptId(0),
        spec: std::sync::Arc::new(spec.clone()),
        priority: 0,
        priorities: Vec::new(),
        submit: now,
        hold: flurm_model::Hold::None,
        partitions: partitions.to_vec(),
        time_limit: spec.time_limit.unwrap_or(Limit::Unlimited),
        time_limit_fixed: false,
        reason: flurm_model::Reason::None,
        depends: None,
        tasks: 1,
        tasks_startable: 1,
    }
}

fn end_of(start: Time, limit: Limit) -> Time {
    match limit {
        Limit::Max(minutes) => start + Span::secs(u64::from(minutes) * 60),
        Limit::Unlimited => start + UNLIMITED_RUN,
    }
}

/// What holds room of a cluster, by the time until when it may.
fn occupants(cluster: &Cluster, snapshot: &Snapshot) -> BTreeMap<(Time, u64), Occupant> {
    let named = snapshot.nodes.iter().enumerate().map(|(at, node)| (&node.name, at));
    let places: BTreeMap<&NodeName, usize> = named.collect();
    let taken = |held: &flurm_model::GresHeld| flurm_model::GresTake {
        name: held.name.clone(),
        kind: held.kind.clone(),
        count: held.count,
    };
    let part = |share: &Share| {
        let placement = Placement {
            node: share.node.clone(),
            cpus: share.cpus,
            memory_mb: share.memory_mb,
            tasks: share.tasks,
            whole_node: share.whole_node,
            gres: share.gres.iter().map(taken).collect(),
        };
        places.get(&share.node).map(|at| (*at, placement))
    };
    let occupant = |(nth, job): (u64, &Job)| {
        let shares = job.allocation.iter().flat_map(|all| &all.shares);
        let parts = shares.filter(|share| share.is_open()).filter_map(part).collect();
        // What has run over its time, or is being ended, is about to go.
        let soon = snapshot.now + Span::secs(1);
        let until = match job.base {
            JobBase::Running => {
                let unlimited = || end_of(job.start.unwrap_or(snapshot.now), Limit::Unlimited);
                job.time_limit_end().unwrap_or_else(unlimited)
            }
            _ => soon,
        };
        ((until.max(soon), nth), Occupant { job: job.id, parts, licenses: job.licenses.clone() })
    };
    let holding = cluster.holding().filter(|job| job.base != JobBase::Suspended);
    (0..).zip(holding).map(occupant).collect()
}

/// A cluster as it will be.
struct Future {
    snapshot: Snapshot,
    /// What takes room, by the time until when; the second number tells those of one time apart.
    until: BTreeMap<(Time, u64), Occupant>,
}

impl Future {
    fn start_of(mut self, job: JobId, times_max: usize) -> Option<Forecast> {
        for _ in 0..times_max {
            self.tell_leaves();
            let plan = plan(&self.snapshot);
            if let Some(start) = plan.starts.iter().find(|start| start.job == job) {
                let Start { partition, placements, .. } = start.clone();
                return Some(Forecast { start: self.snapshot.now, partition, placements });
            }
            for start in plan.starts {
                self.start(start);
            }
            self.advance()?;
        }
        None
    }

    /// Tells the planner until when there is no room.
    fn tell_leaves(&mut self) {
        let nodes = &self.snapshot.nodes;
        let leave = |at: Time, node: usize, part: &Placement| Leave {
            at,
            node,
            cpus: part.cpus,
            memory_mb: part.memory_mb,
            whole_node: part.whole_node,
            gres: nodes[node].gres_counts(&part.gres),
        };
        let mut leaves = Vec::new();
        for ((at, _), occupant) in &self.until {
            let parts = occupant.parts.iter().map(|(node, part)| leave(*at, *node, part));
            leaves.extend(parts);
        }
        self.snapshot.leaves = leaves;
    }

    fn start(&mut self, start: Start) {
        let Some(at) = self.snapshot.pending.iter().position(|job| job.id == start.job) else {
            return;
        };
        let job = &self.snapshot.pending[at];
        let limit = start.time_limit.map_or(job.time_limit, Limit::Max);
        let end = end_of(self.snapshot.now, limit);
        let uid = job.spec.uid;
        let closed = job.spec.sharing == Some(flurm_model::Sharing::User)
            || self.snapshot.partition(&start.partition).is_some_and(|one| one.conf.exclusive_user);
        let job = &mut self.snapshot.pending[at];
        let licenses = self.snapshot.licenses.choose(&job.spec).unwrap_or_default();
        self.snapshot.licenses.take(&licenses);
        job.tasks -= 1;
        job.tasks_startable = job.tasks_startable.saturating_sub(1);
        if job.tasks == 0 {
            self.snapshot.pending.remove(at);
        }
        let mut parts = Vec::with_capacity(start.placements.len());
        for part in start.placements {
            let place = self.snapshot.nodes.iter().position(|node| node.name == part.node);
            let place = place.expect("the planner places on nodes of its snapshot");
            let node = &mut self.snapshot.nodes[place];
            node.cpus_used += part.cpus;
            node.memory_used_mb += part.memory_mb;
            node.jobs += 1;
            node.whole_node_taken |= part.whole_node;
            node.tenants = node.tenants.with(uid, closed);
            node.take_gres(&part.gres);
            parts.push((place, part));
        }
        let nth = u64::MAX - self.until.len() as u64;
        self.until.insert((end, nth), Occupant { job: start.job, parts, licenses });
    }

    /// Goes on to the next time at which something changes; `None` when nothing will.
    fn advance(&mut self) -> Option<()> {
        let now = self.snapshot.now;
        let begins = self.snapshot.pending.iter().filter_map(|job| job.spec.begin);
        let begin = begins.filter(|begin| *begin > now).min();
        let end = self.until.first_key_value().map(|((at, _), _)| *at);
        let next = begin.into_iter().chain(end).min()?;
        self.snapshot.now = next;
        while let Some(entry) = self.until.first_entry() {
            if entry.key().0 > next {
                break;
            }
            let gone = entry.remove();
            for (place, part) in &gone.parts {
                leave(&mut self.snapshot.nodes[*place], part);
            }
            self.snapshot.licenses.give_back(&gone.licenses);
            let array = self.snapshot.pending.iter_mut().find(|job| job.id == gone.job);
            if let Some(array) = array {
                array.tasks_startable = (array.tasks_startable + 1).min(array.tasks);
            }
        }
        Some(())
    }
}

fn leave(node: &mut NodeView, part: &Placement) {
    node.cpus_used = node.cpus_used.saturating_sub(part.cpus);
    node.memory_used_mb = node.memory_used_mb.saturating_sub(part.memory_mb);
    node.jobs = node.jobs.saturating_sub(1);
    node.whole_node_taken &= !part.whole_node;
    if node.jobs == 0 {
        node.tenants = flurm_model::Tenants::Nobody;
    }
    node.give_back_gres(&part.gres);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{NOW, add_job, cluster};

    fn future(snapshot: Snapshot) -> Future {
        Future { snapshot, until: BTreeMap::new() }
    }

    fn after(forecast: Option<Forecast>) -> Option<u64> {
        forecast.map(|forecast| forecast.start.since(NOW).as_secs() / 60)
    }

    #[test]
    fn jobs_start_one_after_the_other() {
        let mut s = cluster(&[4]);
        for time in [10, 20, 30] {
            add_job(&mut s, 4, |job, _| job.time_limit = Limit::Max(time));
        }
        let start = |id| after(future(s.clone()).start_of(JobId(id), 100));
        assert_eq!([1, 2, 3, 4].map(start), [Some(0), Some(10), Some(30), None]);
    }

    #[test]
    fn a_begin_time_is_waited_for_and_a_hold_has_no_end() {
        let mut s = cluster(&[4]);
        add_job(&mut s, 1, |_, spec| spec.begin = Some(NOW + Span::secs(300)));
        add_job(&mut s, 1, |job, _| job.hold = flurm_model::Hold::User);
        let start = |id| after(future(s.clone()).start_of(JobId(id), 100));
        assert_eq!([1, 2].map(start), [Some(5), None]);
    }

    #[test]
    fn what_takes_room_leaves_when_its_time_is_over() {
        let mut s = cluster(&[4, 4]);
        add_job(&mut s, 8, |_, _| {});
        s.nodes[1].cpus_used = 4;
        s.nodes[1].jobs = 1;
        let node = s.nodes[1].name.clone();
        let part =
            Placement { node, cpus: 4, memory_mb: 0, tasks: 1, whole_node: false, gres: vec![] };
        let mut future = future(s);
        let occupant = Occupant { job: JobId(9), parts: vec![(1, part)], licenses: Vec::new() };
        future.until.insert((NOW + Span::secs(420), 0), occupant);
        assert_eq!(after(future.start_of(JobId(1), 100)), Some(7));
    }

    #[test]
    fn a_job_that_does_not_exist_yet_comes_last() {
        let mut s = cluster(&[4]);
        add_job(&mut s, 4, |_, _| {});
        let spec = flurm_model::JobSpec::default();
        s.pending.push(view_of(&spec, &[PartitionName::from("main")], NOW));
        assert_eq!(after(future(s).start_of(NOT_YET, 100)), Some(10));
    }
}
