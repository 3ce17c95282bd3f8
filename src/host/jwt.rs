//! JSON Web Tokens as Slurm's auth/jwt uses them: HS256 over the cluster's shared key.
//!
//! A token names its user in `sun` (or `username`) and ends at `exp`, seconds since 1970. Tokens of
//! any other algorithm are refused: "none" above all.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flurm_base::Time;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

/// Longest token looked at, in bytes.
const TOKEN_MAX: usize = 16 * 1024;
/// Shortest key accepted, in bytes (RFC 7518 section 3.2 asks for the hash's length).
pub const KEY_MIN: usize = 32;

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three parts of base64url JSON, or too long.
    Malformed,
    /// Another algorithm than HS256.
    Algorithm(String),
    /// The signature is not ours.
    Signature,
    /// `exp` is past, or there is none.
    Expired,
    /// No `sun` or `username`.
    Nameless,
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed => write!(f, "malformed token"),
            Self::Algorithm(name) => write!(f, "token of algorithm {name}, only HS256 is accepted"),
            Self::Signature => write!(f, "token signed with another key"),
            Self::Expired => write!(f, "token expired"),
            Self::Nameless => write!(f, "token names no user (sun)"),
        }
    }
}

/// The claims of a verified token that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Whom the token stands for.
    pub user_name: String,
    /// Until when.
    pub expires: Time,
}

/// Checks the signature and the end of a token.
pub fn verify(token: &str, key: &[u8], now: Time) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_MAX {
        return Err(TokenError::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::Malformed);
    };
    let algorithm = text(&json(head)?, "alg").ok_or(TokenError::Malformed)?;
    if !algorithm.eq_ignore_ascii_case("HS256") {
        return Err(TokenError::Algorithm(algorithm));
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
    let mut mac = keyed(key);
    mac.update(&token.as_bytes()[..head.len() + 1 + claims.len()]);
    mac.verify_slice(&signature).map_err(|_| TokenError::Signature)?;
    let claims = json(claims)?;
    let expires = claims.get("exp").and_then(Value::as_i64).ok_or(TokenError::Expired)?;
    if Time::from_secs(expires) < now {
        return Err(TokenError::Expired);
    }
    let user_name = text(&claims, "sun").or_else(|| text(&claims, "username"));
    let user_name = user_name.ok_or(TokenError::Nameless)?;
    Ok(Claims { user_name, expires: Time::from_secs(expires) })
}

/// Makes a token for `scontrol token` and for tests.
pub fn issue(user_name: &str, key: &[u8], now: Time, expires: Time) -> String {
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = serde_json::json!({
        "exp": expires.secs(), "iat": now.secs(), "sun": user_name,
    });
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let mut mac = keyed(key);
    mac.update(format!("{head}.{claims}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{head}.{claims}.{signature}")
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn json(part: &str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: Time = Time::from_secs(1_000);

    #[test]
    fn an_issued_token_names_its_user_until_it_ends() {
        let token = issue("alice", KEY, NOW, Time::from_secs(1_060));
        let claims = verify(&token, KEY, Time::from_secs(1_060)).unwrap();
        assert_eq!(claims.user_name, "alice");
        assert_eq!(verify(&token, KEY, Time::from_secs(1_061)), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_of_another_key_or_changed_by_one_letter_is_refused() {
        let token = issue("alice", KEY, NOW, Time::from_secs(1_060));
        let other = b"another key another key another!";
        assert_eq!(verify(&token, other, NOW), Err(TokenError::Signature));
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            if changed != token {
                assert!(verify(&changed, KEY, NOW).is_err(), "changed at {at} was accepted");
            }
        }
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":99999999999,"sun":"root"}"#);
        let token = format!("{head}.{claims}.");
        assert_eq!(verify(&token, KEY, NOW), Err(TokenError::Algorithm("none".into())));
    }
}
