//! What was used: sums of accounting periods, the controller's running totals, the accounting
//! daemon's own statistics.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::entities::{Association, Qos, Tres};
use crate::codec::Count16;
use crate::{Bits, List, LongDouble, UnixTime, Wire};

/// What an association or workload key used in one period.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct AccountingRecord {
    pub alloc_secs: u64,
    pub tres_rec: Tres,
    pub id: u32,
    #[wire(since = V24_11)]
    pub id_alt: u32,
    pub period_start: UnixTime,
}

/// What became of a cluster's resources in one period.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ClusterAccounting {
    pub alloc_secs: u64,
    pub tres_rec: Tres,
    pub down_secs: u64,
    pub idle_secs: u64,
    pub over_secs: u64,
    pub pdown_secs: u64,
    pub period_start: UnixTime,
    pub plan_secs: u64,
}

/// What an association uses at the moment. The arrays have one element for each resource.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AssociationUsage {
    pub accrue_cnt: u32,
    pub grp_used_tres: Vec<u64>,
    pub grp_used_tres_run_secs: Vec<u64>,
    pub grp_used_wall: f64,
    pub fs_factor: f64,
    pub level_shares: u32,
    pub shares_norm: f64,
    pub usage_efctv: LongDouble,
    pub usage_norm: LongDouble,
    pub usage_raw: LongDouble,
    pub usage_tres_raw: Vec<LongDouble>,
    pub used_jobs: u32,
    pub used_submit_jobs: u32,
    pub level_fs: LongDouble,
    pub valid_qos: Option<Bits>,
}

/// An association as the controller holds it: with its use and with limits as numbers.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AssociationWithUsage {
    pub assoc: Association,
    pub usage: AssociationUsage,
    pub grp_tres_mins_ctld: Vec<u64>,
    pub grp_tres_run_mins_ctld: Vec<u64>,
    pub grp_tres_ctld: Vec<u64>,
    pub max_tres_mins_ctld: Vec<u64>,
    pub max_tres_run_mins_ctld: Vec<u64>,
    pub max_tres_ctld: Vec<u64>,
    pub max_tres_pn_ctld: Vec<u64>,
}

/// What one user or account uses of a quality of service.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct UsedLimits {
    pub accrue_cnt: u32,
    pub acct: Option<String>,
    pub jobs: u32,
    pub submit_jobs: u32,
    pub tres: Vec<u64>,
    /// Minutes until 23.11.
    pub tres_run_secs: Vec<u64>,
    pub uid: u32,
}

/// What a quality of service uses at the moment.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct QosUsage {
    pub accrue_cnt: u32,
    pub grp_used_jobs: u32,
    pub grp_used_submit_jobs: u32,
    pub grp_used_tres: Vec<u64>,
    pub grp_used_tres_run_secs: Vec<u64>,
    pub grp_used_wall: f64,
    pub norm_priority: f64,
    pub usage_raw: LongDouble,
    pub usage_tres_raw: Vec<LongDouble>,
    pub user_limit_list: List<UsedLimits>,
    pub acct_limit_list: List<UsedLimits>,
}

/// A quality of service as the controller holds it.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct QosWithUsage {
    pub qos: Qos,
    pub grp_tres_mins_ctld: Vec<u64>,
    pub grp_tres_run_mins_ctld: Vec<u64>,
    pub grp_tres_ctld: Vec<u64>,
    pub max_tres_mins_pj_ctld: Vec<u64>,
    pub max_tres_run_mins_pa_ctld: Vec<u64>,
    pub max_tres_run_mins_pu_ctld: Vec<u64>,
    pub max_tres_pa_ctld: Vec<u64>,
    pub max_tres_pj_ctld: Vec<u64>,
    pub max_tres_pn_ctld: Vec<u64>,
    pub max_tres_pu_ctld: Vec<u64>,
    pub min_tres_pj_ctld: Vec<u64>,
    pub usage: QosUsage,
}

/// Statistics of the accounting daemon.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct DbdStats {
    pub dbd_rollup_stats: RollupStats,
    pub rollup_stats: List<RollupStats>,
    pub rpc_list: List<RpcCount>,
    pub time_start: UnixTime,
    pub user_list: List<RpcCount>,
}

/// How long the roll-ups of a cluster took: hourly, daily, monthly.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct RollupStats {
    pub cluster_name: Option<String>,
    #[wire(as_ = Count16)]
    pub rollups: Vec<Rollup>,
}

/// One kind of roll-up. Times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Rollup {
    pub count: u16,
    pub timestamp: UnixTime,
    pub time_last: u64,
    pub time_max: u64,
    pub time_total: u64,
}

/// How often a request came and how long it took, by kind of request or by user.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct RpcCount {
    pub cnt: u32,
    pub id: u32,
    pub time: u64,
}
