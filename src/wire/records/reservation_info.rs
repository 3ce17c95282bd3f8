//! Reservations as listings show them.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use crate::{Bits, UnixTime, Wire};

/// A reservation as listings show it. Part of 2025.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ReservationInfo {
    pub accounts: Option<String>,
    pub burst_buffer: Option<String>,
    #[wire(since = V23_02)]
    pub comment: Option<String>,
    pub core_cnt: u32,
    pub end_time: UnixTime,
    pub features: Option<String>,
    pub flags: u64,
    pub licenses: Option<String>,
    pub max_start_delay: u32,
    pub name: Option<String>,
    pub node_cnt: u32,
    pub node_list: Option<String>,
    pub partition: Option<String>,
    pub purge_comp_time: u32,
    #[wire(until = V25_05)]
    pub resv_watts: u32,
    pub start_time: UnixTime,
    pub tres_str: Option<String>,
    pub users: Option<String>,
    pub groups: Option<String>,
    #[wire(since = V25_11)]
    pub qos: Option<String>,
    #[wire(since = V25_11)]
    pub allowed_parts: Option<String>,
    pub node_inx: Option<Bits>,
    pub core_spec: Vec<ReservedCores>,
}

/// The cores of one node that a reservation holds.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ReservedCores {
    pub node_name: Option<String>,
    pub core_id: Option<String>,
}
