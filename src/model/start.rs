//! Starts: the planner's decisions, validated once more against the state they meet.

use std::collections::BTreeSet;

use flurm_base::{JobId, Time};

use crate::apply::Events;
use crate::{
    Allocation, Cluster, Constraint, Event, Hold, Job, JobBase, JobFlags, Launch, Limit, Node,
    PartitionConf, Placement, Reason, Reply, Share, ShareState, Sharing, Start, StartRefusal,
};

impl Cluster {
    pub(crate) fn schedule(
        &mut self,
        at: Time,
        starts: &[Start],
        reasons: &[(JobId, Reason)],
        events: &mut Events,
    ) -> Reply {
        let mut started = Vec::new();
        let mut refused = Vec::new();
        for start in starts {
            match self.check_start(at, start) {
                Ok(()) => match self.take_task(at, start, events) {
                    Ok(start) => {
                        self.start(at, &start, events);
                        started.push(start.job);
                    }
                    Err(refusal) => refused.push((start.job, refusal)),
                },
                Err(refusal) => {
                    flurm_base::sometimes!("a start was refused because the state had moved on");
                    self.starts_refused = self.starts_refused.saturating_add(1);
                    refused.push((start.job, refusal));
                }
            }
        }
        for (id, reason) in reasons {
            self.explain(at, *id, *reason, events);
        }
        Reply::Scheduled { started, refused }
    }

    fn explain(&mut self, at: Time, id: JobId, reason: Reason, events: &mut Events) {
        let Some(job) = self.jobs.get(&id) else { return };
        if !job.is_startable() || job.hold != Hold::None || job.reason == reason {
            return;
        }
        self.change_job(at, id, |job, _| {
            job.reason = reason;
            job.reason_text.clear();
            job.last_sched = Some(at);
        });
        events.push(Event::JobChanged(id));
    }

    fn check_start(&self, at: Time, start: &Start) -> Result<(), StartRefusal> {
        let job = self.jobs.get(&start.job).ok_or(StartRefusal::NotPending)?;
        let held = job.hold != Hold::None && !flurm_base::planted::is("model_starts_held_jobs");
        let waits = job.is_startable() && job.attempt == start.attempt && !held;
        let begins = job.spec.begin.is_none_or(|begin| begin <= at);
        let depends = job.dependency_reason(at).is_some();
        if !waits || !begins || depends || self.array_is_full(job) {
            return Err(StartRefusal::NotPending);
        }
        let partition = self.partitions.get(&start.partition).ok_or(StartRefusal::Partition)?;
        let allowed = job.partitions.contains(&start.partition) && partition.conf.state.starts();
        if !allowed || self.start_over_limits(job, start) {
            return Err(StartRefusal::Partition);
        }
        check_placements(job, &start.placements)?;
        let limit = match (start.time_limit, job.time_limit_fixed) {
            (Some(minutes), _) => Limit::Max(minutes),
            (None, true) => job.time_limit,
            (None, false) => job.time_limit.min(partition.conf.time_max),
        };
        if start.time_limit.is_some_and(|minutes| !may_run(job, minutes)) {
            return Err(StartRefusal::Shape);
        }
        let closed = keeps_others_off(job, &partition.conf);
        let bounds = crate::node_bounds(self.reservations.values(), &job.spec, limit, at);
        let bounds = bounds.map_err(|_| StartRefusal::NotPending)?;
        let members = &self.index.members[&start.partition];
        for placement in &start.placements {
            let node = self.nodes.get(&placement.node).ok_or(StartRefusal::Node)?;
            let serves =
                node.is_usable() || flurm_base::planted::is("model_starts_on_nodes_out_of_service");
            let may = bounds.allow(&placement.node);
            if !serves || !may || !members.contains(&placement.node) {
                return Err(StartRefusal::Node);
            }
            self.check_room(job, node, placement)?;
            let tenants = self.tenants(&placement.node);
            if !tenants.admit(job.spec.uid, closed) {
                return Err(StartRefusal::Resources);
            }
        }
        if self.licenses_for(job).is_none() {
            return Err(StartRefusal::Licenses);
        }
        self.check_features(job, start)
    }

    /// Whether the nodes have the features that the job asks for, or would prefer.
    fn check_features(&self, job: &Job, start: &Start) -> Result<(), StartRefusal> {
        let wishes = [&job.spec.features, &job.spec.requests.prefer];
        let asked = job.spec.features.is_some();
        if !asked || flurm_base::planted::is("model_ignores_constraints") {
            return Ok(());
        }
        let nodes = start.placements.iter().map(|part| self.nodes[&part.node].features_active());
        let nodes: Vec<&[String]> = nodes.collect();
        let meets = |wish: &&Option<String>| {
            let constraint = wish.as_deref().and_then(Constraint::parse);
            constraint.is_some_and(|constraint| constraint.met_by(&nodes))
        };
        if wishes.iter().any(meets) { Ok(()) } else { Err(StartRefusal::Node) }
    }

    /// Whether the partition's limits forbid the start.
    fn start_over_limits(&self, job: &Job, start: &Start) -> bool {
        let conf = &self.partitions[&start.partition].conf;
        let count = u32::try_from(start.placements.len()).unwrap_or(u32::MAX);
        let shortest = job.spec.time_min.map_or(job.time_limit, Limit::Max);
        let too_long = !job.time_limit_fixed && !conf.time_max.allows(shortest);
        too_long || !conf.nodes_max.allows(Limit::Max(count)) || count < conf.nodes_min
    }

    fn check_room(&self, job: &Job, node: &Node, part: &Placement) -> Result<(), StartRefusal> {
        if flurm_base::planted::is("model_grants_more_than_a_node_has") {
            return Ok(());
        }
        let used = self.node_use(&node.conf.name);
        let memory = self.settings.select.memory;
        let fits_cpus = used.cpus.saturating_add(part.cpus) <= node.conf.usable_cpus();
        let free_mb = node.conf.usable_memory_mb().saturating_sub(used.memory_mb);
        let fits_memory = !memory || part.memory_mb <= free_mb;
        let alone = used.jobs == 0
            || (used.whole_node_jobs == 0 && !part.whole_node)
            || flurm_base::planted::is("model_shares_whole_nodes");
        if !fits_cpus || !fits_memory || !alone {
            return Err(StartRefusal::Resources);
        }
        let wanted = job
            .spec
            .size
            .memory
            .map_or(0, |memory| memory.on_node(part.cpus, node.conf.usable_memory_mb()));
        if memory && part.memory_mb < wanted {
            return Err(StartRefusal::Shape);
        }
        self.check_gres(part)
    }

    /// Whether a node has the generic resources of a placement.
    fn check_gres(&self, part: &Placement) -> Result<(), StartRefusal> {
        let names: BTreeSet<_> = part.gres.iter().map(|take| (&take.name, &take.kind)).collect();
        if names.len() < part.gres.len() {
            return Err(StartRefusal::Shape);
        }
        let used = self.gres_use(&part.node);
        let parts = self.gres_of(&part.node);
        let fits = |take: &crate::GresTake| {
            let has = parts.iter().find(|has| has.name == take.name && has.kind == take.kind);
            let in_use = used.and_then(|used| used.get(&(take.name.clone(), take.kind.clone())));
            let in_use = in_use.map_or(0, |used| used.count);
            has.is_some_and(|has| in_use.saturating_add(take.count) <= has.count)
        };
        if part.gres.iter().all(fits) { Ok(()) } else { Err(StartRefusal::Resources) }
    }

    /// A part of a node, with the devices that it gets.
    fn share_of(&self, part: &Placement, user_only: bool) -> Share {
        let used = self.gres_use(&part.node);
        let hold = |take: &crate::GresTake| {
            let parts = self.gres_of(&part.node).iter();
            let like = |has: &&crate::GresPart| has.name == take.name && has.kind == take.kind;
            let key = (take.name.clone(), take.kind.clone());
            let used = used.and_then(|used| used.get(&key));
            parts.clone().find(like).map(|has| has.hold(take.count, used))
        };
        Share {
            node: part.node.clone(),
            cpus: part.cpus,
            memory_mb: part.memory_mb,
            tasks: part.tasks,
            whole_node: part.whole_node,
            state: ShareState::Held,
            user_only,
            gres: part.gres.iter().filter_map(hold).collect(),
        }
    }

    /// Gives a job its resources. Validated before.
    fn start(&mut self, at: Time, start: &Start, events: &mut Events) {
        let conf = &self.partitions[&start.partition].conf;
        let (time_max, closed) = (conf.time_max, keeps_others_off(&self.jobs[&start.job], conf));
        let shares: Vec<Share> =
            start.placements.iter().map(|part| self.share_of(part, closed)).collect();
        let licenses = self.licenses_for(&self.jobs[&start.job]).expect("a start was validated");
        self.change_job(at, start.job, |job, _| {
            assert!(job.is_startable(), "a start was validated");
            job.base = JobBase::Running;
            job.flags = JobFlags::default();
            job.reason = Reason::None;
            job.reason_text.clear();
            job.partition = start.partition.clone();
            job.start = Some(at);
            job.last_sched = Some(at);
            job.eligible = job.eligible.or(Some(at));
            job.allocation = Some(Allocation { shares });
            job.licenses = licenses;
            if !job.time_limit_fixed && job.spec.time_min.is_some() {
                job.time_limit = job.time_limit.min(time_max);
            }
            if let Some(minutes) = start.time_limit {
                job.time_limit = Limit::Max(minutes);
            }
            job.end_cause = None;
            job.depends = None;
            job.failed_node = None;
            job.warned = false;
            job.launch = if job.is_batch() { Launch::Needed { since: at } } else { Launch::None };
        });
        self.begin_steps(at, start.job);
        for placement in &start.placements {
            self.change_node(at, &placement.node, events, |node| node.last_busy = Some(at));
            self.touch_node(at, &placement.node, events);
        }
        events.push(Event::JobStarted(start.job, start.attempt));
    }
}

/// Whether the parts hold the generic resources that the job asked for.
fn has_gres(spec: &crate::JobSpec, parts: &[Placement]) -> bool {
    let Ok(wishes) = crate::GresWish::of(&spec.requests) else { return false };
    wishes.iter().all(|wish| {
        let on = |part: &Placement| {
            let like = |take: &&crate::GresTake| wish.is_met_by(&take.name, take.kind.as_deref());
            part.gres.iter().filter(like).map(|take| take.count).fold(0, u64::saturating_add)
        };
        let total = parts.iter().map(on).fold(0, u64::saturating_add);
        total >= wish.per_job && parts.iter().all(|part| on(part) >= wish.on_node(0))
    })
}

/// Whether the parts together are something the job asked for.
fn check_placements(job: &Job, parts: &[Placement]) -> Result<(), StartRefusal> {
    let spec = &job.spec;
    let names: BTreeSet<&str> = parts.iter().map(|part| part.node.as_str()).collect();
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let cpus: u64 = parts.iter().map(|part| u64::from(part.cpus)).sum();
    let enough_nodes = count >= spec.size.nodes_min.max(1)
        || flurm_base::planted::is("model_starts_part_of_a_gang");
    let few_nodes = spec.size.nodes_max.is_none_or(|most| count <= most);
    let enough_cpus = spec.size.overcommit || cpus >= u64::from(spec.size.cpus_min);
    let named = spec.nodes_required.iter().all(|node| names.contains(node.as_str()));
    let unnamed = !spec.nodes_excluded.iter().any(|node| names.contains(node.as_str()));
    let each = parts.iter().all(|part| part.cpus > 0);
    let right = enough_nodes && few_nodes && enough_cpus && named && unnamed && each;
    let right = right && has_gres(spec, parts);
    if right && names.len() == parts.len() { Ok(()) } else { Err(StartRefusal::Shape) }
}

/// Whether a job may be given so many minutes only.
fn may_run(job: &Job, minutes: u32) -> bool {
    let enough = job.spec.time_min.is_some_and(|least| least <= minutes);
    enough && job.time_limit.allows(Limit::Max(minutes))
}

/// Whether a job shares its nodes with jobs of its own user only: it or its partition says so.
fn keeps_others_off(job: &Job, conf: &PartitionConf) -> bool {
    job.spec.sharing == Some(Sharing::User) || conf.exclusive_user
}
