//! Which requests a node daemon has taken already: a credential that comes twice is refused.
//!
//! Several daemons of a machine share a munged, which marks a forwarded message as a repetition when
//! the second of them opens it. So each daemon remembers for itself what it has taken, for as long as
//! munge would take it again.

use std::collections::BTreeMap;

use flurm_base::{RequestKey, Span, Time};

/// How long a credential is good, and as long before that by a clock that is behind: munge's own
/// bound on both.
const KEPT: Span = Span::secs(2 * 300);
/// Requests remembered; beyond that the oldest goes, so that memory is bounded.
const KEYS_MAX: usize = 65_536;

/// The requests of late.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    at: BTreeMap<RequestKey, Time>,
    order: std::collections::VecDeque<(Time, RequestKey)>,
}

impl Seen {
    /// Notes a request; false where it was noted before.
    pub fn note(&mut self, now: Time, key: RequestKey) -> bool {
        while let Some((at, oldest)) = self.order.front().copied() {
            if now.since(at) <= KEPT && self.order.len() < KEYS_MAX {
                break;
            }
            self.order.pop_front();
            self.at.remove(&oldest);
        }
        if self.at.contains_key(&key) {
            return false;
        }
        self.at.insert(key, now);
        self.order.push_back((now, key));
        assert!(self.order.len() <= KEYS_MAX, "what is remembered has a bound");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> RequestKey {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        RequestKey(bytes)
    }

    #[test]
    fn a_request_is_taken_once_until_munge_itself_would_refuse_it() {
        let mut seen = Seen::default();
        let at = Time::from_secs;
        assert!(seen.note(at(1_000), key(1)));
        assert!(!seen.note(at(1_001), key(1)));
        assert!(seen.note(at(1_002), key(2)));
        assert!(!seen.note(at(1_600), key(1)));
        assert!(seen.note(at(1_601), key(1)));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut seen = Seen::default();
        let now = Time::from_secs(5);
        for number in 0..70_000 {
            assert!(seen.note(now, key(number)));
        }
        assert!(seen.note(now, key(0)), "the oldest went");
        assert!(!seen.note(now, key(69_999)));
    }
}
