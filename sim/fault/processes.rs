//! Processes: those that cannot be made, and those that the kernel ends.

use serde::Deserialize;

use super::act::Act;
use super::plan::Planner;
use super::{Fault, once_to_thrice, seconds};
use crate::scenario::{CountRange, SpanRange};
use crate::world::trouble::Trouble;

fn always() -> CountRange {
    CountRange::new(100, 100)
}

/// A node cannot make processes (`EAGAIN` of fork).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForkFailure {
    /// Percent of starts that fail.
    #[serde(default = "always")]
    percent: CountRange,
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
    /// How long.
    #[serde(default = "seconds")]
    lasts: SpanRange,
}

impl Fault for ForkFailure {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, self.lasts, |p| {
            let percent = self.percent.draw(p.rng()).min(100);
            let fork_percent = u8::try_from(percent).expect("at most a hundred");
            Some(Act::Trouble(p.node()?, Trouble { fork_percent, ..Trouble::default() }))
        });
    }
}

/// The kernel kills one step daemon of a node; its job lives on without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KillStepDaemon {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
}

impl Fault for KillStepDaemon {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, SpanRange::secs(0, 0), |p| {
            let draw = p.rng().next_u64() >> 1;
            Some(Act::KillProcess { machine: p.node()?, only: Some("flurmstepd".into()), draw })
        });
    }
}

/// A node is out of memory, and the kernel kills one of its processes, whichever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OomKill {
    /// How often.
    #[serde(default = "once_to_thrice")]
    times: CountRange,
}

impl Fault for OomKill {
    fn plan(&self, planner: &mut Planner<'_>) {
        planner.repeat(self.times, SpanRange::secs(0, 0), |p| {
            let draw = p.rng().next_u64() >> 1;
            Some(Act::KillProcess { machine: p.node()?, only: None, draw })
        });
    }
}
