//! Nothing of a captured body is skipped: whatever byte of it is changed, the view of the message
//! changes too, or the bytes are refused. What a declaration calls filler is the exception: it is
//! read over, and written as the declared constant.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

use std::path::Path;

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::{DbdMessage, FieldInfo, Json, Message, Registry, Release, persist};

/// Bytes of one body that are tried; of longer ones every so many.
const PLACES_MAX: usize = 700;
/// Changes of one byte: of its lowest bit, of its highest, and of all.
const CHANGES: [u8; 3] = [0x01, 0x80, 0xff];
/// Kinds that a change may leave as it was: filler, and the upper byte of a flag that is set.
const SILENT: [&str; 2] = ["filler", "u16?"];

/// Kinds of which a view shows fewer digits than they have, and all that is not finite as null.
const ROUNDED: [&str; 2] = ["double", "longdouble"];

struct Body {
    file: String,
    release: Release,
    msg_type: u16,
    bytes: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn bodies(persistent: bool) -> Vec<Body> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut bodies = Vec::new();
    for release in Release::ALL {
        let Ok(entries) = std::fs::read_dir(root.join(release.name())) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let digits: String =
                lines.flat_map(str::chars).filter(|c| c.is_ascii_hexdigit()).collect();
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
            if persistent != text.lines().any(|line| line.starts_with("# persistent ")) {
                continue;
            }
            let file = format!("{release} {}", path.file_name().unwrap().to_string_lossy());
            let bytes = &bytes[LENGTH_BYTES..];
            let (msg_type, bytes) = if persistent {
                let parts = persist::split(bytes).unwrap();
                (parts.msg_type, parts.body.to_vec())
            } else {
                let parts = frame::split(bytes).unwrap();
                (parts.header.msg_type, parts.body.to_vec())
            };
            bodies.push(Body { file, release, msg_type, bytes });
        }
    }
    bodies
}

fn view<M: Registry>(body: &Body, bytes: &[u8]) -> Option<String> {
    let message = M::decode(body.msg_type, body.release, bytes).ok()?;
    let mut json = Json::default();
    message.view(&mut json);
    Some(json.text().to_owned())
}

/// The places of a body that can be changed without a change of the view.
fn silent<M: Registry>(body: &Body) -> Vec<usize> {
    let before =
        view::<M>(body, &body.bytes).unwrap_or_else(|| panic!("{} is not read", body.file));
    let mut bytes = body.bytes.clone();
    let mut silent = Vec::new();
    for at in (0..bytes.len()).step_by(1 + bytes.len() / PLACES_MAX) {
        let heard = CHANGES.iter().any(|change| {
            bytes[at] ^= change;
            let after = view::<M>(body, &bytes);
            bytes[at] ^= change;
            after.as_ref() != Some(&before)
        });
        if !heard {
            silent.push(at);
        }
    }
    silent
}

/// The field that is missing when the bytes end at `end`, and its kind.
fn missing_at<M: Registry>(body: &Body, end: usize) -> (&'static str, &'static str) {
    let cut = M::decode(body.msg_type, body.release, &body.bytes[..end]);
    let place = cut.err().and_then(|error| error.field).unwrap_or("no field");
    let (record, name) = place.split_once('.').unwrap_or((place, ""));
    let entry = M::registered(body.msg_type, body.release).unwrap();
    let schema = entry.schema(body.release);
    let fields = schema.records().get(record).copied().unwrap_or_default();
    let kind = |field: &FieldInfo| match field.declared.contains("LongDouble") {
        true => "longdouble",
        false => field.kind,
    };
    (place, fields.iter().find(|field| field.name == name).map_or("unknown", kind))
}

/// Why a silent byte may not be so: it is kept though no view tells it, or it is of a kind that is
/// told. At the very end of the bytes a list may be what is missing instead of its first value, so
/// the places right behind count too.
fn fault<M: Registry>(body: &Body, at: usize) -> Option<String> {
    let mut bytes = body.bytes.clone();
    bytes[at] ^= CHANGES[0];
    let message = M::decode(body.msg_type, body.release, &bytes).unwrap();
    let (place, kind) = missing_at::<M>(body, at);
    if message.to_bytes(body.release) != body.bytes && !ROUNDED.contains(&kind) {
        return Some(format!("byte {at} of {place} is kept, but not shown"));
    }
    let ends = at..body.bytes.len().min(at + 4);
    let is_silent =
        |end| SILENT.iter().chain(&ROUNDED).any(|kind| *kind == missing_at::<M>(body, end).1);
    let known = ends.into_iter().any(is_silent);
    (!known).then(|| format!("byte {at} of {place} is read over, and is {kind}"))
}

fn faults<M: Registry>(persistent: bool, least: usize) -> Vec<String> {
    let mut bodies = bodies(persistent);
    bodies.retain(|body| M::registered(body.msg_type, body.release).is_some());
    assert!(bodies.len() >= least, "only {} bodies were found", bodies.len());
    let mut faults = Vec::new();
    for body in &bodies {
        for at in silent::<M>(body) {
            faults.extend(fault::<M>(body, at).map(|fault| format!("{}: {fault}", body.file)));
        }
    }
    faults
}

#[test]
fn every_byte_of_a_captured_body_is_told() {
    let faults = faults::<Message>(false, 400);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_byte_of_a_captured_accounting_body_is_told() {
    let mut faults = faults::<DbdMessage>(true, 50);
    faults.extend(self::faults::<Message>(true, 1));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
