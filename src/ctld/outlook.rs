//! What the planner expects of waiting jobs, for views.

use std::collections::BTreeMap;

use flurm_base::{JobId, Time};
use flurm_model::NodeName;

/// When and where a waiting job is expected to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The start.
    pub start: Time,
    /// The nodes.
    pub nodes: Vec<NodeName>,
}

/// What the leader's planner last planned ahead. It is not part of the replicated state: a new
/// leader plans anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// When that was.
    pub made: Option<Time>,
    /// The jobs for which a start is planned.
    pub jobs: BTreeMap<JobId, Expected>,
}
