//! The processes of all machines: components under test, and scripted jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::task::Waker;

use flurm_rt::{ExitStatus, Spawn};

use super::history::{Effect, Gone, JobProcess};
use super::script::{Plan, Progress, Reaction, Step, is_task};
use super::trace::Kind;
use super::{Event, MachineId, Nanos, TaskFuture, World};

/// A process, unique over the world and for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcKey(pub u32);

impl ProcKey {
    /// No process: the world itself.
    pub const NONE: Self = Self(0);
}

/// First process id after a boot.
const PID_FIRST: u32 = 301;

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its key.
    pub key: ProcKey,
    /// Its machine.
    pub machine: MachineId,
    /// Its process id.
    pub pid: u32,
    /// Who made it.
    pub parent: ProcKey,
    /// Program or component, for people.
    pub name: String,
    /// User it runs as.
    pub uid: u32,
    /// Group it runs as.
    pub gid: u32,
    /// Container it is in.
    pub container: Option<String>,
    /// When it started.
    pub started: Nanos,
    /// Its script, when it is a scripted one.
    pub script: Option<Progress>,
    /// The job facts of its environment and script.
    pub job: Option<JobProcess>,
    /// Set when it is over and still waited for.
    pub ended: Option<ExitStatus>,
    /// True while some `Child` can wait for it.
    pub awaited: bool,
    /// Who waits.
    pub waiters: Vec<Waker>,
}

/// What a program is started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// The new process.
    pub key: ProcKey,
    /// Its machine.
    pub machine: MachineId,
    /// As the parent asked for it.
    pub spawn: Spawn,
}

/// All processes and containers.
#[derive(Debug, Default)]
pub struct ProcessTable {
    processes: BTreeMap<ProcKey, Process>,
    by_machine: BTreeMap<MachineId, BTreeSet<ProcKey>>,
    containers: BTreeSet<(MachineId, String)>,
    next_key: u32,
    next_pid: BTreeMap<MachineId, u32>,
}

impl ProcessTable {
    /// One process.
    pub fn get(&self, key: ProcKey) -> Option<&Process> {
        self.processes.get(&key)
    }

    /// One process, to change.
    pub fn get_mut(&mut self, key: ProcKey) -> Option<&mut Process> {
        self.processes.get_mut(&key)
    }

    /// The living process with this id.
    pub fn with_pid(&self, machine: MachineId, pid: u32) -> Option<&Process> {
        let pid_of = |process: &&Process| process.ended.is_none() && process.pid == pid;
        self.on(machine).find(pid_of)
    }

    /// All living processes.
    pub fn alive(&self) -> impl Iterator<Item = &Process> {
        self.processes.values().filter(|process| process.ended.is_none())
    }

    /// All processes of a machine.
    fn on(&self, machine: MachineId) -> impl Iterator<Item = &Process> {
        let keys = self.by_machine.get(&machine).into_iter().flatten();
        keys.filter_map(|key| self.processes.get(key))
    }

    fn insert(&mut self, process: Process) {
        self.by_machine.entry(process.machine).or_default().insert(process.key);
        self.processes.insert(process.key, process);
    }

    fn remove(&mut self, key: ProcKey) {
        let Some(process) = self.processes.remove(&key) else { return };
        if let Some(keys) = self.by_machine.get_mut(&process.machine) {
            keys.remove(&key);
        }
    }

    /// Living processes of a container.
    pub fn inside(&self, machine: MachineId, container: &str) -> Vec<ProcKey> {
        let inside = |process: &&Process| {
            process.ended.is_none() && process.container.as_deref() == Some(container)
        };
        self.on(machine).filter(inside).map(|process| process.key).collect()
    }

    /// Makes or opens a container.
    pub fn open_container(&mut self, machine: MachineId, name: &str) {
        self.containers.insert((machine, name.to_owned()));
    }

    /// Whether a container exists.
    pub fn has_container(&self, machine: MachineId, name: &str) -> bool {
        self.containers.contains(&(machine, name.to_owned()))
    }

    /// Removes a container; false while something lives in it.
    pub fn remove_container(&mut self, machine: MachineId, name: &str) -> bool {
        let empty = self.inside(machine, name).is_empty();
        if empty {
            self.containers.remove(&(machine, name.to_owned()));
        }
        empty
    }

    fn ids(&mut self, machine: MachineId) -> (ProcKey, u32) {
        self.next_key += 1;
        let pid = self.next_pid.entry(machine).or_insert(PID_FIRST);
        *pid += 1;
        (ProcKey(self.next_key), *pid)
    }
}

fn note(w: &mut World, process: &Process, what: &str, fact: u64) {
    let lane = w.machine(process.machine).name.clone();
    let words = || (lane, format!("process {} ({}) {what}", process.pid, process.name));
    let facts = [u64::from(process.key.0), fact];
    w.trace.note(w.now, Kind::Process, facts, words);
    let at = w.now;
    if let Some(scene) = &mut w.scene {
        let named = |job: &JobProcess| (job.job, job.key.clone().unwrap_or_default());
        scene.lives.push(super::scene::Life {
            at,
            machine: process.machine,
            key: process.key.0,
            pid: process.pid,
            name: process.name.clone(),
            job: process.job.as_ref().map(named),
            ended: what.strip_prefix("ends: ").map(str::to_owned),
        });
    }
}

fn fresh(w: &mut World, machine: MachineId, parent: ProcKey, name: &str) -> Process {
    let (key, pid) = w.processes.ids(machine);
    Process {
        key,
        machine,
        pid,
        parent,
        name: name.to_owned(),
        uid: 0,
        gid: 0,
        container: w.processes.get(parent).and_then(|parent| parent.container.clone()),
        started: w.now,
        script: None,
        job: None,
        ended: None,
        awaited: false,
        waiters: Vec::new(),
    }
}

/// Makes a process for a component; its tasks are started with [`super::launch`].
pub fn insert_component(
    w: &mut World,
    machine: MachineId,
    parent: ProcKey,
    name: &str,
    user: (u32, u32),
) -> ProcKey {
    assert!(w.machine(machine).up, "nothing starts on a machine without power");
    let mut process = fresh(w, machine, parent, name);
    (process.uid, process.gid) = user;
    note(w, &process, "starts", 1);
    let key = process.key;
    w.processes.insert(process);
    key
}

/// Starts a component as a new process of a machine.
pub fn start_component(
    machine: MachineId,
    name: &str,
    user: (u32, u32),
    make: impl FnOnce(ProcKey) -> TaskFuture,
) -> ProcKey {
    let key = super::with(|w| insert_component(w, machine, ProcKey::NONE, name, user));
    super::launch(key, machine, make(key));
    key
}

/// Makes the process of a job's script, as a child of `parent`, and lets it run. What the machine
/// saw start is returned, for the history.
pub fn insert_script(w: &mut World, parent: &Process, plan: Plan) -> JobProcess {
    let mut process = fresh(w, parent.machine, parent.key, &parent.name);
    (process.uid, process.gid) = (parent.uid, parent.gid);
    process.container.clone_from(&parent.container);
    let job = parent.job.clone().unwrap_or_else(|| JobProcess {
        machine: parent.machine,
        pid: 0,
        job: None,
        attempt: None,
        key: plan.key.clone(),
        cpus: 0,
        memory_mib: 0,
        uid: parent.uid,
        task: None,
        left_behind: true,
        devices: None,
    });
    process.job = Some(JobProcess { pid: process.pid, left_behind: true, ..job });
    run_script(w, process, plan)
}

/// Lets a made process run its script.
fn run_script(w: &mut World, mut process: Process, plan: Plan) -> JobProcess {
    let key = process.key;
    let at = w.now.saturating_add(plan.run);
    let next = Some(w.schedule(at, Event::Script(key, Step::Finish)));
    process.script = Some(Progress { plan, next, stopped_with: None, output: None });
    note(w, &process, "starts", 2);
    let job = process.job.clone().expect("a scripted process knows its job");
    w.processes.insert(process);
    job
}

/// The folder a script is in: node daemons keep each attempt's script in a folder of its own.
fn folder_of(program: &Path) -> Option<String> {
    let folder = program.parent()?.file_name()?;
    Some(folder.to_string_lossy().into_owned())
}

/// Starts the script of a job for a component; its key and process id.
pub fn start_script(
    w: &mut World,
    parent: ProcKey,
    machine: MachineId,
    spawn: &Spawn,
    plan: Plan,
) -> (ProcKey, u32) {
    let name = spawn.program.display().to_string();
    let mut process = fresh(w, machine, parent, &name);
    if let Some(user) = &spawn.user {
        (process.uid, process.gid) = (user.uid, user.gid);
    }
    if spawn.container.is_some() {
        process.container.clone_from(&spawn.container);
    }
    process.awaited = !spawn.detached;
    let variable = |name: &str| {
        let mut pairs = spawn.environment.iter().filter_map(|pair| pair.split_once('='));
        pairs.find(|(variable, _)| *variable == name).map(|(_, value)| value.to_owned())
    };
    let number = |name: &str| variable(name).and_then(|value| value.parse().ok());
    let job = JobProcess {
        machine,
        pid: process.pid,
        job: variable("SLURM_JOB_ID").and_then(|value| value.parse().ok()),
        attempt: variable("SLURM_JOB_SLUID").or_else(|| folder_of(&spawn.program)),
        key: plan.key.clone(),
        cpus: plan.cpus,
        memory_mib: plan.memory_mib,
        uid: process.uid,
        task: number("SLURM_STEP_ID").zip(number("SLURM_PROCID")).filter(|_| is_task(spawn)),
        left_behind: false,
        devices: variable("CUDA_VISIBLE_DEVICES"),
    };
    process.job = Some(job);
    let (key, pid) = (process.key, process.pid);
    let job = run_script(w, process, plan);
    let at = w.now;
    w.history.push(at, Effect::Started(job));
    (key, pid)
}

/// A process is over. A component's tasks are dropped.
pub fn end(key: ProcKey, gone: Gone) {
    let component = super::with(|w| {
        let process = w.processes.get(key)?;
        process.ended.is_none().then_some(process.script.is_none())
    });
    let Some(component) = component else { return };
    if component {
        super::drop_tasks(key);
    }
    super::with(|w| bury(w, key, gone));
}

fn bury(w: &mut World, key: ProcKey, gone: Gone) {
    let Some(process) = w.processes.get_mut(key) else { return };
    let status = match gone {
        Gone::Ended(status) => ExitStatus(status),
        Gone::PowerLost => ExitStatus::signaled(9),
    };
    process.ended = Some(status);
    let waiters = std::mem::take(&mut process.waiters);
    let next = process.script.as_mut().and_then(|script| script.next.take());
    let process = process.clone();
    for waker in waiters {
        w.wake(waker);
    }
    if let Some(next) = next {
        w.unschedule(next);
    }
    let what = match gone {
        Gone::Ended(_) => format!("ends: {status:?}"),
        Gone::PowerLost => "ends: power lost".to_owned(),
    };
    note(w, &process, &what, u64::from(status.0) << 8);
    if let Some(job) = process.job {
        let at = w.now;
        w.history.push(at, Effect::Gone(job, gone));
    }
    if !process.awaited {
        w.processes.remove(key);
    }
}

/// Nobody waits for this process any more.
pub fn forget(w: &mut World, key: ProcKey) {
    if let Some(process) = w.processes.get_mut(key) {
        process.awaited = false;
        if process.ended.is_some() {
            w.processes.remove(key);
        }
    }
}

/// Kills a component as `kill -9` does: its tasks stop where they are, its sockets close, its files
/// stay in the page cache.
pub fn kill(key: ProcKey) {
    end(key, Gone::Ended(9));
}

/// Sends a signal to a scripted process, or kills a component.
pub fn signal(key: ProcKey, signal: i32) {
    let Some(script) = super::with(|w| w.processes.get(key).map(|p| p.script.clone())) else {
        return;
    };
    let Some(script) = script else {
        if matches!(signal, 9 | 15) {
            kill(key);
        }
        return;
    };
    match script.plan.reaction(signal) {
        Reaction::None => {}
        Reaction::Stop => super::with(|w| stop(w, key)),
        Reaction::Continue => super::with(|w| go_on(w, key)),
        Reaction::Die(0) => end(key, Gone::Ended((signal & 0x7f) as u32)),
        Reaction::Die(delay) => super::with(|w| {
            let at = w.now.saturating_add(delay);
            w.schedule(at, Event::Script(key, Step::Die((signal & 0x7f) as u8)));
        }),
    }
}

fn stop(w: &mut World, key: ProcKey) {
    let now = w.now;
    let Some(script) = w.processes.get_mut(key).and_then(|p| p.script.as_mut()) else { return };
    let Some(next) = script.next.take() else { return };
    script.stopped_with = Some(next.at.saturating_sub(now));
    w.unschedule(next);
}

fn go_on(w: &mut World, key: ProcKey) {
    let now = w.now;
    let Some(script) = w.processes.get_mut(key).and_then(|p| p.script.as_mut()) else { return };
    let Some(left) = script.stopped_with.take() else { return };
    let next = w.schedule(now.saturating_add(left), Event::Script(key, Step::Finish));
    if let Some(script) = w.processes.get_mut(key).and_then(|p| p.script.as_mut()) {
        script.next = Some(next);
    }
}

fn draw_power(w: &mut World, machine: MachineId, on: bool) {
    let at = w.now;
    if let Some(scene) = &mut w.scene {
        scene.power.push((at, machine, on));
    }
}

/// The machine loses power: every process is gone at once, no socket says goodbye, the disk keeps
/// what it happens to keep.
pub fn power_off(machine: MachineId) {
    let keys = super::with(|w| {
        if !w.machine(machine).up {
            return Vec::new();
        }
        w.machine_mut(machine).up = false;
        let words = || (w.machines[machine.0 as usize].name.clone(), "power is lost".to_owned());
        w.trace.note(w.now, Kind::Fault, [u64::from(machine.0), 2], words);
        draw_power(w, machine, false);
        super::net::silence(w, machine);
        w.processes.on(machine).map(|process| process.key).collect()
    });
    for key in keys {
        end(key, Gone::PowerLost);
    }
    super::with(|w| {
        let left = w.processes.by_machine.remove(&machine).unwrap_or_default();
        w.processes.processes.retain(|key, _| !left.contains(key));
        w.processes.containers.retain(|(place, _)| *place != machine);
        w.history.outputs.retain(|(place, _), _| *place != machine);
        let survive = w.disk_knobs.survive;
        let disk = &mut w.machines[machine.0 as usize].disk;
        disk.lose_power(survive, &mut w.rng.disk);
    });
}

/// The machine has power again. Its services are started by whoever runs the world.
pub fn power_on(machine: MachineId) {
    super::with(|w| {
        assert!(!w.machine(machine).up, "a machine boots once");
        let now = w.now;
        let item = w.machine_mut(machine);
        item.up = true;
        item.boots += 1;
        item.clock.boot_now(now);
        w.processes.next_pid.remove(&machine);
        let words = || (w.machines[machine.0 as usize].name.clone(), "boots".to_owned());
        w.trace.note(w.now, Kind::Fault, [u64::from(machine.0), 3], words);
        draw_power(w, machine, true);
    });
}
