//! What is said to and by the accounting daemon (`slurmdbd`): over a persistent connection, so
//! without headers; see `persist`.
//!
//! Left out because no release can send them: 1456, 1482 to 1484, 1499, 1500 and 1505 to 1507 name
//! entries of tables and kinds of queries inside Slurm's own daemon. 10004 and 10005 are no messages
//! either: they stand as error numbers in a `PersistRc`, and ask the controller for its resources.

mod conditions;
mod entities;
mod history;
mod nested;
mod registry;
mod reports;
mod shapes;
mod updates;
mod usage;

pub use conditions::{
    AccountCond, AddAssocCond, ArchiveCond, AssocCond, ClusterCond, EventCond, FederationCond,
    InstanceCond, JOB_FLAG_NOTSET, JobCond, QosCond, ReservationCond, ResourceCond,
    TransactionCond, TresCond, UserCond, WcKeyCond, assoc_flags,
};
pub use entities::{
    Account, Association, Cluster, ClusterResource, Coordinator, Federation, QOS_FLAG_NOTSET, Qos,
    RES_FLAG_NOTSET, Resource, Tres, User, WcKey,
};
pub use history::{
    ArchiveRecord, Event, Instance, JobRecord, ReservationRecord, StepRecord, StepStats,
    Transaction,
};
pub use nested::{Packed, Relay};
pub use registry::DbdMessage;
pub use reports::{
    AccountCoordinators, ClusterTres, DbdConfig, Fini, GetConfig, IdRc, JobComplete, JobHeavy,
    JobStart, JobSuspend, NodeState, RegisterController, RollUsage, StepCompleted, StepStarted,
};
pub use shapes::{Flagged, Listing, Modify, Usage};
pub use updates::{AccountingUpdate, AssocMgrInfo, Reroute, Update, Updated, update_kinds};
pub use usage::{
    AccountingRecord, AssociationUsage, AssociationWithUsage, ClusterAccounting, DbdStats,
    QosUsage, QosWithUsage, Rollup, RollupStats, RpcCount, UsedLimits,
};
