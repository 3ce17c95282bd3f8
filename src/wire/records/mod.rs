//! The large records of the protocol: jobs, nodes, partitions, steps, reservations, the
//! configuration, credentials and launches. One declaration each for all releases.

mod codec;
mod job_desc;
mod job_info;
mod license_info;
mod listing;
mod node_info;
mod partition_info;
mod reservation_info;
mod step_info;

pub use job_desc::{CronEntry, JobDesc, JobDescList, NOBODY};
pub use job_info::{JobInfo, JobInfoBrief, JobResources, MultiCore};
pub use license_info::LicenseInfo;
pub use listing::{
    JobInfoMsg, LicenseInfoMsg, NodeInfoMsg, PartitionInfoMsg, ReservationInfoMsg, StepInfoMsg,
};
pub use node_info::{Energy, ExtSensors, NodeInfo, PowerCap, SelectNodeInfo};
pub use partition_info::{JobDefault, PartitionInfo};
pub use reservation_info::{ReservationInfo, ReservedCores};
pub use step_info::{StepInfo, StepManagerJob};

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
