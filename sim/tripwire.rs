//! Tripwires: the real clock, entropy and threads are forbidden inside a simulation.
//!
//! The `flurm-sim` executable overrides the C library's symbols (see `tripwires.rs`); each override
//! calls [`check`] first. A library cannot do that for its user, so here is only the flag.

use std::cell::Cell;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static TRIPPED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Whether this thread is inside a simulation.
pub fn armed() -> bool {
    ARMED.try_with(Cell::get).unwrap_or(false)
}

/// Notes that `what` was reached for, inside a simulation. Called from within functions of the C
/// library, which must not unwind, so the run goes on and fails when it ends.
pub fn check(what: &'static str) {
    if armed() && !std::thread::panicking() {
        TRIPPED.set(Some(what));
    }
}

/// What was reached for since this was last asked.
pub fn take_tripped() -> Option<&'static str> {
    TRIPPED.take()
}

/// Keeps the tripwires of this thread armed while it lives.
#[derive(Debug)]
pub struct Armed(bool);

impl Armed {
    /// Arms the tripwires of this thread.
    #[expect(clippy::new_without_default, reason = "arming is an act, not a default")]
    pub fn new() -> Self {
        Self(ARMED.replace(true))
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        ARMED.set(self.0);
    }
}

/// Runs `f` with the tripwires off: for the engine's own bookkeeping.
pub fn unarmed<T>(f: impl FnOnce() -> T) -> T {
    let before = ARMED.replace(false);
    let result = f();
    ARMED.set(before);
    result
}

thread_local! {
    static FIXED_ENTROPY: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread draw the keys of the standard library's hasher, once, from fixed bytes. Maps of
/// dependencies then have the same order in every process.
pub fn settle_hashing() {
    FIXED_ENTROPY.set(true);
    let _the_thread_keeps_the_keys = std::hash::RandomState::new();
    FIXED_ENTROPY.set(false);
}

/// Whether entropy asked for now is a known constant.
pub fn entropy_is_fixed() -> bool {
    FIXED_ENTROPY.try_with(Cell::get).unwrap_or(false)
}
