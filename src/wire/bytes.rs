//! Reading and writing bytes for one release, within named limits.

use std::fmt;
use std::ops::Deref;

use crate::Release;
use crate::shared::{Pool, SHORT_BYTES, Text};
use crate::trace::{Part, Trace};

/// Records may stand in records this deep. Real messages need six.
pub const DEPTH_MAX: u32 = 24;
/// Elements of one list. Real listings stay below a few hundred thousand.
pub const ELEMENTS_MAX: u32 = 1 << 24;
/// Bytes of one string or block. Bounded by the frame anyway.
pub const BLOCK_BYTES_MAX: u32 = 1 << 30;
/// Bits of one bitmap: a cluster's nodes or cores.
pub const BITMAP_BITS_MAX: u32 = 1 << 24;

/// What a reader may accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of one list.
    pub elements: u32,
    /// Bytes of one string or block.
    pub block_bytes: u32,
    /// Bits of one bitmap.
    pub bitmap_bits: u32,
    /// Records inside records.
    pub depth: u32,
}

impl Limits {
    /// The limits used for every message.
    pub const STANDARD: Self = Self {
        elements: ELEMENTS_MAX,
        block_bytes: BLOCK_BYTES_MAX,
        bitmap_bits: BITMAP_BITS_MAX,
        depth: DEPTH_MAX,
    };
}

/// Why bytes are not the message they claim to be. A pointer wide, so that success is cheap to
/// return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Malformed>);

/// What a `DecodeError` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub fault: Fault,
    /// Offset into the bytes given to the reader.
    pub at: usize,
    /// The innermost field being read, as `Record.field`.
    pub field: Option<&'static str>,
}

/// The kinds of malformed input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end before the value does.
    Truncated {
        /// Bytes that the value needs here.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A count or length exceeds its limit.
    TooLarge {
        /// The limit's name.
        limit: &'static str,
        /// The announced number.
        value: u64,
    },
    /// A string's last byte is not NUL.
    Unterminated,
    /// Anything else, said in words.
    Invalid(&'static str),
    /// The body goes on after the message.
    Trailing {
        /// Bytes left over.
        bytes: usize,
    },
    /// The message type is not one that is understood.
    UnknownMessage {
        /// Its number.
        msg_type: u16,
        /// Its name in Slurm, if it has one.
        name: Option<&'static str>,
    },
}

impl DecodeError {
    /// Records the field, unless a deeper one is known.
    #[cold]
    pub fn within(mut self, field: &'static str) -> Self {
        self.0.field.get_or_insert(field);
        self
    }

    /// The same at another place.
    pub(crate) fn moved_to(mut self, at: usize) -> Self {
        self.0.at = at;
        self
    }
}

impl Deref for DecodeError {
    type Target = Malformed;

    fn deref(&self) -> &Malformed {
        &self.0
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Truncated { needed, left } => {
                write!(f, "needs {needed} bytes where {left} are left")?;
            }
            Fault::TooLarge { limit, value } => write!(f, "{value} exceeds the limit {limit}")?,
            Fault::Unterminated => f.write_str("string without its final NUL")?,
            Fault::Invalid(text) => f.write_str(text)?,
            Fault::Trailing { bytes } => write!(f, "{bytes} bytes after the end")?,
            Fault::UnknownMessage { msg_type, name } => {
                write!(f, "message {msg_type} ({}) is not known", name.unwrap_or("no name"))?;
            }
        }
        write!(f, " at byte {}", self.at)?;
        match self.field {
            Some(field) => write!(f, " in {field}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Room that a writer makes when it has none, in bytes.
const ROOM_BYTES_MIN: usize = 256;

/// Collects bytes for one release.
///
/// The place of the next byte is kept apart from the memory, so that many fields are written with
/// one look at the room there is, each at a place that the processor need not wait for.
#[derive(Clone, Debug)]
pub struct Writer {
    release: Release,
    /// What was written and, behind it, room that holds anything.
    memory: Vec<u8>,
    at: usize,
}

impl Writer {
    /// An empty writer.
    pub const fn new(release: Release) -> Self {
        Self { release, memory: Vec::new(), at: 0 }
    }

    /// An empty writer that has room for so many bytes.
    pub(crate) fn with_room(release: Release, bytes: usize) -> Self {
        Self { release, memory: vec![0; bytes], at: 0 }
    }

    /// Forgets what was written and keeps its memory.
    pub const fn clear(&mut self) {
        self.at = 0;
    }

    /// The release written for.
    #[inline]
    pub const fn release(&self) -> Release {
        self.release
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.at]
    }

    /// What was written, by value.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.memory.truncate(self.at);
        self.memory
    }

    /// Makes room for so many bytes; gives the place of the first.
    #[inline]
    pub fn room(&mut self, bytes: usize) -> usize {
        if self.memory.len() - self.at < bytes {
            self.grow(bytes);
        }
        self.at
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, bytes: usize) {
        let size = (self.at + bytes).max(self.memory.len() * 2).max(ROOM_BYTES_MIN);
        self.memory.resize(size, 0);
    }

    /// The room for a run of fields at a place, which must have been made.
    #[inline]
    pub fn run<const N: usize>(&mut self, at: usize) -> &mut [u8; N] {
        let rest = self.memory.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        rest.expect("room was made for each")
    }

    /// Goes on at a place: everything before it was written.
    #[inline]
    pub fn stand_at(&mut self, at: usize) {
        assert!(at <= self.memory.len(), "what was written has room");
        self.at = at;
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let at = self.room(N);
        *self.run(at) = bytes;
        self.at = at + N;
    }

    /// Writes one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.put([value]);
    }

    /// Writes two bytes, big end first.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.put(value.to_be_bytes());
    }

    /// Writes four bytes, big end first.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.put(value.to_be_bytes());
    }

    /// Writes eight bytes, big end first.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.put(value.to_be_bytes());
    }

    /// Appends bytes as they are.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        let at = self.room(bytes.len());
        let end = at + bytes.len();
        self.memory[at..end].copy_from_slice(bytes);
        self.at = end;
    }

    /// Writes something in a release of its own.
    pub fn in_release(&mut self, release: Release, write: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.release, release);
        write(self);
        self.release = outer;
    }

    /// Writes a length or count. A length beyond 32 bits cannot be sent at all, and a reply that
    /// large is refused before it is encoded.
    #[inline]
    pub fn count(&mut self, count: usize) {
        self.u32(sent_count(count));
    }

    /// Writes a length and that many bytes.
    #[inline]
    pub fn block(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    /// Writes a C string: its length with a final NUL, its bytes and the NUL.
    #[inline]
    pub(crate) fn terminated(&mut self, bytes: &[u8]) {
        self.at = self.place_terminated(self.at, bytes, 0);
    }

    /// The same at a place; gives the place behind it, where there is then so much room.
    #[inline(always)]
    pub(crate) fn place_terminated(&mut self, at: usize, bytes: &[u8], room: usize) -> usize {
        let length = bytes.len() + 1;
        let end = at + size_of::<u32>() + length;
        if self.memory.len() < end + room {
            self.at = at;
            self.grow(end + room - at);
        }
        let (count, text) = self.memory[at..end].split_at_mut(size_of::<u32>());
        count.copy_from_slice(&sent_count(length).to_be_bytes());
        copy(bytes, &mut text[..bytes.len()]);
        text[bytes.len()] = 0;
        end
    }

    /// The same for a short string that is followed by zeros: every size is known beforehand, and
    /// the room for `SHORT_WIDTH` bytes has been made. Gives the place behind it.
    #[inline]
    pub(crate) fn put_short(&mut self, at: usize, length: u8, padded: &[u8; SHORT_BYTES]) -> usize {
        let mut run = [0; SHORT_WIDTH];
        let (count, text) = run.split_at_mut(size_of::<u32>());
        count.copy_from_slice(&(u32::from(length) + 1).to_be_bytes());
        text[..SHORT_BYTES].copy_from_slice(padded);
        *self.run(at) = run;
        at + size_of::<u32>() + usize::from(length) + 1
    }

    /// Replaces the four bytes at `at` by a length known only later.
    pub fn patch_u32(&mut self, at: usize, value: u32) {
        self.memory[..self.at][at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
}

/// The bytes that a short string takes at most.
pub(crate) const SHORT_WIDTH: usize = size_of::<u32>() + SHORT_BYTES + 1;

/// Copies bytes, without a call where there are few.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    let is_copied = match from.len() {
        16..=32 => copy_ends::<16>(from, to),
        33..=64 => copy_ends::<32>(from, to),
        _ => false,
    };
    if !is_copied {
        to.copy_from_slice(from);
    }
}

/// Copies the start and the end, which may overlap, if they are all; both have the same length.
#[inline(always)]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    let Some((start, end)) = from.first_chunk::<N>().zip(from.last_chunk::<N>()) else {
        return false;
    };
    if from.len() > 2 * N {
        return false;
    }
    to[..N].copy_from_slice(start);
    let at = to.len() - N;
    to[at..].copy_from_slice(end);
    true
}

#[inline]
fn sent_count(count: usize) -> u32 {
    u32::try_from(count).expect("lengths are bounded by the largest frame")
}

/// Takes bytes apart for one release.
#[derive(Debug)]
pub struct Reader<'a> {
    release: Release,
    /// All bytes, of which `rest` is the end that is not read yet.
    bytes: &'a [u8],
    rest: &'a [u8],
    depth: u32,
    limits: Limits,
    /// Where texts read last stand, copied.
    pool: Option<Pool>,
    pub(crate) trace: Option<Box<Trace>>,
}

/// A copy looks ahead, so it does not trace.
impl Clone for Reader<'_> {
    fn clone(&self) -> Self {
        let Self { release, bytes, rest, depth, limits, ref pool, trace: _ } = *self;
        Self { release, bytes, rest, depth, limits, pool: pool.clone(), trace: None }
    }
}

impl<'a> Reader<'a> {
    /// A reader with the standard limits.
    pub const fn new(release: Release, bytes: &'a [u8]) -> Self {
        let limits = Limits::STANDARD;
        Self { release, bytes, rest: bytes, depth: 0, limits, pool: None, trace: None }
    }

    /// A reader that keeps where each field stands. `base` is the place of the first byte in
    /// whatever the places shall count from.
    pub fn traced(release: Release, bytes: &'a [u8], base: usize) -> Self {
        Self { trace: Some(Box::new(Trace::new(base))), ..Self::new(release, bytes) }
    }

    /// The outermost fields that were announced, if this reader traces; what a fault interrupted
    /// ends where the reader stands.
    pub fn into_parts(self) -> Vec<Part> {
        let at = self.at();
        self.trace.map(|trace| trace.finish(at)).unwrap_or_default()
    }

    /// The same with other limits.
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reads on in another release.
    pub(crate) const fn set_release(&mut self, release: Release) {
        self.release = release;
    }

    /// The bytes read last.
    pub(crate) fn last_bytes(&self, count: usize) -> &'a [u8] {
        let at = self.at();
        &self.bytes[at.saturating_sub(count)..at]
    }

    /// The release read for.
    #[inline]
    pub const fn release(&self) -> Release {
        self.release
    }

    /// The limits in force.
    #[inline]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes not read yet.
    #[inline]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Bytes read so far.
    #[inline]
    pub const fn at(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }

    /// An error at the present place.
    #[cold]
    pub fn fault(&self, fault: Fault) -> DecodeError {
        DecodeError(Box::new(Malformed { fault, at: self.at(), field: None }))
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        self.fault(Fault::Truncated { needed, left: self.left() })
    }

    /// An error in words at the present place.
    pub fn invalid(&self, text: &'static str) -> DecodeError {
        self.fault(Fault::Invalid(text))
    }

    /// Goes one record deeper.
    #[inline]
    pub fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            let value = u64::from(self.depth);
            return Err(self.fault(Fault::TooLarge { limit: "DEPTH_MAX", value }));
        }
        Ok(())
    }

    /// Leaves the record entered last.
    #[inline]
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// A reader of the next `length` bytes alone, one record deeper, whose places are counted from
    /// the same start; the bytes count as read here.
    pub fn nested(&mut self, length: u32) -> Result<Self, DecodeError> {
        let rest = self.take(length as usize)?;
        let mut inner = Self { bytes: &self.bytes[..self.at()], rest, ..self.clone() };
        inner.enter()?;
        Ok(inner)
    }

    /// Reads something in a release of its own.
    pub fn in_release<T>(
        &mut self,
        release: Release,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let outer = std::mem::replace(&mut self.release, release);
        let value = read(self);
        self.release = outer;
        value
    }

    /// Takes `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(length));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Takes everything left.
    pub fn rest(&mut self) -> &'a [u8] {
        let (rest, none) = self.rest.split_at(self.rest.len());
        self.rest = none;
        rest
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((array, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated(N));
        };
        self.rest = rest;
        Ok(*array)
    }

    /// What is not read yet, to be read without this reader; `stand_before` tells how far that got.
    #[inline]
    pub const fn ahead(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on before `rest`, an end of what `ahead` gave.
    #[inline]
    pub const fn stand_before(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// Reads one byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Reads two bytes.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads four bytes.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads eight bytes.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Looks at the next two bytes without taking them.
    pub fn peek_u16(&self) -> Option<u16> {
        self.rest.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Looks at the next byte without taking it.
    pub fn peek_u8(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Looks at the next four bytes without taking them.
    #[inline]
    pub fn peek_u32(&self) -> Option<u32> {
        self.rest.first_chunk().copied().map(u32::from_be_bytes)
    }

    /// Reads a length and that many bytes.
    #[inline]
    pub fn block(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()?;
        if length > self.limits.block_bytes {
            let value = u64::from(length);
            return Err(self.fault(Fault::TooLarge { limit: "BLOCK_BYTES_MAX", value }));
        }
        self.take(length as usize)
    }

    /// Fills with the text of `length` plain bytes that was read last with its final NUL.
    #[inline]
    pub(crate) fn fill_pooled<S: From<Text>>(&mut self, length: usize, slot: &mut S) {
        let end = self.at() - 1;
        let start = end - length;
        match &self.pool {
            Some(pool) if pool.covers(start, end) => pool.put(start, length, slot),
            _ => self.pool.insert(Pool::new(self.bytes, start, end)).put(start, length, slot),
        }
    }

    /// Checks a count of elements, each of which takes at least one byte, before anything is
    /// allocated for them.
    #[inline]
    pub fn check_count(&self, count: u32) -> Result<usize, DecodeError> {
        if count > self.limits.elements {
            let value = u64::from(count);
            return Err(self.fault(Fault::TooLarge { limit: "ELEMENTS_MAX", value }));
        }
        let (needed, left) = (count as usize, self.left());
        if needed > left {
            return Err(self.fault(Fault::Truncated { needed, left }));
        }
        Ok(needed)
    }

    /// Fails if anything is left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            bytes => Err(self.fault(Fault::Trailing { bytes })),
        }
    }
}
