//! Channels that hold the newest value.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Poll, Waker};

use openraft_rt::watch::SendError;
use openraft_rt::{OptionalSend, OptionalSync, RecvError, Watch, WatchReceiver, WatchSender};

/// The channel family.
#[derive(Debug)]
pub struct OwnWatch;

#[derive(Debug, Default)]
struct Meta {
    version: u64,
    senders: usize,
    receivers: usize,
    wakers: Vec<Waker>,
}

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    meta: Mutex<Meta>,
}

/// The sending side.
#[derive(Debug)]
pub struct WatchedSender<T>(Arc<Shared<T>>);

/// The receiving side.
#[derive(Debug)]
pub struct WatchedReceiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// A look at the value.
#[derive(Debug)]
pub struct Watched<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Watched<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Shared<T> {
    fn meta(&self) -> MutexGuard<'_, Meta> {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Watched<'_, T> {
        Watched(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn changed(&self) {
        let wakers = {
            let mut meta = self.meta();
            meta.version += 1;
            std::mem::take(&mut meta.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

impl Watch for OwnWatch {
    type Sender<T: OptionalSend + OptionalSync> = WatchedSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = WatchedReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Watched<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (WatchedSender<T>, WatchedReceiver<T>) {
        let meta = Meta { version: 0, senders: 1, receivers: 1, wakers: Vec::new() };
        let shared = Arc::new(Shared { value: RwLock::new(init), meta: Mutex::new(meta) });
        (WatchedSender(Arc::clone(&shared)), WatchedReceiver { shared, seen: 0 })
    }
}

impl<T> Clone for WatchedSender<T> {
    fn clone(&self) -> Self {
        self.0.meta().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for WatchedSender<T> {
    fn drop(&mut self) {
        let wakers = {
            let mut meta = self.0.meta();
            meta.senders -= 1;
            if meta.senders == 0 { std::mem::take(&mut meta.wakers) } else { Vec::new() }
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<OwnWatch, T> for WatchedSender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.meta().receivers == 0 {
            return Err(SendError(value));
        }
        let old = {
            let mut slot = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *slot, value)
        };
        drop(old);
        self.0.changed();
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = {
            let mut slot = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
            modify(&mut slot)
        };
        if modified {
            self.0.changed();
        }
        modified
    }

    fn borrow_watched(&self) -> Watched<'_, T> {
        self.0.look()
    }

    fn subscribe(&self) -> WatchedReceiver<T> {
        let seen = {
            let mut meta = self.0.meta();
            meta.receivers += 1;
            meta.version
        };
        WatchedReceiver { shared: Arc::clone(&self.0), seen }
    }
}

impl<T> Clone for WatchedReceiver<T> {
    fn clone(&self) -> Self {
        self.shared.meta().receivers += 1;
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for WatchedReceiver<T> {
    fn drop(&mut self) {
        self.shared.meta().receivers -= 1;
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<OwnWatch, T> for WatchedReceiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|cx| {
            let mut meta = self.shared.meta();
            if meta.version != self.seen {
                self.seen = meta.version;
                return Poll::Ready(Ok(()));
            }
            if meta.senders == 0 {
                return Poll::Ready(Err(RecvError(())));
            }
            if !meta.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                meta.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn borrow_watched(&self) -> Watched<'_, T> {
        self.shared.look()
    }

    fn borrow_and_update(&mut self) -> Watched<'_, T> {
        self.seen = self.shared.meta().version;
        self.shared.look()
    }
}
