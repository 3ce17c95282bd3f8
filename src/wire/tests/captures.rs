//! Bytes recorded between Slurm's own programs outrank our opinion: each frame is taken apart and
//! put together again without a difference, body included.
//!
//! `tests/captures/<release>/<number>_<what>.hex` holds one frame, length included, in hexadecimal;
//! lines that start with `#` say what caused it. A line `# payload …` is what the credential in the
//! frame held when its own daemon or key opened it; a line `# persistent …` says that the frame is of
//! a persistent connection, which has a number and a body only.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::hash::{Coverage, HashKind, check_hash, hash_block};
use flurm_wire::{DbdMessage, Message, Registry, Release, Wire, Writer, persist};

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn text_in(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn bytes_in(path: &Path) -> Vec<u8> {
    let text = text_in(path);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    unhex(lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect())
}

fn payload_in(path: &Path) -> Option<Vec<u8>> {
    let text = text_in(path);
    let payload = text.lines().find_map(|line| line.strip_prefix("# payload "));
    payload.map(|digits| unhex(digits.to_owned()))
}

fn unhex(digits: String) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn captures() -> Vec<(Release, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut captures = Vec::new();
    for release in Release::ALL {
        let folder = root.join(release.name());
        if folder.is_dir() {
            captures.extend(files_in(&folder).into_iter().map(|path| (release, path)));
        }
    }
    captures
}

/// Where two runs of bytes part, with what stands around that place.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b);
    let at = at.unwrap_or(ours.len().min(theirs.len()));
    let around = |bytes: &[u8]| {
        let range = at.saturating_sub(16)..bytes.len().min(at + 32);
        bytes[range].escape_ascii().to_string()
    };
    format!(
        "differ at byte {at} ({} and {} bytes)\nours   {}\ntheirs {}",
        ours.len(),
        theirs.len(),
        around(ours),
        around(theirs)
    )
}

fn is_persistent(path: &Path) -> bool {
    text_in(path).lines().any(|line| line.starts_with("# persistent "))
}

/// Checks everything around the body, and gives its number and the body itself.
fn check_frame(release: Release, bytes: &[u8]) -> Result<(u16, &[u8]), String> {
    let parts = frame::split(&bytes[LENGTH_BYTES..]).map_err(|error| error.to_string())?;
    if parts.header.release != release {
        return Err(format!("is of release {}", parts.header.release));
    }
    if let Some(auth) = &parts.auth {
        let mut w = Writer::new(release);
        auth.encode(&mut w);
        if w.bytes() != parts.auth_bytes {
            return Err(difference(w.bytes(), parts.auth_bytes));
        }
    }
    let again = frame::build_raw(&parts.header, parts.auth_bytes, parts.body);
    if again != bytes {
        return Err(difference(&again, bytes));
    }
    Ok((parts.header.msg_type, parts.body))
}

fn check_body<M: Registry>(msg_type: u16, release: Release, body: &[u8]) -> Result<(), String> {
    let message = M::decode(msg_type, release, body).map_err(|error| error.to_string())?;
    let again = message.to_bytes(release);
    if again == body { Ok(()) } else { Err(difference(&again, body)) }
}

fn check(release: Release, path: &Path) -> Result<(), String> {
    let bytes = bytes_in(path);
    let prefix = bytes.first_chunk::<LENGTH_BYTES>().ok_or("no length")?;
    if u32::from_be_bytes(*prefix) as usize != bytes.len() - LENGTH_BYTES {
        return Err(format!("announces {prefix:?} bytes"));
    }
    if is_persistent(path) {
        let parts = persist::split(&bytes[LENGTH_BYTES..]).map_err(|error| error.to_string())?;
        if DbdMessage::registered(parts.msg_type, release).is_some() {
            return check_body::<DbdMessage>(parts.msg_type, release, parts.body);
        }
        return check_body::<Message>(parts.msg_type, release, parts.body);
    }
    let (msg_type, body) = check_frame(release, &bytes)?;
    check_body::<Message>(msg_type, release, body)
}

#[test]
fn every_captured_frame_is_reproduced() {
    let captures = captures();
    assert!(captures.len() >= 50, "only {} captures were found", captures.len());
    let mut faults = Vec::new();
    for (release, path) in captures {
        if let Err(fault) = check(release, &path) {
            faults.push(format!("{}: {fault}", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn credentials_cover_their_bodies() {
    let mut kinds = BTreeSet::new();
    for (_, path) in captures() {
        let Some(payload) = payload_in(&path) else { continue };
        let bytes = bytes_in(&path);
        let parts = frame::split(&bytes[LENGTH_BYTES..]).unwrap();
        let msg_type = parts.header.msg_type;
        let coverage = check_hash(&payload, parts.body, msg_type);
        assert_eq!(coverage, Ok(Coverage::Body), "{}", path.display());
        let kind = if payload[0] == 2 { HashKind::K12 } else { HashKind::Sha3 };
        assert_eq!(hash_block(kind, parts.body, msg_type), payload, "{}", path.display());
        assert!(parts.auth.is_some_and(|auth| auth.has_payload()));
        kinds.insert(payload[0]);
    }
    assert_eq!(kinds, BTreeSet::from([2, 4]), "both digests were captured");
}

#[test]
fn a_captured_listing_says_what_was_true() {
    let name = "/../../tests/captures/22.05/2010_sinfo.hex";
    let bytes = bytes_in(Path::new(&format!("{}{name}", env!("CARGO_MANIFEST_DIR"))));
    let parts = frame::split(&bytes[LENGTH_BYTES..]).unwrap();
    let Message::ResponsePartitionInfo(listing) = parts.message().unwrap() else {
        panic!("not a listing of partitions");
    };
    let names: Vec<_> = listing.partitions.iter().map(|part| part.name.as_deref()).collect();
    assert_eq!(names, [Some("main"), Some("night")]);
    assert_eq!(listing.partitions[1].max_time, 60);
    assert_eq!(listing.partitions[0].nodes.as_deref(), Some("n[1-2]"));
}
