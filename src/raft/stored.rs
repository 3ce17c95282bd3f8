//! The forms in which Raft's values are stored and sent.
//!
//! They are declared here, not taken from openraft, so that a change of openraft's own types cannot
//! change a byte on a disk or a wire. Fields and variants are never reordered; a change is a new
//! version of the file format or of the peer protocol.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec::{Blob, Text};
use crate::types::{
    Command, CommittedLeader, Entry, LogId, Membership, Payload, PeerInfo, SnapshotMeta,
    StoredMembership, Vote,
};

/// Position and term of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLogId {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

impl From<LogId> for StoredLogId {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl From<StoredLogId> for LogId {
    fn from(id: StoredLogId) -> Self {
        LogId::new(CommittedLeader::new(id.term), id.index)
    }
}

/// A vote, given to a candidate or (committed) to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredVote {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

impl From<Vote> for StoredVote {
    fn from(vote: Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            node: vote.leader_id.voted_for,
            committed: vote.is_committed(),
        }
    }
}

impl From<StoredVote> for Vote {
    fn from(vote: StoredVote) -> Self {
        if vote.committed {
            Vote::new_committed(vote.term, vote.node)
        } else {
            Vote::new(vote.term, vote.node)
        }
    }
}

/// Who is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredMembers {
    /// One voter set, or two during a change.
    pub(crate) voters: Vec<BTreeSet<u64>>,
    /// Every member: name and address.
    pub(crate) nodes: BTreeMap<u64, (Text, Text)>,
}

impl From<&Membership> for StoredMembers {
    fn from(membership: &Membership) -> Self {
        Self {
            voters: membership.get_joint_config().clone(),
            nodes: membership
                .nodes()
                .map(|(id, info)| (*id, (Text(info.name.clone()), Text(info.addr.clone()))))
                .collect(),
        }
    }
}

impl TryFrom<StoredMembers> for Membership {
    type Error = String;

    fn try_from(stored: StoredMembers) -> Result<Self, String> {
        if stored.voters.is_empty() && stored.nodes.is_empty() {
            return Ok(Membership::default());
        }
        let nodes: BTreeMap<u64, PeerInfo> = stored
            .nodes
            .into_iter()
            .map(|(id, (name, addr))| (id, PeerInfo { name: name.0, addr: addr.0 }))
            .collect();
        Membership::new(stored.voters, nodes).map_err(|error| error.to_string())
    }
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredPayload {
    /// A new leader's first entry.
    Blank,
    /// A command.
    Command(Blob),
    /// A change of membership.
    Members(StoredMembers),
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEntry {
    pub(crate) id: StoredLogId,
    pub(crate) payload: StoredPayload,
}

impl From<&Entry> for StoredEntry {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            Payload::Blank => StoredPayload::Blank,
            Payload::Normal(command) => StoredPayload::Command(command.0.clone()),
            Payload::Membership(membership) => StoredPayload::Members(membership.into()),
        };
        Self { id: entry.log_id.into(), payload }
    }
}

impl TryFrom<StoredEntry> for Entry {
    type Error = String;

    fn try_from(stored: StoredEntry) -> Result<Self, String> {
        let payload = match stored.payload {
            StoredPayload::Blank => Payload::Blank,
            StoredPayload::Command(bytes) => Payload::Normal(Command(bytes)),
            StoredPayload::Members(members) => Payload::Membership(members.try_into()?),
        };
        Ok(Entry { log_id: stored.id.into(), payload })
    }
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSnapshotMeta {
    /// The last entry contained.
    pub(crate) last: Option<StoredLogId>,
    /// The entry that set the membership.
    pub(crate) members_at: Option<StoredLogId>,
    /// The membership.
    pub(crate) members: StoredMembers,
}

impl From<&SnapshotMeta> for StoredSnapshotMeta {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id.map(Into::into),
            members_at: (*meta.last_membership.log_id()).map(Into::into),
            members: meta.last_membership.membership().into(),
        }
    }
}

impl TryFrom<StoredSnapshotMeta> for SnapshotMeta {
    type Error = String;

    fn try_from(stored: StoredSnapshotMeta) -> Result<Self, String> {
        let members = stored.members.try_into()?;
        Ok(SnapshotMeta {
            last_log_id: stored.last.map(Into::into),
            last_membership: StoredMembership::new(stored.members_at.map(Into::into), members),
        })
    }
}
