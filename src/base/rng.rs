//! Seeded randomness: the same seed gives the same numbers on every machine and in every build.

use std::convert::Infallible;
use std::ops::{Range, RangeInclusive};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng, TryRng};

use crate::Span;

/// A seeded source of numbers. Children made with [`child`](Self::child) depend on the seed and the
/// label only, never on how many numbers were drawn before, so that one more draw in one place does
/// not change what every other place sees.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: [u8; 32],
    stream: ChaCha8Rng,
}

impl Rng {
    /// From a number, as a user names a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self::from_bytes(absorb(bytes, b"seed"))
    }

    /// From 32 bytes, as drawn from the operating system.
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self { seed, stream: ChaCha8Rng::from_seed(seed) }
    }

    /// An independent source for the purpose named by `label`.
    pub fn child(&self, label: &str) -> Self {
        Self::from_bytes(absorb(self.seed, label.as_bytes()))
    }

    /// An independent source for the `index`th thing of a kind.
    pub fn child_at(&self, label: &str, index: u64) -> Self {
        Self::from_bytes(absorb(self.child(label).seed, &index.to_le_bytes()))
    }

    /// Any 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number below `limit`, each equally likely. `limit` must not be 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        assert!(limit > 0, "nothing lies below zero");
        let reject_below = limit.wrapping_neg() % limit;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(limit);
            let (high, low) = ((wide >> 64) as u64, wide as u64);
            if low >= reject_below {
                return high;
            }
        }
    }

    /// A number of a range that is not empty.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = (*range.start(), *range.end());
        assert!(low <= high, "the range is empty");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// An index of a range that is not empty.
    pub fn index(&mut self, range: Range<usize>) -> usize {
        assert!(range.start < range.end, "the range is empty");
        let width = range.end - range.start;
        range.start + self.below(width as u64) as usize
    }

    /// A span between two others, both possible.
    pub fn span(&mut self, range: RangeInclusive<Span>) -> Span {
        Span(self.range(range.start().0..=range.end().0))
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        const STEPS: u64 = 1 << 53;
        (self.next_u64() >> 11) as f64 / STEPS as f64
    }

    /// `true` with the given probability: never for 0, always for 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `items`; `None` when there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.index(0..items.len())) }
    }

    /// Puts `items` into an order, each order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(0..last + 1));
        }
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.stream.fill_bytes(bytes);
    }
}

/// Serves libraries that take a `rand` generator.
impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.stream.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.stream.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.stream.fill_bytes(bytes);
        Ok(())
    }
}

/// Mixes `input` into `seed`: each block is added to the state, and the cipher keyed with the sum
/// gives the next state. The length goes last, so that no input is the beginning of another.
fn absorb(mut seed: [u8; 32], input: &[u8]) -> [u8; 32] {
    let length = (input.len() as u64).to_le_bytes();
    for block in input.chunks(seed.len()).chain([length.as_slice()]) {
        for (state, byte) in seed.iter_mut().zip(block) {
            *state ^= byte;
        }
        ChaCha8Rng::from_seed(seed).fill_bytes(&mut seed);
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::Rng;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        let mut rng = Rng::from_seed(7);
        let first = [rng.next_u64(), rng.below(1000), rng.range(5..=9)];
        let mut child = rng.child("disk");
        let second = [child.next_u64(), Rng::from_seed(7).child_at("node", 3).next_u64()];
        assert_eq!((first, second), (FIRST, SECOND));
    }
    const FIRST: [u64; 3] = [4705500226912224367, 128, 8];
    const SECOND: [u64; 2] = [13434519584600286203, 14074792447760533153];

    #[test]
    fn a_child_does_not_depend_on_draws() {
        let fresh = Rng::from_seed(1);
        let mut used = fresh.clone();
        used.fill(&mut [0; 100]);
        assert_eq!(fresh.child("a").next_u64(), used.child("a").next_u64());
        assert_ne!(fresh.child("a").next_u64(), fresh.child("b").next_u64());
        assert_ne!(fresh.child_at("a", 0).next_u64(), fresh.child_at("a", 1).next_u64());
    }

    #[test]
    fn chance_keeps_its_promise_at_the_ends_and_roughly_between() {
        let mut rng = Rng::from_seed(2);
        let count = |rng: &mut Rng, p| (0..10_000).filter(|_| rng.chance(p)).count();
        assert_eq!(count(&mut rng, 0.0), 0);
        assert_eq!(count(&mut rng, 1.0), 10_000);
        let third = count(&mut rng, 1.0 / 3.0);
        assert!((3_000..3_700).contains(&third), "{third}");
    }

    #[test]
    fn a_shuffle_reaches_every_order() {
        let mut rng = Rng::from_seed(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut items = [1, 2, 3, 4];
            rng.shuffle(&mut items);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn nothing_can_be_picked_from_nothing() {
        assert_eq!(Rng::from_seed(0).pick::<u8>(&[]), None);
    }

    proptest! {
        #[test]
        fn numbers_stay_inside_their_range(seed in any::<u64>(), low in any::<u64>(), high in any::<u64>()) {
            let (low, high) = (low.min(high), low.max(high));
            let mut rng = Rng::from_seed(seed);
            for _ in 0..20 {
                prop_assert!((low..=high).contains(&rng.range(low..=high)));
                prop_assert!((0.0..1.0).contains(&rng.unit()));
            }
        }
    }
}
