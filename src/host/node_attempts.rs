//! The attempts on this node: starting, finding again, ending.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{AttemptId, JobId, Span};
use flurm_node::batch::{BatchEnd, BatchOrder};
use flurm_node::ledger::Phase;
use flurm_node::programs::Ended;
use flurm_rt::{Addr, AsyncRuntime, Clock, Container, Env, Fs, Net, Output, Proc, Spawn};
use flurm_wire::messages::EpilogComplete;
use flurm_wire::{Errno, JobRef, Message, NO_VAL, StepId};
use tokio::io::AsyncReadExt;

use crate::keyring::KeyFiles;
use crate::node::NodeDaemon;
use crate::node_prolog;
use crate::report::{report_end, tell_until_answered};
use crate::spool::{AttemptFolder, RECORD_MAX, Spool, container_name, step_container};
use crate::task::detach;

/// How long a step daemon may take from its start to its socket.
static STEPD_START_MAX: Knob<Span> =
    Knob::new("host.node_attempts.stepd_start_max", Span::secs(20), Span::secs(15), Span::secs(60));
/// Pause between two looks at something that is about to change.
static LOOK_PAUSE: Knob<Duration> = Knob::new(
    "host.node_attempts.look_pause",
    Duration::from_millis(20),
    Duration::from_millis(1),
    Duration::from_millis(500),
);
/// Pause between two attempts to kill what does not die.
static KILL_PAUSE: Knob<Duration> = Knob::new(
    "host.node_attempts.kill_pause",
    Duration::from_millis(200),
    Duration::from_millis(10),
    Duration::from_secs(2),
);
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
/// Wait status of a process that SIGKILL ended.
const KILLED: u32 = 9;

/// Writes an attempt's order and script. Nothing of it is started before the ledger names it.
pub(crate) async fn write_order<E: Env>(
    daemon: &NodeDaemon<E>,
    order: &BatchOrder,
) -> Result<(), String> {
    let fs = daemon.env().fs();
    let folder = daemon.spool().attempt(order.job, order.attempt);
    let failed = |what: &str, error: std::io::Error| format!("could not write {what}: {error}");
    fs.create_folder(folder.path(), 0o751).await.map_err(|e| failed("the attempt's folder", e))?;
    let script = order.script.as_bytes();
    fs.replace(&folder.script(), script, 0o700).await.map_err(|e| failed("the script", e))?;
    let owned = fs.set_owner(&folder.script(), order.uid, order.gid).await;
    owned.map_err(|e| failed("the script's owner", e))?;
    let record = order.encode();
    fs.replace(&folder.launch(), &record, 0o600).await.map_err(|e| failed("the order", e))?;
    fs.sync_dir(daemon.spool().root()).await.map_err(|e| failed("the spool", e))
}

/// Starts the step daemon of an attempt that the ledger names, and watches over it.
///
/// # Errors
/// When no step daemon could be made; then nothing of the attempt is there.
pub(crate) async fn start<E: Env>(
    daemon: &NodeDaemon<E>,
    order: &BatchOrder,
) -> Result<(), String> {
    let folder = daemon.spool().attempt(order.job, order.attempt);
    if let Err(error) = spawn_stepd(daemon, &folder).await {
        flurm_base::sometimes!("a node could not make a step daemon");
        daemon.note_ended(order.job, order.attempt).await;
        remove_folder(daemon, order.job, order.attempt).await;
        return Err(error);
    }
    detach::<E>(watch(daemon.clone(), order.job, order.attempt));
    Ok(())
}

/// Starts a step daemon for what is ordered in a folder.
///
/// # Errors
/// When no step daemon could be made.
pub(crate) async fn spawn_stepd<E: Env>(
    daemon: &NodeDaemon<E>,
    folder: &AttemptFolder,
) -> Result<(), String> {
    let program = daemon.stepd().clone();
    let conf = daemon.setup().conf_path();
    let spawn = Spawn {
        argv: vec![
            "flurmstepd".into(),
            "--folder".into(),
            folder.path().to_string_lossy().into_owned(),
            "-f".into(),
            conf.to_string_lossy().into_owned(),
            "-N".into(),
            daemon.conf().name.clone(),
        ],
        program,
        environment: daemon_environment(&daemon.keys()),
        own_pid_variable: None,
        work_dir: PathBuf::from("/"),
        user: None,
        umask: None,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::Inherit,
        stderr: Output::Inherit,
        terminal: None,
        container: None,
        detached: true,
    };
    let started = daemon.env().proc().spawn(spawn).await;
    started.map(|_| ()).map_err(|error| format!("could not start the step daemon: {error}"))
}

/// Something of an attempt that has a step daemon of its own: its batch script, or a step.
pub(crate) struct Part {
    /// The step's number; `None` for the batch script.
    pub step: Option<u32>,
    /// Its folder.
    pub folder: AttemptFolder,
    /// Its container's name.
    pub container: String,
}

impl Part {
    /// A step.
    pub(crate) fn of_step<E: Env>(
        daemon: &NodeDaemon<E>,
        job: JobId,
        attempt: AttemptId,
        step: u32,
    ) -> Self {
        let folder = daemon.spool().attempt(job, attempt).step(step);
        let container = own_container(daemon, job, attempt);
        Self { step: Some(step), folder, container: step_container(&container, step) }
    }
}

fn own_container<E: Env>(daemon: &NodeDaemon<E>, job: JobId, attempt: AttemptId) -> String {
    container_name(&daemon.setup().cluster_name(), &daemon.conf().name, job, attempt)
}

/// Everything of an attempt that was ordered on this node.
pub(crate) async fn parts<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
) -> Vec<Part> {
    let folder = daemon.spool().attempt(job, attempt);
    let mut parts = Vec::new();
    if has(daemon, &folder.launch()).await {
        let container = own_container(daemon, job, attempt);
        parts.push(Part { step: None, folder: folder.clone(), container });
    }
    if flurm_base::planted::is("host_leaves_steps_behind") {
        return parts;
    }
    let entries = daemon.env().fs().list(folder.path()).await.unwrap_or_default();
    let steps = entries.iter().filter_map(|entry| AttemptFolder::parse_step(&entry.name));
    parts.extend(steps.map(|step| Part::of_step(daemon, job, attempt, step)));
    parts
}

/// The step daemon finds the keys that were given to the node daemon.
fn daemon_environment(keys: &KeyFiles) -> Vec<String> {
    let mut environment = vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()];
    for (name, path) in [(KeyFiles::KEY_VARIABLE, &keys.key), (KeyFiles::JWKS_VARIABLE, &keys.jwks)]
    {
        environment.extend(path.as_ref().map(|path| format!("{name}={}", path.display())));
    }
    environment
}

/// Finds again what earlier runs of this daemon started.
pub(crate) async fn recover<E: Env>(daemon: &NodeDaemon<E>) -> Result<(), String> {
    let entries = daemon.env().fs().list(daemon.spool().root()).await;
    let entries = entries.map_err(|error| format!("could not list the spool: {error}"))?;
    for (job, attempt) in entries.iter().filter_map(|entry| Spool::parse(&entry.name)) {
        let phase = daemon.ledger().phase(job, attempt);
        match phase {
            Some(Phase::Launched | Phase::Ending) => {}
            // Written, but never accepted; or ended, with only the folder left.
            Some(Phase::Ended) | None => remove_folder(daemon, job, attempt).await,
        }
    }
    let live: Vec<_> = daemon.ledger().live().collect();
    for (job, attempt, phase) in live {
        flurm_base::sometimes!("a node daemon found an attempt of an earlier run");
        tracing::info!(job = job.0, "found attempt {attempt} of an earlier run");
        for part in parts(daemon, job, attempt).await {
            match part.step {
                None if phase == Phase::Launched
                    && node_prolog::resume_batch(daemon, job, attempt).await => {}
                None => detach::<E>(watch(daemon.clone(), job, attempt)),
                Some(step) => {
                    detach::<E>(crate::node_steps::watch(daemon.clone(), job, attempt, step));
                }
            }
        }
        if phase == Phase::Ending {
            detach::<E>(end(daemon.clone(), job, None));
        }
    }
    Ok(())
}

/// Watches over an attempt's step daemon; when it is gone without having reported, reports instead.
async fn watch<E: Env>(daemon: NodeDaemon<E>, job: JobId, attempt: AttemptId) {
    let folder = daemon.spool().attempt(job, attempt);
    outlive(&daemon, &folder, job, attempt).await;
    if daemon.ledger().phase(job, attempt) == Some(Phase::Launched)
        && !has(&daemon, &folder.reported()).await
    {
        report_for_stepd(&daemon, &folder, job, attempt).await;
    }
}

/// Waits until a step daemon has ended, which may still be starting.
pub(crate) async fn outlive<E: Env>(
    daemon: &NodeDaemon<E>,
    folder: &AttemptFolder,
    job: JobId,
    attempt: AttemptId,
) {
    let clock = daemon.env().clock();
    let deadline = clock.monotonic() + STEPD_START_MAX.get();
    while clock.monotonic() < deadline {
        if outlive_stepd(daemon, folder).await {
            return;
        }
        if has(daemon, &folder.end()).await || !is_fresh(daemon, job, attempt) {
            return;
        }
        E::Rt::sleep(LOOK_PAUSE.get()).await;
    }
}

/// Waits until a step daemon that may still be starting is there, or has said its last word: before
/// that, an empty container means nothing.
async fn stepd_has_shown_itself<E: Env>(daemon: &NodeDaemon<E>, folder: &AttemptFolder) {
    let clock = daemon.env().clock();
    let deadline = clock.monotonic() + STEPD_START_MAX.get();
    while clock.monotonic() < deadline {
        if has(daemon, &folder.end()).await || has(daemon, &folder.reported()).await {
            return;
        }
        if daemon.env().net().connect(&Addr::Local(folder.socket())).await.is_ok() {
            return;
        }
        flurm_base::sometimes!("an attempt was ended before its step daemon had started");
        E::Rt::sleep(LOOK_PAUSE.get()).await;
    }
}

/// Only an attempt that this very run launched can have a step daemon that is still starting.
fn is_fresh<E: Env>(daemon: &NodeDaemon<E>, job: JobId, attempt: AttemptId) -> bool {
    daemon.registrar().is_introduced() && daemon.ledger().phase(job, attempt).is_some()
}

/// Connects to a step daemon and returns when it has ended; false when there is none.
async fn outlive_stepd<E: Env>(daemon: &NodeDaemon<E>, folder: &AttemptFolder) -> bool {
    let socket = Addr::Local(folder.socket());
    let Ok(mut stream) = daemon.env().net().connect(&socket).await else { return false };
    let mut byte = [0u8; 1];
    while matches!(stream.read(&mut byte).await, Ok(1)) {}
    true
}

/// Asks every step daemon to read its keys again. One that cannot be reached does so when a report
/// of its is refused.
pub(crate) async fn ring_stepds<E: Env>(daemon: &NodeDaemon<E>) {
    let live: Vec<_> = daemon.ledger().live().collect();
    for (job, attempt, _) in live {
        for part in parts(daemon, job, attempt).await {
            let rung = crate::stepd_socket::ring(daemon.env(), &part.folder.socket()).await;
            if let Err(error) = rung {
                tracing::debug!(job = job.0, "a step daemon was not told of new keys: {error}");
            }
        }
    }
}

/// Whether a file is there.
pub(crate) async fn has<E: Env>(daemon: &NodeDaemon<E>, path: &Path) -> bool {
    daemon.env().fs().read(path, RECORD_MAX).await.is_ok()
}

/// The step daemon is gone and nobody knows that the attempt ended: tell how, or that it was lost.
async fn report_for_stepd<E: Env>(
    daemon: &NodeDaemon<E>,
    folder: &AttemptFolder,
    job: JobId,
    attempt: AttemptId,
) {
    let fs = daemon.env().fs();
    let end = fs.read(&folder.end(), RECORD_MAX).await.ok();
    let end = end.and_then(|bytes| BatchEnd::decode(&bytes).ok());
    let end = match end {
        Some(end) => end,
        None => {
            flurm_base::sometimes!("an attempt was lost with its machine or step daemon");
            tracing::warn!(job = job.0, "attempt {attempt} was lost");
            kill_all(daemon, job, &own_container(daemon, job, attempt)).await;
            lost(daemon)
        }
    };
    let order = fs.read(&folder.launch(), RECORD_MAX).await.ok();
    let order = order.and_then(|bytes| BatchOrder::decode(&bytes).ok());
    let order = order.unwrap_or_else(|| unknown_order(daemon, job, attempt));
    report_end(daemon.setup(), folder, &order, &end).await;
}

fn lost<E: Env>(daemon: &NodeDaemon<E>) -> BatchEnd {
    BatchEnd {
        status: KILLED,
        slurm_rc: Errno::ESLURMD_STEP_NOTRUNNING.0,
        ended_at: daemon.env().clock().wall(),
        user_us: 0,
        system_us: 0,
        max_rss_kib: 0,
    }
}

/// Enough of an order to report the end of an attempt whose record cannot be read any more.
fn unknown_order<E: Env>(daemon: &NodeDaemon<E>, job: JobId, attempt: AttemptId) -> BatchOrder {
    BatchOrder {
        job,
        attempt,
        restart_count: 0,
        uid: 0,
        gid: 0,
        user_name: String::new(),
        groups: Vec::new(),
        nodes: String::new(),
        node_name: daemon.conf().name.clone(),
        cpus_per_node: Vec::new(),
        ntasks: 0,
        cpus_per_task: 0,
        pn_min_memory: 0,
        partition: String::new(),
        account: None,
        qos: None,
        reservation: None,
        array_job_id: None,
        array_task_id: None,
        script: String::new(),
        argv: Vec::new(),
        environment: Vec::new(),
        work_dir: String::new(),
        std_in: None,
        std_out: None,
        std_err: None,
        open_mode: 0,
        tres_per_task: None,
        start_time: daemon.env().clock().wall(),
        end_time: None,
    }
}

/// Ends the newest attempt of a job: SIGTERM, `KillWait`, SIGKILL until nothing is left; then the
/// epilog; then the report that the node is free.
pub(crate) async fn end<E: Env>(daemon: NodeDaemon<E>, job: JobId, ended: Option<Ended>) {
    let found = daemon.ledger().live().find(|(id, ..)| *id == job);
    let Some((_, attempt, _)) = found else { return };
    let may_have_started = node_prolog::outlive(&daemon, job, attempt).await;
    let parts = parts(&daemon, job, attempt).await;
    for part in &parts {
        if may_have_started && has(&daemon, &part.folder.launch()).await {
            stepd_has_shown_itself(&daemon, &part.folder).await;
        }
    }
    ask_to_end(&daemon, job, &parts).await;
    // The step daemons write their ends now; their folders go when they are done with them. One that
    // was just about to start its job starts it into a container that is emptied again.
    for part in &parts {
        loop {
            kill_all(&daemon, job, &part.container).await;
            let gone = E::Rt::timeout(KILL_PAUSE.get(), outlive_stepd(&daemon, &part.folder)).await;
            if matches!(gone, Ok(false)) || flurm_base::planted::is("host_kills_once") {
                break;
            }
        }
    }
    let return_code = node_prolog::epilog(&daemon, job, attempt, ended).await;
    crate::node_bcast::forget(&daemon, job).await;
    daemon.note_ended(job, attempt).await;
    remove_folder(&daemon, job, attempt).await;
    let step = StepId { step_id: NO_VAL, ..StepId::job(job.0).with_sluid(attempt.0) };
    let message = Message::MessageEpilogComplete(EpilogComplete {
        job: JobRef(step),
        return_code,
        node_name: Some(daemon.conf().name.clone()),
    });
    let errno = tell_until_answered(daemon.setup(), &message).await;
    tracing::info!(job = job.0, "attempt {attempt} is gone from this node ({errno})");
}

/// SIGTERM to everything of an attempt, and `KillWait` for it to obey.
async fn ask_to_end<E: Env>(daemon: &NodeDaemon<E>, job: JobId, parts: &[Part]) {
    let mut containers = Vec::new();
    for part in parts {
        containers.extend(container(daemon, job, &part.container).await);
    }
    for container in &containers {
        for signal in [SIGCONT, SIGTERM] {
            if let Err(error) = container.signal(signal).await {
                tracing::warn!(job = job.0, "could not signal: {error}");
            }
        }
    }
    let clock = daemon.env().clock();
    let deadline = clock.monotonic() + daemon.setup().conf().times.kill_wait;
    for container in &containers {
        while clock.monotonic() < deadline && !is_empty(container).await {
            E::Rt::sleep(LOOK_PAUSE.get()).await;
        }
    }
}

/// Opens a container.
pub(crate) async fn container<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    name: &str,
) -> Option<<E::Proc as Proc>::Container> {
    match daemon.env().proc().container(name).await {
        Ok(container) => Some(container),
        Err(error) => {
            tracing::error!(job = job.0, "could not open the container: {error}");
            None
        }
    }
}

async fn is_empty<C: Container>(container: &C) -> bool {
    container.pids().await.is_ok_and(|pids| pids.is_empty())
}

/// Kills until nothing is left. What the kernel cannot kill holds its node: it must not be given to
/// another job.
pub(crate) async fn kill_all<E: Env>(daemon: &NodeDaemon<E>, job: JobId, name: &str) {
    let clock = daemon.env().clock();
    let patience = daemon.setup().conf().times.unkillable_step_timeout;
    let began = clock.monotonic();
    let mut complained = false;
    loop {
        if let Some(container) = container(daemon, job, name).await
            && (matches!(container.kill().await, Ok(false)) || planted_once())
            && (is_empty(&container).await || planted_once())
        {
            if let Err(error) = container.remove().await {
                tracing::debug!(job = job.0, "could not remove the container: {error}");
            }
            return;
        }
        if !complained && clock.monotonic() - began > patience {
            complained = true;
            tracing::error!(job = job.0, "processes in {name} cannot be killed");
        }
        E::Rt::sleep(if complained { KILL_PAUSE.get() * 5 } else { KILL_PAUSE.get() / 10 }).await;
    }
}

fn planted_once() -> bool {
    flurm_base::planted::is("host_kills_once")
}

async fn remove_folder<E: Env>(daemon: &NodeDaemon<E>, job: JobId, attempt: AttemptId) {
    let folder = daemon.spool().attempt(job, attempt);
    if let Err(error) = daemon.env().fs().remove_tree(folder.path()).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(job = job.0, "could not remove {}: {error}", folder.path().display());
    }
}
