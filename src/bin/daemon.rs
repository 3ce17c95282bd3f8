//! The life of a daemon: leaves the terminal, writes its pid file, opens its log, takes its identity,
//! runs its component, hears signals, stops.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use flurm_host::Bell;
use flurm_rt::Ident;
use flurm_rt_tokio::{Readiness, Tokio, Users, become_user, detach, silence};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::logging::{Log, Settings};
use crate::startup::{self, PidFile};

/// How long a start is watched before it counts as done: most mistakes show at once.
const START_WATCH: Duration = Duration::from_millis(300);
/// How long tasks may take to end after the component was told to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Done when a signal has asked the daemon to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a daemon stands to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It leaves the terminal.
    Background,
    /// It stays with the terminal (`-D`).
    Foreground,
    /// It stays, and tells systemd when it is ready (`--systemd`).
    Systemd,
}

impl Mode {
    /// From the options `-D` and `--systemd`.
    pub fn of(foreground: bool, systemd: bool) -> Self {
        match (foreground, systemd) {
            (_, true) => Self::Systemd,
            (true, false) => Self::Foreground,
            (false, false) => Self::Background,
        }
    }

    /// Whether log lines go to standard error too.
    pub fn keeps_stderr(self) -> bool {
        match self {
            Self::Foreground | Self::Systemd => true,
            Self::Background => false,
        }
    }
}

/// How a daemon is to run.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The program's name.
    pub program: &'static str,
    /// How it stands to whoever started it.
    pub mode: Mode,
    /// Where the process id goes.
    pub pid_file: Option<PathBuf>,
    /// The log.
    pub log: Settings,
    /// The user to become, when started by root.
    pub user: Option<String>,
    /// The `-n` option.
    pub nice: Option<String>,
    /// Rung by SIGHUP: the component reads its files again. `None` where it never does.
    pub bell: Option<Bell>,
}

impl Daemon {
    /// Runs a component until it ends or a signal ends it.
    ///
    /// Must be called before any thread is started.
    pub fn run<F>(self, component: impl FnOnce(Tokio, Stop) -> F) -> ExitCode
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let program = self.program;
        match self.start(component) {
            Ok(code) => code,
            Err(text) => startup::fail(program, &format!("fatal: {text}")),
        }
    }

    fn start<F>(self, component: impl FnOnce(Tokio, Stop) -> F) -> Result<ExitCode, String>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let readiness = match self.mode {
            Mode::Background => {
                Some(detach().map_err(|error| format!("could not leave the terminal: {error}"))?)
            }
            Mode::Foreground | Mode::Systemd => None,
        };
        let pid_file = self.pid_file.as_deref().map(PidFile::write);
        let log = Log::start(self.log.clone()).map_err(|error| error.to_string())?;
        startup::set_nice(self.nice.as_deref()).unwrap_or_else(|text| tracing::error!("{text}"));
        // Several daemons of a test share a machine and its one pid file: say it and go on, as Slurm.
        if let Some(Err(text)) = &pid_file {
            tracing::error!("{text}");
        }
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.enable_all().build();
        let runtime = runtime.map_err(|error| format!("could not start the runtime: {error}"))?;
        if let Some(name) = &self.user {
            runtime.block_on(take_identity(name, [&self.pid_file, &self.log.file]))?;
        }
        let ended = runtime.block_on(self.supervise(component, &log, readiness));
        runtime.shutdown_timeout(STOP_TIME_MAX);
        if let (Some(Ok(_)), Some(path)) = (&pid_file, &self.pid_file) {
            // Where an unprivileged daemon may not remove it, the next start overwrites it.
            let _ = std::fs::remove_file(path);
        }
        match ended {
            Ok(()) => {
                tracing::info!("{} ends", self.program);
                Ok(ExitCode::SUCCESS)
            }
            Err(text) => {
                tracing::error!("fatal: {text}");
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

impl Daemon {
    /// Runs the component until it ends or a signal asks it to.
    async fn supervise<F>(
        &self,
        component: impl FnOnce(Tokio, Stop) -> F,
        log: &Log,
        readiness: Option<Readiness>,
    ) -> Result<(), String>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let mut signals = Signals::listen().map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel();
        let stopped: Stop = Box::pin(async {
            // A stop that can no longer be sent is one, too.
            let _ = stopped.await;
        });
        let mut running = tokio::spawn(component(Tokio::new(), stopped));
        tokio::select! {
            ended = &mut running => {
                let ended = ended.map_err(|error| error.to_string())?;
                if let (Err(text), Mode::Background) = (&ended, self.mode) {
                    eprintln!("{}: fatal: {text}", self.program);
                }
                return ended;
            }
            () = tokio::time::sleep(START_WATCH) => {}
        }
        self.announce(readiness).map_err(|error| error.to_string())?;
        tokio::select! {
            ended = &mut running => return ended.map_err(|error| error.to_string())?,
            () = signals.until_stop(log, self.bell.as_ref()) => {}
        }
        // When it ends by itself at this very moment, it needs no telling.
        let _ = stop.send(());
        match tokio::time::timeout(STOP_TIME_MAX, &mut running).await {
            Ok(ended) => ended.map_err(|error| error.to_string())?,
            Err(_) => {
                tracing::warn!("still busy after {STOP_TIME_MAX:?}: stopping all the same");
                running.abort();
                Ok(())
            }
        }
    }

    /// Tells whoever started the daemon that it runs.
    fn announce(&self, readiness: Option<Readiness>) -> io::Result<()> {
        if self.mode == Mode::Systemd {
            startup::tell_systemd("READY=1")?;
        }
        let Some(readiness) = readiness else { return Ok(()) };
        readiness.announce()?;
        silence()
    }
}

/// Becomes a user for good, when started by root. The files it holds open become the user's, so
/// that it can open them anew.
async fn take_identity(name: &str, files: [&Option<PathBuf>; 2]) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let text = |error: io::Error| format!("could not become {name}: {error}");
    let user = Users.user_by_name(name).await.map_err(text)?;
    let user = user.ok_or_else(|| format!("there is no user {name}"))?;
    if user.uid == 0 {
        return Ok(());
    }
    for file in files.into_iter().flatten() {
        if let Err(error) = std::os::unix::fs::lchown(file, Some(user.uid), Some(user.gid)) {
            tracing::error!("could not give {} to {name}: {error}", file.display());
        }
    }
    become_user(&user).map_err(text)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    rotate: Signal,
    /// Ignored, as Slurm's daemons ignore it.
    user: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            rotate: signal(SignalKind::user_defined2())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Serves signals until one asks to stop.
    async fn until_stop(&mut self, log: &Log, bell: Option<&Bell>) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => break,
                _ = self.terminate.recv() => break,
                _ = self.hangup.recv() => on_hangup(bell),
                _ = self.rotate.recv() => {
                    tracing::info!("Logrotate signal (SIGUSR2) received");
                    if let Err(error) = log.reopen() {
                        tracing::error!("could not rotate the log: {error}");
                    }
                }
                _ = self.user.recv() => {}
            }
        }
        tracing::info!("Terminate signal (SIGINT or SIGTERM) received");
    }
}

/// Has the component read its files again.
fn on_hangup(bell: Option<&Bell>) {
    tracing::info!("Reconfigure signal (SIGHUP) received");
    match bell {
        Some(bell) => bell.ring(),
        None => tracing::warn!("a changed configuration is read when this daemon is started again"),
    }
}
