//! The traits that tie a Rust type to its bytes.

use std::fmt::Debug;

use crate::{DecodeError, Gen, Reader, Release, Schema, Visitor, Writer};

/// A value with a place on the wire. Derived for records, written out for primitive kinds.
pub trait Wire: Sized {
    /// The kind's name in field tables.
    const KIND: &'static str;

    /// Appends the value in the writer's release.
    fn encode(&self, w: &mut Writer);

    /// Reads the value in the reader's release.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads the value where it shall stand. What stands there is the type's default; after a fault
    /// it is a part of what was read.
    #[inline]
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = Self::decode(r)?;
        Ok(())
    }

    /// Reads one more element of a list. After a fault the list may have a part of it.
    #[inline]
    fn push_onto(list: &mut Vec<Self>, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        list.push(Self::decode(r)?);
        Ok(())
    }

    /// Reads the value into memory of its own.
    #[inline]
    fn boxed(r: &mut Reader<'_>) -> Result<Box<Self>, DecodeError> {
        Self::decode(r).map(Box::new)
    }

    /// Shows the value to a visitor.
    fn view(&self, v: &mut dyn Visitor);

    /// Invents a value that survives a round trip in the generator's release.
    fn sample(g: &mut Gen) -> Self;

    /// Describes the layout in a release.
    fn schema(release: Release, s: &mut Schema) {
        let _ = release;
        s.kind(Self::KIND);
    }
}

/// A kind that takes the same bytes in every release. Its derived neighbours are read and written
/// as one run.
pub trait Fixed: Copy {
    /// Bytes on the wire.
    const WIDTH: usize;

    /// Puts the value at the start of a run, which must have the room; gives the rest.
    fn put(self, run: &mut [u8]) -> &mut [u8];

    /// Gets the value from the start of a run, which must have the bytes; gives the rest.
    fn get<'a>(&mut self, run: &'a [u8]) -> &'a [u8];
}

/// A kind that mostly takes few bytes. Derived neighbours, those of fixed size among them, share
/// one look at the room there is, and the place reached stays at hand from one to the next.
pub trait Brief: Wire {
    /// The most bytes that it takes in the common case, for which room has been made.
    const ROOM: usize;

    /// Writes the value at a place and gives the place behind it, where there is again as much
    /// room as there has been, less `ROOM` bytes; `room` is at least that.
    fn place(&self, w: &mut Writer, at: usize, room: usize) -> usize;

    /// Reads the value from the start of `rest`, which the reader has yet to read; gives what is
    /// behind it. What stands there is the type's default.
    fn take<'a>(&mut self, rest: &'a [u8], r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError>;
}

/// An encoding of `T` other than its own, named by `#[wire(as_ = …)]`.
pub trait Codec<T: Debug> {
    /// The kind's name in field tables.
    const KIND: &'static str;

    /// Appends the value in the writer's release.
    fn encode(value: &T, w: &mut Writer);

    /// Reads the value in the reader's release.
    fn decode(r: &mut Reader<'_>) -> Result<T, DecodeError>;

    /// Invents a value that survives a round trip in the generator's release.
    fn sample(g: &mut Gen) -> T;

    /// Shows the value to a visitor.
    fn view(value: &T, v: &mut dyn Visitor) {
        v.text(&format!("{value:?}"));
    }

    /// Describes the layout in a release.
    fn schema(release: Release, s: &mut Schema) {
        let _ = release;
        s.kind(Self::KIND);
    }
}

/// Elements without a count of their own, because an earlier field tells it: `#[wire(count = …)]`.
pub trait Counted: Sized {
    /// Appends the elements, which must be `count` many.
    fn encode(&self, count: u32, w: &mut Writer);

    /// Reads `count` elements.
    fn decode(count: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Invents `count` elements.
    fn sample(count: u32, g: &mut Gen) -> Self;

    /// Describes the layout in a release.
    fn schema(release: Release, s: &mut Schema);
}

impl<T: Wire> Counted for Vec<T> {
    fn encode(&self, count: u32, w: &mut Writer) {
        assert_eq!(self.len(), count as usize, "as many elements as their count says");
        self.iter().for_each(|element| element.encode(w));
    }

    fn decode(count: u32, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = r.check_count(count)?;
        r.list(count)
    }

    fn sample(count: u32, g: &mut Gen) -> Self {
        (0..count).map(|_| T::sample(g)).collect()
    }

    fn schema(release: Release, s: &mut Schema) {
        s.enter("[counted]");
        T::schema(release, s);
        s.leave();
    }
}

/// A derived record's table of fields.
pub trait Record: Wire {
    /// The record's name.
    const NAME: &'static str;
    /// Its fields in the newest release's order.
    const FIELDS: &'static [FieldInfo];
}

/// One row of a record's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// The field's name.
    pub name: &'static str,
    /// Its Rust type, or a filler's value.
    pub declared: &'static str,
    /// Its wire kind.
    pub kind: &'static str,
    /// First release that has it.
    pub since: Release,
    /// Last release that has it.
    pub until: Release,
    /// Whether a predicate over earlier fields decides its presence.
    pub conditional: bool,
}

/// Applies a `when` predicate; exists so that the derive can name its types.
#[doc(hidden)]
pub fn predicate<T>(when: impl Fn(&T, Release) -> bool, this: &T, release: Release) -> bool {
    when(this, release)
}

/// Reads and drops a value of the type that `constant` has.
#[doc(hidden)]
pub fn skip_like<T: Wire>(_: impl Fn() -> T, r: &mut Reader<'_>) -> Result<(), DecodeError> {
    T::decode(r).map(|_| ())
}

/// Describes a value of the type that `constant` has.
#[doc(hidden)]
pub fn schema_like<T: Wire>(_: impl Fn() -> T, release: Release, s: &mut Schema) {
    T::schema(release, s);
}

/// Applies a `count` function; exists so that the derive can name its types.
#[doc(hidden)]
pub fn count_of<T>(count: impl Fn(&T) -> u32, this: &T) -> u32 {
    count(this)
}
