//! The primitive kinds: numbers, strings, blocks, arrays, lists.

use crate::text;
use crate::{DecodeError, Fixed, Gen, Reader, Release, Schema, Visitor, Wire, Writer};

/// "No value" of 32-bit fields, and the count of an absent list.
pub const NO_VAL: u32 = 0xffff_fffe;
/// "No value" of 8-bit fields.
pub const NO_VAL8: u8 = 0xfe;
/// "No value" of 16-bit fields.
pub const NO_VAL16: u16 = 0xfffe;
/// "No value" of 64-bit fields.
pub const NO_VAL64: u64 = 0xffff_ffff_ffff_fffe;
/// "Unlimited" of 32-bit fields.
pub const INFINITE: u32 = 0xffff_ffff;
/// "Unlimited" of 8-bit fields.
pub const INFINITE8: u8 = 0xff;
/// "Unlimited" of 16-bit fields.
pub const INFINITE16: u16 = 0xffff;
/// "Unlimited" of 64-bit fields.
pub const INFINITE64: u64 = 0xffff_ffff_ffff_ffff;

/// Fractions travel multiplied by this.
const FRACTION_SCALE: f64 = 1_000_000.0;

macro_rules! integer {
    ($type:ty, $method:ident, $kind:literal) => {
        impl Wire for $type {
            const KIND: &'static str = $kind;

            #[inline]
            fn encode(&self, w: &mut Writer) {
                w.$method(*self);
            }

            #[inline]
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.$method()
            }

            fn view(&self, v: &mut dyn Visitor) {
                v.unsigned(u64::from(*self));
            }

            fn sample(g: &mut Gen) -> Self {
                g.integer() as $type
            }
        }
    };
}

macro_rules! fixed {
    ($type:ty, $sent:ty, $to:expr, $from:expr) => {
        impl Fixed for $type {
            const WIDTH: usize = size_of::<$sent>();

            #[inline]
            fn put(self, run: &mut [u8]) -> &mut [u8] {
                let (slot, rest) = run.split_first_chunk_mut().expect("a run has room for each");
                let sent: $sent = $to(self);
                *slot = sent.to_be_bytes();
                rest
            }

            #[inline]
            fn get<'a>(&mut self, run: &'a [u8]) -> &'a [u8] {
                let (slot, rest) = run.split_first_chunk().expect("a run has bytes for each");
                *self = $from(<$sent>::from_be_bytes(*slot));
                rest
            }
        }
    };
}

fixed!(u8, u8, u8::from, u8::from);
fixed!(u16, u16, u16::from, u16::from);
fixed!(u32, u32, u32::from, u32::from);
fixed!(u64, u64, u64::from, u64::from);
fixed!(i64, i64, i64::from, i64::from);
fixed!(bool, u8, u8::from, |byte| byte != 0);
fixed!(UnixTime, i64, |time: Self| time.0, Self);

integer!(u8, u8, "u8");
integer!(u16, u16, "u16");
integer!(u32, u32, "u32");
integer!(u64, u64, "u64");

impl Wire for i64 {
    const KIND: &'static str = "i64";

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.u64(self.cast_unsigned());
    }

    #[inline]
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u64().map(u64::cast_signed)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.signed(*self);
    }

    fn sample(g: &mut Gen) -> Self {
        g.integer().cast_signed()
    }
}

impl Wire for bool {
    const KIND: &'static str = "bool";

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.u8(u8::from(*self));
    }

    #[inline]
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u8().map(|byte| byte != 0)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.boolean(*self);
    }

    fn sample(g: &mut Gen) -> Self {
        g.coin()
    }
}

/// Undoes the scaling so that scaling again gives the very same bits: division alone can be off by
/// one unit in the last place.
fn unscale(scaled: f64) -> f64 {
    let near = scaled / FRACTION_SCALE;
    let exact = |value: &f64| (value * FRACTION_SCALE).to_bits() == scaled.to_bits();
    [near, near.next_up(), near.next_down()].into_iter().find(exact).unwrap_or(near)
}

impl Wire for f64 {
    const KIND: &'static str = "double";

    fn encode(&self, w: &mut Writer) {
        w.u64((self * FRACTION_SCALE).to_bits());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u64().map(|bits| unscale(Self::from_bits(bits)))
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.fraction(*self);
    }

    fn sample(g: &mut Gen) -> Self {
        let quarters = u32::try_from(g.below(1 << 30)).expect("below 2^30");
        f64::from(quarters) / 4.0
    }
}

/// A point in time as whole seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub i64);

impl From<flurm_base::Time> for UnixTime {
    fn from(time: flurm_base::Time) -> Self {
        Self(time.secs())
    }
}

impl From<UnixTime> for flurm_base::Time {
    fn from(time: UnixTime) -> Self {
        Self::from_secs(time.0)
    }
}

impl Wire for UnixTime {
    const KIND: &'static str = "time";

    #[inline]
    fn encode(&self, w: &mut Writer) {
        self.0.encode(w);
    }

    #[inline]
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        i64::decode(r).map(Self)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.signed(self.0);
    }

    fn sample(g: &mut Gen) -> Self {
        Self(g.time())
    }
}

impl Wire for Option<String> {
    const KIND: &'static str = "str";

    #[inline]
    fn encode(&self, w: &mut Writer) {
        text::encode(self.as_deref(), w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        text::decode(r)
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Some(text) => v.text(text),
            None => v.null(),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        g.maybe(Gen::text)
    }
}

/// A string that is always sent; an absent one reads as empty.
impl Wire for String {
    const KIND: &'static str = "str";

    fn encode(&self, w: &mut Writer) {
        text::encode(Some(self), w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        text::decode(r).map(Option::unwrap_or_default)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.text(self);
    }

    fn sample(g: &mut Gen) -> Self {
        g.text()
    }
}

/// A length and that many bytes without meaning here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mem(pub Vec<u8>);

impl Wire for Mem {
    const KIND: &'static str = "mem";

    fn encode(&self, w: &mut Writer) {
        w.block(&self.0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.block().map(|bytes| Self(bytes.to_vec()))
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.bytes(&self.0);
    }

    fn sample(g: &mut Gen) -> Self {
        Self(g.bits().to_be_bytes()[..g.length()].to_vec())
    }
}

/// Elements after their count, read one by one so that a false count costs nothing.
fn decode_elements<T: Wire>(count: u32, r: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
    let count = r.check_count(count)?;
    r.list(count)
}

fn encode_elements<T: Wire>(elements: &[T], w: &mut Writer) {
    w.count(elements.len());
    for element in elements {
        element.encode(w);
    }
}

fn view_elements<T: Wire>(elements: &[T], v: &mut dyn Visitor) {
    v.list_begin(elements.len());
    for element in elements {
        element.view(v);
    }
    v.list_end();
}

fn schema_elements<T: Wire>(name: &'static str, release: Release, s: &mut Schema) {
    s.enter(name);
    T::schema(release, s);
    s.leave();
}

/// A count and that many elements: Slurm's arrays of numbers and of strings, and lists that are
/// never absent.
impl<T: Wire> Wire for Vec<T> {
    const KIND: &'static str = "array";

    fn encode(&self, w: &mut Writer) {
        encode_elements(self, w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.u32()?;
        decode_elements(count, r)
    }

    fn view(&self, v: &mut dyn Visitor) {
        view_elements(self, v);
    }

    fn sample(g: &mut Gen) -> Self {
        (0..g.length()).map(|_| T::sample(g)).collect()
    }

    fn schema(release: Release, s: &mut Schema) {
        schema_elements::<T>("[]", release, s);
    }
}

/// A list whose count may be `NO_VAL`, which means that there is none.
pub type List<T> = Option<Vec<T>>;

impl<T: Wire> Wire for Option<Vec<T>> {
    const KIND: &'static str = "list";

    fn encode(&self, w: &mut Writer) {
        match self {
            Some(elements) => encode_elements(elements, w),
            None => w.u32(NO_VAL),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u32()? {
            NO_VAL => Ok(None),
            count => decode_elements(count, r).map(Some),
        }
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Some(elements) => view_elements(elements, v),
            None => v.null(),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        g.maybe(Vec::sample)
    }

    fn schema(release: Release, s: &mut Schema) {
        schema_elements::<T>("list[]", release, s);
    }
}

impl<T: Wire> Wire for Box<T> {
    const KIND: &'static str = T::KIND;

    fn encode(&self, w: &mut Writer) {
        T::encode(self, w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::boxed(r)
    }

    fn view(&self, v: &mut dyn Visitor) {
        T::view(self, v);
    }

    fn sample(g: &mut Gen) -> Self {
        Self::new(T::sample(g))
    }

    fn schema(release: Release, s: &mut Schema) {
        T::schema(release, s);
    }
}

/// A fraction of more precision than a double has, which Slurm sends as decimal text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongDouble(String);

impl LongDouble {
    /// The nearest double; what is not a number counts as zero.
    pub fn value(&self) -> f64 {
        self.0.trim().parse().ok().filter(|value: &f64| !value.is_nan()).unwrap_or(0.0)
    }
}

impl From<f64> for LongDouble {
    fn from(value: f64) -> Self {
        Self(format!("{value:.6}"))
    }
}

impl Default for LongDouble {
    fn default() -> Self {
        Self::from(0.0)
    }
}

impl Wire for LongDouble {
    const KIND: &'static str = "longdouble";

    fn encode(&self, w: &mut Writer) {
        self.0.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        String::decode(r).map(Self)
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.fraction(self.value());
    }

    fn sample(g: &mut Gen) -> Self {
        Self::from(f64::sample(g))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(value: &impl Wire) -> Vec<u8> {
        let mut w = Writer::new(Release::NEWEST);
        value.encode(&mut w);
        w.into_bytes()
    }

    fn read<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
        T::decode(&mut Reader::new(Release::NEWEST, bytes))
    }

    #[test]
    fn fractions_are_scaled_and_come_back_bit_for_bit() {
        assert_eq!(bytes_of(&1.5f64), 1_500_000f64.to_bits().to_be_bytes());
        let mut g = Gen::new(Release::NEWEST, 7);
        for _ in 0..10_000 {
            let value = f64::from_bits(g.bits() >> 12 | 0x3ff0_0000_0000_0000) * 1e4;
            let sent = bytes_of(&value);
            let back: f64 = read(&sent).unwrap();
            assert_eq!(bytes_of(&back), sent, "{value}");
        }
    }

    #[test]
    fn an_absent_list_is_not_an_empty_one() {
        assert_eq!(bytes_of(&None::<Vec<u16>>), [0xff, 0xff, 0xff, 0xfe]);
        assert_eq!(bytes_of(&Some(Vec::<u16>::new())), [0, 0, 0, 0]);
        assert_eq!(read::<List<u16>>(&[0xff, 0xff, 0xff, 0xfe]).unwrap(), None);
    }

    #[test]
    fn a_false_count_is_refused_before_allocating() {
        let error = read::<Vec<u64>>(&[0x00, 0xff, 0xff, 0xff, 1]).unwrap_err();
        assert!(matches!(error.fault, crate::Fault::Truncated { .. }), "{error}");
        let error = read::<Vec<u64>>(&[0xf0, 0, 0, 0, 1]).unwrap_err();
        assert!(matches!(error.fault, crate::Fault::TooLarge { .. }), "{error}");
    }

    #[test]
    fn long_doubles_keep_their_text() {
        let sent = b"\0\0\0\x0a12.345000\0";
        let value: LongDouble = read(sent).unwrap();
        assert!((value.value() - 12.345).abs() < 1e-9);
        assert_eq!(bytes_of(&value), sent);
        assert_eq!(LongDouble("-nan".into()).value(), 0.0);
    }
}
