//! A message in a block of its own inside another message.

use crate::{DecodeError, Reader, Registry, Visitor, Writer};

/// A message in a block of its own. A block that is not understood stays as it is, because its
/// neighbours are none the worse for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Packed<M> {
    /// A message.
    Message(Box<M>),
    /// Anything else: a type that is not known, a body that is damaged or has more behind it.
    Opaque(Vec<u8>),
}

impl<M> Default for Packed<M> {
    fn default() -> Self {
        Self::Opaque(Vec::new())
    }
}

impl<M: Registry> Packed<M> {
    /// Appends the length and the block.
    pub(crate) fn encode_block(&self, w: &mut Writer) {
        match self {
            Self::Message(message) => {
                let length_at = w.bytes().len();
                w.u32(0);
                w.u16(message.msg_type());
                message.encode(w);
                let length = u32::try_from(w.bytes().len() - length_at - 4);
                w.patch_u32(length_at, length.expect("lengths are bounded by the largest frame"));
            }
            Self::Opaque(bytes) => w.block(bytes),
        }
    }

    /// Reads the length and the block. Fails only where the block reaches beyond what there is.
    pub(crate) fn decode_block(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut start = r.clone();
        let block = r.block()?;
        Ok(match decode_whole(&mut start) {
            Ok(message) => Self::Message(Box::new(message)),
            Err(_) => Self::Opaque(block.to_vec()),
        })
    }

    /// Shows a record `kind` with one field, named after the message inside.
    pub(crate) fn view_block(&self, kind: &'static str, v: &mut dyn Visitor) {
        match self {
            Self::Message(message) => view_named(kind, &**message, v),
            Self::Opaque(bytes) => v.bytes(bytes),
        }
    }
}

/// Shows a message as a record `kind` with one field, which has the message's name.
pub(crate) fn view_named<M: Registry>(kind: &'static str, message: &M, v: &mut dyn Visitor) {
    v.record_begin(kind);
    v.field(message.name());
    message.view(v);
    v.record_end();
}

fn decode_whole<M: Registry>(r: &mut Reader<'_>) -> Result<M, DecodeError> {
    let length = r.u32()?;
    let mut inner = r.nested(length)?;
    let message = decode_typed(&mut inner)?;
    inner.finish()?;
    Ok(message)
}

/// Reads a type and its body.
pub(crate) fn decode_typed<M: Registry>(r: &mut Reader<'_>) -> Result<M, DecodeError> {
    let msg_type = r.u16()?;
    M::decode_from(msg_type, r)
}
