//! The tokens of auth/slurm and cred/slurm: what they say, and when that counts.
//!
//! Whoever holds the cluster's key makes them, with a context that says what for. A user's program
//! does not hold the key; a daemon makes its tokens through a socket, always in the context `sack`
//! and always with the identity that the kernel tells, so no user can make one of another context.

use flurm_base::{Span, Time};
use flurm_rt::User;
use flurm_wire::Release;
use serde_json::{Map, Value, json};

use crate::jose::{Claims, TokenError, base64, unbase64};
use crate::keyring::Keyring;

/// How long tokens are valid unless `AuthInfo=ttl=` says otherwise (Slurm's `DEFAULT_TTL`).
pub const LIFESPAN_DEFAULT: Span = Span::secs(60);
/// Any uid may use the token.
pub const READER_ANY: u32 = u32::MAX;
/// Most groups of one user that are looked at (Linux's `NGROUPS_MAX`).
const GROUPS_MAX: usize = 65_536;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A message of a daemon.
    Auth,
    /// A message of a program that asked the socket.
    Sack,
    /// A job credential.
    Launch,
    /// One controller proves itself to another. Slurm has no such context and refuses it.
    Peer,
}

impl Context {
    /// As tokens spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Sack => "sack",
            Self::Launch => "launch",
            Self::Peer => "flurm-peer",
        }
    }
}

/// A user as the host knows them where the token was made (`AuthInfo=use_client_ids`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientUser {
    /// Login name.
    pub name: String,
    /// Group ids.
    pub groups: Vec<u32>,
}

/// What a token is to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant<'a> {
    /// What for.
    pub context: Context,
    /// Who sends the message, or whose job it is.
    pub uid: u32,
    /// Their primary group.
    pub gid: u32,
    /// The only uid that may use it, or [`READER_ANY`].
    pub reader: u32,
    /// What it vouches for; empty for nothing.
    pub payload: &'a [u8],
    /// The user's name and groups, as [`user_claim`] writes them.
    pub user: Option<Value>,
    /// Makes the token unlike any other, so that its repetition can be told from a second message
    /// that says the same. Slurm's own tokens have none.
    pub nonce: Option<[u8; 16]>,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Who sent the message, or whose job it is.
    pub uid: u32,
    /// Their primary group.
    pub gid: u32,
    /// What it vouches for.
    pub payload: Vec<u8>,
    /// The user's name and groups, where the token tells.
    pub user: Option<ClientUser>,
    /// Whether no other token can be like it.
    pub unique: bool,
}

/// Makes and verifies tokens for one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlurmTokens {
    /// The cluster's keys.
    pub keyring: Keyring,
    /// `ClusterName`; `None` where daemons of any cluster talk to.
    pub cluster: Option<String>,
    /// This machine's name.
    pub hostname: String,
    /// How long a token is valid.
    pub lifespan: Span,
}

impl SlurmTokens {
    /// Makes a token.
    pub fn create(&self, grant: &Grant<'_>, now: Time) -> String {
        let mut claims = json!({
            "iat": now.secs(),
            "exp": (now + self.lifespan).secs(),
            "ver": Release::NEWEST.version(),
            "ruid": grant.reader,
            "context": grant.context.name(),
            "uid": grant.uid,
            "gid": grant.gid,
            "host": self.hostname,
        });
        let fields = claims.as_object_mut().expect("the claims are an object");
        let mut put = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        if let Some(cluster) = &self.cluster {
            put("cluster", Value::from(cluster.as_str()));
        }
        if !grant.payload.is_empty() {
            put("payload", Value::from(base64(grant.payload)));
        }
        if let Some(user) = &grant.user {
            put("id", user.clone());
        }
        if let Some(nonce) = &grant.nonce {
            put("jti", Value::from(base64(nonce)));
        }
        self.keyring.sign(&claims)
    }

    /// What a token says to a reader, if it is of one of the contexts.
    pub fn verify(
        &self,
        token: &str,
        contexts: &[Context],
        reader: u32,
        now: Time,
    ) -> Result<Token, TokenError> {
        let claims = self.keyring.verify(token, now)?;
        if Time::from_secs(claims.integer("exp")?) < now {
            return Err(TokenError::Expired);
        }
        let meant_for = claims.id("ruid")?;
        if meant_for != READER_ANY && meant_for != reader {
            return Err(TokenError::Reader(meant_for));
        }
        claims.integer("iat")?;
        claims.text("host").ok_or(TokenError::Claim("host"))?;
        let context = claims.text("context").ok_or(TokenError::Claim("context"))?;
        if !contexts.iter().any(|allowed| allowed.name() == context) {
            return Err(TokenError::Claim("context"));
        }
        self.check_cluster(&claims)?;
        let payload = match claims.text("payload") {
            None => Vec::new(),
            Some(text) => unbase64(text).ok_or(TokenError::Claim("payload"))?,
        };
        let user = claims.get("id").map(read_user).transpose()?;
        let unique = claims.text("jti").is_some();
        Ok(Token { uid: claims.id("uid")?, gid: claims.id("gid")?, payload, user, unique })
    }

    /// A token of another cluster that shares the key is refused. One that names no cluster comes
    /// from a daemon that has no configuration yet.
    fn check_cluster(&self, claims: &Claims) -> Result<(), TokenError> {
        let (Some(own), Some(named)) = (&self.cluster, claims.text("cluster")) else {
            return Ok(());
        };
        if own.eq_ignore_ascii_case(named) {
            return Ok(());
        }
        Err(TokenError::Cluster(named.to_owned()))
    }
}

/// A user as the `id` claim carries them (Slurm's `identity_to_data`): with groups by name where
/// every group has one, else by number.
pub fn user_claim(user: &User, group_names: &[(u32, String)]) -> Value {
    let mut claim = json!({
        "name": user.name,
        "gecos": "",
        "dir": user.home,
        "shell": user.shell,
    });
    let named = group_names.iter().map(|(gid, name)| (name.clone(), Value::from(*gid)));
    let named: Map<String, Value> = named.collect();
    if named.len() == user.groups.len() {
        claim["groups"] = Value::Object(named);
    } else {
        claim["gids"] = Value::from(user.groups.clone());
    }
    claim
}

fn read_user(id: &Value) -> Result<ClientUser, TokenError> {
    let wrong = TokenError::Claim("id");
    let name = id.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| wrong.clone())?.to_owned();
    let values: Vec<&Value> = match (id.get("groups"), id.get("gids")) {
        (Some(Value::Object(groups)), _) => groups.values().collect(),
        (_, Some(Value::Array(gids))) => gids.iter().collect(),
        _ => Vec::new(),
    };
    if values.len() > GROUPS_MAX {
        return Err(wrong);
    }
    let gid = |value: &Value| value.as_u64().and_then(|gid| u32::try_from(gid).ok());
    let groups = values.into_iter().map(gid).collect::<Option<Vec<u32>>>();
    Ok(ClientUser { name, groups: groups.ok_or(wrong)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_700_000_000);
    const MESSAGES: [Context; 2] = [Context::Auth, Context::Sack];

    fn tokens(cluster: Option<&str>) -> SlurmTokens {
        SlurmTokens {
            keyring: Keyring::from_key(b"a key of some length".to_vec()).unwrap(),
            cluster: cluster.map(str::to_owned),
            hostname: "login".into(),
            lifespan: LIFESPAN_DEFAULT,
        }
    }

    fn grant(context: Context) -> Grant<'static> {
        let payload = b"\x02hash".as_slice();
        Grant { context, uid: 1001, gid: 100, reader: READER_ANY, payload, user: None, nonce: None }
    }

    fn signed(claims: &Value) -> Result<Token, TokenError> {
        let lab = tokens(Some("lab"));
        lab.verify(&lab.keyring.sign(claims), &MESSAGES, 0, NOW)
    }

    #[test]
    fn a_token_says_what_it_was_granted_until_it_ends() {
        let lab = tokens(Some("lab"));
        let token = lab.create(&grant(Context::Sack), NOW);
        let found = lab.verify(&token, &MESSAGES, 7, NOW + Span::secs(60)).unwrap();
        assert_eq!((found.uid, found.gid, found.unique), (1001, 100, false));
        assert_eq!(found.payload, b"\x02hash");
        let late = lab.verify(&token, &MESSAGES, 7, NOW + Span::secs(61));
        assert_eq!(late, Err(TokenError::Expired));
    }

    #[test]
    fn a_token_counts_in_its_own_context_only() {
        let lab = tokens(Some("lab"));
        for context in [Context::Auth, Context::Sack, Context::Launch, Context::Peer] {
            let token = lab.create(&grant(context), NOW);
            let as_message = lab.verify(&token, &MESSAGES, 0, NOW).is_ok();
            assert_eq!(as_message, MESSAGES.contains(&context), "{context:?}");
            let as_launch = lab.verify(&token, &[Context::Launch], 0, NOW).is_ok();
            assert_eq!(as_launch, context == Context::Launch, "{context:?}");
        }
    }

    #[test]
    fn a_token_for_one_reader_is_of_no_use_to_another() {
        let lab = tokens(Some("lab"));
        let token = lab.create(&Grant { reader: 64030, ..grant(Context::Auth) }, NOW);
        assert!(lab.verify(&token, &MESSAGES, 64030, NOW).is_ok());
        for other in [0, 1001, READER_ANY] {
            let refused = lab.verify(&token, &MESSAGES, other, NOW);
            assert_eq!(refused, Err(TokenError::Reader(64030)));
        }
    }

    #[test]
    fn a_token_of_another_cluster_is_refused_even_with_the_same_key() {
        let token = tokens(Some("other")).create(&grant(Context::Auth), NOW);
        let refused = tokens(Some("lab")).verify(&token, &MESSAGES, 0, NOW);
        assert_eq!(refused, Err(TokenError::Cluster("other".into())));
        assert!(tokens(None).verify(&token, &MESSAGES, 0, NOW).is_ok());
        let unnamed = tokens(None).create(&grant(Context::Auth), NOW);
        assert!(tokens(Some("lab")).verify(&unnamed, &MESSAGES, 0, NOW).is_ok());
    }

    #[test]
    fn every_claim_that_slurm_asks_for_must_be_there_and_make_sense() {
        let whole = json!({
            "iat": NOW.secs(), "exp": NOW.secs() + 9, "ver": 10752, "ruid": 4_294_967_295u32,
            "context": "auth", "cluster": "lab", "uid": 0, "gid": 0, "host": "c1",
        });
        assert!(signed(&whole).is_ok());
        for name in ["iat", "exp", "ruid", "context", "uid", "gid", "host"] {
            for wrong in [None, Some(json!([])), Some(json!(true)), Some(json!(-1.5))] {
                let mut claims = whole.clone();
                let fields = claims.as_object_mut().unwrap();
                fields.remove(name);
                fields.extend(wrong.map(|value| (name.to_owned(), value)));
                assert!(signed(&claims).is_err(), "{claims}");
            }
        }
        for (name, wrong) in [
            ("uid", json!(-1)),
            ("uid", json!(1u64 << 32)),
            ("payload", json!("!")),
            ("id", json!({"name": ""})),
            ("id", json!({"name": "a", "gids": [-1]})),
            ("id", json!({"name": "a", "groups": {"g": "x"}})),
        ] {
            let mut claims = whole.clone();
            claims[name] = wrong;
            assert!(signed(&claims).is_err(), "{claims}");
        }
    }

    #[test]
    fn a_user_travels_with_name_and_groups() {
        let lab = tokens(Some("lab"));
        let user = User {
            uid: 1001,
            gid: 100,
            name: "ada".into(),
            home: "/home/ada".into(),
            shell: "/bin/sh".into(),
            groups: vec![100, 7],
        };
        let claim = user_claim(&user, &[(7, "wheel".into()), (100, "users".into())]);
        let token = lab.create(&Grant { user: Some(claim), ..grant(Context::Sack) }, NOW);
        let found = lab.verify(&token, &MESSAGES, 0, NOW).unwrap().user.unwrap();
        assert_eq!(found.name, "ada");
        assert_eq!(found.groups.len(), 2);
        assert!(found.groups.contains(&7) && found.groups.contains(&100));
        let nameless = read_user(&user_claim(&user, &[(7, "wheel".into())])).unwrap();
        assert_eq!(nameless.groups, [100, 7]);
        let bare = read_user(&json!({"name": "ada", "gids": [3, 4]})).unwrap();
        assert_eq!(bare.groups, [3, 4]);
    }

    #[test]
    fn a_token_changed_by_one_letter_is_refused() {
        let lab = tokens(Some("lab"));
        let token = lab.create(&grant(Context::Auth), NOW);
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            if changed != token {
                let outcome = lab.verify(&changed, &MESSAGES, 0, NOW);
                assert!(outcome.is_err(), "changed at {at} was accepted");
            }
        }
    }
}
