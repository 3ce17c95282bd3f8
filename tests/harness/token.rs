//! Tokens as others than the daemons make them: an issuer of auth/jwt tokens (HS256 with a shared key,
//! RS256 with OpenSSL), and a thief of the cluster's key, or of another's, for auth/slurm.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A token of auth/jwt for `user`, valid from `issued_s` to `expires_s` (seconds since the epoch).
pub fn signed(key: &[u8], user: &str, issued_s: u64, expires_s: u64) -> String {
    hs256(key, &format!(r#"{{"exp":{expires_s},"iat":{issued_s},"sun":"{user}"}}"#))
}

/// A token with these claims, signed with a shared key.
pub fn hs256(key: &[u8], claims: &str) -> String {
    hs256_with(key, r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

fn hs256_with(key: &[u8], header: &str, claims: &str) -> String {
    let signed = joined(header, claims);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// What an auth/slurm token says.
#[derive(Clone, Debug)]
pub struct SlurmClaims<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// What for: `sack` for a client's message.
    pub context: &'a str,
    /// Whose it is.
    pub uid: u32,
    /// When it was made, seconds since the epoch.
    pub issued_s: u64,
    /// When it ends.
    pub expires_s: u64,
    /// Whose eyes it is for.
    pub reader: u32,
}

/// A token of auth/slurm as Slurm itself makes it, around a payload.
pub fn slurm(key: &[u8], claims: &SlurmClaims<'_>, payload: &[u8]) -> String {
    hs256(key, &slurm_claims(claims, payload))
}

/// As [`slurm`], with a key that has a name.
pub fn slurm_named(key: &[u8], name: &str, claims: &SlurmClaims<'_>, payload: &[u8]) -> String {
    let header = format!(r#"{{"alg":"HS256","kid":"{name}","typ":"JWT"}}"#);
    hs256_with(key, &header, &slurm_claims(claims, payload))
}

fn slurm_claims(claims: &SlurmClaims<'_>, payload: &[u8]) -> String {
    let SlurmClaims { cluster, context, uid, issued_s, expires_s, reader } = claims;
    let payload = STANDARD.encode(payload);
    let texts =
        format!(r#""cluster":"{cluster}","context":"{context}","host":"h","payload":"{payload}""#);
    let times = format!(r#""exp":{expires_s},"iat":{issued_s}"#);
    let numbers = format!(r#""gid":{uid},"uid":{uid},"ruid":{reader},"ver":10752"#);
    format!("{{{texts},{times},{numbers}}}")
}

/// An outside issuer with an RSA key of its own, which OpenSSL holds.
#[derive(Debug)]
pub struct Issuer {
    pem: std::path::PathBuf,
    name: String,
}

impl Issuer {
    /// Makes a key in `folder`; tokens name it `name`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let pem = folder.join(format!("{name}.pem"));
        let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&pem).arg("2048").output();
        let made = made.expect("run openssl");
        assert!(made.status.success(), "{made:?}");
        Self { pem, name: name.to_owned() }
    }

    /// The public half as an entry of a JSON web key set.
    pub fn jwk(&self) -> String {
        let mut openssl = Command::new("openssl");
        openssl.args(["rsa", "-noout", "-modulus", "-in"]).arg(&self.pem);
        let told = openssl.output().expect("run openssl").stdout;
        let told = String::from_utf8(told).expect("a modulus is text");
        let hex = told.trim().strip_prefix("Modulus=").expect("a modulus").to_owned();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        let modulus: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let (name, modulus) = (&self.name, URL_SAFE_NO_PAD.encode(modulus));
        format!(r#"{{"alg":"RS256","kty":"RSA","kid":"{name}","e":"AQAB","n":"{modulus}"}}"#)
    }

    /// A token with these claims that names `kid` as its key.
    pub fn sign(&self, kid: &str, claims: &str) -> String {
        let signed = joined(&format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"JWT"}}"#), claims);
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(&self.pem);
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut openssl = openssl.spawn().expect("run openssl");
        let mut input = openssl.stdin.take().expect("stdin is a pipe");
        input.write_all(signed.as_bytes()).expect("openssl reads");
        drop(input);
        let signature = openssl.wait_with_output().expect("wait for openssl").stdout;
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Writes a JSON web key set.
pub fn write_jwks(path: &Path, keys: &[String]) {
    fs::write(path, format!(r#"{{"keys":[{}]}}"#, keys.join(","))).expect("write a key set");
}

fn joined(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
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
