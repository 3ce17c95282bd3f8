//! The snapshot file: the whole state machine at one index.
//!
//! ```text
//! "FLURMSNP"  version u32  head_len u32  head_crc u32  data_crc u32  data_len u64  head  data
//! ```
//! `head` is a `codec` value saying what the snapshot is of; `head_crc` covers everything before
//! it and the head. There is one file, replaced atomically, so the older one is gone exactly when
//! the newer one is durable.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flurm_rt::Fs;

use crate::codec;
use crate::stored::StoredSnapshotMeta;

/// File name of the snapshot.
pub(crate) const SNAPSHOT_FILE: &str = "snapshot";
const MAGIC: &[u8; 8] = b"FLURMSNP";
const FORMAT_VERSION: u32 = 1;
const FIXED: usize = 32;
const HEAD_BYTES_MAX: usize = 1 << 20;
const UNIX_MODE: u32 = 0o600;

/// A snapshot: what it is of, and the state machine's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) meta: StoredSnapshotMeta,
    pub(crate) data: Bytes,
}

fn path(folder: &Path) -> PathBuf {
    folder.join(SNAPSHOT_FILE)
}

/// A snapshot as the bytes of its file.
pub(crate) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let head = codec::encode(&snapshot.meta);
    assert!(head.len() <= HEAD_BYTES_MAX, "members and their names are bounded");
    let mut bytes = Vec::with_capacity(FIXED + head.len() + snapshot.data.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32c::crc32c(&snapshot.data).to_le_bytes());
    bytes.extend_from_slice(&(snapshot.data.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&head);
    let crc = crc32c::crc32c(&bytes);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&snapshot.data);
    bytes
}

/// Reads the bytes of a snapshot file. `Err` says what is wrong with them.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Snapshot, String> {
    let bytes = Bytes::from(bytes);
    if bytes.len() < FIXED || &bytes[..8] != MAGIC {
        return Err("the snapshot does not start as one".to_owned());
    }
    let u32_at =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let version = u32_at(8);
    if FORMAT_VERSION < version {
        return Err(format!(
            "snapshot format {version} is newer than {FORMAT_VERSION}, the newest this release \
             knows"
        ));
    }
    let head_len = u32_at(12) as usize;
    let data_len = u64::from(u32_at(24)) | (u64::from(u32_at(28)) << 32);
    if HEAD_BYTES_MAX < head_len || bytes.len() < FIXED + head_len {
        return Err("the snapshot is cut short".to_owned());
    }
    let mut head = bytes[..FIXED + head_len].to_vec();
    head[16..20].fill(0);
    if crc32c::crc32c(&head) != u32_at(16) {
        return Err("the snapshot's head has a wrong checksum".to_owned());
    }
    let data = bytes.slice(FIXED + head_len..);
    if data.len() as u64 != data_len {
        return Err(format!("the snapshot holds {} bytes of {data_len}", data.len()));
    }
    let rotten = crc32c::crc32c(&data) != u32_at(20);
    if rotten && !flurm_base::planted::is("raft_believes_rotten_snapshots") {
        return Err("the snapshot's checksum is wrong".to_owned());
    }
    let meta = codec::decode(&head[FIXED..])
        .map_err(|error| format!("the snapshot's head cannot be read: {error}"))?;
    Ok(Snapshot { meta, data })
}

/// Replaces the snapshot file. Durable when this returns.
pub(crate) async fn save<F: Fs>(fs: &F, folder: &Path, snapshot: &Snapshot) -> io::Result<()> {
    fs.replace(&path(folder), &encode(snapshot), UNIX_MODE).await
}

/// Reads the snapshot file, `None` when there is none.
pub(crate) async fn load<F: Fs>(
    fs: &F,
    folder: &Path,
    data_max: usize,
) -> io::Result<Option<Snapshot>> {
    let max = data_max.saturating_add(FIXED + HEAD_BYTES_MAX);
    let bytes = match fs.read(&path(folder), max).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match decode(bytes) {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(text) => {
            flurm_base::sometimes!("a damaged snapshot was noticed");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Text;
    use crate::stored::{StoredLogId, StoredMembers};

    fn sample() -> Snapshot {
        let members = StoredMembers {
            voters: vec![[1, 2, 3].into()],
            nodes: [(2, (Text("c2".to_owned()), Text("127.0.0.1:2".to_owned())))].into(),
        };
        let meta = StoredSnapshotMeta {
            last: Some(StoredLogId { term: 4, index: 70_000 }),
            members_at: Some(StoredLogId { term: 0, index: 0 }),
            members,
        };
        Snapshot { meta, data: Bytes::from_static(b"the state") }
    }

    #[test]
    fn format_1_is_read_and_written_for_ever() {
        let golden = include_bytes!("golden/snapshot-format-1");
        assert!(encode(&sample()) == golden);
        assert_eq!(decode(golden.to_vec()), Ok(sample()));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = encode(&sample());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(bad).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode(bytes[..len].to_vec()).is_err(), "length {len}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_with_its_number() {
        let mut bytes = encode(&sample());
        bytes[8] = 9;
        assert!(decode(bytes).unwrap_err().contains("snapshot format 9"));
    }
}
