//! The hash that ties a credential to one body: the payload of munge and auth/slurm credentials.

use k12::{CustomRefKt128, ExtendableOutput, Update, XofReader};
use sha3::{Digest, Sha3_256};

/// Bytes of either digest.
const DIGEST_BYTES: usize = 32;
const KIND_NONE: u8 = 1;
const KIND_K12: u8 = 2;
const KIND_SHA3: u8 = 4;

/// Which digest a sender uses (`HashPlugin`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashKind {
    /// KangarooTwelve, customised by the message number. Slurm's default.
    #[default]
    K12,
    /// SHA3-256 over body and message number. Understood from 24.05 on.
    Sha3,
}

/// How much of a message its credential's payload vouches for, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// Nothing: the payload is empty.
    Nothing,
    /// The message number only.
    TypeOnly,
    /// Number and body.
    Body,
}

/// The payload belongs to another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashMismatch;

impl std::fmt::Display for HashMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the credential was made for another message")
    }
}

impl std::error::Error for HashMismatch {}

/// The payload for a body: the digest's kind and the digest.
pub fn hash_block(kind: HashKind, body: &[u8], msg_type: u16) -> Vec<u8> {
    let (tag, digest) = match kind {
        HashKind::K12 => (KIND_K12, k12(body, msg_type)),
        HashKind::Sha3 => (KIND_SHA3, sha3(body, msg_type)),
    };
    let mut block = Vec::with_capacity(1 + DIGEST_BYTES);
    block.push(tag);
    block.extend_from_slice(&digest);
    block
}

/// Judges a verified credential's payload against the message that came with it. What coverage is
/// enough is the caller's policy.
pub fn check_hash(payload: &[u8], body: &[u8], msg_type: u16) -> Result<Coverage, HashMismatch> {
    let Some((kind, digest)) = payload.split_first() else {
        return Ok(Coverage::Nothing);
    };
    let (expected, coverage) = match *kind {
        KIND_NONE => (msg_type.to_be_bytes().to_vec(), Coverage::TypeOnly),
        KIND_K12 => (k12(body, msg_type).to_vec(), Coverage::Body),
        KIND_SHA3 => (sha3(body, msg_type).to_vec(), Coverage::Body),
        _ => return Err(HashMismatch),
    };
    if expected == digest { Ok(coverage) } else { Err(HashMismatch) }
}

fn k12(body: &[u8], msg_type: u16) -> [u8; DIGEST_BYTES] {
    let customization = msg_type.to_be_bytes();
    let mut hasher = CustomRefKt128::new_customized(&customization);
    hasher.update(body);
    let mut digest = [0; DIGEST_BYTES];
    hasher.finalize_xof().read(&mut digest);
    digest
}

fn sha3(body: &[u8], msg_type: u16) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha3_256::new();
    Digest::update(&mut hasher, body);
    Digest::update(&mut hasher, msg_type.to_be_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_fits_its_message_only() {
        for kind in [HashKind::K12, HashKind::Sha3] {
            let block = hash_block(kind, b"body", 4003);
            assert_eq!(block.len(), 33);
            assert_eq!(check_hash(&block, b"body", 4003), Ok(Coverage::Body));
            assert_eq!(check_hash(&block, b"bodY", 4003), Err(HashMismatch));
            assert_eq!(check_hash(&block, b"body", 4004), Err(HashMismatch));
            assert_eq!(check_hash(&block[..32], b"body", 4003), Err(HashMismatch));
        }
    }

    #[test]
    fn weak_payloads_are_told_apart() {
        assert_eq!(check_hash(b"", b"body", 2003), Ok(Coverage::Nothing));
        assert_eq!(check_hash(b"\x01\x07\xd3", b"body", 2003), Ok(Coverage::TypeOnly));
        assert_eq!(check_hash(b"\x01\x07\xd4", b"body", 2003), Err(HashMismatch));
        assert_eq!(check_hash(b"\x03\x00", b"body", 2003), Err(HashMismatch));
    }
}
