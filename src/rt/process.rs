//! Processes with an identity, and the containers that hold a job's whole process tree.

use std::future::Future;
use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};

/// Where one of the three standard streams goes. Files are opened as the target user, after the
/// identity and the working directory are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// `/dev/null`.
    Null,
    /// Read (stdin) or write (stdout, stderr) a file.
    File {
        /// Relative to the working directory.
        path: PathBuf,
        /// Append instead of truncate (stdout, stderr).
        append: bool,
    },
    /// Same as stdout (stderr only).
    SameAsStdout,
    /// Inherited from the spawning process.
    Inherit,
    /// A fresh pipe, whose other end is had with [`Child::take_pipe`].
    Pipe,
    /// The same as a terminal (stdout only), so that programs do not hold their output back. It
    /// changes nothing of what is written, and controls nobody.
    RawTerminal,
}

/// One of the three standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standard {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// The daemon's hold on the terminal of a process.
pub trait Terminal: Send + Sync + 'static {
    /// Gives it another size, of which the processes before it are told by SIGWINCH.
    fn resize(&self, window: Window) -> io::Result<()>;
}

/// One resource limit (soft), by its `RLIMIT_` name without the prefix, e.g. `NOFILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `CPU`, `FSIZE`, `DATA`, `STACK`, `CORE`, `RSS`, `NPROC`, `NOFILE`, `MEMLOCK` or `AS`.
    pub name: String,
    /// Value; `u64::MAX` is unlimited.
    pub soft: u64,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// Executable.
    pub program: PathBuf,
    /// Arguments, `argv[0]` first.
    pub argv: Vec<String>,
    /// The whole environment, `NAME=value`.
    pub environment: Vec<String>,
    /// A variable to add to the environment that holds the process's own id.
    pub own_pid_variable: Option<String>,
    /// Working directory, entered as the target user.
    pub work_dir: PathBuf,
    /// Identity to take; `None` keeps the daemon's own.
    pub user: Option<User>,
    /// File creation mask; `None` keeps the daemon's own.
    pub umask: Option<u32>,
    /// Soft limits to set.
    pub limits: Vec<Limit>,
    /// Standard input.
    pub stdin: Output,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// A fresh terminal in place of the three streams, which then are not looked at. It controls the
    /// process and belongs to its user; [`Child::take_pipe`] gives the other end, for input and for
    /// output.
    pub terminal: Option<Window>,
    /// Container the process starts in, made by [`Proc::container`].
    pub container: Option<String>,
    /// True for a process that must outlive its parent: own session, not killed with the daemon,
    /// never waited for through [`Child`].
    pub detached: bool,
}

/// The stage at which a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnStage {
    /// No process could be made.
    Fork,
    /// The identity could not be taken.
    Identity,
    /// The working directory could not be entered.
    WorkDir,
    /// Standard input could not be opened.
    Stdin,
    /// Standard output could not be opened.
    Stdout,
    /// Standard error could not be opened.
    Stderr,
    /// The program could not be executed.
    Exec,
}

/// Why a start failed.
#[derive(Debug)]
pub struct SpawnError {
    /// The stage at which it failed.
    pub stage: SpawnStage,
    /// What the system said.
    pub source: io::Error,
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not start the process ({:?}): {}", self.stage, self.source)
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// How a process ended, as `wait(2)` encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExitStatus(pub u32);

impl ExitStatus {
    /// Ended by `exit(code)`.
    pub fn exited(code: u8) -> Self {
        Self(u32::from(code) << 8)
    }

    /// Ended by a signal.
    pub fn signaled(signal: u8) -> Self {
        Self(u32::from(signal & 0x7f))
    }

    /// Exit code, when it exited.
    pub fn code(self) -> Option<u8> {
        if self.0 & 0x7f == 0 { Some((self.0 >> 8) as u8) } else { None }
    }

    /// Signal, when one ended it.
    pub fn signal(self) -> Option<u8> {
        if self.0 & 0x7f == 0 { None } else { Some((self.0 & 0x7f) as u8) }
    }
}

/// What a container has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User CPU time, microseconds.
    pub user_us: u64,
    /// System CPU time, microseconds.
    pub system_us: u64,
    /// Largest resident set, KiB.
    pub max_rss_kib: u64,
}

/// A started process.
pub trait Child: Send + 'static {
    /// The daemon's end of a pipe: to write to a process's input, or to read its output.
    type Pipe: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The daemon's hold on a terminal.
    type Terminal: Terminal;

    /// The other end of a stream that was started as [`Output::Pipe`], once. Dropping it closes it.
    fn take_pipe(&mut self, which: Standard) -> Option<Self::Pipe>;
    /// The terminal that it was started with, once.
    fn take_terminal(&mut self) -> Option<Self::Terminal>;
    /// Process id.
    fn pid(&self) -> u32;
    /// Waits for its end. Cancellation is harmless.
    fn wait(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + Send;
}

/// Holds every process a step starts, however it daemonises: a cgroup where there is one, else the
/// process group and subreaper children of the step daemon.
pub trait Container: Send + Sync + 'static {
    /// Sends a signal to every process inside. True when there was one.
    fn signal(&self, signal: i32) -> impl Future<Output = io::Result<bool>> + Send;
    /// Sends a signal to the process that was started in it first. True when there was one.
    fn signal_first(&self, signal: i32) -> impl Future<Output = io::Result<bool>> + Send;
    /// Kills everything inside at once, whatever it forks meanwhile. True when there was one.
    fn kill(&self) -> impl Future<Output = io::Result<bool>> + Send;
    /// Process ids inside.
    fn pids(&self) -> impl Future<Output = io::Result<Vec<u32>>> + Send;
    /// What was used.
    fn usage(&self) -> impl Future<Output = io::Result<Usage>> + Send;
    /// Removes the empty container.
    fn remove(&self) -> impl Future<Output = io::Result<()>> + Send;
}

/// The processes of one machine.
pub trait Proc: Send + Sync + 'static {
    /// A started process.
    type Child: Child;
    /// A process container.
    type Container: Container;

    /// Starts a process.
    fn spawn(&self, spawn: Spawn) -> impl Future<Output = Result<Self::Child, SpawnError>> + Send;
    /// Makes or opens the container of this name (letters, digits, `_`, `.`, `-`). The same name
    /// opens the same container from another process.
    fn container(&self, name: &str) -> impl Future<Output = io::Result<Self::Container>> + Send;
    /// True while a process with this id that started at `started` (as [`Proc::started_at`] said)
    /// exists; guards against reused ids.
    fn alive(&self, pid: u32, started: u64) -> bool;
    /// An opaque start stamp of a living process, `None` when there is no such process.
    fn started_at(&self, pid: u32) -> Option<u64>;
    /// This process's own id.
    fn own_pid(&self) -> u32;
}

/// A user with all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
    /// Supplementary group ids, primary included.
    pub groups: Vec<u32>,
}

/// Users and groups as this machine knows them.
pub trait Ident: Send + Sync + 'static {
    /// Looks a user up by id. `Ok(None)` when there is none.
    fn user_by_id(&self, uid: u32) -> impl Future<Output = io::Result<Option<User>>> + Send;
    /// Looks a user up by name. `Ok(None)` when there is none.
    fn user_by_name(&self, name: &str) -> impl Future<Output = io::Result<Option<User>>> + Send;
    /// The name of a group. `Ok(None)` when there is none.
    fn group_name(&self, gid: u32) -> impl Future<Output = io::Result<Option<String>>> + Send;
}
