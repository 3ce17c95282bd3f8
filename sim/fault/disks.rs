//! Disks: errors, no room, slowness, loss, and bits that change by themselves.

use serde::Deserialize;

use super::act::Act;
use super::plan::Planner;
use super::{Fault, Group, once_to_thrice, seconds};
use crate::scenario::{CountRange, SpanRange};
use crate::world::trouble::Trouble;

fn some(planner: &mut Planner<'_>, group: Group, trouble: Trouble) -> Option<Act> {
    let machines = planner.group(group);
    let machine = planner.rng().pick(&machines).copied()?;
    Some(Act::Trouble(machine, trouble))
}

fn percent(range: CountRange, planner: &mut Planner<'_>) -> u8 {
    u8::try_from(range.draw(planner.rng()).min(100)).expect("at most a hundred")
}

fn none() -> CountRange {
    CountRange::new(0, 0)
}

/// Some of a disk's operations fail with `EIO`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskErrors {
    /// Whose disk.
    #[serde(default)]
    group: Group,
    /// Percent of syncs that fail; what they should have made durable is not.
    #[serde(default = "none")]
    sync_percent: CountRange,
    /// Percent of reads that fail.
    #[serde(default = "none")]
    read_percent: CountRange,
    /// Percent of writes that fail.
    #[serde(default = "none")]
    write_percent: CountRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for DiskErrors {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let trouble = Trouble {
                sync_percent: percent(self.sync_percent, p),
                read_percent: percent(self.read_percent, p),
                write_percent: percent(self.write_percent, p),
                ..Trouble::default()
            };
            some(p, self.group, trouble)
        });
    }
}

/// A disk has no room for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskFull {
    /// Whose disk.
    #[serde(default)]
    group: Group,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for DiskFull {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            some(p, self.group, Trouble { full: true, ..Trouble::default() })
        });
    }
}

/// A disk's syncs take much longer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskSlow {
    /// Whose disk.
    #[serde(default)]
    group: Group,
    /// By how much.
    adds: SpanRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for DiskSlow {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let slower = self.adds.draw(p.rng());
            some(p, self.group, Trouble { slower, ..Trouble::default() })
        });
    }
}

/// One controller's disk is replaced by an empty one while its machine is off. Always the same
/// controller's: a second member without a memory would be one too many.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskLoss {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Until it boots with the new disk.
    #[serde(default = "seconds")]
    down_for: SpanRange,
}

impl Fault for DiskLoss {
    fn plan(&self, planner: &mut Planner<'_>) {
        let machine = planner.victim();
        planner.repeat(self.times, self.down_for, |_| Some(Act::Wipe(machine)));
    }
}

/// Bits in the synced files of one controller change by themselves; then its daemon is killed, so
/// that it reads them. Always the same controller's, since what rotted may be beyond repair there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BitRot {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Until the daemon is started again.
    #[serde(default = "seconds")]
    down_for: SpanRange,
}

impl Fault for BitRot {
    fn plan(&self, planner: &mut Planner<'_>) {
        let machine = planner.victim();
        planner.repeat(self.times, self.down_for, |p| {
            Some(Act::Rot { machine, draw: p.rng().next_u64() >> 1 })
        });
    }
}
