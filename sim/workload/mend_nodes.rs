//! An operator who looks after the nodes: whichever was drained or is DOWN is put back.

use serde::Deserialize;

use super::{Heard, Seat, Workload, one_client};
use crate::scenario::SpanRange;
use crate::world::TaskFuture;
use crate::world::history::{Order, SeenNode};

/// Slurm's node state DOWN and the mask of base states, and its flag of a drained node.
const STATE_BASE: u32 = 0xf;
const STATE_DOWN: u32 = 1;
const FLAG_DRAIN: u32 = 1 << 9;

fn pause() -> SpanRange {
    SpanRange::secs(4, 12)
}

/// Resumes nodes that were taken out of service, for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MendNodes {
    /// How many operators.
    #[serde(default = "one_client")]
    clients: u8,
    /// Wait between two rounds.
    #[serde(default = "pause")]
    pause: SpanRange,
}

fn is_out(node: &SeenNode) -> bool {
    node.state & FLAG_DRAIN != 0 || node.state & STATE_BASE == STATE_DOWN
}

impl Workload for MendNodes {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn ends(&self) -> bool {
        false
    }

    fn operates(&self) -> bool {
        true
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let pause = self.pause;
        Box::pin(async move {
            loop {
                seat.pause(pause).await;
                let Heard::Answer(nodes) = seat.api.nodes().await else { continue };
                for node in nodes.into_iter().filter(is_out) {
                    // Refused while the node still does not answer; tried again in the next round.
                    let _again_if_refused = seat.order(Order::Resume(node.name)).await;
                }
            }
        })
    }
}
