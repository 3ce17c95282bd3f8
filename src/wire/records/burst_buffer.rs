//! Burst buffers, as `scontrol show burstbuffer` shows them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use crate::{UnixTime, Wire};

/// Every burst buffer plugin's state. 2038.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BurstBufferInfoMsg {
    /// The plugins.
    pub plugins: Vec<BurstBufferInfo>,
}

/// The configuration and use of one burst buffer plugin.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BurstBufferInfo {
    pub name: Option<String>,
    pub allow_users: Option<String>,
    pub create_buffer: Option<String>,
    pub default_pool: Option<String>,
    pub deny_users: Option<String>,
    pub destroy_buffer: Option<String>,
    pub flags: u32,
    pub get_sys_state: Option<String>,
    pub get_sys_status: Option<String>,
    /// Bytes.
    pub granularity: u64,
    pub pools: Vec<BurstBufferPool>,
    #[wire(since = V24_05)]
    pub poll_interval: u32,
    pub other_timeout: u32,
    pub start_stage_in: Option<String>,
    pub start_stage_out: Option<String>,
    pub stop_stage_in: Option<String>,
    pub stop_stage_out: Option<String>,
    pub stage_in_timeout: u32,
    pub stage_out_timeout: u32,
    pub total_space: u64,
    pub unfree_space: u64,
    pub used_space: u64,
    pub validate_timeout: u32,
    pub buffers: Vec<BurstBuffer>,
    pub users: Vec<BurstBufferUse>,
}

/// A pool that buffers are taken from. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BurstBufferPool {
    pub name: Option<String>,
    pub total_space: u64,
    pub granularity: u64,
    pub unfree_space: u64,
    pub used_space: u64,
}

/// One buffer of a job or user.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BurstBuffer {
    pub account: Option<String>,
    pub array_job_id: u32,
    pub array_task_id: u32,
    pub create_time: UnixTime,
    pub job_id: u32,
    pub name: Option<String>,
    pub partition: Option<String>,
    pub pool: Option<String>,
    pub qos: Option<String>,
    /// Bytes.
    pub size: u64,
    pub state: u16,
    pub user_id: u32,
}

/// How much a user has of a plugin's space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct BurstBufferUse {
    /// Bytes.
    pub used: u64,
    pub user_id: u32,
}

/// Passes words on to the burst buffer's own status command. 2055.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BurstBufferStatusRequest {
    pub argv: Vec<String>,
}

/// What the burst buffer's own status command printed. 2056.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct BurstBufferStatus {
    pub status_resp: Option<String>,
}
