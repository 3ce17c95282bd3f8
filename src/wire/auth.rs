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
        match r.u32()? {
            PLUGIN_NONE => {
                let (uid, gid) = (r.u32()?, r.u32()?);
                Ok(Self::None { uid, gid, hostname: Wire::decode(r)? })
            }
            PLUGIN_MUNGE => Ok(Self::Munge { credential: Wire::decode(r)? }),
            PLUGIN_JWT => {
                let token = Wire::decode(r)?;
                Ok(Self::Jwt { token, username: Wire::decode(r)? })
            }
            PLUGIN_SLURM => Ok(Self::Slurm { token: Wire::decode(r)? }),
            _ => Err(r.invalid("unknown authentication plugin")),
        }
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Self::None { uid, .. } => v.text(&format!("none, uid {uid}")),
            Self::Munge { .. } => v.text("munge"),
            Self::Jwt { .. } => v.text("jwt"),
            Self::Slurm { .. } => v.text("slurm"),
        }
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
