//! The network model: listening sockets and connected byte streams with latency, faults per link
//! and bounded buffers.
//!
//! Each direction of a connection delivers in order. Bytes sent into a cut link wait, as TCP's
//! retransmissions would make them wait, and arrive some time after the link heals. A machine that
//! lost power says nothing; once it is back it resets what it does not know.

pub use super::link::{Ask, Latency, Link};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use flurm_rt::PeerCredential;
use tokio::io::ReadBuf;

use super::process::ProcKey;
use super::tap::Tap;
use super::trace::{Kind, digest_bytes};
use super::{Event, MICRO, MILLI, MachineId, Nanos, SECOND, World};

/// Bytes one direction of a connection holds before its writer waits.
pub const BUFFER_MAX: usize = 256 * 1024;
/// Connections a listener holds before it accepts them.
pub const BACKLOG_MAX: usize = 512;
/// First port given to outgoing connections and to listeners that ask for port 0.
const EPHEMERAL_FIRST: u16 = 32_768;
/// First retransmission time-out.
const RETRANSMIT: Nanos = 200 * MILLI;
/// Longest wait of held bytes for the next retransmission after a link heals.
const RETRANSMIT_MAX: Nanos = 8 * SECOND;

/// How long local sockets and loopback take.
const LOCAL_LATENCY: Nanos = 15 * MICRO;

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// One end of a connection: 0 connected, 1 accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The connection.
    pub conn: ConnId,
    /// Which end.
    pub side: usize,
}

impl End {
    /// The other end.
    pub fn other(self) -> Self {
        Self { conn: self.conn, side: 1 - self.side }
    }
}

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// A TCP port.
    Tcp(u16),
    /// A path.
    Local(Arc<str>),
}

#[derive(Debug)]
struct Chunk {
    arrives: Nanos,
    bytes: Vec<u8>,
    read: usize,
}

/// One end's state.
#[derive(Debug, Default)]
struct Half {
    machine: Option<MachineId>,
    process: Option<ProcKey>,
    inbox: VecDeque<Chunk>,
    inbox_len: usize,
    last_arrival: Nanos,
    end_arrives: Option<Nanos>,
    reset_arrives: Option<Nanos>,
    shut: bool,
    dropped: bool,
    silent: bool,
    read_waker: Option<Waker>,
    write_waker: Option<Waker>,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    halves: [Half; 2],
    local: bool,
    /// Nothing that is sent on it arrives, ever.
    dead: bool,
    /// Addresses of both ends.
    pub addrs: [SocketAddr; 2],
    /// The path of a local connection.
    pub path: Arc<str>,
    /// Identity of the connecting process.
    pub credential: PeerCredential,
    /// Port that was connected to.
    pub port: u16,
    /// What a service has been sent; none on other connections.
    request: Option<Vec<u8>>,
}

/// Answers whole requests on local sockets at once, without a task of its own: given who asks and all
/// that was sent, the reply once the request is whole.
pub type Service = Box<dyn FnMut(&mut World, PeerCredential, &[u8]) -> Option<Vec<u8>>>;

struct Listening {
    id: u64,
    service: Option<Service>,
    backlog: VecDeque<ConnId>,
    waker: Option<Waker>,
}

/// Connections by number. Numbers rise, so a queue holds them.
#[derive(Default)]
struct Conns {
    first: u64,
    held: VecDeque<Option<Box<Conn>>>,
    count: usize,
}

impl Conns {
    fn at(&self, id: ConnId) -> Option<usize> {
        usize::try_from(id.0.checked_sub(self.first)?).ok()
    }

    fn get(&self, id: &ConnId) -> Option<&Conn> {
        self.held.get(self.at(*id)?)?.as_deref()
    }

    fn get_mut(&mut self, id: &ConnId) -> Option<&mut Conn> {
        let at = self.at(*id)?;
        self.held.get_mut(at)?.as_deref_mut()
    }

    fn add(&mut self, conn: Conn) -> ConnId {
        let id = ConnId(self.first + self.held.len() as u64);
        self.held.push_back(Some(Box::new(conn)));
        self.count += 1;
        id
    }

    fn remove(&mut self, id: &ConnId) {
        let Some(at) = self.at(*id) else { return };
        if self.held.get_mut(at).and_then(Option::take).is_some() {
            self.count -= 1;
        }
        while matches!(self.held.front(), Some(None)) {
            self.held.pop_front();
            self.first += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        let ids = self.first..;
        ids.map(ConnId).zip(&self.held).filter_map(|(id, conn)| Some((id, conn.as_deref()?)))
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.held.iter_mut().filter_map(Option::as_deref_mut)
    }
}

/// The network.
#[derive(Default)]
pub struct NetState {
    conns: Conns,
    listeners: BTreeMap<(MachineId, Port), Listening>,
    links: BTreeMap<(MachineId, MachineId), Link>,
    held: BTreeSet<End>,
    next_listener: u64,
    next_port: u16,
    /// Latency of links between machines.
    pub latency: Latency,
    /// What watches the traffic: fault triggers, and the finder of the leader.
    pub tap: Tap,
}

/// Never, for bytes held by a cut link.
const HELD: Nanos = Nanos::MAX;

impl NetState {
    /// The state of a link.
    pub fn link(&self, source: MachineId, target: MachineId) -> Link {
        self.links.get(&(source, target)).copied().unwrap_or_default()
    }

    fn passes(&self, source: MachineId, target: MachineId) -> bool {
        source == target || !self.link(source, target).cut
    }

    /// A fresh ephemeral port.
    pub fn ephemeral(&mut self) -> u16 {
        self.next_port = if self.next_port < EPHEMERAL_FIRST || self.next_port == u16::MAX {
            EPHEMERAL_FIRST
        } else {
            self.next_port + 1
        };
        self.next_port
    }

    /// A connection.
    pub fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    /// How many connections exist.
    pub fn conn_count(&self) -> usize {
        self.conns.count
    }

    fn half(&mut self, end: End) -> Option<&mut Half> {
        self.conns.get_mut(&end.conn).map(|conn| &mut conn.halves[end.side])
    }
}

fn travel_time(w: &mut World, source: MachineId, target: MachineId) -> Nanos {
    if source == target {
        return LOCAL_LATENCY;
    }
    let link = w.net.link(source, target);
    let Latency { min, max } = w.net.latency;
    let mut time = w.rng.net.range(min..=max.max(min)) + link.delay;
    if link.loss > 0.0 {
        let mut again = RETRANSMIT;
        while w.rng.net.chance(link.loss) && again < 64 * RETRANSMIT {
            time += again;
            again *= 2;
        }
    }
    time
}

/// How long a message between two machines takes; `None` when it does not arrive.
pub(crate) fn crossing(w: &mut World, source: MachineId, target: MachineId) -> Option<Nanos> {
    let arrives = w.machine(target).up && w.net.passes(source, target);
    arrives.then(|| travel_time(w, source, target))
}

/// Whether two machines hear each other.
pub(crate) fn passes_both_ways(w: &World, one: MachineId, other: MachineId) -> bool {
    w.net.passes(one, other) && w.net.passes(other, one)
}

/// Changes a link; what it held moves on when it opens.
pub fn set_link(w: &mut World, source: MachineId, target: MachineId, link: Link) {
    let now = w.now;
    if let Some(scene) = &mut w.scene {
        scene.links.push((now, source, target, link));
    }
    if link == Link::default() {
        w.net.links.remove(&(source, target));
    } else {
        w.net.links.insert((source, target), link);
    }
    if link.cut {
        return;
    }
    for end in w.net.held.clone() {
        let ends = w
            .net
            .conns
            .get(&end.conn)
            .map(|conn| (conn.halves[1 - end.side].machine, conn.halves[end.side].machine));
        if ends == Some((Some(source), Some(target))) {
            w.net.held.remove(&end);
            release(w, end);
        }
    }
}

/// Gives held bytes of one inbox their arrival times.
fn release(w: &mut World, end: End) {
    let mut at = w.now + w.rng.net.range(MILLI..=RETRANSMIT_MAX);
    let Some(half) = w.net.half(end) else { return };
    at = at.max(half.last_arrival);
    for chunk in half.inbox.iter_mut().filter(|chunk| chunk.arrives == HELD) {
        chunk.arrives = at;
    }
    for when in [&mut half.end_arrives, &mut half.reset_arrives].into_iter().flatten() {
        if *when == HELD {
            *when = at;
        }
    }
    half.last_arrival = at;
    if let Some(scene) = &mut w.scene {
        scene.release(end, at);
    }
    w.schedule(at, Event::Arrive(end));
}

/// When something sent now to `end` arrives; `HELD` when its link is cut.
fn arrival(w: &mut World, end: End) -> Nanos {
    let Some(conn) = w.net.conns.get(&end.conn) else { return w.now };
    if conn.dead {
        return HELD;
    }
    let local = conn.local;
    let source = conn.halves[1 - end.side].machine.expect("both ends have a machine");
    let target = conn.halves[end.side].machine.expect("both ends have a machine");
    let last = conn.halves[end.side].last_arrival;
    let held = w.net.held.contains(&end);
    if !local && (held || !w.net.passes(source, target)) {
        w.net.held.insert(end);
        return HELD;
    }
    let time = if local { LOCAL_LATENCY } else { travel_time(w, source, target) };
    let at = (w.now + time).max(last);
    if let Some(half) = w.net.half(end) {
        half.last_arrival = at;
    }
    at
}

fn lane(w: &World, machine: Option<MachineId>) -> String {
    machine.map_or_else(|| "world".to_owned(), |id| w.machine(id).name.clone())
}

/// Notes something about a connection, seen from one end.
pub(crate) fn note(w: &mut World, end: End, kind: Kind, fact: u64, what: &str) {
    let facts = [end.conn.0 << 1 | end.side as u64, fact];
    let now = w.now;
    if !w.trace.is_readable() {
        w.trace.note(now, kind, facts, || (String::new(), String::new()));
        return;
    }
    let Some(conn) = w.net.conns.get(&end.conn) else { return };
    let lane = lane(w, conn.halves[end.side].machine);
    let peer = match conn.local {
        true => conn.path.to_string(),
        false => {
            let machine = conn.halves[1 - end.side].machine;
            format!("{} (port {})", machine.map_or("?", |id| &w.machine(id).name), conn.port)
        }
    };
    let text = format!("net {what} {peer} #{}", end.conn.0);
    w.trace.note(now, kind, facts, || (lane, text));
}

/// Starts to listen.
pub fn listen(w: &mut World, machine: MachineId, port: Port) -> io::Result<(u64, Port)> {
    let port = match port {
        Port::Tcp(0) => Port::Tcp(w.net.ephemeral()),
        other => other,
    };
    if w.net.listeners.contains_key(&(machine, port.clone())) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    w.net.next_listener += 1;
    let id = w.net.next_listener;
    let listening = Listening { id, service: None, backlog: VecDeque::new(), waker: None };
    w.net.listeners.insert((machine, port.clone()), listening);
    Ok((id, port))
}

/// Has a service answer on a local socket; its number, for [`unlisten`].
pub fn serve(
    w: &mut World,
    machine: MachineId,
    path: Arc<str>,
    service: Service,
) -> io::Result<u64> {
    let (id, port) = listen(w, machine, Port::Local(path))?;
    if let Some(listening) = w.net.listeners.get_mut(&(machine, port)) {
        listening.service = Some(service);
    }
    Ok(id)
}

/// Lets the service at the other end look at what has come; true when there is one.
fn served(w: &mut World, end: End, bytes: &[u8]) -> bool {
    let Some(conn) = w.net.conns.get_mut(&end.conn) else { return false };
    let Some(request) = conn.request.as_mut() else { return false };
    request.extend_from_slice(bytes);
    let (request, who) = (std::mem::take(request), conn.credential);
    let machine = conn.halves[1 - end.side].machine.expect("both ends have a machine");
    let key = (machine, Port::Local(Arc::clone(&conn.path)));
    let service = w.net.listeners.get_mut(&key).and_then(|it| it.service.take());
    let Some(mut service) = service else {
        let now = w.now;
        if let Some(half) = w.net.half(end) {
            half.reset_arrives = Some(now);
        }
        w.schedule(now, Event::Arrive(end));
        return true;
    };
    let reply = service(w, who, &request);
    if let Some(listening) = w.net.listeners.get_mut(&key) {
        listening.service = Some(service);
    }
    let Some(conn) = w.net.conns.get_mut(&end.conn) else { return true };
    let Some(reply) = reply else {
        conn.request = Some(request);
        return true;
    };
    let at = w.now + 2 * LOCAL_LATENCY;
    let half = &mut conn.halves[end.side];
    half.inbox_len += reply.len();
    half.inbox.push_back(Chunk { arrives: at, bytes: reply, read: 0 });
    half.end_arrives = Some(at);
    half.last_arrival = at;
    w.schedule(at, Event::Arrive(end));
    true
}

/// Stops listening; waiting connections are reset.
pub fn unlisten(w: &mut World, machine: MachineId, port: &Port, id: u64) {
    let key = (machine, port.clone());
    if w.net.listeners.get(&key).is_none_or(|listening| listening.id != id) {
        return;
    }
    let Some(listening) = w.net.listeners.remove(&key) else { return };
    for conn in listening.backlog {
        close(w, End { conn, side: 1 }, true);
    }
}

/// Takes the next waiting connection, or remembers who waits.
pub fn accept(w: &mut World, machine: MachineId, port: &Port, waker: &Waker) -> Option<ConnId> {
    let listening = w.net.listeners.get_mut(&(machine, port.clone()))?;
    let next = listening.backlog.pop_front();
    if next.is_none() {
        listening.waker = Some(waker.clone());
    }
    next
}

/// How an attempt to connect fared at its target.
pub enum Knock {
    /// Connected; the answer is back after this time.
    Open(ConnId, Nanos),
    /// Nobody listens; known after this time.
    Refused(Nanos),
    /// No answer.
    Silence,
}

/// A connection request reaches its target.
pub fn knock(w: &mut World, ask: &Ask) -> Knock {
    let (source, target) = (ask.source, ask.target);
    let both_ways = w.net.passes(source, target) && w.net.passes(target, source);
    if !w.machine(target).up || !both_ways {
        return Knock::Silence;
    }
    let back = travel_time(w, target, source);
    let key = (target, ask.port.clone());
    let full = w.net.listeners.get(&key).map(|listening| listening.backlog.len() >= BACKLOG_MAX);
    match full {
        None => return Knock::Refused(back),
        Some(true) => return Knock::Silence,
        Some(false) => {}
    }
    let (local, port, path) = match &ask.port {
        Port::Tcp(port) => (false, *port, Arc::from("")),
        Port::Local(path) => (true, 0, Arc::clone(path)),
    };
    let from = SocketAddr::new(w.machine(source).ip, w.net.ephemeral());
    let addrs = [from, SocketAddr::new(w.machine(target).ip, port)];
    let half = |machine, process| Half { machine: Some(machine), process, ..Half::default() };
    let mut halves = [half(source, Some(ask.process)), half(target, None)];
    let is_service = w.net.listeners.get(&key).is_some_and(|it| it.service.is_some());
    // Nobody holds the end of a service: it goes with the other.
    halves[1].dropped = is_service;
    let credential = ask.credential;
    let request = is_service.then(Vec::new);
    let dead = false;
    let id = w.net.conns.add(Conn { halves, local, dead, addrs, path, credential, port, request });
    note(w, End { conn: id, side: 0 }, Kind::Connection, 1, "connects to");
    if is_service {
        return Knock::Open(id, back);
    }
    let listening = w.net.listeners.get_mut(&key).expect("it was looked up just now");
    listening.backlog.push_back(id);
    let waker = listening.waker.take();
    w.wakes.extend(waker);
    Knock::Open(id, back)
}

/// Marks who holds the accepted end.
pub fn adopt(w: &mut World, end: End, process: ProcKey) {
    if let Some(half) = w.net.half(end) {
        half.process = Some(process);
    }
}

/// Sends bytes; how many were taken, or `None` to wait for room.
pub fn write(w: &mut World, end: End, bytes: &[u8], waker: &Waker) -> io::Result<Option<usize>> {
    let now = w.now;
    let Some(conn) = w.net.conns.get_mut(&end.conn) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let own = &conn.halves[end.side];
    if own.reset_arrives.is_some_and(|at| at <= now) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    if own.shut {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let room = BUFFER_MAX.saturating_sub(conn.halves[1 - end.side].inbox_len);
    if room == 0 && !bytes.is_empty() {
        conn.halves[end.side].write_waker = Some(waker.clone());
        return Ok(None);
    }
    let taken = room.min(bytes.len());
    let bytes = &bytes[..taken];
    note_send(w, end, bytes);
    if served(w, end, bytes) {
        return Ok(Some(taken));
    }
    if tapped(w, end) {
        draw_send(w, end, bytes, None);
        return Ok(Some(taken));
    }
    let bytes = bytes.to_vec();
    let arrives = arrival(w, end.other());
    draw_send(w, end, &bytes, Some(arrives));
    let Some(peer) = w.net.half(end.other()) else { return Ok(Some(taken)) };
    peer.inbox_len += taken;
    peer.inbox.push_back(Chunk { arrives, bytes, read: 0 });
    if arrives != HELD {
        w.schedule(arrives, Event::Arrive(end.other()));
    }
    Ok(Some(taken))
}

/// Puts what is sent into the scene. `arrives` is `None` when it was lost, `HELD` when it waits.
fn draw_send(w: &mut World, end: End, bytes: &[u8], arrives: Option<Nanos>) {
    let now = w.now;
    let Some(scene) = &mut w.scene else { return };
    let Some(conn) = w.net.conns.get(&end.conn) else { return };
    let (source, target) = (conn.halves[end.side].machine, conn.halves[1 - end.side].machine);
    let (Some(source), Some(target)) = (source, target) else { return };
    if conn.local || source == target {
        return;
    }
    let send = super::scene::Send {
        at: now,
        arrives: arrives.filter(|at| *at != HELD),
        source,
        target,
        port: conn.port,
        asks: end.side == 0,
        bytes: bytes.len(),
        conn: end.conn.0,
        what: super::tap::words(bytes),
    };
    scene.send(end.other(), send, arrives == Some(HELD));
}

fn note_send(w: &mut World, end: End, bytes: &[u8]) {
    let fact = digest_bytes(bytes);
    if w.trace.is_readable() {
        let what = format!("sends {} bytes{} to", bytes.len(), super::tap::describe(bytes));
        note(w, end, Kind::Send, fact, &what);
    } else {
        note(w, end, Kind::Send, fact, "");
    }
}

/// Lets the tap see what is sent; true when it swallowed the bytes.
fn tapped(w: &mut World, end: End) -> bool {
    let Some(conn) = w.net.conns.get(&end.conn) else { return false };
    if conn.local {
        return false;
    }
    let (Some(source), Some(target)) =
        (conn.halves[end.side].machine, conn.halves[1 - end.side].machine)
    else {
        return false;
    };
    let port = conn.port;
    tap_send(w, source, target, port, end.side == 0)
}

/// Lets the tap see that bytes are sent between machines; true when it swallowed them.
pub(crate) fn tap_send(
    w: &mut World,
    source: MachineId,
    target: MachineId,
    port: u16,
    connected: bool,
) -> bool {
    let (swallow, actions) = w.net.tap.sent(w.now, source, target, port, connected);
    let now = w.now;
    for action in actions {
        w.schedule(now, Event::Call(action));
    }
    swallow
}

/// What a reader finds.
pub enum Found {
    /// Bytes, this many.
    Bytes(usize),
    /// The end.
    End,
    /// Nothing yet.
    Nothing,
}

/// Takes arrived bytes, up to the room there is for them.
pub fn read(w: &mut World, end: End, buffer: &mut ReadBuf<'_>, waker: &Waker) -> io::Result<Found> {
    let now = w.now;
    let Some(conn) = w.net.conns.get_mut(&end.conn) else { return Ok(Found::End) };
    let half = &mut conn.halves[end.side];
    let before = buffer.remaining();
    while buffer.remaining() > 0 {
        let Some(chunk) = half.inbox.front_mut().filter(|chunk| chunk.arrives <= now) else {
            break;
        };
        let part = (chunk.bytes.len() - chunk.read).min(buffer.remaining());
        buffer.put_slice(&chunk.bytes[chunk.read..chunk.read + part]);
        chunk.read += part;
        if chunk.read == chunk.bytes.len() {
            half.inbox.pop_front();
        }
    }
    let taken = before - buffer.remaining();
    if taken == 0 {
        if half.reset_arrives.is_some_and(|at| at <= now) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let ended = half.end_arrives.is_some_and(|at| at <= now);
        if ended && half.inbox.is_empty() {
            return Ok(Found::End);
        }
        half.read_waker = Some(waker.clone());
        return Ok(Found::Nothing);
    }
    half.inbox_len -= taken;
    let writer = conn.halves[1 - end.side].write_waker.take();
    w.wakes.extend(writer);
    if w.trace.is_readable() {
        note(w, end, Kind::Read, taken as u64, &format!("reads {taken} bytes from"));
    } else {
        note(w, end, Kind::Read, taken as u64, "");
    }
    Ok(Found::Bytes(taken))
}

/// Whether the peer is done sending and nothing is left to read.
pub fn hung_up(w: &World, end: End) -> bool {
    let Some(half) = w.net.conns.get(&end.conn).map(|conn| &conn.halves[end.side]) else {
        return true;
    };
    let ended = half.end_arrives.is_some_and(|at| at <= w.now);
    let reset = half.reset_arrives.is_some_and(|at| at <= w.now);
    reset || (ended && half.inbox.is_empty())
}

/// Ends the sending direction.
pub fn shut(w: &mut World, end: End) {
    let Some(half) = w.net.half(end) else { return };
    if half.shut {
        return;
    }
    half.shut = true;
    say_end(w, end, false);
}

/// Tells the peer of `end` that nothing more comes; with `reset`, that all is lost.
fn say_end(w: &mut World, end: End, reset: bool) {
    let at = arrival(w, end.other());
    let Some(peer) = w.net.half(end.other()) else { return };
    let slot = if reset { &mut peer.reset_arrives } else { &mut peer.end_arrives };
    slot.get_or_insert(at);
    if at != HELD {
        w.schedule(at, Event::Arrive(end.other()));
    }
}

/// An end is closed: its stream was dropped.
pub fn close(w: &mut World, end: End, reset: bool) {
    let now = w.now;
    let Some(conn) = w.net.conns.get(&end.conn) else { return };
    let half = &conn.halves[end.side];
    if half.dropped {
        return;
    }
    let powered = half.machine.is_some_and(|id| w.machine(id).up) && !half.silent;
    let shut = half.shut;
    let unread = half.inbox.iter().any(|chunk| chunk.arrives <= now);
    if powered {
        let fact = u64::from(reset || unread) | 2;
        note(w, end, Kind::Connection, fact, "closes the connection to");
        if reset || unread {
            say_end(w, end, true);
        } else if !shut {
            say_end(w, end, false);
        }
    }
    if let Some(half) = w.net.half(end) {
        half.dropped = true;
        half.shut = true;
        half.inbox.clear();
        half.inbox_len = 0;
        half.read_waker = None;
        half.write_waker = None;
    }
    w.net.held.remove(&end);
    forget_if_over(w, end.conn);
}

fn forget_if_over(w: &mut World, id: ConnId) {
    let over = w.net.conns.get(&id).is_some_and(|c| c.halves.iter().all(|half| half.dropped));
    if over {
        w.net.conns.remove(&id);
        for side in 0..2 {
            w.net.held.remove(&End { conn: id, side });
        }
    }
}

/// A machine without power answers nothing, ever, on its old connections.
pub fn silence(w: &mut World, machine: MachineId) {
    for conn in w.net.conns.values_mut() {
        for half in conn.halves.iter_mut().filter(|half| half.machine == Some(machine)) {
            half.silent = true;
        }
    }
}

fn far_conns_of(w: &World, machine: MachineId) -> Vec<ConnId> {
    let of = |conn: &Conn| conn.halves.iter().any(|half| half.machine == Some(machine));
    let far = |conn: &Conn| conn.halves[0].machine != conn.halves[1].machine;
    let conns = w.net.conns.iter().filter(|(_, conn)| !conn.local && of(conn) && far(conn));
    conns.map(|(id, _)| id).collect()
}

/// Both ends of every connection of a machine with others are told that it is reset.
pub fn reset_all(w: &mut World, machine: MachineId) {
    let now = w.now;
    for conn in far_conns_of(w, machine) {
        for side in 0..2 {
            let end = End { conn, side };
            note(w, end, Kind::Connection, 5, "loses the connection to");
            if let Some(half) = w.net.half(end) {
                half.reset_arrives = Some(now);
                w.schedule(now, Event::Arrive(end));
            }
        }
    }
}

/// Every connection of a machine with others goes dead: neither end hears anything of it again.
pub fn deaden_all(w: &mut World, machine: MachineId) {
    for id in far_conns_of(w, machine) {
        let Some(conn) = w.net.conns.get_mut(&id) else { continue };
        conn.dead = true;
        for half in &mut conn.halves {
            let now = w.now;
            for chunk in half.inbox.iter_mut().filter(|chunk| chunk.arrives > now) {
                chunk.arrives = HELD;
            }
            for when in [&mut half.end_arrives, &mut half.reset_arrives].into_iter().flatten() {
                if *when > now {
                    *when = HELD;
                }
            }
        }
        for side in 0..2 {
            w.net.held.remove(&End { conn: id, side });
        }
    }
}

/// Something arrives at one end.
pub fn arrive(w: &mut World, end: End) {
    let Some(conn) = w.net.conns.get(&end.conn) else { return };
    let half = &conn.halves[end.side];
    let gone = half.dropped || half.silent;
    let had_bytes = !half.inbox.is_empty() || half.inbox_len > 0 || gone;
    let machine = half.machine.expect("both ends have a machine");
    let peer_open = !conn.halves[1 - end.side].dropped;
    if gone && had_bytes && peer_open {
        // Nobody is there any more: a running machine answers with a reset, a dark one not at all.
        let only_the_end = conn.halves[end.side].end_arrives == Some(w.now);
        if w.machine(machine).up && !only_the_end {
            say_end(w, end, true);
        }
        return;
    }
    let Some(half) = w.net.half(end) else { return };
    let wakers = [half.read_waker.take(), half.write_waker.take()];
    w.wakes.extend(wakers.into_iter().flatten());
}
