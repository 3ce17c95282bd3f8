//! A job of the product as the specifications see it (`Job.tla`).

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId};
use flurm_model::{Hold, Job, JobBase, Launch, ShareState};
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

/// The specifications' record of a job; `None` for one that does not exist (`Absent`).
pub fn view_of_job(job: Option<&Job>, attempts: &AttemptNumbers) -> Value {
    let field = |name: &str, value: Value| (String::from(name), value);
    let text = |text: &str| Value::string(text);
    let Some(job) = job else {
        return Value::record([
            field("base", text("none")),
            field("att", Value::Int(0)),
            field("launch", text("none")),
            field("host", text("none")),
            field("shares", Value::function(BTreeMap::new())),
            field("held", Value::Bool(false)),
            field("requeue", Value::Bool(false)),
            field("kill", Value::Bool(true)),
            field("batch", Value::Bool(true)),
        ]);
    };
    let launch = match job.launch {
        Launch::None => "none",
        Launch::Needed { .. } => "needed",
        Launch::Confirmed { .. } => "confirmed",
    };
    let host = job.allocation.as_ref().map_or("none", |all| all.batch_host().as_str());
    let shares = job.allocation.iter().flat_map(|all| &all.shares);
    let share = |share: &flurm_model::Share| {
        let state = match share.state {
            ShareState::Held => "held",
            ShareState::Ending { .. } => "ending",
            ShareState::Freed => "freed",
        };
        (Value::string(share.node.as_str()), Value::string(state))
    };
    Value::record([
        field("base", text(base_of(job.base))),
        field("att", Value::Int(attempts.number(job.id, job.attempt))),
        field("launch", text(launch)),
        field("host", text(host)),
        field("shares", Value::function(shares.map(share).collect())),
        field("held", Value::Bool(job.hold != Hold::None)),
        field("requeue", Value::Bool(job.spec.requeue == Some(true))),
        field("kill", Value::Bool(job.spec.kill_on_node_fail)),
        field("batch", Value::Bool(job.is_batch())),
    ])
}
