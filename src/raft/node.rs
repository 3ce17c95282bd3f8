//! A member of the cluster, as the host programs against it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use flurm_base::Span;
use flurm_rt::{
    Addr, AsyncRuntime, Env, Fs, MpscSender, Net, Oneshot, Watch, WatchReceiver, WatchSender,
};
use openraft::errors::{ClientWriteError, RaftError};

use crate::applier::{Applier, Progress};
use crate::codec::Blob;
use crate::config::Config;
use crate::disk::Disk;
use crate::error::{ForwardError, ProposeError, ReadError, StartError};
use crate::gate::Gate;
use crate::handshake::{Handshake, Lane};
use crate::join::{self, Join};
use crate::link::{CallError, Link, StopWatch, Target};
use crate::log::{Contents, Log, LogConfig, Recovered};
use crate::machine::StateMachine;
use crate::message::{Reply as PeerReply, Request};
use crate::network::Links;
use crate::reader::{self, Reads};
use crate::server::{Counted, ForwardFuture, ForwardHandler, Raft, Server, frame_bytes_max};
use crate::snapshot;
use crate::status::{Leader, Status, StatusWatch, Watched, follow};
use crate::store::Store;
use crate::types::Command;

/// What a committed command brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Index of its entry.
    pub index: u64,
    /// Term of its entry.
    pub term: u64,
    /// What [`StateMachine::apply`] returned.
    pub bytes: Vec<u8>,
}

type Rt<E> = <E as Env>::Rt;
type Sender<E, T> = <<Rt<E> as AsyncRuntime>::Watch as Watch>::Sender<T>;
type Receiver<E, T> = <<Rt<E> as AsyncRuntime>::Watch as Watch>::Receiver<T>;
type Handle<E> = <Rt<E> as AsyncRuntime>::JoinHandle<()>;

struct Inner<E: Env, S: StateMachine> {
    config: Arc<Config>,
    raft: Raft<E, S>,
    store: Store<E>,
    links: Links<E>,
    handler: Arc<Mutex<Option<ForwardHandler>>>,
    status: Receiver<E, Status>,
    progress: Arc<Progress>,
    reads: Reads<E>,
    proposals: AtomicUsize,
    stop: Mutex<Sender<E, bool>>,
    server: Mutex<Option<Handle<E>>>,
}

/// A running member of the cluster. Clones are the same member; [`Node::shutdown`] ends it.
pub struct Node<E: Env, S: StateMachine> {
    inner: Arc<Inner<E, S>>,
}

impl<E: Env, S: StateMachine> Clone for Node<E, S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E: Env, S: StateMachine> Node<E, S> {
    /// Opens the data folder, restores the state machine (which must be in its first state),
    /// listens on the Raft port and takes part.
    ///
    /// A cluster starts its life once, when every member of the configuration has answered that it
    /// holds nothing yet; a restart never starts it again, and a member whose folder was lost gets
    /// everything from the leader and has no vote until it has.
    pub async fn start<H: Handshake>(
        env: E,
        config: Config,
        machine: Arc<RwLock<S>>,
        handshake: H,
    ) -> Result<Self, StartError> {
        config.validate().map_err(StartError::Config)?;
        let config = Arc::new(config);
        let (joining, log, contents) = open_folder(&env, &config).await?;
        let addr = config.listen_addr();
        let listener = env.net().listen(&Addr::Ip(addr)).await.map_err(StartError::Listen)?;

        let (stop, stopping) = <Rt<E> as AsyncRuntime>::Watch::channel(false);
        let gate = Arc::new(Gate::new(joining));
        let hook = Arc::new(handshake);
        let links = start_links(&env, &config, &hook, &stopping);
        let disk = Disk::start(env.clone(), config.id, log);
        let store = Store::new(config.id, contents, disk).map_err(StartError::Storage)?;
        let progress = Arc::new(Progress::default());
        let applier =
            Applier::new(env.clone(), Arc::clone(&config), machine, Arc::clone(&progress));
        let raft_config = Arc::new(config.openraft(joining).map_err(StartError::Storage)?);
        let raft: Raft<E, S> =
            openraft::Raft::new(config.id, raft_config, links.clone(), store.clone(), applier)
                .await
                .map_err(|error| StartError::Storage(error.to_string()))?;

        let watched = Watched {
            raft: raft.clone(),
            progress: Arc::clone(&progress),
            snapshot_after_bytes: config.limits.snapshot_after_bytes,
        };
        let status = follow::<E, S>(watched, config.id, stop.clone(), stopping.clone());
        let reads = reader::start::<E, S>(raft.clone(), config.read_wait, stopping.clone());
        let handler = Arc::new(Mutex::new(None));
        let server = Arc::new(Server {
            env: env.clone(),
            config: Arc::clone(&config),
            raft: raft.clone(),
            hook,
            gate: Arc::clone(&gate),
            handler: Arc::clone(&handler),
            counts: Default::default(),
            complained: Mutex::new(None),
        });
        let server = Rt::<E>::spawn(server.run(listener, stopping.clone()));
        let join = Join {
            env,
            config: Arc::clone(&config),
            raft: raft.clone(),
            gate,
            links: links.clone(),
            progress: Arc::clone(&progress),
        };
        drop(Rt::<E>::spawn(join.run(stopping)));
        let inner = Inner {
            config,
            raft,
            store,
            links,
            handler,
            status,
            progress,
            reads,
            proposals: AtomicUsize::new(0),
            stop: Mutex::new(stop),
            server: Mutex::new(Some(server)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Proposes a command and waits until it is committed and applied here.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Reply, ProposeError> {
        let limits = &self.inner.config.limits;
        let (bytes, max) = (command.len(), limits.command_bytes_max);
        if max < bytes {
            return Err(ProposeError::TooLarge { bytes, max });
        }
        let Some(_waiting) = Counted::enter(&self.inner.proposals, limits.proposals_max) else {
            return Err(ProposeError::Busy);
        };
        let writing = self.inner.raft.client_write(Command(Blob(Bytes::from(command))));
        let wait = self.inner.config.propose_wait.duration();
        match Rt::<E>::timeout(wait, Box::pin(writing)).await {
            Ok(Ok(done)) => Ok(Reply {
                index: done.log_id.index,
                term: done.log_id.leader_id.term,
                bytes: done.data.0,
            }),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                let leader = forward.leader_id.filter(|id| *id != self.inner.config.id);
                Err(ProposeError::NotLeader { leader })
            }
            Ok(Err(RaftError::APIError(
                ClientWriteError::LogEntryDiscarded(_)
                | ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_),
            ))) => Err(ProposeError::Unknown),
            Ok(Err(RaftError::Fatal(_))) => Err(ProposeError::Stopped),
            Err(_) => {
                flurm_base::sometimes!("the fate of a proposal stayed unknown");
                Err(ProposeError::Unknown)
            }
        }
    }

    /// Makes a read from the state machine linearizable: confirms with a majority that this member
    /// leads, waits until everything committed before the call is applied, and returns the index
    /// up to which it is.
    ///
    /// Always asks a majority (Raft's ReadIndex) and so relies on no clock; calls made while a
    /// round is under way share the next one.
    pub async fn read_barrier(&self) -> Result<u64, ReadError> {
        if flurm_base::planted::is("raft_reads_without_a_majority") {
            return Ok(self.applied_index());
        }
        let (promise, answer) = <Rt<E> as AsyncRuntime>::Oneshot::channel();
        let reading = async {
            self.inner.reads.send(promise).await.map_err(|_| ReadError::Stopped)?;
            answer.await.unwrap_or(Err(ReadError::Stopped))
        };
        // A round that is under way, and then the one that counts.
        let wait = self.inner.config.read_wait.duration() * 2;
        Rt::<E>::timeout(wait, reading).await.unwrap_or(Err(ReadError::NoQuorum))
    }

    /// The leader, as far as known here.
    pub fn leader(&self) -> Option<Leader> {
        self.inner.status.borrow_watched().leader
    }

    /// The newest status.
    pub fn status(&self) -> Status {
        self.inner.status.borrow_watched().clone()
    }

    /// The term this member leads, once it has applied all that earlier leaders acknowledged.
    pub fn leading(&self) -> Option<u64> {
        self.inner.status.borrow_watched().leading()
    }

    /// Follows the status.
    pub fn watch(&self) -> StatusWatch<E> {
        StatusWatch::new(self.inner.status.clone())
    }

    /// Index of the last entry applied to the state machine, 0 when there is none. Entry 0 is the
    /// cluster's first membership, so 0 also means that no command was applied.
    pub fn applied_index(&self) -> u64 {
        self.inner.progress.applied.load(Ordering::Acquire).saturating_sub(1)
    }

    /// Says who answers requests that other members forward here. Until then they are refused.
    pub fn on_forward<F, Fut>(&self, handler: F)
    where
        F: Fn(u64, Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<u8>> + Send + 'static,
    {
        let handler: ForwardHandler =
            Arc::new(move |peer, request| -> ForwardFuture { Box::pin(handler(peer, request)) });
        self.set_forward_handler(handler);
    }

    pub(crate) fn set_forward_handler(&self, handler: ForwardHandler) {
        *self.inner.handler.lock().unwrap_or_else(PoisonError::into_inner) = Some(handler);
    }

    /// Sends a request to another member's forward handler and waits for the answer.
    pub async fn forward(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Result<Vec<u8>, ForwardError> {
        if self.inner.config.limits.forward_bytes_max < request.len() {
            return Err(ForwardError::Refused("the request is too large".to_owned()));
        }
        let Some(link) = self.inner.links.link(peer, Lane::Bulk) else {
            return Err(ForwardError::Unreachable);
        };
        let request = Request::Forward(Blob(Bytes::from(request)));
        match link.call(&request, wait.duration()).await {
            Ok(PeerReply::Forward(answer)) => Ok(answer.0.to_vec()),
            Ok(PeerReply::Refused(text)) => Err(ForwardError::Refused(text.0)),
            Ok(_) | Err(CallError::Lost) => Err(ForwardError::Unknown),
            Err(CallError::Unreachable) => Err(ForwardError::Unreachable),
            Err(CallError::Busy) => {
                Err(ForwardError::Refused("too many requests are waiting".to_owned()))
            }
        }
    }

    /// Stops taking part, writes out what is pending and closes the files. Idempotent.
    pub async fn shutdown(&self) {
        let stop = self.inner.stop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stop.send_if_different(true);
        // A task that panicked has reported that itself.
        drop(self.inner.raft.shutdown().await);
        self.inner.store.close().await;
        let server = self.inner.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = server {
            drop(server.await);
        }
    }
}

fn start_links<E: Env, H: Handshake>(
    env: &E,
    config: &Arc<Config>,
    hook: &Arc<H>,
    stop: &StopWatch<E>,
) -> Links<E> {
    let mut links = BTreeMap::new();
    for member in config.members.iter().filter(|member| member.id != config.id) {
        for lane in [Lane::Control, Lane::Log, Lane::Bulk] {
            let target = Target {
                cluster: config.cluster.clone(),
                own_id: config.id,
                peer: member.id,
                addr: member.addr,
                lane,
                frame_bytes_max: frame_bytes_max(config),
                waiting_max: config.limits.requests_max,
            };
            let link = Link::start(env.clone(), target, Arc::clone(hook), stop.clone());
            links.insert((member.id, lane), link);
        }
    }
    Links { own_id: config.id, links }
}

/// Opens the log and compares it with the snapshot. Tells whether this member has yet to join.
async fn open_folder<E: Env>(
    env: &E,
    config: &Config,
) -> Result<(bool, Log<E::Fs>, Contents), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Storage(error.to_string());
    let fs = env.fs();
    let folder = &config.folder;
    fs.create_folder(folder, 0o700).await.map_err(|error| failed(&error))?;
    // Every folder above may be new as well: a lost name loses all below it.
    for parent in folder.ancestors().skip(1).filter(|parent| *parent != Path::new("")) {
        match fs.sync_dir(parent).await {
            Ok(()) => {}
            // Not ours to open, so not made by us either.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => break,
            Err(error) => return Err(failed(&error)),
        }
    }
    let joining = join::begin(fs, config).await.map_err(|error| failed(&error))?;
    let log_config = LogConfig {
        folder: folder.clone(),
        cluster: config.cluster.clone(),
        node: config.id,
        segment_bytes: config.limits.segment_bytes,
    };
    let salts = env.clone();
    let random = Box::new(move || {
        let mut bytes = [0; 8];
        salts.random(&mut bytes);
        u64::from_le_bytes(bytes)
    });
    let opened = Log::open(fs, log_config, random).await;
    let (log, Recovered { contents, created, cut }) = opened.map_err(|error| failed(&error))?;
    if let Some(cut) = cut {
        tracing::warn!("Raft log: {cut}");
    }
    let max = config.limits.snapshot_bytes_max;
    let snapshot = snapshot::load(fs, folder, max).await.map_err(|error| failed(&error))?;
    let covered = snapshot.and_then(|snapshot| snapshot.meta.last);
    match (contents.previous, covered) {
        (Some(previous), None) => Err(failed(&format!(
            "the log starts after entry {}, and there is no snapshot",
            previous.index
        ))),
        (Some(previous), Some(covered)) if covered.index < previous.index => Err(failed(&format!(
            "the log starts after entry {}, and the snapshot ends at entry {}",
            previous.index, covered.index
        ))),
        (_, Some(_)) if created => {
            Err(failed(&"the log is gone, and a snapshot is there; empty the folder to start anew"))
        }
        _ => Ok((joining, log, contents)),
    }
}
