//! The bundle a simulated process gets: its machine's clocks, disk, processes, users and network.

use std::fmt::Debug;
use std::marker::PhantomData;

use flurm_rt::{AsyncRuntime, Env, Net};

use super::clock::SimClock;
use super::fs::SimFs;
use super::ident::SimIdent;
use super::proc::SimProc;
use super::process::ProcKey;
use super::{MachineId, World};

/// Which process, on which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The machine.
    pub machine: MachineId,
    /// The process.
    pub process: ProcKey,
}

/// A runtime with virtual time under which a world runs.
pub trait Engine: Debug + Send + Sync + 'static {
    /// Its name on the command line.
    const NAME: &'static str;
    /// Tasks, timers, channels.
    type Rt: AsyncRuntime;
    /// Sockets.
    type Net: Net + Clone;

    /// The network as one process sees it.
    fn net(place: Place) -> Self::Net;

    /// Drives a world until `main` ends; gives it back with what `main` returned. `main` belongs to
    /// no process; a panic anywhere comes back as words.
    fn run<T: 'static>(
        world: World,
        main: impl FnOnce() -> super::LocalFuture<T> + 'static,
    ) -> (World, Result<T, String>);
}

/// What a simulated process sees of the world.
pub struct SimEnv<X: Engine> {
    place: Place,
    net: X::Net,
    fs: SimFs,
    clock: SimClock,
    proc: SimProc,
    ident: SimIdent,
    engine: PhantomData<fn() -> X>,
}

impl<X: Engine> SimEnv<X> {
    /// The world as this process sees it.
    pub fn new(place: Place) -> Self {
        Self {
            place,
            net: X::net(place),
            fs: SimFs(place),
            clock: SimClock(place),
            proc: SimProc(place),
            ident: SimIdent,
            engine: PhantomData,
        }
    }

    /// Where this is.
    pub fn place(&self) -> Place {
        self.place
    }
}

impl<X: Engine> Clone for SimEnv<X> {
    fn clone(&self) -> Self {
        Self::new(self.place)
    }
}

impl<X: Engine> Debug for SimEnv<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{:?}", X::NAME, self.place)
    }
}

impl<X: Engine> Env for SimEnv<X> {
    type Rt = X::Rt;
    type Net = X::Net;
    type Fs = SimFs;
    type Clock = SimClock;
    type Proc = SimProc;
    type Ident = SimIdent;

    fn net(&self) -> &X::Net {
        &self.net
    }

    fn fs(&self) -> &SimFs {
        &self.fs
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }

    fn proc(&self) -> &SimProc {
        &self.proc
    }

    fn ident(&self) -> &SimIdent {
        &self.ident
    }

    fn random(&self, bytes: &mut [u8]) {
        super::with(|w| w.rng.components.fill(bytes));
    }

    fn hostname(&self) -> String {
        super::with(|w| w.machine(self.place.machine).name.clone())
    }
}
