//! Acts: one thing that breaks, with everything decided but who leads.

use std::rc::Rc;

use flurm_base::Rng;
use serde::{Deserialize, Serialize};

use super::{When, Who};
use crate::cluster::{CONTROLLER, Cluster, NODE};
use crate::world::net::Link;
use crate::world::tap::Trap;
use crate::world::{self, Event, MICRO, MachineId, Nanos};

/// One thing that breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A controller goes down.
    Controller {
        /// The one, unless the leader is meant.
        machine: MachineId,
        /// Who is meant.
        who: Who,
        /// The moment that is waited for.
        when: When,
        /// With its machine's power.
        power: bool,
    },
    /// A node daemon is killed, or its machine loses power.
    Node {
        /// Where.
        machine: MachineId,
        /// With the power.
        power: bool,
    },
    /// Links change.
    Links(Vec<(MachineId, MachineId, Link)>),
    /// The leader's links are cut.
    IsolateLeader,
    /// A wall clock jumps by this many microseconds.
    Jump(MachineId, i64),
}

fn undo_later(after: Nanos, undo: impl FnOnce() + 'static) {
    world::with(|w| {
        let at = w.now().saturating_add(after);
        w.schedule(at, Event::Call(Box::new(undo)));
    });
}

fn take_down(
    cluster: &Rc<Cluster>,
    machine: MachineId,
    service: &'static str,
    power: bool,
    lasts: Nanos,
) {
    let again = Rc::clone(cluster);
    if power {
        cluster.power_off(machine);
        undo_later(lasts, move || again.power_on(machine));
    } else {
        cluster.hold(machine, service);
        undo_later(lasts, move || again.release(machine, service));
    }
}

/// Takes a controller down at its next answer to a client; the answer is lost.
fn take_down_at_reply(cluster: &Rc<Cluster>, machine: MachineId, power: bool, lasts: Nanos) {
    let later = Rc::clone(cluster);
    let action = Box::new(move || take_down(&later, machine, CONTROLLER, power, lasts));
    let trap = Trap { machine, port: cluster.client_port, swallow: true, action };
    world::with(|w| w.net.tap.set(trap));
}

impl Act {
    /// Lets it happen, and end after `lasts`.
    pub fn happen(&self, cluster: &Rc<Cluster>, lasts: Nanos) {
        match self {
            Self::Controller { machine, who, when, power } => {
                let targets = match who {
                    Who::Any => vec![*machine],
                    Who::Leader => vec![cluster.leader().unwrap_or(*machine)],
                    Who::All => cluster.controllers.clone(),
                };
                for target in targets {
                    match when {
                        When::AnyTime => take_down(cluster, target, CONTROLLER, *power, lasts),
                        When::AfterCommitBeforeReply => {
                            take_down_at_reply(cluster, target, *power, lasts);
                        }
                    }
                }
            }
            Self::Node { machine, power } => take_down(cluster, *machine, NODE, *power, lasts),
            Self::Links(links) => break_links(cluster, links, lasts),
            Self::IsolateLeader => {
                let Some(leader) = cluster.leader() else { return };
                let others: Vec<MachineId> =
                    cluster.machines().into_iter().filter(|id| *id != leader).collect();
                break_links(cluster, &cut_both_ways(&[leader], &others), lasts);
            }
            Self::Jump(machine, by_us) => world::with(|w| {
                w.machine_mut(*machine).clock.jump(*by_us);
            }),
        }
    }

    /// As people read it.
    pub fn words(&self, name: impl Fn(MachineId) -> String) -> String {
        match self {
            Self::Controller { machine, who, when, power } => {
                let target = match who {
                    Who::Any => name(*machine),
                    Who::Leader => "the leader".to_owned(),
                    Who::All => "all controllers".to_owned(),
                };
                let how = if *power { "power loss of" } else { "kill of" };
                let when = match when {
                    When::AnyTime => "",
                    When::AfterCommitBeforeReply => " at its next answer",
                };
                format!("{how} {target}{when}")
            }
            Self::Node { machine, power: true } => format!("power loss of {}", name(*machine)),
            Self::Node { machine, power: false } => format!("kill of flurmd on {}", name(*machine)),
            Self::Links(links) => {
                let (source, target, link) = links.first().expect("a link fault has links");
                let what = if link.cut {
                    "cut".to_owned()
                } else if link.loss > 0.0 {
                    format!("loss of {:.0} %", link.loss * 100.0)
                } else {
                    format!("delay of {} ms", link.delay / 1_000_000)
                };
                let (from, to) = (name(*source), name(*target));
                format!("{what} of {} links, such as {from} to {to}", links.len())
            }
            Self::IsolateLeader => "isolation of the leader".to_owned(),
            Self::Jump(machine, by_us) => {
                format!("wall clock of {} jumps by {} ms", name(*machine), by_us / 1_000)
            }
        }
    }
}

fn break_links(cluster: &Rc<Cluster>, links: &[(MachineId, MachineId, Link)], lasts: Nanos) {
    let number = cluster.break_links(links);
    let again = Rc::clone(cluster);
    undo_later(lasts, move || again.mend_links(number));
}

/// A cut between two sides, in both directions.
pub(super) fn cut_both_ways(
    left: &[MachineId],
    right: &[MachineId],
) -> Vec<(MachineId, MachineId, Link)> {
    let mut links = cut_one_way(left, right);
    links.extend(cut_one_way(right, left));
    links
}

/// A cut from one side to another.
pub(super) fn cut_one_way(
    left: &[MachineId],
    right: &[MachineId],
) -> Vec<(MachineId, MachineId, Link)> {
    let cut = Link { cut: true, ..Link::default() };
    let pairs = left.iter().flat_map(|source| right.iter().map(move |target| (*source, *target)));
    pairs.map(|(source, target)| (source, target, cut)).collect()
}

/// All links of one machine with the same trouble.
pub(super) fn all_links_of(
    machine: MachineId,
    others: &[MachineId],
    link: Link,
) -> Vec<(MachineId, MachineId, Link)> {
    let others = others.iter().filter(|other| **other != machine);
    others.flat_map(|other| [(machine, *other, link), (*other, machine, link)]).collect()
}

/// A jump of up to `high` either way.
pub(super) fn jump(rng: &mut Rng, by: Nanos) -> i64 {
    let by_us = (by / MICRO) as i64;
    if rng.chance(0.5) { by_us } else { -by_us }
}
