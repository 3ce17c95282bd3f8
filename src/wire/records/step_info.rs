//! Steps as listings show them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use crate::{Bits, JobRef, StepId, UnixTime, Wire};

/// A step as listings show it. Part of 2006.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct StepInfo {
    pub array_job_id: u32,
    pub array_task_id: u32,
    pub step_id: StepId,
    pub user_id: u32,
    pub num_cpus: u32,
    pub cpu_freq_min: u32,
    pub cpu_freq_max: u32,
    pub cpu_freq_gov: u32,
    pub num_tasks: u32,
    pub task_dist: u32,
    pub time_limit: u32,
    pub state: u32,
    pub srun_pid: u32,
    pub start_time: UnixTime,
    pub run_time: UnixTime,
    pub cluster: Option<String>,
    pub container: Option<String>,
    #[wire(since = V23_02)]
    pub container_id: Option<String>,
    #[wire(since = V26_05)]
    pub container_type: Option<String>,
    pub partition: Option<String>,
    pub srun_host: Option<String>,
    pub resv_ports: Option<String>,
    pub nodes: Option<String>,
    pub name: Option<String>,
    pub network: Option<String>,
    pub node_inx: Option<Bits>,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    pub tres_fmt_alloc_str: Option<String>,
    pub start_protocol_ver: u16,
    pub cpus_per_tres: Option<String>,
    pub mem_per_tres: Option<String>,
    #[wire(since = V25_05)]
    pub job_name: Option<String>,
    #[wire(since = V25_05)]
    pub cwd: Option<String>,
    #[wire(since = V25_05)]
    pub std_err: Option<String>,
    #[wire(since = V25_05)]
    pub std_in: Option<String>,
    #[wire(since = V25_05)]
    pub std_out: Option<String>,
    pub submit_line: Option<String>,
    pub tres_bind: Option<String>,
    pub tres_freq: Option<String>,
    pub tres_per_step: Option<String>,
    pub tres_per_node: Option<String>,
    pub tres_per_socket: Option<String>,
    pub tres_per_task: Option<String>,
}

/// A job whose steps a step manager on one of its nodes looks after.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepManagerJob {
    pub job: JobRef,
    pub stepmgr: Option<String>,
}
