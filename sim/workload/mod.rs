//! Workloads: what clients do, from their own machines and through the network.

mod client;
mod observe;
mod submit;

use serde::Deserialize;

pub use client::{ClientApi, Heard};
pub use observe::observe;
pub use submit::{Submitting, submit_with_retry};

use crate::scenario::{CountRange, SpanRange};

fn one_client() -> u8 {
    1
}

fn pause() -> SpanRange {
    SpanRange::micros(20_000, 1_500_000)
}

fn run_time() -> SpanRange {
    SpanRange::micros(100_000, 12_000_000)
}

fn one_cpu() -> CountRange {
    CountRange::new(1, 1)
}

/// A workload of a scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum WorkloadSpec {
    /// Submits jobs; a submission without an answer is sent again, byte for byte.
    SubmitWithRetry {
        /// How many clients submit at the same time.
        #[serde(default = "one_client")]
        clients: u8,
        /// How many jobs they submit together.
        jobs: CountRange,
        /// Wait between two submissions of one client.
        #[serde(default = "pause")]
        pause: SpanRange,
        /// How long the jobs run.
        #[serde(default = "run_time")]
        run: SpanRange,
        /// CPUs they ask for.
        #[serde(default = "one_cpu")]
        cpus: CountRange,
        /// Percent of jobs that ignore SIGTERM.
        #[serde(default)]
        stubborn_percent: u8,
        /// Percent of jobs that fail.
        #[serde(default)]
        failing_percent: u8,
        /// Percent of jobs that are cancelled some time after they were accepted.
        #[serde(default)]
        cancel_percent: u8,
    },
    /// Reads the queue again and again.
    ReadQueue {
        /// How many clients read.
        #[serde(default = "one_client")]
        clients: u8,
        /// Wait between two looks.
        #[serde(default = "pause")]
        pause: SpanRange,
    },
}
