//! The planner: which waiting jobs start now, where, and why the others wait.
//!
//! Input: a snapshot of the cluster with its time. Output: decisions and explanations. Pure: no
//! clock, no randomness, no memory between calls. Refuses to change anything: its decisions become
//! a command that the cluster validates again.

mod demand;
mod forecast;
mod license;
mod place;
mod plan;
mod snapshot;

pub use forecast::{Asked, Forecast, forecast};
pub use license::Licenses;
pub use plan::{Explanation, Plan, REASONS_MAX, STARTS_MAX, feasible, plan};
pub use snapshot::{JobView, NodeView, PartitionView, Snapshot};

#[cfg(test)]
mod kit;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod reference_tests;
