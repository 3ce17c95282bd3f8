//! Partitions as listings show them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::codec::{U16Until, V23_11};
use crate::{Bits, List, Wire};

/// A partition as listings show it. Part of 2010.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PartitionInfo {
    pub name: Option<String>,
    pub cpu_bind: u32,
    pub grace_time: u32,
    pub max_time: u32,
    pub default_time: u32,
    pub max_nodes: u32,
    pub min_nodes: u32,
    pub total_nodes: u32,
    pub total_cpus: u32,
    pub def_mem_per_cpu: u64,
    pub max_cpus_per_node: u32,
    #[wire(since = V23_02)]
    pub max_cpus_per_socket: u32,
    pub max_mem_per_cpu: u64,
    #[wire(as_ = U16Until<{ V23_11 }>)]
    pub flags: u32,
    pub max_share: u16,
    pub over_time_limit: u16,
    pub preempt_mode: u16,
    pub priority_job_factor: u16,
    pub priority_tier: u16,
    pub state_up: u16,
    pub cr_type: u16,
    pub resume_timeout: u16,
    pub suspend_timeout: u16,
    pub suspend_time: u32,
    pub allow_accounts: Option<String>,
    pub allow_groups: Option<String>,
    pub allow_alloc_nodes: Option<String>,
    pub allow_qos: Option<String>,
    pub qos_char: Option<String>,
    pub alternate: Option<String>,
    pub deny_accounts: Option<String>,
    pub deny_qos: Option<String>,
    pub nodes: Option<String>,
    pub nodesets: Option<String>,
    pub node_inx: Option<Bits>,
    pub billing_weights_str: Option<String>,
    #[wire(since = V25_05)]
    pub topology_name: Option<String>,
    pub tres_fmt_str: Option<String>,
    pub job_defaults_list: List<JobDefault>,
}

/// A default that a partition or the cluster gives to jobs.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobDefault {
    pub r#type: u16,
    pub value: u64,
}
