//! JSON web tokens as Slurm's auth/jwt uses them (`src/plugins/auth/jwt/auth_jwt.c`): HS256 over a key
//! that the controllers hold, or RS256 by the public keys of an outside issuer.
//!
//! A token names its user in `sun`, else in `username`, else in the claim that `userclaimfield` names,
//! and ends at `exp`, seconds since 1970. It vouches for no message: whoever has it is its user.

use std::collections::BTreeMap;

use flurm_base::Time;
use serde_json::Value;

use crate::jose::{RsaKey, TokenError, Unverified, sign_hs256};
use crate::keyring::jwk_list;

/// Shortest HS256 key accepted, in bytes (RFC 7518 section 3.2 asks for the hash's length).
pub const KEY_BYTES_MIN: usize = 32;
/// Largest number of seconds that a token may be asked for (Slurm's `NO_VAL`).
const LIFESPAN_SECS_MAX: u32 = i32::MAX as u32;

/// Whom a token stands for, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Login name.
    pub user_name: String,
    /// Until when.
    pub expires: Time,
}

/// The public keys of `AuthAltParameters=jwks=`, by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PublicKeys(BTreeMap<String, RsaKey>);

impl std::fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl PublicKeys {
    /// From a JSON web key set. Keys of other algorithms than RS256 are passed over; one that names
    /// none too, because Slurm never takes a token by it.
    pub fn from_jwks(bytes: &[u8]) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        for (line, key) in jwk_list(bytes)? {
            let text = |field: &str| key.get(field).and_then(Value::as_str);
            let name = text("kid").ok_or_else(|| format!("line {line}: a key without kid"))?;
            if !text("alg").is_some_and(|alg| alg.eq_ignore_ascii_case("RS256")) {
                tracing::info!("passed over key {name:?}, which is not for RS256");
                continue;
            }
            let (Some(modulus), Some(exponent)) = (text("n"), text("e")) else {
                return Err(format!("line {line}: key {name:?}: no modulus or exponent (n, e)"));
            };
            let public = RsaKey::from_jwk(modulus, exponent);
            let public = public.map_err(|text| format!("line {line}: key {name:?}: {text}"))?;
            // The first of a name decides, as in Slurm.
            keys.entry(name.to_owned()).or_insert(public);
        }
        Ok(Self(keys))
    }
}

/// What tokens of auth/jwt are checked and made with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JwtKeys {
    /// HS256 key (`jwt_key=`); without it no HS256 token counts and none can be made.
    pub shared: Option<Vec<u8>>,
    /// RS256 keys (`jwks=`).
    pub public: Option<PublicKeys>,
    /// `userclaimfield=`.
    pub user_claim: Option<String>,
}

impl std::fmt::Debug for JwtKeys {
    /// Names of keys only: keys belong into no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shared = self.shared.as_ref().map(|_| "HS256");
        f.debug_struct("JwtKeys").field("shared", &shared).field("public", &self.public).finish()
    }
}

impl JwtKeys {
    /// Checks the signature and the end of a token, and says whose it is.
    pub fn verify(&self, token: &str, now: Time) -> Result<Bearer, TokenError> {
        let token = Unverified::split(token)?;
        let algorithm = token.algorithm().to_owned();
        let unknown = || TokenError::Algorithm(algorithm.clone());
        let claims = if algorithm.eq_ignore_ascii_case("RS256") {
            let keys = &self.public.as_ref().ok_or_else(unknown)?.0;
            let name = token.key_name().ok_or(TokenError::Key(String::new()))?;
            let key = keys.get(name).ok_or_else(|| TokenError::Key(name.to_owned()))?;
            token.rs256(key)?
        } else {
            token.hs256(self.shared.as_ref().ok_or_else(unknown)?)?
        };
        let expires = Time::from_secs(claims.integer("exp")?);
        if expires < now {
            return Err(TokenError::Expired);
        }
        let own_field = self.user_claim.as_deref().and_then(|field| claims.text(field));
        let name = claims.text("sun").or_else(|| claims.text("username")).or(own_field);
        let user_name = name.ok_or(TokenError::Claim("sun"))?.to_owned();
        Ok(Bearer { user_name, expires })
    }

    /// Makes a token for `scontrol token`; `None` without a key, or for a life that no token has.
    pub fn issue(&self, user_name: &str, now: Time, lifespan_s: u32) -> Option<String> {
        if lifespan_s == 0 || lifespan_s > LIFESPAN_SECS_MAX {
            return None;
        }
        let claims = serde_json::json!({
            "exp": now.secs() + i64::from(lifespan_s), "iat": now.secs(), "sun": user_name,
        });
        Some(sign_hs256(None, &claims, self.shared.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);
    const JWKS: &[u8] = include_bytes!("test_keys/keys.jwks");
    /// Tokens that OpenSSL signed, good until 2033.
    const FIRST: &str = include_str!("test_keys/first.jwt");
    const SECOND: &str = include_str!("test_keys/second.jwt");
    const CLAIM: &str = include_str!("test_keys/claim.jwt");
    const CROSSED: &str = include_str!("test_keys/crossed.jwt");
    const NAMELESS: &str = include_str!("test_keys/nameless.jwt");
    const NO_ALG: &str = include_str!("test_keys/no-alg.jwt");

    fn shared(key: &[u8]) -> JwtKeys {
        JwtKeys { shared: Some(key.to_vec()), ..JwtKeys::default() }
    }

    fn ours() -> JwtKeys {
        shared(b"0123456789abcdef0123456789abcdef")
    }

    fn issuer() -> JwtKeys {
        let public = Some(PublicKeys::from_jwks(JWKS).unwrap());
        JwtKeys { public, ..JwtKeys::default() }
    }

    fn user(keys: &JwtKeys, token: &str) -> Result<String, TokenError> {
        keys.verify(token.trim(), NOW).map(|bearer| bearer.user_name)
    }

    #[test]
    fn an_issued_token_names_its_user_until_it_ends() {
        let token = ours().issue("alice", NOW, 60).unwrap();
        let bearer = ours().verify(&token, Time::from_secs(1_060)).unwrap();
        assert_eq!(bearer.user_name, "alice");
        let late = ours().verify(&token, Time::from_secs(1_061));
        assert_eq!(late, Err(TokenError::Expired));
    }

    #[test]
    fn tokens_of_no_life_or_without_a_key_are_not_made() {
        for lifespan_s in [0, 1 << 31, flurm_wire::NO_VAL, flurm_wire::INFINITE] {
            assert_eq!(ours().issue("alice", NOW, lifespan_s), None, "{lifespan_s}");
        }
        assert_eq!(issuer().issue("alice", NOW, 60), None);
    }

    #[test]
    fn a_token_of_another_key_or_changed_by_one_letter_is_refused() {
        let token = ours().issue("alice", NOW, 60).unwrap();
        let other = shared(b"another key another key another!");
        assert_eq!(user(&other, &token), Err(TokenError::Signature));
        for (keys, token) in [(ours(), token.as_str()), (issuer(), FIRST.trim())] {
            for at in 0..token.len() {
                let mut bytes = token.as_bytes().to_vec();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(bytes).unwrap();
                if changed != token {
                    assert!(user(&keys, &changed).is_err(), "changed at {at} was accepted");
                }
            }
        }
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        // {"alg":"none"} and {"exp":99999999999,"sun":"root"}
        let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTk5LCJzdW4iOiJyb290In0.";
        assert_eq!(user(&ours(), token), Err(TokenError::Algorithm("none".into())));
        assert_eq!(user(&issuer(), token), Err(TokenError::Algorithm("none".into())));
    }

    #[test]
    fn a_token_of_an_outside_issuer_is_checked_by_the_key_it_names() {
        assert_eq!(user(&issuer(), FIRST), Ok("ada".into()));
        assert_eq!(user(&issuer(), SECOND), Ok("bob".into()));
        assert_eq!(user(&issuer(), CROSSED), Err(TokenError::Signature));
        assert_eq!(user(&issuer(), NAMELESS), Err(TokenError::Key(String::new())));
        assert_eq!(user(&issuer(), NO_ALG), Err(TokenError::Key("no-alg".into())));
        let late = issuer().verify(FIRST.trim(), Time::from_secs(2_000_000_001));
        assert_eq!(late, Err(TokenError::Expired));
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_shared_one() {
        // The classic forgery: an HS256 token keyed with what everybody may read.
        let forged = shared(JWKS).issue("root", NOW, 60).unwrap();
        assert_eq!(user(&issuer(), &forged), Err(TokenError::Algorithm("HS256".into())));
        let both = JwtKeys { public: issuer().public, ..ours() };
        assert_eq!(user(&both, &forged), Err(TokenError::Signature));
        assert_eq!(user(&ours(), FIRST), Err(TokenError::Algorithm("RS256".into())));
        assert_eq!(user(&both, FIRST), Ok("ada".into()));
    }

    #[test]
    fn a_site_may_name_the_claim_that_holds_the_user() {
        assert_eq!(user(&issuer(), CLAIM), Err(TokenError::Claim("sun")));
        let field = |name: &str| JwtKeys { user_claim: Some(name.into()), ..issuer() };
        assert_eq!(user(&field("preferred_username"), CLAIM), Ok("cleo".into()));
        // Slurm's own claims come first.
        assert_eq!(user(&field("sub"), SECOND), Ok("bob".into()));
    }

    #[test]
    fn key_sets_that_slurm_would_not_start_with_are_refused() {
        for (text, complaint) in [
            ("{}", "no list of keys"),
            ("nothing", "no JSON"),
            (r#"{"keys":[{"alg":"RS256"}]}"#, "without kid"),
            (r#"{"keys":[{"alg":"RS256","kid":"a","e":"AQAB"}]}"#, "no modulus"),
            (r#"{"keys":[{"alg":"RS256","kid":"a","e":"AQAB","n":"AQAB"}]}"#, "key \"a\""),
        ] {
            let found = PublicKeys::from_jwks(text.as_bytes()).unwrap_err();
            assert!(found.contains(complaint), "{found}");
        }
    }
}
