//! What one direction between two machines does to bytes, and how long they travel.

use serde::{Deserialize, Serialize};

use flurm_rt::PeerCredential;

use super::net::*;
use super::*;

/// What a link does to what travels over it, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// Nothing passes.
    pub cut: bool,
    /// Added to the latency.
    pub delay: Nanos,
    /// Probability that a segment has to be sent again.
    pub loss: f64,
}

impl Default for Link {
    fn default() -> Self {
        Self { cut: false, delay: 0, loss: 0.0 }
    }
}

/// Latency of a healthy link.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Shortest.
    pub min: Nanos,
    /// Longest.
    pub max: Nanos,
}

impl Default for Latency {
    fn default() -> Self {
        Self { min: 100 * MICRO, max: 2 * MILLI }
    }
}

/// What is asked for when connecting.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who connects.
    pub source: MachineId,
    /// Its process.
    pub process: ProcKey,
    /// To which machine.
    pub target: MachineId,
    /// To which port.
    pub port: Port,
    /// Identity of the connecting process.
    pub credential: PeerCredential,
}
