//! Changes of a job by hand: its fields, hold and release.
//!
//! A change is checked as a whole before anything of it takes effect.

use std::sync::Arc;

use flurm_base::{JobId, Time};

use crate::apply::{Events, Outcome, PRIORITY_MAX};
use crate::life::hold_for;
use crate::submit::check_shape;
use crate::{
    Actor, Cluster, Errno, Event, Hold, Job, JobBase, JobChanges, JobFlags, JobSpec, Limit,
    PriorityChange, Reason, Refusal, Reply,
};

impl Cluster {
    pub(crate) fn update_job(
        &mut self,
        at: Time,
        id: JobId,
        by: Actor,
        changes: &JobChanges,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        self.check_changes(at, job, by, changes)?;
        let spec = changed_spec(job, changes);
        let timed = changes.time_limit.is_some() || changes.end.is_some();
        let time_limit = spec.time_limit.filter(|limit| timed && *limit != job.time_limit);
        if let Some(limit) = time_limit
            && !by.privileged
            && !self.may_set_time_limit(job, limit)
        {
            return Err(Refusal::from(Errno::AccessDenied));
        }
        if job.base == JobBase::Pending {
            check_shape(&spec)?;
        }
        if changes.reservation.is_some() {
            self.check_reservation(&spec)?;
        }
        if changes.licenses.is_some() {
            self.check_licenses(&spec)?;
        }
        let nice = changes.nice.map(|nice| (job.spec.nice, nice));
        let partitions = match &changes.partitions {
            Some(wanted) => Some(self.known_partitions(wanted)?),
            None => None,
        };
        let depends = match &changes.dependency {
            Some(text) => Some(self.read_dependencies(Some(id), text)?),
            None => None,
        };
        let redepends = depends.is_some();
        self.change_job(at, id, |job, _| {
            job.spec = Arc::new(spec);
            if let Some(depends) = depends {
                job.depends = depends;
            }
            if let Some(names) = partitions {
                job.partition = names[0].clone();
                Arc::make_mut(&mut job.spec).partitions = names.clone();
                job.partitions = names;
            }
            if let Some(limit) = time_limit {
                job.time_limit = limit;
                job.time_limit_fixed = by.privileged;
            }
            if let Some((before, nice)) = nice {
                change_nice(job, before, nice);
            }
            if let (Some(most), Some(array)) = (changes.array_running_max, &mut job.array) {
                array.running_max = Some(most).filter(|most| *most > 0);
            }
            reconsider(job, at);
        });
        if redepends {
            self.judge_dependencies(at, id, events);
        }
        if let Some(priority) = changes.priority {
            self.change_priority(at, id, by, priority);
        }
        events.push(Event::JobChanged(id));
        Ok(Reply::Done)
    }

    fn check_changes(
        &self,
        at: Time,
        job: &Job,
        by: Actor,
        changes: &JobChanges,
    ) -> Result<(), Refusal> {
        if job.is_finished() && !changes_remarks_only(changes) {
            return Err(Refusal::from(Errno::JobFinished));
        }
        if job.base != JobBase::Pending && changes_request(changes) {
            return Err(Refusal::from(Errno::JobNotPending));
        }
        let names = changes.nodes_required.iter().chain(&changes.nodes_excluded).flatten();
        for name in names {
            if self.nodes.get(name).is_none_or(|node| node.removed) {
                return Err(Refusal::new(
                    Errno::InvalidNodeName,
                    format!("there is no node {name}"),
                ));
            }
        }
        if changes.nodes.is_some_and(|(least, _)| least == 0) {
            return Err(Refusal::from(Errno::InvalidNodeCount));
        }
        if changes.tasks == Some(0) {
            return Err(Refusal::from(Errno::BadTaskCount));
        }
        if changes.time_limit == Some(Limit::Max(0)) {
            return Err(Refusal::from(Errno::InvalidTimeLimit));
        }
        if !by.privileged {
            check_rights(job, changes)?;
        }
        if changes.deadline.is_some_and(|deadline| deadline < at) {
            return Err(Refusal::from(Errno::InvalidTimeValue));
        }
        self.check_priority(at, job, by, changes.priority)
    }

    /// A job's user may lower its limit, and raise it while it waits as far as the partition goes.
    fn may_set_time_limit(&self, job: &Job, limit: Limit) -> bool {
        let partition = self.partitions.get(&job.partition);
        let allowed = partition.is_some_and(|partition| partition.conf.time_max.allows(limit));
        limit < job.time_limit || (job.base == JobBase::Pending && allowed)
    }

    fn check_priority(
        &self,
        at: Time,
        job: &Job,
        by: Actor,
        change: Option<PriorityChange>,
    ) -> Result<(), Refusal> {
        if change.is_some() && job.base.is_terminal() {
            return Err(Refusal::from(Errno::JobFinished));
        }
        match change {
            None | Some(PriorityChange::Hold { .. }) => Ok(()),
            Some(PriorityChange::Release) => {
                if job.hold == Hold::Admin && !by.privileged {
                    return Err(Refusal::from(Errno::AccessDenied));
                }
                let exists = |name| self.partitions.contains_key(name);
                if let Some(gone) = job.partitions.iter().find(|name| !exists(*name)) {
                    let text = format!("partition {gone} was removed");
                    return Err(Refusal::new(Errno::InvalidPartitionName, text));
                }
                Ok(())
            }
            Some(PriorityChange::Set(priority)) => {
                if job.hold != Hold::None {
                    return Err(Refusal::from(Errno::JobHeld));
                }
                let present = crate::Weigher::new(self, at).priority(job);
                let lowers = priority <= present && priority > 0;
                if by.privileged || lowers {
                    return Ok(());
                }
                Err(Refusal::from(Errno::AccessDenied))
            }
        }
    }

    fn change_priority(&mut self, at: Time, id: JobId, by: Actor, change: PriorityChange) {
        let job = &self.jobs[&id];
        let (hold, nice) = (job.hold, job.spec.nice);
        match change {
            PriorityChange::Hold { as_user } => {
                let user = as_user || !by.privileged;
                // A user's hold does not weaken an administrator's.
                let (hold, reason) = match (user, hold == Hold::Admin && !by.privileged) {
                    (true, false) => (Hold::User, Reason::HeldUser),
                    (false, _) | (true, true) => (Hold::Admin, Reason::HeldAdmin),
                };
                self.change_job(at, id, |job, _| {
                    let before = job.reason;
                    hold_for(job, reason, "");
                    job.hold = hold;
                    if job.base != JobBase::Pending {
                        job.reason = before;
                    }
                });
            }
            PriorityChange::Release if hold != Hold::None => {
                let priority = self.next_priority(nice);
                self.change_job(at, id, |job, _| {
                    job.hold = Hold::None;
                    job.priority = priority;
                    job.priority_fixed = false;
                    job.flags.set(JobFlags::REQUEUE_HOLD | JobFlags::SPECIAL_EXIT, false);
                    job.reason_text.clear();
                    if job.base == JobBase::Pending {
                        let depends = job.dependency_reason(at);
                        job.reason = depends.unwrap_or(Reason::None);
                        let begin = job.spec.begin.map_or(at, |begin| begin.max(at));
                        job.eligible = depends.is_none().then_some(begin);
                        job.accrue = job.accrue.or(job.eligible);
                    }
                });
            }
            PriorityChange::Release => {
                let fixed = self.jobs[&id].priority_fixed;
                if fixed && by.privileged {
                    let priority = self.next_priority(nice);
                    self.change_job(at, id, |job, _| {
                        job.priority = priority;
                        job.priority_fixed = false;
                    });
                }
            }
            PriorityChange::Set(priority) => self.change_job(at, id, |job, _| {
                job.priority = priority.clamp(1, PRIORITY_MAX);
                job.priority_fixed = by.privileged;
            }),
        }
    }
}

/// What an ordinary user may not raise.
fn check_rights(job: &Job, changes: &JobChanges) -> Result<(), Refusal> {
    let raised = changes.nice.is_some_and(|nice| nice < job.spec.nice.min(0));
    if raised || changes.admin_comment.is_some() || changes.deadline.is_some() {
        return Err(Refusal::from(Errno::AccessDenied));
    }
    Ok(())
}

/// Whether only words about the job change, which is possible after its end too.
fn changes_remarks_only(changes: &JobChanges) -> bool {
    let remarks = JobChanges {
        comment: changes.comment.clone(),
        admin_comment: changes.admin_comment.clone(),
        extra: changes.extra.clone(),
        wckey: changes.wckey.clone(),
        ..JobChanges::default()
    };
    *changes == remarks
}

/// Whether what the job asks for changes, which is possible only while it waits.
fn changes_request(changes: &JobChanges) -> bool {
    let others = JobChanges {
        priority: changes.priority,
        nice: changes.nice,
        time_limit: changes.time_limit,
        time_min: changes.time_min,
        end: changes.end,
        deadline: changes.deadline,
        name: changes.name.clone(),
        comment: changes.comment.clone(),
        admin_comment: changes.admin_comment.clone(),
        extra: changes.extra.clone(),
        wckey: changes.wckey.clone(),
        requeue: changes.requeue,
        mail_types: changes.mail_types,
        mail_user: changes.mail_user.clone(),
        array_running_max: changes.array_running_max,
        ..JobChanges::default()
    };
    *changes != others
}

fn change_nice(job: &mut Job, before: i32, nice: i32) {
    if job.priority_fixed || job.hold != Hold::None {
        return;
    }
    let moved = i64::from(job.priority) + i64::from(before) - i64::from(nice);
    let priority = moved.clamp(2, i64::from(PRIORITY_MAX));
    job.priority = u32::try_from(priority).expect("clamped to what fits");
}

/// After a change the planner's last word about a waiting job no longer counts.
fn reconsider(job: &mut Job, at: Time) {
    if !job.is_startable() || job.hold != Hold::None {
        return;
    }
    let begin = job.spec.begin.filter(|begin| *begin > at);
    let free = if begin.is_some() { Reason::BeginTime } else { Reason::None };
    let depends = job.dependency_reason(at);
    job.reason = depends.unwrap_or(free);
    job.reason_text.clear();
    job.eligible = begin.or(job.eligible).or(Some(at)).filter(|_| depends.is_none());
}

fn text(target: &mut Option<String>, change: &Option<String>) {
    if let Some(text) = change {
        *target = (!text.is_empty()).then(|| text.clone());
    }
}

fn value<T: Clone>(target: &mut T, change: &Option<T>) {
    if let Some(value) = change {
        *target = value.clone();
    }
}

fn option<T: Clone>(target: &mut Option<T>, change: &Option<T>) {
    if change.is_some() {
        target.clone_from(change);
    }
}

/// The spec with the changes in it.
fn changed_spec(job: &Job, changes: &JobChanges) -> JobSpec {
    let mut spec = (*job.spec).clone();
    value(&mut spec.nice, &changes.nice);
    option(&mut spec.time_limit, &changes.time_limit);
    option(&mut spec.time_min, &changes.time_min);
    option(&mut spec.begin, &changes.begin);
    option(&mut spec.deadline, &changes.deadline);
    value(&mut spec.name, &changes.name);
    text(&mut spec.account, &changes.account);
    text(&mut spec.qos, &changes.qos);
    text(&mut spec.comment, &changes.comment);
    text(&mut spec.admin_comment, &changes.admin_comment);
    text(&mut spec.requests.extra, &changes.extra);
    text(&mut spec.requests.licenses, &changes.licenses);
    text(&mut spec.requests.dependency, &changes.dependency);
    text(&mut spec.requests.reservation, &changes.reservation);
    text(&mut spec.requests.wckey, &changes.wckey);
    value(&mut spec.work_dir, &changes.work_dir);
    text(&mut spec.streams.std_in, &changes.std_in);
    text(&mut spec.streams.std_out, &changes.std_out);
    text(&mut spec.streams.std_err, &changes.std_err);
    text(&mut spec.features, &changes.features);
    value(&mut spec.nodes_required, &changes.nodes_required);
    value(&mut spec.nodes_excluded, &changes.nodes_excluded);
    option(&mut spec.sharing, &changes.sharing);
    value(&mut spec.contiguous, &changes.contiguous);
    option(&mut spec.requeue, &changes.requeue);
    value(&mut spec.mail.types, &changes.mail_types);
    text(&mut spec.mail.user, &changes.mail_user);
    change_size(&mut spec, changes);
    change_end(job, &mut spec, changes);
    spec
}

fn change_size(spec: &mut JobSpec, changes: &JobChanges) {
    let size = &mut spec.size;
    if let Some((least, most)) = changes.nodes {
        size.nodes_min = least;
        size.nodes_max = most;
    }
    if let Some((least, most)) = changes.cpus {
        size.cpus_min = least.max(1);
        size.cpus_max = most;
    }
    option(&mut size.tasks, &changes.tasks);
    option(&mut size.cpus_per_task, &changes.cpus_per_task);
    option(&mut size.cpus_per_node_min, &changes.cpus_per_node_min);
    option(&mut size.tasks_per_node, &changes.tasks_per_node);
    option(&mut size.memory, &changes.memory);
    value(&mut size.tmp_disk_mb, &changes.tmp_disk_mb);
    if changes.cpus.is_none() && (changes.tasks.is_some() || changes.cpus_per_task.is_some()) {
        let needed = size.tasks_or_default().saturating_mul(size.cpus_per_task_or_default());
        size.cpus_min = needed.max(1);
    }
}

/// `EndTime` of a running job is a time limit in other words.
fn change_end(job: &Job, spec: &mut JobSpec, changes: &JobChanges) {
    if let (Some(end), Some(start)) = (changes.end, job.start) {
        let seconds = end.since(start).as_secs();
        let minutes = u32::try_from(seconds.div_ceil(60)).unwrap_or(u32::MAX - 2);
        spec.time_limit = Some(Limit::Max(minutes.max(1)));
    }
}
