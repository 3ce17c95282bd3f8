//! The task that owns the log's files, and groups what waits into one write and one sync.
//!
//! Requests are served strictly in order. While one group is being synced, what arrives meanwhile
//! forms the next; so under load a sync carries many commands and without load a command waits for
//! one sync only.

use std::io;
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_rt::{
    AsyncRuntime, Env, Mpsc, MpscReceiver, MpscSender, Oneshot, OneshotSender, TryRecvError,
};
use openraft::storage::IOFlushed;

use crate::log::Log;
use crate::segment::Record;
use crate::stored::{StoredEntry, StoredLogId, StoredPayload};
use crate::types::TC;
use crate::witness::{self, Visible};

/// Requests that may wait for the disk.
static QUEUE_MAX: Knob<usize> = Knob::new("raft.disk.queue_max", 1024, 1, 1024);
/// A group takes no further request once its commands have this many bytes.
static GROUP_BYTES: Knob<usize> = Knob::new("raft.disk.group_bytes", 4 << 20, 1, 8 << 20);
/// The mark follows once the log has been idle for so long.
static MARK_DELAY: Knob<Duration> = Knob::new(
    "raft.disk.mark_delay",
    Duration::from_millis(200),
    Duration::from_millis(1),
    Duration::from_secs(2),
);

type Sender<E, T> = <<<E as Env>::Rt as AsyncRuntime>::Mpsc as Mpsc>::Sender<T>;
type Receiver<E, T> = <<<E as Env>::Rt as AsyncRuntime>::Mpsc as Mpsc>::Receiver<T>;
type Promise<E, T> = <<<E as Env>::Rt as AsyncRuntime>::Oneshot as Oneshot>::Sender<T>;

/// Who is told when a request is done.
pub(crate) enum Done<E: Env> {
    /// openraft, about appended entries.
    Flushed(IOFlushed<TC<E::Rt>>),
    /// A waiting caller.
    Caller(Promise<E, io::Result<()>>),
}

impl<E: Env> Done<E> {
    fn tell(self, result: &io::Result<()>) {
        let result = match result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        match self {
            Self::Flushed(callback) => callback.io_completed(result),
            // A caller that went away does not want to know.
            Self::Caller(promise) => drop(promise.send(result)),
        }
    }
}

enum Request<E: Env> {
    Write(Vec<Record>, Done<E>),
    /// Remove what is only about entries up to this one; with `true` the log restarts behind it.
    Purge(StoredLogId, bool, Done<E>),
    Close(Done<E>),
}

/// Sends requests to the disk task; clones reach the same one.
pub(crate) struct Disk<E: Env> {
    sender: Sender<E, Request<E>>,
}

impl<E: Env> Clone for Disk<E> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

fn gone() -> io::Error {
    io::Error::other("the log is closed")
}

impl<E: Env> Disk<E> {
    /// Starts the task of a member.
    pub(crate) fn start(env: E, member: u64, log: Log<E::Fs>) -> Self {
        let (sender, receiver) = <E::Rt as AsyncRuntime>::Mpsc::channel(QUEUE_MAX.get());
        drop(E::Rt::spawn(run(Owner { env, member }, log, receiver)));
        Self { sender }
    }

    async fn request(&self, request: Request<E>) -> io::Result<()> {
        match self.sender.send(request).await {
            Ok(()) => Ok(()),
            Err(refused) => {
                let result = Err(gone());
                match refused.0 {
                    Request::Write(_, done) | Request::Purge(_, _, done) | Request::Close(done) => {
                        done.tell(&result)
                    }
                }
                result
            }
        }
    }

    /// Queues records; `done` hears when they are durable.
    pub(crate) async fn write(&self, records: Vec<Record>, done: Done<E>) -> io::Result<()> {
        self.request(Request::Write(records, done)).await
    }

    /// Writes records and waits until they are durable.
    pub(crate) async fn write_through(&self, records: Vec<Record>) -> io::Result<()> {
        let (promise, answer) = <E::Rt as AsyncRuntime>::Oneshot::channel();
        self.request(Request::Write(records, Done::Caller(promise))).await?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Removes entries up to `upto`. With `restart`, all entries: the log goes on behind it.
    pub(crate) async fn purge(&self, upto: StoredLogId, restart: bool) -> io::Result<()> {
        let (promise, answer) = <E::Rt as AsyncRuntime>::Oneshot::channel();
        self.request(Request::Purge(upto, restart, Done::Caller(promise))).await?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Writes what is pending, moves the mark and ends the task. Idempotent.
    pub(crate) async fn close(&self) {
        let (promise, answer) = <E::Rt as AsyncRuntime>::Oneshot::channel();
        if self.request(Request::Close(Done::Caller(promise))).await.is_ok() {
            // An error means that the task ended first, which is as good.
            drop(answer.await);
        }
    }
}

/// Bytes that a record brings to a group, about.
fn weight(record: &Record) -> usize {
    let payload = match record {
        Record::Entry(StoredEntry { payload: StoredPayload::Command(bytes), .. }) => bytes.0.len(),
        Record::Entry(_)
        | Record::Vote(_)
        | Record::Truncate(_)
        | Record::Reset(_)
        | Record::Committed(_) => 0,
    };
    payload + 64
}

struct Group<E: Env> {
    records: Vec<Record>,
    bytes: usize,
    waiting: Vec<Done<E>>,
}

/// Whose disk it is.
struct Owner<E> {
    env: E,
    member: u64,
}

impl<E: Env> Owner<E> {
    /// Writes records as one group; on success they are durable.
    async fn write(&self, log: &mut Log<E::Fs>, records: &[Record]) -> io::Result<()> {
        witness::show_writes(self.member, records);
        log.write(self.env.fs(), records).await?;
        witness::show(self.member, || Visible::Written);
        Ok(())
    }
}

async fn run<E: Env>(owner: Owner<E>, mut log: Log<E::Fs>, mut receiver: Receiver<E, Request<E>>) {
    let mut next = None;
    loop {
        let request = match next.take() {
            Some(request) => request,
            None => match receive::<E>(&mut log, &mut receiver).await {
                Some(request) => request,
                None => return,
            },
        };
        match request {
            Request::Write(records, done) => {
                let bytes = records.iter().map(weight).sum();
                let mut group = Group { records, bytes, waiting: vec![done] };
                next = gather::<E>(&mut group, &mut receiver);
                write_group(&owner, &mut log, group).await;
            }
            Request::Purge(upto, restart, done) => {
                let result = purge(&owner, &mut log, upto, restart).await;
                report("remove old log files", &result);
                done.tell(&result);
            }
            Request::Close(done) => {
                if log.unmarked() {
                    report("mark the log", &log.set_mark().await);
                }
                done.tell(&Ok(()));
                return;
            }
        }
    }
}

/// Waits for a request; moves the mark when none comes for a while.
async fn receive<E: Env>(
    log: &mut Log<E::Fs>,
    receiver: &mut Receiver<E, Request<E>>,
) -> Option<Request<E>> {
    if log.unmarked() {
        if let Ok(request) = E::Rt::timeout(MARK_DELAY.get(), receiver.recv()).await {
            return request;
        }
        report("mark the log", &log.set_mark().await);
    }
    receiver.recv().await
}

/// Adds what waits already to a group. Returns a request that does not fit into one.
fn gather<E: Env>(
    group: &mut Group<E>,
    receiver: &mut Receiver<E, Request<E>>,
) -> Option<Request<E>> {
    while group.bytes < GROUP_BYTES.get() {
        match receiver.try_recv() {
            Ok(Request::Write(mut records, done)) => {
                group.bytes += records.iter().map(weight).sum::<usize>();
                group.records.append(&mut records);
                group.waiting.push(done);
            }
            Ok(other) => return Some(other),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
        }
    }
    None
}

/// Writes a group, in pieces if one request alone is larger than a group may be.
async fn write_group<E: Env>(owner: &Owner<E>, log: &mut Log<E::Fs>, mut group: Group<E>) {
    if flurm_base::planted::is("raft_acknowledges_before_sync") {
        group.waiting.drain(..).for_each(|done| done.tell(&Ok(())));
    }
    let mut result = Ok(());
    let mut rest = group.records.as_slice();
    while !rest.is_empty() && result.is_ok() {
        let mut bytes = 0;
        let mut count = 0;
        while count < rest.len() && bytes < GROUP_BYTES.get() {
            bytes += weight(&rest[count]);
            count += 1;
        }
        let (piece, tail) = rest.split_at(count);
        result = owner.write(log, piece).await;
        rest = tail;
    }
    report("write the log", &result);
    for done in group.waiting {
        done.tell(&result);
    }
}

async fn purge<E: Env>(
    owner: &Owner<E>,
    log: &mut Log<E::Fs>,
    upto: StoredLogId,
    restart: bool,
) -> io::Result<()> {
    if restart {
        owner.write(log, &[Record::Reset(upto)]).await?;
        log.start_segment(owner.env.fs()).await?;
    }
    log.purge(owner.env.fs(), upto).await
}

fn report(doing: &str, result: &io::Result<()>) {
    if let Err(error) = result {
        flurm_base::sometimes!("a member stopped because its disk failed");
        tracing::error!("could not {doing}: {error}; this member stops");
    }
}
