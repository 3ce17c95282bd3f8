//! The keys that a cluster shares for auth/slurm: `slurm.key`, or several named ones in `slurm.jwks`
//! (Slurm's `src/plugins/auth/slurm/internal.c`). Where the files are, and who may read them, is
//! looked after here too.

use std::path::{Path, PathBuf};

use flurm_base::Time;
use flurm_rt::{Env, Fs};
use serde_json::Value;

use crate::jose::{Claims, TokenError, Unverified, sign_hs256, unbase64};

/// Shortest key accepted, in bytes (Slurm's own limit for keys in `slurm.jwks`).
pub const KEY_BYTES_MIN: usize = 16;
/// Largest key file read, bytes.
const KEY_FILE_BYTES_MAX: usize = 64 * 1024;
/// Where keys are when they do not lie beside slurm.conf, as for a node that got it from a
/// controller.
const FOLDER_DEFAULT: &str = "/etc/slurm";
/// Permissions of everybody else.
const OTHERS: u32 = 0o007;
/// Everybody else may change the file.
pub(crate) const OTHERS_WRITE: u32 = 0o002;

/// Key files named by whoever starts a daemon instead of being looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFiles {
    /// `SLURM_SACK_KEY`.
    pub key: Option<PathBuf>,
    /// `SLURM_SACK_JWKS`.
    pub jwks: Option<PathBuf>,
}

impl KeyFiles {
    /// The variable that names a `slurm.key`.
    pub const KEY_VARIABLE: &'static str = "SLURM_SACK_KEY";
    /// The variable that names a `slurm.jwks`.
    pub const JWKS_VARIABLE: &'static str = "SLURM_SACK_JWKS";

    /// Whether any is named: then a daemon uses auth/slurm whatever slurm.conf says.
    pub const fn any(&self) -> bool {
        self.key.is_some() || self.jwks.is_some()
    }

    /// The same files, copied into a folder.
    pub(crate) fn copied_to(&self, folder: &Path) -> Self {
        Self {
            key: self.key.as_ref().map(|_| folder.join("slurm.key")),
            jwks: self.jwks.as_ref().map(|_| folder.join("slurm.jwks")),
        }
    }

    /// Makes the copies that [`KeyFiles::copied_to`] names.
    pub(crate) async fn copy<E: Env>(&self, env: &E, folder: &Path) -> Result<(), String> {
        let copies = self.copied_to(folder);
        let pairs = [(&self.key, copies.key), (&self.jwks, copies.jwks)];
        for (from, to) in pairs.iter().filter_map(|(from, to)| Some((from.as_ref()?, to.as_ref()?)))
        {
            let failed = |e: std::io::Error| format!("could not copy {}: {e}", from.display());
            let bytes = env.fs().read(from, KEY_FILE_BYTES_MAX).await.map_err(failed)?;
            env.fs().replace(to, &bytes, 0o600).await.map_err(failed)?;
        }
        Ok(())
    }

    /// The files that a daemon reading `conf` uses, among those that exist.
    pub(crate) async fn find<E: Env>(&self, env: &E, conf: &Path) -> Option<Self> {
        let beside = conf.parent().unwrap_or(Path::new("/"));
        let folders = [beside, Path::new(FOLDER_DEFAULT)];
        let jwks = first(env, self.jwks.as_ref(), folders, "slurm.jwks").await;
        if jwks.is_some() {
            return Some(Self { key: None, jwks });
        }
        let key = first(env, self.key.as_ref(), folders, "slurm.key").await?;
        Some(Self { key: Some(key), jwks: None })
    }
}

async fn first<E: Env>(
    env: &E,
    named: Option<&PathBuf>,
    folders: [&Path; 2],
    name: &str,
) -> Option<PathBuf> {
    let candidates = match named {
        Some(path) => vec![path.clone()],
        None => folders.iter().map(|folder| folder.join(name)).collect(),
    };
    for path in candidates {
        if env.fs().access(&path).await.is_ok() {
            return Some(path);
        }
    }
    None
}

/// One key.
#[derive(Clone, PartialEq, Eq)]
struct SharedKey {
    /// Tokens name it so; `None` for the only key of `slurm.key`.
    name: Option<String>,
    /// No token signed with it is accepted after this.
    expires: Option<Time>,
    bytes: Vec<u8>,
}

/// The keys a daemon signs and verifies auth/slurm tokens with.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<SharedKey>,
    /// Signs, and verifies tokens that name no key.
    default: usize,
}

impl std::fmt::Debug for Keyring {
    /// Names only: keys belong into no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.name)).finish()
    }
}

impl Keyring {
    /// Reads the files that [`KeyFiles::find`] found.
    pub(crate) async fn load<E: Env>(
        env: &E,
        files: &KeyFiles,
        slurm_uid: u32,
    ) -> Result<Self, String> {
        if let Some(path) = &files.jwks {
            let bytes = read_key_file(env, path, slurm_uid, OTHERS).await?;
            return Self::from_jwks(&bytes).map_err(|text| format!("{}: {text}", path.display()));
        }
        let path = files.key.as_ref().ok_or("no slurm.key and no slurm.jwks")?;
        let bytes = read_key_file(env, path, slurm_uid, OTHERS).await?;
        Self::from_key(bytes).map_err(|text| format!("{}: {text}", path.display()))
    }

    /// One key without a name.
    pub fn from_key(bytes: Vec<u8>) -> Result<Self, String> {
        let key = SharedKey { name: None, expires: None, bytes: long_enough(bytes)? };
        Ok(Self { keys: vec![key], default: 0 })
    }

    /// The keys of a JSON web key set. Every one must be for HS256 and have a name of its own.
    pub fn from_jwks(bytes: &[u8]) -> Result<Self, String> {
        let mut keys: Vec<SharedKey> = Vec::new();
        let mut default = None;
        for (line, key) in jwk_list(bytes)? {
            let text = |field: &str| key.get(field).and_then(Value::as_str);
            let name = text("kid").ok_or_else(|| format!("line {line}: a key without kid"))?;
            let name = name.to_owned();
            let wrong = |what: &str| format!("line {line}: key {name:?}: {what}");
            if keys.iter().any(|other| other.name.as_deref() == Some(&name)) {
                return Err(wrong("there are two of this name"));
            }
            for (field, wanted) in [("kty", "oct"), ("alg", "HS256")] {
                if !text(field).is_some_and(|found| found.eq_ignore_ascii_case(wanted)) {
                    return Err(wrong(&format!("{field} must be {wanted}")));
                }
            }
            let bytes = text("k").and_then(unbase64).ok_or_else(|| wrong("k is not base64url"))?;
            let bytes = long_enough(bytes).map_err(|text| wrong(&text))?;
            if text("use").is_some_and(|word| word.eq_ignore_ascii_case("default")) {
                if default.is_some() {
                    return Err(wrong("there are two default keys"));
                }
                default = Some(keys.len());
            }
            let expires = match key.get("exp") {
                None => None,
                Some(value) => Some(seconds(value).ok_or_else(|| wrong("exp is no number"))?),
            };
            keys.push(SharedKey { name: Some(name), expires, bytes });
        }
        if keys.is_empty() {
            return Err("line 1: there are no keys".into());
        }
        Ok(Self { keys, default: default.unwrap_or(0) })
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        let key = &self.keys[self.default];
        sign_hs256(key.name.as_deref(), claims, &key.bytes)
    }

    /// The claims of a token that one of the keys has signed.
    pub fn verify(&self, token: &str, now: Time) -> Result<Claims, TokenError> {
        let token = Unverified::split(token)?;
        // The only key of slurm.key has no name, and takes tokens under any.
        let named = self.keys[self.default].name.is_some();
        let key = match token.key_name().filter(|_| named) {
            None => &self.keys[self.default],
            Some(wanted) => {
                let found = self.keys.iter().find(|key| key.name.as_deref() == Some(wanted));
                found.ok_or_else(|| TokenError::Key(wanted.to_owned()))?
            }
        };
        if key.expires.is_some_and(|end| end < now) {
            return Err(TokenError::KeyExpired(key.name.clone().unwrap_or_default()));
        }
        token.hs256(&key.bytes)
    }
}

fn long_enough(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if bytes.len() < KEY_BYTES_MIN {
        return Err(format!("a key of {} bytes, {KEY_BYTES_MIN} are needed", bytes.len()));
    }
    Ok(bytes)
}

/// A time that may be written as text too.
fn seconds(value: &Value) -> Option<Time> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_i64().or(text).map(Time::from_secs)
}

/// The list in a JSON web key set, with the line that each key begins in.
pub(crate) fn jwk_list(bytes: &[u8]) -> Result<Vec<(usize, Value)>, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("line {line}, column {column}: no JSON: {error}")
    })?;
    let Some(Value::Array(keys)) = set.get("keys") else {
        return Err("line 1: no list of keys".into());
    };
    let mut lines = key_lines(bytes).into_iter();
    Ok(keys.iter().map(|key| (lines.next().unwrap_or(1), key.clone())).collect())
}

/// The lines in which the elements of the list `keys` begin. The bytes must be JSON.
fn key_lines(bytes: &[u8]) -> Vec<usize> {
    let (mut lines, mut line, mut depth) = (Vec::new(), 1, 0);
    let (mut word, mut in_text, mut escaped, mut in_keys) = (Vec::new(), false, false, false);
    for byte in bytes {
        line += usize::from(*byte == b'\n');
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            word.push(*byte);
            continue;
        }
        match byte {
            b'"' => {
                word.clear();
                in_text = true;
            }
            b'{' | b'[' => {
                if in_keys && depth == 2 {
                    lines.push(line);
                }
                if depth == 1 && *byte == b'[' && word == b"keys\"" {
                    in_keys = true;
                    lines.clear();
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                in_keys &= depth > 1;
            }
            _ => {}
        }
    }
    lines
}

/// Reads a file of keys that nobody else may have any of the permissions `closed` on.
pub(crate) async fn read_key_file<E: Env>(
    env: &E,
    path: &Path,
    slurm_uid: u32,
    closed: u32,
) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("could not read {}: {error}", path.display());
    let access = env.fs().access(path).await.map_err(failed)?;
    if access.unix_mode & closed != 0 {
        let (path, mode) = (path.display(), access.unix_mode & 0o777);
        return Err(format!("{path}: open to everybody (mode {mode:04o})"));
    }
    if access.uid != 0 && access.uid != slurm_uid {
        let (path, uid) = (path.display(), access.uid);
        tracing::warn!("{path} belongs to uid {uid}, not to SlurmUser or root");
    }
    env.fs().read(path, KEY_FILE_BYTES_MAX).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    fn set(keys: &[&str]) -> Result<Keyring, String> {
        Keyring::from_jwks(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    fn key(name: &str, more: &str) -> String {
        let bytes = crate::jose::base64(name.repeat(20).as_bytes());
        format!(r#"{{"alg":"HS256","kty":"oct","kid":"{name}","k":"{bytes}"{more}}}"#)
    }

    #[test]
    fn a_token_is_verified_with_the_key_it_names() {
        let claims = serde_json::json!({ "uid": 1 });
        let ring = set(&[&key("a", ""), &key("b", r#","use":"default""#)]).unwrap();
        let token = ring.sign(&claims);
        assert_eq!(Unverified::split(&token).unwrap().key_name(), Some("b"));
        assert!(ring.verify(&token, NOW).is_ok());
        let others = set(&[&key("a", "")]).unwrap();
        assert_eq!(others.verify(&token, NOW), Err(TokenError::Key("b".into())));
        // Two keys of one name are two keys.
        let false_friend =
            format!(r#"{{"alg":"HS256","kty":"oct","kid":"b","k":"{}"}}"#, "A".repeat(32));
        let forged = set(&[&false_friend]).unwrap().sign(&claims);
        assert_eq!(ring.verify(&forged, NOW), Err(TokenError::Signature));
    }

    #[test]
    fn a_token_that_names_no_key_is_of_the_default_one() {
        let ring = set(&[&key("a", ""), &key("b", "")]).unwrap();
        let unnamed = |bytes: &[u8]| {
            let ring = Keyring::from_key(bytes.to_vec()).unwrap();
            ring.sign(&serde_json::json!({}))
        };
        assert!(ring.verify(&unnamed("a".repeat(20).as_bytes()), NOW).is_ok());
        let other = ring.verify(&unnamed("b".repeat(20).as_bytes()), NOW);
        assert_eq!(other, Err(TokenError::Signature));
        // The only key has no name and is not asked for one.
        let only = Keyring::from_key("a".repeat(20).into_bytes()).unwrap();
        assert!(only.verify(&ring.sign(&serde_json::json!({})), NOW).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let (a, b) = (key("a", ""), key("b", "").replace("HS256", "HS512"));
        let text =
            format!("{{\n \"note\": [{{\"keys\": 1}}],\n \"keys\": [\n  {a},\n\n  {b}\n ]\n}}\n");
        assert_eq!(key_lines(text.as_bytes()), [4, 6]);
        let error = Keyring::from_jwks(text.as_bytes()).unwrap_err();
        assert_eq!(error, "line 6: key \"b\": alg must be HS256");
        let error = Keyring::from_jwks(b"{\"keys\":\n[\n{,").unwrap_err();
        assert!(error.starts_with("line 3, column 2: no JSON"), "{error}");
    }

    #[test]
    fn a_key_past_its_end_vouches_for_nothing() {
        for exp in ["1000", "\"1000\""] {
            let ring = set(&[&key("a", &format!(r#","exp":{exp}"#))]).unwrap();
            let token = ring.sign(&serde_json::json!({}));
            assert!(ring.verify(&token, NOW).is_ok());
            let late = ring.verify(&token, Time::from_secs(1_001));
            assert_eq!(late, Err(TokenError::KeyExpired("a".into())));
        }
    }

    #[test]
    fn key_sets_that_slurm_would_not_start_with_are_refused() {
        let short = r#"{"alg":"HS256","kty":"oct","kid":"s","k":"AAAA"}"#;
        let (a, rsa) = (key("a", ""), key("a", "").replace("oct", "RSA"));
        let nameless = key("a", "").replace("kid", "id");
        let alg = key("a", "").replace("HS256", "HS512");
        for (keys, complaint) in [
            (vec![], "no keys"),
            (vec![short], "16 are needed"),
            (vec![&a, &a], "two of this name"),
            (vec![&rsa], "kty must be oct"),
            (vec![&nameless], "without kid"),
            (vec![&alg], "alg must be HS256"),
            (vec![&key("a", r#","exp":"soon""#)], "exp is no number"),
            (
                vec![&key("a", r#","use":"default""#), &key("b", r#","use":"Default""#)],
                "two default keys",
            ),
        ] {
            let text = set(&keys).unwrap_err();
            assert!(text.contains(complaint), "{text}");
        }
        assert!(Keyring::from_jwks(b"[]").is_err());
        assert!(Keyring::from_key(b"fifteen bytes ..".to_vec()).is_ok());
        assert!(Keyring::from_key(b"fifteen bytes .".to_vec()).is_err());
    }
}
