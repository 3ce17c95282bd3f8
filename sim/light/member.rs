//! A member of a light log as a host sees it.

use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;

use flurm_base::Span;
use flurm_raft::{
    Config, Consensus, ForwardError, ForwardHandler, Handshake, Leader, OrderedLog, Pending,
    ProposeError, ReadError, Reply, StartError, StateMachine, Status, StatusWatch,
};
use flurm_rt::{
    AsyncRuntime, Env, Fs, Oneshot, OneshotSender, OpenMode, Watch, WatchReceiver, WatchSender,
};

use super::ensemble::later;
use super::state::{Forwarded, Hooks, Ways};
use crate::world::env::{Engine, Place, SimEnv};
use crate::world::{self, MICRO, Nanos};

/// Its folder holds this file only: without it the disk was lost.
const MARKER: &str = "member";

type Rt<X> = <X as Engine>::Rt;
type Sender<X> = <<Rt<X> as AsyncRuntime>::Watch as Watch>::Sender<Status>;
type Receiver<X> = <<Rt<X> as AsyncRuntime>::Watch as Watch>::Receiver<Status>;

/// Agrees by the rules of a light log.
#[derive(Clone, Copy, Debug)]
pub struct Light;

/// A host's state machine and its followers, bound to a place.
struct Bound<X: Engine, S> {
    place: Place,
    machine: Arc<RwLock<S>>,
    status: Sender<X>,
}

impl<X: Engine, S: StateMachine> Bound<X, S> {
    /// Does something as if by a task of the member's process.
    fn here<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let before = world::set_current(Some(self.place));
        // A panic while applying ends the whole run.
        let result = f(&mut self.machine.write().unwrap_or_else(PoisonError::into_inner));
        world::set_current(before);
        result
    }
}

impl<X: Engine, S: StateMachine> Hooks for Bound<X, S> {
    fn apply(&self, index: u64, term: u64, command: &[u8]) -> Vec<u8> {
        self.here(|machine| machine.apply(index, term, command))
    }

    fn snapshot(&self) -> Vec<u8> {
        self.here(|machine| machine.snapshot())
    }

    fn restore(&self, state: &[u8]) {
        let restored = self.here(|machine| machine.restore(state));
        assert!(restored.is_ok(), "a snapshot cannot be read: {restored:?}");
    }

    fn publish(&self, status: Status) {
        // Without a receiver nobody wants to know.
        let _nobody_may_listen = self.status.send(status);
    }
}

/// Ends a member's life with its process.
struct Guard {
    id: u64,
    number: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Self { id, number } = *self;
        if world::present() {
            super::with(|all| all.crash(id, number));
        }
    }
}

/// A member.
struct LightMember<X: Engine> {
    env: SimEnv<X>,
    config: Config,
    number: u64,
    status: Receiver<X>,
}

fn nanos(span: Span) -> Nanos {
    span.0.saturating_mul(MICRO)
}

impl<X: Engine> Consensus<SimEnv<X>> for Light {
    async fn start<S: StateMachine, H: Handshake>(
        &self,
        env: SimEnv<X>,
        config: Config,
        machine: Arc<RwLock<S>>,
        _handshake: H,
    ) -> Result<Arc<dyn OrderedLog<SimEnv<X>>>, StartError> {
        config.validate().map_err(StartError::Config)?;
        let disk_is_new = mark_folder(&env, &config.folder).await?;
        let (id, place) = (config.id, env.place());
        let (sender, status) =
            <<Rt<X> as AsyncRuntime>::Watch as Watch>::channel(Status::initial(id));
        let ways = Ways {
            election_min: nanos(config.election_min),
            election_max: nanos(config.election_max),
            snapshot_every: config.snapshot_every,
            keep_behind: config.keep_behind_snapshot,
            read_wait: nanos(config.read_wait),
        };
        let voters = config.members.iter().map(|member| member.id).collect();
        let bound = Bound::<X, S> { place, machine, status: sender };
        let number = super::with(|all| {
            all.start(id, place.machine, voters, ways, Rc::new(bound), disk_is_new)
        });
        let number = number.expect("a light world has a light log");
        let guard = Guard { id, number };
        drop(Rt::<X>::spawn(serve::<X>(guard)));
        Ok(Arc::new(LightMember { env, config, number, status }))
    }
}

/// Whether the folder held no member; after this it does, durably.
async fn mark_folder<E: Env>(env: &E, folder: &Path) -> Result<bool, StartError> {
    let failed = |error: std::io::Error| StartError::Storage(error.to_string());
    let fs = env.fs();
    fs.create_folder(folder, 0o700).await.map_err(failed)?;
    for parent in folder.ancestors().skip(1).filter(|parent| *parent != Path::new("")) {
        fs.sync_dir(parent).await.map_err(failed)?;
    }
    let marker = folder.join(MARKER);
    match fs.open(&marker, OpenMode::Read).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs.replace(&marker, b"light", 0o600).await.map_err(failed)?;
            Ok(true)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Answers what other members forward, for as long as the process lives.
async fn serve<X: Engine>(guard: Guard) {
    let Guard { id, number } = guard;
    loop {
        let next = poll_fn(|cx| {
            let taken = super::with(|all| {
                let life = all.members.get_mut(&id)?.life(number)?;
                let next = life.inbox.pop_front();
                if next.is_none() {
                    life.inbox_waker = Some(cx.waker().clone());
                }
                Some(next.and_then(|next| Some((next, life.handler.clone()?))))
            });
            match taken.flatten() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(found)) => Poll::Ready(Some(found)),
            }
        });
        let Some((forwarded, handler)) = next.await else { return };
        drop(Rt::<X>::spawn(async move {
            let answer = handler(forwarded.from, forwarded.request).await;
            (forwarded.reply)(answer);
        }));
    }
}

impl<X: Engine> LightMember<X> {
    fn read_status<R>(&self, read: impl FnOnce(&Status) -> R) -> R {
        read(&self.status.borrow_watched())
    }

    async fn propose_now(&self, command: Vec<u8>) -> Result<Reply, ProposeError> {
        let (bytes, max) = (command.len(), self.config.limits.command_bytes_max);
        if max < bytes {
            return Err(ProposeError::TooLarge { bytes, max });
        }
        let (id, number) = (self.config.id, self.number);
        let (sender, answer) = <Rt<X> as AsyncRuntime>::Oneshot::channel();
        super::with(|all| {
            let promise = Box::new(move |result| drop(sender.send(result)));
            all.propose(id, number, command, promise);
        });
        match Rt::<X>::timeout(self.config.propose_wait.duration(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ProposeError::Stopped),
            Err(_) => Err(ProposeError::Unknown),
        }
    }

    async fn read_now(&self) -> Result<u64, ReadError> {
        if flurm_base::planted::is("raft_reads_without_a_majority") {
            return Ok(self.read_status(|status| status.applied.unwrap_or(0)));
        }
        let (id, number) = (self.config.id, self.number);
        let (sender, answer) = <Rt<X> as AsyncRuntime>::Oneshot::channel();
        super::with(|all| {
            let promise = Box::new(move |result| drop(sender.send(result)));
            all.read(id, number, promise);
        });
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    async fn forward_now(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Result<Vec<u8>, ForwardError> {
        if self.config.limits.forward_bytes_max < request.len() {
            return Err(ForwardError::Refused("the request is too large".to_owned()));
        }
        let own = self.config.id;
        let (sender, answer) = <Rt<X> as AsyncRuntime>::Oneshot::channel();
        let sent = super::with(|all| {
            let there = all.crossing(own, peer)?;
            let up = all.members.get(&peer).is_some_and(|member| member.life.is_some());
            if !up {
                return None;
            }
            let reply = move |bytes: Vec<u8>| {
                // The way back; an answer that cannot take it is lost.
                let back = super::with(|all| all.crossing(peer, own)).flatten();
                if let Some(back) = back {
                    later(back, move |_| drop(sender.send(bytes)));
                }
            };
            let reply = Box::new(reply);
            all.forward(peer, there, Forwarded { from: own, request, reply });
            Some(())
        });
        if sent.flatten().is_none() {
            return Err(ForwardError::Unreachable);
        }
        match Rt::<X>::timeout(wait.duration(), answer).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(_)) | Err(_) => Err(ForwardError::Unknown),
        }
    }
}

impl<X: Engine> OrderedLog<SimEnv<X>> for LightMember<X> {
    fn propose(&self, command: Vec<u8>) -> Pending<'_, Result<Reply, ProposeError>> {
        Box::pin(self.propose_now(command))
    }

    fn read_barrier(&self) -> Pending<'_, Result<u64, ReadError>> {
        Box::pin(self.read_now())
    }

    fn leader(&self) -> Option<Leader> {
        self.read_status(|status| status.leader)
    }

    fn status(&self) -> Status {
        self.read_status(Clone::clone)
    }

    fn leading(&self) -> Option<u64> {
        self.read_status(Status::leading)
    }

    fn watch(&self) -> StatusWatch<SimEnv<X>> {
        StatusWatch::new(self.status.clone())
    }

    fn on_forward(&self, handler: ForwardHandler) {
        let (id, number) = (self.config.id, self.number);
        super::with(|all| {
            if let Some(life) = all.members.get_mut(&id).and_then(|member| member.life(number)) {
                life.handler = Some(handler);
            }
        });
    }

    fn forward(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Pending<'_, Result<Vec<u8>, ForwardError>> {
        Box::pin(self.forward_now(peer, request, wait))
    }

    fn shutdown(&self) -> Pending<'_, ()> {
        let (id, number) = (self.config.id, self.number);
        super::with(|all| all.crash(id, number));
        tracing::debug!(?self.env, "the light member leaves");
        Box::pin(std::future::ready(()))
    }
}
