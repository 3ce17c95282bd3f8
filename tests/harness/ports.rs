//! Port numbers that no other cluster of this machine uses at the same time.
//!
//! A number is held by listening on it at an address that clusters do not use, so the hold ends
//! with its owner, however that ends.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Controller ports of tests.
pub const CONTROLLERS: Range<u16> = 21_500..22_000;
/// Node daemon ports of tests.
pub const NODES: Range<u16> = 17_001..17_101;

const HOLDER: &str = "127.0.0.99";
const USED: [&str; 5] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];

/// A run of consecutive port numbers, held until dropped.
#[derive(Debug)]
pub struct Held {
    /// The lowest one.
    pub first: u16,
    _holders: Vec<TcpListener>,
}

/// One search at a time: two that go on side by side take each other's ports away to the end.
static SEARCH: Mutex<()> = Mutex::new(());

/// Holds `count` consecutive free ports of `range`; panics when there are none.
pub fn hold(range: Range<u16>, count: u16) -> Held {
    assert!(count > 0, "no port wanted");
    let _alone = SEARCH.lock().unwrap_or_else(PoisonError::into_inner);
    let mut first = range.start;
    while first + count <= range.end {
        let mut holders = Vec::new();
        for port in first..first + count {
            match held(port) {
                Some(holder) => holders.push(holder),
                None => break,
            }
        }
        if holders.len() == usize::from(count) {
            return Held { first, _holders: holders };
        }
        first += 1 + u16::try_from(holders.len()).unwrap_or(0);
    }
    panic!("no {count} consecutive ports are free in {range:?}")
}

fn held(port: u16) -> Option<TcpListener> {
    let holder = TcpListener::bind((HOLDER, port)).ok()?;
    USED.iter().all(|address| TcpListener::bind((*address, port)).is_ok()).then_some(holder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    #[test]
    fn two_holders_never_share_a_port() {
        let range = 21_990..22_000;
        let one = hold(range.clone(), 3);
        let two = hold(range.clone(), 3);
        assert!(two.first >= one.first + 3);
        drop(one);
        // A process that another test is about to start has the listeners too, until it runs its
        // program: for a moment nobody may have the numbers.
        eventually("numbers that were let go are free again", || {
            let again = hold(range.clone(), 3);
            assert!(again.first + 3 <= two.first || again.first >= two.first + 3);
            let lowest = again.first;
            if lowest < two.first { Ok(()) } else { Err(format!("the lowest is {lowest}")) }
        });
    }

    #[test]
    #[should_panic(expected = "no 11 consecutive ports")]
    fn a_range_without_room_is_told() {
        hold(21_980..21_990, 11);
    }
}
