//! The executor: tasks that belong to processes, and a ready set that is drawn from at random.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::world::env::Place;
use crate::world::history::Gone;
use crate::world::process::{self, ProcKey};
use crate::world::trace::Kind;
use crate::world::{self, Launcher, TaskFuture};

/// Polls without any passing of time after which a world is stuck in a loop; beside as many for each
/// task, since all nodes of a large world may start at once.
const POLLS_AT_ONE_TIME_MAX: usize = 200_000;
/// Polls of one task at one time that are no loop yet.
const POLLS_OF_TASK_MAX: usize = 50;
/// The body that `run` polls itself.
const ROOT: u32 = u32::MAX;

struct TaskWaker {
    slot: u32,
    number: u64,
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let _a_thread_that_ends_needs_no_wakes =
                READY.try_with(|ready| ready.borrow_mut().push(Arc::clone(self)));
        }
    }
}

struct Task {
    number: u64,
    name: &'static str,
    place: Place,
    future: Option<TaskFuture>,
    handle: Arc<TaskWaker>,
    waker: Waker,
}

struct Tasks {
    place: Place,
    main: u64,
    /// Slot of each task, by its number: the order of their making.
    slots: BTreeMap<u64, u32>,
}

#[derive(Default)]
struct Executor {
    slots: Vec<Option<Task>>,
    free: Vec<u32>,
    processes: BTreeMap<ProcKey, Tasks>,
    next_number: u64,
}

thread_local! {
    static EXECUTOR: RefCell<Executor> = RefCell::new(Executor::default());
    static READY: RefCell<Vec<Arc<TaskWaker>>> = const { RefCell::new(Vec::new()) };
    static POLLS: Cell<u64> = const { Cell::new(0) };
    static COUNTED: RefCell<Option<BTreeMap<&'static str, u64>>> = const { RefCell::new(None) };
}

/// Starts and ends processes for the world.
pub(super) struct OwnLauncher;

impl Launcher for OwnLauncher {
    fn start(&self, place: Place, main: TaskFuture) {
        EXECUTOR.with_borrow_mut(|executor| {
            let number = executor.next_number;
            let tasks = Tasks { place, main: number, slots: BTreeMap::new() };
            let before = executor.processes.insert(place.process, tasks);
            assert!(before.is_none(), "a process starts once");
        });
        spawn(place.process, "the first task of a process", main);
    }

    fn kill(&self, process: ProcKey) {
        let tasks = EXECUTOR.with_borrow_mut(|executor| executor.processes.remove(&process));
        for slot in tasks.into_iter().flat_map(|tasks| tasks.slots.into_values()) {
            let task = EXECUTOR.with_borrow_mut(|executor| {
                let task = executor.slots[slot as usize].take();
                if task.is_some() {
                    executor.free.push(slot);
                }
                task
            });
            let before = world::set_current(task.as_ref().map(|task| task.place));
            drop(task);
            world::set_current(before);
        }
    }
}

/// Adds a task to a process; a task of a dead process is dropped.
pub(super) fn spawn(process: ProcKey, name: &'static str, future: TaskFuture) {
    let refused = EXECUTOR.with_borrow_mut(|executor| {
        let number = executor.next_number;
        let slot = executor.free.last().copied().unwrap_or(executor.slots.len() as u32);
        let Some(tasks) = executor.processes.get_mut(&process) else { return Some(future) };
        executor.next_number += 1;
        tasks.slots.insert(number, slot);
        let handle = Arc::new(TaskWaker { slot, number, queued: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&handle));
        let place = tasks.place;
        let task = Task { number, name, place, future: Some(future), handle, waker };
        task.handle.wake_by_ref();
        if executor.free.pop().is_some() {
            executor.slots[slot as usize] = Some(task);
        } else {
            executor.slots.push(Some(task));
        }
        None
    });
    drop(refused);
}

/// Drops every task and forgets every process.
pub(super) fn clear() {
    loop {
        let next = EXECUTOR.with_borrow(|executor| executor.processes.keys().next().copied());
        let Some(process) = next else { break };
        OwnLauncher.kill(process);
    }
    let old = EXECUTOR.with_borrow_mut(std::mem::take);
    assert!(old.slots.iter().all(Option::is_none), "every task belonged to a process");
    let ready = READY.with_borrow_mut(std::mem::take);
    drop(ready);
    POLLS.set(0);
}

/// Counts from now on how often each kind of task is polled, or stops counting.
pub fn count_tasks(wanted: bool) {
    COUNTED.with_borrow_mut(|counted| *counted = wanted.then(BTreeMap::new));
}

/// How often each kind of task was polled; empty when it was not counted.
pub fn tasks_counted() -> Vec<(&'static str, u64)> {
    COUNTED.with_borrow_mut(Option::take).into_iter().flatten().collect()
}

fn count(name: &'static str) {
    COUNTED.with_borrow_mut(|counted| {
        if let Some(counted) = counted {
            *counted.entry(name).or_insert(0) += 1;
        }
    });
}

/// Polls since the executor was cleared.
#[cfg(test)]
pub(super) fn polls() -> u64 {
    POLLS.get()
}

/// Runs the world until `main` is done. `main` belongs to no process.
pub(super) fn run<T>(main: impl Future<Output = T>) -> T {
    let mut main = pin!(main);
    let root = Arc::new(TaskWaker { slot: ROOT, number: u64::MAX, queued: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&root));
    root.wake_by_ref();
    let mut at_once = 0;
    loop {
        while let Some(next) = draw() {
            next.queued.store(false, Ordering::Relaxed);
            if next.slot == ROOT {
                if let Poll::Ready(value) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return value;
                }
            } else {
                poll_task(&next);
            }
            at_once += 1;
            if POLLS_AT_ONE_TIME_MAX < at_once {
                look_for_loop(at_once, &next);
            }
        }
        at_once = 0;
        let advanced = world::with(|w| {
            let at = w.next_event_at()?;
            w.advance_to(at.max(w.now()));
            Some(())
        });
        assert!(advanced.is_some(), "everyone waits and nothing will ever happen");
        while world::fire_next() {}
    }
}

/// Ends a world in which time does not pass because tasks are always ready.
fn look_for_loop(polls: usize, last: &TaskWaker) {
    let (tasks, name) = EXECUTOR.with_borrow(|executor| {
        let task = executor.slots.get(last.slot as usize).and_then(Option::as_ref);
        (executor.slots.len(), task.map_or("another", |task| task.name))
    });
    let polls_max = POLLS_AT_ONE_TIME_MAX + tasks * POLLS_OF_TASK_MAX;
    assert!(polls < polls_max, "tasks are ready without end, the last of them {name}");
}

/// Takes a ready task at random.
fn draw() -> Option<Arc<TaskWaker>> {
    READY.with_borrow_mut(|ready| match ready.len() {
        0 => None,
        1 => ready.pop(),
        len => {
            let index = world::with(|w| w.rng.schedule.index(0..len));
            Some(ready.swap_remove(index))
        }
    })
}

fn poll_task(next: &TaskWaker) {
    let taken = EXECUTOR.with_borrow_mut(|executor| {
        let task = executor.slots[next.slot as usize].as_mut()?;
        if task.number != next.number {
            return None;
        }
        let future = task.future.take()?;
        Some((task.name, task.place, task.waker.clone(), future))
    });
    let Some((name, place, waker, mut future)) = taken else { return };
    POLLS.set(POLLS.get() + 1);
    count(name);
    world::with(|w| {
        let now = w.now();
        let facts = [next.number, u64::from(place.process.0)];
        w.trace.note(now, Kind::Poll, facts, || (String::new(), String::new()));
    });
    let before = world::set_current(Some(place));
    let done = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    if done {
        drop(future);
        finish(next, place);
    } else {
        put_back(next, future);
    }
    world::set_current(before);
}

fn put_back(next: &TaskWaker, future: TaskFuture) {
    let orphan =
        EXECUTOR.with_borrow_mut(|executor| match executor.slots[next.slot as usize].as_mut() {
            Some(task) if task.number == next.number => {
                task.future = Some(future);
                None
            }
            _ => Some(future),
        });
    drop(orphan);
}

fn finish(next: &TaskWaker, place: Place) {
    let (task, was_main) = EXECUTOR.with_borrow_mut(|executor| {
        let own = executor.slots[next.slot as usize].as_ref();
        if own.is_none_or(|task| task.number != next.number) {
            return (None, false);
        }
        let task = executor.slots[next.slot as usize].take();
        executor.free.push(next.slot);
        let tasks = executor.processes.get_mut(&place.process);
        let was_main = tasks.is_some_and(|tasks| {
            tasks.slots.remove(&next.number);
            tasks.main == next.number
        });
        (task, was_main)
    });
    drop(task);
    if was_main {
        process::end(place.process, Gone::Ended(0));
    }
}
