//! Workloads: what clients do, from their own machines and through the network.
//!
//! A workload is a type in a file of its own: what it takes from a scenario, what each of its clients
//! does, and what must hold of what they saw. Its name stands in [`KINDS`].

mod client;
mod hang_up;
mod mend_nodes;
mod operate;
mod partitions;
mod read_nodes;
mod read_queue;
mod run_steps;
mod submission;
mod submit_for_devices;
mod submit_licensed;
mod submit_related;
mod submit_twice;
mod submit_with_retry;
mod suspend_jobs;

use std::fmt::Debug;
use std::sync::Arc;

use flurm_base::Rng;
use serde::{Deserialize, Deserializer};

pub(crate) use submit_for_devices::DEVICES;
pub(crate) use submit_licensed::{LICENSES, LICENSES_IN_ALL};
pub(crate) use submit_related::{
    AFTER_SUCCESS_OF, ON_AN_EVEN_NODE, TASKS, TASKS_AT_ONCE, feature_of,
};

pub use client::{ClientApi, Doing, Heard, Prepared, StepSeen, StepWanted, Wanted};

use crate::scenario::kinds::{self, Kind};
use crate::scenario::{CountRange, SpanRange};
use crate::world;
use crate::world::TaskFuture;
use crate::world::history::{Effect, History};
use crate::world::trace::{Kind as Noted, digest_bytes};

/// What a number of clients do.
pub trait Workload: Debug + Send + Sync {
    /// How many clients it has.
    fn clients(&self) -> u8;

    /// Whether the run waits until its clients are done.
    fn ends(&self) -> bool {
        true
    }

    /// Whether its clients are operators (root) rather than ordinary users.
    fn operates(&self) -> bool {
        false
    }

    /// What one client does, until it is done or for ever.
    fn start(&self, seat: Seat) -> TaskFuture;

    /// Judges what its clients saw, once everything is over.
    fn check(&self, _history: &History) -> Result<(), String> {
        Ok(())
    }
}

/// Where a client of a workload sits.
pub struct Seat {
    /// Its number in the whole world.
    pub client: u32,
    /// Its number among the workload's clients, from 0.
    pub nth: u64,
    /// How many clients the workload has.
    pub of: u64,
    /// Its machine's name, for the trace.
    pub lane: String,
    /// How it talks to the system.
    pub api: Box<dyn ClientApi>,
    /// Its own chance.
    pub rng: Rng,
    /// Chance that all clients of the workload draw the same from.
    pub shared: Rng,
}

impl Seat {
    /// This client's part of a number of things that all clients do together.
    pub fn share(&mut self, all: CountRange) -> u64 {
        let all = all.draw(&mut self.shared);
        all / self.of + u64::from(self.nth < all % self.of)
    }

    /// Waits for a span drawn from the client's chance.
    pub async fn pause(&mut self, pause: SpanRange) {
        let span = pause.draw(&mut self.rng);
        self.api.nap(span).await;
    }

    /// Notes what crossed the boundary.
    pub fn tell(&self, effect: Effect) {
        tell(&self.lane, effect);
    }
}

macro_rules! kinds {
    ($($name:literal => $kind:ty),* $(,)?) => {
        /// Every workload that a scenario file can name.
        pub const KINDS: &[Kind<dyn Workload>] = &[
            $(Kind { name: $name, read: |table| Ok(Arc::new(kinds::read::<$kind>(table)?)) }),*
        ];
    };
}

kinds! {
    "submit_with_retry" => submit_with_retry::SubmitWithRetry,
    "submit_related" => submit_related::SubmitRelated,
    "submit_for_devices" => submit_for_devices::SubmitForDevices,
    "submit_licensed" => submit_licensed::SubmitLicensed,
    "submit_twice" => submit_twice::SubmitTwice,
    "hang_up" => hang_up::HangUp,
    "read_queue" => read_queue::ReadQueue,
    "read_nodes" => read_nodes::ReadNodes,
    "mend_nodes" => mend_nodes::MendNodes,
    "run_steps" => run_steps::RunSteps,
    "operate" => operate::Operate,
    "suspend_jobs" => suspend_jobs::SuspendJobs,
    "partitions_come_and_go" => partitions::PartitionsComeAndGo,
}

/// A workload of a scenario file.
#[derive(Clone, Debug)]
pub struct WorkloadSpec(Arc<dyn Workload>);

impl WorkloadSpec {
    /// What it is.
    pub fn workload(&self) -> &dyn Workload {
        &*self.0
    }

    /// A workload that no file names: someone who looks at the queue now and then.
    pub fn observer() -> Self {
        Self(Arc::new(read_queue::ReadQueue::observer()))
    }
}

impl<'de> Deserialize<'de> for WorkloadSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        kinds::by_name(KINDS, "workload", table).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Notes what crossed the boundary, in the history and in the trace.
pub(crate) fn tell(lane: &str, effect: Effect) {
    world::with(|w| {
        let text = match &effect {
            Effect::Listed { jobs, .. } => format!("client sees {} jobs", jobs.len()),
            other => format!("client: {other:?}"),
        };
        let at = w.now();
        let fact = digest_bytes(text.as_bytes());
        w.trace.note(at, Noted::Client, [fact, 0], || (lane.to_owned(), text));
        w.history.push(at, effect);
    });
}

fn one_client() -> u8 {
    1
}

fn pause() -> SpanRange {
    SpanRange::micros(20_000, 1_500_000)
}

fn percent(rng: &mut Rng, percent: u8) -> bool {
    percent > 0 && rng.below(100) < u64::from(percent)
}
