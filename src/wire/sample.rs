//! Invented values for property tests: seeded, distinctive, valid for one release.

use crate::{INFINITE, NO_VAL, Release};

/// A seeded source of values for one release.
#[derive(Clone, Debug)]
pub struct Gen {
    release: Release,
    state: u64,
    serial: u64,
}

impl Gen {
    /// A generator whose values depend on nothing but the seed and the release.
    pub const fn new(release: Release, seed: u64) -> Self {
        Self { release, state: seed, serial: 0 }
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
        self.bits() % end
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.bits() & 1 == 1
    }

    /// A number that is often special and otherwise unlike its neighbours, so that a swapped field
    /// shows.
    pub fn integer(&mut self) -> u64 {
        self.serial += 1;
        match self.below(8) {
            0 => 0,
            1 => u64::from(NO_VAL),
            2 => u64::from(INFINITE),
            3 => self.bits(),
            _ => self.serial,
        }
    }

    /// A string unlike its neighbours, now and then with bytes that are not ASCII.
    pub fn text(&mut self) -> String {
        self.serial += 1;
        match self.below(6) {
            0 => String::new(),
            1 => format!("nœud{}", self.serial),
            _ => format!("text{}", self.serial),
        }
    }

    /// A short length for a list.
    pub fn length(&mut self) -> usize {
        usize::try_from(self.below(4)).expect("below four")
    }

    /// `None` one time in four, otherwise the value made.
    pub fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) != 0).then(|| make(self))
    }
}
