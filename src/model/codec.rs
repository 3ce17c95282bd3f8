//! Formats of commands and snapshots: a kind byte, a format version, then the value in the stored
//! encoding of `flurm_base::codec`.
//!
//! Formats that were ever released stay readable: `FORMAT_VERSION` grows with every change of a
//! stored type. New variants and new fields go at the end, and a new field says with [`since`] in
//! which version it came.

use std::cell::Cell;

use flurm_base::codec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// The version of the bytes that this release writes.
pub const FORMAT_VERSION: u8 = 11;
/// The oldest version that is still read.
const FORMAT_OLDEST: u8 = 1;

thread_local! {
    /// The version of the bytes that are being decoded: a field that came later asks for it.
    static READING: Cell<u8> = const { Cell::new(FORMAT_VERSION) };
}

/// A field that exists since format `SINCE`; older bytes hold nothing of it and give its default.
/// `#[serde(deserialize_with = "crate::codec::since::<2, _, _>")]`, at the end of its struct.
pub(crate) fn since<'de, const SINCE: u8, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    if READING.get() < SINCE { Ok(T::default()) } else { T::deserialize(deserializer) }
}

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
    if !(FORMAT_OLDEST..=FORMAT_VERSION).contains(&version) {
        return Err(CodecError::Version { found: version });
    }
    READING.set(version);
    let decoded = codec::decode(body).map_err(CodecError::Content);
    READING.set(FORMAT_VERSION);
    decoded
}
