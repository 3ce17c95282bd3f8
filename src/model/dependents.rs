//! Jobs that wait for other jobs: judged when they are submitted or changed, and whenever one
//! that they name starts, ends or goes.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{JobId, Time};

use crate::apply::Events;
use crate::dependency::{Progress, judge};
use crate::{
    Cluster, Dependencies, Dependency, DependencyKind, DependencyState, DependencyTasks, Errno,
    Event, Hold, Job, JobBase, JobFlags, Reason, Refusal,
};

/// How deep circular dependencies are looked for (`max_depend_depth`).
const DEPTH_MAX: u32 = 10;

/// Jobs that wait, by what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dependents {
    by_job: BTreeMap<JobId, BTreeSet<JobId>>,
    by_name: BTreeMap<(u32, String), BTreeSet<JobId>>,
    pub(crate) due: BTreeSet<(Time, JobId)>,
}

impl Dependents {
    /// Keeps the index in step with a job.
    pub(crate) fn count(&mut self, job: &Job, add: bool) {
        let Some(depends) = &job.depends else { return };
        if job.base != JobBase::Pending {
            return;
        }
        for one in depends.list.iter().filter(|one| one.state == DependencyState::Waits) {
            if one.kind == DependencyKind::Singleton {
                let name = (job.spec.uid, job.spec.name.clone());
                put(&mut self.by_name, name, job.id, add);
            } else {
                put(&mut self.by_job, one.job, job.id, add);
            }
        }
        if let Some(due) = depends.due() {
            if add {
                self.due.insert((due, job.id));
            } else {
                self.due.remove(&(due, job.id));
            }
        }
    }

    fn of(&self, job: &Job) -> BTreeSet<JobId> {
        let array = job.array.as_ref().map(|array| array.job);
        let mut found: BTreeSet<JobId> =
            self.by_job.get(&job.id).into_iter().flatten().copied().collect();
        found.extend(array.and_then(|id| self.by_job.get(&id)).into_iter().flatten());
        if !self.by_name.is_empty() {
            let name = (job.spec.uid, job.spec.name.clone());
            found.extend(self.by_name.get(&name).into_iter().flatten());
        }
        found
    }
}

fn put<K: Ord>(map: &mut BTreeMap<K, BTreeSet<JobId>>, key: K, job: JobId, add: bool) {
    if add {
        map.entry(key).or_default().insert(job);
        return;
    }
    if let Some(jobs) = map.get_mut(&key) {
        jobs.remove(&job);
        if jobs.is_empty() {
            map.remove(&key);
        }
    }
}

impl Job {
    /// Why its dependencies keep it waiting at `now`.
    pub fn dependency_reason(&self, now: Time) -> Option<Reason> {
        self.depends.as_ref().and_then(|depends| depends.reason(now))
    }
}

impl Cluster {
    /// Reads the dependencies of a job that is submitted or changed; `id` is its own number once
    /// it has one.
    pub(crate) fn read_dependencies(
        &self,
        id: Option<JobId>,
        text: &str,
    ) -> Result<Option<Dependencies>, Refusal> {
        let parsed = Dependencies::parse(text, self.settings.array_size_max())?;
        let Some(mut depends) = parsed else { return Ok(None) };
        for one in &mut depends.list {
            // An array without tasks named is meant as a whole; a task's own number is that task.
            if one.tasks == DependencyTasks::None && self.index.arrays.contains_key(&one.job) {
                one.tasks = DependencyTasks::All;
            }
            if id.is_some_and(|id| self.is_of(id, one.job)) {
                return Err(Refusal::new(Errno::Dependency, "a job cannot wait for itself"));
            }
        }
        let circular = |one: &Dependency| id.is_some_and(|id| self.leads_to(one.job, id, 0));
        if depends.list.iter().any(circular) {
            return Err(Refusal::from(Errno::CircularDependency));
        }
        Ok(Some(depends))
    }

    /// Whether a number names the job or its array.
    fn is_of(&self, id: JobId, named: JobId) -> bool {
        let array = self.jobs.get(&id).and_then(|job| job.array.as_ref());
        id == named || array.is_some_and(|array| array.job == named)
    }

    fn leads_to(&self, from: JobId, to: JobId, depth: u32) -> bool {
        let depends = self.jobs.get(&from).and_then(|job| job.depends.as_ref());
        let Some(depends) = depends.filter(|_| depth < DEPTH_MAX) else { return false };
        let leads = |one: &Dependency| {
            one.job.0 != 0 && (self.is_of(to, one.job) || self.leads_to(one.job, to, depth + 1))
        };
        depends.list.iter().any(leads)
    }

    /// Judges the dependencies of a job anew; it may become startable, divided, or cancelled.
    pub(crate) fn judge_dependencies(&mut self, at: Time, id: JobId, events: &mut Events) {
        self.divide_corresponding(at, id, events);
        let job = &self.jobs[&id];
        let Some(depends) = job.depends.clone().filter(|_| job.base == JobBase::Pending) else {
            return;
        };
        let mut next = depends.clone();
        for one in next.list.iter_mut().filter(|one| one.state == DependencyState::Waits) {
            let (state, saw_failure) = self.state_of(job, one);
            (one.state, one.saw_failure) = (state, saw_failure);
        }
        if next == depends && job.reason != Reason::None {
            return;
        }
        let reason = next.reason(at);
        let kills = job.spec.kill_on_invalid_dependency;
        let kills = kills.unwrap_or(self.settings.kill_invalid_dependency);
        self.change_job(at, id, |job, _| {
            job.depends = reason.is_some().then_some(next);
            if job.hold == Hold::None && job.is_startable() {
                let begin = job.spec.begin.map_or(at, |begin| begin.max(at));
                job.eligible = reason.is_none().then_some(begin);
                job.accrue = job.eligible;
                let waits = job.spec.begin.is_some_and(|begin| begin > at);
                let free = if waits { Reason::BeginTime } else { Reason::None };
                job.reason = reason.unwrap_or(free);
                job.reason_text.clear();
            }
        });
        events.push(Event::JobChanged(id));
        if reason == Some(Reason::DependencyNeverSatisfied) && kills {
            flurm_base::sometimes!("a job was cancelled because its dependency cannot be met");
            self.cancel_pending(at, id, JobBase::Cancelled, events);
        }
    }

    /// How far a condition is, and whether a task of the whole array was seen to end badly.
    fn state_of(&self, job: &Job, one: &Dependency) -> (DependencyState, bool) {
        if one.kind == DependencyKind::Singleton {
            let state = match self.has_earlier_namesake(job) {
                true => DependencyState::Waits,
                false => DependencyState::Met,
            };
            return (state, false);
        }
        if flurm_base::planted::is("model_takes_any_end_for_success") {
            let ended = self.progress(one).is_none_or(|progress| progress.ended);
            return (if ended { DependencyState::Met } else { DependencyState::Waits }, false);
        }
        let corresponding = match (one.kind, one.tasks, &job.array) {
            (DependencyKind::AfterCorr, DependencyTasks::All, Some(array)) => array.task,
            _ => None,
        };
        let tasks = corresponding.map_or(one.tasks, DependencyTasks::One);
        let Some(mut progress) = self.progress(&Dependency { tasks, ..one.clone() }) else {
            return (
                if one.saw_failure { DependencyState::Failed } else { DependencyState::Met },
                false,
            );
        };
        let saw_failure = one.saw_failure || !progress.well;
        progress.well = !saw_failure;
        (judge(one.kind, progress), saw_failure && tasks == DependencyTasks::All)
    }

    /// What has become of what a condition names; `None` when nothing of it exists.
    fn progress(&self, one: &Dependency) -> Option<Progress> {
        let array = self.index.arrays.get(&one.job);
        let jobs: Vec<&Job> = match one.tasks {
            DependencyTasks::None => self.jobs.get(&one.job).into_iter().collect(),
            DependencyTasks::All => {
                array?.records.iter().filter_map(|id| self.jobs.get(id)).collect()
            }
            DependencyTasks::One(task) => {
                let own = array?.tasks.get(&task).and_then(|id| self.jobs.get(id));
                let has = |job: &&Job| {
                    job.array.as_ref().is_some_and(|array| array.undivided.contains(task))
                };
                let records = array?.records.iter().filter_map(|id| self.jobs.get(id));
                own.or_else(|| records.into_iter().find(has)).into_iter().collect()
            }
        };
        let first = jobs.first()?;
        let ended = |job: &&Job| job.is_finished();
        Some(Progress {
            pending: jobs.iter().any(|job| job.base == JobBase::Pending),
            start: jobs.iter().map(|job| job.start).max().unwrap_or(first.start),
            ended: jobs.iter().all(ended),
            well: jobs.iter().filter(|job| ended(job)).all(|job| job.base == JobBase::Completed),
            special: jobs.iter().any(|job| job.flags.has(JobFlags::SPECIAL_EXIT)),
        })
    }

    /// Whether another job of the same name and user runs, or waits since earlier.
    fn has_earlier_namesake(&self, job: &Job) -> bool {
        let same = |other: &&Job| {
            other.id != job.id && other.spec.uid == job.spec.uid && other.spec.name == job.spec.name
        };
        let runs = |other: &Job| matches!(other.base, JobBase::Running | JobBase::Suspended);
        let earlier = |other: &Job| other.base == JobBase::Pending && other.id < job.id;
        let holding = self.holding().filter(same).any(|other| runs(other) || earlier(other));
        holding || self.pending().filter(same).any(earlier)
    }

    /// Of an array that waits for the corresponding tasks of another one: tasks whose counterpart
    /// has ended get a record of their own.
    fn divide_corresponding(&mut self, at: Time, id: JobId, events: &mut Events) {
        let job = &self.jobs[&id];
        let (Some(depends), Some(array)) = (&job.depends, &job.array) else { return };
        let corresponds = |one: &&Dependency| {
            let open = one.state == DependencyState::Waits && one.tasks == DependencyTasks::All;
            one.kind == DependencyKind::AfterCorr && open
        };
        let Some(one) = depends.list.iter().find(corresponds).cloned() else { return };
        let Some(other) = self.index.arrays.get(&one.job) else { return };
        let over = |task: &u32| {
            let own = other.tasks.get(task).and_then(|id| self.jobs.get(id));
            own.is_some_and(Job::is_finished)
        };
        let due: Vec<u32> = array.undivided.iter().filter(over).collect();
        let all = array.undivided.count() as usize;
        for (nth, task) in due.into_iter().enumerate() {
            if nth + 1 == all {
                break;
            }
            // Without a free number the task waits for the array as a whole, which is later.
            let Ok(own) = self.split_task(at, id, task, events) else { return };
            self.judge_dependencies(at, own, events);
        }
    }

    /// Whoever waits for the job is judged anew: it has started, ended, or gone.
    pub(crate) fn settle_dependents(&mut self, at: Time, id: JobId, events: &mut Events) {
        let Some(job) = self.jobs.get(&id) else { return };
        for dependent in self.index.dependents.of(job) {
            if self.jobs.contains_key(&dependent) {
                self.judge_dependencies(at, dependent, events);
            }
        }
    }
}
