//! The abstract runtime: everything a component may ask of the world.
//!
//! A component is generic over one [`Env`] and is bound to the operating system in `bin`, or to a
//! simulated world in `sim`. Nothing in a component reaches around it: a lint refuses clocks, files,
//! sockets, threads and the environment everywhere but in the crates that implement these traits.
//!
//! Tasks, sleeping, channels, select and Raft's randomness come from [`AsyncRuntime`], which is
//! openraft's own abstraction, so Raft and FLURM's components share one runtime.

mod disk;
mod net;
mod process;

pub use disk::{Access, Entry, File, Fs, OpenMode};
pub use net::{Addr, Listener, Net, Peer, PeerCredential};
pub use openraft_rt::{
    AsyncRuntime, Instant, Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Mutex, Oneshot,
    OneshotSender, Select2, Select3, Select4, TryRecvError, Watch, WatchReceiver, WatchSender,
};
pub use process::{
    Child, Container, ExitStatus, Ident, Limit, Output, Proc, Spawn, SpawnError, SpawnStage,
    Standard, Terminal, Usage, User, Window,
};

use flurm_base::{Span, Time};

/// One bundle of everything outside. Cloning is cheap; every clone is the same machine.
pub trait Env: Clone + Send + Sync + 'static {
    /// Tasks, timers, channels.
    type Rt: AsyncRuntime;
    /// Sockets.
    type Net: Net;
    /// Files.
    type Fs: Fs;
    /// Clocks.
    type Clock: Clock;
    /// Processes of this machine.
    type Proc: Proc;
    /// Users and groups as this machine knows them.
    type Ident: Ident;

    /// The network of this machine.
    fn net(&self) -> &Self::Net;
    /// The disk of this machine.
    fn fs(&self) -> &Self::Fs;
    /// The clocks of this machine.
    fn clock(&self) -> &Self::Clock;
    /// The process table of this machine.
    fn proc(&self) -> &Self::Proc;
    /// The user database of this machine.
    fn ident(&self) -> &Self::Ident;
    /// Fills `bytes` with unpredictable bytes (seeded ones in simulation).
    fn random(&self, bytes: &mut [u8]);
    /// This machine's host name, without domain.
    fn hostname(&self) -> String;
}

/// Clocks. The wall clock may jump and be wrong; the monotonic one never goes back.
pub trait Clock: Send + Sync + 'static {
    /// Time of day, for records and for what users see. Never for time-outs.
    fn wall(&self) -> Time;
    /// Time since some fixed moment of this machine's run; only differences mean something.
    fn monotonic(&self) -> Span;
    /// Wall time at which this machine booted (whole seconds are enough).
    fn boot(&self) -> Time;
}
