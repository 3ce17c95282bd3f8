//! Programs that a site configures to run on its nodes: epilogs.

use std::path::PathBuf;

use flurm_base::JobId;
use flurm_node::batch::BatchOrder;
use flurm_rt::{AsyncRuntime, Child, Env, Output, Proc, Spawn};

use crate::node::NodeDaemon;

/// What a program that could not be started or that ran too long counts as having returned.
const STATUS_FAILED: u32 = 1 << 8;

/// Runs a program as the daemon itself, with the variables that slurm.conf(5) promises to prologs and
/// epilogs, and returns its wait status.
pub(crate) async fn run<E: Env>(
    daemon: &NodeDaemon<E>,
    program: &str,
    context: &str,
    job: JobId,
    order: &Option<BatchOrder>,
) -> u32 {
    let spawn = Spawn {
        program: PathBuf::from(program),
        argv: vec![program.to_owned()],
        environment: environment(daemon, context, job, order),
        own_pid_variable: None,
        work_dir: PathBuf::from("/"),
        user: None,
        umask: None,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::Null,
        stderr: Output::Null,
        container: None,
        terminal: None,
        detached: false,
    };
    let mut child = match daemon.env().proc().spawn(spawn).await {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(job = job.0, "{program}: {error}");
            return STATUS_FAILED;
        }
    };
    let limit = daemon.setup().conf().times.epilog_timeout;
    let waited = match limit {
        Some(limit) => E::Rt::timeout(limit.duration(), child.wait()).await.ok(),
        None => Some(child.wait().await),
    };
    match waited {
        Some(Ok(status)) => status.0,
        Some(Err(error)) => {
            tracing::error!(job = job.0, "{program}: {error}");
            STATUS_FAILED
        }
        None => {
            tracing::error!(job = job.0, "{program} ran longer than its time limit");
            STATUS_FAILED
        }
    }
}

fn environment<E: Env>(
    daemon: &NodeDaemon<E>,
    context: &str,
    job: JobId,
    order: &Option<BatchOrder>,
) -> Vec<String> {
    let mut env = vec![
        format!("SLURM_JOB_ID={job}"),
        format!("SLURM_JOBID={job}"),
        format!("SLURM_CLUSTER_NAME={}", daemon.setup().cluster_name()),
        format!("SLURM_CONF={}", daemon.setup().conf_path().display()),
        format!("SLURMD_NODENAME={}", daemon.conf().name),
        format!("SLURM_SCRIPT_CONTEXT={context}"),
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    ];
    if let Some(order) = order {
        env.push(format!("SLURM_JOB_UID={}", order.uid));
        env.push(format!("SLURM_UID={}", order.uid));
        env.push(format!("SLURM_JOB_GID={}", order.gid));
        env.push(format!("SLURM_JOB_USER={}", order.user_name));
        env.push(format!("SLURM_JOB_PARTITION={}", order.partition));
        env.push(format!("SLURM_JOB_WORK_DIR={}", order.work_dir));
        env.push(format!("SLURM_JOB_NODELIST={}", order.nodes));
    }
    env
}
