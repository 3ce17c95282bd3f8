//! What a job's priority is made of (`PriorityType=priority/multifactor`).
//!
//! A priority is a function of the state and the time: it is computed where somebody looks at it and
//! never stored. Jobs whose priority an operator has set keep that one.

use std::collections::BTreeMap;

use flurm_base::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::apply::PRIORITY_MAX;
use crate::{Amounts, Cluster, Hold, Job, Limit, PartitionConf, PartitionName, Standing};

/// `PriorityFlags` as Slurm's bits (slurm.h, `PRIORITY_FLAGS_*`).
pub mod priority_flags {
    /// Age counts from submission, whatever the job waits for.
    pub const ACCRUE_ALWAYS: u16 = 1 << 0;
    /// The dearest resource of a node is billed instead of the sum.
    pub const MAX_TRES: u16 = 1 << 1;
    /// Size is divided by the time limit.
    pub const SIZE_RELATIVE: u16 = 1 << 2;
    /// Fair share does not depend on the depth of the tree.
    pub const DEPTH_OBLIVIOUS: u16 = 1 << 3;
    /// Running jobs are shown too.
    pub const CALCULATE_RUNNING: u16 = 1 << 4;
    /// The fair tree.
    pub const FAIR_TREE: u16 = 1 << 5;
    /// Associations' priorities count as they are.
    pub const NO_NORMAL_ASSOC: u16 = 1 << 7;
    /// Partitions' factors count as they are.
    pub const NO_NORMAL_PART: u16 = 1 << 8;
    /// Priorities of qualities of service count as they are.
    pub const NO_NORMAL_QOS: u16 = 1 << 9;
    /// Resources count as they are.
    pub const NO_NORMAL_TRES: u16 = 1 << 10;
}

/// How jobs are weighed: the `Priority*` keys of slurm.conf(5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multifactor {
    /// `PriorityWeightAge`.
    pub age: u32,
    /// `PriorityWeightAssoc`.
    pub assoc: u32,
    /// `PriorityWeightFairshare`.
    pub fairshare: u32,
    /// `PriorityWeightJobSize`.
    pub size: u32,
    /// `PriorityWeightPartition`.
    pub partition: u32,
    /// `PriorityWeightQOS`.
    pub qos: u32,
    /// `PriorityWeightTRES`: a resource's name and its weight in thousandths.
    pub tres: Vec<(String, u64)>,
    /// `PriorityMaxAge`.
    pub age_max: Span,
    /// `PriorityDecayHalfLife`; zero for no decay.
    pub half_life: Span,
    /// `PriorityCalcPeriod`: how often waiting jobs are put in order anew if nothing else happens.
    pub period: Span,
    /// `PriorityFavorSmall`.
    pub favors_small: bool,
    /// `FairShareDampeningFactor`.
    pub dampening: u16,
    /// `PriorityFlags` as bits of [`priority_flags`].
    pub flags: u16,
}

impl Multifactor {
    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// The parts of a priority, each with its weight applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// For waiting.
    pub age: f64,
    /// For the association.
    pub assoc: f64,
    /// For using less than one's share.
    pub fairshare: f64,
    /// For size.
    pub size: f64,
    /// For the partition.
    pub partition: f64,
    /// For the quality of service.
    pub qos: f64,
    /// For each resource that has a weight, in the configuration's order.
    pub tres: Vec<f64>,
    /// What is taken away.
    pub nice: i32,
}

impl Factors {
    /// The priority: whole, at least 1, and no more than fits (`_get_priority_internal`).
    pub fn sum(&self) -> u32 {
        let parts = [self.age, self.assoc, self.fairshare, self.size, self.partition, self.qos];
        let tres: f64 = self.tres.iter().sum();
        let sum = parts.iter().sum::<f64>() + tres - f64::from(self.nice);
        // A float becomes the nearest number that fits.
        (sum as u32).clamp(1, PRIORITY_MAX)
    }
}

/// Weighs jobs at one time: what many of them share is looked up once.
pub struct Weigher<'a> {
    cluster: &'a Cluster,
    now: Time,
    rules: Option<&'a Multifactor>,
    total: Amounts,
    parts: BTreeMap<&'a PartitionName, Amounts>,
    job_factor_max: u16,
    qos_max: u32,
    assoc_max: u32,
    standings: Vec<Standing>,
}

impl<'a> Weigher<'a> {
    /// For a look at a cluster.
    pub fn new(cluster: &'a Cluster, now: Time) -> Self {
        let rules = cluster.settings().priority.as_ref();
        let mut weigher = Self {
            cluster,
            now,
            rules,
            total: Amounts::default(),
            parts: BTreeMap::new(),
            job_factor_max: 0,
            qos_max: 0,
            assoc_max: 0,
            standings: Vec::new(),
        };
        let Some(rules) = rules else { return weigher };
        let add = |sum: Amounts, node: &crate::Node| Amounts {
            cpus: sum.cpus + u64::from(node.conf.cpus),
            memory_mb: sum.memory_mb + node.conf.real_memory_mb,
            nodes: sum.nodes + 1,
        };
        weigher.total = cluster.nodes().fold(Amounts::default(), add);
        let factors = cluster.partitions().map(|one| one.conf.priority_job_factor);
        weigher.job_factor_max = factors.max().unwrap_or(0);
        let qos = cluster.qos_all().iter().map(|qos| qos.priority);
        weigher.qos_max = qos.max().unwrap_or(0);
        let assoc = cluster.associations().iter().map(|one| one.priority);
        weigher.assoc_max = assoc.max().unwrap_or(0);
        if rules.fairshare > 0 {
            weigher.standings = crate::standings(cluster, rules, now);
        }
        if !rules.tres.is_empty() {
            for partition in cluster.partitions() {
                let members = partition.conf.nodes.iter().filter_map(|name| cluster.node(name));
                let sum = members.fold(Amounts::default(), add);
                weigher.parts.insert(&partition.conf.name, sum);
            }
        }
        weigher
    }

    /// The rules, where priorities are computed at all.
    pub fn rules(&self) -> Option<&'a Multifactor> {
        self.rules
    }

    /// A job's priority: zero while it is held, what an operator has set, or the sum of its factors in
    /// the first of its partitions.
    pub fn priority(&self, job: &Job) -> u32 {
        self.priority_in(job, &job.partition)
    }

    /// The same for a job in one of its partitions.
    pub fn priority_in(&self, job: &Job, partition: &PartitionName) -> u32 {
        let is_computed = job.hold == Hold::None && !job.priority_fixed;
        match self.rules.filter(|_| is_computed) {
            Some(rules) => self.weigh(job, partition, rules).sum(),
            None => job.priority,
        }
    }

    /// What a job's priority in a partition is made of; `None` where it is not computed.
    pub fn factors(&self, job: &Job, partition: &PartitionName) -> Option<Factors> {
        let rules = self.rules.filter(|_| !job.priority_fixed)?;
        Some(self.weigh(job, partition, rules))
    }

    fn weigh(&self, job: &Job, partition: &PartitionName, rules: &Multifactor) -> Factors {
        let conf = self.cluster.partition(partition).map(|one| &one.conf);
        Factors {
            age: self.age(job, rules) * f64::from(rules.age),
            assoc: self.assoc(job, partition, rules) * f64::from(rules.assoc),
            fairshare: self.fairshare(job, partition) * f64::from(rules.fairshare),
            size: self.size(job, conf, rules) * f64::from(rules.size),
            partition: self.standing(conf, rules) * f64::from(rules.partition),
            qos: self.qos(job, rules) * f64::from(rules.qos),
            tres: self.tres(job, partition, rules),
            nice: job.spec.nice,
        }
    }

    /// How long it has waited, as a part of `PriorityMaxAge`.
    fn age(&self, job: &Job, rules: &Multifactor) -> f64 {
        let since = match rules.has(priority_flags::ACCRUE_ALWAYS) {
            true => Some(job.submit),
            false => self.waits_since(job),
        };
        let waited = since.map_or(Span(0), |since| self.now.since(since));
        if waited >= rules.age_max {
            return if since.is_some() { 1.0 } else { 0.0 };
        }
        waited.as_secs() as f64 / rules.age_max.as_secs().max(1) as f64
    }

    fn waits_since(&self, job: &Job) -> Option<Time> {
        if job.hold != Hold::None || job.dependency_reason(self.now).is_some() {
            return None;
        }
        job.accrue.or(job.eligible).filter(|since| *since <= self.now)
    }

    /// How much of the cluster it asks for (`set_priority_factors`).
    fn size(&self, job: &Job, conf: Option<&PartitionConf>, rules: &Multifactor) -> f64 {
        let (nodes_all, cpus_all) = (self.total.nodes as f64, self.total.cpus as f64);
        if rules.size == 0 || nodes_all == 0.0 || cpus_all == 0.0 {
            return 0.0;
        }
        let size = &job.spec.size;
        let held = job.allocation.as_ref().map(|all| all.cpus());
        let cpus = f64::from(held.or(size.cpus_max).unwrap_or(size.cpus_min));
        let nodes = f64::from(size.nodes_min);
        let share = if rules.has(priority_flags::SIZE_RELATIVE) {
            let by_nodes = nodes * cpus_all / nodes_all;
            let limit = match job.time_limit {
                Limit::Unlimited => conf.map_or(Limit::Unlimited, |conf| conf.time_max),
                limited @ Limit::Max(_) => limited,
            };
            let share = by_nodes.max(cpus) / f64::from(limit.or(u32::MAX).max(1)) / cpus_all;
            if rules.favors_small { 1.0 - share } else { share }
        } else if rules.favors_small {
            ((nodes_all - nodes) / nodes_all + (cpus_all - cpus) / cpus_all) / 2.0
        } else {
            (nodes / nodes_all + cpus / cpus_all) / 2.0
        };
        share.clamp(0.0, 1.0)
    }

    /// A partition's `PriorityJobFactor` beside the highest.
    fn standing(&self, conf: Option<&PartitionConf>, rules: &Multifactor) -> f64 {
        let own = f64::from(conf.map_or(0, |conf| conf.priority_job_factor));
        if rules.has(priority_flags::NO_NORMAL_PART) || own == 0.0 {
            return own;
        }
        own / f64::from(self.job_factor_max)
    }

    fn association(&self, job: &Job, partition: &PartitionName) -> Option<usize> {
        self.cluster.association_for(job.spec.uid, job.spec.account.as_deref(), partition)
    }

    fn fairshare(&self, job: &Job, partition: &PartitionName) -> f64 {
        let at = self.association(job, partition).filter(|_| !self.standings.is_empty());
        at.and_then(|at| self.standings.get(at)).map_or(0.0, |standing| standing.factor)
    }

    fn assoc(&self, job: &Job, partition: &PartitionName, rules: &Multifactor) -> f64 {
        let at = self.association(job, partition);
        let own = at.map_or(0, |at| self.cluster.associations()[at].priority);
        part_of(own, self.assoc_max, rules.has(priority_flags::NO_NORMAL_ASSOC))
    }

    fn qos(&self, job: &Job, rules: &Multifactor) -> f64 {
        let qos = job.spec.qos.as_deref().and_then(|name| self.cluster.qos(name));
        let own = qos.map_or(0, |qos| qos.priority);
        part_of(own, self.qos_max, rules.has(priority_flags::NO_NORMAL_QOS))
    }

    fn tres(&self, job: &Job, partition: &PartitionName, rules: &Multifactor) -> Vec<f64> {
        if rules.tres.is_empty() {
            return Vec::new();
        }
        let asked = Amounts::asked(&job.spec);
        let all = self.parts.get(partition).copied().unwrap_or_default();
        let part = |(name, weight): &(String, u64)| {
            let (asked, all) = (asked.of(name) as f64, all.of(name) as f64);
            let share = match (rules.has(priority_flags::NO_NORMAL_TRES), all > 0.0) {
                (true, _) => asked,
                (false, true) => asked / all,
                (false, false) => 0.0,
            };
            share * *weight as f64 / 1_000.0
        };
        rules.tres.iter().map(part).collect()
    }
}

/// A priority beside the highest, or as it is.
fn part_of(own: u32, most: u32, is_plain: bool) -> f64 {
    match own {
        0 => 0.0,
        own if is_plain => f64::from(own),
        own => f64::from(own) / f64::from(most),
    }
}
