//! The production runtime: `flurm_rt::Env` on tokio and Linux.
//!
//! The only crate that makes system calls and the only one with `unsafe`. It decides nothing about
//! jobs: it opens, connects, starts, signals and reports what the kernel said.
//!
//! Call everything from within a tokio runtime with its I/O and time drivers enabled.

mod cgroup;
mod child;
mod clock;
mod container;
mod daemon;
mod disk;
mod ident;
mod local_time;
mod net;
mod pipe;
mod process;
mod procfs;
mod spawner;
mod terminal;
mod tree;
mod wait;

pub use clock::SystemClock;
pub use container::{Containment, SystemContainer};
pub use daemon::{Readiness, become_user, detach, silence};
pub use disk::{Disk, DiskFile};
pub use ident::Users;
pub use local_time::local_now;
pub use net::{Network, SocketListener, Stream};
pub use openraft_rt_tokio::TokioRuntime;
pub use process::Processes;
pub use terminal::SystemTerminal;
pub use wait::SystemChild;

use std::sync::Arc;

use flurm_rt::Env;

/// This machine. Cloning is cheap.
#[derive(Clone)]
pub struct Tokio(Arc<Machine>);

struct Machine {
    net: Network,
    disk: Disk,
    clock: SystemClock,
    processes: Processes,
    users: Users,
}

impl Tokio {
    /// This machine, with the best process containment it offers.
    pub fn new() -> Self {
        Self::contained_by(Containment::Best)
    }

    /// This machine, with a chosen kind of process containment.
    pub fn contained_by(containment: Containment) -> Self {
        Self(Arc::new(Machine {
            net: Network,
            disk: Disk,
            clock: SystemClock,
            processes: Processes::new(containment),
            users: Users,
        }))
    }
}

impl Default for Tokio {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for Tokio {
    type Rt = TokioRuntime;
    type Net = Network;
    type Fs = Disk;
    type Clock = SystemClock;
    type Proc = Processes;
    type Ident = Users;

    fn net(&self) -> &Network {
        &self.0.net
    }

    fn fs(&self) -> &Disk {
        &self.0.disk
    }

    fn clock(&self) -> &SystemClock {
        &self.0.clock
    }

    fn proc(&self) -> &Processes {
        &self.0.processes
    }

    fn ident(&self) -> &Users {
        &self.0.users
    }

    fn random(&self, bytes: &mut [u8]) {
        use rustix::rand::{GetRandomFlags, getrandom};
        let mut filled = 0;
        while filled < bytes.len() {
            match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => unreachable!("the kernel refused random bytes: {errno}"),
            }
        }
    }

    fn hostname(&self) -> String {
        let node = rustix::system::uname();
        let full = node.nodename().to_string_lossy().into_owned();
        full.split('.').next().unwrap_or_default().to_owned()
    }
}
