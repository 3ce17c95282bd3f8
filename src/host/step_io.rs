//! The channel to a client of a step, which carries the input and output of its tasks.

use std::net::SocketAddr;
use std::time::Duration;

use flurm_node::step::{Window, sendable};
use flurm_rt::{Addr, AsyncRuntime, Env, Net, Terminal};
use flurm_wire::io_channel::{self, HEADER_BYTES, Header};
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf, WriteHalf, split};

use crate::step_hub::{Hub, Source};

/// A client must be reached within this time.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes read from a task at once.
const READ_BYTES: usize = 16 * 1024;
/// A line that is longer is sent in pieces.
const LINE_BYTES_MAX: usize = 1024;

pub(crate) type StreamOf<E> = <<E as Env>::Net as Net>::Stream;
/// The way from a client.
pub(crate) type Downlink<E> = ReadHalf<StreamOf<E>>;
/// The way to a client.
pub(crate) type Uplink<E> = WriteHalf<StreamOf<E>>;

/// Connects to a client.
///
/// # Errors
/// Why it cannot be reached, in words.
pub(crate) async fn connect<E: Env>(
    env: &E,
    addr: SocketAddr,
) -> Result<(Downlink<E>, Uplink<E>), String> {
    let target = Addr::Ip(addr);
    let connecting = env.net().connect(&target);
    match E::Rt::timeout(CONNECT_MAX, connecting).await {
        Ok(Ok(stream)) => Ok(split(stream)),
        Ok(Err(error)) => Err(format!("srun at {addr}: {error}")),
        Err(_) => Err(format!("srun at {addr}: connection timed out")),
    }
}

/// Passes on what a task writes, to its end.
pub(crate) async fn pump<E: Env>(
    mut pipe: impl AsyncRead + Unpin + Send,
    hub: Hub<E>,
    source: Source,
) {
    let Source { stream, gtaskid, ltaskid, buffered } = source;
    let mut pending = Vec::with_capacity(READ_BYTES);
    loop {
        pending.reserve(READ_BYTES);
        match pipe.read_buf(&mut pending).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let now = sendable(buffered, &pending, LINE_BYTES_MAX);
        if now > 0 {
            hub.send(&io_channel::build(stream, gtaskid, ltaskid, &pending[..now])).await;
            pending.drain(..now);
        }
    }
    if !pending.is_empty() {
        hub.send(&io_channel::build(stream, gtaskid, ltaskid, &pending)).await;
    }
    source.end(&hub).await;
}

/// Hands a client's input to the tasks, until the client is gone.
pub(crate) async fn feed<E: Env>(mut downlink: Downlink<E>, hub: &Hub<E>) {
    loop {
        let mut head = [0; HEADER_BYTES];
        if downlink.read_exact(&mut head).await.is_err() {
            return;
        }
        let header = match Header::from_bytes(head) {
            Ok(header) => header,
            Err(error) => {
                tracing::warn!("input of a step makes no sense: {error}");
                return;
            }
        };
        let mut payload = vec![0; usize::from(header.length)];
        if downlink.read_exact(&mut payload).await.is_err() {
            return;
        }
        hub.take_input(&header, &payload).await;
    }
}

/// Gives a task's terminal the size of srun's own, as often as that changes.
pub(crate) async fn follow_window<E: Env>(env: E, addr: SocketAddr, terminal: impl Terminal) {
    let mut downlink = match connect(&env, addr).await {
        Ok((downlink, _uplink)) => downlink,
        Err(text) => {
            tracing::info!("changes of a window's size will go unnoticed: {text}");
            return;
        }
    };
    let mut bytes = [0; Window::BYTES];
    while downlink.read_exact(&mut bytes).await.is_ok() {
        let Window { rows, columns } = Window::from_bytes(bytes);
        if let Err(error) = terminal.resize(flurm_rt::Window { rows, columns }) {
            tracing::info!("could not resize a terminal: {error}");
            return;
        }
    }
}
