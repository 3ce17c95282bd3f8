//! Numbers and spans of time in scenario files: one value, or `low..high`, drawn from the seed.

use flurm_base::Rng;
use serde::{Deserialize, Deserializer};

use crate::world::script::parse_span;
use crate::world::{MICRO, Nanos, SECOND};

/// A span of time, or a range of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRange {
    low: Nanos,
    high: Nanos,
}

impl SpanRange {
    /// From microseconds.
    pub const fn micros(low: u64, high: u64) -> Self {
        Self { low: low * MICRO, high: high * MICRO }
    }

    /// From seconds.
    pub const fn secs(low: u64, high: u64) -> Self {
        Self { low: low * SECOND, high: high * SECOND }
    }

    /// Shortest.
    pub fn low(&self) -> Nanos {
        self.low
    }

    /// Longest.
    pub fn high(&self) -> Nanos {
        self.high
    }

    /// One of them.
    pub fn draw(&self, rng: &mut Rng) -> Nanos {
        rng.range(self.low..=self.high)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let range = Self { low: parse_span(low)?, high: parse_span(high)? };
        if range.low > range.high {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(range)
    }
}

impl<'de> Deserialize<'de> for SpanRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A number, or a range of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountRange {
    low: u64,
    high: u64,
}

impl CountRange {
    /// From a smallest and a largest.
    pub const fn new(low: u64, high: u64) -> Self {
        Self { low, high }
    }

    /// One of them.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        rng.range(self.low..=self.high)
    }

    /// Smallest.
    pub fn low(&self) -> u64 {
        self.low
    }

    /// Largest.
    pub fn high(&self) -> u64 {
        self.high
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for CountRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong =
            |text: &str| serde::de::Error::custom(format!("`{text}` is no range of numbers"));
        let text = match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => return Ok(Self { low: number, high: number }),
            NumberOrText::Text(text) => text,
        };
        let (low, high) = text.split_once("..").ok_or_else(|| wrong(&text))?;
        match (low.trim().parse(), high.trim().parse()) {
            (Ok(low), Ok(high)) if low <= high => Ok(Self { low, high }),
            _ => Err(wrong(&text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        span: SpanRange,
        count: CountRange,
    }

    #[test]
    fn a_value_is_a_range_of_one() {
        let file: File = toml::from_str("span = '5s..1m'\ncount = 3").unwrap();
        assert_eq!(file.span, SpanRange::secs(5, 60));
        assert_eq!(file.count, CountRange::new(3, 3));
        let mut rng = Rng::from_seed(1);
        assert!((0..100).all(|_| file.span.draw(&mut rng) <= 60 * SECOND));
    }

    #[test]
    fn a_backward_range_is_refused() {
        assert!(toml::from_str::<File>("span = '5s..1s'\ncount = 3").is_err());
        assert!(toml::from_str::<File>("span = '5s'\ncount = '3..1'").is_err());
    }
}
