//! Making a step: what srun asks of a controller and what it gets.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use super::codec::Flag16;
use super::credential::Credential;
use crate::codec::{Flag8, JobAndStep};
use crate::{
    Codec, DecodeError, Gen, INFINITE16, NO_VAL, Reader, Release, Schema, StepId, Visitor, Wire,
    Writer,
};

/// The number of the switch/none plugin.
pub const SWITCH_NONE: u32 = 100;

/// What the switch plugin adds to a step: its number and, for switch/none, no more. 22.05 and
/// 23.02; later releases send nothing here without a plugin, and from 24.11 on it is part of the
/// credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct SwitchJobInfo {
    /// The plugin's number.
    #[wire(default = SWITCH_NONE)]
    pub plugin_id: u32,
}

/// Asks for a step. 5001.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepCreate {
    pub step_id: StepId,
    #[wire(since = V23_02, default = NO_VAL)]
    pub array_task_id: u32,
    pub user_id: u32,
    pub min_nodes: u32,
    pub max_nodes: u32,
    pub container: Option<String>,
    #[wire(since = V23_02)]
    pub container_id: Option<String>,
    #[wire(since = V26_05)]
    pub container_type: Option<String>,
    pub cpu_count: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_min: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_max: u32,
    #[wire(default = NO_VAL)]
    pub cpu_freq_gov: u32,
    pub num_tasks: u32,
    pub pn_min_memory: u64,
    pub time_limit: u32,
    pub threads_per_core: u16,
    #[wire(since = V23_02, default = INFINITE16)]
    pub ntasks_per_core: u16,
    pub relative: u16,
    pub task_dist: u32,
    pub plane_size: u16,
    pub port: u16,
    pub immediate: u16,
    pub resv_port_cnt: u16,
    pub srun_pid: u32,
    pub flags: u32,
    pub host: Option<String>,
    pub name: Option<String>,
    pub network: Option<String>,
    pub node_list: Option<String>,
    pub exc_nodes: Option<String>,
    pub features: Option<String>,
    pub step_het_comp_cnt: u32,
    pub step_het_grps: Option<String>,
    pub cpus_per_tres: Option<String>,
    pub mem_per_tres: Option<String>,
    pub ntasks_per_tres: u16,
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
    /// What a step that starts later is to be launched with.
    #[wire(since = V26_05, as_ = Flag8)]
    pub launch_params: Option<Box<LaunchParams>>,
}

/// How srun would launch a step, for a step that the controller launches. Part of 5001.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct LaunchParams {
    pub argv: Vec<String>,
    pub env: Vec<String>,
    pub container: Option<String>,
    pub cwd: Option<String>,
    pub msg_timeout: u32,
    pub ntasks_per_board: u16,
    pub ntasks_per_core: u16,
    pub ntasks_per_tres: u16,
    pub ntasks_per_socket: u16,
    pub buffered_stdio: bool,
    pub labelio: bool,
    pub output_filename: Option<String>,
    pub error_filename: Option<String>,
    pub input_filename: Option<String>,
    pub multi_prog: bool,
    pub no_alloc: bool,
    pub slurmd_debug: u32,
    pub het_job_node_offset: u32,
    pub het_job_id: u32,
    pub het_job_nnodes: u32,
    pub het_job_ntasks: u32,
    pub het_job_step_cnt: u32,
    pub het_job_offset: u32,
    pub het_job_task_offset: u32,
    pub het_job_node_list: Option<String>,
    pub parallel_debug: bool,
    pub profile: u32,
    pub task_prolog: Option<String>,
    pub task_epilog: Option<String>,
    pub cpu_bind_type: u16,
    pub cpu_bind: Option<String>,
    pub cpu_freq_min: u32,
    pub cpu_freq_max: u32,
    pub cpu_freq_gov: u32,
    pub mem_bind_type: u16,
    pub mem_bind: Option<String>,
    pub accel_bind_type: u16,
    pub max_sockets: u16,
    pub max_cores: u16,
    pub max_threads: u16,
    pub cpus_per_task: u16,
    pub cpt_compact_array: Vec<u16>,
    pub cpt_compact_reps: Vec<u32>,
    pub threads_per_core: u16,
    pub task_dist: u32,
    pub tree_width: u16,
    pub preserve_env: bool,
    pub mpi_plugin_name: Option<String>,
    pub open_mode: u8,
    pub acctg_freq: Option<String>,
    pub pty: bool,
    pub spank_job_env: Vec<String>,
    pub tres_bind: Option<String>,
    pub tres_freq: Option<String>,
    pub oom_kill_step: u16,
}

/// The step that was made, and what to launch it with. 5002.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct StepCreated {
    pub def_cpu_bind_type: u32,
    pub resv_ports: Option<String>,
    #[wire(as_ = StepAlone)]
    pub step_id: StepId,
    #[wire(as_ = Flag16)]
    pub step_layout: Option<StepLayout>,
    #[wire(since = V24_05)]
    pub stepmgr: Option<String>,
    /// Absent only in 26.05, for a step that the controller launches.
    #[wire(as_ = MayLack, sample = MayLack::sample_cred)]
    pub cred: Option<Box<Credential>>,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    #[wire(until = V23_02)]
    pub switch_job: SwitchJobInfo,
    /// The oldest release among the step's nodes: the one to launch in.
    #[wire(until = V25_05)]
    pub use_protocol_ver: u16,
    #[wire(since = V26_05)]
    pub state: u32,
}

/// Which tasks of a step run on which of its nodes. Part of 5002 and body of 5022.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepLayout {
    /// Without meaning since 25.05.
    pub front_end: Option<String>,
    pub node_list: Option<String>,
    #[wire(sample = Gen::few)]
    pub node_cnt: u32,
    pub start_protocol_ver: u16,
    pub task_cnt: u32,
    pub task_dist: u32,
    /// The tasks of each node, numbered within the step.
    #[wire(count = Self::nodes)]
    pub tids: Vec<Vec<u32>>,
    #[wire(since = V23_11)]
    pub cpt_compact_array: Vec<u16>,
    #[wire(since = V23_11)]
    pub cpt_compact_reps: Vec<u32>,
    /// A credential of the nodes' addresses, where they are not in the configuration.
    #[wire(since = V23_11)]
    pub net_cred: Option<String>,
}

impl StepLayout {
    const fn nodes(&self) -> u32 {
        self.node_cnt
    }
}

/// Where a step's tasks run. 5022.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepLayoutAnswer {
    #[wire(as_ = Flag16)]
    pub layout: Option<StepLayout>,
}

/// A step's number alone in 22.05, job and step until 25.05, a whole step id since 25.11.
struct StepAlone;

impl Codec<StepId> for StepAlone {
    const KIND: &'static str = "step";

    fn encode(value: &StepId, w: &mut Writer) {
        match w.release() {
            Release::V22_05 => w.u32(value.step_id),
            _ => JobAndStep::encode(value, w),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<StepId, DecodeError> {
        match r.release() {
            Release::V22_05 => r.u32().map(|step_id| StepId::step(NO_VAL, step_id)),
            _ => JobAndStep::decode(r),
        }
    }

    fn sample(g: &mut Gen) -> StepId {
        match g.release() {
            Release::V22_05 => StepId::step(NO_VAL, u32::sample(g)),
            _ => JobAndStep::sample(g),
        }
    }

    fn view(value: &StepId, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn schema(release: Release, s: &mut Schema) {
        match release {
            Release::V22_05 => s.kind("u32"),
            _ => JobAndStep::schema(release, s),
        }
    }
}

/// A credential that is behind a flag since 26.05 and always there before.
struct MayLack;

impl MayLack {
    fn sample_cred(g: &mut Gen) -> Option<Box<Credential>> {
        if g.release() >= Release::V26_05 { g.maybe(Wire::sample) } else { Some(Wire::sample(g)) }
    }
}

impl Codec<Option<Box<Credential>>> for MayLack {
    const KIND: &'static str = "record, u8? since 26.05";

    fn encode(value: &Option<Box<Credential>>, w: &mut Writer) {
        match value {
            _ if w.release() >= Release::V26_05 => Flag8::encode(value, w),
            Some(cred) => cred.encode(w),
            None => Credential::default().encode(w),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<Box<Credential>>, DecodeError> {
        if r.release() >= Release::V26_05 { Flag8::decode(r) } else { Wire::decode(r).map(Some) }
    }

    fn sample(g: &mut Gen) -> Option<Box<Credential>> {
        Self::sample_cred(g)
    }

    fn view(value: &Option<Box<Credential>>, v: &mut dyn Visitor) {
        <Flag8 as Codec<Option<Box<Credential>>>>::view(value, v);
    }

    fn schema(release: Release, s: &mut Schema) {
        if release >= Release::V26_05 {
            <Flag8 as Codec<Option<Box<Credential>>>>::schema(release, s);
        } else {
            Credential::schema(release, s);
        }
    }
}
