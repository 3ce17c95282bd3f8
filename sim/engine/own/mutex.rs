//! A mutex that is waited for.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use openraft_rt::{Mutex, OptionalSend};

#[derive(Debug)]
struct Inner<T> {
    /// Absent while someone holds the lock.
    value: Option<T>,
    waiting: VecDeque<Waker>,
}

/// A mutex whose guard may be held over a wait.
#[derive(Debug)]
pub struct OwnMutex<T>(StdMutex<Inner<T>>);

/// Holds the value; gives it back when dropped.
#[derive(Debug)]
pub struct Guard<'a, T> {
    owner: &'a OwnMutex<T>,
    value: Option<T>,
}

impl<T> OwnMutex<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("the guard holds the value until it is dropped")
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the guard holds the value until it is dropped")
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        let waiting = {
            let mut inner = self.owner.inner();
            inner.value = self.value.take();
            std::mem::take(&mut inner.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }
}

impl<T: OptionalSend + 'static> Mutex<T> for OwnMutex<T> {
    type Guard<'a> = Guard<'a, T>;

    fn new(value: T) -> Self {
        Self(StdMutex::new(Inner { value: Some(value), waiting: VecDeque::new() }))
    }

    async fn lock(&self) -> Guard<'_, T> {
        let value = poll_fn(|cx| {
            let mut inner = self.inner();
            match inner.value.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    if !inner.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                        inner.waiting.push_back(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await;
        Guard { owner: self, value: Some(value) }
    }
}
