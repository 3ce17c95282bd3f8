//! What the accounting daemon tells controllers when records change, and what a controller says
//! about the records it holds.

use super::entities::{Association, Cluster, Federation, Qos, Resource, Tres, User, WcKey};
use super::usage::{AssociationWithUsage, DbdStats, QosWithUsage};
use crate::codec::Flag8;
use crate::{DecodeError, Gen, List, Reader, Release, Schema, Visitor, Wire, Writer, names};

/// Changes of accounting records. 10001.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AccountingUpdate {
    /// One element for each kind of change.
    pub updates: Vec<Update>,
}

/// The records that a controller holds. 2044.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AssocMgrInfo {
    /// Names of the resources that the arrays count.
    pub tres_names: Vec<String>,
    /// Associations.
    pub assocs: Vec<AssociationWithUsage>,
    /// Qualities of service.
    pub qos: Vec<QosWithUsage>,
    /// Users.
    pub users: Vec<User>,
}

/// Sends a client elsewhere. 8003.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Reroute {
    /// To this cluster.
    #[wire(as_ = Flag8)]
    pub working_cluster_rec: Option<Cluster>,
    /// To the node that manages the job's steps.
    #[wire(since = V24_05)]
    pub stepmgr: Option<String>,
}

/// Values of `Update::kind`.
pub mod update_kinds {
    /// Users are new.
    pub const ADD_USER: u16 = 1;
    /// Associations are new.
    pub const ADD_ASSOC: u16 = 2;
    /// Users became coordinators.
    pub const ADD_COORD: u16 = 3;
    /// Users changed.
    pub const MODIFY_USER: u16 = 4;
    /// Associations changed.
    pub const MODIFY_ASSOC: u16 = 5;
    /// Users are gone.
    pub const REMOVE_USER: u16 = 6;
    /// Associations are gone.
    pub const REMOVE_ASSOC: u16 = 7;
    /// Users are no longer coordinators.
    pub const REMOVE_COORD: u16 = 8;
    /// Qualities of service are new.
    pub const ADD_QOS: u16 = 9;
    /// Qualities of service are gone.
    pub const REMOVE_QOS: u16 = 10;
    /// Qualities of service changed.
    pub const MODIFY_QOS: u16 = 11;
    /// Workload keys are new.
    pub const ADD_WCKEY: u16 = 12;
    /// Workload keys are gone.
    pub const REMOVE_WCKEY: u16 = 13;
    /// Workload keys changed.
    pub const MODIFY_WCKEY: u16 = 14;
    /// The cluster is new.
    pub const ADD_CLUSTER: u16 = 15;
    /// The cluster is gone.
    pub const REMOVE_CLUSTER: u16 = 16;
    /// The use of associations starts from nothing.
    pub const REMOVE_ASSOC_USAGE: u16 = 17;
    /// Licences are new.
    pub const ADD_RES: u16 = 18;
    /// Licences are gone.
    pub const REMOVE_RES: u16 = 19;
    /// Licences changed.
    pub const MODIFY_RES: u16 = 20;
    /// The use of qualities of service changes; until 23.02 it starts from nothing.
    pub const UPDATE_QOS_USAGE: u16 = 21;
    /// Kinds of resources are new.
    pub const ADD_TRES: u16 = 22;
    /// Federations changed.
    pub const UPDATE_FEDS: u16 = 23;
}

/// Records of the type that a kind of change is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Updated {
    /// Nothing at all, not even a count.
    Nothing,
    /// Users.
    Users(List<User>),
    /// Associations.
    Associations(List<Association>),
    /// Qualities of service.
    Qos(List<Qos>),
    /// The same with their use.
    QosWithUsage(List<QosWithUsage>),
    /// Workload keys.
    WcKeys(List<WcKey>),
    /// Licences.
    Resources(List<Resource>),
    /// Kinds of resources.
    Tres(List<Tres>),
    /// Federations.
    Federations(List<Federation>),
    /// The daemon's statistics.
    Stats(List<DbdStats>),
}

/// One kind of change and the records it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// See `update_kinds`; or 1490 for statistics.
    pub kind: u16,
    /// The records, which must be of the kind's type.
    pub records: Updated,
}

/// Which records a kind of change carries; `None` for an unknown kind.
fn empty(kind: u16, release: Release) -> Option<Updated> {
    use update_kinds as k;
    Some(match kind {
        k::ADD_USER | k::MODIFY_USER | k::REMOVE_USER | k::ADD_COORD | k::REMOVE_COORD => {
            Updated::Users(None)
        }
        k::ADD_ASSOC | k::MODIFY_ASSOC | k::REMOVE_ASSOC | k::REMOVE_ASSOC_USAGE => {
            Updated::Associations(None)
        }
        k::ADD_QOS | k::MODIFY_QOS | k::REMOVE_QOS => Updated::Qos(None),
        k::UPDATE_QOS_USAGE if release < Release::V23_11 => Updated::Qos(None),
        k::UPDATE_QOS_USAGE => Updated::QosWithUsage(None),
        k::ADD_WCKEY | k::MODIFY_WCKEY | k::REMOVE_WCKEY => Updated::WcKeys(None),
        k::ADD_CLUSTER | k::REMOVE_CLUSTER => Updated::Nothing,
        k::ADD_RES | k::MODIFY_RES | k::REMOVE_RES => Updated::Resources(None),
        k::ADD_TRES => Updated::Tres(None),
        k::UPDATE_FEDS => Updated::Federations(None),
        names::DBD_GOT_STATS => Updated::Stats(None),
        _ => return None,
    })
}

/// Runs an expression with the list inside, whatever its type.
macro_rules! with_list {
    ($records:expr, $list:ident => $do:expr, $nothing:expr) => {
        match $records {
            Updated::Nothing => $nothing,
            Updated::Users($list) => $do,
            Updated::Associations($list) => $do,
            Updated::Qos($list) => $do,
            Updated::QosWithUsage($list) => $do,
            Updated::WcKeys($list) => $do,
            Updated::Resources($list) => $do,
            Updated::Tres($list) => $do,
            Updated::Federations($list) => $do,
            Updated::Stats($list) => $do,
        }
    };
}

impl Update {
    /// A change and its records, which must be of the type that the kind carries in every release
    /// that it is sent to.
    pub const fn new(kind: u16, records: Updated) -> Self {
        Self { kind, records }
    }
}

impl Default for Update {
    fn default() -> Self {
        Self::new(update_kinds::ADD_CLUSTER, Updated::Nothing)
    }
}

impl Wire for Update {
    const KIND: &'static str = "update";

    fn encode(&self, w: &mut Writer) {
        w.u16(self.kind);
        with_list!(&self.records, list => list.encode(w), ());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = r.field("kind")?;
        let Some(mut records) = empty(kind, r.release()) else {
            return Err(r.invalid("an unknown kind of accounting update"));
        };
        r.begin("records");
        with_list!(&mut records, list => *list = Wire::decode(r)?, ());
        if r.is_traced() {
            r.end(&|v| with_list!(&records, list => list.view(v), v.null()));
        }
        Ok(Self { kind, records })
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("Update");
        v.field("kind");
        v.unsigned(u64::from(self.kind));
        v.field("records");
        with_list!(&self.records, list => list.view(v), v.null());
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let last = u64::from(update_kinds::UPDATE_FEDS);
        let kind = match u16::try_from(g.below(last + 1)).expect("few kinds") {
            0 => names::DBD_GOT_STATS,
            kind => kind,
        };
        let mut records = empty(kind, g.release()).expect("every kind up to the last is known");
        with_list!(&mut records, list => *list = Wire::sample(g), ());
        Self { kind, records }
    }

    /// The records' own layouts stand with the accounting messages that carry them, too.
    fn schema(_: Release, s: &mut Schema) {
        for (name, kind) in [("kind", "u16"), ("count, unless of a cluster", "u32")] {
            s.enter(name);
            s.kind(kind);
            s.leave();
        }
    }
}
