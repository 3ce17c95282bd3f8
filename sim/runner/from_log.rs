//! Replays the replicated log of a controller into any of its states.
//!
//! Input: data folders as `flurmctld` leaves them, of one cluster: of one controller, or of several,
//! or copies of one made at different times. Output: commands, events and the state, and whether
//! every snapshot on the way is what the log adds up to. The folders are read and never changed.

mod difference;
mod when;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flurm_base::Time;
use flurm_model::{Cluster, Command};
use flurm_raft::{Archive, Archived, ArchivedEntry, ArchivedSnapshot};
use serde_json::{Value, json};

use self::difference::first_difference;
use super::Exit;
use super::args::Args;

/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Up to where a log is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// To its end.
    End,
    /// To this entry, included.
    Index(u64),
    /// To the last entry made at or before this time.
    Time(Time),
}

impl Until {
    fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else { return Ok(Self::End) };
        if let Ok(index) = text.parse() {
            return Ok(Self::Index(index));
        }
        when::parse(text).map(Self::Time).ok_or_else(|| {
            format!("`{text}` is neither an index nor a time such as 2026-01-05T12:00:00")
        })
    }

    fn is_past(self, index: u64, at: Option<Time>) -> bool {
        match self {
            Self::End => false,
            Self::Index(last) => last < index,
            Self::Time(last) => at.is_some_and(|at| last < at),
        }
    }
}

fn read_folder(folder: &Path) -> Result<Archive, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| wrong(&error))? {
        let entry = entry.map_err(|error| wrong(&error))?;
        let facts = entry.metadata().map_err(|error| wrong(&error))?;
        if !facts.is_file() || facts.len() > FILE_BYTES_MAX {
            continue;
        }
        let bytes = std::fs::read(entry.path()).map_err(|error| wrong(&error))?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    Archive::read(&files).map_err(|error| wrong(&error))
}

/// All folders together.
#[derive(Default)]
struct Logs {
    entries: BTreeMap<u64, ArchivedEntry>,
    snapshots: BTreeMap<u64, Vec<(String, ArchivedSnapshot)>>,
    committed: Option<u64>,
}

impl Logs {
    fn add(&mut self, folder: &Path, archive: Archive) -> Result<(), String> {
        for entry in archive.entries {
            match self.entries.get(&entry.index) {
                // Where members differ, neither is committed; the newer term has replaced the other.
                Some(known) if known.term > entry.term => {}
                Some(known) if known.term == entry.term && known.what != entry.what => {
                    return Err(format!(
                        "{}: entry {} of term {} is another than in a folder before",
                        folder.display(),
                        entry.index,
                        entry.term
                    ));
                }
                Some(_) | None => {
                    self.entries.insert(entry.index, entry);
                }
            }
        }
        if let Some(snapshot) = archive.snapshot {
            let name = folder.display().to_string();
            self.snapshots.entry(snapshot.index).or_default().push((name, snapshot));
        }
        self.committed = self.committed.max(archive.committed);
        Ok(())
    }

    /// The oldest state from which the log goes on: before the first entry, or a snapshot.
    fn start(&self) -> Result<(u64, Cluster), String> {
        if self.entries.contains_key(&0) {
            return Ok((0, Cluster::default()));
        }
        let last = self.entries.keys().next_back().copied();
        let goes_on = |index: u64| {
            self.entries.contains_key(&(index + 1)) || last.is_none_or(|last| last <= index)
        };
        let (index, of) = self
            .snapshots
            .iter()
            .find(|(index, _)| goes_on(**index))
            .ok_or("the log begins later than any snapshot: there is no state to start from")?;
        let (name, snapshot) = of.first().expect("a snapshot that is listed exists");
        let cluster = Cluster::restore(&snapshot.data)
            .map_err(|error| format!("{name}: the snapshot at {index} cannot be read: {error}"))?;
        Ok((index + 1, cluster))
    }
}

/// Writes what happens, as text or as a JSON value on each line.
struct Teller<'a> {
    out: &'a mut dyn Write,
    json: bool,
    quiet: bool,
}

impl Teller<'_> {
    fn line(&mut self, text: &str) {
        // A closed pipe (`| head`) ends the reading, not the replay.
        let _reader_may_be_gone = writeln!(self.out, "{text}");
    }

    fn say(&mut self, value: &Value, text: impl FnOnce() -> String) {
        let text = if self.json { value.to_string() } else { text() };
        self.line(&text);
    }
}

/// A command's own time.
fn time_of(command: &Value) -> Option<Time> {
    let (_, fields) = command.as_object()?.iter().next()?;
    fields.get("at")?.as_i64().map(Time)
}

fn name_of(command: &Value) -> &str {
    let name = command.as_object().and_then(|command| command.keys().next());
    name.map_or("?", String::as_str)
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| format!("could not be written as JSON: {error}"))
}

/// The replay so far.
struct Replay<'a> {
    logs: &'a Logs,
    cluster: Cluster,
    teller: Teller<'a>,
    applied: u64,
    snapshots_same: u64,
    snapshots_other: u64,
}

impl Replay<'_> {
    /// Applies one entry; false when it is past the end.
    fn apply(&mut self, entry: &ArchivedEntry, until: Until) -> Result<bool, String> {
        let (index, term) = (entry.index, entry.term);
        let bytes = match &entry.what {
            Archived::Command(bytes) => bytes,
            Archived::Blank | Archived::Members(_) if until.is_past(index, None) => {
                return Ok(false);
            }
            Archived::Blank => {
                self.note(entry, json!("new leader"), || "a new leader begins".to_owned());
                return Ok(true);
            }
            Archived::Members(members) => {
                let words = || format!("members: {}", members.join(", "));
                self.note(entry, json!({ "members": members }), words);
                return Ok(true);
            }
        };
        let command = Command::decode(bytes)
            .map_err(|error| format!("entry {index} is no command of this release: {error}"))?;
        let value = to_json(&command)?;
        let at = time_of(&value);
        if until.is_past(index, at) {
            return Ok(false);
        }
        let applied = self.cluster.apply(&command);
        self.applied += 1;
        if !self.teller.quiet {
            let events: Vec<String> = applied.events.iter().map(|e| format!("{e:?}")).collect();
            let reply = to_json(&applied.reply)?;
            let facts = json!({
                "index": index, "term": term, "at": at.map(when::text),
                "command": value, "reply": reply, "events": events,
            });
            self.teller.say(&facts, || {
                let at = at.map_or_else(|| "-".to_owned(), when::text);
                let fields = value.as_object().and_then(|command| command.values().next());
                let fields = fields.map_or_else(String::new, Value::to_string);
                let events = if events.is_empty() { "nothing".into() } else { events.join(", ") };
                let name = name_of(&value);
                format!("{index:>8} t{term} {at} {name} {fields}\n{:>8} {reply} {events}", "->")
            });
        }
        Ok(true)
    }

    fn note(&mut self, entry: &ArchivedEntry, what: Value, text: impl FnOnce() -> String) {
        if self.teller.quiet {
            return;
        }
        let (index, term) = (entry.index, entry.term);
        let facts = json!({ "index": index, "term": term, "entry": what });
        self.teller.say(&facts, || format!("{index:>8} t{term} {}", text()));
    }

    /// Compares the state with the snapshots made here.
    fn compare(&mut self, index: u64) -> Result<(), String> {
        for (folder, snapshot) in self.logs.snapshots.get(&index).into_iter().flatten() {
            let own = self.cluster.snapshot();
            let same = own == snapshot.data;
            let difference = if same {
                self.snapshots_same += 1;
                None
            } else {
                self.snapshots_other += 1;
                Some(self.difference(snapshot)?)
            };
            let facts = json!({ "snapshot": index, "folder": folder, "same": same,
                "difference": difference });
            self.teller.say(&facts, || match &difference {
                None => format!("snapshot at {index} in {folder}: the same, {} bytes", own.len()),
                Some(where_) => format!("snapshot at {index} in {folder}: DIFFERS: {where_}"),
            });
        }
        Ok(())
    }

    fn difference(&self, snapshot: &ArchivedSnapshot) -> Result<String, String> {
        let theirs = match Cluster::restore(&snapshot.data) {
            Ok(theirs) => theirs,
            Err(error) => return Ok(format!("it cannot be read: {error}")),
        };
        let found = first_difference(&to_json(&self.cluster)?, &to_json(&theirs)?);
        Ok(found.unwrap_or_else(|| "only in how it is written".to_owned()))
    }

    /// Replays entries in order; the last index that counts.
    fn run(&mut self, first: u64, until: Until) -> Result<Option<u64>, String> {
        let mut last = first.checked_sub(1);
        if let Some(start) = last {
            let facts = json!({ "start": start });
            self.teller.say(&facts, || format!("the state begins with the snapshot at {start}"));
        }
        for (index, entry) in self.logs.entries.range(first..) {
            if *index != last.map_or(0, |last| last + 1) {
                return Err(format!("entries before {index} are in none of the folders"));
            }
            if !self.apply(entry, until)? {
                break;
            }
            last = Some(*index);
            self.compare(*index)?;
        }
        Ok(last)
    }

    fn state(&mut self, last: Option<u64>) -> Result<(), String> {
        let state = to_json(&self.cluster)?;
        let at = last.map_or_else(|| "the beginning".to_owned(), |last| last.to_string());
        let facts = json!({ "state_at": last, "state": state });
        let cluster = &self.cluster;
        self.teller.say(&facts, || format!("the state at {at}\n{}", state_text(cluster)));
        if let (Some(last), committed) = (last, self.logs.committed)
            && committed.is_none_or(|committed| committed < last)
        {
            let from = committed.map_or(0, |committed| committed + 1);
            let facts = json!({ "not_known_to_be_committed_from": from });
            self.teller.say(&facts, || {
                format!("entries {from} to {last} were not yet known to be committed")
            });
        }
        Ok(())
    }
}

fn state_text(cluster: &Cluster) -> String {
    let mut lines = Vec::new();
    for partition in cluster.partitions() {
        lines.push(format!("  partition {} {:?}", partition.conf.name, partition.conf.state));
    }
    for node in cluster.nodes() {
        let (name, base, flags) = (&node.conf.name, node.base, node.flags.0);
        let used = cluster.node_use(name);
        let reason = if node.reason.is_empty() { "" } else { ": " };
        lines.push(format!(
            "  node {name} {base:?} flags {flags:#x}, {} jobs, {} CPUs{reason}{}",
            used.jobs, used.cpus, node.reason
        ));
    }
    for job in cluster.jobs() {
        let nodes = job.allocation.iter().flat_map(|allocation| &allocation.shares);
        let nodes: Vec<&str> = nodes.map(|share| share.node.as_str()).collect();
        let name = job.spec.name.as_str();
        lines.push(format!(
            "  job {} {name:?} {:?} attempt {} {:?} {}",
            job.id,
            job.base,
            job.attempt,
            job.reason,
            nodes.join(",")
        ));
    }
    lines.push(format!("  {} jobs, next {}", cluster.jobs_count(), cluster.job_id_next()));
    lines.join("\n")
}

/// Replays the folders of the command line.
pub(super) fn from_log(args: &Args) -> Result<Exit, String> {
    let until = Until::parse(args.until.as_deref())?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (json, quiet) = (args.as_json, args.choice.quiet);
    let mut teller = Teller { out: &mut out, json, quiet };
    let mut logs = Logs::default();
    for folder in &args.paths {
        let archive = read_folder(folder)?;
        let range = |entries: &[ArchivedEntry]| match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => format!("entries {} to {}", first.index, last.index),
            _ => "no entries".to_owned(),
        };
        let snapshot = archive.snapshot.as_ref().map(|snapshot| snapshot.index);
        let facts = json!({ "folder": folder.display().to_string(), "member": archive.member,
            "cluster": archive.cluster, "entries": archive.entries.len(), "snapshot": snapshot,
            "committed": archive.committed, "cut": archive.cut });
        teller.say(&facts, || {
            let snapshot = snapshot.map_or_else(String::new, |at| format!(", snapshot at {at}"));
            let cut = archive.cut.as_ref().map_or_else(String::new, |cut| format!("; {cut}"));
            let (member, cluster) = (archive.member, &archive.cluster);
            let range = range(&archive.entries);
            format!("{}: member {member} of {cluster:?}, {range}{snapshot}{cut}", folder.display())
        });
        logs.add(folder, archive)?;
    }
    let (first, cluster) = logs.start()?;
    let mut replay =
        Replay { logs: &logs, cluster, teller, applied: 0, snapshots_same: 0, snapshots_other: 0 };
    let last = replay.run(first, until)?;
    if let Until::Index(wanted) = until
        && last.is_none_or(|last| last < wanted)
    {
        return Err(format!("the log does not reach entry {wanted}"));
    }
    replay.state(last)?;
    let (applied, same, other) = (replay.applied, replay.snapshots_same, replay.snapshots_other);
    let facts = json!({ "commands": applied, "snapshots_same": same, "snapshots_other": other });
    replay.teller.say(&facts, || {
        format!("{applied} commands; {same} snapshots are the same, {other} differ")
    });
    Ok(if other > 0 { Exit::SnapshotDiffers } else { Exit::Fine })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64, what: Archived) -> ArchivedEntry {
        ArchivedEntry { index, term, what }
    }

    fn archive(entries: Vec<ArchivedEntry>, snapshot: Option<ArchivedSnapshot>) -> Archive {
        let (cluster, committed, cut) = ("c".to_owned(), None, None);
        Archive { cluster, member: 1, entries, committed, snapshot, cut }
    }

    #[test]
    fn the_newer_term_of_an_entry_counts_and_a_contradiction_is_refused() {
        let mut logs = Logs::default();
        let path = Path::new("x");
        let members = |name: &str| Archived::Members(vec![name.to_owned()]);
        logs.add(path, archive(vec![entry(0, 1, members("a"))], None)).unwrap();
        logs.add(path, archive(vec![entry(0, 2, members("b"))], None)).unwrap();
        logs.add(path, archive(vec![entry(0, 1, members("a"))], None)).unwrap();
        assert_eq!(logs.entries[&0].what, members("b"));
        let other = archive(vec![entry(0, 2, members("c"))], None);
        assert!(logs.add(path, other).unwrap_err().contains("entry 0 of term 2"));
    }

    #[test]
    fn a_log_without_its_beginning_starts_from_a_snapshot() {
        let data = Cluster::default().snapshot().into();
        let snapshot = ArchivedSnapshot { index: 4, term: 1, data };
        let mut logs = Logs::default();
        let entries = vec![entry(5, 1, Archived::Blank)];
        logs.add(Path::new("x"), archive(entries.clone(), Some(snapshot))).unwrap();
        assert_eq!(logs.start().unwrap().0, 5);
        let mut without = Logs::default();
        without.add(Path::new("x"), archive(entries, None)).unwrap();
        assert!(without.start().unwrap_err().contains("no state to start from"));
    }

    #[test]
    fn a_log_is_replayed_up_to_an_index_or_a_time() {
        assert_eq!(Until::parse(Some("17")), Ok(Until::Index(17)));
        let time = Until::parse(Some("2026-01-05T00:00:10")).unwrap();
        assert!(time.is_past(1, Some(Time::from_secs(1_767_571_211))));
        assert!(!time.is_past(1, Some(Time::from_secs(1_767_571_210))));
        assert!(Until::parse(Some("yesterday")).is_err());
    }
}
