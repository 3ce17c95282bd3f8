//! Frames: a length, a header, an authentication block, a body.

use std::fmt;

use crate::auth::AuthBlock;
use crate::header::{Header, Start, check_body_length};
use crate::{DecodeError, Errno, Message, Reader, Release, Unsupported, Wire, WireAddr, Writer};

/// Bytes of the length in front of every frame.
pub const LENGTH_BYTES: usize = 4;
/// Largest request that is read. A batch script of `max_script_size` fits many times.
pub const REQUEST_BYTES_MAX: u32 = 64 << 20;
/// Largest reply that is sent or read: what Slurm's clients accept.
pub const REPLY_BYTES_MAX: u32 = 1 << 30;
/// Smallest frame: version, flags, type, body length, two counts, address family.
const FRAME_BYTES_MIN: u32 = 16;

/// Why a frame cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The announced length is out of bounds.
    Length {
        /// What was announced.
        announced: u32,
        /// What is allowed.
        limit: u32,
    },
    /// The peer's release is not spoken. Enough is known to answer.
    Version {
        /// What about it.
        unsupported: Unsupported,
        /// What it asked.
        msg_type: u16,
    },
    /// The bytes are malformed.
    Malformed(DecodeError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { announced, limit } => {
                write!(f, "a frame of {announced} bytes, where {limit} are allowed")
            }
            Self::Version { unsupported, msg_type } => {
                write!(f, "{unsupported} (message {msg_type})")
            }
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<DecodeError> for FrameError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// The length of a frame from its first bytes, judged before anything is read or allocated.
pub fn length(prefix: [u8; LENGTH_BYTES], limit: u32) -> Result<usize, FrameError> {
    length_within(prefix, FRAME_BYTES_MIN, limit)
}

/// The same for frames of any smallest size.
pub(crate) fn length_within(
    prefix: [u8; LENGTH_BYTES],
    least: u32,
    limit: u32,
) -> Result<usize, FrameError> {
    let announced = u32::from_be_bytes(prefix);
    if announced < least || announced > limit {
        return Err(FrameError::Length { announced, limit });
    }
    Ok(announced as usize)
}

/// A frame taken apart. The body is still bytes, because it is decoded only after the credential
/// has been verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// The authentication block, unless the header says that there is none.
    pub auth: Option<AuthBlock>,
    /// The same block as bytes, to be passed on unchanged.
    pub auth_bytes: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Decodes the body.
    pub fn message(&self) -> Result<Message, DecodeError> {
        Message::decode(self.header.msg_type, self.header.release, self.body)
    }
}

/// What stands in front of a body.
pub(crate) struct Head {
    pub(crate) header: Header,
    pub(crate) auth: Option<AuthBlock>,
    /// Where the authentication block starts.
    pub(crate) auth_at: usize,
    /// What the header announces.
    pub(crate) body_length: usize,
}

/// Reads what stands in front of a body; the reader is at the body afterwards, in its release.
pub(crate) fn read_head(r: &mut Reader<'_>) -> Result<Head, FrameError> {
    r.begin("header");
    let start = Start::decode(r)?;
    let release = Release::for_peer(start.version)
        .map_err(|unsupported| FrameError::Version { unsupported, msg_type: start.msg_type })?;
    r.set_release(release);
    let (header, body_length) = Header::decode_rest(start, release, r)?;
    r.end_record();
    let auth_at = r.at();
    let auth = if header.has_auth() { Some(r.field("auth")?) } else { None };
    Ok(Head { header, auth, auth_at, body_length })
}

/// Takes apart a frame (without its length).
pub fn split(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let mut r = Reader::new(Release::NEWEST, bytes);
    let Head { header, auth, auth_at, body_length } = read_head(&mut r)?;
    let auth_bytes = &bytes[auth_at..r.at()];
    check_body_length(body_length, &r)?;
    Ok(Frame { header, auth, auth_bytes, body: r.rest() })
}

/// Puts a frame together, length included. Sets `NO_AUTH` exactly when there is no block.
pub fn build(mut header: Header, auth: Option<&AuthBlock>, body: &[u8]) -> Vec<u8> {
    let mut block = Writer::new(header.release);
    if let Some(auth) = auth {
        auth.encode(&mut block);
    }
    header.flags &= !crate::header::flags::NO_AUTH;
    if auth.is_none() {
        header.flags |= crate::header::flags::NO_AUTH;
    }
    build_raw(&header, block.bytes(), body)
}

/// Puts a frame together around an authentication block that is passed on as bytes.
pub fn build_raw(header: &Header, auth_bytes: &[u8], body: &[u8]) -> Vec<u8> {
    let mut w = Writer::new(header.release);
    w.u32(0);
    header.encode(body.len(), &mut w);
    w.raw(auth_bytes);
    w.raw(body);
    let length = u32::try_from(w.bytes().len() - LENGTH_BYTES);
    w.patch_u32(0, length.expect("a frame stays below REPLY_BYTES_MAX"));
    w.into_bytes()
}

/// An error for a peer whose release is not spoken, in the peer's own version: the header before
/// 22.05 has one more field, and a later one than ours is assumed to be like ours.
///
/// Peers before 23.02 need an authentication block; later ones do without.
pub fn refusal(version: u16, auth: Option<&AuthBlock>, errno: Errno) -> Vec<u8> {
    let mut block = Writer::new(Release::NEWEST);
    if let Some(auth) = auth {
        auth.encode(&mut block);
    }
    let mut w = Writer::new(Release::NEWEST);
    w.u32(0);
    w.u16(version);
    w.u16(if auth.is_none() { crate::header::flags::NO_AUTH } else { 0 });
    if matches!(Release::for_peer(version), Err(Unsupported::Older(_))) {
        w.u16(0);
    }
    w.u16(crate::names::RESPONSE_SLURM_RC);
    w.u32(4);
    w.u16(0);
    w.u16(0);
    WireAddr::Unspecified.encode(&mut w);
    w.raw(block.bytes());
    w.u32(errno.0);
    let length = u32::try_from(w.bytes().len() - LENGTH_BYTES).expect("a few dozen bytes");
    w.patch_u32(0, length);
    w.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gen;
    use crate::header::flags;
    use crate::names;

    fn announced(bytes: u32) -> Result<usize, FrameError> {
        length(bytes.to_be_bytes(), REQUEST_BYTES_MAX)
    }

    #[test]
    fn lengths_are_judged_before_reading() {
        assert_eq!(announced(16), Ok(16));
        assert_eq!(announced(REQUEST_BYTES_MAX), Ok(64 << 20));
        for wrong in [0, 15, REQUEST_BYTES_MAX + 1, 1 << 30, u32::MAX] {
            assert!(announced(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_come_apart_as_they_were_put_together() {
        for release in Release::ALL {
            for seed in 0..500 {
                let mut g = Gen::new(release, seed);
                let mut header = Header::sample(&mut g);
                let auth = g.maybe(AuthBlock::sample);
                header.flags &= !flags::NO_AUTH;
                header.flags |= if auth.is_none() { flags::NO_AUTH } else { 0 };
                let bytes = build(header.clone(), auth.as_ref(), b"");
                let frame = split(&bytes[LENGTH_BYTES..]).unwrap();
                assert_eq!((frame.header, frame.auth), (header, auth), "{release} {seed}");
                assert_eq!(
                    length(bytes[..4].try_into().unwrap(), u32::MAX).unwrap() + 4,
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_plain_header_has_slurms_bytes() {
        let header = Header::new(Release::V24_11, names::REQUEST_PING);
        let bytes = build(header, None, b"");
        let expected = b"\0\0\0\x10\x2a\0\0\x40\x03\xf0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_accounting_hello_repeats_its_type() {
        let header = Header::new(Release::V22_05, names::REQUEST_PERSIST_INIT);
        let bytes = build(header.with_flags(flags::DBD_CONNECTION), None, b"xy");
        assert_eq!(bytes[4..8], [0x19, 0x64, 0x26, 0x00]);
        let frame = split(&bytes[4..]).unwrap();
        assert_eq!(frame.header.msg_type, names::REQUEST_PERSIST_INIT);
        assert_eq!(frame.body, b"xy");
    }

    #[test]
    fn old_and_new_peers_are_recognised() {
        let old = b"\x24\0\0\0\0\0\x07\xd3\0\0\0\0";
        let error = split(old).unwrap_err();
        let unsupported = Unsupported::Older(0x2400);
        assert_eq!(error, FrameError::Version { unsupported, msg_type: 2003 });
        let new = b"\x2e\0\0\0\x07\xd3\0\0\0\0";
        let error = split(new).unwrap_err();
        let unsupported = Unsupported::Newer(0x2e00);
        assert_eq!(error, FrameError::Version { unsupported, msg_type: 2003 });
    }

    #[test]
    fn a_refusal_is_readable_in_any_version() {
        let errno = Errno::SLURM_PROTOCOL_VERSION_ERROR;
        for release in Release::ALL {
            let bytes = refusal(release.version(), None, errno);
            let message = split(&bytes[LENGTH_BYTES..]).unwrap().message().unwrap();
            let expected = crate::messages::ReturnCode { return_code: errno.0 };
            assert_eq!(message, Message::ResponseSlurmRc(expected));
        }
        let old = refusal(0x2400, None, errno);
        assert_eq!(old[4..14], [0x24, 0, 0, 0x40, 0, 0, 0x1f, 0x41, 0, 0]);
        assert_eq!(old.len(), refusal(0x2e00, None, errno).len() + 2);
    }

    #[test]
    fn a_body_of_another_length_is_refused() {
        let bytes = build(Header::new(Release::V24_11, names::REQUEST_PING), None, b"abc");
        assert!(matches!(split(&bytes[4..bytes.len() - 1]), Err(FrameError::Malformed(_))));
        let mut longer = bytes[4..].to_vec();
        longer.push(0);
        assert!(matches!(split(&longer), Err(FrameError::Malformed(_))));
    }
}
