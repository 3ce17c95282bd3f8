//! Invariants: everything that must be true of a cluster after every command.

use std::collections::BTreeSet;

use crate::index::Index;
use crate::{
    Allocation, Cluster, Hold, Job, JobBase, JobFlags, Launch, NodeName, Share, ShareState,
};

impl Cluster {
    /// Whether everything that must be true is: the first thing that is not, in words.
    pub fn check(&self) -> Result<(), String> {
        for job in self.jobs.values() {
            self.check_job(job).map_err(|what| format!("job {}: {what}", job.id))?;
        }
        for (id, steps) in &self.steps {
            self.check_steps(*id, steps).map_err(|what| format!("job {id}: {what}"))?;
        }
        for (name, node) in &self.nodes {
            ensure(node.conf.name == *name, || format!("node {name} is filed wrongly"))?;
            self.check_room_of(name)?;
        }
        for name in self.index.node_use.keys() {
            ensure(self.nodes.contains_key(name), || format!("jobs on unknown node {name}"))?;
        }
        ensure(self.index == Index::of(self), || String::from("an index differs from the state"))
    }

    /// No node over its capacity; a whole-node job is alone. Jobs that were suspended take their
    /// CPUs back from whoever has them meanwhile, and do not count.
    fn check_room_of(&self, name: &NodeName) -> Result<(), String> {
        let (node, used) = (&self.nodes[name], self.node_use(name));
        let capacity = node.conf.usable_cpus().max(node.overhang.0);
        let undisturbed = self.jobs_on(name).filter(|job| job.suspension.is_none());
        let shares = undisturbed.filter_map(|job| job.allocation.as_ref()?.share(name));
        let shares: Vec<&Share> = shares.filter(|share| share.is_open()).collect();
        let cpus: u32 = shares.iter().map(|share| share.cpus).sum();
        ensure(cpus <= capacity, || format!("node {name}: {cpus} of {capacity} CPUs"))?;
        let memory = node.conf.usable_memory_mb().max(node.overhang.1);
        let fits = !self.settings.select.memory || used.memory_mb <= memory;
        ensure(fits, || format!("node {name}: {} of {memory} MB", used.memory_mb))?;
        let alone = shares.len() == 1 || !shares.iter().any(|share| share.whole_node);
        ensure(alone, || format!("node {name}: a whole-node job is not alone"))?;
        let jobs = self.jobs_on(name).filter(|job| job.suspension.is_none());
        let users: BTreeSet<u32> = jobs.map(|job| job.spec.uid).collect();
        let kept = users.len() < 2 || !shares.iter().any(|share| share.user_only);
        ensure(kept, || format!("node {name}: a job meets another user's"))
    }

    fn check_job(&self, job: &Job) -> Result<(), String> {
        let open = job.allocation.as_ref().is_some_and(Allocation::is_open);
        let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
        let completing = job.flags.has(JobFlags::COMPLETING);
        ensure(job.id.0 > 0, || String::from("number 0"))?;
        ensure(job.attempt.0 <= self.attempt_last, || String::from("an attempt from nowhere"))?;
        ensure(!job.partitions.is_empty(), || String::from("no partition"))?;
        ensure(!runs || open, || String::from("runs on nothing"))?;
        ensure(open == (runs || completing), || String::from("holds resources without a right"))?;
        ensure(completing == (open && !runs), || String::from("COMPLETING is wrong"))?;
        ensure((job.priority == 0) == (job.hold != Hold::None), || {
            String::from("held and priority disagree")
        })?;
        let waits = job.base == JobBase::Pending && !completing;
        ensure(!waits || job.allocation.is_none(), || String::from("waits with an allocation"))?;
        let tasks = job.tasks_waiting();
        ensure(tasks == 0 || !runs && !completing, || String::from("undivided tasks run"))?;
        let launches = job.launch != Launch::None;
        ensure(!launches || (runs && job.is_batch()), || String::from("a launch without a run"))?;
        let untold = job.suspension.as_ref().is_some_and(|last| !last.untold.is_empty());
        ensure(!untold || runs, || String::from("nodes to tell of what does not run"))?;
        let stopped = job.suspension.is_some() && job.suspend.is_some();
        ensure(stopped || job.base != JobBase::Suspended, || String::from("suspended by nobody"))?;
        ensure(job.signals.is_empty() || runs, || String::from("signals for what does not run"))?;
        let ended = job.end.is_some();
        ensure(!job.base.is_terminal() || ended, || String::from("ended at no time"))?;
        if let (Some(start), Some(end)) = (job.start, job.end) {
            ensure(start <= end, || String::from("ended before it started"))?;
        }
        check_shares(job, runs)
    }
}

fn check_shares(job: &Job, runs: bool) -> Result<(), String> {
    let Some(allocation) = &job.allocation else { return Ok(()) };
    ensure(!allocation.shares.is_empty(), || String::from("an allocation of nothing"))?;
    let mut names: Vec<&NodeName> = allocation.shares.iter().map(|share| &share.node).collect();
    names.sort();
    names.dedup();
    ensure(names.len() == allocation.shares.len(), || String::from("a node twice"))?;
    let held = allocation.shares.iter().filter(|share| share.state == ShareState::Held).count();
    ensure(runs == (held > 0), || String::from("only what runs keeps its shares"))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
