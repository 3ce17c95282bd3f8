//! The log on disk: numbered segments of groups, written and synced one group at a time.
//!
//! Input: records to keep, in order. Output: after a crash, exactly what was synced, perhaps with
//! the one group that was being written. Knows nothing of Raft's rules. A failed write or sync is
//! final: the log refuses everything after it, since what the disk holds is then unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use flurm_rt::{File, Fs, OpenMode};

use crate::codec;
use crate::mark::{Mark, Position};
use crate::segment::{self, Header, Record, SECTOR};
use crate::stored::{StoredEntry, StoredLogId, StoredVote};

const NAME_PREFIX: &str = "log-";
const NAME_DIGITS: usize = 16;

/// Gives unpredictable numbers, for the salts of segments.
pub(crate) type Random = Box<dyn FnMut() -> u64 + Send>;

/// Whose log it is and how it is cut.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    /// Folder, existing.
    pub(crate) folder: PathBuf,
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// The member whose log it is.
    pub(crate) node: u64,
    /// A segment is closed when it is longer than this, bytes.
    pub(crate) segment_bytes: u64,
}

/// Why a log could not be opened or used.
#[derive(Debug)]
pub(crate) enum LogError {
    /// The disk refused.
    Io(io::Error),
    /// What is on the disk is not what was written there.
    Damaged(String),
    /// Written by another release, member or cluster.
    Foreign(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the disk refused: {error}"),
            Self::Damaged(text) => write!(
                f,
                "the log is damaged: {text}; nothing was changed; restore this member from its \
                 peers by emptying its data folder"
            ),
            Self::Foreign(text) => write!(f, "the log does not belong here: {text}"),
        }
    }
}

impl std::error::Error for LogError {}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What the records of a log add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The entry before the first one kept.
    pub(crate) previous: Option<StoredLogId>,
    /// Entries kept.
    pub(crate) entries: Vec<StoredEntry>,
    /// The vote in force.
    pub(crate) vote: Option<StoredVote>,
    /// The newest committed entry recorded.
    pub(crate) committed: Option<StoredLogId>,
}

fn next_index(after: Option<StoredLogId>) -> u64 {
    after.map_or(0, |id| id.index + 1)
}

impl Contents {
    /// The last entry, in the log or just before it.
    pub(crate) fn last(&self) -> Option<StoredLogId> {
        self.entries.last().map(|entry| entry.id).or(self.previous)
    }

    fn apply(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Entry(entry) => {
                let expected = next_index(self.last());
                if entry.id.index != expected {
                    return Err(format!(
                        "entry {} stands where entry {expected} belongs",
                        entry.id.index
                    ));
                }
                self.entries.push(entry);
            }
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Truncate(after) => self.truncate(after),
            Record::Reset(upto) => {
                self.entries.clear();
                self.previous = Some(upto);
            }
            Record::Committed(committed) => self.committed = committed,
        }
        Ok(())
    }

    fn truncate(&mut self, after: Option<StoredLogId>) {
        let keep = next_index(after);
        let first = next_index(self.previous);
        if first <= keep {
            let keep = usize::try_from(keep - first).unwrap_or(usize::MAX);
            self.entries.truncate(keep);
        } else {
            // The entries kept by the truncation were in segments removed since; what was
            // truncated was replaced by records that follow.
            self.entries.clear();
            self.previous = after;
        }
    }
}

/// What opening a log brought to light.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The state of the log.
    pub(crate) contents: Contents,
    /// True when there was no log: a new member, or one that lost its disk.
    pub(crate) created: bool,
    /// What was cut off as a write that never finished.
    pub(crate) cut: Option<String>,
}

struct Segment {
    sequence: u64,
    /// Index of the first entry this segment or a later one can hold.
    base: u64,
}

/// An open log.
pub(crate) struct Log<F: Fs> {
    config: LogConfig,
    random: Random,
    mark: Mark<F>,
    segments: Vec<Segment>,
    file: F::File,
    end: Position,
    salt: u64,
    /// What a new segment's header must repeat.
    last: Option<StoredLogId>,
    vote: Option<StoredVote>,
    committed: Option<StoredLogId>,
    failed: bool,
}

fn name(sequence: u64) -> String {
    format!("{NAME_PREFIX}{sequence:016x}")
}

fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(NAME_PREFIX)?;
    if digits.len() == NAME_DIGITS { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// True for the name of a file that belongs to a log.
pub(crate) fn is_log_file(name: &str) -> bool {
    name.starts_with(NAME_PREFIX)
}

/// Replays segments one after the other.
struct Replay {
    contents: Contents,
    segments: Vec<Segment>,
    end: Position,
    salt: u64,
    last_group: Option<(u64, Vec<u8>)>,
    cut: Option<String>,
}

impl Replay {
    fn new() -> Self {
        Self {
            contents: Contents::default(),
            segments: Vec::new(),
            end: Position { sequence: 0, offset: 0, chain: 0 },
            salt: 0,
            last_group: None,
            cut: None,
        }
    }

    /// Replays the next segment.
    fn segment(
        &mut self,
        config: &LogConfig,
        sequence: u64,
        bytes: &[u8],
        marked: Position,
        is_last: bool,
    ) -> Result<(), LogError> {
        if let Some(before) = self.segments.last()
            && sequence != before.sequence + 1
        {
            let gone = name(before.sequence + 1);
            return Err(LogError::Damaged(format!("file {gone} is gone")));
        }
        self.header(config, sequence, bytes)?;
        match self.groups(bytes, marked)? {
            None => Ok(()),
            Some(text) if is_last => self.judge_tail(bytes, marked, text),
            Some(text) => self.damaged(sequence, self.end.offset, text),
        }
    }

    fn finish(self, marked: Position) -> Result<Self, LogError> {
        if (self.end.sequence, self.end.offset) < (marked.sequence, marked.offset) {
            let text = "the log ends before the place up to which it was synced";
            return self.damaged(self.end.sequence, self.end.offset, text);
        }
        Ok(self)
    }

    fn damaged<T>(&self, sequence: u64, offset: u64, text: &str) -> Result<T, LogError> {
        flurm_base::sometimes!("a damaged log was noticed");
        let name = name(sequence);
        Err(LogError::Damaged(format!("file {name}, offset {offset}: {text}")))
    }

    fn header(&mut self, config: &LogConfig, sequence: u64, bytes: &[u8]) -> Result<(), LogError> {
        let (header, crc) = match segment::decode_header(bytes) {
            Ok(header) => header,
            Err(segment::Bad::Broken(text)) => return self.damaged(sequence, 0, text),
            Err(segment::Bad::Foreign(text)) => return Err(LogError::Foreign(text)),
        };
        if header.cluster != config.cluster || header.node != config.node {
            return Err(LogError::Foreign(format!(
                "it is of member {} of cluster {:?}, not of member {} of cluster {:?}",
                header.node, header.cluster, config.node, config.cluster
            )));
        }
        if header.sequence != sequence {
            return self.damaged(sequence, 0, "the segment was renamed");
        }
        if self.segments.is_empty() {
            self.contents.previous = header.previous;
            self.contents.vote = header.vote;
            self.contents.committed = header.committed;
        } else {
            let same = header.chain == self.end.chain
                && header.previous == self.contents.last()
                && header.vote == self.contents.vote
                && header.committed == self.contents.committed;
            if !same {
                return self.damaged(sequence, 0, "the segment does not continue the one before");
            }
        }
        self.segments.push(Segment { sequence, base: next_index(header.previous) });
        self.end = Position { sequence, offset: SECTOR as u64, chain: crc };
        self.salt = header.salt;
        self.last_group = Some((0, bytes[..SECTOR].to_vec()));
        Ok(())
    }

    /// Replays the groups of a segment; stops at its end or at the first broken group.
    fn groups(&mut self, bytes: &[u8], mark: Position) -> Result<Option<&'static str>, LogError> {
        let sequence = self.end.sequence;
        while self.end.offset < bytes.len() as u64 {
            self.check_mark(mark)?;
            let offset = self.end.offset;
            let group = match segment::find_group(bytes, self.salt, offset) {
                Ok(group) => group,
                Err(segment::Bad::Broken(text)) => return Ok(Some(text)),
                Err(segment::Bad::Foreign(text)) => return Err(LogError::Foreign(text)),
            };
            if group.chain != self.end.chain {
                return self.damaged(sequence, offset, "a group does not follow the one before");
            }
            let records = match group.records() {
                Ok(records) => records,
                Err(segment::Bad::Broken(text)) => return self.damaged(sequence, offset, text),
                Err(segment::Bad::Foreign(text)) => return Err(LogError::Foreign(text)),
            };
            for record in records {
                if let Err(text) = self.contents.apply(record) {
                    return self.damaged(sequence, offset, &text);
                }
            }
            let start = usize::try_from(offset).expect("it is within the bytes read");
            let end = usize::try_from(group.end).unwrap_or(usize::MAX).min(bytes.len());
            self.last_group = Some((offset, bytes[start..end].to_vec()));
            self.end = Position { sequence, offset: group.end, chain: group.crc };
        }
        self.check_mark(mark)?;
        Ok(None)
    }

    fn check_mark(&self, mark: Position) -> Result<(), LogError> {
        let here = mark.sequence == self.end.sequence && mark.offset == self.end.offset;
        if here && mark.chain != self.end.chain {
            let text = "the log is not the one that was marked as synced";
            return self.damaged(self.end.sequence, self.end.offset, text);
        }
        Ok(())
    }

    /// The last segment ends in something broken: was it ever synced?
    fn judge_tail(
        &mut self,
        bytes: &[u8],
        mark: Position,
        text: &'static str,
    ) -> Result<(), LogError> {
        let Position { sequence, offset, .. } = self.end;
        if (sequence, offset) < (mark.sequence, mark.offset) {
            return self.damaged(sequence, offset, &format!("{text}, in data known to be synced"));
        }
        let mut later = offset + SECTOR as u64;
        while later < bytes.len() as u64 {
            if segment::find_group(bytes, self.salt, later).is_ok() {
                let text = format!("{text}, yet a whole group follows at offset {later}");
                return self.damaged(sequence, offset, &text);
            }
            later += SECTOR as u64;
        }
        let name = name(sequence);
        let lost = bytes.len() as u64 - offset;
        self.cut = Some(format!(
            "file {name}: cut {lost} bytes at offset {offset}, a write that never finished ({text})"
        ));
        Ok(())
    }
}

impl<F: Fs> Log<F> {
    /// Opens the log in a folder, or makes one.
    pub(crate) async fn open(
        fs: &F,
        config: LogConfig,
        random: Random,
    ) -> Result<(Self, Recovered), LogError> {
        let mut sequences: Vec<u64> = fs
            .list(&config.folder)
            .await?
            .iter()
            .filter_map(|entry| sequence_of(&entry.name))
            .collect();
        sequences.sort_unstable();
        let mark = Mark::open(fs, &config.folder).await?;
        let marked = match &mark {
            Some(mark) => mark.position(),
            None => Position { sequence: 0, offset: 0, chain: 0 },
        };
        let removed = drop_unfinished_segment(fs, &config, &mut sequences, marked).await?;
        if sequences.is_empty() {
            if 0 < marked.sequence {
                return Err(LogError::Damaged("all its segments are gone".to_owned()));
            }
            return Self::create(fs, config, random).await;
        }
        let Some(mark) = mark else {
            return Err(LogError::Damaged("its mark file is gone or broken".to_owned()));
        };
        let replay = replay(fs, &config, &sequences, marked).await?;
        let (log, mut recovered) = Self::resume(fs, config, random, mark, replay).await?;
        recovered.cut = recovered.cut.or(removed);
        Ok((log, recovered))
    }

    async fn create(
        fs: &F,
        config: LogConfig,
        mut random: Random,
    ) -> Result<(Self, Recovered), LogError> {
        let mark = Mark::create(fs, &config.folder).await?;
        let salt = random();
        let header = Header {
            sequence: 1,
            salt,
            chain: 0,
            cluster: config.cluster.clone(),
            node: config.node,
            previous: None,
            vote: None,
            committed: None,
        };
        let (file, end) = create_segment(fs, &config.folder, &header).await?;
        let log = Self {
            config,
            random,
            mark,
            segments: vec![Segment { sequence: 1, base: 0 }],
            file,
            end,
            salt,
            last: None,
            vote: None,
            committed: None,
            failed: false,
        };
        let recovered = Recovered { contents: Contents::default(), created: true, cut: None };
        Ok((log, recovered))
    }

    /// Makes what was read durable before anyone relies on it: after a mere process crash it may
    /// exist in memory only, and after a failed sync the memory may be all there is of the last
    /// group, so that group is written again.
    async fn resume(
        fs: &F,
        config: LogConfig,
        random: Random,
        mark: Mark<F>,
        replay: Replay,
    ) -> Result<(Self, Recovered), LogError> {
        let path = config.folder.join(name(replay.end.sequence));
        let file = fs.open(&path, OpenMode::Update).await?;
        if replay.cut.is_some() {
            flurm_base::sometimes!("a torn tail of the log was cut");
            file.set_len(replay.end.offset).await?;
        }
        if let Some((offset, bytes)) = replay.last_group {
            file.write_at(offset, bytes).await?;
        }
        file.sync().await?;
        fs.sync_dir(&config.folder).await?;
        let contents = replay.contents;
        let log = Self {
            config,
            random,
            mark,
            segments: replay.segments,
            file,
            end: replay.end,
            salt: replay.salt,
            last: contents.last(),
            vote: contents.vote,
            committed: contents.committed,
            failed: false,
        };
        Ok((log, Recovered { contents, created: false, cut: replay.cut }))
    }

    /// Writes records as one group and syncs it. When this returns `Ok` they survive anything that
    /// leaves the disk whole.
    pub(crate) async fn write(&mut self, fs: &F, records: &[Record]) -> io::Result<()> {
        self.guard()?;
        self.failed = true;
        if self.config.segment_bytes < self.end.offset {
            self.roll(fs).await?;
        }
        let encoded: Vec<Vec<u8>> = records.iter().map(codec::encode).collect();
        let (bytes, crc) =
            segment::encode_group(self.salt, self.end.offset, self.end.chain, &encoded);
        let len = bytes.len() as u64;
        self.file.write_at(self.end.offset, bytes).await?;
        if !flurm_base::planted::is("raft_never_syncs") {
            let synced = self.file.sync().await;
            if !flurm_base::planted::is("raft_ignores_failed_syncs") {
                synced?;
            }
        }
        self.end = Position { offset: self.end.offset + len, chain: crc, ..self.end };
        for record in records {
            self.note(record);
        }
        self.failed = false;
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        match record {
            Record::Entry(entry) => {
                assert_eq!(entry.id.index, next_index(self.last), "the log has no holes");
                self.last = Some(entry.id);
            }
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Truncate(after) => self.last = *after,
            Record::Reset(upto) => self.last = Some(*upto),
            Record::Committed(committed) => self.committed = *committed,
        }
    }

    fn guard(&self) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the log failed or was abandoned"));
        }
        Ok(())
    }

    async fn roll(&mut self, fs: &F) -> io::Result<()> {
        let salt = (self.random)();
        let header = Header {
            sequence: self.end.sequence + 1,
            salt,
            chain: self.end.chain,
            cluster: self.config.cluster.clone(),
            node: self.config.node,
            previous: self.last,
            vote: self.vote,
            committed: self.committed,
        };
        let (file, end) = create_segment(fs, &self.config.folder, &header).await?;
        self.segments.push(Segment { sequence: end.sequence, base: next_index(header.previous) });
        self.file = file;
        self.end = end;
        self.salt = salt;
        Ok(())
    }

    /// Starts a new segment, so that all before it can be removed. After a [`Record::Reset`].
    pub(crate) async fn start_segment(&mut self, fs: &F) -> io::Result<()> {
        self.guard()?;
        self.failed = true;
        self.roll(fs).await?;
        self.failed = false;
        Ok(())
    }

    /// Removes segments that hold no entry after `upto`, oldest first, each removal durable before
    /// the next, so that what is left is always whole.
    pub(crate) async fn purge(&mut self, fs: &F, upto: StoredLogId) -> io::Result<()> {
        self.guard()?;
        self.failed = true;
        while 2 <= self.segments.len() && self.segments[1].base <= upto.index + 1 {
            let path = self.config.folder.join(name(self.segments[0].sequence));
            fs.remove(&path).await?;
            fs.sync_dir(&self.config.folder).await?;
            self.segments.remove(0);
        }
        self.failed = false;
        Ok(())
    }

    /// True when the mark lags behind what is synced.
    pub(crate) fn unmarked(&self) -> bool {
        !self.failed && self.mark.position() != self.end
    }

    /// Moves the mark to the end of the log.
    pub(crate) async fn set_mark(&mut self) -> io::Result<()> {
        self.guard()?;
        self.failed = true;
        self.mark.set(self.end).await?;
        self.failed = false;
        Ok(())
    }

    /// Number of segments.
    #[cfg(test)]
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.len()
    }
}

async fn create_segment<F: Fs>(
    fs: &F,
    folder: &Path,
    header: &Header,
) -> io::Result<(F::File, Position)> {
    let (bytes, chain) = segment::encode_header(header);
    let file = fs.open(&folder.join(name(header.sequence)), OpenMode::CreateNew).await?;
    file.write_at(0, bytes).await?;
    file.sync().await?;
    fs.sync_dir(folder).await?;
    Ok((file, Position { sequence: header.sequence, offset: SECTOR as u64, chain }))
}

/// A crash while a segment was being made leaves a last file with no whole header and no group.
async fn drop_unfinished_segment<F: Fs>(
    fs: &F,
    config: &LogConfig,
    sequences: &mut Vec<u64>,
    marked: Position,
) -> Result<Option<String>, LogError> {
    let Some(last) = sequences.last().copied() else { return Ok(None) };
    if last <= marked.sequence {
        return Ok(None);
    }
    let path = config.folder.join(name(last));
    let file = fs.open(&path, OpenMode::Read).await?;
    if (SECTOR as u64) < file.len().await? {
        return Ok(None);
    }
    let bytes = file.read_at(0, SECTOR).await?;
    if !matches!(segment::decode_header(&bytes), Err(segment::Bad::Broken(_))) {
        return Ok(None);
    }
    drop(file);
    fs.remove(&path).await?;
    fs.sync_dir(&config.folder).await?;
    sequences.pop();
    Ok(Some(format!("file {}: removed, a segment that was never finished", name(last))))
}

async fn replay<F: Fs>(
    fs: &F,
    config: &LogConfig,
    sequences: &[u64],
    marked: Position,
) -> Result<Replay, LogError> {
    let mut replay = Replay::new();
    for (at, sequence) in sequences.iter().copied().enumerate() {
        let max = usize::try_from(config.segment_bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(segment::GROUP_BODY_MAX + 4 * SECTOR);
        let bytes = fs.read(&config.folder.join(name(sequence)), max).await?;
        replay.segment(config, sequence, &bytes, marked, at + 1 == sequences.len())?;
    }
    replay.finish(marked)
}

/// The segments among the files of a folder, in order.
pub(crate) fn segments_of(files: &BTreeMap<String, Vec<u8>>) -> Vec<(u64, &[u8])> {
    // Names have a fixed width, so their order is that of the numbers.
    let files = files.iter().map(|(name, bytes)| (sequence_of(name), bytes.as_slice()));
    files.filter_map(|(sequence, bytes)| Some((sequence?, bytes))).collect()
}

/// Replays segments that were read already; nothing on a disk is changed. Also what was left out as
/// a write that never finished.
pub(crate) fn replay_bytes(
    config: &LogConfig,
    segments: &[(u64, &[u8])],
    marked: Position,
) -> Result<(Contents, Option<String>), LogError> {
    let mut segments = segments;
    let mut unfinished = None;
    if let [before @ .., (last, bytes)] = segments
        && marked.sequence < *last
        && bytes.len() <= SECTOR
        && matches!(segment::decode_header(bytes), Err(segment::Bad::Broken(_)))
    {
        unfinished = Some(format!("file {}: a segment that was never finished", name(*last)));
        segments = before;
    }
    let mut replay = Replay::new();
    for (at, (sequence, bytes)) in segments.iter().enumerate() {
        replay.segment(config, *sequence, bytes, marked, at + 1 == segments.len())?;
    }
    let replay = replay.finish(marked)?;
    Ok((replay.contents, replay.cut.or(unfinished)))
}
