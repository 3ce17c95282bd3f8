//! Replication: an ordered log of opaque commands, agreed on by Raft and kept on disk.
//!
//! Input: command bytes from [`Node::propose`]; output: [`StateMachine::apply`] calls, in the same
//! order on every member. Everything outside (disk, network, time, chance) is reached through
//! [`flurm_rt::Env`]. Refuses to know what a command means, and who a client is.
//!
//! A [`Node`] promises:
//! - a reply from [`Node::propose`] means the command is on the disks of a majority, and applied
//!   here;
//! - at most one leader exists per term, so a term can fence the leader's acts in the world;
//! - a damaged log stops the node; it is never skipped over.

mod applier;
mod archive;
mod codec;
mod config;
mod describe;
mod disk;
mod error;
mod frame;
mod gate;
mod handshake;
mod join;
mod link;
mod log;
#[cfg(test)]
mod log_tests;
mod machine;
mod mark;
#[cfg(test)]
mod memory_fs;
mod message;
mod network;
mod node;
mod ordered;
mod reader;
mod segment;
mod server;
mod snapshot;
mod status;
mod store;
mod stored;
mod types;
pub mod witness;

pub use archive::{Archive, Archived, ArchivedEntry, ArchivedSnapshot};
pub use config::{Config, ConfigError, Limits, Member};
pub use describe::describe;
pub use error::{ForwardError, ProposeError, ReadError, StartError};
pub use handshake::Handshake;
pub use machine::StateMachine;
pub use node::{Node, Reply};
pub use ordered::{Consensus, OrderedLog, Pending, Replicated};
pub use server::{ForwardFuture, ForwardHandler};
pub use status::{Leader, Role, Status, StatusWatch};
