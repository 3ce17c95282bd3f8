//! JSON web tokens as a site's own issuer would make them for auth/jwt (HS256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A token for `user`, valid from `issued_s` to `expires_s` (seconds since the epoch).
pub fn signed(key: &[u8], user: &str, issued_s: u64, expires_s: u64) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = format!(r#"{{"exp":{expires_s},"iat":{issued_s},"sun":"{user}"}}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_token_is_made_again() {
        let token = signed(b"secret", "me", 1, 2);
        let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
        let claims = "eyJleHAiOjIsImlhdCI6MSwic3VuIjoibWUifQ";
        assert!(token.starts_with(&format!("{header}.{claims}.")), "{token}");
        assert_eq!(token.len(), header.len() + claims.len() + 2 + 43);
        assert_ne!(token, signed(b"Secret", "me", 1, 2));
    }
}
