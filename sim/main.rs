//! `flurm-sim`: runs, replays and checks simulations. See `docs/simulation.md`.
//!
//! This executable replaces the C library's clocks, entropy and thread creation with tripwires: a
//! simulation that reaches for one of them fails, anything else gets the real thing.

#![cfg_attr(
    not(madsim),
    expect(unsafe_code, reason = "replacing symbols of the C library is what a tripwire is")
)]

use std::process::ExitCode;

use flurm_sim::runner;

#[cfg(not(madsim))]
mod allocator;
#[cfg(not(madsim))]
mod tripwires;

fn main() -> ExitCode {
    #[cfg(not(madsim))]
    allocator::settle();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    runner::main(&arguments).into()
}
