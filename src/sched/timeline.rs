//! All nodes over time: what runs until its limit, and what is planned ahead.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use flurm_base::{Span, Time};
use flurm_model::{Limit, Placement};

use crate::demand::Demand;
use crate::gate::Gate;
use crate::place::place;
use crate::profile::{Profile, Use};
use crate::{NodeView, Snapshot};

/// As long as a job without a limit is taken to run: past every plan.
const UNLIMITED: Span = Span::secs(100 * 365 * 24 * 3600);

/// Parts of nodes, each with its node's position.
pub(crate) type Placed = Vec<(usize, Placement)>;

/// How long a job is taken to run.
pub(crate) fn length(limit: Limit, over: Limit) -> Span {
    match (limit, over) {
        (Limit::Max(minutes), Limit::Max(over)) => {
            Span::secs((u64::from(minutes) + u64::from(over)) * 60)
        }
        (Limit::Unlimited, _) | (_, Limit::Unlimited) => UNLIMITED,
    }
}

/// A job's user, and whether the job keeps others off.
pub(crate) type User = (u32, bool);

/// A part of the future that belongs to a job.
#[derive(Clone, Debug)]
pub(crate) struct Booking {
    pub(crate) from: Time,
    until: Time,
    pub(crate) placed: Placed,
}

/// What is taken when.
pub(crate) struct Timeline {
    now: Time,
    profiles: Vec<Profile>,
    /// When something changes, and where.
    changes: BTreeMap<Time, Vec<usize>>,
    /// Bookings of each node that do not begin now: only there less may be free later than now.
    booked: Vec<u32>,
    /// The nodes as they are during the window that is looked at; between looks, as they are now.
    window: Vec<NodeView>,
}

fn part_of(node: &NodeView, placement: &Placement) -> Use {
    Use {
        cpus: placement.cpus,
        memory_mb: placement.memory_mb,
        jobs: 1,
        alone: u32::from(placement.whole_node),
        gres: node.gres_counts(&placement.gres),
    }
}

fn now_on(node: &NodeView) -> Use {
    Use {
        cpus: node.cpus_used,
        memory_mb: node.memory_used_mb,
        jobs: node.jobs,
        alone: u32::from(node.whole_node_taken),
        gres: node.gres_used.clone(),
    }
}

fn show(node: &mut NodeView, taken: Use) {
    node.cpus_used = taken.cpus;
    node.memory_used_mb = taken.memory_mb;
    node.jobs = taken.jobs;
    node.whole_node_taken = taken.alone > 0;
    node.gres_used = taken.gres;
}

impl Timeline {
    /// What runs and leaves, before anything is planned.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let now = snapshot.now;
        let nodes = &snapshot.nodes;
        let mut profiles: Vec<Profile> =
            nodes.iter().map(|node| Profile::new(now, now_on(node))).collect();
        let mut changes: BTreeMap<Time, Vec<usize>> = BTreeMap::new();
        for leave in &snapshot.leaves {
            let part = Use {
                cpus: leave.cpus,
                memory_mb: leave.memory_mb,
                jobs: 1,
                alone: u32::from(leave.whole_node),
                gres: leave.gres.clone(),
            };
            profiles[leave.node].leave(leave.at, part);
            changes.entry(leave.at).or_default().push(leave.node);
        }
        // Where reservations end there is something to be had.
        for reservation in &snapshot.reservations {
            for time in [reservation.start, reservation.end] {
                changes.entry(time.max(now)).or_default();
            }
        }
        let booked = vec![0; nodes.len()];
        Self { now, profiles, changes, booked, window: nodes.clone() }
    }

    /// Takes parts of nodes for a job, from a time on.
    pub(crate) fn book(&mut self, from: Time, length: Span, placed: Placed, user: User) -> Booking {
        let until = from + length;
        for (at, placement) in &placed {
            let part = part_of(&self.window[*at], placement);
            self.profiles[*at].take(from, until, part);
            self.booked[*at] += u32::from(from > self.now);
            if from <= self.now {
                let tenants = &mut self.window[*at].tenants;
                *tenants = tenants.with(user.0, user.1);
                show(&mut self.window[*at], self.profiles[*at].over(self.now, self.now));
            }
        }
        let places = || placed.iter().map(|(at, _)| *at);
        for time in [from, until] {
            self.changes.entry(time).or_default().extend(places());
        }
        Booking { from, until, placed }
    }

    /// Gives a booking of the future back.
    pub(crate) fn unbook(&mut self, booking: &Booking) {
        for (at, placement) in &booking.placed {
            let part = part_of(&self.window[*at], placement);
            self.profiles[*at].give(booking.from, booking.until, part);
            self.booked[*at] -= 1;
        }
    }

    /// A place for a job that begins now and takes so long, beside everything that is planned.
    /// `candidates` are nodes in service, lightest first.
    pub(crate) fn place_now(
        &mut self,
        demand: &Demand,
        candidates: &[usize],
        length: Span,
    ) -> Option<Placed> {
        let until = self.now + length;
        let planned: Vec<usize> =
            candidates.iter().filter(|at| self.booked[**at] > 0).copied().collect();
        for at in &planned {
            show(&mut self.window[*at], self.profiles[*at].over(self.now, until));
        }
        let placed = place(demand, &self.window, candidates);
        self.look_at_now(&planned);
        placed
    }

    fn look_at_now(&mut self, nodes: &[usize]) {
        for at in nodes {
            show(&mut self.window[*at], self.profiles[*at].over(self.now, self.now));
        }
    }

    /// The earliest time, not before `from`, at which a job that takes so long has room from its
    /// start to its end, and where. `None` when there is none, ever.
    pub(crate) fn earliest(
        &mut self,
        demand: &Demand,
        members: &[usize],
        length: Span,
        from: Time,
        gate: &Gate<'_>,
    ) -> Option<(Time, Placed)> {
        let mut rooms = Rooms::new(self.profiles.len());
        let suiting: Vec<usize> =
            members.iter().filter(|at| demand.suits(&self.window[**at])).copied().collect();
        for at in &suiting {
            rooms.is_member[*at] = true;
            self.measure(demand, *at, from, length, &mut rooms);
        }
        let found = self.sweep(demand, &suiting, length, from, gate, &mut rooms);
        self.look_at_now(&rooms.shown);
        found
    }

    fn sweep(
        &mut self,
        demand: &Demand,
        suiting: &[usize],
        length: Span,
        from: Time,
        gate: &Gate<'_>,
        rooms: &mut Rooms,
    ) -> Option<(Time, Placed)> {
        let mut at = from;
        loop {
            let is_new = std::mem::take(&mut rooms.grew) || gate.opens_at(at);
            if is_new && rooms.may_suffice(demand) {
                let bounds = gate.bounds(at).ok();
                let allows = |node: usize| {
                    bounds.as_ref().is_some_and(|bounds| {
                        bounds.is_open() || bounds.allow(&self.window[node].name)
                    })
                };
                let open = suiting.iter().filter(|node| rooms.units[**node] > 0);
                let open: Vec<usize> = open.filter(|node| allows(**node)).copied().collect();
                if let Some(placed) = place(demand, &self.window, &open) {
                    return Some((at, placed));
                }
            }
            let next = *self.changes.range((Excluded(at), Unbounded)).next()?.0;
            if next >= self.now + UNLIMITED {
                return None;
            }
            // Steps that leave the window at its front, and those that come into it at its end.
            let gone = self.changes.range((Excluded(at), Included(next)));
            let come = self.changes.range((Included(at + length), Excluded(next + length)));
            let touched: Vec<usize> =
                gone.chain(come).flat_map(|(_, nodes)| nodes).copied().collect();
            at = next;
            for node in touched {
                if rooms.is_member[node] {
                    self.measure(demand, node, at, length, rooms);
                }
            }
        }
    }

    /// Looks at one node from a time on, for so long.
    fn measure(
        &mut self,
        demand: &Demand,
        node: usize,
        from: Time,
        length: Span,
        rooms: &mut Rooms,
    ) {
        let profile = &self.profiles[node];
        // Most nodes of a busy cluster are full when the window begins: no need to look further.
        if profile.at(from).cpus >= self.window[node].cpus {
            return rooms.put(node, 0);
        }
        show(&mut self.window[node], profile.over(from, from + length));
        rooms.shown.push(node);
        rooms.put(node, demand.units_on(&self.window[node]));
    }
}

/// How much the nodes could give: enough to tell when a closer look is worth it.
struct Rooms {
    is_member: Vec<bool>,
    units: Vec<u32>,
    total: u64,
    open: u32,
    /// Nodes whose window is not what it is now.
    shown: Vec<usize>,
    /// Some node can give more than when a place was last looked for.
    grew: bool,
}

impl Rooms {
    fn new(nodes: usize) -> Self {
        let (is_member, units) = (vec![false; nodes], vec![0; nodes]);
        Self { is_member, units, total: 0, open: 0, shown: Vec::new(), grew: false }
    }

    fn put(&mut self, node: usize, units: u32) {
        let before = std::mem::replace(&mut self.units[node], units);
        self.total = self.total - u64::from(before) + u64::from(units);
        self.open = self.open - u32::from(before > 0) + u32::from(units > 0);
        self.grew |= units > before;
    }

    fn may_suffice(&self, demand: &Demand) -> bool {
        self.open >= demand.nodes_min && self.total >= u64::from(demand.units)
    }
}
