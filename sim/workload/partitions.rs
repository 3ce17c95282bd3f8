//! Makes partitions, runs jobs in them, and takes them away when the jobs are over.

use serde::Deserialize;

use super::{Heard, Seat, Wanted, Workload, one_client, pause};
use crate::scenario::{CountRange, SpanRange};
use crate::world::history::{Answer, Order};
use crate::world::script::Plan;
use crate::world::{SECOND, TaskFuture};

/// Looks at the queue before a partition is taken away whether or not its jobs are over.
const LOOKS_MAX: u32 = 60;
/// Base states below this one are not over (slurm.h, `enum job_states`).
const OVER_FROM: u32 = 3;
/// Slurm's mask of base states, and the flag of a job that is being cleaned up.
const STATE_BASE: u32 = 0xff;
const COMPLETING: u32 = 0x8000;

/// An operator whose partitions come and go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartitionsComeAndGo {
    /// How many operators.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many partitions they make together.
    partitions: CountRange,
    /// Jobs in each.
    jobs: CountRange,
    /// Wait between two requests.
    #[serde(default = "pause")]
    pause: SpanRange,
}

impl PartitionsComeAndGo {
    async fn use_one(&self, seat: &mut Seat, name: &str) {
        let mut jobs = Vec::new();
        for number in 0..self.jobs.draw(&mut seat.rng) {
            seat.pause(self.pause).await;
            let key = format!("{name}-{number}");
            let plan = Plan { key: Some(key.clone()), ..Plan::default() };
            let partition = Some(name.to_owned());
            let wanted = Wanted { key: key.clone(), plan, partition, ..Wanted::default() };
            let prepared = seat.prepare(&wanted).await;
            if let Answer::Accepted(job) = seat.insist(&key, &prepared, 0).await {
                jobs.push(job);
            }
        }
        for _ in 0..LOOKS_MAX {
            seat.api.nap(SECOND).await;
            if all_over(seat, &jobs).await {
                return;
            }
        }
    }
}

async fn all_over(seat: &mut Seat, jobs: &[u32]) -> bool {
    let Heard::Answer(listing) = seat.api.list().await else { return false };
    let over = |state: u32| state & STATE_BASE >= OVER_FROM && state & COMPLETING == 0;
    let mine = listing.iter().filter(|job| jobs.contains(&job.job));
    mine.into_iter().all(|job| over(job.state))
}

impl Workload for PartitionsComeAndGo {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn operates(&self) -> bool {
        true
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for number in 0..seat.share(what.partitions) {
                let name = format!("p{}x{number}", seat.client);
                if seat.order(Order::CreatePartition(name.clone())).await == Answer::Done {
                    what.use_one(&mut seat, &name).await;
                }
                let gone = seat.order(Order::DeletePartition(name)).await;
                flurm_base::sometimes!(gone == Answer::Done, "a partition was used and deleted");
            }
        })
    }
}
