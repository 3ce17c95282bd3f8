//! Knobs: limits and time-outs with a default and a range in which every value is legal.
//!
//! A product runs with the defaults. A simulation may draw them from its seed, a thread at a time, so
//! that what only happens under a small limit or a short wait happens.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::{Rng, Span};

/// Probability that a knob keeps its default when knobs are drawn.
const KEPT: f64 = 0.5;

/// A value that a knob can have.
pub trait Setting: Copy {
    /// As a number.
    fn number(self) -> u64;
    /// From a number.
    fn of(number: u64) -> Self;
}

impl Setting for u64 {
    fn number(self) -> u64 {
        self
    }

    fn of(number: u64) -> Self {
        number
    }
}

impl Setting for u32 {
    fn number(self) -> u64 {
        u64::from(self)
    }

    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Setting for usize {
    fn number(self) -> u64 {
        self as u64
    }

    fn of(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Setting for Span {
    fn number(self) -> u64 {
        self.0
    }

    fn of(number: u64) -> Self {
        Self(number)
    }
}

/// As whole microseconds.
impl Setting for Duration {
    fn number(self) -> u64 {
        u64::try_from(self.as_micros()).unwrap_or(u64::MAX)
    }

    fn of(number: u64) -> Self {
        Self::from_micros(number)
    }
}

/// A limit or time-out.
#[derive(Debug)]
pub struct Knob<T: 'static> {
    name: &'static str,
    default: T,
    least: T,
    most: T,
}

struct Drawing {
    rng: Rng,
    drawn: BTreeMap<&'static str, u64>,
}

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static DRAWING: RefCell<Option<Drawing>> = const { RefCell::new(None) };
}

impl<T: Setting> Knob<T> {
    /// A knob. `name` is its own alone; anything from `least` to `most` is legal.
    pub const fn new(name: &'static str, default: T, least: T, most: T) -> Self {
        Self { name, default, least, most }
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> T {
        if ACTIVE.get() { self.draw() } else { self.default }
    }

    #[cold]
    fn draw(&self) -> T {
        DRAWING.with_borrow_mut(|drawing| {
            let Some(drawing) = drawing else { return self.default };
            let mut rng = drawing.rng.child(self.name);
            let number = *drawing.drawn.entry(self.name).or_insert_with(|| {
                let (least, most) = (self.least.number(), self.most.number());
                let value = if rng.chance(KEPT) {
                    self.default.number()
                } else {
                    even_over_magnitudes(&mut rng, least, most)
                };
                assert!(least <= value, "a knob is below its legal range");
                assert!(value <= most, "a knob is above its legal range");
                value
            });
            T::of(number)
        })
    }
}

/// Each power of two between two numbers is equally likely to be the value's.
fn even_over_magnitudes(rng: &mut Rng, least: u64, most: u64) -> u64 {
    let doublings = most.max(1).ilog2() - least.max(1).ilog2();
    let by = rng.range(0..=u64::from(doublings));
    let low = least.max(least.max(1) << by);
    let high = (low.saturating_mul(2)).min(most).max(low.min(most));
    rng.range(low.min(high)..=high)
}

/// Draws every knob of this thread from `rng` until [`stop_drawing`].
pub fn start_drawing(rng: Rng) {
    DRAWING.set(Some(Drawing { rng, drawn: BTreeMap::new() }));
    ACTIVE.set(true);
}

/// Gives the knobs of this thread their defaults again; what those that were used had been.
pub fn stop_drawing() -> BTreeMap<&'static str, u64> {
    ACTIVE.set(false);
    DRAWING.take().map(|drawing| drawing.drawn).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    static WAIT: Knob<Span> =
        Knob::new("test.wait", Span::secs(1), Span::millis(1), Span::secs(10));
    static ROOM: Knob<usize> = Knob::new("test.room", 256, 1, 1024);

    #[test]
    fn a_knob_has_its_default_unless_it_is_drawn() {
        assert_eq!((WAIT.get(), ROOM.get()), (Span::secs(1), 256));
        let mut rooms = BTreeMap::new();
        for seed in 0..200 {
            start_drawing(Rng::from_seed(seed));
            let (wait, room) = (WAIT.get(), ROOM.get());
            assert_eq!((WAIT.get(), ROOM.get()), (wait, room), "one run, one value");
            assert!((1_000..=10_000_000).contains(&wait.0));
            assert!((1..=1024).contains(&room));
            *rooms.entry(room.ilog2()).or_insert(0) += 1;
            let drawn = stop_drawing();
            assert_eq!(drawn["test.wait"], wait.0);
        }
        assert!(rooms.len() > 8, "small and large values are both drawn: {rooms:?}");
        assert_eq!(ROOM.get(), 256);
    }

    #[test]
    fn the_order_of_use_changes_nothing() {
        start_drawing(Rng::from_seed(7));
        let first = (WAIT.get(), ROOM.get());
        stop_drawing();
        start_drawing(Rng::from_seed(7));
        let second = ROOM.get();
        assert_eq!((WAIT.get(), second), first);
        stop_drawing();
    }
}
