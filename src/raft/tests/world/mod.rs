//! A real machine for tests: tokio, loopback sockets and a folder on the disk.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test world reaches the real machine and may fail at once"
)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flurm_base::{Span, Time};
use flurm_rt::{
    Access, Addr, Child, Clock, Container, Entry, Env, ExitStatus, File, Fs, Ident, Listener, Net,
    OpenMode, Peer, Proc, Spawn, SpawnError, SpawnStage, Usage, User,
};
use openraft_rt_tokio::TokioRuntime;
use rand::Rng;

/// One machine.
#[derive(Clone, Default)]
pub(crate) struct World {
    net: Arc<TestNet>,
    pub(crate) fs: Arc<TestFs>,
}

/// The network.
#[derive(Default)]
pub(crate) struct TestNet;

/// The disk; syncs are counted and can be made to fail.
#[derive(Clone, Default)]
pub(crate) struct TestFs {
    pub(crate) syncs: Arc<Syncs>,
}

/// What happened to syncs, and what is to happen.
#[derive(Default)]
pub(crate) struct Syncs {
    count: AtomicU64,
    pub(crate) fail: AtomicBool,
}

impl Syncs {
    fn sync(&self, file: &std::fs::File) -> io::Result<()> {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.fail.load(Ordering::Relaxed) {
            return Err(io::Error::other("the test made this sync fail"));
        }
        file.sync_data()
    }
}

impl World {
    pub(crate) fn syncs(&self) -> u64 {
        self.fs.syncs.count.load(Ordering::Relaxed)
    }
}

impl Env for World {
    type Rt = TokioRuntime;
    type Net = TestNet;
    type Fs = TestFs;
    type Clock = NoClock;
    type Proc = NoProc;
    type Ident = NoIdent;

    fn net(&self) -> &TestNet {
        &self.net
    }

    fn fs(&self) -> &TestFs {
        &self.fs
    }

    fn clock(&self) -> &NoClock {
        &NoClock
    }

    fn proc(&self) -> &NoProc {
        &NoProc
    }

    fn ident(&self) -> &NoIdent {
        &NoIdent
    }

    fn random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }

    fn hostname(&self) -> String {
        "test".to_owned()
    }
}

pub(crate) struct TestListener(tokio::net::TcpListener);

fn only_ip(addr: &Addr) -> io::Result<SocketAddr> {
    match addr {
        Addr::Ip(addr) => Ok(*addr),
        Addr::Local(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

impl Net for TestNet {
    type Stream = tokio::net::TcpStream;
    type Listener = TestListener;

    async fn listen(&self, addr: &Addr) -> io::Result<TestListener> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(only_ip(addr)?)?;
        Ok(TestListener(socket.listen(64)?))
    }

    async fn connect(&self, addr: &Addr) -> io::Result<tokio::net::TcpStream> {
        let stream = tokio::net::TcpStream::connect(only_ip(addr)?).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn hung_up(_stream: &tokio::net::TcpStream) -> bool {
        false
    }
}

impl Listener for TestListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(tokio::net::TcpStream, Peer)> {
        let (stream, addr) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Peer { addr: Addr::Ip(addr), credential: None }))
    }

    fn local_addr(&self) -> io::Result<Addr> {
        self.0.local_addr().map(Addr::Ip)
    }
}

pub(crate) struct TestFile {
    file: std::fs::File,
    syncs: Arc<Syncs>,
}

impl Fs for TestFs {
    type File = TestFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<TestFile> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Update => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        let file = options.open(path)?;
        Ok(TestFile { file, syncs: Arc::clone(&self.syncs) })
    }

    async fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let bytes = std::fs::read(path)?;
        if max < bytes.len() { Err(io::Error::other("too long")) } else { Ok(bytes) }
    }

    async fn replace(&self, path: &Path, bytes: &[u8], _unix_mode: u32) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, bytes)?;
        self.syncs.sync(&std::fs::File::open(&temporary)?)?;
        std::fs::rename(&temporary, path)?;
        self.sync_dir(path.parent().unwrap()).await
    }

    async fn rename(&self, source: &Path, target: &Path) -> io::Result<()> {
        std::fs::rename(source, target)
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    async fn remove_tree(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    async fn create_folder(&self, path: &Path, _unix_mode: u32) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            let name = entry.file_name().into_string().unwrap();
            entries.push(Entry { name, folder: meta.is_dir(), len: meta.len() });
        }
        entries.sort();
        Ok(entries)
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.syncs.sync(&std::fs::File::open(path)?)
    }

    async fn access(&self, path: &Path) -> io::Result<Access> {
        std::fs::metadata(path)?;
        Ok(Access { uid: 0, unix_mode: 0o600 })
    }

    async fn set_mode(&self, _path: &Path, _unix_mode: u32) -> io::Result<()> {
        Ok(())
    }

    async fn set_owner(&self, _path: &Path, _uid: u32, _gid: u32) -> io::Result<()> {
        Ok(())
    }
}

impl File for TestFile {
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            let got = self.file.read_at(&mut bytes[filled..], offset + filled as u64)?;
            if got == 0 {
                break;
            }
            filled += got;
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    async fn write_at(&self, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        self.file.write_all_at(&bytes, offset)
    }

    async fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|meta| meta.len())
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    async fn sync(&self) -> io::Result<()> {
        self.syncs.sync(&self.file)
    }
}

/// Replication asks for no clock.
pub(crate) struct NoClock;

impl Clock for NoClock {
    fn wall(&self) -> Time {
        unreachable!("replication asks for no wall clock")
    }

    fn monotonic(&self) -> Span {
        unreachable!("replication takes time from its runtime")
    }

    fn boot(&self) -> Time {
        unreachable!("replication asks for no wall clock")
    }
}

/// Replication starts no processes.
pub(crate) struct NoProc;
pub(crate) struct NoChild;
pub(crate) struct NoContainer;

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) enum NoTerminal {}

impl flurm_rt::Terminal for NoTerminal {
    fn resize(&self, _window: flurm_rt::Window) -> io::Result<()> {
        unsupported()
    }
}

impl Child for NoChild {
    type Pipe = tokio::io::Empty;
    type Terminal = NoTerminal;

    fn take_terminal(&mut self) -> Option<NoTerminal> {
        None
    }

    fn take_pipe(&mut self, _which: flurm_rt::Standard) -> Option<tokio::io::Empty> {
        None
    }

    fn pid(&self) -> u32 {
        0
    }

    async fn wait(&mut self) -> io::Result<ExitStatus> {
        unsupported()
    }
}

impl Container for NoContainer {
    async fn signal(&self, _signal: i32) -> io::Result<bool> {
        unsupported()
    }

    async fn signal_first(&self, _signal: i32) -> io::Result<bool> {
        unsupported()
    }

    async fn kill(&self) -> io::Result<bool> {
        unsupported()
    }

    async fn pids(&self) -> io::Result<Vec<u32>> {
        unsupported()
    }

    async fn usage(&self) -> io::Result<Usage> {
        unsupported()
    }

    async fn remove(&self) -> io::Result<()> {
        unsupported()
    }
}

impl Proc for NoProc {
    type Child = NoChild;
    type Container = NoContainer;

    async fn spawn(&self, _spawn: Spawn) -> Result<NoChild, SpawnError> {
        Err(SpawnError { stage: SpawnStage::Fork, source: io::ErrorKind::Unsupported.into() })
    }

    async fn container(&self, _name: &str) -> io::Result<NoContainer> {
        unsupported()
    }

    fn alive(&self, _pid: u32, _started: u64) -> bool {
        false
    }

    fn started_at(&self, _pid: u32) -> Option<u64> {
        None
    }

    fn own_pid(&self) -> u32 {
        0
    }
}

/// Replication knows no users.
pub(crate) struct NoIdent;

impl Ident for NoIdent {
    async fn user_by_id(&self, _uid: u32) -> io::Result<Option<User>> {
        unsupported()
    }

    async fn user_by_name(&self, _name: &str) -> io::Result<Option<User>> {
        unsupported()
    }

    async fn group_name(&self, _gid: u32) -> io::Result<Option<String>> {
        unsupported()
    }
}

/// Waits for something, at most `secs` seconds.
pub(crate) async fn within<T>(secs: u64, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(std::time::Duration::from_secs(secs), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {secs} s"),
    }
}
