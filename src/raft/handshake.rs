//! How two members convince each other of who they are, when a connection opens.
//!
//! ```text
//! client  Hello    version, cluster, both ids, lane, nonce
//! server  Welcome  nonce, proof over the server's challenge
//! client  Proof    proof over the client's challenge
//! server  Accepted                                     (or Refused, with a reason, at any point)
//! ```

use std::future::Future;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::codec::{self, Blob};
use crate::frame::{self, Frame, Kind};
use crate::message::PROTOCOL_VERSION;

/// Proves this member to others and verifies their proofs; given by the host.
///
/// A challenge is the hash of both sides' fresh nonces, both ids, the cluster's name, the lane and
/// the direction, so a proof made for one connection, one pair of members or one direction is
/// worthless for any other. Frames after the handshake carry a checksum, not a signature: who can
/// change bytes between two controllers can still do harm.
pub trait Handshake: Send + Sync + 'static {
    /// Makes a proof over `challenge`, at most 16 KiB.
    fn prove(&self, challenge: &[u8; 32]) -> impl Future<Output = Result<Vec<u8>, String>> + Send;

    /// Judges the proof that a member claiming to be `peer` made over `challenge`. `Err` says why
    /// it is refused.
    fn verify(
        &self,
        peer: u64,
        challenge: &[u8; 32],
        proof: &[u8],
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// Largest proof, bytes.
const PROOF_BYTES_MAX: usize = 16 << 10;
/// Largest frame before both sides are convinced, bytes.
const FRAME_BYTES_MAX: usize = PROOF_BYTES_MAX + 1024;

/// What a connection is for: small urgent messages must not wait behind large ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Lane {
    /// Heartbeats, votes, surveys.
    Control,
    /// Replication of entries.
    Log,
    /// Snapshots and forwarded requests.
    Bulk,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    version: u32,
    cluster: [u8; 32],
    from: u64,
    to: u64,
    lane: Lane,
    nonce: [u8; 32],
}

#[derive(Debug, Serialize, Deserialize)]
struct Welcome {
    nonce: [u8; 32],
    proof: Blob,
}

/// One side of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// This member.
    pub(crate) id: u64,
    /// Fresh random bytes.
    pub(crate) nonce: [u8; 32],
}

impl Side {
    fn cluster_hash(&self) -> [u8; 32] {
        Sha256::digest(self.cluster.as_bytes()).into()
    }
}

fn challenge(role: &str, hello: &Hello, server_nonce: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"flurm raft handshake 1 ");
    hash.update(role.as_bytes());
    hash.update(hello.version.to_le_bytes());
    hash.update(hello.cluster);
    hash.update(hello.from.to_le_bytes());
    hash.update(hello.to.to_le_bytes());
    hash.update([hello.lane as u8]);
    hash.update(hello.nonce);
    hash.update(server_nonce);
    hash.finalize().into()
}

async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    kind: Kind,
    payload: &[u8],
) -> Result<(), String> {
    let bytes = frame::encode(kind, 0, payload);
    stream.write_all(&bytes).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S, kind: Kind) -> Result<Bytes, String> {
    let Frame { kind: found, payload, .. } =
        frame::read(stream, FRAME_BYTES_MAX).await.map_err(|error| error.to_string())?;
    if found == kind {
        return Ok(payload);
    }
    if found == Kind::Refused {
        let text: String = String::from_utf8_lossy(&payload).chars().take(200).collect();
        return Err(format!("refused by the peer: {text}"));
    }
    Err(format!("{found:?} came instead of {kind:?}"))
}

async fn prove<H: Handshake>(hook: &H, challenge: &[u8; 32]) -> Result<Vec<u8>, String> {
    let proof = hook.prove(challenge).await?;
    if PROOF_BYTES_MAX < proof.len() {
        return Err(format!("the own proof has {} bytes", proof.len()));
    }
    Ok(proof)
}

/// Opens a connection to `peer`.
pub(crate) async fn open<S, H>(
    stream: &mut S,
    hook: &H,
    side: &Side,
    peer: u64,
    lane: Lane,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handshake,
{
    let hello = Hello {
        version: PROTOCOL_VERSION,
        cluster: side.cluster_hash(),
        from: side.id,
        to: peer,
        lane,
        nonce: side.nonce,
    };
    send(stream, Kind::Hello, &codec::encode(&hello)).await?;
    let welcome = receive(stream, Kind::Welcome).await?;
    let welcome: Welcome = codec::decode(&welcome).map_err(|error| error.to_string())?;
    let server = challenge("server", &hello, &welcome.nonce);
    hook.verify(peer, &server, &welcome.proof.0).await?;
    let proof = prove(hook, &challenge("client", &hello, &welcome.nonce)).await?;
    send(stream, Kind::Proof, &proof).await?;
    receive(stream, Kind::Accepted).await?;
    Ok(())
}

/// Answers a connection. Returns who it is from and what it is for.
pub(crate) async fn answer<S, H>(
    stream: &mut S,
    hook: &H,
    side: &Side,
    known: impl Fn(u64) -> bool,
) -> Result<(u64, Lane), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handshake,
{
    let hello = receive(stream, Kind::Hello).await?;
    let hello: Hello = codec::decode(&hello).map_err(|error| error.to_string())?;
    let refusal = if hello.version != PROTOCOL_VERSION {
        Some(format!("peer protocol {} is not {PROTOCOL_VERSION}", hello.version))
    } else if hello.cluster != side.cluster_hash() {
        Some("another cluster".to_owned())
    } else if hello.to != side.id {
        Some(format!("member {} was called, this is member {}", hello.to, side.id))
    } else if hello.from == side.id || !known(hello.from) {
        Some(format!("member {} is not one of the peers", hello.from))
    } else {
        None
    };
    if let Some(text) = refusal {
        send(stream, Kind::Refused, text.as_bytes()).await?;
        return Err(text);
    }
    let proof = Blob(prove(hook, &challenge("server", &hello, &side.nonce)).await?.into());
    let welcome = Welcome { nonce: side.nonce, proof };
    send(stream, Kind::Welcome, &codec::encode(&welcome)).await?;
    let proof = receive(stream, Kind::Proof).await?;
    let client = challenge("client", &hello, &side.nonce);
    if let Err(text) = hook.verify(hello.from, &client, &proof).await {
        send(stream, Kind::Refused, b"the proof was not accepted").await?;
        return Err(text);
    }
    send(stream, Kind::Accepted, &[]).await?;
    Ok((hello.from, hello.lane))
}
