//! Limits: on counts, on time, on memory.

use serde::{Deserialize, Serialize};

/// Slurm's `INFINITE`: no limit, in 32 bits.
pub const INFINITE: u32 = 0xffff_ffff;
/// Slurm's `NO_VAL`: not set, in 32 bits.
pub const NO_VAL: u32 = 0xffff_fffe;
/// Slurm's `MEM_PER_CPU`: the mark of a memory size that is meant for each CPU.
pub const MEM_PER_CPU: u64 = 0x8000_0000_0000_0000;

/// A count, or minutes, or seconds, that may be without limit. `Unlimited` is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Limit {
    /// At most this many.
    At(u32),
    /// As many as one likes.
    Unlimited,
}

impl Limit {
    /// From Slurm's number, where `INFINITE` means no limit.
    pub const fn from_wire(number: u32) -> Self {
        if number == INFINITE { Self::Unlimited } else { Self::At(number) }
    }

    /// As Slurm's number.
    pub const fn wire(self) -> u32 {
        match self {
            Self::At(number) => number,
            Self::Unlimited => INFINITE,
        }
    }

    /// As Slurm's 16-bit number, where everything above 65,534 is no limit.
    pub fn wire16(self) -> u16 {
        match self {
            Self::At(number) => u16::try_from(number).unwrap_or(u16::MAX),
            Self::Unlimited => u16::MAX,
        }
    }

    /// The number, when there is a limit.
    pub const fn at(self) -> Option<u32> {
        match self {
            Self::At(number) => Some(number),
            Self::Unlimited => None,
        }
    }

    /// Whether `number` stays within the limit.
    pub fn allows(self, number: u32) -> bool {
        self.at().is_none_or(|limit| number <= limit)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(number) => number.fmt(f),
            Self::Unlimited => f.write_str("UNLIMITED"),
        }
    }
}

/// An amount of memory in MiB for each node or for each CPU that a job uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Memory {
    /// MiB on each node.
    PerNode(u64),
    /// MiB for each CPU.
    PerCpu(u64),
}

impl Memory {
    /// From Slurm's number; `None` for 0, which stands for no limit or all the memory.
    pub const fn from_wire(number: u64) -> Option<Self> {
        match (number & MEM_PER_CPU, number & !MEM_PER_CPU) {
            (_, 0) => None,
            (0, mib) => Some(Self::PerNode(mib)),
            (_, mib) => Some(Self::PerCpu(mib)),
        }
    }

    /// As Slurm's number.
    pub const fn wire(self) -> u64 {
        match self {
            Self::PerNode(mib) => mib & !MEM_PER_CPU,
            Self::PerCpu(mib) => mib | MEM_PER_CPU,
        }
    }

    /// MiB on a node where a job uses `cpus` CPUs.
    pub const fn on_node(self, cpus: u32) -> u64 {
        match self {
            Self::PerNode(mib) => mib,
            Self::PerCpu(mib) => mib.saturating_mul(cpus as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_memory_read_back_from_the_wire() {
        for limit in [Limit::At(0), Limit::At(NO_VAL), Limit::Unlimited] {
            assert_eq!(Limit::from_wire(limit.wire()), limit);
        }
        for memory in [Memory::PerNode(5), Memory::PerCpu(7)] {
            assert_eq!(Memory::from_wire(memory.wire()), Some(memory));
        }
        assert_eq!(Memory::from_wire(MEM_PER_CPU), None);
        assert_eq!(Limit::At(70_000).wire16(), u16::MAX);
        assert_eq!(Memory::PerCpu(100).on_node(4), 400);
        assert!(Limit::At(3).allows(3) && !Limit::At(3).allows(4));
    }
}
