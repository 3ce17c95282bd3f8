//! What becomes of jobs: submission's answer, cancelling, holding, requeueing, completion.

use crate::codec::{Flag8, JobAndStep};
use crate::messages::JobAcct;
use crate::{Bits, INFINITE, JobRef, NO_VAL, StepId, UnixTime, Wire};

/// The answer to a batch submission. 4004.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SubmitResponse {
    /// The job.
    #[wire(as_ = JobAndStep)]
    pub step_id: StepId,
    /// 0, or why the job is accepted but cannot start.
    pub error_code: u32,
    /// What the submission plugin says to the user.
    pub job_submit_user_msg: Option<String>,
}

/// Asks about a job's allocation. 4014, 4021, 4027.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobAllocInfo {
    /// The job.
    pub job: JobRef,
    /// The cluster that the asker is on.
    pub req_cluster: Option<String>,
}

/// When a job must end, and the message that says so. 7002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct SrunTimeout {
    /// The job or step.
    pub step_id: StepId,
    /// When it ends.
    pub timeout: UnixTime,
}

/// Signals or cancels a job or step. 5005, 5032; to srun 7009.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobStepKill {
    /// The job or step, for 5005.
    pub step_id: StepId,
    /// The job in the user's words, for 5032.
    pub sjob_id: Option<String>,
    /// The cluster of a federation.
    pub sibling: Option<String>,
    /// The signal.
    pub signal: u16,
    /// See `kill_flags`.
    pub flags: u16,
}

/// Bits of `JobStepKill::flags`, `KillJobs::flags` and `SignalTasks::flags`.
pub mod kill_flags {
    /// Signal the batch script only.
    pub const BATCH: u16 = 1 << 0;
    /// Concerns tasks of an array.
    pub const ARRAY_TASK: u16 = 1 << 1;
    /// Signal the steps but not the batch script.
    pub const STEPS_ONLY: u16 = 1 << 2;
    /// Signal everything, batch script and steps.
    pub const FULL_JOB: u16 = 1 << 3;
    /// A sibling of a federation requeued the job.
    pub const FED_REQUEUE: u16 = 1 << 4;
    /// Skip the burst buffer's stage-out.
    pub const HURRY: u16 = 1 << 5;
    /// The job ran out of memory.
    pub const OOM: u16 = 1 << 6;
    /// Leave the siblings of a federation alone.
    pub const NO_SIBLINGS: u16 = 1 << 7;
    /// Sent because of a reservation.
    pub const RESERVATION: u16 = 1 << 8;
    /// A signal to a step does not make the job fail.
    pub const NO_SIGNAL_FAIL: u16 = 1 << 10;
    /// The asker wants an outcome for every job.
    pub const VERBOSE: u16 = 1 << 11;
    /// Cancel entries of crontabs too.
    pub const CRON: u16 = 1 << 12;
    /// The job counts as failed instead of cancelled.
    pub const FAIL_JOB: u16 = 1 << 13;
}

/// Cancels every job that fits. 5041, 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct KillJobs {
    /// Of this account.
    pub account: Option<String>,
    /// Written into the jobs.
    #[wire(since = V25_11)]
    pub admin_comment: Option<String>,
    /// See `kill_flags`.
    pub flags: u16,
    /// Of this name.
    pub job_name: Option<String>,
    /// These jobs, in the user's words.
    pub jobs: Vec<String>,
    /// In this partition.
    pub partition: Option<String>,
    /// Of this quality of service.
    pub qos: Option<String>,
    /// In this reservation.
    pub reservation: Option<String>,
    /// The signal.
    pub signal: u16,
    /// In this state.
    pub state: u32,
    /// Of this user; `NO_VAL` for any.
    #[wire(default = NO_VAL)]
    pub user_id: u32,
    /// The user's name.
    pub user_name: Option<String>,
    /// Of this workload key.
    pub wckey: Option<String>,
    /// On these nodes.
    pub nodelist: Option<String>,
}

/// What became of each job that was to be cancelled. 5042, 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct KillJobsResponse {
    /// The jobs.
    pub jobs: Vec<KilledJob>,
}

/// The outcome for one job.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct KilledJob {
    /// 0 or why not.
    pub error_code: u32,
    /// The same in words.
    pub error_msg: Option<String>,
    /// The job as it was named.
    pub id: SelectedStep,
    /// The job's number.
    pub real_job_id: u32,
    /// The cluster of a federation.
    pub sibling_name: Option<String>,
}

/// A job, array task, component or step, in a user's sense.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SelectedStep {
    /// The job and step.
    pub step_id: StepId,
    /// The array task.
    #[wire(default = NO_VAL)]
    pub array_task_id: u32,
    /// The component.
    #[wire(default = NO_VAL)]
    pub het_job_offset: u32,
    /// Several array tasks.
    #[wire(since = V24_11)]
    pub array_bitmap: Option<Bits>,
}

/// Suspends or resumes a job. 5014; to srun 7008.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(order(until = V25_05, fields(op, job, job_id_str)))]
pub struct Suspend {
    /// The job, where its number is known.
    pub job: JobRef,
    /// 0 suspends, 1 resumes.
    pub op: u16,
    /// The job in the user's words.
    pub job_id_str: Option<String>,
}

/// Puts a job back into the queue. 5023.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Requeue {
    /// The job, where its number is known.
    pub job: JobRef,
    /// The job in the user's words.
    pub job_id_str: Option<String>,
    /// Job state bits: whether it is held, and that it is special.
    pub flags: u32,
}

/// Moves a user's jobs to the front of the user's queue. 5038.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopJob {
    /// Reserved.
    pub op: u16,
    /// The job, where its number is known.
    #[wire(until = V25_05)]
    pub job_id: u32,
    /// The jobs in the user's words.
    pub job_id_str: Option<String>,
}

/// The outcome for the tasks of an array. 5034.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobArrayErrors {
    /// One element for each outcome.
    pub outcomes: Vec<JobArrayError>,
}

/// One outcome, and the tasks that it is of.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobArrayError {
    /// 0 or why not.
    pub error_code: u32,
    /// The tasks in the user's words.
    pub job_array_id: Option<String>,
    /// The same in words.
    #[wire(since = V23_02)]
    pub err_msg: Option<String>,
}

/// The holder of an allocation gives it back. 5017.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct CompleteJobAllocation {
    /// The job.
    pub job: JobRef,
    /// The exit status.
    pub job_rc: u32,
}

/// A batch script ended. 5018.
#[derive(Clone, Debug, PartialEq, Wire)]
#[wire(order(until = V25_05, fields(jobacct, step_id, job_rc, slurm_rc, user_id, node_name)))]
pub struct CompleteBatchScript {
    /// What it used.
    #[wire(as_ = Flag8)]
    pub jobacct: Option<JobAcct>,
    /// The exit status, as `wait` gives it.
    pub job_rc: u32,
    /// Slurm's own trouble with starting it.
    pub slurm_rc: u32,
    /// The job.
    pub step_id: JobRef,
    /// Its user.
    pub user_id: u32,
    /// The node where it ran.
    pub node_name: Option<String>,
}

/// A node is done with a job. 6012.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct EpilogComplete {
    /// The job.
    pub job: JobRef,
    /// The epilog's exit status.
    pub return_code: u32,
    /// The node.
    pub node_name: Option<String>,
}

/// Signals the processes of a job or step on a node. 6004, 6006.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct SignalTasks {
    /// The job or step.
    #[wire(default = StepId::step(NO_VAL, INFINITE))]
    pub step_id: StepId,
    /// See `kill_flags`.
    pub flags: u16,
    /// The signal.
    pub signal: u16,
}
