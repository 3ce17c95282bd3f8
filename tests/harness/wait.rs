//! Waiting for something to become true, with a bound and a reason.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a test waits for anything that normally takes at most a few seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Asks again until `probe` answers `Ok`; panics with its last `Err` after [`PATIENCE`].
pub fn eventually<T, E: Debug>(what: &str, probe: impl FnMut() -> Result<T, E>) -> T {
    eventually_within(PATIENCE, what, probe)
}

/// As [`eventually`], with another bound.
pub fn eventually_within<T, E: Debug>(
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if started.elapsed() > patience => {
                panic!("not within {patience:?}: {what}; last seen: {last:?}")
            }
            Err(_) => sleep(PAUSE),
        }
    }
}
