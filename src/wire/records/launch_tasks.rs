//! Starting a step's tasks on its nodes, and attaching to them later.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use super::credential::{Credential, VersionedCredential};
use super::step_create::SwitchJobInfo;
use super::step_manager::StepManagerState;
use crate::codec::{Count16, Flag8};
use crate::{Gen, NO_VAL, Release, StepId, Wire, WireAddr};

/// Starts a step's tasks. 6001, from srun to each node.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct LaunchTasks {
    pub step_id: StepId,
    #[wire(until = V23_02)]
    pub uid: u32,
    #[wire(until = V23_02)]
    pub gid: u32,
    #[wire(until = V23_02)]
    pub user_name: Option<String>,
    pub gids: Vec<u32>,
    #[wire(default = NO_VAL)]
    pub het_job_node_offset: u32,
    #[wire(default = NO_VAL)]
    pub het_job_id: u32,
    /// `NO_VAL` outside heterogeneous jobs.
    #[wire(default = NO_VAL, sample = few_or_none)]
    pub het_job_nnodes: u32,
    /// The tasks of each node of the whole heterogeneous job.
    #[wire(when = Self::has_het_nodes, count = Self::het_nodes)]
    pub het_job_tids: Vec<Vec<u32>>,
    /// `NO_VAL` outside heterogeneous jobs.
    #[wire(default = NO_VAL, sample = few_or_none)]
    pub het_job_ntasks: u32,
    #[wire(when = Self::has_het_tasks, count = Self::het_tasks)]
    pub het_job_tid_offsets: Vec<u32>,
    #[wire(default = NO_VAL)]
    pub het_job_offset: u32,
    #[wire(default = NO_VAL)]
    pub het_job_step_cnt: u32,
    #[wire(since = V25_05, when = Self::has_het_steps)]
    pub het_job_step_task_cnts: Vec<u32>,
    #[wire(default = NO_VAL)]
    pub het_job_task_offset: u32,
    pub het_job_node_list: Option<String>,
    pub mpi_plugin_id: u32,
    pub ntasks: u32,
    pub ntasks_per_board: u16,
    pub ntasks_per_core: u16,
    pub ntasks_per_tres: u16,
    pub ntasks_per_socket: u16,
    pub job_mem_lim: u64,
    pub step_mem_lim: u64,
    #[wire(sample = Gen::few)]
    pub nnodes: u32,
    pub cpus_per_task: u16,
    #[wire(since = V23_11)]
    pub cpt_compact_array: Vec<u16>,
    #[wire(since = V23_11)]
    pub cpt_compact_reps: Vec<u32>,
    pub tres_per_task: Option<String>,
    pub threads_per_core: u16,
    pub task_dist: u32,
    pub node_cpus: u16,
    pub job_core_spec: u16,
    pub accel_bind_type: u16,
    pub cred: VersionedCredential,
    /// The tasks of each node of the step.
    #[wire(count = Self::nodes)]
    pub tasks: Vec<NodeTasks>,
    #[wire(as_ = Count16)]
    pub resp_port: Vec<u16>,
    pub orig_addr: WireAddr,
    pub env: Vec<String>,
    pub spank_job_env: Vec<String>,
    pub container: Option<String>,
    pub cwd: Option<String>,
    pub cpu_bind_type: u16,
    pub cpu_bind: Option<String>,
    pub mem_bind_type: u16,
    pub mem_bind: Option<String>,
    pub argv: Vec<String>,
    pub flags: u32,
    pub ofname: Option<String>,
    pub efname: Option<String>,
    pub ifname: Option<String>,
    #[wire(as_ = Count16)]
    pub io_port: Vec<u16>,
    #[wire(since = V25_05)]
    pub alloc_tls_cert: Option<String>,
    pub profile: u32,
    pub task_prolog: Option<String>,
    pub task_epilog: Option<String>,
    pub slurmd_debug: u16,
    #[wire(until = V23_02)]
    pub switch_job: SwitchJobInfo,
    pub options: JobOptions,
    #[wire(until = V24_11)]
    pub alias_list: Option<String>,
    pub complete_nodelist: Option<String>,
    pub open_mode: u8,
    pub acctg_freq: Option<String>,
    #[wire(default = NO_VAL)]
    pub cpu_freq_min: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_max: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_gov: u32,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    pub tres_bind: Option<String>,
    pub tres_freq: Option<String>,
    pub x11: u16,
    pub x11_alloc_host: Option<String>,
    pub x11_alloc_port: u16,
    pub x11_magic_cookie: Option<String>,
    pub x11_target: Option<String>,
    pub x11_target_port: u16,
    #[wire(since = V24_05)]
    pub stepmgr: Option<String>,
    #[wire(since = V24_11)]
    pub oom_kill_step: bool,
    /// For the node whose daemon manages the job's steps.
    #[wire(since = V24_05, as_ = Flag8)]
    pub step_manager: Option<Box<StepManagerState>>,
}

impl LaunchTasks {
    const fn has_het_nodes(&self, _: Release) -> bool {
        self.het_job_nnodes != NO_VAL
    }

    const fn het_nodes(&self) -> u32 {
        self.het_job_nnodes
    }

    const fn has_het_tasks(&self, _: Release) -> bool {
        self.het_job_ntasks != NO_VAL
    }

    const fn het_tasks(&self) -> u32 {
        self.het_job_ntasks
    }

    const fn has_het_steps(&self, _: Release) -> bool {
        self.het_job_offset < NO_VAL && self.het_job_step_cnt > 0
    }

    const fn nodes(&self) -> u32 {
        self.nnodes
    }
}

fn few_or_none(g: &mut Gen) -> u32 {
    g.maybe(Gen::few).unwrap_or(NO_VAL)
}

/// The tasks that one node starts.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeTasks {
    pub tasks_to_launch: u16,
    /// Numbered within the step.
    pub global_task_ids: Vec<u32>,
}

/// The options that spank plugins added to the command line.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobOptions {
    #[wire(default = Some("job_options".to_owned()))]
    pub tag: Option<String>,
    pub options: Vec<JobOption>,
}

/// One option of a spank plugin.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobOption {
    pub r#type: u32,
    pub option: Option<String>,
    pub optarg: Option<String>,
}

/// Attaches to a running step. 6007, from sattach to each node.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Reattach {
    #[wire(since = V25_05)]
    pub tls_cert: Option<String>,
    pub step_id: StepId,
    /// What nodes prove themselves with on the I/O channel; before 23.11 the signature of `cred`.
    #[wire(since = V23_11)]
    pub io_key: Option<String>,
    #[wire(as_ = Count16)]
    pub resp_port: Vec<u16>,
    #[wire(as_ = Count16)]
    pub io_port: Vec<u16>,
    #[wire(until = V23_02)]
    pub cred: Box<Credential>,
}
