//! Bitmaps, sent as their size and a hexadecimal mask.

use crate::{DecodeError, Fault, Gen, NO_VAL, Reader, Visitor, Wire, Writer, text};

/// A set of bits of a fixed size. Slurm's bitmaps are `Option<Bits>`: most may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    size: u32,
    words: Words,
}

/// The bits, least significant first. Up to a word of them stands in place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Words {
    One(u64),
    Many(Box<[u64]>),
}

impl Default for Words {
    fn default() -> Self {
        Self::One(0)
    }
}

impl Words {
    fn new(size: u32) -> Self {
        match size.div_ceil(WORD_BITS) {
            0 | 1 => Self::One(0),
            words => Self::Many(vec![0; words as usize].into_boxed_slice()),
        }
    }

    fn all(&self) -> &[u64] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }

    fn all_mut(&mut self) -> &mut [u64] {
        match self {
            Self::One(word) => std::slice::from_mut(word),
            Self::Many(words) => words,
        }
    }
}

const WORD_BITS: u32 = 64;
const DIGIT_BITS: u32 = 4;
const WORD_DIGITS: usize = (WORD_BITS / DIGIT_BITS) as usize;
const PREFIX: &str = "0x";
const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

impl Bits {
    /// All clear.
    pub fn new(size: u32) -> Self {
        Self { size, words: Words::new(size) }
    }

    /// With these bits set; those beyond the size are left out.
    pub fn from_indices(size: u32, indices: impl IntoIterator<Item = u32>) -> Self {
        let mut bits = Self::new(size);
        for index in indices {
            if index < size {
                bits.set(index);
            }
        }
        bits
    }

    /// How many bits there are.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Whether a bit is set; bits beyond the size are not.
    pub fn get(&self, index: u32) -> bool {
        index < self.size
            && self.words.all()[(index / WORD_BITS) as usize] >> (index % WORD_BITS) & 1 == 1
    }

    /// Sets a bit, which must be below the size.
    pub fn set(&mut self, index: u32) {
        assert!(index < self.size, "bit {index} of a bitmap of {}", self.size);
        self.words.all_mut()[(index / WORD_BITS) as usize] |= 1 << (index % WORD_BITS);
    }

    /// How many bits are set.
    pub fn count(&self) -> u32 {
        self.words.all().iter().map(|word| word.count_ones()).sum()
    }

    /// The set bits, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = (0u32..).zip(self.words.all());
        words.flat_map(|(at, word)| {
            let word = *word;
            let set = (0..WORD_BITS).filter(move |bit| word >> bit & 1 == 1);
            set.map(move |bit| at * WORD_BITS + bit)
        })
    }

    fn digit(&self, digit: u32) -> u8 {
        let bit = digit * DIGIT_BITS;
        let word = self.words.all()[(bit / WORD_BITS) as usize];
        (word >> (bit % WORD_BITS) & 0xf) as u8
    }

    /// The mask's digits without their prefix, most significant first; one at least.
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        let count = self.digits_count();
        (0..count).rev().map(|at| DIGITS[self.digit(at) as usize])
    }

    fn digits_count(&self) -> u32 {
        self.size.div_ceil(DIGIT_BITS).max(1)
    }

    /// The mask, most significant digit first, all digits present.
    pub fn to_hex(&self) -> String {
        let mut hex = String::with_capacity(self.digits_count() as usize + PREFIX.len());
        hex.push_str(PREFIX);
        hex.extend(self.digits().map(char::from));
        hex
    }

    /// Reads a mask of `size` bits. Digits must cover the size; a set bit beyond it is an error.
    fn from_hex(size: u32, hex: &[u8]) -> Result<Self, &'static str> {
        let hex = hex.strip_prefix(PREFIX.as_bytes()).unwrap_or(hex);
        if (hex.len() as u64) < u64::from(size.div_ceil(DIGIT_BITS)) {
            return Err("bitmap mask shorter than its size");
        }
        let mut bits = Self::new(size);
        let words = bits.words.all_mut();
        for (at, digit) in hex.iter().rev().enumerate() {
            let value = char::from(*digit).to_digit(16).ok_or("bitmap mask is not hexadecimal")?;
            let Some(highest) = value.checked_ilog2() else { continue };
            let bit = at as u64 * u64::from(DIGIT_BITS);
            if bit + u64::from(highest) >= u64::from(size) {
                return Err("bitmap mask has bits beyond its size");
            }
            words[at / WORD_DIGITS] |= u64::from(value) << (bit % u64::from(WORD_BITS));
        }
        Ok(bits)
    }
}

impl Wire for Option<Bits> {
    const KIND: &'static str = "bitmap";

    fn encode(&self, w: &mut Writer) {
        match self {
            Some(bits) => {
                w.u32(bits.size);
                w.count(PREFIX.len() + bits.digits_count() as usize + 1);
                w.raw(PREFIX.as_bytes());
                bits.digits().for_each(|digit| w.u8(digit));
                w.u8(0);
            }
            None => w.u32(NO_VAL),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let size = r.u32()?;
        if size == NO_VAL {
            return Ok(None);
        }
        if size > r.limits().bitmap_bits {
            let value = u64::from(size);
            return Err(r.fault(Fault::TooLarge { limit: "BITMAP_BITS_MAX", value }));
        }
        let hex = text::body(r)?.unwrap_or_default();
        Bits::from_hex(size, hex).map(Some).map_err(|text| r.invalid(text))
    }

    fn view(&self, v: &mut dyn Visitor) {
        match self {
            Some(bits) => v.text(&bits.to_hex()),
            None => v.null(),
        }
    }

    fn sample(g: &mut Gen) -> Self {
        g.maybe(|g| {
            let size = u32::try_from(g.size(200)).expect("below 200");
            let mut bits = Bits::new(size);
            for index in 0..size {
                if g.bit(index) {
                    bits.set(index);
                }
            }
            bits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Release;

    #[test]
    fn masks_are_slurms() {
        assert_eq!(Bits::from_indices(4, [0, 2]).to_hex(), "0x5");
        assert_eq!(Bits::from_indices(6, [5]).to_hex(), "0x20");
        assert_eq!(Bits::from_indices(65, [64, 3]).to_hex(), "0x10000000000000008");
        assert_eq!(Bits::new(9).to_hex(), "0x000");
        assert_eq!(Bits::new(0).to_hex(), "0x0");
    }

    #[test]
    fn bad_masks_are_refused() {
        assert!(Bits::from_hex(4, b"0x1F").is_err());
        assert_eq!(Bits::from_hex(4, b"0x0f"), Ok(Bits::from_indices(4, 0..4)));
        assert!(Bits::from_hex(8, b"0x1").is_err());
        assert!(Bits::from_hex(8, b"0xg0").is_err());
        assert!(Bits::from_hex(8, "0xé".as_bytes()).is_err());
    }

    #[test]
    fn a_huge_size_costs_nothing() {
        let mut bytes = 0x00ff_ffffu32.to_be_bytes().to_vec();
        bytes.extend_from_slice(b"\0\0\0\x040x0\0");
        let error = Option::<Bits>::decode(&mut Reader::new(Release::NEWEST, &bytes)).unwrap_err();
        assert_eq!(error.fault, Fault::Invalid("bitmap mask shorter than its size"));
    }

    #[test]
    fn indices_come_back_in_order() {
        let bits = Bits::from_indices(130, [129, 0, 64, 500]);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 64, 129]);
        assert_eq!(bits.count(), 3);
        assert!(bits.get(129));
        assert!(!bits.get(500));
    }
}
