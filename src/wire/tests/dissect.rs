//! Places of fields agree with the bytes and with the view, for every message in every release, and
//! damage is named where it is.

use std::path::Path;

use flurm_wire::difference::differences;
use flurm_wire::dissect::{self, Dissection};
use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::{
    Content, DbdMessage, Gen, Header, Message, Part, Registry, Release, Value, persist,
};

/// A message, what is seen in its frame, and the frame.
struct Seen {
    name: String,
    view: Value,
    rows: Vec<String>,
    found: Dissection,
    bytes: Vec<u8>,
}

/// Every message of a set in every release that has it, a few times.
fn see<M: Registry>(
    dissect: fn(Release, &M) -> (Dissection, Vec<u8>),
    check: &mut dyn FnMut(Seen),
) {
    for entry in M::REGISTERED {
        for release in Release::ALL.into_iter().filter(|release| entry.in_release(*release)) {
            for seed in 0..4 {
                let message = entry.sample(&mut Gen::new(release, seed));
                let (found, bytes) = dissect(release, &message);
                let name = format!("{} {release}", entry.name);
                let (view, rows) =
                    (Value::of(|v| message.view(v)), entry.schema(release).rows().to_vec());
                check(Seen { name, view, rows, found, bytes });
            }
        }
    }
}

fn each_sample(mut check: impl FnMut(Seen)) {
    let framed = |release, message: &Message| {
        let header = Header::new(release, message.msg_type());
        let bytes = frame::build(header, None, &message.to_bytes(release));
        (dissect::frame(&bytes), bytes)
    };
    see(framed, &mut check);
    let persistent = |release, message: &DbdMessage| {
        let bytes = persist::build_message(message, release);
        (dissect::persistent(release, &bytes), bytes)
    };
    see(persistent, &mut check);
}

/// Inner parts stand in order inside of their part, without overlap.
fn check_places(part: &Part, what: &str) {
    let (Content::Record(inner) | Content::List(inner)) = &part.content else { return };
    let mut at = part.at;
    for each in inner {
        assert!(at <= each.at, "{what}: {each:?} starts before {at}");
        at = each.at + each.bytes;
        check_places(each, what);
    }
    assert!(at <= part.at + part.bytes, "{what}: {part:?} ends before its last part");
}

#[test]
fn parts_stand_one_behind_another() {
    each_sample(|Seen { name: what, found, bytes, .. }| {
        assert_eq!((&found.damage, &found.not_understood), (&vec![], &None), "{what}");
        let mut at = 0;
        for part in &found.parts {
            assert_eq!(part.at, at, "{what}: {part:?}");
            at += part.bytes;
            check_places(part, &what);
        }
        assert_eq!(at, bytes.len(), "{what}");
    });
}

/// What the places say is what the view says; only fields that the release does not carry may be
/// missing.
#[test]
fn parts_say_what_the_view_says() {
    each_sample(|Seen { name, view, found, .. }| {
        let body = found.part("body").expect("a body").value();
        let differing = differences(&body, &view, &[]);
        let wrong: Vec<_> = differing.iter().filter(|each| each.left.is_some()).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    });
}

/// Fields of every derived record have places of their own.
#[test]
fn every_declared_field_has_a_place() {
    let mut missing = std::collections::BTreeSet::new();
    each_sample(|Seen { name, rows, found, .. }| {
        let body = found.part("body").expect("a body");
        let names: Vec<&str> = match &body.content {
            Content::Record(fields) => fields.iter().filter_map(|field| field.name).collect(),
            _ => Vec::new(),
        };
        for row in rows.iter().filter(|row| row.contains(' ') && !row.contains('?')) {
            let outer = row.split([' ', '.', '[']).next().unwrap_or_default();
            let counted =
                ["count", "has_message", "list", "version"].contains(&outer) || outer.is_empty();
            // A relayed message is known only after its type was read, so it is shown whole.
            let relayed = name.starts_with("REQUEST_DBD_RELAY ");
            if !counted && !relayed && !names.contains(&outer) {
                missing.insert(format!("{name}: {row}"));
            }
        }
    });
    assert!(missing.is_empty(), "no place of their own: {missing:#?}");
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn capture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn bytes_of<'a>(found: &Dissection, bytes: &'a [u8], path: &[&str]) -> &'a [u8] {
    let mut parts = &found.parts;
    let mut last = None;
    for name in path {
        let part = parts.iter().find(|part| part.name == Some(*name)).expect("a known field");
        if let Content::Record(inner) = &part.content {
            parts = inner;
        }
        last = Some(part);
    }
    let part = last.expect("a path");
    &bytes[part.at..part.at + part.bytes]
}

#[test]
fn places_are_those_of_the_captured_bytes() {
    let bytes = capture("24.11/4003_sbatch.hex");
    let found = dissect::frame(&bytes);
    assert_eq!(bytes_of(&found, &bytes, &["header", "version"]), [0x2a, 0]);
    assert_eq!(bytes_of(&found, &bytes, &["header", "msg_type"]), 4003u16.to_be_bytes());
    assert_eq!(bytes_of(&found, &bytes, &["auth", "plugin"]), 100u32.to_be_bytes());
    assert_eq!(bytes_of(&found, &bytes, &["auth", "hostname"])[4..], *b"c1\0");
    assert_eq!(bytes_of(&found, &bytes, &["body", "name"])[4..], *b"long.sh\0");
    assert_eq!(
        found.to_value(false).field("name").map(Value::to_json).as_deref(),
        Some("\"REQUEST_SUBMIT_BATCH_JOB\"")
    );
}

#[test]
fn damage_is_named_where_it_is() {
    let bytes = capture("24.11/4003_sbatch.hex");
    let whole = dissect::frame(&bytes);
    let name = whole.part("body").and_then(|body| match &body.content {
        Content::Record(fields) => fields.iter().find(|field| field.name == Some("name")),
        _ => None,
    });
    let name = name.expect("jobs have names");
    let mut longer = bytes.clone();
    longer[name.at] = 0x20;
    let found = dissect::frame(&longer);
    assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
    let place = format!("at byte {} in JobDesc.name", name.at + 4);
    assert!(found.damage[0].ends_with(&place), "{:?}", found.damage);
    let fields = found.part("body").map(Part::value).expect("fields before the damage");
    assert!(fields.field("site_factor").is_some(), "{fields:?}");
    assert_eq!(fields.field("name"), Some(&Value::Null));
    assert!(found.part("unread").is_some_and(|part| part.at == name.at + 4));
}

#[test]
fn a_cut_frame_shows_what_is_left() {
    let bytes = capture("24.11/4003_sbatch.hex");
    for length in 0..bytes.len() {
        let found = dissect::frame(&bytes[..length]);
        assert!(!found.damage.is_empty(), "{length}");
        let shown: usize = found.parts.iter().map(|part| part.bytes).sum();
        assert!(shown <= length || length < LENGTH_BYTES, "{length}");
        assert_eq!(found.msg_type, (length >= 200).then_some(4003).or(found.msg_type));
    }
}

#[test]
fn an_unknown_message_is_shown_as_bytes() {
    let bytes = frame::build(Header::new(Release::V24_11, 4), None, b"\x01\x02");
    let found = dissect::frame(&bytes);
    assert!(found.damage.is_empty());
    assert_eq!(found.part("body").map(Part::value), Some(Value::Bytes(vec![1, 2])));
    let text = found.not_understood.expect("it says so");
    assert!(text.starts_with("message 4 (no name"), "{text}");
}

#[test]
fn a_persistent_frame_has_no_header() {
    let found = dissect::persistent(Release::V22_05, b"\0\0\0\x02\x03\xf0");
    assert_eq!(found.msg_type, Some(1008));
    assert!(found.damage.is_empty() && found.part("header").is_none());
    let found = dissect::persistent(Release::V22_05, b"\0\0\0\x09\x03\xf0x");
    assert_eq!(found.damage.len(), 2, "{:?}", found.damage);
}
