//! Suspended jobs: stopped on their nodes, where they keep their memory and give away their CPUs.
//!
//! A job that goes on takes its CPUs back whether or not another job has them meanwhile, as Slurm
//! does (scontrol(1), "suspend"). Its time limit does not run while it is stopped. Nodes obey the
//! latest order only, so each carries a number that grows within the attempt.

use flurm_base::{AttemptId, JobId, Span, Time};
use serde::{Deserialize, Serialize};

use crate::apply::{Events, Outcome};
use crate::{
    Cluster, Errno, Event, Job, JobBase, Launch, NodeName, Order, Refusal, Reply, ShareState,
};

/// That an attempt was suspended, or goes on after it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// How often the attempt was suspended or continued.
    pub sequence: u32,
    /// How long it had run when it was last suspended.
    pub ran: Span,
    /// Nodes that are still to be told.
    pub untold: Vec<NodeName>,
}

impl Job {
    /// From when the time counts that it runs: its start, but for the time it was suspended.
    pub(crate) fn counts_from(&self, start: Time) -> Time {
        match (&self.suspension, self.suspend) {
            (Some(suspension), Some(last)) => last - suspension.ran,
            (Some(_) | None, _) => start,
        }
    }

    /// How long the current attempt had run before it was last suspended.
    pub fn ran_before(&self) -> Span {
        self.suspension.as_ref().map_or(Span(0), |suspension| suspension.ran)
    }
}

impl Cluster {
    /// Suspends a job (`job_suspend` in slurmctld), or lets it go on.
    pub(crate) fn suspend(
        &mut self,
        at: Time,
        id: JobId,
        resume: bool,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        match (job.base, resume) {
            (JobBase::Running, false) | (JobBase::Suspended, true) => {}
            (JobBase::Suspended, false) => return Ok(Reply::Done),
            (JobBase::Running, true) => return Err(Refusal::from(Errno::JobNotSuspended)),
            (JobBase::Pending, _) => return Err(Refusal::from(Errno::JobPending)),
            _ => return Err(Refusal::from(Errno::AlreadyDone)),
        }
        let attempt = job.attempt;
        self.change_job(at, id, |job, _| {
            let start = job.start.expect("a job that runs has started");
            let ran = if resume { job.ran_before() } else { at.since(job.counts_from(start)) };
            let shares = job.allocation.iter().flat_map(|all| &all.shares);
            let held = shares.filter(|share| share.state == ShareState::Held);
            let untold = held.map(|share| share.node.clone()).collect();
            let sequence = job.suspension.as_ref().map_or(0, |last| last.sequence);
            let sequence = sequence.saturating_add(1);
            job.suspension = Some(Suspension { sequence, ran, untold });
            job.suspend = Some(at);
            job.base = if resume { JobBase::Running } else { JobBase::Suspended };
        });
        self.pause_steps(at, id, resume);
        self.touch_nodes_of(at, id, events);
        events.push(match resume {
            true => Event::JobResumed(id, attempt),
            false => Event::JobSuspended(id, attempt),
        });
        events.push(Event::JobChanged(id));
        Ok(Reply::Done)
    }

    /// Time limits of steps do not run while their job is suspended.
    fn pause_steps(&mut self, at: Time, id: JobId, resume: bool) {
        if !self.steps.contains_key(&id) {
            return;
        }
        self.change_steps(at, id, |steps| {
            if !resume {
                steps.paused_at = Some(at);
                return;
            }
            let paused = steps.paused_at.take().map_or(Span(0), |since| at.since(since));
            for step in steps.running.values_mut() {
                step.paused = step.paused + paused;
            }
        });
    }

    /// A node has stopped what it has of an attempt, or lets it go on.
    pub(crate) fn suspension_told(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        node: &NodeName,
        sequence: u32,
        events: &mut Events,
    ) -> Reply {
        let job = self.jobs.get(&id).filter(|job| job.attempt == attempt);
        let suspension = job.and_then(|job| job.suspension.as_ref());
        let awaited = suspension
            .filter(|last| last.sequence == sequence)
            .is_some_and(|last| last.untold.contains(node));
        if !awaited {
            return Reply::Stale;
        }
        self.change_job(at, id, |job, _| {
            let suspension = job.suspension.as_mut().expect("it was found just now");
            suspension.untold.retain(|untold| untold != node);
        });
        events.push(Event::JobChanged(id));
        Reply::Done
    }

    /// What nodes are still to be told. A batch script that is still to be launched is stopped once
    /// it was.
    pub(crate) fn suspend_orders(&self, id: JobId) -> Vec<Order> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        let Some(allocation) = &job.allocation else { return Vec::new() };
        let Some(suspension) = &job.suspension else { return Vec::new() };
        let launches = matches!(job.launch, Launch::Needed { .. });
        let early = |node: &NodeName| launches && allocation.batch_host() == node;
        let held = |node: &NodeName| {
            allocation.share(node).is_some_and(|share| share.state == ShareState::Held)
        };
        let order = |node: &NodeName| Order::Suspend {
            job: id,
            attempt: job.attempt,
            node: node.clone(),
            resume: job.base == JobBase::Running,
            sequence: suspension.sequence,
        };
        suspension.untold.iter().filter(|node| held(node) && !early(node)).map(order).collect()
    }
}
