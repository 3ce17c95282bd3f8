//! How two members convince each other of who they are, when a connection opens.

use std::future::Future;

/// Proves this member to others and verifies their proofs; given by the host.
///
/// A challenge is the hash of both sides' fresh nonces, both ids, the cluster's name and the
/// direction, so a proof made for one connection, one pair of members or one direction is worthless
/// for any other. Frames after the handshake carry a checksum, not a signature.
pub trait Handshake: Send + Sync + 'static {
    /// Makes a proof over `challenge`, at most [`crate::handshake::PROOF_BYTES_MAX`] bytes.
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

/// Largest proof accepted, bytes.
pub const PROOF_BYTES_MAX: usize = 16 * 1024;
