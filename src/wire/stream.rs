//! Finding the frames in what one end of a connection sends.
//!
//! Input: bytes as they come. Output: whole frames, those of a step's input and output
//! included. What is no frame is handed out as it is. Knows nothing of sockets.

use crate::frame::{LENGTH_BYTES, REQUEST_BYTES_MAX};
use crate::{Release, io_channel, names};

/// Bytes of one frame that are kept; a longer one passes by unseen.
pub const FRAME_KEPT_BYTES_MAX: u32 = REQUEST_BYTES_MAX;
/// Shortest frame of a persistent connection: the message's number.
const PERSISTENT_BYTES_MIN: u32 = 2;
/// Shortest other frame.
const FRAME_BYTES_MIN: u32 = 16;
/// Bytes that tell a header: length, version, flags, type.
const START_BYTES: usize = 10;

/// How the bytes of one direction are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// A header in front of each message.
    Frames,
    /// Numbers and bodies in a release that both ends know.
    Persistent(Release),
    /// The frames of a step's input and output, after their introduction.
    Channel,
    /// Not messages.
    Raw,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole frame, length included.
    Frame(Vec<u8>),
    /// A whole frame of a persistent connection, length included.
    Persistent(Release, Vec<u8>),
    /// What a step daemon opens a channel of input and output with, length included.
    Introduction(Vec<u8>),
    /// A frame of such a channel, header included.
    Channel(Vec<u8>),
    /// A frame of this announced length, which is not kept.
    TooLong(u32),
    /// Bytes that are no messages.
    Raw(Vec<u8>),
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub struct Stream {
    speech: Speech,
    buffer: Vec<u8>,
    /// Bytes of a frame that is not kept.
    skip: usize,
    is_first: bool,
}

impl Stream {
    /// A direction in which nothing was sent.
    pub const fn new(speech: Speech) -> Self {
        Self { speech, buffer: Vec::new(), skip: 0, is_first: true }
    }

    /// How what comes next is framed. Both directions of a connection change to `Persistent` after
    /// the client's first message, which is for the caller to pass on.
    pub const fn speech(&self) -> Speech {
        self.speech
    }

    /// Reads on in another way.
    pub const fn set_speech(&mut self, speech: Speech) {
        self.speech = speech;
    }

    /// Bytes of a frame that has not come to its end.
    pub fn unfinished(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes bytes, and gives what they complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Piece> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes = &bytes[skipped..];
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some((piece, length)) = self.next(at) {
            self.follow(&piece);
            pieces.push(piece);
            let end = at + length;
            self.skip = end.saturating_sub(self.buffer.len());
            at = end.min(self.buffer.len());
            self.is_first = false;
        }
        self.buffer.drain(..at);
        pieces
    }

    /// The next piece and its length.
    fn next(&self, at: usize) -> Option<(Piece, usize)> {
        let bytes = &self.buffer[at..];
        if self.speech == Speech::Raw {
            return (!bytes.is_empty()).then(|| (Piece::Raw(bytes.to_vec()), bytes.len()));
        }
        if self.speech == Speech::Channel {
            return match io_channel::split(bytes) {
                Ok(Some((.., length))) => Some((Piece::Channel(bytes[..length].to_vec()), length)),
                Ok(None) => None,
                Err(_) => Some((Piece::Raw(bytes.to_vec()), bytes.len())),
            };
        }
        let announced = u32::from_be_bytes(*bytes.first_chunk::<LENGTH_BYTES>()?);
        let shortest = match self.speech {
            Speech::Persistent(_) => PERSISTENT_BYTES_MIN,
            Speech::Frames | Speech::Channel | Speech::Raw => FRAME_BYTES_MIN,
        };
        if announced < shortest || announced > crate::frame::REPLY_BYTES_MAX {
            return Some((Piece::Raw(bytes.to_vec()), bytes.len()));
        }
        if self.speech == Speech::Frames && self.is_first {
            let start = bytes.first_chunk::<START_BYTES>()?;
            if !starts_a_message(start) {
                if let Some(length) = introduction(bytes) {
                    return Some((Piece::Introduction(bytes.get(..length)?.to_vec()), length));
                }
                return Some((Piece::Raw(bytes.to_vec()), bytes.len()));
            }
        }
        let length = LENGTH_BYTES + announced as usize;
        if announced > FRAME_KEPT_BYTES_MAX {
            return Some((Piece::TooLong(announced), length));
        }
        let frame = bytes.get(..length)?.to_vec();
        Some(match self.speech {
            Speech::Persistent(release) => (Piece::Persistent(release, frame), length),
            Speech::Frames | Speech::Channel | Speech::Raw => (Piece::Frame(frame), length),
        })
    }

    fn follow(&mut self, piece: &Piece) {
        match piece {
            Piece::Frame(frame) => {
                if let Some(release) = greets(frame) {
                    self.speech = Speech::Persistent(release);
                }
            }
            Piece::Introduction(_) => self.speech = Speech::Channel,
            Piece::Raw(_) => self.speech = Speech::Raw,
            Piece::Channel(_) | Piece::Persistent(..) | Piece::TooLong(_) => {}
        }
    }
}

/// The length of an introduction to a channel, if one starts here: its own length and a release,
/// but no message's number.
fn introduction(bytes: &[u8]) -> Option<usize> {
    let (prefix, rest) = bytes.split_first_chunk()?;
    let length = io_channel::Introduction::length(*prefix).ok()?;
    Release::from_version(u16::from_be_bytes(*rest.first_chunk()?))?;
    let is_damaged = |whole: &[u8]| io_channel::Introduction::from_bytes(whole).is_err();
    if rest.get(..length).is_some_and(is_damaged) {
        return None;
    }
    Some(LENGTH_BYTES + length)
}

/// Whether a header stands here. The first message of a step's channel has a version in the same
/// place, but no message's number behind it.
fn starts_a_message(start: &[u8; START_BYTES]) -> bool {
    let number = |at: usize| u16::from_be_bytes([start[at], start[at + 1]]);
    if number(4) == names::REQUEST_PERSIST_INIT {
        return true;
    }
    match Release::from_version(number(4)) {
        Some(_) => names::name(number(8)).is_some(),
        // Of a release that is not spoken, which has the version in the same form.
        None => number(4) & 0xff == 0,
    }
}

/// The release of a persistent connection that this frame opens.
fn greets(frame: &[u8]) -> Option<Release> {
    let number =
        |at: usize| frame.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
    let at = if number(LENGTH_BYTES)? == names::REQUEST_PERSIST_INIT { 6 } else { LENGTH_BYTES };
    let msg_type = number(at + 4)?;
    let opens = [names::REQUEST_PERSIST_INIT, names::REQUEST_PERSIST_INIT_TLS];
    Release::from_version(number(at)?).filter(|_| opens.contains(&msg_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::flags;
    use crate::{Header, frame};

    fn ping() -> Vec<u8> {
        frame::build(Header::new(Release::V24_11, names::REQUEST_PING), None, b"")
    }

    fn hello(flag: u16) -> Vec<u8> {
        let header = Header::new(Release::V22_05, names::REQUEST_PERSIST_INIT).with_flags(flag);
        frame::build(header, None, b"body")
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let bytes = [ping(), ping(), ping()].concat();
        for size in 1..bytes.len() {
            let mut stream = Stream::new(Speech::Frames);
            let pieces: Vec<Piece> = bytes.chunks(size).flat_map(|c| stream.push(c)).collect();
            assert_eq!(pieces, [(); 3].map(|()| Piece::Frame(ping())), "{size}");
            assert!(stream.unfinished().is_empty());
        }
    }

    #[test]
    fn a_hello_makes_the_connection_persistent() {
        for flag in [0, flags::DBD_CONNECTION] {
            let mut stream = Stream::new(Speech::Frames);
            let mut bytes = hello(flag);
            bytes.extend_from_slice(b"\0\0\0\x04\x05\x7fab");
            let pieces = stream.push(&bytes);
            let later = Piece::Persistent(Release::V22_05, b"\0\0\0\x04\x05\x7fab".to_vec());
            assert_eq!(pieces, [Piece::Frame(hello(flag)), later]);
            assert_eq!(stream.speech(), Speech::Persistent(Release::V22_05));
        }
    }

    #[test]
    fn what_is_no_message_is_handed_out() {
        let mut stream = Stream::new(Speech::Frames);
        let channel = b"\0\0\0\x15\x2a\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x03key\0\0";
        assert_eq!(stream.push(channel), [Piece::Raw(channel.to_vec())]);
        assert_eq!(stream.push(b"\0\0\0\x10"), [Piece::Raw(b"\0\0\0\x10".to_vec())]);
        let mut stream = Stream::new(Speech::Frames);
        assert_eq!(stream.push(b"GET / HTTP/1.1"), [Piece::Raw(b"GET / HTTP/1.1".to_vec())]);
    }

    #[test]
    fn what_is_too_long_passes_by() {
        let mut stream = Stream::new(Speech::Frames);
        assert_eq!(stream.push(&ping()).len(), 1);
        let announced = FRAME_KEPT_BYTES_MAX + 1;
        let pieces = stream.push(&announced.to_be_bytes());
        assert_eq!(pieces, [Piece::TooLong(announced)]);
        let mut left = announced as usize;
        while left > 0 {
            let size = left.min(1 << 20);
            assert!(stream.push(&vec![0; size]).is_empty());
            left -= size;
        }
        assert!(stream.unfinished().is_empty());
        assert_eq!(stream.push(&ping()), [Piece::Frame(ping())]);
    }
}
