//! Front ends: hosts that ran the daemons of nodes which could not. Gone since 25.05.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use crate::{NO_VAL, UnixTime, Wire};

/// A front end. In 2032.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct FrontEndInfo {
    pub allow_groups: Option<String>,
    pub allow_users: Option<String>,
    pub boot_time: UnixTime,
    pub deny_groups: Option<String>,
    pub deny_users: Option<String>,
    pub name: Option<String>,
    pub node_state: u32,
    pub version: Option<String>,
    pub reason: Option<String>,
    pub reason_time: UnixTime,
    pub reason_uid: u32,
    pub slurmd_start_time: UnixTime,
}

/// What should change about a front end. 3011.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct UpdateFrontEnd {
    pub name: Option<String>,
    #[wire(default = NO_VAL)]
    pub node_state: u32,
    pub reason: Option<String>,
    #[wire(until = V22_05)]
    pub reason_uid: u32,
}
