//! What a step manager on a job's first node is told, so that it can make steps without the
//! controller: the job's, its nodes' and its partition's state. Part of 6001 and 6017, 24.05 and
//! later. Before 24.11 it was in the order of the controller's own state files.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use std::fmt::Debug;

use super::SelectJobInfo;
use super::codec::{Flag16, UnlessNoVal};
use super::credential::Identity;
use super::gres::{GresJobState, GresNodeState, GresStepState};
use super::job_details::JobStateDetails;
use super::job_info::JobResources;
use super::step_create::{StepCreate, StepLayout};
use crate::codec::{Count16, Flag8};
use crate::messages::JobAcct;
use crate::{
    Bits, Codec, DecodeError, Gen, List, Mem, NO_VAL, Reader, Release, Schema, StepId, UnixTime,
    Visitor, Wire, Writer,
};

/// Everything that a step manager is told.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct StepManagerState {
    pub job: Box<JobStateRecord>,
    pub nodes: List<NodeStateRecord>,
    pub partition: Box<PartStateRecord>,
}

const JOB_RESIZING: u32 = 1 << 13;
const JOB_COMPLETING: u32 = 1 << 15;
const WAIT_PROLOG: u32 = 36;

/// A job's state.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(order(
    until = V24_05,
    fields(
        array_job_id, array_task_id, array_recs, assoc_id, batch_features, container, container_id,
        delay_boot, failed_node, job_id, user_id, group_id, time_limit, time_min, priority,
        alloc_sid, total_cpus, total_nodes, cpu_cnt, exit_code, derived_ec, db_index, resv_id,
        next_step_id, het_job_id, het_job_id_set, het_job_offset, qos_id, req_switch, wait4switch,
        profile, db_flags, last_sched_eval, preempt_time, prolog_launch_time, start_time, end_time,
        end_time_exp, suspend_time, pre_sus_time, resize_time, tot_sus_time, deadline, site_factor,
        direct_set_prio, job_state, kill_on_node_fail, batch_flag, mail_type, state_reason,
        state_reason_prev_db, reboot, restart_cnt, wait_all_nodes, warn_flags, warn_signal,
        warn_time, limit_set, state_desc, resp_host, alloc_resp_port, other_port, resv_ports,
        resv_port_cnt, power_flags, start_protocol_ver, billable_tres, nodes_completing, nodes_pr,
        nodes, node_cnt, node_bitmap, partition, name, user_name, wckey, alloc_node, account,
        admin_comment, comment, extra, gres_used, network, licenses, lic_req, mail_user, mcs_label,
        resv_name, batch_host, burst_buffer, burst_buffer_state, system_comment, select_jobinfo,
        switch_jobinfo, job_resrcs, spank_job_env, gres_list_req, gres_list_alloc, details, steps,
        bit_flags, tres_alloc_str, tres_fmt_alloc_str, tres_req_str, tres_fmt_req_str, clusters,
        fed_details, origin_cluster, cpus_per_tres, mem_per_tres, tres_bind, tres_freq,
        tres_per_job, tres_per_node, tres_per_socket, tres_per_task, selinux_context, id
    )
))]
pub struct JobStateRecord {
    #[wire(since = V25_11)]
    pub step_id: StepId,
    pub account: Option<String>,
    pub admin_comment: Option<String>,
    pub alloc_node: Option<String>,
    pub alloc_sid: u32,
    pub array_job_id: u32,
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    pub assoc_id: u32,
    pub batch_features: Option<String>,
    pub batch_flag: u16,
    pub batch_host: Option<String>,
    pub bit_flags: u64,
    pub burst_buffer: Option<String>,
    pub burst_buffer_state: Option<String>,
    pub billable_tres: f64,
    pub comment: Option<String>,
    pub container: Option<String>,
    pub container_id: Option<String>,
    #[wire(since = V26_05)]
    pub container_type: Option<String>,
    pub cpus_per_tres: Option<String>,
    pub deadline: UnixTime,
    pub delay_boot: u32,
    pub derived_ec: u32,
    pub exit_code: u32,
    pub extra: Option<String>,
    pub failed_node: Option<String>,
    #[wire(as_ = Narrowed<FED_DETAILS>)]
    pub fed_details: Option<FedState>,
    pub gres_used: Option<String>,
    pub group_id: u32,
    pub het_job_id: u32,
    pub het_job_id_set: Option<String>,
    pub het_job_offset: u32,
    #[wire(until = V25_05)]
    pub job_id: u32,
    pub job_state: u32,
    pub last_sched_eval: UnixTime,
    pub licenses: Option<String>,
    #[wire(since = V25_05)]
    pub licenses_allocated: Option<String>,
    pub mail_type: u16,
    pub mail_user: Option<String>,
    pub mcs_label: Option<String>,
    pub mem_per_tres: Option<String>,
    pub name: Option<String>,
    pub network: Option<String>,
    pub preempt_time: UnixTime,
    pub pre_sus_time: UnixTime,
    pub priority: u32,
    pub profile: u32,
    pub reboot: u8,
    pub req_switch: u32,
    pub resize_time: UnixTime,
    pub restart_cnt: u16,
    pub resv_name: Option<String>,
    pub resv_ports: Option<String>,
    pub selinux_context: Option<String>,
    pub site_factor: u32,
    pub start_protocol_ver: u16,
    pub state_desc: Option<String>,
    pub state_reason: u32,
    pub suspend_time: UnixTime,
    pub system_comment: Option<String>,
    pub time_min: u32,
    pub tres_bind: Option<String>,
    pub tres_fmt_alloc_str: Option<String>,
    pub tres_fmt_req_str: Option<String>,
    pub tres_freq: Option<String>,
    pub tres_per_job: Option<String>,
    pub tres_per_node: Option<String>,
    pub tres_per_socket: Option<String>,
    pub tres_per_task: Option<String>,
    pub user_id: u32,
    pub user_name: Option<String>,
    pub wait4switch: u32,
    pub wckey: Option<String>,
    /// The tasks of an array that its first record stands for.
    #[wire(as_ = UnlessNoVal)]
    pub array_recs: Option<ArrayState>,
    pub time_limit: u32,
    pub total_cpus: u32,
    pub total_nodes: u32,
    pub cpu_cnt: u32,
    pub db_index: u64,
    pub resv_id: u32,
    pub next_step_id: u32,
    pub qos_id: u32,
    pub db_flags: u32,
    pub prolog_launch_time: UnixTime,
    pub start_time: UnixTime,
    pub end_time: UnixTime,
    pub end_time_exp: UnixTime,
    pub tot_sus_time: UnixTime,
    pub direct_set_prio: u16,
    #[wire(since = V25_11)]
    pub epilog_failed: u16,
    pub kill_on_node_fail: u16,
    pub state_reason_prev_db: u32,
    pub wait_all_nodes: u16,
    pub warn_flags: u16,
    pub warn_signal: u16,
    pub warn_time: u16,
    pub limit_set: LimitSet,
    pub resp_host: Option<String>,
    pub alloc_resp_port: u16,
    #[wire(since = V25_05)]
    pub alloc_tls_cert: Option<String>,
    pub other_port: u16,
    pub resv_port_cnt: u16,
    #[wire(until = V24_05, constant = 0u8)]
    pub power_flags: (),
    #[wire(when = Self::is_completing)]
    pub nodes_completing: Option<String>,
    #[wire(when = Self::waits_for_prolog)]
    pub nodes_pr: Option<String>,
    #[wire(since = V26_05, when = Self::is_resizing)]
    pub nodes_rs: Option<String>,
    pub nodes: Option<String>,
    pub node_cnt: u32,
    #[wire(until = V25_11)]
    pub node_bitmap: Option<Bits>,
    pub partition: Option<String>,
    pub lic_req: Option<String>,
    #[wire(until = V24_11)]
    pub select_jobinfo: SelectJobInfo,
    /// What a switch plugin adds; empty without one.
    pub switch_jobinfo: Mem,
    /// What a topology plugin adds; empty without one.
    #[wire(since = V25_11)]
    pub topo_jobinfo: Mem,
    #[wire(as_ = UnlessNoVal)]
    pub job_resrcs: Option<JobResources>,
    pub spank_job_env: Vec<String>,
    #[wire(as_ = Count16)]
    pub gres_list_req: Vec<GresJobState>,
    #[wire(as_ = Count16)]
    pub gres_list_alloc: Vec<GresJobState>,
    #[wire(as_ = Narrowed<JOB_DETAILS>)]
    pub details: Option<Box<JobStateDetails>>,
    #[wire(as_ = StepStates)]
    pub steps: List<StepStateRecord>,
    pub tres_alloc_str: Option<String>,
    pub tres_req_str: Option<String>,
    pub clusters: Option<String>,
    pub origin_cluster: Option<String>,
    #[wire(as_ = Flag8)]
    pub id: Option<Identity>,
}

impl JobStateRecord {
    const fn is_completing(&self, _: Release) -> bool {
        self.job_state & JOB_COMPLETING != 0
    }

    const fn waits_for_prolog(&self, _: Release) -> bool {
        self.state_reason == WAIT_PROLOG
    }

    const fn is_resizing(&self, _: Release) -> bool {
        self.job_state & JOB_RESIZING != 0
    }
}

/// What the clusters of a federation know of a job.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct FedState {
    pub cluster_lock: u32,
    pub origin_str: Option<String>,
    pub siblings_active: u64,
    pub siblings_active_str: Option<String>,
    pub siblings_viable: u64,
    pub siblings_viable_str: Option<String>,
}

/// The tasks of an array that have no record of their own.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ArrayState {
    /// Size of the array, 0 where `task_id_str` is absent.
    #[wire(sample = super::codec::below_no_val)]
    pub task_id_size: u32,
    #[wire(when = Self::has_tasks)]
    pub task_id_str: Option<String>,
    pub array_flags: u32,
    pub max_run_tasks: u32,
    pub tot_run_tasks: u32,
    pub min_exit_code: u32,
    pub max_exit_code: u32,
    pub tot_comp_tasks: u32,
}

impl ArrayState {
    const fn has_tasks(&self, _: Release) -> bool {
        self.task_id_size > 0
    }
}

/// Which limits an administrator set aside for a job.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct LimitSet {
    pub qos: u16,
    pub time: u16,
    pub tres: Vec<u16>,
}

/// A step's state.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct StepStateRecord {
    pub step_id: u32,
    #[wire(default = NO_VAL)]
    pub step_het_comp: u32,
    #[wire(until = V25_11)]
    pub cyclic_alloc: u16,
    pub srun_pid: u32,
    pub port: u16,
    pub cpus_per_task: u16,
    pub container: Option<String>,
    pub container_id: Option<String>,
    #[wire(since = V26_05)]
    pub container_type: Option<String>,
    pub resv_port_cnt: u16,
    pub state: u16,
    pub start_protocol_ver: u16,
    pub flags: u32,
    pub cpu_alloc_reps: Vec<u32>,
    pub cpu_alloc_values: Vec<u16>,
    pub cpu_count: u32,
    pub pn_min_memory: u64,
    #[wire(default = NO_VAL)]
    pub exit_code: u32,
    #[wire(when = Self::has_exited)]
    pub exit_node_bitmap: Option<Bits>,
    pub core_bitmap_job: Option<Bits>,
    pub time_limit: u32,
    pub cpu_freq_min: u32,
    pub cpu_freq_max: u32,
    pub cpu_freq_gov: u32,
    pub start_time: UnixTime,
    pub pre_sus_time: UnixTime,
    pub tot_sus_time: UnixTime,
    pub host: Option<String>,
    pub resv_ports: Option<String>,
    pub name: Option<String>,
    pub network: Option<String>,
    #[wire(as_ = Count16)]
    pub gres_list_req: Vec<GresStepState>,
    #[wire(as_ = Count16)]
    pub gres_list_alloc: Vec<GresStepState>,
    #[wire(as_ = Flag16)]
    pub step_layout: Option<StepLayout>,
    #[wire(as_ = SwitchStep)]
    pub switch_step: Option<Mem>,
    #[wire(until = V24_11)]
    pub select_jobinfo: SelectJobInfo,
    pub tres_alloc_str: Option<String>,
    pub tres_fmt_alloc_str: Option<String>,
    pub cpus_per_tres: Option<String>,
    pub mem_per_tres: Option<String>,
    #[wire(since = V25_05)]
    pub cwd: Option<String>,
    #[wire(since = V25_05)]
    pub std_in: Option<String>,
    #[wire(since = V25_05)]
    pub std_err: Option<String>,
    #[wire(since = V25_05)]
    pub std_out: Option<String>,
    pub submit_line: Option<String>,
    pub tres_bind: Option<String>,
    pub tres_freq: Option<String>,
    pub tres_per_step: Option<String>,
    pub tres_per_node: Option<String>,
    pub tres_per_socket: Option<String>,
    pub tres_per_task: Option<String>,
    #[wire(as_ = Flag8)]
    pub jobacct: Option<JobAcct>,
    pub memory_allocated: Vec<u64>,
    #[wire(since = V26_05, as_ = Flag8)]
    pub step_req: Option<Box<StepCreate>>,
}

impl StepStateRecord {
    const fn has_exited(&self, _: Release) -> bool {
        self.exit_code != NO_VAL
    }
}

/// A node's state.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct NodeStateRecord {
    #[wire(since = V25_05)]
    pub cert_last_renewal: UnixTime,
    #[wire(since = V24_11)]
    pub cert_token: Option<String>,
    pub comm_name: Option<String>,
    pub name: Option<String>,
    pub node_hostname: Option<String>,
    pub comment: Option<String>,
    pub extra: Option<String>,
    pub reason: Option<String>,
    pub features: Option<String>,
    pub features_act: Option<String>,
    pub gres: Option<String>,
    pub instance_id: Option<String>,
    pub instance_type: Option<String>,
    pub cpu_spec_list: Option<String>,
    pub next_state: u32,
    pub node_state: u32,
    pub cpu_bind: u32,
    #[wire(since = V26_05)]
    pub suspend_time: u32,
    pub cpus: u16,
    pub boards: u16,
    #[wire(since = V25_05)]
    pub tot_cores: u16,
    pub tot_sockets: u16,
    pub cores: u16,
    pub core_spec_cnt: u16,
    #[wire(since = V24_11)]
    pub mem_spec_limit: u64,
    pub threads: u16,
    pub real_memory: u64,
    pub res_cores_per_gpu: u16,
    pub gpu_spec_bitmap: Option<Bits>,
    pub tmp_disk: u32,
    #[wire(since = V25_05)]
    pub topology_str: Option<String>,
    #[wire(since = V25_11, until = V25_11)]
    pub topology_orig_str: Option<String>,
    pub reason_uid: u32,
    pub reason_time: UnixTime,
    pub resume_after: UnixTime,
    pub boot_req_time: UnixTime,
    pub power_save_req_time: UnixTime,
    pub last_busy: UnixTime,
    pub last_response: UnixTime,
    #[wire(since = V25_11)]
    pub parameters: Option<String>,
    pub port: u16,
    #[wire(since = V26_05)]
    pub power_action_name: Option<String>,
    pub protocol_version: u16,
    pub tpc: u16,
    pub mcs_label: Option<String>,
    #[wire(as_ = Count16)]
    pub gres_list: Vec<GresNodeState>,
    pub weight: u32,
}

/// A partition's state.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct PartStateRecord {
    pub cpu_bind: u32,
    pub name: Option<String>,
    pub grace_time: u32,
    pub max_time: u32,
    pub default_time: u32,
    pub max_cpus_per_node: u32,
    pub max_cpus_per_socket: u32,
    pub max_nodes: u32,
    pub min_nodes: u32,
    pub flags: u32,
    pub max_share: u16,
    pub over_time_limit: u16,
    pub preempt_mode: u16,
    pub priority_job_factor: u16,
    pub priority_tier: u16,
    pub state_up: u16,
    pub cr_type: u16,
    pub allow_accounts: Option<String>,
    pub allow_groups: Option<String>,
    pub allow_qos: Option<String>,
    pub qos_char: Option<String>,
    pub allow_alloc_nodes: Option<String>,
    pub alternate: Option<String>,
    pub deny_accounts: Option<String>,
    pub deny_qos: Option<String>,
    pub nodes: Option<String>,
    #[wire(since = V25_05)]
    pub topology_name: Option<String>,
}

const JOB_DETAILS: u16 = 0xdddd;
const FED_DETAILS: u16 = 1;
const STEP: u16 = 0xbbbb;

/// A flag of 16 bits, `FLAG` where the value follows, before 24.11; of 8 bits since.
struct Narrowed<const FLAG: u16>;

impl<const FLAG: u16, T: Wire + Debug> Codec<Option<T>> for Narrowed<FLAG> {
    const KIND: &'static str = "u16?/u8?";

    fn encode(value: &Option<T>, w: &mut Writer) {
        if w.release() >= Release::V24_11 {
            return Flag8::encode(value, w);
        }
        w.u16(if value.is_some() { FLAG } else { 0 });
        if let Some(value) = value {
            value.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        if r.release() >= Release::V24_11 { Flag8::decode(r) } else { Flag16::decode(r) }
    }

    fn sample(g: &mut Gen) -> Option<T> {
        g.maybe(T::sample)
    }

    fn view(value: &Option<T>, v: &mut dyn Visitor) {
        <Flag8 as Codec<Option<T>>>::view(value, v);
    }

    fn schema(release: Release, s: &mut Schema) {
        if release >= Release::V24_11 {
            <Flag8 as Codec<Option<T>>>::schema(release, s);
        } else {
            <Flag16 as Codec<Option<T>>>::schema(release, s);
        }
    }
}

/// Steps each behind a mark and a zero after the last before 24.11; a list since.
struct StepStates;

impl Codec<List<StepStateRecord>> for StepStates {
    const KIND: &'static str = "marked/list";

    fn encode(value: &List<StepStateRecord>, w: &mut Writer) {
        if w.release() >= Release::V24_11 {
            return value.encode(w);
        }
        for step in value.iter().flatten() {
            w.u16(STEP);
            step.encode(w);
        }
        w.u16(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<List<StepStateRecord>, DecodeError> {
        if r.release() >= Release::V24_11 {
            return Wire::decode(r);
        }
        let mut steps = Vec::new();
        // Every turn takes bytes, so that their number bounds the loop.
        while r.u16()? == STEP {
            steps.push(StepStateRecord::decode(r)?);
        }
        Ok(Some(steps))
    }

    fn sample(g: &mut Gen) -> List<StepStateRecord> {
        if g.release() >= Release::V24_11 { Wire::sample(g) } else { Some(Wire::sample(g)) }
    }

    fn view(value: &List<StepStateRecord>, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter(if release >= Release::V24_11 { "list[]" } else { "marked[]" });
        StepStateRecord::schema(release, s);
        s.leave();
    }
}

/// What a switch plugin adds to a step, behind a flag; its length is known since 24.11.
struct SwitchStep;

impl Codec<Option<Mem>> for SwitchStep {
    const KIND: &'static str = "u8? mem";

    fn encode(value: &Option<Mem>, w: &mut Writer) {
        if w.release() >= Release::V24_11 { Flag8::encode(value, w) } else { w.u8(0) }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<Mem>, DecodeError> {
        if r.release() >= Release::V24_11 {
            return Flag8::decode(r);
        }
        match r.u8()? {
            0 => Ok(None),
            _ => Err(r.invalid("a switch plugin's data is not understood")),
        }
    }

    fn sample(g: &mut Gen) -> Option<Mem> {
        if g.release() >= Release::V24_11 { g.maybe(Mem::sample) } else { None }
    }

    fn view(value: &Option<Mem>, v: &mut dyn Visitor) {
        <Flag8 as Codec<Option<Mem>>>::view(value, v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release >= Release::V24_11 { "u8? mem" } else { "u8" });
    }
}
