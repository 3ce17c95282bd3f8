//! Attaching to a running step: what a node daemon asks of the step daemon for sattach.
//!
//! Both belong to the same installation but perhaps not to the same release of it, so that what they
//! say to each other carries a format.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::record;

const ORDER_KIND: [u8; 6] = *b"FLMATO";
const ANSWER_KIND: [u8; 6] = *b"FLMATA";
const FORMAT: u16 = 1;

/// Largest order or answer, bytes: a key that is a token of a user in thousands of groups.
pub const BYTES_MAX: usize = 2 << 20;

/// Another program that wants the step's output, gives it input, and hears of its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachOrder {
    /// Where it is.
    pub client: IpAddr,
    /// Where it takes input and output.
    pub io_ports: Vec<u16>,
    /// Where it hears of tasks.
    pub response_ports: Vec<u16>,
    /// What proves this node to it.
    pub io_key: Option<String>,
    /// The protocol number of its release.
    pub release: u16,
}

impl AttachOrder {
    /// The client's port for a node among those it listens on.
    pub fn port_among(ports: &[u16], node_id: u32) -> Option<u16> {
        ports.get((node_id as usize).checked_rem(ports.len())?).copied()
    }

    /// The bytes for the step daemon.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(ORDER_KIND, FORMAT, self)
    }

    /// Reads them.
    ///
    /// # Errors
    /// When they are no order of this format.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(ORDER_KIND, FORMAT, bytes)
    }
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    /// Its number within the step.
    pub task: u32,
    /// Its process.
    pub pid: u32,
    /// Its program, as it was named.
    pub program: String,
}

/// What a step daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// 0, or why the client was not attached.
    pub errno: u32,
    /// The tasks that still run, of whose ends the client will hear.
    pub tasks: Vec<RunningTask>,
}

impl Attached {
    /// The bytes for the node daemon.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(ANSWER_KIND, FORMAT, self)
    }

    /// Reads them.
    ///
    /// # Errors
    /// When they are no answer of this format.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(ANSWER_KIND, FORMAT, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_read_back() {
        let order = AttachOrder {
            client: IpAddr::from([127, 0, 0, 1]),
            io_ports: vec![1, 2],
            response_ports: vec![3],
            io_key: Some("key".into()),
            release: 0x2a00,
        };
        assert_eq!(AttachOrder::decode(&order.encode()), Ok(order.clone()));
        assert!(Attached::decode(&order.encode()).is_err());
        let task = RunningTask { task: 4, pid: 5, program: "sh".into() };
        let answer = Attached { errno: 0, tasks: vec![task] };
        assert_eq!(Attached::decode(&answer.encode()), Ok(answer));
        assert_eq!(AttachOrder::port_among(&order.io_ports, 3), Some(2));
        assert_eq!(AttachOrder::port_among(&[], 3), None);
    }
}
