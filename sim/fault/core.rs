//! A healed core: at the end of trouble some machines are broken for good, in a way drawn for each,
//! and the others must get along without them.

use std::rc::Rc;

use flurm_base::Rng;

use super::act::cut_both_ways;
use crate::cluster::{CONTROLLER, Cluster, NODE};
use crate::scenario::Core;
use crate::world::trace::Kind;
use crate::world::{self, MachineId};

/// Breaks every controller and node outside a drawn core for good. Called before all else is healed.
pub fn leave_broken(cluster: &Rc<Cluster>, core: Core, rng: &mut Rng) {
    let mut controllers = cluster.controllers.clone();
    let mut nodes = cluster.nodes.clone();
    rng.shuffle(&mut controllers);
    rng.shuffle(&mut nodes);
    for machine in controllers.split_off(usize::from(core.controllers)) {
        break_for_good(cluster, machine, CONTROLLER, rng);
    }
    for machine in nodes.split_off(usize::from(core.nodes)) {
        break_for_good(cluster, machine, NODE, rng);
    }
}

fn break_for_good(cluster: &Rc<Cluster>, machine: MachineId, service: &str, rng: &mut Rng) {
    let how = match rng.below(3) {
        0 => {
            cluster.power_off(machine);
            "without power"
        }
        1 => {
            cluster.hold(machine, service);
            "without its daemon"
        }
        _ => {
            let others: Vec<MachineId> =
                cluster.machines().into_iter().filter(|other| *other != machine).collect();
            cluster.break_links(&cut_both_ways(&[machine], &others));
            "cut off"
        }
    };
    world::with(|w| {
        let name = w.machine(machine).name.clone();
        let (now, fact) = (w.now(), u64::from(machine.0));
        w.trace.note(now, Kind::Fault, [fact, 12], || {
            ("world".to_owned(), format!("fault: {name} stays {how} for good"))
        });
        w.history.left_broken.insert(name);
    });
}
