//! Submits jobs, hangs up before the answer, and asks again some time later.

use serde::Deserialize;

use super::{Seat, Wanted, Workload, one_client, pause};
use crate::scenario::{CountRange, SpanRange};
use crate::world::TaskFuture;
use crate::world::history::Effect;
use crate::world::script::Plan;

fn soon() -> SpanRange {
    SpanRange::micros(0, 20_000)
}

/// Sends a submission, hangs up, and after a while sends it again until it is answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HangUp {
    /// How many clients submit at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many jobs they submit together.
    jobs: CountRange,
    /// Wait between two submissions, and before the second try.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// After how long it hangs up.
    #[serde(default = "soon")]
    after: SpanRange,
}

impl Workload for HangUp {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for number in 0..seat.share(what.jobs) {
                seat.pause(what.pause).await;
                let key = format!("h{}-{number}", seat.client);
                let plan = Plan { key: Some(key.clone()), ..Plan::default() };
                let wanted = Wanted { key: key.clone(), plan, ..Wanted::default() };
                let prepared = seat.prepare(&wanted).await;
                seat.tell(Effect::Submitting { key: key.clone(), tries: 0 });
                let after = what.after.draw(&mut seat.rng);
                seat.api.hang_up(&prepared, after).await;
                seat.pause(what.pause).await;
                seat.insist(&key, &prepared, 1).await;
            }
        })
    }
}
