//! Our own engine: virtual time, one thread, ready tasks polled in an order drawn from the seed.

mod channel;
mod executor;
mod mutex;
mod oneshot;
mod runtime;
mod watch;

use std::rc::Rc;

use crate::world::env::{Engine, Place};
use crate::world::stream::SimNet;
use crate::world::{self, LocalFuture, World};

pub use executor::{count_tasks, tasks_counted};

pub use channel::{OwnMpsc, Receiver, Sender, WeakSender};
pub use mutex::{Guard, OwnMutex};
pub use oneshot::{Closed, OneReceiver, OneSender, OwnOneshot};
pub use runtime::{Cancelled, Elapsed, Join, OwnInstant, OwnRng, OwnRt, Timeout};
pub use watch::{OwnWatch, Watched, WatchedReceiver, WatchedSender};

/// The primary engine.
#[derive(Debug)]
pub struct Own;

impl Engine for Own {
    const NAME: &'static str = "own";
    type Rt = OwnRt;
    type Net = SimNet;

    fn net(place: Place) -> SimNet {
        SimNet(place)
    }

    fn run<T: 'static>(
        mut world: World,
        main: impl FnOnce() -> LocalFuture<T> + 'static,
    ) -> (World, Result<T, String>) {
        world.set_launcher(Rc::new(executor::OwnLauncher));
        world::install(world);
        let result = crate::engine::guarded(|| {
            let main = main();
            executor::run(main)
        });
        executor::clear();
        let world = world::remove().expect("it was installed above");
        (world, result)
    }
}
