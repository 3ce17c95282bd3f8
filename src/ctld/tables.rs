//! What all views need of the cluster: where each node stands in the listing of nodes.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use flurm_base::{Time, hostlist};
use flurm_model::{Cluster, Memory, NodeName, PartitionName, Weigher};
use flurm_wire::{Bits, INFINITE, NO_VAL, Release, UnixTime};

use crate::Outlook;

/// The cluster, with the positions of its nodes.
pub struct Tables<'a> {
    /// The replicated state.
    pub cluster: &'a Cluster,
    /// `MaxTime` and such are counted from here.
    pub now: Time,
    positions: BTreeMap<&'a str, u32>,
    /// What is planned ahead, where that is known.
    pub(crate) outlook: Option<&'a Outlook>,
    /// The release of the peer that reads them.
    pub(crate) release: Release,
    weigher: OnceCell<Weigher<'a>>,
    largest: RefCell<BTreeMap<&'a str, u32>>,
}

impl<'a> Tables<'a> {
    /// Reads the positions once for a whole listing.
    pub fn new(cluster: &'a Cluster, now: Time) -> Self {
        let names = cluster.nodes().map(|node| node.conf.name.as_str());
        let positions = names.zip(0u32..).collect();
        let (outlook, weigher, largest) = (None, OnceCell::new(), RefCell::default());
        Self { cluster, now, positions, outlook, release: Release::NEWEST, weigher, largest }
    }

    /// The same for a reader of this protocol number; of an unknown one the newest is assumed.
    pub fn read_by(mut self, version: u16) -> Self {
        self.release = Release::from_version(version).unwrap_or(Release::NEWEST);
        self
    }

    /// The same with what is planned ahead.
    pub(crate) fn expecting(mut self, outlook: &'a Outlook) -> Self {
        self.outlook = Some(outlook);
        self
    }

    /// What tells jobs' priorities.
    pub(crate) fn weigher(&self) -> &Weigher<'a> {
        self.weigher.get_or_init(|| Weigher::new(self.cluster, self.now))
    }

    /// CPUs of a partition's largest node, at least one.
    pub(crate) fn largest_node(&self, partition: &PartitionName) -> u32 {
        let Some(partition) = self.cluster.partition(partition.as_str()) else { return 1 };
        let conf = &partition.conf;
        *self.largest.borrow_mut().entry(conf.name.as_str()).or_insert_with(|| {
            let nodes = conf.nodes.iter().filter_map(|name| self.cluster.node(name.as_str()));
            nodes.map(|node| node.conf.cpus).max().unwrap_or(1).max(1)
        })
    }

    /// Nodes as a bitmap over the listing of nodes; names that are not listed are left out.
    pub fn bits<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<Bits> {
        let size = u32::try_from(self.positions.len()).unwrap_or(u32::MAX);
        let at = names.into_iter().filter_map(|name| self.positions.get(name).copied());
        Some(Bits::from_indices(size, at))
    }

    /// Nodes as a host list, in the listing's order.
    pub fn host_list<'n>(&self, names: impl IntoIterator<Item = &'n NodeName>) -> String {
        let mut names: Vec<&str> = names.into_iter().map(NodeName::as_str).collect();
        names.sort_by_key(|name| (self.positions.get(name).copied().unwrap_or(u32::MAX), *name));
        hostlist::compress(names)
    }
}

/// A time that may be missing, as Slurm sends it.
pub(crate) fn unix(time: Option<Time>) -> UnixTime {
    UnixTime(time.map_or(0, Time::secs))
}

/// A limit as Slurm sends it.
pub(crate) fn limit(limit: flurm_model::Limit) -> u32 {
    limit.or(INFINITE)
}

/// Memory per node or per CPU as Slurm sends it; 0 where none is set.
pub(crate) fn memory(memory: Option<Memory>) -> u64 {
    match memory {
        None => 0,
        Some(Memory::PerNode(mb)) => mb,
        Some(Memory::PerCpu(mb)) => mb | crate::submit::MEM_PER_CPU,
    }
}

/// A count that may be missing.
pub(crate) fn given(value: Option<u32>) -> u32 {
    value.unwrap_or(NO_VAL)
}

/// Trackable resources in Slurm's readable form, such as `cpu=4,mem=1000M,node=1,billing=4`.
pub(crate) fn tres(cpus: u32, memory_mb: u64, nodes: Option<u32>) -> String {
    let memory = if memory_mb > 0 { megabytes(memory_mb) } else { (0, "") };
    match (memory, nodes) {
        ((0, _), None) => format!("cpu={cpus},billing={cpus}"),
        ((0, _), Some(nodes)) => format!("cpu={cpus},node={nodes},billing={cpus}"),
        ((mem, unit), None) => format!("cpu={cpus},mem={mem}{unit},billing={cpus}"),
        ((mem, unit), Some(nodes)) => {
            format!("cpu={cpus},mem={mem}{unit},node={nodes},billing={cpus}")
        }
    }
}

/// Megabytes in the largest unit that loses nothing.
fn megabytes(mb: u64) -> (u64, &'static str) {
    let units = ["M", "G", "T", "P"];
    let mut value = mb;
    let mut unit = 0;
    while value >= 1024 && value.is_multiple_of(1024) && unit + 1 < units.len() {
        value /= 1024;
        unit += 1;
    }
    (value, units[unit])
}

/// Whole seconds, where the wire has them signed.
pub(crate) fn seconds(span: flurm_base::Span) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_in_the_largest_exact_unit() {
        assert_eq!(tres(4, 1000, Some(1)), "cpu=4,mem=1000M,node=1,billing=4");
        assert_eq!(tres(1, 2048, None), "cpu=1,mem=2G,billing=1");
        assert_eq!(tres(1, 1536, None), "cpu=1,mem=1536M,billing=1");
    }
}
