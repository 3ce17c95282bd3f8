//! Sockets: TCP between machines, local (unix) sockets within one.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};

/// Where to listen or connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addr {
    /// TCP.
    Ip(SocketAddr),
    /// A unix socket on this machine.
    Local(PathBuf),
}

/// What the kernel says about the process at the other end of a local socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredential {
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The other end of an accepted connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address; for a local socket the socket's own path.
    pub addr: Addr,
    /// Its identity, for local sockets.
    pub credential: Option<PeerCredential>,
}

/// The network as one machine sees it.
pub trait Net: Send + Sync + 'static {
    /// A connected byte stream. Dropping it closes both directions.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static;
    /// A listening socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Starts to listen. A stale local socket file is replaced; a live one is an error.
    fn listen(&self, addr: &Addr) -> impl Future<Output = io::Result<Self::Listener>> + Send;
    /// Connects. Bound the wait yourself: the network may never answer.
    fn connect(&self, addr: &Addr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// Resolves a host name or literal address.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
    /// True when the peer has closed its sending side and nothing remains to be read: the client
    /// hung up. Must not consume data.
    fn hung_up(stream: &Self::Stream) -> bool;
}

/// A listening socket.
pub trait Listener: Send + 'static {
    /// The stream it yields.
    type Stream;
    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
    /// The bound address (the port chosen when 0 was asked for).
    fn local_addr(&self) -> io::Result<Addr>;
}
