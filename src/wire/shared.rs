//! Text of a message: short ones stand in place, long ones share memory with their message.
//!
//! A reader copies its bytes window by window into pools. A long text points into a pool and keeps
//! it alive, so whoever stores one for long turns it into a `String` of its own. Reading texts
//! allocates for a window at a time, never for a text.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::bytes::SHORT_WIDTH;
use crate::{Brief, DecodeError, Reader, Writer, text};

/// Bytes of a message that one pool takes over, unless a single text is longer. A text keeps at
/// most so much of others alive.
pub(crate) const POOL_BYTES: usize = 32 << 10;
/// Texts up to this length stand in place, if they are the same here and on the wire.
pub(crate) const SHORT_BYTES: usize = 14;

/// The copied part of a message.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    content: Arc<Vec<u8>>,
    /// Where the content starts among the reader's bytes.
    start: usize,
}

impl Pool {
    /// A pool for the text between these places, and for what follows it.
    #[cold]
    pub(crate) fn new(bytes: &[u8], start: usize, end: usize) -> Self {
        let end = end.max(start.saturating_add(POOL_BYTES)).min(bytes.len());
        Self { content: Arc::new(bytes[start..end].to_vec()), start }
    }

    /// Whether it has the bytes between these places.
    #[inline]
    pub(crate) fn covers(&self, start: usize, end: usize) -> bool {
        let starts = self.start <= start;
        starts && end - self.start <= self.content.len()
    }

    /// Puts the plain text of that length which starts there into a slot.
    #[inline]
    pub(crate) fn put<S: From<Text>>(&self, start: usize, length: usize, slot: &mut S) {
        let start = start - self.start;
        let length = narrow(length);
        match u8::try_from(length >> u16::BITS) {
            // Stored part by part: put together elsewhere, its parts would be waited for.
            Ok(high) => {
                let (low, start) = ((length & u32::from(u16::MAX)) as u16, narrow(start));
                let pool = Arc::clone(&self.content);
                *slot = S::from(Text(Form::Pooled { high, low, start, pool }));
            }
            Err(_) => {
                let text = self.content.get(start..start + length as usize).unwrap_or_default();
                *slot = S::from(Text::from(text::from_bytes(text)));
            }
        }
    }
}

#[inline]
fn narrow(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a text is shorter than the largest frame")
}

/// A string of a message. Cheap to clone; cannot be changed.
#[derive(Clone)]
pub struct Text(Form);

/// A text is plain if it is ASCII without NUL: the same here and on the wire. Records consist of
/// these, so their size matters: sixteen bytes, absent ones included.
#[derive(Clone)]
enum Form {
    /// A plain text, followed by zeros.
    Short { length: u8, bytes: [u8; SHORT_BYTES] },
    /// A plain text among others; its length in two parts.
    Pooled { high: u8, low: u16, start: u32, pool: Arc<Vec<u8>> },
    /// Any text.
    Whole(Arc<String>),
}

const _: () = assert!(size_of::<Option<Text>>() == 16, "absent texts take sixteen bytes");

impl Text {
    /// A plain text in place, if it is short enough.
    #[inline]
    fn short(text: &[u8]) -> Option<Self> {
        let length = u8::try_from(text.len()).ok()?;
        let mut bytes = [0; SHORT_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(Form::Short { length, bytes }))
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Short { .. } | Form::Pooled { .. } => {
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }
            Form::Whole(text) => text,
        }
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Pooled { high, low, start, pool } => {
                let start = *start as usize;
                let length = usize::from(*high) << u16::BITS | usize::from(*low);
                pool.get(start..start + length).unwrap_or_default()
            }
            Form::Whole(text) => text.as_bytes(),
        }
    }

    #[inline]
    fn write(&self, w: &mut Writer) {
        let at = w.room(SHORT_WIDTH);
        let at = self.place(w, at, 0);
        w.stand_at(at);
    }

    /// Writes a text at a place that has room for a short one; a longer one is followed by `room`.
    #[inline(never)]
    fn place(&self, w: &mut Writer, at: usize, room: usize) -> usize {
        match &self.0 {
            Form::Short { length, bytes } => w.put_short(at, *length, bytes),
            Form::Pooled { .. } => w.place_terminated(at, self.as_bytes(), room),
            Form::Whole(text) => {
                w.stand_at(at);
                text::encode(Some(text), w);
                w.room(room)
            }
        }
    }
}

/// Puts a short plain text there: the first `length` of these bytes, which are followed by zeros.
#[inline]
pub(crate) fn put_short<S: From<Text>>(length: u8, padded: u128, slot: &mut S) {
    let padded = padded.to_le_bytes();
    if let Some(bytes) = padded.first_chunk() {
        *slot = S::from(Text(Form::Short { length, bytes: *bytes }));
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Form::Short { length: 0, bytes: [0; SHORT_BYTES] })
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        let plain = text::is_plain(text.as_bytes());
        if let Some(short) = Self::short(text.as_bytes()).filter(|_| plain) {
            return short;
        }
        Self(Form::Whole(Arc::new(text)))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let plain = text::is_plain(text.as_bytes());
        let short = Self::short(text.as_bytes()).filter(|_| plain);
        short.unwrap_or_else(|| Self::from(text.to_owned()))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// An absent text on the wire: a length of nothing, not even of a NUL.
const ABSENT: [u8; size_of::<u32>()] = [0; size_of::<u32>()];

impl crate::Wire for Option<Text> {
    const KIND: &'static str = "str";

    #[inline]
    fn encode(&self, w: &mut Writer) {
        match self {
            Some(text) => text.write(w),
            None => w.u32(0),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut text = None;
        text::fill_shared(&mut text, r)?;
        Ok(text)
    }

    #[inline]
    fn push_onto(list: &mut Vec<Self>, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        push(list, r)
    }

    #[inline]
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        text::fill_shared(self, r)
    }

    fn view(&self, v: &mut dyn crate::Visitor) {
        match self {
            Some(text) => v.text(text),
            None => v.null(),
        }
    }

    fn sample(g: &mut crate::Gen) -> Self {
        Option::<String>::sample(g).map(Text::from)
    }
}

impl Brief for Option<Text> {
    const ROOM: usize = SHORT_WIDTH;

    #[inline]
    fn place(&self, w: &mut Writer, at: usize, room: usize) -> usize {
        match self {
            None => {
                *w.run(at) = ABSENT;
                at + ABSENT.len()
            }
            Some(text) => text.place(w, at, room),
        }
    }

    #[inline]
    fn take<'a>(&mut self, rest: &'a [u8], r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
        match rest.split_first_chunk() {
            Some((&ABSENT, rest)) if self.is_none() => Ok(rest),
            _ => take_present(self, rest, r),
        }
    }
}

/// Reads one more text where it shall stand.
#[inline]
fn push<S>(list: &mut Vec<S>, r: &mut Reader<'_>) -> Result<(), DecodeError>
where
    S: From<Text> + Default,
{
    list.push(S::default());
    match list.last_mut() {
        Some(slot) => text::fill_shared(slot, r),
        None => Ok(()),
    }
}

#[inline(never)]
fn take_present<'a>(
    slot: &mut Option<Text>,
    rest: &'a [u8],
    r: &mut Reader<'a>,
) -> Result<&'a [u8], DecodeError> {
    r.stand_before(rest);
    text::fill_shared(slot, r)?;
    Ok(r.ahead())
}

/// A text that is always sent; an absent one reads as empty.
impl crate::Wire for Text {
    const KIND: &'static str = "str";

    #[inline]
    fn encode(&self, w: &mut Writer) {
        self.write(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut text = Self::default();
        text::fill_shared(&mut text, r)?;
        Ok(text)
    }

    #[inline]
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        text::fill_shared(self, r)
    }

    #[inline]
    fn push_onto(list: &mut Vec<Self>, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        push(list, r)
    }

    fn view(&self, v: &mut dyn crate::Visitor) {
        v.text(self);
    }

    fn sample(g: &mut crate::Gen) -> Self {
        Self::from(String::sample(g))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Release, Wire};

    fn sent(texts: &[Option<&str>]) -> Vec<u8> {
        let mut w = Writer::new(Release::NEWEST);
        texts.iter().for_each(|each| text::encode(*each, &mut w));
        w.into_bytes()
    }

    fn read(bytes: &[u8], count: usize) -> Vec<Option<Text>> {
        let mut r = Reader::new(Release::NEWEST, bytes);
        let texts = (0..count).map(|_| Wire::decode(&mut r).unwrap()).collect();
        assert_eq!(r.left(), 0);
        texts
    }

    #[test]
    fn texts_across_pools_are_what_was_sent() {
        let long = "x".repeat(POOL_BYTES * 2);
        let middle = "abc".repeat(POOL_BYTES / 7);
        let texts = [Some("root"), None, Some(""), Some(&long), Some(&middle), Some(&middle)];
        let texts = [&texts[..], &[Some("caf\u{e9}"), Some("end")]].concat();
        let back = read(&sent(&texts), texts.len());
        let back: Vec<_> = back.iter().map(Option::as_deref).collect();
        assert_eq!(back, texts);
    }

    #[test]
    fn neighbours_share_a_pool_and_long_ones_do_not_keep_it() {
        let [a, b, long] = ["a", "b", "x"].map(|text| text.repeat(SHORT_BYTES + 1));
        let long = long.repeat(POOL_BYTES / SHORT_BYTES);
        let back = read(&sent(&[Some(&a), Some(&b), Some(&long)]), 3);
        let pool = |at: usize| match &back[at].as_ref().unwrap().0 {
            Form::Pooled { pool, .. } => pool,
            Form::Short { .. } | Form::Whole(_) => panic!("text {at} is in no pool"),
        };
        assert!(Arc::ptr_eq(pool(0), pool(1)));
        assert!(!Arc::ptr_eq(pool(1), pool(2)));
        assert!(pool(0).len() <= POOL_BYTES);
    }

    #[test]
    fn texts_of_every_length_are_sent_and_read() {
        for length in 0..SHORT_BYTES * 3 {
            for text in ["a".repeat(length), "\u{e9}".repeat(length)] {
                let mut w = Writer::new(Release::NEWEST);
                Some(Text::from(text.as_str())).encode(&mut w);
                Some(Text::from(text.clone())).encode(&mut w);
                let plain = sent(&[Some(&text), Some(&text)]);
                assert_eq!(w.bytes(), plain, "{length}");
                assert_eq!(read(&plain, 2), vec![Some(Text::from(text)); 2]);
            }
        }
    }

    #[test]
    fn texts_compare_as_strings() {
        let texts = read(&sent(&[Some("b"), Some("a")]), 2);
        assert!(texts[1] < texts[0]);
        assert_eq!(texts[1], Some(Text::from("a")));
        assert_eq!(Text::default(), "");
    }
}
