//! Drives the cores over the abstract runtime: sessions, retries, timers, fan-out, back-pressure.
//!
//! The three components that daemons and simulated worlds run alike are `controller::run`,
//! `node::run` and `stepd::run`.

mod auth;
pub mod configless;
pub mod controller;
mod frame_io;
mod health;
pub mod jwt;
mod launcher;
mod leader;
mod login;
pub mod munge;
pub mod node;
mod node_attempts;
mod node_programs;
mod node_register;
mod node_serve;
mod peers;
mod replica;
mod report;
mod rpc;
mod serve;
mod session;
mod setup;
mod spool;
pub mod stepd;
mod task;

pub use setup::Setup;
