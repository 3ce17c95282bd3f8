//! openraft's state machine: applies commands to the host's, and keeps its snapshots.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use flurm_rt::{AsyncRuntime, Env, Mutex};
use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};

use crate::config::Config;
use crate::machine::StateMachine;
use crate::snapshot::{self, Snapshot};
use crate::stored::StoredLogId;
use crate::types::{Answer, CommittedLeader, LogId, Payload, SnapshotMeta, StoredMembership, TC};
use crate::witness::{self, Visible};

type OpenraftSnapshot = openraft::Snapshot<CommittedLeader, u64, crate::types::PeerInfo, Bytes>;

/// How far applying has come, for all to see.
#[derive(Default)]
pub(crate) struct Progress {
    /// Number of entries applied, which is the index after the last one.
    pub(crate) applied: AtomicU64,
    /// Bytes of the commands applied since a snapshot was last begun.
    pub(crate) bytes: AtomicU64,
}

/// Index of the snapshot on disk. Held while one is written: a snapshot that was being built must
/// not replace one that a leader sent meanwhile.
type Saved<E> = <<E as Env>::Rt as AsyncRuntime>::Mutex<Option<u64>>;

/// Applies the log to the host's state machine.
pub(crate) struct Applier<E: Env, S> {
    env: E,
    config: Arc<Config>,
    saved: Arc<Saved<E>>,
    machine: Arc<RwLock<S>>,
    applied: Option<LogId>,
    progress: Arc<Progress>,
    members: StoredMembership,
}

impl<E: Env, S: StateMachine> Applier<E, S> {
    /// Over a state machine that has applied nothing.
    pub(crate) fn new(
        env: E,
        config: Arc<Config>,
        machine: Arc<RwLock<S>>,
        progress: Arc<Progress>,
    ) -> Self {
        let members = StoredMembership::default();
        let saved = Arc::new(Saved::<E>::new(None));
        Self { env, config, saved, machine, applied: None, progress, members }
    }

    fn set_applied(&mut self, applied: Option<LogId>) {
        self.applied = applied;
        let count = applied.map_or(0, |id| id.index + 1);
        self.progress.applied.store(count, Ordering::Release);
    }
}

/// Saves a snapshot unless the one on disk is as new.
async fn save_newer<E: Env>(
    env: &E,
    folder: &Path,
    saved: &Saved<E>,
    snapshot: &Snapshot,
) -> io::Result<()> {
    let index = snapshot.meta.last.map(|id| id.index);
    let mut saved = saved.lock().await;
    if *saved < index {
        snapshot::save(env.fs(), folder, snapshot).await?;
        *saved = index;
    }
    Ok(())
}

fn panicked() -> io::Error {
    io::Error::other("the state machine has panicked")
}

fn damaged(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl<E: Env, S: StateMachine> RaftStateMachine<TC<E::Rt>> for Applier<E, S> {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder<E>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.members.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TC<E::Rt>>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let id = entry.log_id;
            let expected = self.applied.map_or(0, |applied| applied.index + 1);
            assert_eq!(id.index, expected, "entries are applied without gaps");
            let at = StoredLogId::from(id).into();
            witness::show(self.config.id, || Visible::Applied(at, (&entry).into()));
            let answer = match entry.payload {
                Payload::Blank => Vec::new(),
                Payload::Normal(command) => {
                    let bytes = command.bytes().len() as u64;
                    self.progress.bytes.fetch_add(bytes, Ordering::AcqRel);
                    // A poisoned lock is a bug already reported; the state behind it is unknown.
                    let mut machine = self.machine.write().map_err(|_| panicked())?;
                    machine.apply(id.index, id.leader_id.term, command.bytes())
                }
                Payload::Membership(members) => {
                    self.members = StoredMembership::new(Some(id), members);
                    Vec::new()
                }
            };
            self.set_applied(Some(id));
            if let Some(responder) = responder {
                responder.send(Answer(answer));
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder<E> {
        self.progress.bytes.store(0, Ordering::Release);
        // After a panic in `apply` the state is not worth keeping.
        let data = self.machine.read().ok().map(|machine| Bytes::from(machine.snapshot()));
        let meta =
            SnapshotMeta { last_log_id: self.applied, last_membership: self.members.clone() };
        Builder {
            env: self.env.clone(),
            config: Arc::clone(&self.config),
            saved: Arc::clone(&self.saved),
            meta,
            data,
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Bytes) -> io::Result<()> {
        let snapshot = Snapshot { meta: meta.into(), data };
        // Restored first: bytes that cannot be read must not replace a snapshot that can.
        self.machine
            .write()
            .map_err(|_| panicked())?
            .restore(&snapshot.data)
            .map_err(|text| damaged(format!("the state machine refuses the snapshot: {text}")))?;
        save_newer(&self.env, &self.config.folder, &self.saved, &snapshot).await?;
        self.set_applied(meta.last_log_id);
        self.members = meta.last_membership.clone();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<OpenraftSnapshot>> {
        let max = self.config.limits.snapshot_bytes_max;
        let folder = &self.config.folder;
        let Some(found) = snapshot::load(self.env.fs(), folder, max).await? else {
            return Ok(None);
        };
        let index = found.meta.last.map(|id| id.index);
        let mut saved = self.saved.lock().await;
        *saved = (*saved).max(index);
        drop(saved);
        let meta = found.meta.try_into().map_err(damaged)?;
        Ok(Some(OpenraftSnapshot { meta, snapshot: found.data }))
    }
}

/// Writes a snapshot that was taken already.
pub(crate) struct Builder<E: Env> {
    env: E,
    config: Arc<Config>,
    saved: Arc<Saved<E>>,
    meta: SnapshotMeta,
    data: Option<Bytes>,
}

impl<E: Env> RaftSnapshotBuilder<TC<E::Rt>> for Builder<E> {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<OpenraftSnapshot> {
        let data = self.data.clone().ok_or_else(panicked)?;
        let max = self.config.limits.snapshot_bytes_max;
        if max < data.len() {
            let text = format!("the snapshot has {} bytes, more than {max}", data.len());
            return Err(io::Error::other(text));
        }
        let snapshot = Snapshot { meta: (&self.meta).into(), data };
        save_newer(&self.env, &self.config.folder, &self.saved, &snapshot).await?;
        Ok(OpenraftSnapshot { meta: self.meta.clone(), snapshot: snapshot.data })
    }
}
