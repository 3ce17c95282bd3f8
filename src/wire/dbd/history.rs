//! What happened: jobs, steps, events of nodes, instances, reservations, administrators' changes.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::entities::Tres;
use crate::{List, NO_VAL, StepId, UnixTime, Wire};

/// A job as `sacct` shows it.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct JobRecord {
    pub account: Option<String>,
    pub admin_comment: Option<String>,
    pub alloc_nodes: u32,
    pub array_job_id: u32,
    pub array_max_tasks: u32,
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    pub array_task_str: Option<String>,
    pub associd: u32,
    pub blockid: Option<String>,
    pub cluster: Option<String>,
    pub constraints: Option<String>,
    pub container: Option<String>,
    pub db_index: u64,
    pub derived_ec: u32,
    pub derived_es: Option<String>,
    pub elapsed: u32,
    pub eligible: UnixTime,
    pub end: UnixTime,
    pub env: Option<String>,
    #[wire(since = V26_05)]
    pub exclusive: Option<String>,
    pub exitcode: u32,
    #[wire(since = V23_02)]
    pub extra: Option<String>,
    #[wire(since = V23_02)]
    pub failed_node: Option<String>,
    pub flags: u32,
    pub gid: u32,
    pub jobid: u32,
    pub jobname: Option<String>,
    #[wire(until = V23_02)]
    pub lft: u32,
    #[wire(since = V23_02)]
    pub licenses: Option<String>,
    #[wire(since = V23_11)]
    pub lineage: Option<String>,
    pub mcs_label: Option<String>,
    pub nodes: Option<String>,
    pub het_job_id: u32,
    #[wire(default = NO_VAL)]
    pub het_job_offset: u32,
    #[wire(since = V26_05)]
    pub oversubscribe: Option<String>,
    pub partition: Option<String>,
    pub priority: u32,
    pub qosid: u32,
    #[wire(since = V24_11)]
    pub qos_req: Option<String>,
    pub req_cpus: u32,
    pub req_mem: u64,
    pub requid: u32,
    #[wire(since = V24_11)]
    pub restart_cnt: u16,
    pub resv_name: Option<String>,
    pub resvid: u32,
    #[wire(since = V25_05)]
    pub resv_req: Option<String>,
    pub script: Option<String>,
    #[wire(since = V26_05)]
    pub sluid: u64,
    pub show_full: u32,
    pub start: UnixTime,
    pub state: u32,
    pub state_reason_prev: u32,
    pub steps: Vec<StepRecord>,
    #[wire(since = V25_05)]
    pub segment_size: u16,
    #[wire(since = V24_05)]
    pub std_err: Option<String>,
    #[wire(since = V24_05)]
    pub std_in: Option<String>,
    #[wire(since = V24_05)]
    pub std_out: Option<String>,
    pub submit: UnixTime,
    pub submit_line: Option<String>,
    pub suspended: u32,
    pub system_comment: Option<String>,
    pub sys_cpu_sec: u64,
    pub sys_cpu_usec: u64,
    pub timelimit: u32,
    pub tot_cpu_sec: u64,
    pub tot_cpu_usec: u64,
    pub tres_alloc_str: Option<String>,
    pub tres_req_str: Option<String>,
    pub uid: u32,
    pub user: Option<String>,
    pub user_cpu_sec: u64,
    pub user_cpu_usec: u64,
    pub wckey: Option<String>,
    pub wckeyid: u32,
    pub work_dir: Option<String>,
}

/// A step as `sacct` shows it.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct StepRecord {
    pub container: Option<String>,
    pub elapsed: u32,
    pub end: UnixTime,
    pub exitcode: u32,
    pub nnodes: u32,
    pub nodes: Option<String>,
    pub ntasks: u32,
    pub req_cpufreq_min: u32,
    pub req_cpufreq_max: u32,
    pub req_cpufreq_gov: u32,
    pub requid: u32,
    pub stats: StepStats,
    pub start: UnixTime,
    pub state: u16,
    pub step_id: StepId,
    pub stepname: Option<String>,
    #[wire(since = V25_05)]
    pub cwd: Option<String>,
    #[wire(since = V25_05)]
    pub std_err: Option<String>,
    #[wire(since = V25_05)]
    pub std_in: Option<String>,
    #[wire(since = V25_05)]
    pub std_out: Option<String>,
    pub submit_line: Option<String>,
    pub suspended: u32,
    pub sys_cpu_sec: u64,
    pub sys_cpu_usec: u32,
    pub task_dist: u32,
    #[wire(since = V25_05)]
    pub timelimit: u32,
    pub tot_cpu_sec: u64,
    pub tot_cpu_usec: u32,
    pub tres_alloc_str: Option<String>,
    pub user_cpu_sec: u64,
    pub user_cpu_usec: u32,
}

/// What a step used. The strings are lists of `number=value`, by resource.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct StepStats {
    pub act_cpufreq: f64,
    pub consumed_energy: u64,
    pub tres_usage_in_ave: Option<String>,
    pub tres_usage_in_max: Option<String>,
    pub tres_usage_in_max_nodeid: Option<String>,
    pub tres_usage_in_max_taskid: Option<String>,
    pub tres_usage_in_min: Option<String>,
    pub tres_usage_in_min_nodeid: Option<String>,
    pub tres_usage_in_min_taskid: Option<String>,
    pub tres_usage_in_tot: Option<String>,
    pub tres_usage_out_ave: Option<String>,
    pub tres_usage_out_max: Option<String>,
    pub tres_usage_out_max_nodeid: Option<String>,
    pub tres_usage_out_max_taskid: Option<String>,
    pub tres_usage_out_min: Option<String>,
    pub tres_usage_out_min_nodeid: Option<String>,
    pub tres_usage_out_min_taskid: Option<String>,
    pub tres_usage_out_tot: Option<String>,
}

/// A change of a node's or a cluster's state.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Event {
    pub cluster: Option<String>,
    pub cluster_nodes: Option<String>,
    /// 1 for a cluster, 2 for a node.
    pub event_type: u16,
    pub node_name: Option<String>,
    pub period_start: UnixTime,
    pub period_end: UnixTime,
    pub reason: Option<String>,
    #[wire(default = NO_VAL)]
    pub reason_uid: u32,
    #[wire(default = NO_VAL)]
    pub state: u32,
    pub tres_str: Option<String>,
}

/// A node's time as a rented machine. 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Instance {
    pub cluster: Option<String>,
    pub extra: Option<String>,
    pub instance_id: Option<String>,
    pub instance_type: Option<String>,
    pub node_name: Option<String>,
    pub time_end: UnixTime,
    pub time_start: UnixTime,
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ReservationRecord {
    pub assocs: Option<String>,
    pub cluster: Option<String>,
    #[wire(since = V23_02)]
    pub comment: Option<String>,
    pub flags: u64,
    pub id: u32,
    pub name: Option<String>,
    pub nodes: Option<String>,
    pub node_inx: Option<String>,
    pub time_end: UnixTime,
    #[wire(since = V25_05)]
    pub time_force: UnixTime,
    pub time_start: UnixTime,
    pub time_start_prev: UnixTime,
    pub tres_str: Option<String>,
    pub tres_list: List<Tres>,
    pub unused_wall: f64,
}

/// A change that an administrator made.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Transaction {
    pub accts: Option<String>,
    /// The number of the request.
    pub action: u16,
    pub actor_name: Option<String>,
    pub clusters: Option<String>,
    pub id: u32,
    pub set_info: Option<String>,
    pub timestamp: UnixTime,
    pub users: Option<String>,
    pub where_query: Option<String>,
}

/// What to load back from an archive. 1460.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ArchiveRecord {
    pub archive_file: Option<String>,
    /// The statements themselves, instead of a file.
    pub insert: Option<String>,
}
