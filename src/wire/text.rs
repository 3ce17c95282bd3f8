//! Strings. Slurm's are C strings of any bytes; ours are UTF-8, so bytes that are not UTF-8 travel
//! through a reversible escape and come out as they went in.

use std::ffi::CStr;

use crate::shared::{SHORT_BYTES, put_short};
use crate::{DecodeError, Fault, Reader, Text, Writer};

/// A byte `b` (0x80 or above) that is not part of valid UTF-8 becomes the character `ESCAPE + b`,
/// at the very end of the last private-use plane.
const ESCAPE: u32 = 0x10_ff00;
/// The first byte of every escaped character in UTF-8.
const ESCAPE_LEAD: u8 = 0xf4;
const ESCAPED_FIRST: char = '\u{10ff80}';
const ESCAPED_LAST: char = '\u{10ffff}';

/// Writes the length with the final NUL and the bytes; `None` has length 0. Text ends at its first
/// NUL, as C has it.
pub(crate) fn encode(text: Option<&str>, w: &mut Writer) {
    let Some(text) = text else {
        w.u32(0);
        return;
    };
    if is_plain(text.as_bytes()) {
        w.terminated(text.as_bytes());
    } else {
        encode_odd(text, w);
    }
}

#[cold]
fn encode_odd(text: &str, w: &mut Writer) {
    let text = text.split('\0').next().unwrap_or_default();
    if text.as_bytes().contains(&ESCAPE_LEAD) {
        w.terminated(&to_bytes(text));
    } else {
        w.terminated(text.as_bytes());
    }
}

const WORD_BYTES: usize = size_of::<u64>();
/// The lowest bit of every byte of a word.
const LOW_BITS: u64 = u64::MAX / 0xff;
/// The highest bit of every byte of a word.
const HIGH_BITS: u64 = LOW_BITS << 7;

/// Not 0 if a byte of the word is not ASCII or NUL. Of a byte from 1 to 127 neither it nor its
/// predecessor has the highest bit; the lowest byte of a word that is something else always shows it.
#[inline]
const fn odd(word: u64) -> u64 {
    (word | word.wrapping_sub(LOW_BITS)) & HIGH_BITS
}

/// Whether every byte is ASCII and none is NUL: text that is the same here and on the wire.
#[inline]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    let mut seen = words.iter().fold(0, |seen, word| seen | odd(u64::from_ne_bytes(*word)));
    match bytes.last_chunk() {
        Some(last) => seen |= odd(u64::from_ne_bytes(*last)),
        None => {
            let word = rest.iter().fold(LOW_BITS, |word, byte| word << 8 | u64::from(*byte));
            seen |= odd(word);
        }
    }
    seen == 0
}

/// The bytes of a string on the wire without its final NUL; `None` for an absent one.
#[inline]
pub(crate) fn body<'a>(r: &mut Reader<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
    match r.block()?.split_last() {
        None => Ok(None),
        Some((0, body)) => Ok(Some(body)),
        Some(_) => Err(r.fault(Fault::Unterminated)),
    }
}

/// Reads what `encode` writes.
pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Option<String>, DecodeError> {
    Ok(body(r)?.map(|body| from_bytes(until_nul(body))))
}

/// The same as a text that stands in place or shares the reader's pool, if it can. An absent one is
/// the slot's default.
#[inline]
pub(crate) fn fill_shared<S>(slot: &mut S, r: &mut Reader<'_>) -> Result<(), DecodeError>
where
    S: From<Text> + Default,
{
    let short = r.ahead().split_first_chunk();
    let short =
        short.and_then(|(length, behind)| fill_short(u32::from_be_bytes(*length), behind, slot));
    match short {
        Some(rest) => r.stand_before(rest),
        None => fill_any(slot, r)?,
    }
    Ok(())
}

/// Fills with a short plain text, if one stands with its NUL in the next `length` bytes; gives what
/// is behind it. Looks at as many bytes as a short one has at most, at once.
#[inline]
fn fill_short<'a, S: From<Text>>(length: u32, bytes: &'a [u8], slot: &mut S) -> Option<&'a [u8]> {
    let text_length = u8::try_from(length.checked_sub(1)?).ok()?;
    if usize::from(text_length) > SHORT_BYTES {
        return None;
    }
    let (look, end) = (bytes.first_chunk()?, usize::from(text_length));
    let mask = (1 << (u32::from(text_length) * u8::BITS)) - 1;
    let text = u128::from_le_bytes(*look) & mask;
    // Whatever stands behind the text counts as plain.
    let seen = text | u128::from(LOW_BITS) << u64::BITS & !mask | u128::from(LOW_BITS) & !mask;
    let odd = odd(seen as u64) | odd((seen >> u64::BITS) as u64);
    if odd != 0 || look.get(end) != Some(&0) {
        return None;
    }
    put_short(text_length, text, slot);
    bytes.get(end + 1..)
}

#[inline(never)]
fn fill_any<S>(slot: &mut S, r: &mut Reader<'_>) -> Result<(), DecodeError>
where
    S: From<Text> + Default,
{
    match body(r)? {
        None => *slot = S::default(),
        Some(body) if body.len() > SHORT_BYTES && is_plain(body) => r.fill_pooled(body.len(), slot),
        Some(body) => *slot = S::from(Text::from(from_bytes(until_nul(body)))),
    }
    Ok(())
}

fn until_nul(body: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(body).map_or(body, CStr::to_bytes)
}

/// Any bytes as text, reversibly.
pub fn from_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(bytes) || !bytes.contains(&ESCAPE_LEAD) => text.to_owned(),
        _ => escaped(bytes),
    }
}

/// The same for bytes of which some may need the escape.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if (ESCAPED_FIRST..=ESCAPED_LAST).contains(&c) {
                let mut buffer = [0; 4];
                escape(c.encode_utf8(&mut buffer).as_bytes(), &mut text);
            } else {
                text.push(c);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

/// The bytes that `from_bytes` was given.
pub fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        if (ESCAPED_FIRST..=ESCAPED_LAST).contains(&c) {
            bytes.push((u32::from(c) & 0xff) as u8);
        } else {
            let mut buffer = [0; 4];
            bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        }
    }
    bytes
}

fn escape(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        let c = char::from_u32(ESCAPE + u32::from(*byte));
        text.push(c.expect("bytes outside UTF-8 are 0x80 or above, inside the plane"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Release, Wire};

    fn round(block: &[u8]) -> (Option<String>, Vec<u8>) {
        let mut bytes = (block.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(block);
        let text: Option<String> = Wire::decode(&mut Reader::new(Release::NEWEST, &bytes)).unwrap();
        let mut w = Writer::new(Release::NEWEST);
        text.encode(&mut w);
        (text, w.into_bytes()[4..].to_vec())
    }

    #[test]
    fn null_and_empty_differ() {
        assert_eq!(round(b""), (None, vec![]));
        assert_eq!(round(b"\0"), (Some(String::new()), vec![0]));
        assert_eq!(round(b"ab\0"), (Some("ab".into()), b"ab\0".to_vec()));
    }

    #[test]
    fn bytes_outside_utf8_survive() {
        for block in [&b"caf\xe9\0"[..], b"\xff\xfe\x80\0", b"\xf4\x8f\xbf\xbfx\0", b"\xc3\0"] {
            assert_eq!(round(block).1, block);
        }
    }

    #[test]
    fn every_pair_of_bytes_survives() {
        for first in 1..=255u8 {
            for second in 1..=255u8 {
                let bytes = [first, second, b'a'];
                assert_eq!(to_bytes(&from_bytes(&bytes)), bytes);
            }
        }
    }

    #[test]
    fn text_ends_at_its_first_nul() {
        assert_eq!(round(b"a\0b\0"), (Some("a".into()), b"a\0".to_vec()));
    }

    #[test]
    fn a_missing_nul_is_refused() {
        let bytes = [0, 0, 0, 2, b'a', b'b'];
        let error = decode(&mut Reader::new(Release::NEWEST, &bytes)).unwrap_err();
        assert_eq!(error.fault, Fault::Unterminated);
    }
}
