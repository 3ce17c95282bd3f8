//! TCP and unix sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use flurm_rt::{Addr, Listener, Net, Peer, PeerCredential};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Connections the kernel holds until they are accepted: a burst of clients waits rather than fails.
const BACKLOG: u32 = 4_096;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Pause before another try at a local socket whose queue is full.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Tries to get a folder's turn, and the pause between them: a turn takes two or three system calls.
const TURN_TRIES_MAX: usize = 500;
const TURN_PAUSE: Duration = Duration::from_millis(4);
/// Longest path a unix socket address can hold, without its final NUL.
const LOCAL_PATH_BYTES_MAX: usize = 107;

/// The kernel's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// Between machines.
    Tcp(TcpStream),
    /// Within this machine.
    Local(UnixStream),
}

impl Stream {
    /// Who is at the other end of a local socket, as the kernel recorded it; `None` for TCP.
    pub fn credential(&self) -> io::Result<Option<PeerCredential>> {
        let Self::Local(stream) = self else { return Ok(None) };
        let peer = stream.peer_cred()?;
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        Ok(Some(PeerCredential { pid, uid: peer.uid(), gid: peer.gid() }))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Local(stream) => stream.as_fd(),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum SocketListener {
    /// Between machines.
    Tcp(TcpListener),
    /// Within this machine, at this path.
    Local(UnixListener, PathBuf),
}

impl Net for Network {
    type Stream = Stream;
    type Listener = SocketListener;

    async fn listen(&self, addr: &Addr) -> io::Result<SocketListener> {
        match addr {
            Addr::Ip(addr) => listen_tcp(*addr).map(SocketListener::Tcp),
            Addr::Local(path) => {
                listen_local(path).await.map(|socket| SocketListener::Local(socket, path.clone()))
            }
        }
    }

    async fn connect(&self, addr: &Addr) -> io::Result<Stream> {
        match addr {
            Addr::Ip(addr) => {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Addr::Local(path) => {
                let short = ShortPath::of(path)?;
                loop {
                    match UnixStream::connect(&short.path).await {
                        // Its queue is full. TCP would wait for its turn, so a local socket does.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            tokio::time::sleep(FULL_PAUSE).await;
                        }
                        connected => return connected.map(Stream::Local),
                    }
                }
            }
        }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut addrs: Vec<SocketAddr> = Vec::new();
        for addr in tokio::net::lookup_host((host, port)).await? {
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        Ok(addrs)
    }

    fn hung_up(stream: &Stream) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        loop {
            return match rustix::net::recv(stream.fd(), &mut [0u8; 1], flags) {
                Ok((count, _)) => count == 0,
                Err(rustix::io::Errno::AGAIN) => false,
                Err(rustix::io::Errno::INTR) => continue,
                // A reset or otherwise broken connection.
                Err(_) => true,
            };
        }
    }
}

impl Listener for SocketListener {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<(Stream, Peer)> {
        loop {
            match self.accept_one().await {
                Ok(accepted) => return Ok(accepted),
                Err(error) if passes_by_itself(&error) => {}
                Err(error) if out_of_room(&error) => {
                    tracing::warn!(%error, "could not accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Addr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Addr::Ip),
            Self::Local(_, path) => Ok(Addr::Local(path.clone())),
        }
    }
}

impl SocketListener {
    async fn accept_one(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, addr) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer { addr: Addr::Ip(addr), credential: None }))
            }
            Self::Local(socket, path) => {
                let (stream, _) = socket.accept().await?;
                let stream = Stream::Local(stream);
                let credential = stream.credential()?;
                Ok((stream, Peer { addr: Addr::Local(path.clone()), credential }))
            }
        }
    }
}

/// Errors of one incoming connection, not of the listening socket: accept(2) asks to treat them
/// like "try again".
fn passes_by_itself(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    let passing = [
        libc::ECONNABORTED,
        libc::ECONNRESET,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::ENONET,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::EOPNOTSUPP,
        libc::ENOTCONN,
        libc::EINVAL,
        libc::EINTR,
    ];
    errno.is_some_and(|errno| passing.contains(&errno))
}

fn out_of_room(error: &io::Error) -> bool {
    let scarce = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| scarce.contains(&errno))
}

fn listen_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted daemon takes its port back although old connections still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Listens at a path. A socket file nobody listens at is the leftover of a daemon that died.
///
/// Daemons that start at the same time may want the same path. Between bind(2) and listen(2) of one
/// its socket refuses connections like a leftover, so whoever looks holds the folder's lock.
async fn listen_local(path: &Path) -> io::Result<UnixListener> {
    let short = ShortPath::of(path)?;
    let _turn = FolderTurn::take(path).await?;
    match UnixListener::bind(&short.path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        bound => return bound,
    }
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        let text = format!("{} exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(&short.path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)?;
            UnixListener::bind(&short.path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => UnixListener::bind(&short.path),
        // A full queue has somebody behind it.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The turn to put a socket into a folder: a lock of the folder itself, which ends with its holder.
struct FolderTurn {
    _folder: std::os::fd::OwnedFd,
}

impl FolderTurn {
    /// Waits for the turn, at most [`TURN_TRIES_MAX`] times [`TURN_PAUSE`].
    async fn take(path: &Path) -> io::Result<Self> {
        use rustix::fs::{FlockOperation, Mode, OFlags};
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(parent, flags, Mode::empty())?;
        for _ in 0..TURN_TRIES_MAX {
            match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _folder: folder }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            tokio::time::sleep(TURN_PAUSE).await;
        }
        let text = format!("{} is locked by another process", parent.display());
        Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
    }
}

/// A way to name a socket file whose path does not fit into a socket address: through its folder,
/// opened and held. Spool folders are the administrator's choice and may lie deep.
struct ShortPath {
    path: PathBuf,
    _folder: Option<std::os::fd::OwnedFd>,
}

impl ShortPath {
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        if path.as_os_str().len() <= LOCAL_PATH_BYTES_MAX {
            return Ok(Self { path: path.to_path_buf(), _folder: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(parent, flags, Mode::empty())?;
        let held = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        Ok(Self { path: held.join(name), _folder: Some(folder) })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Local(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Local(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
