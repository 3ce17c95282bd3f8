//! A bell: whoever holds one may ring it, and the task that waits for it wakes.
//!
//! Rings that nobody has heard yet count as one. Knows no runtime, so that a signal handler, another
//! task and a simulated operator ring alike.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Asks a component to read its files again. Clones are the same bell.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rung: bool,
    listener: Option<Waker>,
}

impl Bell {
    /// Rings. Never waits.
    pub fn ring(&self) {
        let listener = {
            let mut state = self.lock();
            state.rung = true;
            state.listener.take()
        };
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    /// Waits for a ring since the last one heard. One task listens at a time: of two, the later.
    pub async fn heard(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.lock();
            if std::mem::take(&mut state.rung) {
                return Poll::Ready(());
            }
            state.listener = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bell is equal to itself alone.
impl PartialEq for Bell {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl Eq for Bell {}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn rings_are_heard_once_whether_before_or_after_listening() {
        let bell = Bell::default();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        bell.ring();
        bell.clone().ring();
        assert!(pin!(bell.heard()).poll(&mut context).is_ready());
        let mut listening = pin!(bell.heard());
        assert!(listening.as_mut().poll(&mut context).is_pending());
        bell.ring();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(listening.poll(&mut context).is_ready());
    }
}
