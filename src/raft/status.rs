//! What a node knows of itself and of its cluster, for waiting and for showing.

use flurm_rt::{AsyncRuntime, Env, Watch, WatchReceiver};

/// A leader and the term it leads. No other member ever leads the same term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leader {
    /// Member id.
    pub id: u64,
    /// Its term.
    pub term: u64,
}

/// The part a member plays at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Not a voter (yet).
    Learner,
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// One member's view. A view may be late; it is never ahead of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: u64,
    /// Part played.
    pub role: Role,
    /// Newest term seen.
    pub term: u64,
    /// The leader, as far as known here.
    pub leader: Option<Leader>,
    /// True while this member leads and has applied everything committed before its term: only then
    /// does the state machine show all that earlier leaders acknowledged.
    pub ready: bool,
    /// Index of the last entry in the log.
    pub last_log: Option<u64>,
    /// Index of the last entry known to be committed.
    pub committed: Option<u64>,
    /// Index of the last entry applied to the state machine.
    pub applied: Option<u64>,
    /// Index of the last entry contained in the newest snapshot.
    pub snapshot: Option<u64>,
    /// Index of the last entry removed from the log.
    pub purged: Option<u64>,
    /// Ids of the voters; empty on a member that has not joined a cluster yet.
    pub voters: Vec<u64>,
    /// Why this member stopped, if it did.
    pub stopped: Option<String>,
}

impl Status {
    pub(crate) fn initial(id: u64) -> Self {
        Self {
            id,
            role: Role::Learner,
            term: 0,
            leader: None,
            ready: false,
            last_log: None,
            committed: None,
            applied: None,
            snapshot: None,
            purged: None,
            voters: Vec::new(),
            stopped: None,
        }
    }
}

type Receiver<E> = <<<E as Env>::Rt as AsyncRuntime>::Watch as Watch>::Receiver<Status>;

/// Follows the changing [`Status`] of a node.
pub struct StatusWatch<E: Env> {
    receiver: Receiver<E>,
}

impl<E: Env> Clone for StatusWatch<E> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone() }
    }
}

impl<E: Env> StatusWatch<E> {
    pub(crate) fn new(receiver: Receiver<E>) -> Self {
        Self { receiver }
    }

    /// The newest status, and marks it as seen.
    pub fn current(&mut self) -> Status {
        self.receiver.borrow_and_update().clone()
    }

    /// Waits until the status differs from the one last seen. False when the node is gone.
    pub async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }

    /// Waits until `condition` holds and returns that status; `None` when the node is gone. Bound
    /// the wait yourself.
    pub async fn until(&mut self, condition: impl Fn(&Status) -> bool + Send) -> Option<Status> {
        loop {
            let status = self.current();
            if condition(&status) {
                return Some(status);
            }
            if !self.changed().await {
                return None;
            }
        }
    }
}
