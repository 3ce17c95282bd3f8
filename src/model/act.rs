//! What people do to a job: end it, signal it, run it again.

use flurm_base::{AttemptId, JobId, Time};

use crate::apply::{Events, Outcome};
use crate::life::{Ending, hold_for};
use crate::signals::{SIGCONT, SIGKILL, SIGSTOP};
use crate::{
    Actor, Cluster, EndCause, Errno, Event, Hold, Job, JobBase, JobFlags, Launch, Reason, Refusal,
    Reply, RequeueFlags, SignalRequest,
};

/// `KILL_JOB_BATCH`: the batch script only.
const KILL_JOB_BATCH: u16 = 1 << 0;
/// `KILL_STEPS_ONLY`: everything but the batch script.
const KILL_STEPS_ONLY: u16 = 1 << 2;
/// How many undelivered signals a job keeps; more are refused.
pub(crate) const SIGNALS_MAX: usize = 16;

impl Cluster {
    pub(crate) fn kill(
        &mut self,
        at: Time,
        id: JobId,
        by: Actor,
        signal: u16,
        flags: u16,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        let kills = signal == SIGKILL;
        let whole = flags & (KILL_STEPS_ONLY | KILL_JOB_BATCH) == 0;
        match job.base {
            JobBase::Pending if kills => {
                self.change_job(at, id, |job, _| job.ended_by = Some(by.uid));
                Ok(self.cancel_pending(at, id, JobBase::Cancelled, events))
            }
            JobBase::Pending => Err(Refusal::from(Errno::TransitionStateNoUpdate)),
            JobBase::Running | JobBase::Suspended if kills && whole => {
                let unconfirmed = matches!(job.launch, Launch::Needed { .. });
                flurm_base::sometimes!(unconfirmed, "a job was cancelled while it was launched");
                self.change_job(at, id, |job, _| job.ended_by = Some(by.uid));
                let ending = Ending::new(JobBase::Cancelled, EndCause::Killed, Reason::None);
                self.end_attempt(at, id, ending, events);
                Ok(Reply::Done)
            }
            JobBase::Running => self.send_signal(at, id, signal, flags, events),
            JobBase::Suspended => Err(Refusal::from(Errno::TransitionStateNoUpdate)),
            _ => Err(Refusal::from(Errno::AlreadyDone)),
        }
    }

    /// A waiting job is over at once; one that is being cleaned up stays so, but does not return.
    pub(crate) fn cancel_pending(
        &mut self,
        at: Time,
        id: JobId,
        base: JobBase,
        events: &mut Events,
    ) -> Reply {
        let cleaned = self.jobs[&id].allocation.is_some();
        flurm_base::sometimes!(cleaned, "a job was cancelled while its nodes cleaned up");
        self.change_job(at, id, |job, _| {
            job.base = base;
            job.flags.set(JobFlags::REQUEUE_HOLD | JobFlags::SPECIAL_EXIT, false);
            job.reason = Reason::None;
            job.reason_text.clear();
            job.launch = Launch::None;
            if job.allocation.is_none() {
                job.start = Some(at);
                job.end = Some(at);
            }
        });
        events.push(Event::JobChanged(id));
        self.settle_end(at, id, events);
        Reply::Done
    }

    /// A job that waited so long that it could not end before its deadline.
    pub(crate) fn miss_deadline(&mut self, at: Time, id: JobId, events: &mut Events) -> Reply {
        let reply = self.cancel_pending(at, id, JobBase::Deadline, events);
        self.change_job(at, id, |job, _| job.reason = Reason::Deadline);
        reply
    }

    pub(crate) fn warn(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        events: &mut Events,
    ) -> Reply {
        let job = self.jobs.get(&id).filter(|job| job.attempt == attempt);
        let Some(warning) = job.and_then(|job| job.spec.warning.filter(|_| is_due(job, at))) else {
            return Reply::Stale;
        };
        self.change_job(at, id, |job, _| job.warned = true);
        events.push(Event::JobChanged(id));
        // A refusal means that the job has no batch script to warn: then nobody is to be told.
        let _ = self.send_signal(at, id, warning.signal, warning.flags, events);
        Reply::Done
    }

    fn send_signal(
        &mut self,
        at: Time,
        id: JobId,
        signal: u16,
        flags: u16,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        if flags & KILL_JOB_BATCH != 0 && !job.is_batch() {
            return Err(Refusal::from(Errno::JobScriptMissing));
        }
        let stops = signal == SIGSTOP || signal == SIGCONT;
        let busy = stops && job.flags.has(JobFlags::SIGNALING);
        if busy || job.signals.len() >= SIGNALS_MAX {
            let text = "earlier signals have not been delivered yet";
            return Err(Refusal::new(Errno::TransitionStateNoUpdate, text));
        }
        self.change_job(at, id, |job, _| {
            let sequence = job.signal_next;
            job.signal_next = job.signal_next.wrapping_add(1);
            job.signals.push(SignalRequest { sequence, signal, flags, at });
            job.flags.set(JobFlags::SIGNALING, stops || job.flags.has(JobFlags::SIGNALING));
        });
        events.push(Event::JobChanged(id));
        Ok(Reply::Done)
    }

    pub(crate) fn signal_delivered(
        &mut self,
        id: JobId,
        attempt: AttemptId,
        sequence: u32,
        events: &mut Events,
    ) -> Reply {
        let Some(job) = self.jobs.get(&id).filter(|job| job.attempt == attempt) else {
            return Reply::Stale;
        };
        if !job.signals.iter().any(|request| request.sequence == sequence) {
            return Reply::Stale;
        }
        let at = self.updated.jobs;
        self.change_job(at, id, |job, _| {
            let mine = |request: &SignalRequest| request.sequence == sequence;
            let signal = job.signals.iter().find(|request| mine(request)).map(|one| one.signal);
            job.signals.retain(|request| !mine(request));
            match signal {
                Some(SIGSTOP) => job.flags.set(JobFlags::STOPPED, true),
                Some(SIGCONT) => job.flags.set(JobFlags::STOPPED, false),
                Some(_) | None => return,
            }
            job.flags.set(JobFlags::SIGNALING, false);
        });
        events.push(Event::JobChanged(id));
        Reply::Done
    }

    pub(crate) fn requeue_by_hand(
        &mut self,
        at: Time,
        id: JobId,
        flags: RequeueFlags,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
        if flags.incomplete_only && !runs {
            return Ok(Reply::Done);
        }
        self.check_requeue(job)?;
        let held = flags.hold || flags.special_exit;
        if held {
            self.change_job(at, id, |job, _| mark_requeue_hold(job, flags));
        }
        if runs {
            self.requeue_attempt(at, id, Reason::Cleaning, events);
        } else {
            self.change_job(at, id, |job, _| {
                job.restarts = job.restarts.saturating_add(1);
                job.base = JobBase::Pending;
                job.reason = Reason::Cleaning;
            });
            self.settle_end(at, id, events);
        }
        if held {
            self.change_job(at, id, |job, _| mark_requeue_hold(job, flags));
        }
        events.push(Event::JobChanged(id));
        Ok(Reply::Done)
    }

    fn check_requeue(&self, job: &Job) -> Result<(), Refusal> {
        let placed = job.partitions.iter().any(|name| self.partitions.contains_key(name));
        if !placed || job.spec.requeue != Some(true) {
            return Err(Refusal::from(Errno::Disabled));
        }
        if !job.is_batch() {
            return Err(Refusal::from(Errno::BatchOnly));
        }
        if job.base == JobBase::Pending {
            return Err(Refusal::from(Errno::JobPending));
        }
        Ok(())
    }
}

fn is_due(job: &Job, at: Time) -> bool {
    job.warning_due().is_some_and(|due| due <= at)
}

// REQUEUE_HOLD is the state of a job that failed to launch too often; one held by `requeuehold` is
// plainly PENDING, and shows SPECIAL_EXIT when asked to (source: `_job_requeue_op`).
fn mark_requeue_hold(job: &mut Job, flags: RequeueFlags) {
    let text = if flags.hold {
        "job requeued in held state"
    } else {
        "job requeued in special exit state"
    };
    hold_for(job, Reason::HeldUser, text);
    job.hold = Hold::User;
    job.flags.set(JobFlags::REQUEUE_HOLD, false);
    job.flags.set(JobFlags::SPECIAL_EXIT, flags.special_exit);
}
