//! Whether nodes are silent. Judged by a leader's own time alone: what a node did while there was no
//! leader, or while another one led, is nobody's evidence.
//!
//! Input: who answered, and the passing of time. Output: commands. It never asks a node itself.

use std::collections::BTreeMap;

use flurm_base::{Span, Time};
use flurm_model::{Cluster, Command, DownCause, Node, NodeBase, NodeName};

/// When each node was last heard of, in one leader's monotonic time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    term: u64,
    began: Span,
    heard: BTreeMap<NodeName, Span>,
}

impl Silence {
    /// A leader of `term` begins to listen.
    pub fn new(term: u64, now: Span) -> Self {
        let others = flurm_base::planted::is("ctld_counts_the_time_of_others");
        let began = if others { Span(0) } else { now };
        Self { term, began, heard: BTreeMap::new() }
    }

    /// Whose evidence this is.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// A node has answered.
    pub fn heard(&mut self, now: Span, node: &NodeName) {
        self.heard.insert(node.clone(), now);
    }

    /// For how long a node has been silent under this leader.
    pub fn of(&self, node: &NodeName, now: Span) -> Span {
        now - self.heard.get(node).copied().unwrap_or(self.began)
    }

    /// Nodes that were silent for half of `silence_max` (`SlurmdTimeout`) are marked, for all of it
    /// are taken out of service. Nobody is judged when it is 0. `at` is the wall clock's time.
    pub fn judge(&self, cluster: &Cluster, now: Span, silence_max: Span, at: Time) -> Vec<Command> {
        if silence_max == Span(0) {
            return Vec::new();
        }
        let judged = |node: &Node| {
            let silence = self.of(&node.conf.name, now);
            let name = node.conf.name.clone();
            if node.base == NodeBase::Up && silence >= silence_max {
                return Some(Command::NodeDown { at, node: name, cause: DownCause::Silence });
            }
            let marked = node.is_responding() && silence.0 >= silence_max.0 / 2;
            marked.then_some(Command::NodeNotResponding { at, node: name })
        };
        cluster.nodes().filter_map(judged).collect()
    }
}
