//! Which jobs a request is about: a job, an array, or some of an array's tasks.
//!
//! Users write `7`, `7_3`, `7_[1-3,5]` or `7_*` (scontrol(1), scancel(1)).

use flurm_base::{JobId, Time};
use flurm_model::{Actor, Cluster, Command, Errno, Job, Reply, TaskAct, TaskOutcome, TaskSet};
use flurm_wire::messages::{JobArrayError, JobArrayErrors, ReturnCode};
use flurm_wire::{Errno as WireErrno, Message};

use crate::Then;
use crate::refused::Refused;

/// The jobs that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    job: JobId,
    tasks: Option<TaskSet>,
}

/// The same, looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A job, or one task by its own number.
    Job(JobId),
    /// An array, or some of its tasks.
    Tasks(JobId, Option<TaskSet>),
}

impl Target {
    /// A job by its number.
    pub(crate) fn number(job: u32) -> Self {
        Self { job: JobId(job), tasks: None }
    }

    /// Reads a text; tasks are numbered below `size_max`.
    pub(crate) fn parse(text: &str, size_max: u32) -> Result<Self, Refused> {
        let text = text.trim();
        let invalid = || Refused::from(Errno::InvalidJobId);
        if text.contains('+') {
            let text = format!("{text}: there are no heterogeneous jobs");
            return Err(Refused::because(Errno::InvalidJobId.number(), text));
        }
        let (job, tasks) = match text.split_once('_') {
            None => (text, None),
            Some((job, "*")) => (job, None),
            Some((job, tasks)) => {
                let tasks = TaskSet::parse(tasks, size_max)
                    .map_err(|why| Refused::because(Errno::InvalidJobId.number(), why))?;
                (job, Some(tasks))
            }
        };
        let job = job.parse::<u32>().ok().filter(|job| *job != 0).ok_or_else(invalid)?;
        Ok(Self { job: JobId(job), tasks })
    }

    /// Looks it up. Returns one of the jobs too: all of an array belong to the same user.
    pub(crate) fn find<'a>(&self, cluster: &'a Cluster) -> Result<(Found, &'a Job), Refused> {
        let invalid = || Refused::from(Errno::InvalidJobId);
        let Some(array) = cluster.array(self.job) else {
            let job = cluster.job(self.job).filter(|_| self.tasks.is_none());
            return Ok((Found::Job(self.job), job.ok_or_else(invalid)?));
        };
        let first = array.records.first().and_then(|id| cluster.job(*id)).ok_or_else(invalid)?;
        Ok((Found::Tasks(self.job, self.tasks.clone()), first))
    }
}

impl Found {
    /// The command that does it, and how its reply is told.
    pub(crate) fn command(self, at: Time, by: Actor, act: TaskAct) -> (Command, Then) {
        match (self, act) {
            (Self::Tasks(array, tasks), act) => {
                let then = match act {
                    TaskAct::Kill { .. } if tasks.is_none() => Then::ArrayKilled,
                    TaskAct::Kill { .. } => Then::TasksKilled,
                    TaskAct::Update(_) | TaskAct::Requeue(_) | TaskAct::Suspend { .. } => {
                        Then::Tasks
                    }
                };
                (Command::OfTasks { at, by, array, tasks, act }, then)
            }
            (Self::Job(job), TaskAct::Update(changes)) => {
                (Command::Update { at, job, by, changes }, Then::Code)
            }
            (Self::Job(job), TaskAct::Requeue(flags)) => {
                (Command::Requeue { at, job, by, flags }, Then::Code)
            }
            (Self::Job(job), TaskAct::Kill { signal, flags }) => {
                (Command::Kill { at, job, by, signal, flags }, Then::Code)
            }
            (Self::Job(job), TaskAct::Suspend { resume }) => {
                (Command::Suspend { at, job, by, resume }, Then::Code)
            }
        }
    }
}

/// The answer about tasks of an array, as `then` asks; `None` for another kind of reply.
pub(crate) fn told(then: &Then, reply: &Reply) -> Option<Message> {
    let Reply::Tasks { array, outcomes } = reply else { return None };
    let number = |outcome: &TaskOutcome| {
        outcome
            .refusal
            .as_ref()
            .map_or(WireErrno::SLURM_SUCCESS.0, |refusal| refusal.errno.number())
    };
    let done = WireErrno::ESLURM_ALREADY_DONE.0;
    let numbers = outcomes.iter().map(number);
    let return_code = match then {
        Then::ArrayKilled if numbers.clone().all(|number| number == done) => done,
        Then::ArrayKilled => numbers.filter(|number| *number != done).max().unwrap_or(0),
        Then::TasksKilled => numbers.max().unwrap_or(0),
        _ => {
            let outcomes = gathered(*array, outcomes);
            return Some(Message::ResponseJobArrayErrors(JobArrayErrors { outcomes }));
        }
    };
    Some(Message::ResponseSlurmRc(ReturnCode { return_code }))
}

/// One entry for each result, with the tasks that had it.
fn gathered(array: JobId, outcomes: &[TaskOutcome]) -> Vec<JobArrayError> {
    let mut kinds: Vec<(u32, String, Vec<u32>)> = Vec::new();
    for outcome in outcomes {
        let (errno, text) = match &outcome.refusal {
            None => (0, String::new()),
            Some(refusal) => (refusal.errno.number(), refusal.text.clone()),
        };
        let tasks = outcome.tasks.iter();
        match kinds
            .iter_mut()
            .find(|(known, words, _)| (*known, words.as_str()) == (errno, text.as_str()))
        {
            Some((_, _, list)) => list.extend(tasks),
            None => kinds.push((errno, text, tasks.collect())),
        }
    }
    kinds.iter_mut().for_each(|(_, _, tasks)| tasks.sort_unstable());
    kinds.sort_by_key(|(_, _, tasks)| tasks.first().copied());
    let entry = |(error_code, text, tasks): (u32, String, Vec<u32>)| {
        let tasks: TaskSet = tasks.into_iter().collect();
        let err_msg = (!text.is_empty()).then_some(text);
        JobArrayError { error_code, job_array_id: Some(format!("{array}_{tasks}")), err_msg }
    };
    kinds.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Option<(u32, String)> {
        let target = Target::parse(text, 1001).ok()?;
        Some((target.job.0, target.tasks.map_or("all".to_owned(), |tasks| tasks.to_string())))
    }

    #[test]
    fn jobs_arrays_and_tasks_are_told_apart() {
        let all = |job| Some((job, "all".to_owned()));
        assert_eq!(named("7"), all(7));
        assert_eq!(named(" 7_* "), all(7));
        assert_eq!(named("7_3"), Some((7, "3".to_owned())));
        assert_eq!(named("7_[1-3,9]"), Some((7, "1-3,9".to_owned())));
        for bad in ["", "0", "x", "7_", "7_x", "7_[2", "7+1", "-7", "7_1001", "4294967296"] {
            assert_eq!(named(bad).is_some(), bad == "7_[2", "{bad}");
        }
    }

    #[test]
    fn outcomes_are_gathered_by_their_error() {
        let outcome = |text: &str, refusal: Option<Errno>| TaskOutcome {
            tasks: TaskSet::parse(text, 99).unwrap(),
            refusal: refusal.map(Into::into),
        };
        let gone = Some(Errno::InvalidJobId);
        let outcomes = [outcome("4-5", None), outcome("9", gone), outcome("1", None)];
        let told = gathered(JobId(7), &outcomes);
        let text: Vec<_> =
            told.iter().map(|one| (one.error_code, one.job_array_id.clone())).collect();
        assert_eq!(text, [(0, Some("7_1,4-5".to_owned())), (2017, Some("7_9".to_owned()))]);
    }
}
