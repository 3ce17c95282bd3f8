//! Acts: one thing that breaks, with everything decided but who leads.

use std::rc::Rc;

use flurm_base::Rng;
use serde::{Deserialize, Serialize};

use super::{When, Who};
use crate::cluster::{CONTROLLER, Cluster, NODE};
use crate::world::net::{self, Link};
use crate::world::process::{self, ProcKey};
use crate::world::tap::Trap;
use crate::world::trouble::Trouble;
use crate::world::{self, MachineId, Nanos, SECOND};

/// Where controllers keep what must not be forgotten.
const DATA_FOLDER: &str = "/var";
/// A daemon that the kernel killed is started again after this long, as init does.
const RESTART_AFTER: Nanos = 2 * SECOND;

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
    /// Another service does not run.
    Service {
        /// Where.
        machine: MachineId,
        /// Its name.
        service: String,
    },
    /// Links change.
    Links(Vec<(MachineId, MachineId, Link)>),
    /// The leader's links are cut.
    IsolateLeader,
    /// The connections of a machine with others are reset.
    Reset(MachineId),
    /// The connections of a machine with others go dead without a word.
    Deaden(MachineId),
    /// A wall clock jumps by this many microseconds, or as many back (`MachineClock::jump`).
    Jump(MachineId, i64),
    /// A machine's clocks run fast or slow, in parts per million.
    Drift(MachineId, i64),
    /// A machine's disk, process table or resolver misbehaves.
    Trouble(MachineId, Trouble),
    /// A machine loses power and everything it had stored.
    Wipe(MachineId),
    /// A bit of a controller's synced files changes, and its daemon is killed.
    Rot {
        /// Where.
        machine: MachineId,
        /// Decides which file and bit.
        draw: u64,
    },
    /// The kernel kills a process.
    KillProcess {
        /// Where.
        machine: MachineId,
        /// Only of this program.
        only: Option<String>,
        /// Decides which.
        draw: u64,
    },
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
        cluster.begin(lasts, move || again.power_on(machine));
    } else {
        hold(cluster, machine, service, lasts);
    }
}

fn hold(cluster: &Rc<Cluster>, machine: MachineId, service: &str, lasts: Nanos) {
    cluster.hold(machine, service);
    let (again, service) = (Rc::clone(cluster), service.to_owned());
    cluster.begin(lasts, move || again.release(machine, &service));
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
            Self::Service { machine, service } => hold(cluster, *machine, service, lasts),
            Self::Links(links) => break_links(cluster, links, lasts),
            Self::IsolateLeader => {
                let Some(leader) = cluster.leader() else { return };
                let others: Vec<MachineId> =
                    cluster.machines().into_iter().filter(|id| *id != leader).collect();
                break_links(cluster, &cut_both_ways(&[leader], &others), lasts);
            }
            Self::Reset(machine) => world::with(|w| net::reset_all(w, *machine)),
            Self::Deaden(machine) => world::with(|w| net::deaden_all(w, *machine)),
            Self::Jump(machine, by_us) => world::with(|w| {
                let now = w.now();
                w.machine_mut(*machine).clock.jump(now, *by_us);
                w.compare_clocks();
            }),
            Self::Drift(machine, ppm) => drift(cluster, *machine, *ppm, lasts),
            Self::Trouble(machine, trouble) => {
                let machine = *machine;
                let number = cluster.next_number();
                world::with(|w| w.machine_mut(machine).troubles.begin(number, *trouble));
                let end = move || world::with(|w| w.machine_mut(machine).troubles.end(number));
                cluster.begin(lasts, end);
            }
            Self::Wipe(machine) => {
                take_down(cluster, *machine, CONTROLLER, true, lasts);
                world::with(|w| w.machine_mut(*machine).disk.wipe_below(DATA_FOLDER.as_ref()));
            }
            Self::Rot { machine, draw } => rot(cluster, *machine, *draw, lasts),
            Self::KillProcess { machine, only, draw } => {
                kill_process(cluster, *machine, only.as_deref(), *draw);
            }
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
            Self::Service { machine, service } => {
                format!("kill of {service} on {}", name(*machine))
            }
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
            Self::Reset(machine) => format!("reset of all connections of {}", name(*machine)),
            Self::Deaden(machine) => format!("all connections of {} go dead", name(*machine)),
            Self::Jump(machine, by_us) => {
                let by_ms = by_us / 1_000;
                format!("wall clock of {} jumps by {by_ms} ms or as much back", name(*machine))
            }
            Self::Drift(machine, ppm) => format!("clocks of {} drift by {ppm} ppm", name(*machine)),
            Self::Trouble(machine, trouble) => {
                format!("trouble of {}: {}", name(*machine), trouble.words())
            }
            Self::Wipe(machine) => format!("loss of the disk of {}", name(*machine)),
            Self::Rot { machine, .. } => format!("a bit on the disk of {} rots", name(*machine)),
            Self::KillProcess { machine, only, .. } => {
                let what = only.as_deref().unwrap_or("process");
                format!("the kernel kills a {what} on {}", name(*machine))
            }
        }
    }
}

fn drift(cluster: &Rc<Cluster>, machine: MachineId, ppm: i64, lasts: Nanos) {
    let before = world::with(|w| {
        let now = w.now();
        w.machine_mut(machine).clock.set_drift(now, ppm)
    });
    cluster.begin(lasts, move || {
        world::with(|w| {
            let now = w.now();
            w.machine_mut(machine).clock.set_drift(now, before);
            w.compare_clocks();
        });
    });
}

/// What rotted may be beyond repair: once everything is healed, the operator empties the member's
/// folder, as its daemon asks for, and it learns everything from its peers.
fn rot(cluster: &Rc<Cluster>, machine: MachineId, draw: u64, lasts: Nanos) {
    let rotten = world::with(|w| w.machine_mut(machine).disk.rot(DATA_FOLDER.as_ref(), draw));
    if rotten {
        take_down(cluster, machine, CONTROLLER, false, lasts);
        let again = Rc::clone(cluster);
        cluster.until_healed(move || {
            again.hold(machine, CONTROLLER);
            world::with(|w| w.machine_mut(machine).disk.wipe_below(DATA_FOLDER.as_ref()));
            again.release(machine, CONTROLLER);
        });
    }
}

fn kill_process(cluster: &Rc<Cluster>, machine: MachineId, only: Option<&str>, draw: u64) {
    let victim: Option<(ProcKey, String)> = world::with(|w| {
        let wanted = |p: &&process::Process| match only {
            Some(name) => p.name == name,
            None => p.script.is_some() || p.name == NODE || p.name == "flurmstepd",
        };
        let here: Vec<_> = w.processes.alive().filter(|p| p.machine == machine).collect();
        let here: Vec<_> = here.into_iter().filter(wanted).collect();
        let index = usize::try_from(draw % here.len().max(1) as u64).expect("an index is small");
        here.get(index).map(|p| (p.key, p.name.clone()))
    });
    match victim {
        Some((_, name)) if name == NODE => hold(cluster, machine, NODE, RESTART_AFTER),
        Some((key, _)) => process::kill(key),
        None => {}
    }
}

fn break_links(cluster: &Rc<Cluster>, links: &[(MachineId, MachineId, Link)], lasts: Nanos) {
    let number = cluster.break_links(links);
    let again = Rc::clone(cluster);
    cluster.begin(lasts, move || again.mend_links(number));
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

/// A number, or its negative.
pub(super) fn either_way(rng: &mut Rng, number: i64) -> i64 {
    if rng.chance(0.5) { number } else { -number }
}
