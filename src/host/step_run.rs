//! The step daemon of a step: starts its tasks on this node, carries their input and output to srun,
//! and tells srun and the controllers how they ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use flurm_base::JobId;
use flurm_node::attach::RunningTask;
use flurm_node::step::{StepEnd, StepFacts, StepOrder, launch_flags};
use flurm_rt::{
    AsyncRuntime, Child, Container, Env, ExitStatus, Fs, Ident, Limit, Output, Proc, Spawn,
    SpawnError, SpawnStage, Standard, User, Window,
};
use flurm_wire::io_channel::Stream;
use flurm_wire::messages::{LaunchedTasks, TaskExit};
use flurm_wire::{Errno, Message, Release, StepId};

use crate::munge::UID_ANY;
use crate::report::report_step;
use crate::setup::Setup;
use crate::spool::{AttemptFolder, container_name, step_container};
use crate::step_hub::{Hub, Listener, Source};
use crate::step_io;
use crate::stepd::{empty, wait};
use crate::task::detach;
use crate::task_programs::{self, Failed, Programs};

/// srun must take a message within this time.
const TELL_MAX: Duration = Duration::from_secs(10);
/// Tries to tell srun something; it may be stopped, or gone.
const TELL_TRIES: u32 = 3;
/// Pause between them.
const TELL_PAUSE: Duration = Duration::from_millis(200);
/// How long the last output may take to leave once all tasks have ended.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Where a task runs whose working directory cannot be entered.
const FALLBACK_DIR: &str = "/tmp";
/// Anybody may run it.
const EXECUTABLE: u32 = 0o111;
/// Largest record of an end.
const RECORD_MAX: usize = 4_096;

/// Runs the step in the folder to its end and reports it.
pub(crate) async fn run<E: Env>(
    env: &E,
    setup: &Setup<E>,
    folder: &AttemptFolder,
    order: &StepOrder,
    hub: &Hub<E>,
) -> Result<(), String> {
    let end = match env.fs().read(&folder.end(), RECORD_MAX).await {
        Ok(bytes) => StepEnd::decode(&bytes)?,
        Err(_) => run_and_record(env, setup, folder, order, hub).await?,
    };
    report_step(setup, folder, order, &end).await;
    Ok(())
}

async fn run_and_record<E: Env>(
    env: &E,
    setup: &Setup<E>,
    folder: &AttemptFolder,
    order: &StepOrder,
    hub: &Hub<E>,
) -> Result<StepEnd, String> {
    let (cluster, node) = (setup.cluster_name(), &order.node_name);
    let name =
        step_container(&container_name(&cluster, node, order.job, order.attempt), order.step);
    let container = env.proc().container(&name).await;
    let container = container.map_err(|error| format!("could not make the container: {error}"))?;
    let status = match Step::begin(env, setup, order, hub, &name).await {
        Ok(step) => step.finish(&container).await,
        Err((errno, text)) => {
            tracing::error!(job = order.job.0, "could not start a step: {text}");
            let srun = Srun { setup, order };
            srun.launched(errno, &[]).await;
            ExitStatus::exited(1).0
        }
    };
    let used = container.usage().await.unwrap_or_default();
    empty::<E>(&container).await;
    let end = StepEnd { status, user_us: used.user_us, system_us: used.system_us };
    if let Err(error) = env.fs().replace(&folder.end(), &end.encode(), 0o600).await {
        // The report still goes out; only a restart before it is taken could lose the status.
        tracing::error!(job = order.job.0, "could not record a step's end: {error}");
    }
    Ok(end)
}

type Join<E, T> = <<E as Env>::Rt as AsyncRuntime>::JoinHandle<T>;

/// A task by its number on the node: its process, or with what status it could not be started.
type Started<E> = (usize, Option<<<E as Env>::Proc as Proc>::Child>, u32);

/// A step whose tasks were started.
struct Step<'a, E: Env> {
    stage: Stage<'a, E>,
    /// Ends of tasks, in the order of their numbers.
    ends: Vec<Join<E, u32>>,
    pumps: Vec<Join<E, ()>>,
    /// The highest status of tasks that could not be started.
    status: u32,
}

/// What tasks are started with.
struct Stage<'a, E: Env> {
    srun: Srun<'a, E>,
    hub: Hub<E>,
}

impl<'a, E: Env> Step<'a, E> {
    /// Connects to srun, starts the tasks, and tells srun.
    async fn begin(
        env: &E,
        setup: &'a Setup<E>,
        order: &'a StepOrder,
        hub: &Hub<E>,
        container: &str,
    ) -> Result<Self, (Errno, String)> {
        let user = user(env, order).await?;
        let srun = Srun { setup, order };
        let joined = hub.join_srun(env, order).await;
        let downlink = joined.map_err(|text| (Errno::ESLURMD_IO_ERROR, text))?;
        let stage = Stage { srun, hub: hub.clone() };
        let mut step = Self { stage, ends: Vec::new(), pumps: Vec::new(), status: 0 };
        let mut inputs = BTreeMap::new();
        let mut children = Vec::new();
        for local_id in 0..order.tasks.len() {
            let started = step.stage.start(env, local_id, &user, container).await;
            let mut child = match started {
                Ok(child) => child,
                Err(Start::Task(status)) => {
                    step.status = step.status.max(status);
                    children.push((local_id, None, status));
                    continue;
                }
                Err(Start::Node(errno, text)) => return Err((errno, text)),
            };
            if let Some(pipe) = child.take_pipe(Standard::Input) {
                inputs.insert(narrow(order.tasks[local_id]), pipe);
            }
            step.carry(&mut child, local_id);
            step.stage.follow_window(env, &mut child);
            children.push((local_id, Some(child), 0));
        }
        let pids: Vec<(u32, u32)> = children
            .iter()
            .map(|(local, child, _)| (child.as_ref().map_or(0, Child::pid), order.tasks[*local]))
            .collect();
        let running = pids.iter().filter(|(pid, _)| *pid != 0).map(|(pid, task)| RunningTask {
            task: *task,
            pid: *pid,
            program: order.argv.first().cloned().unwrap_or_default(),
        });
        hub.begin(inputs, running.collect(), downlink).await;
        step.stage.srun.launched(Errno::SLURM_SUCCESS, &pids).await;
        for (local_id, child, status) in children {
            let spawn = step.stage.spawn_of(local_id, order.argv.clone(), &user, container);
            step.await_end(env, (local_id, child, status), spawn);
        }
        Ok(step)
    }

    /// Passes on what a task writes.
    fn carry(&mut self, child: &mut <E::Proc as Proc>::Child, local_id: usize) {
        for (stream, which) in
            [(Stream::Stdout, Standard::Output), (Stream::Stderr, Standard::Error)]
        {
            if let Some(pipe) = child.take_pipe(which).filter(|_| self.stage.pipes(which, local_id))
            {
                let source = self.stage.source(stream, local_id);
                let pump = step_io::pump::<E>(pipe, self.stage.hub.clone(), source);
                self.pumps.push(E::Rt::spawn(pump));
            }
        }
    }

    /// Waits for a task's end, and tells srun.
    fn await_end(&mut self, env: &E, (local_id, child, status): Started<E>, spawn: Spawn) {
        let srun = &self.stage.srun;
        let (setup, order) = (srun.setup.clone(), srun.order.clone());
        let (hub, env) = (self.stage.hub.clone(), env.clone());
        self.ends.push(E::Rt::spawn(async move {
            let status = match child {
                None => status,
                Some(mut child) => match wait(&mut child).await {
                    Ok(status) => status.0,
                    Err(error) => {
                        tracing::error!(job = order.job.0, "{error}");
                        ExitStatus::exited(1).0
                    }
                },
            };
            let conf = setup.conf();
            let programs =
                Programs { site: &conf.paths.task_epilog, user: order.task_epilog.as_deref() };
            task_programs::epilogs(&env, programs, &spawn).await;
            let srun = Srun { setup: &setup, order: &order };
            srun.ended(&hub, order.tasks[local_id], status).await;
            status
        }));
    }

    /// Waits for everything: tasks, then what they left, then their last output.
    async fn finish(self, container: &<E::Proc as Proc>::Container) -> u32 {
        let mut highest = self.status;
        for end in self.ends {
            highest = highest.max(end.await.unwrap_or(ExitStatus::exited(1).0));
        }
        empty::<E>(container).await;
        let pumps = self.pumps;
        let drained = async move {
            for pump in pumps {
                // A pump cannot fail; one that was cut off has nothing to say.
                let _ = pump.await;
            }
        };
        if E::Rt::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!("the last output of a step was not taken");
        }
        self.stage.hub.close().await;
        highest
    }
}

impl<E: Env> Stage<'_, E> {
    /// Whether an output goes through srun.
    fn pipes(&self, which: Standard, local_id: usize) -> bool {
        let order = self.srun.order;
        match which {
            Standard::Input => order.file(0, local_id).is_none(),
            Standard::Output => order.carries_output(local_id),
            Standard::Error => order.carries_errors(local_id),
        }
    }

    fn source(&self, stream: Stream, local_id: usize) -> Source {
        let order = self.srun.order;
        Source {
            stream,
            gtaskid: narrow(order.tasks[local_id]),
            ltaskid: u16::try_from(local_id).unwrap_or(u16::MAX),
            buffered: order.flags & launch_flags::BUFFERED_IO != 0
                && order.terminal(local_id).is_none(),
        }
    }

    /// Keeps the size of a task's terminal that of srun's.
    fn follow_window(&self, env: &E, child: &mut <E::Proc as Proc>::Child) {
        let order = self.srun.order;
        if let (Some(terminal), Some(port)) = (child.take_terminal(), order.window_port()) {
            let addr = SocketAddr::new(order.srun, port);
            detach::<E>(step_io::follow_window(env.clone(), addr, terminal));
        }
    }

    async fn start(
        &self,
        env: &E,
        local_id: usize,
        user: &User,
        container: &str,
    ) -> Result<<E::Proc as Proc>::Child, Start> {
        let order = self.srun.order;
        let argv = match order.argv_of(local_id) {
            Ok(argv) if !argv.is_empty() => argv,
            Ok(_) => return Err(self.failed(local_id, "no program was named", 1).await),
            Err(text) => return Err(self.failed(local_id, &text, 1).await),
        };
        let name = argv[0].clone();
        let mut spawn = self.spawn_of(local_id, argv, user, container);
        let conf = self.srun.setup.conf();
        let programs =
            Programs { site: &conf.paths.task_prolog, user: order.task_prolog.as_deref() };
        match task_programs::prologs(env, programs, &mut spawn).await {
            Ok(text) if text.is_empty() => {}
            Ok(text) if order.carries_output(local_id) => {
                let text = match order.terminal(local_id) {
                    Some(_) => text.replace('\n', "\r\n"),
                    None => text,
                };
                self.source(Stream::Stdout, local_id).say(&self.hub, &text).await;
            }
            Ok(text) => task_programs::write_first(env, &text, &mut spawn).await,
            Err(Failed { text, code }) => return Err(self.failed(local_id, &text, code).await),
        }
        spawn.program = find_program(env, &spawn.environment, &name).await;
        match env.proc().spawn(spawn.clone()).await {
            Ok(child) => Ok(child),
            Err(SpawnError { stage: SpawnStage::WorkDir, source }) => {
                let text = format!(
                    "couldn't chdir to `{}': {}: going to {FALLBACK_DIR} instead",
                    order.work_dir,
                    plain(&source)
                );
                self.complain(local_id, &text).await;
                spawn.work_dir = PathBuf::from(FALLBACK_DIR);
                let again = env.proc().spawn(spawn).await;
                self.started(local_id, again).await
            }
            other => self.started(local_id, other).await,
        }
    }

    async fn started(
        &self,
        local_id: usize,
        outcome: Result<<E::Proc as Proc>::Child, SpawnError>,
    ) -> Result<<E::Proc as Proc>::Child, Start> {
        let error = match outcome {
            Ok(child) => return Ok(child),
            Err(error) => error,
        };
        let order = self.srun.order;
        let number = error.source.raw_os_error().and_then(|number| u8::try_from(number).ok());
        match error.stage {
            SpawnStage::Exec => {
                let program = order.argv_of(local_id).ok().and_then(|argv| argv.first().cloned());
                let text =
                    format!("execve(): {}: {}", program.unwrap_or_default(), plain(&error.source));
                Err(self.failed(local_id, &text, number.unwrap_or(1)).await)
            }
            SpawnStage::Stdin | SpawnStage::Stdout | SpawnStage::Stderr => {
                let at = match error.stage {
                    SpawnStage::Stdin => 0,
                    SpawnStage::Stdout => 1,
                    _ => 2,
                };
                let file = order.file(at, local_id).unwrap_or_default();
                let text = format!("Could not open file {file}: {}", plain(&error.source));
                Err(self.failed(local_id, &text, 1).await)
            }
            SpawnStage::Identity => {
                Err(Start::Node(Errno::ESLURMD_SET_UID_OR_GID_ERROR, error.to_string()))
            }
            SpawnStage::Fork | SpawnStage::WorkDir => {
                Err(Start::Node(Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR, error.to_string()))
            }
        }
    }

    /// A task that cannot run says why, as slurmstepd does, and has ended.
    async fn failed(&self, local_id: usize, text: &str, code: u8) -> Start {
        self.complain(local_id, text).await;
        if self.pipes(Standard::Output, local_id) {
            self.source(Stream::Stdout, local_id).end(&self.hub).await;
        }
        if self.pipes(Standard::Error, local_id) {
            self.source(Stream::Stderr, local_id).end(&self.hub).await;
        }
        Start::Task(ExitStatus::exited(code).0)
    }

    async fn complain(&self, local_id: usize, text: &str) {
        let (stream, end) = match self.srun.order.terminal(local_id) {
            Some(_) => (Stream::Stdout, "\r\n"),
            None => (Stream::Stderr, "\n"),
        };
        let line = format!("slurmstepd: error: {text}{end}");
        self.source(stream, local_id).say(&self.hub, &line).await;
    }

    fn spawn_of(&self, local_id: usize, argv: Vec<String>, user: &User, container: &str) -> Spawn {
        let (order, setup) = (self.srun.order, self.srun.setup);
        let conf_path = setup.conf_path().to_string_lossy().into_owned();
        let cluster_name = setup.cluster_name();
        let facts = StepFacts { cluster_name: &cluster_name, slurm_conf: &conf_path };
        let file = |at| {
            let path = order.file(at, local_id)?;
            Some(Output::File { path: PathBuf::from(path), append: order.append })
        };
        let stdout = match order.flags & launch_flags::BUFFERED_IO {
            0 => Output::RawTerminal,
            _ => Output::Pipe,
        };
        let stderr = match (file(2), order.carries_errors(local_id)) {
            (Some(file), _) => file,
            (None, true) => Output::Pipe,
            (None, false) => Output::SameAsStdout,
        };
        let limits = order.limits().into_iter();
        Spawn {
            program: argv.first().map(PathBuf::from).unwrap_or_default(),
            argv,
            environment: order.environment_of(&facts, local_id),
            own_pid_variable: Some("SLURM_TASK_PID".to_owned()),
            work_dir: PathBuf::from(&order.work_dir),
            user: Some(user.clone()),
            umask: order.umask(),
            limits: limits.map(|(name, soft)| Limit { name, soft }).collect(),
            stdin: file(0).unwrap_or(Output::Pipe),
            stdout: file(1).unwrap_or(stdout),
            stderr,
            terminal: order
                .terminal(local_id)
                .map(|size| Window { rows: size.rows, columns: size.columns }),
            container: Some(container.to_owned()),
            detached: false,
        }
    }
}

/// Why a task did not start.
enum Start {
    /// The task is at fault and has ended with this status.
    Task(u32),
    /// The node is.
    Node(Errno, String),
}

fn narrow(task: u32) -> u16 {
    u16::try_from(task).unwrap_or(u16::MAX)
}

/// An error as the C library says it.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn narrow_count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

async fn user<E: Env>(env: &E, order: &StepOrder) -> Result<User, (Errno, String)> {
    let unknown = |text: String| (Errno::ESLURM_USER_ID_MISSING, text);
    let found = env.ident().user_by_id(order.uid).await;
    let found = found.map_err(|error| unknown(format!("uid {}: {error}", order.uid)))?;
    let mut user = found.ok_or_else(|| unknown(format!("no user has uid {}", order.uid)))?;
    user.gid = order.gid;
    if !order.groups.is_empty() {
        user.groups.clone_from(&order.groups);
    }
    Ok(user)
}

/// A program's file, as the user's `PATH` leads to it.
async fn find_program<E: Env>(env: &E, environment: &[String], name: &str) -> PathBuf {
    if !name.contains('/') {
        for candidate in StepOrder::program_candidates(environment, name) {
            let path = PathBuf::from(candidate);
            let found = env.fs().access(&path).await;
            if found.is_ok_and(|access| access.unix_mode & EXECUTABLE != 0) {
                return path;
            }
        }
    }
    PathBuf::from(name)
}

/// The srun that a step belongs to.
struct Srun<'a, E: Env> {
    setup: &'a Setup<E>,
    order: &'a StepOrder,
}

impl<E: Env> Srun<'_, E> {
    fn step_id(&self) -> StepId {
        StepId::step(self.order.job.0, self.order.step).with_sluid(self.order.attempt.0)
    }

    /// Says that the tasks were started, or why not.
    async fn launched(&self, errno: Errno, pids: &[(u32, u32)]) {
        let message = Message::ResponseLaunchTasks(LaunchedTasks {
            step_id: self.step_id(),
            return_code: errno.0,
            node_name: Some(self.order.node_name.clone()),
            count_of_pids: narrow_count(pids.len()),
            local_pids: pids.iter().map(|(pid, _)| *pid).collect(),
            task_ids: pids.iter().map(|(_, task)| *task).collect(),
        });
        self.tell(&message).await;
    }

    /// Says how a task ended, to everybody who wants to hear it.
    async fn ended(&self, hub: &Hub<E>, task: u32, status: u32) {
        let lies = flurm_base::planted::is("host_tells_srun_of_success");
        let status = if lies { 0 } else { status };
        let message = Message::MessageTaskExit(TaskExit {
            return_code: status,
            num_tasks: 1,
            task_ids: vec![task],
            step_id: self.step_id(),
        });
        let mut listeners = hub.task_ended(task).into_iter();
        let first = listeners.next();
        let others: Vec<_> = listeners
            .map(|other| {
                let (setup, job, message) = (self.setup.clone(), self.order.job, message.clone());
                E::Rt::spawn(async move { tell(&setup, job, other, &message).await })
            })
            .collect();
        if let Some(srun) = first {
            tell(self.setup, self.order.job, srun, &message).await;
        }
        for other in others {
            // Telling cannot fail; one that was cut off has nobody to tell.
            let _ = other.await;
        }
    }

    async fn tell(&self, message: &Message) {
        let Some(port) = self.order.port_among(&self.order.response_ports) else { return };
        let release = Release::from_version(self.order.release).unwrap_or(Release::NEWEST);
        let srun = Listener { addr: SocketAddr::new(self.order.srun, port), release };
        tell(self.setup, self.order.job, srun, message).await;
    }
}

/// Tells a client something, which may be stopped, or gone.
async fn tell<E: Env>(setup: &Setup<E>, job: JobId, to: Listener, message: &Message) {
    let rpc = setup.rpc();
    for _ in 0..TELL_TRIES {
        match rpc.call_in(to.release, to.addr, message, UID_ANY, TELL_MAX).await {
            Ok(_) | Err(crate::rpc::RpcError::NoReply(_)) => return,
            Err(error) => tracing::info!(job = job.0, "srun was not told: {error}"),
        }
        E::Rt::sleep(TELL_PAUSE).await;
    }
}
