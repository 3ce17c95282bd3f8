//! The channel to srun that carries the input and output of a step's tasks.
//!
//! When it breaks, tasks run on: their output is taken and dropped, and their input ends.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flurm_node::step::sendable;
use flurm_rt::{Addr, AsyncRuntime, Env, Mutex as AsyncMutex, Net};
use flurm_wire::io_channel::{self, HEADER_BYTES, Header, Introduction, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};

/// srun must be reached within this time.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes read from a task at once.
const READ_BYTES: usize = 16 * 1024;
/// A line that is longer is sent in pieces.
const LINE_BYTES_MAX: usize = 1024;

type StreamOf<E> = <<E as Env>::Net as Net>::Stream;
type Lock<E, T> = <<E as Env>::Rt as AsyncRuntime>::Mutex<T>;

/// The way to srun. Clones are the same one.
pub(crate) struct Uplink<E: Env> {
    /// `None` once it is broken.
    half: Arc<Lock<E, Option<WriteHalf<StreamOf<E>>>>>,
}

impl<E: Env> Clone for Uplink<E> {
    fn clone(&self) -> Self {
        Self { half: self.half.clone() }
    }
}

/// The way from srun.
pub(crate) type Downlink<E> = ReadHalf<StreamOf<E>>;

/// Connects to srun and introduces this node.
///
/// # Errors
/// Why srun cannot be reached, in words.
pub(crate) async fn connect<E: Env>(
    env: &E,
    addr: SocketAddr,
    introduction: &Introduction,
) -> Result<(Uplink<E>, Downlink<E>), String> {
    let target = Addr::Ip(addr);
    let connecting = env.net().connect(&target);
    let mut stream = match E::Rt::timeout(CONNECT_MAX, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("srun at {addr}: {error}")),
        Err(_) => return Err(format!("srun at {addr}: connection timed out")),
    };
    let sent = stream.write_all(&introduction.to_bytes()).await;
    sent.map_err(|error| format!("srun at {addr}: {error}"))?;
    let (down, up) = split(stream);
    Ok((Uplink { half: Arc::new(AsyncMutex::new(Some(up))) }, down))
}

impl<E: Env> Uplink<E> {
    async fn send(&self, bytes: &[u8]) {
        let mut half = self.half.lock().await;
        let Some(up) = half.as_mut() else { return };
        if let Err(error) = up.write_all(bytes).await {
            tracing::info!("output of a step is lost: {error}");
            *half = None;
        }
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        if let Some(mut up) = self.half.lock().await.take() {
            // srun may have closed it first.
            let _ = up.shutdown().await;
        }
    }
}

/// Which stream of which task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// Output or errors.
    pub stream: Stream,
    /// The task within the step.
    pub gtaskid: u16,
    /// The task within the node.
    pub ltaskid: u16,
    /// Whole lines only.
    pub buffered: bool,
}

impl Source {
    /// Sends a text as if the task had written it.
    pub(crate) async fn say<E: Env>(self, uplink: &Uplink<E>, text: &str) {
        let Self { stream, gtaskid, ltaskid, .. } = self;
        uplink.send(&io_channel::build(stream, gtaskid, ltaskid, text.as_bytes())).await;
    }

    /// Says that nothing more comes.
    pub(crate) async fn end<E: Env>(self, uplink: &Uplink<E>) {
        uplink.send(&io_channel::end(self.stream, self.gtaskid, self.ltaskid)).await;
    }
}

/// Passes on what a task writes, to its end.
pub(crate) async fn pump<E: Env>(
    mut pipe: impl AsyncRead + Unpin + Send,
    uplink: Uplink<E>,
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
            uplink.send(&io_channel::build(stream, gtaskid, ltaskid, &pending[..now])).await;
            pending.drain(..now);
        }
    }
    if !pending.is_empty() {
        uplink.send(&io_channel::build(stream, gtaskid, ltaskid, &pending)).await;
    }
    source.end(&uplink).await;
}

/// Hands srun's input to the tasks, by their number within the step, until srun is gone. Tasks whose
/// input ended are left out.
pub(crate) async fn feed<E: Env, P>(mut downlink: Downlink<E>, mut inputs: BTreeMap<u16, P>)
where
    P: AsyncWrite + Unpin + Send,
{
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
        let targets: Vec<u16> = match header.stream {
            Stream::AllStdin => inputs.keys().copied().collect(),
            Stream::Stdin => vec![header.gtaskid],
            Stream::Stdout | Stream::Stderr | Stream::ConnectionTest => continue,
        };
        for task in targets {
            let Some(pipe) = inputs.get_mut(&task) else { continue };
            if header.ends() || pipe.write_all(&payload).await.is_err() {
                // Dropping the pipe closes it, which the task sees as the end of its input.
                inputs.remove(&task);
            }
        }
    }
}
