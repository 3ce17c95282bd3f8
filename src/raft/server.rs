//! Answers peers: accepts their connections, lets them prove themselves, and serves their requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flurm_rt::{
    AsyncRuntime, Env, Instant, Listener, Mpsc, MpscReceiver, MpscSender, Net, Select2,
    TryRecvError, WatchReceiver,
};
use openraft::raft::TransferLeaderRequest;
use tokio::io::{BufReader, ReadHalf, WriteHalf};

use crate::applier::Applier;
use crate::codec::{self, Blob, Text};
use crate::config::Config;
use crate::frame::{self, Kind};
use crate::gate::{Gate, Phase};
use crate::handshake::{self, Handshake, Lane, Side};
use crate::link::{self, StopWatch, stopped};
use crate::machine::StateMachine;
use crate::message::{self, Reply, Request, Survey};
use crate::stored::{StoredSnapshotMeta, StoredVote};
use crate::types::{SnapshotMeta, TC, Vote};
use crate::witness::{self, Visible};

/// Longest wait for a peer to prove itself.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// A connection on which nothing came for so long is given up; peers ping twice a second.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Connections that have not proven themselves, at once.
const PROVING_MAX: usize = 16;
/// Answers waiting to be written on one connection.
const ANSWERS_MAX: usize = 256;
/// Answers are written together up to about this many bytes.
const WRITE_BYTES: usize = 256 << 10;
/// A frame may be longer than the largest command or request inside by this much.
pub(crate) const FRAME_SLACK: usize = 4 << 20;
/// Refused connections are logged at most so often.
const COMPLAINT_EVERY: Duration = Duration::from_secs(1);
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers one forwarded request.
pub type ForwardFuture = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;
/// The host's answerer of forwarded requests.
pub type ForwardHandler = Arc<dyn Fn(u64, Vec<u8>) -> ForwardFuture + Send + Sync>;

/// openraft, over this crate's types.
pub(crate) type Raft<E, S> = openraft::Raft<TC<<E as Env>::Rt>, Applier<E, S>>;

type Stream<E> = <<E as Env>::Net as Net>::Stream;
type Answers<E> = <<<E as Env>::Rt as AsyncRuntime>::Mpsc as Mpsc>::Sender<Vec<u8>>;
type AnswerQueue<E> = <<<E as Env>::Rt as AsyncRuntime>::Mpsc as Mpsc>::Receiver<Vec<u8>>;
type Moment<E> = <<E as Env>::Rt as AsyncRuntime>::Instant;

/// What serving needs. Shared by all connections.
pub(crate) struct Server<E: Env, S: StateMachine, H> {
    pub(crate) env: E,
    pub(crate) config: Arc<Config>,
    pub(crate) raft: Raft<E, S>,
    pub(crate) hook: Arc<H>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) handler: Arc<Mutex<Option<ForwardHandler>>>,
    pub(crate) counts: Counts,
    pub(crate) complained: Mutex<Option<Moment<E>>>,
}

/// Connections at the moment.
#[derive(Default)]
pub(crate) struct Counts {
    all: AtomicUsize,
    proving: AtomicUsize,
}

/// Counts something for as long as it lives.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// `None` when `max` are counted already.
    pub(crate) fn enter(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let entered = count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                if now < max { Some(now + 1) } else { None }
            })
            .is_ok();
        // Made only then: what is dropped at once would count down what was not counted up.
        entered.then(|| Self(count))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A snapshot that is being received.
struct Incoming {
    vote: StoredVote,
    meta: StoredSnapshotMeta,
    len: u64,
    data: Vec<u8>,
}

/// The largest frame that a peer may send.
pub(crate) fn frame_bytes_max(config: &Config) -> usize {
    config.limits.command_bytes_max.max(config.limits.forward_bytes_max) + FRAME_SLACK
}

impl<E: Env, S: StateMachine, H: Handshake> Server<E, S, H> {
    /// Accepts connections until the node stops.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut listener: <E::Net as Net>::Listener,
        stop: StopWatch<E>,
    ) {
        let mut stopping = stop.clone();
        loop {
            let waiting = Box::pin(stopped::<E>(&mut stopping));
            match E::Rt::select2(waiting, listener.accept()).await {
                Select2::First(()) => return,
                Select2::Second(Ok((stream, _))) => {
                    drop(E::Rt::spawn(Arc::clone(&self).serve(stream, stop.clone())));
                }
                Select2::Second(Err(error)) => {
                    self.complain(&format!("could not accept a connection: {error}"));
                    E::Rt::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Logs a refusal, unless one was logged a moment ago.
    fn complain(&self, text: &str) {
        let now = Moment::<E>::now();
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| COMPLAINT_EVERY <= now.saturating_duration_since(last)) {
            *last = Some(now);
            tracing::warn!("Raft port: {text}");
        }
    }

    async fn serve(self: Arc<Self>, mut stream: Stream<E>, stop: StopWatch<E>) {
        let max = self.config.limits.connections_max;
        let Some(_counted) = Counted::enter(&self.counts.all, max) else {
            return self.complain("too many connections");
        };
        let Some((peer, lane)) = self.prove(&mut stream).await else { return };
        tracing::debug!(peer, ?lane, "peer connected");
        let (reader, writer) = tokio::io::split(stream);
        let (answers, queue) = <E::Rt as AsyncRuntime>::Mpsc::channel(ANSWERS_MAX);
        drop(E::Rt::spawn(write_answers::<E>(writer, queue)));
        let mut stopping = stop;
        let waiting = Box::pin(stopped::<E>(&mut stopping));
        let reading = Arc::clone(&self).read_requests(peer, reader, answers);
        if let Select2::Second(reason) = E::Rt::select2(waiting, Box::pin(reading)).await {
            tracing::debug!(peer, ?lane, "peer's connection ended: {reason}");
        }
    }

    async fn prove(&self, stream: &mut Stream<E>) -> Option<(u64, Lane)> {
        let Some(_proving) = Counted::enter(&self.counts.proving, PROVING_MAX) else {
            self.complain("too many connections are proving themselves");
            return None;
        };
        let mut nonce = [0; 32];
        self.env.random(&mut nonce);
        let side = Side { cluster: self.config.cluster.clone(), id: self.config.id, nonce };
        let known = |id| self.config.member(id).is_some();
        let shaking = handshake::answer(stream, &*self.hook, &side, known);
        match E::Rt::timeout(HANDSHAKE_WAIT, shaking).await {
            Ok(Ok(proven)) => Some(proven),
            Ok(Err(reason)) => {
                self.complain(&format!("refused a connection: {reason}"));
                None
            }
            Err(_) => {
                self.complain("refused a connection: it did not prove itself in time");
                None
            }
        }
    }

    /// Serves requests until the connection breaks; returns why it did.
    async fn read_requests(
        self: Arc<Self>,
        peer: u64,
        reader: ReadHalf<Stream<E>>,
        answers: Answers<E>,
    ) -> String {
        let max = frame_bytes_max(&self.config);
        let mut reader = BufReader::new(reader);
        let serving = Arc::new(AtomicUsize::new(0));
        let mut incoming = None;
        loop {
            let reading = frame::read(&mut reader, max);
            let frame = match E::Rt::timeout(SILENCE_MAX, reading).await {
                Ok(Ok(frame)) => frame,
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "nothing was heard".to_owned(),
            };
            match frame.kind {
                Kind::Ping => {
                    if answers.send(frame::encode(Kind::Pong, 0, &[])).await.is_err() {
                        return "answers cannot be sent".to_owned();
                    }
                    continue;
                }
                Kind::Request => {}
                Kind::Hello
                | Kind::Welcome
                | Kind::Proof
                | Kind::Accepted
                | Kind::Refused
                | Kind::Pong
                | Kind::Reply => return format!("{:?} came where a request belongs", frame.kind),
            }
            let request: Request = match codec::decode(&frame.payload) {
                Ok(request) => request,
                Err(error) => return format!("a request cannot be read: {error}"),
            };
            let request = match self.gather(request, &mut incoming) {
                Ok(request) => request,
                Err(reply) => {
                    if !send::<E>(&answers, frame.id, &reply).await {
                        return "answers cannot be sent".to_owned();
                    }
                    continue;
                }
            };
            let job = Arc::clone(&self).answer(peer, frame.id, request, answers.clone());
            // Above the bound the connection is read on only once this request is served.
            if serving.fetch_add(1, Ordering::AcqRel) < self.config.limits.requests_max {
                let serving = Arc::clone(&serving);
                drop(E::Rt::spawn(async move {
                    job.await;
                    serving.fetch_sub(1, Ordering::AcqRel);
                }));
            } else {
                job.await;
                serving.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Puts the parts of a snapshot together. `Err` is the answer to a part that is not the last.
    fn gather(&self, request: Request, incoming: &mut Option<Incoming>) -> Result<Work, Reply> {
        let Request::Snapshot { vote, meta, len, offset, part } = request else {
            return Ok(Work::Plain(request));
        };
        let refuse = |text: &str| Err(Reply::Refused(Text(text.to_owned())));
        if (self.config.limits.snapshot_bytes_max as u64) < len {
            return refuse("the snapshot is larger than this member allows");
        }
        if offset == 0 {
            *incoming = Some(Incoming { vote, meta: meta.clone(), len, data: Vec::new() });
        }
        let Some(snapshot) = incoming else {
            return refuse("the snapshot's start is missing");
        };
        let same = snapshot.vote == vote && snapshot.meta == meta && snapshot.len == len;
        let place = snapshot.data.len() as u64 == offset;
        if !same || !place || len < offset + part.0.len() as u64 {
            *incoming = None;
            return refuse("a part of the snapshot is missing");
        }
        snapshot.data.extend_from_slice(&part.0);
        if (snapshot.data.len() as u64) < len {
            return if part.0.is_empty() {
                refuse("a part of the snapshot is empty")
            } else {
                Err(Reply::SnapshotMore)
            };
        }
        match incoming.take() {
            Some(whole) => Ok(Work::Snapshot(whole)),
            None => refuse("the snapshot's start is missing"),
        }
    }

    async fn answer(self: Arc<Self>, peer: u64, id: u64, work: Work, answers: Answers<E>) {
        let reply = match self.act(peer, work).await {
            Ok(reply) => reply,
            Err(text) => Reply::Refused(Text(text)),
        };
        // When the connection is gone the peer asks again on another.
        send::<E>(&answers, id, &reply).await;
    }

    /// A peer speaks for itself only, and as the request's kind demands.
    fn check(&self, peer: u64, vote: StoredVote, leads: bool) -> Result<(), String> {
        if vote.node != peer {
            return Err(format!("member {peer} speaks for member {}", vote.node));
        }
        if vote.committed != leads {
            return Err("the vote is of the wrong kind".to_owned());
        }
        let allowed = if leads { self.gate.may_follow(vote.term) } else { self.gate.may_vote() };
        if !allowed {
            return Err("this member has yet to learn what it may have forgotten".to_owned());
        }
        Ok(())
    }

    async fn act(&self, peer: u64, work: Work) -> Result<Reply, String> {
        let request = match work {
            Work::Plain(request) => request,
            Work::Snapshot(incoming) => return self.install(peer, incoming).await,
        };
        match request {
            Request::Append { vote, previous, entries, committed } => {
                self.check(peer, vote, true)?;
                let request = message::append_request(vote, previous, entries, committed)?;
                let done = self.raft.append_entries(request).await;
                Ok(Reply::Append(done.map_err(|error| error.to_string())?.into()))
            }
            Request::Vote(ballot) => {
                self.check(peer, ballot.vote, false)?;
                let (vote, last) = (ballot.vote.into(), ballot.last.map(Into::into));
                let done =
                    self.raft.vote(ballot.into()).await.map_err(|error| error.to_string())?;
                if done.vote_granted {
                    witness::show(self.config.id, || Visible::Granted(vote, last));
                }
                Ok(done.into())
            }
            Request::PreVote(ballot) => {
                self.check(peer, ballot.vote, false)?;
                let done = self.raft.pre_vote(ballot.into()).await;
                Ok(done.map_err(|error| error.to_string())?.into())
            }
            Request::Transfer { vote, to, last } => {
                self.check(peer, vote, true)?;
                let last = last.map(Into::into);
                let request = TransferLeaderRequest::new(Vote::from(vote), to, last);
                let done = self.raft.handle_transfer_leader(request).await;
                Ok(Reply::Transfer(done.map_err(|error| error.to_string())?.is_ok()))
            }
            Request::Survey => Ok(Reply::Survey(survey(&self.raft, &self.gate))),
            Request::Forward(bytes) => self.forward(peer, bytes).await,
            Request::Snapshot { .. } => Err("parts of snapshots are gathered first".to_owned()),
        }
    }

    async fn install(&self, peer: u64, incoming: Incoming) -> Result<Reply, String> {
        self.check(peer, incoming.vote, true)?;
        let meta = SnapshotMeta::try_from(incoming.meta)?;
        self.check_snapshot(&meta, incoming.vote.term)?;
        flurm_base::sometimes!("a snapshot came from a peer");
        let snapshot = openraft::Snapshot { meta, snapshot: Bytes::from(incoming.data) };
        let done = self.raft.install_full_snapshot(Vote::from(incoming.vote), snapshot).await;
        Ok(Reply::SnapshotDone(done.map_err(|error| error.to_string())?.vote.into()))
    }

    /// openraft stops a member that is given a snapshot no leader can have.
    fn check_snapshot(&self, meta: &SnapshotMeta, leader_term: u64) -> Result<(), String> {
        let Some(last) = meta.last_log_id else {
            return Err("the snapshot is of nothing".to_owned());
        };
        let metrics = self.raft.metrics();
        let committed = metrics.borrow_watched().local_committed;
        let fits = committed.is_none_or(|committed| {
            last == committed || (last < committed) == (last.index < committed.index)
        });
        if leader_term < last.leader_id.term || !fits {
            return Err("the snapshot contradicts its leader or what is committed".to_owned());
        }
        Ok(())
    }

    async fn forward(&self, peer: u64, bytes: Blob) -> Result<Reply, String> {
        let handler = self.handler.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(handler) = handler else {
            return Err("this member takes no forwarded requests yet".to_owned());
        };
        let answer = handler(peer, bytes.0.to_vec()).await;
        if self.config.limits.forward_bytes_max < answer.len() {
            return Err("the answer is too large".to_owned());
        }
        Ok(Reply::Forward(Blob(answer.into())))
    }
}

enum Work {
    Plain(Request),
    Snapshot(Incoming),
}

/// What this member knows of the cluster.
pub(crate) fn survey<E: Env, S: StateMachine>(raft: &Raft<E, S>, gate: &Gate) -> Survey {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    Survey {
        joining: gate.phase() != Phase::Open,
        established: metrics.vote.is_committed()
            || metrics.last_applied.is_some()
            || metrics.last_log_index.is_some_and(|index| 0 < index),
        term: metrics.current_term,
        leads: metrics.vote.is_committed() && metrics.current_leader == Some(metrics.id),
        last: metrics.last_log_index,
    }
}

async fn send<E: Env>(answers: &Answers<E>, id: u64, reply: &Reply) -> bool {
    answers.send(frame::encode(Kind::Reply, id, &codec::encode(reply))).await.is_ok()
}

async fn write_answers<E: Env>(mut writer: WriteHalf<Stream<E>>, mut queue: AnswerQueue<E>) {
    while let Some(mut bytes) = queue.recv().await {
        while bytes.len() < WRITE_BYTES {
            match queue.try_recv() {
                Ok(more) => bytes.extend_from_slice(&more),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        if link::write::<E>(&mut writer, &bytes).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_counted_is_not_counted_down_either() {
        let count = AtomicUsize::new(0);
        let first = Counted::enter(&count, 1);
        assert!(first.is_some());
        for _ in 0..3 {
            assert!(Counted::enter(&count, 1).is_none());
        }
        assert_eq!(count.load(Ordering::Acquire), 1);
        drop(first);
        assert_eq!(count.load(Ordering::Acquire), 0);
        assert!(Counted::enter(&count, 1).is_some());
    }
}
