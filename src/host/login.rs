//! Asks a user's login shell for its environment, as slurmd does for `--get-user-env`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flurm_node::batch::BatchOrder;
use flurm_node::login;
use flurm_rt::{AsyncRuntime, Child, Container, Env, Fs, Output, Proc, Spawn};

/// How long a login shell may take (slurmd's own limit).
const LOGIN_MAX: Duration = Duration::from_secs(120);
/// Most that is read of what it prints.
const PRINTED_MAX: usize = 4 << 20;

/// The environment to start from. A login shell that gives none leaves what was passed with the job.
pub(crate) async fn environment<E: Env>(
    env: &E,
    order: &BatchOrder,
    printed: &Path,
) -> Vec<String> {
    let passed = &order.environment;
    if !login::is_wanted(passed) {
        return passed.clone();
    }
    match ask(env, order, printed).await {
        Ok(found) => login::merged(found, passed),
        Err(text) => {
            tracing::error!(
                job = order.job.0,
                "could not get the login environment of {}: {text}: running only with what was passed",
                order.user_name
            );
            passed.clone()
        }
    }
}

async fn ask<E: Env>(env: &E, order: &BatchOrder, printed: &Path) -> Result<Vec<String>, String> {
    let name = format!("login-{}.{:x}", order.job, order.attempt.0);
    let container = env.proc().container(&name).await.map_err(|error| error.to_string())?;
    let spawn = Spawn {
        program: PathBuf::from(login::PROGRAM),
        argv: login::arguments(&order.user_name),
        environment: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()],
        own_pid_variable: None,
        work_dir: PathBuf::from("/"),
        user: None,
        umask: None,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::File { path: printed.to_path_buf(), append: false },
        stderr: Output::Null,
        container: Some(name),
        terminal: None,
        detached: false,
    };
    let mut child = env.proc().spawn(spawn).await.map_err(|error| error.to_string())?;
    let waited = E::Rt::timeout(LOGIN_MAX, child.wait()).await;
    // Whatever a login script left running ends here.
    for done in [container.kill().await, container.remove().await.map(|()| true)] {
        if let Err(error) = done {
            tracing::warn!(job = order.job.0, "could not tidy up after the login shell: {error}");
        }
    }
    match waited {
        Ok(Ok(_status)) => {}
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("it ran longer than its time limit".to_owned()),
    }
    let bytes = env.fs().read(printed, PRINTED_MAX).await.map_err(|error| error.to_string())?;
    login::parse(&bytes).ok_or_else(|| "it printed none".to_owned())
}
