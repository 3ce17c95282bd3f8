//! Channels for one value.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use openraft_rt::{Oneshot, OneshotSender, OptionalSend};

/// The channel family.
#[derive(Debug)]
pub struct OwnOneshot;

#[derive(Debug)]
struct Shared<T> {
    value: Option<T>,
    sender_gone: bool,
    receiver_gone: bool,
    waker: Option<Waker>,
}

type Link<T> = Arc<Mutex<Shared<T>>>;

/// The sending side.
#[derive(Debug)]
pub struct OneSender<T>(Link<T>);

/// The receiving side.
#[derive(Debug)]
pub struct OneReceiver<T>(Link<T>);

/// The sender is gone and sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sender is gone")
    }
}

impl std::error::Error for Closed {}

fn lock<T>(link: &Link<T>) -> MutexGuard<'_, Shared<T>> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Oneshot for OwnOneshot {
    type Sender<T: OptionalSend> = OneSender<T>;
    type Receiver<T: OptionalSend> = OneReceiver<T>;
    type ReceiverError = Closed;

    fn channel<T: OptionalSend>() -> (OneSender<T>, OneReceiver<T>) {
        let shared = Shared { value: None, sender_gone: false, receiver_gone: false, waker: None };
        let link = Arc::new(Mutex::new(shared));
        (OneSender(Arc::clone(&link)), OneReceiver(link))
    }
}

impl<T: OptionalSend> OneshotSender<T> for OneSender<T> {
    fn send(self, value: T) -> Result<(), T> {
        let mut shared = lock(&self.0);
        if shared.receiver_gone {
            return Err(value);
        }
        shared.value = Some(value);
        Ok(())
    }
}

impl<T> Drop for OneSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.sender_gone = true;
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for OneReceiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut shared = lock(&self.0);
        if let Some(value) = shared.value.take() {
            return Poll::Ready(Ok(value));
        }
        if shared.sender_gone {
            return Poll::Ready(Err(Closed));
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for OneReceiver<T> {
    fn drop(&mut self) {
        let value = {
            let mut shared = lock(&self.0);
            shared.receiver_gone = true;
            shared.value.take()
        };
        drop(value);
    }
}
