//! Daemons that are killed and machines that lose power: one, many, again and again.

use serde::Deserialize;

use super::act::Act;
use super::plan::Planner;
use super::{Fault, Group, When, Who, once_to_thrice, seconds};
use crate::cluster::MUNGED;
use crate::scenario::{CountRange, SpanRange};
use crate::world::{MachineId, Nanos};

/// `kill -9` of controllers, which are started again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KillController {
    /// Which.
    #[serde(default)]
    who: Who,
    /// At which moment.
    #[serde(default)]
    when: When,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Until it is started again.
    #[serde(default = "seconds")]
    down_for: SpanRange,
}

impl Fault for KillController {
    fn plan(&self, planner: &mut Planner<'_>) {
        let Self { who, when, times, down_for } = *self;
        planner.repeat(times, down_for, |p| {
            let machine = p.controller();
            Some(Act::Controller { machine, who, when, power: false })
        });
    }
}

/// A controller's machine loses power and unsynced writes, and boots again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PowerLossController {
    /// Which.
    #[serde(default)]
    who: Who,
    /// At which moment.
    #[serde(default)]
    when: When,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Until it boots.
    #[serde(default = "seconds")]
    down_for: SpanRange,
}

impl Fault for PowerLossController {
    fn plan(&self, planner: &mut Planner<'_>) {
        let Self { who, when, times, down_for } = *self;
        planner.repeat(times, down_for, |p| {
            let machine = p.controller();
            Some(Act::Controller { machine, who, when, power: true })
        });
    }
}

/// A daemon crashes again shortly after each start, while it still recovers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CrashLoop {
    /// Of which machines one is taken.
    #[serde(default)]
    group: Group,
    /// How many loops.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Crashes of one loop.
    #[serde(default = "few")]
    crashes: CountRange,
    /// How long it stays down each time.
    #[serde(default = "down_shortly")]
    down_for: SpanRange,
    /// How long it is up between two crashes.
    #[serde(default = "up_shortly")]
    up_for: SpanRange,
}

fn few() -> CountRange {
    CountRange::new(2, 8)
}

fn down_shortly() -> SpanRange {
    SpanRange::micros(1_000, 1_000_000)
}

fn up_shortly() -> SpanRange {
    SpanRange::micros(1_000, 800_000)
}

impl Fault for CrashLoop {
    fn plan(&self, planner: &mut Planner<'_>) {
        for _ in 0..self.times.draw(planner.rng()) {
            let machines = planner.group(self.group);
            let Some(machine) = planner.rng().pick(&machines).copied() else { return };
            let mut at = planner.moment();
            for _ in 0..self.crashes.draw(planner.rng()) {
                let lasts = self.down_for.draw(planner.rng());
                planner.add(at, lasts, planner.down(machine, false));
                at += lasts + self.up_for.draw(planner.rng());
            }
        }
    }
}

/// `kill -9` of a node's daemon; its step daemons and jobs live on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KillNodeDaemon {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Until it is started again.
    #[serde(default = "seconds")]
    down_for: SpanRange,
}

impl Fault for KillNodeDaemon {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.down_for, |p| {
            Some(Act::Node { machine: p.node()?, power: false })
        });
    }
}

/// A node loses power with everything on it, and boots again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PowerLossNode {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Until it boots.
    #[serde(default = "seconds")]
    down_for: SpanRange,
}

impl Fault for PowerLossNode {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.down_for, |p| {
            Some(Act::Node { machine: p.node()?, power: true })
        });
    }
}

/// A random part of a group goes down almost at once and comes back in another order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Swizzle {
    /// Of which machines.
    #[serde(default)]
    group: Group,
    /// By losing power rather than by a kill.
    #[serde(default)]
    power: bool,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// Within which span they go down.
    within: SpanRange,
    /// How long each is down.
    down_for: SpanRange,
}

/// Probability that a machine of the group is spared.
const SPARED: f64 = 0.25;

impl Fault for Swizzle {
    fn plan(&self, planner: &mut Planner<'_>) {
        for _ in 0..self.times.draw(planner.rng()) {
            let targets = planner.group(self.group);
            let start = planner.moment();
            let within = self.within.draw(planner.rng()).max(1);
            for machine in targets {
                if planner.rng().chance(SPARED) {
                    continue;
                }
                let at = start + planner.rng().below(within);
                let lasts = self.down_for.draw(planner.rng());
                planner.add(at, lasts, planner.down(machine, self.power));
            }
        }
    }
}

/// munged of a machine does not run: nobody there can sign or open anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MungeDown {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for MungeDown {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            Some(Act::Service { machine: p.machine(), service: MUNGED.to_owned() })
        });
    }
}

impl Planner<'_> {
    /// What takes a machine's daemon down, or its power.
    fn down(&self, machine: MachineId, power: bool) -> Act {
        if self.cluster().controllers.contains(&machine) {
            Act::Controller { machine, who: Who::Any, when: When::AnyTime, power }
        } else {
            Act::Node { machine, power }
        }
    }

    /// The machines of a group.
    pub(super) fn group(&self, group: Group) -> Vec<MachineId> {
        let cluster = self.cluster();
        match group {
            Group::Controllers => cluster.controllers.clone(),
            Group::Nodes => cluster.nodes.clone(),
            Group::All => [&cluster.controllers[..], &cluster.nodes].concat(),
        }
    }

    /// Plans an act at a moment drawn before.
    fn add(&mut self, at: Nanos, lasts: Nanos, act: Act) {
        self.push(at, lasts, act);
    }
}
