//! Bytes of commands and snapshots: the one place that knows bincode.
//!
//! Configuration: bincode 2, little endian, fixed-width integers would cost space, so variable
//! width (`config::standard()`), with a bound on what one value may allocate. Every encoding
//! begins with a kind byte and a format version; formats that were ever released stay readable.

use bincode::config::{Configuration, Limit as SizeLimit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No command is larger: it has to fit a Slurm message and its parts.
pub const COMMAND_BYTES_MAX: usize = 1 << 30;
/// No snapshot is larger.
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 34;
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
                write!(f, "format version {found} is newer than {FORMAT_VERSION}, the newest known")
            }
            Self::Content(text) => write!(f, "unreadable content: {text}"),
        }
    }
}

impl std::error::Error for CodecError {}

fn config<const BYTES_MAX: usize>() -> Configuration<LittleEndian, Varint, SizeLimit<BYTES_MAX>> {
    bincode::config::standard().with_limit::<BYTES_MAX>()
}

/// Kind, version, value.
pub(crate) fn encode<T: Serialize>(kind: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![kind, FORMAT_VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("writing to memory cannot fail and every type here is serialisable");
    bytes
}

/// The reverse of `encode`; trailing bytes are damage.
pub(crate) fn decode<T: DeserializeOwned, const BYTES_MAX: usize>(
    kind: u8,
    bytes: &[u8],
) -> Result<T, CodecError> {
    match bytes.first() {
        Some(found) if *found == kind => {}
        found => return Err(CodecError::Kind { found: found.copied() }),
    }
    match bytes.get(1) {
        Some(&FORMAT_VERSION) => {}
        Some(found) => return Err(CodecError::Version { found: *found }),
        None => return Err(CodecError::Content(String::from("cut off after the kind byte"))),
    }
    let body = &bytes[2..];
    let (value, read) = bincode::serde::decode_from_slice(body, config::<BYTES_MAX>())
        .map_err(|error| CodecError::Content(error.to_string()))?;
    if read != body.len() {
        let rest = body.len() - read;
        return Err(CodecError::Content(format!("{rest} bytes too many")));
    }
    Ok(value)
}
