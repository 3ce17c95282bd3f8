//! A partition: nodes that are scheduled together, with limits.

use serde::{Deserialize, Serialize};

use crate::{Limit, Memory, NodeName, PartitionName};

/// Whether a partition takes and starts jobs. Slurm's numbers in `number`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionState {
    /// Takes and starts jobs.
    #[default]
    Up,
    /// Takes jobs, starts none.
    Down,
    /// Takes none, starts those it has.
    Drain,
    /// Neither.
    Inactive,
}

impl PartitionState {
    /// Slurm's number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Up => 3,
            Self::Down => 1,
            Self::Drain => 2,
            Self::Inactive => 0,
        }
    }

    /// Whether it takes new jobs.
    pub const fn takes(self) -> bool {
        matches!(self, Self::Up | Self::Down)
    }

    /// Whether it starts jobs.
    pub const fn starts(self) -> bool {
        matches!(self, Self::Up | Self::Drain)
    }
}

/// `OverSubscribe` of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverSubscribe {
    /// Each CPU serves one job.
    #[default]
    No,
    /// Jobs get whole nodes.
    Exclusive,
    /// A job may ask to share, with at most this many on a resource.
    Yes(u16),
    /// All jobs share, with at most this many on a resource.
    Force(u16),
}

/// A partition as configured, and as changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionConf {
    /// `PartitionName`.
    pub name: PartitionName,
    /// `Nodes`, expanded, in the nodes' order.
    pub nodes: Vec<NodeName>,
    /// `Nodes` as written.
    pub nodes_text: String,
    /// `State`.
    pub state: PartitionState,
    /// `Default`.
    pub is_default: bool,
    /// `Hidden`.
    pub hidden: bool,
    /// `RootOnly`.
    pub root_only: bool,
    /// `DisableRootJobs`.
    pub no_root: bool,
    /// `LLN`: least loaded nodes first.
    pub least_loaded: bool,
    /// `ExclusiveUser`.
    pub exclusive_user: bool,
    /// `ReqResv`.
    pub reservation_required: bool,
    /// `MaxTime`, minutes.
    pub time_max: Limit,
    /// `DefaultTime`, minutes; `None` takes `MaxTime`.
    pub time_default: Option<Limit>,
    /// `OverTimeLimit`, minutes; `None` takes the cluster's.
    pub over_time_limit: Option<Limit>,
    /// `MinNodes`.
    pub nodes_min: u32,
    /// `MaxNodes`.
    pub nodes_max: Limit,
    /// `MaxCPUsPerNode`.
    pub cpus_per_node_max: Limit,
    /// `DefMemPerCPU`, `DefMemPerNode`; `None` takes the cluster's.
    pub memory_default: Option<Memory>,
    /// `MaxMemPerCPU`, `MaxMemPerNode`; `None` takes the cluster's.
    pub memory_max: Option<Memory>,
    /// `PriorityTier`: higher tiers are served first.
    pub priority_tier: u16,
    /// `PriorityJobFactor`.
    pub priority_job_factor: u16,
    /// `OverSubscribe`.
    pub over_subscribe: OverSubscribe,
    /// `GraceTime`, seconds.
    pub grace_time_s: u32,
    /// `PreemptMode`, Slurm's number; `None` takes the cluster's.
    pub preempt_mode: Option<u16>,
    /// `AllowAccounts`; empty allows all.
    pub allow_accounts: Vec<String>,
    /// `DenyAccounts`.
    pub deny_accounts: Vec<String>,
    /// `AllowGroups`; empty allows all.
    pub allow_groups: Vec<String>,
    /// `AllowQos`; empty allows all.
    pub allow_qos: Vec<String>,
    /// `DenyQos`.
    pub deny_qos: Vec<String>,
    /// `AllocNodes`; empty allows all.
    pub alloc_nodes: Vec<NodeName>,
    /// `Alternate`.
    pub alternate: Option<PartitionName>,
    /// `QOS`.
    pub qos: Option<String>,
    /// `TRESBillingWeights`.
    pub billing_weights: Option<String>,
    /// `JobDefaults`.
    pub job_defaults: Option<String>,
}

impl Default for PartitionConf {
    fn default() -> Self {
        Self {
            name: PartitionName::from(""),
            nodes: Vec::new(),
            nodes_text: String::new(),
            state: PartitionState::Up,
            is_default: false,
            hidden: false,
            root_only: false,
            no_root: false,
            least_loaded: false,
            exclusive_user: false,
            reservation_required: false,
            time_max: Limit::Unlimited,
            time_default: None,
            over_time_limit: None,
            nodes_min: 0,
            nodes_max: Limit::Unlimited,
            cpus_per_node_max: Limit::Unlimited,
            memory_default: None,
            memory_max: None,
            priority_tier: 1,
            priority_job_factor: 1,
            over_subscribe: OverSubscribe::No,
            grace_time_s: 0,
            preempt_mode: None,
            allow_accounts: Vec::new(),
            deny_accounts: Vec::new(),
            allow_groups: Vec::new(),
            allow_qos: Vec::new(),
            deny_qos: Vec::new(),
            alloc_nodes: Vec::new(),
            alternate: None,
            qos: None,
            billing_weights: None,
            job_defaults: None,
        }
    }
}

/// A partition and everything the cluster knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// As configured, with later changes by hand.
    pub conf: PartitionConf,
    /// As last configured: tells a reconfiguration what was changed by hand.
    pub configured: PartitionConf,
    /// Place in the configuration.
    pub index: u32,
    /// Created by hand: a reconfiguration that does not name it keeps it.
    pub by_hand: bool,
}
