//! The job credential: what a controller signs and a node checks before it starts anything.
#![expect(missing_docs, reason = "fields carry Slurm's own names")]

use std::borrow::Cow;

use super::gres::{GresJobState, GresStepState};
use super::runs::{CoreRuns, Runs};
use crate::codec::Count16;
use crate::token;
use crate::{
    Bits, Codec, DecodeError, Gen, Mem, Reader, Release, Schema, StepId, UnixTime, Visitor, Wire,
    WireAddr, Writer,
};

/// A user as a node needs to know them, so that it need not look them up.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub pw_name: Option<String>,
    pub pw_gecos: Option<String>,
    pub pw_dir: Option<String>,
    pub pw_shell: Option<String>,
    pub gids: Vec<u32>,
    /// Empty, or one name for each of `gids`.
    pub gr_names: Vec<String>,
}

/// A credential as it travels.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// cred/munge and cred/none: the body, then a signature over its bytes.
    Signed(Box<SignedCredential>),
    /// cred/slurm (23.11 and later): one token that holds the body and is its own signature. What it
    /// says counts only once the token is verified, so it is not looked into here.
    Token(String),
}

/// A credential and the signature over its bytes.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct SignedCredential {
    pub body: CredentialBody,
    pub signature: Signature,
}

impl Credential {
    /// What it allows: a token's payload, packed in `release`, where it is one, and `None` if that
    /// is no credential. What a token says counts only once it is verified.
    pub fn body(&self, release: Release) -> Option<Cow<'_, CredentialBody>> {
        let text = match self {
            Self::Signed(signed) => return Some(Cow::Borrowed(&signed.body)),
            Self::Token(text) => text,
        };
        let payload = token::payload(text)?;
        let mut r = Reader::new(release, &payload);
        let body = CredentialBody::decode(&mut r).ok()?;
        r.finish().ok().map(|()| Cow::Owned(body))
    }
}

impl From<SignedCredential> for Credential {
    fn from(signed: SignedCredential) -> Self {
        Self::Signed(Box::new(signed))
    }
}

impl Default for Credential {
    fn default() -> Self {
        SignedCredential::default().into()
    }
}

impl Wire for Credential {
    const KIND: &'static str = "credential";

    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Signed(signed) => signed.encode(w),
            Self::Token(token) => token.encode(w),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if token::comes_next(r) {
            return String::decode(r).map(Self::Token);
        }
        SignedCredential::decode(r).map(Self::from)
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Self::Signed(signed) => signed.view(v),
            Self::Token(token) => v.text(token),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        if g.release() >= Release::V23_11 && g.below(4) == 0 {
            let body = CredentialBody::sample(g);
            return Self::Token(token::sample(g, &body.signed_bytes(g.release())));
        }
        SignedCredential::sample(g).into()
    }

    fn schema(release: Release, s: &mut Schema) {
        SignedCredential::schema(release, s);
    }
}

/// What a credential allows: this step of this job, of this user, on these cores of these nodes.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct CredentialBody {
    pub step_id: StepId,
    pub id: Identity,
    #[wire(as_ = Count16)]
    pub job_gres_list: Vec<GresJobState>,
    #[wire(as_ = Count16)]
    pub step_gres_list: Vec<GresStepState>,
    pub job_core_spec: u16,
    pub job_account: Option<String>,
    #[wire(since = V23_11)]
    pub job_node_addrs: Vec<WireAddr>,
    pub job_alias_list: Option<String>,
    pub job_comment: Option<String>,
    pub job_constraints: Option<String>,
    #[wire(since = V23_02)]
    pub job_end_time: UnixTime,
    #[wire(since = V23_02)]
    pub job_extra: Option<String>,
    #[wire(since = V26_05)]
    pub job_exclusive: u16,
    #[wire(since = V23_02)]
    pub job_oversubscribe: u16,
    #[wire(as_ = TextBeforeSwitch)]
    pub job_partition: PartitionAndSwitch,
    #[wire(since = V26_05)]
    pub job_qos: Option<String>,
    pub job_reservation: Option<String>,
    pub job_restart_cnt: u16,
    #[wire(since = V23_02)]
    pub job_start_time: UnixTime,
    pub job_std_err: Option<String>,
    pub job_std_in: Option<String>,
    pub job_std_out: Option<String>,
    pub step_hostlist: Option<String>,
    pub job_x11: u16,
    pub ctime: UnixTime,
    pub tot_core_cnt: u32,
    /// The cores of every node of the job, node after node.
    pub job_core_bitmap: Option<Bits>,
    pub step_core_bitmap: Option<Bits>,
    pub cores: CoreRuns,
    pub cpu_array: Runs<u16>,
    pub job_nhosts: u32,
    pub job_ntasks: u32,
    pub job_hostlist: Option<String>,
    #[wire(since = V23_02)]
    pub job_licenses: Option<String>,
    pub job_mem_alloc: Runs<u64>,
    pub step_mem_alloc: Runs<u64>,
    pub job_selinux_context: Option<String>,
    /// What a switch plugin adds; empty without one.
    #[wire(since = V24_11)]
    pub switch_step: Mem,
}

impl CredentialBody {
    /// The bytes that the signature is made of.
    pub fn signed_bytes(&self, release: Release) -> Vec<u8> {
        let mut w = Writer::new(release);
        self.encode(&mut w);
        w.into_bytes()
    }
}

/// What cred/none signs with before 23.11, the one signature that is sent without a final NUL.
pub const FAKE_SIGNATURE: &str = "fake signature";
/// The same with its NUL, as later daemons send it to peers before 23.11.
const FAKE_WITH_NUL: &str = "fake signature\0";

/// A signature as text, or none as from cred/none since 23.11. Where a NUL tells two forms apart,
/// it is part of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature(pub Option<String>);

impl Wire for Signature {
    const KIND: &'static str = "signature";

    fn encode(&self, w: &mut Writer) {
        match self.0.as_deref() {
            Some(FAKE_SIGNATURE) if w.release() < Release::V23_11 => {
                w.block(FAKE_SIGNATURE.as_bytes());
            }
            _ => self.0.encode(w),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let fake = r.clone().block().is_ok_and(|block| block == FAKE_SIGNATURE.as_bytes());
        if fake && r.release() < Release::V23_11 {
            return r.block().map(|_| Self(Some(FAKE_SIGNATURE.to_owned())));
        }
        let text: Option<String> = Wire::decode(r)?;
        if text.as_deref() == Some(FAKE_SIGNATURE) && r.release() < Release::V23_11 {
            return Ok(Self(Some(FAKE_WITH_NUL.to_owned())));
        }
        Ok(Self(text))
    }

    fn view(&self, v: &mut dyn Visitor) {
        self.0.view(v);
    }

    fn sample(g: &mut Gen) -> Self {
        if g.coin() { Self(Some(FAKE_SIGNATURE.to_owned())) } else { Self(Wire::sample(g)) }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release >= Release::V23_11 { "str" } else { "mem" });
    }
}

/// A job's partition. In 23.02 to 24.05 what a switch plugin adds is hidden after the string's end,
/// inside its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionAndSwitch {
    /// The partition's name.
    pub name: Option<String>,
    /// The hidden part, without the NUL that closes it; empty without a plugin.
    pub hidden: Vec<u8>,
}

impl From<&str> for PartitionAndSwitch {
    fn from(name: &str) -> Self {
        Self { name: Some(name.to_owned()), hidden: Vec::new() }
    }
}

struct TextBeforeSwitch;

impl TextBeforeSwitch {
    fn hides(release: Release) -> bool {
        (Release::V23_02..=Release::V24_05).contains(&release)
    }
}

impl Codec<PartitionAndSwitch> for TextBeforeSwitch {
    const KIND: &'static str = "str and switch";

    fn encode(value: &PartitionAndSwitch, w: &mut Writer) {
        if value.hidden.is_empty() || !Self::hides(w.release()) {
            return value.name.encode(w);
        }
        let mut block = crate::text::to_bytes(value.name.as_deref().unwrap_or_default());
        block.push(0);
        block.extend_from_slice(&value.hidden);
        block.push(0);
        w.block(&block);
    }

    fn decode(r: &mut Reader<'_>) -> Result<PartitionAndSwitch, DecodeError> {
        if !Self::hides(r.release()) {
            return Wire::decode(r).map(|name| PartitionAndSwitch { name, hidden: Vec::new() });
        }
        let block = r.block()?;
        let Some(rest) = block.strip_suffix(&[0]) else {
            let unterminated = r.fault(crate::Fault::Unterminated);
            return if block.is_empty() { Ok(Default::default()) } else { Err(unterminated) };
        };
        let mut parts = rest.splitn(2, |byte| *byte == 0);
        let name = parts.next().map(crate::text::from_bytes);
        let hidden = parts.next().unwrap_or_default().to_vec();
        Ok(PartitionAndSwitch { name, hidden })
    }

    fn view(value: &PartitionAndSwitch, v: &mut dyn Visitor) {
        v.record_begin("PartitionAndSwitch");
        v.field("name");
        value.name.view(v);
        v.field("hidden");
        v.bytes(&value.hidden);
        v.record_end();
    }

    fn sample(g: &mut Gen) -> PartitionAndSwitch {
        let name: Option<String> = Wire::sample(g);
        let hides = Self::hides(g.release()) && name.is_some() && g.coin();
        PartitionAndSwitch { name, hidden: if hides { vec![0, 7, 0, 1] } else { Vec::new() } }
    }
}

/// A credential together with the release it is packed in, which can be older than its message's.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionedCredential {
    /// The release it is packed in; the message's own where `None`.
    pub release: Option<Release>,
    /// The credential.
    pub credential: Credential,
}

impl From<Credential> for VersionedCredential {
    fn from(credential: Credential) -> Self {
        Self { release: None, credential }
    }
}

impl Default for VersionedCredential {
    fn default() -> Self {
        Credential::default().into()
    }
}

impl Wire for VersionedCredential {
    const KIND: &'static str = "versioned credential";

    fn encode(&self, w: &mut Writer) {
        let release = self.release.unwrap_or_else(|| w.release());
        w.u16(release.version());
        let mut inner = Writer::new(release);
        self.credential.encode(&mut inner);
        w.raw(inner.bytes());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = r.u16()?;
        let release = Release::from_version(version)
            .ok_or_else(|| r.invalid("credential of a release that is not spoken"))?;
        let credential = r.in_release(release, Wire::decode)?;
        Ok(Self { release: Some(release).filter(|release| *release != r.release()), credential })
    }

    fn view(&self, v: &mut dyn Visitor) {
        self.credential.view(v);
    }

    fn sample(g: &mut Gen) -> Self {
        Self { release: None, credential: Wire::sample(g) }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("version");
        u16::schema(release, s);
        s.leave();
        Credential::schema(release, s);
    }
}
