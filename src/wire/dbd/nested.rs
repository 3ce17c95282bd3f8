//! Accounting messages inside other messages: in blocks, many at once, or relayed by a controller.

use super::DbdMessage;
use crate::packed;
use crate::{DecodeError, Gen, Reader, Registry as _, Release, Schema, Visitor, Wire, Writer};

/// What a message is called in views.
const KIND: &str = "DbdMessage";

/// An accounting message in a block of its own: part of 1474 and 1475.
pub type Packed = packed::Packed<DbdMessage>;

/// Messages that fit into others without end would have no end, so only plain ones are invented.
fn plain_sample(g: &mut Gen) -> DbdMessage {
    match g.below(3) {
        0 => DbdMessage::DbdFini(Wire::sample(g)),
        1 => DbdMessage::DbdJobComplete(Wire::sample(g)),
        _ => DbdMessage::PersistRc(Wire::sample(g)),
    }
}

impl Wire for Packed {
    const KIND: &'static str = "packed message";

    fn encode(&self, w: &mut Writer) {
        self.encode_block(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode_block(r)
    }

    fn view(&self, v: &mut dyn Visitor) {
        self.view_block(KIND, v);
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
        let message: DbdMessage = packed::decode_typed(r)?;
        r.leave();
        if message.msg_type() != announced {
            return Err(r.invalid("a relayed message is not of the announced type"));
        }
        Ok(Self(Box::new(message)))
    }

    fn view(&self, v: &mut dyn Visitor) {
        packed::view_named(KIND, &*self.0, v);
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
