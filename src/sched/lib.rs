//! The planner: which waiting jobs start now, where, and why the others wait.
//!
//! Input: a snapshot of the cluster with its time. Output: decisions and explanations. Pure: no
//! clock, no randomness, no memory between calls. Refuses to change anything: its decisions become
//! a command that the cluster validates again.

mod ahead;
mod demand;
mod forecast;
mod gate;
mod license;
mod place;
mod plan;
mod profile;
mod snapshot;
mod timeline;
mod totals;

pub use forecast::{Asked, Forecast, forecast};
pub use license::Licenses;
pub use plan::{Explanation, Plan, Planned, REASONS_MAX, STARTS_MAX, feasible, plan, plan_within};
pub use snapshot::{JobView, Leave, NodeView, PartitionView, Snapshot};

#[cfg(test)]
mod backfill_tests;
#[cfg(test)]
mod gres_tests;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod reference_tests;
