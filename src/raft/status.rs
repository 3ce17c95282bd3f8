//! What a node knows of itself and of its cluster, for waiting and for showing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flurm_rt::{AsyncRuntime, Env, Watch, WatchReceiver, WatchSender};
use openraft::{RaftMetrics, ServerState};

use crate::applier::Progress;
use crate::link::StopWatch;
use crate::machine::StateMachine;
use crate::server::Raft;
use crate::types::TC;

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
    /// does the state machine show all that earlier leaders acknowledged. Never of one that stopped.
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
    /// The term this member leads, once it is ready.
    pub fn leading(&self) -> Option<u64> {
        let leader = self.leader.filter(|leader| leader.id == self.id)?;
        self.ready.then_some(leader.term)
    }

    /// Of a member that knows nothing yet.
    pub fn initial(id: u64) -> Self {
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

type Sender<E, T> = <<<E as Env>::Rt as AsyncRuntime>::Watch as Watch>::Sender<T>;
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
    /// Over a channel that holds the newest status.
    pub fn new(receiver: Receiver<E>) -> Self {
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

type Metrics<E> = RaftMetrics<TC<<E as Env>::Rt>>;

/// Brings a status up to date; true when it changed. Metrics change with every heartbeat, statuses
/// rarely do.
fn update<E: Env>(status: &mut Status, metrics: &Metrics<E>) -> bool {
    let index = |id: Option<crate::types::LogId>| id.map(|id| id.index);
    let same = status.term == metrics.current_term
        && status.role == role_of(metrics.state)
        && status.leader.map(|leader| leader.id) == metrics.current_leader
        && status.last_log == metrics.last_log_index
        && status.committed == index(metrics.local_committed)
        && status.applied == index(metrics.last_applied)
        && status.snapshot == index(metrics.snapshot)
        && status.purged == index(metrics.purged)
        && status.voters.iter().copied().eq(metrics.membership_config.voter_ids())
        && status.stopped.is_none()
        && metrics.running_state.is_ok();
    if same {
        return false;
    }
    let now = status_of::<E>(metrics);
    let changed = *status != now;
    *status = now;
    changed
}

fn role_of(state: ServerState) -> Role {
    match state {
        ServerState::Learner => Role::Learner,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Leader => Role::Leader,
        ServerState::Shutdown => Role::Learner,
    }
}

fn status_of<E: Env>(metrics: &Metrics<E>) -> Status {
    let term = metrics.current_term;
    let leader = metrics.current_leader.map(|id| Leader { id, term });
    let role = role_of(metrics.state);
    let applied_own_term = metrics.last_applied.is_some_and(|id| id.leader_id.term == term);
    // One that has stopped may still believe that it leads; whatever it were asked would fail at once.
    let leads = leader == Some(Leader { id: metrics.id, term }) && metrics.running_state.is_ok();
    let ready = leads && applied_own_term;
    Status {
        id: metrics.id,
        role,
        term,
        leader,
        ready,
        last_log: metrics.last_log_index,
        committed: metrics.local_committed.map(|id| id.index),
        applied: metrics.last_applied.map(|id| id.index),
        snapshot: metrics.snapshot.map(|id| id.index),
        purged: metrics.purged.map(|id| id.index),
        voters: metrics.membership_config.voter_ids().collect(),
        stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
    }
}

/// What is followed.
pub(crate) struct Watched<E: Env, S: StateMachine> {
    pub(crate) raft: Raft<E, S>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) snapshot_after_bytes: u64,
}

impl<E: Env, S: StateMachine> Watched<E, S> {
    /// Has a snapshot made when the log has grown long in bytes.
    async fn bound_memory(&self) {
        if self.snapshot_after_bytes <= self.progress.bytes.load(Ordering::Acquire) {
            self.progress.bytes.store(0, Ordering::Release);
            // It fails only when the node has stopped, which is seen next.
            drop(self.raft.trigger().snapshot().await);
        }
    }
}

/// Starts the task that turns openraft's metrics into statuses. When openraft stops, so does
/// everything else of this node.
pub(crate) fn follow<E: Env, S: StateMachine>(
    watched: Watched<E, S>,
    id: u64,
    stop: Sender<E, bool>,
    mut stopping: StopWatch<E>,
) -> Receiver<E> {
    let (sender, receiver) =
        <<E::Rt as AsyncRuntime>::Watch as Watch>::channel(Status::initial(id));
    drop(E::Rt::spawn(async move {
        let mut metrics = watched.raft.metrics();
        let mut status = Status::initial(id);
        loop {
            let changed = update::<E>(&mut status, &metrics.borrow_and_update());
            if changed {
                sender.send_if_different(status.clone());
            }
            let stopped = status.stopped.clone();
            if let Some(reason) = stopped {
                if !*stopping.borrow_and_update() {
                    tracing::error!("this member stops: {reason}");
                }
                stop.send_if_different(true);
                return;
            }
            watched.bound_memory().await;
            if metrics.changed().await.is_err() {
                return;
            }
        }
    }));
    receiver
}
