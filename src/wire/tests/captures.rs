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
use flurm_wire::{Fault, Message, Release, Wire, Writer};

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

/// Messages that were captured and whose bodies are not understood yet.
const NOT_UNDERSTOOD: &[u16] = &[
    1401, 1402, 1403, 1404, 1405, 1406, 1407, 1408, 1409, 1410, 1412, 1414, 1415, 1416, 1417, 1419,
    1421, 1422, 1423, 1424, 1425, 1426, 1427, 1428, 1429, 1430, 1432, 1433, 1434, 1435, 1436, 1438,
    1439, 1441, 1442, 1444, 1445, 1446, 1447, 1448, 1449, 1450, 1451, 1453, 1454, 1459, 1460, 1461,
    1462, 1463, 1464, 1465, 1466, 1467, 1468, 1469, 1470, 1471, 1472, 1473, 1474, 1475, 1476, 1477,
    1478, 1479, 1480, 1481, 1485, 1486, 1487, 1489, 1490, 1491, 1492, 1493, 1494, 1495, 1496, 1497,
    1498, 1501, 1502, 1503, 1504, 1508, 2044, 6500, 10001,
];

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

/// Gives the message's number where its body is not understood.
fn check(release: Release, path: &Path) -> Result<Option<u16>, String> {
    let bytes = bytes_in(path);
    let prefix = bytes.first_chunk::<LENGTH_BYTES>().ok_or("no length")?;
    if u32::from_be_bytes(*prefix) as usize != bytes.len() - LENGTH_BYTES {
        return Err(format!("announces {prefix:?} bytes"));
    }
    let (msg_type, body) = match is_persistent(path) {
        true => {
            let (number, body) = bytes[LENGTH_BYTES..].split_first_chunk().ok_or("no number")?;
            (u16::from_be_bytes(*number), body)
        }
        false => check_frame(release, &bytes)?,
    };
    match Message::decode(msg_type, release, body) {
        Ok(message) => match message.to_bytes(release) {
            again if again == body => Ok(None),
            again => Err(difference(&again, body)),
        },
        Err(error) if matches!(error.fault, Fault::UnknownMessage { msg_type: it, .. } if it == msg_type) => {
            Ok(Some(msg_type))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn every_captured_frame_is_reproduced() {
    let captures = captures();
    assert!(captures.len() >= 50, "only {} captures were found", captures.len());
    let mut faults = Vec::new();
    let mut unknown = BTreeSet::new();
    for (release, path) in captures {
        match check(release, &path) {
            Ok(msg_type) => unknown.extend(msg_type),
            Err(fault) => faults.push(format!("{}: {fault}", path.display())),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let unknown: Vec<u16> = unknown.into_iter().collect();
    assert_eq!(unknown, NOT_UNDERSTOOD, "NOT_UNDERSTOOD is stale");
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
