//! The mark: how far the log is known to be synced, kept beside it.
//!
//! A broken last group is either a write that never finished, which nobody was told of, or synced
//! data that rotted since. Everything before the last group is proven by the groups after it; for
//! the last one the mark decides. It is written once the log has been idle for a moment, so it may
//! lag, but it is never ahead of the disk.
//!
//! ```text
//! slot (512 bytes), twice:  "FLURMMRK"  version u32  crc u32  generation u64
//!                           sequence u64  offset u64  chain u32
//! ```
//! The slots are written in turn; the whole one with the larger generation counts.

use std::io;
use std::path::{Path, PathBuf};

use flurm_rt::{File, Fs, OpenMode};

use crate::segment::SECTOR;

/// File name of the mark.
pub(crate) const MARK_FILE: &str = "log-mark";
const MAGIC: &[u8; 8] = b"FLURMMRK";
const VERSION: u32 = 1;
const SLOTS: usize = 2;
const USED: usize = 44;

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Segment.
    pub(crate) sequence: u64,
    /// Offset in it.
    pub(crate) offset: u64,
    /// Checksum of the last group before that offset.
    pub(crate) chain: u32,
}

/// The open mark file.
pub(crate) struct Mark<F: Fs> {
    file: F::File,
    generation: u64,
    position: Position,
}

fn encode(generation: u64, position: Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&position.sequence.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes.extend_from_slice(&position.chain.to_le_bytes());
    assert_eq!(bytes.len(), USED, "the slot layout is fixed");
    let crc = crc32c::crc32c(&bytes);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes.resize(SECTOR, 0);
    bytes
}

fn decode(slot: &[u8]) -> Option<(u64, Position)> {
    let used = slot.get(..USED)?;
    let u32_at =
        |at: usize| u32::from_le_bytes([used[at], used[at + 1], used[at + 2], used[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | (u64::from(u32_at(at + 4)) << 32);
    let mut zeroed = used.to_vec();
    zeroed[12..16].fill(0);
    if &used[..8] != MAGIC || u32_at(8) != VERSION || u32_at(12) != crc32c::crc32c(&zeroed) {
        return None;
    }
    let position = Position { sequence: u64_at(24), offset: u64_at(32), chain: u32_at(40) };
    Some((u64_at(16), position))
}

/// The whole slot that counts, of the bytes of a mark file.
fn best_in(bytes: &[u8]) -> Option<(u64, Position)> {
    bytes.chunks(SECTOR).filter_map(decode).max_by_key(|(generation, _)| *generation)
}

/// How far a log is known to be synced, from the bytes of its mark file.
pub(crate) fn position_in(bytes: &[u8]) -> Option<Position> {
    best_in(bytes).map(|(_, position)| position)
}

impl<F: Fs> Mark<F> {
    fn path(folder: &Path) -> PathBuf {
        folder.join(MARK_FILE)
    }

    /// Makes a new mark that says nothing, before the first segment is made.
    pub(crate) async fn create(fs: &F, folder: &Path) -> io::Result<Self> {
        let file = fs.open(&Self::path(folder), OpenMode::Create).await?;
        let position = Position { sequence: 0, offset: 0, chain: 0 };
        // Generation 1 belongs into the second slot; the first is what generation 2 overwrites.
        let mut bytes = vec![0; SECTOR];
        bytes.append(&mut encode(1, position));
        file.write_at(0, bytes).await?;
        file.sync().await?;
        fs.sync_dir(folder).await?;
        Ok(Self { file, generation: 1, position })
    }

    /// Opens the mark. `None`: there is none, or none that is whole.
    pub(crate) async fn open(fs: &F, folder: &Path) -> io::Result<Option<Self>> {
        let file = match fs.open(&Self::path(folder), OpenMode::Update).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = file.read_at(0, SLOTS * SECTOR).await?;
        Ok(best_in(&bytes).map(|(generation, position)| Self { file, generation, position }))
    }

    /// How far the log is known to be synced.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Moves the mark. Only after the log was synced up to there.
    pub(crate) async fn set(&mut self, position: Position) -> io::Result<()> {
        assert!(self.position <= position, "the log grows");
        let generation = self.generation + 1;
        let slot = generation % SLOTS as u64;
        self.file.write_at(slot * SECTOR as u64, encode(generation, position)).await?;
        self.file.sync().await?;
        self.generation = generation;
        self.position = position;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_the_bytes_written_down() {
        let position = Position { sequence: 3, offset: 1024, chain: 0xAABB_CCDD };
        let slot = encode(7, position);
        let mut golden = b"FLURMMRK\x01\0\0\0".to_vec();
        golden.extend_from_slice(&0x276F_EDFE_u32.to_le_bytes());
        golden.extend_from_slice(b"\x07\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\0");
        golden.extend_from_slice(b"\xDD\xCC\xBB\xAA");
        assert_eq!(&slot[..USED], golden);
        assert_eq!(decode(&golden), Some((7, position)));
    }

    #[test]
    fn any_flipped_bit_voids_a_slot() {
        let slot = encode(7, Position { sequence: 3, offset: 1024, chain: 5 });
        for bit in 0..USED * 8 {
            let mut bad = slot.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
    }
}
