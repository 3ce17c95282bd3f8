//! Persistent connections: to the accounting daemon, from it to controllers, and between clusters.
//!
//! The first message is an ordinary frame, `REQUEST_PERSIST_INIT`; towards the accounting daemon
//! its type stands in front a second time, which `header` knows. Everything after it, the answer
//! included, is a length, a type and a body in the release that the hello and its answer agreed
//! on, without header or credential: whoever opened the connection is behind every message on it.

use crate::frame::{self, FrameError, LENGTH_BYTES};
use crate::{DecodeError, Reader, Registry, Release, Wire};

/// Smallest message: its type.
const MESSAGE_BYTES_MIN: u32 = 2;

/// Values of `PersistInit::persist_type`.
pub mod persist_types {
    /// To the accounting daemon.
    pub const DBD: u16 = 1;
    /// Between controllers of a federation.
    pub const FED: u16 = 2;
    /// Between a cluster's controllers.
    pub const HA_CTL: u16 = 3;
    /// Between accounting daemons.
    pub const HA_DBD: u16 = 4;
    /// From the accounting daemon to a controller (23.02 and later).
    pub const ACCT_UPDATE: u16 = 5;
}

/// Opens a persistent connection. 6500; 6501 does so under TLS (24.05 and 24.11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct PersistInit {
    /// The protocol version of the messages that follow.
    pub version: u16,
    /// The sender's cluster.
    pub cluster_name: Option<String>,
    /// See `persist_types`.
    pub persist_type: u16,
    /// Where the sender listens, if it does.
    pub port: u16,
}

/// The answer to the hello and to most requests on a persistent connection. 1433.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct PersistRc {
    /// Text for people.
    pub comment: Option<String>,
    /// What the accounting daemon is like, in the answer to the hello.
    pub flags: u16,
    /// An error number.
    pub rc: u32,
    /// The version to speak, in the answer to the hello; otherwise the request's type.
    pub ret_info: u16,
}

/// A message on a persistent connection, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Its number.
    pub msg_type: u16,
    /// Its body, still as bytes.
    pub body: &'a [u8],
}

impl Parts<'_> {
    /// Decodes the body: as a `DbdMessage` on a connection with the accounting daemon, as a
    /// `Message` on any other.
    pub fn message<M: Registry>(&self, release: Release) -> Result<M, DecodeError> {
        M::decode(self.msg_type, release, self.body)
    }
}

/// The length of a message from its first bytes, judged before anything is read or allocated.
pub fn length(prefix: [u8; LENGTH_BYTES], limit: u32) -> Result<usize, FrameError> {
    frame::length_within(prefix, MESSAGE_BYTES_MIN, limit)
}

/// Takes apart a message (without its length).
pub fn split(bytes: &[u8]) -> Result<Parts<'_>, FrameError> {
    let mut r = Reader::new(Release::NEWEST, bytes);
    let msg_type = r.u16()?;
    Ok(Parts { msg_type, body: r.rest() })
}

/// Puts a message together, length included.
pub fn build(msg_type: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).ok().and_then(|n| n.checked_add(MESSAGE_BYTES_MIN));
    let length = length.expect("a message stays below REPLY_BYTES_MAX");
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + length as usize);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&msg_type.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Puts a message together in a release, length included.
pub fn build_message<M: Registry>(message: &M, release: Release) -> Vec<u8> {
    build(message.msg_type(), &message.to_bytes(release))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dbd::{DbdMessage, Fini};
    use crate::names;

    #[test]
    fn a_message_has_slurms_bytes() {
        let fini = DbdMessage::DbdFini(Fini { close_conn: 0, commit: 1 });
        let bytes = build_message(&fini, Release::V22_05);
        assert_eq!(bytes, b"\0\0\0\x06\x05\x79\0\0\0\x01");
        let prefix = bytes[..LENGTH_BYTES].try_into().unwrap();
        assert_eq!(length(prefix, frame::REQUEST_BYTES_MAX), Ok(6));
        let parts = split(&bytes[LENGTH_BYTES..]).unwrap();
        assert_eq!(parts.msg_type, names::DBD_FINI);
        assert_eq!(parts.message(Release::V22_05), Ok(fini));
    }

    #[test]
    fn lengths_are_judged_before_reading() {
        let judged = |length: u32| super::length(length.to_be_bytes(), frame::REQUEST_BYTES_MAX);
        assert_eq!(judged(2), Ok(2));
        for wrong in [0, 1, frame::REQUEST_BYTES_MAX + 1, 1 << 30, u32::MAX] {
            assert!(judged(wrong).is_err(), "{wrong}");
        }
        assert!(split(b"\x05").is_err());
    }
}
