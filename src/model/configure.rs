//! Configuration: nodes and partitions appear, change and vanish under live jobs.
//!
//! Idempotent: what was changed by hand since stays changed unless the configuration itself says
//! something new. What vanished under a waiting job makes it a held job with a reason; a node that
//! vanished under a live attempt stays in the table, out of service, until its end is confirmed.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{JobId, Time};

use crate::apply::{Events, Outcome, PRIORITY_FIRST};
use crate::life::hold_for;
use crate::{
    Cluster, Config, Errno, Event, InitialState, Node, NodeBase, NodeConf, NodeFlags, NodeName,
    Partition, PartitionConf, PartitionName, Reason, Refusal, Reply,
};

/// How many ended jobs one purge forgets.
pub(crate) const PURGE_MAX: usize = 10_000;

impl Cluster {
    pub(crate) fn configure(&mut self, at: Time, config: &Config, events: &mut Events) -> Outcome {
        check_config(config)?;
        if self.cluster_id == 0 {
            self.cluster_id = cluster_id_of(&config.settings.cluster_name);
            self.job_id_next = config.settings.job_id_first.max(1);
            self.priority_next = PRIORITY_FIRST;
        }
        let before = (self.settings.clone(), self.nodes.clone(), self.partitions.clone());
        self.settings = config.settings.clone();
        self.configure_nodes(at, &config.nodes, events);
        self.configure_partitions(&config.partitions, events);
        self.reindex();
        self.end_on_removed_nodes(at, events);
        self.hold_homeless(at, events);
        if before != (self.settings.clone(), self.nodes.clone(), self.partitions.clone()) {
            self.updated.config = self.updated.config.max(at);
            self.updated.nodes = self.updated.nodes.max(at);
            self.updated.partitions = self.updated.partitions.max(at);
            events.push(Event::Configured);
        }
        Ok(Reply::Done)
    }

    fn configure_nodes(&mut self, at: Time, confs: &[NodeConf], events: &mut Events) {
        let named: BTreeSet<&NodeName> = confs.iter().map(|conf| &conf.name).collect();
        let gone: Vec<NodeName> =
            self.nodes.keys().filter(|name| !named.contains(name)).cloned().collect();
        for name in gone {
            if self.is_vacant(&name) {
                self.nodes.remove(&name);
                events.push(Event::NodeRemoved(name));
                continue;
            }
            flurm_base::sometimes!("a node was removed from the configuration under a live job");
            let uid = self.settings.slurm_uid;
            let last = u32::try_from(confs.len() + self.nodes.len()).unwrap_or(u32::MAX);
            self.change_node(at, &name, events, |node| {
                if !node.removed {
                    node.removed = true;
                    node.base = NodeBase::Down;
                    node.set_reason(at, uid, "removed from the configuration");
                    node.index = node.index.saturating_add(last);
                }
            });
        }
        for (index, conf) in confs.iter().enumerate() {
            let index = u32::try_from(index).expect("a configuration has fewer nodes");
            let used = self.node_use(&conf.name);
            match self.nodes.get_mut(&conf.name) {
                Some(node) => {
                    let before = node.clone();
                    node.index = index;
                    reconfigure(node, conf, (used.cpus, used.memory_mb));
                    if *node != before {
                        self.touch_node(at, &conf.name, events);
                    }
                }
                None => {
                    self.nodes.insert(conf.name.clone(), new_node(at, conf, index));
                    self.touch_node(at, &conf.name, events);
                }
            }
        }
    }

    fn configure_partitions(&mut self, confs: &[PartitionConf], events: &mut Events) {
        let mut kept: BTreeMap<PartitionName, Partition> = BTreeMap::new();
        for (index, conf) in confs.iter().enumerate() {
            let index = u32::try_from(index).expect("a configuration has fewer partitions");
            let earlier = self.partitions.remove(&conf.name);
            let changed = earlier.filter(|old| !old.by_hand && old.configured == *conf);
            let now = changed.map_or_else(|| conf.clone(), |old| old.conf);
            let configured = conf.clone();
            let partition = Partition { conf: now, configured, index, by_hand: false };
            kept.insert(conf.name.clone(), partition);
        }
        let by_hand = std::mem::take(&mut self.partitions);
        let mut next = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        for (name, mut partition) in by_hand {
            if partition.by_hand {
                partition.index = next;
                next = next.saturating_add(1);
                kept.insert(name, partition);
            } else {
                events.push(Event::PartitionRemoved(name));
            }
        }
        self.partitions = kept;
    }

    /// Attempts on nodes that are no longer configured end as on a failed node.
    fn end_on_removed_nodes(&mut self, at: Time, events: &mut Events) {
        let removed: Vec<NodeName> =
            self.nodes.values().filter(|node| node.removed).map(|n| n.conf.name.clone()).collect();
        for name in removed {
            self.fail_jobs_on(at, &name, events);
        }
    }

    /// Waiting jobs that ask for what no longer exists are held with a reason.
    pub(crate) fn hold_homeless(&mut self, at: Time, events: &mut Events) {
        let mut homeless: Vec<(JobId, Reason, String)> = Vec::new();
        for job in self.pending() {
            let gone = |name: &&PartitionName| !self.partitions.contains_key(*name);
            if job.partitions.iter().all(|name| gone(&name)) {
                let text = format!("partition {} was removed", job.partition);
                homeless.push((job.id, Reason::FailDownPartition, text));
                continue;
            }
            let lost = |name: &&NodeName| self.nodes.get(*name).is_none_or(|node| node.removed);
            if let Some(name) = job.spec.nodes_required.iter().find(lost) {
                let text = format!("node {name} was removed");
                homeless.push((job.id, Reason::BadConstraints, text));
            }
        }
        for (id, reason, text) in homeless {
            if self.jobs[&id].reason == reason && self.jobs[&id].reason_text == text {
                continue;
            }
            flurm_base::sometimes!("a job lost its partition or node and was held");
            self.change_job(at, id, |job, _| hold_for(job, reason, &text));
            events.push(Event::JobChanged(id));
        }
    }

    /// A node that left the configuration is forgotten once nothing of any job is there.
    pub(crate) fn forget_removed_node(&mut self, at: Time, name: &NodeName, events: &mut Events) {
        let removed = self.nodes.get(name).is_some_and(|node| node.removed);
        if removed && self.is_vacant(name) {
            self.nodes.remove(name);
            self.index.node_order.retain(|known| known != name);
            self.index.gres_parts.remove(name);
            self.index.orphaned.remove(name);
            self.updated.nodes = self.updated.nodes.max(at);
            events.push(Event::NodeRemoved(name.clone()));
        }
    }

    pub(crate) fn update_partition(
        &mut self,
        at: Time,
        create: bool,
        conf: &PartitionConf,
        events: &mut Events,
    ) -> Outcome {
        let known = self.partitions.contains_key(&conf.name);
        if conf.name.is_empty() || known == create {
            let text =
                if known { "there is such a partition" } else { "there is no such partition" };
            return Err(Refusal::new(Errno::InvalidPartitionName, text));
        }
        if let Some(name) = conf.nodes.iter().find(|name| !self.nodes.contains_key(*name)) {
            return Err(Refusal::new(Errno::InvalidNodeName, format!("there is no node {name}")));
        }
        if conf.is_default {
            for partition in self.partitions.values_mut() {
                partition.conf.is_default = false;
            }
        }
        let last = self.partitions.values().map(|partition| partition.index).max();
        match self.partitions.get_mut(&conf.name) {
            Some(partition) => partition.conf = conf.clone(),
            None => {
                let index = last.map_or(0, |last| last.saturating_add(1));
                let configured = conf.clone();
                let partition = Partition { conf: conf.clone(), configured, index, by_hand: true };
                self.partitions.insert(conf.name.clone(), partition);
            }
        }
        self.reindex();
        self.updated.partitions = self.updated.partitions.max(at);
        events.push(Event::PartitionChanged(conf.name.clone()));
        Ok(Reply::Done)
    }

    pub(crate) fn delete_partition(
        &mut self,
        at: Time,
        name: &PartitionName,
        events: &mut Events,
    ) -> Outcome {
        if !self.partitions.contains_key(name) {
            return Err(Refusal::from(Errno::InvalidPartitionName));
        }
        // A job that ended and is only tidied up does not keep it (source: `partition_in_use`).
        let uses = |job: &crate::Job| {
            let live = !job.base.is_terminal();
            live && (job.partition == *name || job.partitions.contains(name))
        };
        if self.jobs.values().any(uses) {
            return Err(Refusal::from(Errno::PartitionInUse));
        }
        self.partitions.remove(name);
        self.reindex();
        self.updated.partitions = self.updated.partitions.max(at);
        events.push(Event::PartitionRemoved(name.clone()));
        Ok(Reply::Done)
    }

    pub(crate) fn purge(&mut self, at: Time, events: &mut Events) -> Reply {
        self.forget_requests(at);
        self.forget_faded(at);
        let age = self.settings.job_age_min;
        if age.0 == 0 {
            return Reply::Done;
        }
        let due = self.index.finished.iter().take_while(|(ended, _)| *ended + age <= at);
        let ids: Vec<JobId> = due.map(|(_, id)| *id).take(PURGE_MAX).collect();
        for id in ids {
            self.remove_job(at, id);
            events.push(Event::JobPurged(id));
        }
        Reply::Done
    }
}

fn check_config(config: &Config) -> Result<(), Refusal> {
    let names: BTreeSet<&NodeName> = config.nodes.iter().map(|conf| &conf.name).collect();
    if names.len() != config.nodes.len() {
        return Err(Refusal::new(Errno::InvalidNodeName, "a node is configured twice"));
    }
    let partitions: BTreeSet<&PartitionName> =
        config.partitions.iter().map(|conf| &conf.name).collect();
    if partitions.len() != config.partitions.len() {
        let text = "a partition is configured twice";
        return Err(Refusal::new(Errno::InvalidPartitionName, text));
    }
    let members = config.partitions.iter().flat_map(|conf| &conf.nodes);
    for name in members {
        if !names.contains(name) {
            let text = format!("a partition names node {name}, which is not configured");
            return Err(Refusal::new(Errno::InvalidNodeName, text));
        }
    }
    Ok(())
}

fn reconfigure(node: &mut Node, conf: &NodeConf, used: (u32, u64)) {
    if node.removed {
        node.removed = false;
        node.base = if node.registered.is_some() { NodeBase::Up } else { NodeBase::Unknown };
        node.clear_reason();
    }
    if node.configured != *conf {
        if node.configured.features != conf.features {
            node.features_active = None;
        }
        node.conf = conf.clone();
        node.configured = conf.clone();
        node.overhang = used;
    }
}

fn new_node(at: Time, conf: &NodeConf, index: u32) -> Node {
    let (base, flags) = match conf.initial {
        InitialState::Unknown => (NodeBase::Unknown, 0),
        InitialState::Down => (NodeBase::Down, 0),
        InitialState::Drain => (NodeBase::Unknown, NodeFlags::DRAIN),
        InitialState::Fail => (NodeBase::Unknown, NodeFlags::FAIL),
        InitialState::Future => (NodeBase::Future, 0),
        InitialState::Cloud => (NodeBase::Unknown, NodeFlags::CLOUD),
    };
    Node {
        conf: conf.clone(),
        configured: conf.clone(),
        overhang: (0, 0),
        index,
        base,
        flags: NodeFlags(flags),
        reason: conf.reason.clone().unwrap_or_default(),
        reason_uid: 0,
        reason_at: conf.reason.as_ref().map(|_| at),
        comment: String::new(),
        operator_down: false,
        removed: false,
        facts: None,
        registered: None,
        last_busy: None,
        features_active: None,
        extra: None,
        orphans: Default::default(),
    }
}

/// The cluster's number in attempts' ids, 2 to 4095 as in Slurm: a digest (FNV-1a) of its name.
fn cluster_id_of(name: &str) -> u16 {
    let mut digest: u32 = 0x811c_9dc5;
    for byte in name.bytes() {
        digest = (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    u16::try_from(digest % 4_094).expect("a remainder of 4094 fits") + 2
}
