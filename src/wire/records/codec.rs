//! Encodings that only these records need.

use std::fmt::Debug;

use crate::codec::Flag8;
use crate::{Codec, DecodeError, Gen, Mem, NO_VAL, Reader, Release, Schema, Visitor, Wire, Writer};

/// 22.05 as a parameter of `U16Until`.
pub(crate) const V22_05: u16 = Release::V22_05.version();
/// 23.11 as a parameter of `U16Until`.
pub(crate) const V23_11: u16 = Release::V23_11.version();
/// 25.05 as a parameter of `U32Until`.
pub(super) const V25_05: u16 = Release::V25_05.version();

/// A number that had 16 bits up to and including release `LAST` and has 32 bits since. Where it had
/// 16 bits, larger numbers lose their upper half, as in Slurm.
pub(crate) struct U16Until<const LAST: u16>;

impl<const LAST: u16> Codec<u32> for U16Until<LAST> {
    const KIND: &'static str = "u16/u32";

    fn encode(value: &u32, w: &mut Writer) {
        if w.release().version() <= LAST {
            w.u16((*value & u32::from(u16::MAX)) as u16);
        } else {
            w.u32(*value);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        if r.release().version() <= LAST { r.u16().map(u32::from) } else { r.u32() }
    }

    fn sample(g: &mut Gen) -> u32 {
        if g.release().version() <= LAST { u32::from(u16::sample(g)) } else { u32::sample(g) }
    }

    fn view(value: &u32, v: &mut dyn Visitor) {
        v.unsigned(u64::from(*value));
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release.version() <= LAST { "u16" } else { "u32" });
    }
}

/// A number that had 32 bits up to and including release `LAST` and has 64 bits since. Where it had
/// 32 bits, larger numbers are sent as the largest.
pub(super) struct U32Until<const LAST: u16>;

impl<const LAST: u16> Codec<u64> for U32Until<LAST> {
    const KIND: &'static str = "u32/u64";

    fn encode(value: &u64, w: &mut Writer) {
        if w.release().version() <= LAST {
            w.u32(u32::try_from(*value).unwrap_or(u32::MAX));
        } else {
            w.u64(*value);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<u64, DecodeError> {
        if r.release().version() <= LAST { r.u32().map(u64::from) } else { r.u64() }
    }

    fn sample(g: &mut Gen) -> u64 {
        if g.release().version() <= LAST { u64::from(u32::sample(g)) } else { u64::sample(g) }
    }

    fn view(value: &u64, v: &mut dyn Visitor) {
        v.unsigned(*value);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.kind(if release.version() <= LAST { "u32" } else { "u64" });
    }
}

/// A record whose first field is a 32-bit count, or `NO_VAL` alone where there is no record.
pub(super) struct UnlessNoVal;

impl<T: Wire + Debug> Codec<Option<T>> for UnlessNoVal {
    const KIND: &'static str = "unless NO_VAL";

    fn encode(value: &Option<T>, w: &mut Writer) {
        match value {
            Some(value) => value.encode(w),
            None => w.u32(NO_VAL),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        if r.peek_u32() == Some(NO_VAL) {
            return r.u32().map(|_| None);
        }
        T::decode(r).map(Some)
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
        s.enter("?");
        T::schema(release, s);
        s.leave();
    }
}

/// A number that cannot be mistaken for `NO_VAL`.
pub(super) fn below_no_val(g: &mut Gen) -> u32 {
    u32::sample(g) & 0xffff
}

/// An array that is preceded by its count once more.
pub(super) struct Counted;

impl<T: Wire + Debug> Codec<Vec<T>> for Counted {
    const KIND: &'static str = "count and array";

    fn encode(value: &Vec<T>, w: &mut Writer) {
        w.count(value.len());
        value.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
        let count = r.u32()?;
        let array: Vec<T> = Wire::decode(r)?;
        if array.len() != count as usize {
            return Err(r.invalid("an array does not have its announced length"));
        }
        Ok(array)
    }

    fn sample(g: &mut Gen) -> Vec<T> {
        Wire::sample(g)
    }

    fn view(value: &Vec<T>, v: &mut dyn Visitor) {
        value.view(v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("count");
        <Vec<T> as Wire>::schema(release, s);
        s.leave();
    }
}

/// A size and, if it is not 0, a block of bytes with its own length.
pub(super) struct SizedMem;

impl Codec<Mem> for SizedMem {
    const KIND: &'static str = "size and mem";

    fn encode(value: &Mem, w: &mut Writer) {
        w.count(value.0.len());
        if !value.0.is_empty() {
            value.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Mem, DecodeError> {
        let size = r.u32()?;
        let block = if size == 0 { Mem::default() } else { Mem::decode(r)? };
        if block.0.len() != size as usize {
            return Err(r.invalid("a block does not have its announced size"));
        }
        Ok(block)
    }

    fn sample(g: &mut Gen) -> Mem {
        Mem::sample(g)
    }

    fn view(value: &Mem, v: &mut dyn Visitor) {
        value.view(v);
    }
}

/// A byte that is 255 where the value follows and 0 where it does not.
pub(super) struct Flag255;

impl<T: Wire + Debug> Codec<Option<T>> for Flag255 {
    const KIND: &'static str = "u8?";

    fn encode(value: &Option<T>, w: &mut Writer) {
        w.u8(if value.is_some() { u8::MAX } else { 0 });
        if let Some(value) = value {
            value.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        <Flag8 as Codec<Option<T>>>::decode(r)
    }

    fn sample(g: &mut Gen) -> Option<T> {
        g.maybe(T::sample)
    }

    fn view(value: &Option<T>, v: &mut dyn Visitor) {
        <Flag8 as Codec<Option<T>>>::view(value, v);
    }

    fn schema(release: Release, s: &mut Schema) {
        <Flag8 as Codec<Option<T>>>::schema(release, s);
    }
}

/// A 16-bit flag that says whether the value follows.
pub(super) struct Flag16;

impl<T: Wire + Debug> Codec<Option<T>> for Flag16 {
    const KIND: &'static str = "u16?";

    fn encode(value: &Option<T>, w: &mut Writer) {
        w.u16(u16::from(value.is_some()));
        if let Some(value) = value {
            value.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        if r.u16()? == 0 { Ok(None) } else { T::decode(r).map(Some) }
    }

    fn sample(g: &mut Gen) -> Option<T> {
        g.maybe(T::sample)
    }

    fn view(value: &Option<T>, v: &mut dyn Visitor) {
        <Flag8 as Codec<Option<T>>>::view(value, v);
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("u16?");
        T::schema(release, s);
        s.leave();
    }
}
