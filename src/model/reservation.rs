//! Reservations: nodes kept for some users for some time.
//!
//! A job without a reservation has no node of one while it could still run there. A job with one has
//! its nodes, in its time. Both are looked at when the planner places a job, and again when a start
//! is applied.

use std::collections::BTreeSet;
use std::sync::Arc;

use flurm_base::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::apply::{Events, Outcome};
use crate::{
    Cluster, Errno, Event, Hold, Job, JobBase, JobFlags, JobSpec, Limit, NodeName, PartitionName,
    Reason, Refusal, Reply,
};

/// Slurm's flags of reservations, at Slurm's bits (slurm.h, `RESERVE_FLAG_*`).
pub mod reservation_flags {
    /// For maintenance: may overlap others, which give way.
    pub const MAINT: u64 = 1 << 0;
    /// Comes again each day.
    pub const DAILY: u64 = 1 << 2;
    /// Comes again each week.
    pub const WEEKLY: u64 = 1 << 4;
    /// Jobs that run there do not matter.
    pub const IGNORE_JOBS: u64 = 1 << 6;
    /// Its nodes stay the same.
    pub const STATIC: u64 = 1 << 10;
    /// All nodes of its partition.
    pub const PART_NODES: u64 = 1 << 12;
    /// May overlap others.
    pub const OVERLAP: u64 = 1 << 14;
    /// Its nodes were named.
    pub const SPEC_NODES: u64 = 1 << 15;
    /// All nodes.
    pub const ALL_NODES: u64 = 1 << 19;
    /// Its jobs may start earlier, end later, and have other nodes too.
    pub const FLEX: u64 = 1 << 25;
    /// Jobs that still wait for it when it is over are not held.
    pub const NO_HOLD_JOBS: u64 = 1 << 29;
    /// Jobs that may use it need not ask for it.
    pub const MAGNETIC: u64 = 1 << 32;
    /// Comes again each hour.
    pub const HOURLY: u64 = 1 << 35;
}
use reservation_flags as flags;

/// Reservations that there may be.
pub(crate) const RESERVATIONS_MAX: usize = 1_000;
const HOUR: Span = Span::secs(3_600);
const DAY: Span = Span::secs(24 * 3_600);
/// Periods that one step of the time may pass over: about three years of days, more than a year of
/// hours.
const PERIODS_MAX: u32 = 10_000;

/// A reservation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its name.
    pub name: String,
    /// When it begins; of one that comes again, the next time or the present one.
    pub start: Time,
    /// When it ends.
    pub end: Time,
    /// Slurm's `RESERVE_FLAG_*` bits.
    pub flags: u64,
    /// Its nodes, in the configuration's order.
    pub nodes: Vec<NodeName>,
    /// How many nodes it shall have, where none are named.
    pub nodes_wanted: u32,
    /// `PartitionName`.
    pub partition: Option<PartitionName>,
    /// `Users`: login names; each with `-` before it where others may use it.
    pub users: Vec<String>,
    /// `Accounts`, in the same way.
    pub accounts: Vec<String>,
    /// `Comment`.
    pub comment: Option<String>,
}

impl Reservation {
    /// Whether a flag is set.
    pub const fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Whether it holds at a time.
    pub fn is_active(&self, now: Time) -> bool {
        self.start <= now && now < self.end
    }

    /// Whether a job may use it.
    pub fn lets_in(&self, spec: &JobSpec) -> bool {
        let user = listed(&self.users, spec.user_name.as_deref());
        let account = listed(&self.accounts, spec.account.as_deref());
        match (self.users.is_empty(), self.accounts.is_empty()) {
            (false, true) => user,
            (true, _) => account,
            (false, false) => user && account,
        }
    }

    /// Whether a job that asks for no reservation may run in it all the same.
    fn draws(&self, spec: &JobSpec, from: Time, until: Time) -> bool {
        let in_time = self.is_active(from) && until <= self.end;
        self.has(flags::MAGNETIC) && in_time && self.lets_in(spec)
    }

    fn period(&self) -> Option<Span> {
        let week = Span::secs(7 * 24 * 3_600);
        let periods = [(flags::HOURLY, HOUR), (flags::DAILY, DAY), (flags::WEEKLY, week)];
        let period = periods.into_iter().find(|(flag, _)| self.has(*flag));
        period.map(|(_, period)| period)
    }

    /// Whether it takes any time between two points, this time or a later one.
    fn meets(&self, from: Time, until: Time) -> bool {
        let (mut start, mut end) = (self.start, self.end);
        for _ in 0..PERIODS_MAX {
            if start >= until {
                return false;
            }
            if end > from {
                return true;
            }
            let Some(period) = self.period() else { return false };
            start = start + period;
            end = end + period;
        }
        false
    }
}

/// Whether a name is on a list, or not on a list of those who are kept out.
fn listed(names: &[String], name: Option<&str>) -> bool {
    let denies = names.first().is_some_and(|first| first.starts_with('-'));
    let found = names.iter().any(|known| Some(known.trim_start_matches('-')) == name);
    found != denies
}

/// The nodes that reservations leave to a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeBounds {
    only: Option<BTreeSet<NodeName>>,
    barred: BTreeSet<NodeName>,
}

impl NodeBounds {
    /// Whether the job may have a node.
    pub fn allow(&self, node: &NodeName) -> bool {
        let within = self.only.as_ref().is_none_or(|only| only.contains(node));
        within && !self.barred.contains(node)
    }

    /// Whether nothing is said.
    pub fn is_open(&self) -> bool {
        self.only.is_none() && self.barred.is_empty()
    }
}

/// What reservations leave to a job that would start now.
///
/// # Errors
/// Why it cannot start, whatever nodes are free.
pub fn bounds<'a>(
    reservations: impl Iterator<Item = &'a Reservation> + Clone,
    spec: &JobSpec,
    limit: Limit,
    now: Time,
) -> Result<NodeBounds, Reason> {
    let mut bounds = NodeBounds::default();
    let until = match limit {
        Limit::Max(minutes) => now + Span::secs(u64::from(minutes) * 60),
        Limit::Unlimited => now + Span::secs(365 * 24 * 3_600),
    };
    let own = match &spec.requests.reservation {
        None => None,
        Some(name) => {
            let own = reservations.clone().find(|one| one.name == *name);
            let own = own.filter(|own| own.lets_in(spec)).ok_or(Reason::Reservation)?;
            if !own.has(flags::FLEX) {
                if !own.is_active(now) || until > own.end {
                    return Err(Reason::Reservation);
                }
                bounds.only = Some(own.nodes.iter().cloned().collect());
            }
            Some(own)
        }
    };
    for other in reservations {
        let gives_way = own.is_some_and(|own| {
            own.name == other.name
                || own.has(flags::MAINT)
                || (own.has(flags::OVERLAP) && !other.has(flags::MAINT))
        });
        let draws = own.is_none() && other.draws(spec, now, until);
        if !gives_way && !draws && other.meets(now, until) {
            bounds.barred.extend(other.nodes.iter().cloned());
        }
    }
    if flurm_base::planted::is("model_forgets_reservations") {
        return Ok(NodeBounds::default());
    }
    Ok(bounds)
}

impl Cluster {
    /// All reservations, by name.
    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> + Clone {
        self.reservations.values()
    }

    /// A reservation.
    pub fn reservation(&self, name: &str) -> Option<&Reservation> {
        self.reservations.get(name)
    }

    /// The next time after `now` at which a reservation begins or ends.
    pub fn reservation_next(&self, now: Time) -> Option<Time> {
        let times = self.reservations.values().flat_map(|one| [one.start, one.end]);
        times.filter(|at| *at > now).min()
    }

    /// Reservations whose time is over: each deserves `Command::ReservationOver`.
    pub fn reservations_over(&self, now: Time) -> Vec<String> {
        let over = self.reservations.values().filter(|one| one.end <= now);
        over.map(|one| one.name.clone()).collect()
    }

    /// Refuses a job that names a reservation which is not there or not for it.
    pub(crate) fn check_reservation(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let Some(name) = &spec.requests.reservation else { return Ok(()) };
        match self.reservations.get(name) {
            None => {
                let text = format!("there is no reservation {name}");
                Err(Refusal::new(Errno::ReservationInvalid, text))
            }
            Some(own) if !own.lets_in(spec) => {
                let text = format!("reservation {name} is for others");
                Err(Refusal::new(Errno::ReservationAccess, text))
            }
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn put_reservation(
        &mut self,
        at: Time,
        create: bool,
        wanted: &Reservation,
        events: &mut Events,
    ) -> Outcome {
        let known = self.reservations.contains_key(&wanted.name);
        match (create, known) {
            (true, true) => return Err(Refusal::from(Errno::ReservationNameDup)),
            (false, false) => return Err(Refusal::from(Errno::ReservationInvalid)),
            (true, false) if self.reservations.len() >= RESERVATIONS_MAX => {
                let text = format!("there are {RESERVATIONS_MAX} reservations at most");
                return Err(Refusal::new(Errno::NotSupported, text));
            }
            (true, false) | (false, true) => {}
        }
        let mut wanted = wanted.clone();
        if wanted.end <= wanted.start {
            return Err(Refusal::from(Errno::InvalidTimeValue));
        }
        if wanted.users.is_empty() && wanted.accounts.is_empty() {
            return Err(Refusal::from(Errno::ReservationEmpty));
        }
        if wanted.nodes.is_empty() {
            wanted.nodes = self.pick_nodes(&wanted)?;
        } else {
            self.check_reserved_nodes(&wanted)?;
        }
        for name in &wanted.nodes {
            self.touch_node(at, name, events);
        }
        self.reservations.insert(wanted.name.clone(), wanted);
        self.updated.config = self.updated.config.max(at);
        events.push(Event::Configured);
        Ok(Reply::Done)
    }

    fn check_reserved_nodes(&self, wanted: &Reservation) -> Result<(), Refusal> {
        for name in &wanted.nodes {
            if self.nodes.get(name).is_none_or(|node| node.removed) {
                return Err(Refusal::from(Errno::InvalidNodeName));
            }
            if let Some(other) = self.reserved_by_other(wanted, name) {
                let text = format!("reservation {} has node {name} then", other.name);
                return Err(Refusal::new(Errno::ReservationOverlap, text));
            }
            if self.is_taken(wanted, name) {
                let text = format!("jobs run on node {name} then");
                return Err(Refusal::new(Errno::NodesBusy, text));
            }
        }
        Ok(())
    }

    fn reserved_by_other(&self, wanted: &Reservation, node: &NodeName) -> Option<&Reservation> {
        if wanted.has(flags::MAINT | flags::OVERLAP) {
            return None;
        }
        let mut others = self.reservations.values().filter(|other| other.name != wanted.name);
        others.find(|other| {
            let meets =
                other.meets(wanted.start, wanted.end) || wanted.meets(other.start, other.end);
            meets && other.nodes.contains(node)
        })
    }

    /// Whether a job that is not of the reservation may still run on a node when it begins.
    fn is_taken(&self, wanted: &Reservation, node: &NodeName) -> bool {
        if wanted.has(flags::IGNORE_JOBS) {
            return false;
        }
        self.jobs_on(node).any(|job| {
            let mine = job.spec.requests.reservation.as_ref() == Some(&wanted.name);
            !mine && job.time_limit_end().is_none_or(|end| end > wanted.start)
        })
    }

    fn pick_nodes(&self, wanted: &Reservation) -> Result<Vec<NodeName>, Refusal> {
        let count = wanted.nodes_wanted as usize;
        if count == 0 {
            return Err(Refusal::from(Errno::InvalidNodeName));
        }
        let partition = match &wanted.partition {
            Some(name) => self.partitions.get(name),
            None => self.partition_default(),
        };
        let partition = partition.ok_or_else(|| Refusal::from(Errno::InvalidPartitionName))?;
        let members = &self.index.members[&partition.conf.name];
        let free = |node: &&crate::Node| {
            let name = &node.conf.name;
            members.contains(name)
                && node.is_usable()
                && self.reserved_by_other(wanted, name).is_none()
                && !self.is_taken(wanted, name)
        };
        let nodes = self.nodes().filter(free).map(|node| node.conf.name.clone());
        let nodes: Vec<NodeName> = nodes.take(count).collect();
        if nodes.len() < count {
            let text = format!("{} of {count} nodes are free then", nodes.len());
            return Err(Refusal::new(Errno::NodesBusy, text));
        }
        Ok(nodes)
    }

    pub(crate) fn delete_reservation(
        &mut self,
        at: Time,
        name: &str,
        events: &mut Events,
    ) -> Outcome {
        if !self.reservations.contains_key(name) {
            return Err(Refusal::from(Errno::ReservationInvalid));
        }
        let uses = |job: &Job| {
            let runs = matches!(job.base, JobBase::Running | JobBase::Suspended);
            let open = runs || job.flags.has(JobFlags::COMPLETING) || job.base == JobBase::Pending;
            open && job.spec.requests.reservation.as_deref() == Some(name)
        };
        if self.jobs.values().any(uses) {
            return Err(Refusal::from(Errno::ReservationBusy));
        }
        self.drop_reservation(at, name, events);
        Ok(Reply::Done)
    }

    /// Its time is over: it comes again, or is gone, and jobs that still wait for it are held.
    pub(crate) fn reservation_over(&mut self, at: Time, name: &str, events: &mut Events) -> Reply {
        let Some(one) = self.reservations.get_mut(name).filter(|one| one.end <= at) else {
            return Reply::Stale;
        };
        if let Some(period) = one.period() {
            for _ in 0..PERIODS_MAX {
                if one.end > at {
                    break;
                }
                one.start = one.start + period;
                one.end = one.end + period;
            }
            let nodes = one.nodes.clone();
            nodes.iter().for_each(|node| self.touch_node(at, node, events));
            self.updated.config = self.updated.config.max(at);
            events.push(Event::Configured);
            return Reply::Done;
        }
        self.drop_reservation(at, name, events);
        Reply::Done
    }

    fn drop_reservation(&mut self, at: Time, name: &str, events: &mut Events) {
        let gone = self.reservations.remove(name).expect("callers drop those that they found");
        for node in &gone.nodes {
            self.touch_node(at, node, events);
        }
        // One that runs goes on, and would be queued again without it.
        let waits = |job: &&Job| {
            !job.base.is_terminal() && job.spec.requests.reservation.as_deref() == Some(name)
        };
        let waiting: Vec<_> = self.jobs.values().filter(waits).map(|job| job.id).collect();
        let holds = !gone.has(flags::NO_HOLD_JOBS);
        for id in waiting {
            self.change_job(at, id, |job, _| {
                Arc::make_mut(&mut job.spec).requests.reservation = None;
                let waits = job.base == JobBase::Pending && job.hold == Hold::None;
                if holds && waits {
                    flurm_base::sometimes!("a job was held because its reservation is over");
                    crate::life::hold_for(job, Reason::ReservationDeleted, "");
                }
            });
            events.push(Event::JobChanged(id));
        }
        self.updated.config = self.updated.config.max(at);
        events.push(Event::Configured);
    }

    /// The bits that reservations set in a node's state at a time (slurm.h, `NODE_STATE_RES` and
    /// `NODE_STATE_MAINT`).
    pub fn reserved_state(&self, node: &NodeName, now: Time) -> u32 {
        let active = self.reservations.values().filter(|one| one.is_active(now));
        active.filter(|one| one.nodes.contains(node)).fold(0, |bits, one| {
            let maint = if one.has(flags::MAINT) { crate::NodeFlags::MAINT } else { 0 };
            bits | crate::NodeFlags::RESERVED | maint
        })
    }
}
