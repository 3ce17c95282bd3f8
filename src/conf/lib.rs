//! slurm.conf and flurm.conf: from text to typed settings, with messages that name file and line.
//!
//! Pure: texts come from a function that the caller gives, and what a key means to a daemon is not
//! known here.

mod limit;
mod node;
mod partition;

pub use limit::{INFINITE, Limit, MEM_PER_CPU, Memory, NO_VAL};
pub use node::{NodeConf, NodeState};
pub use partition::{PartitionConf, PartitionState, Sharing};
