//! Accounting messages inside other messages: in blocks, many at once, or relayed by a controller.

use super::DbdMessage;
use crate::{DecodeError, Gen, Reader, Registry, Release, Schema, Visitor, Wire, Writer};

/// An accounting message in a block of its own: part of 1474 and 1475. A block that is not
/// understood stays as it is, because its neighbours are none the worse for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Packed {
    /// A message.
    Message(Box<DbdMessage>),
    /// Anything else.
    Opaque(Vec<u8>),
}

impl Default for Packed {
    fn default() -> Self {
        Self::Opaque(Vec::new())
    }
}

fn decode_typed(r: &mut Reader<'_>) -> Result<DbdMessage, DecodeError> {
    let msg_type = r.u16()?;
    DbdMessage::decode_from(msg_type, r)
}

fn decode_block(r: &mut Reader<'_>) -> Result<DbdMessage, DecodeError> {
    let length = r.u32()?;
    let mut inner = r.nested(length)?;
    let message = decode_typed(&mut inner)?;
    inner.finish()?;
    Ok(message)
}

/// Messages that fit into others without end would have no end, so only plain ones are invented.
fn plain_sample(g: &mut Gen) -> DbdMessage {
    match g.below(3) {
        0 => DbdMessage::DbdFini(Wire::sample(g)),
        1 => DbdMessage::DbdJobComplete(Wire::sample(g)),
        _ => DbdMessage::PersistRc(Wire::sample(g)),
    }
}

fn view_message(message: &DbdMessage, v: &mut dyn Visitor) {
    v.record_begin("DbdMessage");
    v.field(message.name());
    message.view(v);
    v.record_end();
}

impl Wire for Packed {
    const KIND: &'static str = "packed message";

    fn encode(&self, w: &mut Writer) {
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

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut start = r.clone();
        let block = r.block()?;
        Ok(match decode_block(&mut start) {
            Ok(message) => Self::Message(Box::new(message)),
            Err(_) => Self::Opaque(block.to_vec()),
        })
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Self::Message(message) => view_message(message, v),
            Self::Opaque(bytes) => v.bytes(bytes),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        Self::Message(Box::new(plain_sample(g)))
    }
}

/// An accounting message that a controller passes on. 1028, 24.05 and later.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay(pub Box<DbdMessage>);

impl Default for Relay {
    fn default() -> Self {
        Self(Box::new(DbdMessage::DbdReconfig))
    }
}

impl Wire for Relay {
    const KIND: &'static str = "relay";

    fn encode(&self, w: &mut Writer) {
        w.u16(self.0.msg_type());
        w.u16(self.0.msg_type());
        self.0.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let announced = r.u16()?;
        r.enter()?;
        let message = decode_typed(r)?;
        r.leave();
        if message.msg_type() != announced {
            return Err(r.invalid("a relayed message is not of the announced type"));
        }
        Ok(Self(Box::new(message)))
    }

    fn view(&self, v: &mut dyn Visitor) {
        view_message(&self.0, v);
    }

    fn sample(g: &mut Gen) -> Self {
        Self(Box::new(plain_sample(g)))
    }

    fn schema(release: Release, s: &mut Schema) {
        let _ = release;
        for (name, kind) in [("type", "u16"), ("type", "u16"), ("body", "accounting message")] {
            s.enter(name);
            s.kind(kind);
            s.leave();
        }
    }
}
