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
pub struct Relay {
    /// The message.
    pub message: Box<DbdMessage>,
    /// What a sender leaves behind it: `_pack_dbd_relay` copies the whole of the buffer that it
    /// packed into, and `_unpack_dbd_relay` reads nothing of what it did not need.
    pub rest: Vec<u8>,
}

impl Relay {
    /// With nothing behind the message.
    pub fn of(message: DbdMessage) -> Self {
        Self { message: Box::new(message), rest: Vec::new() }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self::of(DbdMessage::DbdReconfig)
    }
}

impl Wire for Relay {
    const KIND: &'static str = "relay";

    fn encode(&self, w: &mut Writer) {
        w.u16(self.message.msg_type());
        w.u16(self.message.msg_type());
        self.message.encode(w);
        w.raw(&self.rest);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let announced = r.u16()?;
        r.enter()?;
        let message: DbdMessage = packed::decode_typed(r)?;
        r.leave();
        if message.msg_type() != announced {
            return Err(r.invalid("a relayed message is not of the announced type"));
        }
        Ok(Self { message: Box::new(message), rest: r.rest().to_vec() })
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin(KIND);
        v.field(self.message.name());
        self.message.view(v);
        if !self.rest.is_empty() {
            v.field("rest");
            v.bytes(&self.rest);
        }
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        Self::of(plain_sample(g))
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
