//! The simulated world: machines with disks, clocks, processes and users, joined by a network.
//!
//! One world lives on one thread. Everything in it is ordinary data, reached through [`with`];
//! nothing here knows which engine polls the tasks. What happens later is an [`Event`] at a point
//! in virtual time, and whoever drives the world calls [`fire_next`].

mod agenda;
pub mod clock;
pub mod disk;
pub mod env;
pub mod fs;
pub mod history;
pub mod ident;
mod link;
pub mod munged;
pub mod net;
pub mod proc;
pub mod process;
pub mod scene;
pub mod script;
pub mod stream;
pub mod tap;
pub mod trace;
pub mod trouble;

#[cfg(test)]
mod story_tests;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub use agenda::EventKey;
use flurm_base::{Rng, Time};

use agenda::Agenda;

use clock::MachineClock;
use disk::Disk;
use env::Place;
use history::History;
use net::NetState;
use process::{ProcKey, ProcessTable};
use trace::Trace;

/// Nanoseconds since the world began, as nobody inside it can see them.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
/// One millisecond.
pub const MILLI: Nanos = 1_000_000;
/// One microsecond.
pub const MICRO: Nanos = 1_000;

/// Wall time at which every world begins: 2026-01-05 00:00:00 UTC, a Monday.
pub const EPOCH: Time = Time::from_secs(1_767_571_200);

/// Index of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub u32);

/// A future as engines run it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future of the driver, which stays on its thread.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A task body.
pub type TaskFuture = BoxFuture<()>;

/// Something to be done at a point in time, outside any borrow of the world.
pub type Action = Box<dyn FnOnce()>;

/// What can happen at a point in time.
pub enum Event {
    /// A waiting task goes on.
    Wake(Waker),
    /// Bytes, an end or a reset arrive at one end of a connection.
    Arrive(net::End),
    /// A scripted process reaches its next step.
    Script(ProcKey, script::Step),
    /// Anything else: faults, checks.
    Call(Action),
}

/// One computer.
pub struct Machine {
    /// Host name.
    pub name: String,
    /// Its only address.
    pub ip: IpAddr,
    /// False after a power loss, until it boots.
    pub up: bool,
    /// Counts boots, from 1.
    pub boots: u32,
    /// Its clocks.
    pub clock: MachineClock,
    /// Its disk.
    pub disk: Disk,
    /// What is wrong with it.
    pub troubles: trouble::Troubles,
    /// CPUs it has, for oracles only.
    pub cpus: u32,
    /// Memory it has in MiB, for oracles only.
    pub memory_mib: u64,
}

/// Independent seeded sources, so that one more draw in one place changes nothing in the others.
pub struct Sources {
    /// Order of ready tasks.
    pub schedule: Rng,
    /// Latency and loss.
    pub net: Rng,
    /// Sync times and what a power loss leaves.
    pub disk: Rng,
    /// What components draw themselves.
    pub components: Rng,
    /// How long signals take, and the like.
    pub process: Rng,
    /// Which operations of a troubled machine fail.
    pub trouble: Rng,
}

/// Starts and ends the tasks of simulated processes. Engines implement it.
pub trait Launcher {
    /// Runs `main` as the first task of `process`.
    fn start(&self, place: Place, main: TaskFuture);
    /// Drops every task of `process`, in the order they were made.
    fn kill(&self, process: ProcKey);
}

/// Tells another runtime's network that one direction of a link changed.
pub type LinkHook = Rc<dyn Fn(MachineId, MachineId, net::Link)>;

/// Makes the body of a simulated program that is not a scripted one.
pub type Programs = Rc<dyn Fn(&process::Start) -> Option<TaskFuture>>;

/// The whole world.
pub struct World {
    now: Nanos,
    agenda: Agenda,
    wakes: Vec<Waker>,
    time_source: Option<fn() -> Nanos>,
    pump: Option<Waker>,
    by_ip: BTreeMap<IpAddr, MachineId>,
    by_name: BTreeMap<String, MachineId>,
    /// All machines.
    pub machines: Vec<Machine>,
    /// The network.
    pub net: NetState,
    /// The processes of all machines.
    pub processes: ProcessTable,
    /// Users, as every machine knows them.
    pub users: ident::Users,
    /// Seeded sources.
    pub rng: Sources,
    /// The running hash of all that happened, and the readable trace.
    pub trace: Trace,
    /// What crossed a boundary, for oracles.
    pub history: History,
    /// What to draw, when somebody looks.
    pub scene: Option<scene::Scene>,
    /// Every wait that was cut short, every knob drawn: the fault model's settings.
    pub disk_knobs: disk::Knobs,
    seed: u64,
    link_hook: Option<LinkHook>,
    launcher: Option<Rc<dyn Launcher>>,
    programs: Option<Programs>,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static CURRENT: Cell<Option<Place>> = const { Cell::new(None) };
}

impl World {
    /// An empty world of this seed.
    pub fn new(seed: u64, readable: bool) -> Self {
        let root = Rng::from_seed(seed);
        Self {
            now: 0,
            agenda: Agenda::default(),
            wakes: Vec::new(),
            time_source: None,
            pump: None,
            by_ip: BTreeMap::new(),
            by_name: BTreeMap::new(),
            machines: Vec::new(),
            net: NetState::default(),
            processes: ProcessTable::default(),
            users: ident::Users::default(),
            rng: Sources {
                schedule: root.child("schedule"),
                net: root.child("net"),
                disk: root.child("disk"),
                components: root.child("components"),
                process: root.child("process"),
                trouble: root.child("trouble"),
            },
            trace: Trace::new(readable),
            history: History::default(),
            scene: None,
            disk_knobs: disk::Knobs::default(),
            seed,
            link_hook: None,
            launcher: None,
            programs: None,
        }
    }

    /// Adds a machine that is up.
    pub fn add_machine(&mut self, name: &str, ip: IpAddr, cpus: u32, memory_mib: u64) -> MachineId {
        let id = MachineId(u32::try_from(self.machines.len()).expect("a world has few machines"));
        let (other, namesake) =
            (self.by_ip.insert(ip, id), self.by_name.insert(name.to_owned(), id));
        assert!(other.is_none(), "an address is used twice");
        assert!(namesake.is_none(), "a name is used twice");
        self.machines.push(Machine {
            name: name.to_owned(),
            ip,
            up: true,
            boots: 1,
            clock: MachineClock::new(self.now),
            disk: Disk::default(),
            troubles: trouble::Troubles::default(),
            cpus,
            memory_mib,
        });
        id
    }

    /// Virtual time.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// One machine.
    pub fn machine(&self, id: MachineId) -> &Machine {
        &self.machines[id.0 as usize]
    }

    /// One machine, to change.
    pub fn machine_mut(&mut self, id: MachineId) -> &mut Machine {
        &mut self.machines[id.0 as usize]
    }

    /// The machine with this host name.
    pub fn machine_named(&self, name: &str) -> Option<MachineId> {
        self.by_name.get(name).copied()
    }

    /// The machine with this address.
    pub fn machine_at(&self, ip: IpAddr) -> Option<MachineId> {
        self.by_ip.get(&ip).copied()
    }

    /// Wall time of a machine.
    pub fn wall(&self, machine: MachineId) -> Time {
        self.machine(machine).clock.wall(self.now)
    }

    /// Notes how far wall clocks are apart, for oracles. Called after each change of one.
    pub fn compare_clocks(&mut self) {
        let walls: Vec<i64> =
            (0..self.machines.len() as u32).map(|id| self.wall(MachineId(id)).0).collect();
        let apart = walls.iter().max().unwrap_or(&0) - walls.iter().min().unwrap_or(&0);
        let apart = u64::try_from(apart).expect("a maximum is not below a minimum") * MICRO;
        // A clock that jumps is apart from what it showed before, too.
        self.history.clocks_wrong = self.history.clocks_wrong.max(2 * apart);
    }

    /// True wall time, which no machine can see.
    pub fn true_wall(&self) -> Time {
        Time(EPOCH.0 + (self.now / MICRO) as i64)
    }

    /// Wakes a task once the present borrow of the world has ended.
    pub fn wake(&mut self, waker: Waker) {
        self.wakes.push(waker);
    }

    /// Wakes and forgets a stored waker.
    pub fn wake_stored(&mut self, waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            self.wakes.push(waker);
        }
    }

    /// Puts an event into the future; the key takes it out again.
    pub fn schedule(&mut self, at: Nanos, event: Event) -> EventKey {
        let at = at.max(self.now);
        if self.pump.is_some() && self.agenda.next_at().is_none_or(|earliest| at < earliest) {
            self.wakes.extend(self.pump.take());
        }
        self.agenda.add(at, event)
    }

    /// Takes an event out of the future.
    pub fn unschedule(&mut self, key: EventKey) -> Option<Event> {
        self.agenda.remove(key)
    }

    /// When the next event is due.
    pub fn next_event_at(&mut self) -> Option<Nanos> {
        self.agenda.next_at()
    }

    /// Moves time forward. Only the engine does.
    pub fn advance_to(&mut self, at: Nanos) {
        assert!(at >= self.now, "virtual time goes forward");
        self.now = at;
    }

    /// Lets another runtime's clock say what time it is.
    pub fn follow_clock(&mut self, source: fn() -> Nanos) {
        self.time_source = Some(source);
    }

    /// Sets who starts and ends tasks.
    pub fn set_launcher(&mut self, launcher: Rc<dyn Launcher>) {
        self.launcher = Some(launcher);
    }

    /// The seed it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Tells another runtime's network about changes of links.
    pub fn set_link_hook(&mut self, hook: LinkHook) {
        self.link_hook = Some(hook);
    }

    /// Who is told about changes of links.
    pub fn link_hook(&self) -> Option<LinkHook> {
        self.link_hook.clone()
    }

    /// Sets which programs exist beside scripted ones.
    pub fn set_programs(&mut self, programs: Programs) {
        self.programs = Some(programs);
    }
}

/// Puts a world on this thread.
///
/// # Panics
/// When there is one already.
pub fn install(world: World) {
    WORLD.with_borrow_mut(|slot| {
        assert!(slot.is_none(), "one thread holds one world");
        *slot = Some(world);
    });
}

/// Takes the world off this thread.
pub fn remove() -> Option<World> {
    WORLD.with_borrow_mut(Option::take)
}

/// Whether a world is on this thread.
pub fn present() -> bool {
    WORLD.try_with(|slot| slot.try_borrow().is_ok_and(|slot| slot.is_some())).unwrap_or(false)
}

/// Looks at or changes the world. Must not be nested; wakers are called after `f`.
pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    try_with(f).expect("there is a world on this thread")
}

/// As [`with`], when there may be no world: while one is being dropped.
pub fn try_with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    let (result, wakes, broke) = WORLD.with_borrow_mut(|slot| {
        let world = slot.as_mut()?;
        if let Some(source) = world.time_source {
            world.now = world.now.max(source());
        }
        let result = f(world);
        Some((result, std::mem::take(&mut world.wakes), world.trace.take_break()))
    })?;
    if broke {
        crate::inspect::stop_here();
    }
    if !wakes.is_empty() {
        wake_all(wakes);
    }
    Some(result)
}

/// Wakes, and gives the emptied list back for the next time.
fn wake_all(mut wakes: Vec<Waker>) {
    for waker in wakes.drain(..) {
        waker.wake();
    }
    WORLD.with_borrow_mut(|slot| {
        if let Some(world) = slot.as_mut().filter(|world| world.wakes.capacity() == 0) {
            world.wakes = wakes;
        }
    });
}

/// Fires the earliest event when it is due at `now`. False when none is.
pub fn fire_next() -> bool {
    let due = with(|w| w.agenda.take_due(w.now));
    match due {
        None => return false,
        Some(Event::Wake(waker)) => waker.wake(),
        Some(Event::Arrive(end)) => with(|w| net::arrive(w, end)),
        Some(Event::Script(key, step)) => script::step(key, step),
        Some(Event::Call(action)) => action(),
    }
    true
}

/// Fires what is due for ever; engines with their own clock run it as a task, with their own sleep.
pub async fn pump<F: Future<Output = ()>>(sleep_for: impl Fn(Duration) -> F) {
    loop {
        while fire_next() {}
        let (now, until) = with(|w| (w.now(), w.next_event_at()));
        let nap = Duration::from_nanos(until.map_or(3600 * SECOND, |at| at.saturating_sub(now)));
        let mut sleep = std::pin::pin!(sleep_for(nap));
        std::future::poll_fn(|cx: &mut Context<'_>| {
            let earlier = with(|w| {
                w.pump = Some(cx.waker().clone());
                let next = w.next_event_at();
                next.is_some_and(|at| at <= w.now || until.is_none_or(|until| at < until))
            });
            if earlier { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }
        })
        .await;
    }
}

/// The process whose task is being polled.
pub fn current() -> Option<Place> {
    CURRENT.get()
}

/// Sets the process whose task is being polled; returns the one before.
pub fn set_current(place: Option<Place>) -> Option<Place> {
    CURRENT.replace(place)
}

/// Starts the tasks of a process.
pub(crate) fn launch(process: ProcKey, machine: MachineId, main: TaskFuture) {
    let launcher = with(|w| w.launcher.clone()).expect("an engine runs this world");
    launcher.start(Place { machine, process }, main);
}

/// Drops the tasks of a process.
pub(crate) fn drop_tasks(process: ProcKey) {
    let launcher = with(|w| w.launcher.clone()).expect("an engine runs this world");
    launcher.kill(process);
}

pub(crate) fn program_for(start: &process::Start) -> Option<TaskFuture> {
    let programs = with(|w| w.programs.clone())?;
    programs(start)
}

/// Waits in virtual time, whatever the engine. For the world's own use: it knows no drift.
#[derive(Debug)]
pub struct Wait {
    until: Nanos,
    key: Option<EventKey>,
    registered: Option<Waker>,
}

/// Waits for a span of virtual time.
pub fn wait(span: Nanos) -> Wait {
    Wait { until: with(|w| w.now.saturating_add(span)), key: None, registered: None }
}

/// Waits until a point of virtual time.
pub fn wait_until(until: Nanos) -> Wait {
    Wait { until, key: None, registered: None }
}

impl Wait {
    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            let removed = try_with(|w| w.unschedule(key));
            drop(removed);
        }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        if with(|w| w.now >= until) {
            self.forget();
            return Poll::Ready(());
        }
        let known = self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !known || self.key.is_none() {
            self.forget();
            let waker = cx.waker().clone();
            self.registered = Some(waker.clone());
            self.key = Some(with(|w| w.schedule(until, Event::Wake(waker))));
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.forget();
    }
}
