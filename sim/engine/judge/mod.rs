//! What the judges have in common: other people's executors, timers and networks under the same
//! machines. A kernel says how its runtime spawns, sleeps and connects; everything else is here.
//!
//! Built with `--cfg madsim` only.

mod groups;
mod net;
mod runtime;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::world::{MachineId, Nanos, TaskFuture};

pub use groups::GroupLauncher;
pub(super) use groups::{clear, first_panic};
pub use net::{JudgeListener, JudgeNet, JudgeStream};
pub use runtime::{JudgeInstant, JudgeRng, JudgeRt, JudgeTimeout};

/// Another runtime.
pub trait Kernel: std::fmt::Debug + Send + Sync + 'static {
    /// A sleep.
    type Sleep: Future<Output = ()> + Send + 'static;
    /// A connected stream.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// A listening socket.
    type Socket: Send + 'static;

    /// Runs a task on a machine.
    fn spawn(machine: MachineId, task: TaskFuture);
    /// Drops a task of a killed process, where its runtime allows sockets to be dropped.
    fn discard(_machine: MachineId, task: TaskFuture) {
        drop(task);
    }
    /// Sleeps.
    fn sleep(span: Duration) -> Self::Sleep;
    /// Virtual time.
    fn now() -> Nanos;
    /// Listens on a port of this machine.
    fn listen(
        machine: MachineId,
        port: u16,
    ) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;
    /// Accepts.
    fn accept(
        socket: &mut Self::Socket,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
    /// Connects.
    fn connect(
        machine: MachineId,
        addr: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}
