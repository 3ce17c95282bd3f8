//! What ties the specifications in this folder to the code beside them.
//!
//! Input: specifications, what the model checkers say of them, and the product's own `model` and
//! `node`. Output: verdicts. It contains no second implementation of anything: where a job's life is
//! walked, `flurm_model::Cluster` and `flurm_node::ledger::Ledger` take the steps.

mod allocation;
mod alter;
mod checkers;
mod dump;
mod fence;
mod histories;
mod history;
mod job_life;
mod job_view;
mod log_history;
mod manifest;
mod promises;
mod raft_history;
mod site;
mod step;
mod steps;
mod text;
#[cfg(test)]
mod ties;
mod verdicts;
mod walk;
mod worlds;

pub use checkers::{Tools, check_all};
pub use dump::Graph;
pub use history::{JobHistory, Seen};
pub use job_view::{AttemptNumbers, JobView, view_of_job};
pub use log_history::{LogHistory, LogSeen};
pub use manifest::{Check, Manifest};
pub use raft_history::{RaftHistory, RaftSeen};
pub use step::{About, Step, StepJudge, StepSpec};
pub use steps::Steps;
pub use walk::Difference;
