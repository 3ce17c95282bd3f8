//! Reads and writes whole frames: four bytes of length, then that many bytes.
//!
//! The length is judged before anything is allocated, and memory grows only with bytes that have
//! really come, so a peer that announces a gibibyte and sends nothing costs nothing.

use std::io;
use std::time::Duration;

use flurm_rt::{AsyncRuntime, Env};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame accepted from anyone: a script, its environment and its arguments fit many times
/// over.
pub(crate) const FRAME_MAX: usize = flurm_wire::frame::REQUEST_BYTES_MAX as usize;
/// Memory is taken in pieces of this size as bytes arrive.
const PIECE: usize = 64 * 1024;

/// Why a frame could not be read.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The peer closed the connection before the first byte: no request, no fault.
    Closed,
    /// The connection broke, or ended within a frame.
    Io(io::Error),
    /// The peer announced more than the limit.
    TooLong(u64),
    /// The frame did not come in time.
    Late,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => write!(f, "connection closed"),
            Self::Io(error) => write!(f, "connection broke: {error}"),
            Self::TooLong(length) => write!(f, "frame of {length} bytes is over {FRAME_MAX}"),
            Self::Late => write!(f, "frame did not come in time"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Reads one frame and returns it without its length.
pub(crate) async fn read_frame<E: Env, S>(
    stream: &mut S,
    within: Duration,
) -> Result<Vec<u8>, FrameError>
where
    S: AsyncRead + Unpin + Send,
{
    match E::Rt::timeout(within, read_now(stream)).await {
        Ok(result) => result,
        Err(_) => Err(FrameError::Late),
    }
}

async fn read_now<S: AsyncRead + Unpin + Send>(stream: &mut S) -> Result<Vec<u8>, FrameError> {
    let mut length = [0u8; 4];
    let first = stream.read(&mut length).await.map_err(FrameError::Io)?;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    stream.read_exact(&mut length[first..]).await.map_err(FrameError::Io)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_MAX {
        return Err(FrameError::TooLong(length as u64));
    }
    let mut frame = Vec::with_capacity(length.min(PIECE));
    let mut body = stream.take(length as u64);
    while frame.len() < length {
        frame.reserve(PIECE.min(length - frame.len()));
        let count = body.read_buf(&mut frame).await.map_err(FrameError::Io)?;
        if count == 0 {
            return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    assert_eq!(frame.len(), length, "a frame is read whole and never beyond its end");
    Ok(frame)
}

/// Writes bytes that already carry their length.
pub(crate) async fn write_frame<E: Env, S>(
    stream: &mut S,
    bytes: &[u8],
    within: Duration,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin + Send,
{
    let write = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    match E::Rt::timeout(within, write).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
