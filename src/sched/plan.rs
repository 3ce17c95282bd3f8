//! Decisions of one pass over the waiting jobs.

use flurm_base::{JobId, Time};
use flurm_model::{Command, Reason, Start};

use crate::Snapshot;

/// Why a job waits, in Slurm's word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The job.
    pub job: JobId,
    /// Slurm's reason.
    pub reason: Reason,
    /// A sentence that names what is missing; empty where the reason says all.
    pub text: String,
}

/// What one pass decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Jobs to start, in order.
    pub starts: Vec<Start>,
    /// Why each of the others waits.
    pub waiting: Vec<Explanation>,
}

impl Plan {
    /// The plan as a command; `None` when there is nothing to start or to say.
    pub fn command(&self, at: Time) -> Option<Command> {
        let reasons: Vec<_> = self.waiting.iter().map(|why| (why.job, why.reason)).collect();
        if self.starts.is_empty() && reasons.is_empty() {
            return None;
        }
        Some(Command::Schedule { at, starts: self.starts.clone(), reasons })
    }
}

/// Plans one pass.
pub fn plan(snapshot: &Snapshot) -> Plan {
    let _ = snapshot;
    Plan::default()
}
