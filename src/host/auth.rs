//! Who sent a message, and how others know what this daemon sends.
//!
//! Identity comes from a verified credential only. A credential of munge vouches for the body too: it
//! carries the body's hash, and a message without it is refused.

use std::path::{Path, PathBuf};

use flurm_base::RequestKey;
use flurm_ctld::Identity;
use flurm_rt::{Clock, Env, Fs, Ident};
use flurm_wire::hash::{Coverage, HashKind, check_hash, hash_block};
use flurm_wire::{AuthBlock, Errno};
use sha2::{Digest, Sha256};

use crate::jwt;
use crate::munge::{Munge, MungeError, UID_ANY};

/// Largest key file read, bytes.
const KEY_FILE_MAX: usize = 64 * 1024;

/// How messages between daemons and clients are authenticated (`AuthType`, `AuthAltTypes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// `AuthType=auth/none`: everybody is believed. For tests.
    pub none: bool,
    /// munged's socket (`AuthInfo=socket=`).
    pub munge_socket: PathBuf,
    /// Key of `AuthAltTypes=auth/jwt` (`AuthAltParameters=jwt_key=`).
    pub jwt_key: Option<PathBuf>,
    /// uid of SlurmUser.
    pub slurm_uid: u32,
    /// Who this daemon runs as: what it claims to be where everybody is believed.
    pub own: Identity,
}

/// A verified message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who sent it.
    pub identity: Identity,
    /// The same for every repetition of the same message, and for no other; `None` where the kind of
    /// credential does not tell.
    pub key: Option<RequestKey>,
    /// munged has seen the credential before: a repetition, or a theft.
    pub replayed: bool,
}

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// What the peer is told.
    pub errno: Errno,
    /// What the log is told.
    pub text: String,
}

impl Unverified {
    fn new(errno: Errno, text: impl Into<String>) -> Self {
        Self { errno, text: text.into() }
    }
}

impl std::fmt::Display for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text, self.errno)
    }
}

/// Verifies and makes credentials.
#[derive(Clone)]
pub struct Auth<E: Env> {
    env: E,
    settings: AuthSettings,
    munge: Munge<E>,
    jwt_key: Option<Vec<u8>>,
}

impl<E: Env> Auth<E> {
    /// Reads the keys that the settings name. The error says which file, and why.
    pub async fn load(env: E, settings: AuthSettings) -> Result<Self, String> {
        let munge = Munge::new(env.clone(), &settings.munge_socket);
        let mut jwt_key = None;
        if let Some(path) = &settings.jwt_key {
            jwt_key = Some(read_key(&env, path).await?);
        }
        Ok(Self { env, settings, munge, jwt_key })
    }

    /// Verifies the sender of a message.
    pub async fn verify(
        &self,
        block: Option<&AuthBlock>,
        msg_type: u16,
        body: &[u8],
    ) -> Result<Verified, Unverified> {
        match block {
            None => Err(Unverified::new(
                Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR,
                "message without a credential",
            )),
            Some(AuthBlock::None { uid, gid, .. }) => self.verify_none(*uid, *gid),
            Some(AuthBlock::Munge { credential }) => {
                self.verify_munge(credential.as_deref(), msg_type, body).await
            }
            Some(AuthBlock::Jwt { token, username }) => {
                self.verify_jwt(token.as_deref(), username.as_deref()).await
            }
            Some(AuthBlock::Slurm { .. }) => Err(Unverified::new(
                Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR,
                "auth/slurm is not configured",
            )),
        }
    }

    /// Makes the credential of a message that only `reader` (or [`UID_ANY`]) may open.
    pub async fn sign(
        &self,
        msg_type: u16,
        body: &[u8],
        reader: u32,
    ) -> Result<AuthBlock, MungeError> {
        if self.settings.none {
            let hostname = Some(self.env.hostname());
            let own = self.settings.own;
            return Ok(AuthBlock::None { uid: own.uid, gid: own.gid, hostname });
        }
        let payload = hash_block(HashKind::K12, body, msg_type);
        let credential = self.munge.make(&payload, reader, 0).await?;
        Ok(AuthBlock::Munge { credential: Some(credential) })
    }

    /// Signs arbitrary bytes, as job credentials are signed.
    pub async fn seal(&self, bytes: &[u8]) -> Result<String, MungeError> {
        if self.settings.none {
            return Ok("fake signature".into());
        }
        self.munge.make(bytes, UID_ANY, 0).await
    }

    /// Checks what [`Auth::seal`] made: SlurmUser or root must have signed exactly these bytes.
    pub async fn check_seal(&self, bytes: &[u8], seal: &str) -> Result<(), String> {
        if self.settings.none {
            return Ok(());
        }
        let opened = self.munge.open(seal).await.map_err(|error| error.to_string())?;
        if !self.is_slurm_user(opened.uid) {
            return Err(format!("signed by uid {}, not by SlurmUser or root", opened.uid));
        }
        if opened.payload != bytes {
            return Err("the signature belongs to something else".into());
        }
        Ok(())
    }

    /// Root, or SlurmUser.
    pub fn is_slurm_user(&self, uid: u32) -> bool {
        uid == 0 || uid == self.settings.slurm_uid
    }

    fn verify_none(&self, uid: u32, gid: u32) -> Result<Verified, Unverified> {
        if !self.settings.none {
            return Err(Unverified::new(
                Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR,
                "auth/none is not configured",
            ));
        }
        Ok(Verified { identity: Identity { uid, gid }, key: None, replayed: false })
    }

    async fn verify_munge(
        &self,
        credential: Option<&str>,
        msg_type: u16,
        body: &[u8],
    ) -> Result<Verified, Unverified> {
        if self.settings.none {
            return Err(Unverified::new(
                Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR,
                "auth/munge is not configured",
            ));
        }
        let invalid = |text: String| Unverified::new(Errno::ESLURM_AUTH_CRED_INVALID, text);
        let credential = credential.ok_or_else(|| invalid("empty credential".into()))?;
        let opened = self.munge.open(credential).await.map_err(|error| match error {
            MungeError::Expired => {
                Unverified::new(Errno::ESLURM_AUTH_EXPIRED, "expired credential")
            }
            other => invalid(other.to_string()),
        })?;
        match check_hash(&opened.payload, body, msg_type) {
            Ok(Coverage::Body) => {}
            Ok(_) => return Err(invalid("the credential does not cover the message".into())),
            Err(_) => return Err(invalid("the credential covers another message".into())),
        }
        let key = request_key(credential);
        let identity = Identity { uid: opened.uid, gid: opened.gid };
        Ok(Verified { identity, key: Some(key), replayed: opened.replayed })
    }

    async fn verify_jwt(
        &self,
        token: Option<&str>,
        username: Option<&str>,
    ) -> Result<Verified, Unverified> {
        let refuse =
            |text: String| Unverified::new(Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR, text);
        let key =
            self.jwt_key.as_ref().ok_or_else(|| refuse("auth/jwt is not configured".into()))?;
        let token = token.ok_or_else(|| refuse("empty token".into()))?;
        let now = self.env.clock().wall();
        let claims = jwt::verify(token, key, now).map_err(|error| match error {
            jwt::TokenError::Expired => {
                Unverified::new(Errno::ESLURM_AUTH_EXPIRED, error.to_string())
            }
            other => refuse(other.to_string()),
        })?;
        let holder = self.user(&claims.user_name).await.map_err(refuse)?;
        let user = match username.filter(|name| *name != claims.user_name) {
            None => holder,
            Some(other) if self.is_slurm_user(holder.uid) => {
                self.user(other).await.map_err(refuse)?
            }
            Some(other) => {
                let text = format!("{} may not act as {other}", claims.user_name);
                return Err(refuse(text));
            }
        };
        Ok(Verified { identity: user, key: None, replayed: false })
    }

    async fn user(&self, name: &str) -> Result<Identity, String> {
        match self.env.ident().user_by_name(name).await {
            Ok(Some(user)) => Ok(Identity { uid: user.uid, gid: user.gid }),
            Ok(None) => Err(format!("no user {name}")),
            Err(error) => Err(format!("could not look up user {name}: {error}")),
        }
    }
}

/// Credentials of munge are unique, so their digest names the request over all its repetitions.
fn request_key(credential: &str) -> RequestKey {
    let digest = Sha256::digest(credential.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    RequestKey(key)
}

async fn read_key<E: Env>(env: &E, path: &Path) -> Result<Vec<u8>, String> {
    let key = env.fs().read(path, KEY_FILE_MAX).await;
    let key = key.map_err(|error| format!("could not read {}: {error}", path.display()))?;
    if key.len() < jwt::KEY_MIN {
        let (have, need) = (key.len(), jwt::KEY_MIN);
        return Err(format!("{}: a key of {have} bytes, {need} are needed", path.display()));
    }
    Ok(key)
}
