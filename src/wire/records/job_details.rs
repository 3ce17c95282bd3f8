//! The details of a job's state, as a step manager is told them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::codec::Flag255;
use super::job_desc::CronEntry;
use super::job_info::MultiCore;
use crate::codec::Flag8;
use crate::messages::Dependency;
use crate::{Bits, UnixTime, Wire};

/// What a job asked for. Part of `JobStateRecord`.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(order(
    until = V24_05,
    fields(
        orig_min_cpus, orig_max_cpus, min_nodes, max_nodes, num_tasks, acctg_freq, contiguous,
        core_spec, orig_cpus_per_task, nice, ntasks_per_node, requeue, task_dist, share_res,
        whole_node, cpu_bind, cpu_bind_type, mem_bind, mem_bind_type, open_mode, overcommit,
        prolog_running, orig_pn_min_cpus, orig_pn_min_memory, pn_min_tmp_disk, cpu_freq_min,
        cpu_freq_max, cpu_freq_gov, begin_time, accrue_time, submit_time, req_nodes, exc_nodes,
        features, cluster_features, prefer, features_use, job_size_bitmap, depend_list, dependency,
        orig_dependency, std_err, std_in, std_out, submit_line, work_dir, mc, argv, env_sup,
        crontab_entry, env_hash, script_hash, segment_size, resv_port_cnt
    )
))]
#[wire(order(
    since = V24_11,
    until = V24_11,
    fields(
        accrue_time, begin_time, cluster_features, cpu_freq_gov, cpu_freq_max, cpu_freq_min,
        dependency, job_size_bitmap, nice, ntasks_per_node, ntasks_per_tres, requeue, submit_time,
        work_dir, orig_min_cpus, orig_max_cpus, min_nodes, max_nodes, num_tasks, acctg_freq,
        contiguous, core_spec, orig_cpus_per_task, task_dist, share_res, whole_node, cpu_bind,
        cpu_bind_type, mem_bind, mem_bind_type, open_mode, overcommit, prolog_running,
        orig_pn_min_cpus, orig_pn_min_memory, oom_kill_step, pn_min_tmp_disk, req_nodes, exc_nodes,
        features, prefer, features_use, depend_list, orig_dependency, std_err, std_in, std_out,
        submit_line, mc, argv, env_sup, crontab_entry, env_hash, script_hash, segment_size,
        resv_port_cnt, qos_req, x11, x11_magic_cookie, x11_target, x11_target_port
    )
))]
pub struct JobStateDetails {
    pub accrue_time: UnixTime,
    pub begin_time: UnixTime,
    pub cluster_features: Option<String>,
    pub cpu_freq_gov: u32,
    pub cpu_freq_max: u32,
    pub cpu_freq_min: u32,
    pub dependency: Option<String>,
    pub job_size_bitmap: Option<Bits>,
    pub nice: u32,
    pub ntasks_per_node: u16,
    #[wire(since = V24_11)]
    pub ntasks_per_tres: u16,
    pub requeue: u16,
    pub segment_size: u16,
    pub submit_time: UnixTime,
    pub work_dir: Option<String>,
    #[wire(since = V26_05)]
    pub min_cpus: u32,
    pub orig_min_cpus: u32,
    #[wire(since = V26_05)]
    pub max_cpus: u32,
    pub orig_max_cpus: u32,
    pub min_nodes: u32,
    pub max_nodes: u32,
    pub num_tasks: u32,
    pub acctg_freq: Option<String>,
    pub contiguous: u16,
    pub core_spec: u16,
    #[wire(since = V26_05)]
    pub cpus_per_task: u16,
    pub orig_cpus_per_task: u16,
    pub task_dist: u32,
    pub share_res: u8,
    pub whole_node: u8,
    pub cpu_bind: Option<String>,
    pub cpu_bind_type: u16,
    pub mem_bind: Option<String>,
    pub mem_bind_type: u16,
    #[wire(since = V26_05)]
    pub mem_update_delay: u16,
    #[wire(since = V26_05)]
    pub mem_update_margin: u16,
    pub open_mode: u8,
    pub overcommit: u8,
    pub prolog_running: u8,
    #[wire(since = V26_05)]
    pub pn_min_cpus: u32,
    pub orig_pn_min_cpus: u32,
    #[wire(since = V26_05)]
    pub pn_min_memory: u64,
    #[wire(since = V26_05)]
    pub pn_min_memory_pre_resize: u64,
    pub orig_pn_min_memory: u64,
    #[wire(since = V24_11)]
    pub oom_kill_step: u16,
    pub pn_min_tmp_disk: u32,
    pub req_nodes: Option<String>,
    #[wire(since = V25_05)]
    pub resv_req: Option<String>,
    pub exc_nodes: Option<String>,
    pub features: Option<String>,
    pub prefer: Option<String>,
    /// Which of the two is in use: 1 `features`, 2 `prefer`, 0 neither.
    pub features_use: u8,
    pub depend_list: Vec<Dependency>,
    pub orig_dependency: Option<String>,
    pub std_err: Option<String>,
    pub std_in: Option<String>,
    pub std_out: Option<String>,
    pub submit_line: Option<String>,
    #[wire(as_ = Flag255)]
    pub mc: Option<MultiCore>,
    pub argv: Vec<String>,
    pub env_sup: Vec<String>,
    #[wire(as_ = Flag8)]
    pub crontab_entry: Option<CronEntry>,
    pub env_hash: Option<String>,
    pub script_hash: Option<String>,
    pub resv_port_cnt: u16,
    #[wire(since = V24_11)]
    pub qos_req: Option<String>,
    #[wire(since = V24_11)]
    pub x11: u16,
    #[wire(since = V24_11)]
    pub x11_magic_cookie: Option<String>,
    #[wire(since = V24_11)]
    pub x11_target: Option<String>,
    #[wire(since = V24_11)]
    pub x11_target_port: u16,
}
