//! Bounded channels with many senders.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use openraft_rt::{
    Mpsc, MpscReceiver, MpscSender, MpscWeakSender, OptionalSend, SendError, TryRecvError,
};

/// The channel family.
#[derive(Debug)]
pub struct OwnMpsc;

#[derive(Debug)]
struct Shared<T> {
    queue: VecDeque<T>,
    capacity: usize,
    senders: usize,
    open: bool,
    receiver: Option<Waker>,
    waiting: Vec<Waker>,
}

type Link<T> = Arc<Mutex<Shared<T>>>;

/// The sending side.
#[derive(Debug)]
pub struct Sender<T>(Link<T>);

/// A sending side that does not keep the channel open.
#[derive(Debug)]
pub struct WeakSender<T>(Link<T>);

/// The receiving side.
#[derive(Debug)]
pub struct Receiver<T>(Link<T>);

fn lock<T>(link: &Link<T>) -> MutexGuard<'_, Shared<T>> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mpsc for OwnMpsc {
    type Sender<T: OptionalSend> = Sender<T>;
    type Receiver<T: OptionalSend> = Receiver<T>;
    type WeakSender<T: OptionalSend> = WeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (Sender<T>, Receiver<T>) {
        let shared = Shared {
            queue: VecDeque::new(),
            capacity: buffer.max(1),
            senders: 1,
            open: true,
            receiver: None,
            waiting: Vec::new(),
        };
        let link = Arc::new(Mutex::new(shared));
        (Sender(Arc::clone(&link)), Receiver(link))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = lock(&self.0);
            shared.senders -= 1;
            if shared.senders == 0 { shared.receiver.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: OptionalSend> MpscSender<OwnMpsc, T> for Sender<T> {
    async fn send(&self, message: T) -> Result<(), SendError<T>> {
        let mut message = Some(message);
        poll_fn(|cx| {
            let mut shared = lock(&self.0);
            let unsent = message.take().expect("it is sent once");
            if !shared.open {
                return Poll::Ready(Err(SendError(unsent)));
            }
            if shared.queue.len() >= shared.capacity {
                message = Some(unsent);
                if !shared.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    shared.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            shared.queue.push_back(unsent);
            let waker = shared.receiver.take();
            drop(shared);
            if let Some(waker) = waker {
                waker.wake();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(Arc::clone(&self.0))
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: OptionalSend> MpscWeakSender<OwnMpsc, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        let mut shared = lock(&self.0);
        if shared.senders == 0 {
            return None;
        }
        shared.senders += 1;
        drop(shared);
        Some(Sender(Arc::clone(&self.0)))
    }
}

impl<T> Receiver<T> {
    fn take(&self) -> Result<T, TryRecvError> {
        let mut shared = lock(&self.0);
        let Some(message) = shared.queue.pop_front() else {
            let over = shared.senders == 0;
            return Err(if over { TryRecvError::Disconnected } else { TryRecvError::Empty });
        };
        let waiting = std::mem::take(&mut shared.waiting);
        drop(shared);
        for waker in waiting {
            waker.wake();
        }
        Ok(message)
    }
}

impl<T: OptionalSend> MpscReceiver<T> for Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| match self.take() {
            Ok(message) => Poll::Ready(Some(message)),
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
            Err(TryRecvError::Empty) => {
                lock(&self.0).receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.take()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (waiting, queue) = {
            let mut shared = lock(&self.0);
            shared.open = false;
            (std::mem::take(&mut shared.waiting), std::mem::take(&mut shared.queue))
        };
        drop(queue);
        for waker in waiting {
            waker.wake();
        }
    }
}
