//! What people do to tasks of an array, one by one or all at once.
//!
//! Where all undivided tasks are meant, their record is changed as it is; where some of them are,
//! these are divided from it first (slurmctld's `update_job_str`). Undivided tasks that are
//! cancelled leave no record (`job_str_signal`).

use flurm_base::{JobId, Time};

use crate::apply::{Events, Outcome};
use crate::signals::SIGKILL;
use crate::{
    Actor, Cluster, Errno, Event, Job, JobBase, Refusal, Reply, TaskAct, TaskOutcome, TaskSet,
};

impl Cluster {
    pub(crate) fn of_tasks(
        &mut self,
        at: Time,
        by: Actor,
        array: JobId,
        tasks: Option<&TaskSet>,
        act: &TaskAct,
        events: &mut Events,
    ) -> Outcome {
        let known = self.index.arrays.get(&array);
        let records = known.ok_or_else(|| Refusal::from(Errno::InvalidJobId))?.records.clone();
        let mut outcomes = Vec::new();
        let Some(tasks) = tasks else {
            for id in records {
                let names = names_of(&self.jobs[&id]);
                let outcome = self.act_on(at, by, id, act, events);
                outcomes.push(TaskOutcome { tasks: names, refusal: outcome.err() });
            }
            return Ok(Reply::Tasks { array, outcomes });
        };
        let undivided = records.iter().copied().find(|id| self.is_undivided(*id));
        let mut left = tasks.clone();
        if let Some(id) = undivided {
            let done = self.act_on_undivided(at, by, id, tasks, act, events);
            for task in done.iter().flat_map(|outcome| outcome.tasks.iter()) {
                left.remove(task);
            }
            outcomes.extend(done);
        }
        for task in left.iter() {
            let own = self.index.arrays.get(&array).and_then(|known| known.tasks.get(&task));
            let refusal = match own.copied() {
                Some(id) => self.act_on(at, by, id, act, events).err(),
                None => Some(Refusal::from(Errno::InvalidJobId)),
            };
            outcomes.push(TaskOutcome { tasks: [task].into_iter().collect(), refusal });
        }
        Ok(Reply::Tasks { array, outcomes })
    }

    fn is_undivided(&self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        job.base == JobBase::Pending && job.tasks_waiting() > 0
    }

    /// The part of an act that is about tasks without a record of their own.
    fn act_on_undivided(
        &mut self,
        at: Time,
        by: Actor,
        id: JobId,
        tasks: &TaskSet,
        act: &TaskAct,
        events: &mut Events,
    ) -> Vec<TaskOutcome> {
        let all = names_of(&self.jobs[&id]);
        let meant = all.common(tasks);
        if meant.is_empty() {
            return Vec::new();
        }
        if meant.count() == all.count() {
            let refusal = self.act_on(at, by, id, act, events).err();
            return vec![TaskOutcome { tasks: meant, refusal }];
        }
        if let TaskAct::Kill { signal, .. } = act {
            let refusal = match *signal == SIGKILL {
                true => self.drop_undivided(at, id, &meant, events),
                false => Some(Refusal::from(Errno::TransitionStateNoUpdate)),
            };
            return vec![TaskOutcome { tasks: meant, refusal }];
        }
        if let TaskAct::Suspend { .. } = act {
            let refusal = Some(Refusal::from(Errno::JobPending));
            return vec![TaskOutcome { tasks: meant, refusal }];
        }
        let mut outcomes = Vec::new();
        for task in meant.iter() {
            let split = self.split_task(at, id, task, events);
            let done = split.and_then(|own| self.act_on(at, by, own, act, events));
            let tasks = [task].into_iter().collect();
            outcomes.push(TaskOutcome { tasks, refusal: done.err() });
        }
        outcomes
    }

    /// Some waiting tasks are cancelled: others are left.
    fn drop_undivided(
        &mut self,
        at: Time,
        id: JobId,
        tasks: &TaskSet,
        events: &mut Events,
    ) -> Option<Refusal> {
        self.change_job(at, id, |job, _| {
            let array = job.array.as_mut().expect("undivided tasks are an array's");
            for task in tasks.iter() {
                array.undivided.remove(task);
            }
            assert!(!array.undivided.is_empty(), "the caller left some");
        });
        events.push(Event::JobChanged(id));
        self.settle_dependents(at, id, events);
        None
    }

    fn act_on(
        &mut self,
        at: Time,
        by: Actor,
        id: JobId,
        act: &TaskAct,
        events: &mut Events,
    ) -> Outcome {
        match act {
            TaskAct::Update(changes) => self.update_job(at, id, by, changes, events),
            TaskAct::Requeue(flags) => self.requeue_by_hand(at, id, *flags, events),
            TaskAct::Kill { signal, flags } => self.kill(at, id, by, *signal, *flags, events),
            TaskAct::Suspend { resume } => self.suspend(at, id, *resume, events),
        }
    }
}

/// The tasks that a record stands for.
fn names_of(job: &Job) -> TaskSet {
    match &job.array {
        None => TaskSet::default(),
        Some(array) => match array.task {
            Some(task) => [task].into_iter().collect(),
            None => array.undivided.clone(),
        },
    }
}
