//! Job arrays: many jobs that differ in their task number only.
//!
//! One record stands for all tasks that nobody has told apart yet; it has the array's number. A
//! task gets a record of its own when it starts or is changed alone, with the next free number; the
//! last one left keeps the array's (slurmctld's `job_array_split`). So an array costs memory and
//! log for the tasks that were started, not for those that wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flurm_base::{JobId, Time};
use serde::{Deserialize, Serialize};

use crate::apply::Events;
use crate::{Cluster, Errno, Event, Job, JobBase, JobSpec, Refusal, Start, StartRefusal, TaskSet};

/// `--array` as submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayRequest {
    /// The tasks. Never empty in a submitted job.
    pub tasks: TaskSet,
    /// `%N`: how many may run at once.
    pub running_max: Option<u32>,
    /// The first step of the text, as `SLURM_ARRAY_TASK_STEP` tells it.
    pub step: u32,
}

/// A job's place in its array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobArray {
    /// The array's number: that of the submission.
    pub job: JobId,
    /// The task this record is; `None` for the record that stands for many.
    pub task: Option<u32>,
    /// The tasks that the record stands for; empty when it is one task.
    pub undivided: TaskSet,
    /// How many tasks may run at once.
    pub running_max: Option<u32>,
}

impl JobArray {
    pub(crate) fn new(job: JobId, request: &ArrayRequest) -> Self {
        let running_max = request.running_max.filter(|most| *most > 0);
        Self { job, task: None, undivided: request.tasks.clone(), running_max }
    }
}

impl Job {
    /// How many array tasks this record stands for; 0 for a job or a task of its own.
    pub fn tasks_waiting(&self) -> u32 {
        self.array.as_ref().map_or(0, |array| array.undivided.count())
    }

    /// The job as users name it: `7`, `7_3`, or `7_[4-9]`.
    pub fn name_in_words(&self) -> String {
        match &self.array {
            None => self.id.to_string(),
            Some(JobArray { job, task: Some(task), .. }) => format!("{job}_{task}"),
            Some(JobArray { job, undivided, .. }) => format!("{job}_[{undivided}]"),
        }
    }
}

/// The records of an array, found without a walk over all jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayUse {
    /// All of them.
    pub records: BTreeSet<JobId>,
    /// Those of one task.
    pub tasks: BTreeMap<u32, JobId>,
    /// How many run or are suspended.
    pub running: u32,
}

/// Keeps the index of arrays in step with a job.
pub(crate) fn count(arrays: &mut BTreeMap<JobId, ArrayUse>, job: &Job, add: bool) {
    let Some(place) = &job.array else { return };
    let array = arrays.entry(place.job).or_default();
    let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
    if add {
        array.records.insert(job.id);
        array.tasks.extend(place.task.map(|task| (task, job.id)));
        array.running += u32::from(runs);
        return;
    }
    array.records.remove(&job.id);
    if let Some(task) = place.task {
        array.tasks.remove(&task);
    }
    array.running -= u32::from(runs);
    if array.records.is_empty() {
        arrays.remove(&place.job);
    }
}

impl Cluster {
    /// Refuses an array that the site does not take.
    pub(crate) fn check_array(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let Some(array) = &spec.array else { return Ok(()) };
        let size_max = self.settings.array_size_max();
        let refuse = |text: String| Err(Refusal::new(Errno::InvalidArray, text));
        match array.tasks.last() {
            None => refuse(String::from("the array has no task")),
            _ if spec.batch.is_none() => refuse(String::from("only batch jobs can be arrays")),
            Some(last) if last >= size_max => {
                refuse(format!("task {last} is not below MaxArraySize, which is {size_max}"))
            }
            Some(_) => match self.settings.array_tasks_max {
                Some(most) if array.tasks.count() > most => {
                    refuse(format!("an array has {most} tasks at most"))
                }
                Some(_) | None => Ok(()),
            },
        }
    }

    /// Whether as many tasks of the job's array run as may at once.
    pub(crate) fn array_is_full(&self, job: &Job) -> bool {
        if flurm_base::planted::is("model_forgets_array_limits") {
            return false;
        }
        let Some(place) = &job.array else { return false };
        let running = self.index.arrays.get(&place.job).map_or(0, |array| array.running);
        place.running_max.is_some_and(|most| running >= most)
    }

    /// How many tasks the planner may start from a record: 1 for a job that is no array.
    pub fn startable_tasks(&self, job: &Job) -> u32 {
        let Some(place) = &job.array else { return 1 };
        let waiting = job.tasks_waiting().max(1);
        let running = self.index.arrays.get(&place.job).map_or(0, |array| array.running);
        let forgets = flurm_base::planted::is("model_forgets_array_limits");
        let most = place.running_max.filter(|_| !forgets);
        let room = most.map_or(u32::MAX, |most| most.saturating_sub(running));
        waiting.min(room)
    }

    /// The start of an undivided record becomes that of its first task.
    pub(crate) fn take_task(
        &mut self,
        at: Time,
        start: &Start,
        events: &mut Events,
    ) -> Result<Start, StartRefusal> {
        let array = self.jobs[&start.job].array.as_ref();
        let Some(task) = array.and_then(|array| array.undivided.first()) else {
            return Ok(start.clone());
        };
        let job = self.split_task(at, start.job, task, events);
        let job = job.map_err(|_| StartRefusal::NotPending)?;
        let attempt = self.jobs[&job].attempt;
        Ok(Start { job, attempt, ..start.clone() })
    }

    /// Gives a task a record of its own: the last one left takes over the undivided record, every
    /// other one gets the next free number. The task must be among the record's.
    pub(crate) fn split_task(
        &mut self,
        at: Time,
        id: JobId,
        task: u32,
        events: &mut Events,
    ) -> Result<JobId, Refusal> {
        let last = self.jobs[&id].tasks_waiting() == 1;
        let new = if last { id } else { self.next_job_id()? };
        let attempt = if last { self.jobs[&id].attempt } else { self.next_attempt(at) };
        let forgets = flurm_base::planted::is("model_starts_array_tasks_twice");
        self.change_job(at, id, |job, _| {
            let array = job.array.as_mut().expect("only arrays are divided");
            if !forgets || last || at.0 % 3 != 0 {
                let was_there = array.undivided.remove(task);
                assert!(was_there, "a task is divided from the record that stands for it");
            }
            array.task = last.then_some(task);
        });
        events.push(Event::JobChanged(id));
        if last {
            return Ok(id);
        }
        let mut own = self.jobs[&id].clone();
        own.id = new;
        own.attempt = attempt;
        own.spec = Arc::clone(&own.spec);
        let array = own.array.as_mut().expect("it was copied from an array");
        array.undivided = TaskSet::default();
        array.task = Some(task);
        self.add_job(at, own);
        events.push(Event::JobChanged(new));
        Ok(new)
    }
}
