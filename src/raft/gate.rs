//! What a member that may have lost its memory is allowed to do.
//!
//! A member whose folder is empty cannot know whether it never took part or lost its disk. If it
//! did take part, its votes and the entries it acknowledged may have decided something, and voting
//! again could undo that. So it acts on nothing until it has learned enough from others.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing: it neither votes nor follows.
    Shut,
    /// It follows leaders of this term or later, until it has applied all that the term's leader
    /// held when it was asked; it has no vote.
    Follow {
        /// The largest term that any other member knew.
        term: u64,
        /// Index of that leader's last entry then.
        last: u64,
    },
    /// Everything.
    Open,
}

/// The phase of this member.
pub(crate) struct Gate {
    phase: Mutex<Phase>,
}

impl Gate {
    /// Shut for a member that must join first.
    pub(crate) fn new(joining: bool) -> Self {
        Self { phase: Mutex::new(if joining { Phase::Shut } else { Phase::Open }) }
    }

    fn locked(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The phase.
    pub(crate) fn phase(&self) -> Phase {
        *self.locked()
    }

    /// Moves on.
    pub(crate) fn set(&self, phase: Phase) {
        let mut current = self.locked();
        assert!(*current != Phase::Open, "an open gate is never shut again");
        *current = phase;
    }

    /// May it vote, or say that it would?
    pub(crate) fn may_vote(&self) -> bool {
        self.phase() == Phase::Open
    }

    /// May it acknowledge what a leader of this term sends?
    pub(crate) fn may_follow(&self, leader_term: u64) -> bool {
        match self.phase() {
            Phase::Shut => false,
            Phase::Follow { term, .. } => term <= leader_term,
            Phase::Open => true,
        }
    }
}
