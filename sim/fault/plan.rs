//! From a scenario's faults and a seed to an explicit plan.

use std::rc::Rc;

use flurm_base::Rng;

use super::act::{Act, all_links_of, cut_both_ways, cut_one_way, jump};
use super::{FaultSpec, Group, Shape};
use crate::cluster::{Cluster, current};
use crate::scenario::{CountRange, SpanRange};
use crate::world::net::Link;
use crate::world::trace::{Kind, clock_text};
use crate::world::{self, Event, MachineId, Nanos, SECOND};

/// Nothing breaks before this moment, so that a cluster can form first.
const CALM: Nanos = 2 * SECOND;

/// A planned fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// When.
    pub at: Nanos,
    /// What.
    pub act: Act,
    /// How long.
    pub lasts: Nanos,
}

impl Planned {
    /// As people read it.
    pub fn words(&self, name: impl Fn(MachineId) -> String) -> String {
        let lasts = self.lasts as f64 / SECOND as f64;
        format!("{} {} for {lasts:.3} s", clock_text(self.at), self.act.words(name))
    }
}

struct Planner<'a> {
    cluster: &'a Cluster,
    rng: Rng,
    until: Nanos,
    planned: Vec<Planned>,
}

/// Draws a plan, in the order of time.
pub fn plan(specs: &[FaultSpec], cluster: &Cluster, rng: &Rng, until: Nanos) -> Vec<Planned> {
    let mut planned = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let rng = rng.child_at("fault", index as u64);
        let mut planner = Planner { cluster, rng, until, planned: Vec::new() };
        planner.add(spec);
        planned.append(&mut planner.planned);
    }
    planned.sort_by_key(|planned| planned.at);
    planned
}

/// Puts a plan into the world's future.
pub fn schedule(plan: Vec<Planned>) {
    for planned in plan {
        let at = planned.at;
        let act = move || {
            let Some(cluster) = current() else { return };
            happen(&planned, &cluster);
        };
        world::with(|w| w.schedule(at, Event::Call(Box::new(act))));
    }
}

fn happen(planned: &Planned, cluster: &Rc<Cluster>) {
    world::with(|w| {
        let text = planned.act.words(|id| w.machine(id).name.clone());
        let now = w.now();
        let fact = world::trace::digest_bytes(text.as_bytes());
        w.trace.note(now, Kind::Fault, [fact, planned.lasts], || {
            ("world".to_owned(), format!("fault: {text}"))
        });
    });
    planned.act.happen(cluster, planned.lasts);
}

impl Planner<'_> {
    fn moment(&mut self) -> Nanos {
        self.rng.range(CALM..=self.until.max(CALM + 1))
    }

    fn repeat(
        &mut self,
        times: CountRange,
        lasts: SpanRange,
        act: impl Fn(&mut Self) -> Option<Act>,
    ) {
        for _ in 0..times.draw(&mut self.rng) {
            let at = self.moment();
            let lasts = lasts.draw(&mut self.rng);
            if let Some(act) = act(self) {
                self.planned.push(Planned { at, act, lasts });
            }
        }
    }

    fn controller(&mut self) -> MachineId {
        *self.rng.pick(&self.cluster.controllers).expect("there is a controller")
    }

    fn node(&mut self) -> Option<MachineId> {
        self.rng.pick(&self.cluster.nodes).copied()
    }

    fn machine(&mut self) -> MachineId {
        *self.rng.pick(&self.cluster.machines()).expect("there is a machine")
    }

    fn add(&mut self, spec: &FaultSpec) {
        match spec.clone() {
            FaultSpec::KillController { who, when, times, down_for } => {
                self.repeat(times, down_for, |p| {
                    let machine = p.controller();
                    Some(Act::Controller { machine, who, when, power: false })
                });
            }
            FaultSpec::PowerLossController { who, when, times, down_for } => {
                self.repeat(times, down_for, |p| {
                    let machine = p.controller();
                    Some(Act::Controller { machine, who, when, power: true })
                });
            }
            FaultSpec::KillNodeDaemon { times, down_for } => {
                let act = |p: &mut Self| Some(Act::Node { machine: p.node()?, power: false });
                self.repeat(times, down_for, act);
            }
            FaultSpec::PowerLossNode { times, down_for } => {
                let act = |p: &mut Self| Some(Act::Node { machine: p.node()?, power: true });
                self.repeat(times, down_for, act);
            }
            FaultSpec::Swizzle { group, power, times, within, down_for } => {
                for _ in 0..times.draw(&mut self.rng) {
                    self.swizzle(group, power, within, down_for);
                }
            }
            FaultSpec::Partition { shape, times, lasts } => {
                self.repeat(times, lasts, |p| Some(p.partition(shape)));
            }
            FaultSpec::Delay { adds, times, lasts } => self.repeat(times, lasts, |p| {
                let delay = adds.draw(&mut p.rng);
                Some(p.trouble(Link { delay, ..Link::default() }))
            }),
            FaultSpec::Loss { percent, times, lasts } => self.repeat(times, lasts, |p| {
                let loss = percent.draw(&mut p.rng) as f64 / 100.0;
                Some(p.trouble(Link { loss, ..Link::default() }))
            }),
            FaultSpec::ClockJump { by, times } => {
                self.repeat(times, SpanRange::secs(0, 0), |p| {
                    let machine = p.machine();
                    let by = by.draw(&mut p.rng);
                    Some(Act::Jump(machine, jump(&mut p.rng, by)))
                });
            }
        }
    }

    fn trouble(&mut self, link: Link) -> Act {
        let machine = self.machine();
        Act::Links(all_links_of(machine, &self.cluster.machines(), link))
    }

    fn partition(&mut self, shape: Shape) -> Act {
        let mut machines = self.cluster.machines();
        self.rng.shuffle(&mut machines);
        match shape {
            Shape::IsolateLeader => Act::IsolateLeader,
            Shape::Pair => Act::Links(cut_both_ways(&machines[..1], &machines[1..2])),
            Shape::TwoWay => {
                let (left, right) = self.sides(&machines);
                Act::Links(cut_both_ways(&left, &right))
            }
            Shape::OneWay => {
                let (left, right) = self.sides(&machines);
                Act::Links(cut_one_way(&left, &right))
            }
        }
    }

    fn sides(&mut self, machines: &[MachineId]) -> (Vec<MachineId>, Vec<MachineId>) {
        let middle = self.rng.index(1..machines.len().max(2));
        let (left, right) = machines.split_at(middle.min(machines.len()));
        (left.to_vec(), right.to_vec())
    }

    fn swizzle(&mut self, group: Group, power: bool, within: SpanRange, down_for: SpanRange) {
        let controllers = self.cluster.controllers.clone();
        let nodes = self.cluster.nodes.clone();
        let targets = match group {
            Group::Controllers => controllers.clone(),
            Group::Nodes => nodes,
            Group::All => [controllers.clone(), nodes].concat(),
        };
        let start = self.moment();
        let within = within.draw(&mut self.rng).max(1);
        for machine in targets {
            if self.rng.chance(0.25) {
                continue;
            }
            let at = start + self.rng.below(within);
            let lasts = down_for.draw(&mut self.rng);
            let act = if controllers.contains(&machine) {
                Act::Controller { machine, who: super::Who::Any, when: super::When::AnyTime, power }
            } else {
                Act::Node { machine, power }
            };
            self.planned.push(Planned { at, act, lasts });
        }
    }
}
