//! Which records are meant: the conditions of queries, changes and removals. An absent list means
//! that everything fits.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::entities::{Association, RES_FLAG_NOTSET};
use super::shapes::{Flagged, Present};
use crate::messages::SelectedStep;
use crate::{List, NO_VAL, Release, UnixTime, Wire};

/// Bits of `AssocCond::flags`. Before 24.11 each was a field of its own.
pub mod assoc_flags {
    /// Deleted ones too.
    pub const WITH_DELETED: u32 = 1 << 0;
    /// With what they used.
    pub const WITH_USAGE: u32 = 1 << 1;
    /// Only users' defaults.
    pub const ONLY_DEFS: u32 = 1 << 2;
    /// Qualities of service as they are set, not as they are inherited.
    pub const RAW_QOS: u32 = 1 << 3;
    /// Accounts below those named too.
    pub const SUB_ACCTS: u32 = 1 << 4;
    /// Without information about parents.
    pub const WITHOUT_PARENT_INFO: u32 = 1 << 5;
    /// Without the limits of parents.
    pub const WITHOUT_PARENT_LIMITS: u32 = 1 << 6;
    /// With what qualities of service used.
    pub const QOS_USAGE: u32 = 1 << 7;
    /// With use that is not summed up over parents.
    pub const WITH_NG_USAGE: u32 = 1 << 8;
}

/// "Not set" of `JobCond::flags`.
pub const JOB_FLAG_NOTSET: u32 = 1;

/// Which associations.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct AssocCond {
    #[wire(since = V24_11, constant = Present)]
    pub present: (),
    pub acct_list: List<String>,
    pub cluster_list: List<String>,
    pub def_qos_id_list: List<String>,
    /// See `assoc_flags`.
    #[wire(since = V24_11)]
    pub flags: u32,
    pub format_list: List<String>,
    pub id_list: List<String>,
    #[wire(until = V24_05)]
    pub only_defs: u16,
    pub partition_list: List<String>,
    pub parent_acct_list: List<String>,
    pub qos_list: List<String>,
    pub usage_end: UnixTime,
    pub usage_start: UnixTime,
    pub user_list: List<String>,
    #[wire(until = V24_05)]
    pub with_usage: u16,
    #[wire(until = V24_05)]
    pub with_deleted: u16,
    #[wire(until = V24_05)]
    pub with_raw_qos: u16,
    #[wire(until = V24_05)]
    pub with_sub_accts: u16,
    #[wire(until = V24_05)]
    pub without_parent_info: u16,
    #[wire(until = V24_05)]
    pub without_parent_limits: u16,
}

impl Flagged for AssocCond {
    const SINCE: Release = Release::V24_11;
}

/// Which users.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct UserCond {
    pub admin_level: u16,
    pub assoc_cond: Option<AssocCond>,
    pub def_acct_list: List<String>,
    pub def_wckey_list: List<String>,
    pub with_assocs: u16,
    pub with_coords: u16,
    pub with_deleted: u16,
    pub with_wckeys: u16,
}

/// Which accounts.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct AccountCond {
    pub assoc_cond: Option<AssocCond>,
    pub description_list: List<String>,
    #[wire(since = V24_05)]
    pub flags: u32,
    pub organization_list: List<String>,
    #[wire(until = V23_11)]
    pub with_assocs: u16,
    #[wire(until = V23_11)]
    pub with_coords: u16,
    #[wire(until = V23_11)]
    pub with_deleted: u16,
}

/// What to add to which accounts or users, all of one kind. 23.11 and later.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AddAssocCond {
    pub acct_list: List<String>,
    /// Limits of what is added.
    pub assoc: Association,
    pub cluster_list: List<String>,
    pub partition_list: List<String>,
    pub user_list: List<String>,
    pub wckey_list: List<String>,
}

/// Which clusters.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ClusterCond {
    pub classification: u16,
    pub cluster_list: List<String>,
    pub federation_list: List<String>,
    #[wire(default = NO_VAL)]
    pub flags: u32,
    pub format_list: List<String>,
    #[wire(until = V23_02)]
    pub plugin_id_select_list: List<String>,
    pub rpc_version_list: List<String>,
    pub usage_end: UnixTime,
    pub usage_start: UnixTime,
    pub with_usage: u16,
    pub with_deleted: u16,
}

/// Which federations.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct FederationCond {
    pub cluster_list: List<String>,
    pub federation_list: List<String>,
    pub format_list: List<String>,
    pub with_deleted: u16,
}

/// Which qualities of service.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct QosCond {
    #[wire(since = V24_11, constant = Present)]
    pub present: (),
    pub description_list: List<String>,
    /// Bit 0: deleted ones too.
    #[wire(since = V24_11)]
    pub flags: u16,
    pub format_list: List<String>,
    pub id_list: List<String>,
    pub name_list: List<String>,
    pub preempt_mode: u16,
    #[wire(until = V24_05)]
    pub with_deleted: u16,
}

impl Flagged for QosCond {
    const SINCE: Release = Release::V24_11;
}

/// Which licences.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ResourceCond {
    pub cluster_list: List<String>,
    pub description_list: List<String>,
    #[wire(default = RES_FLAG_NOTSET)]
    pub flags: u32,
    pub format_list: List<String>,
    pub id_list: List<String>,
    pub manager_list: List<String>,
    pub name_list: List<String>,
    /// In percent in 22.05.
    pub allowed_list: List<String>,
    pub server_list: List<String>,
    pub type_list: List<String>,
    pub with_deleted: u16,
    pub with_clusters: u16,
}

/// Which workload keys.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct WcKeyCond {
    pub cluster_list: List<String>,
    pub format_list: List<String>,
    pub id_list: List<String>,
    pub name_list: List<String>,
    pub only_defs: u16,
    pub usage_end: UnixTime,
    pub usage_start: UnixTime,
    pub user_list: List<String>,
    pub with_usage: u16,
    pub with_deleted: u16,
}

/// Which kinds of resources.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TresCond {
    #[wire(default = u64::from(NO_VAL))]
    pub count: u64,
    pub format_list: List<String>,
    pub id_list: List<String>,
    pub name_list: List<String>,
    pub type_list: List<String>,
    pub with_deleted: u16,
}

/// Which jobs.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobCond {
    pub acct_list: List<String>,
    pub associd_list: List<String>,
    pub cluster_list: List<String>,
    pub constraint_list: List<String>,
    pub cpus_max: u32,
    pub cpus_min: u32,
    #[wire(default = JOB_FLAG_NOTSET)]
    pub db_flags: u32,
    pub exitcode: u32,
    pub flags: u32,
    pub format_list: List<String>,
    pub groupid_list: List<String>,
    pub jobname_list: List<String>,
    pub nodes_max: u32,
    pub nodes_min: u32,
    pub partition_list: List<String>,
    pub qos_list: List<String>,
    pub reason_list: List<String>,
    pub resv_list: List<String>,
    pub resvid_list: List<String>,
    pub step_list: List<SelectedStep>,
    pub state_list: List<String>,
    pub timelimit_max: u32,
    pub timelimit_min: u32,
    pub usage_end: UnixTime,
    pub usage_start: UnixTime,
    pub used_nodes: Option<String>,
    pub userid_list: List<String>,
    pub wckey_list: List<String>,
}

/// Which events.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct EventCond {
    pub cluster_list: List<String>,
    pub cond_flags: u32,
    pub cpus_max: u32,
    pub cpus_min: u32,
    pub event_type: u16,
    pub format_list: List<String>,
    pub node_list: Option<String>,
    pub period_end: UnixTime,
    pub period_start: UnixTime,
    pub reason_list: List<String>,
    pub reason_uid_list: List<String>,
    pub state_list: List<String>,
}

/// Which instances. 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct InstanceCond {
    pub cluster_list: List<String>,
    pub extra_list: List<String>,
    pub format_list: List<String>,
    pub instance_id_list: List<String>,
    pub instance_type_list: List<String>,
    pub node_list: Option<String>,
    pub time_end: UnixTime,
    pub time_start: UnixTime,
}

/// Which reservations.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ReservationCond {
    pub cluster_list: List<String>,
    pub flags: u64,
    pub format_list: List<String>,
    pub id_list: List<String>,
    pub name_list: List<String>,
    pub nodes: Option<String>,
    pub time_end: UnixTime,
    pub time_start: UnixTime,
    pub with_usage: u16,
}

/// Which transactions.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TransactionCond {
    pub acct_list: List<String>,
    pub action_list: List<String>,
    pub actor_list: List<String>,
    pub cluster_list: List<String>,
    pub format_list: List<String>,
    pub id_list: List<String>,
    pub info_list: List<String>,
    pub name_list: List<String>,
    pub time_end: UnixTime,
    pub time_start: UnixTime,
    pub user_list: List<String>,
    pub with_assoc_info: u16,
}

/// What to archive and what to purge. The ages have a number and a unit in their upper bits.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ArchiveCond {
    pub archive_dir: Option<String>,
    pub archive_script: Option<String>,
    pub job_cond: JobCond,
    #[wire(default = NO_VAL)]
    pub purge_event: u32,
    #[wire(default = NO_VAL)]
    pub purge_job: u32,
    #[wire(default = NO_VAL)]
    pub purge_resv: u32,
    #[wire(default = NO_VAL)]
    pub purge_step: u32,
    #[wire(default = NO_VAL)]
    pub purge_suspend: u32,
    #[wire(default = NO_VAL)]
    pub purge_txn: u32,
    #[wire(default = NO_VAL)]
    pub purge_usage: u32,
    #[wire(since = V26_05, default = NO_VAL)]
    pub purge_jobscript: u32,
    #[wire(since = V26_05, default = NO_VAL)]
    pub purge_jobenv: u32,
}
