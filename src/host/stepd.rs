//! The step daemon: runs one attempt of one batch job, outlives the node daemon, and tells the
//! controllers how it ended.
//!
//! It decides nothing: the order is in its folder, and whoever wants the job gone ends the container.
//! While it lives it holds a local socket open; its end is seen there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_node::batch::{BatchEnd, BatchOrder, Facts, Start};
use flurm_node::step::StepOrder;
use flurm_rt::{
    AsyncRuntime, Child, Clock, Container, Env, ExitStatus, Fs, Ident, Limit, Output, Proc, Spawn,
    SpawnError, SpawnStage, User,
};
use flurm_wire::Errno;

use crate::auth_settings::{Own, Role};
use crate::bell::Bell;
use crate::login;
use crate::reconfigure;
use crate::report::report_end;
use crate::setup::Setup;
use crate::spool::{AttemptFolder, RECORD_MAX, container_name};
use crate::step_hub::Hub;
use crate::step_run;
use crate::stepd_socket;
use crate::task::detach;
use crate::task_programs::{self, Failed, Programs};

/// Pause between two looks at a container that should be empty.
static EMPTY_PAUSE: Knob<Duration> = Knob::new(
    "host.stepd.empty_pause",
    Duration::from_millis(20),
    Duration::from_millis(1),
    Duration::from_millis(200),
);
/// Looks at it before its remains are left to the node daemon.
const EMPTY_LOOKS_MAX: u32 = 250;
/// Pause between two tries to start a script that is still held open for writing.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Tries before that counts as the script's fault.
const BUSY_LOOKS_MAX: u32 = 500;
/// Where a job runs whose working directory cannot be entered (slurmstepd's own choice).
const FALLBACK_DIR: &str = "/tmp";

/// What a step daemon is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// slurm.conf.
    pub conf: PathBuf,
    /// The attempt's folder in the node's spool.
    pub folder: PathBuf,
    /// Who this daemon runs as.
    pub own: Own,
}

/// Runs the attempt in the folder to its end and reports it.
pub async fn run<E: Env>(env: E, options: Options) -> Result<(), String> {
    let setup = Setup::load(env.clone(), &options.conf, &options.own, Role::Node).await?;
    let folder = AttemptFolder::at(&options.folder);
    let record = env.fs().read(&folder.launch(), RECORD_MAX).await;
    let record = record.map_err(|error| format!("could not read the launch record: {error}"))?;
    let bell = Bell::default();
    let step = match StepOrder::is_in(&record) {
        true => Some(StepOrder::decode(&record)?),
        false => None,
    };
    let hub = step.as_ref().map(Hub::new);
    let _presence = stepd_socket::hold(&env, &folder, bell.clone(), hub.clone()).await?;
    detach::<E>(reconfigure::obey_in_step(setup.clone(), bell));
    if let (Some(order), Some(hub)) = (&step, &hub) {
        return step_run::run(&env, &setup, &folder, order, hub).await;
    }
    let order = BatchOrder::decode(&record)?;
    let end = match env.fs().read(&folder.end(), RECORD_MAX).await {
        Ok(bytes) => BatchEnd::decode(&bytes)?,
        Err(_) => run_and_record(&env, &setup, &folder, &order).await?,
    };
    report_end(&setup, &folder, &order, &end).await;
    Ok(())
}

async fn run_and_record<E: Env>(
    env: &E,
    setup: &Setup<E>,
    folder: &AttemptFolder,
    order: &BatchOrder,
) -> Result<BatchEnd, String> {
    let name = container_name(&setup.cluster_name(), &order.node_name, order.job, order.attempt);
    let container = env.proc().container(&name).await;
    let container = container.map_err(|error| format!("could not make the container: {error}"))?;
    let mut end = BatchEnd {
        status: 0,
        slurm_rc: 0,
        ended_at: env.clock().wall(),
        user_us: 0,
        system_us: 0,
        max_rss_kib: 0,
    };
    match start(env, setup, folder, order, &name).await {
        Ok((mut child, spawn)) => {
            end.status = wait(&mut child).await?.0;
            let conf = setup.conf();
            let programs = Programs { site: &conf.paths.task_epilog, user: None };
            task_programs::epilogs(env, programs, &spawn).await;
        }
        Err(Failure { errno, status, text }) => {
            tracing::error!(job = order.job.0, "could not start the job: {text}");
            end.slurm_rc = errno.0;
            end.status = status;
        }
    }
    if let Ok(usage) = container.usage().await {
        end.user_us = usage.user_us;
        end.system_us = usage.system_us;
        end.max_rss_kib = usage.max_rss_kib;
    }
    empty::<E>(&container).await;
    end.ended_at = env.clock().wall();
    let kept = env.fs().replace(&folder.end(), &end.encode(), 0o600).await;
    if let Err(error) = kept {
        // The report still goes out; only a restart before it is taken could lose the exit code.
        tracing::error!(job = order.job.0, "could not record the end: {error}");
    }
    Ok(end)
}

/// Waits for the end of a process.
pub(crate) async fn wait<C: Child>(child: &mut C) -> Result<ExitStatus, String> {
    child.wait().await.map_err(|error| format!("could not wait for the job: {error}"))
}

/// Whatever a script leaves running ends with it.
pub(crate) async fn empty<E: Env>(container: &<E::Proc as Proc>::Container) {
    for _ in 0..EMPTY_LOOKS_MAX {
        match container.kill().await {
            Ok(true) => E::Rt::sleep(EMPTY_PAUSE.get()).await,
            Ok(false) => return,
            Err(error) => {
                tracing::warn!("could not empty the container: {error}");
                return;
            }
        }
    }
}

/// Why the script could not be started.
struct Failure {
    errno: Errno,
    /// Wait status that the job is shown with.
    status: u32,
    text: String,
}

async fn start<E: Env>(
    env: &E,
    setup: &Setup<E>,
    folder: &AttemptFolder,
    order: &BatchOrder,
    container: &str,
) -> Result<(<E::Proc as Proc>::Child, Spawn), Failure> {
    let user = user(env, order).await?;
    let script = folder.script();
    let script_path = script.to_string_lossy().into_owned();
    let conf_path = setup.conf_path().to_string_lossy().into_owned();
    let cluster_name = setup.cluster_name();
    let (address, port) = setup.first_controller();
    let facts = Facts {
        cluster_name: &cluster_name,
        slurm_conf: &conf_path,
        controller: (&address, port),
        script_path: &script_path,
    };
    let environment = login::environment(env, order, &folder.path().join("login")).await;
    let order = &BatchOrder { environment, ..order.clone() };
    let start = order.start(&facts);
    let mut spawn = spawn_of(&start, order, user, &script, container);
    let conf = setup.conf();
    let programs = Programs { site: &conf.paths.task_prolog, user: None };
    match task_programs::prologs(env, programs, &mut spawn).await {
        Ok(text) if text.is_empty() => {}
        Ok(text) => task_programs::write_first(env, &text, &mut spawn).await,
        Err(Failed { text, code }) => {
            let line = format!("slurmstepd: error: {text}\n");
            task_programs::write_first(env, &line, &mut spawn).await;
            let status = ExitStatus::exited(code).0;
            return Err(Failure { errno: Errno::SLURM_SUCCESS, status, text });
        }
    }
    match spawn_script(env, &spawn).await {
        Ok(child) => Ok((child, spawn)),
        Err(SpawnError { stage: SpawnStage::WorkDir, source }) => {
            let dir = &order.work_dir;
            tracing::warn!("could not enter {dir}: {source}: going to {FALLBACK_DIR} instead");
            spawn.work_dir = PathBuf::from(FALLBACK_DIR);
            let child = spawn_script(env, &spawn).await.map_err(failure)?;
            Ok((child, spawn))
        }
        Err(error) => Err(failure(error)),
    }
}

/// Starts the script. A child that the node daemon forked while it wrote the script holds it open for
/// writing until it has become its own program, and so long the kernel says that the file is busy.
async fn spawn_script<E: Env>(
    env: &E,
    spawn: &Spawn,
) -> Result<<E::Proc as Proc>::Child, SpawnError> {
    for _ in 0..BUSY_LOOKS_MAX {
        match env.proc().spawn(spawn.clone()).await {
            Err(error) if is_busy(&error) => E::Rt::sleep(BUSY_PAUSE).await,
            started => return started,
        }
    }
    env.proc().spawn(spawn.clone()).await
}

fn is_busy(error: &SpawnError) -> bool {
    error.stage == SpawnStage::Exec && error.source.kind() == std::io::ErrorKind::ExecutableFileBusy
}

fn spawn_of(
    start: &Start,
    order: &BatchOrder,
    user: User,
    script: &Path,
    container: &str,
) -> Spawn {
    let file = |path: &String| Output::File { path: PathBuf::from(path), append: start.append };
    let stderr = match &start.stderr {
        Some(path) if *path != start.stdout => file(path),
        Some(_) | None => Output::SameAsStdout,
    };
    Spawn {
        program: script.to_path_buf(),
        argv: start.argv.clone(),
        environment: start.environment.clone(),
        own_pid_variable: Some("SLURM_TASK_PID".to_owned()),
        work_dir: PathBuf::from(&order.work_dir),
        user: Some(user),
        umask: start.umask,
        limits: start
            .limits
            .iter()
            .map(|(name, soft)| Limit { name: name.clone(), soft: *soft })
            .collect(),
        stdin: start.stdin.as_ref().map_or(Output::Null, file),
        stdout: file(&start.stdout),
        stderr,
        container: Some(container.to_owned()),
        terminal: None,
        detached: false,
    }
}

async fn user<E: Env>(env: &E, order: &BatchOrder) -> Result<User, Failure> {
    let unknown = |text: String| Failure { errno: Errno::ESLURM_USER_ID_MISSING, status: 0, text };
    let found = env.ident().user_by_id(order.uid).await;
    let found = found.map_err(|error| unknown(format!("uid {}: {error}", order.uid)))?;
    let mut user = found.ok_or_else(|| unknown(format!("no user has uid {}", order.uid)))?;
    user.gid = order.gid;
    if !order.groups.is_empty() {
        user.groups = order.groups.clone();
    }
    Ok(user)
}

/// What a failure to start counts as. What the user asked for wrongly ends the job and is no fault of
/// the node, which goes on serving others; the rest makes the controller take the node out.
fn failure(error: SpawnError) -> Failure {
    let text = error.to_string();
    match error.stage {
        SpawnStage::Fork | SpawnStage::WorkDir => {
            Failure { errno: Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR, status: 0, text }
        }
        SpawnStage::Identity => {
            Failure { errno: Errno::ESLURMD_SET_UID_OR_GID_ERROR, status: 0, text }
        }
        SpawnStage::Stdin | SpawnStage::Stdout | SpawnStage::Stderr => {
            Failure { errno: Errno::SLURM_SUCCESS, status: ExitStatus::exited(1).0, text }
        }
        SpawnStage::Exec => {
            let number = error.source.raw_os_error().and_then(|number| u8::try_from(number).ok());
            let status = ExitStatus::exited(number.unwrap_or(1)).0;
            Failure { errno: Errno::SLURM_SUCCESS, status, text }
        }
    }
}
