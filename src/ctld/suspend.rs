//! `scontrol suspend` and `scontrol resume`, and what nodes are told of them.
//!
//! A node must not obey an order that a later one has overtaken. The message has no field for that:
//! the order's number travels as the component of the job's step id, which no batch job has.

use flurm_base::{AttemptId, JobId, Time};
use flurm_model::{Cluster, Errno, TaskAct};
use flurm_wire::StepId;
use flurm_wire::messages::{Suspend, SuspendProcesses};

use crate::Answer;
use crate::identity::Identity;
use crate::refused::Refused;
use crate::target::Target;

/// Stops (slurm.h, `suspend_opts`).
const SUSPEND_JOB: u16 = 0;
/// Lets go on.
const RESUME_JOB: u16 = 1;

/// Answers a request to suspend jobs, or to let them go on: only operators may ask (`job_suspend2`).
pub(crate) fn answer(
    asker: Identity,
    ask: &Suspend,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let settings = cluster.settings();
    let named = ask.job_id_str.as_deref().filter(|text| !text.is_empty());
    let target = match named {
        Some(text) => Target::parse(text, settings.array_size_max())?,
        None => Target::number(ask.job.0.job_id),
    };
    let (found, _) = target.find(cluster)?;
    if !asker.is_operator(settings) {
        return Err(Errno::AccessDenied.into());
    }
    let resume = match ask.op {
        SUSPEND_JOB => false,
        RESUME_JOB => true,
        _ => return Err(Errno::NotSupported.into()),
    };
    let (command, then) = found.command(now, asker.actor(settings), TaskAct::Suspend { resume });
    Ok(Answer::Propose(Box::new(command), then))
}

/// What a node is told: stop everything of an attempt, or let it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuspendOrder {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Grows with every order about the attempt.
    pub sequence: u32,
    /// Let it go on.
    pub resume: bool,
}

impl SuspendOrder {
    /// As Slurm's message.
    pub fn message(self) -> SuspendProcesses {
        let step = StepId::job(self.job.0).with_sluid(self.attempt.0);
        SuspendProcesses {
            indf_susp: 1,
            job_core_spec: flurm_wire::NO_VAL16,
            job: flurm_wire::JobRef(StepId { step_het_comp: self.sequence, ..step }),
            op: if self.resume { RESUME_JOB } else { SUSPEND_JOB },
        }
    }

    /// From the message; `None` for an operation that does not exist.
    pub fn of(message: &SuspendProcesses) -> Option<Self> {
        let step = message.job.0;
        let resume = match message.op {
            SUSPEND_JOB => false,
            RESUME_JOB => true,
            _ => return None,
        };
        let (job, attempt) = (JobId(step.job_id), AttemptId(step.sluid));
        Some(Self { job, attempt, sequence: step.step_het_comp, resume })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_message() {
        for resume in [false, true] {
            let (job, attempt) = (JobId(7), AttemptId(300));
            let order = SuspendOrder { job, attempt, sequence: 5, resume };
            assert_eq!(SuspendOrder::of(&order.message()), Some(order));
        }
        let odd = SuspendProcesses {
            op: 2,
            ..SuspendOrder::message(SuspendOrder {
                job: JobId(7),
                attempt: AttemptId(1),
                sequence: 1,
                resume: false,
            })
        };
        assert_eq!(SuspendOrder::of(&odd), None);
    }
}
