//! A compact set of small numbers, such as node indices.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest member is below this: a set stays under 2 MiB.
pub const BITS_MAX: usize = 1 << 24;

/// A set of numbers below [`BITS_MAX`]. Grows by itself; equal sets compare equal however they came
/// to be.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub struct BitSet {
    /// The last word is never 0.
    words: Vec<u64>,
}

impl From<Vec<u64>> for BitSet {
    fn from(mut words: Vec<u64>) -> Self {
        words.truncate(BITS_MAX / 64);
        let mut set = Self { words };
        set.trim();
        set
    }
}

impl From<BitSet> for Vec<u64> {
    fn from(set: BitSet) -> Self {
        set.words
    }
}

impl BitSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// The numbers below `count`.
    pub fn full(count: usize) -> Self {
        assert!(count <= BITS_MAX, "the set is too large");
        let mut words = vec![u64::MAX; count / 64];
        if !count.is_multiple_of(64) {
            words.push((1 << (count % 64)) - 1);
        }
        Self { words }
    }

    /// Adds a number; `true` when it was not there.
    pub fn insert(&mut self, number: usize) -> bool {
        assert!(number < BITS_MAX, "the number is too large for a bit set");
        let (word, bit) = (number / 64, 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let absent = self.words[word] & bit == 0;
        self.words[word] |= bit;
        absent
    }

    /// Removes a number; `true` when it was there.
    pub fn remove(&mut self, number: usize) -> bool {
        let present = self.contains(number);
        if present {
            self.words[number / 64] &= !(1 << (number % 64));
            self.trim();
        }
        present
    }

    /// Whether a number is in the set.
    pub fn contains(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// How many numbers the set has.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set has no number.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.words.clear();
    }

    /// The smallest number.
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The numbers, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(index * 64 + bit)
            })
        })
    }

    /// Adds everything of `other`.
    pub fn union_with(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Keeps only what `other` has too.
    pub fn intersect_with(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= theirs;
        }
        self.trim();
    }

    /// Removes everything of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
        self.trim();
    }

    /// Whether the sets share a number.
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Whether everything here is in `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        let inside = self.words.iter().zip(&other.words).all(|(mine, theirs)| mine & !theirs == 0);
        inside && self.words.len() <= other.words.len()
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl FromIterator<usize> for BitSet {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut set = Self::new();
        set.extend(numbers);
        set
    }
}

impl Extend<usize> for BitSet {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, numbers: I) {
        for number in numbers {
            self.insert(number);
        }
    }
}

/// Slurm's notation of a bit set: `0-3,7`.
impl fmt::Display for BitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for number in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => runs.push((number, number)),
            }
        }
        for (position, (first, last)) in runs.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for BitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(numbers: &BTreeSet<usize>) -> BitSet {
        numbers.iter().copied().collect()
    }

    #[test]
    fn runs_print_as_slurm_prints_them() {
        let set: BitSet = [0, 1, 2, 3, 7, 63, 64, 200].into_iter().collect();
        assert_eq!(set.to_string(), "0-3,7,63-64,200");
        assert_eq!(BitSet::new().to_string(), "");
    }

    #[test]
    fn emptied_sets_equal_the_empty_set() {
        let mut set: BitSet = [500].into_iter().collect();
        assert!(set.remove(500));
        assert!(!set.remove(500));
        assert_eq!(set, BitSet::new());
        assert!(set.is_empty());
    }

    #[test]
    fn trailing_zeros_do_not_survive_reading() {
        assert_eq!(BitSet::from(vec![1, 0, 0]), BitSet::full(1));
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordinary_set(
            left: BTreeSet<u8>, right: BTreeSet<u8>, count in 0usize..300,
        ) {
            let left: BTreeSet<usize> = left.into_iter().map(usize::from).collect();
            let right: BTreeSet<usize> = right.into_iter().map(|n| usize::from(n) * 2).collect();
            let (a, b) = (set(&left), set(&right));
            prop_assert_eq!(a.iter().collect::<BTreeSet<_>>(), left.clone());
            prop_assert_eq!(a.len(), left.len());
            prop_assert_eq!(a.first(), left.first().copied());
            let apply = |f: fn(&mut BitSet, &BitSet)| { let mut s = a.clone(); f(&mut s, &b); s };
            prop_assert_eq!(apply(BitSet::union_with), set(&(&left | &right)));
            prop_assert_eq!(apply(BitSet::intersect_with), set(&(&left & &right)));
            prop_assert_eq!(apply(BitSet::subtract), set(&(&left - &right)));
            prop_assert_eq!(a.intersects(&b), !left.is_disjoint(&right));
            prop_assert_eq!(a.is_subset(&b), left.is_subset(&right));
            prop_assert_eq!(BitSet::full(count), (0..count).collect::<BitSet>());
        }
    }
}
