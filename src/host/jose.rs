//! Compact JSON web signatures (RFC 7515): three parts of base64url with dots between.
//!
//! Two algorithms exist here, HS256 and RS256, and the caller says which one a key is for: what a
//! token's own header claims never picks how it is checked. What the claims mean is the callers'
//! business.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, general_purpose};
use hmac::{Hmac, Mac};
use rsa::{BoxedUint, Pkcs1v15Sign, PublicKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Longest token looked at, in bytes: a job credential with its user's groups fits many times.
pub const TOKEN_BYTES_MAX: usize = 1 << 20;
/// Largest RSA modulus used, bits.
const RSA_BITS_MAX: usize = 8192;
/// Smallest RSA modulus used, bits (RFC 7518 section 3.3).
const RSA_BITS_MIN: usize = 2048;
/// What PKCS #1 puts before a SHA-256 digest (RFC 8017 section 9.2, note 1).
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three parts of base64url JSON, or too long.
    Malformed,
    /// Not the algorithm that the key is for.
    Algorithm(String),
    /// No key of that name is known, or the token names none where it must.
    Key(String),
    /// The key has expired.
    KeyExpired(String),
    /// The signature is not ours.
    Signature,
    /// `exp` is past, or there is none.
    Expired,
    /// A claim is missing, or not what it should be.
    Claim(&'static str),
    /// The token is meant for another user's eyes.
    Reader(u32),
    /// The token is of another cluster.
    Cluster(String),
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => write!(f, "malformed token"),
            Self::Algorithm(name) => write!(f, "token of algorithm {name:?}, which no key is for"),
            Self::Key(name) => write!(f, "token signed with key {name:?}, which is not known"),
            Self::KeyExpired(name) => write!(f, "token signed with key {name:?}, which expired"),
            Self::Signature => write!(f, "token signed with another key"),
            Self::Expired => write!(f, "token expired"),
            Self::Claim(name) => write!(f, "token without a proper {name} claim"),
            Self::Reader(uid) => write!(f, "token meant for uid {uid}"),
            Self::Cluster(name) => write!(f, "token of cluster {name:?}"),
        }
    }
}

impl std::error::Error for TokenError {}

/// A token taken apart, but not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified<'a> {
    header: Value,
    /// Header and claims with the dot between: what is signed.
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    pub fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if claims.contains('.') {
            return Err(TokenError::Malformed);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        Ok(Self { header: json(header)?, signed, claims, signature })
    }

    /// The algorithm that the header claims.
    pub fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or("")
    }

    /// The key that the header names.
    pub fn key_name(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The claims, once the signature is found to be made with a shared key.
    pub fn hs256(self, key: &[u8]) -> Result<Claims, TokenError> {
        self.expect_algorithm("HS256")?;
        let mut mac = keyed(key);
        mac.update(self.signed.as_bytes());
        mac.verify_slice(&self.signature).map_err(|_| TokenError::Signature)?;
        self.verified()
    }

    /// The claims, once the signature is found to be made with the private half of a key.
    pub fn rs256(self, key: &RsaKey) -> Result<Claims, TokenError> {
        self.expect_algorithm("RS256")?;
        let digest = Sha256::digest(self.signed.as_bytes());
        let scheme = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: Box::new(SHA256_PREFIX) };
        key.0.verify(scheme, &digest, &self.signature).map_err(|_| TokenError::Signature)?;
        self.verified()
    }

    fn expect_algorithm(&self, name: &str) -> Result<(), TokenError> {
        let claimed = self.algorithm();
        if claimed.eq_ignore_ascii_case(name) {
            return Ok(());
        }
        Err(TokenError::Algorithm(claimed.to_owned()))
    }

    fn verified(self) -> Result<Claims, TokenError> {
        match json(self.claims)? {
            Value::Object(claims) => Ok(Claims(claims)),
            _ => Err(TokenError::Malformed),
        }
    }
}

/// The claims of a token whose signature holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// A claim of any kind.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A claim that is a whole number.
    pub fn integer(&self, name: &'static str) -> Result<i64, TokenError> {
        self.get(name).and_then(Value::as_i64).ok_or(TokenError::Claim(name))
    }

    /// A claim that is a user's or group's number.
    pub fn id(&self, name: &'static str) -> Result<u32, TokenError> {
        u32::try_from(self.integer(name)?).map_err(|_| TokenError::Claim(name))
    }
}

/// Signs claims with a shared key.
pub fn sign_hs256(key_name: Option<&str>, claims: &Value, key: &[u8]) -> String {
    let header = match key_name {
        Some(name) => serde_json::json!({ "alg": "HS256", "kid": name, "typ": "JWT" }),
        None => serde_json::json!({ "alg": "HS256", "typ": "JWT" }),
    };
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = keyed(key);
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// The public half of an RSA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaKey(PublicKey);

impl RsaKey {
    /// From modulus and exponent as a JSON web key carries them (RFC 7518 section 6.3.1).
    pub fn from_jwk(modulus: &str, exponent: &str) -> Result<Self, String> {
        let number = |text: &str, what: &str| {
            let bytes = unbase64(text).ok_or_else(|| format!("{what} is not base64url"))?;
            if bytes.len() * 8 > RSA_BITS_MAX {
                return Err(format!("{what} is over {RSA_BITS_MAX} bits"));
            }
            let bits = u32::try_from(bytes.len() * 8).expect("bounded by RSA_BITS_MAX");
            BoxedUint::from_be_slice(&bytes, bits).map_err(|error| format!("{what}: {error}"))
        };
        let (modulus, exponent) =
            (number(modulus, "the modulus")?, number(exponent, "the exponent")?);
        let sizes = RSA_BITS_MIN..=RSA_BITS_MAX;
        let key = PublicKey::new_with_size_limits(modulus, exponent, sizes);
        key.map(Self).map_err(|error| error.to_string())
    }
}

/// Bytes of base64 in either alphabet, with or without padding: libjwt and Slurm write both.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    const EITHER: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(false),
    );
    let text: String = text
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    EITHER.decode(text).ok()
}

/// Base64 as libjwt writes payloads.
pub fn base64(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn json(part: &str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn both_alphabets_of_base64_are_read() {
        let bytes = [0xfb, 0xff, 0xfe, 0x01];
        for text in ["-__-AQ", "+//+AQ==", "+//+AQ", "-__-AQ=="] {
            assert_eq!(unbase64(text), Some(bytes.to_vec()), "{text}");
        }
        assert_eq!(unbase64("a b"), None);
        assert_eq!(unbase64("-__-AR"), None, "bits that mean nothing must be zero");
        assert_eq!(base64(&bytes), "+//+AQ==");
    }

    #[test]
    fn a_token_signed_here_is_verified_here_and_with_no_other_key() {
        let claims = serde_json::json!({ "exp": 5, "uid": 7, "big": 1u64 << 40, "minus": -1 });
        let token = sign_hs256(Some("one"), &claims, KEY);
        let split = || Unverified::split(&token).unwrap();
        assert_eq!(split().key_name(), Some("one"));
        let found = split().hs256(KEY).unwrap();
        assert_eq!(found.id("uid"), Ok(7));
        assert_eq!(found.id("big"), Err(TokenError::Claim("big")));
        assert_eq!(found.id("minus"), Err(TokenError::Claim("minus")));
        assert_eq!(found.integer("none"), Err(TokenError::Claim("none")));
        assert_eq!(split().hs256(b"another key"), Err(TokenError::Signature));
        let unnamed = sign_hs256(None, &claims, KEY);
        assert_eq!(Unverified::split(&unnamed).unwrap().key_name(), None);
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        for text in
            ["", ".", "..", "a.b", "a.b.c", "e30.e30", "e30.e30.", "e30.e30.a.b", "\u{e9}.b.c"]
        {
            match Unverified::split(text) {
                Ok(parts) => assert!(parts.hs256(KEY).is_err(), "{text:?}"),
                Err(error) => assert_eq!(error, TokenError::Malformed, "{text:?}"),
            }
        }
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        assert_eq!(Unverified::split(&long), Err(TokenError::Malformed));
    }

    #[test]
    fn a_small_or_broken_rsa_key_is_refused() {
        let long = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        assert!(RsaKey::from_jwk(&long(256), "AQAB").is_ok());
        assert!(RsaKey::from_jwk(&long(255), "AQAB").is_err());
        assert!(RsaKey::from_jwk(&long(2048), "AQAB").is_err());
        assert!(RsaKey::from_jwk("!", "AQAB").unwrap_err().contains("base64url"));
        assert!(RsaKey::from_jwk(&long(256), "").is_err());
        assert!(RsaKey::from_jwk(&long(256), "AQ").is_err(), "an exponent of 1 signs nothing");
    }
}
