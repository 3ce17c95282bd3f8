//! What a pass plans ahead: intervals of the future that belong to waiting jobs, and what it
//! remembers of demands so as not to look twice.

use std::collections::BTreeMap;

use flurm_base::{JobId, Span, Time};

use crate::demand::Demand;
use crate::gate::Gate;
use crate::place::place;
use crate::timeline::{Booking, Placed, Timeline, User};
use crate::{NodeView, Planned, Snapshot};

/// Tasks of one array for which a start is planned ahead, at most
/// (`bf_max_job_array_resv` in slurm.conf(5)).
const ARRAY_PLANNED_MAX: u32 = 20;

/// The user of what is planned ahead: it is not there yet.
const NOBODY: User = (u32::MAX, false);

/// What a pass learnt of a demand in a partition. Room only shrinks while a pass goes on, except
/// where a booking is given back.
#[derive(Default)]
struct Learnt {
    /// A job so long, or longer, has no room now.
    hopeless: Option<Span>,
    /// A job so long starts no earlier.
    earliest: BTreeMap<Span, Time>,
    /// Whether the nodes in service could take it if nothing else ran.
    possible: Option<bool>,
}

/// What a start is planned for.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a, 'd> {
    pub(crate) job: JobId,
    pub(crate) partition: &'a str,
    pub(crate) demand: &'d Demand,
    pub(crate) length: Span,
    /// Tasks of an array; 1 for a job.
    pub(crate) tasks: u32,
}

/// The future, as far as it is given away.
pub(crate) struct Ahead<'a> {
    snapshot: &'a Snapshot,
    /// Made when the first job finds no room; what was started before is kept for it.
    timeline: Option<Timeline>,
    started: Vec<(Placed, Span, User)>,
    bookings: BTreeMap<JobId, Vec<Booking>>,
    planned: u32,
    learnt: BTreeMap<&'a str, BTreeMap<Demand, Learnt>>,
}

impl<'a> Ahead<'a> {
    /// Nothing is planned yet.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            timeline: None,
            started: Vec::new(),
            bookings: BTreeMap::new(),
            planned: 0,
            learnt: BTreeMap::new(),
        }
    }

    fn learnt(&mut self, partition: &'a str, demand: &Demand) -> &mut Learnt {
        let of_partition = self.learnt.entry(partition).or_default();
        if !of_partition.contains_key(demand) {
            of_partition.insert(demand.clone(), Learnt::default());
        }
        of_partition.get_mut(demand).expect("it was put there if it was missing")
    }

    /// A place for a job that starts now and leaves alone what is planned.
    pub(crate) fn place_now(
        &mut self,
        demand: &Demand,
        nodes: &[NodeView],
        candidates: &[usize],
        length: Span,
    ) -> Option<Placed> {
        match &mut self.timeline {
            Some(timeline) => timeline.place_now(demand, candidates, length),
            None => place(demand, nodes, candidates),
        }
    }

    /// The same for a job that no reservation bounds: what was learnt of its demand holds.
    pub(crate) fn place_known(
        &mut self,
        partition: &'a str,
        demand: &Demand,
        nodes: &[NodeView],
        candidates: &[usize],
        length: Span,
    ) -> Option<Placed> {
        if self.learnt(partition, demand).hopeless.is_some_and(|known| known <= length) {
            return None;
        }
        let placed = self.place_now(demand, nodes, candidates, length);
        if placed.is_none() {
            self.learnt(partition, demand).hopeless = Some(length);
        }
        placed
    }

    /// A job, or a task of it, starts now.
    pub(crate) fn start(&mut self, job: JobId, placed: &Placed, length: Span, user: User) {
        match &mut self.timeline {
            None => self.started.push((placed.clone(), length, user)),
            Some(timeline) => {
                timeline.book(self.snapshot.now, length, placed.clone(), user);
            }
        }
        // What was planned for it in another partition is nobody's now.
        if self.bookings.contains_key(&job) {
            self.give_back(job);
        }
    }

    fn give_back(&mut self, job: JobId) {
        let Some(bookings) = self.bookings.get_mut(&job) else { return };
        let (booking, timeline) = (bookings.pop(), self.timeline.as_mut());
        if bookings.is_empty() {
            self.bookings.remove(&job);
        }
        if let (Some(booking), Some(timeline)) = (booking, timeline) {
            timeline.unbook(&booking);
        }
        self.planned -= 1;
        for learnt in self.learnt.values_mut().flat_map(BTreeMap::values_mut) {
            (learnt.hopeless, learnt.earliest) = (None, BTreeMap::new());
        }
    }

    /// Plans starts for so many tasks of a job. Whether one is planned: false also when there were
    /// enough before, or when no future has room.
    pub(crate) fn plan(&mut self, wish: &Wish<'a, '_>, gate: &Gate<'_>, usable: &[usize]) -> bool {
        if let Some(before) = self.bookings.get(&wish.job) {
            let before = before.first().map(|booking| booking.from);
            if wish.tasks == 1 {
                self.move_earlier(wish, gate, usable, before);
            }
            return true;
        }
        let mut is_planned = false;
        for _ in 0..wish.tasks.min(ARRAY_PLANNED_MAX) {
            if self.planned >= self.snapshot.planned_max {
                break;
            }
            let Some((from, placed)) = self.earliest(wish, gate, usable) else { break };
            self.book(wish, from, placed);
            is_planned = true;
        }
        is_planned
    }

    /// Plans a job in this partition instead of another, if it starts earlier here.
    fn move_earlier(
        &mut self,
        wish: &Wish<'a, '_>,
        gate: &Gate<'_>,
        usable: &[usize],
        before: Option<Time>,
    ) {
        let found = self.earliest(wish, gate, usable);
        let Some((from, placed)) = found.filter(|(from, _)| Some(*from) < before) else { return };
        self.give_back(wish.job);
        self.book(wish, from, placed);
    }

    fn book(&mut self, wish: &Wish<'a, '_>, from: Time, mut placed: Placed) {
        // Who will be there beside it is not known: it is planned to be alone.
        placed.iter_mut().for_each(|(_, part)| part.whole_node |= wish.demand.user_only);
        let booking = self.timeline().book(from, wish.length, placed, NOBODY);
        self.bookings.entry(wish.job).or_default().push(booking);
        self.planned += 1;
    }

    fn earliest(
        &mut self,
        wish: &Wish<'a, '_>,
        gate: &Gate<'_>,
        usable: &[usize],
    ) -> Option<(Time, Placed)> {
        let Wish { partition, demand, length, .. } = *wish;
        let now = self.snapshot.now;
        if !gate.is_open() {
            return self.timeline().earliest(demand, usable, length, now, gate);
        }
        let known = &self.learnt(partition, demand).earliest;
        let from = known.range(..=length).next_back().map_or(now, |(_, from)| *from);
        let found = self.timeline().earliest(demand, usable, length, from, gate);
        if let Some((from, _)) = &found {
            self.learnt(partition, demand).earliest.insert(length, *from);
        }
        found
    }

    fn timeline(&mut self) -> &mut Timeline {
        if self.timeline.is_none() {
            let mut timeline = Timeline::new(self.snapshot);
            for (placed, length, user) in std::mem::take(&mut self.started) {
                timeline.book(self.snapshot.now, length, placed, user);
            }
            self.timeline = Some(timeline);
        }
        self.timeline.as_mut().expect("it was made if it was missing")
    }

    /// Whether a demand could be met by idle nodes: asked once.
    pub(crate) fn remembers_possible(
        &mut self,
        partition: &'a str,
        demand: &Demand,
        look: impl FnOnce() -> bool,
    ) -> bool {
        *self.learnt(partition, demand).possible.get_or_insert_with(look)
    }

    /// When and where jobs are expected to start; `nodes` are the snapshot's.
    pub(crate) fn planned(self, nodes: &[NodeView]) -> BTreeMap<JobId, Planned> {
        let forecast = |booking: &Booking| {
            let mut places: Vec<usize> = booking.placed.iter().map(|(at, _)| *at).collect();
            places.sort_unstable();
            let names = places.into_iter().map(|at| nodes[at].name.clone());
            Planned { start: booking.from, nodes: names.collect() }
        };
        let first = self.bookings.iter().filter_map(|(job, all)| Some((*job, all.first()?)));
        first.map(|(job, booking)| (job, forecast(booking))).collect()
    }
}
