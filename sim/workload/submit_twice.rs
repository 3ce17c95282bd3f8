//! Sends each submission to two controllers at the same time: a request that the network, or a
//! client in a hurry, delivers twice and in any order.

use serde::Deserialize;

use super::{Heard, Seat, Wanted, Workload, one_client, pause};
use crate::scenario::{CountRange, SpanRange};
use crate::world::TaskFuture;
use crate::world::history::{Answer, Effect};
use crate::world::script::Plan;

/// Submits every job twice at once, to different controllers, byte for byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitTwice {
    /// How many clients submit at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many jobs they submit together.
    jobs: CountRange,
    /// Wait between two submissions of one client.
    #[serde(default = "pause")]
    pause: SpanRange,
}

impl Workload for SubmitTwice {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for number in 0..seat.share(what.jobs) {
                seat.pause(what.pause).await;
                let key = format!("d{}-{number}", seat.client);
                let plan = Plan { key: Some(key.clone()), ..Plan::default() };
                let wanted = Wanted { key: key.clone(), plan, ..Wanted::default() };
                let prepared = seat.prepare(&wanted).await;
                seat.tell(Effect::Submitting { key: key.clone(), tries: 0 });
                let heard = seat.api.submit_twice(&prepared).await;
                let both = heard.iter().all(|heard| matches!(heard, Heard::Answer(_)));
                flurm_base::sometimes!(both, "two controllers answered the same submission");
                let mut told = false;
                for heard in heard {
                    if let Heard::Answer(job) = heard {
                        let answer = Answer::Accepted(job);
                        seat.tell(Effect::Submitted { key: key.clone(), answer });
                        told = true;
                    }
                }
                if !told {
                    seat.insist(&key, &prepared, 1).await;
                }
            }
        })
    }
}
