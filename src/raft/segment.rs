//! The bytes of a log segment: a header, then groups of records.
//!
//! ```text
//! header   "FLURMLOG"  version u32  body_len u32  crc u32  body            padded to 512 bytes
//! group    "FGRP"  body_len u32  count u32  chain u32  offset u64  crc u32  zero u32
//!          then `count` records, each  len u32  record                     padded to 512 bytes
//! ```
//! Integers are little-endian; header body and records are `codec` values. A group is what was
//! written and synced at once. Its checksum (CRC-32C) covers the segment's random salt, its own
//! header and its records, so bytes inside a command can never pass for a group; `chain` is the
//! checksum of the group before it (of the segment header for the first), so a group proves that
//! everything before it is what its writer saw. Groups start on sector boundaries, so that writing
//! one never rewrites a sector that holds synced data.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::stored::{StoredEntry, StoredLogId, StoredVote};

/// Alignment of groups and length of the header, bytes: the smallest unit a disk tears.
pub(crate) const SECTOR: usize = 512;
/// Newest segment format this release writes. It reads all from 1.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Most bytes of records in one group.
pub(crate) const GROUP_BODY_MAX: usize = 256 << 20;

const HEADER_MAGIC: &[u8; 8] = b"FLURMLOG";
const HEADER_FIXED: usize = 20;
const GROUP_MAGIC: &[u8; 4] = b"FGRP";
const GROUP_FIXED: usize = 32;

/// What a segment starts from: replaying it needs nothing of the segments before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Number of the segment; its file is named for it.
    pub(crate) sequence: u64,
    /// Random; goes into every group's checksum.
    pub(crate) salt: u64,
    /// Checksum of the last group of the segment before.
    pub(crate) chain: u32,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// The member whose log this is.
    pub(crate) node: u64,
    /// The entry before the first one of this segment.
    pub(crate) previous: Option<StoredLogId>,
    /// The vote in force.
    pub(crate) vote: Option<StoredVote>,
    /// The newest committed entry recorded.
    pub(crate) committed: Option<StoredLogId>,
}

/// One step in the life of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// The next entry.
    Entry(StoredEntry),
    /// A vote replaces the one before.
    Vote(StoredVote),
    /// Entries after this one are void; all when `None`.
    Truncate(Option<StoredLogId>),
    /// All entries are void; the log goes on behind this one, which a snapshot contains.
    Reset(StoredLogId),
    /// Entries up to this one are committed.
    Committed(Option<StoredLogId>),
}

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Not there, or not whole: what a write that never finished leaves, or damage.
    Broken(&'static str),
    /// Whole, but not to be understood by this release.
    Foreign(String),
}

fn align(len: usize) -> usize {
    len.next_multiple_of(SECTOR)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

/// A segment header as bytes, and its checksum.
pub(crate) fn encode_header(header: &Header) -> (Vec<u8>, u32) {
    let body = codec::encode(header);
    assert!(HEADER_FIXED + body.len() <= SECTOR, "cluster names are bounded by the configuration");
    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend_from_slice(HEADER_MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), &body);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.resize(SECTOR, 0);
    (bytes, crc)
}

/// Reads a segment header and its checksum.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<(Header, u32), Bad> {
    if bytes.len() < SECTOR {
        return Err(Bad::Broken("the segment header is cut short"));
    }
    if &bytes[..8] != HEADER_MAGIC {
        return Err(Bad::Broken("the segment header does not start as one"));
    }
    let version = u32_at(bytes, 8);
    let body_len = u32_at(bytes, 12) as usize;
    if SECTOR - HEADER_FIXED < body_len {
        return Err(Bad::Broken("the segment header has an impossible length"));
    }
    let body = &bytes[HEADER_FIXED..HEADER_FIXED + body_len];
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), body);
    if crc != u32_at(bytes, 16) {
        return Err(Bad::Broken("the segment header's checksum is wrong"));
    }
    match version {
        1 => match codec::decode(body) {
            Ok(header) => Ok((header, crc)),
            Err(error) => Err(Bad::Foreign(format!("the segment header cannot be read: {error}"))),
        },
        _ => Err(Bad::Foreign(format!(
            "log format {version} is newer than {FORMAT_VERSION}, the newest this release knows"
        ))),
    }
}

/// A group as bytes (padded), and its checksum.
pub(crate) fn encode_group(
    salt: u64,
    offset: u64,
    chain: u32,
    records: &[Vec<u8>],
) -> (Vec<u8>, u32) {
    assert!(!records.is_empty(), "an empty group says nothing");
    assert!(offset.is_multiple_of(SECTOR as u64), "groups start on sector boundaries");
    let body_len: usize = records.iter().map(|record| 4 + record.len()).sum();
    assert!(body_len <= GROUP_BODY_MAX, "the writer bounds its groups");
    let mut bytes = Vec::with_capacity(align(GROUP_FIXED + body_len));
    bytes.extend_from_slice(GROUP_MAGIC);
    bytes.extend_from_slice(&(body_len as u32).to_le_bytes());
    bytes.extend_from_slice(&(records.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&chain.to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    for record in records {
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(record);
    }
    let crc = group_crc(salt, &bytes[..24], &bytes[GROUP_FIXED..]);
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    bytes.resize(align(bytes.len()), 0);
    (bytes, crc)
}

fn group_crc(salt: u64, head: &[u8], body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, head), body)
}

/// A group found whole at its place.
pub(crate) struct Group<'a> {
    /// Checksum of the group before, as its writer saw it.
    pub(crate) chain: u32,
    /// Own checksum.
    pub(crate) crc: u32,
    /// Offset of the next group.
    pub(crate) end: u64,
    count: usize,
    body: &'a [u8],
}

/// Looks for a group at `offset` of the segment file `bytes`.
pub(crate) fn find_group(bytes: &[u8], salt: u64, offset: u64) -> Result<Group<'_>, Bad> {
    let start = usize::try_from(offset).map_err(|_| Bad::Broken("the offset is impossible"))?;
    let rest = bytes.get(start..).unwrap_or(&[]);
    if rest.len() < GROUP_FIXED {
        return Err(Bad::Broken("a group is cut short"));
    }
    if &rest[..4] != GROUP_MAGIC {
        return Err(Bad::Broken("a group does not start as one"));
    }
    let body_len = u32_at(rest, 4) as usize;
    if rest.len() - GROUP_FIXED < body_len {
        return Err(Bad::Broken("a group is cut short"));
    }
    if u64_at(rest, 16) != offset {
        return Err(Bad::Broken("a group belongs elsewhere"));
    }
    let body = &rest[GROUP_FIXED..GROUP_FIXED + body_len];
    let crc = group_crc(salt, &rest[..24], body);
    if crc != u32_at(rest, 24) && !flurm_base::planted::is("raft_takes_torn_groups") {
        return Err(Bad::Broken("a group's checksum is wrong"));
    }
    let end = offset + align(GROUP_FIXED + body_len) as u64;
    Ok(Group { chain: u32_at(rest, 12), crc, end, count: u32_at(rest, 8) as usize, body })
}

impl Group<'_> {
    /// The records inside, in order.
    pub(crate) fn records(&self) -> Result<Vec<Record>, Bad> {
        let mut records = Vec::new();
        let mut rest = self.body;
        while !rest.is_empty() {
            let foreign = || Bad::Foreign("a whole group holds a record of odd length".to_owned());
            let (len, tail) = rest.split_first_chunk::<4>().ok_or_else(foreign)?;
            let len = u32::from_le_bytes(*len) as usize;
            let (record, tail) = tail.split_at_checked(len).ok_or_else(foreign)?;
            let record = codec::decode(record).map_err(|error| {
                Bad::Foreign(format!(
                    "a whole group holds a record that this release does not know: {error}"
                ))
            })?;
            records.push(record);
            rest = tail;
        }
        if records.len() != self.count {
            return Err(Bad::Foreign("a whole group holds another number of records".to_owned()));
        }
        Ok(records)
    }
}
