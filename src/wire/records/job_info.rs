//! Jobs as listings show them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::SelectJobInfo;
use super::codec::{Flag255, U16Until, UnlessNoVal, V22_05};
use crate::{Bits, Few16, Few32, Few64, NO_VAL, NO_VAL16, Release, StepId, Text, UnixTime, Wire};

/// A job as listings show it, for the detailed view too. Part of 2004.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(order(
    until = V24_05,
    fields(
        array_job_id, array_task_id, array_task_str, array_max_tasks, assoc_id, container,
        container_id, delay_boot, failed_node, job_id, user_id, group_id, het_job_id,
        het_job_id_set, het_job_offset, profile, job_state, batch_flag, state_reason,
        power_flags, reboot, restart_cnt, show_flags, deadline, alloc_sid, time_limit,
        time_min, nice, submit_time, eligible_time, accrue_time, start_time, end_time,
        suspend_time, pre_sus_time, resize_time, last_sched_eval, preempt_time, priority,
        priority_array, priority_array_names, billable_tres, cluster, nodes, sched_nodes,
        partition, account, admin_comment, site_factor, network, comment, extra,
        container_again, batch_features, batch_host, burst_buffer, burst_buffer_state,
        system_comment, qos, preemptable_time, licenses, state_desc, resv_name, resv_ports,
        mcs_label, exit_code, derived_ec, gres_total, job_resrcs, gres_detail_str, name,
        user_name, wckey, req_switch, wait4switch, alloc_node, node_inx, select_jobinfo,
        features, prefer, cluster_features, work_dir, dependency, command, num_cpus,
        max_cpus, num_nodes, max_nodes, job_size_str, requeue, ntasks_per_node,
        ntasks_per_tres, num_tasks, shared, cpu_freq_min, cpu_freq_max, cpu_freq_gov,
        cronspec, contiguous, core_spec, cpus_per_task, pn_min_cpus, pn_min_memory,
        pn_min_tmp_disk, req_nodes, req_node_inx, exc_nodes, exc_node_inx, std_err, std_in,
        std_out, mc, bitflags, tres_alloc_str, tres_req_str, start_protocol_ver,
        fed_origin_str, fed_siblings_active, fed_siblings_active_str, fed_siblings_viable,
        fed_siblings_viable_str, cpus_per_tres, mem_per_tres, tres_bind, tres_freq,
        tres_per_job, tres_per_node, tres_per_socket, tres_per_task, mail_type, mail_user,
        selinux_context
    )
))]
pub struct JobInfo {
    #[wire(since = V25_11)]
    pub step_id: StepId,
    pub account: Option<Text>,
    pub admin_comment: Option<Text>,
    pub alloc_node: Option<Text>,
    pub alloc_sid: u32,
    pub array_job_id: u32,
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    pub assoc_id: u32,
    pub batch_features: Option<Text>,
    pub batch_flag: u16,
    pub batch_host: Option<Text>,
    pub bitflags: u64,
    pub burst_buffer: Option<Text>,
    pub burst_buffer_state: Option<Text>,
    pub billable_tres: f64,
    pub comment: Option<Text>,
    pub container: Option<Text>,
    #[wire(since = V23_02)]
    pub container_id: Option<Text>,
    #[wire(since = V26_05)]
    pub container_type: Option<Text>,
    pub cpus_per_tres: Option<Text>,
    pub deadline: UnixTime,
    pub delay_boot: u32,
    pub derived_ec: u32,
    pub exit_code: u32,
    #[wire(since = V23_02)]
    pub extra: Option<Text>,
    /// The same as `container`: these releases send it twice.
    #[wire(until = V24_05)]
    pub container_again: Option<Text>,
    #[wire(since = V23_02)]
    pub failed_node: Option<Text>,
    /// Whether the job is shared with a federation.
    #[wire(since = V24_11)]
    pub has_fed: bool,
    #[wire(when = Self::has_fed)]
    pub fed_origin_str: Option<Text>,
    #[wire(when = Self::has_fed)]
    pub fed_siblings_active: u64,
    #[wire(when = Self::has_fed)]
    pub fed_siblings_active_str: Option<Text>,
    #[wire(when = Self::has_fed)]
    pub fed_siblings_viable: u64,
    #[wire(when = Self::has_fed)]
    pub fed_siblings_viable_str: Option<Text>,
    pub gres_total: Option<Text>,
    pub group_id: u32,
    pub het_job_id: u32,
    pub het_job_id_set: Option<Text>,
    pub het_job_offset: u32,
    #[wire(until = V25_05, default = NO_VAL)]
    pub job_id: u32,
    pub job_state: u32,
    pub last_sched_eval: UnixTime,
    pub licenses: Option<Text>,
    #[wire(since = V25_05)]
    pub licenses_allocated: Option<Text>,
    pub mail_type: u16,
    pub mail_user: Option<Text>,
    pub mcs_label: Option<Text>,
    pub mem_per_tres: Option<Text>,
    pub name: Option<Text>,
    pub network: Option<Text>,
    pub preempt_time: UnixTime,
    pub pre_sus_time: UnixTime,
    pub priority: u32,
    pub profile: u32,
    pub reboot: u8,
    pub req_switch: u32,
    pub resize_time: UnixTime,
    pub restart_cnt: u16,
    #[wire(until = V24_05)]
    pub show_flags: u16,
    pub resv_name: Option<Text>,
    #[wire(since = V24_05)]
    pub resv_ports: Option<Text>,
    pub selinux_context: Option<Text>,
    pub site_factor: u32,
    pub start_protocol_ver: u16,
    pub state_desc: Option<Text>,
    #[wire(as_ = U16Until<{ V22_05 }>)]
    pub state_reason: u32,
    /// Always 0 in 24.05.
    #[wire(until = V24_05)]
    pub power_flags: u8,
    pub suspend_time: UnixTime,
    pub system_comment: Option<Text>,
    pub time_min: u32,
    pub tres_bind: Option<Text>,
    pub tres_alloc_str: Option<Text>,
    pub tres_req_str: Option<Text>,
    pub tres_freq: Option<Text>,
    pub tres_per_job: Option<Text>,
    pub tres_per_node: Option<Text>,
    pub tres_per_socket: Option<Text>,
    pub tres_per_task: Option<Text>,
    pub user_id: u32,
    pub user_name: Option<Text>,
    pub wait4switch: u32,
    pub wckey: Option<Text>,
    pub array_task_str: Option<Text>,
    pub array_max_tasks: u32,
    pub time_limit: u32,
    pub start_time: UnixTime,
    pub end_time: UnixTime,
    #[wire(since = V24_05)]
    pub priority_array: Vec<u32>,
    #[wire(since = V24_05)]
    pub priority_array_names: Option<Text>,
    pub cluster: Option<Text>,
    pub nodes: Option<Text>,
    pub sched_nodes: Option<Text>,
    pub partition: Option<Text>,
    pub qos: Option<Text>,
    pub preemptable_time: UnixTime,
    #[wire(as_ = UnlessNoVal)]
    pub job_resrcs: Option<JobResources>,
    /// One text for each allocated node.
    pub gres_detail_str: Vec<Option<Text>>,
    /// Nodes as positions in the listing of nodes.
    pub node_inx: Option<Bits>,
    #[wire(until = V22_05)]
    pub select_jobinfo: SelectJobInfo,
    /// Whether Slurm still holds the job's details; before 24.11 it always sends them.
    #[wire(since = V24_11, default = true)]
    pub has_details: bool,
    /// Stands in for the details where they are gone.
    #[wire(since = V24_11, when = Self::lacks_details)]
    pub brief: JobInfoBrief,
    #[wire(when = Self::has_details)]
    pub accrue_time: UnixTime,
    #[wire(when = Self::has_details)]
    pub eligible_time: UnixTime,
    #[wire(when = Self::has_details)]
    pub cluster_features: Option<Text>,
    #[wire(when = Self::has_details)]
    pub cpu_freq_gov: u32,
    #[wire(when = Self::has_details)]
    pub cpu_freq_max: u32,
    #[wire(when = Self::has_details)]
    pub cpu_freq_min: u32,
    #[wire(when = Self::has_details)]
    pub dependency: Option<Text>,
    #[wire(since = V23_02, when = Self::has_details)]
    pub job_size_str: Option<Bits>,
    #[wire(when = Self::has_details)]
    pub nice: u32,
    #[wire(when = Self::has_details)]
    pub ntasks_per_node: u16,
    #[wire(when = Self::has_details)]
    pub ntasks_per_tres: u16,
    #[wire(when = Self::has_details)]
    pub requeue: u16,
    #[wire(since = V25_05, when = Self::has_details)]
    pub segment_size: u16,
    #[wire(when = Self::has_details)]
    pub submit_time: UnixTime,
    #[wire(when = Self::has_details)]
    pub work_dir: Option<Text>,
    #[wire(when = Self::has_details)]
    pub features: Option<Text>,
    #[wire(when = Self::has_details)]
    pub prefer: Option<Text>,
    #[wire(when = Self::has_details)]
    pub command: Option<Text>,
    #[wire(since = V25_11, when = Self::has_details)]
    pub submit_line: Option<Text>,
    #[wire(when = Self::has_details)]
    pub num_cpus: u32,
    #[wire(when = Self::has_details)]
    pub max_cpus: u32,
    #[wire(when = Self::has_details)]
    pub num_nodes: u32,
    #[wire(when = Self::has_details)]
    pub max_nodes: u32,
    #[wire(when = Self::has_details)]
    pub num_tasks: u32,
    #[wire(since = V26_05, when = Self::has_details)]
    pub exclusive: u16,
    #[wire(when = Self::has_details)]
    pub shared: u16,
    #[wire(since = V26_05, when = Self::has_details)]
    pub oversubscribe: u16,
    #[wire(when = Self::has_details)]
    pub cronspec: Option<Text>,
    #[wire(since = V26_05, when = Self::has_details)]
    pub mem_update_delay: u16,
    #[wire(since = V26_05, when = Self::has_details)]
    pub mem_update_margin: u16,
    pub contiguous: u16,
    pub core_spec: u16,
    pub cpus_per_task: u16,
    pub pn_min_cpus: u16,
    pub pn_min_memory: u64,
    pub pn_min_tmp_disk: u32,
    #[wire(since = V24_11)]
    pub oom_kill_step: u16,
    pub req_nodes: Option<Text>,
    pub req_node_inx: Option<Bits>,
    pub exc_nodes: Option<Text>,
    pub exc_node_inx: Option<Bits>,
    pub std_err: Option<Text>,
    pub std_in: Option<Text>,
    pub std_out: Option<Text>,
    /// Socket and core constraints, if there are any.
    #[wire(as_ = Flag255)]
    pub mc: Option<MultiCore>,
}

impl JobInfo {
    fn has_fed(&self, release: Release) -> bool {
        release <= Release::V24_05 || self.has_fed
    }

    fn has_details(&self, release: Release) -> bool {
        release <= Release::V24_05 || self.has_details
    }

    fn lacks_details(&self, _: Release) -> bool {
        !self.has_details
    }

    /// The job's number, wherever the release carries it.
    pub fn job_number(&self) -> u32 {
        if self.job_id == NO_VAL { self.step_id.job_id } else { self.job_id }
    }
}

/// What remains known of a job whose details are purged.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct JobInfoBrief {
    pub num_cpus: u32,
    pub num_nodes: u32,
    pub nice: u32,
}

/// The nodes, CPUs and cores that a job holds.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct JobResources {
    #[wire(sample = super::codec::below_no_val)]
    pub nhosts: u32,
    pub ncpus: u32,
    #[wire(since = V24_11)]
    pub next_step_node_inx: u32,
    pub node_req: u32,
    pub nodes: Option<Text>,
    pub whole_node: u8,
    pub threads_per_core: u16,
    pub cr_type: u16,
    pub cpu_array_reps: Few32,
    pub cpu_array_value: Few16,
    pub cpus: Few16,
    pub cpus_used: Few16,
    pub memory_allocated: Few64,
    pub memory_used: Few64,
    pub sockets_per_node: Few16,
    pub cores_per_socket: Few16,
    pub sock_core_rep_count: Few32,
    pub core_bitmap: Option<Bits>,
    pub core_bitmap_used: Option<Bits>,
    #[wire(since = V24_05, until = V25_11)]
    pub node_bitmap: Option<Bits>,
    #[wire(since = V26_05)]
    pub node_ranks: Few32,
}

/// The constraints on sockets and cores that a job was submitted with.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct MultiCore {
    #[wire(default = NO_VAL16)]
    pub boards_per_node: u16,
    #[wire(default = NO_VAL16)]
    pub sockets_per_board: u16,
    #[wire(default = NO_VAL16)]
    pub sockets_per_node: u16,
    #[wire(default = NO_VAL16)]
    pub cores_per_socket: u16,
    #[wire(default = NO_VAL16)]
    pub threads_per_core: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_board: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_socket: u16,
    #[wire(default = NO_VAL16)]
    pub ntasks_per_core: u16,
    #[wire(default = NO_VAL16)]
    pub plane_size: u16,
}
