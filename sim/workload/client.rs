//! What a workload may ask of a system, whatever the system is.

use std::future::Future;

use crate::world::history::SeenJob;
use crate::world::script::Plan;

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// An answer.
    Answer(T),
    /// A refusal with Slurm's error number.
    Refused(u32),
    /// Nothing in time, or a broken connection.
    Nothing,
}

/// A client of a system.
pub trait ClientApi: Send + 'static {
    /// A submission made ready to be sent; sending it twice sends the same bytes.
    type Prepared: Send + Sync + 'static;

    /// Prepares a submission called `key` of a job that does `plan`. `None` when this machine cannot
    /// (its munged does not answer).
    fn prepare(
        &mut self,
        key: &str,
        plan: &Plan,
    ) -> impl Future<Output = Option<Self::Prepared>> + Send;

    /// Sends a prepared submission once.
    fn submit(&mut self, prepared: &Self::Prepared) -> impl Future<Output = Heard<u32>> + Send;

    /// Whether a refusal only means "not now": the same bytes may be sent again.
    fn may_retry(&self, refusal: u32) -> bool;

    /// Asks to cancel a job.
    fn cancel(&mut self, job: u32) -> impl Future<Output = Heard<()>> + Send;

    /// Reads the whole queue.
    fn list(&mut self) -> impl Future<Output = Heard<Vec<SeenJob>>> + Send;
}
