//! Bytes of stored and forwarded values: the one place that knows bincode.
//!
//! Configuration, written down because stored bytes depend on it: bincode 2, little endian, variable
//! width integers, no trailing bytes. Upstream is no longer maintained; replacing it touches this file
//! and the golden bytes of its tests.

use serde::{Deserialize, Serialize};

/// No value is larger: what decoding may allocate, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 34;

/// The bytes of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("writing to memory cannot fail and stored types are serialisable")
}

/// Reads what [`encode`] wrote. Damage, and bytes left over, are an error in words.
///
/// A `String` or `Vec<u8>` reserves the length that the bytes claim before it is known to be there;
/// a type that is read from a peer borrows instead (`deserialize_str`, `deserialize_bytes`).
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    let config = bincode::config::standard().with_limit::<VALUE_BYTES_MAX>();
    let (value, read) = bincode::serde::borrow_decode_from_slice(bytes, config)
        .map_err(|error| error.to_string())?;
    if read != bytes.len() {
        return Err(format!("{} bytes too many", bytes.len() - read));
    }
    Ok(value)
}

/// A `Vec<u8>` field as one run of bytes, `#[serde(with = "flurm_base::codec::bytes")]`: the same
/// encoding as a sequence, without a step for each byte.
pub mod bytes {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    /// Writes the bytes.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    /// Reads the bytes; a length alone reserves nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Run;

        impl<'de> Visitor<'de> for Run {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }

        deserializer.deserialize_bytes(Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_gives_these_bytes_for_ever() {
        let value = (1u32, 300u64, Some("ab".to_owned()), vec![-1i32]);
        let bytes = encode(&value);
        assert_eq!(bytes, [1, 251, 44, 1, 1, 2, 97, 98, 1, 1]);
        assert_eq!(decode::<(u32, u64, Option<String>, Vec<i32>)>(&bytes), Ok(value));
    }

    #[test]
    fn a_run_of_bytes_is_encoded_as_a_sequence_of_them() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Run(#[serde(with = "bytes")] Vec<u8>);

        let run = Run(vec![7; 300]);
        let bytes = encode(&run);
        assert_eq!(bytes, encode(&run.0));
        assert_eq!(decode::<Run>(&bytes), Ok(run));
        assert!(decode::<Run>(&[5, 1]).is_err());
    }

    #[test]
    fn bytes_left_over_are_damage() {
        assert_eq!(decode::<u8>(&[1, 2]), Err("1 bytes too many".to_owned()));
    }
}
