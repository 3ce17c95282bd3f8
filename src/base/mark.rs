//! Marks of rare paths: [`sometimes!`](crate::sometimes) says that a run went through here.
//!
//! A simulator records them to know whether its seeds reach what they should; without a recorder a
//! mark costs one look at a thread-local flag.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    static COUNTS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Marks a rare path, optionally only when a condition holds: `sometimes!("a node came back")`,
/// `sometimes!(queue.is_empty(), "the queue ran dry")`.
#[macro_export]
macro_rules! sometimes {
    ($text:literal) => {
        $crate::mark::hit($text)
    };
    ($condition:expr, $text:literal) => {
        if $condition {
            $crate::mark::hit($text)
        }
    };
}

/// Notes that the place named `text` was reached. Called through `sometimes!`.
#[inline]
pub fn hit(text: &'static str) {
    if RECORDING.get() {
        record(text);
    }
}

#[cold]
fn record(text: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(text).or_insert(0) += 1);
}

/// Starts to record on this thread, from nothing.
pub fn start_recording() {
    COUNTS.with_borrow_mut(BTreeMap::clear);
    RECORDING.set(true);
}

/// Stops recording on this thread; how often each mark was reached since the start.
pub fn stop_recording() -> BTreeMap<&'static str, u64> {
    RECORDING.set(false);
    COUNTS.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_only_while_recording() {
        sometimes!("before");
        start_recording();
        for round in 0..3 {
            sometimes!("each round");
            sometimes!(round == 1, "the middle round");
        }
        let seen = stop_recording();
        sometimes!("after");
        let expected = BTreeMap::from([("each round", 3), ("the middle round", 1)]);
        assert_eq!(seen, expected);
        start_recording();
        assert_eq!(stop_recording(), BTreeMap::new());
    }
}
