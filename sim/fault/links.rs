//! The network: cuts of every shape, slow and lossy links, connections that end or go dead, names
//! that do not resolve.
//!
//! A TCP stream neither reorders nor repeats what it carries, so neither does a link here. What can
//! arrive twice or in another order is a request, over connections of their own: see the workload
//! `submit_twice`.

use serde::Deserialize;

use super::act::{Act, all_links_of, cut_both_ways, cut_one_way};
use super::plan::Planner;
use super::{Fault, once_to_thrice, seconds};
use crate::scenario::{CountRange, SpanRange};
use crate::world::net::Link;
use crate::world::trouble::Trouble;
use crate::world::{MachineId, Nanos};

/// The shape of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    /// Two sides that hear nothing of each other.
    #[default]
    TwoWay,
    /// One side hears the other and not the reverse.
    OneWay,
    /// The leader hears nobody and nobody hears it.
    IsolateLeader,
    /// One pair of machines cannot talk.
    Pair,
    /// Controllers and nodes cannot talk; each side is whole.
    NodesFromControllers,
}

/// Links are cut.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Partition {
    /// How.
    #[serde(default)]
    shape: Shape,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
    /// How often the same cut comes back.
    #[serde(default = "never")]
    flaps: CountRange,
    /// How long the links are whole between two flaps.
    #[serde(default = "shortly")]
    whole_for: SpanRange,
}

fn never() -> CountRange {
    CountRange::new(0, 0)
}

fn shortly() -> SpanRange {
    SpanRange::micros(50_000, 3_000_000)
}

impl Fault for Partition {
    fn plan(&self, planner: &mut Planner<'_>) {
        for _ in 0..self.times.draw(planner.rng()) {
            let mut at = planner.moment();
            let act = cut(planner, self.shape);
            for _ in 0..=self.flaps.draw(planner.rng()) {
                let lasts = self.lasts.draw(planner.rng());
                planner.push(at, lasts, act.clone());
                at += lasts + self.whole_for.draw(planner.rng());
            }
        }
    }
}

fn cut(planner: &mut Planner<'_>, shape: Shape) -> Act {
    let mut machines = planner.cluster().machines();
    planner.rng().shuffle(&mut machines);
    match shape {
        Shape::IsolateLeader => Act::IsolateLeader,
        Shape::Pair => Act::Links(cut_both_ways(&machines[..1], &machines[1..2])),
        Shape::TwoWay => {
            let (left, right) = sides(planner, &machines);
            Act::Links(cut_both_ways(&left, &right))
        }
        Shape::OneWay => {
            let (left, right) = sides(planner, &machines);
            Act::Links(cut_one_way(&left, &right))
        }
        Shape::NodesFromControllers => {
            let cluster = planner.cluster();
            Act::Links(cut_both_ways(&cluster.controllers, &cluster.nodes))
        }
    }
}

fn sides(planner: &mut Planner<'_>, machines: &[MachineId]) -> (Vec<MachineId>, Vec<MachineId>) {
    let middle = planner.rng().index(1..machines.len().max(2));
    let (left, right) = machines.split_at(middle.min(machines.len()));
    (left.to_vec(), right.to_vec())
}

fn trouble(planner: &mut Planner<'_>, link: Link) -> Act {
    let machine = planner.machine();
    Act::Links(all_links_of(machine, &planner.cluster().machines(), link))
}

/// Links of one machine get slow; with seconds, a peer that hardly answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delay {
    /// By how much.
    adds: SpanRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for Delay {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let delay: Nanos = self.adds.draw(p.rng());
            Some(trouble(p, Link { delay, ..Link::default() }))
        });
    }
}

/// Links of one machine lose segments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Loss {
    /// Percent of segments.
    percent: CountRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for Loss {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let loss = self.percent.draw(p.rng()) as f64 / 100.0;
            Some(trouble(p, Link { loss, ..Link::default() }))
        });
    }
}

/// Every connection of a machine with others is reset at both ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reset {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
}

impl Fault for Reset {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, SpanRange::secs(0, 0), |p| Some(Act::Reset(p.machine())));
    }
}

/// Every connection of a machine with others goes dead and says nothing, as when a firewall forgets
/// it; new ones work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HalfOpen {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
}

impl Fault for HalfOpen {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, SpanRange::secs(0, 0), |p| Some(Act::Deaden(p.machine())));
    }
}

/// A machine's resolver knows no names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamesFail {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for NamesFail {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let trouble = Trouble { names_fail: true, ..Trouble::default() };
            Some(Act::Trouble(p.machine(), trouble))
        });
    }
}
