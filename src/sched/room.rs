//! Room that running jobs make for a job that comes before them.
//!
//! What is being given up already is counted first, and promised to one job only. Where it does not
//! suffice, the victims are as few, as low and as young as possible: one that suffices alone, or
//! those that do together, of which none could stay.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId, Time};
use flurm_model::{Cluster, NodeName, PartitionName, Rank, Ranks, ShareState};

use crate::NodeView;
use crate::demand::Demand;
use crate::place::place;
use crate::timeline::Placed;

/// How many victims are tried alone at most.
const ALONE_MAX: usize = 1_000;

/// A part of a node that a job has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
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

/// A job that runs and may have to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The job.
    pub job: JobId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// Where it stands.
    pub rank: Rank,
    /// `PriorityTier`, or the priority of its quality of service: lower ones make room first.
    pub worth: u32,
    /// When it started.
    pub start: Time,
    /// What it has.
    pub parts: Vec<Part>,
}

/// Who may have to make room. Empty without preemption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Who comes before whom.
    pub ranks: Ranks,
    /// `youngest_first`.
    pub youngest_first: bool,
    /// Those that may be told now, the first to go first.
    pub victims: Vec<Victim>,
    /// What jobs give up that end or were told to make room.
    pub going: Vec<Part>,
    /// When the next job has had its exempt time.
    pub again_at: Option<Time>,
}

impl Room {
    /// Who may have to make room in a cluster.
    pub fn of(cluster: &Cluster, now: Time) -> Self {
        let ranks = cluster.ranks();
        let mut room = Self { ranks, ..Self::default() };
        if room.ranks.is_off() {
            return room;
        }
        room.youngest_first = cluster.settings().preemption.youngest_first;
        let positions: BTreeMap<&NodeName, usize> =
            cluster.nodes().enumerate().map(|(at, node)| (&node.conf.name, at)).collect();
        for job in cluster.holding() {
            let Some(allocation) = &job.allocation else { continue };
            let told = job.making_room.is_some();
            let mut parts = Vec::new();
            for share in allocation.shares.iter().filter(|share| share.is_open()) {
                let Some(node) = positions.get(&share.node) else { continue };
                let gres = crate::snapshot::gres_counts(cluster, share);
                let (cpus, memory_mb) = (share.cpus, share.memory_mb);
                let part =
                    Part { node: *node, cpus, memory_mb, whole_node: share.whole_node, gres };
                match told || share.state != ShareState::Held {
                    true => room.going.push(part),
                    false => parts.push(part),
                }
            }
            let runs = job.base == flurm_model::JobBase::Running && !told;
            if !runs || cluster.preempt_mode(job).is_none() {
                continue;
            }
            let (Some(start), Some(from)) = (job.start, cluster.preemptable_from(job)) else {
                continue;
            };
            if from > now {
                room.again_at = Some(room.again_at.map_or(from, |at| at.min(from)));
                continue;
            }
            let rank = cluster.rank(job, &job.partition);
            let qos = cluster.qos(&rank.qos).map_or(0, |qos| qos.priority);
            let worth = if room.ranks.are_tiers() { u32::from(rank.tier) } else { qos };
            let (job, attempt) = (job.id, job.attempt);
            room.victims.push(Victim { job, attempt, rank, worth, start, parts });
        }
        room.sort();
        room
    }

    /// The first to go first.
    pub(crate) fn sort(&mut self) {
        let youngest_first = self.youngest_first;
        self.victims.sort_by_key(|one| {
            let worth = if youngest_first { 0 } else { one.worth };
            (worth, Reverse(one.start), Reverse(one.job))
        });
    }
}

/// Who makes room for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preempt {
    /// The job that waits.
    pub job: JobId,
    /// Its attempt.
    pub attempt: AttemptId,
    /// Where it is to start.
    pub partition: PartitionName,
    /// Who makes room.
    pub victims: Vec<(JobId, AttemptId)>,
}

/// The nodes as they will be when everything that goes is gone, but for what is promised.
pub(crate) struct Later {
    nodes: Vec<NodeView>,
    /// Partition, quality of service and demand that no victims suffice for: room only shrinks.
    hopeless: BTreeSet<(PartitionName, String, Demand)>,
}

impl Later {
    pub(crate) fn new(nodes: &[NodeView], room: &Room) -> Self {
        let mut later = Self { nodes: nodes.to_vec(), hopeless: BTreeSet::new() };
        room.going.iter().for_each(|part| give_back(&mut later.nodes, part));
        later
    }

    #[cfg(test)]
    pub(crate) fn into_nodes(self) -> Vec<NodeView> {
        self.nodes
    }

    /// Promises a place to a job.
    pub(crate) fn promise(&mut self, placed: &Placed) {
        for (at, part) in placed {
            let node = &mut self.nodes[*at];
            node.cpus_used = node.cpus_used.saturating_add(part.cpus);
            node.memory_used_mb = node.memory_used_mb.saturating_add(part.memory_mb);
            node.jobs += 1;
            node.whole_node_taken |= part.whole_node;
            node.take_gres(&part.gres);
        }
    }

    /// A place in what is being given up already.
    pub(crate) fn place(&self, demands: &[Demand], allowed: &[usize]) -> Option<Placed> {
        demands.iter().find_map(|demand| place(demand, &self.nodes, allowed))
    }

    /// Whether it was seen that no victims suffice.
    pub(crate) fn is_hopeless(&self, key: &(PartitionName, String, Demand)) -> bool {
        self.hopeless.contains(key)
    }

    /// Remembers that no victims suffice.
    pub(crate) fn give_up(&mut self, key: (PartitionName, String, Demand)) {
        self.hopeless.insert(key);
    }

    /// Victims that have to go so that a job finds a place: none of them could stay.
    pub(crate) fn victims<'r>(
        &mut self,
        demands: &[Demand],
        allowed: &[usize],
        room: &'r Room,
        rank: &Rank,
    ) -> Option<Vec<&'r Victim>> {
        let lower = |one: &&Victim| {
            let there = one.parts.iter().any(|part| allowed.binary_search(&part.node).is_ok());
            there && room.ranks.yields(&one.rank, rank)
        };
        let lower: Vec<&Victim> = room.victims.iter().filter(lower).collect();
        let mut suffices = |gone: &[&Victim]| self.suffices(demands, allowed, gone);
        if lower.is_empty() || !suffices(&lower) {
            return None;
        }
        if let Some(alone) = lower.iter().take(ALONE_MAX).find(|one| suffices(&[**one])) {
            return Some(vec![alone]);
        }
        // As many of the first ones as are needed.
        let (mut least, mut most) = (1, lower.len());
        while least < most {
            let middle = least + (most - least) / 2;
            match suffices(&lower[..middle]) {
                true => most = middle,
                false => least = middle + 1,
            }
        }
        let mut gone: Vec<&Victim> = lower[..most].to_vec();
        if !suffices(&gone) {
            gone = lower;
        }
        // Whoever can stay does, the most worthy first.
        for nth in (0..gone.len()).rev() {
            let mut fewer = gone.clone();
            fewer.remove(nth);
            if self.suffices(demands, allowed, &fewer) {
                gone = fewer;
            }
        }
        Some(gone)
    }

    /// Whether there is a place when these are gone.
    fn suffices(&mut self, demands: &[Demand], allowed: &[usize], gone: &[&Victim]) -> bool {
        let mut kept: BTreeMap<usize, NodeView> = BTreeMap::new();
        for part in gone.iter().flat_map(|one| &one.parts) {
            kept.entry(part.node).or_insert_with(|| self.nodes[part.node].clone());
            give_back(&mut self.nodes, part);
        }
        let fits = demands.iter().any(|demand| place(demand, &self.nodes, allowed).is_some());
        for (at, node) in kept {
            self.nodes[at] = node;
        }
        fits
    }
}

fn give_back(nodes: &mut [NodeView], part: &Part) {
    let node = &mut nodes[part.node];
    node.cpus_used = node.cpus_used.saturating_sub(part.cpus);
    node.memory_used_mb = node.memory_used_mb.saturating_sub(part.memory_mb);
    node.jobs = node.jobs.saturating_sub(1);
    // A job that keeps others off is alone there.
    node.whole_node_taken &= !part.whole_node;
    if node.jobs == 0 {
        node.tenants = flurm_model::Tenants::Nobody;
    }
    let taken = node.gres_used.iter_mut().zip(&part.gres);
    taken.for_each(|(used, less)| *used = used.saturating_sub(*less));
}
