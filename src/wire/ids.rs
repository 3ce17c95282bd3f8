//! Identities on the wire: steps, jobs, network addresses.

use crate::{DecodeError, Gen, NO_VAL, Reader, Release, Schema, Visitor, Wire, Writer};

/// The step of a batch script.
pub const BATCH_STEP: u32 = 0xffff_fffb;
/// The step that holds processes started outside of steps (`PrologFlags=contain`).
pub const EXTERN_STEP: u32 = 0xffff_fffc;
/// The step of an interactive shell.
pub const INTERACTIVE_STEP: u32 = 0xffff_fffa;
/// A step that waits for resources.
pub const PENDING_STEP: u32 = 0xffff_fffd;

/// A step of a job. From 24.11 on it also carries the job's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepId {
    /// The attempt (Slurm's SLUID); 0 where unknown, and always 0 before 24.11.
    pub sluid: u64,
    /// The job; `NO_VAL` for none.
    pub job_id: u32,
    /// The step; `NO_VAL` when the whole job is meant.
    pub step_id: u32,
    /// The component of a heterogeneous step; `NO_VAL` for none.
    pub step_het_comp: u32,
}

impl StepId {
    /// The whole job.
    pub const fn job(job_id: u32) -> Self {
        Self { sluid: 0, job_id, step_id: NO_VAL, step_het_comp: NO_VAL }
    }

    /// One step of a job.
    pub const fn step(job_id: u32, step_id: u32) -> Self {
        Self { sluid: 0, job_id, step_id, step_het_comp: NO_VAL }
    }

    /// The same with an attempt.
    pub const fn with_sluid(self, sluid: u64) -> Self {
        Self { sluid, ..self }
    }
}

impl Default for StepId {
    fn default() -> Self {
        Self::job(NO_VAL)
    }
}

impl Wire for StepId {
    const KIND: &'static str = "step_id";

    fn encode(&self, w: &mut Writer) {
        if w.release() >= Release::V24_11 {
            w.u64(self.sluid);
        }
        w.u32(self.job_id);
        w.u32(self.step_id);
        w.u32(self.step_het_comp);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let sluid = if r.release() >= Release::V24_11 { r.field("sluid")? } else { 0 };
        let (job_id, step_id) = (r.field("job_id")?, r.field("step_id")?);
        let step_het_comp = r.field("step_het_comp")?;
        Ok(Self { sluid, job_id, step_id, step_het_comp })
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.record_begin("StepId");
        v.field("sluid");
        v.unsigned(self.sluid);
        v.field("job_id");
        v.unsigned(u64::from(self.job_id));
        v.field("step_id");
        v.unsigned(u64::from(self.step_id));
        v.field("step_het_comp");
        v.unsigned(u64::from(self.step_het_comp));
        v.record_end();
    }

    fn sample(g: &mut Gen) -> Self {
        let sluid = if g.release() >= Release::V24_11 { g.integer() } else { 0 };
        let [job_id, step_id, step_het_comp] = [(); 3].map(|()| u32::sample(g));
        Self { sluid, job_id, step_id, step_het_comp }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release >= Release::V24_11 { "step_id+sluid" } else { "step_id" });
    }
}

/// A job: its bare number before 25.11, a whole step id from then on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobRef(pub StepId);

impl JobRef {
    /// A job by number.
    pub const fn job(job_id: u32) -> Self {
        Self(StepId::job(job_id))
    }
}

impl Wire for JobRef {
    const KIND: &'static str = "job";

    fn encode(&self, w: &mut Writer) {
        if w.release() >= Release::V25_11 {
            self.0.encode(w);
        } else {
            w.u32(self.0.job_id);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.release() >= Release::V25_11 {
            return StepId::decode(r).map(Self);
        }
        r.field("job_id").map(Self::job)
    }

    fn view(&self, v: &mut dyn Visitor) {
        self.0.view(v);
    }

    fn sample(g: &mut Gen) -> Self {
        if g.release() >= Release::V25_11 {
            return Self(StepId::sample(g));
        }
        Self::job(u32::sample(g))
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release >= Release::V25_11 { "step_id+sluid" } else { "u32" });
    }
}

/// A network address. Slurm sends numbers that already are in network order through a function
/// that swaps them once more, so they arrive with the little end first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WireAddr {
    /// None.
    #[default]
    Unspecified,
    /// IPv4 and port.
    V4(std::net::Ipv4Addr, u16),
    /// IPv6 and port.
    V6(std::net::Ipv6Addr, u16),
    /// A family that carries nothing here, such as local sockets.
    Other(u16),
}

const FAMILY_UNSPECIFIED: u16 = 0;
const FAMILY_V4: u16 = 2;
const FAMILY_V6: u16 = 10;
const V6_BYTES: usize = 16;

impl Wire for WireAddr {
    const KIND: &'static str = "addr";

    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Unspecified => w.u16(FAMILY_UNSPECIFIED),
            Self::Other(family) => w.u16(*family),
            Self::V4(ip, port) => {
                w.u16(FAMILY_V4);
                w.raw(&ip.to_bits().to_le_bytes());
                w.raw(&port.to_le_bytes());
            }
            Self::V6(ip, port) => {
                w.u16(FAMILY_V6);
                w.block(&ip.octets());
                w.raw(&port.to_le_bytes());
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u16()? {
            FAMILY_UNSPECIFIED => Ok(Self::Unspecified),
            FAMILY_V4 => Ok(Self::V4(r.u32()?.swap_bytes().into(), r.u16()?.swap_bytes())),
            FAMILY_V6 => {
                let octets = <[u8; V6_BYTES]>::try_from(r.block()?);
                let octets = octets.map_err(|_| r.invalid("IPv6 address of a wrong length"))?;
                Ok(Self::V6(octets.into(), r.u16()?.swap_bytes()))
            }
            family => Ok(Self::Other(family)),
        }
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Self::Unspecified => v.null(),
            Self::V4(ip, port) => v.text(&format!("{ip}:{port}")),
            Self::V6(ip, port) => v.text(&format!("[{ip}]:{port}")),
            Self::Other(family) => v.text(&format!("family {family}")),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        let port = u16::sample(g);
        match g.below(4) {
            0 => Self::Unspecified,
            1 => Self::V4(u32::sample(g).into(), port),
            2 => Self::V6((u128::from(g.bits()) << 64 | u128::from(g.bits())).into(), port),
            _ => Self::Other(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(release: Release, value: &impl Wire) -> Vec<u8> {
        let mut w = Writer::new(release);
        value.encode(&mut w);
        w.into_bytes()
    }

    #[test]
    fn addresses_arrive_little_end_first() {
        let addr = WireAddr::V4([127, 0, 0, 1].into(), 6817);
        let bytes = bytes_of(Release::NEWEST, &addr);
        assert_eq!(bytes, [0, 2, 1, 0, 0, 127, 0xa1, 0x1a]);
        assert_eq!(WireAddr::decode(&mut Reader::new(Release::NEWEST, &bytes)), Ok(addr));
    }

    #[test]
    fn step_ids_grow_a_sluid_in_24_11() {
        let id = StepId::step(7, 1).with_sluid(9);
        assert_eq!(bytes_of(Release::V24_05, &id).len(), 12);
        assert_eq!(bytes_of(Release::V24_11, &id)[..8], 9u64.to_be_bytes());
    }

    #[test]
    fn jobs_are_bare_numbers_before_25_11() {
        assert_eq!(bytes_of(Release::V25_05, &JobRef::job(7)), [0, 0, 0, 7]);
        assert_eq!(bytes_of(Release::V25_11, &JobRef::job(7)).len(), 20);
    }
}
