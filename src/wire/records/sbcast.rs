//! Copying a file to a job's nodes: the credential for it, and its blocks.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use super::credential::{Identity, Signature};
use crate::token;
use crate::{
    DecodeError, Gen, Mem, NO_VAL, Reader, Release, Schema, StepId, UnixTime, Visitor, Wire, Writer,
};

/// What an sbcast credential allows: this user to write files on these nodes.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(order(
    until = V23_02,
    fields(ctime, expiration, job_id, het_job_id, step, uid, gid, user_name, gids, nodes)
))]
#[wire(order(
    since = V23_11,
    until = V25_05,
    fields(id, ctime, expiration, job_id, het_job_id, step, nodes)
))]
pub struct SbcastBody {
    #[wire(since = V25_11)]
    pub step_id: StepId,
    #[wire(since = V23_11)]
    pub id: Identity,
    pub ctime: UnixTime,
    pub expiration: UnixTime,
    #[wire(until = V25_05, default = NO_VAL)]
    pub job_id: u32,
    #[wire(default = NO_VAL)]
    pub het_job_id: u32,
    #[wire(until = V25_05, default = NO_VAL)]
    pub step: u32,
    #[wire(until = V23_02)]
    pub uid: u32,
    #[wire(until = V23_02)]
    pub gid: u32,
    #[wire(until = V23_02)]
    pub user_name: Option<String>,
    #[wire(until = V23_02)]
    pub gids: Vec<u32>,
    pub nodes: Option<String>,
}

impl SbcastBody {
    /// The job and step.
    pub const fn step(&self) -> StepId {
        match self.step_id.job_id {
            NO_VAL => StepId::step(self.job_id, self.step),
            _ => self.step_id,
        }
    }

    /// The bytes that the signature is made of.
    pub fn signed_bytes(&self, release: Release) -> Vec<u8> {
        let mut w = Writer::new(release);
        self.encode(&mut w);
        w.into_bytes()
    }
}

/// A credential that sbcast shows to nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SbcastCredential {
    /// Signed as cred/munge and cred/none do.
    Signed(Box<SbcastBody>, Signature),
    /// A JSON web token that says everything in its claims, as auth/slurm makes since 23.11.
    Token(String),
}

impl Default for SbcastCredential {
    fn default() -> Self {
        Self::Signed(Box::default(), Signature::default())
    }
}

impl Wire for SbcastCredential {
    const KIND: &'static str = "sbcast credential";

    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Signed(body, signature) => {
                body.encode(w);
                signature.encode(w);
            }
            Self::Token(text) => text.encode(w),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if token::comes_next(r) {
            return String::decode(r).map(Self::Token);
        }
        let body = Wire::decode(r)?;
        Signature::decode(r).map(|signature| Self::Signed(body, signature))
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("SbcastCredential");
        match self {
            Self::Signed(body, signature) => {
                v.field("body");
                body.view(v);
                v.field("signature");
                signature.view(v);
            }
            Self::Token(text) => {
                v.field("token");
                v.text(text);
            }
        }
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        if g.release() >= Release::V23_11 && g.coin() {
            return Self::Token(token::sample(g, &[]));
        }
        Self::Signed(Wire::sample(g), Signature::sample(g))
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("body");
        SbcastBody::schema(release, s);
        s.leave();
        s.enter("signature");
        Signature::schema(release, s);
        s.leave();
    }
}

/// The credential that was asked for. 4024.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SbcastAnswer {
    #[wire(until = V25_05)]
    pub job_id: u32,
    pub node_list: Option<String>,
    /// Without meaning.
    #[wire(until = V25_05)]
    pub node_cnt: u32,
    pub sbcast_cred: SbcastCredential,
}

/// A block of a file. 6014.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct FileBcast {
    pub block_no: u32,
    pub compress: u16,
    pub flags: u16,
    pub modes: u16,
    pub uid: u32,
    pub user_name: Option<String>,
    pub gid: u32,
    pub atime: UnixTime,
    pub mtime: UnixTime,
    pub fname: Option<String>,
    /// The program whose shared libraries are sent.
    #[wire(since = V24_05)]
    pub exe_fname: Option<String>,
    /// The length of `block`.
    pub block_len: u32,
    pub uncomp_len: u32,
    pub block_offset: u64,
    pub file_size: u64,
    pub block: Mem,
    pub cred: SbcastCredential,
}
