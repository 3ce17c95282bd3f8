//! openraft's runtime trait over the executor.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use openraft_rt::{AsyncRuntime, Instant, OptionalSend};
use rand_chacha::rand_core::{Rng as _, TryRng};

use super::{OwnMpsc, OwnMutex, OwnOneshot, OwnWatch, executor};
use crate::world::env::{Engine, Place};
use crate::world::process::ProcKey;
use crate::world::{self, MachineId, Nanos, TaskFuture, Wait, World};

/// The runtime of a simulated process.
#[derive(Debug)]
pub struct OwnRt {
    runs: u64,
}

/// A machine's monotonic time, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnInstant(u64);

fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn local_now() -> Nanos {
    world::with(|w| match world::current() {
        Some(place) => w.machine(place.machine).clock.local(w.now()),
        None => w.now(),
    })
}

impl Instant for OwnInstant {
    fn now() -> Self {
        Self(local_now())
    }
}

impl Add<Duration> for OwnInstant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for OwnInstant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for OwnInstant {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl SubAssign<Duration> for OwnInstant {
    fn sub_assign(&mut self, span: Duration) {
        *self = *self - span;
    }
}

impl Sub for OwnInstant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Numbers from the world's seed.
#[derive(Clone, Copy, Debug)]
pub struct OwnRng;

impl TryRng for OwnRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(world::with(|w| w.rng.components.next_u32()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(world::with(|w| w.rng.components.next_u64()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        world::with(|w| w.rng.components.fill(bytes));
        Ok(())
    }
}

/// The awaited task was dropped with its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the task was dropped with its process")
    }
}

/// The time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time was up")
    }
}

#[derive(Debug)]
struct JoinState<T> {
    value: Option<T>,
    over: bool,
    waker: Option<Waker>,
}

/// Waits for a task's value.
#[derive(Debug)]
pub struct Join<T>(Arc<Mutex<JoinState<T>>>);

struct Promise<T>(Arc<Mutex<JoinState<T>>>);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: OptionalSend + 'static> Join<T> {
    /// A task body for a future, and what waits for its value.
    pub(crate) fn of(
        future: impl Future<Output = T> + OptionalSend + 'static,
    ) -> (Self, TaskFuture) {
        let state = JoinState { value: None, over: false, waker: None };
        let state = Arc::new(Mutex::new(state));
        let promise = Promise(Arc::clone(&state));
        let body = async move {
            let value = future.await;
            lock(&promise.0).value = Some(value);
        };
        (Self(state), Box::pin(body))
    }
}

impl<T> Future for Join<T> {
    type Output = Result<T, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0);
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        if state.over {
            return Poll::Ready(Err(Cancelled));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0);
            state.over = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Bounds the wait for a future.
#[derive(Debug)]
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    wait: Wait,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut self.wait).poll(cx).map(|()| Err(Elapsed))
    }
}

fn wait_for(span: Duration) -> Wait {
    let until = world::with(|w| {
        let global = match world::current() {
            Some(place) => w.machine(place.machine).clock.global_span(w.now(), nanos(span)),
            None => nanos(span),
        };
        w.now().saturating_add(global)
    });
    world::wait_until(until)
}

fn wait_until(deadline: OwnInstant) -> Wait {
    let until = world::with(|w| match world::current() {
        Some(place) => w.machine(place.machine).clock.global(deadline.0),
        None => deadline.0,
    });
    world::wait_until(until)
}

impl AsyncRuntime for OwnRt {
    type JoinError = Cancelled;
    type JoinHandle<T: OptionalSend + 'static> = Join<T>;
    type Sleep = Wait;
    type Instant = OwnInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = OwnRng;
    type Mpsc = OwnMpsc;
    type Watch = OwnWatch;
    type Oneshot = OwnOneshot;
    type Mutex<T: OptionalSend + 'static> = OwnMutex<T>;

    fn spawn<T>(future: T) -> Join<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let (join, body) = Join::of(future);
        let process = world::current().map_or(ProcKey::NONE, |place| place.process);
        executor::spawn(process, std::any::type_name::<T>(), body);
        join
    }

    fn sleep(duration: Duration) -> Wait {
        wait_for(duration)
    }

    fn sleep_until(deadline: OwnInstant) -> Wait {
        wait_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Timeout<F> {
        Timeout { future: Box::pin(future), wait: wait_for(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: OwnInstant,
        future: F,
    ) -> Timeout<F> {
        Timeout { future: Box::pin(future), wait: wait_until(deadline) }
    }

    fn is_panic(_: &Cancelled) -> bool {
        false
    }

    fn thread_rng() -> OwnRng {
        OwnRng
    }

    fn new(_threads: usize) -> Self {
        Self { runs: 0 }
    }

    /// Runs a future as the only process of a world of its own.
    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.runs += 1;
        let mut world = World::new(self.runs, false);
        let machine = world.add_machine("alone", IpAddr::from([10, 0, 0, 1]), 1, 1);
        world.set_launcher(std::rc::Rc::new(executor::OwnLauncher));
        world::install(world);
        let place = alone(machine);
        let value = executor::run(within(place, future));
        executor::clear();
        drop(world::remove());
        value
    }

    async fn spawn_blocking<F, T>(f: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(f())
    }
}

/// A process whose first task never ends, so that tasks can be spawned into it.
fn alone(machine: MachineId) -> Place {
    let make = |_| -> world::TaskFuture { Box::pin(std::future::pending()) };
    let process = world::process::start_component(machine, "alone", (0, 0), make);
    Place { machine, process }
}

/// Polls `future` as part of a process.
async fn within<T>(place: Place, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let before = world::set_current(Some(place));
        let polled = future.as_mut().poll(cx);
        world::set_current(before);
        polled
    })
    .await
}

/// Keeps the engine's bundle of types honest.
const _: fn() = || {
    fn engine<X: Engine>() {}
    engine::<super::Own>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openrafts_own_test_suite_passes() {
        openraft_rt::testing::Suite::<OwnRt>::test_all();
    }

    #[test]
    fn a_second_passes_in_no_time_and_exactly() {
        let passed = OwnRt::run(async {
            let before = OwnInstant::now();
            OwnRt::sleep(Duration::from_secs(3600)).await;
            before.elapsed()
        });
        assert_eq!(passed, Duration::from_secs(3600));
    }

    #[test]
    fn ready_tasks_run_in_an_order_drawn_from_the_seed() {
        let order_of = |runtime: &mut OwnRt| {
            runtime.block_on(async {
                let seen = Arc::new(Mutex::new(Vec::new()));
                let add = |index| {
                    let seen = Arc::clone(&seen);
                    OwnRt::spawn(async move { lock(&seen).push(index) })
                };
                let handles: Vec<_> = (0..6).map(add).collect();
                for handle in handles {
                    handle.await.unwrap();
                }
                lock(&seen).clone()
            })
        };
        let sweep = || -> Vec<Vec<i32>> {
            let mut runtime = OwnRt::new(1);
            (0..20).map(|_| order_of(&mut runtime)).collect()
        };
        let orders = sweep();
        assert_eq!(orders, sweep(), "the same seeds give the same orders");
        let distinct: std::collections::BTreeSet<_> = orders.iter().collect();
        assert!(distinct.len() > 10, "{distinct:?}");
    }

    #[test]
    fn an_idle_world_is_not_polled() {
        OwnRt::run(async {
            OwnRt::sleep(Duration::from_secs(1)).await;
            let before = executor::polls();
            OwnRt::sleep(Duration::from_secs(1_000_000)).await;
            assert_eq!(executor::polls(), before);
        });
    }
}
