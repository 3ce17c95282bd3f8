//! The log against a disk that loses power, tears sectors, fails to sync and rots.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::codec::{Blob, Text};
use crate::log::{Contents, Log, LogConfig, LogError, Recovered};
use crate::memory_fs::{MemoryFs, now};
use crate::segment::Record;
use crate::stored::{StoredEntry, StoredLogId, StoredPayload, StoredVote};

fn config() -> LogConfig {
    LogConfig {
        folder: PathBuf::from("/raft"),
        cluster: "test".to_owned(),
        node: 7,
        segment_bytes: 8192,
    }
}

fn open(fs: &MemoryFs, seed: u64) -> Result<(Log<MemoryFs>, Recovered), LogError> {
    let mut rng = StdRng::seed_from_u64(seed);
    now(Log::open(fs, config(), Box::new(move || rng.random())))
}

fn entry(term: u64, index: u64, bytes: usize) -> Record {
    let fill = (index as u8).wrapping_mul(31).wrapping_add(term as u8);
    let payload = StoredPayload::Command(Blob(Bytes::from(vec![fill; bytes])));
    Record::Entry(StoredEntry { id: StoredLogId { term, index }, payload })
}

/// What the log should hold, kept in the simplest way.
#[derive(Clone, Default)]
struct Model {
    contents: Contents,
    purged: Option<u64>,
}

impl Model {
    fn last(&self) -> Option<StoredLogId> {
        self.contents.entries.last().map(|entry| entry.id).or(self.contents.previous)
    }

    fn next(&self) -> u64 {
        self.last().map_or(0, |id| id.index + 1)
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Entry(entry) => self.contents.entries.push(entry.clone()),
            Record::Vote(vote) => self.contents.vote = Some(*vote),
            Record::Truncate(after) => {
                let keep = after.map_or(0, |id| id.index + 1);
                self.contents.entries.retain(|entry| entry.id.index < keep);
            }
            Record::Reset(upto) => {
                self.contents.entries.clear();
                self.contents.previous = Some(*upto);
            }
            Record::Committed(committed) => self.contents.committed = *committed,
        }
    }

    /// The model agrees with what was recovered, purged entries aside.
    fn agrees(&self, found: &Contents) -> bool {
        let live = |contents: &Contents| -> Vec<StoredEntry> {
            let after = self.purged.map_or(0, |index| index + 1);
            contents.entries.iter().filter(|entry| after <= entry.id.index).cloned().collect()
        };
        let last = |contents: &Contents| {
            contents.entries.last().map(|entry| entry.id).or(contents.previous)
        };
        live(&self.contents) == live(found)
            && last(&self.contents) == last(found)
            && self.contents.vote == found.vote
            && self.contents.committed == found.committed
    }
}

enum Step {
    Write(Vec<Record>),
    Purge(StoredLogId),
    Reset(StoredLogId),
    Mark,
}

fn step(model: &Model, term: &mut u64, rng: &mut StdRng) -> Step {
    let first = model.purged.map_or(0, |index| index + 1);
    let choice = rng.random_range(0..100);
    if choice < 6 && model.last().is_some_and(|last| first < last.index) {
        let at = rng.random_range(first..model.next());
        if let Some(found) = model.contents.entries.iter().find(|entry| entry.id.index == at) {
            return Step::Purge(found.id);
        }
    }
    if choice < 8 {
        *term += 1;
        return Step::Reset(StoredLogId {
            term: *term,
            index: model.next() + rng.random_range(0..50),
        });
    }
    if choice < 20 {
        return Step::Mark;
    }
    let mut after = model.clone();
    let mut records = Vec::new();
    for _ in 0..rng.random_range(1..5) {
        let record = match rng.random_range(0..20) {
            0 => {
                *term += 1;
                Record::Vote(StoredVote { term: *term, node: 7, committed: rng.random() })
            }
            1 if first < after.next() => {
                let keep = rng.random_range(first..after.next());
                let id = after.contents.entries.iter().find(|entry| entry.id.index == keep);
                Record::Truncate(id.map(|entry| entry.id).or(after.contents.previous))
            }
            2 => Record::Committed(after.last()),
            _ => entry(*term, after.next(), rng.random_range(0..1500)),
        };
        after.apply(&record);
        records.push(record);
    }
    Step::Write(records)
}

/// Drives a log until the power goes; returns the model of what was acknowledged, and of that plus
/// the step in flight.
fn drive(fs: &MemoryFs, log: &mut Log<MemoryFs>, model: &mut Model, rng: &mut StdRng) -> Model {
    let mut term = model.last().map_or(1, |id| id.term) + 1;
    for _ in 0..rng.random_range(1..60) {
        let before = model.clone();
        let mut after = model.clone();
        let result = match step(model, &mut term, rng) {
            Step::Write(records) => {
                records.iter().for_each(|record| after.apply(record));
                now(log.write(fs, &records))
            }
            Step::Purge(upto) => {
                after.purged = Some(upto.index);
                now(log.purge(fs, upto))
            }
            Step::Reset(upto) => {
                after.apply(&Record::Reset(upto));
                after.purged = Some(upto.index);
                now(log.write(fs, &[Record::Reset(upto)])).and_then(|()| {
                    *model = after.clone();
                    now(log.start_segment(fs))?;
                    now(log.purge(fs, upto))
                })
            }
            Step::Mark => {
                if log.unmarked() {
                    now(log.set_mark())
                } else {
                    Ok(())
                }
            }
        };
        if result.is_err() {
            if model.last() != before.last() {
                return model.clone();
            }
            model.purged = after.purged.max(model.purged);
            return after;
        }
        *model = after;
    }
    model.clone()
}

#[test]
fn every_crash_leaves_what_was_acknowledged() {
    let mut cuts = 0;
    let mut half = 0;
    for seed in 0..3_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let fs = MemoryFs::default();
        let mut model = Model::default();
        for life in 0..4 {
            fs.die_after(rng.random_range(1..150));
            let mut after = model.clone();
            match open(&fs, seed * 10 + life) {
                Ok((mut log, recovered)) => {
                    assert!(model.agrees(&recovered.contents), "seed {seed} life {life}");
                    cuts += u32::from(recovered.cut.is_some());
                    // A later crash may only lose what came after what was recovered.
                    model.contents = recovered.contents;
                    after = drive(&fs, &mut log, &mut model, &mut rng);
                }
                Err(LogError::Io(_)) if fs.is_dead() => {}
                Err(error) => panic!("seed {seed} life {life}: {error}"),
            }
            fs.restart(rng.random());
            let (_, recovered) = open(&fs, seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let old = model.agrees(&recovered.contents);
            let new = after.agrees(&recovered.contents);
            assert!(old || new, "seed {seed} life {life}: {recovered:?}");
            half += u32::from(!old);
            if !old {
                model = after;
            }
            model.contents = recovered.contents;
        }
    }
    // The crashes reached the interesting places.
    assert!(250 < cuts + half, "torn tails {cuts}, unacknowledged survivors {half}");
}

fn written(groups: u64, mark: bool) -> (MemoryFs, Contents) {
    let fs = MemoryFs::default();
    let (mut log, _) = open(&fs, 1).unwrap();
    for index in 0..groups {
        now(log.write(&fs, &[entry(1, index, 300 + index as usize * 40)])).unwrap();
    }
    if mark {
        now(log.set_mark()).unwrap();
    }
    drop(log);
    let (_, recovered) = open(&fs, 2).unwrap();
    assert_eq!(recovered.contents.entries.len() as u64, groups);
    assert_eq!(recovered.cut, None);
    (fs, recovered.contents)
}

#[test]
fn rot_in_synced_data_is_refused_and_nothing_is_changed() {
    let (fs, contents) = written(20, true);
    let mut refused = 0;
    let mut rng = StdRng::seed_from_u64(3);
    let files = fs.files();
    for _ in 0..4_000 {
        let rotten = fs.copy();
        let (path, bytes) = &files[rng.random_range(0..files.len())];
        if path.ends_with(crate::mark::MARK_FILE) {
            continue;
        }
        rotten.flip(path, rng.random_range(0..bytes.len() * 8));
        let before = rotten.files();
        match open(&rotten, 5) {
            Err(_) => {
                refused += 1;
                assert_eq!(rotten.files(), before, "a damaged log is left as it is");
            }
            // The bit was in padding, which means nothing.
            Ok((_, recovered)) => assert_eq!(recovered.contents, contents),
        }
    }
    assert!(1_500 < refused, "{refused}");
}

#[test]
fn without_a_mark_rot_can_only_be_taken_for_a_torn_last_group() {
    let (fs, contents) = written(20, false);
    let files = fs.files();
    let mut cut = 0;
    let mut rng = StdRng::seed_from_u64(4);
    for _ in 0..4_000 {
        let rotten = fs.copy();
        let (path, bytes) = &files[rng.random_range(0..files.len())];
        if path.ends_with(crate::mark::MARK_FILE) {
            continue;
        }
        rotten.flip(path, rng.random_range(0..bytes.len() * 8));
        if let Ok((_, recovered)) = open(&rotten, 5) {
            let kept = recovered.contents.entries.len();
            assert!(19 <= kept, "only the last group may go");
            assert_eq!(recovered.contents.entries[..], contents.entries[..kept]);
            cut += u32::from(kept == 19);
        }
    }
    assert!(10 < cut, "{cut}");
}

#[test]
fn a_lost_or_shortened_file_is_refused() {
    let (fs, _) = written(40, true);
    let files = fs.files();
    assert!(4 < files.len(), "several segments");
    for (path, bytes) in &files {
        let gone = fs.copy();
        gone.take(path);
        let first = path == &files[0].0;
        let result = open(&gone, 5);
        if first {
            // The oldest segment may have been purged; the caller compares with its snapshot.
            assert_eq!(result.unwrap().1.contents.previous.map(|id| id.term), Some(1));
        } else {
            assert!(result.is_err(), "{path:?} gone");
        }
        let short = fs.copy();
        short.put(path, bytes[..bytes.len() / 1024 * 512].to_vec());
        if !path.ends_with(crate::mark::MARK_FILE) {
            assert!(open(&short, 5).is_err(), "{path:?} shortened");
        }
    }
}

#[test]
fn a_failed_sync_is_final_and_its_group_is_written_again() {
    let fs = MemoryFs::default();
    let (mut log, _) = open(&fs, 1).unwrap();
    now(log.write(&fs, &[entry(1, 0, 10)])).unwrap();
    fs.fail_sync_after(1);
    assert!(now(log.write(&fs, &[entry(1, 1, 10)])).is_err());
    assert!(now(log.write(&fs, &[entry(1, 1, 10)])).is_err(), "never tried again");
    assert!(now(log.set_mark()).is_err());
    // The process restarts: memory still shows the group, the disk may not.
    fs.reopen();
    let (_, recovered) = open(&fs, 2).unwrap();
    let kept = recovered.contents.entries.len();
    assert_eq!(kept, 2);
    // What was shown once must now survive a power loss.
    fs.restart(9);
    assert_eq!(open(&fs, 3).unwrap().1.contents, recovered.contents);
}

#[test]
fn another_members_log_is_refused() {
    let (fs, _) = written(3, true);
    let mut other = config();
    other.node = 8;
    let error = now(Log::open(&fs, other, Box::new(|| 1))).err().unwrap();
    assert!(matches!(error, LogError::Foreign(_)), "{error}");
}

#[test]
fn purging_removes_files_and_keeps_the_rest() {
    let (fs, _) = written(60, true);
    let (mut log, _) = open(&fs, 3).unwrap();
    let before = log.segment_count();
    now(log.purge(&fs, StoredLogId { term: 1, index: 40 })).unwrap();
    assert!(log.segment_count() < before);
    drop(log);
    let (_, recovered) = open(&fs, 4).unwrap();
    let first = recovered.contents.entries[0].id.index;
    assert!(first <= 41, "{first}");
    assert!(0 < first, "something was removed");
    assert_eq!(recovered.contents.entries.last().unwrap().id.index, 59);
}

#[test]
fn a_command_cannot_pass_for_a_group() {
    let (fs, _) = written(1, true);
    let (path, bytes) = fs.files().remove(0);
    // The image of a real group of this very file, at every sector of a command.
    let image = bytes[512..1024].to_vec();
    let (mut log, _) = open(&fs, 3).unwrap();
    let payload = StoredPayload::Command(Blob(Bytes::from(image.repeat(8))));
    let id = StoredLogId { term: 1, index: 1 };
    now(log.write(&fs, &[Record::Entry(StoredEntry { id, payload })])).unwrap();
    drop(log);
    fs.flip(&path, 1024 * 8 + 3);
    let (_, recovered) = open(&fs, 4).unwrap();
    assert!(recovered.cut.is_some(), "the unmarked last group is cut, not called rot");
    assert_eq!(recovered.contents.entries.len(), 1);
}

fn golden_path() -> &'static Path {
    Path::new("/raft/log-0000000000000001")
}

#[test]
fn format_1_is_read_for_ever() {
    let golden: &[u8] = include_bytes!("golden/log-format-1");
    let mark: &[u8] = include_bytes!("golden/log-mark-format-1");
    let fs = MemoryFs::default();
    fs.put(golden_path(), golden.to_vec());
    fs.put(&Path::new("/raft").join(crate::mark::MARK_FILE), mark.to_vec());
    let (_, recovered) = open(&fs, 1).unwrap();
    assert_eq!(recovered.cut, None);
    let mut model = Model::default();
    golden_records().iter().flatten().for_each(|record| model.apply(record));
    assert_eq!(recovered.contents, model.contents);
}

#[test]
fn format_1_is_written_as_ever() {
    let fs = golden_log();
    let files = fs.files();
    assert!(files[0].1 == include_bytes!("golden/log-format-1"));
    assert!(files[1].1 == include_bytes!("golden/log-mark-format-1"));
}

#[test]
fn a_newer_format_is_refused_with_its_number() {
    let fs = golden_log();
    let mut bytes = fs.files()[0].1.clone();
    bytes[8] = 2;
    let body_len = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), &bytes[20..20 + body_len]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    fs.put(golden_path(), bytes);
    let error = open(&fs, 1).err().unwrap().to_string();
    assert!(error.contains("log format 2 is newer than 1"), "{error}");
}

fn golden_records() -> Vec<Vec<Record>> {
    let id = |term, index| StoredLogId { term, index };
    let members = crate::stored::StoredMembers {
        voters: vec![[1, 2, 3].into()],
        nodes: [(1, (Text("c1".to_owned()), Text("127.0.0.1:1".to_owned())))].into(),
    };
    let record = |id, payload| Record::Entry(StoredEntry { id, payload });
    vec![
        vec![record(id(0, 0), StoredPayload::Members(members))],
        vec![
            Record::Vote(StoredVote { term: 3, node: 2, committed: true }),
            record(id(3, 1), StoredPayload::Blank),
            entry(3, 2, 600),
            entry(3, 3, 5),
        ],
        vec![Record::Committed(Some(id(3, 2))), Record::Truncate(Some(id(3, 2)))],
        vec![entry(4, 3, 1), Record::Reset(id(9, 1000)), entry(9, 1001, 2)],
    ]
}

fn golden_log() -> MemoryFs {
    let fs = MemoryFs::default();
    let (mut log, _) = now(Log::open(&fs, config(), Box::new(|| 0x0123_4567_89AB_CDEF))).unwrap();
    for records in golden_records() {
        now(log.write(&fs, &records)).unwrap();
    }
    now(log.set_mark()).unwrap();
    fs
}
