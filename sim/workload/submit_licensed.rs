//! Submits jobs that need licences, of which there are few.

use serde::Deserialize;

use super::{Seat, Wanted, Workload, one_client, pause};
use crate::scenario::{CountRange, SpanRange};
use crate::world::TaskFuture;
use crate::world::history::Effect;
use crate::world::script::Plan;

/// What the oracles are told of a submission: how many licences it asks for.
pub(crate) const LICENSES: &str = "licences";
/// How many there are.
pub(crate) const LICENSES_IN_ALL: &str = "licences in all";

fn run_time() -> SpanRange {
    SpanRange::micros(100_000, 4_000_000)
}

/// Submits jobs that ask for one licence or several; a submission without an answer is sent again,
/// byte for byte. The scenario configures `Licenses=sim:N`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitLicensed {
    /// How many clients submit at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many jobs they submit together.
    jobs: CountRange,
    /// How many licences the site has.
    licenses: u64,
    /// Wait between two submissions of one client.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// How long the jobs run.
    #[serde(default = "run_time")]
    run: SpanRange,
}

impl SubmitLicensed {
    async fn submit(&self, seat: &mut Seat, nth: u64) {
        seat.pause(self.pause).await;
        let count = seat.rng.range(1..=self.licenses);
        let key = format!("c{}-licensed{nth}", seat.client);
        let what = LICENSES.to_owned();
        seat.tell(Effect::Observed { who: key.clone(), what, value: count });
        let run = self.run.draw(&mut seat.rng);
        let plan = Plan { run, cpus: 1, key: Some(key.clone()), ..Plan::default() };
        let licenses = Some(format!("sim:{count}"));
        let wanted = Wanted { key, plan, licenses, ..Wanted::default() };
        let prepared = seat.prepare(&wanted).await;
        let _judged_from_the_history = seat.insist(&wanted.key, &prepared, 0).await;
    }
}

impl Workload for SubmitLicensed {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            let (who, text) = (String::new(), LICENSES_IN_ALL.to_owned());
            seat.tell(Effect::Observed { who, what: text, value: what.licenses });
            for nth in 0..seat.share(what.jobs) {
                what.submit(&mut seat, nth).await;
            }
        })
    }
}
