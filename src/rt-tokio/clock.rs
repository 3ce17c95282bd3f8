//! The machine's clocks.

use flurm_base::{Span, Time};
use flurm_rt::Clock;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The kernel's clocks: real time, boot-based monotonic time, and the moment of boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Time {
        Time(micros(clock_gettime(ClockId::Realtime)))
    }

    /// Counts suspended time too: a machine that slept was silent for others all the same.
    fn monotonic(&self) -> Span {
        let now = micros(clock_gettime(ClockId::Boottime));
        Span(u64::try_from(now).expect("the boot clock starts at zero"))
    }

    fn boot(&self) -> Time {
        crate::procfs::boot_secs()
            .map(Time::from_secs)
            .unwrap_or_else(|| self.wall() - self.monotonic())
    }
}

fn micros(spec: Timespec) -> i64 {
    spec.tv_sec.saturating_mul(1_000_000).saturating_add(spec.tv_nsec / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_minus_uptime_is_the_boot_moment() {
        let clock = SystemClock;
        let computed = clock.wall() - clock.monotonic();
        let told = clock.boot();
        let apart = computed.since(told).0.max(told.since(computed).0);
        assert!(apart < Span::secs(5).0, "boot {told:?} and wall - monotonic {computed:?} differ");
    }

    #[test]
    fn the_monotonic_clock_counts_microseconds() {
        let clock = SystemClock;
        let before = clock.monotonic();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let passed = clock.monotonic() - before;
        assert!(passed >= Span::millis(20), "{passed:?}");
        assert!(passed < Span::secs(20), "{passed:?}");
    }
}
