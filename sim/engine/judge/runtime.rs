//! openraft's runtime trait over a kernel. Channels are our own: they know no executor.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft_rt::{AsyncRuntime, Instant, OptionalSend};
use rand_chacha::rand_core::{Rng as _, TryRng};

use super::{Kernel, groups};
use crate::engine::own::{Cancelled, Elapsed, Join, OwnMpsc, OwnMutex, OwnOneshot, OwnWatch};
use crate::world::{self, Nanos};

/// The runtime of a simulated process under a judge.
#[derive(Debug)]
pub struct JudgeRt<K>(PhantomData<fn() -> K>);

/// Virtual time since the world began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JudgeInstant(Nanos);

/// A moment before any world, so that subtracting a while from "now" is possible.
const START: Nanos = 100_000 * world::SECOND;

fn nanos(span: Duration) -> Nanos {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Instant for JudgeInstant {
    fn now() -> Self {
        Self(START + world::with(|w| w.now()))
    }
}

impl Add<Duration> for JudgeInstant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for JudgeInstant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for JudgeInstant {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

impl SubAssign<Duration> for JudgeInstant {
    fn sub_assign(&mut self, span: Duration) {
        *self = *self - span;
    }
}

impl Sub for JudgeInstant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Numbers from the world's seed.
#[derive(Clone, Copy, Debug)]
pub struct JudgeRng;

impl TryRng for JudgeRng {
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

/// Bounds the wait for a future.
pub struct JudgeTimeout<K: Kernel, F> {
    future: Pin<Box<F>>,
    sleep: Pin<Box<K::Sleep>>,
}

impl<K: Kernel, F: Future> Future for JudgeTimeout<K, F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        self.sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    }
}

/// Longer naps are cut: the runtimes' clocks do not reach to the end of time.
const NAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

fn until(deadline: JudgeInstant) -> Duration {
    (deadline - JudgeInstant::now()).min(NAP_MAX)
}

impl<K: Kernel> AsyncRuntime for JudgeRt<K> {
    type JoinError = Cancelled;
    type JoinHandle<T: OptionalSend + 'static> = Join<T>;
    type Sleep = K::Sleep;
    type Instant = JudgeInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = JudgeTimeout<K, T>;
    type ThreadLocalRng = JudgeRng;
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
        match world::current() {
            Some(place) => groups::spawn::<K>(place, body),
            None => drop(body),
        }
        join
    }

    fn sleep(duration: Duration) -> K::Sleep {
        K::sleep(duration.min(NAP_MAX))
    }

    fn sleep_until(deadline: JudgeInstant) -> K::Sleep {
        K::sleep(until(deadline))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> JudgeTimeout<K, F> {
        let sleep = Box::pin(K::sleep(duration.min(NAP_MAX)));
        JudgeTimeout { future: Box::pin(future), sleep }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: JudgeInstant,
        future: F,
    ) -> JudgeTimeout<K, F> {
        JudgeTimeout { future: Box::pin(future), sleep: Box::pin(K::sleep(until(deadline))) }
    }

    fn is_panic(_: &Cancelled) -> bool {
        false
    }

    fn thread_rng() -> JudgeRng {
        JudgeRng
    }

    fn new(_threads: usize) -> Self {
        Self(PhantomData)
    }

    /// # Panics
    /// Always: a judge runs whole worlds only.
    fn block_on<F, T>(&mut self, _future: F) -> T
    where
        F: Future<Output = T>,
    {
        panic!("a judge runs whole worlds; see Engine::run")
    }

    async fn spawn_blocking<F, T>(f: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(f())
    }
}
