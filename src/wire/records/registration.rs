//! How a node reports to a controller.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::codec::SizedMem;
use super::node_info::Energy;
use crate::{List, Mem, StepId, UnixTime, Wire};

/// A node reports what it has and runs. 1002.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct NodeRegistration {
    pub timestamp: UnixTime,
    pub slurmd_start_time: UnixTime,
    pub status: u32,
    #[wire(since = V23_11)]
    pub extra: Option<String>,
    pub features_active: Option<String>,
    pub features_avail: Option<String>,
    pub hostname: Option<String>,
    #[wire(since = V23_11)]
    pub instance_id: Option<String>,
    #[wire(since = V23_11)]
    pub instance_type: Option<String>,
    pub node_name: Option<String>,
    pub arch: Option<String>,
    pub cpu_spec_list: Option<String>,
    #[wire(since = V25_05)]
    pub mem_spec_limit: u64,
    pub os: Option<String>,
    #[wire(since = V25_11)]
    pub parameters: Option<String>,
    pub cpus: u16,
    pub boards: u16,
    pub sockets: u16,
    pub cores: u16,
    pub threads: u16,
    pub real_memory: u64,
    pub tmp_disk: u32,
    pub up_time: u32,
    /// A hash of the configuration the node uses.
    pub hash_val: u32,
    pub cpu_load: u32,
    pub free_mem: u64,
    /// The steps that run here.
    pub step_id: Vec<StepId>,
    pub flags: u16,
    /// A packed `GresNodeConfig`.
    #[wire(as_ = SizedMem)]
    pub gres_info: Mem,
    pub energy: Energy,
    pub version: Option<String>,
    pub dynamic_type: u8,
    pub dynamic_conf: Option<String>,
    pub dynamic_feature: Option<String>,
}

/// The answer to a registration. 1024.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeRegistrationAnswer {
    pub tres_list: List<TresRecord>,
    pub node_name: Option<String>,
}

/// A kind of trackable resource.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TresRecord {
    pub alloc_secs: u64,
    pub count: u64,
    pub id: u32,
    pub name: Option<String>,
    pub r#type: Option<String>,
}
