//! The scene: what happened between machines, as facts to draw a timeline from. It is kept only for
//! a reader, counts for no digest, and nothing in the world looks at it.

use std::collections::BTreeMap;

use super::net::{End, Link};
use super::{MachineId, Nanos};

/// Most messages a scene keeps; the first ones.
const SENDS_MAX: usize = 400_000;

/// Bytes that went from one machine to another in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// When they were sent.
    pub at: Nanos,
    /// When they arrive; never, when they were lost or their link stayed cut.
    pub arrives: Option<Nanos>,
    /// Sender.
    pub source: MachineId,
    /// Receiver.
    pub target: MachineId,
    /// The port that was connected to.
    pub port: u16,
    /// Whether the sender made the connection.
    pub asks: bool,
    /// How many bytes.
    pub bytes: usize,
    /// The connection.
    pub conn: u64,
    /// What they say, as far as they can be read.
    pub what: String,
}

/// A process that began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When.
    pub at: Nanos,
    /// Where.
    pub machine: MachineId,
    /// Unique number in the world.
    pub key: u32,
    /// Its process id.
    pub pid: u32,
    /// Program or component.
    pub name: String,
    /// The job it belongs to, and what the client calls it.
    pub job: Option<(Option<u32>, String)>,
    /// How it ended; `None` when it began.
    pub ended: Option<String>,
}

/// Everything there is to draw.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Messages, in the order they were sent.
    pub sends: Vec<Send>,
    /// Processes.
    pub lives: Vec<Life>,
    /// Machines that lost power (false) and got it back (true).
    pub power: Vec<(Nanos, MachineId, bool)>,
    /// Links that changed.
    pub links: Vec<(Nanos, MachineId, MachineId, Link)>,
    held: BTreeMap<End, Vec<usize>>,
}

impl Scene {
    /// A message was sent towards `end`.
    pub(super) fn send(&mut self, end: End, send: Send, held: bool) {
        if self.sends.len() >= SENDS_MAX {
            return;
        }
        if held {
            self.held.entry(end).or_default().push(self.sends.len());
        }
        self.sends.push(send);
    }

    /// What was held on its way to `end` arrives after all.
    pub(super) fn release(&mut self, end: End, at: Nanos) {
        for index in self.held.remove(&end).unwrap_or_default() {
            self.sends[index].arrives = Some(at);
        }
    }
}
