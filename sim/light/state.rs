//! What a member holds: what survives a crash, and what a process of it knows.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;

use flurm_raft::{ForwardHandler, Leader, ProposeError, ReadError, Reply, Role, Status};
use flurm_tla::LogSeen;

use super::entries::{Entries, Entry, Position, Snapshot};
use crate::steps::seen;
use crate::world::{MachineId, Nanos};

/// Says how a proposal ended.
pub(super) type Promise = Box<dyn FnOnce(Result<Reply, ProposeError>)>;
/// Says how a read barrier ended.
pub(super) type ReadPromise = Box<dyn FnOnce(Result<u64, ReadError>)>;

/// The state machine of a member, and who follows its status.
pub(super) trait Hooks {
    /// Applies a command.
    fn apply(&self, index: u64, term: u64, command: &[u8]) -> Vec<u8>;
    /// The whole state.
    fn snapshot(&self) -> Vec<u8>;
    /// Replaces the whole state.
    fn restore(&self, state: &[u8]);
    /// Tells the status.
    fn publish(&self, status: Status);
}

/// A request that another member forwarded.
pub(super) struct Forwarded {
    pub(super) from: u64,
    pub(super) request: Vec<u8>,
    pub(super) reply: Box<dyn FnOnce(Vec<u8>) + Send>,
}

/// How a member behaves.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    pub(super) election_min: Nanos,
    pub(super) election_max: Nanos,
    pub(super) snapshot_every: u64,
    pub(super) keep_behind: u64,
    pub(super) read_wait: Nanos,
}

/// What a leader knows of another member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// The other has stored everything up to here.
    pub(super) stored: u64,
    /// What it is sent next.
    pub(super) next: u64,
    /// What it was last told to be committed.
    pub(super) told: u64,
    /// A message is on its way.
    pub(super) busy: bool,
    /// It has answered in this term.
    pub(super) follows: bool,
}

/// What a member loses with its process.
pub(super) struct Life {
    /// Tells the lives of one member apart.
    pub(super) number: u64,
    pub(super) hooks: Rc<dyn Hooks>,
    pub(super) ways: Ways,
    pub(super) leader: Option<Leader>,
    pub(super) commit: u64,
    pub(super) applied: u64,
    pub(super) progress: BTreeMap<u64, Progress>,
    pub(super) waiting: BTreeMap<u64, Promise>,
    pub(super) syncing: bool,
    /// Until then nothing of a leader counts: its signs of life are late.
    pub(super) suspects_until: Nanos,
    /// The delay of the leader's link when last looked at.
    pub(super) delay_seen: Nanos,
    /// An election is waited for or held.
    pub(super) stands: bool,
    pub(super) stopped: Option<String>,
    pub(super) published: Option<Status>,
    pub(super) handler: Option<ForwardHandler>,
    pub(super) inbox: VecDeque<Forwarded>,
    pub(super) inbox_waker: Option<Waker>,
}

/// Whether a member has a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It lost its disk: it neither votes nor follows until it could ask all others.
    Shut,
    /// It follows leaders of this term or later, and has no vote until it holds this entry.
    Follows { term: u64, upto: u64 },
    /// A member like any other.
    Full,
}

/// A member.
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) machine: MachineId,
    /// The newest term it has heard of or voted in; stored before anyone is told.
    pub(super) term: u64,
    pub(super) entries: Entries,
    /// Entries up to here survive a loss of power.
    pub(super) synced: u64,
    pub(super) snapshot: Option<Rc<Snapshot>>,
    pub(super) standing: Standing,
    /// Boots of its machine when it last ran.
    pub(super) boots: u32,
    pub(super) lives: u64,
    pub(super) life: Option<Life>,
}

impl Member {
    /// One that has never run.
    pub(super) fn new(id: u64, machine: MachineId) -> Self {
        Self {
            id,
            machine,
            term: 0,
            entries: Entries::default(),
            synced: 0,
            snapshot: None,
            standing: Standing::Full,
            boots: 0,
            lives: 0,
            life: None,
        }
    }

    /// Its process, if it is still the one of this number.
    pub(super) fn life(&mut self, number: u64) -> Option<&mut Life> {
        self.life.as_mut().filter(|life| life.number == number)
    }

    /// The term it leads, as far as it knows.
    pub(super) fn leads(&self) -> Option<u64> {
        let leader = self.life.as_ref()?.leader?;
        (leader.id == self.id).then_some(leader.term)
    }

    /// Number of its process, while there is one.
    pub(super) fn number(&self) -> Option<u64> {
        self.life.as_ref().map(|life| life.number)
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, term: u64, command: Option<Vec<u8>>) -> u64 {
        self.entries.push(Rc::new(Entry { term, command }));
        self.entries.last_index()
    }

    /// Hears of a term. A leader of an older one leads no more, and does not know what becomes of
    /// what it proposed.
    pub(super) fn hear_term(&mut self, term: u64) {
        if term <= self.term {
            return;
        }
        self.term = term;
        if self.leads().is_some() {
            flurm_base::sometimes!("a light leader was deposed");
        }
        if let Some(life) = &mut self.life {
            life.leader = None;
            life.progress.clear();
            for (_, promise) in std::mem::take(&mut life.waiting) {
                promise(Err(ProposeError::Unknown));
            }
        }
    }

    /// Applies what is committed, and answers whoever proposed it here.
    pub(super) fn apply(&mut self) {
        let Self { id, entries, life: Some(life), .. } = self else { return };
        while life.applied < life.commit {
            let index = life.applied + 1;
            let entry = entries.get(index).expect("what is committed and not applied is held");
            life.applied = index;
            let Some(command) = &entry.command else {
                seen(LogSeen::Began { member: *id, index, term: entry.term });
                continue;
            };
            let bytes = life.hooks.apply(index, entry.term, command);
            if let Some(promise) = life.waiting.remove(&index) {
                promise(Ok(Reply { index, term: entry.term, bytes }));
            }
        }
        self.compact();
    }

    /// Takes a snapshot when the log has grown long, and forgets what lies well behind it.
    fn compact(&mut self) {
        let Self { entries, life: Some(life), snapshot, .. } = self else { return };
        let last = snapshot.as_ref().map_or(0, |snapshot| snapshot.at.index);
        if life.applied < last + life.ways.snapshot_every {
            return;
        }
        let term = entries.term_at(life.applied).expect("what was just applied is known");
        let at = Position { index: life.applied, term };
        *snapshot = Some(Rc::new(Snapshot { at, state: life.hooks.snapshot() }));
        entries.purge(life.applied.saturating_sub(life.ways.keep_behind));
    }

    /// Puts a snapshot in the place of what it contains.
    pub(super) fn install(&mut self, from: &Rc<Snapshot>) {
        let Self { entries, life: Some(life), snapshot, synced, .. } = self else { return };
        if from.at.index <= life.commit {
            return;
        }
        life.hooks.restore(&from.state);
        life.commit = from.at.index;
        life.applied = from.at.index;
        if entries.term_at(from.at.index) == Some(from.at.term) {
            entries.purge(from.at.index);
        } else {
            entries.reset(from.at);
        }
        *synced = (*synced).max(from.at.index);
        *snapshot = Some(Rc::clone(from));
    }

    /// Tells the status, if it changed.
    pub(super) fn publish(&mut self, voters: &[u64]) {
        let leads = self.leads();
        let Self { id, entries, life: Some(life), standing, snapshot, term, .. } = self else {
            return;
        };
        let role = match (leads, *standing) {
            (Some(_), _) => Role::Leader,
            (None, Standing::Full) => Role::Follower,
            (None, Standing::Shut | Standing::Follows { .. }) => Role::Learner,
        };
        let index = |index: u64| (index > 0).then_some(index);
        let status = Status {
            id: *id,
            role,
            term: *term,
            leader: life.leader,
            ready: leads.is_some() && entries.term_at(life.applied) == leads,
            last_log: index(entries.last_index()),
            committed: index(life.commit),
            applied: index(life.applied),
            snapshot: snapshot.as_ref().map(|snapshot| snapshot.at.index),
            purged: index(entries.before().index),
            voters: voters.to_vec(),
            stopped: life.stopped.clone(),
        };
        if life.published.as_ref() != Some(&status) {
            life.published = Some(status.clone());
            life.hooks.publish(status);
        }
    }
}
