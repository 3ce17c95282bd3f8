//! Faults: what scenario files may ask for, and how the seed turns it into a plan of acts.
//!
//! A plan is an explicit list of (time, act, how long). Machines are drawn when the plan is made,
//! except "the leader", which is whoever leads when the time comes. A fault is a type in a file of
//! its family: what it takes from a scenario, and which acts it plans. Its name stands in [`KINDS`].

mod act;
mod clocks;
mod core;
mod disks;
mod dump;
mod links;
mod plan;
mod processes;
mod services;

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::core::leave_broken;
pub use act::Act;
pub use dump::{from_tables, to_tables};
pub use plan::{Planned, Planner, plan, schedule};

use crate::scenario::kinds::{self, Kind};
use crate::scenario::{CountRange, SpanRange};

/// Something that a scenario lets break.
pub trait Fault: Debug + Send + Sync {
    /// Adds what breaks, and when, to a plan.
    fn plan(&self, planner: &mut Planner<'_>);
}

macro_rules! kinds {
    ($($name:literal => $kind:ty),* $(,)?) => {
        /// Every fault that a scenario file can name.
        pub const KINDS: &[Kind<dyn Fault>] = &[
            $(Kind { name: $name, read: |table| Ok(Arc::new(kinds::read::<$kind>(table)?)) }),*
        ];
    };
}

kinds! {
    "kill_controller" => services::KillController,
    "power_loss_controller" => services::PowerLossController,
    "crash_loop" => services::CrashLoop,
    "kill_node_daemon" => services::KillNodeDaemon,
    "power_loss_node" => services::PowerLossNode,
    "swizzle" => services::Swizzle,
    "munge_down" => services::MungeDown,
    "partition" => links::Partition,
    "delay" => links::Delay,
    "loss" => links::Loss,
    "reset" => links::Reset,
    "half_open" => links::HalfOpen,
    "names_fail" => links::NamesFail,
    "clock_jump" => clocks::ClockJump,
    "clock_drift" => clocks::ClockDrift,
    "disk_errors" => disks::DiskErrors,
    "disk_full" => disks::DiskFull,
    "disk_slow" => disks::DiskSlow,
    "disk_loss" => disks::DiskLoss,
    "bit_rot" => disks::BitRot,
    "fork_failure" => processes::ForkFailure,
    "kill_step_daemon" => processes::KillStepDaemon,
    "oom_kill" => processes::OomKill,
}

/// A fault of a scenario file.
#[derive(Clone, Debug)]
pub struct FaultSpec(Arc<dyn Fault>);

impl FaultSpec {
    /// Adds what breaks, and when, to a plan.
    pub fn plan(&self, planner: &mut Planner<'_>) {
        self.0.plan(planner);
    }
}

impl<'de> Deserialize<'de> for FaultSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        kinds::by_name(KINDS, "fault", table).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Which controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Any one.
    #[default]
    Any,
    /// The one that leads.
    Leader,
    /// All of them.
    All,
}

/// Which moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Any time.
    #[default]
    AnyTime,
    /// When it next answers a client: the work is done and the answer is lost.
    AfterCommitBeforeReply,
}

/// Which machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Controllers.
    #[default]
    Controllers,
    /// Nodes.
    Nodes,
    /// Both.
    All,
}

fn once_to_thrice() -> CountRange {
    CountRange::new(1, 3)
}

fn seconds() -> SpanRange {
    SpanRange::secs(1, 10)
}
