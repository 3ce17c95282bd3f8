//! One member's log: entries behind a snapshot.

use std::collections::VecDeque;
use std::rc::Rc;

/// A position in a log: index and term of an entry. Entry 0 of term 0 is before every log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) index: u64,
    pub(super) term: u64,
}

/// What is agreed on. `None` is a new leader's first entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) term: u64,
    pub(super) command: Option<Vec<u8>>,
}

/// The state after an entry.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) at: Position,
    pub(super) state: Vec<u8>,
}

/// A log.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    /// The entry before the first one held.
    before: Position,
    held: VecDeque<Rc<Entry>>,
}

impl Entries {
    /// The last entry.
    pub(super) fn last(&self) -> Position {
        match self.held.back() {
            Some(entry) => Position { index: self.last_index(), term: entry.term },
            None => self.before,
        }
    }

    /// Index of the last entry.
    pub(super) fn last_index(&self) -> u64 {
        self.before.index + self.held.len() as u64
    }

    /// The entry before the first one held.
    pub(super) fn before(&self) -> Position {
        self.before
    }

    /// One entry, while it is held.
    pub(super) fn get(&self, index: u64) -> Option<&Rc<Entry>> {
        let at = index.checked_sub(self.before.index + 1)?;
        self.held.get(usize::try_from(at).ok()?)
    }

    /// Term of an entry, while it is known.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.before.index {
            return Some(self.before.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    /// Entries after `index`, at most `max`.
    pub(super) fn after(&self, index: u64, max: usize) -> Vec<Rc<Entry>> {
        let skip = usize::try_from(index.saturating_sub(self.before.index)).unwrap_or(usize::MAX);
        self.held.iter().skip(skip).take(max).cloned().collect()
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, entry: Rc<Entry>) {
        assert!(self.last().term <= entry.term, "terms rise along a log");
        self.held.push_back(entry);
    }

    /// Cuts everything after `index`.
    pub(super) fn cut_after(&mut self, index: u64) {
        let keep = index.saturating_sub(self.before.index);
        self.held.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Forgets entries up to `upto`, which a snapshot contains.
    pub(super) fn purge(&mut self, upto: u64) {
        while self.before.index < upto {
            let Some(entry) = self.held.pop_front() else { return };
            self.before = Position { index: self.before.index + 1, term: entry.term };
        }
    }

    /// Begins anew behind a snapshot.
    pub(super) fn reset(&mut self, before: Position) {
        self.held.clear();
        self.before = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> Entries {
        let mut log = Entries::default();
        for term in terms {
            log.push(Rc::new(Entry { term: *term, command: None }));
        }
        log
    }

    #[test]
    fn positions_survive_a_purge() {
        let mut log = log(&[1, 1, 2, 4]);
        log.purge(2);
        assert_eq!(log.before(), Position { index: 2, term: 1 });
        assert_eq!(log.last(), Position { index: 4, term: 4 });
        assert_eq!((log.term_at(1), log.term_at(2), log.term_at(3)), (None, Some(1), Some(2)));
        assert_eq!(log.after(2, 9).len(), 2);
        log.cut_after(3);
        assert_eq!(log.last(), Position { index: 3, term: 2 });
        log.reset(Position { index: 9, term: 5 });
        assert_eq!((log.last_index(), log.after(0, 9).len()), (9, 0));
    }
}
