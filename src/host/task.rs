//! Tasks that nobody waits for.

use std::future::Future;

use flurm_rt::{AsyncRuntime, Env};

/// Starts a task that runs by itself to its end, or to the end of the process.
pub(crate) fn detach<E: Env>(task: impl Future<Output = ()> + Send + 'static) {
    drop(E::Rt::spawn(task));
}
