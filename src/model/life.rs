//! The life of a started attempt: launch, end, clean-up, another attempt.
//!
//! Invariant: resources of a node are free only after that node has confirmed that nothing of the
//! attempt is left, or an operator has answered for a silent node. A job gets a new attempt only
//! when all its nodes have confirmed, so at most one attempt can be alive.

use flurm_base::{AttemptId, JobId, Time};

use crate::apply::{Events, Nodes};
use crate::index::{end_due, over_time_limit_of};
use crate::{
    BatchEnd, Cluster, EndCause, Event, Hold, Job, JobBase, JobFlags, Launch, NodeFlags, NodeName,
    Reason, Reply, ShareState,
};

/// Slurm's errors that a node gives when a request came too late, not when it is broken:
/// ESLURM_ALREADY_DONE, ESLURMD_KILL_JOB_ALREADY_COMPLETE, ESLURMD_CREDENTIAL_REVOKED,
/// ESLURMD_STEP_NOTRUNNING.
const ERRNOS_OF_RACES: [u32; 4] = [2021, 4002, 4008, 4027];
/// Slurm's errors that are not the node's fault: ESLURM_USER_ID_MISSING,
/// ESLURMD_INVALID_ACCT_FREQ, ESLURM_AUTH_EXPIRED and a credential that expired on its way.
const ERRNOS_OF_REQUESTS: [u32; 4] = [2010, 4003, 4007, 6001];
/// ESLURMD_PROLOG_FAILED.
const ERRNO_PROLOG_FAILED: u32 = 4022;
/// Low byte of a status that stands for a lack of memory.
const SIG_OOM: u32 = 253;

/// How an attempt ends.
pub(crate) struct Ending {
    pub(crate) base: JobBase,
    pub(crate) cause: EndCause,
    pub(crate) reason: Reason,
    pub(crate) reason_text: String,
    pub(crate) exit_status: u32,
}

impl Ending {
    pub(crate) fn new(base: JobBase, cause: EndCause, reason: Reason) -> Self {
        Self { base, cause, reason, reason_text: String::new(), exit_status: 0 }
    }
}

impl Cluster {
    /// The attempt, if it is the job's current one.
    fn current(&self, id: JobId, attempt: AttemptId) -> Option<&Job> {
        self.jobs.get(&id).filter(|job| {
            job.attempt == attempt || flurm_base::planted::is("model_takes_stale_reports")
        })
    }

    /// Ends the attempt of a job that holds resources: its nodes are to clean up.
    pub(crate) fn end_attempt(&mut self, at: Time, id: JobId, ending: Ending, events: &mut Events) {
        let open = open_nodes(&self.jobs[&id]);
        self.change_job(at, id, |job, nodes| {
            assert!(!job.base.is_terminal(), "an ended attempt does not end again");
            job.flags.set(JobFlags::SIGNALING | JobFlags::STOPPED | JobFlags::CONFIGURING, false);
            job.reason = ending.reason;
            job.reason_text = ending.reason_text;
            job.exit_status = ending.exit_status;
            // What was suspended ended then: it has done nothing since (`job_signal`).
            let last = job.suspend.filter(|_| job.base == JobBase::Suspended).unwrap_or(at);
            job.end = Some(job.start.map_or(last, |start| start.max(last)));
            if let Some(suspension) = &mut job.suspension {
                suspension.untold.clear();
            }
            job.base = ending.base;
            job.end_cause = Some(ending.cause);
            if !flurm_base::planted::is("model_launches_what_has_ended") {
                job.launch = Launch::None;
            }
            job.signals.clear();
            end_shares(job, nodes, at, |_| true);
        });
        self.doubt_words(at, id, &open, events);
        self.account_for(id);
        self.end_steps(at, id);
        self.settle_steps(at, id, events);
        let attempt = self.jobs[&id].attempt;
        events.push(Event::JobEnding(id, attempt));
        self.touch_nodes_of(at, id, events);
        self.settle_end(at, id, events);
    }

    /// Ends the attempt and queues the job again once its nodes have confirmed.
    pub(crate) fn requeue_attempt(
        &mut self,
        at: Time,
        id: JobId,
        reason: Reason,
        events: &mut Events,
    ) {
        let ending = Ending::new(JobBase::Pending, EndCause::Killed, reason);
        self.change_job(at, id, |job, _| job.restarts = job.restarts.saturating_add(1));
        self.end_attempt(at, id, ending, events);
    }

    pub(crate) fn touch_nodes_of(&mut self, at: Time, id: JobId, events: &mut Events) {
        let shares = self.jobs[&id].allocation.iter().flat_map(|all| &all.shares);
        let names: Vec<NodeName> = shares.map(|share| share.node.clone()).collect();
        for name in names {
            self.touch_node(at, &name, events);
        }
    }

    /// Once nothing is held any more: the job is over, or waits again with a new attempt.
    pub(crate) fn settle_end(&mut self, at: Time, id: JobId, events: &mut Events) {
        let job = &self.jobs[&id];
        let open = job.allocation.as_ref().is_some_and(crate::Allocation::is_open);
        let early = flurm_base::planted::is("model_requeues_before_confirmation");
        if open && !(early && job.base == JobBase::Pending) {
            return;
        }
        match job.base {
            JobBase::Running | JobBase::Suspended => {}
            JobBase::Pending => {
                self.forget_steps(at, id);
                self.queue_again(at, id, events);
            }
            _ => {
                let attempt = job.attempt;
                self.forget_steps(at, id);
                events.push(Event::JobEnded(id, attempt));
            }
        }
    }

    /// A fresh attempt for a job whose earlier one is gone everywhere.
    pub(crate) fn queue_again(&mut self, at: Time, id: JobId, events: &mut Events) {
        let attempt = self.next_attempt(at);
        let job = &self.jobs[&id];
        let lost = !job.partitions.iter().any(|name| self.partitions.contains_key(name));
        let (nice, keeps) = (job.spec.nice, job.hold != Hold::None || job.priority_fixed);
        let priority = if keeps || lost { job.priority } else { self.next_priority(nice) };
        self.change_job(at, id, |job, _| {
            assert!(attempt > job.attempt, "attempts grow");
            job.attempt = attempt;
            job.base = JobBase::Pending;
            job.flags.set(JobFlags::LAUNCH_FAILED, false);
            job.submit = at;
            job.priority = priority;
            job.allocation = None;
            job.start = None;
            job.end = None;
            job.end_cause = None;
            job.exit_status = 0;
            job.derived_exit_status = 0;
            job.partition = job.partitions[0].clone();
            job.ended_by = None;
            job.suspend = None;
            job.suspension = None;
            job.licenses.clear();
            job.warned = false;
            if !job.time_limit_fixed {
                job.time_limit = job.spec.time_limit.unwrap_or(job.time_limit);
            }
            let begin = job.spec.begin.map_or(at, |begin| begin.max(at));
            job.eligible = (job.hold == Hold::None).then_some(begin);
            job.accrue = job.eligible;
            if job.hold == Hold::None {
                job.reason = Reason::None;
                job.reason_text.clear();
            }
            if lost {
                hold_for(job, Reason::FailDownPartition, "its partition was removed");
            }
        });
        events.push(Event::JobRequeued(id, attempt));
    }

    pub(crate) fn launch_confirmed(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        node: &NodeName,
        events: &mut Events,
    ) -> Reply {
        let Some(job) = self.current(id, attempt) else { return Reply::Stale };
        let awaited = matches!(job.launch, Launch::Needed { .. });
        if !awaited && !flurm_base::planted::is("model_confirms_what_is_not_launched") {
            return Reply::Stale;
        }
        if batch_host(job) != Some(node) {
            return Reply::Stale;
        }
        self.change_job(at, id, |job, _| job.launch = Launch::Confirmed { at });
        events.push(Event::JobChanged(id));
        Reply::Done
    }

    pub(crate) fn launch_failed(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        node: &NodeName,
        errno: u32,
        events: &mut Events,
    ) -> Reply {
        let Some(job) = self.current(id, attempt) else { return Reply::Stale };
        let Launch::Needed { .. } = job.launch else { return Reply::Stale };
        if batch_host(job) != Some(node) {
            return Reply::Stale;
        }
        self.drain_at_fault(at, node, errno, events);
        self.fail_launch(at, id, errno, 0, events);
        Reply::Done
    }

    /// The batch script could not be run: another try elsewhere, a hold, or the end.
    fn fail_launch(&mut self, at: Time, id: JobId, errno: u32, status: u32, events: &mut Events) {
        let job = &self.jobs[&id];
        if job.spec.requeue != Some(true) || !job.is_batch() {
            let mut ending = Ending::new(JobBase::Failed, EndCause::Killed, Reason::Launch);
            ending.exit_status = if status == 0 { 1 << 8 } else { status };
            self.end_attempt(at, id, ending, events);
            return;
        }
        flurm_base::sometimes!("a job was requeued because its launch failed");
        let failures_max = self.settings.batch_requeue_max;
        self.change_job(at, id, |job, _| {
            job.launch_failures = job.launch_failures.saturating_add(1);
        });
        self.requeue_attempt(at, id, Reason::Launch, events);
        let failures = self.jobs[&id].launch_failures;
        flurm_base::sometimes!(
            failures > failures_max,
            "a job was held after too many failed launches"
        );
        let (reason, text) = if failures > failures_max {
            (Reason::MaxRequeue, "launch failure limit exceeded requeued held")
        } else if errno == ERRNO_PROLOG_FAILED {
            (Reason::HeldUser, "launch failed requeued held")
        } else {
            return;
        };
        self.change_job(at, id, |job, _| {
            hold_for(job, reason, text);
            job.hold = Hold::User;
            if reason == Reason::MaxRequeue {
                job.flags.set(JobFlags::REQUEUE_HOLD, true);
                job.launch_failures = 0;
            }
        });
    }

    /// Takes a node out of service when an error shows that it cannot run jobs.
    fn drain_at_fault(&mut self, at: Time, node: &NodeName, errno: u32, events: &mut Events) {
        let harmless = ERRNOS_OF_RACES.contains(&errno) || ERRNOS_OF_REQUESTS.contains(&errno);
        let blind = flurm_base::planted::is("model_keeps_bad_nodes");
        if errno == 0 || harmless || blind {
            return;
        }
        let reason = match errno {
            ERRNO_PROLOG_FAILED => "Prolog error",
            _ => "batch job complete failure",
        };
        flurm_base::sometimes!("a node was drained because it failed a job");
        self.drain(at, node, reason, events);
    }

    /// Drains a node on the controller's own behalf; an earlier reason stays.
    pub(crate) fn drain(&mut self, at: Time, name: &NodeName, reason: &str, events: &mut Events) {
        if !self.nodes.contains_key(name) {
            return;
        }
        let uid = self.settings.slurm_uid;
        self.change_node(at, name, events, |node| {
            if !node.flags.has(NodeFlags::DRAIN) {
                node.flags.set(NodeFlags::DRAIN, true);
                node.set_reason(at, uid, reason);
            }
        });
    }

    pub(crate) fn batch_complete(
        &mut self,
        at: Time,
        end: &BatchEnd,
        events: &mut Events,
    ) -> Reply {
        let Some(job) = self.current(end.job, end.attempt) else { return Reply::Stale };
        let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
        if batch_host(job) != Some(&end.node) {
            return Reply::Stale;
        }
        if !runs {
            return self.late_end(at, end, events);
        }
        if end.node_restarted {
            flurm_base::sometimes!("a node reported a batch script lost in its restart");
            self.fail_on_node(at, end.job, &end.node, events);
            return Reply::Done;
        }
        let failed = end.errno != 0 && !ERRNOS_OF_RACES.contains(&end.errno);
        if failed {
            self.drain_at_fault(at, &end.node, end.errno, events);
            self.fail_launch(at, end.job, end.errno, end.status, events);
            return Reply::Done;
        }
        let ending = ending_of(end);
        self.change_job(at, end.job, |job, _| job.launch_failures = 0);
        self.end_attempt(at, end.job, ending, events);
        Reply::Done
    }

    /// The script of an attempt that was told to end says how it ended: shown, and nothing more.
    fn late_end(&mut self, at: Time, end: &BatchEnd, events: &mut Events) -> Reply {
        let job = self.jobs.get(&end.job).expect("the caller found the job");
        let is_news = matches!(job.base, JobBase::Cancelled | JobBase::Timeout)
            && job.flags.has(JobFlags::COMPLETING)
            && job.exit_status == 0
            && end.status != 0;
        if !is_news {
            return Reply::Stale;
        }
        flurm_base::sometimes!("a cancelled script told how it ended");
        self.change_job(at, end.job, |job, _| job.exit_status = end.status);
        events.push(Event::JobChanged(end.job));
        Reply::Done
    }

    pub(crate) fn epilog_complete(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        node: &NodeName,
        rc: u32,
        events: &mut Events,
    ) -> Reply {
        let reply = self.epilog_of_share(at, id, attempt, node, rc, events);
        // After the share: an operator's word may just have made an orphan of it.
        let was_orphan = self.forget_orphan(at, node, (id, attempt), events);
        flurm_base::sometimes!(was_orphan, "a node has ended what nobody wanted");
        if was_orphan { Reply::Done } else { reply }
    }

    fn epilog_of_share(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        node: &NodeName,
        rc: u32,
        events: &mut Events,
    ) -> Reply {
        let any = self.jobs.get(&id).filter(|_| flurm_base::planted::is("model_takes_any_epilog"));
        let Some(job) = any.or(self.current(id, attempt)) else { return Reply::Stale };
        let share = job.allocation.as_ref().and_then(|all| all.share(node));
        let Some(state) = share.map(|share| share.state) else { return Reply::Stale };
        match state {
            ShareState::Freed => return Reply::Stale,
            // The node has nothing of an attempt that should run there: it was lost.
            ShareState::Held => self.fail_on_node(at, id, node, events),
            ShareState::Ending { .. } => {}
        }
        if rc != 0 {
            self.drain(at, node, "Epilog error", events);
        }
        self.free_share(at, id, node, events);
        Reply::Done
    }

    /// A node holds nothing of a job any more.
    pub(crate) fn free_share(&mut self, at: Time, id: JobId, node: &NodeName, events: &mut Events) {
        let freed = self.change_job(at, id, |job, _| {
            let shares = job.allocation.iter_mut().flat_map(|all| &mut all.shares);
            let mut open = shares.filter(|share| share.node == *node && share.is_open());
            open.next().map(|share| share.state = ShareState::Freed).is_some()
        });
        if !freed {
            return;
        }
        events.push(Event::JobChanged(id));
        self.settle_steps(at, id, events);
        if self.nodes.contains_key(node) {
            self.change_node(at, node, events, |node| node.last_busy = Some(at));
            self.touch_node(at, node, events);
        }
        self.settle_end(at, id, events);
        self.forget_removed_node(at, node, events);
    }

    /// A node under a running attempt failed: the attempt ends, or goes on without it.
    pub(crate) fn fail_on_node(
        &mut self,
        at: Time,
        id: JobId,
        node: &NodeName,
        events: &mut Events,
    ) {
        let job = &self.jobs[&id];
        if !matches!(job.base, JobBase::Running | JobBase::Suspended) {
            return;
        }
        let count = job.allocation.as_ref().map_or(0, |all| all.shares.len());
        if !job.spec.kill_on_node_fail && count > 1 && batch_host(job) != Some(node) {
            let open = open_nodes(job);
            self.change_job(at, id, |job, nodes| {
                end_shares(job, nodes, at, |share| share == node);
            });
            self.doubt_words(at, id, &open, events);
            self.settle_steps(at, id, events);
            events.push(Event::JobChanged(id));
            return;
        }
        let again = job.is_batch() && job.spec.requeue == Some(true);
        self.change_job(at, id, |job, _| job.failed_node = Some(node.clone()));
        if again {
            flurm_base::sometimes!("a job was requeued because its node failed");
            self.requeue_attempt(at, id, Reason::NodeDown, events);
        } else {
            let mut ending = Ending::new(JobBase::NodeFail, EndCause::Killed, Reason::NodeDown);
            ending.exit_status = 1;
            self.end_attempt(at, id, ending, events);
        }
    }

    pub(crate) fn time_limit_reached(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        events: &mut Events,
    ) -> Reply {
        let Some(job) = self.jobs.get(&id).filter(|job| job.attempt == attempt) else {
            return Reply::Stale;
        };
        let over = over_time_limit_of(&self.partitions, &self.settings, job);
        if end_due(job, over).is_none_or(|due| due > at) {
            return Reply::Stale;
        }
        let late = job.deadline_due().is_some_and(|due| due <= at);
        if job.base == JobBase::Pending {
            return self.miss_deadline(at, id, events);
        }
        let (base, reason) = match late {
            true => (JobBase::Deadline, Reason::Deadline),
            false => (JobBase::Timeout, Reason::TimeLimit),
        };
        flurm_base::sometimes!("a job ran out of time");
        let ending = Ending::new(base, EndCause::TimeLimit, reason);
        self.end_attempt(at, id, ending, events);
        Reply::Done
    }
}

/// The node that runs a job's batch script.
pub(crate) fn batch_host(job: &Job) -> Option<&NodeName> {
    job.allocation.as_ref().map(crate::Allocation::batch_host)
}

/// Asks the nodes that `which` names to end what is there. A node that an operator answers for and
/// that does not answer itself is taken at the operator's word.
pub(crate) fn end_shares(
    job: &mut Job,
    nodes: &Nodes,
    at: Time,
    which: impl Fn(&NodeName) -> bool,
) {
    let Some(allocation) = &mut job.allocation else { return };
    for share in allocation.shares.iter_mut().filter(|share| which(&share.node)) {
        if share.state == ShareState::Held {
            share.state = ShareState::Ending { since: at };
        }
        let answered = nodes.get(&share.node).is_some_and(crate::Node::is_answered_for);
        if answered || flurm_base::planted::is("model_frees_before_confirmation") {
            share.state = ShareState::Freed;
        }
    }
}

/// Nodes where something is held for a job, or being ended.
fn open_nodes(job: &Job) -> Vec<NodeName> {
    let shares = job.allocation.iter().flat_map(|all| &all.shares);
    shares.filter(|share| share.is_open()).map(|share| share.node.clone()).collect()
}

/// Holds a waiting job for a reason that an operator has to look at.
pub(crate) fn hold_for(job: &mut Job, reason: Reason, text: &str) {
    job.priority = 0;
    job.priority_fixed = false;
    job.hold = Hold::Admin;
    job.reason = reason;
    job.reason_text = String::from(text);
    job.eligible = None;
}

/// What a batch script's own end makes of its job.
fn ending_of(end: &BatchEnd) -> Ending {
    ending_of_status(end.status, end.out_of_memory)
}

/// What the status of a script, or of the client of an allocation, makes of its job.
pub(crate) fn ending_of_status(status: u32, out_of_memory: bool) -> Ending {
    let signal = status & 0x7f;
    let code = (status >> 8) & 0xff;
    let of_memory = out_of_memory || status & 0xff == SIG_OOM;
    let (base, reason) = match (of_memory, signal, code) {
        (true, _, _) => (JobBase::OutOfMemory, Reason::OutOfMemory),
        (false, 0, 0) => (JobBase::Completed, Reason::None),
        (false, 0, _) => (JobBase::Failed, Reason::ExitCode),
        (false, _, _) => (JobBase::Failed, Reason::Signal),
    };
    let mut ending = Ending::new(base, EndCause::Finished, reason);
    if reason == Reason::Signal {
        ending.reason_text = format!("RaisedSignal:{signal}({})", crate::signals::text(signal));
    }
    ending.exit_status = status;
    ending
}
