//! The life of a node: it registers, falls silent, is taken out of service and put back.

use flurm_base::{AttemptId, JobId, Span, Time};

use crate::apply::{Events, Outcome};
use crate::{
    Actor, Cluster, DownCause, Errno, Event, Launch, Node, NodeBase, NodeChanges, NodeConf,
    NodeFacts, NodeFlags, NodeName, NodeStateChange, Refusal, Reply, ReturnToService, ShareState,
};

/// A registration that was written before a launch was confirmed may arrive this much later and
/// still not name the attempt.
pub(crate) const REGISTRATION_DELAY_MAX: Span = Span::secs(60);
/// A machine's boot time is computed from its clock; below this a difference is clock adjustment.
pub(crate) const BOOT_TIME_JITTER: Span = Span::secs(60);
/// The reason of a node that was silent for too long.
pub(crate) const NOT_RESPONDING: &str = "Not responding";
/// The reason of a node that restarted on its own.
const REBOOTED: &str = "Node unexpectedly rebooted";

impl Cluster {
    pub(crate) fn node_registered(
        &mut self,
        at: Time,
        name: &NodeName,
        facts: &NodeFacts,
        running: &[(JobId, AttemptId)],
        events: &mut Events,
    ) -> Outcome {
        let node = self.find_node(name)?;
        let rebooted = has_rebooted(node, facts);
        let began_anew = rebooted || has_restarted(node, facts);
        let shortage = self.shortage(&node.conf, facts);
        let slurm_uid = self.settings.slurm_uid;
        let returns = self.settings.return_to_service;
        self.change_node(at, name, events, |node| {
            node.facts = Some(facts.clone());
            node.registered = Some(at);
            node.flags.set(NodeFlags::NO_RESPOND, false);
            node.operator_down = false;
            node.flags.set(NodeFlags::INVALID_REG, !shortage.is_empty());
            if node.removed {
                return;
            }
            if shortage.is_empty() {
                welcome(at, node, returns, rebooted, slurm_uid);
            } else {
                bar_short(at, node, &shortage, slurm_uid);
            }
        });
        if rebooted && self.nodes[name].base == NodeBase::Down {
            self.fail_jobs_on(at, name, events);
        }
        self.miss_attempts(at, name, running, rebooted, began_anew, events);
        let leaves = flurm_base::planted::is("model_leaves_orphans_alone");
        let orphan =
            |(job, attempt): &(JobId, AttemptId)| !leaves && !self.wants(*job, *attempt, name);
        let orphans: Vec<_> = running.iter().copied().filter(orphan).collect();
        self.note_orphans(at, name, &orphans, events);
        Ok(Reply::Registered { orphans })
    }

    /// Attempts that may be alive on a node and that nobody wants: it gets no new work meanwhile.
    pub(crate) fn note_orphans(
        &mut self,
        at: Time,
        name: &NodeName,
        orphans: &[(JobId, AttemptId)],
        events: &mut Events,
    ) {
        if orphans.is_empty() || !self.nodes.contains_key(name) {
            return;
        }
        flurm_base::sometimes!("a node may have an attempt that nobody wants");
        self.change_node(at, name, events, |node| node.orphans.extend(orphans));
    }

    /// A node has nothing of an attempt any more; whether it had counted as an orphan there.
    pub(crate) fn forget_orphan(
        &mut self,
        at: Time,
        name: &NodeName,
        orphan: (JobId, AttemptId),
        events: &mut Events,
    ) -> bool {
        let known = self.nodes.get(name).is_some_and(|node| node.orphans.contains(&orphan));
        if known {
            self.change_node(at, name, events, |node| node.orphans.remove(&orphan));
        }
        known
    }

    /// What an operator's word has just freed may be alive all the same: the node is asked when it
    /// answers. `open` had a share of the job before.
    pub(crate) fn doubt_words(
        &mut self,
        at: Time,
        id: JobId,
        open: &[NodeName],
        events: &mut Events,
    ) {
        let job = &self.jobs[&id];
        let orphan = (id, job.attempt);
        let shares = job.allocation.iter().flat_map(|all| &all.shares);
        let freed = shares.filter(|share| !share.is_open() && open.contains(&share.node));
        let names: Vec<NodeName> = freed.map(|share| share.node.clone()).collect();
        for name in names {
            if self.nodes.get(&name).is_some_and(Node::is_answered_for) {
                self.note_orphans(at, &name, &[orphan], events);
            }
        }
    }

    /// Whether an attempt belongs on a node, alive or being ended.
    fn wants(&self, id: JobId, attempt: AttemptId, node: &NodeName) -> bool {
        let job = self.jobs.get(&id).filter(|job| job.attempt == attempt);
        let share = job.and_then(|job| job.allocation.as_ref()).and_then(|all| all.share(node));
        share.is_some_and(crate::Share::is_open)
    }

    /// Attempts that should run on a node and are not there, and attempts whose launch it has.
    fn miss_attempts(
        &mut self,
        at: Time,
        name: &NodeName,
        running: &[(JobId, AttemptId)],
        rebooted: bool,
        began_anew: bool,
        events: &mut Events,
    ) {
        let ids: Vec<JobId> = self.jobs_on(name).map(|job| job.id).collect();
        for id in ids {
            let job = &self.jobs[&id];
            let share = job.allocation.as_ref().and_then(|all| all.share(name));
            let held = share.is_some_and(|share| share.state == ShareState::Held);
            if !held {
                continue;
            }
            if !job.is_batch() || crate::life::batch_host(job) != Some(name) {
                if rebooted {
                    self.fail_on_node(at, id, name, events);
                }
                continue;
            }
            let there = running.contains(&(id, job.attempt));
            match job.launch {
                Launch::Needed { .. } if there => {
                    self.change_job(at, id, |job, _| job.launch = Launch::Confirmed { at });
                    events.push(Event::JobChanged(id));
                }
                Launch::Confirmed { at: confirmed } if !there => {
                    let anew = began_anew
                        && !flurm_base::planted::is("model_trusts_daemons_that_restarted");
                    let early = flurm_base::planted::is("model_believes_early_registrations");
                    if anew || confirmed + REGISTRATION_DELAY_MAX < at || early {
                        flurm_base::sometimes!("a registration showed that an attempt was lost");
                        self.fail_on_node(at, id, name, events);
                    }
                }
                Launch::Needed { .. } | Launch::Confirmed { .. } | Launch::None => {}
            }
        }
    }

    /// What a node has less of than the configuration promises, in Slurm's words.
    fn shortage(&self, conf: &NodeConf, facts: &NodeFacts) -> String {
        if self.settings.config_overrides {
            return String::new();
        }
        let mut found: Vec<String> = Vec::new();
        let threads = |sockets: u16, cores: u16, threads: u16| {
            u64::from(sockets) * u64::from(cores) * u64::from(threads)
        };
        let has = threads(facts.sockets, facts.cores_per_socket, facts.threads_per_core);
        let promised = threads(conf.sockets, conf.cores_per_socket, conf.threads_per_core);
        if has < promised {
            found.push(format!(
                "Low socket*core*thread count (reported:{has} < configured:{promised})"
            ));
        }
        if facts.cpus < conf.cpus {
            found.push(format!("Low CPUs (reported:{} < configured:{})", facts.cpus, conf.cpus));
        }
        if facts.real_memory_mb < conf.real_memory_mb {
            found.push(format!(
                "Low RealMemory (reported:{} < 100.00% of configured:{})",
                facts.real_memory_mb, conf.real_memory_mb
            ));
        }
        if facts.tmp_disk_mb < conf.tmp_disk_mb {
            found.push(String::from("Low TmpDisk"));
        }
        // A node that says nothing of its generic resources has them as they are configured.
        if let Some(has) = &facts.gres {
            let has = crate::found_counts(has);
            let promised = crate::found_counts(conf.gres.as_deref().unwrap_or_default());
            for (name, count) in promised {
                let has = has.get(&name).copied().unwrap_or(0);
                if has < count {
                    found.push(format!(
                        "gres/{name} count reported lower than configured ({has} < {count})"
                    ));
                }
            }
        }
        found.join(", ")
    }

    pub(crate) fn node_not_responding(
        &mut self,
        at: Time,
        name: &NodeName,
        events: &mut Events,
    ) -> Outcome {
        self.find_node(name)?;
        self.change_node(at, name, events, |node| node.flags.set(NodeFlags::NO_RESPOND, true));
        if flurm_base::planted::is("model_requeues_on_suspicion") {
            self.fail_jobs_on(at, name, events);
            let ids: Vec<JobId> = self.jobs_on(name).map(|job| job.id).collect();
            for id in ids {
                self.free_share(at, id, name, events);
            }
        }
        self.free_answered_for(at, name, events);
        Ok(Reply::Done)
    }

    pub(crate) fn node_responding(
        &mut self,
        at: Time,
        name: &NodeName,
        cpu_load: Option<u32>,
        free_memory_mb: Option<u64>,
        events: &mut Events,
    ) -> Outcome {
        self.find_node(name)?;
        self.change_node(at, name, events, |node| {
            node.flags.set(NodeFlags::NO_RESPOND, false);
            node.operator_down = false;
            let Some(facts) = &mut node.facts else { return };
            facts.cpu_load = cpu_load.or(facts.cpu_load);
            facts.free_memory_mb = free_memory_mb.or(facts.free_memory_mb);
        });
        Ok(Reply::Done)
    }

    pub(crate) fn node_down(
        &mut self,
        at: Time,
        name: &NodeName,
        cause: DownCause,
        events: &mut Events,
    ) -> Outcome {
        self.find_node(name)?;
        let uid = self.settings.slurm_uid;
        self.change_node(at, name, events, |node| {
            let reason = match cause {
                DownCause::Silence => {
                    node.flags.set(NodeFlags::NO_RESPOND, true);
                    NOT_RESPONDING
                }
                DownCause::Reboot => REBOOTED,
            };
            if node.base != NodeBase::Future {
                node.base = NodeBase::Down;
            }
            if node.reason.is_empty() {
                node.set_reason(at, uid, reason);
            }
        });
        if !flurm_base::planted::is("model_leaves_jobs_on_lost_nodes") {
            self.fail_jobs_on(at, name, events);
        }
        self.free_answered_for(at, name, events);
        Ok(Reply::Done)
    }

    /// All attempts that run on a node end; their shares there stay until somebody confirms.
    pub(crate) fn fail_jobs_on(&mut self, at: Time, name: &NodeName, events: &mut Events) {
        let ids: Vec<JobId> = self.jobs_on(name).map(|job| job.id).collect();
        for id in ids {
            self.fail_on_node(at, id, name, events);
        }
    }

    /// A silent node that an operator answers for holds nothing any more.
    pub(crate) fn free_answered_for(&mut self, at: Time, name: &NodeName, events: &mut Events) {
        if !self.nodes.get(name).is_some_and(Node::is_answered_for) {
            return;
        }
        let ending = |job: &&crate::Job| {
            let share = job.allocation.as_ref().and_then(|all| all.share(name));
            share.is_some_and(|share| share.state != ShareState::Held)
        };
        let ids: Vec<JobId> = self.jobs_on(name).filter(ending).map(|job| job.id).collect();
        for id in ids {
            flurm_base::sometimes!("an operator answered for a silent node");
            self.note_orphans(at, name, &[(id, self.jobs[&id].attempt)], events);
            self.free_share(at, id, name, events);
        }
    }

    pub(crate) fn update_node(
        &mut self,
        at: Time,
        name: &NodeName,
        by: Actor,
        changes: &NodeChanges,
        events: &mut Events,
    ) -> Outcome {
        let node = self.find_node(name)?;
        if let Some(state) = changes.state {
            self.check_state_change(node, state)?;
        }
        check_features(node, changes)?;
        let idle = self.is_vacant(name);
        self.change_node(at, name, events, |node| {
            change_fields(node, changes);
            if let Some(reason) = &changes.reason {
                match reason.as_str() {
                    "" => node.clear_reason(),
                    text => node.set_reason(at, by.uid, text),
                }
            }
            if let Some(state) = changes.state {
                change_state(node, state, idle);
            }
            // As in Slurm, a node in service has no reason, even when one was given.
            if !node.is_barred() && node.base == NodeBase::Up {
                node.clear_reason();
            }
        });
        if let Some(NodeStateChange::Down | NodeStateChange::Future) = changes.state {
            self.fail_jobs_on(at, name, events);
        }
        self.free_answered_for(at, name, events);
        Ok(Reply::Done)
    }

    fn check_state_change(&self, node: &Node, state: NodeStateChange) -> Result<(), Refusal> {
        let invalid = node.flags.has(NodeFlags::INVALID_REG);
        let idle = self.is_vacant(&node.conf.name);
        let barred = node.flags.has(NodeFlags::DRAIN) || node.flags.has(NodeFlags::FAIL);
        let allowed = match state {
            NodeStateChange::Down | NodeStateChange::Drain => true,
            NodeStateChange::Fail | NodeStateChange::NoRespond => true,
            NodeStateChange::Undrain => !invalid,
            NodeStateChange::Resume => !invalid && (node.is_down() || barred),
            NodeStateChange::Idle => !invalid && (node.base == NodeBase::Down || idle),
            NodeStateChange::Future => node.base == NodeBase::Down || idle,
        };
        if allowed && !node.removed { Ok(()) } else { Err(Refusal::from(Errno::InvalidNodeState)) }
    }
}

/// Whether this is a later run of the node's daemon than the last one that registered. A daemon takes
/// no launch before its first registration was taken, so what a later run does not list is not there.
fn has_restarted(node: &Node, facts: &NodeFacts) -> bool {
    let before = node.facts.as_ref().and_then(|before| before.daemon_start);
    before.is_some_and(|before| facts.daemon_start.is_some_and(|start| before < start))
}

/// Whether the machine restarted between its last registration and this one, by its own clock. A
/// step of that clock alone moves the boot time, but its daemon is then still the same.
fn has_rebooted(node: &Node, facts: &NodeFacts) -> bool {
    let Some(before) = &node.facts else { return false };
    if before.daemon_start.is_some() && before.daemon_start == facts.daemon_start {
        return false;
    }
    match (before.boot, facts.boot) {
        _ if flurm_base::planted::is("model_does_not_see_reboots") => false,
        (Some(earlier), Some(boot)) => earlier + BOOT_TIME_JITTER < boot,
        (None, _) | (_, None) => false,
    }
}

/// A node with what it should have: decides whether it may be used.
fn welcome(at: Time, node: &mut Node, returns: ReturnToService, rebooted: bool, uid: u32) {
    let down = node.base == NodeBase::Down;
    let silent = node.reason == NOT_RESPONDING;
    let back = match returns {
        ReturnToService::Always => true,
        ReturnToService::AfterSilence => silent && !rebooted,
        ReturnToService::ByHand => false,
    };
    if matches!(node.base, NodeBase::Unknown | NodeBase::Future) || (down && back) {
        let kept = node.flags.has(NodeFlags::DRAIN) || node.flags.has(NodeFlags::FAIL);
        node.base = NodeBase::Up;
        node.last_busy = Some(at);
        if !kept {
            node.clear_reason();
        }
        return;
    }
    let barred = node.flags.has(NodeFlags::DRAIN) || node.flags.has(NodeFlags::MAINT);
    if rebooted && !barred && returns != ReturnToService::Always {
        node.base = NodeBase::Down;
        if node.reason.is_empty() || silent {
            node.set_reason(at, uid, REBOOTED);
        }
    }
}

/// A node with less than it should have takes no work until it registers with enough.
fn bar_short(at: Time, node: &mut Node, shortage: &str, uid: u32) {
    let barred = node.flags.has(NodeFlags::DRAIN) || node.flags.has(NodeFlags::FAIL);
    if node.base == NodeBase::Unknown {
        node.base = NodeBase::Up;
    }
    if node.base == NodeBase::Down || barred {
        if node.reason.is_empty() {
            node.set_reason(at, uid, shortage);
        }
        return;
    }
    node.flags.set(NodeFlags::DRAIN, true);
    node.set_reason(at, uid, shortage);
}

/// Only what is available can be active.
fn check_features(node: &Node, changes: &NodeChanges) -> Result<(), Refusal> {
    if changes.features.is_none() && changes.features_active.is_none() {
        return Ok(());
    }
    let available = changes.features.as_ref().unwrap_or(&node.conf.features);
    let active = changes.features_active.as_deref().unwrap_or(node.features_active());
    let stray = active.iter().find(|feature| !available.contains(feature));
    match stray {
        None => Ok(()),
        Some(feature) => {
            let text = format!("{feature} is not among the available features");
            Err(Refusal::new(Errno::ActiveFeatureNotSubset, text))
        }
    }
}

fn change_fields(node: &mut Node, changes: &NodeChanges) {
    if let Some(weight) = changes.weight {
        node.conf.weight = weight;
    }
    if let Some(features) = &changes.features {
        node.conf.features = features.clone();
        node.features_active = None;
    }
    if let Some(active) = &changes.features_active {
        node.features_active = Some(active.clone()).filter(|all| *all != node.conf.features);
    }
    if let Some(extra) = &changes.extra {
        node.extra = Some(extra.clone());
    }
    if let Some(comment) = &changes.comment {
        node.comment = comment.clone();
    }
    if let Some(address) = &changes.address {
        node.conf.address = address.clone();
    }
    if let Some(hostname) = &changes.hostname {
        node.conf.hostname = hostname.clone();
    }
}

/// Whether an operator who takes a node out of service answers for what runs there: only for a node
/// that does not answer itself. Of another one nobody has said anything when it falls silent later.
fn vouches_for(node: &Node) -> bool {
    !node.is_responding()
        || flurm_base::planted::is("model_takes_a_word_for_nodes_that_answer")
        || flurm_base::planted::is("model_frees_on_nodes_that_answer")
}

fn change_state(node: &mut Node, state: NodeStateChange, idle: bool) {
    match state {
        NodeStateChange::Down => {
            node.base = NodeBase::Down;
            node.operator_down = vouches_for(node);
        }
        NodeStateChange::Drain => {
            node.flags.set(NodeFlags::FAIL, false);
            node.flags.set(NodeFlags::DRAIN, true);
        }
        NodeStateChange::Fail => {
            node.flags.set(NodeFlags::DRAIN, false);
            node.flags.set(NodeFlags::FAIL, true);
        }
        NodeStateChange::Resume | NodeStateChange::Idle => {
            node.flags.set(NodeFlags::DRAIN | NodeFlags::FAIL, false);
            if node.is_down() {
                node.base =
                    if node.registered.is_some() { NodeBase::Up } else { NodeBase::Unknown };
            }
            node.operator_down &= flurm_base::planted::is("model_keeps_an_operators_word");
            node.clear_reason();
        }
        NodeStateChange::Undrain => node.flags.set(NodeFlags::DRAIN, false),
        NodeStateChange::NoRespond => node.flags.set(NodeFlags::NO_RESPOND, true),
        NodeStateChange::Future => {
            assert!(idle || node.base == NodeBase::Down, "checked before");
            node.base = NodeBase::Future;
            node.operator_down = vouches_for(node);
            node.flags = NodeFlags::default();
        }
    }
}
