//! Submits jobs that need devices of nodes, of which there are few.

use serde::Deserialize;

use super::{Seat, Wanted, Workload, one_client, pause};
use crate::scenario::{CountRange, SpanRange};
use crate::world::TaskFuture;
use crate::world::history::Effect;
use crate::world::script::Plan;

/// What the oracles are told of a submission: how many devices it asks for.
pub(crate) const DEVICES: &str = "devices";

fn run_time() -> SpanRange {
    SpanRange::micros(100_000, 4_000_000)
}

fn of_any_type() -> Vec<String> {
    vec![String::from("gpu")]
}

/// Submits jobs that ask for one device or several; a submission without an answer is sent again,
/// byte for byte. The scenario configures `GresTypes`, `Gres` and gres.conf.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitForDevices {
    /// How many clients submit at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many jobs they submit together.
    jobs: CountRange,
    /// How many devices of each name a node has.
    devices: u64,
    /// Names, with a type or without, of which each job asks for one.
    #[serde(default = "of_any_type")]
    names: Vec<String>,
    /// Wait between two submissions of one client.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// How long the jobs run.
    #[serde(default = "run_time")]
    run: SpanRange,
}

impl SubmitForDevices {
    async fn submit(&self, seat: &mut Seat, nth: u64) {
        seat.pause(self.pause).await;
        let count = seat.rng.range(1..=self.devices);
        let last = self.names.len().saturating_sub(1) as u64;
        let name = &self.names[usize::try_from(seat.rng.range(0..=last)).unwrap_or(0)];
        let key = format!("c{}-devices{nth}", seat.client);
        let what = DEVICES.to_owned();
        seat.tell(Effect::Observed { who: key.clone(), what, value: count });
        let run = self.run.draw(&mut seat.rng);
        let plan = Plan { run, cpus: 1, key: Some(key.clone()), ..Plan::default() };
        let gres = Some(format!("gres:{name}:{count}"));
        let wanted = Wanted { key, plan, gres, ..Wanted::default() };
        let prepared = seat.prepare(&wanted).await;
        let _judged_from_the_history = seat.insist(&wanted.key, &prepared, 0).await;
    }
}

impl Workload for SubmitForDevices {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for nth in 0..seat.share(what.jobs) {
                what.submit(&mut seat, nth).await;
            }
        })
    }
}
