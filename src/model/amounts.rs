//! Amounts that may be unlimited, and the two ways to ask for memory.

use serde::{Deserialize, Serialize};

/// An upper bound that may be missing. The unit is the field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Limit {
    /// At most this.
    Max(u32),
    /// No bound: Slurm's `UNLIMITED`, INFINITE on the wire.
    Unlimited,
}

impl Limit {
    /// Whether `other` stays within this bound.
    pub fn allows(self, other: Self) -> bool {
        other <= self
    }

    /// The number, or `unlimited` where there is no bound.
    pub fn or(self, unlimited: u32) -> u32 {
        match self {
            Self::Max(max) => max,
            Self::Unlimited => unlimited,
        }
    }
}

/// Memory asked for, in MB. Zero means all of a node's memory, as `--mem=0` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Memory {
    /// `--mem`, `DefMemPerNode`, `MaxMemPerNode`.
    PerNode(u64),
    /// `--mem-per-cpu`, `DefMemPerCPU`, `MaxMemPerCPU`.
    PerCpu(u64),
}

impl Memory {
    /// What a share of `cpus` on a node with `node_mb` takes.
    pub fn on_node(self, cpus: u32, node_mb: u64) -> u64 {
        match self {
            Self::PerNode(0) | Self::PerCpu(0) => node_mb,
            Self::PerNode(mb) => mb,
            Self::PerCpu(mb) => mb.saturating_mul(u64::from(cpus)),
        }
    }
}
