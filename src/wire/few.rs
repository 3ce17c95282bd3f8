//! Lists of numbers that are short as a rule, such as one for each node of a job: those stand in
//! place, without memory of their own.

use std::fmt;
use std::ops::Deref;

use crate::{DecodeError, Gen, Reader, Release, Schema, Visitor, Wire, Writer};

/// A list of numbers, up to `N` of them in place. On the wire it is an array.
#[derive(Clone)]
pub struct Few<T, const N: usize>(Items<T, N>);

#[derive(Clone)]
enum Items<T, const N: usize> {
    Here { count: u8, items: [T; N] },
    Many(Vec<T>),
}

/// As many 16-bit numbers as take no more memory than a vector.
pub type Few16 = Few<u16, 7>;
/// As many 32-bit numbers as take no more memory than a vector.
pub type Few32 = Few<u32, 3>;
/// Two 64-bit numbers.
pub type Few64 = Few<u64, 2>;

const _: () = assert!(size_of::<Few16>() == 24, "no larger than a vector");
const _: () = assert!(size_of::<Few32>() == 24, "no larger than a vector");

impl<T: Copy + Default, const N: usize> Few<T, N> {
    /// Room for so many that stand in place, at their defaults.
    #[inline]
    fn here(count: usize) -> Option<([T; N], u8)> {
        let fits = count <= N;
        fits.then(|| ([T::default(); N], u8::try_from(count).unwrap_or_default()))
    }
}

impl<T: Copy + Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self(Items::Here { count: 0, items: [T::default(); N] })
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Items::Here { count, items } => &items[..usize::from(*count)],
            Items::Many(items) => items,
        }
    }
}

impl<T: Copy + Default, const N: usize> From<Vec<T>> for Few<T, N> {
    fn from(list: Vec<T>) -> Self {
        match Self::here(list.len()) {
            Some((mut items, count)) => {
                items[..list.len()].copy_from_slice(&list);
                Self(Items::Here { count, items })
            }
            None => Self(Items::Many(list)),
        }
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Few<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Wire + Copy + Default, const N: usize> Wire for Few<T, N> {
    const KIND: &'static str = Vec::<T>::KIND;

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.count(self.len());
        self.iter().for_each(|item| item.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut few = Self::default();
        few.fill(r)?;
        Ok(few)
    }

    #[inline]
    fn fill(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = r.u32()?;
        let count = r.check_count(count)?;
        // Elements that are traced are announced one by one.
        match Self::here(count).filter(|_| !r.is_traced()) {
            Some((mut items, count)) => {
                for item in items.iter_mut().take(usize::from(count)) {
                    *item = T::decode(r)?;
                }
                self.0 = Items::Here { count, items };
            }
            None => *self = Self::from(r.list(count)?),
        }
        Ok(())
    }

    fn view(&self, v: &mut dyn Visitor) {
        v.list_begin(self.len());
        self.iter().for_each(|item| item.view(v));
        v.list_end();
    }

    fn sample(g: &mut Gen) -> Self {
        Self::from(Vec::sample(g))
    }

    fn schema(release: Release, s: &mut Schema) {
        Vec::<T>::schema(release, s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_length_are_those_of_a_vector() {
        for length in 0..20u16 {
            let list: Vec<u16> = (0..length).collect();
            let few = Few16::from(list.clone());
            assert_eq!(*few, *list);
            assert_eq!(matches!(few.0, Items::Here { .. }), length <= 7);
            let mut w = Writer::new(Release::NEWEST);
            list.encode(&mut w);
            let sent = w.into_bytes();
            let mut w = Writer::new(Release::NEWEST);
            few.encode(&mut w);
            assert_eq!(w.bytes(), sent);
            for mut r in
                [Reader::new(Release::NEWEST, &sent), Reader::traced(Release::NEWEST, &sent, 0)]
            {
                assert_eq!(Few16::decode(&mut r), Ok(few.clone()));
                assert_eq!(r.left(), 0);
            }
            for cut in 0..sent.len() {
                let cut = Few16::decode(&mut Reader::new(Release::NEWEST, &sent[..cut]));
                assert!(cut.is_err(), "{length}");
            }
        }
    }
}
