//! Programs that a site configures to run on its nodes before and after each job.

use std::path::{Path, PathBuf};

use flurm_base::Span;
use flurm_node::programs::{JobFacts, Occasion, Site, is_pattern, matches};
use flurm_rt::{AsyncRuntime, Child, Container, Env, Fs, Mutex as AsyncMutex, Output, Proc, Spawn};

use crate::node::NodeDaemon;
use crate::spool::container_name;

/// What a program that could not be started or that ran too long counts as having returned.
const STATUS_FAILED: u32 = 1 << 8;
/// `PrologFlags=Serial`: one program of the site runs at a time.
const PROLOG_FLAG_SERIAL: u16 = 8;

/// Whether any program is to run around jobs here.
pub(crate) fn are_configured<E: Env>(daemon: &NodeDaemon<E>) -> bool {
    let conf = daemon.setup().conf();
    !conf.paths.prolog.is_empty() || !conf.paths.epilog.is_empty()
}

/// Runs the programs of an occasion, one after another, as the daemon itself. The first that fails
/// ends the row, and its wait status is returned.
pub(crate) async fn run_all<E: Env>(
    daemon: &NodeDaemon<E>,
    facts: &JobFacts,
    occasion: Occasion,
) -> u32 {
    let conf = daemon.setup().conf();
    let (programs, limit, kind) = match occasion {
        Occasion::Prolog => (&conf.paths.prolog, conf.times.prolog_timeout, "prolog"),
        Occasion::Epilog(_) => (&conf.paths.epilog, conf.times.epilog_timeout, "epilog"),
    };
    if programs.is_empty() {
        return 0;
    }
    let serial = conf.prolog_flags & PROLOG_FLAG_SERIAL != 0;
    let _turn = if serial { Some(daemon.one_program().lock().await) } else { None };
    let job = facts.job.0;
    for path in programs {
        let found = found(daemon, path).await;
        if found.is_empty() {
            tracing::error!(job, "{kind}: no program is called {path}");
            return STATUS_FAILED;
        }
        for program in found {
            let status = run(daemon, &program, facts, (occasion, kind), limit).await;
            if status != 0 {
                tracing::error!(job, "{kind} {program} ended with status {status}");
                return status;
            }
        }
    }
    0
}

/// The programs that a path names: itself, or all in its folder that match its last part, from the
/// last name to the first, as Slurm runs them.
async fn found<E: Env>(daemon: &NodeDaemon<E>, path: &str) -> Vec<String> {
    if !is_pattern(path) {
        return vec![path.to_owned()];
    }
    let (folder, pattern) = path.rsplit_once('/').unwrap_or((".", path));
    let entries = daemon.env().fs().list(Path::new(folder)).await.unwrap_or_default();
    let names = entries.iter().filter(|entry| !entry.folder).map(|entry| entry.name.as_str());
    let mut names: Vec<&str> = names.filter(|name| matches(pattern, name)).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

async fn run<E: Env>(
    daemon: &NodeDaemon<E>,
    program: &str,
    facts: &JobFacts,
    (occasion, kind): (Occasion, &str),
    limit: Option<Span>,
) -> u32 {
    let setup = daemon.setup();
    let (cluster, node) = (setup.cluster_name(), daemon.conf().name.as_str());
    let slurm_conf = setup.conf_path().to_string_lossy().into_owned();
    let site = Site { cluster_name: &cluster, slurm_conf: &slurm_conf, node_name: node };
    let name = format!("{}_{kind}", container_name(&cluster, node, facts.job, facts.attempt));
    let proc = daemon.env().proc();
    let container = match proc.container(&name).await {
        Ok(container) => container,
        Err(error) => {
            tracing::error!(job = facts.job.0, "{program}: {error}");
            return STATUS_FAILED;
        }
    };
    let spawn = Spawn {
        program: PathBuf::from(program),
        argv: vec![program.to_owned()],
        environment: facts.environment(&site, occasion),
        own_pid_variable: None,
        work_dir: PathBuf::from("/"),
        user: None,
        umask: None,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::Null,
        stderr: Output::Null,
        terminal: None,
        container: Some(name),
        detached: false,
    };
    let status = match proc.spawn(spawn).await {
        Ok(child) => waited::<E>(child, &container, program, facts, limit).await,
        Err(error) => {
            tracing::error!(job = facts.job.0, "{program}: {error}");
            STATUS_FAILED
        }
    };
    // What it has left running goes on, and keeps its container.
    if let Err(error) = container.remove().await {
        tracing::debug!(job = facts.job.0, "{program} has left something running: {error}");
    }
    status
}

async fn waited<E: Env>(
    mut child: <E::Proc as Proc>::Child,
    container: &<E::Proc as Proc>::Container,
    program: &str,
    facts: &JobFacts,
    limit: Option<Span>,
) -> u32 {
    let job = facts.job.0;
    let waited = match limit {
        Some(limit) => E::Rt::timeout(limit.duration(), child.wait()).await.ok(),
        None => Some(child.wait().await),
    };
    match waited {
        Some(Ok(status)) => status.0,
        Some(Err(error)) => {
            tracing::error!(job, "{program}: {error}");
            STATUS_FAILED
        }
        None => {
            tracing::error!(job, "{program} ran longer than its time limit");
            if let Err(error) = container.kill().await {
                tracing::error!(job, "{program} could not be killed: {error}");
            }
            STATUS_FAILED
        }
    }
}
