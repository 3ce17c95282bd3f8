//! Decisions of one pass over the waiting jobs.
//!
//! Jobs are looked at by partition tier, then priority, then age. A job that waits for something
//! else than room (a hold, its begin time, a limit, nodes out of service) keeps nobody back.
//!
//! With backfill, a job that finds no room is given the earliest interval that has room for it,
//! and whatever comes later may start now if it leaves all such intervals alone: nothing delays
//! the top job. Without (`sched/builtin`), a job that finds no room blocks its partition, and no
//! later job may take a node that it could use.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use flurm_base::{JobId, Span, Time};
use flurm_model::{
    Amounts, Command, Errno, Hold, JobSpec, Ledger, Limit, NodeBounds, NodeName, PartitionName,
    PartitionState, Reason, Refusal, Sharing, Start, Tenants,
};

use crate::ahead::{Ahead, Wish};
use crate::demand::Demand;
use crate::gate::Gate;
use crate::place::place;
use crate::timeline::{Placed, length};
use crate::{JobView, NodeView, PartitionView, Snapshot};

/// Why a job waits, in Slurm's word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The job.
    pub job: JobId,
    /// Slurm's reason.
    pub reason: Reason,
    /// A sentence that names what is missing; empty where the reason says all.
    pub text: String,
    /// Whether the reason differs from what the job was last said to wait for.
    pub is_news: bool,
}

/// When and where a waiting job is expected to start if every job runs as long as it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The start.
    pub start: Time,
    /// The nodes, in their order.
    pub nodes: Vec<NodeName>,
}

/// What one pass decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Jobs to start, in order.
    pub starts: Vec<Start>,
    /// Why each of the others waits.
    pub waiting: Vec<Explanation>,
    /// When those are expected to start for whom a start was planned ahead.
    pub planned: BTreeMap<JobId, Planned>,
}

impl Plan {
    /// The plan as a command; `None` when there is nothing to start and nothing new to say.
    pub fn command(&self, at: Time) -> Option<Command> {
        let news = self.waiting.iter().filter(|why| why.is_news);
        let reasons: Vec<_> = news.map(|why| (why.job, why.reason)).take(REASONS_MAX).collect();
        if self.starts.is_empty() && reasons.is_empty() {
            return None;
        }
        Some(Command::Schedule { at, starts: self.starts.clone(), reasons })
    }
}

/// Jobs that one pass starts at most: a command has to fit an entry of the log. The next pass goes
/// on from there.
pub const STARTS_MAX: usize = 1_000;
/// Reasons that one command carries at most; the others are news again in the next pass.
pub const REASONS_MAX: usize = 10_000;

/// Plans one pass without limits of accounts.
pub fn plan(snapshot: &Snapshot) -> Plan {
    plan_within(snapshot, None)
}

/// Plans one pass. `ledger` knows what accounts and qualities of service allow.
pub fn plan_within(snapshot: &Snapshot, ledger: Option<Ledger<'_>>) -> Plan {
    let mut pass = Pass::new(snapshot, ledger);
    for (job, partition) in queue(snapshot) {
        if pass.starts.len() >= STARTS_MAX {
            pass.is_cut = true;
            break;
        }
        pass.consider(job, partition);
    }
    pass.finish()
}

/// Whether a job could ever run in any of the partitions: with every node in service and idle.
/// `snapshot` is what [`Snapshot::idle`] gives.
pub fn feasible(
    snapshot: &Snapshot,
    spec: &JobSpec,
    partitions: &[PartitionName],
) -> Result<(), Refusal> {
    let mut refusal = Refusal::from(Errno::RequestedNodeConfigUnavailable);
    for name in partitions {
        let Some(partition) = snapshot.partition(name) else { continue };
        let demands = Demand::of(spec, &relaxed(partition), snapshot.select);
        let Some(last) = demands.last() else {
            return Err(Refusal::from(Errno::InvalidFeature));
        };
        let fits = |demand: &Demand| place(demand, &snapshot.nodes, &partition.nodes).is_some();
        if demands.iter().any(fits) {
            return Ok(());
        }
        refusal = never(last, snapshot, partition);
    }
    Err(refusal)
}

/// A partition whose node limits do not count: a job over them waits, it is not impossible.
fn relaxed(partition: &PartitionView) -> flurm_model::PartitionConf {
    let mut conf = (*partition.conf).clone();
    conf.nodes_max = Limit::Unlimited;
    conf.nodes_min = 0;
    conf
}

/// Why a demand can never be met, naming the closest fit.
fn never(demand: &Demand, snapshot: &Snapshot, partition: &PartitionView) -> Refusal {
    let members = partition.nodes.iter().map(|at| &snapshot.nodes[*at]);
    let units: Vec<u32> = members
        .filter(|node| demand.suits(node))
        .map(|node| demand.units_on(node))
        .filter(|units| *units > 0)
        .collect();
    let total: u64 = units.iter().map(|units| u64::from(*units)).sum();
    let name = &partition.conf.name;
    let text = format!(
        "it needs {} tasks on {} or more nodes; in partition {name} {} nodes fit, with room for \
         {total}",
        demand.units,
        demand.nodes_min,
        units.len()
    );
    Refusal::new(Errno::RequestedNodeConfigUnavailable, text)
}

/// Jobs with each of their partitions, in the order in which they are served.
fn queue(snapshot: &Snapshot) -> Vec<(&JobView, &PartitionView)> {
    let by_name: BTreeMap<&str, &PartitionView> =
        snapshot.partitions.iter().map(|view| (view.conf.name.as_str(), view)).collect();
    let mut entries: Vec<(u32, &JobView, &PartitionView)> =
        Vec::with_capacity(snapshot.pending.len());
    for job in &snapshot.pending {
        for (nth, name) in job.partitions.iter().enumerate() {
            let Some(partition) = by_name.get(name.as_str()) else { continue };
            let priority = job.priorities.get(nth).copied().unwrap_or(job.priority);
            entries.push((priority, job, partition));
        }
    }
    entries.sort_by_key(|(priority, job, partition)| {
        let tier = Reverse(partition.conf.priority_tier);
        (tier, Reverse(*priority), job.submit, job.id)
    });
    if flurm_base::planted::is("sched_serves_the_newest_first") {
        entries.reverse();
    }
    entries.into_iter().map(|(_, job, partition)| (job, partition)).collect()
}

/// Those of some nodes that reservations leave to a job.
fn within<'n>(nodes: &[NodeView], bounds: &NodeBounds, some: &'n [usize]) -> Cow<'n, [usize]> {
    if bounds.is_open() {
        return Cow::Borrowed(some);
    }
    let allowed = |at: &&usize| bounds.allow(&nodes[**at].name);
    Cow::Owned(some.iter().filter(allowed).copied().collect())
}

/// A partition's candidates are looked up again when one in so many of them may be full.
const CANDIDATES_REFRESH: usize = 16;

/// Nodes that are worth a look, and for how long that list is good.
struct Candidates {
    nodes: Vec<usize>,
    made_at: usize,
    lasts: usize,
}

/// Whether a job shares its nodes with jobs of its own user only: it or its partition says so.
pub(crate) fn keeps_others_off(job: &JobView, partition: &PartitionView) -> bool {
    job.spec.sharing == Some(Sharing::User) || partition.conf.exclusive_user
}

/// Whether any job keeps other users off its nodes, or would.
fn is_closed(snapshot: &Snapshot) -> bool {
    let closed = |node: &NodeView| matches!(node.tenants, Tenants::One { closed: true, .. });
    snapshot.nodes.iter().any(closed)
        || snapshot.partitions.iter().any(|partition| partition.conf.exclusive_user)
        || snapshot.pending.iter().any(|job| job.spec.sharing == Some(Sharing::User))
}

/// A job without a time limit is shortened to so many minutes at most: a year.
const MINUTES_MAX: u32 = 365 * 24 * 60;

/// What a pass knows so far.
struct Pass<'a> {
    snapshot: &'a Snapshot,
    nodes: Vec<NodeView>,
    licenses: crate::Licenses,
    ledger: Option<Ledger<'a>>,
    /// Users decide about nodes.
    is_closed: bool,
    /// The same nodes with nothing on them.
    vacant: Vec<NodeView>,
    /// How many tasks of each job start; a job is one.
    started: BTreeMap<JobId, u32>,
    blocked: BTreeSet<&'a str>,
    reserved: BTreeSet<usize>,
    candidates: BTreeMap<&'a str, Candidates>,
    /// How many times a node became full in this pass.
    filled: usize,
    starts: Vec<Start>,
    /// The rest of the queue was not looked at.
    is_cut: bool,
    reasons: BTreeMap<JobId, (Reason, String)>,
    usable: BTreeMap<&'a str, Rc<Vec<usize>>>,
    /// What is planned ahead; `None` without backfill.
    ahead: Option<Ahead<'a>>,
}

impl<'a> Pass<'a> {
    fn new(snapshot: &'a Snapshot, ledger: Option<Ledger<'a>>) -> Self {
        let mut vacant = snapshot.nodes.clone();
        vacant.iter_mut().for_each(NodeView::vacate);
        Self {
            snapshot,
            nodes: snapshot.nodes.clone(),
            licenses: snapshot.licenses.clone(),
            ledger,
            is_closed: is_closed(snapshot),
            vacant,
            started: BTreeMap::new(),
            blocked: BTreeSet::new(),
            reserved: BTreeSet::new(),
            candidates: BTreeMap::new(),
            filled: 0,
            starts: Vec::new(),
            is_cut: false,
            reasons: BTreeMap::new(),
            usable: BTreeMap::new(),
            ahead: (snapshot.planned_max > 0).then(|| Ahead::new(snapshot)),
        }
    }

    fn consider(&mut self, job: &'a JobView, partition: &'a PartitionView) {
        let started = self.started.get(&job.id).copied().unwrap_or(0);
        if started >= job.tasks {
            return;
        }
        if started >= job.tasks_startable {
            return self.explain(job, Reason::ArrayTaskLimit, String::new());
        }
        if let Some(reason) = self.waits_for(job, partition) {
            return self.explain(job, reason, String::new());
        }
        if self.ahead.is_none() && self.blocked.contains(partition.conf.name.as_str()) {
            return self.explain(job, Reason::Priority, String::new());
        }
        let bounds = match self.bounds(job, partition) {
            Ok(bounds) => bounds,
            Err(reason) => {
                self.explain(job, reason, String::new());
                return;
            }
        };
        let demands = self.demands(job, partition);
        let Some(last) = demands.last() else {
            let text = String::from("its constraint cannot be read");
            self.explain(job, Reason::BadConstraints, text);
            return;
        };
        let over = partition.conf.over_time_limit.unwrap_or(self.snapshot.over_time_limit);
        let length = length(job.time_limit, over);
        for nth in started..job.tasks_startable {
            if self.starts.len() >= STARTS_MAX {
                self.is_cut = true;
                return;
            }
            let Some(licenses) = self.licenses.choose(&job.spec) else {
                self.explain(job, Reason::Licenses, String::new());
                return;
            };
            match self.place_now(partition, &demands, length, &bounds) {
                Some(placed) => {
                    let amounts = Amounts::placed(placed.iter().map(|(_, part)| part));
                    if let Some(reason) = self.limited(job, partition, amounts) {
                        return self.explain(job, reason, String::new());
                    }
                    self.licenses.take(&licenses);
                    self.start(job, partition, placed, length);
                }
                None if self.ahead.is_some() => {
                    if let Some((placed, minutes)) = self.shorten(job, partition, &demands, over) {
                        self.licenses.take(&licenses);
                        let length = crate::timeline::length(Limit::Max(minutes), over);
                        self.start(job, partition, placed, length);
                        let start = self.starts.last_mut().expect("it was just put there");
                        start.time_limit = Some(minutes);
                        continue;
                    }
                    let tasks = job.tasks_startable - nth;
                    self.plan_ahead(job, partition, last, length, &bounds, tasks);
                    return;
                }
                None => {
                    self.find_blocked(job, partition, last, &bounds);
                    return;
                }
            }
        }
        if job.tasks_startable < job.tasks {
            self.explain(job, Reason::ArrayTaskLimit, String::new());
        }
    }

    /// What a job needs, wish by wish.
    fn demands(&self, job: &JobView, partition: &PartitionView) -> Vec<Demand> {
        let demands = Demand::of(&job.spec, &partition.conf, self.snapshot.select);
        match self.is_closed {
            true => demands.into_iter().map(|demand| demand.of_user(job.spec.uid)).collect(),
            false => demands,
        }
    }

    /// A place for a job that would start now if it had less time than its limit, and the most
    /// minutes, not less than `--time-min`, that it can have there.
    fn shorten(
        &mut self,
        job: &'a JobView,
        partition: &'a PartitionView,
        demands: &[Demand],
        over: Limit,
    ) -> Option<(Placed, u32)> {
        let least = job.spec.time_min?;
        let most = job.time_limit.min(partition.conf.time_max).or(MINUTES_MAX);
        if least >= most {
            return None;
        }
        let mut attempt = |minutes: u32| {
            let limit = Limit::Max(minutes);
            let gate = Gate::new(&self.snapshot.reservations, &job.spec, limit);
            let bounds = gate.bounds(self.snapshot.now).ok()?;
            self.place_now(partition, demands, length(limit, over), &bounds)
        };
        let mut found = (attempt(least)?, least);
        let (mut low, mut high) = (least + 1, most - 1);
        while low <= high {
            let middle = low + (high - low) / 2;
            match attempt(middle) {
                Some(placed) => (found, low) = ((placed, middle), middle + 1),
                None => high = middle - 1,
            }
        }
        Some(found)
    }

    /// What reservations leave to a job that starts now.
    fn bounds(&self, job: &'a JobView, partition: &PartitionView) -> Result<NodeBounds, Reason> {
        self.gate(job, partition).bounds(self.snapshot.now)
    }

    fn gate(&self, job: &'a JobView, partition: &PartitionView) -> Gate<'a> {
        let limit = match job.time_limit_fixed {
            true => job.time_limit,
            false => job.time_limit.min(partition.conf.time_max),
        };
        Gate::new(&self.snapshot.reservations, &job.spec, limit)
    }

    /// A place for a job that starts now, wish by wish.
    fn place_now(
        &mut self,
        partition: &'a PartitionView,
        demands: &[Demand],
        length: Span,
        bounds: &NodeBounds,
    ) -> Option<Placed> {
        let candidates = self.candidates(partition);
        let name = partition.conf.name.as_str();
        let allowed = within(&self.nodes, bounds, &candidates.nodes);
        let known = bounds.is_open();
        let placed = demands.iter().find_map(|demand| match &mut self.ahead {
            Some(ahead) if known => ahead.place_known(name, demand, &self.nodes, &allowed, length),
            Some(ahead) => ahead.place_now(demand, &self.nodes, &allowed, length),
            None => place(demand, &self.nodes, &allowed),
        });
        self.candidates.insert(name, candidates);
        placed
    }

    /// Gives a job without room the earliest interval that has room for it.
    fn plan_ahead(
        &mut self,
        job: &'a JobView,
        partition: &'a PartitionView,
        demand: &Demand,
        length: Span,
        bounds: &NodeBounds,
        tasks: u32,
    ) {
        let name = partition.conf.name.as_str();
        let usable = self.usable(partition);
        let wish = Wish { job: job.id, partition: name, demand, length, tasks };
        let gate = self.gate(job, partition);
        let ahead = self.ahead.as_mut().expect("this is asked with backfill only");
        let planned = ahead.plan(&wish, &gate, &usable);
        let allowed = within(&self.nodes, bounds, &usable);
        let look = || place(demand, &self.vacant, &allowed).is_some();
        let ahead = self.ahead.as_mut().expect("it was there just now");
        let waits_for_others = match bounds.is_open() {
            true => planned || ahead.remembers_possible(name, demand, look),
            false => look(),
        };
        if !waits_for_others {
            return self.explain_shortfall(job, partition, demand, bounds);
        }
        if self.blocked.insert(name) {
            let text = self.shortage(demand, &allowed);
            self.explain(job, Reason::Resources, text);
        } else {
            self.explain(job, Reason::Priority, String::new());
        }
    }

    /// The nodes of a partition that are in service.
    fn usable(&mut self, partition: &'a PartitionView) -> Rc<Vec<usize>> {
        let nodes = &self.nodes;
        let known = self.usable.entry(partition.conf.name.as_str()).or_insert_with(|| {
            let members = partition.nodes.iter();
            Rc::new(members.filter(|at| nodes[**at].usable).copied().collect())
        });
        Rc::clone(known)
    }

    /// The nodes of a partition where something may still be free.
    fn candidates(&mut self, partition: &'a PartitionView) -> Candidates {
        let known = self.candidates.remove(partition.conf.name.as_str());
        if let Some(known) = known.filter(|known| known.made_at + known.lasts > self.filled) {
            return known;
        }
        let open = |at: &&usize| {
            let node = &self.nodes[**at];
            node.usable && !node.is_full() && !self.reserved.contains(*at)
        };
        let nodes: Vec<usize> = partition.nodes.iter().filter(open).copied().collect();
        let lasts = nodes.len() / CANDIDATES_REFRESH + 1;
        Candidates { nodes, made_at: self.filled, lasts }
    }

    /// What keeps a job back that has nothing to do with room.
    fn waits_for(&self, job: &JobView, partition: &PartitionView) -> Option<Reason> {
        let conf = &partition.conf;
        match job.hold {
            Hold::None => {}
            // What the hold itself said is worth more than that there is one.
            Hold::User | Hold::Admin => return Some(job.reason),
        }
        if job.depends.is_some() {
            return job.depends;
        }
        if job.spec.begin.is_some_and(|begin| begin > self.snapshot.now) {
            return Some(Reason::BeginTime);
        }
        match conf.state {
            PartitionState::Up | PartitionState::Drain => {}
            PartitionState::Down => return Some(Reason::PartitionDown),
            PartitionState::Inactive => return Some(Reason::PartitionInactive),
        }
        let shortest = job.spec.time_min.map_or(job.time_limit, Limit::Max);
        if !job.time_limit_fixed && !conf.time_max.allows(shortest) {
            return Some(Reason::PartitionTimeLimit);
        }
        let least = Limit::Max(job.spec.size.nodes_min);
        let most = job.spec.size.nodes_max.unwrap_or(u32::MAX);
        if !conf.nodes_max.allows(least) || most < conf.nodes_min {
            return Some(Reason::PartitionNodeLimit);
        }
        self.limited(job, partition, Amounts::asked(&job.spec))
    }

    /// The limit of an account or a quality of service that keeps a job with these resources back.
    fn limited(
        &self,
        job: &JobView,
        partition: &PartitionView,
        amounts: Amounts,
    ) -> Option<Reason> {
        let ledger = self.ledger.as_ref()?;
        ledger.refuses(&job.spec, &partition.conf.name, amounts, job.time_limit)
    }

    fn start(&mut self, job: &JobView, partition: &PartitionView, placed: Placed, length: Span) {
        if let Some(ledger) = &mut self.ledger {
            let amounts = Amounts::placed(placed.iter().map(|(_, part)| part));
            ledger.start(&job.spec, &partition.conf.name, amounts, job.time_limit);
        }
        let user = (job.spec.uid, keeps_others_off(job, partition));
        if let Some(ahead) = &mut self.ahead {
            ahead.start(job.id, &placed, length, user);
        }
        for (at, part) in &placed {
            let node = &mut self.nodes[*at];
            node.cpus_used += part.cpus;
            node.memory_used_mb += part.memory_mb;
            node.jobs += 1;
            node.whole_node_taken |= part.whole_node;
            node.tenants = node.tenants.with(user.0, user.1);
            node.take_gres(&part.gres);
            self.filled += usize::from(node.is_full());
            let planted = flurm_base::planted::is("model_grants_more_than_a_node_has");
            assert!(node.cpus_used <= node.cpus || planted, "a node was given out twice");
        }
        *self.started.entry(job.id).or_default() += 1;
        self.reasons.remove(&job.id);
        self.starts.push(Start {
            job: job.id,
            attempt: job.attempt,
            partition: partition.conf.name.clone(),
            placements: placed.into_iter().map(|(_, part)| part).collect(),
            time_limit: None,
        });
    }

    /// A job without room: does it wait for other jobs, or for nodes to return to service?
    fn find_blocked(
        &mut self,
        job: &JobView,
        partition: &'a PartitionView,
        demand: &Demand,
        bounds: &NodeBounds,
    ) {
        let allowed = within(&self.nodes, bounds, &partition.nodes);
        let usable: Vec<usize> =
            allowed.iter().filter(|at| self.nodes[**at].usable).copied().collect();
        if place(demand, &self.vacant, &usable).is_some() {
            // Kept from room that is there only by a job that comes first.
            let behind = place(demand, &self.nodes, &usable).is_some();
            let name = partition.conf.name.as_str();
            self.blocked.insert(name);
            let suits = usable.iter().filter(|at| demand.suits(&self.nodes[**at]));
            let reserved: Vec<usize> = suits.copied().collect();
            self.reserved.extend(reserved);
            self.candidates.clear();
            let (reason, text) = match behind {
                true => (Reason::Priority, String::new()),
                false => (Reason::Resources, self.shortage(demand, &usable)),
            };
            self.explain(job, reason, text);
            return;
        }
        self.explain_shortfall(job, partition, demand, bounds);
    }

    /// Why a job has no room even among the nodes that are in service.
    fn explain_shortfall(
        &mut self,
        job: &JobView,
        partition: &PartitionView,
        demand: &Demand,
        bounds: &NodeBounds,
    ) {
        let allowed = within(&self.nodes, bounds, &partition.nodes);
        let required = demand.required.iter().any(|name| {
            let node = self.nodes.iter().find(|node| node.name == *name);
            node.is_none_or(|node| !node.usable)
        });
        let reserved = allowed.len() < partition.nodes.len();
        if reserved && place(demand, &self.vacant, &partition.nodes).is_some() {
            let text = String::from("nodes it needs are reserved");
            self.explain(job, Reason::RequiredNodeNotAvailable, text);
        } else if required {
            let text = String::from("a required node is out of service");
            self.explain(job, Reason::RequiredNodeNotAvailable, text);
        } else if place(demand, &self.vacant, &partition.nodes).is_some() {
            let text = String::from("nodes it needs are DOWN, drained or not responding");
            self.explain(job, Reason::Resources, text);
        } else {
            let text = String::from("no node of its partition can ever satisfy it");
            self.explain(job, Reason::BadConstraints, text);
        }
    }

    fn shortage(&self, demand: &Demand, usable: &[usize]) -> String {
        let suiting = usable.iter().filter(|at| demand.suits(&self.nodes[**at]));
        let units = suiting.map(|at| demand.units_on(&self.nodes[*at]));
        let rooms: Vec<u32> = units.filter(|units| *units > 0).collect();
        let total: u64 = rooms.iter().map(|units| u64::from(*units)).sum();
        format!(
            "it needs room for {} tasks on {} or more nodes; {} nodes have room for {total}",
            demand.units,
            demand.nodes_min,
            rooms.len()
        )
    }

    /// The first reason counts: a job in several partitions is explained by the best of them.
    fn explain(&mut self, job: &JobView, reason: Reason, text: String) {
        self.reasons.entry(job.id).or_insert((reason, text));
    }

    fn finish(mut self) -> Plan {
        let mut waiting = Vec::with_capacity(self.snapshot.pending.len());
        let waits = |job: &&JobView| self.started.get(&job.id).is_none_or(|one| *one < job.tasks);
        let waiting_jobs: Vec<&JobView> = self.snapshot.pending.iter().filter(waits).collect();
        for job in waiting_jobs {
            let (reason, text) = match self.reasons.remove(&job.id) {
                Some(why) => why,
                None if self.is_cut => continue,
                None => (Reason::PartitionConfig, String::from("it has no partition left")),
            };
            let is_news = reason != job.reason && job.hold == Hold::None;
            waiting.push(Explanation { job: job.id, reason, text, is_news });
        }
        let planned = self.ahead.map(|ahead| ahead.planned(&self.nodes)).unwrap_or_default();
        Plan { starts: self.starts, waiting, planned }
    }
}
