//! Steps on a node: launches that srun sends, signals for them, and what becomes of their remains.

use std::net::IpAddr;

use flurm_base::hostlist::Hostlist;
use flurm_base::{AttemptId, JobId, Span};
use flurm_ctld::{Identity, attempt_of};
use flurm_node::attach::AttachOrder;
use flurm_node::batch::BatchOrder;
use flurm_node::ledger::LaunchVerdict;
use flurm_node::programs::JobFacts;
use flurm_node::step::{StepEnd, StepOrder, launch_flags};
use flurm_rt::{AsyncRuntime, Clock, Container, Env, Fs, Proc};
use flurm_wire::messages::{Reattached, SignalTasks, kill_flags};
use flurm_wire::records::{Credential, CredentialBody, LaunchTasks, Reattach};
use flurm_wire::{BATCH_STEP, Errno, NO_VAL, Release};

use crate::node::NodeDaemon;
use crate::node_attempts;
use crate::node_attempts::Part;
use crate::node_gres;
use crate::node_prolog;
use crate::report::report_step;
use crate::spool::{AttemptFolder, RECORD_MAX};
use crate::task::detach;

/// How old a credential may be (Slurm's `DEFAULT_EXPIRATION_WINDOW`).
const CREDENTIAL_AGE_MAX: Span = Span::secs(120);
/// The plugin mpi/none, by its number and as releases since 23.11 leave it out.
const MPI_NONE: [u32; 2] = [101, NO_VAL];
/// `--open-mode=append`.
const OPEN_MODE_APPEND: u8 = 1;
/// Operation not permitted (errno.h).
const EPERM: Errno = Errno(1);
const SIGKILL: u16 = 9;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
/// The largest signal of the system; above it are Slurm's own.
const SIGNAL_MAX: u16 = 64;

/// Launches a step's tasks on this node.
pub(crate) async fn launch<E: Env>(
    daemon: &NodeDaemon<E>,
    message_release: Release,
    launch: LaunchTasks,
    asker: Identity,
    srun: IpAddr,
) -> Errno {
    if !daemon.registrar().is_introduced() {
        return crate::launcher::TRY_AGAIN;
    }
    if let Some(what) = not_done(&launch) {
        tracing::info!(job = launch.step_id.job_id, "refused a step: {what} is not supported");
        return Errno::ESLURM_NOT_SUPPORTED;
    }
    let release = launch.cred.release.unwrap_or(message_release);
    let body = match open(daemon, release, &launch, asker).await {
        Ok(body) => body,
        Err(text) => {
            tracing::warn!(job = launch.step_id.job_id, "refused a step: {text}");
            return Errno::ESLURMD_INVALID_JOB_CREDENTIAL;
        }
    };
    let order = match order_of(daemon, release, message_release, &launch, &body, srun) {
        Ok(order) => order,
        Err(text) => {
            tracing::warn!(job = launch.step_id.job_id, "refused a step: {text}");
            return Errno::ESLURMD_INVALID_JOB_CREDENTIAL;
        }
    };
    let facts = JobFacts::of(&body, order.attempt, &order.work_dir);
    accept(daemon, &order, &facts).await
}

/// What a launch asks for that this node does not do.
fn not_done(launch: &LaunchTasks) -> Option<&'static str> {
    let asked = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
    let refused = [
        (launch.flags & launch_flags::PARALLEL_DEBUG != 0, "a parallel debugger"),
        (launch.flags & launch_flags::NO_ALLOC != 0, "--no-allocate"),
        (!MPI_NONE.contains(&launch.mpi_plugin_id), "--mpi"),
        (launch.x11 != 0, "--x11"),
        (asked(&launch.container), "--container"),
        (!launch.options.options.is_empty(), "an option of a SPANK plugin"),
    ];
    refused.into_iter().find(|(asked, _)| *asked).map(|(_, what)| what)
}

/// A credential must be signed by SlurmUser or root, be fresh, be the asker's own, and be about this
/// step.
async fn open<E: Env>(
    daemon: &NodeDaemon<E>,
    release: Release,
    launch: &LaunchTasks,
    asker: Identity,
) -> Result<CredentialBody, String> {
    let auth = daemon.setup().auth();
    let body = auth.open_credential(&launch.cred.credential, release).await?;
    let (step, asked) = (body.step_id, launch.step_id);
    if (step.job_id, step.step_id) != (asked.job_id, asked.step_id) {
        return Err(format!("the credential is for step {}.{}", step.job_id, step.step_id));
    }
    if asker.uid != body.id.uid && !auth.is_slurm_user(asker.uid) {
        return Err(format!("uid {} launches a step of uid {}", asker.uid, body.id.uid));
    }
    let age = daemon.env().clock().wall().since(flurm_base::Time::from_secs(body.ctime.0));
    if age > CREDENTIAL_AGE_MAX {
        return Err("the credential has expired".into());
    }
    if attempt_of(&body) == 0 {
        return Err("the credential names no attempt".into());
    }
    Ok(body)
}

fn order_of<E: Env>(
    daemon: &NodeDaemon<E>,
    release: Release,
    message_release: Release,
    launch: &LaunchTasks,
    body: &CredentialBody,
    srun: IpAddr,
) -> Result<StepOrder, String> {
    let place = |list: &Option<String>| {
        let hosts = Hostlist::parse(list.as_deref().unwrap_or("")).map_err(|e| e.to_string())?;
        let own = daemon.conf().name.as_str();
        let found = hosts.iter().position(|host| host == own);
        found.ok_or_else(|| format!("the credential is for other nodes: {hosts}"))
    };
    let in_step = place(&body.step_hostlist)?;
    let in_job = u32::try_from(place(&body.job_hostlist)?).map_err(|e| e.to_string())?;
    let tasks = launch.tasks.get(in_step).ok_or("no tasks are said for this node")?;
    let io_key = match &launch.cred.credential {
        Credential::Signed(signed) => signed.signature.0.clone(),
        Credential::Token(token) => Some(token.clone()),
    };
    let io_key = io_key.filter(|_| release == message_release || !launch.io_port.is_empty());
    Ok(StepOrder {
        job: JobId(body.step_id.job_id),
        attempt: AttemptId(attempt_of(body)),
        step: body.step_id.step_id,
        uid: body.id.uid,
        gid: body.id.gid,
        user_name: body.id.pw_name.clone().unwrap_or_else(|| body.id.uid.to_string()),
        groups: body.id.gids.clone(),
        node_name: daemon.conf().name.clone(),
        node_id: u32::try_from(in_step).map_err(|error| error.to_string())?,
        ntasks: launch.ntasks,
        tasks: tasks.global_task_ids.clone(),
        cpus_on_node: body.cpu_array.at(in_job).map_or(1, u32::from),
        partition: body.job_partition.name.clone().unwrap_or_default(),
        argv: launch.argv.clone(),
        environment: node_gres::put(&launch.env, node_gres::of_step(body, in_job as usize)),
        work_dir: launch.cwd.clone().unwrap_or_else(|| "/tmp".into()),
        flags: launch.flags,
        files: [launch.ifname.clone(), launch.ofname.clone(), launch.efname.clone()],
        append: launch.open_mode == OPEN_MODE_APPEND,
        srun,
        io_ports: launch.io_port.clone(),
        response_ports: launch.resp_port.clone(),
        io_key,
        release: message_release.version(),
        cpu_bind_type: launch.cpu_bind_type,
        task_prolog: launch.task_prolog.clone(),
        task_epilog: launch.task_epilog.clone(),
    })
}

/// Enters a step and starts its step daemon.
async fn accept<E: Env>(daemon: &NodeDaemon<E>, order: &StepOrder, facts: &JobFacts) -> Errno {
    let (job, attempt) = (order.job, order.attempt);
    let verdict = daemon.ledger().on_step(job, attempt);
    match verdict {
        LaunchVerdict::Start => {
            // Said here for its job: without the record nothing may run.
            let prepared = node_prolog::prepare(daemon, facts).await;
            let saved = match prepared {
                Ok(()) => daemon.save_ledger().await,
                Err(text) => Err(text),
            };
            if let Err(text) = saved {
                tracing::error!(job = job.0, "{text}");
                let now = daemon.env().clock().wall();
                daemon.ledger().on_ended(now, job, attempt);
                return Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR;
            }
        }
        LaunchVerdict::AlreadyLaunched => {}
        LaunchVerdict::OlderAttemptEnding | LaunchVerdict::OtherRun => {
            return crate::launcher::TRY_AGAIN;
        }
        LaunchVerdict::Stale | LaunchVerdict::Ended => return Errno::ESLURMD_CREDENTIAL_REVOKED,
    }
    if let Err(errno) = node_prolog::await_for_step(daemon, job, attempt).await {
        return errno;
    }
    let folder = daemon.spool().attempt(job, attempt).step(order.step);
    let known = node_attempts::has(daemon, &folder.launch()).await
        || node_attempts::has(daemon, &folder.reported()).await;
    if known && !flurm_base::planted::is("host_starts_a_step_again") {
        return Errno::ESLURMD_STEP_EXISTS;
    }
    if let Err(text) = write(daemon, &folder, order).await {
        tracing::error!(job = job.0, "{text}");
        return Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR;
    }
    // Whoever ends the attempt looks for steps only after it has said so in the ledger.
    let still = daemon.ledger().phase(job, attempt);
    if still != Some(flurm_node::ledger::Phase::Launched) {
        flurm_base::sometimes!("a step came while its job was being ended");
        remove(daemon, &folder).await;
        return Errno::ESLURMD_CREDENTIAL_REVOKED;
    }
    tracing::info!(job = job.0, "launching step {} for uid {}", order.step, order.uid);
    if let Err(error) = node_attempts::spawn_stepd(daemon, &folder).await {
        tracing::error!(job = job.0, "{error}");
        remove(daemon, &folder).await;
        return Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR;
    }
    detach::<E>(watch(daemon.clone(), job, attempt, order.step));
    if daemon.ledger().pause(job, attempt).is_some_and(|pause| pause.stops) {
        detach::<E>(crate::node_suspend::stop_late_comer(daemon.clone(), job, attempt));
    }
    Errno::SLURM_SUCCESS
}

async fn write<E: Env>(
    daemon: &NodeDaemon<E>,
    folder: &AttemptFolder,
    order: &StepOrder,
) -> Result<(), String> {
    let fs = daemon.env().fs();
    let failed = |error: std::io::Error| format!("could not write a step's order: {error}");
    fs.create_folder(folder.path(), 0o751).await.map_err(failed)?;
    fs.replace(&folder.launch(), &order.encode(), 0o600).await.map_err(failed)
}

async fn remove<E: Env>(daemon: &NodeDaemon<E>, folder: &AttemptFolder) {
    if let Err(error) = daemon.env().fs().remove_tree(folder.path()).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("could not remove {}: {error}", folder.path().display());
    }
}

/// Watches over a step's step daemon: what it leaves is cleared away, and an end that it could not
/// report is reported for it.
pub(crate) async fn watch<E: Env>(
    daemon: NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
    step: u32,
) {
    let part = Part::of_step(&daemon, job, attempt, step);
    node_attempts::outlive(&daemon, &part.folder, job, attempt).await;
    let launched = daemon.ledger().phase(job, attempt);
    if launched != Some(flurm_node::ledger::Phase::Launched) {
        // Whoever ends the job ends what is left of its steps.
        return;
    }
    if !node_attempts::has(&daemon, &part.folder.reported()).await {
        flurm_base::sometimes!("a step daemon was gone before it had reported its step");
        node_attempts::kill_all(&daemon, job, &part.container).await;
        report_for_stepd(&daemon, &part.folder).await;
    }
    node_attempts::kill_all(&daemon, job, &part.container).await;
    remove(&daemon, &part.folder).await;
}

async fn report_for_stepd<E: Env>(daemon: &NodeDaemon<E>, folder: &AttemptFolder) {
    let fs = daemon.env().fs();
    let order = fs.read(&folder.launch(), RECORD_MAX).await.ok();
    let Some(order) = order.and_then(|bytes| StepOrder::decode(&bytes).ok()) else { return };
    let end = fs.read(&folder.end(), RECORD_MAX).await.ok();
    let end = end.and_then(|bytes| StepEnd::decode(&bytes).ok());
    let lost = StepEnd { status: u32::from(SIGKILL), user_us: 0, system_us: 0 };
    report_step(daemon.setup(), folder, &order, &end.unwrap_or(lost)).await;
}

/// Signals a step, or all steps of a job where the batch step is named.
pub(crate) async fn signal<E: Env>(
    daemon: &NodeDaemon<E>,
    wanted: &SignalTasks,
    asker: Identity,
) -> Errno {
    let job = JobId(wanted.step_id.job_id);
    // Clients before 24.11 do not name the attempt.
    let live = daemon.ledger().live().find(|(id, ..)| *id == job).map(|(_, attempt, _)| attempt);
    let attempt = match wanted.step_id.sluid {
        0 => live,
        sluid => Some(AttemptId(sluid)),
    };
    let Some(attempt) = attempt else { return Errno::ESLURM_INVALID_JOB_ID };
    let mut sent = Errno::ESLURMD_STEP_NOTRUNNING;
    for part in node_attempts::parts(daemon, job, attempt).await {
        let Some(step) = part.step else { continue };
        if wanted.step_id.step_id != BATCH_STEP && wanted.step_id.step_id != step {
            continue;
        }
        if !owns(daemon, &part.folder, asker).await {
            return Errno::ESLURM_USER_ID_MISSING;
        }
        sent = signal_part(daemon, &part, wanted.signal).await;
    }
    let buries = wanted.signal == SIGKILL && wanted.step_id.step_id != BATCH_STEP;
    if sent == Errno::ESLURMD_STEP_NOTRUNNING
        && buries
        && daemon.setup().auth().is_slurm_user(asker.uid)
    {
        bury(daemon, job, attempt, wanted.step_id.step_id).await;
    }
    sent
}

/// Attaches a client to a step on this node.
pub(crate) async fn attach<E: Env>(
    daemon: &NodeDaemon<E>,
    release: Release,
    asked: Reattach,
    asker: Identity,
    client: IpAddr,
) -> Reattached {
    let node_name = Some(daemon.conf().name.clone());
    let refused = |errno: Errno| Reattached {
        node_name: node_name.clone(),
        return_code: errno.0,
        ntasks: 0,
        gtids: Vec::new(),
        local_pids: Vec::new(),
        executable_names: Vec::new(),
    };
    let job = JobId(asked.step_id.job_id);
    let live = daemon.ledger().live().find(|(id, ..)| *id == job).map(|(_, attempt, _)| attempt);
    let Some(attempt) = live else { return refused(Errno::ESLURM_INVALID_JOB_ID) };
    let part = Part::of_step(daemon, job, attempt, asked.step_id.step_id);
    if !node_attempts::has(daemon, &part.folder.launch()).await {
        return refused(Errno::ESLURM_INVALID_JOB_ID);
    }
    if !owns(daemon, &part.folder, asker).await {
        tracing::warn!(job = job.0, "uid {} may not attach to a step", asker.uid);
        return refused(EPERM);
    }
    let of_credential = match *asked.cred {
        Credential::Signed(signed) => signed.signature.0,
        Credential::Token(token) => Some(token),
    };
    let order = AttachOrder {
        client,
        io_ports: asked.io_port,
        response_ports: asked.resp_port,
        io_key: asked.io_key.or(of_credential),
        release: release.version(),
    };
    let socket = part.folder.socket();
    let attached = match crate::stepd_socket::attach(daemon.env(), &socket, &order).await {
        Ok(attached) => attached,
        Err(text) => {
            tracing::info!(job = job.0, "could not attach to a step: {text}");
            return refused(Errno::ESLURMD_STEP_NOTRUNNING);
        }
    };
    let tasks = attached.tasks;
    Reattached {
        node_name,
        return_code: attached.errno,
        ntasks: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        gtids: tasks.iter().map(|task| task.task).collect(),
        local_pids: tasks.iter().map(|task| task.pid).collect(),
        executable_names: tasks.into_iter().map(|task| Some(task.program)).collect(),
    }
}

/// A step that is killed before it came must not come later.
async fn bury<E: Env>(daemon: &NodeDaemon<E>, job: JobId, attempt: AttemptId, step: u32) {
    let live = daemon.ledger().phase(job, attempt);
    if live != Some(flurm_node::ledger::Phase::Launched) {
        return;
    }
    let folder = daemon.spool().attempt(job, attempt).step(step);
    let fs = daemon.env().fs();
    let made = fs.create_folder(folder.path(), 0o751).await;
    if made.is_ok()
        && let Err(error) = fs.replace(&folder.reported(), b"", 0o600).await
    {
        tracing::warn!(job = job.0, "could not note that step {step} must not come: {error}");
    }
}

/// This node's place in a step.
pub(crate) async fn node_id<E: Env>(daemon: &NodeDaemon<E>, folder: &AttemptFolder) -> u32 {
    let order = daemon.env().fs().read(&folder.launch(), RECORD_MAX).await.ok();
    let order = order.and_then(|bytes| StepOrder::decode(&bytes).ok());
    order.map_or(0, |order| order.node_id)
}

/// Whether what runs in a folder, a step or a batch script, is the asker's own.
pub(crate) async fn owns<E: Env>(
    daemon: &NodeDaemon<E>,
    folder: &AttemptFolder,
    asker: Identity,
) -> bool {
    if daemon.setup().auth().is_slurm_user(asker.uid) {
        return true;
    }
    let Ok(bytes) = daemon.env().fs().read(&folder.launch(), RECORD_MAX).await else {
        return false;
    };
    let uid = match StepOrder::is_in(&bytes) {
        true => StepOrder::decode(&bytes).map(|order| order.uid),
        false => BatchOrder::decode(&bytes).map(|order| order.uid),
    };
    uid == Ok(asker.uid)
}

async fn signal_part<E: Env>(daemon: &NodeDaemon<E>, part: &Part, signal: u16) -> Errno {
    if !node_attempts::has(daemon, &part.folder.launch()).await {
        return Errno::ESLURMD_STEP_NOTRUNNING;
    }
    let container = match daemon.env().proc().container(&part.container).await {
        Ok(container) => container,
        Err(error) => {
            tracing::warn!("could not open a step's container: {error}");
            return Errno::ESLURMD_KILL_TASK_FAILED;
        }
    };
    if signal > SIGNAL_MAX {
        let found = container.pids().await.is_ok_and(|pids| !pids.is_empty());
        if found {
            detach::<E>(end_gently(daemon.clone(), container));
        }
        return if found { Errno::SLURM_SUCCESS } else { crate::launcher::TRY_AGAIN };
    }
    match container.signal(i32::from(signal)).await {
        Ok(true) => Errno::SLURM_SUCCESS,
        // Its tasks are about to start, or have just ended: the asker finds out by asking again.
        Ok(false) if !node_attempts::has(daemon, &part.folder.end()).await => {
            crate::launcher::TRY_AGAIN
        }
        Ok(false) => Errno::SLURM_SUCCESS,
        Err(error) => {
            tracing::warn!("could not signal a step: {error}");
            Errno::ESLURMD_KILL_TASK_FAILED
        }
    }
}

/// SIGTERM, `KillWait`, SIGKILL: what Slurm's own signals mean.
async fn end_gently<E: Env>(daemon: NodeDaemon<E>, container: <E::Proc as Proc>::Container) {
    for signal in [SIGCONT, SIGTERM] {
        if let Err(error) = container.signal(signal).await {
            tracing::warn!("could not signal a step: {error}");
        }
    }
    E::Rt::sleep(daemon.setup().conf().times.kill_wait.duration()).await;
    if let Err(error) = container.kill().await {
        tracing::warn!("could not kill a step: {error}");
    }
}

/// Whether a signal for a job also concerns its steps.
pub(crate) const fn concerns_steps(wanted: &SignalTasks) -> bool {
    wanted.step_id.step_id != BATCH_STEP || wanted.flags & kill_flags::BATCH == 0
}
