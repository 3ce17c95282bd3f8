//! Values to bytes and back, for disk and wire: `flurm_base::codec`, and the two kinds of value
//! that must not reserve memory for a length alone.
//!
//! Integers below 251 take one byte, then 251/252/253 announce 2, 4 or 8 bytes; enum variants are
//! numbers, `Option` is 0 or 1 and the value, sequences and byte strings are a length and the
//! items, structs are their fields in order. Golden bytes in the tests fix exactly this.

use std::fmt;

use bytes::Bytes;
pub(crate) use flurm_base::codec::{decode, encode};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Opaque bytes: encoded as a length and the bytes, and cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;

        impl<'de> Visitor<'de> for BlobVisitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }
        }

        deserializer.deserialize_bytes(BlobVisitor)
    }
}

/// Text: encoded like a `String`, but a length alone reserves no memory when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize as DeriveDe, Serialize as DeriveSer};

    #[derive(Debug, PartialEq, DeriveSer, DeriveDe)]
    enum Shape {
        Empty,
        Pair { left: u64, right: Option<u32> },
        Raw(Blob),
        Named(Text),
    }

    fn round(shape: &Shape, golden: &[u8]) {
        assert_eq!(encode(shape), golden);
        assert_eq!(decode::<Shape>(golden).as_ref(), Ok(shape));
    }

    #[test]
    fn the_encoding_is_the_one_written_down() {
        round(&Shape::Empty, &[0]);
        round(&Shape::Pair { left: 250, right: None }, &[1, 250, 0]);
        round(&Shape::Pair { left: 251, right: Some(1) }, &[1, 251, 251, 0, 1, 1]);
        round(
            &Shape::Pair { left: 0x1_0000, right: Some(0x1234) },
            &[1, 252, 0, 0, 1, 0, 1, 251, 0x34, 0x12],
        );
        round(
            &Shape::Pair { left: u64::MAX, right: None },
            &[1, 253, 255, 255, 255, 255, 255, 255, 255, 255, 0],
        );
        round(&Shape::Raw(Blob(Bytes::from_static(b"abc"))), &[2, 3, b'a', b'b', b'c']);
        round(&Shape::Named(Text("ab".to_owned())), &[3, 2, b'a', b'b']);
    }

    #[test]
    fn leftover_and_missing_bytes_are_refused() {
        assert!(decode::<Shape>(&[0, 0]).is_err());
        assert!(decode::<Shape>(&[1, 250]).is_err());
        assert!(decode::<Shape>(&[9]).is_err());
        assert!(decode::<Shape>(&[2, 253, 255, 255, 255, 255, 255, 255, 255, 255]).is_err());
        assert!(decode::<Shape>(&[2, 252, 255, 255, 255, 127]).is_err(), "length beyond the bytes");
        assert!(decode::<Shape>(&[3, 252, 255, 255, 255, 127]).is_err(), "length beyond the bytes");
    }
}
