//! What processes used.

use crate::records::TresRecord;
use crate::{List, Wire};

/// What a step or job used. The arrays run parallel to `tres_ids`.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobAcct {
    /// Processor time in user mode, whole seconds.
    pub user_cpu_sec: u64,
    /// The same, microseconds.
    pub user_cpu_usec: u32,
    /// Processor time in the kernel, whole seconds.
    pub sys_cpu_sec: u64,
    /// The same, microseconds.
    pub sys_cpu_usec: u32,
    /// Processor frequency.
    pub act_cpufreq: u32,
    /// Energy in joules.
    pub consumed_energy: u64,
    /// The resources counted.
    pub tres_ids: Vec<u32>,
    /// The same with names.
    pub tres_list: List<TresRecord>,
    /// Largest use or read by one task.
    pub tres_usage_in_max: Vec<u64>,
    /// The node where that was.
    pub tres_usage_in_max_nodeid: Vec<u64>,
    /// The task that it was.
    pub tres_usage_in_max_taskid: Vec<u64>,
    /// Smallest use or read by one task.
    pub tres_usage_in_min: Vec<u64>,
    /// The node where that was.
    pub tres_usage_in_min_nodeid: Vec<u64>,
    /// The task that it was.
    pub tres_usage_in_min_taskid: Vec<u64>,
    /// Sum over all tasks.
    pub tres_usage_in_tot: Vec<u64>,
    /// Largest amount written by one task.
    pub tres_usage_out_max: Vec<u64>,
    /// The node where that was.
    pub tres_usage_out_max_nodeid: Vec<u64>,
    /// The task that it was.
    pub tres_usage_out_max_taskid: Vec<u64>,
    /// Smallest amount written by one task.
    pub tres_usage_out_min: Vec<u64>,
    /// The node where that was.
    pub tres_usage_out_min_nodeid: Vec<u64>,
    /// The task that it was.
    pub tres_usage_out_min_taskid: Vec<u64>,
    /// Sum over all tasks.
    pub tres_usage_out_tot: Vec<u64>,
}
