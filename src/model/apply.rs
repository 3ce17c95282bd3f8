//! Commands take effect.
//!
//! Applying is total: a command that cannot be done is answered with a refusal and changes nothing
//! but the time. Reports of nodes that come late or twice are answered with `Reply::Stale`.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId, Time};

use crate::index::over_time_limit_of;
use crate::{
    Allocation, Applied, Cluster, Command, Errno, Event, Job, JobBase, JobFlags, Node, NodeName,
    Refusal, Reply,
};

/// The answer to a command before it is wrapped: refusals travel as errors.
pub(crate) type Outcome = Result<Reply, Refusal>;
/// Where events go.
pub(crate) type Events = Vec<Event>;
/// The table of nodes.
pub(crate) type Nodes = BTreeMap<NodeName, Node>;

impl Cluster {
    /// Changes the cluster as a committed command says. Never fails: what cannot be done is
    /// answered with a refusal and changes nothing.
    pub fn apply(&mut self, command: &Command) -> Applied {
        let mut events = Vec::new();
        let outcome = self.dispatch(command, &mut events);
        let reply = outcome.unwrap_or_else(Reply::Refused);
        // Whoever waits for a job learns of its start and its end, and so on from job to job.
        let mut judged = 0;
        while let Some(event) = events.get(judged) {
            judged += 1;
            if let Event::JobStarted(id, _) | Event::JobEnded(id, _) | Event::JobRequeued(id, _) =
                *event
            {
                self.settle_dependents(self.updated.jobs, id, &mut events);
            }
        }
        let mut seen = BTreeSet::new();
        events.retain(|event| seen.insert(event.clone()));
        Applied { reply, events }
    }

    fn dispatch(&mut self, command: &Command, events: &mut Events) -> Outcome {
        match command {
            Command::Configure { at, config } => self.configure(*at, config, events),
            Command::Submit { at, key, by, spec } => self.submit(*at, *key, *by, spec, events),
            Command::Update { at, job, by, changes } => {
                self.update_job(*at, *job, *by, changes, events)
            }
            Command::Requeue { at, job, by: _, flags } => {
                self.requeue_by_hand(*at, *job, *flags, events)
            }
            Command::Kill { at, job, by, signal, flags } => {
                self.kill(*at, *job, *by, *signal, *flags, events)
            }
            Command::Schedule { at, starts, reasons } => {
                Ok(self.schedule(*at, starts, reasons, events))
            }
            Command::LaunchConfirmed { at, job, attempt, node } => {
                Ok(self.launch_confirmed(*at, *job, *attempt, node, events))
            }
            Command::LaunchFailed { at, job, attempt, node, errno } => {
                Ok(self.launch_failed(*at, *job, *attempt, node, *errno, events))
            }
            Command::BatchComplete { at, end } => Ok(self.batch_complete(*at, end, events)),
            Command::EpilogComplete { at, job, attempt, node, rc } => {
                Ok(self.epilog_complete(*at, *job, *attempt, node, *rc, events))
            }
            Command::SignalDelivered { job, attempt, sequence } => {
                Ok(self.signal_delivered(*job, *attempt, *sequence, events))
            }
            Command::TimeLimitReached { at, job, attempt } => {
                Ok(self.time_limit_reached(*at, *job, *attempt, events))
            }
            Command::NodeRegistered { at, node, facts, running } => {
                self.node_registered(*at, node, facts, running, events)
            }
            Command::NodeNotResponding { at, node } => self.node_not_responding(*at, node, events),
            Command::NodeResponding { at, node, cpu_load, free_memory_mb } => {
                self.node_responding(*at, node, *cpu_load, *free_memory_mb, events)
            }
            Command::NodeDown { at, node, cause } => self.node_down(*at, node, *cause, events),
            Command::UpdateNode { at, node, by, changes } => {
                self.update_node(*at, node, *by, changes, events)
            }
            Command::UpdatePartition { at, by: _, create, partition } => {
                self.update_partition(*at, *create, partition, events)
            }
            Command::DeletePartition { at, by: _, partition } => {
                self.delete_partition(*at, partition, events)
            }
            Command::Purge { at } => Ok(self.purge(*at, events)),
            Command::Allocate { .. }
            | Command::AllocationOver { .. }
            | Command::NewsTold { .. }
            | Command::CreateStep { .. }
            | Command::StepPartEnded { .. }
            | Command::SignalStep { .. }
            | Command::StepSignalDelivered { .. }
            | Command::StepTimeLimitReached { .. } => self.dispatch_steps(command, events),
            Command::Suspend { .. }
            | Command::SuspensionTold { .. }
            | Command::PutReservation { .. }
            | Command::DeleteReservation { .. }
            | Command::ReservationOver { .. }
            | Command::Top { .. } => self.dispatch_operators(command, events),
            Command::Warn { at, job, attempt } => Ok(self.warn(*at, *job, *attempt, events)),
            Command::OfTasks { at, by, array, tasks, act } => {
                self.of_tasks(*at, *by, *array, tasks.as_ref(), act, events)
            }
        }
    }

    /// Commands about suspended jobs, the queue and reservations.
    fn dispatch_operators(&mut self, command: &Command, events: &mut Events) -> Outcome {
        match command {
            Command::Suspend { at, job, by: _, resume } => self.suspend(*at, *job, *resume, events),
            Command::SuspensionTold { at, job, attempt, node, sequence } => {
                Ok(self.suspension_told(*at, *job, *attempt, node, *sequence, events))
            }
            Command::PutReservation { at, by: _, create, reservation } => {
                self.put_reservation(*at, *create, reservation, events)
            }
            Command::DeleteReservation { at, by: _, name } => {
                self.delete_reservation(*at, name, events)
            }
            Command::ReservationOver { at, name } => Ok(self.reservation_over(*at, name, events)),
            Command::Top { at, by, jobs } => self.top(*at, *by, jobs, events),
            _ => unreachable!("only commands of operators are handed on"),
        }
    }

    /// Commands about allocations and steps.
    fn dispatch_steps(&mut self, command: &Command, events: &mut Events) -> Outcome {
        match command {
            Command::Allocate { at, key, by, spec, client } => {
                self.allocate(*at, *key, *by, spec, client, events)
            }
            Command::AllocationOver { at, job, by, status } => {
                self.allocation_over(*at, *job, *by, *status, events)
            }
            Command::NewsTold { at, job, attempt, news } => {
                Ok(self.news_told(*at, *job, *attempt, *news))
            }
            Command::CreateStep { at, job, key, spec } => {
                self.create_step(*at, *job, *key, spec, events)
            }
            Command::StepPartEnded { at, job, attempt, step, range, status } => {
                let part = (*step, range.0, range.1);
                Ok(self.step_part_ended(*at, *job, *attempt, part, *status, events))
            }
            Command::SignalStep { at, job, step, signal, flags } => {
                self.signal_step(*at, *job, *step, *signal, *flags, events)
            }
            Command::StepSignalDelivered { job, attempt, step, sequence } => {
                Ok(self.step_signal_delivered(*job, *attempt, *step, *sequence))
            }
            Command::StepTimeLimitReached { at, job, attempt, step } => {
                Ok(self.step_limit_reached(*at, *job, *attempt, *step, events))
            }
            _ => unreachable!("only commands about steps are handed on"),
        }
    }

    /// Changes a job with the indexes kept in step. The job must exist.
    pub(crate) fn change_job<R>(
        &mut self,
        at: Time,
        id: JobId,
        change: impl FnOnce(&mut Job, &Nodes) -> R,
    ) -> R {
        let job = self.jobs.get_mut(&id).expect("callers change jobs that they found");
        let over = over_time_limit_of(&self.partitions, &self.settings, job);
        self.index.remove(job, over);
        let result = change(job, &self.nodes);
        settle_completing(job);
        let over = over_time_limit_of(&self.partitions, &self.settings, job);
        self.index.insert(job, over);
        self.updated.jobs = self.updated.jobs.max(at);
        result
    }

    /// Adds a job. Its number must be new.
    pub(crate) fn add_job(&mut self, at: Time, job: Job) {
        let over = over_time_limit_of(&self.partitions, &self.settings, &job);
        self.index.insert(&job, over);
        let earlier = self.jobs.insert(job.id, job);
        assert!(earlier.is_none(), "a job's number was given twice");
        self.updated.jobs = self.updated.jobs.max(at);
    }

    /// Forgets a job.
    pub(crate) fn remove_job(&mut self, at: Time, id: JobId) {
        let job = self.jobs.remove(&id).expect("callers remove jobs that they found");
        let over = over_time_limit_of(&self.partitions, &self.settings, &job);
        self.index.remove(&job, over);
        if let Some(steps) = self.steps.remove(&id) {
            self.index.place_steps(id, &steps, false);
        }
        self.updated.jobs = self.updated.jobs.max(at);
    }

    /// Changes a node. It must exist.
    pub(crate) fn change_node<R>(
        &mut self,
        at: Time,
        name: &NodeName,
        events: &mut Events,
        change: impl FnOnce(&mut Node) -> R,
    ) -> R {
        let node = self.nodes.get_mut(name).expect("callers change nodes that they found");
        let before = node.clone();
        let result = change(node);
        if *node != before {
            self.touch_node(at, name, events);
        }
        result
    }

    /// Says that a node looks different.
    pub(crate) fn touch_node(&mut self, at: Time, name: &NodeName, events: &mut Events) {
        self.updated.nodes = self.updated.nodes.max(at);
        if let Some(node) = self.nodes.get(name) {
            self.index.know(node);
        }
        events.push(Event::NodeChanged(name.clone()));
    }

    /// A new attempt's id, larger than any before: cluster, milliseconds and a counter, as Slurm
    /// builds its own.
    pub(crate) fn next_attempt(&mut self, at: Time) -> AttemptId {
        let millis = u64::try_from(at.0 / 1_000).unwrap_or(0) & ((1 << ATTEMPT_MILLIS_BITS) - 1);
        let fresh = millis << ATTEMPT_COUNT_BITS;
        let cluster = u64::from(self.cluster_id) << (ATTEMPT_MILLIS_BITS + ATTEMPT_COUNT_BITS);
        self.attempt_last = (cluster | fresh).max(self.attempt_last.saturating_add(1));
        AttemptId(self.attempt_last)
    }

    /// The priority of a job that enters the queue: each one less than the one before.
    pub(crate) fn next_priority(&mut self, nice: i32) -> u32 {
        self.priority_next = self.priority_next.saturating_sub(1).max(1);
        let wanted = i64::from(self.priority_next) - i64::from(nice);
        let priority = wanted.clamp(1, i64::from(PRIORITY_MAX));
        u32::try_from(priority).expect("clamped to what fits")
    }

    /// A job that exists, or Slurm's refusal.
    pub(crate) fn find_job(&self, id: JobId) -> Result<&Job, Refusal> {
        self.jobs.get(&id).ok_or_else(|| Refusal::from(Errno::InvalidJobId))
    }

    /// A node that exists, or Slurm's refusal.
    pub(crate) fn find_node(&self, name: &NodeName) -> Result<&Node, Refusal> {
        self.nodes.get(name).ok_or_else(|| Refusal::from(Errno::InvalidNodeName))
    }
}

/// Bits of an attempt's id that hold milliseconds.
const ATTEMPT_MILLIS_BITS: u32 = 42;
/// Bits of an attempt's id that count within a millisecond.
const ATTEMPT_COUNT_BITS: u32 = 10;
/// The first job's priority is one less.
pub(crate) const PRIORITY_FIRST: u32 = 0xffff_0000;
/// The highest priority: above it lie Slurm's NO_VAL and INFINITE.
pub(crate) const PRIORITY_MAX: u32 = 0xffff_fffd;

/// COMPLETING is on exactly while a job that does not run still holds resources.
fn settle_completing(job: &mut Job) {
    let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
    let holds = job.allocation.as_ref().is_some_and(Allocation::is_open);
    job.flags.set(JobFlags::COMPLETING, holds && !runs);
}
