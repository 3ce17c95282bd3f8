//! How a node keeps small things on disk: a kind, a format number, a checksum, then the value.

use serde::Serialize;
use serde::de::DeserializeOwned;

const HEAD: usize = 12;

/// Puts a value into the bytes of a file.
pub fn encode<T: Serialize>(kind: [u8; 6], format: u16, value: &T) -> Vec<u8> {
    let body = flurm_base::codec::encode(value);
    let mut out = kind.to_vec();
    out.extend_from_slice(&format.to_be_bytes());
    out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

/// The format of a record that [`encode`] wrote, whatever its kind.
pub fn format_of(bytes: &[u8]) -> Option<u16> {
    let format = bytes.get(6..8)?;
    Some(u16::from_be_bytes([format[0], format[1]]))
}

/// Reads what [`encode`] wrote. Another kind, another format or any damage is an error: a node that
/// cannot read what it did must not guess.
pub fn decode<T: DeserializeOwned>(kind: [u8; 6], format: u16, bytes: &[u8]) -> Result<T, String> {
    let head = bytes.get(..HEAD).ok_or("record is too short")?;
    if head[..6] != kind {
        return Err(format!("not a record of kind {}", String::from_utf8_lossy(&kind)));
    }
    let found = u16::from_be_bytes([head[6], head[7]]);
    if found != format {
        return Err(format!("record has format {found}, this program reads {format}"));
    }
    let body = &bytes[HEAD..];
    if crc32c::crc32c(body).to_be_bytes() != head[8..HEAD] {
        return Err("record is damaged (checksum)".into());
    }
    flurm_base::codec::decode(body).map_err(|error| format!("record is damaged: {error}"))
}
