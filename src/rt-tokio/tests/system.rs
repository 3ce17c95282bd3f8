//! Checks of the runtime against the real system: every case in a process of its own, so that
//! signals, orphans and limits of one do not reach another.
//!
//! Cases that need root, cgroups or a tool are skipped where these are missing, by name and with a
//! count. `cargo test -p flurm-rt-tokio --test system -- WORD` runs the cases whose name has WORD.

#![expect(clippy::unwrap_used, reason = "a failed check ends its case")]

#[path = "system/cases.rs"]
mod cases;
#[path = "system/containers.rs"]
mod containers;
#[path = "system/files.rs"]
mod files;
#[path = "system/harness.rs"]
mod harness;
#[path = "system/identity.rs"]
mod identity;
#[path = "system/munge.rs"]
mod munge;
#[path = "system/processes.rs"]
mod processes;
#[path = "system/roles.rs"]
mod roles;
#[path = "system/sockets.rs"]
mod sockets;

fn main() -> std::process::ExitCode {
    harness::main()
}
