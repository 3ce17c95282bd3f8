//! What a request means to a controller: Slurm's messages to commands, and the replicated state to
//! Slurm's messages.
//!
//! Input: a verified identity, a message, the state and the time as arguments. Output: a reply, or a
//! command to propose and how to answer once it is committed. Knows nothing of connections, of
//! replication, or of which replica it runs on.

mod identity;
mod job_view;
mod node_view;
mod partition_view;
mod refused;
mod submit;
mod tables;

pub use identity::Identity;
pub use refused::Refused;
pub use submit::{Submitter, batch_job};
pub use tables::Tables;
