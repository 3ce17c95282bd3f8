//! slurm.conf and flurm.conf: from text to typed settings, with messages that name file and line.
//!
//! Pure: texts come from a function that the caller gives, and what a key means to a daemon is not
//! known here.

pub mod associations;
mod conf;
mod diagnostic;
mod fields;
mod flurm;
mod gres;
pub mod key;
mod limit;
mod lines;
mod node;
mod node_lines;
mod parameters;
mod partition;
mod partition_lines;
mod release;
mod settle;
mod source;
pub mod table;
pub mod value;
pub mod words;

pub use conf::{
    Conf, ControllerHost, EnforcePartLimits, JobRules, Paths, PortRange, PropagateLimits,
    ReturnToService, Setting, Times,
};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use flurm::{FlurmConf, Peer};
pub use gres::{GresConf, GresLine};
pub use limit::{INFINITE, Limit, MEM_PER_CPU, Memory, NO_VAL};
pub use node::{NodeConf, NodeState};
pub use parameters::Parameters;
pub use partition::{PartitionConf, PartitionState, Sharing};
pub use release::Release;
pub use settle::parse;
pub use source::{FILE_BYTES_MAX, FILES_MAX, INCLUDE_DEPTH_MAX, Loader};

#[cfg(test)]
mod manual_tests;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;
