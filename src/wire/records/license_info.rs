//! Licences as listings show them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use crate::{UnixTime, Wire};

/// A licence as listings show it. Part of 1022.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct LicenseInfo {
    pub name: Option<String>,
    pub total: u32,
    pub in_use: u32,
    pub reserved: u32,
    pub remote: u8,
    #[wire(since = V23_02)]
    pub last_consumed: u32,
    #[wire(since = V23_02)]
    pub last_deficit: u32,
    #[wire(since = V23_02)]
    pub last_update: UnixTime,
    #[wire(since = V25_05)]
    pub mode: u8,
    #[wire(since = V25_05)]
    pub nodes: Option<String>,
}
