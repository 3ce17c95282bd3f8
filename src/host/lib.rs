//! Drives the cores over the abstract runtime: sessions, retries, timers, fan-out, back-pressure.
//!
//! The three components that daemons and simulated worlds run alike are `controller::run`,
//! `node::run` and `stepd::run`.

mod allocations;
mod auth;
mod auth_cell;
mod auth_settings;
#[cfg(test)]
mod auth_tests;
mod bell;
mod conf_files;
pub mod configless;
pub mod controller;
mod frame_io;
mod health;
pub mod jose;
pub mod jwt;
pub mod keyring;
mod kiosk;
mod launcher;
mod leader;
mod login;
pub mod munge;
pub mod node;
mod node_attempts;
mod node_bcast;
mod node_gres;
mod node_programs;
mod node_prolog;
mod node_register;
mod node_serve;
mod node_stat;
mod node_steps;
mod node_suspend;
mod peers;
mod reconfigure;
mod replica;
mod report;
mod rpc;
mod serve;
mod session;
mod setup;
pub mod slurm_token;
mod spool;
mod step_hub;
mod step_io;
mod step_run;
pub mod stepd;
mod stepd_socket;
mod task;
mod task_programs;
mod token_request;

pub use auth_settings::{Own, Role};
pub use bell::Bell;
pub use keyring::KeyFiles;
pub use replica::Replica;
pub use setup::Setup;
