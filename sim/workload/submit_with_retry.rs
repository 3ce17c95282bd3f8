//! Submits jobs and does not give up; cancels some of them.

use serde::Deserialize;

use super::{Seat, Wanted, Workload, one_client, pause, percent};
use crate::scenario::{CountRange, SpanRange};
use crate::world::TaskFuture;
use crate::world::history::Answer;
use crate::world::script::Plan;

/// Bytes that a job writes which floods its output.
const FLOOD_BYTES: u64 = 3 << 20;
/// How long SIGKILL takes to work on a job that is stuck in the kernel.
const STUCK_FOR: SpanRange = SpanRange::secs(1, 20);

fn run_time() -> SpanRange {
    SpanRange::micros(100_000, 12_000_000)
}

fn one() -> CountRange {
    CountRange::new(1, 1)
}

fn none() -> CountRange {
    CountRange::new(0, 0)
}

/// Submits jobs; a submission without an answer is sent again, byte for byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitWithRetry {
    /// How many clients submit at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many jobs they submit together.
    jobs: CountRange,
    /// Wait between two submissions of one client.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// How long the jobs run.
    #[serde(default = "run_time")]
    run: SpanRange,
    /// CPUs they ask for.
    #[serde(default = "one")]
    cpus: CountRange,
    /// Memory they ask for, MiB; none is the partition's default.
    #[serde(default = "none")]
    memory_mib: CountRange,
    /// Time limit they ask for, minutes; none is the partition's default.
    time_limit_min: Option<CountRange>,
    /// Partition they ask for.
    partition: Option<String>,
    /// Bytes they write to their output.
    #[serde(default = "none")]
    output: CountRange,
    /// Percent of jobs that ignore SIGTERM.
    #[serde(default)]
    stubborn_percent: u8,
    /// Percent of jobs that fail.
    #[serde(default)]
    failing_percent: u8,
    /// Percent of jobs that are cancelled some time after they were accepted.
    #[serde(default)]
    cancel_percent: u8,
    /// Percent of jobs that even SIGKILL does not end at once.
    #[serde(default)]
    stuck_percent: u8,
    /// Percent of jobs that flood their output.
    #[serde(default)]
    flooding_percent: u8,
    /// Percent of jobs that leave a process behind.
    #[serde(default)]
    leaving_percent: u8,
    /// Percent of jobs that are submitted on hold, and released later by their owner.
    #[serde(default)]
    held_percent: u8,
}

impl SubmitWithRetry {
    fn job(&self, seat: &mut Seat, number: u64) -> Wanted {
        let rng = &mut seat.rng;
        let key = format!("c{}-{number}", seat.client);
        let fails = percent(rng, self.failing_percent);
        let floods = percent(rng, self.flooding_percent);
        let plan = Plan {
            run: self.run.draw(rng),
            exit: if fails { rng.range(1..=99) as u8 } else { 0 },
            ignore_term: percent(rng, self.stubborn_percent),
            unkillable: if percent(rng, self.stuck_percent) { STUCK_FOR.draw(rng) } else { 0 },
            output: if floods { FLOOD_BYTES } else { self.output.draw(rng) },
            leave: if percent(rng, self.leaving_percent) { self.run.draw(rng) } else { 0 },
            cpus: self.cpus.draw(rng) as u32,
            memory_mib: self.memory_mib.draw(rng),
            key: Some(key.clone()),
            ..Plan::default()
        };
        let time_limit_min = self.time_limit_min.map(|limit| limit.draw(rng) as u32);
        let held = percent(rng, self.held_percent);
        let partition = self.partition.clone();
        Wanted { key, plan, partition, time_limit_min, held, ..Wanted::default() }
    }
}

impl Workload for SubmitWithRetry {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            let mut cancels = Vec::new();
            let mut held = Vec::new();
            for number in 0..seat.share(what.jobs) {
                seat.pause(what.pause).await;
                let wanted = what.job(&mut seat, number);
                let prepared = seat.prepare(&wanted).await;
                let answer = seat.insist(&wanted.key, &prepared, 0).await;
                let Answer::Accepted(job) = answer else { continue };
                if wanted.held {
                    held.push(job);
                } else if percent(&mut seat.rng, what.cancel_percent) {
                    cancels.push(job);
                }
                if !cancels.is_empty() && seat.rng.chance(0.5) {
                    let job = cancels.remove(0);
                    seat.cancel(job).await;
                }
                if !held.is_empty() && seat.rng.chance(0.3) {
                    let job = held.remove(0);
                    seat.release(job).await;
                }
            }
            for job in cancels {
                seat.cancel(job).await;
            }
            for job in held {
                seat.release(job).await;
            }
        })
    }
}

impl Seat {
    async fn release(&mut self, job: u32) {
        // Whatever comes of it: an answer that did not come is judged as one that may have.
        let _judged_from_the_history = self.order(crate::world::history::Order::Release(job)).await;
    }
}
