//! Reads the table of nodes again and again.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Heard, Seat, Workload, one_client, pause};
use crate::scenario::SpanRange;
use crate::world::TaskFuture;
use crate::world::history::{Effect, History};

/// Reads the table of nodes again and again, for ever.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadNodes {
    /// How many clients read.
    #[serde(default = "one_client")]
    clients: u8,
    /// Wait between two looks.
    #[serde(default = "pause")]
    pause: SpanRange,
}

impl Workload for ReadNodes {
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
                if let Heard::Answer(nodes) = seat.api.nodes().await {
                    seat.tell(Effect::NodesListed { client: seat.client, nodes });
                }
            }
        })
    }

    /// Every listing names every node, once.
    fn check(&self, history: &History) -> Result<(), String> {
        for (_, effect) in history.effects() {
            let Effect::NodesListed { client, nodes } = effect else { continue };
            let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            let expected = history.machines.len();
            if names.len() != expected || nodes.len() != expected {
                let count = nodes.len();
                return Err(format!("client {client} was told of {count} nodes of {expected}"));
            }
        }
        Ok(())
    }
}
