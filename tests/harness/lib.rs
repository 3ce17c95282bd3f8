//! Whole clusters on the loopback interface, made of real processes, for tests and for trying out.
//!
//! A [`Cluster`] has its own folder, munged, ports, controllers and node daemons: FLURM's, or
//! Debian's own Slurm to compare with. [`Client`] runs unmodified Slurm clients of three releases
//! as any user. This crate knows the daemons only as programs; it links none of their code.

pub mod client;
pub mod cluster;
pub mod conf;
pub mod munge;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod record;
pub mod token;
pub mod wait;

pub use client::{Client, Ran, Release};
pub use cluster::{Cluster, Daemons};
pub use conf::Shape;
pub use record::Record;
pub use wait::{eventually, eventually_within};
