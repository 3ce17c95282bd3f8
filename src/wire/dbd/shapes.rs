//! The few shapes that most accounting messages have, and records that may be absent.

use std::fmt::Debug;

use crate::{DecodeError, Gen, List, Reader, Release, Schema, UnixTime, Visitor, Wire, Writer};

/// Many records and how the request went. Sent both ways: what to add, and what was found.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Listing<T> {
    /// The records.
    pub records: List<T>,
    /// An error number; 0 in requests.
    pub return_code: u32,
}

/// What to change, and into what. Fields that stay have "no value".
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Modify<C, R> {
    /// Which records.
    pub cond: C,
    /// Their new values.
    pub rec: R,
}

/// What a record's owner used between two times.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Usage<R> {
    /// Whose use: in the answer, with it.
    pub rec: R,
    /// From this time on.
    pub start: UnixTime,
    /// Up to this time.
    pub end: UnixTime,
}

/// A record that says in its first byte whether it is there: always, or since some release. Before
/// that a missing record travels as one without any values, and cannot be told from it.
pub trait Flagged: Wire + Default + Debug {
    /// The first release with the byte.
    const SINCE: Release;
}

impl<T: Flagged> Wire for Option<T> {
    const KIND: &'static str = T::KIND;

    fn encode(&self, w: &mut Writer) {
        match self {
            Some(record) => record.encode(w),
            None if w.release() >= T::SINCE => w.u8(0),
            None => T::default().encode(w),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.release() >= T::SINCE && r.peek_u8() == Some(0) {
            return r.u8().map(|_| None);
        }
        T::decode(r).map(Some)
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Some(record) => record.view(v),
            None => v.null(),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        if g.release() >= T::SINCE { g.maybe(T::sample) } else { Some(T::sample(g)) }
    }

    fn schema(release: Release, s: &mut Schema) {
        T::schema(release, s);
    }
}

/// The byte in front of a record that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Present;

impl Wire for Present {
    const KIND: &'static str = "present";

    fn encode(&self, w: &mut Writer) {
        w.u8(1);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            0 => Err(r.invalid("a record is missing where there must be one")),
            _ => Ok(Self),
        }
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.boolean(true);
    }

    fn sample(_: &mut Gen) -> Self {
        Self
    }
}
