//! Drives the cores over the abstract runtime: sessions, retries, timers, fan-out, back-pressure.
//!
//! The three components that daemons and simulated worlds run alike are `controller::run`,
//! `node::run` and `stepd::run`.

mod frame_io;
pub mod jwt;
pub mod munge;
