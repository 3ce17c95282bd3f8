//! The fuzz targets: what is done with bytes that a peer might send. `tests/fuzz_targets.rs` feeds
//! them a fixed number of damaged captures, `ci/fuzz` as many as there is time for.
//!
//! Whatever is accepted must be a fixed point: written again and read again it is the same.

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::{
    AuthBlock, DbdMessage, Message, Reader, Registry, Release, Wire, Writer, header, persist,
};

/// What a target does with an input.
pub(crate) type Act = fn(&[u8]);

/// Every target by its name.
pub(crate) const TARGETS: &[(&str, Act)] = &[
    ("frame", frame),
    ("header", header),
    ("auth", auth),
    ("body", body),
    ("dbd", dbd),
    ("persist", persistent),
];

/// Bytes in front of a body: the release by its place, the message by its number.
pub(crate) const BODY_PREFIX_BYTES: usize = 3;

/// Input of the targets `body` and `dbd`.
pub(crate) fn body_input(release: Release, msg_type: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = msg_type.to_be_bytes();
    [&[release as u8, high, low][..], body].concat()
}

/// A frame without its length, body included.
fn frame(bytes: &[u8]) {
    let Ok(parts) = frame::split(bytes) else { return };
    reframe(&parts);
    if let Ok(message) = parts.message() {
        fixed_point(&message, parts.header.release);
    }
}

/// A frame that says it has no authentication block, so that chance reaches what is behind.
fn header(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if let Some(flags) = bytes.get_mut(3) {
        *flags |= (header::flags::NO_AUTH & 0xff) as u8;
    }
    if let Ok(parts) = frame::split(&bytes) {
        reframe(&parts);
    }
}

fn reframe(parts: &frame::Frame<'_>) {
    let again = frame::build_raw(&parts.header, parts.auth_bytes, parts.body);
    let reread = frame::split(&again[LENGTH_BYTES..]).expect("what was accepted is acceptable");
    assert_eq!((&reread.header, reread.body), (&parts.header, parts.body));
}

/// An authentication block.
fn auth(bytes: &[u8]) {
    let release = Release::NEWEST;
    let Ok(block) = AuthBlock::decode(&mut Reader::new(release, bytes)) else { return };
    let mut w = Writer::new(release);
    block.encode(&mut w);
    let again = AuthBlock::decode(&mut Reader::new(release, w.bytes()));
    assert_eq!(again, Ok(block));
}

/// A body of any message in any release.
fn body(bytes: &[u8]) {
    any_body::<Message>(bytes);
}

/// A body of any message to or from the accounting daemon, in any release.
fn dbd(bytes: &[u8]) {
    any_body::<DbdMessage>(bytes);
}

fn any_body<M: Registry>(bytes: &[u8]) {
    let Some((&[place, high, low], body)) = bytes.split_first_chunk::<BODY_PREFIX_BYTES>() else {
        return;
    };
    let release = Release::ALL[usize::from(place) % Release::ALL.len()];
    let msg_type = u16::from_be_bytes([high, low]);
    if let Ok(message) = M::decode(msg_type, release, body) {
        fixed_point(&message, release);
    }
}

/// A message on a persistent connection, without its length.
fn persistent(bytes: &[u8]) {
    let Ok(parts) = persist::split(bytes) else { return };
    assert_eq!(&persist::build(parts.msg_type, parts.body)[LENGTH_BYTES..], bytes);
}

fn fixed_point<M: Registry>(message: &M, release: Release) {
    let bytes = message.to_bytes(release);
    let reread = M::decode(message.msg_type(), release, &bytes);
    let reread = reread.expect("what was accepted is acceptable");
    assert_eq!(reread.to_bytes(release), bytes);
}
