//! What a member's storage shows of Raft: its votes, its entries, what of both is on the disk, and
//! what it knows to be committed.
//!
//! A simulator has it judged by `tla/Raft/RaftHistory.tla`. Without a watcher on its thread each
//! place costs one look at a flag; nothing here changes what a member does.

use std::cell::{Cell, RefCell};

use crate::segment::Record;
use crate::stored::{StoredLogId, StoredVote};
use crate::types::{Entry, Payload};

/// Place and term of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its place in the log; entry 0 is the cluster's first membership.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
}

/// A vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The term.
    pub term: u64,
    /// For whom.
    pub candidate: u64,
    /// It is for a leader, whom a quorum elected.
    pub elected: bool,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// A leader's first entry.
    Blank,
    /// A command.
    Command,
    /// A membership: groups of members, each of which must agree by majority.
    Members(Vec<Vec<u64>>),
}

/// What a record makes of the log on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The next entry.
    Entry(Position),
    /// A vote in the place of the one before.
    Vote(Ballot),
    /// Entries after this place are void; all when `None`.
    Cut(Option<u64>),
    /// The log goes on behind this entry, which a snapshot holds.
    Reset(Position),
}

/// Something that was seen of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Its process begins with what is on its disk.
    Opened(Option<Ballot>, Option<Position>),
    /// It keeps a vote from now on.
    Voted(Ballot),
    /// It tells a candidate, whose log ends so, that it has its vote.
    Granted(Ballot, Option<Position>),
    /// Its log has one more entry, not yet on its disk.
    Appended(Position, Carried),
    /// Its log ends here from now on; it is empty when `None`.
    Cut(Option<u64>),
    /// It holds nothing any more up to this entry: a snapshot does.
    Purged(Position),
    /// A change is on its way to its disk, in one group with those before it since the last
    /// `Written`.
    Writes(Change),
    /// The group is on its disk.
    Written,
    /// It knows that everything up to this entry is committed.
    Committed(Position),
    /// It has applied an entry.
    Applied(Position, Carried),
}

type Watcher = Box<dyn FnMut(u64, Visible)>;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Calls `watcher` with the member and what is seen of it, on this thread, until [`unwatch`].
pub fn watch(watcher: impl FnMut(u64, Visible) + 'static) {
    WATCHER.set(Some(Box::new(watcher)));
    WATCHED.set(true);
}

/// Ends [`watch`].
pub fn unwatch() {
    WATCHED.set(false);
    WATCHER.set(None);
}

/// Shows something to whoever watches this thread.
#[inline]
pub(crate) fn show(member: u64, what: impl FnOnce() -> Visible) {
    if WATCHED.get() {
        tell(member, what());
    }
}

#[cold]
fn tell(member: u64, what: Visible) {
    WATCHER.with_borrow_mut(|watcher| {
        if let Some(watcher) = watcher {
            watcher(member, what);
        }
    });
}

/// Shows that these records are on their way to the disk.
pub(crate) fn show_writes(member: u64, records: &[Record]) {
    for record in records {
        let change = match record {
            Record::Entry(entry) => Change::Entry(entry.id.into()),
            Record::Vote(vote) => Change::Vote((*vote).into()),
            Record::Truncate(after) => Change::Cut(after.map(|id| id.index)),
            Record::Reset(upto) => Change::Reset((*upto).into()),
            Record::Committed(_) => continue,
        };
        show(member, || Visible::Writes(change));
    }
}

impl From<StoredLogId> for Position {
    fn from(id: StoredLogId) -> Self {
        Self { index: id.index, term: id.term }
    }
}

impl From<StoredVote> for Ballot {
    fn from(vote: StoredVote) -> Self {
        Self { term: vote.term, candidate: vote.node, elected: vote.committed }
    }
}

impl From<&Entry> for Carried {
    fn from(entry: &Entry) -> Self {
        match &entry.payload {
            Payload::Blank => Self::Blank,
            Payload::Normal(_) => Self::Command,
            Payload::Membership(members) => {
                let groups = members.get_joint_config().iter();
                Self::Members(groups.map(|group| group.iter().copied().collect()).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_watcher_sees_what_is_shown_until_it_goes() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let at = Position { index: 3, term: 2 };
        show(1, || Visible::Committed(at));
        let own = Rc::clone(&seen);
        watch(move |member, what| own.borrow_mut().push((member, what)));
        let vote = StoredVote { term: 2, node: 3, committed: false };
        show_writes(2, &[Record::Committed(None), Record::Vote(vote), Record::Truncate(None)]);
        show(2, || Visible::Written);
        unwatch();
        show(1, || Visible::Committed(at));
        let ballot = Ballot { term: 2, candidate: 3, elected: false };
        let changes = [Visible::Writes(Change::Vote(ballot)), Visible::Writes(Change::Cut(None))];
        let wanted: Vec<_> =
            changes.into_iter().chain([Visible::Written]).map(|w| (2, w)).collect();
        assert_eq!(*seen.borrow(), wanted);
    }
}
