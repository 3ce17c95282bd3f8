//! Clocks: wall clocks that jump, and clocks that run fast or slow. Monotonic time never goes back.

use serde::Deserialize;

use super::act::{Act, either_way};
use super::plan::Planner;
use super::{Fault, once_to_thrice, seconds};
use crate::scenario::{CountRange, SpanRange};
use crate::world::MICRO;

/// A machine's wall clock jumps, back or forth.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockJump {
    /// By how much.
    by: SpanRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
}

impl Fault for ClockJump {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, SpanRange::secs(0, 0), |p| {
            let machine = p.machine();
            let by_us = (self.by.draw(p.rng()) / MICRO) as i64;
            Some(Act::Jump(machine, either_way(p.rng(), by_us)))
        });
    }
}

/// A machine's clocks, both of them, run fast or slow for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockDrift {
    /// By how much, in parts per million.
    ppm: CountRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for ClockDrift {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let machine = p.machine();
            let ppm = self.ppm.draw(p.rng()) as i64;
            Some(Act::Drift(machine, either_way(p.rng(), ppm)))
        });
    }
}
