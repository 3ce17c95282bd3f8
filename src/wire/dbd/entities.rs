//! Who computes where: users, accounts, associations, clusters, federations, qualities of service,
//! licences and workload keys.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::shapes::{Flagged, Present};
use super::usage::{AccountingRecord, ClusterAccounting};
use crate::records::TresRecord;
use crate::records::codec::{U16Until, V22_05, V23_11};
use crate::{
    Bits, Codec, DecodeError, Gen, List, NO_VAL, NO_VAL16, Reader, Release, Schema, Visitor, Wire,
    Writer,
};

/// "Not set" of `Qos::flags`.
pub const QOS_FLAG_NOTSET: u32 = 0x1000_0000;
/// "Not set" of `Resource::flags`.
pub const RES_FLAG_NOTSET: u32 = 0x1000_0000;

/// "No value" of fractions.
const NO_FRACTION: f64 = NO_VAL as f64;

/// A user.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct User {
    #[wire(since = V25_11, constant = Present)]
    pub present: (),
    pub admin_level: u16,
    pub assoc_list: List<Association>,
    pub coord_accts: List<Coordinator>,
    #[wire(since = V25_11)]
    pub def_qos_id: u32,
    pub default_acct: Option<String>,
    pub default_wckey: Option<String>,
    pub flags: u32,
    pub name: Option<String>,
    pub old_name: Option<String>,
    #[wire(default = NO_VAL)]
    pub uid: u32,
    pub wckey_list: List<WcKey>,
}

/// An account that a user coordinates, or a user who coordinates an account.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Coordinator {
    pub name: Option<String>,
    pub direct: u16,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Account {
    pub assoc_list: List<Association>,
    pub coordinators: List<Coordinator>,
    pub description: Option<String>,
    pub flags: u32,
    pub name: Option<String>,
    pub organization: Option<String>,
}

/// An account on a cluster, or a user in one: where limits and shares live.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Association {
    pub accounting_list: List<AccountingRecord>,
    pub acct: Option<String>,
    pub cluster: Option<String>,
    #[wire(since = V23_02)]
    pub comment: Option<String>,
    #[wire(default = NO_VAL)]
    pub def_qos_id: u32,
    #[wire(as_ = U16Until<V23_11>)]
    pub flags: u32,
    #[wire(default = NO_VAL)]
    pub shares_raw: u32,
    pub grp_tres_mins: Option<String>,
    pub grp_tres_run_mins: Option<String>,
    pub grp_tres: Option<String>,
    #[wire(default = NO_VAL)]
    pub grp_jobs: u32,
    #[wire(default = NO_VAL)]
    pub grp_jobs_accrue: u32,
    #[wire(default = NO_VAL)]
    pub grp_submit_jobs: u32,
    #[wire(default = NO_VAL)]
    pub grp_wall: u32,
    pub id: u32,
    #[wire(default = NO_VAL16)]
    pub is_def: u16,
    #[wire(until = V23_02)]
    pub lft: u32,
    #[wire(since = V23_11)]
    pub lineage: Option<String>,
    pub max_tres_mins_pj: Option<String>,
    pub max_tres_run_mins: Option<String>,
    pub max_tres_pj: Option<String>,
    pub max_tres_pn: Option<String>,
    #[wire(default = NO_VAL)]
    pub max_jobs: u32,
    #[wire(default = NO_VAL)]
    pub max_jobs_accrue: u32,
    #[wire(default = NO_VAL)]
    pub min_prio_thresh: u32,
    #[wire(default = NO_VAL)]
    pub max_submit_jobs: u32,
    #[wire(default = NO_VAL)]
    pub max_wall_pj: u32,
    pub parent_acct: Option<String>,
    pub parent_id: u32,
    pub partition: Option<String>,
    #[wire(default = NO_VAL)]
    pub priority: u32,
    /// Numbers of qualities of service as text.
    pub qos_list: List<String>,
    #[wire(until = V23_02)]
    pub rgt: u32,
    pub uid: u32,
    pub user: Option<String>,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Cluster {
    #[wire(since = V24_11, constant = Present)]
    pub present: (),
    pub accounting_list: List<ClusterAccounting>,
    pub classification: u16,
    pub control_host: Option<String>,
    pub control_port: u32,
    pub dimensions: u16,
    pub fed_feature_list: List<String>,
    pub fed_name: Option<String>,
    pub fed_id: u32,
    #[wire(default = NO_VAL)]
    pub fed_state: u32,
    pub fed_sync_recvd: u8,
    pub fed_sync_sent: u8,
    #[wire(default = NO_VAL)]
    pub flags: u32,
    #[wire(since = V24_11)]
    pub id: u16,
    pub name: Option<String>,
    pub nodes: Option<String>,
    #[wire(until = V23_11, default = NO_VAL)]
    pub plugin_id_select: u32,
    pub root_assoc: Association,
    /// The protocol that its controller speaks.
    pub rpc_version: u16,
    pub fed_recv_open: u8,
    pub fed_send_open: u8,
    pub tres_str: Option<String>,
}

/// Clusters that share their jobs.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Federation {
    #[wire(constant = Present)]
    pub present: (),
    pub name: Option<String>,
    pub flags: u32,
    pub cluster_list: List<Cluster>,
}

impl Flagged for Federation {
    const SINCE: Release = Release::OLDEST;
}

/// A quality of service. `pa` is per account, `pj` per job, `pn` per node, `pu` per user.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Qos {
    pub description: Option<String>,
    pub id: u32,
    #[wire(default = QOS_FLAG_NOTSET)]
    pub flags: u32,
    #[wire(default = NO_VAL)]
    pub grace_time: u32,
    pub grp_tres_mins: Option<String>,
    pub grp_tres_run_mins: Option<String>,
    pub grp_tres: Option<String>,
    #[wire(default = NO_VAL)]
    pub grp_jobs: u32,
    #[wire(default = NO_VAL)]
    pub grp_jobs_accrue: u32,
    #[wire(default = NO_VAL)]
    pub grp_submit_jobs: u32,
    #[wire(default = NO_VAL)]
    pub grp_wall: u32,
    pub max_tres_mins_pj: Option<String>,
    pub max_tres_run_mins_pa: Option<String>,
    pub max_tres_run_mins_pu: Option<String>,
    pub max_tres_pa: Option<String>,
    pub max_tres_pj: Option<String>,
    pub max_tres_pn: Option<String>,
    pub max_tres_pu: Option<String>,
    #[wire(default = NO_VAL)]
    pub max_jobs_pa: u32,
    #[wire(default = NO_VAL)]
    pub max_jobs_pu: u32,
    #[wire(default = NO_VAL)]
    pub max_jobs_accrue_pa: u32,
    #[wire(default = NO_VAL)]
    pub max_jobs_accrue_pu: u32,
    #[wire(default = NO_VAL)]
    pub min_prio_thresh: u32,
    #[wire(default = NO_VAL)]
    pub max_submit_jobs_pa: u32,
    #[wire(default = NO_VAL)]
    pub max_submit_jobs_pu: u32,
    #[wire(default = NO_VAL)]
    pub max_wall_pj: u32,
    pub min_tres_pj: Option<String>,
    pub name: Option<String>,
    pub preempt_bitstr: Option<Bits>,
    /// Names or numbers of those that it may preempt.
    pub preempt_list: List<String>,
    #[wire(default = NO_VAL16)]
    pub preempt_mode: u16,
    #[wire(default = NO_VAL)]
    pub preempt_exempt_time: u32,
    #[wire(default = NO_VAL)]
    pub priority: u32,
    #[wire(default = NO_FRACTION)]
    pub usage_factor: f64,
    #[wire(default = NO_FRACTION)]
    pub usage_thres: f64,
    #[wire(default = NO_FRACTION)]
    pub limit_factor: f64,
}

/// Licences that accounting hands out to clusters.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Resource {
    pub clus_res_list: List<ClusterResource>,
    /// The one cluster that the record is about.
    #[wire(as_ = ZeroOrNoVal)]
    pub clus_res_rec: Option<ClusterResource>,
    #[wire(default = NO_VAL)]
    pub count: u32,
    pub description: Option<String>,
    #[wire(default = RES_FLAG_NOTSET)]
    pub flags: u32,
    #[wire(default = NO_VAL)]
    pub id: u32,
    pub manager: Option<String>,
    pub name: Option<String>,
    /// In 22.05 the part in use, in percent.
    #[wire(as_ = U16Until<V22_05>, default = NO_VAL)]
    pub allocated: u32,
    #[wire(since = V23_02, default = NO_VAL)]
    pub last_consumed: u32,
    pub server: Option<String>,
    pub r#type: u32,
    #[wire(since = V23_02)]
    pub last_update: crate::UnixTime,
}

/// A cluster's part of a licence. In percent in 22.05.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ClusterResource {
    pub cluster: Option<String>,
    #[wire(as_ = U16Until<V22_05>, default = NO_VAL)]
    pub allowed: u32,
}

/// A workload characterisation key of a user.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct WcKey {
    pub accounting_list: List<AccountingRecord>,
    pub cluster: Option<String>,
    pub flags: u32,
    #[wire(default = NO_VAL)]
    pub id: u32,
    #[wire(default = NO_VAL16)]
    pub is_def: u16,
    pub name: Option<String>,
    #[wire(default = NO_VAL)]
    pub uid: u32,
    pub user: Option<String>,
}

/// A kind of resource, as the accounting daemon lists it.
pub type Tres = TresRecord;

/// 0 and a record, or `NO_VAL` alone.
struct ZeroOrNoVal;

impl<T: Wire + std::fmt::Debug> Codec<Option<T>> for ZeroOrNoVal {
    const KIND: &'static str = "u32?";

    fn encode(value: &Option<T>, w: &mut Writer) {
        match value {
            Some(value) => {
                w.u32(0);
                value.encode(w);
            }
            None => w.u32(NO_VAL),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        match r.u32()? {
            NO_VAL => Ok(None),
            _ => T::decode(r).map(Some),
        }
    }

    fn sample(g: &mut Gen) -> Option<T> {
        g.maybe(T::sample)
    }

    fn view(value: &Option<T>, v: &mut dyn Visitor) {
        match value {
            Some(value) => value.view(v),
            None => v.null(),
        }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("u32?");
        T::schema(release, s);
        s.leave();
    }
}
