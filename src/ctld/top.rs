//! `scontrol top`: jobs go before the others of their user.

use flurm_base::{JobId, Time};
use flurm_model::{Cluster, Command, Errno, JobBase};
use flurm_wire::messages::TopJob;

use crate::identity::Identity;
use crate::refused::Refused;
use crate::target::{Found, Target};
use crate::{Answer, Then};

/// Jobs that one request may name.
const JOBS_MAX: usize = 1_000;

/// Answers the request: of operators, and of users where the site lets them (`job_set_top`).
pub(crate) fn answer(
    asker: Identity,
    ask: &TopJob,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let settings = cluster.settings();
    if !asker.is_operator(settings) && !settings.user_top {
        return Err(Errno::AccessDenied.into());
    }
    let named = ask.job_id_str.as_deref().unwrap_or("");
    let mut jobs = Vec::new();
    for text in named.split(',').filter(|text| !text.is_empty()) {
        if jobs.len() >= JOBS_MAX {
            let text = format!("{JOBS_MAX} jobs at most");
            return Err(Refused::because(Errno::InvalidJobId.number(), text));
        }
        let target = Target::parse(text, settings.array_size_max())?;
        let (found, _) = target.find(cluster)?;
        jobs.push(record_of(found, cluster)?);
    }
    if jobs.is_empty() {
        return Err(Errno::InvalidJobId.into());
    }
    let command = Command::Top { at: now, by: asker.actor(settings), jobs };
    Ok(Answer::Propose(Box::new(command), Then::Code))
}

/// The record that is moved: of an array, the one of the task that is named, or of those that wait.
fn record_of(found: Found, cluster: &Cluster) -> Result<JobId, Refused> {
    let invalid = || Refused::from(Errno::InvalidJobId);
    let (array, tasks) = match found {
        Found::Job(job) => return Ok(job),
        Found::Tasks(array, tasks) => (array, tasks),
    };
    let known = cluster.array(array).ok_or_else(invalid)?;
    let own =
        tasks.as_ref().and_then(|tasks| tasks.first()).and_then(|task| known.tasks.get(&task));
    let waits = |id: &&JobId| {
        cluster.job(**id).is_some_and(|job| job.base == JobBase::Pending && job.tasks_waiting() > 0)
    };
    let of_rest = known.records.iter().find(waits).or_else(|| known.records.first());
    own.or(of_rest).copied().ok_or_else(invalid)
}
