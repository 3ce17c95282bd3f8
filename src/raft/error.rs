//! What can go wrong, by operation.

use std::fmt;
use std::io;

use crate::config::ConfigError;

/// Why a node could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The configuration makes no sense.
    Config(ConfigError),
    /// The Raft port could not be opened.
    Listen(io::Error),
    /// The data folder could not be read or is damaged. Nothing was changed or skipped.
    Storage(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "could not use the Raft configuration: {error}"),
            Self::Listen(error) => write!(f, "could not listen on the Raft port: {error}"),
            Self::Storage(text) => write!(f, "could not open the Raft data folder: {text}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Listen(error) => Some(error),
            Self::Storage(_) => None,
        }
    }
}

/// Why a command was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Not proposed: this member does not lead. `leader` is who does, if known.
    NotLeader {
        /// Member id of the leader.
        leader: Option<u64>,
    },
    /// Not proposed: too many proposals are waiting already.
    Busy,
    /// Not proposed: the command has more bytes than [`crate::Limits::command_bytes_max`].
    TooLarge {
        /// Bytes of the command.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// May or may not be committed: leadership was lost or no answer came in time. Propose again
    /// only under an identity by which `apply` knows a repetition.
    Unknown,
    /// The node has stopped. May or may not be committed, as with [`ProposeError::Unknown`].
    Stopped,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(id) } => write!(f, "not the leader; member {id} is"),
            Self::NotLeader { leader: None } => write!(f, "not the leader, and none is known"),
            Self::Busy => write!(f, "too many proposals are waiting"),
            Self::TooLarge { bytes, max } => {
                write!(f, "command of {bytes} bytes is larger than {max}")
            }
            Self::Unknown => write!(f, "outcome unknown: leadership was lost or time ran out"),
            Self::Stopped => write!(f, "outcome unknown: the node has stopped"),
        }
    }
}

impl std::error::Error for ProposeError {}

/// Why a read could not be made linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// This member does not lead. `leader` is who does, if known.
    NotLeader {
        /// Member id of the leader.
        leader: Option<u64>,
    },
    /// No majority answered in time.
    NoQuorum,
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(id) } => write!(f, "not the leader; member {id} is"),
            Self::NotLeader { leader: None } => write!(f, "not the leader, and none is known"),
            Self::NoQuorum => write!(f, "no majority of members answered in time"),
            Self::Stopped => write!(f, "the node has stopped"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Why a forwarded request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardError {
    /// Not sent: no such peer, or no connection to it.
    Unreachable,
    /// Not acted on: says why, e.g. too many requests are waiting or the request is too large.
    Refused(String),
    /// Sent, and no answer came: the peer may or may not have acted on it.
    Unknown,
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => write!(f, "the peer cannot be reached"),
            Self::Refused(reason) => write!(f, "the request was refused: {reason}"),
            Self::Unknown => write!(f, "the peer did not answer; it may have acted"),
        }
    }
}

impl std::error::Error for ForwardError {}
