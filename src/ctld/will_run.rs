//! `--test-only`: when a job would start, were it submitted.

use flurm_base::{JobId, Time};
use flurm_model::{Cluster, Errno, JobBase, JobSpec, PartitionName, Placement};
use flurm_wire::records::{JobDesc, WillRun};
use flurm_wire::{JobRef, Message, UnixTime};

use crate::Answer;
use crate::refused::Refused;
use crate::requests::{Request, check_access, own, submitter_of};
use crate::submit::{allocation_job, batch_job};
use crate::tables::Tables;

/// The job whose start is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Trial {
    /// One that waits.
    Waiting(JobId),
    /// One that is not submitted, settled as it would be.
    New(Box<JobSpec>),
}

/// Judges the request; the host asks the planner.
pub(crate) fn decide(
    request: &Request<'_>,
    desc: &JobDesc,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    if let Some(number) = desc.job_number() {
        let job = own(request.identity, cluster, JobId(number))?;
        if job.base != JobBase::Pending {
            return Err(Errno::Disabled.into());
        }
        return Ok(Answer::WillRun(Trial::Waiting(job.id)));
    }
    let submitter = submitter_of(request, desc, cluster);
    let has_script = desc.script.as_ref().is_some_and(|script| !script.is_empty());
    let spec = match has_script {
        true => batch_job(desc, &submitter)?,
        false => allocation_job(desc, &submitter)?,
    };
    check_access(request, &spec, cluster)?;
    let spec = cluster.would_accept(now, &spec)?;
    Ok(Answer::WillRun(Trial::New(Box::new(spec))))
}

impl Tables<'_> {
    /// When and where the job would start. One that does not exist goes by the number that the next
    /// one gets.
    pub fn will_run(
        &self,
        job: Option<JobId>,
        start: Time,
        partition: &PartitionName,
        placements: &[Placement],
    ) -> Message {
        let number = job.map_or_else(|| self.cluster.job_id_next(), |job| job.0);
        let cpus = placements.iter().map(|part| part.cpus).sum();
        Message::ResponseJobWillRun(WillRun {
            job: JobRef::job(number),
            job_submit_user_msg: None,
            node_list: Some(self.host_list(placements.iter().map(|part| &part.node))),
            part_name: Some(partition.to_string()),
            preemptee_job_id: flurm_wire::List::default(),
            proc_cnt: cpus,
            start_time: UnixTime(start.secs()),
            sys_usage_per: 0.0,
        })
    }
}
