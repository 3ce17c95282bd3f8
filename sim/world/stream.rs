//! `rt::Net` over the network model.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use flurm_rt::{Addr, Listener, Net, Peer, PeerCredential};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::env::Place;
use super::net::{self, Ask, ConnId, End, Found, Knock, Port};
use super::process::ProcKey;
use super::{MachineId, Nanos, SECOND, wait};

/// Connection requests are repeated after 1, 2, 4… seconds, this often.
const CONNECT_TRIES: u32 = 7;
/// A resolver without an answering server gives up after this long.
const NAMES_WAIT: Nanos = 5 * SECOND;

/// The network as one process sees it.
#[derive(Clone, Debug)]
pub struct SimNet(pub(crate) Place);

/// A connected byte stream.
#[derive(Debug)]
pub struct SimStream(End);

/// A listening socket.
#[derive(Debug)]
pub struct SimListener {
    machine: MachineId,
    process: ProcKey,
    port: Port,
    id: u64,
}

fn local_name(path: &Path) -> Arc<str> {
    Arc::from(path.to_string_lossy())
}

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(name)
}

impl SimNet {
    fn ask(&self, target: MachineId, port: Port) -> Ask {
        let Place { machine, process } = self.0;
        let credential = super::with(|w| {
            let own = w.processes.get(process);
            own.map_or(PeerCredential { pid: 1, uid: 0, gid: 0 }, |own| PeerCredential {
                pid: own.pid,
                uid: own.uid,
                gid: own.gid,
            })
        });
        Ask { source: machine, process, target, port, credential }
    }

    fn target(&self, ip: IpAddr) -> Option<MachineId> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(self.0.machine);
        }
        super::with(|w| w.machine_at(ip))
    }

    async fn connect_to(&self, ask: Ask) -> io::Result<SimStream> {
        if let Port::Local(_) = ask.port {
            // Within a machine the kernel makes the connection before it returns.
            return match super::with(|w| net::knock(w, &ask)) {
                Knock::Open(conn, _) => Ok(SimStream(End { conn, side: 0 })),
                Knock::Refused(_) => Err(io::ErrorKind::ConnectionRefused.into()),
                Knock::Silence => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        for attempt in 0..CONNECT_TRIES {
            let there = super::with(|w| {
                let far = ask.source != ask.target;
                if far { w.rng.net.range(w.net.latency.min..=w.net.latency.max) } else { 10_000 }
            });
            wait(there).await;
            match super::with(|w| net::knock(w, &ask)) {
                Knock::Open(conn, back) => {
                    let stream = SimStream(End { conn, side: 0 });
                    wait(back).await;
                    return Ok(stream);
                }
                Knock::Refused(back) => {
                    wait(back).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Knock::Silence => wait(SECOND << attempt).await,
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn listen(&self, addr: &Addr) -> io::Result<SimListener> {
        let Place { machine, process } = self.0;
        let port = match addr {
            Addr::Ip(addr) => Port::Tcp(addr.port()),
            Addr::Local(path) => Port::Local(local_name(path)),
        };
        let (id, port) = super::with(|w| net::listen(w, machine, port))?;
        Ok(SimListener { machine, process, port, id })
    }

    async fn connect(&self, addr: &Addr) -> io::Result<SimStream> {
        let ask = match addr {
            Addr::Ip(addr) => match self.target(addr.ip()) {
                Some(target) => self.ask(target, Port::Tcp(addr.port())),
                None => {
                    wait(3 * SECOND).await;
                    return Err(io::ErrorKind::HostUnreachable.into());
                }
            },
            Addr::Local(path) => self.ask(self.0.machine, Port::Local(local_name(path))),
        };
        self.connect_to(ask).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if host == "localhost" {
            return Ok(vec![SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)]);
        }
        if super::with(|w| w.machine(self.0.machine).troubles.sum().names_fail) {
            flurm_base::sometimes!("a name did not resolve");
            wait(NAMES_WAIT).await;
            let text = format!("could not ask for {host}: no name server answers");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let found = super::with(|w| w.machine_named(host).map(|id| w.machine(id).ip));
        match found {
            Some(ip) => Ok(vec![SocketAddr::new(ip, port)]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("unknown host {host}"))),
        }
    }

    fn hung_up(stream: &SimStream) -> bool {
        super::with(|w| net::hung_up(w, stream.0))
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<(SimStream, Peer)> {
        let accept = |cx: &mut Context<'_>| {
            let next = super::with(|w| net::accept(w, self.machine, &self.port, cx.waker()));
            next.map_or(Poll::Pending, Poll::Ready)
        };
        let conn: ConnId = poll_fn(accept).await;
        let end = End { conn, side: 1 };
        let peer = super::with(|w| {
            net::adopt(w, end, self.process);
            let conn = w.net.conn(conn)?;
            Some(match &self.port {
                Port::Tcp(_) => Peer { addr: Addr::Ip(conn.addrs[0]), credential: None },
                Port::Local(path) => {
                    Peer { addr: Addr::Local(path_of(path)), credential: Some(conn.credential) }
                }
            })
        });
        let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok((SimStream(end), peer))
    }

    fn local_addr(&self) -> io::Result<Addr> {
        Ok(match &self.port {
            Port::Tcp(port) => {
                let ip = super::with(|w| w.machine(self.machine).ip);
                Addr::Ip(SocketAddr::new(ip, *port))
            }
            Port::Local(path) => Addr::Local(path_of(path)),
        })
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        super::try_with(|w| net::unlisten(w, self.machine, &self.port, self.id));
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match super::with(|w| net::read(w, self.0, buffer, cx.waker())) {
            Ok(Found::Bytes(_)) => Poll::Ready(Ok(())),
            Ok(Found::End) => Poll::Ready(Ok(())),
            Ok(Found::Nothing) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match super::with(|w| net::write(w, self.0, bytes, cx.waker())) {
            Ok(Some(taken)) => Poll::Ready(Ok(taken)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        super::with(|w| net::shut(w, self.0));
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        super::try_with(|w| net::close(w, self.0, false));
    }
}
