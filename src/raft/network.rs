//! openraft's network: its requests over the links.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use flurm_rt::{AsyncRuntime, Env, Select2};
use openraft::OptionalSend;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::TransferLeaderResponse;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};

use crate::codec::Blob;
use crate::handshake::Lane;
use crate::link::{CallError, Link};
use crate::message::{Ballot, Reply, Request};
use crate::stored::{StoredSnapshotMeta, StoredVote};
use crate::types::{CommittedLeader, PeerInfo, TC, Vote};

/// A part of a snapshot, bytes.
const SNAPSHOT_PART: usize = 1 << 20;
/// Longest wait for a peer to take one part; the last one is answered once it is installed.
const SNAPSHOT_PART_WAIT: Duration = Duration::from_secs(10);
const SNAPSHOT_INSTALL_WAIT: Duration = Duration::from_secs(120);
/// Longest wait for a peer to sync what it was sent. openraft's own bound is a heartbeat, which a
/// slow disk may exceed; sending the same again would only slow it further.
const APPEND_WAIT: Duration = Duration::from_secs(5);
/// Pause before an unreachable peer is tried again.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(50);

/// The links to every peer.
pub(crate) struct Links<E: Env> {
    /// This member.
    pub(crate) own_id: u64,
    /// Links by peer and lane.
    pub(crate) links: BTreeMap<(u64, Lane), Link<E>>,
}

impl<E: Env> Clone for Links<E> {
    fn clone(&self) -> Self {
        Self { own_id: self.own_id, links: self.links.clone() }
    }
}

impl<E: Env> Links<E> {
    /// The link to a peer, `None` when it is not a peer.
    pub(crate) fn link(&self, peer: u64, lane: Lane) -> Option<&Link<E>> {
        self.links.get(&(peer, lane))
    }

    /// The ids of all peers.
    pub(crate) fn peers(&self) -> Vec<u64> {
        self.links.keys().filter(|key| key.1 == Lane::Control).map(|key| key.0).collect()
    }

    fn client(&self, target: u64, lane: Lane) -> Client<E> {
        Client { own_id: self.own_id, target, lane, link: self.link(target, lane).cloned() }
    }
}

impl<E: Env> RaftNetworkFactory<TC<E::Rt>> for Links<E> {
    type Network = Client<E>;

    async fn new_client(&mut self, target: u64, _node: &PeerInfo) -> Client<E> {
        self.client(target, Lane::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &PeerInfo) -> Client<E> {
        self.client(target, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &PeerInfo) -> Client<E> {
        self.client(target, Lane::Bulk)
    }
}

/// openraft's way to one peer.
pub(crate) struct Client<E: Env> {
    own_id: u64,
    target: u64,
    lane: Lane,
    link: Option<Link<E>>,
}

type Rpc<E> = RPCError<TC<<E as Env>::Rt>>;

impl<E: Env> Client<E> {
    async fn call(
        &self,
        action: RPCTypes,
        request: &Request,
        wait: Duration,
    ) -> Result<Reply, Rpc<E>> {
        let unreachable = |text: &str| RPCError::Unreachable(Unreachable::from_string(text));
        let Some(link) = &self.link else {
            return Err(unreachable("the member has no address here"));
        };
        match link.call(request, wait).await {
            Ok(Reply::Refused(text)) => Err(RPCError::Network(NetworkError::from_string(text.0))),
            Ok(reply) => Ok(reply),
            Err(CallError::Unreachable) => Err(unreachable("no connection")),
            Err(CallError::Busy) => Err(unreachable("too many requests are waiting")),
            Err(CallError::Lost) => Err(RPCError::Timeout(Timeout {
                action,
                id: self.own_id,
                target: self.target,
                timeout: wait,
            })),
        }
    }

    fn odd<T>(&self) -> Result<T, Rpc<E>> {
        let text = format!("member {} answered something else", self.target);
        Err(RPCError::Network(NetworkError::from_string(text)))
    }

    async fn ballot(
        &self,
        action: RPCTypes,
        request: &Request,
        wait: Duration,
    ) -> Result<VoteResponse<TC<E::Rt>>, Rpc<E>> {
        match self.call(action, request, wait).await? {
            Reply::Vote { vote, granted, last } => {
                Ok(VoteResponse::new(Vote::from(vote), last.map(Into::into), granted))
            }
            Reply::Append(_)
            | Reply::SnapshotMore
            | Reply::SnapshotDone(_)
            | Reply::Transfer(_)
            | Reply::Survey(_)
            | Reply::Forward(_)
            | Reply::Refused(_) => self.odd(),
        }
    }

    async fn send_snapshot(
        &self,
        vote: StoredVote,
        meta: StoredSnapshotMeta,
        data: Bytes,
    ) -> Result<SnapshotResponse<TC<E::Rt>>, Rpc<E>> {
        let mut offset = 0;
        loop {
            let end = data.len().min(offset + SNAPSHOT_PART);
            let request = Request::Snapshot {
                vote,
                meta: meta.clone(),
                len: data.len() as u64,
                offset: offset as u64,
                part: Blob(data.slice(offset..end)),
            };
            let last = end == data.len();
            let wait = if last { SNAPSHOT_INSTALL_WAIT } else { SNAPSHOT_PART_WAIT };
            match self.call(RPCTypes::InstallSnapshot, &request, wait).await? {
                // A peer that knows a higher vote ends the transfer early.
                Reply::SnapshotDone(vote) => return Ok(SnapshotResponse::new(vote.into())),
                Reply::SnapshotMore if !last => offset = end,
                Reply::SnapshotMore
                | Reply::Append(_)
                | Reply::Vote { .. }
                | Reply::Transfer(_)
                | Reply::Survey(_)
                | Reply::Forward(_)
                | Reply::Refused(_) => return self.odd(),
            }
        }
    }
}

type OpenraftSnapshot = openraft::Snapshot<CommittedLeader, u64, PeerInfo, Bytes>;

impl<E: Env> RaftNetworkV2<TC<E::Rt>> for Client<E> {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TC<E::Rt>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TC<E::Rt>>, Rpc<E>> {
        let request = Request::append(&rpc);
        let wait = match self.lane {
            Lane::Log => APPEND_WAIT,
            Lane::Control | Lane::Bulk => option.hard_ttl(),
        };
        match self.call(RPCTypes::AppendEntries, &request, wait).await? {
            Reply::Append(answer) => Ok(answer.into()),
            Reply::Vote { .. }
            | Reply::SnapshotMore
            | Reply::SnapshotDone(_)
            | Reply::Transfer(_)
            | Reply::Survey(_)
            | Reply::Forward(_)
            | Reply::Refused(_) => self.odd(),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TC<E::Rt>>,
        option: RPCOption,
    ) -> Result<VoteResponse<TC<E::Rt>>, Rpc<E>> {
        let request = Request::Vote(Ballot::from(&rpc));
        self.ballot(RPCTypes::Vote, &request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TC<E::Rt>>,
        option: RPCOption,
    ) -> Result<VoteResponse<TC<E::Rt>>, Rpc<E>> {
        let request = Request::PreVote(Ballot::from(&rpc));
        self.ballot(RPCTypes::Vote, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: OpenraftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TC<E::Rt>>, StreamingError<TC<E::Rt>>> {
        let sending = self.send_snapshot(vote.into(), (&snapshot.meta).into(), snapshot.snapshot);
        match E::Rt::select2(Box::pin(cancel), Box::pin(sending)).await {
            Select2::First(closed) => Err(StreamingError::Closed(closed)),
            Select2::Second(result) => Ok(result?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TC<E::Rt>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TC<E::Rt>>, Rpc<E>> {
        let request = Request::transfer(&request);
        match self.call(RPCTypes::TransferLeader, &request, option.hard_ttl()).await? {
            Reply::Transfer(true) => Ok(Ok(())),
            Reply::Transfer(false) => {
                let text = "the peer would not take over";
                Err(RPCError::Network(NetworkError::from_string(text)))
            }
            Reply::Append(_)
            | Reply::Vote { .. }
            | Reply::SnapshotMore
            | Reply::SnapshotDone(_)
            | Reply::Survey(_)
            | Reply::Forward(_)
            | Reply::Refused(_) => self.odd(),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(UNREACHABLE_PAUSE)))
    }
}
