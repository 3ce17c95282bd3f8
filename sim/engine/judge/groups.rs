//! Tasks grouped by simulated process, so that a process can be killed under any executor: the
//! future sits in a slot that the kill empties, whatever the executor thinks of the task.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use super::Kernel;
use crate::world::env::Place;
use crate::world::history::Gone;
use crate::world::process::{self, ProcKey};
use crate::world::trace::Kind;
use crate::world::{self, Launcher, MachineId, TaskFuture};

type Slot = Arc<Mutex<Option<TaskFuture>>>;

struct Group {
    machine: MachineId,
    main: u64,
    slots: BTreeMap<u64, Slot>,
}

#[derive(Default)]
struct Groups {
    groups: BTreeMap<ProcKey, Group>,
    next: u64,
    panic: Option<String>,
}

thread_local! {
    static GROUPS: RefCell<Groups> = RefCell::new(Groups::default());
}

/// Starts and ends processes under a judge.
#[derive(Debug)]
pub struct GroupLauncher<K>(pub std::marker::PhantomData<fn() -> K>);

impl<K: Kernel> Launcher for GroupLauncher<K> {
    fn start(&self, place: Place, main: TaskFuture) {
        GROUPS.with_borrow_mut(|groups| {
            let main = groups.next;
            let machine = place.machine;
            let group = Group { machine, main, slots: BTreeMap::new() };
            let before = groups.groups.insert(place.process, group);
            assert!(before.is_none(), "a process starts once");
        });
        spawn::<K>(place, main);
    }

    fn kill(&self, process: ProcKey) {
        let group = GROUPS.with_borrow_mut(|groups| groups.groups.remove(&process));
        let Some(group) = group else { return };
        for slot in group.slots.into_values() {
            let future = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(future) = future {
                K::discard(group.machine, future);
            }
        }
    }
}

fn empty(slot: &Slot) {
    let future = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(future);
}

/// Adds a task to a process; a task of a dead process is dropped.
pub(super) fn spawn<K: Kernel>(place: Place, future: TaskFuture) {
    let slot: Slot = Arc::new(Mutex::new(Some(future)));
    let number = GROUPS.with_borrow_mut(|groups| {
        let number = groups.next;
        let group = groups.groups.get_mut(&place.process)?;
        group.slots.insert(number, Arc::clone(&slot));
        groups.next += 1;
        Some(number)
    });
    match number {
        Some(number) => K::spawn(place.machine, Box::pin(Body { place, number, slot })),
        None => empty(&slot),
    }
}

/// The first panic of any task.
pub(in crate::engine) fn first_panic() -> Option<String> {
    GROUPS.with_borrow_mut(|groups| groups.panic.take())
}

/// Drops all tasks.
pub(in crate::engine) fn clear() {
    loop {
        let next = GROUPS.with_borrow(|groups| groups.groups.keys().next().copied());
        let Some(process) = next else { break };
        let group = GROUPS.with_borrow_mut(|groups| groups.groups.remove(&process));
        for slot in group.into_iter().flat_map(|group| group.slots.into_values()) {
            empty(&slot);
        }
    }
    GROUPS.with_borrow_mut(|groups| groups.next = 0);
}

struct Body {
    place: Place,
    number: u64,
    slot: Slot,
}

impl Body {
    fn is_member(&self) -> bool {
        GROUPS.with_borrow(|groups| {
            let group = groups.groups.get(&self.place.process);
            group.is_some_and(|group| group.slots.contains_key(&self.number))
        })
    }

    fn leave(&self) {
        let was_main = GROUPS.with_borrow_mut(|groups| {
            let group = groups.groups.get_mut(&self.place.process);
            group.is_some_and(|group| {
                group.slots.remove(&self.number);
                group.main == self.number
            })
        });
        if was_main {
            process::end(self.place.process, Gone::Ended(0));
        }
    }
}

impl Future for Body {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let future = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut future) = future else { return Poll::Ready(()) };
        if world::try_with(|w| note(w, &self)).is_none() {
            return Poll::Ready(());
        }
        let before = world::set_current(Some(self.place));
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        let done = match polled {
            Ok(Poll::Pending) if self.is_member() => {
                *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(future);
                false
            }
            Ok(Poll::Pending | Poll::Ready(())) => {
                drop(future);
                self.leave();
                true
            }
            Err(_) => {
                let text = crate::engine::last_panic();
                GROUPS.with_borrow_mut(|groups| groups.panic.get_or_insert(text).len());
                true
            }
        };
        world::set_current(before);
        if done { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn note(w: &mut world::World, body: &Body) {
    let now = w.now();
    let facts = [body.number, u64::from(body.place.process.0)];
    w.trace.note(now, Kind::Poll, facts, || (String::new(), String::new()));
}
