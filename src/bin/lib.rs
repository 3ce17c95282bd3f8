//! What the executables share: arguments, configuration files, logs, and life as a daemon.
//!
//! Decides nothing about jobs. The components of `flurm_host` do, and are started here.

pub mod arguments;
pub mod conf_files;
pub mod daemon;
pub mod logging;
pub mod own_node;
pub mod startup;
pub mod wire_tool;
