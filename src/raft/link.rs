//! A kept connection to one peer, on one lane: many requests in flight, answers in any order.
//!
//! The link reconnects for as long as it lives, with a bounded back-off. A request made while there
//! is no connection fails at once; one whose connection breaks has an unknown outcome.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flurm_rt::{
    Addr, AsyncRuntime, Env, Instant, Mpsc, MpscReceiver, MpscSender, Net, Oneshot, OneshotSender,
    Select2, Select3, TryRecvError, Watch, WatchReceiver,
};
use tokio::io::{AsyncRead, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};

use crate::codec;
use crate::frame::{self, Kind};
use crate::handshake::{self, Handshake, Lane, Side};
use crate::message::{Reply, Request};

/// Longest wait for a connection to open.
const CONNECT_WAIT: Duration = Duration::from_secs(1);
/// Longest wait for a peer to prove itself.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// First and longest pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(30);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A silent peer is asked for a sign of life so often.
const PING_EVERY: Duration = Duration::from_millis(500);
/// A connection on which nothing came for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Longest wait for a peer to take a batch of bytes.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// Requests are written together up to about this many bytes.
const WRITE_BYTES: usize = 256 << 10;
/// Requests that may wait to be written.
const QUEUE_MAX: usize = 1024;

type Rt<E> = <E as Env>::Rt;
type Moment<E> = <Rt<E> as AsyncRuntime>::Instant;
type Promise<E> = <<Rt<E> as AsyncRuntime>::Oneshot as Oneshot>::Sender<Bytes>;
type Queue<E> = <<Rt<E> as AsyncRuntime>::Mpsc as Mpsc>::Receiver<Queued>;
type QueueSender<E> = <<Rt<E> as AsyncRuntime>::Mpsc as Mpsc>::Sender<Queued>;
/// True once the node shuts down.
pub(crate) type StopWatch<E> = <<Rt<E> as AsyncRuntime>::Watch as Watch>::Receiver<bool>;

/// Waits until the node shuts down.
pub(crate) async fn stopped<E: Env>(stop: &mut StopWatch<E>) {
    while !*stop.borrow_and_update() {
        if stop.changed().await.is_err() {
            return;
        }
    }
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Not sent: no connection.
    Unreachable,
    /// Not sent: too many wait already.
    Busy,
    /// Sent, perhaps; no answer came in time or the connection broke.
    Lost,
}

/// A request on its way, and the connection it was made for: whoever made it is told when that
/// connection breaks, so it must not be sent on another.
struct Queued {
    connection: u64,
    bytes: Vec<u8>,
}

struct Shared<E: Env> {
    connected: bool,
    /// Number of the present or latest connection.
    connection: u64,
    next_id: u64,
    waiting: BTreeMap<u64, Promise<E>>,
    heard: Moment<E>,
}

/// The link. Clones are the same link.
pub(crate) struct Link<E: Env> {
    shared: Arc<Mutex<Shared<E>>>,
    queue: QueueSender<E>,
    waiting_max: usize,
}

impl<E: Env> Clone for Link<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            queue: self.queue.clone(),
            waiting_max: self.waiting_max,
        }
    }
}

fn locked<E: Env>(shared: &Mutex<Shared<E>>) -> MutexGuard<'_, Shared<E>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a link needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) cluster: String,
    pub(crate) own_id: u64,
    pub(crate) peer: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) lane: Lane,
    pub(crate) frame_bytes_max: usize,
    pub(crate) waiting_max: usize,
}

/// Forgets a request that nobody waits for any more.
struct Waiting<'a, E: Env> {
    shared: &'a Mutex<Shared<E>>,
    id: u64,
}

impl<E: Env> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        locked(self.shared).waiting.remove(&self.id);
    }
}

impl<E: Env> Link<E> {
    /// Starts the link.
    pub(crate) fn start<H: Handshake>(
        env: E,
        target: Target,
        hook: Arc<H>,
        stop: StopWatch<E>,
    ) -> Self {
        let (sender, receiver) = <Rt<E> as AsyncRuntime>::Mpsc::channel(QUEUE_MAX);
        let shared = Arc::new(Mutex::new(Shared {
            connected: false,
            connection: 0,
            next_id: 0,
            waiting: BTreeMap::new(),
            heard: Moment::<E>::now(),
        }));
        let waiting_max = target.waiting_max;
        let driver = Driver { env, target, hook, shared: Arc::clone(&shared), queue: receiver };
        drop(Rt::<E>::spawn(driver.run(stop)));
        Self { shared, queue: sender, waiting_max }
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn call(&self, request: &Request, wait: Duration) -> Result<Reply, CallError> {
        let (promise, answer) = <Rt<E> as AsyncRuntime>::Oneshot::channel();
        let (id, connection) = {
            let mut shared = locked(&self.shared);
            if !shared.connected {
                return Err(CallError::Unreachable);
            }
            if self.waiting_max <= shared.waiting.len() {
                return Err(CallError::Busy);
            }
            shared.next_id += 1;
            let id = shared.next_id;
            shared.waiting.insert(id, promise);
            (id, shared.connection)
        };
        let _waiting = Waiting { shared: &self.shared, id };
        let bytes = frame::encode(Kind::Request, id, &codec::encode(request));
        let exchange = async {
            self.queue
                .send(Queued { connection, bytes })
                .await
                .map_err(|_| CallError::Unreachable)?;
            answer.await.map_err(|_| CallError::Lost)
        };
        let payload = match Rt::<E>::timeout(wait, exchange).await {
            Ok(result) => result?,
            Err(_) => return Err(CallError::Lost),
        };
        codec::decode(&payload).map_err(|_| CallError::Lost)
    }
}

struct Driver<E: Env, H> {
    env: E,
    target: Target,
    hook: Arc<H>,
    shared: Arc<Mutex<Shared<E>>>,
    queue: Queue<E>,
}

type Stream<E> = <<E as Env>::Net as Net>::Stream;

impl<E: Env, H: Handshake> Driver<E, H> {
    async fn run(mut self, mut stop: StopWatch<E>) {
        let mut pause = PAUSE_MIN;
        let mut told = false;
        loop {
            let mut stopping = stop.clone();
            let attempt = self.connect();
            let connected = Rt::<E>::select2(Box::pin(stopped::<E>(&mut stopping)), attempt).await;
            match connected {
                Select2::First(()) => break,
                Select2::Second(Ok(stream)) => {
                    tracing::debug!(peer = self.target.peer, lane = ?self.target.lane, "connected");
                    pause = PAUSE_MIN;
                    told = false;
                    let ended = self.session(stream, &mut stop).await;
                    self.disconnect();
                    let Some(reason) = ended else { break };
                    self.tell(&reason, &mut told);
                }
                Select2::Second(Err(reason)) => {
                    self.tell(&reason, &mut told);
                    // Drawn, so that members that lost each other do not stay in step.
                    let pausing = Rt::<E>::sleep(self.draw(pause));
                    let mut stopping = stop.clone();
                    let stopping = Box::pin(stopped::<E>(&mut stopping));
                    if let Select2::First(()) = Rt::<E>::select2(stopping, pausing).await {
                        break;
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        self.disconnect();
    }

    /// Logs the first of a row of failures.
    fn tell(&self, reason: &str, told: &mut bool) {
        if !*told && self.target.lane == Lane::Control {
            tracing::info!(peer = self.target.peer, "no connection to the peer: {reason}");
        }
        *told = true;
    }

    fn draw(&self, pause: Duration) -> Duration {
        let mut byte = [0];
        self.env.random(&mut byte);
        pause / 2 + pause * u32::from(byte[0]) / 512
    }

    async fn connect(&mut self) -> Result<Stream<E>, String> {
        let addr = Addr::Ip(self.target.addr);
        let connecting = self.env.net().connect(&addr);
        let mut stream = match Rt::<E>::timeout(CONNECT_WAIT, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("connecting took too long".to_owned()),
        };
        let mut nonce = [0; 32];
        self.env.random(&mut nonce);
        let side = Side { cluster: self.target.cluster.clone(), id: self.target.own_id, nonce };
        let (peer, lane) = (self.target.peer, self.target.lane);
        let shaking = handshake::open(&mut stream, &*self.hook, &side, peer, lane);
        match Rt::<E>::timeout(HANDSHAKE_WAIT, shaking).await {
            Ok(result) => result?,
            Err(_) => return Err("the handshake took too long".to_owned()),
        }
        Ok(stream)
    }

    fn disconnect(&mut self) {
        let mut shared = locked(&self.shared);
        shared.connected = false;
        // Dropping the promises tells the callers.
        shared.waiting.clear();
        drop(shared);
    }

    /// Runs a connection until it breaks (the reason) or the node stops (`None`).
    async fn session(&mut self, stream: Stream<E>, stop: &mut StopWatch<E>) -> Option<String> {
        let (reader, mut writer) = tokio::io::split(stream);
        let (broken, mut breaking) = <Rt<E> as AsyncRuntime>::Oneshot::channel();
        // Dropped with this session, which ends the reader and so closes the connection.
        let (_open, over) = <Rt<E> as AsyncRuntime>::Oneshot::channel::<()>();
        {
            let mut shared = locked(&self.shared);
            shared.heard = Moment::<E>::now();
            shared.connected = true;
            shared.connection += 1;
        }
        let reading = read::<E>(reader, Arc::clone(&self.shared), self.target.frame_bytes_max);
        drop(Rt::<E>::spawn({
            let mut stopping = stop.clone();
            async move {
                let stopping = Box::pin(stopped::<E>(&mut stopping));
                let next = Rt::<E>::select3(stopping, over, reading).await;
                if let Select3::Third(reason) = next {
                    // When the session has ended already, nobody needs to hear.
                    drop(broken.send(reason));
                }
            }
        }));
        let mut tick = Moment::<E>::now() + PING_EVERY;
        loop {
            let ticking = Rt::<E>::sleep_until(tick);
            let next = Rt::<E>::select3(&mut breaking, self.queue.recv(), ticking).await;
            let mut bytes = match next {
                Select3::First(Ok(reason)) => return Some(reason),
                // The reader stopped because the node does.
                Select3::First(Err(_)) => return None,
                Select3::Second(Some(first)) => self.gather(first),
                Select3::Second(None) => return None,
                Select3::Third(()) => Vec::new(),
            };
            // Looked at however busy the queue is: sending proves nothing about the peer.
            let now = Moment::<E>::now();
            if tick <= now {
                tick = now + PING_EVERY;
                let silence = now.saturating_duration_since(locked(&self.shared).heard);
                if SILENCE_MAX <= silence {
                    return Some(format!("nothing was heard for {} ms", silence.as_millis()));
                }
                if PING_EVERY <= silence {
                    bytes.extend_from_slice(&frame::encode(Kind::Ping, 0, &[]));
                }
            }
            if bytes.is_empty() {
                continue;
            }
            if let Err(reason) = write::<E>(&mut writer, &bytes).await {
                return Some(reason);
            }
        }
    }

    /// Adds what waits already.
    fn gather(&mut self, first: Queued) -> Vec<u8> {
        let connection = locked(&self.shared).connection;
        let mut bytes = Vec::new();
        let mut next = first;
        loop {
            if next.connection == connection {
                bytes.extend_from_slice(&next.bytes);
            }
            if WRITE_BYTES <= bytes.len() {
                return bytes;
            }
            match self.queue.try_recv() {
                Ok(more) => next = more,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return bytes,
            }
        }
    }
}

/// Writes bytes whole, within a bound.
pub(crate) async fn write<E: Env>(
    writer: &mut WriteHalf<Stream<E>>,
    bytes: &[u8],
) -> Result<(), String> {
    let writing = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    match Rt::<E>::timeout(WRITE_WAIT, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the peer took no bytes".to_owned()),
    }
}

/// Hands answers to those who wait, until the connection breaks; returns why it did.
async fn read<E: Env>(
    reader: ReadHalf<Stream<E>>,
    shared: Arc<Mutex<Shared<E>>>,
    max: usize,
) -> String
where
    ReadHalf<Stream<E>>: AsyncRead,
{
    let mut reader = BufReader::new(reader);
    loop {
        let frame = match frame::read(&mut reader, max).await {
            Ok(frame) => frame,
            Err(error) => return error.to_string(),
        };
        let promise = {
            let mut shared = locked(&shared);
            shared.heard = Moment::<E>::now();
            match frame.kind {
                Kind::Reply => shared.waiting.remove(&frame.id),
                Kind::Pong => None,
                Kind::Hello
                | Kind::Welcome
                | Kind::Proof
                | Kind::Accepted
                | Kind::Refused
                | Kind::Ping
                | Kind::Request => return format!("{:?} came where an answer belongs", frame.kind),
            }
        };
        if let Some(promise) = promise {
            // Whoever asked may have given up.
            drop(promise.send(frame.payload));
        }
    }
}
