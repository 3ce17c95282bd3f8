//! A job: its state, its current attempt, and what it holds.

use std::sync::Arc;

use flurm_base::{AttemptId, JobId, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{Dependencies, JobArray, JobSpec, Limit, NodeName, PartitionName, Reason, Suspension};

/// A job's base state. Slurm's numbers in `number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobBase {
    /// Waits to start.
    Pending,
    /// Has resources and runs.
    Running,
    /// Has resources and is stopped.
    Suspended,
    /// Ended with status zero.
    Completed,
    /// Ended by its user or an administrator.
    Cancelled,
    /// Ended with another status.
    Failed,
    /// Ended at its time limit.
    Timeout,
    /// Ended because a node failed.
    NodeFail,
    /// Ended to make room.
    Preempted,
    /// Ended because a node did not boot.
    BootFail,
    /// Ended because its deadline passed.
    Deadline,
    /// Ended for lack of memory.
    OutOfMemory,
}

impl JobBase {
    /// Slurm's number.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether nothing follows this state (but a requeue by hand).
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Suspended => false,
            Self::Completed | Self::Cancelled | Self::Failed | Self::Timeout => true,
            Self::NodeFail | Self::Preempted | Self::BootFail => true,
            Self::Deadline | Self::OutOfMemory => true,
        }
    }
}

/// Slurm's job state flags, at Slurm's bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFlags(pub u32);

impl JobFlags {
    /// The launch failed.
    pub const LAUNCH_FAILED: u32 = 1 << 8;
    /// To be queued again when its nodes are free.
    pub const REQUEUE: u32 = 1 << 10;
    /// To be queued again and held.
    pub const REQUEUE_HOLD: u32 = 1 << 11;
    /// Queued again in special exit state.
    pub const SPECIAL_EXIT: u32 = 1 << 12;
    /// Nodes are being made ready.
    pub const CONFIGURING: u32 = 1 << 14;
    /// Nodes are still cleaning up.
    pub const COMPLETING: u32 = 1 << 15;
    /// Stopped by a signal.
    pub const STOPPED: u32 = 1 << 16;
    /// A signal is on its way.
    pub const SIGNALING: u32 = 1 << 22;

    /// Whether all bits of `flag` are set.
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag == flag
    }

    pub(crate) fn set(&mut self, flag: u32, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }
}

/// Where a job's part of a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareState {
    /// The job may run there.
    Held,
    /// The node is asked to end whatever runs there, since this time.
    Ending {
        /// When that began.
        since: Time,
    },
    /// The node has confirmed that nothing is left, or an operator answered for it.
    Freed,
}

/// A job's part of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The node.
    pub node: NodeName,
    /// CPUs taken, after rounding to whole cores or nodes.
    pub cpus: u32,
    /// Memory taken in MB.
    pub memory_mb: u64,
    /// Tasks placed there.
    pub tasks: u32,
    /// Whether other jobs are kept off the node.
    pub whole_node: bool,
    /// Where it stands.
    pub state: ShareState,
    /// Whether jobs of other users are kept off the node.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub user_only: bool,
    /// Generic resources.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub gres: Vec<crate::GresHeld>,
}

impl Share {
    /// Whether the share still takes resources.
    pub fn is_open(&self) -> bool {
        self.state != ShareState::Freed
    }
}

/// What an attempt was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// One share for each node, in the nodes' order; the first is the batch host. Never empty.
    pub shares: Vec<Share>,
}

impl Allocation {
    /// The node that runs the batch script.
    pub fn batch_host(&self) -> &NodeName {
        &self.shares.first().expect("an allocation is never empty").node
    }

    /// The share on `node`.
    pub fn share(&self, node: &str) -> Option<&Share> {
        self.shares.iter().find(|share| share.node.as_str() == node)
    }

    /// CPUs over all nodes.
    pub fn cpus(&self) -> u32 {
        self.shares.iter().fold(0, |sum, share| sum.saturating_add(share.cpus))
    }

    /// Whether any share still takes resources.
    pub fn is_open(&self) -> bool {
        self.shares.iter().any(Share::is_open)
    }
}

/// Whether the batch step has been started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Launch {
    /// Nothing to launch: not running, or an allocation without script.
    None,
    /// The batch host must be asked, again and again, since this time.
    Needed {
        /// When the attempt started.
        since: Time,
    },
    /// The batch host has it.
    Confirmed {
        /// When that was learned.
        at: Time,
    },
}

/// Who holds a job back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// Nobody.
    None,
    /// Its user: the user may release it.
    User,
    /// An administrator: only an operator may release it.
    Admin,
}

/// A signal that nodes are still to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRequest {
    /// Counts up within the job.
    pub sequence: u32,
    /// The signal.
    pub signal: u16,
    /// Slurm's `KILL_*` flags.
    pub flags: u16,
    /// When it was asked for.
    pub at: Time,
}

/// Why an attempt is being ended on its nodes: decides which message the node is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndCause {
    /// Its batch script ended by itself.
    Finished,
    /// Somebody cancelled or requeued it, or its launch or a node failed.
    Killed,
    /// It reached its time limit.
    TimeLimit,
}

/// A job and everything the cluster knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The attempt to run it that is current; a requeue makes a new one.
    pub attempt: AttemptId,
    /// What was asked for, updates included.
    pub spec: Arc<JobSpec>,
    /// Base state.
    pub base: JobBase,
    /// State flags.
    pub flags: JobFlags,
    /// Why it waits or how it ended.
    pub reason: Reason,
    /// Text beside the reason; empty where there is none.
    pub reason_text: String,
    /// Scheduling priority; 0 while held.
    pub priority: u32,
    /// An operator set the priority to a number: nothing else changes it.
    pub priority_fixed: bool,
    /// Who holds it.
    pub hold: Hold,
    /// Partition it runs or ran in; while it waits, the first of those asked for.
    pub partition: PartitionName,
    /// All partitions it may start in. Never empty.
    pub partitions: Vec<PartitionName>,
    /// Minutes it may run; settled at submission.
    pub time_limit: Limit,
    /// An operator set the time limit: partitions' limits do not bound it.
    pub time_limit_fixed: bool,
    /// When it was submitted.
    pub submit: Time,
    /// When it could first be considered; `None` while its begin time or a hold keeps it back.
    pub eligible: Option<Time>,
    /// When its age began to count.
    pub accrue: Option<Time>,
    /// When the current attempt started.
    pub start: Option<Time>,
    /// When the current attempt ended.
    pub end: Option<Time>,
    /// When it was last suspended or resumed.
    pub suspend: Option<Time>,
    /// When it was told to make room.
    pub preempt: Option<Time>,
    /// When the planner last looked at it.
    pub last_sched: Option<Time>,
    /// What the current attempt was given; kept after the end to be shown.
    pub allocation: Option<Allocation>,
    /// Whether the batch step has been started.
    pub launch: Launch,
    /// Why the attempt is being ended, once it is.
    pub end_cause: Option<EndCause>,
    /// Status of the batch script, as `wait` gives it.
    pub exit_status: u32,
    /// Highest status of its steps, as `wait` gives it.
    pub derived_exit_status: u32,
    /// Times it was requeued.
    pub restarts: u16,
    /// Launch failures in a row; too many of them hold the job.
    pub launch_failures: u16,
    /// Who ended it by hand.
    pub ended_by: Option<u32>,
    /// The signal that announces the end (`--signal`) was sent to the current attempt.
    pub warned: bool,
    /// Node whose failure ended or requeued it.
    pub failed_node: Option<NodeName>,
    /// Signals its nodes are still to be told of.
    pub signals: Vec<SignalRequest>,
    /// Next signal's number.
    pub signal_next: u32,
    /// The array it belongs to.
    #[serde(deserialize_with = "crate::codec::since::<2, _, _>")]
    pub array: Option<JobArray>,
    /// What it still waits for of other jobs.
    #[serde(deserialize_with = "crate::codec::since::<3, _, _>")]
    pub depends: Option<Dependencies>,
    /// That the current attempt was suspended.
    #[serde(deserialize_with = "crate::codec::since::<6, _, _>")]
    pub suspension: Option<Suspension>,
    /// Licences that the current attempt was given; kept after the end to be shown.
    #[serde(deserialize_with = "crate::codec::since::<8, _, _>")]
    pub licenses: Vec<(String, u32)>,
}

impl Job {
    /// Slurm's state: base and flags in one number.
    pub fn state_number(&self) -> u32 {
        self.base.number() | self.flags.0
    }

    /// Whether it waits and could start: no earlier attempt is being cleaned up.
    pub fn is_startable(&self) -> bool {
        let cleaned = !self.flags.has(JobFlags::COMPLETING)
            || flurm_base::planted::is("model_starts_before_clean_up");
        self.base == JobBase::Pending && cleaned
    }

    /// Whether it has ended for good and nothing of it is left on any node.
    pub fn is_finished(&self) -> bool {
        self.base.is_terminal() && !self.flags.has(JobFlags::COMPLETING)
    }

    /// When the time limit ends the current attempt; `None` when unlimited or not running.
    pub fn time_limit_end(&self) -> Option<Time> {
        let limit = |minutes: u32| Span::secs(u64::from(minutes) * 60);
        let counts_all = flurm_base::planted::is("model_counts_the_time_of_suspended_jobs");
        match (self.base, self.start, self.time_limit) {
            (JobBase::Running | JobBase::Suspended, Some(start), Limit::Max(minutes))
                if counts_all =>
            {
                Some(start + limit(minutes))
            }
            (JobBase::Running, Some(start), Limit::Max(minutes)) => {
                Some(self.counts_from(start) + limit(minutes))
            }
            (_, _, Limit::Max(_) | Limit::Unlimited) => None,
        }
    }

    /// When the signal that announces the end is due; `None` when none is, or it was sent.
    pub fn warning_due(&self) -> Option<Time> {
        let warning = self.spec.warning.filter(|warning| warning.signal > 0 && !self.warned)?;
        let end = self.time_limit_end()?;
        Some(end - Span::secs(u64::from(warning.before_s)))
    }

    /// When its deadline ends it: while it waits, once it could not end in time any more.
    pub fn deadline_due(&self) -> Option<Time> {
        let deadline = self.spec.deadline?;
        match self.base {
            JobBase::Pending => {
                let shortest = self.spec.time_min.map_or(self.time_limit, Limit::Max);
                let minutes = match shortest {
                    Limit::Max(minutes) => u64::from(minutes),
                    Limit::Unlimited => 0,
                };
                Some(deadline - Span::secs(minutes * 60) + Span(1))
            }
            JobBase::Running | JobBase::Suspended => Some(deadline),
            _ => None,
        }
    }

    /// Whether it runs a batch script.
    pub fn is_batch(&self) -> bool {
        self.spec.batch.is_some()
    }
}
