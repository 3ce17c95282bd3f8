//! openraft's log storage: entries in memory for reading, behind them the disk task.
//!
//! Every record goes through one queue to one file, so votes and entries reach the disk in the
//! order openraft asked for, and a vote is durable before it is answered. All entries that are not
//! purged are held in memory; snapshots bound how many that are.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flurm_base::knob::Knob;
use flurm_rt::Env;
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use crate::disk::{Disk, Done};
use crate::log::Contents;
use crate::segment::Record;
use crate::stored::{StoredLogId, StoredVote};
use crate::types::{Entry, LogId, Payload, TC, Vote};
use crate::witness::{self, Visible};

/// A replication message takes no further entry once its commands have this many bytes.
static MESSAGE_BYTES: Knob<usize> = Knob::new("raft.store.message_bytes", 1 << 20, 1, 4 << 20);

struct Memory {
    /// The entry before the first one held.
    purged: Option<LogId>,
    entries: VecDeque<Entry>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

impl Memory {
    fn first(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1)
    }

    fn last(&self) -> Option<LogId> {
        self.entries.back().map(|entry| entry.log_id).or(self.purged)
    }

    fn holds(&self, id: LogId) -> bool {
        let at = usize::try_from(id.index.wrapping_sub(self.first())).unwrap_or(usize::MAX);
        self.purged == Some(id) || self.entries.get(at).is_some_and(|entry| entry.log_id == id)
    }

    fn range(&self, range: impl RangeBounds<u64>) -> std::ops::Range<usize> {
        let first = self.first();
        let start = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let held = self.entries.len();
        let at = |index: u64| {
            usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX).min(held)
        };
        at(start)..at(end).max(at(start))
    }
}

/// The log as openraft sees it. Clones are the same log.
pub(crate) struct Store<E: Env> {
    member: u64,
    memory: Arc<Mutex<Memory>>,
    disk: Disk<E>,
}

impl<E: Env> Clone for Store<E> {
    fn clone(&self) -> Self {
        Self { member: self.member, memory: Arc::clone(&self.memory), disk: self.disk.clone() }
    }
}

impl<E: Env> Store<E> {
    /// A member's store over what was recovered from the disk.
    pub(crate) fn new(member: u64, contents: Contents, disk: Disk<E>) -> Result<Self, String> {
        let (vote, last) = (contents.vote.map(Into::into), contents.last().map(Into::into));
        witness::show(member, || Visible::Opened(vote, last));
        let entries =
            contents.entries.into_iter().map(Entry::try_from).collect::<Result<_, String>>()?;
        let mut memory = Memory {
            purged: contents.previous.map(Into::into),
            entries,
            vote: contents.vote.map(Into::into),
            committed: contents.committed.map(Into::into),
        };
        // What a snapshot covered may be recorded as committed before the log restarts behind it.
        // Without the entry itself the record says nothing about this log.
        if !memory.committed.is_some_and(|id| memory.holds(id)) {
            memory.committed = None;
        }
        Ok(Self { member, memory: Arc::new(Mutex::new(memory)), disk })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the disk task after what is pending.
    pub(crate) async fn close(&self) {
        self.disk.close().await;
    }

    /// Adds entries to memory, as they will be on disk.
    fn remember(&self, entries: &[Entry]) -> io::Result<()> {
        let mut memory = self.memory();
        for entry in entries {
            let expected = memory.last().map_or(0, |id| id.index + 1);
            if entry.log_id.index != expected {
                return Err(io::Error::other(format!(
                    "entry {} was to be appended where {expected} belongs",
                    entry.log_id.index
                )));
            }
            memory.entries.push_back(entry.clone());
            let at = StoredLogId::from(entry.log_id).into();
            witness::show(self.member, || Visible::Appended(at, entry.into()));
        }
        Ok(())
    }
}

impl<E: Env> RaftLogReader<TC<E::Rt>> for Store<E> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let memory = self.memory();
        Ok(memory.entries.range(memory.range(range)).cloned().collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let memory = self.memory();
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in memory.entries.range(memory.range(start..end)) {
            if MESSAGE_BYTES.get() <= bytes {
                break;
            }
            if let Payload::Normal(command) = &entry.payload {
                bytes += command.bytes().len();
            }
            entries.push(entry.clone());
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.memory().vote)
    }
}

impl<E: Env> RaftLogStorage<TC<E::Rt>> for Store<E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TC<E::Rt>>> {
        let memory = self.memory();
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if !flurm_base::planted::is("raft_forgets_its_vote") {
            self.disk.write_through(vec![Record::Vote((*vote).into())]).await?;
        }
        // Readers compare it to decide whether a leader still leads: only once it is durable.
        self.memory().vote = Some(*vote);
        witness::show(self.member, || Visible::Voted(StoredVote::from(*vote).into()));
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        // It only has to be on disk some time: it goes with whatever is synced next.
        self.memory().committed = committed;
        if let Some(upto) = committed.map(StoredLogId::from) {
            witness::show(self.member, || Visible::Committed(upto.into()));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TC<E::Rt>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.remember(&entries)?;
        let mut records = Vec::with_capacity(entries.len() + 1);
        records.extend(entries.iter().map(|entry| Record::Entry(entry.into())));
        let committed = self.memory().committed;
        records.push(Record::Committed(committed.map(Into::into)));
        self.disk.write(records, Done::Flushed(callback)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        {
            let mut memory = self.memory();
            let keep = last.map_or(0, |id| id.index + 1);
            let kept = memory.range(0..keep).end;
            flurm_base::sometimes!(
                kept < memory.entries.len(),
                "entries of a deposed leader were cut"
            );
            memory.entries.truncate(kept);
        }
        witness::show(self.member, || Visible::Cut(last.map(|id| id.index)));
        self.disk.write_through(vec![Record::Truncate(last.map(Into::into))]).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let restart = {
            let mut memory = self.memory();
            if memory.purged.is_some_and(|purged| upto.index <= purged.index) {
                return Ok(());
            }
            let restart = memory.last().is_none_or(|last| last.index < upto.index);
            let gone = memory.range(0..=upto.index).end;
            memory.entries.drain(..gone);
            memory.purged = Some(upto);
            restart
        };
        witness::show(self.member, || Visible::Purged(StoredLogId::from(upto).into()));
        self.disk.purge(upto.into(), restart).await
    }
}
