//! Frames: how messages are cut out of a peer connection's byte stream.
//!
//! ```text
//! len u32  kind u8  id u64  payload (len bytes)  crc u32
//! ```
//! Little-endian; the checksum (CRC-32C) covers everything before it. A frame that is too long or
//! fails its checksum ends the connection.

use std::fmt;
use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes around a payload.
pub(crate) const HEAD: usize = 13;
const TAIL: usize = 4;
/// A payload is read in pieces of this size, so that a length alone reserves no memory.
const PIECE: usize = 256 << 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Client's first.
    Hello = 1,
    /// Server's answer to it, with its proof.
    Welcome = 2,
    /// Client's proof.
    Proof = 3,
    /// The server is convinced.
    Accepted = 4,
    /// The server will not talk; the payload says why.
    Refused = 5,
    /// Asks for a sign of life.
    Ping = 6,
    /// The sign of life.
    Pong = 7,
    /// A request; its id is free among those unanswered.
    Request = 16,
    /// The answer to the request of the same id.
    Reply = 17,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Hello,
            Self::Welcome,
            Self::Proof,
            Self::Accepted,
            Self::Refused,
            Self::Ping,
            Self::Pong,
            Self::Request,
            Self::Reply,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) payload: Bytes,
}

/// Why no frame could be read.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The connection ended, between frames or inside one.
    Io(io::Error),
    /// The bytes are no frame.
    Bad(String),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Bad(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A frame as bytes.
pub(crate) fn encode(kind: Kind, id: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("senders bound their payloads far below this");
    let mut bytes = Vec::with_capacity(HEAD + payload.len() + TAIL);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.push(kind as u8);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads the next frame, whose payload may have up to `max` bytes.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    max: usize,
) -> Result<Frame, FrameError> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if max < len {
        return Err(FrameError::Bad(format!("a frame of {len} bytes is longer than {max}")));
    }
    let Some(kind) = Kind::from_byte(head[4]) else {
        return Err(FrameError::Bad(format!("frame kind {} is unknown", head[4])));
    };
    let mut id = [0; 8];
    id.copy_from_slice(&head[5..]);
    let mut payload = Vec::new();
    while payload.len() < len {
        let start = payload.len();
        payload.resize(len.min(start + PIECE), 0);
        stream.read_exact(&mut payload[start..]).await?;
    }
    let mut crc = [0; TAIL];
    stream.read_exact(&mut crc).await?;
    if crc32c::crc32c_append(crc32c::crc32c(&head), &payload) != u32::from_le_bytes(crc) {
        return Err(FrameError::Bad("a frame's checksum is wrong".to_owned()));
    }
    Ok(Frame { kind, id: u64::from_le_bytes(id), payload: Bytes::from(payload) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_fs::now;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn a_frame_has_the_bytes_written_down() {
        let golden =
            [3, 0, 0, 0, 16, 7, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c', 0x93, 0xE2, 0xEF, 0xF4];
        assert_eq!(encode(Kind::Request, 7, b"abc"), golden);
        let frame = now(read(&mut &golden[..], 3)).unwrap();
        assert_eq!(frame.payload, "abc");
        assert_eq!((frame.kind, frame.id), (Kind::Request, 7));
    }

    #[test]
    fn changed_cut_and_random_bytes_are_refused() {
        let good = encode(Kind::Reply, 1, &[5; 100]);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(now(read(&mut &bad[..], 1000)).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(now(read(&mut &good[..len], 1000)).is_err(), "length {len}");
        }
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..10_000 {
            let noise: Vec<u8> = (0..rng.random_range(0..64)).map(|_| rng.random()).collect();
            assert!(now(read(&mut &noise[..], 1000)).is_err());
        }
    }

    #[test]
    fn a_long_frame_is_refused_before_it_is_read() {
        let bytes = encode(Kind::Request, 7, &[0; 11]);
        let error = now(read(&mut &bytes[..HEAD], 10)).unwrap_err().to_string();
        assert!(error.contains("11 bytes is longer than 10"), "{error}");
    }
}
