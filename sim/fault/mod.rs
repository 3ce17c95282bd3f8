//! Faults: what scenario files may ask for, and how the seed turns it into a plan of acts.
//!
//! A plan is an explicit list of (time, act, how long). Machines are drawn when the plan is made,
//! except "the leader", which is whoever leads when the time comes.

mod act;
mod dump;
mod plan;

use serde::{Deserialize, Serialize};

pub use act::Act;
pub use dump::{from_tables, to_tables};
pub use plan::{Planned, plan, schedule};

use crate::scenario::{CountRange, SpanRange};

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

/// Which machines a swizzle takes.
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

/// The shape of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Two sides that hear nothing of each other.
    #[default]
    TwoWay,
    /// One side hears the other and not the reverse.
    OneWay,
    /// The leader hears nobody and nobody hears it.
    IsolateLeader,
    /// One pair of machines cannot talk.
    Pair,
}

fn once_to_thrice() -> CountRange {
    CountRange::new(1, 3)
}

fn seconds() -> SpanRange {
    SpanRange::secs(1, 10)
}

/// A fault of a scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultSpec {
    /// `kill -9` of controllers, which are started again.
    KillController {
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
    },
    /// A controller's machine loses power and unsynced writes, and boots again.
    PowerLossController {
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
    },
    /// `kill -9` of a node's daemon; its step daemons and jobs live on.
    KillNodeDaemon {
        /// How often.
        #[serde(default = "once_to_thrice")]
        times: CountRange,
        /// Until it is started again.
        #[serde(default = "seconds")]
        down_for: SpanRange,
    },
    /// A node loses power with everything on it, and boots again.
    PowerLossNode {
        /// How often.
        #[serde(default = "once_to_thrice")]
        times: CountRange,
        /// Until it boots.
        #[serde(default = "seconds")]
        down_for: SpanRange,
    },
    /// A random part of a group goes down almost at once and comes back in another order.
    Swizzle {
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
    },
    /// Links are cut.
    Partition {
        /// How.
        #[serde(default)]
        shape: Shape,
        /// How often.
        #[serde(default = "once_to_thrice")]
        times: CountRange,
        /// How long.
        #[serde(default = "seconds")]
        lasts: SpanRange,
    },
    /// Links of one machine get slow.
    Delay {
        /// By how much.
        adds: SpanRange,
        /// How often.
        #[serde(default = "once_to_thrice")]
        times: CountRange,
        /// How long.
        #[serde(default = "seconds")]
        lasts: SpanRange,
    },
    /// Links of one machine lose segments.
    Loss {
        /// Percent of segments.
        percent: CountRange,
        /// How often.
        #[serde(default = "once_to_thrice")]
        times: CountRange,
        /// How long.
        #[serde(default = "seconds")]
        lasts: SpanRange,
    },
    /// A machine's wall clock jumps, back or forth.
    ClockJump {
        /// By how much.
        by: SpanRange,
        /// How often.
        #[serde(default = "once_to_thrice")]
        times: CountRange,
    },
}
