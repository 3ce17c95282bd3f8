//! Histories of jobs: what was committed about each, and what its script's processes did, in the order
//! in which it happened. Given to a model checker, which judges them by `tla/Step/History.tla`.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId};
use flurm_model::NodeName;
use flurm_tla::{AttemptNumbers, JobHistory, LogHistory, RaftHistory, Seen};

use crate::steps::Kept;
use crate::world::history::{Effect, History, JobProcess};

/// What was seen of a run.
#[derive(Debug, Default)]
pub struct Histories {
    /// Of each job.
    pub jobs: BTreeMap<JobId, JobHistory>,
    /// Of the log.
    pub log: LogHistory,
    /// Of the members' votes and logs, where openraft keeps them.
    pub raft: RaftHistory,
}

/// The histories of a run.
pub(crate) fn histories(history: &History, kept: Kept) -> Histories {
    let mut told: BTreeMap<JobId, JobHistory> = BTreeMap::new();
    let mut steps = kept.steps.into_iter().peekable();
    for (nth, (_, effect)) in history.effects().iter().enumerate() {
        while let Some((_, job, step)) = steps.next_if(|(effects, ..)| *effects <= nth) {
            told.entry(job).or_default().0.push(Seen::Command(step));
        }
        let (process, begins) = match effect {
            Effect::Started(process) => (process, true),
            Effect::Gone(process, _) => (process, false),
            _ => continue,
        };
        let Some((job, attempt)) = script_of(process, &kept.attempts) else { continue };
        let node = NodeName::from(history.machine_name(process.machine));
        let seen = if begins { Seen::Begins(attempt, node) } else { Seen::Ends(attempt, node) };
        told.entry(job).or_default().0.push(seen);
    }
    for (_, job, step) in steps {
        told.entry(job).or_default().0.push(Seen::Command(step));
    }
    Histories { jobs: told, log: LogHistory(kept.log), raft: RaftHistory(kept.raft) }
}

/// The job and the attempt's number, of a process that is a job's script.
fn script_of(process: &JobProcess, attempts: &AttemptNumbers) -> Option<(JobId, i64)> {
    if process.left_behind || process.task.is_some() {
        return None;
    }
    let job = JobId(process.job?);
    // The folder of an attempt is named after the job and, in hexadecimal digits, the attempt.
    let (_, digits) = process.attempt.as_deref()?.rsplit_once('.')?;
    let attempt = AttemptId(u64::from_str_radix(digits, 16).ok()?);
    Some((job, attempts.number(job, attempt)))
}
