//! An operator who suspends jobs that run, and lets them go on after a long rest.

use serde::Deserialize;

use super::{Heard, Seat, Workload, one_client, pause};
use crate::scenario::{CountRange, SpanRange};
use crate::world::history::{Answer, Order, SeenJob};
use crate::world::{Nanos, SECOND, TaskFuture};

/// Base states of Slurm's protocol.
const RUNNING: u32 = 1;
const SUSPENDED: u32 = 2;
/// How long an order of unknown fate may still be on its way.
const LATE_ORDER_MAX: Nanos = 30 * SECOND;

fn rest() -> SpanRange {
    SpanRange::secs(60, 90)
}

/// Suspends jobs and lets them go on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SuspendJobs {
    /// How many operators.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many jobs they suspend together.
    rounds: CountRange,
    /// Wait between two jobs.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// How long a job is suspended.
    #[serde(default = "rest")]
    rest: SpanRange,
}

async fn jobs_in(seat: &mut Seat, state: u32) -> Option<Vec<SeenJob>> {
    let Heard::Answer(jobs) = seat.api.list().await else { return None };
    Some(jobs.into_iter().filter(|job| job.state == state).collect())
}

/// Lets a job go on, until there is an answer.
async fn go_on(seat: &mut Seat, job: u32) {
    while seat.order(Order::ResumeJob(job)).await == Answer::None {
        seat.api.nap(SECOND).await;
    }
}

impl SuspendJobs {
    async fn round(&self, seat: &mut Seat) {
        let running = jobs_in(seat, RUNNING).await.unwrap_or_default();
        let Some(job) = seat.rng.pick(&running).map(|job| job.job) else { return };
        match seat.order(Order::SuspendJob(job)).await {
            Answer::Done => {
                flurm_base::sometimes!("a running job was suspended");
                seat.pause(self.rest).await;
                go_on(seat, job).await;
            }
            // The job may be suspended nevertheless.
            Answer::None => go_on(seat, job).await,
            Answer::Accepted(_) | Answer::Refused(_) => {}
        }
    }

    /// Leaves no job suspended, not even by an order that came late.
    async fn tidy_up(&self, seat: &mut Seat) {
        loop {
            seat.api.nap(LATE_ORDER_MAX).await;
            let Some(left) = jobs_in(seat, SUSPENDED).await else { continue };
            if left.is_empty() {
                return;
            }
            for job in left {
                go_on(seat, job.job).await;
            }
        }
    }
}

impl Workload for SuspendJobs {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn operates(&self) -> bool {
        true
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for _ in 0..seat.share(what.rounds) {
                seat.pause(what.pause).await;
                what.round(&mut seat).await;
            }
            what.tidy_up(&mut seat).await;
        })
    }
}
