//! Suspended attempts on a node: everything of them is stopped, and goes on when it may.
//!
//! Orders may overtake each other. Whoever has stopped or continued an attempt looks whether that
//! is still what it was last told to be, and does it over if not, so the latest order wins.

use std::collections::BTreeSet;
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{AttemptId, JobId};
use flurm_ctld::SuspendOrder;
use flurm_node::ledger::{Pause, PauseVerdict};
use flurm_rt::{AsyncRuntime, Container, Env, Proc};
use flurm_wire::Errno;

use crate::launcher::TRY_AGAIN;
use crate::node::NodeDaemon;
use crate::node_attempts;

/// Time between SIGTSTP, which a job may act on, and SIGSTOP (slurmstepd's own).
static GRACE: Knob<Duration> = Knob::new(
    "host.node_suspend.grace",
    Duration::from_secs(2),
    Duration::from_millis(10),
    Duration::from_secs(3),
);
/// Rounds of SIGSTOP until no process is found that was not there before.
const ROUNDS_MAX: u32 = 50;
/// Pause between two looks at a step that comes while its job is suspended.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Looks at it; its step daemon has started it long before.
const LOOKS_MAX: u32 = 300;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;
const SIGTSTP: i32 = 20;

/// Stops an attempt on this node, or lets it go on. Success means that it was done.
pub(crate) async fn obey<E: Env>(daemon: &NodeDaemon<E>, order: SuspendOrder) -> Errno {
    let SuspendOrder { job, attempt, sequence, resume } = order;
    let verdict = daemon.ledger().on_pause(job, Pause { attempt, sequence, stops: !resume });
    if verdict == PauseVerdict::Stale {
        flurm_base::sometimes!("a late order to suspend a job was not obeyed");
        return Errno::SLURM_SUCCESS;
    }
    if let Err(text) = daemon.save_ledger().await {
        tracing::error!(job = job.0, "{text}");
        return Errno::ESLURMD_KILL_TASK_FAILED;
    }
    if verdict == PauseVerdict::Obey {
        tracing::info!(
            job = job.0,
            "{} attempt {attempt}",
            if resume { "continuing" } else { "stopping" }
        );
    }
    match settle(daemon, job, attempt, verdict == PauseVerdict::Obey).await {
        true => Errno::SLURM_SUCCESS,
        false => TRY_AGAIN,
    }
}

/// A step was started: it is stopped too if its job is suspended.
pub(crate) async fn stop_late_comer<E: Env>(daemon: NodeDaemon<E>, job: JobId, attempt: AttemptId) {
    for _ in 0..LOOKS_MAX {
        let stops = daemon.ledger().pause(job, attempt).is_some_and(|pause| pause.stops);
        if !stops || settle(&daemon, job, attempt, false).await {
            return;
        }
        E::Rt::sleep(LOOK_PAUSE).await;
    }
}

/// Makes an attempt what it was last told to be. False while something of it is being started.
async fn settle<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
    gently: bool,
) -> bool {
    loop {
        let Some(wanted) = daemon.ledger().pause(job, attempt) else { return true };
        let done = match wanted.stops {
            true => stop(daemon, job, wanted, gently).await,
            false => go_on(daemon, job, wanted).await,
        };
        if daemon.ledger().pause(job, attempt) == Some(wanted) {
            return done;
        }
    }
}

type Contained<E> = <<E as Env>::Proc as Proc>::Container;

/// The containers of an attempt that have processes in them; and whether others are about to.
async fn containers<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
) -> (Vec<Contained<E>>, bool) {
    let mut found = Vec::new();
    let mut complete = true;
    for part in node_attempts::parts(daemon, job, attempt).await {
        if !node_attempts::has(daemon, &part.folder.launch()).await {
            continue;
        }
        let Some(container) = node_attempts::container(daemon, job, &part.container).await else {
            complete = false;
            continue;
        };
        if container.pids().await.is_ok_and(|pids| !pids.is_empty()) {
            found.push(container);
        } else {
            complete &= node_attempts::has(daemon, &part.folder.end()).await;
        }
    }
    (found, complete)
}

async fn stop<E: Env>(daemon: &NodeDaemon<E>, job: JobId, wanted: Pause, gently: bool) -> bool {
    if flurm_base::planted::is("host_stops_no_process") {
        return true;
    }
    let (containers, complete) = containers(daemon, job, wanted.attempt).await;
    if gently && !containers.is_empty() {
        for container in &containers {
            signal(container, job, SIGTSTP).await;
        }
        E::Rt::sleep(GRACE.get()).await;
        if daemon.ledger().pause(job, wanted.attempt) != Some(wanted) {
            return false;
        }
    }
    let mut done = complete;
    for container in &containers {
        done &= stop_all::<E>(container, job).await;
    }
    done
}

/// Stops everything in a container, also what was forked meanwhile.
async fn stop_all<E: Env>(container: &Contained<E>, job: JobId) -> bool {
    let mut before = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        signal(container, job, SIGSTOP).await;
        let Ok(pids) = container.pids().await else { return false };
        let now: BTreeSet<u32> = pids.into_iter().collect();
        if now.is_subset(&before) {
            return true;
        }
        before = now;
    }
    false
}

async fn go_on<E: Env>(daemon: &NodeDaemon<E>, job: JobId, wanted: Pause) -> bool {
    let (containers, _) = containers(daemon, job, wanted.attempt).await;
    for container in &containers {
        signal(container, job, SIGCONT).await;
    }
    true
}

async fn signal<C: Container>(container: &C, job: JobId, signal: i32) {
    if let Err(error) = container.signal(signal).await {
        tracing::warn!(job = job.0, "could not send signal {signal}: {error}");
    }
}
