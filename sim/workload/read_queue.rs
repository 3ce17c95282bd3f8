//! Reads the queue again and again.

use serde::Deserialize;

use super::{Heard, Seat, Workload, one_client, pause};
use crate::scenario::SpanRange;
use crate::world::history::Effect;
use crate::world::{self, TaskFuture};

/// Reads the queue again and again, for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadQueue {
    /// How many clients read.
    #[serde(default = "one_client")]
    clients: u8,
    /// Wait between two looks.
    #[serde(default = "pause")]
    pause: SpanRange,
}

impl ReadQueue {
    /// One reader that is in no hurry.
    pub(super) fn observer() -> Self {
        Self { clients: 1, pause: SpanRange::secs(2, 4) }
    }
}

impl Workload for ReadQueue {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn ends(&self) -> bool {
        false
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let pause = self.pause;
        Box::pin(async move {
            loop {
                seat.pause(pause).await;
                let asked = world::with(|w| w.now());
                if let Heard::Answer(jobs) = seat.api.list().await {
                    seat.tell(Effect::Listed { client: seat.client, asked, jobs });
                }
            }
        })
    }
}
