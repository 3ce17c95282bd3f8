//! What a controller tells the accounting daemon: itself, its nodes, its jobs and steps.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::conditions::UserCond;
use crate::codec::Flag8;
use crate::messages::JobAcct;
use crate::{NO_VAL, StepId, UnixTime, Wire};

/// A controller comes up. 1434.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct RegisterController {
    pub dimensions: u16,
    pub flags: u32,
    #[wire(until = V23_11)]
    pub plugin_id_select: u32,
    /// Where it listens.
    pub port: u16,
    #[wire(since = V25_11)]
    pub cluster_id: u32,
}

/// The cluster's resources. 1407; 1408 ends all its jobs.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ClusterTres {
    pub cluster_nodes: Option<String>,
    pub event_time: UnixTime,
    pub tres_str: Option<String>,
}

/// A node went down, came back or changed. 1432.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeState {
    pub hostlist: Option<String>,
    #[wire(since = V23_11)]
    pub extra: Option<String>,
    #[wire(since = V23_11)]
    pub instance_id: Option<String>,
    #[wire(since = V23_11)]
    pub instance_type: Option<String>,
    pub reason: Option<String>,
    #[wire(default = NO_VAL)]
    pub reason_uid: u32,
    /// 1 down, 2 up, 3 changed (23.11 and later).
    pub new_state: u16,
    pub event_time: UnixTime,
    pub state: u32,
    pub tres_str: Option<String>,
}

/// A job is known, became eligible, started or changed. 1425, and many of them in 1472.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobStart {
    pub account: Option<String>,
    pub alloc_nodes: u32,
    pub array_job_id: u32,
    pub array_max_tasks: u32,
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    pub array_task_str: Option<String>,
    pub array_task_pending: u32,
    pub assoc_id: u32,
    pub constraints: Option<String>,
    pub container: Option<String>,
    pub db_flags: u32,
    pub db_index: u64,
    pub eligible_time: UnixTime,
    #[wire(since = V26_05)]
    pub exclusive: u8,
    pub gid: u32,
    pub gres_used: Option<String>,
    pub job_id: u32,
    pub job_state: u32,
    pub state_reason_prev: u32,
    #[wire(since = V23_02)]
    pub licenses: Option<String>,
    pub mcs_label: Option<String>,
    pub name: Option<String>,
    pub nodes: Option<String>,
    pub node_inx: Option<String>,
    pub het_job_id: u32,
    #[wire(default = NO_VAL)]
    pub het_job_offset: u32,
    #[wire(since = V26_05)]
    pub oversubscribe: u8,
    pub partition: Option<String>,
    pub priority: u32,
    pub qos_id: u32,
    #[wire(since = V24_11)]
    pub qos_req: Option<String>,
    pub req_cpus: u32,
    pub req_mem: u64,
    #[wire(since = V24_11)]
    pub restart_cnt: u16,
    pub resv_id: u32,
    #[wire(since = V25_05)]
    pub resv_req: Option<String>,
    #[wire(since = V25_05)]
    pub segment_size: u16,
    #[wire(since = V26_05)]
    pub sluid: u64,
    pub start_time: UnixTime,
    #[wire(since = V24_05)]
    pub std_err: Option<String>,
    #[wire(since = V24_05)]
    pub std_in: Option<String>,
    #[wire(since = V24_05)]
    pub std_out: Option<String>,
    pub submit_line: Option<String>,
    pub submit_time: UnixTime,
    pub timelimit: u32,
    pub tres_alloc_str: Option<String>,
    pub tres_req_str: Option<String>,
    pub uid: u32,
    pub wckey: Option<String>,
    pub work_dir: Option<String>,
    pub env_hash: Option<String>,
    pub script_hash: Option<String>,
}

/// The number that the daemon gave a job, and what it wants sent besides. 1426; many in 1473.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct IdRc {
    pub job_id: u32,
    pub db_index: u64,
    /// Asks for the script (bit 0) or the environment (bit 1).
    pub flags: u64,
    pub return_code: u32,
}

/// A job's script and environment, which many jobs may share. 1498.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobHeavy {
    pub env: Option<String>,
    pub env_hash: Option<String>,
    pub script: Option<String>,
    pub script_hash: Option<String>,
}

/// A job was suspended or goes on. 1427.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobSuspend {
    pub assoc_id: u32,
    pub db_index: u64,
    pub job_id: u32,
    pub job_state: u32,
    pub submit_time: UnixTime,
    pub suspend_time: UnixTime,
}

/// A job ended. 1424.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobComplete {
    pub admin_comment: Option<String>,
    pub assoc_id: u32,
    pub comment: Option<String>,
    pub db_index: u64,
    pub derived_ec: u32,
    pub end_time: UnixTime,
    pub exit_code: u32,
    #[wire(since = V23_02)]
    pub extra: Option<String>,
    #[wire(since = V23_02)]
    pub failed_node: Option<String>,
    pub job_id: u32,
    pub job_state: u32,
    pub nodes: Option<String>,
    pub req_uid: u32,
    pub start_time: UnixTime,
    pub submit_time: UnixTime,
    pub system_comment: Option<String>,
    pub tres_alloc_str: Option<String>,
}

/// A step started. 1442.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepStarted {
    pub assoc_id: u32,
    pub db_index: u64,
    pub container: Option<String>,
    pub name: Option<String>,
    pub nodes: Option<String>,
    pub node_inx: Option<String>,
    pub node_cnt: u32,
    pub start_time: UnixTime,
    pub job_submit_time: UnixTime,
    pub req_cpufreq_min: u32,
    pub req_cpufreq_max: u32,
    pub req_cpufreq_gov: u32,
    pub step_id: StepId,
    #[wire(since = V25_05)]
    pub cwd: Option<String>,
    #[wire(since = V26_05)]
    pub state: u32,
    #[wire(since = V25_05)]
    pub std_err: Option<String>,
    #[wire(since = V25_05)]
    pub std_in: Option<String>,
    #[wire(since = V25_05)]
    pub std_out: Option<String>,
    pub submit_line: Option<String>,
    pub task_dist: u32,
    #[wire(since = V25_05)]
    pub time_limit: u32,
    pub total_tasks: u32,
    pub tres_alloc_str: Option<String>,
}

/// A step ended. 1441.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepCompleted {
    pub assoc_id: u32,
    pub db_index: u64,
    pub end_time: UnixTime,
    pub exit_code: u32,
    #[wire(as_ = Flag8)]
    pub jobacct: Option<JobAcct>,
    pub job_submit_time: UnixTime,
    pub job_tres_alloc_str: Option<String>,
    pub req_uid: u32,
    pub start_time: UnixTime,
    pub state: u16,
    pub step_id: StepId,
    pub total_tasks: u32,
}

/// The end of a conversation, or of a transaction in it. 1401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct Fini {
    /// 1 when the connection closes.
    pub close_conn: u16,
    /// 1 to keep the changes, 0 to drop them.
    pub commit: u16,
}

/// Asks for a roll-up. 1440.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct RollUsage {
    pub archive_data: u16,
    pub end: UnixTime,
    pub start: UnixTime,
}

/// Makes users coordinators of accounts, or no longer. 1403, 1436.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct AccountCoordinators {
    pub acct_list: Vec<String>,
    pub cond: UserCond,
}

/// Asks for the configuration. 1466.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct GetConfig {
    /// Of the daemon itself if it is `slurmdbd.conf`, or absent.
    #[wire(until = V25_11)]
    pub config_name: Option<String>,
}

/// The accounting daemon's configuration. 1508, 26.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct DbdConfig {
    pub archive_dir: Option<String>,
    pub archive_script: Option<String>,
    pub commit_delay: u16,
    pub dbd_addr: Option<String>,
    pub dbd_backup: Option<String>,
    pub dbd_host: Option<String>,
    pub dbd_port: u16,
    pub debug_level: u16,
    pub default_qos: Option<String>,
    pub flags: u32,
    pub log_file: Option<String>,
    pub max_purge_limit: u32,
    pub max_time_range: u32,
    pub parameters: Option<String>,
    pub persist_conn_rc_flags: u16,
    pub pid_file: Option<String>,
    pub purge_event: u32,
    pub purge_job: u32,
    pub purge_resv: u32,
    pub purge_step: u32,
    pub purge_suspend: u32,
    pub purge_txn: u32,
    pub purge_usage: u32,
    pub purge_jobscript: u32,
    pub purge_jobenv: u32,
    /// Always empty, like the two below: secrets.
    pub storage_loc: Option<String>,
    pub storage_pass_script: Option<String>,
    pub storage_user: Option<String>,
    pub syslog_debug: u16,
    pub track_wckey: u16,
    pub track_ctld: u16,
}
