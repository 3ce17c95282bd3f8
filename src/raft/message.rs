//! What members ask each other, as sent.
//!
//! Variants and fields are never reordered; additions raise [`PROTOCOL_VERSION`].

use flurm_rt::AsyncRuntime;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use crate::codec::{Blob, Text};
use crate::stored::{StoredEntry, StoredLogId, StoredSnapshotMeta, StoredVote};
use crate::types::{Entry, LogId, TC, Vote};

/// Version of the peer protocol; members of different versions refuse each other.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

/// A request to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Raft's AppendEntries.
    Append {
        vote: StoredVote,
        previous: Option<StoredLogId>,
        entries: Vec<StoredEntry>,
        committed: Option<StoredLogId>,
    },
    /// Raft's RequestVote.
    Vote(Ballot),
    /// Would you vote so?
    PreVote(Ballot),
    /// Raft's InstallSnapshot, one part of it. Parts come in order, on one connection.
    Snapshot { vote: StoredVote, meta: StoredSnapshotMeta, len: u64, offset: u64, part: Blob },
    /// Please take over.
    Transfer { vote: StoredVote, to: u64, last: Option<StoredLogId> },
    /// What do you know of the cluster? Asked by a member that holds nothing.
    Survey,
    /// For the host.
    Forward(Blob),
}

/// A request for a vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ballot {
    pub(crate) vote: StoredVote,
    pub(crate) last: Option<StoredLogId>,
    pub(crate) transfer: bool,
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// To `Append`.
    Append(AppendAnswer),
    /// To `Vote` and `PreVote`.
    Vote { vote: StoredVote, granted: bool, last: Option<StoredLogId> },
    /// To a part of a snapshot that is not the last.
    SnapshotMore,
    /// To the last part of a snapshot.
    SnapshotDone(StoredVote),
    /// To `Transfer`.
    Transfer(bool),
    /// To `Survey`.
    Survey(Survey),
    /// To `Forward`.
    Forward(Blob),
    /// No answer to any of them; says why.
    Refused(Text),
}

/// How an append went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendAnswer {
    Success,
    Partial(Option<StoredLogId>),
    Conflict,
    HigherVote(StoredVote),
}

/// What a member knows of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Survey {
    /// This member holds nothing itself and may have lost what it held.
    pub(crate) joining: bool,
    /// The cluster has had a leader, as far as this member knows.
    pub(crate) established: bool,
    /// Newest term seen.
    pub(crate) term: u64,
    /// This member leads that term.
    pub(crate) leads: bool,
    /// Index of the last entry of its log.
    pub(crate) last: Option<u64>,
}

impl Request {
    pub(crate) fn append<R: AsyncRuntime>(request: &AppendEntriesRequest<TC<R>>) -> Self {
        Self::Append {
            vote: request.vote.into(),
            previous: request.prev_log_id.map(Into::into),
            entries: request.entries.iter().map(Into::into).collect(),
            committed: request.leader_commit.map(Into::into),
        }
    }

    pub(crate) fn transfer<R: AsyncRuntime>(request: &TransferLeaderRequest<TC<R>>) -> Self {
        Self::Transfer {
            vote: (*request.from_leader()).into(),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(Into::into),
        }
    }
}

/// openraft's request from the parts of a [`Request::Append`].
pub(crate) fn append_request<R: AsyncRuntime>(
    vote: StoredVote,
    previous: Option<StoredLogId>,
    entries: Vec<StoredEntry>,
    committed: Option<StoredLogId>,
) -> Result<AppendEntriesRequest<TC<R>>, String> {
    let mut before = previous;
    for entry in &entries {
        let expected = before.map_or(Some(0), |id| id.index.checked_add(1));
        let grows = before.is_none_or(|id| id.term <= entry.id.term);
        if Some(entry.id.index) != expected || !grows {
            return Err("entries of an append do not follow each other".to_owned());
        }
        before = Some(entry.id);
    }
    if before.is_some_and(|id| vote.term < id.term) {
        return Err("an entry of an append is newer than its leader".to_owned());
    }
    Ok(AppendEntriesRequest {
        vote: vote.into(),
        prev_log_id: previous.map(Into::into),
        entries: entries.into_iter().map(Entry::try_from).collect::<Result<_, String>>()?,
        leader_commit: committed.map(Into::into),
    })
}

impl<R: AsyncRuntime> From<&VoteRequest<TC<R>>> for Ballot {
    fn from(request: &VoteRequest<TC<R>>) -> Self {
        Self {
            vote: request.vote.into(),
            last: request.last_log_id.map(Into::into),
            transfer: request.leadership_transfer,
        }
    }
}

impl<R: AsyncRuntime> From<Ballot> for VoteRequest<TC<R>> {
    fn from(ballot: Ballot) -> Self {
        let mut request = VoteRequest::new(ballot.vote.into(), ballot.last.map(Into::into));
        request.leadership_transfer = ballot.transfer;
        request
    }
}

impl<R: AsyncRuntime> From<VoteResponse<TC<R>>> for Reply {
    fn from(response: VoteResponse<TC<R>>) -> Self {
        Self::Vote {
            vote: response.vote.into(),
            granted: response.vote_granted,
            last: response.last_log_id.map(Into::into),
        }
    }
}

impl<R: AsyncRuntime> From<AppendEntriesResponse<TC<R>>> for AppendAnswer {
    fn from(response: AppendEntriesResponse<TC<R>>) -> Self {
        match response {
            AppendEntriesResponse::Success => Self::Success,
            AppendEntriesResponse::PartialSuccess(id) => Self::Partial(id.map(Into::into)),
            AppendEntriesResponse::Conflict => Self::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Self::HigherVote(vote.into()),
        }
    }
}

impl<R: AsyncRuntime> From<AppendAnswer> for AppendEntriesResponse<TC<R>> {
    fn from(answer: AppendAnswer) -> Self {
        match answer {
            AppendAnswer::Success => Self::Success,
            AppendAnswer::Partial(id) => Self::PartialSuccess(id.map(LogId::from)),
            AppendAnswer::Conflict => Self::Conflict,
            AppendAnswer::HigherVote(vote) => Self::HigherVote(Vote::from(vote)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn samples() -> Vec<Request> {
        let vote = StoredVote { term: 7, node: 2, committed: true };
        let id = StoredLogId { term: 6, index: 300 };
        let ballot = Ballot { vote, last: Some(id), transfer: false };
        let entry = StoredEntry { id, payload: crate::stored::StoredPayload::Command(blob(b"xy")) };
        let meta = StoredSnapshotMeta {
            last: Some(id),
            members_at: None,
            members: crate::stored::StoredMembers {
                voters: vec![[1, 2].into()],
                nodes: Default::default(),
            },
        };
        vec![
            Request::Append { vote, previous: None, entries: vec![entry], committed: Some(id) },
            Request::Vote(ballot.clone()),
            Request::PreVote(ballot),
            Request::Snapshot { vote, meta, len: 9, offset: 5, part: blob(b"part") },
            Request::Transfer { vote, to: 3, last: None },
            Request::Survey,
            Request::Forward(blob(b"hello")),
        ]
    }

    fn blob(bytes: &'static [u8]) -> Blob {
        Blob(bytes::Bytes::from_static(bytes))
    }

    #[test]
    fn protocol_1_has_the_bytes_written_down() {
        let golden: [&[u8]; 7] = [
            &[0, 7, 2, 1, 0, 1, 6, 251, 44, 1, 1, 2, b'x', b'y', 1, 6, 251, 44, 1],
            &[1, 7, 2, 1, 1, 6, 251, 44, 1, 0],
            &[2, 7, 2, 1, 1, 6, 251, 44, 1, 0],
            &[3, 7, 2, 1, 1, 6, 251, 44, 1, 0, 1, 2, 1, 2, 0, 9, 5, 4, b'p', b'a', b'r', b't'],
            &[4, 7, 2, 1, 3, 0],
            &[5],
            &[6, 5, b'h', b'e', b'l', b'l', b'o'],
        ];
        for (request, golden) in samples().iter().zip(golden) {
            assert_eq!(encode(request), golden, "{request:?}");
            assert_eq!(decode::<Request>(golden).as_ref(), Ok(request));
        }
    }

    #[test]
    fn changed_bytes_are_read_or_refused_but_never_panic() {
        let mut rng = StdRng::seed_from_u64(8);
        let mut read = 0;
        for round in 0..20_000 {
            let mut bytes = encode(&samples()[round % 7]);
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            bytes.truncate(rng.random_range(0..=bytes.len()));
            let Ok(request) = decode::<Request>(&bytes) else { continue };
            read += 1;
            if let Request::Append { vote, previous, entries, committed } = request {
                drop(append_request::<openraft_rt_tokio::TokioRuntime>(
                    vote, previous, entries, committed,
                ));
            }
        }
        assert!(0 < read && read < 20_000, "{read}");
    }

    #[test]
    fn an_append_with_a_hole_is_refused() {
        let vote = StoredVote { term: 7, node: 2, committed: true };
        let at = |index| StoredEntry {
            id: StoredLogId { term: 7, index },
            payload: crate::stored::StoredPayload::Blank,
        };
        let read = |entries| {
            append_request::<openraft_rt_tokio::TokioRuntime>(vote, None, entries, None).is_ok()
        };
        assert!(read(vec![at(0), at(1)]));
        assert!(!read(vec![at(0), at(2)]));
        assert!(!read(vec![at(1)]));
        assert!(!read(vec![at(u64::MAX)]));
        let newer = StoredEntry { id: StoredLogId { term: 8, index: 0 }, ..at(0) };
        assert!(!read(vec![newer.clone()]), "newer than its leader");
        assert!(!read(vec![newer, at(1)]), "terms never fall");
    }
}
