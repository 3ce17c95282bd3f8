//! Who sent a message, and how others know what this daemon sends.
//!
//! Identity comes from a verified credential only, and only of a kind that the configuration names
//! (`AuthType`, `AuthAltTypes`). Credentials of munge and auth/slurm vouch for the body too: they carry
//! the body's hash, and a message that its credential does not cover is refused.
//!
//! Peers are told what slurmctld 24.11 tells them: an authentication error where a credential does not
//! hold or its kind is not configured. Where it belongs to another body, that slurmctld closes the
//! connection with an incomplete packet in its log; here the peer is told that. The log says more.

use flurm_base::{RequestKey, Span};
use flurm_ctld::Identity;
use flurm_rt::{Clock, Env, Ident, PeerCredential};
use flurm_wire::hash::{Coverage, HashKind, check_hash, hash_block};
use flurm_wire::records::{
    Credential, CredentialBody, FAKE_SIGNATURE, SbcastBody, SbcastCredential, Signature,
    SignedCredential,
};
use flurm_wire::{AuthBlock, Errno, Reader, Release, Wire};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::auth_settings::{AuthSettings, CredentialKind, Kind};
use crate::jose::TokenError;
use crate::jwt::JwtKeys;
use crate::munge::{Munge, MungeError, UID_ANY};
use crate::slurm_token::{ClientUser, Context, Grant, LIFESPAN_DEFAULT, SlurmTokens, user_claim};

/// Contexts of tokens that may come with messages.
const MESSAGES: [Context; 2] = [Context::Auth, Context::Sack];

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
    /// Name and groups of the sender, where the credential tells and the configuration wants to
    /// know.
    pub user: Option<ClientUser>,
    /// What kind of credential came with it.
    pub kind: Kind,
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
    /// The credential does not hold.
    fn refused(text: impl Into<String>) -> Self {
        Self { errno: Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR, text: text.into() }
    }

    /// The credential is not this message's.
    fn unfit(text: impl Into<String>) -> Self {
        Self { errno: Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET, text: text.into() }
    }
}

impl std::fmt::Display for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text, self.errno)
    }
}

impl From<TokenError> for Unverified {
    fn from(error: TokenError) -> Self {
        Self::refused(error.to_string())
    }
}

impl From<MungeError> for Unverified {
    fn from(error: MungeError) -> Self {
        Self::refused(error.to_string())
    }
}

/// Verifies and makes credentials.
#[derive(Clone)]
pub struct Auth<E: Env> {
    env: E,
    settings: AuthSettings,
    munge: Munge<E>,
    jwt: Option<JwtKeys>,
    slurm: Option<SlurmTokens>,
}

impl<E: Env> std::fmt::Debug for Auth<E> {
    /// Names of keys only: keys belong into no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slurm = self.slurm.as_ref().map(|tokens| &tokens.keyring);
        f.debug_struct("Auth").field("slurm", &slurm).field("jwt", &self.jwt).finish()
    }
}

impl<E: Env> Auth<E> {
    /// Reads the keys that the settings name. The error says which file, and why.
    pub async fn load(env: E, settings: AuthSettings) -> Result<Self, String> {
        let munge = Munge::new(env.clone(), &settings.munge_socket);
        let jwt = match settings.accepts(Kind::Jwt) {
            true => Some(settings.jwt.load(&env, settings.slurm_uid).await?),
            false => None,
        };
        let slurm = match settings.wants_slurm_keys() {
            true => Some(SlurmTokens {
                keyring: settings.load_keyring(&env).await?,
                cluster: settings.cluster.clone(),
                hostname: env.hostname(),
                lifespan: match settings.ttl_s {
                    0 => LIFESPAN_DEFAULT,
                    ttl_s => Span::secs(u64::from(ttl_s)),
                },
            }),
            false => None,
        };
        Ok(Self { env, settings, munge, jwt, slurm })
    }

    /// Verifies the sender of a message.
    pub async fn verify(
        &self,
        block: Option<&AuthBlock>,
        msg_type: u16,
        body: &[u8],
    ) -> Result<Verified, Unverified> {
        let block = block.ok_or_else(|| Unverified::refused("message without a credential"))?;
        let kind = Kind::of(block);
        if !self.settings.accepts(kind) {
            return Err(Unverified::refused(format!("{} is not configured", kind.name())));
        }
        match block {
            AuthBlock::None { uid, gid, .. } => {
                Ok(verified(kind, Identity { uid: *uid, gid: *gid }))
            }
            AuthBlock::Munge { credential } => {
                self.verify_munge(credential.as_deref(), msg_type, body).await
            }
            AuthBlock::Jwt { token, username } => {
                self.verify_jwt(token.as_deref(), username.as_deref()).await
            }
            AuthBlock::Slurm { token } => self.verify_slurm(token.as_deref(), msg_type, body),
        }
    }

    /// Makes the credential of a request that only `reader` (or [`UID_ANY`]) may open.
    pub async fn sign(
        &self,
        release: Release,
        msg_type: u16,
        body: &[u8],
        reader: u32,
    ) -> Result<AuthBlock, MungeError> {
        self.sign_as(self.settings.primary, release, msg_type, body, reader).await
    }

    /// Makes the credential of a reply to a request that had a credential of this kind: a peer reads
    /// no other.
    pub async fn sign_as(
        &self,
        kind: Kind,
        release: Release,
        msg_type: u16,
        body: &[u8],
        reader: u32,
    ) -> Result<AuthBlock, MungeError> {
        // Older peers know one hash only.
        let hash = if release >= Release::V24_05 { self.settings.hash } else { HashKind::K12 };
        let own = self.settings.own;
        match kind {
            Kind::None => {
                let hostname = Some(self.env.hostname());
                Ok(AuthBlock::None { uid: own.uid, gid: own.gid, hostname })
            }
            // Servers send neither part.
            Kind::Jwt => Ok(AuthBlock::Jwt { token: None, username: None }),
            Kind::Munge => {
                let payload = hash_block(hash, body, msg_type);
                let credential = self.munge.make(&payload, reader, self.settings.ttl_s).await?;
                Ok(AuthBlock::Munge { credential: Some(credential) })
            }
            Kind::Slurm => {
                let payload = hash_block(hash, body, msg_type);
                let token = self.token(Context::Auth, own, reader, &payload, None);
                Ok(AuthBlock::Slurm { token: Some(token) })
            }
        }
    }

    /// Signs a challenge, to prove to another controller that this is one.
    pub async fn prove(&self, challenge: &[u8]) -> Result<String, MungeError> {
        match self.settings.primary {
            Kind::None | Kind::Jwt => Ok(FAKE_SIGNATURE.into()),
            Kind::Munge => self.munge.make(challenge, UID_ANY, self.settings.ttl_s).await,
            Kind::Slurm => {
                Ok(self.token(Context::Peer, self.settings.own, UID_ANY, challenge, None))
            }
        }
    }

    /// Checks what [`Auth::prove`] made: SlurmUser or root must have signed this very challenge.
    pub async fn check_proof(&self, challenge: &[u8], proof: &str) -> Result<(), String> {
        match self.settings.primary {
            Kind::None | Kind::Jwt => Ok(()),
            Kind::Munge => self.check_munge_seal(challenge, proof).await,
            Kind::Slurm => {
                let reader = self.settings.own.uid;
                let now = self.env.clock().wall();
                let token = self.tokens().verify(proof, &[Context::Peer], reader, now);
                let token = token.map_err(|error| error.to_string())?;
                self.check_sealed(token.uid, &token.payload, challenge)
            }
        }
    }

    /// Signs a job credential for a node daemon that runs as `reader` (`CredType`).
    pub async fn sign_credential(
        &self,
        body: CredentialBody,
        release: Release,
        reader: u32,
    ) -> Result<Credential, MungeError> {
        let bytes = body.signed_bytes(release);
        let signature = match self.settings.credential {
            CredentialKind::None => FAKE_SIGNATURE.to_owned(),
            CredentialKind::Munge => self.munge.make(&bytes, UID_ANY, self.settings.ttl_s).await?,
            CredentialKind::Slurm => {
                let owner = Identity { uid: body.id.uid, gid: body.id.gid };
                let user = credential_user(&body);
                let token = self.token(Context::Launch, owner, reader, &bytes, user);
                return Ok(Credential::Token(token));
            }
        };
        Ok(SignedCredential { body, signature: Signature(Some(signature)) }.into())
    }

    /// What a job credential packed in `release` allows, once it is found to be genuine.
    pub async fn open_credential(
        &self,
        credential: &Credential,
        release: Release,
    ) -> Result<CredentialBody, String> {
        match (self.settings.credential, credential) {
            (CredentialKind::None, Credential::Signed(signed)) => Ok(signed.body.clone()),
            (CredentialKind::Munge, Credential::Signed(signed)) => {
                let seal = signed.signature.0.as_deref().unwrap_or("");
                self.check_munge_seal(&signed.body.signed_bytes(release), seal).await?;
                Ok(signed.body.clone())
            }
            (CredentialKind::Slurm, Credential::Token(token)) => {
                self.open_token_credential(token, release)
            }
            (kind, _) => Err(format!("the credential is not of {}", kind.name())),
        }
    }

    /// Signs what sbcast may write, packed in `release`.
    ///
    /// # Errors
    /// When it cannot be signed, in words.
    pub async fn sign_sbcast(
        &self,
        body: SbcastBody,
        release: Release,
    ) -> Result<SbcastCredential, String> {
        let bytes = body.signed_bytes(release);
        let signature = match self.settings.credential {
            CredentialKind::None => FAKE_SIGNATURE.to_owned(),
            CredentialKind::Munge => {
                let sealed = self.munge.make(&bytes, UID_ANY, self.settings.ttl_s).await;
                sealed.map_err(|error| error.to_string())?
            }
            CredentialKind::Slurm => return Err("not with credentials of auth/slurm".into()),
        };
        Ok(SbcastCredential::Signed(Box::new(body), Signature(Some(signature))))
    }

    /// What a credential of sbcast packed in `release` allows, once it is found to be genuine.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub async fn open_sbcast(
        &self,
        credential: &SbcastCredential,
        release: Release,
    ) -> Result<SbcastBody, String> {
        match (self.settings.credential, credential) {
            (CredentialKind::None, SbcastCredential::Signed(body, _)) => Ok((**body).clone()),
            (CredentialKind::Munge, SbcastCredential::Signed(body, signature)) => {
                let seal = signature.0.as_deref().unwrap_or("");
                self.check_munge_seal(&body.signed_bytes(release), seal).await?;
                Ok((**body).clone())
            }
            (kind, _) => Err(format!("the credential is not of {}", kind.name())),
        }
    }

    /// Whether this daemon makes tokens for the programs of its machine.
    pub const fn serves_tokens(&self) -> bool {
        self.slurm.is_some() && !self.settings.sack_disabled
    }

    /// Makes a token for whoever is at the other end of a local socket.
    pub async fn token_for(&self, who: PeerCredential, reader: u32, payload: &[u8]) -> String {
        let identity = Identity { uid: who.uid, gid: who.gid };
        let user = match self.settings.use_client_ids {
            true => self.describe(who.uid).await,
            false => None,
        };
        self.token(Context::Sack, identity, reader, payload, user)
    }

    /// Whether a token is genuine and whoever is at the other end of a local socket may use it.
    pub fn vouches(&self, token: &str, who: PeerCredential) -> Result<(), TokenError> {
        let now = self.env.clock().wall();
        self.tokens().verify(token, &MESSAGES, who.uid, now).map(|_| ())
    }

    /// Makes a token of auth/jwt; `None` where none can be made.
    pub fn issue_jwt(&self, user_name: &str, lifespan_s: u32) -> Option<String> {
        self.jwt.as_ref()?.issue(user_name, self.env.clock().wall(), lifespan_s)
    }

    /// Whether its keys are those of another.
    pub fn has_keys_of(&self, other: &Self) -> bool {
        self.jwt == other.jwt && self.slurm == other.slurm
    }

    /// What the daemon was told about authentication.
    pub const fn settings(&self) -> &AuthSettings {
        &self.settings
    }

    /// Root, or SlurmUser.
    pub const fn is_slurm_user(&self, uid: u32) -> bool {
        uid == 0 || uid == self.settings.slurm_uid
    }

    fn tokens(&self) -> &SlurmTokens {
        self.slurm.as_ref().expect("keys were loaded for the kinds that need them")
    }

    fn token(
        &self,
        context: Context,
        who: Identity,
        reader: u32,
        payload: &[u8],
        user: Option<Value>,
    ) -> String {
        let mut nonce = [0; 16];
        self.env.random(&mut nonce);
        let nonce = Some(nonce);
        let grant = Grant { context, uid: who.uid, gid: who.gid, reader, payload, user, nonce };
        self.tokens().create(&grant, self.env.clock().wall())
    }

    async fn verify_munge(
        &self,
        credential: Option<&str>,
        msg_type: u16,
        body: &[u8],
    ) -> Result<Verified, Unverified> {
        let credential = credential.ok_or_else(|| Unverified::refused("empty credential"))?;
        let opened = self.munge.open(credential).await?;
        check_coverage(&opened.payload, msg_type, body)?;
        let key = Some(request_key(credential));
        let identity = Identity { uid: opened.uid, gid: opened.gid };
        Ok(Verified { key, replayed: opened.replayed, ..verified(Kind::Munge, identity) })
    }

    fn verify_slurm(
        &self,
        token: Option<&str>,
        msg_type: u16,
        body: &[u8],
    ) -> Result<Verified, Unverified> {
        let text = token.ok_or_else(|| Unverified::refused("empty token"))?;
        let now = self.env.clock().wall();
        let token = self.tokens().verify(text, &MESSAGES, self.settings.own.uid, now)?;
        check_coverage(&token.payload, msg_type, body)?;
        // Two messages that say the same within a second have the same token, unless it is one of
        // FLURM's own.
        let key = token.unique.then(|| request_key(text));
        let user = token.user.filter(|_| self.settings.use_client_ids);
        let identity = Identity { uid: token.uid, gid: token.gid };
        Ok(Verified { key, user, ..verified(Kind::Slurm, identity) })
    }

    async fn verify_jwt(
        &self,
        token: Option<&str>,
        username: Option<&str>,
    ) -> Result<Verified, Unverified> {
        let keys = self.jwt.as_ref().expect("keys were loaded for the kinds that need them");
        let token = token.ok_or_else(|| Unverified::refused("empty token"))?;
        let bearer = keys.verify(token, self.env.clock().wall())?;
        let holder = self.user(&bearer.user_name).await?;
        let user = match username.filter(|name| *name != bearer.user_name) {
            None => holder,
            Some(other) if self.is_slurm_user(holder.uid) => self.user(other).await?,
            Some(other) => {
                let text = format!("{} may not act as {other}", bearer.user_name);
                return Err(Unverified::refused(text));
            }
        };
        Ok(verified(Kind::Jwt, user))
    }

    async fn check_munge_seal(&self, bytes: &[u8], seal: &str) -> Result<(), String> {
        let opened = self.munge.open(seal).await.map_err(|error| error.to_string())?;
        self.check_sealed(opened.uid, &opened.payload, bytes)
    }

    fn check_sealed(&self, uid: u32, sealed: &[u8], bytes: &[u8]) -> Result<(), String> {
        if !self.is_slurm_user(uid) {
            return Err(format!("signed by uid {uid}, not by SlurmUser or root"));
        }
        if sealed != bytes {
            return Err("the signature belongs to something else".into());
        }
        Ok(())
    }

    fn open_token_credential(
        &self,
        token: &str,
        release: Release,
    ) -> Result<CredentialBody, String> {
        let (reader, now) = (self.settings.own.uid, self.env.clock().wall());
        let opened = self.tokens().verify(token, &[Context::Launch], reader, now);
        let opened = opened.map_err(|error| error.to_string())?;
        let mut r = Reader::new(release, &opened.payload);
        let body = CredentialBody::decode(&mut r).map_err(|error| error.to_string())?;
        if !r.rest().is_empty() {
            return Err("bytes after the credential".into());
        }
        if (body.id.uid, body.id.gid) != (opened.uid, opened.gid) {
            return Err("the credential and its token name two users".into());
        }
        Ok(body)
    }

    async fn user(&self, name: &str) -> Result<Identity, Unverified> {
        match self.env.ident().user_by_name(name).await {
            Ok(Some(user)) => Ok(Identity { uid: user.uid, gid: user.gid }),
            Ok(None) => Err(Unverified::refused(format!("no user {name}"))),
            Err(error) => {
                Err(Unverified::refused(format!("could not look up user {name}: {error}")))
            }
        }
    }

    /// A user's name and groups as a claim; `None` for a user that this machine does not know.
    async fn describe(&self, uid: u32) -> Option<Value> {
        let user = match self.env.ident().user_by_id(uid).await {
            Ok(user) => user?,
            Err(error) => {
                tracing::warn!("could not look up uid {uid}: {error}");
                return None;
            }
        };
        let mut names = Vec::with_capacity(user.groups.len());
        for gid in &user.groups {
            if let Ok(Some(name)) = self.env.ident().group_name(*gid).await {
                names.push((*gid, name));
            }
        }
        Some(user_claim(&user, &names))
    }
}

fn verified(kind: Kind, identity: Identity) -> Verified {
    Verified { identity, key: None, replayed: false, user: None, kind }
}

/// Every sender since 22.05 covers the body, so nothing less is taken: `block_null_hash` and
/// `block_zero_hash` are always on.
fn check_coverage(payload: &[u8], msg_type: u16, body: &[u8]) -> Result<(), Unverified> {
    match check_hash(payload, body, msg_type) {
        Ok(Coverage::Body) => Ok(()),
        Ok(Coverage::TypeOnly | Coverage::Nothing) => {
            Err(Unverified::unfit("the credential does not cover the message"))
        }
        Err(_) => Err(Unverified::unfit("the credential covers another message")),
    }
}

/// The job's user as its credential knows them.
fn credential_user(body: &CredentialBody) -> Option<Value> {
    let id = &body.id;
    let name = id.pw_name.as_deref()?;
    Some(serde_json::json!({
        "name": name,
        "gecos": id.pw_gecos.as_deref().unwrap_or(""),
        "dir": id.pw_dir.as_deref().unwrap_or(""),
        "shell": id.pw_shell.as_deref().unwrap_or(""),
        "gids": id.gids,
    }))
}

/// Such credentials are unique, so their digest names the request over all its repetitions.
fn request_key(credential: &str) -> RequestKey {
    let digest = Sha256::digest(credential.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    RequestKey(key)
}
