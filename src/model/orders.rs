//! Orders: what the world should be told, derived from the state alone.
//!
//! The launcher compares these with what nodes confirm and repeats until they agree, so a new
//! leader needs nothing but the state.

use flurm_base::{AttemptId, JobId, Time};

use crate::{EndCause, News, NodeName};

/// Something a node must be told until it confirms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Start the batch step.
    Launch {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The batch host.
        node: NodeName,
    },
    /// End whatever is left of an attempt.
    Terminate {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// One of its nodes.
        node: NodeName,
        /// Why: decides which message the node is sent.
        cause: EndCause,
        /// Since when.
        since: Time,
    },
    /// End an attempt that nobody wants; `Command::EpilogComplete` confirms it.
    EndOrphan {
        /// The job, if there ever was one.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Where it may be.
        node: NodeName,
    },
    /// Send a signal.
    Signal {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Its nodes.
        nodes: Vec<NodeName>,
        /// The signal.
        signal: u16,
        /// Slurm's `KILL_*` flags.
        flags: u16,
        /// To be confirmed with `Command::SignalDelivered`.
        sequence: u32,
    },
    /// Tell the client of an allocation; confirmed with `Command::NewsTold`.
    Tell {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// What.
        news: News,
    },
    /// Send a signal to a step.
    SignalStep {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: u32,
        /// Nodes that may still have something of it.
        nodes: Vec<NodeName>,
        /// The signal.
        signal: u16,
        /// Slurm's `KILL_*` flags.
        flags: u16,
        /// To be confirmed with `Command::StepSignalDelivered`.
        sequence: u32,
    },
    /// Stop everything of an attempt on a node, or let it go on.
    Suspend {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// One of its nodes.
        node: NodeName,
        /// Let it go on.
        resume: bool,
        /// To be confirmed with `Command::SuspensionTold`; nodes obey the highest of an attempt.
        sequence: u32,
    },
}
