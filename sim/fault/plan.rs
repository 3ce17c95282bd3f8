//! From a scenario's faults and a seed to an explicit plan.

use std::rc::Rc;

use flurm_base::Rng;

use super::FaultSpec;
use super::act::Act;
use crate::cluster::{Cluster, current};
use crate::scenario::{CountRange, SpanRange};
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

/// Draws moments, machines and spans from the seed for one fault.
pub struct Planner<'a> {
    cluster: &'a Cluster,
    rng: Rng,
    until: Nanos,
    victim: MachineId,
    planned: Vec<Planned>,
}

/// Draws a plan, in the order of time.
pub fn plan(specs: &[FaultSpec], cluster: &Cluster, rng: &Rng, until: Nanos) -> Vec<Planned> {
    let mut planned = Vec::new();
    let victim = *rng.child("victim").pick(&cluster.controllers).expect("there is a controller");
    for (index, spec) in specs.iter().enumerate() {
        let rng = rng.child_at("fault", index as u64);
        let mut planner = Planner { cluster, rng, until, victim, planned: Vec::new() };
        spec.plan(&mut planner);
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

impl<'a> Planner<'a> {
    /// The machines there are.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// The fault's own chance.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A moment while trouble lasts.
    pub fn moment(&mut self) -> Nanos {
        self.rng.range(CALM..=self.until.max(CALM + 1))
    }

    /// Plans one act. One that would fall after the trouble is left out: nobody would mend it.
    pub fn push(&mut self, at: Nanos, lasts: Nanos, act: Act) {
        if at <= self.until.max(CALM + 1) {
            self.planned.push(Planned { at, act, lasts });
        }
    }

    /// Plans an act a number of times, each at a moment and for a span of its own.
    pub fn repeat(
        &mut self,
        times: CountRange,
        lasts: SpanRange,
        act: impl Fn(&mut Self) -> Option<Act>,
    ) {
        for _ in 0..times.draw(&mut self.rng) {
            let at = self.moment();
            let lasts = lasts.draw(&mut self.rng);
            if let Some(act) = act(self) {
                self.push(at, lasts, act);
            }
        }
    }

    /// Any controller.
    pub fn controller(&mut self) -> MachineId {
        *self.rng.pick(&self.cluster.controllers).expect("there is a controller")
    }

    /// The one controller of this run whose disk may lose what it held.
    pub fn victim(&self) -> MachineId {
        self.victim
    }

    /// Any node.
    pub fn node(&mut self) -> Option<MachineId> {
        self.rng.pick(&self.cluster.nodes).copied()
    }

    /// Any machine.
    pub fn machine(&mut self) -> MachineId {
        *self.rng.pick(&self.cluster.machines()).expect("there is a machine")
    }
}
