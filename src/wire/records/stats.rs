//! What a controller has counted.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::codec::{U32Until, V25_05};
use crate::{Release, UnixTime, Wire};

/// What `sdiag` shows. 2036.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Stats {
    /// 0 leaves out everything up to the counts of messages; always 1 in practice.
    #[wire(until = V25_05, default = 1)]
    pub parts_packed: u32,
    #[wire(when = Self::has_scheduling)]
    pub req_time: UnixTime,
    #[wire(when = Self::has_scheduling)]
    pub req_time_start: UnixTime,
    #[wire(when = Self::has_scheduling)]
    pub server_thread_count: u32,
    #[wire(when = Self::has_scheduling)]
    pub agent_queue_size: u32,
    #[wire(when = Self::has_scheduling)]
    pub agent_count: u32,
    #[wire(when = Self::has_scheduling)]
    pub agent_thread_count: u32,
    #[wire(when = Self::has_scheduling)]
    pub dbd_agent_queue_size: u32,
    #[wire(when = Self::has_scheduling)]
    pub gettimeofday_latency: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_submitted: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_started: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_completed: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_canceled: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_failed: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_pending: u32,
    #[wire(when = Self::has_scheduling)]
    pub jobs_running: u32,
    #[wire(when = Self::has_scheduling)]
    pub job_states_ts: UnixTime,
    #[wire(when = Self::has_scheduling)]
    pub schedule_cycle_max: u32,
    #[wire(when = Self::has_scheduling)]
    pub schedule_cycle_last: u32,
    #[wire(as_ = U32Until<{ V25_05 }>, when = Self::has_scheduling)]
    pub schedule_cycle_sum: u64,
    #[wire(when = Self::has_scheduling)]
    pub schedule_cycle_counter: u32,
    #[wire(when = Self::has_scheduling)]
    pub schedule_cycle_depth: u32,
    #[wire(since = V23_11, when = Self::has_scheduling)]
    pub schedule_exit: Vec<u32>,
    #[wire(when = Self::has_scheduling)]
    pub schedule_queue_len: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_backfilled_jobs: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_last_backfilled_jobs: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_cycle_counter: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_cycle_sum: u64,
    #[wire(when = Self::has_scheduling)]
    pub bf_cycle_last: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_last_depth: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_last_depth_try: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_queue_len: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_cycle_max: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_when_last_cycle: UnixTime,
    #[wire(when = Self::has_scheduling)]
    pub bf_depth_sum: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_depth_try_sum: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_queue_len_sum: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_table_size: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_table_size_sum: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_active: u32,
    #[wire(when = Self::has_scheduling)]
    pub bf_backfilled_het_jobs: u32,
    #[wire(since = V23_11, when = Self::has_scheduling)]
    pub bf_exit: Vec<u32>,
    pub rpc_type_size: u32,
    pub rpc_type_id: Vec<u16>,
    pub rpc_type_cnt: Vec<u32>,
    pub rpc_type_time: Vec<u64>,
    #[wire(since = V24_05)]
    pub rpc_queue_enabled: u8,
    #[wire(since = V24_05, when = Self::queues)]
    pub rpc_type_queued: Vec<u16>,
    #[wire(since = V24_05, when = Self::queues)]
    pub rpc_type_dropped: Vec<u64>,
    #[wire(since = V24_05, when = Self::queues)]
    pub rpc_type_cycle_last: Vec<u16>,
    #[wire(since = V24_05, when = Self::queues)]
    pub rpc_type_cycle_max: Vec<u16>,
    pub rpc_user_size: u32,
    pub rpc_user_id: Vec<u32>,
    pub rpc_user_cnt: Vec<u32>,
    pub rpc_user_time: Vec<u64>,
    pub rpc_queue_type_id: Vec<u32>,
    pub rpc_queue_count: Vec<u32>,
    pub rpc_dump_types: Vec<u32>,
    pub rpc_dump_hostlist: Vec<String>,
}

impl Stats {
    fn has_scheduling(&self, release: Release) -> bool {
        release >= Release::V25_11 || self.parts_packed != 0
    }

    fn queues(&self, _: Release) -> bool {
        self.rpc_queue_enabled != 0
    }
}

/// Asks for what a controller has counted, or resets it. 2035.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct StatsRequest {
    pub command_id: u16,
}
