//! Slurm's own library judges our layouts of all eight releases: libslurmfull of each packaged
//! release reads and writes what its older neighbours speak too, so there is a real reader and a real
//! writer for releases without packages.
//!
//! Three kinds of evidence are gathered for every message and release:
//! - `W`: the library read the whole of a body that we invented, or wrote for that release after a
//!   capture of another, and wrote it again byte for byte;
//! - `C`: the library wrote a captured body for that release, and we read it with the values of the
//!   capture in the fields that both releases have, and wrote it again byte for byte;
//! - `R`: the library read the whole of such a body, but does not write what it reads.
//!
//! `library/verdicts.txt` keeps them, and `UPDATE=1` rewrites it; `library/reasons.txt` says why a
//! message has no more than `R`. Needs Debian's packages: 22.05 on the machine, 24.11 and 26.05 in
//! side roots, and a C compiler.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

#[path = "library/reasons.rs"]
mod reasons;
#[path = "library/run.rs"]
mod run;
#[path = "shared/mod.rs"]
mod shared;
#[path = "decoders/side.rs"]
mod side;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use flurm_wire::dbd::Cluster;
use flurm_wire::records::{JobDesc, SELECT_CONS_TRES, SelectJobInfo};
use flurm_wire::{DbdMessage, Gen, Message, NO_VAL, Registry, Release, messages, names};
use run::{Answer, Library, Question};
use shared::{Captured, NATIVE, NOTHING, Records, Shared};

/// The releases that each package's library is asked about.
const LIBRARIES: [(Release, &[Release]); 3] = [
    (Release::V22_05, &[Release::V22_05]),
    (Release::V24_11, &[Release::V23_02, Release::V23_11, Release::V24_05, Release::V24_11]),
    (Release::V26_05, &[Release::V25_05, Release::V25_11, Release::V26_05]),
];

const VERDICTS: &str = "tests/library/verdicts.txt";

/// Captures that the library does not read: parts of their names, and why.
const UNREAD: [(&str, &str); 3] = [
    ("slurmauth", "signed by auth/slurm; the library is told of cred/none"),
    ("_dyn", "addresses of nodes are signed by auth/slurm or munge"),
    ("2029_scontrol_show_topo", "of another topology plugin than the library is told of"),
];

/// Messages with a credential, of which the library keeps the bytes for the sake of the signature:
/// what it writes for another release holds the credential in the old form.
const SIGNED: [u16; 12] = [
    names::REQUEST_BATCH_JOB_LAUNCH,
    names::RESPONSE_JOB_SBCAST_CRED,
    names::RESPONSE_JOB_STEP_CREATE,
    names::REQUEST_LAUNCH_TASKS,
    names::REQUEST_REATTACH_TASKS,
    names::REQUEST_KILL_TIMELIMIT,
    names::REQUEST_TERMINATE_JOB,
    names::REQUEST_ABORT_JOB,
    names::REQUEST_FILE_BCAST,
    names::REQUEST_KILL_PREEMPTED,
    names::REQUEST_LAUNCH_PROLOG,
    names::RESPONSE_STEP_LAYOUT,
];

/// Captured values that the library changes when it writes: message, beginning of what is said of
/// the change, and why.
const CHANGED: [(u16, &str, &str); 3] = [
    (1412, "ClusterCond.cluster_list: 0 elements", "an empty list is written as none"),
    (6017, "JobStateRecord", "a step manager's job is read but not written"),
    (6017, "StepId", "the same"),
];

/// What is known of one message in one release.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    written: bool,
    captured: bool,
    read: bool,
}

impl Evidence {
    fn text(self) -> &'static str {
        match (self.written, self.captured, self.read) {
            (true, true, _) => "WC",
            (true, false, _) => "W",
            (false, true, _) => "C",
            (false, false, true) => "R",
            (false, false, false) => "-",
        }
    }
}

#[derive(Default)]
struct Outcome {
    evidence: BTreeMap<(u16, Release), Evidence>,
    faults: Vec<String>,
    /// Captured bodies that the library wrote for a release and that we read and wrote again.
    rewritten: usize,
    unread: [usize; UNREAD.len()],
    changed: [usize; CHANGED.len()],
}

/// Whether the set's messages are the accounting daemon's.
trait Set: Registry {
    const ACCOUNTING: bool;
    /// Makes numbers that the library looks up into some that it finds.
    fn mend(&mut self, _release: Release) {}
}

impl Set for Message {
    const ACCOUNTING: bool = false;

    fn mend(&mut self, release: Release) {
        match self {
            Self::RequestPersistInit(init) | Self::RequestPersistInitTls(init) => {
                init.version = release.version();
            }
            Self::ResponseTopoInfo(topology) => topology.plugin_id = messages::TOPOLOGY_TREE,
            Self::RequestUpdateCrontab(update) => {
                let cons_tres = |job: &mut JobDesc| select(&mut job.select_jobinfo);
                update.jobs.iter_mut().for_each(cons_tres);
            }
            Self::RequestAbortJob(kill) => select(&mut kill.select_jobinfo),
            Self::RequestSibMsg(message)
            | Self::RequestSibJobLock(message)
            | Self::RequestSibJobUnlock(message) => {
                message.message.iter_mut().for_each(|inner| inner.mend(release));
            }
            Self::RequestSubmitBatchJob(job) => select(&mut job.select_jobinfo),
            Self::ResponseJobAllocationInfo(allocation) => {
                // Both are read over.
                (allocation.alias_list, allocation.node_addr) = (None, None);
                allocation.working_cluster_rec.iter_mut().for_each(|cluster| settle(cluster));
                select(&mut allocation.select_jobinfo);
            }
            Self::ResponseSlurmRerouteMsg(reroute) => {
                reroute.working_cluster_rec.iter_mut().for_each(settle);
            }
            _ => {}
        }
    }
}

/// What is no number but a truth, or true of the moment.
fn settle(cluster: &mut Cluster) {
    (cluster.fed_sync_recvd, cluster.fed_sync_sent) = (1, 1);
    (cluster.fed_recv_open, cluster.fed_send_open) = (0, 0);
    cluster.plugin_id_select = NO_VAL;
}

fn select(info: &mut SelectJobInfo) {
    info.plugin_id = SELECT_CONS_TRES;
}

impl Set for DbdMessage {
    const ACCOUNTING: bool = true;
}

fn question<M: Set>(message: &M, from: Release, to: Release, body: Vec<u8>) -> Question {
    Question { accounting: M::ACCOUNTING, msg_type: message.msg_type(), from, to, body }
}

/// The body that an answer holds: an accounting message's begins with its type.
fn body_of<M: Set>(answer: &Answer) -> Option<&[u8]> {
    answer.written.as_deref().and_then(|bytes| bytes.get(if M::ACCOUNTING { 2 } else { 0 }..))
}

/// Our bodies of a release, read and written in its own form.
fn judge_ours<M: Set>(asked: &[Question], library: &Library, outcome: &mut Outcome) {
    for (question, answer) in asked.iter().zip(library.ask(asked)) {
        let known = outcome.evidence.entry((question.msg_type, question.to)).or_default();
        known.read |= answer.is_read();
        known.written |= answer.is_read() && body_of::<M>(&answer) == Some(&question.body);
    }
}

fn invented<M: Set>(releases: &[Release]) -> Vec<Question> {
    let mut asked = Vec::new();
    for entry in M::REGISTERED {
        for release in releases.iter().copied().filter(|one| entry.in_release(*one)) {
            for mut g in [Gen::distinct(release), Gen::distinct(release).in_digits()] {
                let mut message = entry.sample(&mut g);
                message.mend(release);
                let body = message.to_bytes(release);
                asked.push(question(&message, release, release, body));
            }
        }
    }
    asked
}

/// What keeps a body that the library wrote from being evidence.
fn fault<M: Set>(capture: &Captured<M>, to: Release, body: &[u8], all: &Records) -> Option<String> {
    let back = match M::decode(capture.message.msg_type(), to, body) {
        Ok(back) => back,
        Err(error) => return Some(error.to_string()),
    };
    if back.to_bytes(to) != body {
        return Some("is not reproduced".to_owned());
    }
    let (sent, _) = Shared::of(&capture.message, all, [capture.release, to]);
    let (read, _) = Shared::of(&back, all, [capture.release, to]);
    if sent == [NOTHING] {
        return None;
    }
    let differ = sent.iter().zip(&read).find(|(sent, read)| sent != read);
    let counted = (sent.len() != read.len()).then(|| "another number of values".to_owned());
    differ.map(|(sent, read)| format!("{sent} became {read}")).or(counted)
}

/// Captured bodies, written by the library for each of its releases.
fn judge_captures<M: Set>(
    captured: &[Captured<M>],
    releases: &[Release],
    library: &Library,
    outcome: &mut Outcome,
) {
    let mut records = shared::records::<Message>();
    records.extend(shared::records::<DbdMessage>());
    let (mut asked, mut ours, mut of) = (Vec::new(), Vec::new(), Vec::new());
    for capture in captured {
        let known = |to: &Release| M::registered(capture.message.msg_type(), *to).is_some();
        for to in releases.iter().copied().filter(known) {
            let body = capture.body.clone();
            asked.push(question(&capture.message, capture.release, to, body));
            ours.push(question(&capture.message, to, to, capture.message.to_bytes(to)));
            of.push(capture);
        }
    }
    judge_ours::<M>(&ours, library, outcome);
    for ((asked, answer), capture) in asked.iter().zip(library.ask(&asked)).zip(of) {
        let place = format!("{} {} in {}", capture.release, capture.file, asked.to);
        if let Some(at) = UNREAD.iter().position(|(part, _)| capture.file.contains(part)) {
            outcome.unread[at] += 1;
            continue;
        }
        if !answer.is_read() && !reasons::leaves(asked.msg_type) {
            outcome.faults.push(format!("{place}: {:?} left", answer.left));
            continue;
        }
        let Some(body) = body_of::<M>(&answer) else { continue };
        let signed = asked.to != capture.release && SIGNED.contains(&asked.msg_type);
        if signed || reasons::reads_only(asked.msg_type, asked.to) {
            continue;
        }
        match fault(capture, asked.to, body, &records) {
            None => {
                outcome.rewritten += 1;
                outcome.evidence.entry((asked.msg_type, asked.to)).or_default().captured = true;
            }
            Some(fault) => {
                let known = |(msg_type, text, _): &(u16, &str, &str)| {
                    *msg_type == asked.msg_type && fault.starts_with(text)
                };
                match CHANGED.iter().position(known) {
                    Some(at) => outcome.changed[at] += 1,
                    None => outcome.faults.push(format!("{place}: {fault}")),
                }
            }
        }
    }
}

fn judge(native: Release, releases: &[Release], outcome: &mut Outcome) {
    let library = Library::new(native);
    judge_ours::<Message>(&invented::<Message>(releases), &library, outcome);
    judge_ours::<DbdMessage>(&invented::<DbdMessage>(releases), &library, outcome);
    let mut messages = shared::captured::<Message>(false);
    messages.extend(shared::captured::<Message>(true));
    messages.retain(|one| one.release == native);
    judge_captures(&messages, releases, &library, outcome);
    let mut accounting = shared::captured::<DbdMessage>(true);
    accounting.retain(|one| one.release == native);
    judge_captures(&accounting, releases, &library, outcome);
}

/// One line a message: its evidence in each release, `.` where there is no such message.
fn verdicts(outcome: &Outcome) -> String {
    let mut text = String::from(
        "# number, then per release what the library did; see tests/real_library.rs\n",
    );
    for (msg_type, _) in names::ALL {
        let word =
            |release| outcome.evidence.get(&(*msg_type, release)).map_or(".", |known| known.text());
        let words = Release::ALL.map(word);
        if words != ["."; 8] {
            writeln!(text, "{msg_type} {}", words.join(" ")).unwrap();
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "verdicts are kept in a file")]
fn compare(fresh: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(VERDICTS);
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, fresh).unwrap();
        return None;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let differ = stored.lines().zip(fresh.lines()).find(|(old, new)| old != new);
    let differ = differ.map(|(old, new)| format!("{VERDICTS}: was {old}\n  is {new}"));
    differ.or_else(|| (stored != fresh).then(|| format!("{VERDICTS} has another length")))
}

#[test]
fn the_library_agrees_with_our_layouts() {
    assert_eq!(LIBRARIES.map(|(native, _)| native), NATIVE);
    let mut outcome = Outcome::default();
    for (native, releases) in LIBRARIES {
        judge(native, releases, &mut outcome);
    }
    outcome.faults.extend(compare(&verdicts(&outcome)));
    let texts = outcome.evidence.iter().map(|(key, known)| (*key, known.text())).collect();
    outcome.faults.extend(reasons::faults(&texts));
    assert!(outcome.faults.is_empty(), "{}", outcome.faults.join("\n"));
    assert!(outcome.rewritten > 2_500, "only {} captures were rewritten", outcome.rewritten);
    assert!(outcome.unread.iter().all(|count| *count > 0), "{:?} of {UNREAD:?}", outcome.unread);
    assert!(outcome.changed.iter().all(|count| *count > 0), "{:?} of {CHANGED:?}", outcome.changed);
}
