//! What benchmarks share: counted allocations and repeated timing.
#![expect(unsafe_code, reason = "a counting allocator wraps the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts every allocation of the process.
#[derive(Debug)]
pub struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Processor time of this process so far, in nanoseconds: other work on the machine is not in it.
fn processor_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the given place only.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "every Linux has this clock");
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds of processor time and allocations of one call.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Median over the rounds.
    pub ns: f64,
    /// Of one call.
    pub allocations: f64,
}

/// Rounds whose median counts; odd, so that there is one.
const ROUNDS: usize = 9;

/// What `call` costs; each round calls it `calls` times.
pub fn cost<T>(calls: u32, mut call: impl FnMut() -> T) -> Cost {
    let mut times = Vec::with_capacity(ROUNDS);
    std::hint::black_box(call());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..ROUNDS {
        let started = processor_ns();
        for _ in 0..calls {
            std::hint::black_box(call());
        }
        times.push((processor_ns() - started) / f64::from(calls));
    }
    let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
    times.sort_by(f64::total_cmp);
    let calls = ROUNDS as f64 * f64::from(calls);
    Cost { ns: times[ROUNDS / 2], allocations: made as f64 / calls }
}
