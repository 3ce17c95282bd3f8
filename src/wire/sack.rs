//! What programs ask of the socket that makes and checks auth/slurm tokens for them (Slurm's "sack":
//! `src/common/sack_api.c`, `src/plugins/auth/slurm/sack.c`).
//!
//! One request and one reply a connection. A request is a version, a length that counts itself but
//! not the version, a number and a body; a reply is the bare answer.

use crate::{DecodeError, Mem, Reader, Release, Wire, Writer};

/// Bytes that come before the length is known: version and length.
pub const HEAD_BYTES: usize = 6;
/// Longest request, bytes behind the head. Tokens of messages are a few hundred bytes; one that
/// carries its user's groups is longer.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

const CREATE: u32 = 64_001;
const VERIFY: u32 = 64_002;
/// What the length counts beside the body: itself and the request's number.
const COUNTED_BYTES: usize = 8;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SackRequest {
    /// Make a token for whoever is at the other end of the socket.
    Create {
        /// Only this uid may use it; all ones for any.
        reader: u32,
        /// What it shall carry.
        payload: Vec<u8>,
    },
    /// Is this token genuine, and may whoever is at the other end use it?
    Verify {
        /// The token.
        token: String,
    },
}

impl SackRequest {
    /// How many bytes follow the head; `None` for a length out of bounds.
    pub fn rest_bytes(head: [u8; HEAD_BYTES]) -> Option<usize> {
        let length = u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize;
        let rest = length.checked_sub(4)?;
        (4..=REQUEST_BYTES_MAX).contains(&rest).then_some(rest)
    }

    /// Reads what follows the head. Bytes beyond the request are refused.
    pub fn decode(rest: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(Release::NEWEST, rest);
        let request = match r.u32()? {
            CREATE => {
                let reader = r.u32()?;
                Self::Create { reader, payload: Mem::decode(&mut r)?.0 }
            }
            VERIFY => {
                let token: Option<String> = Wire::decode(&mut r)?;
                Self::Verify { token: token.unwrap_or_default() }
            }
            _ => return Err(r.invalid("unknown request of a token")),
        };
        if r.rest().is_empty() { Ok(request) } else { Err(r.invalid("bytes after the request")) }
    }

    /// The whole request as a program of `release` sends it.
    pub fn to_bytes(&self, release: Release) -> Vec<u8> {
        let mut body = Writer::new(release);
        let number = match self {
            Self::Create { reader, payload } => {
                body.u32(*reader);
                body.block(payload);
                CREATE
            }
            Self::Verify { token } => {
                token.encode(&mut body);
                VERIFY
            }
        };
        let length = u32::try_from(body.bytes().len() + COUNTED_BYTES);
        let mut w = Writer::new(release);
        w.u16(release.version());
        w.u32(length.expect("a request is far below 4 GiB"));
        w.u32(number);
        w.raw(body.bytes());
        w.into_bytes()
    }
}

/// The reply that carries a token.
pub fn token_reply(token: &str) -> Vec<u8> {
    let mut w = Writer::new(Release::NEWEST);
    token.to_owned().encode(&mut w);
    w.into_bytes()
}

/// The reply that says whether a token is genuine: 0, or all ones (`SLURM_ERROR`).
pub fn verdict_reply(genuine: bool) -> Vec<u8> {
    if genuine { vec![0; 4] } else { vec![0xff; 4] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> [SackRequest; 3] {
        [
            SackRequest::Create { reader: u32::MAX, payload: b"hash".to_vec() },
            SackRequest::Create { reader: 7, payload: Vec::new() },
            SackRequest::Verify { token: "a.b.c".into() },
        ]
    }

    fn split(bytes: &[u8]) -> ([u8; HEAD_BYTES], &[u8]) {
        let (head, rest) = bytes.split_at(HEAD_BYTES);
        (head.try_into().unwrap(), rest)
    }

    #[test]
    fn requests_come_back_as_they_were_sent() {
        for release in Release::ALL.into_iter().filter(|release| *release >= Release::V23_11) {
            for request in requests() {
                let bytes = request.to_bytes(release);
                let (head, rest) = split(&bytes);
                assert_eq!(head[..2], release.version().to_be_bytes());
                assert_eq!(SackRequest::rest_bytes(head), Some(rest.len()));
                assert_eq!(SackRequest::decode(rest).unwrap(), request);
            }
        }
    }

    #[test]
    fn a_request_has_slurms_bytes() {
        let request = SackRequest::Create { reader: u32::MAX, payload: vec![2, 9] };
        let expected = b"\x2a\0\0\0\0\x12\0\0\xfa\x01\xff\xff\xff\xff\0\0\0\x02\x02\x09";
        assert_eq!(request.to_bytes(Release::V24_11), expected);
        assert_eq!(token_reply("a.b"), b"\0\0\0\x04a.b\0");
        assert_eq!(verdict_reply(false), [0xff; 4]);
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_anything_is_read() {
        let rest = |length: u32| {
            let mut head = [0; HEAD_BYTES];
            head[2..].copy_from_slice(&length.to_be_bytes());
            SackRequest::rest_bytes(head)
        };
        assert_eq!(rest(8), Some(4));
        assert_eq!(rest(REQUEST_BYTES_MAX as u32 + 4), Some(REQUEST_BYTES_MAX));
        for wrong in [0, 3, 4, 7, REQUEST_BYTES_MAX as u32 + 5, 1 << 30, u32::MAX] {
            assert_eq!(rest(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn requests_cut_or_changed_anywhere_are_survived() {
        for request in requests() {
            let bytes = request.to_bytes(Release::NEWEST);
            let (_, rest) = split(&bytes);
            for at in 0..rest.len() {
                assert!(SackRequest::decode(&rest[..at]).is_err(), "cut at {at}");
                let mut changed = rest.to_vec();
                changed[at] ^= 0x81;
                // Any outcome but a panic, and never the same request.
                assert_ne!(SackRequest::decode(&changed).ok().as_ref(), Some(&request));
            }
            let longer = [rest, &[0]].concat();
            assert!(SackRequest::decode(&longer).is_err());
        }
    }
}
