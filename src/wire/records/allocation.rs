//! The answer to a request for an allocation.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use super::runs::Runs;
use crate::codec::{Count16, Flag8};
use crate::dbd::Cluster;
use crate::{JobRef, List, StepId, UnixTime, Wire, WireAddr};

/// The nodes that a job got, or is still to get. 4002, 4015.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Allocation {
    pub account: Option<String>,
    #[wire(until = V24_11)]
    pub alias_list: Option<String>,
    pub batch_host: Option<String>,
    pub environment: Vec<String>,
    pub error_code: u32,
    #[wire(since = V23_02)]
    pub gid: u32,
    #[wire(since = V23_02)]
    pub group_name: Option<String>,
    pub job_submit_user_msg: Option<String>,
    #[wire(until = V25_05)]
    pub job_id: u32,
    pub node_cnt: u32,
    /// The addresses of the nodes in their order.
    #[wire(until = V24_11, as_ = Flag8)]
    pub node_addr: Option<Vec<WireAddr>>,
    pub node_list: Option<String>,
    pub ntasks_per_board: u16,
    pub ntasks_per_core: u16,
    pub ntasks_per_tres: u16,
    pub ntasks_per_socket: u16,
    pub cpus_per_node: Runs<u16>,
    pub partition: Option<String>,
    pub pn_min_memory: u64,
    pub qos: Option<String>,
    pub resv_name: Option<String>,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    #[wire(since = V25_11)]
    pub segment_size: u16,
    #[wire(since = V25_11)]
    pub start_protocol_ver: u16,
    #[wire(since = V25_11)]
    pub step_id: StepId,
    #[wire(since = V23_02)]
    pub tres_per_node: Option<String>,
    #[wire(since = V25_05)]
    pub tres_per_task: Option<String>,
    #[wire(since = V23_02)]
    pub uid: u32,
    #[wire(since = V23_02)]
    pub user_name: Option<String>,
    /// The cluster that the job went to, if it is not the one asked.
    #[wire(as_ = Flag8)]
    pub working_cluster_rec: Option<Box<Cluster>>,
}

/// The allocations of the components of a heterogeneous job. 4026.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AllocationList {
    #[wire(as_ = Count16)]
    pub components: Vec<Allocation>,
}

/// When and where a job would run. 4013.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct WillRun {
    pub job: JobRef,
    pub job_submit_user_msg: Option<String>,
    pub node_list: Option<String>,
    pub part_name: Option<String>,
    pub preemptee_job_id: List<u32>,
    pub proc_cnt: u32,
    pub start_time: UnixTime,
    pub sys_usage_per: f64,
}
