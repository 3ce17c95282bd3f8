//! A job of the product as the specifications see it (`Job.tla`).

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId};
use flurm_model::{Hold, Job, JobBase, Launch, NodeName, ShareState};
use tla_eval::Value;

/// Attempts by the order in which a job got them: the specifications count from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptNumbers(BTreeMap<JobId, Vec<AttemptId>>);

impl AttemptNumbers {
    /// Learns a job's current attempt.
    pub fn learn(&mut self, job: &Job) {
        let known = self.0.entry(job.id).or_default();
        if known.last() != Some(&job.attempt) {
            known.push(job.attempt);
        }
    }

    /// The number of an attempt; 0 when the job never had it.
    pub fn number(&self, job: JobId, attempt: AttemptId) -> i64 {
        let known = self.0.get(&job).into_iter().flatten();
        let place = known.enumerate().find(|(_, id)| **id == attempt);
        place.map_or(0, |(index, _)| i64::try_from(index + 1).unwrap_or(i64::MAX))
    }

    /// The attempt of a number.
    pub fn attempt(&self, job: JobId, number: i64) -> Option<AttemptId> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.0.get(&job)?.get(index).copied()
    }
}

const fn base_of(base: JobBase) -> &'static str {
    match base {
        JobBase::Pending => "pending",
        JobBase::Running => "running",
        JobBase::Suspended => "suspended",
        JobBase::Completed => "completed",
        JobBase::Cancelled => "cancelled",
        JobBase::Failed => "failed",
        JobBase::Timeout => "timeout",
        JobBase::NodeFail => "nodefail",
        JobBase::Preempted => "preempted",
        JobBase::BootFail => "bootfail",
        JobBase::Deadline => "deadline",
        JobBase::OutOfMemory => "oom",
    }
}

/// What is left of an attempt on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SharePhase {
    Held,
    Ending,
    Freed,
}

/// Whether the batch step has been started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaunchPhase {
    None,
    Needed,
    Confirmed,
}

/// What the specifications see of a job, but for the number of its attempt. Nodes are of any kind:
/// names, or numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobView<N = NodeName> {
    base: JobBase,
    launch: LaunchPhase,
    /// The first one's node runs the batch script.
    shares: Vec<(N, SharePhase)>,
    held: bool,
    requeue: bool,
    kill: bool,
    batch: bool,
}

const fn phase_of(state: ShareState) -> SharePhase {
    match state {
        ShareState::Held => SharePhase::Held,
        ShareState::Ending { .. } => SharePhase::Ending,
        ShareState::Freed => SharePhase::Freed,
    }
}

const fn launch_of(launch: Launch) -> LaunchPhase {
    match launch {
        Launch::None => LaunchPhase::None,
        Launch::Needed { .. } => LaunchPhase::Needed,
        Launch::Confirmed { .. } => LaunchPhase::Confirmed,
    }
}

impl JobView {
    /// Looks at a job.
    pub fn of(job: &Job) -> Self {
        let shares = job.allocation.iter().flat_map(|all| &all.shares);
        Self {
            base: job.base,
            launch: launch_of(job.launch),
            shares: shares.map(|share| (share.node.clone(), phase_of(share.state))).collect(),
            held: job.hold != Hold::None,
            requeue: job.spec.requeue == Some(true),
            kill: job.spec.kill_on_node_fail,
            batch: job.is_batch(),
        }
    }

    /// Whether a job still looks like this.
    pub fn is_of(&self, job: &Job) -> bool {
        let shares = job.allocation.as_ref().map_or(&[][..], |all| &all.shares);
        let same = |(share, (node, phase)): (&flurm_model::Share, &(NodeName, SharePhase))| {
            phase_of(share.state) == *phase && share.node == *node
        };
        self.base == job.base
            && self.launch == launch_of(job.launch)
            && self.held == (job.hold != Hold::None)
            && self.shares.len() == shares.len()
            && shares.iter().zip(&self.shares).all(same)
            && self.requeue == (job.spec.requeue == Some(true))
            && self.kill == job.spec.kill_on_node_fail
            && self.batch == job.is_batch()
    }
}

impl<N: Clone> JobView<N> {
    /// The nodes of its attempt.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.shares.iter().map(|(node, _)| node)
    }

    /// Whether it waits.
    pub fn is_pending(&self) -> bool {
        self.base == JobBase::Pending
    }

    /// The same with other names for the nodes.
    pub(crate) fn renamed<M>(&self, mut name: impl FnMut(&N) -> M) -> JobView<M> {
        let Self { base, launch, held, requeue, kill, batch, .. } = *self;
        let shares = self.shares.iter().map(|(node, phase)| (name(node), *phase)).collect();
        JobView { base, launch, shares, held, requeue, kill, batch }
    }
}

impl<N: AsRef<str>> JobView<N> {
    /// The specifications' record of it.
    pub(crate) fn value(&self, attempt: i64) -> Value {
        let launch = match self.launch {
            LaunchPhase::None => "none",
            LaunchPhase::Needed => "needed",
            LaunchPhase::Confirmed => "confirmed",
        };
        let host = self.shares.first().map_or("none", |(node, _)| node.as_ref());
        let share = |(node, phase): &(N, SharePhase)| {
            let state = match phase {
                SharePhase::Held => "held",
                SharePhase::Ending => "ending",
                SharePhase::Freed => "freed",
            };
            (Value::string(node.as_ref()), Value::string(state))
        };
        record([
            ("base", Value::string(base_of(self.base))),
            ("att", Value::Int(attempt)),
            ("launch", Value::string(launch)),
            ("host", Value::string(host)),
            ("shares", Value::function(self.shares.iter().map(share).collect())),
            ("held", Value::Bool(self.held)),
            ("requeue", Value::Bool(self.requeue)),
            ("kill", Value::Bool(self.kill)),
            ("batch", Value::Bool(self.batch)),
        ])
    }
}

/// `Absent`: the record of a job that does not exist.
pub(crate) fn absent() -> Value {
    record([
        ("base", Value::string("none")),
        ("att", Value::Int(0)),
        ("launch", Value::string("none")),
        ("host", Value::string("none")),
        ("shares", Value::function(BTreeMap::new())),
        ("held", Value::Bool(false)),
        ("requeue", Value::Bool(false)),
        ("kill", Value::Bool(true)),
        ("batch", Value::Bool(true)),
    ])
}

pub(crate) fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::record(fields.map(|(name, value)| (String::from(name), value)))
}

/// The specifications' record of a job; `None` for one that does not exist.
pub fn view_of_job(job: Option<&Job>, attempts: &AttemptNumbers) -> Value {
    job.map_or_else(absent, |job| JobView::of(job).value(attempts.number(job.id, job.attempt)))
}
