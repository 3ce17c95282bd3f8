//! Prologs: once for each attempt on a node, before its first process there.
//!
//! That one is due is written down before the ledger takes the attempt in, and how it went before
//! anything starts: a node daemon that dies meanwhile begins the prolog again. Whoever comes later,
//! another step or the end of the job, waits for it.

use std::sync::Arc;

use flurm_base::{AttemptId, JobId};
use flurm_node::batch::{BatchEnd, BatchOrder};
use flurm_node::ledger::Phase;
use flurm_node::programs::{Ended, JobFacts, Occasion};
use flurm_rt::{Clock, Env, Fs, Mutex as AsyncMutex};
use flurm_wire::records::UpdateNode;
use flurm_wire::{Errno, Message, NO_VAL};

use crate::node::NodeDaemon;
use crate::report::{report_end, tell_until_answered};
use crate::spool::RECORD_MAX;
use crate::task::detach;
use crate::{node_attempts, node_programs};

const PENDING: &[u8] = b"pending\n";
const DONE: &[u8] = b"done\n";
const FAILED: &[u8] = b"failed\n";
/// The request to take a node out of service (slurm.h, `NODE_STATE_DRAIN`).
const NODE_STATE_DRAIN: u32 = 1 << 9;
/// Why, as Slurm says it.
const REASON: &str = "Prolog error";

/// How the prolog of an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// None is due, or it went well.
    Clear,
    /// It is due.
    Pending,
    /// It failed, or the attempt was ended before it was over.
    Failed,
}

/// Writes down what programs are to be told of an attempt, and whether a prolog is due. Before the
/// ledger takes the attempt in.
///
/// # Errors
/// When it cannot be written, in words.
pub(crate) async fn prepare<E: Env>(
    daemon: &NodeDaemon<E>,
    facts: &JobFacts,
) -> Result<(), String> {
    if !node_programs::are_configured(daemon) {
        return Ok(());
    }
    let folder = daemon.spool().attempt(facts.job, facts.attempt);
    let fs = daemon.env().fs();
    let failed = |error: std::io::Error| format!("could not write down a job: {error}");
    fs.create_folder(folder.path(), 0o751).await.map_err(failed)?;
    fs.replace(&folder.facts(), &facts.encode(), 0o600).await.map_err(failed)?;
    if daemon.setup().conf().paths.prolog.is_empty() {
        return Ok(());
    }
    fs.replace(&folder.prolog(), PENDING, 0o600).await.map_err(failed)
}

async fn standing<E: Env>(daemon: &NodeDaemon<E>, job: JobId, attempt: AttemptId) -> Standing {
    let folder = daemon.spool().attempt(job, attempt);
    match daemon.env().fs().read(&folder.prolog(), RECORD_MAX).await {
        Ok(bytes) if bytes == DONE => Standing::Clear,
        Ok(bytes) if bytes == PENDING => Standing::Pending,
        Ok(_) => Standing::Failed,
        Err(_) => Standing::Clear,
    }
}

/// What was written down of an attempt.
async fn facts<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
) -> Result<JobFacts, String> {
    let folder = daemon.spool().attempt(job, attempt);
    let bytes = daemon.env().fs().read(&folder.facts(), RECORD_MAX).await;
    JobFacts::decode(&bytes.map_err(|error| error.to_string())?)
}

/// Runs the prolog of an attempt if it is due, or waits for it. True when the attempt may start;
/// `then` is done before anybody else learns of it.
async fn clear<E: Env, T>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
    then: impl AsyncFnOnce() -> T,
) -> Result<T, Errno> {
    let turn = daemon.prolog_turn(job, attempt);
    let _turn = turn.lock().await;
    match standing(daemon, job, attempt).await {
        Standing::Clear => return Ok(then().await),
        Standing::Failed => return Err(Errno::ESLURMD_PROLOG_FAILED),
        Standing::Pending => {}
    }
    let status = match facts(daemon, job, attempt).await {
        Ok(facts) => node_programs::run_all(daemon, &facts, Occasion::Prolog).await,
        Err(text) => {
            tracing::error!(job = job.0, "nothing is known of the job: {text}");
            1
        }
    };
    let launched = daemon.ledger().phase(job, attempt) == Some(Phase::Launched);
    let clear = status == 0 && launched;
    let kept = if clear { DONE } else { FAILED };
    let folder = daemon.spool().attempt(job, attempt);
    if let Err(error) = daemon.env().fs().replace(&folder.prolog(), kept, 0o600).await {
        tracing::error!(job = job.0, "could not note how the prolog went: {error}");
        return Err(Errno::ESLURMD_PROLOG_FAILED);
    }
    match (status, launched) {
        (0, true) => Ok(then().await),
        (0, false) => Err(Errno::ESLURMD_CREDENTIAL_REVOKED),
        (_, true | false) => Err(Errno::ESLURMD_PROLOG_FAILED),
    }
}

/// Starts a batch job once its prolog is over. Without one it is started before this returns.
///
/// # Errors
/// When no step daemon could be made; then nothing of the attempt is there.
pub(crate) async fn start_batch<E: Env>(
    daemon: &NodeDaemon<E>,
    order: &BatchOrder,
) -> Result<(), String> {
    let (job, attempt) = (order.job, order.attempt);
    if standing(daemon, job, attempt).await == Standing::Clear {
        return node_attempts::start(daemon, order).await;
    }
    let (daemon, order) = (daemon.clone(), order.clone());
    detach::<E>(async move {
        let started =
            clear(&daemon, job, attempt, async || node_attempts::start(&daemon, &order).await)
                .await;
        let errno = match started {
            Ok(Ok(())) => return,
            Ok(Err(text)) => {
                tracing::error!(job = job.0, "{text}");
                Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR
            }
            Err(errno) => errno,
        };
        if errno != Errno::ESLURMD_CREDENTIAL_REVOKED {
            report_failure(&daemon, &order, errno).await;
        }
    });
    Ok(())
}

async fn report_failure<E: Env>(daemon: &NodeDaemon<E>, order: &BatchOrder, errno: Errno) {
    let end = BatchEnd {
        status: 0,
        slurm_rc: errno.0,
        ended_at: daemon.env().clock().wall(),
        user_us: 0,
        system_us: 0,
        max_rss_kib: 0,
    };
    let folder = daemon.spool().attempt(order.job, order.attempt);
    report_end(daemon.setup(), &folder, order, &end).await;
}

/// Goes on with a batch job whose prolog was due or failed when this daemon ended. False when there
/// is nothing to do about a prolog.
pub(crate) async fn resume_batch<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
) -> bool {
    if standing(daemon, job, attempt).await == Standing::Clear {
        return false;
    }
    let folder = daemon.spool().attempt(job, attempt);
    let order = daemon.env().fs().read(&folder.launch(), RECORD_MAX).await.ok();
    let order = order.and_then(|bytes| BatchOrder::decode(&bytes).ok());
    let Some(order) = order else { return false };
    match start_batch(daemon, &order).await {
        Ok(()) => true,
        Err(text) => {
            tracing::error!(job = job.0, "{text}");
            false
        }
    }
}

/// Lets a step start once the prolog of its attempt is over. A node whose prolog failed takes itself
/// out of service.
///
/// # Errors
/// What srun is told.
pub(crate) async fn await_for_step<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
) -> Result<(), Errno> {
    let before = standing(daemon, job, attempt).await;
    if before == Standing::Clear {
        return Ok(());
    }
    let cleared = clear(daemon, job, attempt, async || ()).await;
    if before == Standing::Pending && cleared == Err(Errno::ESLURMD_PROLOG_FAILED) {
        detach::<E>(drain(daemon.clone()));
    }
    cleared
}

async fn drain<E: Env>(daemon: NodeDaemon<E>) {
    let update = UpdateNode {
        node_names: Some(daemon.conf().name.clone()),
        node_state: NODE_STATE_DRAIN,
        reason: Some(REASON.to_owned()),
        reason_uid: NO_VAL,
        weight: NO_VAL,
        resume_after: NO_VAL,
        ..UpdateNode::default()
    };
    let errno =
        tell_until_answered(daemon.setup(), &Message::RequestUpdateNode(Box::new(update))).await;
    tracing::warn!("this node asked to be drained after its prolog failed ({errno})");
}

/// Waits until no prolog of an attempt runs; false where one has failed, so that nothing was started.
pub(crate) async fn outlive<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
) -> bool {
    let turn: Arc<_> = daemon.prolog_turn(job, attempt);
    let _turn = turn.lock().await;
    standing(daemon, job, attempt).await == Standing::Clear
}

/// Runs the epilog of an attempt; other than 0 is the status of the program that failed.
pub(crate) async fn epilog<E: Env>(
    daemon: &NodeDaemon<E>,
    job: JobId,
    attempt: AttemptId,
    ended: Option<Ended>,
) -> u32 {
    daemon.forget_prolog(job, attempt);
    if daemon.setup().conf().paths.epilog.is_empty() {
        return 0;
    }
    match facts(daemon, job, attempt).await {
        Ok(facts) => node_programs::run_all(daemon, &facts, Occasion::Epilog(ended)).await,
        Err(text) => {
            tracing::warn!(job = job.0, "no epilog, since nothing is known of the job: {text}");
            0
        }
    }
}
