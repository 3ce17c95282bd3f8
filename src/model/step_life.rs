//! The life of allocations and steps: made, signalled, ended node by node, over.

use std::collections::BTreeSet;
use std::sync::Arc;

use flurm_base::{AttemptId, JobId, RequestKey, Span, Time};

use crate::act::SIGNALS_MAX;
use crate::apply::{Events, Outcome};
use crate::life::ending_of_status;
use crate::signals::SIGKILL;
use crate::step::INTERACTIVE_STEP;
use crate::step_place::place;
use crate::{
    Actor, AllocClient, Cluster, Errno, Event, Job, JobBase, JobSpec, JobSteps, News, NodeName,
    Order, Refusal, Reply, SignalRequest, Step, StepPart, StepSpec,
};

/// Steps that a job may ever have (`MaxStepCount`'s default).
pub(crate) const STEPS_MAX: u32 = 40_000;
/// Steps of a job that may run at once.
pub(crate) const STEPS_RUNNING_MAX: usize = 10_000;
/// The largest number a user may give a step: Slurm's special steps lie above.
const STEP_NUMBER_MAX: u32 = 0xffff_fff0;

impl Cluster {
    /// The steps of a job, and the client of its allocation; `None` where it has neither.
    pub fn steps_of(&self, job: JobId) -> Option<&JobSteps> {
        self.steps.get(&job)
    }

    /// A step of a job's present attempt.
    pub fn step(&self, job: JobId, number: u32) -> Option<&Step> {
        self.steps.get(&job)?.running.get(&number)
    }

    /// Steps whose time limit has passed: each deserves `Command::StepTimeLimitReached`.
    pub fn step_limits_reached(&self, now: Time) -> Vec<(JobId, AttemptId, u32)> {
        let due = self.index.step_limits.iter().take_while(|(at, _)| *at <= now);
        let of_job = |(_, id): &(Time, JobId)| {
            let steps = &self.steps[id];
            let late = move |step: &&Step| step.time_limit_end().is_some_and(|end| end <= now);
            let running = steps.running.values().filter(late);
            running.map(|step| (*id, steps.attempt, step.number)).collect::<Vec<_>>()
        };
        due.flat_map(of_job).collect()
    }

    /// The earliest time at which a step passes its limit.
    pub fn step_limit_next(&self) -> Option<Time> {
        self.index.step_limits.first().map(|(at, _)| *at)
    }

    /// What clients and nodes are to be told about steps and allocations.
    pub(crate) fn step_orders(&self, id: JobId) -> Vec<Order> {
        let Some(steps) = self.steps.get(&id) else { return Vec::new() };
        let attempt = steps.attempt;
        // One piece of news at a time, so that they arrive in order.
        let news = steps.news.first();
        let news = news.map(|news| Order::Tell { job: id, attempt, news: *news });
        let of_step = |step: &Step| {
            let (nodes, number) = (step.nodes_open(), step.number);
            let order = move |request: &SignalRequest| Order::SignalStep {
                job: id,
                attempt,
                step: number,
                nodes: nodes.clone(),
                signal: request.signal,
                flags: request.flags,
                sequence: request.sequence,
            };
            step.signals.iter().map(order).collect::<Vec<_>>()
        };
        news.into_iter().chain(steps.running.values().flat_map(of_step)).collect()
    }

    /// Changes a job's steps with the indexes kept in step; an entry that holds nothing goes.
    pub(crate) fn change_steps<R>(
        &mut self,
        at: Time,
        id: JobId,
        change: impl FnOnce(&mut JobSteps) -> R,
    ) -> R {
        let mut steps = self.steps.remove(&id).unwrap_or_default();
        self.index.place_steps(id, &steps, false);
        let result = change(&mut steps);
        if !steps.is_empty() {
            self.index.place_steps(id, &steps, true);
            self.steps.insert(id, steps);
        }
        self.updated.jobs = self.updated.jobs.max(at);
        result
    }

    pub(crate) fn allocate(
        &mut self,
        at: Time,
        key: Option<RequestKey>,
        by: Actor,
        spec: &JobSpec,
        client: &AllocClient,
        events: &mut Events,
    ) -> Outcome {
        let reply = self.submit(at, key, by, spec, events)?;
        if let Reply::Submitted { job, attempt, repeated: false } = reply {
            self.change_steps(at, job, |steps| {
                steps.attempt = attempt;
                steps.client = Some(client.clone());
            });
        }
        Ok(reply)
    }

    /// A job got its nodes: its steps begin anew, and a client that waits is to hear it.
    pub(crate) fn begin_steps(&mut self, at: Time, id: JobId) {
        let (submit, attempt) = (self.jobs[&id].submit, self.jobs[&id].attempt);
        if !self.steps.contains_key(&id) {
            return;
        }
        self.change_steps(at, id, |steps| {
            steps.attempt = attempt;
            let waits = steps.client.as_ref().is_some_and(|client| client.allocation_port != 0);
            if waits && submit < at {
                steps.news.push(News::Allocated);
            }
        });
    }

    /// An attempt ends: nothing of its steps is waited for, and its client is to hear it.
    pub(crate) fn end_steps(&mut self, at: Time, id: JobId) {
        if !self.steps.contains_key(&id) {
            return;
        }
        self.change_steps(at, id, |steps| {
            steps.paused_at = None;
            for step in steps.running.values_mut() {
                step.signals.clear();
                step.timed_out = true;
            }
            steps.news.clear();
            if steps.client.as_ref().is_some_and(|client| client.message_port != 0) {
                steps.news.push(News::Over);
            }
        });
    }

    /// Nothing is left of an attempt on any node.
    pub(crate) fn forget_steps(&mut self, at: Time, id: JobId) {
        if !self.steps.contains_key(&id) {
            return;
        }
        self.change_steps(at, id, |steps| {
            steps.running.clear();
            steps.next = 0;
            if steps.news.is_empty() {
                steps.client = None;
            }
        });
    }

    pub(crate) fn news_told(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        news: News,
    ) -> Reply {
        let known = self.steps.get(&id).filter(|steps| steps.attempt == attempt);
        if known.is_none_or(|steps| steps.news.first() != Some(&news)) {
            return Reply::Stale;
        }
        let finished = self.jobs.get(&id).is_none_or(Job::is_finished);
        self.change_steps(at, id, |steps| {
            steps.news.remove(0);
            if finished && steps.news.is_empty() {
                steps.client = None;
            }
        });
        Reply::Done
    }

    /// The client of an allocation gives it back.
    pub(crate) fn allocation_over(
        &mut self,
        at: Time,
        id: JobId,
        by: Actor,
        status: u32,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        match job.base {
            JobBase::Pending => self.kill(at, id, by, SIGKILL, 0, events),
            JobBase::Running | JobBase::Suspended => {
                self.end_attempt(at, id, ending_of_status(status, false), events);
                Ok(Reply::Done)
            }
            _ => Err(Refusal::from(Errno::AlreadyDone)),
        }
    }

    pub(crate) fn create_step(
        &mut self,
        at: Time,
        id: JobId,
        key: Option<RequestKey>,
        spec: &StepSpec,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        match job.base {
            JobBase::Running => {}
            JobBase::Pending => return Err(Refusal::from(Errno::DuplicateJobId)),
            JobBase::Suspended => return Err(Refusal::from(Errno::Disabled)),
            _ => return Err(Refusal::from(Errno::AlreadyDone)),
        }
        let none = JobSteps { attempt: job.attempt, ..JobSteps::default() };
        let steps = self.steps.get(&id).unwrap_or(&none);
        let same = |step: &&Step| key.is_some() && step.key == key;
        if let Some(step) = steps.running.values().find(same) {
            flurm_base::sometimes!("a request for a step was repeated and answered with the same");
            return Ok(Reply::StepCreated { job: id, step: step.number });
        }
        let number = number_of(steps, spec)?;
        let (parts, cpus_per_task) = self.place_step(job, steps, spec)?;
        let attempt = job.attempt;
        let step = Step {
            number,
            spec: Arc::new(spec.clone()),
            key,
            start: at,
            cpus_per_task,
            parts,
            status: 0,
            timed_out: false,
            signals: Vec::new(),
            signal_next: 0,
            paused: Span(0),
        };
        self.change_steps(at, id, |steps| {
            steps.attempt = attempt;
            if number < STEP_NUMBER_MAX {
                steps.next = steps.next.max(number + 1);
            }
            steps.running.insert(number, step);
        });
        events.push(Event::StepChanged(id, number));
        Ok(Reply::StepCreated { job: id, step: number })
    }

    fn place_step(
        &self,
        job: &Job,
        steps: &JobSteps,
        spec: &StepSpec,
    ) -> Result<(Vec<StepPart>, u16), Refusal> {
        if spec.has(crate::step_flags::INTERACTIVE) {
            return interactive(job);
        }
        let is_up = |name: &NodeName| {
            self.nodes.get(name).is_some_and(|node| node.base == crate::NodeBase::Up)
        };
        place(job, steps, spec, is_up)
    }

    /// A node's part of a step ended.
    pub(crate) fn step_part_ended(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        (number, first, last): (u32, u32, u32),
        status: u32,
        events: &mut Events,
    ) -> Reply {
        let steps = self.steps.get(&id).filter(|steps| steps.attempt == attempt);
        let Some(step) = steps.and_then(|steps| steps.running.get(&number)) else {
            return Reply::Stale;
        };
        let (first, last) = (first as usize, last as usize);
        if first > last || last >= step.parts.len() {
            return Reply::Stale;
        }
        if step.parts[first..=last].iter().all(|part| part.ended) {
            return Reply::Stale;
        }
        let highest = self.change_steps(at, id, |steps| {
            let step = steps.running.get_mut(&number).expect("it was found just now");
            step.parts[first..=last].iter_mut().for_each(|part| part.ended = true);
            step.status = worse(step.status, status);
            let over = step.parts.iter().all(|part| part.ended);
            over.then(|| steps.running.remove(&number).map_or(0, |step| step.status))
        });
        if let Some(status) = highest {
            if status > self.jobs[&id].derived_exit_status {
                self.change_job(at, id, |job, _| job.derived_exit_status = status);
                events.push(Event::JobChanged(id));
            }
            events.push(Event::StepEnded(id, number));
        }
        events.push(Event::StepChanged(id, number));
        Reply::Done
    }

    /// Parts on nodes that hold nothing of the job any more are over.
    pub(crate) fn settle_steps(&mut self, at: Time, id: JobId, events: &mut Events) {
        let Some(steps) = self.steps.get(&id) else { return };
        let attempt = steps.attempt;
        let allocation = self.jobs[&id].allocation.as_ref();
        let held = |node: &NodeName| {
            allocation.and_then(|all| all.share(node)).is_some_and(crate::Share::is_open)
        };
        let lost_of = |step: &Step| {
            let parts = (0u32..).zip(&step.parts);
            let lost = parts.filter(|(_, part)| !part.ended && !held(&part.node));
            lost.map(|(part, _)| (step.number, part)).collect::<Vec<_>>()
        };
        let lost: Vec<(u32, u32)> = steps.running.values().flat_map(lost_of).collect();
        for (number, part) in lost {
            let killed = u32::from(SIGKILL);
            self.step_part_ended(at, id, attempt, (number, part, part), killed, events);
        }
    }

    pub(crate) fn signal_step(
        &mut self,
        at: Time,
        id: JobId,
        number: u32,
        signal: u16,
        flags: u16,
        events: &mut Events,
    ) -> Outcome {
        let job = self.find_job(id)?;
        if job.base.is_terminal() {
            return Err(Refusal::from(Errno::AlreadyDone));
        }
        let step = self.step(id, number).ok_or_else(|| Refusal::from(Errno::InvalidJobId))?;
        if step.signals.len() >= SIGNALS_MAX {
            let text = "earlier signals have not been delivered yet";
            return Err(Refusal::new(Errno::TransitionStateNoUpdate, text));
        }
        self.change_steps(at, id, |steps| {
            let step = steps.running.get_mut(&number).expect("it was found just now");
            push_signal(step, at, signal, flags);
        });
        events.push(Event::StepChanged(id, number));
        Ok(Reply::Done)
    }

    pub(crate) fn step_signal_delivered(
        &mut self,
        id: JobId,
        attempt: AttemptId,
        number: u32,
        sequence: u32,
    ) -> Reply {
        let steps = self.steps.get(&id).filter(|steps| steps.attempt == attempt);
        let step = steps.and_then(|steps| steps.running.get(&number));
        let waits = |step: &Step| step.signals.iter().any(|one| one.sequence == sequence);
        if !step.is_some_and(waits) {
            return Reply::Stale;
        }
        let at = self.updated.jobs;
        self.change_steps(at, id, |steps| {
            let step = steps.running.get_mut(&number).expect("it was found just now");
            step.signals.retain(|request| request.sequence != sequence);
        });
        Reply::Done
    }

    pub(crate) fn step_limit_reached(
        &mut self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        number: u32,
        events: &mut Events,
    ) -> Reply {
        let steps = self.steps.get(&id).filter(|steps| steps.attempt == attempt);
        let step = steps.and_then(|steps| steps.running.get(&number));
        let end = step.and_then(Step::time_limit_end);
        if end.is_none_or(|end| end > at) {
            return Reply::Stale;
        }
        flurm_base::sometimes!("a step ran out of time");
        self.change_steps(at, id, |steps| {
            let step = steps.running.get_mut(&number).expect("it was found just now");
            step.timed_out = true;
            step.signals.clear();
            push_signal(step, at, SIGKILL, 0);
        });
        events.push(Event::StepChanged(id, number));
        Reply::Done
    }

    /// What must be true of steps.
    pub(crate) fn check_steps(&self, id: JobId, steps: &JobSteps) -> Result<(), String> {
        let job = self.jobs.get(&id).ok_or("steps of no job")?;
        let shares = job.allocation.iter().flat_map(|all| &all.shares);
        let open: BTreeSet<&NodeName> =
            shares.clone().filter(|share| share.is_open()).map(|share| &share.node).collect();
        for step in steps.running.values() {
            let strays = step.parts.iter().filter(|part| !part.ended);
            if strays.clone().any(|part| !open.contains(&part.node)) {
                return Err(format!("step {} runs where its job has nothing", step.number));
            }
            if step.parts.iter().all(|part| part.ended) {
                return Err(format!("step {} is over and still there", step.number));
            }
        }
        for share in shares {
            let (cpus, memory_mb) = steps.used_on(&share.node);
            if cpus > share.cpus || (share.memory_mb > 0 && memory_mb > share.memory_mb) {
                return Err(format!("steps use {cpus} CPUs, {memory_mb} MB of {}", share.node));
            }
        }
        Ok(())
    }
}

/// The number of a new step.
fn number_of(steps: &JobSteps, spec: &StepSpec) -> Result<u32, Refusal> {
    if steps.running.len() >= STEPS_RUNNING_MAX || steps.next >= STEPS_MAX {
        return Err(Refusal::from(Errno::StepLimit));
    }
    let interactive = spec.has(crate::step_flags::INTERACTIVE).then_some(INTERACTIVE_STEP);
    let number = interactive.or(spec.number).unwrap_or(steps.next);
    let special = number > STEP_NUMBER_MAX && interactive.is_none();
    if special || steps.running.contains_key(&number) {
        return Err(Refusal::from(Errno::DuplicateStepId));
    }
    Ok(number)
}

/// An interactive step has one task on the job's first node and counts for nothing.
fn interactive(job: &Job) -> Result<(Vec<StepPart>, u16), Refusal> {
    let shares = job.allocation.iter().flat_map(|all| &all.shares);
    let mut held = shares.filter(|share| share.state == crate::ShareState::Held);
    let first = held.next().ok_or_else(|| Refusal::from(Errno::NodeNotAvail))?;
    let part = StepPart {
        node: first.node.clone(),
        cpus: first.cpus,
        cpus_counted: 0,
        memory_counted_mb: 0,
        memory_mb: 0,
        tasks: vec![0],
        ended: false,
        gres: first.gres.clone(),
        gres_counted: false,
    };
    Ok((vec![part], 1))
}

fn push_signal(step: &mut Step, at: Time, signal: u16, flags: u16) {
    let sequence = step.signal_next;
    step.signal_next = step.signal_next.wrapping_add(1);
    step.signals.push(SignalRequest { sequence, signal, flags, at });
}

/// Of two statuses the one that a step is known by: Slurm keeps the largest.
fn worse(one: u32, other: u32) -> u32 {
    one.max(other)
}
