//! Programs that run around each task, as its user: `TaskProlog`, `--task-prolog`, and after it
//! `--task-epilog`, `TaskEpilog`. Source: `slurmd/slurmstepd/task.c` and `mgr.c`.

use std::path::PathBuf;
use std::time::Duration;

use flurm_node::programs::{TaskPrologSaid, task_prolog_said};
use flurm_rt::{AsyncRuntime, Child, Env, ExitStatus, Output, Proc, Spawn, Standard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Most that a prolog may write, bytes; the rest is not read.
const SAID_BYTES_MAX: u64 = 1 << 20;
/// A user's own epilog may take so long.
const USER_EPILOG_MAX: Duration = Duration::from_secs(5);
/// What copies a text into a task's output file, as the task's user.
const COPIER: &str = "/bin/cat";

/// Programs of one kind around a task: the site's and the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Programs<'a> {
    /// `TaskProlog` or `TaskEpilog`; empty for none.
    pub site: &'a str,
    /// `--task-prolog` or `--task-epilog`.
    pub user: Option<&'a str>,
}

/// A prolog failed, and so has its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What the user is told.
    pub text: String,
    /// The task's exit code.
    pub code: u8,
}

/// Runs the prologs of a task that is to be started as `task` says, whose environment they change.
/// Returns what the task's output is to begin with.
///
/// # Errors
/// The first that fails ends its task.
pub(crate) async fn prologs<E: Env>(
    env: &E,
    programs: Programs<'_>,
    task: &mut Spawn,
) -> Result<String, Failed> {
    let site = Some(programs.site).filter(|path| !path.is_empty());
    let user = programs.user.filter(|path| !path.is_empty());
    let mut printed = String::new();
    for (name, path) in [("TaskProlog", site), ("--task-prolog", user)] {
        let Some(path) = path else { continue };
        let spawn = beside(task, path, "prolog_task");
        let (status, output) = run(env, Spawn { stdout: Output::Pipe, ..spawn.clone() }).await;
        if status != ExitStatus(0) {
            let code = status.code().unwrap_or(1);
            return Err(Failed { text: format!("{name} failed status={code}"), code });
        }
        let TaskPrologSaid { print, environment } = task_prolog_said(&output, &spawn.environment);
        printed.push_str(&print);
        task.environment = environment;
    }
    Ok(printed)
}

/// Runs the epilogs of a task that was started as `task` says. What they return changes nothing.
pub(crate) async fn epilogs<E: Env>(env: &E, programs: Programs<'_>, task: &Spawn) {
    let site = Some(programs.site).filter(|path| !path.is_empty());
    let user = programs.user.filter(|path| !path.is_empty());
    for (name, path, limit) in
        [("--task-epilog", user, Some(USER_EPILOG_MAX)), ("TaskEpilog", site, None)]
    {
        let Some(path) = path else { continue };
        let running = run(env, beside(task, path, "epilog_task"));
        let ended = match limit {
            // What goes on for longer ends with the container.
            Some(limit) => E::Rt::timeout(limit, running).await.ok(),
            None => Some(running.await),
        };
        match ended {
            Some((ExitStatus(0), _)) => {}
            Some((status, _)) => tracing::error!("{name} failed status={}", status.0),
            None => tracing::error!("{name} ran longer than its time limit"),
        }
    }
}

/// Writes a text into the file that is to be a task's output; from there on the task appends to it.
pub(crate) async fn write_first<E: Env>(env: &E, text: &str, task: &mut Spawn) {
    let writer = Spawn {
        program: PathBuf::from(COPIER),
        argv: vec!["cat".to_owned()],
        stdin: Output::Pipe,
        stderr: Output::Null,
        limits: Vec::new(),
        ..task.clone()
    };
    if let Ok(mut child) = env.proc().spawn(writer).await {
        if let Some(mut pipe) = child.take_pipe(Standard::Input)
            && let Err(error) = pipe.write_all(text.as_bytes()).await
        {
            tracing::info!("what a prolog printed is lost: {error}");
        }
        if let Err(error) = child.wait().await {
            tracing::info!("what a prolog printed may be lost: {error}");
        }
    }
    if let Output::File { append, .. } = &mut task.stdout {
        *append = true;
    }
}

/// A program beside a task: the same user, folder, environment and container.
fn beside(task: &Spawn, path: &str, context: &str) -> Spawn {
    let mut environment = task.environment.clone();
    environment.retain(|entry| !entry.starts_with("SLURM_SCRIPT_CONTEXT="));
    environment.push(format!("SLURM_SCRIPT_CONTEXT={context}"));
    Spawn {
        program: PathBuf::from(path),
        argv: vec![path.to_owned()],
        environment,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::Null,
        stderr: Output::SameAsStdout,
        terminal: None,
        ..task.clone()
    }
}

/// Runs a program to its end, and returns what it wrote where that goes into a pipe.
async fn run<E: Env>(env: &E, spawn: Spawn) -> (ExitStatus, String) {
    let path = spawn.program.display().to_string();
    let mut child = match env.proc().spawn(spawn).await {
        Ok(child) => child,
        Err(error) => {
            tracing::error!("{path}: {error}");
            return (ExitStatus::exited(1), String::new());
        }
    };
    let mut output = Vec::new();
    if let Some(pipe) = child.take_pipe(Standard::Output)
        && let Err(error) = pipe.take(SAID_BYTES_MAX).read_to_end(&mut output).await
    {
        tracing::info!("{path}: {error}");
    }
    let status = match child.wait().await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!("{path}: {error}");
            ExitStatus::exited(1)
        }
    };
    (status, String::from_utf8_lossy(&output).into_owned())
}
