//! What slurm.conf says about one partition.

use flurm_base::Hostlist;
use serde::{Deserialize, Serialize};

use crate::{Limit, Memory};

/// One `PartitionName=` line, with every default applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionConf {
    /// `PartitionName`.
    pub name: String,
    /// `Nodes` as written, with `ALL` and the names of node sets.
    pub nodes_spec: String,
    /// The nodes, each once, sorted.
    pub nodes: Hostlist,
    /// `State`.
    pub state: PartitionState,
    /// `Default`: used by jobs that name no partition. At most one partition is.
    pub default: bool,
    /// `Hidden` from listings of those who may not use it.
    pub hidden: bool,
    /// `RootOnly`.
    pub root_only: bool,
    /// `ReqResv`: only for jobs in a reservation.
    pub req_resv: bool,
    /// `LLN`: least loaded nodes first.
    pub least_loaded_nodes: bool,
    /// `DisableRootJobs`.
    pub disable_root_jobs: bool,
    /// `ExclusiveUser` or `Exclusive=USER`: a node serves one user at a time.
    pub exclusive_user: bool,
    /// `ExclusiveTopo` or `Exclusive=TOPO`.
    pub exclusive_topo: bool,
    /// `PowerDownOnIdle`.
    pub power_down_on_idle: bool,
    /// `OverSubscribe`.
    pub sharing: Sharing,
    /// `MaxTime` in minutes.
    pub max_time_min: Limit,
    /// `DefaultTime` in minutes; `None` means `max_time_min`.
    pub default_time_min: Option<Limit>,
    /// `OverTimeLimit` in minutes; `None` means the cluster's.
    pub over_time_limit_min: Option<Limit>,
    /// `MinNodes` of a job.
    pub min_nodes: u32,
    /// `MaxNodes` of a job.
    pub max_nodes: Limit,
    /// `MaxCPUsPerNode` for all jobs of the partition together.
    pub max_cpus_per_node: Limit,
    /// `MaxCPUsPerSocket`.
    pub max_cpus_per_socket: Limit,
    /// `DefMemPerCPU` or `DefMemPerNode`; `None` means the cluster's.
    pub default_memory: Option<Memory>,
    /// `MaxMemPerCPU` or `MaxMemPerNode`; `None` means the cluster's.
    pub max_memory: Option<Memory>,
    /// `DefCpuPerGPU`.
    pub default_cpus_per_gpu: Option<u64>,
    /// `DefMemPerGPU` in MiB.
    pub default_memory_per_gpu_mib: Option<u64>,
    /// `PriorityTier`: partitions of a higher tier are served first.
    pub priority_tier: u16,
    /// `PriorityJobFactor`.
    pub priority_job_factor: u16,
    /// `PreemptMode` as Slurm's bits; `None` means the cluster's.
    pub preempt_mode: Option<u16>,
    /// `GraceTime` in seconds.
    pub grace_time_s: u32,
    /// `AllowGroups`; empty means everybody.
    pub allow_groups: Vec<String>,
    /// `AllowAccounts`; empty means every account.
    pub allow_accounts: Vec<String>,
    /// `AllowQos`; empty means every QOS.
    pub allow_qos: Vec<String>,
    /// `DenyAccounts`.
    pub deny_accounts: Vec<String>,
    /// `DenyQos`.
    pub deny_qos: Vec<String>,
    /// `AllocNodes` from which jobs may be submitted; `None` means all.
    pub alloc_nodes: Option<String>,
    /// `Alternate` partition for when this one is inactive or down.
    pub alternate: Option<String>,
    /// `QOS` of the partition.
    pub qos: Option<String>,
    /// `TRESBillingWeights`, as written.
    pub tres_billing_weights: Option<String>,
    /// `CpuBind`, as written.
    pub cpu_bind: Option<String>,
    /// `SelectTypeParameters` of the partition as Slurm's bits; 0 means the cluster's.
    pub select_type_parameters: u16,
    /// `SuspendTime` in seconds; `None` means the cluster's.
    pub suspend_time_s: Option<Limit>,
    /// `SuspendTimeout` in seconds; `None` means the cluster's.
    pub suspend_timeout_s: Option<u16>,
    /// `ResumeTimeout` in seconds; `None` means the cluster's.
    pub resume_timeout_s: Option<u16>,
    /// `Topology` of the partition.
    pub topology: Option<String>,
}

/// Whether a partition takes and starts jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartitionState {
    /// Takes jobs and starts them.
    #[default]
    Up,
    /// Takes jobs, starts none.
    Down,
    /// Takes no jobs, starts those it has.
    Drain,
    /// Neither.
    Inactive,
}

impl PartitionState {
    /// Slurm's number, a sum of "takes jobs" (1) and "starts jobs" (2).
    pub const fn wire(self) -> u16 {
        match self {
            Self::Inactive => 0,
            Self::Down => 1,
            Self::Drain => 2,
            Self::Up => 3,
        }
    }

    /// Whether new jobs are taken.
    pub const fn takes_jobs(self) -> bool {
        matches!(self, Self::Up | Self::Down)
    }

    /// Whether jobs are started.
    pub const fn starts_jobs(self) -> bool {
        matches!(self, Self::Up | Self::Drain)
    }

    /// Reads a state as Slurm does: in any case, by its beginning.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let names = [
            ("DOWN", Self::Down),
            ("UP", Self::Up),
            ("DRAIN", Self::Drain),
            ("INACTIVE", Self::Inactive),
        ];
        names.iter().find(|(name, _)| text.starts_with(name)).map(|(_, state)| *state)
    }
}

/// How jobs share the resources of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sharing {
    /// Whole nodes only.
    Exclusive,
    /// Nodes are shared, but a CPU serves one job.
    #[default]
    No,
    /// Up to this many jobs on one CPU, for jobs that ask for it.
    Yes(u16),
    /// Up to this many jobs on one CPU, whether asked for or not.
    Force(u16),
}

impl Sharing {
    const FORCE: u16 = 0x8000;

    /// Slurm's `max_share` number.
    pub const fn wire(self) -> u16 {
        match self {
            Self::Exclusive => 0,
            Self::No => 1,
            Self::Yes(jobs) => jobs,
            Self::Force(jobs) => jobs | Self::FORCE,
        }
    }

    /// From Slurm's `max_share` number.
    pub const fn from_wire(number: u16) -> Self {
        match (number & Self::FORCE, number & !Self::FORCE) {
            (0, 0) => Self::Exclusive,
            (0, 1) => Self::No,
            (0, jobs) => Self::Yes(jobs),
            (_, jobs) => Self::Force(jobs),
        }
    }

    /// Reads `NO`, `EXCLUSIVE`, `YES`, `YES:n`, `FORCE`, `FORCE:n`.
    pub fn parse(text: &str) -> Option<Self> {
        /// Jobs to a CPU where none is written.
        const JOBS: u16 = 4;
        let text = text.to_ascii_uppercase();
        let count = |number: &str, least: u16| {
            number.parse().ok().filter(|jobs| (least..Self::FORCE).contains(jobs))
        };
        match text.split_once(':') {
            None if text == "NO" => Some(Self::No),
            None if text == "EXCLUSIVE" => Some(Self::Exclusive),
            None if text == "YES" => Some(Self::Yes(JOBS)),
            None if text == "FORCE" => Some(Self::Force(JOBS)),
            Some(("YES", number)) => count(number, 2).map(Self::Yes),
            Some(("FORCE", number)) => count(number, 1).map(Self::Force),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_reads_as_slurm_reads_it() {
        let rows = [
            ("no", Some(Sharing::No)),
            ("Exclusive", Some(Sharing::Exclusive)),
            ("YES", Some(Sharing::Yes(4))),
            ("yes:8", Some(Sharing::Yes(8))),
            ("FORCE", Some(Sharing::Force(4))),
            ("FORCE:1", Some(Sharing::Force(1))),
            ("YES:1", None),
            ("FORCE:0", None),
            ("YES:32768", None),
            ("maybe", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Sharing::parse(text), expected, "{text}");
            if let Some(sharing) = expected {
                assert_eq!(Sharing::from_wire(sharing.wire()), sharing);
            }
        }
    }

    #[test]
    fn a_partition_state_says_what_it_allows() {
        let rows = [
            ("up", true, true),
            ("down", true, false),
            ("drain", false, true),
            ("INACTIVE", false, false),
        ];
        for (text, takes, starts) in rows {
            let state = PartitionState::parse(text).unwrap();
            assert_eq!((state.takes_jobs(), state.starts_jobs()), (takes, starts), "{text}");
            assert_eq!(state.wire(), u16::from(takes) + 2 * u16::from(starts));
        }
        assert_eq!(PartitionState::parse("sideways"), None);
    }
}
