//! The large records of the protocol: jobs, nodes, partitions, steps, reservations, the
//! configuration, credentials and launches. One declaration each for all releases.

mod allocation;
mod build_info;
mod burst_buffer;
pub(crate) mod codec;
mod credential;
mod front_end;
mod gres;
mod job_desc;
mod job_details;
mod job_info;
mod launch;
mod launch_tasks;
mod license_info;
mod listing;
mod node_info;
mod partition_info;
mod registration;
mod reservation_info;
mod runs;
mod sbcast;
mod stats;
mod step_create;
mod step_info;
mod step_manager;
#[cfg(test)]
mod tests;
mod update;

pub use allocation::{Allocation, AllocationList, WillRun};
pub use build_info::{BuildInfo, KeyPair, PluginParams};
pub use burst_buffer::{
    BurstBuffer, BurstBufferInfo, BurstBufferInfoMsg, BurstBufferPool, BurstBufferStatus,
    BurstBufferStatusRequest, BurstBufferUse,
};
pub use credential::{
    Credential, CredentialBody, FAKE_SIGNATURE, Identity, PartitionAndSwitch, Signature,
    SignedCredential, VersionedCredential,
};
pub use front_end::{FrontEndInfo, UpdateFrontEnd};
pub use gres::{
    GRES_MAGIC, GresJobNodes, GresJobState, GresNodeConfig, GresNodeRecord, GresNodeState,
    GresPrep, GresPrepNodes, GresStepNodes, GresStepState, GresTopology,
};
pub use job_desc::{CronEntry, JobDesc, JobDescList, NOBODY};
pub use job_details::JobStateDetails;
pub use job_info::{JobInfo, JobInfoBrief, JobResources, MultiCore};
pub use launch::{BatchJobLaunch, KillJob, PrologComplete, PrologLaunch};
pub use launch_tasks::{JobOption, JobOptions, LaunchTasks, NodeTasks, Reattach};
pub use license_info::LicenseInfo;
pub use listing::{
    FrontEndInfoMsg, JobInfoMsg, LicenseInfoMsg, NodeInfoMsg, PartitionInfoMsg, ReservationInfoMsg,
    StepInfoMsg,
};
pub use node_info::{Energy, ExtSensors, NodeInfo, PowerCap, SelectNodeInfo};
pub use partition_info::{JobDefault, PartitionInfo};
pub use registration::{NodeRegistration, NodeRegistrationAnswer, TresRecord};
pub use reservation_info::{ReservationInfo, ReservedCores};
pub use runs::{CoreRuns, Runs};
pub use sbcast::{FileBcast, SbcastAnswer, SbcastBody, SbcastCredential};
pub use stats::{Stats, StatsRequest};
pub use step_create::{
    LaunchParams, SWITCH_NONE, StepCreate, StepCreated, StepLayout, StepLayoutAnswer, SwitchJobInfo,
};
pub use step_info::{StepInfo, StepManagerJob};
pub use step_manager::{
    ArrayState, FedState, JobStateRecord, LimitSet, NodeStateRecord, PartStateRecord,
    StepManagerState, StepStateRecord,
};
pub use update::{
    DeletePartition, ReservationName, UpdateNode, UpdatePartition, UpdateReservation,
};

use crate::Wire;

/// The number of the select/cons_tres plugin.
pub const SELECT_CONS_TRES: u32 = 109;

/// What the select plugin adds to a job: its number and, for every plugin but Cray's, no more.
/// Before 23.02.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct SelectJobInfo {
    /// The plugin's number.
    #[wire(default = SELECT_CONS_TRES)]
    pub plugin_id: u32,
}
