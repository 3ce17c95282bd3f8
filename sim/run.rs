//! One seed of one scenario: builds the world, lets the story happen, heals it, waits until all is
//! done, and judges.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use flurm_base::{Rng, knob, mark, planted};

use crate::cluster::{self, Cluster};
use crate::fault::{self, Planned};
use crate::histories::{Histories, histories};
use crate::inspect;
use crate::oracle::{self, Violation};
use crate::scenario::{Knobs, Scenario};
use crate::situation::{Situation, situations};
use crate::world::env::Engine;
use crate::world::history::{Answer, Content, Effect};
use crate::world::process::ProcKey;
use crate::world::scene::Scene;
use crate::world::trace::{Break, Kind, Line, Stamp, clock_text};
use crate::world::{self, MICRO, MachineId, Nanos, SECOND, World};
use crate::{steps, system};

/// Where clients reach a controller.
const CLIENT_PORT: u16 = 6817;
/// Where controllers reach each other.
const PEER_PORT: u16 = 6830;
/// Machines of clients.
pub const LOGINS: u8 = 2;

/// How a run went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A component, or the simulator, panicked.
    Panic(String),
    /// An oracle found something.
    Oracle(Violation),
    /// Not everything was done in time; who waits for what.
    Unsettled(Vec<String>),
}

impl Failure {
    /// The kind, for counting and for exit codes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Panic(_) => "panic",
            Self::Oracle(violation) => violation.oracle,
            Self::Unsettled(_) => "unsettled",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Panic(text) => write!(f, "panic: {text}"),
            Self::Oracle(violation) => {
                let at = clock_text(violation.at);
                write!(f, "{} at {}: {}", violation.oracle, at.trim_start(), violation.text)
            }
            Self::Unsettled(reasons) => {
                write!(f, "not done in time: {}", reasons.first().map_or("?", String::as_str))?;
                if reasons.len() > 1 {
                    write!(f, " (and {} more)", reasons.len() - 1)?;
                }
                Ok(())
            }
        }
    }
}

/// What to keep of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Readable lines.
    pub lines: bool,
    /// The hash after each event.
    pub hashes: bool,
    /// How often each kind of task was polled.
    pub tasks: bool,
    /// What to draw.
    pub scene: bool,
    /// What is on the disks at the end.
    pub disks: bool,
    /// What a model checker may judge.
    pub histories: bool,
}

/// Files of one machine at the end: path and content.
pub type Files = Vec<(PathBuf, Vec<u8>)>;

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Hash over everything that happened.
    pub digest: String,
    /// Events hashed.
    pub events: u64,
    /// Virtual time at the end.
    pub simulated: Nanos,
    /// The first step of a job that the specification does not have.
    pub refused: Option<Violation>,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// Marks reached, and how often.
    pub marks: BTreeMap<&'static str, u64>,
    /// Knobs that were drawn, and what they were.
    pub knobs: BTreeMap<&'static str, u64>,
    /// Submissions that were accepted.
    pub accepted: u64,
    /// Job processes that were started.
    pub started: u64,
    /// How many events of each kind there were.
    pub kinds: Vec<(&'static str, u64)>,
    /// How often each kind of task was polled, when counted.
    pub tasks: Vec<(&'static str, u64)>,
    /// Readable lines, when kept.
    pub lines: Vec<Line>,
    /// Each event, when kept.
    pub hashes: Vec<Stamp>,
    /// Coarse states of affairs the run went through.
    pub situations: BTreeSet<Situation>,
    /// The names of the machines, by number.
    pub machines: Vec<String>,
    /// What to draw, when kept.
    pub scene: Option<Scene>,
    /// The disks at the end, when kept, by machine.
    pub disks: Vec<(String, Files)>,
    /// Where the story stopped, and what the world looked like then.
    pub stopped: Option<(u64, Vec<String>)>,
    /// When everything was healed.
    pub healed_at: Option<Nanos>,
    /// What a model checker may judge, when kept.
    pub histories: Histories,
}

fn skewed(rng: &mut Rng, spec: &crate::scenario::WorldSpec) -> (i64, i64) {
    let skew_us = (spec.clock_skew.draw(rng) / MICRO) as i64;
    let drift = rng.range(0..=u64::from(spec.clock_drift_ppm)) as i64;
    let sign = |rng: &mut Rng| if rng.chance(0.5) { 1 } else { -1 };
    (sign(rng) * skew_us, sign(rng) * drift)
}

struct Built {
    controllers: Vec<MachineId>,
    nodes: Vec<MachineId>,
    logins: Vec<MachineId>,
}

fn build(world: &mut World, scenario: &Scenario, rng: &Rng) -> Built {
    let spec = &scenario.cluster;
    let mut clocks = rng.child("clocks");
    let mut add = |name: String, ip: [u8; 4], cpus, memory_mib| {
        let id = world.add_machine(&name, IpAddr::from(ip), cpus, memory_mib);
        let (skew_us, drift_ppm) = skewed(&mut clocks, &scenario.world);
        let clock = &mut world.machine_mut(id).clock;
        clock.jump(0, skew_us);
        clock.set_drift(0, drift_ppm);
        id
    };
    let controllers = 1..=spec.controllers;
    let controllers = controllers.map(|n| add(format!("ctl{n}"), [10, 0, 0, n], 4, 4000)).collect();
    let node = |n: u16| (format!("n{n}"), [10, 1, (n >> 8) as u8, n as u8]);
    let nodes: Vec<MachineId> = (1..=spec.nodes)
        .map(node)
        .map(|(name, ip)| add(name, ip, spec.cpus, spec.memory_mib))
        .collect();
    let logins = (1..=LOGINS).map(|n| add(format!("login{n}"), [10, 2, 0, n], 4, 4000)).collect();
    for id in &nodes {
        let machine = world.machine(*id);
        let facts = (machine.name.clone(), machine.cpus, machine.memory_mib);
        world.history.machines.insert(*id, facts);
    }
    world.compare_clocks();
    let draw = |range: crate::scenario::SpanRange| (range.low(), range.high());
    (world.net.latency.min, world.net.latency.max) = draw(scenario.world.latency);
    (world.disk_knobs.sync_min, world.disk_knobs.sync_max) = draw(scenario.world.sync);
    world.disk_knobs.survive = scenario.world.unsynced_survive;
    Built { controllers, nodes, logins }
}

/// The source of everything that is drawn for a scenario, not for the world.
fn seed_rng(seed: u64) -> Rng {
    Rng::from_seed(seed).child("scenario")
}

/// Runs one seed on an engine.
pub fn run_seed<X: Engine>(scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    run_seed_until::<X>(scenario, seed, keep, None)
}

/// Runs one seed on an engine. Where the story stops, the state of the world is kept; the run itself
/// goes on to its end, so that its verdict is known too.
pub fn run_seed_until<X: Engine>(
    scenario: &Scenario,
    seed: u64,
    keep: Keep,
    stop: Option<Break>,
) -> Outcome {
    let rng = seed_rng(seed);
    let mut world = World::new(seed, keep.lines);
    if keep.hashes {
        world.trace.keep_hashes();
    }
    crate::engine::own::count_tasks(keep.tasks);
    world.scene = keep.scene.then(Scene::default);
    if let Some(stop) = stop {
        world.trace.break_at(stop);
    }
    let built = build(&mut world, scenario, &rng);
    plant(scenario);
    if scenario.knobs == Knobs::Drawn {
        knob::start_drawing(rng.child("knobs"));
    }
    mark::start_recording();
    steps::begin(keep.histories);
    let story = scenario.clone();
    let (world, result) = X::run(world, move || Box::pin(tell::<X>(story, built, rng)));
    cluster::set_current(None);
    crate::light::end();
    let steps::Watched { refused, kept } = steps::end();
    unplant();
    let knobs = knob::stop_drawing();
    let marks = mark::stop_recording();
    let failure = match result {
        Err(text) => Some(Failure::Panic(text)),
        Ok(reasons) => judge(scenario, &world, reasons),
    };
    // Last: what crossed a boundary says more to whoever reads it.
    let failure = failure.or_else(|| refused.clone().map(Failure::Oracle));
    let count = |wanted: fn(&Effect) -> bool| {
        world.history.effects().iter().filter(|(_, effect)| wanted(effect)).count() as u64
    };
    Outcome {
        seed,
        digest: world.trace.digest(),
        events: world.trace.events(),
        simulated: world.now(),
        refused,
        failure,
        marks,
        knobs,
        accepted: count(|effect| {
            matches!(effect, Effect::Submitted { answer: Answer::Accepted(_), .. })
        }),
        started: count(|effect| matches!(effect, Effect::Started(_))),
        kinds: world.trace.kinds(),
        tasks: crate::engine::own::tasks_counted(),
        lines: world.trace.lines().cloned().collect(),
        hashes: world.trace.hashes().to_vec(),
        situations: situations(&world.history),
        machines: world.machines.iter().map(|machine| machine.name.clone()).collect(),
        stopped: world.trace.broke().zip(inspect::take()),
        healed_at: world.history.healed_at(),
        disks: if keep.disks { disks_of(&world) } else { Vec::new() },
        histories: kept.map(|kept| histories(&world.history, kept)).unwrap_or_default(),
        scene: world.scene,
    }
}

fn disks_of(world: &World) -> Vec<(String, Files)> {
    let files = |machine: &world::Machine| (machine.name.clone(), machine.disk.files());
    world.machines.iter().map(files).collect()
}

fn judge(scenario: &Scenario, world: &World, reasons: Vec<String>) -> Option<Failure> {
    let violation = |name: &String| oracle::judge(name, &world.history);
    let checked = scenario.workload.iter().try_for_each(|one| one.workload().check(&world.history));
    if let Err(text) = checked {
        let at = world.now();
        return Some(Failure::Oracle(Violation { oracle: "workload_check", at, text }));
    }
    let late = |name: &&String| *name != "every_job_ends";
    if let Some(violation) = scenario.expect.oracles.iter().filter(late).find_map(violation) {
        return Some(Failure::Oracle(violation));
    }
    if !reasons.is_empty() {
        return Some(Failure::Unsettled(reasons));
    }
    scenario.expect.oracles.iter().find_map(violation).map(Failure::Oracle)
}

#[cfg(flurm_planted)]
fn plant(scenario: &Scenario) {
    planted::clear();
    if let Some(bug) = &scenario.expect.planted {
        assert!(planted::plant(bug), "scenario files name known bugs only");
    }
}

#[cfg(not(flurm_planted))]
fn plant(scenario: &Scenario) {
    let needs = scenario.expect.planted.is_some();
    assert!(!needs || planted::possible(), "this build cannot plant bugs: --cfg flurm_planted");
}

fn unplant() {
    #[cfg(flurm_planted)]
    planted::clear();
}

fn trouble_of(scenario: &Scenario, rng: &Rng) -> Nanos {
    scenario.trouble_for.draw(&mut rng.child("trouble"))
}

fn plan_for(scenario: &Scenario, cluster: &Cluster, rng: &Rng) -> Vec<Planned> {
    let explicit = scenario.planned().expect("a plan is checked when its file is read");
    let trouble = trouble_of(scenario, rng);
    explicit.unwrap_or_else(|| fault::plan(&scenario.fault, cluster, rng, trouble))
}

/// How long trouble lasts and what breaks, when `seed` runs.
pub fn plan_of(scenario: &Scenario, seed: u64) -> (Nanos, Vec<Planned>) {
    let rng = seed_rng(seed);
    let mut ids = (0..).map(MachineId);
    let mut take = |count: usize| ids.by_ref().take(count).collect::<Vec<_>>();
    let controllers = take(usize::from(scenario.cluster.controllers));
    let nodes = take(usize::from(scenario.cluster.nodes));
    let logins = take(usize::from(LOGINS));
    let cluster = Cluster::new(controllers, nodes, logins, CLIENT_PORT, PEER_PORT);
    (trouble_of(scenario, &rng), plan_for(scenario, &cluster, &rng))
}

/// The story of one seed; what is still missing at the end.
async fn tell<X: Engine>(scenario: Scenario, built: Built, rng: Rng) -> Vec<String> {
    let Built { controllers, nodes, logins } = built;
    let cluster = Cluster::new(controllers, nodes, logins, CLIENT_PORT, PEER_PORT);
    cluster::set_current(Some(std::rc::Rc::clone(&cluster)));
    system::start::<X>(&scenario, &cluster, &rng);
    let working = system::start_clients::<X>(&scenario, &cluster, &rng);
    let trouble = trouble_of(&scenario, &rng);
    fault::schedule(plan_for(&scenario, &cluster, &rng));
    world::wait_until(trouble).await;
    if let Some(core) = scenario.expect.core {
        fault::leave_broken(&cluster, core, &mut rng.child("core"));
    }
    cluster.heal();
    world::with(|w| {
        let now = w.now();
        w.history.push(now, Effect::Healed);
        let words = || ("world".to_owned(), "everything is healed".to_owned());
        w.trace.note(now, Kind::Fault, [1, 1], words);
    });
    let limit = world::with(|w| w.now()) + scenario.expect.settles_within.high();
    loop {
        let missing = missing(&cluster, &working);
        if missing.is_empty() || world::with(|w| w.now()) >= limit {
            world::with(read_outputs);
            return missing;
        }
        world::wait(SECOND).await;
    }
}

/// Looks at every output file, as its owner would.
fn read_outputs(w: &mut World) {
    let now = w.now();
    for ((machine, path), written) in w.history.outputs.clone() {
        let found = w.machine_mut(machine).disk.peek(&path).unwrap_or_default();
        let found = Content::of(&found);
        w.history.push(now, Effect::OutputRead { machine, path, written, found });
    }
}

fn missing(cluster: &Cluster, working: &[ProcKey]) -> Vec<String> {
    let mut missing = world::with(|w| oracle::waiting_for(&w.history));
    let busy =
        world::with(|w| working.iter().filter(|key| w.processes.get(**key).is_some()).count());
    if busy > 0 {
        missing.push(format!("{busy} clients still work"));
    }
    if !missing.is_empty() {
        missing.extend(cluster.missing().into_iter().map(|service| format!("down: {service}")));
    }
    missing
}
