//! Seeded simulation of FLURM: worlds, engines, faults, workloads, oracles and the runner.
//!
//! The same components that `bin` binds to the operating system are bound here to a world that
//! lives in memory, in virtual time, and does exactly what one seed says.

pub mod cluster;
pub mod engine;
pub mod fault;
pub mod histories;
pub mod inspect;
mod leaders;
pub mod light;
pub mod marks;
pub mod oracle;
pub mod run;
pub mod runner;
pub mod scenario;
pub mod situation;
pub mod steps;
pub mod system;
pub mod tripwire;
pub mod workload;
pub mod world;
