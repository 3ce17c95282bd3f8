//! Tells the controllers how an attempt ended, until one of them has taken it.

use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_node::batch::{BatchEnd, BatchOrder};
use flurm_node::step::{StepEnd, StepOrder};
use flurm_rt::{AsyncRuntime, Env, Fs};
use flurm_wire::messages::{CompleteBatchScript, JobAcct, StepComplete};
use flurm_wire::{BATCH_STEP, Errno, JobRef, Message, StepId};

use crate::rpc::return_code;
use crate::setup::Setup;
use crate::spool::AttemptFolder;

/// First pause between two tries; doubled up to [`PAUSE_MAX`].
static PAUSE_MIN: Knob<Duration> = Knob::new(
    "host.report.pause_min",
    Duration::from_millis(100),
    Duration::from_millis(1),
    Duration::from_secs(2),
);
/// Longest pause between two tries.
static PAUSE_MAX: Knob<Duration> = Knob::new(
    "host.report.pause_max",
    Duration::from_secs(5),
    Duration::from_secs(2),
    Duration::from_secs(20),
);

/// Reports the end of an attempt. Returns when a controller has taken it or does not want it: only
/// then may the attempt's records go.
pub(crate) async fn report_end<E: Env>(
    setup: &Setup<E>,
    folder: &AttemptFolder,
    order: &BatchOrder,
    end: &BatchEnd,
) {
    let message = Message::RequestCompleteBatchScript(Box::new(completion(order, end)));
    let errno = tell_until_answered(setup, &message).await;
    if errno != Errno::SLURM_SUCCESS {
        tracing::info!(job = order.job.0, "the controllers do not want the end: {errno}");
    }
    if let Err(error) = setup.env().fs().replace(&folder.reported(), b"", 0o600).await {
        tracing::debug!(job = order.job.0, "could not mark the end as reported: {error}");
    }
}

/// Reports the end of a step's part on this node, as [`report_end`] does an attempt's.
pub(crate) async fn report_step<E: Env>(
    setup: &Setup<E>,
    folder: &AttemptFolder,
    order: &StepOrder,
    end: &StepEnd,
) {
    let step_id = StepId::step(order.job.0, order.step).with_sluid(order.attempt.0);
    let message = Message::RequestStepComplete(Box::new(StepComplete {
        step_id,
        range_first: order.node_id,
        range_last: order.node_id,
        step_rc: end.status,
        jobacct: Some(usage(end.user_us, end.system_us)),
        send_to_stepmgr: false,
    }));
    let errno = tell_until_answered(setup, &message).await;
    if errno != Errno::SLURM_SUCCESS {
        tracing::info!(job = order.job.0, "the controllers do not want a step's end: {errno}");
    }
    if let Err(error) = setup.env().fs().replace(&folder.reported(), b"", 0o600).await {
        tracing::debug!(job = order.job.0, "could not mark a step as reported: {error}");
    }
}

fn usage(user_us: u64, system_us: u64) -> JobAcct {
    JobAcct {
        user_cpu_sec: user_us / 1_000_000,
        user_cpu_usec: (user_us % 1_000_000) as u32,
        sys_cpu_sec: system_us / 1_000_000,
        sys_cpu_usec: (system_us % 1_000_000) as u32,
        ..JobAcct::default()
    }
}

/// Answers that settle a report: it was taken, or there is nothing left that it could be about. Any
/// other comes from a controller that could not judge it, because its munged is down, say. Source:
/// what slurmstepd takes for an end of its tries.
const SETTLED: [Errno; 3] =
    [Errno::SLURM_SUCCESS, Errno::ESLURM_INVALID_JOB_ID, Errno::ESLURM_ALREADY_DONE];

/// Sends a report to the controllers again and again until an answer of one settles it.
pub(crate) async fn tell_until_answered<E: Env>(setup: &Setup<E>, message: &Message) -> Errno {
    let controllers = setup.controllers();
    let mut first = 0;
    let mut pause = PAUSE_MIN.get();
    loop {
        match controllers.ask(message, &mut first).await {
            Ok(reply) => match return_code(&reply) {
                Ok(errno) if settles(errno) => return errno,
                Ok(errno) => {
                    flurm_base::sometimes!("a controller could not judge a report");
                    tracing::warn!("{}: refused: {errno}", message.name());
                    first += 1;
                    reread_keys(setup, errno).await;
                }
                Err(error) => tracing::warn!("{}: {error}", message.name()),
            },
            Err(error) => {
                tracing::debug!("{}: {error}", message.name());
                if flurm_base::planted::is("host_reports_once") {
                    return Errno::SLURM_SUCCESS;
                }
            }
        }
        E::Rt::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX.get());
    }
}

/// A daemon that is not believed may have missed that keys were changed.
async fn reread_keys<E: Env>(setup: &Setup<E>, refusal: Errno) {
    if refusal != Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR {
        return;
    }
    if let Err(text) = setup.reread_keys().await {
        tracing::error!("could not read keys again, the old stay in force: {text}");
    }
}

fn settles(errno: Errno) -> bool {
    SETTLED.contains(&errno) || flurm_base::planted::is("host_gives_up_a_refused_report")
}

fn completion(order: &BatchOrder, end: &BatchEnd) -> CompleteBatchScript {
    let step = StepId::step(order.job.0, BATCH_STEP).with_sluid(order.attempt.0);
    CompleteBatchScript {
        jobacct: Some(usage(end.user_us, end.system_us)),
        job_rc: match flurm_base::planted::is("host_loses_exit_codes") {
            true => u32::from(end.status != 0) << 8,
            false => end.status,
        },
        slurm_rc: end.slurm_rc,
        step_id: JobRef(step),
        user_id: order.uid,
        node_name: Some(order.node_name.clone()),
    }
}
