//! The description of a job as users submit and change it.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use crate::codec::{Count16, Flag8};
use crate::{Bits, NO_VAL, NO_VAL8, NO_VAL16, NO_VAL64, StepId, Text, UnixTime, Wire};

/// The user and group of a request that does not say for whom it is.
pub const NOBODY: u32 = 99;

/// What a job asks for, or what should change about it. 4003, 4001, 4012, 3001.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct JobDesc {
    #[wire(since = V25_11)]
    pub step_id: StepId,
    #[wire(default = NO_VAL)]
    pub site_factor: u32,
    pub batch_features: Option<Text>,
    pub cluster_features: Option<Text>,
    pub clusters: Option<Text>,
    #[wire(default = NO_VAL16)]
    pub contiguous: u16,
    pub container: Option<Text>,
    #[wire(since = V23_02)]
    pub container_id: Option<Text>,
    #[wire(since = V26_05)]
    pub container_type: Option<Text>,
    #[wire(default = NO_VAL16)]
    pub core_spec: u16,
    #[wire(default = NO_VAL)]
    pub task_dist: u32,
    #[wire(default = NO_VAL16)]
    pub kill_on_node_fail: u16,
    pub features: Option<Text>,
    pub fed_siblings_active: u64,
    pub fed_siblings_viable: u64,
    #[wire(until = V25_05, default = NO_VAL)]
    pub job_id: u32,
    pub job_id_str: Option<Text>,
    pub name: Option<Text>,
    pub alloc_node: Option<Text>,
    #[wire(default = NO_VAL)]
    pub alloc_sid: u32,
    pub array_inx: Option<Text>,
    pub burst_buffer: Option<Text>,
    #[wire(default = NO_VAL16)]
    pub pn_min_cpus: u16,
    #[wire(default = NO_VAL64)]
    pub pn_min_memory: u64,
    #[wire(since = V26_05)]
    pub mem_update_delay: u16,
    #[wire(since = V26_05)]
    pub mem_update_margin: u16,
    #[wire(since = V24_11)]
    pub oom_kill_step: u16,
    #[wire(default = NO_VAL)]
    pub pn_min_tmp_disk: u32,
    #[wire(until = V24_05)]
    pub power_flags: u8,
    pub prefer: Option<Text>,
    #[wire(default = NO_VAL)]
    pub cpu_freq_min: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_max: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_gov: u32,
    pub partition: Option<Text>,
    #[wire(default = NO_VAL)]
    pub priority: u32,
    pub dependency: Option<Text>,
    pub account: Option<Text>,
    pub admin_comment: Option<Text>,
    pub comment: Option<Text>,
    #[wire(default = NO_VAL)]
    pub nice: u32,
    pub profile: u32,
    pub qos: Option<Text>,
    pub mcs_label: Option<Text>,
    pub origin_cluster: Option<Text>,
    pub open_mode: u8,
    #[wire(default = NO_VAL8)]
    pub overcommit: u8,
    pub acctg_freq: Option<Text>,
    #[wire(default = NO_VAL)]
    pub num_tasks: u32,
    pub req_context: Option<Text>,
    pub req_nodes: Option<Text>,
    pub exc_nodes: Option<Text>,
    pub environment: Vec<Text>,
    pub spank_job_env: Vec<Text>,
    pub script: Option<Text>,
    pub argv: Vec<Text>,
    pub std_err: Option<Text>,
    pub std_in: Option<Text>,
    pub std_out: Option<Text>,
    pub submit_line: Option<Text>,
    pub work_dir: Option<Text>,
    pub immediate: u16,
    #[wire(default = NO_VAL16)]
    pub reboot: u16,
    #[wire(default = NO_VAL16)]
    pub requeue: u16,
    #[wire(default = NO_VAL16)]
    pub shared: u16,
    #[wire(default = NO_VAL16)]
    pub cpus_per_task: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_node: u16,
    pub ntasks_per_board: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_socket: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_core: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_tres: u16,
    #[wire(default = NO_VAL16)]
    pub plane_size: u16,
    #[wire(default = NO_VAL16)]
    pub cpu_bind_type: u16,
    #[wire(default = NO_VAL16)]
    pub mem_bind_type: u16,
    pub cpu_bind: Option<Text>,
    pub mem_bind: Option<Text>,
    #[wire(default = NO_VAL)]
    pub time_limit: u32,
    #[wire(default = NO_VAL)]
    pub time_min: u32,
    #[wire(default = NO_VAL)]
    pub min_cpus: u32,
    #[wire(default = NO_VAL)]
    pub max_cpus: u32,
    #[wire(default = NO_VAL)]
    pub min_nodes: u32,
    #[wire(default = NO_VAL)]
    pub max_nodes: u32,
    #[wire(since = V23_02)]
    pub job_size_str: Option<Text>,
    pub boards_per_node: u16,
    pub sockets_per_board: u16,
    #[wire(default = NO_VAL16)]
    pub sockets_per_node: u16,
    #[wire(default = NO_VAL16)]
    pub cores_per_socket: u16,
    #[wire(default = NO_VAL16)]
    pub threads_per_core: u16,
    #[wire(default = NOBODY)]
    pub user_id: u32,
    #[wire(default = NOBODY)]
    pub group_id: u32,
    pub alloc_resp_port: u16,
    #[wire(since = V25_05)]
    pub alloc_tls_cert: Option<Text>,
    pub resp_host: Option<Text>,
    pub other_port: u16,
    #[wire(since = V24_05)]
    pub resv_port_cnt: u16,
    pub network: Option<Text>,
    pub begin_time: UnixTime,
    pub end_time: UnixTime,
    pub deadline: UnixTime,
    pub licenses: Option<Text>,
    #[wire(default = NO_VAL16)]
    pub mail_type: u16,
    pub mail_user: Option<Text>,
    pub reservation: Option<Text>,
    pub restart_cnt: u16,
    pub warn_flags: u16,
    pub warn_signal: u16,
    pub warn_time: u16,
    pub wckey: Option<Text>,
    #[wire(default = NO_VAL)]
    pub req_switch: u32,
    #[wire(default = NO_VAL)]
    pub wait4switch: u32,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    #[wire(default = NO_VAL16)]
    pub wait_all_nodes: u16,
    pub bitflags: u64,
    #[wire(default = NO_VAL)]
    pub delay_boot: u32,
    pub extra: Option<Text>,
    pub x11: u16,
    pub x11_magic_cookie: Option<Text>,
    pub x11_target: Option<Text>,
    pub x11_target_port: u16,
    pub cpus_per_tres: Option<Text>,
    pub mem_per_tres: Option<Text>,
    pub tres_bind: Option<Text>,
    pub tres_freq: Option<Text>,
    pub tres_per_job: Option<Text>,
    pub tres_per_node: Option<Text>,
    pub tres_per_socket: Option<Text>,
    pub tres_per_task: Option<Text>,
    #[wire(as_ = Flag8)]
    pub crontab_entry: Option<CronEntry>,
    #[wire(since = V24_05)]
    pub segment_size: u16,
}

impl JobDesc {
    /// The job's number, wherever the release carries it; `None` when the request names no job.
    pub fn job_number(&self) -> Option<u32> {
        let given = |id: &u32| *id != NO_VAL && *id != 0;
        Some(self.step_id.job_id).filter(given).or(Some(self.job_id).filter(given))
    }
}

/// When a scrontab job runs, and where its line stands in the crontab.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct CronEntry {
    pub flags: u32,
    pub minute: Option<Bits>,
    pub hour: Option<Bits>,
    pub day_of_month: Option<Bits>,
    pub month: Option<Bits>,
    pub day_of_week: Option<Bits>,
    pub cronspec: Option<Text>,
    pub line_start: u32,
    pub line_end: u32,
}

/// The components of a heterogeneous job. 4028, 4025.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct JobDescList {
    #[wire(as_ = Count16)]
    pub components: Vec<JobDesc>,
}
