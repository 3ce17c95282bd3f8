//! The channel between a step daemon and srun, or sattach, that carries the tasks' input and
//! output.
//!
//! A step daemon connects to srun and introduces its node once; then both sides send frames of a
//! header of ten bytes and a payload. A payload of no bytes ends the stream. Pure functions: bytes
//! in, frames out.

use std::fmt;

use crate::records::Signature;
use crate::{DecodeError, Reader, Release, Wire, Writer};

/// Bytes of the length in front of an introduction.
pub const INIT_LENGTH_BYTES: usize = 4;
/// Largest introduction, bytes: a key that is a token of a user in thousands of groups.
pub const INIT_BYTES_MAX: u32 = 1 << 20;
/// Smallest introduction, bytes: version, three counts, an empty key.
const INIT_BYTES_MIN: u32 = 18;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 10;
/// Largest payload of a frame, bytes (Slurm's `SLURM_IO_MAX_MSG_LEN`).
pub const PAYLOAD_BYTES_MAX: usize = 1024;
/// Every task, in place of a task's number.
pub const ALL_TASKS: u16 = 0xffff;

/// Why bytes on the channel make no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// An announced length is out of bounds.
    Length {
        /// What was announced.
        announced: u32,
        /// What is allowed at most.
        limit: u32,
    },
    /// A release that is not spoken.
    Version(u16),
    /// A stream that there is not.
    Stream(u16),
    /// An introduction is malformed.
    Malformed(DecodeError),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { announced, limit } => {
                write!(f, "{announced} bytes of input or output, where {limit} are allowed")
            }
            Self::Version(version) => write!(f, "protocol version {version} is not spoken"),
            Self::Stream(number) => write!(f, "there is no stream {number}"),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChannelError {}

impl From<DecodeError> for ChannelError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// How a step daemon introduces its node to srun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The release that this is written in.
    pub release: Release,
    /// The node's place in the step.
    pub node_id: u32,
    /// How many streams of output it will end.
    pub stdout_objs: u32,
    /// How many streams of errors it will end.
    pub stderr_objs: u32,
    /// What proves it: the signature of the step's credential, or the key in a request to reattach.
    pub io_key: Signature,
}

impl Introduction {
    /// The bytes to send, length included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new(self.release);
        w.u32(0);
        w.u16(self.release.version());
        w.u32(self.node_id);
        w.u32(self.stdout_objs);
        w.u32(self.stderr_objs);
        self.io_key.encode(&mut w);
        let length = u32::try_from(w.bytes().len() - INIT_LENGTH_BYTES);
        w.patch_u32(0, length.expect("a key is far shorter than 32 bits count"));
        w.into_bytes()
    }

    /// How many bytes follow the length.
    pub fn length(prefix: [u8; INIT_LENGTH_BYTES]) -> Result<usize, ChannelError> {
        let announced = u32::from_be_bytes(prefix);
        if !(INIT_BYTES_MIN..=INIT_BYTES_MAX).contains(&announced) {
            return Err(ChannelError::Length { announced, limit: INIT_BYTES_MAX });
        }
        Ok(announced as usize)
    }

    /// Reads what follows the length; all of it must be used up.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ChannelError> {
        let version = Reader::new(Release::NEWEST, bytes).u16()?;
        let release = Release::from_version(version).ok_or(ChannelError::Version(version))?;
        let mut r = Reader::new(release, bytes);
        r.u16()?;
        let (node_id, stdout_objs, stderr_objs) = (r.u32()?, r.u32()?, r.u32()?);
        let io_key = Signature::decode(&mut r)?;
        r.finish()?;
        Ok(Self { release, node_id, stdout_objs, stderr_objs, io_key })
    }
}

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Input of one task.
    Stdin,
    /// Output of a task.
    Stdout,
    /// Errors of a task.
    Stderr,
    /// Input of every task.
    AllStdin,
    /// A test whether the connection stands; no payload.
    ConnectionTest,
}

impl Stream {
    const ALL: [Self; 5] =
        [Self::Stdin, Self::Stdout, Self::Stderr, Self::AllStdin, Self::ConnectionTest];

    const fn number(self) -> u16 {
        self as u16
    }

    fn from_number(number: u16) -> Result<Self, ChannelError> {
        let found = Self::ALL.get(usize::from(number)).copied();
        found.ok_or(ChannelError::Stream(number))
    }
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub stream: Stream,
    /// The task, numbered within the step; `ALL_TASKS` where it does not matter.
    pub gtaskid: u16,
    /// The task, numbered within the node; `ALL_TASKS` where it does not matter.
    pub ltaskid: u16,
    /// Bytes of the payload; 0 ends the stream.
    pub length: u16,
}

impl Header {
    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..2].copy_from_slice(&self.stream.number().to_be_bytes());
        bytes[2..4].copy_from_slice(&self.gtaskid.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.ltaskid.to_be_bytes());
        bytes[6..10].copy_from_slice(&u32::from(self.length).to_be_bytes());
        bytes
    }

    /// Reads a header and judges its length before a payload is waited for.
    pub fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Result<Self, ChannelError> {
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let announced = u32::from_be_bytes([bytes[6], bytes[7], bytes[8], bytes[9]]);
        let stream = Stream::from_number(half(0))?;
        let length = u16::try_from(announced).ok();
        match length.filter(|length| usize::from(*length) <= PAYLOAD_BYTES_MAX) {
            Some(length) => Ok(Self { stream, gtaskid: half(2), ltaskid: half(4), length }),
            None => Err(ChannelError::Length { announced, limit: PAYLOAD_BYTES_MAX as u32 }),
        }
    }

    /// Whether this ends its stream.
    pub const fn ends(&self) -> bool {
        self.length == 0
    }
}

/// A whole frame: its header, its payload, and how many bytes they took.
pub type Received<'a> = (Header, &'a [u8], usize);

/// Takes the first whole frame off bytes received so far. `None` while more must be received.
pub fn split(bytes: &[u8]) -> Result<Option<Received<'_>>, ChannelError> {
    let Some(start) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let header = Header::from_bytes(*start)?;
    let end = HEADER_BYTES + usize::from(header.length);
    Ok(bytes.get(HEADER_BYTES..end).map(|payload| (header, payload, end)))
}

/// The frames that carry `data`, each as full as may be. None for no data: `end` says that a stream
/// is over.
pub fn build(stream: Stream, gtaskid: u16, ltaskid: u16, data: &[u8]) -> Vec<u8> {
    let frames = data.len().div_ceil(PAYLOAD_BYTES_MAX);
    let mut bytes = Vec::with_capacity(data.len() + frames * HEADER_BYTES);
    for payload in data.chunks(PAYLOAD_BYTES_MAX) {
        let length = u16::try_from(payload.len()).expect("a payload has at most 1024 bytes");
        bytes.extend_from_slice(&Header { stream, gtaskid, ltaskid, length }.to_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// The frame that ends a stream, or tests a connection.
pub fn end(stream: Stream, gtaskid: u16, ltaskid: u16) -> [u8; HEADER_BYTES] {
    Header { stream, gtaskid, ltaskid, length: 0 }.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(digits: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    /// Takes apart a whole connection.
    fn frames(mut bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some((header, payload, used)) = split(bytes).unwrap() {
            frames.push((header, payload.to_vec()));
            bytes = &bytes[used..];
        }
        assert!(bytes.is_empty());
        frames
    }

    fn introduction(bytes: &[u8]) -> (Introduction, &[u8]) {
        let (prefix, rest) = bytes.split_first_chunk().unwrap();
        let length = Introduction::length(*prefix).unwrap();
        let introduction = Introduction::from_bytes(&rest[..length]).unwrap();
        assert_eq!(introduction.to_bytes(), bytes[..length + INIT_LENGTH_BYTES]);
        (introduction, &rest[length..])
    }

    /// What a node sent to Slurm's own srun while two tasks each wrote `hello` and ended.
    const RECORDED: [(Release, &str); 3] = [
        (
            Release::V22_05,
            "0000002026000000000000000002000000020000000e66616b65207369676e61747572650001000000000000\
             000668656c6c6f0a0001000100010000000668656c6c6f0a0001000100010000000000020001000100000000\
             0001000000000000000000020000000000000000",
        ),
        (
            Release::V24_11,
            "000000212a000000000000000002000000020000000f66616b65207369676e61747572650000010000000000\
             00000668656c6c6f0a0001000100010000000668656c6c6f0a00020001000100000000000100010001000000\
             000001000000000000000000020000000000000000",
        ),
        (
            Release::V26_05,
            "000000212d000000000000000002000000020000000f66616b65207369676e61747572650000010000000000\
             00000668656c6c6f0a000100000000000000000001000100010000000668656c6c6f0a000100010001000000\
             000002000100010000000000020000000000000000",
        ),
    ];

    #[test]
    fn a_recorded_connection_is_understood_and_reproduced() {
        for (release, digits) in RECORDED {
            let bytes = unhex(digits);
            let (introduction, rest) = introduction(&bytes);
            assert_eq!((introduction.release, introduction.node_id), (release, 0));
            assert_eq!((introduction.stdout_objs, introduction.stderr_objs), (2, 2));
            assert_eq!(introduction.io_key.0.as_deref(), Some("fake signature"));
            let mut again = introduction.to_bytes();
            let mut ended = Vec::new();
            for (header, payload) in frames(rest) {
                if header.ends() {
                    ended.push((header.stream.number(), header.gtaskid));
                    again.extend(end(header.stream, header.gtaskid, header.ltaskid));
                } else {
                    assert_eq!((header.stream, &payload[..]), (Stream::Stdout, &b"hello\n"[..]));
                    let Header { stream, gtaskid, ltaskid, .. } = header;
                    again.extend(build(stream, gtaskid, ltaskid, &payload));
                }
            }
            ended.sort_unstable();
            assert_eq!(ended, [(1, 0), (1, 1), (2, 0), (2, 1)], "{release}");
            assert_eq!(again, bytes, "{release}");
        }
    }

    #[test]
    fn what_srun_sends_is_understood() {
        let recorded = unhex("0003ffffffff0000000668656c6c6f0a0003ffffffff00000000");
        let mut expected = build(Stream::AllStdin, ALL_TASKS, ALL_TASKS, b"hello\n");
        expected.extend(end(Stream::AllStdin, ALL_TASKS, ALL_TASKS));
        assert_eq!(recorded, expected);
        assert_eq!(frames(&recorded).len(), 2);
    }

    #[test]
    fn introductions_come_back_in_every_release() {
        let keys = [None, Some("fake signature"), Some("MUNGE:AwQ:"), Some("")];
        for release in Release::ALL {
            for key in keys {
                let io_key = Signature(key.map(str::to_owned));
                let sent =
                    Introduction { release, node_id: 3, stdout_objs: 2, stderr_objs: 1, io_key };
                let bytes = sent.to_bytes();
                assert_eq!(introduction(&bytes), (sent, &b""[..]), "{release}");
                for length in 0..bytes.len() - INIT_LENGTH_BYTES {
                    let cut = &bytes[INIT_LENGTH_BYTES..][..length];
                    assert!(Introduction::from_bytes(cut).is_err(), "{release} {length}");
                }
            }
        }
    }

    #[test]
    fn lengths_are_judged_before_anything_is_received() {
        for announced in [0, 17, INIT_BYTES_MAX + 1, u32::MAX] {
            let refused = Introduction::length(announced.to_be_bytes());
            assert_eq!(refused, Err(ChannelError::Length { announced, limit: INIT_BYTES_MAX }));
        }
        for announced in [1025u32, 0x1_0000, u32::MAX] {
            let mut header = end(Stream::Stdout, 0, 0);
            header[6..].copy_from_slice(&announced.to_be_bytes());
            let refused = split(&header);
            assert_eq!(refused, Err(ChannelError::Length { announced, limit: 1024 }));
        }
    }

    #[test]
    fn what_is_no_release_or_stream_is_refused() {
        let mut bytes = unhex("2600000000000000000200000002000000000000");
        bytes[0] = 0x25;
        assert_eq!(Introduction::from_bytes(&bytes), Err(ChannelError::Version(0x2500)));
        assert_eq!(split(&unhex("00050000000000000000")), Err(ChannelError::Stream(5)));
    }

    #[test]
    fn data_is_cut_into_frames_and_comes_back() {
        for length in [0usize, 1, 1023, 1024, 1025, 5000] {
            let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let bytes = build(Stream::Stderr, 7, 1, &data);
            let frames = frames(&bytes);
            assert_eq!(frames.len(), length.div_ceil(PAYLOAD_BYTES_MAX));
            assert!(frames.iter().all(|(header, _)| header.gtaskid == 7 && !header.ends()));
            let back: Vec<u8> = frames.into_iter().flat_map(|(_, payload)| payload).collect();
            assert_eq!(back, data);
        }
    }

    #[test]
    fn a_frame_waits_for_its_last_byte() {
        let bytes = build(Stream::AllStdin, ALL_TASKS, ALL_TASKS, b"hello");
        for length in 0..bytes.len() {
            assert_eq!(split(&bytes[..length]), Ok(None), "{length}");
        }
        let (header, payload, used) = split(&bytes).unwrap().unwrap();
        assert_eq!((header.stream, payload, used), (Stream::AllStdin, &b"hello"[..], bytes.len()));
    }
}
