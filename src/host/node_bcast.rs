//! Files that sbcast copies onto this node, block by block, written as their user.
//!
//! One process of the user writes one file: it opens the file, takes the blocks from a pipe, and at
//! last sets mode and times. So nothing is written with more rights than the user has.

use std::path::{Path, PathBuf};

use flurm_base::{Hostlist, JobId, Span, Time};
use flurm_ctld::Identity;
use flurm_rt::{Child, Clock, Env, Fs, Ident, Mutex as AsyncMutex, Output, Proc, Spawn, Standard};
use flurm_wire::records::{FileBcast, SbcastBody};
use flurm_wire::{Errno, Release, UnixTime};
use tokio::io::AsyncWriteExt;

use crate::node::NodeDaemon;

/// Transfers at once; the next is refused.
const TRANSFERS_MAX: usize = 64;
/// A transfer of which nothing comes for so long is given up (Slurm's `FILE_BCAST_TIMEOUT`).
const SILENCE_MAX: Span = Span::secs(300);
/// A file that is there may be replaced.
const FORCE: u16 = 1;
/// The last block.
const LAST_BLOCK: u16 = 2;
/// Shared objects and the program that they belong to.
const LIBRARIES: u16 = 4 | 8;
/// Permission bits that a file may get.
const MODE_MASK: u16 = 0o777;
const EEXIST: Errno = Errno(17);
const EACCES: Errno = Errno(13);
const EINVAL: Errno = Errno(22);
const EIO: Errno = Errno(5);
/// Takes the blocks; `$1` is the file. Without the right to replace it the file must be new.
const WRITER: &str = "umask 077; exec cat > \"$1\"";
const NEW_WRITER: &str = "umask 077; set -C; exec cat > \"$1\"";
/// Settles the file `$1`: mode `$2`, and the times `$3` and `$4` where they are kept.
const SETTLER: &str = "chmod \"$2\" \"$1\" || exit 1; [ \"$3\" = 0 ] && exit 0; \
    touch -a -d \"@$3\" \"$1\" && touch -m -d \"@$4\" \"$1\"";

/// Which file.
type Key = (JobId, u32, String);

/// A file that is being written.
pub(crate) struct Transfer<C: Child> {
    writer: C,
    pipe: C::Pipe,
    blocks: u32,
    last_heard: Time,
}

/// The transfers of a node.
pub(crate) type Transfers<C> = std::collections::BTreeMap<Key, Transfer<C>>;

type ChildOf<E> = <<E as Env>::Proc as Proc>::Child;

/// Takes a block.
pub(crate) async fn take<E: Env>(
    daemon: &NodeDaemon<E>,
    release: Release,
    block: &FileBcast,
    asker: Identity,
) -> Errno {
    let body = match daemon.setup().auth().open_sbcast(&block.cred, release).await {
        Ok(body) => body,
        Err(text) => {
            tracing::warn!("refused a file: {text}");
            return Errno::ESLURMD_INVALID_JOB_CREDENTIAL;
        }
    };
    if let Some(text) = objection(daemon, &body, asker) {
        tracing::warn!(job = body.step().job_id, "refused a file: {text}");
        return Errno::ESLURMD_INVALID_JOB_CREDENTIAL;
    }
    if block.flags & LIBRARIES != 0 || block.compress != 0 {
        tracing::info!("refused a file: --send-libs and --compress are not supported");
        return Errno::ESLURM_NOT_SUPPORTED;
    }
    let path = match path(daemon, block, &body) {
        Some(path) => path,
        None => return EINVAL,
    };
    match write(daemon, block, &path, &body, asker).await {
        Ok(()) => Errno::SLURM_SUCCESS,
        Err(errno) => errno,
    }
}

fn objection<E: Env>(daemon: &NodeDaemon<E>, body: &SbcastBody, asker: Identity) -> Option<String> {
    let owner = if body.id.uid == 0 { body.uid } else { body.id.uid };
    if asker.uid != owner {
        return Some(format!("uid {} shows a credential of uid {owner}", asker.uid));
    }
    if daemon.env().clock().wall() > Time::from_secs(body.expiration.0) {
        return Some("the credential has expired".into());
    }
    let own = daemon.conf().name.as_str();
    match Hostlist::parse(body.nodes.as_deref().unwrap_or("")) {
        Ok(hosts) if hosts.contains(own) => None,
        Ok(hosts) => Some(format!("the credential is for other nodes: {hosts}")),
        Err(error) => Some(error.to_string()),
    }
}

/// Where the file goes; a folder gets a name that the step's tasks will know too.
fn path<E: Env>(daemon: &NodeDaemon<E>, block: &FileBcast, body: &SbcastBody) -> Option<String> {
    let name = block.fname.clone().filter(|name| name.starts_with('/'))?;
    if !name.ends_with('/') {
        return Some(name);
    }
    let step = body.step();
    let node = &daemon.conf().name;
    Some(format!("{name}slurm_bcast_{}.{}_{node}", step.job_id, step.step_id))
}

async fn write<E: Env>(
    daemon: &NodeDaemon<E>,
    block: &FileBcast,
    path: &str,
    body: &SbcastBody,
    asker: Identity,
) -> Result<(), Errno> {
    let key = (JobId(body.step().job_id), asker.uid, path.to_owned());
    let now = daemon.env().clock().wall();
    let mut transfers = daemon.transfers().lock().await;
    transfers.retain(|_, transfer| now.since(transfer.last_heard) < SILENCE_MAX);
    if block.block_no == 1 {
        if transfers.len() >= TRANSFERS_MAX {
            return Err(EACCES);
        }
        let transfer = begin(daemon, block, path, asker).await?;
        transfers.insert(key.clone(), transfer);
    }
    let transfer = transfers.get_mut(&key).ok_or(Errno::SLURM_ERROR)?;
    // Blocks come in their order; one that comes again was written already.
    if block.block_no <= transfer.blocks {
        return Ok(());
    }
    let expected = transfer.blocks + 1 == block.block_no;
    let written = match expected {
        true => transfer.pipe.write_all(&block.block.0).await.is_ok(),
        false => false,
    };
    transfer.blocks = block.block_no;
    transfer.last_heard = now;
    let last = block.flags & LAST_BLOCK != 0;
    if written && !last {
        return Ok(());
    }
    let Some(Transfer { mut writer, pipe, .. }) = transfers.remove(&key) else { return Ok(()) };
    // Closing the pipe ends the writer.
    drop(pipe);
    drop(transfers);
    let status = writer.wait().await.map_err(|_| EIO)?;
    if status.0 != 0 || !written {
        return Err(EACCES);
    }
    settle(daemon, block, path, asker).await
}

async fn begin<E: Env>(
    daemon: &NodeDaemon<E>,
    block: &FileBcast,
    path: &str,
    asker: Identity,
) -> Result<Transfer<ChildOf<E>>, Errno> {
    let force = block.flags & FORCE != 0;
    if !force && daemon.env().fs().access(Path::new(path)).await.is_ok() {
        return Err(EEXIST);
    }
    let script = if force { WRITER } else { NEW_WRITER };
    let spawn = shell(daemon, asker, script, &[path], Output::Pipe).await?;
    let started = daemon.env().proc().spawn(spawn).await;
    let mut writer = started.map_err(|error| {
        tracing::warn!("could not write {path}: {error}");
        EIO
    })?;
    let pipe = writer.take_pipe(Standard::Input).ok_or(EIO)?;
    let last_heard = daemon.env().clock().wall();
    tracing::info!("uid {} copies a file to {path}", asker.uid);
    Ok(Transfer { writer, pipe, blocks: 0, last_heard })
}

async fn settle<E: Env>(
    daemon: &NodeDaemon<E>,
    block: &FileBcast,
    path: &str,
    asker: Identity,
) -> Result<(), Errno> {
    let mode = format!("{:o}", block.modes & MODE_MASK);
    let time = |time: UnixTime| time.0.to_string();
    let (read, changed) = (time(block.atime), time(block.mtime));
    let arguments = [path, &mode, &read, &changed];
    let spawn = shell(daemon, asker, SETTLER, &arguments, Output::Null).await?;
    let mut child = daemon.env().proc().spawn(spawn).await.map_err(|_| EIO)?;
    let status = child.wait().await.map_err(|_| EIO)?;
    if status.0 == 0 { Ok(()) } else { Err(EACCES) }
}

/// A shell script that runs as a user.
async fn shell<E: Env>(
    daemon: &NodeDaemon<E>,
    asker: Identity,
    script: &str,
    arguments: &[&str],
    stdin: Output,
) -> Result<Spawn, Errno> {
    let found = daemon.env().ident().user_by_id(asker.uid).await.ok().flatten();
    let mut user = found.ok_or(Errno::ESLURM_USER_ID_MISSING)?;
    user.gid = asker.gid;
    let mut argv = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Ok(Spawn {
        program: PathBuf::from("/bin/sh"),
        argv,
        environment: vec!["PATH=/usr/bin:/bin".to_owned()],
        own_pid_variable: None,
        work_dir: PathBuf::from("/"),
        user: Some(user),
        umask: None,
        limits: Vec::new(),
        stdin,
        stdout: Output::Null,
        stderr: Output::Null,
        terminal: None,
        container: None,
        detached: false,
    })
}

/// Gives up what is still being copied for a job that has ended.
pub(crate) async fn forget<E: Env>(daemon: &NodeDaemon<E>, job: JobId) {
    daemon.transfers().lock().await.retain(|(of, ..), _| *of != job);
}
