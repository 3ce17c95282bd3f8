//! Encodings for `#[wire(as_ = …)]` that more than one record needs.

use std::fmt::Debug;

use crate::{Codec, DecodeError, Gen, Reader, Release, Schema, StepId, Visitor, Wire, Writer};

/// A byte that says whether the value follows, then the value: `Option<T>`.
pub struct Flag8;

impl<T: Wire + Debug> Codec<Option<T>> for Flag8 {
    const KIND: &'static str = "u8?";

    fn encode(value: &Option<T>, w: &mut Writer) {
        w.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            value.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        match r.u8()? {
            0 => Ok(None),
            _ => T::decode(r).map(Some),
        }
    }

    fn sample(g: &mut Gen) -> Option<T> {
        g.maybe(T::sample)
    }

    fn view(value: &Option<T>, v: &mut dyn Visitor) {
        match value {
            Some(value) => value.view(v),
            None => v.null(),
        }
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("u8?");
        T::schema(release, s);
        s.leave();
    }
}

/// A 16-bit value that travels in 32 bits; larger ones are refused.
pub struct U16In32;

impl Codec<u16> for U16In32 {
    const KIND: &'static str = "u32";

    fn encode(value: &u16, w: &mut Writer) {
        w.u32(u32::from(*value));
    }

    fn decode(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
        let value = r.u32()?;
        u16::try_from(value).map_err(|_| r.invalid("a 16-bit value exceeds 16 bits"))
    }

    fn sample(g: &mut Gen) -> u16 {
        u16::sample(g)
    }

    fn view(value: &u16, v: &mut dyn Visitor) {
        value.view(v);
    }
}

/// A job and a step as two numbers before 25.11, as a whole step id from then on.
pub struct JobAndStep;

impl Codec<StepId> for JobAndStep {
    const KIND: &'static str = "job_and_step";

    fn encode(value: &StepId, w: &mut Writer) {
        if w.release() >= Release::V25_11 {
            return value.encode(w);
        }
        w.u32(value.job_id);
        w.u32(value.step_id);
    }

    fn decode(r: &mut Reader<'_>) -> Result<StepId, DecodeError> {
        if r.release() >= Release::V25_11 {
            return StepId::decode(r);
        }
        let job_id = r.field("job_id")?;
        r.field("step_id").map(|step_id| StepId::step(job_id, step_id))
    }

    fn sample(g: &mut Gen) -> StepId {
        if g.release() >= Release::V25_11 {
            return StepId::sample(g);
        }
        StepId::step(u32::sample(g), u32::sample(g))
    }

    fn view(value: &StepId, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release >= Release::V25_11 { "step_id+sluid" } else { "u32 u32" });
    }
}

/// A 16-bit count and that many elements.
pub struct Count16;

impl<T: Wire + Debug> Codec<Vec<T>> for Count16 {
    const KIND: &'static str = "array16";

    fn encode(value: &Vec<T>, w: &mut Writer) {
        let count = u16::try_from(value.len()).unwrap_or(u16::MAX);
        w.u16(count);
        for element in value.iter().take(usize::from(count)) {
            element.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
        let count = r.u16()?;
        let count = r.check_count(u32::from(count))?;
        r.list(count)
    }

    fn sample(g: &mut Gen) -> Vec<T> {
        Vec::sample(g)
    }

    fn view(value: &Vec<T>, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("[]16");
        T::schema(release, s);
        s.leave();
    }
}
