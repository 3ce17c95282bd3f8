//! The local time of day, for log lines.
#![expect(unsafe_code, reason = "the C library knows the time zone")]

use flurm_rt::Clock;

/// Local time as Slurm's logs write it: `2026-11-23T15:22:29.123`.
pub fn local_now() -> String {
    text(crate::SystemClock.wall())
}

fn text(time: flurm_base::Time) -> String {
    let secs: libc::time_t = time.secs();
    let millis = time.0.rem_euclid(1_000_000) / 1_000;
    // SAFETY: all zero bytes are a valid `tm`; both pointers are to live locals.
    let broken = unsafe {
        let mut broken: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&secs, &mut broken).is_null() {
            return format!("@{secs}.{millis:03}");
        }
        broken
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{millis:03}",
        broken.tm_year + 1_900,
        broken.tm_mon + 1,
        broken.tm_mday,
        broken.tm_hour,
        broken.tm_min,
        broken.tm_sec
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_day_apart_is_another_date_with_the_same_look() {
        let day = |secs: i64| text(flurm_base::Time(secs * 1_000_000 + 42_000));
        let (first, second) = (day(1_700_000_000), day(1_700_000_000 + 86_400));
        assert_eq!(first.len(), "2023-11-14T22:13:20.042".len());
        assert!(first.starts_with("2023-11-1") && first.ends_with(".042"), "{first}");
        assert_ne!(first[..10], second[..10]);
    }
}
