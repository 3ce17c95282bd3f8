//! Reads the data folder of a member without changing it and without taking part: what its log and
//! its snapshot say, for whoever wants to know how a state came about.
//!
//! Input: the folder's files as bytes. Output: entries in order, with commands still opaque. The
//! same checks are made as when the member itself opens its log; damage is an error, never skipped.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::log::{self, LogConfig};
use crate::snapshot;
use crate::stored::{StoredEntry, StoredPayload};
use crate::{mark, segment};

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Archived {
    /// A new leader's first entry.
    Blank,
    /// A command.
    Command(Bytes),
    /// The members from here on, as people read them.
    Members(Vec<String>),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedEntry {
    /// Its place, from 0.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// What it carries.
    pub what: Archived,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedSnapshot {
    /// The last entry it contains.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The state machine's bytes.
    pub data: Bytes,
}

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The cluster's name.
    pub cluster: String,
    /// The member whose folder it is.
    pub member: u64,
    /// Entries, without gaps.
    pub entries: Vec<ArchivedEntry>,
    /// The newest entry that the log knows to be committed.
    pub committed: Option<u64>,
    /// The snapshot, when there is one.
    pub snapshot: Option<ArchivedSnapshot>,
    /// What is left out as a write that never finished.
    pub cut: Option<String>,
}

fn archived(entry: StoredEntry) -> ArchivedEntry {
    let what = match entry.payload {
        StoredPayload::Blank => Archived::Blank,
        StoredPayload::Command(bytes) => Archived::Command(bytes.0),
        StoredPayload::Members(members) => {
            let words = |(id, (name, addr)): (&u64, &(crate::codec::Text, crate::codec::Text))| {
                format!("{id} {} {}", name.0, addr.0)
            };
            Archived::Members(members.nodes.iter().map(words).collect())
        }
    };
    ArchivedEntry { index: entry.id.index, term: entry.id.term, what }
}

impl Archive {
    /// Reads the files of a data folder, by name. `Err` says what is wrong with them.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let segments = log::segments_of(files);
        let first = segments.first().ok_or("there is no log in the folder")?;
        let config = match segment::decode_header(first.1) {
            Ok((header, _)) => LogConfig {
                folder: std::path::PathBuf::new(),
                cluster: header.cluster,
                node: header.node,
                segment_bytes: 0,
            },
            Err(segment::Bad::Broken(text)) => return Err(format!("the log is damaged: {text}")),
            Err(segment::Bad::Foreign(text)) => return Err(text),
        };
        let marked = files.get(mark::MARK_FILE).and_then(|bytes| mark::position_in(bytes));
        let marked = marked.ok_or("the log's mark file is gone or broken")?;
        let (contents, cut) =
            log::replay_bytes(&config, &segments, marked).map_err(|error| error.to_string())?;
        let snapshot = match files.get(snapshot::SNAPSHOT_FILE) {
            Some(bytes) => {
                let snapshot = snapshot::decode(bytes.clone())?;
                let (last, data) = (snapshot.meta.last, snapshot.data);
                last.map(|id| ArchivedSnapshot { index: id.index, term: id.term, data })
            }
            None => None,
        };
        Ok(Self {
            cluster: config.cluster,
            member: config.node,
            entries: contents.entries.into_iter().map(archived).collect(),
            committed: contents.committed.map(|id| id.index),
            snapshot,
            cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::codec::Blob;
    use crate::log::Log;
    use crate::memory_fs::{MemoryFs, now};
    use crate::segment::Record;
    use crate::stored::StoredLogId;

    const FOLDER: &str = "/data";

    fn entry(index: u64) -> Record {
        let bytes = Bytes::from(vec![7; 100 + index as usize]);
        let payload = StoredPayload::Command(Blob(bytes));
        Record::Entry(StoredEntry { id: StoredLogId { term: 3, index }, payload })
    }

    fn written(groups: u64) -> MemoryFs {
        let fs = MemoryFs::default();
        let (folder, cluster) = (FOLDER.into(), "c".to_owned());
        let config = LogConfig { folder, cluster, node: 2, segment_bytes: 4096 };
        let (mut log, _) = now(Log::open(&fs, config, Box::new(|| 5))).unwrap();
        for group in 0..groups {
            let committed = group.checked_sub(1).map(|index| StoredLogId { term: 3, index });
            now(log.write(&fs, &[entry(group), Record::Committed(committed)])).unwrap();
        }
        now(log.set_mark()).unwrap();
        fs
    }

    fn files(fs: &MemoryFs) -> BTreeMap<String, Vec<u8>> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        fs.files().into_iter().map(|(path, bytes)| (name(&path), bytes)).collect()
    }

    #[test]
    fn a_folder_reads_as_what_was_written_to_it() {
        let fs = written(40);
        let archive = Archive::read(&files(&fs)).unwrap();
        assert_eq!((archive.cluster.as_str(), archive.member), ("c", 2));
        assert_eq!((archive.entries.len(), archive.committed), (40, Some(38)));
        assert_eq!(archive.entries[39].what, Archived::Command(vec![7; 139].into()));
        assert_eq!((archive.snapshot, archive.cut), (None, None));
        let segments = files(&fs).keys().filter(|name| log::is_log_file(name)).count();
        assert!(segments > 2, "{segments} files");
    }

    #[test]
    fn a_torn_end_is_left_out_and_damage_is_refused() {
        let whole = files(&written(40));
        let last = whole.keys().rfind(|name| *name != mark::MARK_FILE).unwrap().clone();
        let mut torn = whole.clone();
        torn.get_mut(&last).unwrap().extend([9; 700]);
        let archive = Archive::read(&torn).unwrap();
        assert_eq!(archive.entries.len(), 40);
        assert!(archive.cut.unwrap().contains("never finished"));
        for name in whole.keys().filter(|name| *name != mark::MARK_FILE) {
            let mut damaged = whole.clone();
            damaged.get_mut(name).unwrap()[600] ^= 1;
            assert!(Archive::read(&damaged).is_err(), "{name}");
        }
        assert!(Archive::read(&BTreeMap::new()).unwrap_err().contains("no log"));
    }
}
