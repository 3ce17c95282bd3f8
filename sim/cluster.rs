//! The services of a world: what runs on which machine, what is started again when, and what is
//! held down by how many faults at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::world::env::Place;
use crate::world::net::{Link, set_link};
use crate::world::process::{self, ProcKey};
use crate::world::trace::Kind;
use crate::world::{self, Event, MachineId, Nanos, SECOND, TaskFuture};

/// Makes the first task of a service.
pub type Make = Rc<dyn Fn(Place) -> TaskFuture>;

/// A daemon that ended by itself is started again after this long, as init does.
const RESTART_AFTER: Nanos = 2 * SECOND;

struct Service {
    user: (u32, u32),
    make: Make,
    process: Option<ProcKey>,
    holds: u32,
    starts: u32,
}

/// A fault on one direction of a link.
#[derive(Clone, Copy, Debug)]
struct LinkFault {
    number: u64,
    source: MachineId,
    target: MachineId,
    link: Link,
}

/// The name of a controller's service.
pub const CONTROLLER: &str = "flurmctld";
/// The name of a node daemon's service.
pub const NODE: &str = "flurmd";
/// The name of the credential service.
pub const MUNGED: &str = "munged";

/// A fault that goes on.
struct Active {
    number: u64,
    undo: Box<dyn FnOnce()>,
}

#[derive(Default)]
struct State {
    services: BTreeMap<(MachineId, String), Service>,
    power_holds: BTreeMap<MachineId, u32>,
    link_faults: Vec<LinkFault>,
    active: Vec<Active>,
    next_fault: u64,
}

/// What stands in the world.
pub struct Cluster {
    state: RefCell<State>,
    /// Machines of the controllers.
    pub controllers: Vec<MachineId>,
    /// Machines of the nodes.
    pub nodes: Vec<MachineId>,
    /// Machines of clients.
    pub logins: Vec<MachineId>,
    /// Where clients reach a controller.
    pub client_port: u16,
    /// Where controllers reach each other.
    pub peer_port: u16,
}

thread_local! {
    static CLUSTER: RefCell<Option<Rc<Cluster>>> = const { RefCell::new(None) };
}

/// The cluster of this thread's world.
pub fn current() -> Option<Rc<Cluster>> {
    CLUSTER.with_borrow(Clone::clone)
}

/// Sets the cluster of this thread's world.
pub fn set_current(cluster: Option<Rc<Cluster>>) {
    let before = CLUSTER.with_borrow_mut(|slot| std::mem::replace(slot, cluster));
    drop(before);
}

fn note(machine: MachineId, fact: u64, text: impl FnOnce() -> String) {
    world::with(|w| {
        let lane = w.machine(machine).name.clone();
        let now = w.now();
        w.trace.note(now, Kind::Fault, [u64::from(machine.0), fact], || (lane, text()));
    });
}

impl Cluster {
    /// A cluster whose services are added later.
    pub fn new(
        controllers: Vec<MachineId>,
        nodes: Vec<MachineId>,
        logins: Vec<MachineId>,
        client_port: u16,
        peer_port: u16,
    ) -> Rc<Self> {
        let state = RefCell::default();
        Rc::new(Self { state, controllers, nodes, logins, client_port, peer_port })
    }

    /// Adds a service and starts it.
    pub fn add(&self, machine: MachineId, name: &str, user: (u32, u32), make: Make) {
        let service = Service { user, make, process: None, holds: 0, starts: 0 };
        let key = (machine, name.to_owned());
        self.state.borrow_mut().services.insert(key, service);
        self.start(machine, name);
    }

    /// Starts a service unless it runs, is held, or its machine has no power.
    fn start(&self, machine: MachineId, name: &str) {
        if !world::with(|w| w.machine(machine).up) {
            return;
        }
        let key = (machine, name.to_owned());
        let (user, make) = {
            let mut state = self.state.borrow_mut();
            let Some(service) = state.services.get_mut(&key) else { return };
            if service.process.is_some() || service.holds > 0 {
                return;
            }
            service.starts += 1;
            (service.user, Rc::clone(&service.make))
        };
        let service_name = name.to_owned();
        let started = process::start_component(machine, name, user, |process| {
            let main = make(Place { machine, process });
            Box::pin(async move {
                main.await;
                ended_by_itself(machine, service_name, process);
            })
        });
        if let Some(service) = self.state.borrow_mut().services.get_mut(&key) {
            service.process = Some(started);
        }
    }

    fn exited(&self, machine: MachineId, name: &str, process: ProcKey) {
        let key = (machine, name.to_owned());
        if let Some(service) = self.state.borrow_mut().services.get_mut(&key)
            && service.process == Some(process)
        {
            service.process = None;
        }
    }

    /// Kills a service and keeps it down until [`Cluster::release`] was called as often.
    pub fn hold(&self, machine: MachineId, name: &str) {
        let key = (machine, name.to_owned());
        let running = self.state.borrow_mut().services.get_mut(&key).and_then(|service| {
            service.holds += 1;
            service.process.take()
        });
        if let Some(process) = running {
            note(machine, 10, || format!("fault: {name} is killed"));
            process::kill(process);
        }
    }

    /// Takes back one [`Cluster::hold`].
    pub fn release(&self, machine: MachineId, name: &str) {
        let key = (machine, name.to_owned());
        if let Some(service) = self.state.borrow_mut().services.get_mut(&key) {
            service.holds = service.holds.saturating_sub(1);
        }
        self.start(machine, name);
    }

    /// Takes the power from a machine until [`Cluster::power_on`] was called as often.
    pub fn power_off(&self, machine: MachineId) {
        *self.state.borrow_mut().power_holds.entry(machine).or_insert(0) += 1;
        process::power_off(machine);
        let mut state = self.state.borrow_mut();
        for ((place, _), service) in &mut state.services {
            if *place == machine {
                service.process = None;
            }
        }
    }

    /// Takes back one [`Cluster::power_off`].
    pub fn power_on(&self, machine: MachineId) {
        let dark = {
            let mut state = self.state.borrow_mut();
            let holds = state.power_holds.entry(machine).or_insert(0);
            *holds = holds.saturating_sub(1);
            *holds == 0
        };
        if !dark || world::with(|w| w.machine(machine).up) {
            return;
        }
        process::power_on(machine);
        let names: Vec<String> = {
            let state = self.state.borrow();
            let here = state.services.keys().filter(|(place, _)| *place == machine);
            here.map(|(_, name)| name.clone()).collect()
        };
        for name in names {
            self.start(machine, &name);
        }
    }

    /// A number that no fault had before.
    pub fn next_number(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        state.next_fault += 1;
        state.next_fault
    }

    /// A fault has begun: `undo` ends it after `lasts`, or when everything is healed.
    pub fn begin(self: &Rc<Self>, lasts: Nanos, undo: impl FnOnce() + 'static) {
        let number = self.until_healed(undo);
        let cluster = Rc::clone(self);
        world::with(|w| {
            let at = w.now().saturating_add(lasts);
            w.schedule(at, Event::Call(Box::new(move || cluster.end_fault(number))));
        });
    }

    /// A fault has begun that only healing ends; its number.
    pub fn until_healed(&self, undo: impl FnOnce() + 'static) -> u64 {
        let number = self.next_number();
        self.state.borrow_mut().active.push(Active { number, undo: Box::new(undo) });
        number
    }

    fn end_fault(&self, number: u64) {
        let ended = {
            let mut state = self.state.borrow_mut();
            let at = state.active.iter().position(|fault| fault.number == number);
            at.map(|at| state.active.remove(at))
        };
        if let Some(fault) = ended {
            (fault.undo)();
        }
    }

    /// Adds faults to directions of links; the number takes them away again.
    pub fn break_links(&self, links: &[(MachineId, MachineId, Link)]) -> u64 {
        let number = self.next_number();
        for (source, target, link) in links {
            let fault = LinkFault { number, source: *source, target: *target, link: *link };
            self.state.borrow_mut().link_faults.push(fault);
        }
        for (source, target, _) in links {
            self.apply_link(*source, *target);
        }
        number
    }

    /// Takes away the faults of one [`Cluster::break_links`].
    pub fn mend_links(&self, number: u64) {
        let gone: Vec<LinkFault> = {
            let mut state = self.state.borrow_mut();
            let (gone, rest) = state.link_faults.iter().partition(|fault| fault.number == number);
            state.link_faults = rest;
            gone
        };
        for fault in gone {
            self.apply_link(fault.source, fault.target);
        }
    }

    fn apply_link(&self, source: MachineId, target: MachineId) {
        let mut link = Link::default();
        for fault in &self.state.borrow().link_faults {
            if (fault.source, fault.target) == (source, target) {
                link.cut |= fault.link.cut;
                link.delay += fault.link.delay;
                link.loss = link.loss.max(fault.link.loss);
            }
        }
        let hook = world::with(|w| {
            set_link(w, source, target, link);
            w.link_hook()
        });
        if let Some(hook) = hook {
            hook(source, target, link);
        }
        crate::light::disturbed();
    }

    /// Ends every fault that goes on: links are whole, machines have power, services run. What was
    /// broken for good before stays so.
    pub fn heal(&self) {
        let ended = std::mem::take(&mut self.state.borrow_mut().active);
        for fault in ended {
            (fault.undo)();
        }
        let names: Vec<_> = self.state.borrow().services.keys().cloned().collect();
        for (machine, name) in names {
            self.start(machine, &name);
        }
        world::with(|w| w.net.tap.clear());
    }

    /// The controller that seems to lead: the one that last spoke to its peers of its own accord.
    pub fn leader(&self) -> Option<MachineId> {
        let last = |w: &world::World, id: &MachineId| w.net.tap.last_sent(*id, self.peer_port);
        let up = |id: &&MachineId| self.is_running(**id, CONTROLLER);
        world::with(|w| self.controllers.iter().filter(up).copied().max_by_key(|id| last(w, id)))
    }

    /// Whether a service runs.
    pub fn is_running(&self, machine: MachineId, name: &str) -> bool {
        let key = (machine, name.to_owned());
        self.state.borrow().services.get(&key).is_some_and(|service| service.process.is_some())
    }

    /// What stands and what does not, for people. Empty while the cluster itself is being changed.
    pub fn state_lines(&self, w: &world::World) -> Vec<String> {
        let Ok(state) = self.state.try_borrow() else { return Vec::new() };
        let name = |id: MachineId| w.machine(id).name.clone();
        let mut lines = Vec::new();
        for ((machine, service), facts) in &state.services {
            let what = match (facts.process, facts.holds) {
                (Some(_), _) => format!("runs, start {}", facts.starts),
                (None, 0) => "is down".to_owned(),
                (None, holds) => format!("is held down by {holds} faults"),
            };
            lines.push(format!("service  {:<8} {service} {what}", name(*machine)));
        }
        for fault in &state.link_faults {
            let (source, target, link) = (name(fault.source), name(fault.target), fault.link);
            let what = match link {
                Link { cut: true, .. } => "is cut".to_owned(),
                Link { loss, delay, .. } => {
                    format!("loses {:.0} %, adds {} ms", loss * 100.0, delay / world::MILLI)
                }
            };
            lines.push(format!("link     {source} to {target} {what}"));
        }
        lines
    }

    /// The controller that seems to lead, in a world at hand: see [`Cluster::leader`].
    pub fn leader_in(&self, w: &world::World) -> Option<MachineId> {
        let state = self.state.try_borrow().ok()?;
        let runs = |id: &MachineId| {
            let key = (*id, CONTROLLER.to_owned());
            state.services.get(&key).is_some_and(|service| service.process.is_some())
        };
        let last = |id: &MachineId| w.net.tap.last_sent(*id, self.peer_port);
        self.controllers.iter().copied().filter(runs).max_by_key(last)
    }

    /// Services that do not run, for the reason of a world that does not settle.
    pub fn missing(&self) -> Vec<String> {
        let state = self.state.borrow();
        let down = state.services.iter().filter(|(_, service)| service.process.is_none());
        let name = |id: MachineId| world::with(|w| w.machine(id).name.clone());
        down.map(|((machine, service), _)| format!("{service} on {}", name(*machine))).collect()
    }

    /// All machines that can be cut off from each other.
    pub fn machines(&self) -> Vec<MachineId> {
        [&self.controllers[..], &self.nodes, &self.logins].concat()
    }
}

fn ended_by_itself(machine: MachineId, name: String, process: ProcKey) {
    note(machine, 11, || format!("{name} ended by itself; it is started again"));
    world::with(|w| {
        let at = w.now() + RESTART_AFTER;
        let again = move || {
            if let Some(cluster) = current() {
                cluster.exited(machine, &name, process);
                cluster.start(machine, &name);
            }
        };
        w.schedule(at, Event::Call(Box::new(again)));
    });
}
