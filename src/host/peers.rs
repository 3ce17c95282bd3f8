//! What controllers say to each other beside Raft: proofs of identity, and forwarded requests.

use flurm_base::{RequestKey, codec};
use flurm_ctld::Identity;
use flurm_raft::Handshake;
use flurm_rt::Env;
use serde::{Deserialize, Serialize};

use crate::auth_cell::AuthCell;

/// Proves a controller by a credential that only SlurmUser or root can make.
pub(crate) struct PeerProof<E: Env> {
    auth: AuthCell<E>,
}

impl<E: Env> PeerProof<E> {
    /// Uses the cluster's own authentication.
    pub(crate) fn new(auth: AuthCell<E>) -> Self {
        Self { auth }
    }
}

impl<E: Env> Handshake for PeerProof<E> {
    async fn prove(&self, challenge: &[u8; 32]) -> Result<Vec<u8>, String> {
        let proof = self.auth.now().prove(challenge).await;
        proof.map(String::into_bytes).map_err(|error| error.to_string())
    }

    async fn verify(&self, _peer: u64, challenge: &[u8; 32], proof: &[u8]) -> Result<(), String> {
        let proof = std::str::from_utf8(proof).map_err(|_| "the proof is not text".to_owned())?;
        self.auth.now().check_proof(challenge, proof).await
    }
}

/// A client's request, passed to the leader by the controller that verified it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forwarded {
    /// The client's uid.
    pub uid: u32,
    /// The client's primary group.
    pub gid: u32,
    /// Ties repetitions together.
    pub key: Option<[u8; 16]>,
    /// The client's login name and groups.
    pub user: Option<(String, Vec<u32>)>,
    /// The address that the client connected from; empty where it has none.
    pub peer: String,
    /// Protocol number of the client's release.
    pub release: u16,
    /// Kind of message.
    pub msg_type: u16,
    /// The message's body.
    #[serde(with = "codec::bytes")]
    pub body: Vec<u8>,
}

impl Forwarded {
    /// The client.
    pub(crate) fn identity(&self) -> Identity {
        Identity { uid: self.uid, gid: self.gid }
    }

    /// The key that ties repetitions together.
    pub(crate) fn key(&self) -> Option<RequestKey> {
        self.key.map(RequestKey)
    }

    /// As bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        codec::decode(bytes)
    }
}

/// The leader's answer to a forwarded request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ForwardedAnswer {
    /// The reply to pass on.
    Reply {
        /// Kind of message.
        msg_type: u16,
        /// Its body in the client's release.
        #[serde(with = "codec::bytes")]
        body: Vec<u8>,
    },
    /// Not the leader (any more): ask again elsewhere.
    NotLeader,
}

impl ForwardedAnswer {
    /// As bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        codec::decode(bytes)
    }
}
