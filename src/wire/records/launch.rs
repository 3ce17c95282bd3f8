//! What a controller asks of a node: start a batch job, prepare for a job, end a job.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use super::codec::Counted;
use super::credential::{Credential, VersionedCredential};
use super::gres::{GresPrep, PrepList};
use super::runs::Runs;
use super::step_manager::StepManagerState;
use crate::codec::Flag8;
use crate::{JobRef, List, NO_VAL, StepId, UnixTime, Wire};

/// Starts a job's batch script. 4005.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct BatchJobLaunch {
    #[wire(until = V25_05)]
    pub job_id: u32,
    #[wire(default = NO_VAL)]
    pub het_job_id: u32,
    #[wire(until = V23_02)]
    pub uid: u32,
    #[wire(until = V23_02)]
    pub gid: u32,
    #[wire(until = V23_02)]
    pub user_name: Option<String>,
    pub gids: Vec<u32>,
    pub partition: Option<String>,
    pub ntasks: u32,
    pub pn_min_memory: u64,
    pub open_mode: u8,
    pub overcommit: u8,
    pub array_job_id: u32,
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    pub acctg_freq: Option<String>,
    pub container: Option<String>,
    pub cpu_bind_type: u16,
    pub cpus_per_task: u16,
    pub restart_cnt: u16,
    pub job_core_spec: u16,
    pub cpus_per_node: Runs<u16>,
    #[wire(until = V24_05)]
    pub alias_list: Option<String>,
    pub cpu_bind: Option<String>,
    pub nodes: Option<String>,
    pub script: Option<String>,
    pub work_dir: Option<String>,
    pub std_err: Option<String>,
    pub std_in: Option<String>,
    pub std_out: Option<String>,
    #[wire(as_ = Counted)]
    pub argv: Vec<String>,
    pub spank_job_env: Vec<String>,
    #[wire(as_ = Counted)]
    pub environment: Vec<String>,
    pub job_mem: u64,
    pub cred: VersionedCredential,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub resv_name: Option<String>,
    pub profile: u32,
    pub tres_bind: Option<String>,
    pub tres_freq: Option<String>,
    #[wire(since = V25_05)]
    pub tres_per_task: Option<String>,
    #[wire(since = V24_11, default = NO_VAL)]
    pub cpu_freq_min: u32,
    #[wire(since = V24_11, default = NO_VAL)]
    pub cpu_freq_max: u32,
    #[wire(since = V24_11, default = NO_VAL)]
    pub cpu_freq_gov: u32,
    #[wire(since = V24_11)]
    pub oom_kill_step: bool,
}

/// Ends a job on a node. 6011, 6009, 6013, 6016.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct KillJob {
    #[wire(as_ = Flag8)]
    pub cred: Option<Box<Credential>>,
    pub details: Option<String>,
    pub derived_ec: u32,
    pub exit_code: u32,
    #[wire(as_ = PrepList)]
    pub job_gres_prep: List<GresPrep>,
    pub step_id: StepId,
    #[wire(default = NO_VAL)]
    pub het_job_id: u32,
    pub job_state: u32,
    pub job_uid: u32,
    pub job_gid: u32,
    pub nodes: Option<String>,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    pub spank_job_env: Vec<String>,
    pub start_time: UnixTime,
    pub time: UnixTime,
    pub work_dir: Option<String>,
}

/// Prepares a node for a job. 6017.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PrologLaunch {
    #[wire(since = V25_05)]
    pub alloc_tls_cert: Option<String>,
    #[wire(as_ = PrepList)]
    pub job_gres_prep: List<GresPrep>,
    #[wire(until = V25_05)]
    pub job_id: u32,
    #[wire(default = NO_VAL)]
    pub het_job_id: u32,
    pub uid: u32,
    pub gid: u32,
    #[wire(until = V24_11)]
    pub alias_list: Option<String>,
    pub nodes: Option<String>,
    #[wire(until = V23_02)]
    pub std_err: Option<String>,
    #[wire(until = V23_02)]
    pub std_out: Option<String>,
    pub work_dir: Option<String>,
    pub x11: u16,
    pub x11_alloc_host: Option<String>,
    pub x11_alloc_port: u16,
    pub x11_magic_cookie: Option<String>,
    pub x11_target: Option<String>,
    pub x11_target_port: u16,
    pub spank_job_env: Vec<String>,
    pub cred: Box<Credential>,
    #[wire(until = V23_02)]
    pub user_name: Option<String>,
    /// For the node whose daemon manages the job's steps.
    #[wire(since = V24_05, as_ = Flag8)]
    pub step_manager: Option<Box<StepManagerState>>,
}

/// A node is prepared for a job, or failed to be. 6018.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct PrologComplete {
    pub job: JobRef,
    pub node_name: Option<String>,
    pub prolog_rc: u32,
}
