//! What watches the traffic: triggers for faults that must hit a certain moment, and who leads.
//!
//! The tap sees sizes and ports as a switch would; it never looks into a component.

use std::collections::BTreeMap;

use super::{Action, MachineId, Nanos};

/// A fault waiting for its moment.
pub struct Trap {
    /// The machine that has to send.
    pub machine: MachineId,
    /// On a connection to this port of it that it accepted.
    pub port: u16,
    /// Whether what was sent is lost.
    pub swallow: bool,
    /// What happens then.
    pub action: Action,
}

impl std::fmt::Debug for Trap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "trap on {:?} port {}", self.machine, self.port)
    }
}

/// Watches traffic between machines.
#[derive(Debug, Default)]
pub struct Tap {
    traps: Vec<Trap>,
    /// Messages sent by a machine on connections it made to a port, since a moment.
    sent: BTreeMap<(MachineId, u16), (u64, Nanos)>,
}

impl Tap {
    /// Sets a trap.
    pub fn set(&mut self, trap: Trap) {
        self.traps.push(trap);
    }

    /// Removes all traps.
    pub fn clear(&mut self) {
        self.traps.clear();
    }

    /// Bytes are sent. Whether they are lost, and what happens because of them.
    pub(super) fn sent(
        &mut self,
        now: Nanos,
        source: MachineId,
        _target: MachineId,
        port: u16,
        connected: bool,
    ) -> (bool, Vec<Action>) {
        if connected {
            let entry = self.sent.entry((source, port)).or_insert((0, now));
            entry.0 += 1;
            entry.1 = now;
            return (false, Vec::new());
        }
        let hit = |trap: &Trap| trap.machine == source && trap.port == port;
        let (hits, rest) = std::mem::take(&mut self.traps).into_iter().partition::<Vec<_>, _>(hit);
        self.traps = rest;
        let swallow = hits.iter().any(|trap| trap.swallow);
        (swallow, hits.into_iter().map(|trap| trap.action).collect())
    }

    /// How often each machine sent to `port`, on connections it made, since this was last asked.
    pub fn take_senders(&mut self, port: u16) -> BTreeMap<MachineId, u64> {
        let mut counts = BTreeMap::new();
        for ((machine, to), (count, _)) in &mut self.sent {
            if *to == port {
                counts.insert(*machine, std::mem::take(count));
            }
        }
        counts
    }

    /// When `machine` last sent to `port` on a connection it made.
    pub fn last_sent(&self, machine: MachineId, port: u16) -> Option<Nanos> {
        self.sent.get(&(machine, port)).map(|(_, at)| *at)
    }
}

/// What bytes look like, for the readable trace, in brackets; nothing when they begin no frame.
pub fn describe(bytes: &[u8]) -> String {
    let words = words(bytes);
    if words.is_empty() { words } else { format!(" ({words})") }
}

/// What bytes say: the name of Slurm's message, or what a controller tells another, when they begin
/// a frame.
pub fn words(bytes: &[u8]) -> String {
    slurm_message(bytes).or_else(|| flurm_raft::describe(bytes)).unwrap_or_default()
}

fn slurm_message(bytes: &[u8]) -> Option<String> {
    const PREFIX: usize = 4;
    const TYPE_AT: usize = PREFIX + 4;
    let version = bytes.get(PREFIX..PREFIX + 2)?;
    let version = u16::from_be_bytes([version[0], version[1]]);
    if !(0x2500..=0x2d00).contains(&version) {
        return None;
    }
    let kind = bytes.get(TYPE_AT..TYPE_AT + 2)?;
    let kind = u16::from_be_bytes([kind[0], kind[1]]);
    Some(flurm_wire::names::name(kind).map_or_else(|| format!("message {kind}"), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_springs_once_and_only_for_its_machine() {
        let mut tap = Tap::default();
        let (a, b) = (MachineId(1), MachineId(2));
        let action: Action = Box::new(|| {});
        tap.set(Trap { machine: a, port: 6817, swallow: true, action });
        assert!(!tap.sent(0, b, a, 6817, false).0);
        assert!(!tap.sent(0, a, b, 6817, true).0);
        let (swallowed, actions) = tap.sent(0, a, b, 6817, false);
        assert!(swallowed);
        assert_eq!(actions.len(), 1);
        assert!(!tap.sent(0, a, b, 6817, false).0);
    }
}
