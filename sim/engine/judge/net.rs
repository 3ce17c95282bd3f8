//! `rt::Net` under a judge: TCP is the judge's own, local sockets are the world's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use flurm_rt::{Addr, Listener, Net, Peer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Kernel;
use crate::world::env::Place;
use crate::world::net::tap_send;
use crate::world::stream::{SimListener, SimNet, SimStream};
use crate::world::{self, MachineId};

/// Bytes looked at ahead of the reader to learn whether the peer is gone.
const AHEAD: usize = 4096;

/// The network as one process sees it.
#[derive(Debug)]
pub struct JudgeNet<K> {
    place: Place,
    local: SimNet,
    kernel: std::marker::PhantomData<fn() -> K>,
}

impl<K> Clone for JudgeNet<K> {
    fn clone(&self) -> Self {
        Self::new(self.place)
    }
}

impl<K> JudgeNet<K> {
    pub(in crate::engine) fn new(place: Place) -> Self {
        Self { place, local: SimNet(place), kernel: std::marker::PhantomData }
    }
}

/// A connected stream.
pub enum JudgeStream<K: Kernel> {
    /// Within a machine.
    Local(SimStream),
    /// Between machines.
    Tcp(Mutex<Tcp<K::Stream>>),
}

/// A TCP stream with what was read ahead.
pub struct Tcp<S> {
    stream: S,
    ahead: Vec<u8>,
    ended: bool,
    source: MachineId,
    target: MachineId,
    port: u16,
    connected: bool,
}

fn lock<S>(tcp: &Mutex<Tcp<S>>) -> MutexGuard<'_, Tcp<S>> {
    tcp.lock().unwrap_or_else(PoisonError::into_inner)
}

fn inner<S>(tcp: &mut Mutex<Tcp<S>>) -> &mut Tcp<S> {
    tcp.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// A listening socket.
pub enum JudgeListener<K: Kernel> {
    /// Within a machine.
    Local(SimListener),
    /// For other machines.
    Tcp(K::Socket, SocketAddr, MachineId),
}

impl<K: Kernel> Net for JudgeNet<K> {
    type Stream = JudgeStream<K>;
    type Listener = JudgeListener<K>;

    async fn listen(&self, addr: &Addr) -> io::Result<JudgeListener<K>> {
        match addr {
            Addr::Local(_) => self.local.listen(addr).await.map(JudgeListener::Local),
            Addr::Ip(addr) => {
                let machine = self.place.machine;
                let (socket, addr) = K::listen(machine, addr.port()).await?;
                Ok(JudgeListener::Tcp(socket, addr, machine))
            }
        }
    }

    async fn connect(&self, addr: &Addr) -> io::Result<JudgeStream<K>> {
        match addr {
            Addr::Local(_) => self.local.connect(addr).await.map(JudgeStream::Local),
            Addr::Ip(addr) => {
                let machine = self.place.machine;
                let target = machine_at(addr.ip(), machine)?;
                let stream = K::connect(machine, *addr).await?;
                let port = addr.port();
                Ok(JudgeStream::Tcp(Mutex::new(Tcp {
                    stream,
                    ahead: Vec::new(),
                    ended: false,
                    source: machine,
                    target,
                    port,
                    connected: true,
                })))
            }
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.local.resolve(host, port).await
    }

    fn hung_up(stream: &JudgeStream<K>) -> bool {
        match stream {
            JudgeStream::Local(stream) => SimNet::hung_up(stream),
            JudgeStream::Tcp(tcp) => {
                let mut tcp = lock(tcp);
                if tcp.ahead.is_empty() && !tcp.ended {
                    look_ahead(&mut tcp);
                }
                tcp.ahead.is_empty() && tcp.ended
            }
        }
    }
}

fn machine_at(ip: IpAddr, own: MachineId) -> io::Result<MachineId> {
    if ip.is_loopback() || ip.is_unspecified() {
        return Ok(own);
    }
    world::with(|w| w.machine_at(ip)).ok_or_else(|| io::ErrorKind::HostUnreachable.into())
}

fn look_ahead<S: AsyncRead + Unpin>(tcp: &mut Tcp<S>) {
    let mut bytes = [0; AHEAD];
    let mut buffer = ReadBuf::new(&mut bytes);
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(&mut tcp.stream).poll_read(&mut cx, &mut buffer) {
        Poll::Pending => {}
        Poll::Ready(Err(_)) => tcp.ended = true,
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => tcp.ended = true,
        Poll::Ready(Ok(())) => tcp.ahead.extend_from_slice(buffer.filled()),
    }
}

impl<K: Kernel> Listener for JudgeListener<K> {
    type Stream = JudgeStream<K>;

    async fn accept(&mut self) -> io::Result<(JudgeStream<K>, Peer)> {
        match self {
            Self::Local(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((JudgeStream::Local(stream), peer))
            }
            Self::Tcp(socket, own, machine) => {
                let (stream, addr) = K::accept(socket).await?;
                let target = machine_at(addr.ip(), *machine)?;
                let tcp = Tcp {
                    stream,
                    ahead: Vec::new(),
                    ended: false,
                    source: *machine,
                    target,
                    port: own.port(),
                    connected: false,
                };
                let peer = Peer { addr: Addr::Ip(addr), credential: None };
                Ok((JudgeStream::Tcp(Mutex::new(tcp)), peer))
            }
        }
    }

    fn local_addr(&self) -> io::Result<Addr> {
        match self {
            Self::Local(listener) => listener.local_addr(),
            Self::Tcp(_, addr, _) => Ok(Addr::Ip(*addr)),
        }
    }
}

impl<K: Kernel> AsyncRead for JudgeStream<K> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tcp(tcp) => {
                let tcp = inner(tcp);
                if !tcp.ahead.is_empty() {
                    let count = tcp.ahead.len().min(buffer.remaining());
                    buffer.put_slice(&tcp.ahead[..count]);
                    tcp.ahead.drain(..count);
                    return Poll::Ready(Ok(()));
                }
                if tcp.ended {
                    return Poll::Ready(Ok(()));
                }
                Pin::new(&mut tcp.stream).poll_read(cx, buffer)
            }
        }
    }
}

impl<K: Kernel> AsyncWrite for JudgeStream<K> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Local(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tcp(tcp) => {
                let tcp = inner(tcp);
                let (source, target) = (tcp.source, tcp.target);
                let (port, connected) = (tcp.port, tcp.connected);
                if world::with(|w| tap_send(w, source, target, port, connected)) {
                    return Poll::Ready(Ok(bytes.len()));
                }
                Pin::new(&mut tcp.stream).poll_write(cx, bytes)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(tcp) => Pin::new(&mut inner(tcp).stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(tcp) => Pin::new(&mut inner(tcp).stream).poll_shutdown(cx),
        }
    }
}
