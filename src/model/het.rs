//! Heterogeneous jobs: several jobs that are submitted together, start together or not at all, and
//! end with the first of them, their leader.
//!
//! Each component is a job with a number of its own. The leader runs the batch script, or is the
//! job that a client waits for.

use std::collections::BTreeSet;

use flurm_base::{JobId, RequestKey, Time};
use serde::{Deserialize, Serialize};

use crate::apply::{Events, Outcome};
use crate::cluster::Accepted;
use crate::life::Ending;
use crate::signals::SIGKILL;
use crate::{
    Actor, AllocClient, Cluster, Errno, Event, Job, JobBase, JobSpec, JobSteps, Node, Reason,
    Refusal, Reply, RequeueFlags, Start, StartRefusal, TaskAct,
};

/// Components of one job, at most (slurm.h, `MAX_HET_JOB_COMPS`).
pub const COMPONENTS_MAX: usize = 128;

/// A job's place among the components of a heterogeneous job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Het {
    /// The first component: its number is that of the whole.
    pub leader: JobId,
    /// The component's place, 0 for the leader.
    pub offset: u32,
    /// All components in their order.
    pub members: Vec<JobId>,
}

impl Job {
    /// Whether it is a component that another one leads.
    pub fn is_led(&self) -> bool {
        self.het.as_ref().is_some_and(|het| het.offset > 0)
    }
}

/// What a start of several jobs can be taken back to.
struct Before {
    jobs: Vec<Job>,
    steps: Vec<(JobId, JobSteps)>,
    nodes: Vec<Node>,
    events: usize,
}

impl Cluster {
    /// A component of a heterogeneous job, by its place.
    pub fn component(&self, leader: JobId, offset: u32) -> Option<&Job> {
        let het = self.jobs.get(&leader)?.het.as_ref()?;
        let member = het.members.get(usize::try_from(offset).ok()?)?;
        self.jobs.get(member).filter(|_| het.leader == leader)
    }

    /// The components of the job that this one leads or belongs to; only itself where it is none.
    pub fn components(&self, job: &Job) -> Vec<JobId> {
        job.het.as_ref().map_or_else(|| vec![job.id], |het| het.members.clone())
    }

    pub(crate) fn submit_het(
        &mut self,
        at: Time,
        key: Option<RequestKey>,
        by: Actor,
        specs: &[JobSpec],
        client: Option<&AllocClient>,
        events: &mut Events,
    ) -> Outcome {
        if let Some(earlier) = key.and_then(|key| self.requests.get(&key)) {
            let (job, attempt) = (earlier.job, earlier.attempt);
            return Ok(Reply::Submitted { job, attempt, repeated: true });
        }
        if specs.is_empty() || specs.len() > COMPONENTS_MAX {
            let text = format!("a job has up to {COMPONENTS_MAX} components");
            return Err(Refusal::new(Errno::NotSupported, text));
        }
        let more = u64::try_from(specs.len()).unwrap_or(u64::MAX);
        self.check_room_for_jobs(more)?;
        let mut settled = Vec::with_capacity(specs.len());
        for (offset, spec) in specs.iter().enumerate() {
            let of_component = |refusal: Refusal| name_component(offset, refusal);
            let judged = self.settle_component(at, spec).map_err(of_component)?;
            settled.push(judged);
        }
        let members = self.next_job_ids(specs.len())?;
        let leader = members[0];
        for ((offset, (spec, partitions, depends)), id) in (0u32..).zip(settled).zip(&members) {
            let mut job = self.new_job(at, *id, by, spec, partitions);
            job.depends = depends;
            job.het = Some(Het { leader, offset, members: members.clone() });
            self.add_job(at, job);
            events.push(Event::JobSubmitted(*id));
        }
        let attempt = self.jobs[&leader].attempt;
        if let Some(key) = key {
            self.remember(key, Accepted { job: leader, attempt, at });
        }
        if let Some(client) = client {
            self.change_steps(at, leader, |steps| {
                steps.attempt = attempt;
                steps.client = Some(client.clone());
            });
        }
        members.iter().for_each(|id| self.judge_dependencies(at, *id, events));
        Ok(Reply::Submitted { job: leader, attempt, repeated: false })
    }

    /// So many free numbers, all different.
    fn next_job_ids(&mut self, count: usize) -> Result<Vec<JobId>, Refusal> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.next_job_id()?);
        }
        let different: BTreeSet<&JobId> = ids.iter().collect();
        if different.len() < count {
            return Err(Refusal::new(Errno::MaxJobCount, "not enough job numbers are free"));
        }
        Ok(ids)
    }

    /// Something is done to all components of a job.
    pub(crate) fn of_het(
        &mut self,
        at: Time,
        by: Actor,
        leader: JobId,
        act: &TaskAct,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(leader)?;
        let Some(het) = job.het.as_ref().filter(|het| het.leader == leader) else {
            return Err(Refusal::from(Errno::NotHetJobLeader));
        };
        let members: Vec<JobId> =
            het.members.iter().copied().filter(|id| self.jobs.contains_key(id)).collect();
        match act {
            TaskAct::Update(changes) => self
                .for_each(&members, |cluster, id| cluster.update_job(at, id, by, changes, events)),
            TaskAct::Suspend { resume } => {
                self.for_each(&members, |cluster, id| cluster.suspend(at, id, *resume, events))
            }
            // The leader's end is everybody's.
            TaskAct::Kill { signal: SIGKILL, flags } if crate::act::is_whole(*flags) => {
                self.kill(at, leader, by, SIGKILL, *flags, events)
            }
            TaskAct::Kill { signal, flags } => {
                let running: Vec<JobId> = members
                    .into_iter()
                    .filter(|id| self.jobs[id].base == JobBase::Running || *id == leader)
                    .collect();
                self.for_each(&running, |cluster, id| {
                    cluster.kill(at, id, by, *signal, *flags, events)
                })
            }
            TaskAct::Requeue(flags) => self.requeue_het(at, leader, &members, *flags, events),
        }
    }

    /// The first refusal counts; the others are tried nevertheless.
    fn for_each(
        &mut self,
        members: &[JobId],
        mut act: impl FnMut(&mut Self, JobId) -> Outcome,
    ) -> Outcome {
        let mut first = None;
        for id in members {
            if let Err(refusal) = act(self, *id) {
                first = first.or(Some(refusal));
            }
        }
        first.map_or(Ok(Reply::Done), Err)
    }

    fn requeue_het(
        &mut self,
        at: Time,
        leader: JobId,
        members: &[JobId],
        flags: RequeueFlags,
        events: &mut Events,
    ) -> Outcome {
        let whole = self.jobs[&leader].het.as_ref().map_or(0, |het| het.members.len());
        if members.len() < whole {
            return Err(Refusal::new(Errno::Disabled, "a component of it is forgotten already"));
        }
        let reply = self.requeue_by_hand(at, leader, flags, events)?;
        let again = self.jobs[&leader].base == JobBase::Pending;
        for id in members.iter().filter(|id| again && **id != leader) {
            self.queue_companion(at, *id, Reason::Cleaning, events);
            if flags.hold || flags.special_exit {
                self.change_job(at, *id, |job, _| crate::act::mark_requeue_hold(job, flags));
            }
        }
        Ok(reply)
    }

    /// A component runs again with its leader.
    fn queue_companion(&mut self, at: Time, id: JobId, reason: Reason, events: &mut Events) {
        match self.jobs[&id].base {
            JobBase::Pending => {}
            JobBase::Running | JobBase::Suspended => self.requeue_attempt(at, id, reason, events),
            _ => {
                self.change_job(at, id, |job, _| {
                    job.restarts = job.restarts.saturating_add(1);
                    job.base = JobBase::Pending;
                    job.reason = Reason::Cleaning;
                });
                self.settle_end(at, id, events);
                events.push(Event::JobChanged(id));
            }
        }
    }

    /// Whether a job may be queued again by the cluster itself: a component as its leader may.
    pub(crate) fn may_run_again(&self, job: &Job) -> bool {
        let leader = job.het.as_ref().map_or(job.id, |het| het.leader);
        let leader = self.jobs.get(&leader).unwrap_or(job);
        leader.is_batch() && leader.spec.requeue == Some(true)
    }

    /// An attempt of a component has ended: with the leader all others end, and a component that
    /// was lost takes the leader with it.
    pub(crate) fn end_companions(&mut self, at: Time, id: JobId, events: &mut Events) {
        let job = &self.jobs[&id];
        let Some(het) = job.het.clone() else { return };
        let base = job.base;
        if het.leader != id {
            let lost = matches!(base, JobBase::Pending | JobBase::NodeFail);
            let leads = self.jobs.get(&het.leader).is_some_and(runs);
            if lost && leads {
                flurm_base::sometimes!("a component was lost and took its whole job with it");
                self.end_like(at, id, het.leader, events);
            }
            return;
        }
        for member in het.members.into_iter().filter(|member| *member != id) {
            let Some(other) = self.jobs.get(&member) else { continue };
            match (base, runs(other)) {
                (JobBase::Pending, _) => {
                    let reason = self.jobs[&id].reason;
                    self.queue_companion(at, member, reason, events);
                }
                (_, true) => self.end_like(at, id, member, events),
                (_, false) => {}
            }
        }
    }

    /// Ends an attempt as that of another component ended.
    fn end_like(&mut self, at: Time, like: JobId, id: JobId, events: &mut Events) {
        let model = &self.jobs[&like];
        let (base, reason) = (model.base, model.reason);
        let (ended_by, failed_node) = (model.ended_by, model.failed_node.clone());
        let cause = model.end_cause.unwrap_or(crate::EndCause::Killed);
        let mut ending = Ending::new(base, cause, reason);
        ending.exit_status = model.exit_status;
        self.change_job(at, id, |job, _| {
            job.ended_by = job.ended_by.or(ended_by);
            job.failed_node = failed_node;
        });
        match base {
            JobBase::Pending => self.requeue_attempt(at, id, reason, events),
            _ => self.end_attempt(at, id, ending, events),
        }
    }

    /// A component that waited is over: the others cannot start any more.
    pub(crate) fn cancel_companions(&mut self, at: Time, id: JobId, events: &mut Events) {
        let job = &self.jobs[&id];
        let (base, ended_by) = (job.base, job.ended_by);
        let Some(het) = job.het.clone() else { return };
        for member in het.members {
            let waits = |job: &Job| job.base == JobBase::Pending;
            if self.jobs.get(&member).is_some_and(waits) {
                self.change_job(at, member, |job, _| job.ended_by = ended_by);
                self.cancel_pending(at, member, base, events);
            }
        }
    }

    /// Whether a job that is over may be forgotten: components only when all of them are over.
    pub(crate) fn may_forget(&self, id: JobId) -> bool {
        let Some(het) = self.jobs.get(&id).and_then(|job| job.het.as_ref()) else { return true };
        het.members.iter().filter_map(|id| self.jobs.get(id)).all(Job::is_finished)
    }

    /// How many of the starts at the beginning belong to the same job.
    pub(crate) fn starts_together(&self, starts: &[Start]) -> usize {
        let leader = |start: &Start| {
            let het = self.jobs.get(&start.job).and_then(|job| job.het.as_ref());
            het.map(|het| het.leader)
        };
        let Some(first) = starts.first().and_then(leader) else { return 1.min(starts.len()) };
        starts.iter().take_while(|start| leader(start) == Some(first)).count()
    }

    /// Starts all components of a job, or none.
    pub(crate) fn start_all(
        &mut self,
        at: Time,
        starts: &[Start],
        events: &mut Events,
    ) -> Result<(), (JobId, StartRefusal)> {
        let first = starts[0].job;
        let known = self.jobs.get(&first).ok_or((first, StartRefusal::NotPending))?;
        let whole: BTreeSet<JobId> = self.components(known).into_iter().collect();
        let given: BTreeSet<JobId> = starts.iter().map(|start| start.job).collect();
        let apart = flurm_base::planted::is("starts_components_apart");
        if !apart && (whole != given || starts.len() != whole.len()) {
            return Err((first, StartRefusal::NotPending));
        }
        let before = self.remember_before(starts, events);
        for start in starts {
            if let Err(refusal) = self.check_start(at, start) {
                self.take_back(at, before, events);
                return Err((start.job, refusal));
            }
            self.start(at, start, events);
        }
        Ok(())
    }

    fn remember_before(&self, starts: &[Start], events: &Events) -> Before {
        let jobs = starts.iter().filter_map(|start| self.jobs.get(&start.job).cloned());
        let names: BTreeSet<_> =
            starts.iter().flat_map(|start| &start.placements).map(|part| &part.node).collect();
        let nodes = names.into_iter().filter_map(|name| self.nodes.get(name).cloned());
        let steps = starts
            .iter()
            .filter_map(|start| Some(start.job).zip(self.steps.get(&start.job).cloned()));
        Before {
            jobs: jobs.collect(),
            nodes: nodes.collect(),
            steps: steps.collect(),
            events: events.len(),
        }
    }

    fn take_back(&mut self, at: Time, before: Before, events: &mut Events) {
        flurm_base::sometimes!("a start of several components was taken back");
        for saved in before.jobs {
            self.change_job(at, saved.id, |job, _| *job = saved);
        }
        for (id, saved) in before.steps {
            self.change_steps(at, id, |steps| *steps = saved);
        }
        for saved in before.nodes {
            let name = saved.conf.name.clone();
            self.change_node(at, &name, events, |node| *node = saved);
        }
        events.truncate(before.events);
    }
}

fn runs(job: &Job) -> bool {
    matches!(job.base, JobBase::Running | JobBase::Suspended)
}

/// A refusal that says which component it is about.
fn name_component(offset: usize, mut refusal: Refusal) -> Refusal {
    let text = if refusal.text.is_empty() { "refused" } else { refusal.text.as_str() };
    refusal.text = format!("component {offset}: {text}");
    refusal
}
