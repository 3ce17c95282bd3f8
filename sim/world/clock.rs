//! The clocks of a machine: a monotonic one that may run fast or slow, and a wall clock that may
//! also be wrong and jump.

use flurm_base::{Span, Time};
use flurm_rt::Clock;

use super::env::Place;
use super::{EPOCH, MICRO, Nanos, SECOND};

/// Monotonic time every machine boots with, so that subtracting a while from "now" is possible.
const MONOTONIC_START: Nanos = 100_000 * SECOND;

/// How wrong jumps make a wall clock at most: two that are wrong by this much in opposite ways are
/// still nearer than the 300 s for which munge takes a credential.
const WRONG_MAX_US: i64 = 130_000_000;

/// The clocks of one machine.
#[derive(Clone, Debug)]
pub struct MachineClock {
    base_global: Nanos,
    base_local: Nanos,
    /// How much faster than true time, in parts per million.
    drift_ppm: i64,
    /// Wall clock minus (boot wall + monotonic), in microseconds: skew and jumps.
    wall_offset_us: i64,
    booted_global: Nanos,
}

impl MachineClock {
    /// Right clocks.
    pub fn new(now: Nanos) -> Self {
        Self {
            base_global: now,
            base_local: MONOTONIC_START,
            drift_ppm: 0,
            wall_offset_us: (now / MICRO) as i64,
            booted_global: now,
        }
    }

    /// Monotonic time at a point of global time.
    pub fn local(&self, now: Nanos) -> Nanos {
        let passed = now.saturating_sub(self.base_global);
        self.base_local + scale(passed, self.drift_ppm)
    }

    /// The global time at which this clock will show `local`.
    pub fn global(&self, local: Nanos) -> Nanos {
        let passed = local.saturating_sub(self.base_local);
        let factor = 1_000_000 + i128::from(self.drift_ppm);
        let global = (i128::from(passed) * 1_000_000 + factor - 1) / factor;
        self.base_global.saturating_add(u64::try_from(global).unwrap_or(u64::MAX))
    }

    /// How long `span` of local time takes in global time.
    pub fn global_span(&self, now: Nanos, span: Nanos) -> Nanos {
        self.global(self.local(now).saturating_add(span)).saturating_sub(now)
    }

    /// The wall clock.
    pub fn wall(&self, now: Nanos) -> Time {
        let ticked = (self.local(now) - MONOTONIC_START) / MICRO;
        Time(EPOCH.0 + ticked as i64 + self.wall_offset_us)
    }

    /// Wall time of the last boot as the machine's own clocks tell it.
    pub fn boot(&self, now: Nanos) -> Time {
        let up = (self.local(now) - self.local(self.booted_global)) / MICRO;
        Time(self.wall(now).0 - up as i64)
    }

    /// Makes the wall clock jump; by how much it did. One that would then be wrong by more than
    /// [`WRONG_MAX_US`] jumps the other way: jumps do not add up.
    pub fn jump(&mut self, now: Nanos, by_us: i64) -> i64 {
        let off = self.wall(now).0 - truth(now);
        let by_us = if (off + by_us).abs() > WRONG_MAX_US { -by_us } else { by_us };
        self.wall_offset_us += by_us;
        by_us
    }

    /// Sets how fast the clocks run from now on; how fast they ran before.
    pub fn set_drift(&mut self, now: Nanos, ppm: i64) -> i64 {
        assert!(ppm.abs() <= 100_000, "a clock that is ten percent wrong is no clock");
        self.base_local = self.local(now);
        self.base_global = now;
        std::mem::replace(&mut self.drift_ppm, ppm)
    }

    /// Sets the wall clock right.
    pub fn correct(&mut self, now: Nanos) {
        self.wall_offset_us += truth(now) - self.wall(now).0;
    }

    /// The machine boots.
    pub fn boot_now(&mut self, now: Nanos) {
        self.booted_global = now;
    }
}

/// True wall time, microseconds.
fn truth(now: Nanos) -> i64 {
    EPOCH.0 + (now / MICRO) as i64
}

fn scale(span: Nanos, ppm: i64) -> Nanos {
    let scaled = i128::from(span) * (1_000_000 + i128::from(ppm)) / 1_000_000;
    u64::try_from(scaled).expect("a span scaled by a few percent stays a span")
}

/// The clocks as a component sees them.
#[derive(Clone)]
pub struct SimClock(pub(crate) Place);

impl Clock for SimClock {
    fn wall(&self) -> Time {
        super::with(|w| w.wall(self.0.machine))
    }

    fn monotonic(&self) -> Span {
        super::with(|w| Span(w.machine(self.0.machine).clock.local(w.now()) / MICRO))
    }

    fn boot(&self) -> Time {
        super::with(|w| w.machine(self.0.machine).clock.boot(w.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
        let mut clock = MachineClock::new(0);
        let before = clock.local(5 * SECOND);
        assert_eq!(clock.jump(5 * SECOND, -3_000_000), -3_000_000);
        assert_eq!(clock.local(5 * SECOND), before);
        assert_eq!(clock.wall(5 * SECOND).0, EPOCH.0 + 2_000_000);
        clock.correct(5 * SECOND);
        assert_eq!(clock.wall(6 * SECOND).0, EPOCH.0 + 6_000_000);
    }

    #[test]
    fn jumps_do_not_add_up() {
        let mut clock = MachineClock::new(0);
        assert_eq!(clock.jump(0, 100_000_000), 100_000_000);
        assert_eq!(clock.jump(0, 90_000_000), -90_000_000);
        assert_eq!(clock.wall(0).0, EPOCH.0 + 10_000_000);
    }

    #[test]
    fn a_fast_clock_counts_more_seconds() {
        let mut clock = MachineClock::new(0);
        clock.set_drift(10 * SECOND, 1_000);
        let local = clock.local(1_010 * SECOND) - clock.local(10 * SECOND);
        assert_eq!(local, 1_001 * SECOND);
        assert_eq!(clock.global(clock.local(1_010 * SECOND)), 1_010 * SECOND);
        assert_eq!(clock.wall(1_010 * SECOND).0, EPOCH.0 + 1_011_000_000);
    }

    #[test]
    fn a_reader_of_a_late_world_sees_true_time() {
        let clock = MachineClock::new(30 * SECOND);
        assert_eq!(clock.wall(31 * SECOND).0, EPOCH.0 + 31_000_000);
        assert_eq!(clock.boot(31 * SECOND).0, EPOCH.0 + 30_000_000);
    }
}
