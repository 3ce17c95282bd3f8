//! Submission: defaults and limits of the partition, a number, a place in the queue.

use std::sync::Arc;

use flurm_base::{JobId, RequestKey, Span, Time};

use crate::apply::{Events, Outcome, PRIORITY_MAX};
use crate::cluster::Accepted;
use crate::{
    Actor, Cluster, EnforcePartLimits, Errno, Event, Hold, Job, JobArray, JobBase, JobFlags,
    JobSpec, Launch, Limit, Memory, Partition, PartitionConf, PartitionName, Reason, Refusal,
    Reply,
};

/// How many request keys are remembered; older ones go first.
pub(crate) const REQUESTS_MAX: usize = 100_000;
/// How long a request key is remembered: no client retries longer.
pub(crate) const REQUEST_AGE_MAX: Span = Span::secs(3_600);

impl Cluster {
    pub(crate) fn submit(
        &mut self,
        at: Time,
        key: Option<RequestKey>,
        by: Actor,
        spec: &JobSpec,
        events: &mut Events,
    ) -> Outcome {
        let repeats = !flurm_base::planted::is("model_forgets_request_keys");
        if let Some(earlier) = key.and_then(|key| self.requests.get(&key)).filter(|_| repeats) {
            flurm_base::sometimes!("a submission was repeated and answered with the same job");
            let (job, attempt) = (earlier.job, earlier.attempt);
            return Ok(Reply::Submitted { job, attempt, repeated: true });
        }
        self.check_job_count(spec)?;
        let partitions = self.partitions_for(spec)?;
        let spec = self.settle(at, spec, &partitions)?;
        let depends =
            self.read_dependencies(None, spec.requests.dependency.as_deref().unwrap_or(""))?;
        let id = self.next_job_id()?;
        let mut job = self.new_job(at, id, by, spec, partitions);
        job.depends = depends;
        let attempt = job.attempt;
        self.add_job(at, job);
        events.push(Event::JobSubmitted(id));
        self.judge_dependencies(at, id, events);
        if let Some(key) = key.filter(|_| repeats) {
            self.remember(key, Accepted { job: id, attempt, at });
        }
        Ok(Reply::Submitted { job: id, attempt, repeated: false })
    }

    /// What a submission would become, as [`crate::Command::Submit`] would take it.
    ///
    /// # Errors
    /// What the submission would be refused with.
    pub fn would_accept(&self, at: Time, spec: &JobSpec) -> Result<JobSpec, Refusal> {
        self.check_job_count(spec)?;
        let partitions = self.partitions_for(spec)?;
        let spec = self.settle(at, spec, &partitions)?;
        self.read_dependencies(None, spec.requests.dependency.as_deref().unwrap_or(""))?;
        Ok(spec)
    }

    fn check_job_count(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let tasks = spec.array.as_ref().map_or(1, |array| u64::from(array.tasks.count()));
        let most = u64::from(self.settings.job_count_max);
        if self.index.jobs_with_tasks + tasks > most {
            let text = format!("the cluster keeps {} jobs at most", self.settings.job_count_max);
            return Err(Refusal::new(Errno::MaxJobCount, text));
        }
        Ok(())
    }

    fn new_job(
        &mut self,
        at: Time,
        id: JobId,
        by: Actor,
        spec: JobSpec,
        partitions: Vec<PartitionName>,
    ) -> Job {
        let held = spec.priority == Some(0);
        let fixed = spec.priority.filter(|priority| by.privileged && *priority > 0);
        let priority = match fixed {
            Some(priority) => priority.min(PRIORITY_MAX),
            None if held => 0,
            None => self.next_priority(spec.nice),
        };
        let waits = spec.begin.is_some_and(|begin| begin > at);
        let eligible = (!held).then(|| spec.begin.map_or(at, |begin| begin.max(at)));
        let reason = match (held, waits) {
            (true, _) => Reason::HeldUser,
            (false, true) => Reason::BeginTime,
            (false, false) => Reason::None,
        };
        Job {
            id,
            attempt: self.next_attempt(at),
            base: JobBase::Pending,
            flags: JobFlags::default(),
            reason,
            reason_text: String::new(),
            priority,
            priority_fixed: fixed.is_some(),
            hold: if held { Hold::User } else { Hold::None },
            partition: partitions[0].clone(),
            partitions,
            time_limit: spec.time_limit.unwrap_or(Limit::Unlimited),
            time_limit_fixed: false,
            submit: at,
            eligible,
            accrue: eligible.filter(|_| !waits),
            start: None,
            end: None,
            suspend: None,
            preempt: None,
            last_sched: None,
            allocation: None,
            launch: Launch::None,
            end_cause: None,
            exit_status: 0,
            derived_exit_status: 0,
            restarts: 0,
            launch_failures: 0,
            ended_by: None,
            warned: false,
            failed_node: None,
            signals: Vec::new(),
            signal_next: 0,
            depends: None,
            suspension: None,
            licenses: Vec::new(),
            array: spec.array.as_ref().map(|array| JobArray::new(id, array)),
            spec: Arc::new(spec),
        }
    }

    /// The partitions a submission names, or the default one. Never empty.
    fn partitions_for(&self, spec: &JobSpec) -> Result<Vec<PartitionName>, Refusal> {
        if spec.partitions.is_empty() {
            let default = self.partition_default();
            let default = default.ok_or_else(|| Refusal::from(Errno::DefaultPartitionNotSet))?;
            return Ok(vec![default.conf.name.clone()]);
        }
        self.known_partitions(&spec.partitions)
    }

    /// Checks that all exist; a name given twice counts once.
    pub(crate) fn known_partitions(
        &self,
        wanted: &[PartitionName],
    ) -> Result<Vec<PartitionName>, Refusal> {
        let mut names: Vec<PartitionName> = Vec::with_capacity(wanted.len());
        for name in wanted {
            if !self.partitions.contains_key(name) {
                let text = format!("invalid partition specified: {name}");
                return Err(Refusal::new(Errno::InvalidPartitionName, text));
            }
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if names.is_empty() {
            return Err(Refusal::from(Errno::InvalidPartitionName));
        }
        Ok(names)
    }

    /// Fills in what the user left open, and refuses what can never be.
    fn settle(
        &self,
        at: Time,
        spec: &JobSpec,
        names: &[PartitionName],
    ) -> Result<JobSpec, Refusal> {
        let mut spec = spec.clone();
        let partitions: Vec<&Partition> = names.iter().map(|name| &self.partitions[name]).collect();
        self.check_submittable(&spec, &partitions)?;
        spec.partitions = names.to_vec();
        self.settle_association(&mut spec, names)?;
        spec.requeue = Some(spec.requeue.unwrap_or(self.settings.requeue_default));
        spec.size.nodes_min = spec.size.nodes_min.max(1);
        spec.size.cpus_min = spec.size.cpus_min.max(1);
        let least = partitions.iter().map(|partition| partition.conf.nodes_min).min().unwrap_or(0);
        let most = spec.size.nodes_max.unwrap_or(u32::MAX);
        if spec.size.nodes_min < least && least <= most {
            spec.size.nodes_min = least;
        }
        let first = &partitions[0].conf;
        if spec.time_limit.is_none() {
            spec.time_limit = Some(first.time_default.unwrap_or(first.time_max));
        }
        let beside_gres = spec.requests.mem_per_tres.is_some();
        if spec.size.memory.is_none() && self.settings.select.memory && !beside_gres {
            spec.size.memory = first.memory_default.or(self.settings.memory_default);
        }
        check_shape(&spec)?;
        check_times(at, &spec)?;
        self.check_array(&spec)?;
        self.check_licenses(&spec)?;
        self.check_reservation(&spec)?;
        self.check_limits(&spec, &partitions)?;
        self.check_submit_limits(&spec, &names[0])?;
        Ok(spec)
    }

    fn check_submittable(&self, spec: &JobSpec, partitions: &[&Partition]) -> Result<(), Refusal> {
        if let Some(partition) = partitions.iter().find(|partition| !partition.conf.state.takes()) {
            let text = format!("partition {} takes no jobs", partition.conf.name);
            return Err(Refusal::new(Errno::PartitionNotAvail, text));
        }
        for name in spec.nodes_required.iter().chain(&spec.nodes_excluded) {
            if self.nodes.get(name).is_none_or(|node| node.removed) {
                return Err(Refusal::new(
                    Errno::InvalidNodeName,
                    format!("there is no node {name}"),
                ));
            }
        }
        Ok(())
    }

    /// Limits that refuse a job only where the site says so; otherwise it waits with a reason.
    fn check_limits(&self, spec: &JobSpec, partitions: &[&Partition]) -> Result<(), Refusal> {
        let broken = |partition: &&Partition| self.limit_broken(spec, &partition.conf);
        match self.settings.enforce_part_limits {
            EnforcePartLimits::No => Ok(()),
            EnforcePartLimits::All => partitions.iter().find_map(broken).map_or(Ok(()), Err),
            EnforcePartLimits::Any => {
                if partitions.iter().any(|partition| broken(partition).is_none()) {
                    return Ok(());
                }
                partitions.iter().find_map(broken).map_or(Ok(()), Err)
            }
        }
    }

    /// The first of a partition's limits that a job breaks.
    pub(crate) fn limit_broken(&self, spec: &JobSpec, conf: &PartitionConf) -> Option<Refusal> {
        let name = &conf.name;
        let wanted = spec.time_min.map_or(spec.time_limit, |min| Some(Limit::Max(min)));
        if let (Some(wanted), Limit::Max(max)) = (wanted, conf.time_max)
            && !conf.time_max.allows(wanted)
        {
            let text = format!("partition {name} gives {max} minutes at most");
            return Some(Refusal::new(Errno::InvalidTimeLimit, text));
        }
        if let Limit::Max(max) = conf.nodes_max
            && spec.size.nodes_min > max
        {
            let text = format!("partition {name} gives {max} nodes at most");
            return Some(Refusal::new(Errno::InvalidNodeCount, text));
        }
        let most = spec.size.nodes_max.unwrap_or(u32::MAX);
        if most < conf.nodes_min {
            let text = format!("partition {name} gives {} nodes at least", conf.nodes_min);
            return Some(Refusal::new(Errno::InvalidNodeCount, text));
        }
        let max = conf.memory_max.or(self.settings.memory_max);
        match (spec.size.memory, max) {
            (Some(Memory::PerNode(want)), Some(Memory::PerNode(max))) if want > max && max > 0 => {
                let text = format!("partition {name} gives {max} MB per node at most");
                Some(Refusal::new(Errno::InvalidTaskMemory, text))
            }
            (Some(Memory::PerCpu(want)), Some(Memory::PerCpu(max))) if want > max && max > 0 => {
                let text = format!("partition {name} gives {max} MB per CPU at most");
                Some(Refusal::new(Errno::InvalidTaskMemory, text))
            }
            _ => None,
        }
    }

    /// The next free number. Numbers start again at the first one when the last one is used.
    pub(crate) fn next_job_id(&mut self) -> Result<JobId, Refusal> {
        let (first, last) = (self.settings.job_id_first.max(1), self.settings.job_id_max);
        let mut candidate = self.job_id_next;
        for _ in 0..=self.jobs.len() + self.index.arrays.len() {
            if candidate < first || candidate > last {
                candidate = first;
            }
            let id = JobId(candidate);
            if !self.jobs.contains_key(&id) && !self.index.arrays.contains_key(&id) {
                self.job_id_next = candidate.saturating_add(1);
                return Ok(JobId(candidate));
            }
            candidate = candidate.saturating_add(1);
        }
        Err(Refusal::new(Errno::MaxJobCount, "no job number is free"))
    }

    fn remember(&mut self, key: RequestKey, accepted: Accepted) {
        self.index.requests_by_age.insert((accepted.at, key));
        self.requests.insert(key, accepted);
        while self.requests.len() > REQUESTS_MAX {
            let (_, oldest) =
                self.index.requests_by_age.pop_first().expect("as many as there are requests");
            self.requests.remove(&oldest);
        }
        assert_eq!(self.requests.len(), self.index.requests_by_age.len(), "one age for each key");
    }

    pub(crate) fn forget_requests(&mut self, at: Time) {
        while let Some((stored, key)) = self.index.requests_by_age.first().copied() {
            if stored + REQUEST_AGE_MAX > at {
                break;
            }
            self.index.requests_by_age.pop_first();
            self.requests.remove(&key);
        }
    }
}

/// Sizes that contradict themselves.
pub(crate) fn check_shape(spec: &JobSpec) -> Result<(), Refusal> {
    let size = &spec.size;
    if let Some(most) = size.nodes_max
        && most < size.nodes_min
    {
        let text = format!("{most} nodes at most and {} at least", size.nodes_min);
        return Err(Refusal::new(Errno::InvalidNodeCount, text));
    }
    if let Some(most) = size.cpus_max
        && most < size.cpus_min
    {
        let text = format!("{most} CPUs at most and {} at least", size.cpus_min);
        return Err(Refusal::new(Errno::InvalidCpuCount, text));
    }
    let required = spec.nodes_required.len();
    let most = size.nodes_max.map_or(usize::MAX, |most| most as usize);
    if required > most {
        let text = format!("{required} nodes are required and {most} allowed");
        return Err(Refusal::new(Errno::InvalidNodeCount, text));
    }
    if let Some(both) = spec.nodes_required.iter().find(|name| spec.nodes_excluded.contains(name)) {
        let text = format!("node {both} is both required and excluded");
        return Err(Refusal::new(Errno::InvalidNodeName, text));
    }
    Ok(())
}

/// Times that contradict themselves.
fn check_times(at: Time, spec: &JobSpec) -> Result<(), Refusal> {
    if spec.time_limit == Some(Limit::Max(0)) {
        return Err(Refusal::new(Errno::InvalidTimeLimit, "the time limit is zero"));
    }
    if let (Some(min), Some(Limit::Max(max))) = (spec.time_min, spec.time_limit)
        && min > max
    {
        let text = format!("{min} minutes at least and {max} at most");
        return Err(Refusal::new(Errno::InvalidTimeMinLimit, text));
    }
    let Some(deadline) = spec.deadline else { return Ok(()) };
    let earliest = spec.begin.map_or(at, |begin| begin.max(at));
    let minutes = spec.time_min.or(match spec.time_limit {
        Some(Limit::Max(minutes)) => Some(minutes),
        Some(Limit::Unlimited) | None => None,
    });
    let end = earliest + Span::secs(u64::from(minutes.unwrap_or(0)) * 60);
    let errno = match spec.time_min {
        Some(_) if deadline >= at => Errno::InvalidTimeMinLimit,
        Some(_) | None => Errno::InvalidTimeLimit,
    };
    if end > deadline {
        return Err(Refusal::new(errno, "it cannot end before its deadline"));
    }
    Ok(())
}
