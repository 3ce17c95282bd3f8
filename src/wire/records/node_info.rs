//! Nodes as listings show them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SELECT_CONS_TRES;
use crate::{Text, UnixTime, Wire};

/// A node as listings show it. Part of 2008.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct NodeInfo {
    pub name: Option<Text>,
    pub node_hostname: Option<Text>,
    pub node_addr: Option<Text>,
    pub bcast_address: Option<Text>,
    #[wire(since = V25_05)]
    pub cert_flags: u16,
    pub port: u16,
    pub next_state: u32,
    pub node_state: u32,
    pub version: Option<Text>,
    pub cpus: u16,
    pub boards: u16,
    pub sockets: u16,
    pub cores: u16,
    pub threads: u16,
    pub real_memory: u64,
    pub tmp_disk: u32,
    #[wire(since = V24_05)]
    pub gpu_spec: Option<Text>,
    pub mcs_label: Option<Text>,
    pub owner: u32,
    pub core_spec_cnt: u16,
    pub cpu_bind: u32,
    pub mem_spec_limit: u64,
    pub cpu_spec_list: Option<Text>,
    pub cpus_efctv: u16,
    pub cpu_load: u32,
    pub free_mem: u64,
    pub weight: u32,
    #[wire(since = V24_05)]
    pub res_cores_per_gpu: u16,
    pub reason_uid: u32,
    #[wire(since = V26_05)]
    pub suspend_time: u32,
    pub boot_time: UnixTime,
    pub last_busy: UnixTime,
    pub reason_time: UnixTime,
    #[wire(since = V23_02)]
    pub resume_after: UnixTime,
    pub slurmd_start_time: UnixTime,
    #[wire(until = V24_11)]
    pub select_nodeinfo: SelectNodeInfo,
    #[wire(since = V25_05)]
    pub cert_last_renewal: UnixTime,
    #[wire(since = V25_05)]
    pub alloc_cpus: u16,
    #[wire(since = V25_05)]
    pub alloc_memory: u64,
    #[wire(since = V25_05)]
    pub alloc_tres_fmt_str: Option<Text>,
    pub arch: Option<Text>,
    pub features: Option<Text>,
    pub features_act: Option<Text>,
    pub gres: Option<Text>,
    pub gres_drain: Option<Text>,
    pub gres_used: Option<Text>,
    pub os: Option<Text>,
    pub comment: Option<Text>,
    pub extra: Option<Text>,
    #[wire(since = V23_11)]
    pub instance_id: Option<Text>,
    #[wire(since = V23_11)]
    pub instance_type: Option<Text>,
    #[wire(since = V25_11)]
    pub parameters: Option<Text>,
    pub reason: Option<Text>,
    pub energy: Energy,
    #[wire(until = V23_11)]
    pub ext_sensors: ExtSensors,
    #[wire(until = V23_11)]
    pub power: PowerCap,
    pub tres_fmt_str: Option<Text>,
    #[wire(since = V23_02)]
    pub resv_name: Option<Text>,
    #[wire(since = V25_05)]
    pub topology_str: Option<Text>,
}

/// Energy that a node has used.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Energy {
    pub base_consumed_energy: u64,
    pub ave_watts: u32,
    pub consumed_energy: u64,
    pub current_watts: u32,
    pub previous_consumed_energy: u64,
    pub poll_time: UnixTime,
    #[wire(since = V24_11)]
    pub slurmd_start_time: UnixTime,
}

/// What sensors outside of the node measured; before 24.05.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ExtSensors {
    pub consumed_energy: u64,
    pub temperature: u32,
    pub energy_update_time: UnixTime,
    pub current_watts: u32,
}

/// A limit on the power that a node draws; before 24.05.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PowerCap {
    pub cap_watts: u32,
}

/// What the select plugin says of a node; before 25.05.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct SelectNodeInfo {
    #[wire(default = SELECT_CONS_TRES)]
    pub plugin_id: u32,
    pub alloc_cpus: u16,
    pub alloc_memory: u64,
    pub tres_alloc_fmt_str: Option<Text>,
    pub tres_alloc_weighted: f64,
}
