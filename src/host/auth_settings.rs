//! What the configuration says about authentication, and which key files follow from it.

use std::path::{Path, PathBuf};

use flurm_conf::Conf;
use flurm_ctld::Identity;
use flurm_rt::Env;
use flurm_wire::AuthBlock;
use flurm_wire::hash::HashKind;

use crate::jwt::{self, JwtKeys, PublicKeys};
use crate::keyring::{KeyFiles, Keyring, OTHERS_WRITE, read_key_file};
use crate::munge;

/// Longest `AuthInfo=ttl=`, seconds: what munged allows.
const TTL_MAX_S: u64 = 3_600;
/// Name of the HS256 key of auth/jwt below StateSaveLocation.
const JWT_KEY_NAME: &str = "jwt_hs256.key";

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// auth/none.
    None,
    /// auth/munge.
    Munge,
    /// auth/jwt.
    Jwt,
    /// auth/slurm.
    Slurm,
}

impl Kind {
    /// The kind of a block.
    pub const fn of(block: &AuthBlock) -> Self {
        match block {
            AuthBlock::None { .. } => Self::None,
            AuthBlock::Munge { .. } => Self::Munge,
            AuthBlock::Jwt { .. } => Self::Jwt,
            AuthBlock::Slurm { .. } => Self::Slurm,
        }
    }

    /// As slurm.conf spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "auth/none",
            Self::Munge => "auth/munge",
            Self::Jwt => "auth/jwt",
            Self::Slurm => "auth/slurm",
        }
    }

    /// From slurm.conf, where `auth/` may be left out.
    fn named(name: &str) -> Option<Self> {
        let short = name.strip_prefix("auth/").unwrap_or(name);
        let all = [Self::None, Self::Munge, Self::Jwt, Self::Slurm];
        all.into_iter().find(|kind| kind.name().strip_prefix("auth/") == Some(short))
    }
}

/// How job credentials are signed (`CredType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// cred/none: not at all.
    None,
    /// cred/munge.
    Munge,
    /// auth/slurm.
    Slurm,
}

impl CredentialKind {
    /// As slurm.conf spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "cred/none",
            Self::Munge => "cred/munge",
            Self::Slurm => "auth/slurm",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let short = name.strip_prefix("cred/").or_else(|| name.strip_prefix("auth/"));
        match short.unwrap_or(name) {
            "none" => Some(Self::None),
            "munge" => Some(Self::Munge),
            "slurm" => Some(Self::Slurm),
            _ => None,
        }
    }
}

/// What a daemon is to the cluster: only controllers take credentials of `AuthAltTypes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves clients.
    Controller,
    /// Serves controllers.
    Node,
}

/// Who a daemon is, and which keys it was given by whoever started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Who it runs as.
    pub identity: Identity,
    /// Keys of auth/slurm that are not looked for but named.
    pub keys: KeyFiles,
}

impl From<Identity> for Own {
    fn from(identity: Identity) -> Self {
        Self { identity, keys: KeyFiles::default() }
    }
}

/// Where the keys of auth/jwt are (`AuthAltParameters`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtFiles {
    /// `jwt_key=`.
    pub key: Option<PathBuf>,
    /// `jwks=`.
    pub jwks: Option<PathBuf>,
    /// `userclaimfield=`.
    pub user_claim: Option<String>,
}

impl JwtFiles {
    fn of(conf: &Conf) -> Self {
        let parameter = |name: &str| conf.auth_alt_parameters.value(name);
        let jwks = parameter("jwks").map(PathBuf::from);
        let state = Path::new(&conf.paths.state_save_location);
        let usual = || jwks.is_none().then(|| state.join(JWT_KEY_NAME));
        Self {
            key: parameter("jwt_key").map(PathBuf::from).or_else(usual),
            user_claim: parameter("userclaimfield").map(str::to_owned),
            jwks,
        }
    }

    pub(crate) async fn load<E: Env>(&self, env: &E, slurm_uid: u32) -> Result<JwtKeys, String> {
        let user_claim = self.user_claim.clone();
        let mut keys = JwtKeys { shared: None, public: None, user_claim };
        if let Some(path) = &self.jwks {
            let bytes = read_key_file(env, path, slurm_uid, OTHERS_WRITE).await?;
            let public = PublicKeys::from_jwks(&bytes);
            keys.public = Some(public.map_err(|text| format!("{}: {text}", path.display()))?);
        }
        if let Some(path) = &self.key {
            let bytes = read_key_file(env, path, slurm_uid, 0o007).await?;
            let (have, need) = (bytes.len(), jwt::KEY_BYTES_MIN);
            if have < need {
                let path = path.display();
                return Err(format!("{path}: a key of {have} bytes, {need} are needed"));
            }
            keys.shared = Some(bytes);
        }
        Ok(keys)
    }
}

/// How messages between daemons and clients are authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthSettings {
    /// `AuthType`: what this daemon signs with.
    pub primary: Kind,
    /// `AuthAltTypes`: what else it takes.
    pub also: Vec<Kind>,
    /// `CredType`.
    pub credential: CredentialKind,
    /// munged's socket (`AuthInfo=socket=`).
    pub munge_socket: PathBuf,
    /// How long credentials made here are valid, seconds (`AuthInfo=ttl=`); 0 for the usual time.
    pub ttl_s: u32,
    /// `AuthInfo=use_client_ids`: tokens of auth/slurm tell their user's name and groups.
    pub use_client_ids: bool,
    /// `AuthInfo=disable_sack`: no tokens are made for others.
    pub sack_disabled: bool,
    /// `HashPlugin`.
    pub hash: HashKind,
    /// Keys of auth/jwt.
    pub jwt: JwtFiles,
    /// Keys of auth/slurm that were named or found; `None` where there are none.
    pub slurm_keys: Option<KeyFiles>,
    /// `ClusterName`, which tokens of auth/slurm must name; `None` to take those of any cluster.
    pub cluster: Option<String>,
    /// uid of SlurmUser.
    pub slurm_uid: u32,
    /// Who this daemon runs as: whom tokens may be restricted to, and what it claims to be where
    /// everybody is believed.
    pub own: Identity,
}

impl AuthSettings {
    /// What slurm.conf, read from `path`, says. What Slurm does and this does not is refused.
    pub async fn of<E: Env>(
        env: &E,
        conf: &Conf,
        path: &Path,
        slurm_uid: u32,
        own: &Own,
        role: Role,
    ) -> Result<Self, String> {
        let primary = primary(conf, &own.keys)?;
        let mut also = Vec::new();
        if role == Role::Controller {
            for name in &conf.auth_alt_types {
                also.push(alternative(name)?);
            }
        }
        let info = &conf.auth_info;
        if info.has("use_jwt_client_ids") || info.has("use_jwt_client_ids_only") {
            return Err("AuthInfo=use_jwt_client_ids is not supported".into());
        }
        let mut settings = Self {
            primary,
            also,
            credential: credential(conf, primary)?,
            munge_socket: PathBuf::from(conf.munge_socket().unwrap_or(munge::SOCKET_DEFAULT)),
            ttl_s: ttl(conf)?,
            use_client_ids: info.has("use_client_ids"),
            sack_disabled: info.has("disable_sack"),
            hash: hash(conf.text("HashPlugin"))?,
            jwt: JwtFiles::of(conf),
            slurm_keys: None,
            cluster: Some(conf.cluster_name.clone()),
            slurm_uid,
            own: own.identity,
        };
        if settings.wants_slurm_keys() {
            settings.slurm_keys = own.keys.find(env, path).await;
        }
        Ok(settings)
    }

    /// How a node daemon that has no configuration yet asks for one: as [`KeyFiles`] or munge allow
    /// (Slurm's `fetch_config`: where a key of auth/slurm is found, auth/slurm is meant).
    pub async fn without_conf<E: Env>(env: &E, munge_socket: Option<&Path>, own: &Own) -> Self {
        let slurm_keys = own.keys.find(env, Path::new("/etc/slurm/slurm.conf")).await;
        Self {
            primary: if slurm_keys.is_some() { Kind::Slurm } else { Kind::Munge },
            also: Vec::new(),
            credential: CredentialKind::None,
            munge_socket: munge_socket.unwrap_or(Path::new(munge::SOCKET_DEFAULT)).to_path_buf(),
            ttl_s: 0,
            use_client_ids: false,
            sack_disabled: true,
            hash: HashKind::K12,
            jwt: JwtFiles::default(),
            slurm_keys,
            cluster: None,
            slurm_uid: own.identity.uid,
            own: own.identity,
        }
    }

    /// Takes the kinds of credentials that a daemon began with. True when the file says others.
    pub(crate) fn keep_kinds_of(&mut self, began: &Self) -> bool {
        let kinds = |of: &Self| (of.primary, of.also.clone(), of.credential);
        let changed = kinds(self) != kinds(began);
        (self.primary, self.also, self.credential) = kinds(began);
        changed
    }

    /// Whether credentials of a kind are taken at all.
    pub fn accepts(&self, kind: Kind) -> bool {
        self.primary == kind || self.also.contains(&kind)
    }

    /// Whether anything is signed or verified with the keys of auth/slurm.
    pub(crate) fn wants_slurm_keys(&self) -> bool {
        self.accepts(Kind::Slurm) || self.credential == CredentialKind::Slurm
    }

    pub(crate) async fn load_keyring<E: Env>(&self, env: &E) -> Result<Keyring, String> {
        let missing = "auth/slurm is configured, but there is no slurm.key and no slurm.jwks beside \
                       slurm.conf or in /etc/slurm";
        let files = self.slurm_keys.as_ref().ok_or(missing)?;
        Keyring::load(env, files, self.slurm_uid).await
    }
}

fn primary(conf: &Conf, keys: &KeyFiles) -> Result<Kind, String> {
    // A key given by hand means auth/slurm, as in Slurm (`auth_g_init`).
    if keys.any() {
        return Ok(Kind::Slurm);
    }
    let name = if conf.auth_type.is_empty() { Kind::Munge.name() } else { &conf.auth_type };
    match Kind::named(name) {
        Some(Kind::Jwt) => Err("AuthType=auth/jwt: daemons cannot sign with it; use \
                                AuthAltTypes=auth/jwt"
            .into()),
        Some(kind) => Ok(kind),
        None => Err(format!("AuthType={name}: there is no such type")),
    }
}

fn alternative(name: &str) -> Result<Kind, String> {
    match Kind::named(name) {
        Some(Kind::None) => {
            Err("AuthAltTypes=auth/none: everybody would be believed whatever AuthType says".into())
        }
        Some(kind) => Ok(kind),
        None => Err(format!("AuthAltTypes={name}: there is no such type")),
    }
}

fn credential(conf: &Conf, primary: Kind) -> Result<CredentialKind, String> {
    let name = conf.cred_type.as_str();
    if primary == Kind::None && !conf.is_set("CredType") {
        return Ok(CredentialKind::None);
    }
    let kind =
        if name.is_empty() { Some(CredentialKind::Munge) } else { CredentialKind::named(name) };
    kind.ok_or_else(|| format!("CredType={name}: there is no such type"))
}

fn ttl(conf: &Conf) -> Result<u32, String> {
    let Some(text) = conf.auth_info.value("ttl") else { return Ok(0) };
    let ttl = text.parse::<u64>().ok().filter(|ttl| *ttl <= TTL_MAX_S);
    let ttl = ttl.and_then(|ttl| u32::try_from(ttl).ok());
    ttl.ok_or_else(|| format!("AuthInfo=ttl={text}: expected seconds up to {TTL_MAX_S}"))
}

/// The hash that this daemon signs with: the first of the list. Both are understood.
fn hash(list: &str) -> Result<HashKind, String> {
    let first = list.split(',').next().unwrap_or_default().trim();
    match first.strip_prefix("hash/").unwrap_or(first) {
        "" | "k12" => Ok(HashKind::K12),
        "sha3" => Ok(HashKind::Sha3),
        _ => Err(format!("HashPlugin={first}: there are hash/k12 and hash/sha3")),
    }
}
