//! Invented values for property tests: seeded, distinctive, valid for one release.

use crate::{INFINITE, NO_VAL, Release};

/// Where distinctive numbers start: above every small number that means something.
const DISTINCT_FIRST: u64 = 1_000;
/// What an altered number is above the one it replaces.
const ALTERED_BY: u64 = 500;
/// Where distinctive times start, seconds since 1970; they lie an hour apart.
const DISTINCT_TIME_FIRST: u64 = 1_700_000_000;

/// Bits of a distinctive bitmap.
const DISTINCT_SIZE: u64 = 8;

/// A seeded source of values for one release.
#[derive(Clone, Debug)]
pub struct Gen {
    release: Release,
    state: u64,
    serial: u64,
    distinct: bool,
    digits: bool,
    altered: Option<u64>,
}

impl Gen {
    /// A generator whose values depend on nothing but the seed and the release.
    pub const fn new(release: Release, seed: u64) -> Self {
        Self { release, state: seed, serial: 0, distinct: false, digits: false, altered: None }
    }

    /// A generator that draws no lots: every number and text is unlike its neighbours, everything
    /// optional is there, every list has one element. What a reader shows of such a message can be
    /// told apart field by field.
    pub const fn distinct(release: Release) -> Self {
        Self { release, state: 0, serial: 0, distinct: true, digits: false, altered: None }
    }

    /// The same, but for the value drawn as the `nth`, counted from one.
    #[must_use]
    pub const fn altering(mut self, nth: u64) -> Self {
        self.altered = Some(nth);
        self
    }

    /// The same, but every text is a number: readers that take lists of numbers refuse words.
    #[must_use]
    pub const fn in_digits(mut self) -> Self {
        self.digits = true;
        self
    }

    /// How many values were drawn.
    pub const fn drawn(&self) -> u64 {
        self.serial
    }

    /// Whether a number drawn by [`Self::distinct`] is an altered one.
    pub const fn is_altered(value: u64) -> bool {
        DISTINCT_FIRST + ALTERED_BY <= value && value < DISTINCT_FIRST + 2 * ALTERED_BY
    }

    /// Counts a value of a distinct generator; whether it is the one to alter.
    fn count(&mut self) -> bool {
        self.serial += 1;
        self.altered == Some(self.serial)
    }

    /// The release values are made for.
    pub const fn release(&self) -> Release {
        self.release
    }

    /// The next 64 random bits (SplitMix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be zero.
    pub fn below(&mut self, end: u64) -> u64 {
        if self.distinct {
            let altered = self.count();
            return (self.serial + u64::from(altered)) % end;
        }
        self.bits() % end
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        if self.distinct {
            return !self.count();
        }
        self.bits() & 1 == 1
    }

    /// Whether the bit at `index` is set; from a distinct generator all are, and the first counts.
    pub fn bit(&mut self, index: u32) -> bool {
        if self.distinct && index > 0 { true } else { self.coin() }
    }

    /// A number that is often special and otherwise unlike its neighbours, so that a swapped field
    /// shows.
    pub fn integer(&mut self) -> u64 {
        if self.distinct {
            let altered = self.count();
            return DISTINCT_FIRST + self.serial + if altered { ALTERED_BY } else { 0 };
        }
        self.serial += 1;
        match self.below(8) {
            0 => 0,
            1 => u64::from(NO_VAL),
            2 => u64::from(INFINITE),
            3 => self.bits(),
            _ => self.serial,
        }
    }

    /// A point in time, seconds since 1970; from a distinct generator one that reads as a date.
    pub fn time(&mut self) -> i64 {
        if self.distinct {
            let altered = if self.count() { 60 } else { 0 };
            return (DISTINCT_TIME_FIRST + 3_600 * self.serial + altered).cast_signed();
        }
        self.integer().cast_signed()
    }

    /// A string unlike its neighbours, now and then with bytes that are not ASCII.
    pub fn text(&mut self) -> String {
        if self.distinct {
            let altered = self.count();
            let word = match (self.digits, altered) {
                (true, true) => "9",
                (true, false) => "",
                (false, true) => "altered",
                (false, false) => "word",
            };
            return format!("{word}{}", self.serial);
        }
        self.serial += 1;
        match self.below(6) {
            0 => String::new(),
            1 => format!("nœud{}", self.serial),
            _ => format!("text{}", self.serial),
        }
    }

    /// A size below `end`; from a distinct generator a small one that never varies.
    pub fn size(&mut self, end: u64) -> u64 {
        if self.distinct { DISTINCT_SIZE.min(end - 1) } else { self.below(end) }
    }

    /// A short length for a list.
    pub fn length(&mut self) -> usize {
        if self.distinct {
            return 1;
        }
        usize::try_from(self.below(4)).expect("below four")
    }

    /// The same for a count field.
    pub fn few(&mut self) -> u32 {
        u32::try_from(self.below(4)).expect("below four")
    }

    /// `None` one time in four, otherwise the value made.
    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.distinct || self.below(4) != 0).then(|| make(self))
    }
}
