//! A frame taken apart for reading: every field with its place, and where the damage is if there
//! is some. For tools; daemons use `frame::split`, which stops at the first fault.

use crate::frame::{FrameError, Head, LENGTH_BYTES, read_head};
use crate::header::flag_names;
use crate::records::Signature;
use crate::{
    Content, DbdMessage, DecodeError, Fault, Message, Part, Reader, Registry, Release, Value,
    Visitor, Wire, names, text,
};

/// What was found in a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dissection {
    /// The release it is written in, where that could be read.
    pub release: Option<Release>,
    /// The message's number, where that could be read.
    pub msg_type: Option<u16>,
    /// Bits of the header's `flags`; 0 without a header.
    pub flags: u16,
    /// `length`, `header`, `auth`, `body`, and `unread` for what nothing accounts for. A frame of a
    /// persistent connection has `length`, `msg_type` and `body`.
    pub parts: Vec<Part>,
    /// Why the body is shown as bytes although nothing is wrong with it.
    pub not_understood: Option<String>,
    /// What is wrong, and where.
    pub damage: Vec<String>,
}

/// Reads the length and starts a tracing reader behind it.
fn start<'a>(release: Release, bytes: &'a [u8], found: &mut Dissection) -> Option<Reader<'a>> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        found.damage.push(format!("a frame starts with {LENGTH_BYTES} bytes of length"));
        return None;
    };
    let announced = u32::from_be_bytes(*prefix);
    let content = Content::Value(Value::Unsigned(u64::from(announced)));
    let part = Part { name: Some("length"), at: 0, bytes: LENGTH_BYTES, content };
    found.parts.push(part);
    if announced as usize != rest.len() {
        found.damage.push(format!("announces {announced} bytes where {} follow", rest.len()));
    }
    Some(Reader::traced(release, rest, LENGTH_BYTES))
}

/// Takes a whole frame apart, length included.
pub fn frame(bytes: &[u8]) -> Dissection {
    let mut found = Dissection::default();
    let Some(mut r) = start(Release::NEWEST, bytes, &mut found) else {
        return found;
    };
    match read_head(&mut r) {
        Ok(Head { header, body_length, .. }) => {
            found.release = Some(header.release);
            found.msg_type = Some(header.msg_type);
            found.flags = header.flags;
            if body_length != r.left() {
                let text = format!("the header announces {body_length} bytes of body where ");
                found.damage.push(format!("{text}{} are left", r.left()));
            }
            body::<Message>(header.msg_type, &mut r, &mut found);
        }
        Err(FrameError::Malformed(error)) => found.damaged(error, &r),
        Err(FrameError::Version { unsupported, msg_type }) => {
            found.msg_type = Some(msg_type);
            found.damage.push(unsupported.to_string());
        }
        Err(error @ FrameError::Length { .. }) => found.damage.push(error.to_string()),
    }
    found.close(r)
}

/// Takes apart a frame of a persistent connection whose two ends have agreed on a release: a
/// length, the message's number, its body.
pub fn persistent(release: Release, bytes: &[u8]) -> Dissection {
    let mut found = Dissection { release: Some(release), ..Dissection::default() };
    let Some(mut r) = start(release, bytes, &mut found) else {
        return found;
    };
    match r.field("msg_type") {
        Ok(msg_type) => {
            found.msg_type = Some(msg_type);
            // An accounting daemon's connection; else one between controllers, or to one of them.
            match DbdMessage::registered(msg_type, release) {
                Some(_) => body::<DbdMessage>(msg_type, &mut r, &mut found),
                None => body::<Message>(msg_type, &mut r, &mut found),
            }
        }
        Err(error) => found.damaged(error, &r),
    }
    found.close(r)
}

fn body<M: Registry>(msg_type: u16, r: &mut Reader<'_>, found: &mut Dissection) {
    r.begin("body");
    match M::decode_from(msg_type, r) {
        Ok(message) => {
            r.end(&|v| message.view(v));
            if let Err(error) = r.finish() {
                found.damaged(error, r);
            }
        }
        Err(error) if r.at() == error.at && is_unknown(&error, msg_type) => {
            let bytes = r.rest();
            r.end(&|v| v.bytes(bytes));
            let name = names::name(msg_type).unwrap_or("no name");
            let release = r.release();
            let text = format!("message {msg_type} ({name}) of {release} is shown as bytes");
            found.not_understood = Some(text);
        }
        Err(error) => found.damaged(error, r),
    }
}

/// Takes apart what a step daemon opens a channel of input and output with, length included.
pub fn introduction(bytes: &[u8]) -> Dissection {
    let version = bytes.get(LENGTH_BYTES..LENGTH_BYTES + 2).map(|two| [two[0], two[1]]);
    let release = version.and_then(|version| Release::from_version(u16::from_be_bytes(version)));
    let mut found = Dissection { release, ..Dissection::default() };
    let Some(mut r) = start(release.unwrap_or(Release::NEWEST), bytes, &mut found) else {
        return found;
    };
    let read = |r: &mut Reader<'_>| {
        r.field::<u16>("version")?;
        r.field::<u32>("node_id")?;
        r.field::<u32>("stdout_objs")?;
        r.field::<u32>("stderr_objs")?;
        r.field::<Signature>("io_key").map(|_| ())
    };
    if let Err(error) = read(&mut r) {
        found.damaged(error, &r);
    }
    found.close(r)
}

/// Takes apart a frame of a channel of input and output, header included.
pub fn channel(bytes: &[u8]) -> Dissection {
    let mut found = Dissection::default();
    let mut r = Reader::traced(Release::NEWEST, bytes, 0);
    let read = |r: &mut Reader<'_>| {
        let show = |number: &u16, v: &mut dyn Visitor| match STREAMS.get(usize::from(*number)) {
            Some(name) => v.text(name),
            None => v.unsigned(u64::from(*number)),
        };
        r.field_with("stream", u16::decode, show)?;
        r.field::<u16>("gtaskid")?;
        r.field::<u16>("ltaskid")?;
        let length = r.field::<u32>("length")? as usize;
        let payload = |r: &mut Reader<'_>| r.take(length).map(text::from_bytes);
        r.field_with("payload", payload, |text, v| v.text(text)).map(|_| ())
    };
    if let Err(error) = read(&mut r) {
        found.damage.push(error.to_string());
    }
    found.parts = r.into_parts();
    found
}

/// The streams of a channel by their numbers.
const STREAMS: [&str; 5] = ["stdin", "stdout", "stderr", "allstdin", "connection_test"];

fn is_unknown(error: &DecodeError, expected: u16) -> bool {
    matches!(error.fault, Fault::UnknownMessage { msg_type, .. } if msg_type == expected)
}

impl Dissection {
    fn damaged(&mut self, error: DecodeError, r: &Reader<'_>) {
        assert!(error.at <= r.at() + r.left(), "a fault stands in the bytes");
        let at = error.at + LENGTH_BYTES;
        self.damage.push(error.moved_to(at).to_string());
    }

    /// Takes over what the reader kept, and what it has not reached.
    fn close(mut self, r: Reader<'_>) -> Self {
        let at = LENGTH_BYTES + r.at();
        let unread = r.clone().rest().to_vec();
        self.parts.extend(r.into_parts());
        if !unread.is_empty() {
            let (bytes, content) = (unread.len(), Content::Value(Value::Bytes(unread)));
            self.parts.push(Part { name: Some("unread"), at, bytes, content });
        }
        self
    }

    /// The part of that name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == Some(name))
    }

    /// Everything as one record. With `offsets` every field becomes a record of `at` (bytes from
    /// the start of the frame), `bytes` (its length) and `value`, `fields`, `items` or `filler`.
    pub fn to_value(&self, offsets: bool) -> Value {
        let mut fields = Vec::new();
        if let Some(msg_type) = self.msg_type {
            fields.push(("type", Value::Unsigned(u64::from(msg_type))));
            let name = names::name(msg_type).map_or(Value::Null, |name| Value::Text(name.into()));
            fields.push(("name", name));
        }
        if let Some(release) = self.release {
            fields.push(("release", Value::Text(release.name().to_owned())));
        }
        let flags = flag_names(self.flags).map(|name| Value::Text(name.to_owned()));
        let flags: Vec<Value> = flags.collect();
        if !flags.is_empty() {
            fields.push(("flags", Value::List(flags)));
        }
        for part in &self.parts {
            let shown = if offsets { placed(part) } else { part.value() };
            fields.push((part.name.unwrap_or("part"), shown));
        }
        if let Some(text) = &self.not_understood {
            fields.push(("not_understood", Value::Text(text.clone())));
        }
        if !self.damage.is_empty() {
            let damage = self.damage.iter().map(|text| Value::Text(text.clone()));
            fields.push(("damage", Value::List(damage.collect())));
        }
        Value::Record(fields)
    }
}

fn placed(part: &Part) -> Value {
    let number = |value: usize| Value::Unsigned(value as u64);
    let named = |part: &Part| (part.name.unwrap_or_default(), placed(part));
    let (key, shown) = match &part.content {
        Content::Value(value) => ("value", value.clone()),
        Content::Filler(bytes) => ("filler", Value::Bytes(bytes.clone())),
        Content::Record(parts) => ("fields", Value::Record(parts.iter().map(named).collect())),
        Content::List(parts) => ("items", Value::List(parts.iter().map(placed).collect())),
        Content::Unreadable => ("unreadable", Value::Boolean(true)),
    };
    Value::Record(vec![("at", number(part.at)), ("bytes", number(part.bytes)), (key, shown)])
}
