//! Formats of commands and snapshots: a kind byte, a format version, then the value in the stored
//! encoding of `flurm_base::codec`.
//!
//! Formats that were ever released stay readable: `FORMAT_VERSION` grows with every change of a
//! stored type, and `decode` translates what is older.

use flurm_base::codec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of the bytes that this release writes.
pub const FORMAT_VERSION: u8 = 1;

/// Begins a command.
pub(crate) const KIND_COMMAND: u8 = 0xC1;
/// Begins a snapshot.
pub(crate) const KIND_SNAPSHOT: u8 = 0xC2;

/// Why bytes could not be read. A stored command or snapshot that fails must stop the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// Not of this kind at all.
    Kind {
        /// The kind byte found; `None` for no bytes.
        found: Option<u8>,
    },
    /// Written by a newer release.
    Version {
        /// The version found.
        found: u8,
    },
    /// Damaged, or a kind of command that this release does not know.
    Content(String),
}

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind { found: Some(byte) } => write!(f, "unexpected kind byte {byte:#04x}"),
            Self::Kind { found: None } => write!(f, "no bytes"),
            Self::Version { found } => {
                write!(f, "format version {found} is unknown; the newest known is {FORMAT_VERSION}")
            }
            Self::Content(text) => write!(f, "unreadable content: {text}"),
        }
    }
}

impl std::error::Error for CodecError {}

/// Kind, version, value.
pub(crate) fn encode<T: Serialize>(kind: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![kind, FORMAT_VERSION];
    bytes.append(&mut codec::encode(value));
    bytes
}

/// The reverse of `encode`; trailing bytes are damage.
pub(crate) fn decode<T: DeserializeOwned>(kind: u8, bytes: &[u8]) -> Result<T, CodecError> {
    let (found, version, body) = match bytes {
        [found, version, body @ ..] => (*found, *version, body),
        short => return Err(CodecError::Kind { found: short.first().copied() }),
    };
    if found != kind {
        return Err(CodecError::Kind { found: Some(found) });
    }
    if version != FORMAT_VERSION {
        return Err(CodecError::Version { found: version });
    }
    codec::decode(body).map_err(CodecError::Content)
}
