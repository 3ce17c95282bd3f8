//! Authentication blocks as data. Whether one is genuine is decided elsewhere.

use crate::{DecodeError, Gen, Reader, Visitor, Wire, Writer};

const PLUGIN_NONE: u32 = 100;
const PLUGIN_MUNGE: u32 = 101;
const PLUGIN_JWT: u32 = 102;
const PLUGIN_SLURM: u32 = 103;

/// What stands between header and body unless the header says that nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthBlock {
    /// auth/none: the sender's word.
    None {
        /// Claimed user.
        uid: u32,
        /// Claimed group.
        gid: u32,
        /// The sender's host.
        hostname: Option<String>,
    },
    /// auth/munge: a credential that a munge daemon made.
    Munge {
        /// `MUNGE:…:`
        credential: Option<String>,
    },
    /// auth/jwt: a token; servers send neither part.
    Jwt {
        /// The token.
        token: Option<String>,
        /// The user whom the token's bearer acts for.
        username: Option<String>,
    },
    /// auth/slurm: a token signed with the cluster's key.
    Slurm {
        /// The token.
        token: Option<String>,
    },
}

impl AuthBlock {
    /// Whether this kind carries a payload that ties it to the body.
    pub const fn has_payload(&self) -> bool {
        matches!(self, Self::Munge { .. } | Self::Slurm { .. })
    }

    const fn plugin(&self) -> u32 {
        match self {
            Self::None { .. } => PLUGIN_NONE,
            Self::Munge { .. } => PLUGIN_MUNGE,
            Self::Jwt { .. } => PLUGIN_JWT,
            Self::Slurm { .. } => PLUGIN_SLURM,
        }
    }
}

/// The plugin's name behind `auth/`.
const fn plugin_name(plugin: u32) -> &'static str {
    match plugin {
        PLUGIN_NONE => "none",
        PLUGIN_MUNGE => "munge",
        PLUGIN_JWT => "jwt",
        PLUGIN_SLURM => "slurm",
        _ => "unknown",
    }
}

/// Shows a token without its signature: who reads a log shall not become who sent it.
fn show_token(token: &Option<String>, v: &mut dyn Visitor) {
    match token.as_deref() {
        Some(token) => match token.rsplit_once('.') {
            Some((claims, _)) => v.text(&format!("{claims}.…")),
            None => v.text("…"),
        },
        None => v.null(),
    }
}

impl Wire for AuthBlock {
    const KIND: &'static str = "auth";

    fn encode(&self, w: &mut Writer) {
        match self {
            Self::None { uid, gid, hostname } => {
                w.u32(PLUGIN_NONE);
                w.u32(*uid);
                w.u32(*gid);
                hostname.encode(w);
            }
            Self::Munge { credential } => {
                w.u32(PLUGIN_MUNGE);
                credential.encode(w);
            }
            Self::Jwt { token, username } => {
                w.u32(PLUGIN_JWT);
                token.encode(w);
                username.encode(w);
            }
            Self::Slurm { token } => {
                w.u32(PLUGIN_SLURM);
                token.encode(w);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.field_with("plugin", Reader::u32, |plugin, v| v.text(plugin_name(*plugin)))? {
            PLUGIN_NONE => {
                let (uid, gid) = (r.field("uid")?, r.field("gid")?);
                Ok(Self::None { uid, gid, hostname: r.field("hostname")? })
            }
            PLUGIN_MUNGE => Ok(Self::Munge { credential: r.field("credential")? }),
            PLUGIN_JWT => {
                let token = r.field_with("token", Wire::decode, show_token)?;
                Ok(Self::Jwt { token, username: r.field("username")? })
            }
            PLUGIN_SLURM => {
                Ok(Self::Slurm { token: r.field_with("token", Wire::decode, show_token)? })
            }
            _ => Err(r.invalid("unknown authentication plugin")),
        }
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("AuthBlock");
        v.field("plugin");
        v.text(plugin_name(self.plugin()));
        match self {
            Self::None { uid, gid, hostname } => {
                v.field("uid");
                uid.view(v);
                v.field("gid");
                gid.view(v);
                v.field("hostname");
                hostname.view(v);
            }
            Self::Munge { credential } => {
                v.field("credential");
                credential.view(v);
            }
            Self::Jwt { token, username } => {
                v.field("token");
                show_token(token, v);
                v.field("username");
                username.view(v);
            }
            Self::Slurm { token } => {
                v.field("token");
                show_token(token, v);
            }
        }
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        match g.below(4) {
            0 => Self::None { uid: u32::sample(g), gid: u32::sample(g), hostname: Wire::sample(g) },
            1 => Self::Munge { credential: Wire::sample(g) },
            2 => Self::Jwt { token: Wire::sample(g), username: Wire::sample(g) },
            _ => Self::Slurm { token: Wire::sample(g) },
        }
    }
}
