//! What associations have used, as it fades.
//!
//! Usage halves within `PriorityDecayHalfLife`. It is exact at any time: what has ended is kept with the
//! time that it is good for, what runs is counted up to the moment of the look. Whole numbers only, so
//! that every replica has the same.

use flurm_base::{Span, Time};
use serde::{Deserialize, Serialize};

/// One, as a fixed-point number.
const ONE: u64 = 1 << 62;
/// The logarithm of two.
const LN_2: u64 = 0xb172_17f7_d1cf_79ab >> 2;
/// Terms of the exponential series: the next one is below the last digit.
const TERMS: u64 = 24;

fn times(one: u64, other: u64) -> u64 {
    let product = (u128::from(one) * u128::from(other)) >> 62;
    u64::try_from(product).expect("both are at most one")
}

/// Two to the power of minus `exponent`, which is below one.
fn halved_by(exponent: u64) -> u64 {
    let power = times(exponent, LN_2);
    let mut sum = ONE;
    for term in (1..=TERMS).rev() {
        sum = ONE - times(power, sum) / term;
    }
    sum
}

/// What is left of one after so long.
fn left_after(elapsed: Span, half_life: Span) -> u64 {
    if half_life.0 == 0 {
        return ONE;
    }
    let halves = elapsed.0 / half_life.0;
    if halves >= 62 {
        return 0;
    }
    let rest = (u128::from(elapsed.0 % half_life.0) << 62) / u128::from(half_life.0);
    halved_by(u64::try_from(rest).expect("it is below one")) >> halves
}

/// Microseconds that are left of a span when it ends, its beginning having faded already.
fn left_of(elapsed: Span, half_life: Span) -> u64 {
    if half_life.0 == 0 {
        return elapsed.0;
    }
    let gone = u128::from(ONE - left_after(elapsed, half_life));
    let left = gone * u128::from(half_life.0) / u128::from(LN_2);
    u64::try_from(left).unwrap_or(u64::MAX)
}

/// Two to the power of minus a number that is not negative.
pub(crate) fn power_of_half(exponent: f64) -> f64 {
    if exponent.is_nan() || exponent >= 1_000.0 {
        return 0.0;
    }
    let whole = exponent.floor();
    let rest = ((exponent - whole) * ONE as f64) as u64;
    let mut power = halved_by(rest.min(ONE - 1)) as f64 / ONE as f64;
    for _ in 0..whole as u32 {
        power /= 2.0;
    }
    power
}

/// How much of each resource is used in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// Thousandths.
    pub(crate) billing: u64,
    pub(crate) cpus: u64,
    pub(crate) memory_mb: u64,
    pub(crate) nodes: u64,
    /// `UsageFactor` of the quality of service, thousandths.
    pub(crate) factor: u64,
}

/// What a job with these resources would use until a time, without fading.
pub(crate) fn of_amounts(from: Time, until: Time, amounts: crate::Amounts) -> Usage {
    let rates = Rates {
        billing: amounts.cpus.saturating_mul(1_000),
        cpus: amounts.cpus,
        memory_mb: amounts.memory_mb,
        nodes: amounts.nodes,
        factor: 1_000,
    };
    Usage::of_run(from, until, rates, Span(0))
}

/// Thousandths of a second of each resource, as they were at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    at: Time,
    billing: u64,
    cpus: u64,
    memory_mb: u64,
    nodes: u64,
    wall: u64,
}

impl Usage {
    /// The same later.
    pub(crate) fn faded(self, at: Time, half_life: Span) -> Self {
        if at <= self.at {
            return self;
        }
        let left = left_after(at.since(self.at), half_life);
        let fade = |amount: u64| {
            let faded = (u128::from(amount) * u128::from(left)) >> 62;
            u64::try_from(faded).expect("it does not grow")
        };
        Self {
            at,
            billing: fade(self.billing),
            cpus: fade(self.cpus),
            memory_mb: fade(self.memory_mb),
            nodes: fade(self.nodes),
            wall: fade(self.wall),
        }
    }

    /// What a run from `start` to `end` leaves when it ends.
    pub(crate) fn of_run(start: Time, end: Time, rates: Rates, half_life: Span) -> Self {
        let micros = u128::from(left_of(end.since(start), half_life));
        // Thousandths of a second, by the factor's thousandths.
        let millis = |rate: u64| {
            let amount = u128::from(rate) * micros / 1_000 * u128::from(rates.factor) / 1_000;
            u64::try_from(amount).unwrap_or(u64::MAX)
        };
        Self {
            at: end,
            billing: millis(rates.billing) / 1_000,
            cpus: millis(rates.cpus),
            memory_mb: millis(rates.memory_mb),
            nodes: millis(rates.nodes),
            wall: millis(1),
        }
    }

    /// Both together, at the later time.
    pub(crate) fn plus(self, other: Self, half_life: Span) -> Self {
        let at = self.at.max(other.at);
        let (one, other) = (self.faded(at, half_life), other.faded(at, half_life));
        Self {
            at,
            billing: one.billing.saturating_add(other.billing),
            cpus: one.cpus.saturating_add(other.cpus),
            memory_mb: one.memory_mb.saturating_add(other.memory_mb),
            nodes: one.nodes.saturating_add(other.nodes),
            wall: one.wall.saturating_add(other.wall),
        }
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_gone(self) -> bool {
        self.billing == 0 && self.cpus == 0 && self.wall == 0
    }

    /// Billing units times seconds, as sshare shows it.
    pub fn raw_s(self) -> f64 {
        self.billing as f64 / 1_000.0
    }

    /// Seconds of a resource by its name; zero for those that are not counted.
    pub fn seconds(self, name: &str) -> f64 {
        let millis = match name {
            "cpu" => self.cpus,
            "mem" => self.memory_mb,
            "node" => self.nodes,
            "billing" => self.billing,
            _ => 0,
        };
        millis as f64 / 1_000.0
    }

    /// Seconds of running.
    pub fn wall_s(self) -> f64 {
        self.wall as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Span = Span::secs(86_400);
    const ONE_CPU: Rates = Rates { billing: 1_000, cpus: 1, memory_mb: 0, nodes: 1, factor: 1_000 };

    fn at(seconds: i64) -> Time {
        Time::from_secs(seconds)
    }

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() <= other.abs() * 1e-6 + 1e-3, "{one} and {other}");
    }

    #[test]
    fn half_is_left_after_a_half_life() {
        let run = Usage::of_run(at(0), at(1_000), ONE_CPU, Span(0));
        close(run.raw_s(), 1_000.0);
        close(run.faded(at(1_000 + 86_400), DAY).raw_s(), 500.0);
        close(run.faded(at(1_000 + 43_200), DAY).raw_s(), 707.106_781);
        assert!(run.faded(at(100 * 86_400), DAY).is_gone());
        close(run.faded(at(100 * 86_400), Span(0)).raw_s(), 1_000.0);
    }

    #[test]
    fn a_run_leaves_the_same_whole_or_in_parts() {
        let whole = Usage::of_run(at(0), at(200_000), ONE_CPU, DAY);
        let first = Usage::of_run(at(0), at(77_777), ONE_CPU, DAY);
        let second = Usage::of_run(at(77_777), at(200_000), ONE_CPU, DAY);
        close(first.plus(second, DAY).raw_s(), whole.raw_s());
        let exact = 86_400.0 / std::f64::consts::LN_2 * (1.0 - 2f64.powf(-200_000.0 / 86_400.0));
        close(whole.raw_s(), exact);
        let second = Usage::of_run(at(0), at(1), ONE_CPU, Span::secs(7 * 86_400));
        close(second.raw_s(), 1.0);
    }

    #[test]
    fn powers_of_a_half_are_right() {
        for exponent in [0.0, 0.25, 0.5, 1.0, 1.75, 10.3, 60.0] {
            close(power_of_half(exponent) * 1e6, 2f64.powf(-exponent) * 1e6);
        }
        assert_eq!(power_of_half(f64::INFINITY), 0.0);
    }
}
