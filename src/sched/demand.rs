//! What a job needs of a node, and how much of it one node can give.
//!
//! A job is placed in units: a unit is one task with its CPUs. CPUs are handed out in the
//! smallest part that the site's `SelectTypeParameters` name; a job that asks for fewer takes the
//! whole part, and `--mem-per-cpu` counts every CPU taken.

use std::collections::BTreeSet;

use flurm_model::{
    Constraint, GresTake, GresWish, JobSpec, Limit, Memory, NodeName, OverSubscribe, PartitionConf,
    Placement, Select, SelectUnit, Sharing,
};

use crate::NodeView;

/// `--use-min-nodes` among a job's flags (slurm.h).
pub(crate) const USE_MIN_NODES: u64 = 1 << 9;
/// Stands for memory that nothing asks for by CPU.
const NO_MEMORY: u64 = u64::MAX;

/// What a job needs, in one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demand {
    /// Units to place.
    pub(crate) units: u32,
    /// Nodes, at least.
    pub(crate) nodes_min: u32,
    /// Nodes, at most.
    pub(crate) nodes_max: u32,
    /// Nodes that it takes if it can have them at once, within those limits: the most where a user
    /// gives a range, as in Slurm.
    pub(crate) nodes_wanted: u32,
    /// Nodes that must be among them.
    pub(crate) required: BTreeSet<NodeName>,
    /// Neighbours in the configuration's order only.
    pub(crate) contiguous: bool,
    excluded: BTreeSet<NodeName>,
    /// What the nodes must have together.
    pub(crate) constraint: Constraint,
    cpus_per_unit: u32,
    units_per_node_max: u32,
    units_per_socket_max: Option<u32>,
    tasks_per_core: Option<u32>,
    cpus_per_node_min: u32,
    cpus_per_node_max: Limit,
    memory: Option<Memory>,
    tmp_disk_mb: u32,
    sockets: u32,
    cores_per_socket: u32,
    threads_per_core: u32,
    whole_node: bool,
    /// Jobs of other users are kept off its nodes.
    pub(crate) user_only: bool,
    /// Its user, where that decides about nodes.
    user: Option<u32>,
    select: Select,
    tasks: u32,
    overcommit: bool,
    /// Generic resources.
    pub(crate) gres: Vec<GresWish>,
}

impl Demand {
    /// What `spec` needs in a partition, wish by wish: what it would prefer, then what it must
    /// have. Empty when its constraint cannot be read.
    pub(crate) fn of(spec: &JobSpec, conf: &PartitionConf, select: Select) -> Vec<Self> {
        let wishes = spec.requests.prefer.as_ref().map(Some).into_iter();
        let read = |wish: Option<&String>| match wish {
            Some(text) => Constraint::parse(text),
            None => Some(Constraint::default()),
        };
        let read = wishes.chain([spec.features.as_ref()]).filter_map(read);
        read.map(|constraint| Self::with(spec, conf, select, constraint)).collect()
    }

    fn with(
        spec: &JobSpec,
        conf: &PartitionConf,
        select: Select,
        mut constraint: Constraint,
    ) -> Self {
        let size = &spec.size;
        if flurm_base::planted::is("model_ignores_constraints") {
            constraint = Constraint::default();
        }
        let wants_all = match spec.sharing {
            None | Some(Sharing::Oversubscribe | Sharing::User) => false,
            // A node to itself also is a node shared with nobody else.
            Some(Sharing::Exclusive | Sharing::Mcs | Sharing::Topology) => true,
        };
        let user_only = spec.sharing == Some(Sharing::User) || conf.exclusive_user;
        let gives_all = conf.over_subscribe == OverSubscribe::Exclusive;
        let cpus_per_unit = if size.overcommit { 1 } else { size.cpus_per_task_or_default() };
        let tasks = size.tasks_or_default().max(1);
        let by_cpus = size.cpus_min.div_ceil(cpus_per_unit);
        let units = if size.overcommit { tasks } else { tasks.max(by_cpus) };
        // What cannot be read was refused when it came.
        let gres = GresWish::of(&spec.requests).unwrap_or_default();
        let beside = gres.iter().any(|wish| wish.memory_each_mb > 0);
        // Where only generic resources bring memory with them, that is all there is.
        let by_gres = if beside { Memory::PerCpu(NO_MEMORY) } else { Memory::PerNode(0) };
        let nodes_min = size.nodes_min.max(conf.nodes_min).max(constraint.nodes_counted()).max(1);
        let units = units.max(nodes_min);
        let nodes_max = size.nodes_max.unwrap_or(u32::MAX).min(conf.nodes_max.or(u32::MAX));
        let ranges = size.nodes_max.is_some() && spec.requests.bitflags & USE_MIN_NODES == 0;
        Self {
            units,
            nodes_min,
            nodes_max,
            nodes_wanted: if ranges { nodes_max.min(units).max(nodes_min) } else { nodes_min },
            required: spec.nodes_required.iter().cloned().collect(),
            contiguous: spec.contiguous,
            excluded: spec.nodes_excluded.iter().cloned().collect(),
            constraint,
            cpus_per_unit,
            units_per_node_max: size.tasks_per_node.map_or(u32::MAX, u32::from).max(1),
            units_per_socket_max: size.tasks_per_socket.map(u32::from),
            tasks_per_core: size.tasks_per_core.map(u32::from).filter(|count| *count > 0),
            cpus_per_node_min: size.cpus_per_node_min.map_or(1, u32::from).max(1),
            cpus_per_node_max: conf.cpus_per_node_max,
            // Where memory is handed out, a job that names none gets all of each node's, as in Slurm.
            memory: select.memory.then(|| size.memory.unwrap_or(by_gres)),
            tmp_disk_mb: size.tmp_disk_mb,
            sockets: size.sockets_per_node.map_or(0, u32::from),
            cores_per_socket: size.cores_per_socket.map_or(0, u32::from),
            threads_per_core: size.threads_per_core.map_or(0, u32::from),
            whole_node: wants_all || gives_all || select.unit == SelectUnit::Node,
            user_only,
            user: user_only.then_some(spec.uid),
            select,
            tasks,
            overcommit: size.overcommit,
            gres,
        }
    }

    /// The same where some node keeps users off: whose job it is decides then.
    pub(crate) fn of_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Whether the node is of a kind that the job could use, whatever runs there.
    pub(crate) fn suits(&self, node: &NodeView) -> bool {
        let each = self.constraint.each.as_ref();
        let features = each.is_none_or(|each| each.met_by(&node.features));
        let shape = node.sockets >= self.sockets
            && node.cores_per_socket >= self.cores_per_socket
            && node.threads_per_core >= self.threads_per_core;
        features
            && shape
            && node.tmp_disk_mb >= self.tmp_disk_mb
            && !self.excluded.contains(&node.name)
    }

    /// How many units the node can give beside what runs there; 0 when none.
    pub(crate) fn units_on(&self, node: &NodeView) -> u32 {
        if node.whole_node_taken || (self.whole_node && node.jobs > 0) {
            return 0;
        }
        if self.user.is_some_and(|uid| node.jobs > 0 && !node.tenants.admit(uid, self.user_only)) {
            return 0;
        }
        let sockets = self.units_per_socket_max.map_or(u32::MAX, |per| per * node.sockets);
        let most = self.units_per_node_max.min(sockets).min(self.units);
        if self.overcommit {
            return if self.fits(node, 1) { most } else { 0 };
        }
        // What fits shrinks as units grow, so the boundary can be halved towards.
        let (mut low, mut high) = (0, most.min(node.cpus / self.cpus_per_unit));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.fits(node, middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    fn fits(&self, node: &NodeView, units: u32) -> bool {
        self.fits_with(node, units, &self.gres_least(units))
    }

    /// How many of each wish so many units take at least, where the job has no more to spread.
    fn gres_least(&self, units: u32) -> Vec<u64> {
        let least = |wish: &GresWish| wish.on_node(units).max(u64::from(wish.per_job > 0));
        self.gres.iter().map(least).collect()
    }

    /// The parts of a node that so many of each wish are; `None` where it has too few of them.
    fn gres_on(&self, node: &NodeView, counts: &[u64]) -> Option<Vec<GresTake>> {
        if self.whole_node && !node.gres_parts().is_empty() {
            // Who has a node to itself has all that belongs to it (sbatch(1), `--exclusive`).
            self.gres_asked(node, counts)?;
            let all = node.gres_parts().iter().map(|part| {
                let (name, kind) = part.key();
                GresTake { name, kind, count: part.count }
            });
            return Some(all.collect());
        }
        self.gres_asked(node, counts)
    }

    fn gres_asked(&self, node: &NodeView, counts: &[u64]) -> Option<Vec<GresTake>> {
        let mut taken = Vec::new();
        for (wish, count) in self.gres.iter().zip(counts) {
            taken.extend(wish.take(node.gres_parts(), |at| node.gres_free(at), *count)?);
        }
        Some(taken)
    }

    /// How many of a wish, by its position, a node can give beside so many units and what these take.
    pub(crate) fn gres_most(&self, node: &NodeView, units: u32, nth: usize, cap: u64) -> u64 {
        let mut counts = self.gres_least(units);
        let (mut low, mut high) = (counts[nth], cap.max(counts[nth]));
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            counts[nth] = middle;
            if self.fits_with(node, units, &counts) { low = middle } else { high = middle - 1 }
        }
        low
    }

    /// Whether a node has room for so many units and so many of each wish.
    pub(crate) fn fits_with(&self, node: &NodeView, units: u32, counts: &[u64]) -> bool {
        let cpus = self.cpus_on(node, units, counts);
        let memory_mb = self.memory_on(node, cpus, counts);
        if !self.gres.is_empty() && self.gres_on(node, counts).is_none() {
            return false;
        }
        let allowed = self.whole_node || self.cpus_per_node_max.allows(Limit::Max(cpus));
        if flurm_base::planted::is("model_grants_more_than_a_node_has") {
            return cpus <= node.cpus;
        }
        let cpus_free = node.cpus.saturating_sub(node.cpus_used);
        let memory_free = node.memory_mb.saturating_sub(node.memory_used_mb);
        allowed && cpus <= cpus_free && memory_mb <= memory_free
    }

    /// CPUs that so many units take of a node.
    fn cpus_on(&self, node: &NodeView, units: u32, counts: &[u64]) -> u32 {
        let needed = self.cpus_needed(node, units).max(self.cpus_beside(counts));
        if self.whole_node {
            return node.cpus.max(needed);
        }
        let part = match self.select.unit {
            SelectUnit::Cpu => 1,
            SelectUnit::Core => node.threads_per_core,
            SelectUnit::Socket => node.threads_per_core * node.cores_per_socket,
            SelectUnit::Node => node.cpus,
        };
        // A node whose CPUs are no multiple of the part counts its rest as one.
        let part = part.clamp(1, node.cpus.max(1));
        let cpus = needed.div_ceil(part).saturating_mul(part);
        if cpus > node.cpus && needed <= node.cpus { node.cpus } else { cpus }
    }

    /// CPUs that go with so many of each wish (`--cpus-per-gpu`).
    fn cpus_beside(&self, counts: &[u64]) -> u32 {
        let each = self.gres.iter().zip(counts);
        let cpus = each.map(|(wish, count)| u64::from(wish.cpus_each).saturating_mul(*count));
        u32::try_from(cpus.fold(0, u64::saturating_add)).unwrap_or(u32::MAX)
    }

    fn cpus_needed(&self, node: &NodeView, units: u32) -> u32 {
        let plain = if self.overcommit { 1 } else { units.saturating_mul(self.cpus_per_unit) };
        let by_core = self
            .tasks_per_core
            .map_or(0, |per| units.div_ceil(per).saturating_mul(node.threads_per_core));
        plain.max(by_core).max(self.cpus_per_node_min)
    }

    fn memory_on(&self, node: &NodeView, cpus: u32, counts: &[u64]) -> u64 {
        let beside = self.gres.iter().zip(counts);
        let beside = beside.map(|(wish, count)| wish.memory_each_mb.saturating_mul(*count));
        match self.memory {
            None => 0,
            Some(Memory::PerCpu(NO_MEMORY)) => beside.fold(0, u64::saturating_add),
            Some(memory) => memory.on_node(cpus, node.memory_mb),
        }
    }

    /// The placement of so many units.
    pub(crate) fn placement(&self, node: &NodeView, units: u32) -> Placement {
        self.placement_with(node, units, &self.gres_least(units))
    }

    /// The placement of so many units and so many of each wish.
    pub(crate) fn placement_with(&self, node: &NodeView, units: u32, counts: &[u64]) -> Placement {
        let cpus = self.cpus_on(node, units, counts);
        Placement {
            node: node.name.clone(),
            cpus,
            memory_mb: self.memory_on(node, cpus, counts),
            tasks: units,
            whole_node: self.whole_node,
            gres: self.gres_on(node, counts).unwrap_or_default(),
        }
    }

    /// Whether the job wants so many of something on all its nodes together.
    pub(crate) fn has_totals(&self) -> bool {
        self.gres.iter().any(|wish| wish.per_job > 0)
    }

    /// Tasks to tell of: a job that asked for CPUs only has fewer tasks than units.
    pub(crate) fn trim_tasks(&self, placements: &mut [Placement]) {
        let mut surplus = placements.iter().map(|part| part.tasks).sum::<u32>();
        surplus = surplus.saturating_sub(self.tasks);
        for part in placements.iter_mut().rev() {
            let less = surplus.min(part.tasks.saturating_sub(1));
            part.tasks -= less;
            surplus -= less;
        }
    }
}
