//! Reads captured frames by release and file name.

use std::path::Path;

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::{Header, Message, Release};

/// A capture's frame, taken apart.
#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
pub(super) fn read(release: Release, name: &str) -> (Header, Message) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let path = folder.join(release.name()).join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let parts = frame::split(&bytes[LENGTH_BYTES..]).expect("a whole frame");
    assert_eq!(parts.header.release, release);
    let message = parts.message().expect("a registered message");
    (parts.header, message)
}
