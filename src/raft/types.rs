//! openraft's types, bound to this crate's commands and to any runtime.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use flurm_rt::AsyncRuntime;
use openraft::impls::leader_id_std::LeaderId;

use openraft::{OptionalSend, RaftTypeConfig};
use serde::{Deserialize, Serialize};

use crate::codec::Blob;

/// openraft's type configuration over the runtime `R`.
///
/// The leader id is the standard one (one leader per term), not openraft's default that allows
/// several per term: the host fences the leader's acts by term alone.
pub(crate) struct TC<R>(PhantomData<fn() -> R>);

impl<R> fmt::Debug for TC<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TC")
    }
}

impl<R> Clone for TC<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for TC<R> {}

impl<R> Default for TC<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> PartialEq for TC<R> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<R> Eq for TC<R> {}

impl<R> PartialOrd for TC<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for TC<R> {
    fn cmp(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<R: AsyncRuntime> RaftTypeConfig for TC<R> {
    type D = Command;
    type R = Answer;
    type NodeId = u64;
    type Node = PeerInfo;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<LeaderId<u64, u64>>;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = R;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A replicated command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command(pub(crate) Blob);

impl Command {
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0.0
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What applying an entry brought; empty for entries that are not commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer(pub(crate) Vec<u8>);

/// What the membership in the log says about a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerInfo {
    pub(crate) name: String,
    pub(crate) addr: String,
}

pub(crate) type CommittedLeader = openraft::vote::leader_id_std::CommittedLeaderId<u64>;
pub(crate) type LogId = openraft::LogId<CommittedLeader>;
pub(crate) type Vote = openraft::impls::Vote<LeaderId<u64, u64>>;
pub(crate) type Membership = openraft::Membership<u64, PeerInfo>;
pub(crate) type Payload = openraft::EntryPayload<Command, u64, PeerInfo>;
pub(crate) type Entry = openraft::impls::Entry<CommittedLeader, Payload>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeader, u64, PeerInfo>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeader, u64, PeerInfo>;
