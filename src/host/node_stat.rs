//! What steps use on this node, for sstat, and which processes they have.

use std::path::PathBuf;

use flurm_base::JobId;
use flurm_ctld::Identity;
use flurm_node::attach::RunningTask;
use flurm_node::usage::{ProcessUse, account};
use flurm_rt::{Container, Env, Fs, Proc};
use flurm_wire::messages::{JobIdResponse, ReturnCode, StepPids, StepStat};
use flurm_wire::{BATCH_STEP, Errno, JobRef, Message, StepId};

use crate::node::NodeDaemon;
use crate::node_attempts::{self, Part};
use crate::{node_steps, stepd_socket};

/// Largest file of `/proc` that is read, bytes.
const TEXT_MAX: usize = 64 * 1024;
/// Processes of a step that are looked at.
const PROCESSES_MAX: usize = 4_096;

/// What a step uses at present.
pub(crate) async fn stat<E: Env>(
    daemon: &NodeDaemon<E>,
    wanted: StepId,
    asker: Identity,
) -> Message {
    let (part, pids, cpu_ms) = match looked_at(daemon, wanted, asker).await {
        Ok(found) => found,
        Err(errno) => return refused(errno),
    };
    let tasks = tasks(daemon, &part, &pids).await;
    let mut uses = Vec::new();
    for pid in pids.iter().take(PROCESSES_MAX) {
        let stat = text(daemon, *pid, "stat").await;
        let (status, io) = (text(daemon, *pid, "status").await, text(daemon, *pid, "io").await);
        uses.extend(ProcessUse::parse(&stat, &status, &io));
    }
    let node_id = node_steps::node_id(daemon, &part.folder).await;
    Message::ResponseJobStepStat(Box::new(StepStat {
        return_code: 0,
        num_tasks: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        jobacct: Some(account(&tasks, node_id, &uses, cpu_ms)),
        step_pids: StepPids { node_name: Some(daemon.conf().name.clone()), pids },
    }))
}

/// Which processes a step has.
pub(crate) async fn pids<E: Env>(
    daemon: &NodeDaemon<E>,
    wanted: StepId,
    asker: Identity,
) -> Message {
    match looked_at(daemon, wanted, asker).await {
        Ok((_, pids, _)) => Message::ResponseJobStepPids(StepPids {
            node_name: Some(daemon.conf().name.clone()),
            pids,
        }),
        Err(errno) => refused(errno),
    }
}

/// Which job of this node a process belongs to, for `scontrol pidinfo`. Anyone may ask; a process of
/// no job is refused as an unknown job (source: `_rpc_pid2jid`).
pub(crate) async fn job_of<E: Env>(daemon: &NodeDaemon<E>, pid: u32) -> Message {
    let live: Vec<_> = daemon.ledger().live().map(|(job, attempt, _)| (job, attempt)).collect();
    for (job, attempt) in live {
        for part in node_attempts::parts(daemon, job, attempt).await {
            let found = processes(daemon, &part).await;
            if found.is_some_and(|(pids, _)| pids.contains(&pid)) {
                let job = JobRef::job(job.0);
                return Message::ResponseJobId(JobIdResponse { job, return_code: 0 });
            }
        }
    }
    refused(Errno::ESLURM_INVALID_JOB_ID)
}

fn refused(errno: Errno) -> Message {
    Message::ResponseSlurmRc(ReturnCode { return_code: errno.0 })
}

/// The asker's own step, its processes, and the CPU time of all that it has had, milliseconds.
async fn looked_at<E: Env>(
    daemon: &NodeDaemon<E>,
    wanted: StepId,
    asker: Identity,
) -> Result<(Part, Vec<u32>, u64), Errno> {
    let part = part(daemon, wanted, asker).await?;
    let found = processes(daemon, &part).await.ok_or(Errno::ESLURM_INVALID_JOB_ID)?;
    Ok((part, found.0, found.1))
}

/// The step, if it is here and the asker's own.
async fn part<E: Env>(
    daemon: &NodeDaemon<E>,
    wanted: StepId,
    asker: Identity,
) -> Result<Part, Errno> {
    let job = JobId(wanted.job_id);
    let live = daemon.ledger().live().find(|(id, ..)| *id == job).map(|(_, attempt, _)| attempt);
    let attempt = live.ok_or(Errno::ESLURM_INVALID_JOB_ID)?;
    let number = (wanted.step_id != BATCH_STEP).then_some(wanted.step_id);
    let parts = node_attempts::parts(daemon, job, attempt).await;
    let part = parts.into_iter().find(|part| part.step == number);
    let part = part.ok_or(Errno::ESLURM_INVALID_JOB_ID)?;
    if !node_steps::owns(daemon, &part.folder, asker).await {
        tracing::warn!(job = job.0, "uid {} may not look at a step", asker.uid);
        return Err(Errno::ESLURM_USER_ID_MISSING);
    }
    Ok(part)
}

/// The processes of a step, and the CPU time of all that it has had, milliseconds.
async fn processes<E: Env>(daemon: &NodeDaemon<E>, part: &Part) -> Option<(Vec<u32>, u64)> {
    let container = daemon.env().proc().container(&part.container).await.ok()?;
    let pids = container.pids().await.ok()?;
    let used = container.usage().await.unwrap_or_default();
    Some((pids, used.user_us.saturating_add(used.system_us) / 1_000))
}

/// The tasks that run: as the step daemon says, or the one that a batch script is.
async fn tasks<E: Env>(daemon: &NodeDaemon<E>, part: &Part, pids: &[u32]) -> Vec<RunningTask> {
    if part.step.is_some() {
        return match stepd_socket::tasks(daemon.env(), &part.folder.socket()).await {
            Ok(answer) => answer.tasks,
            Err(text) => {
                tracing::info!("a step daemon does not tell its tasks: {text}");
                Vec::new()
            }
        };
    }
    let first = pids.first().copied();
    first.map(|pid| RunningTask { task: 0, pid, program: String::new() }).into_iter().collect()
}

async fn text<E: Env>(daemon: &NodeDaemon<E>, pid: u32, name: &str) -> String {
    let path = PathBuf::from(format!("/proc/{pid}/{name}"));
    let bytes = daemon.env().fs().read(&path, TEXT_MAX).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
