//! The bodies of messages, grouped by what they are about. Large records are in `records`.

mod answer;
mod control;
mod job;
mod query;
mod usage;

pub use answer::{RcMsg, ReturnCode};
pub use control::{ConfigFile, ConfigRequest, ConfigResponse, ControlStatus, PingSlurmd, Shutdown};
pub use job::{
    CompleteBatchScript, CompleteJobAllocation, EpilogComplete, JobAllocInfo, JobArrayError,
    JobArrayErrors, JobStepKill, KillJobs, KillJobsResponse, KilledJob, Requeue, SelectedStep,
    SignalTasks, SrunTimeout, SubmitResponse, Suspend, TopJob, kill_flags,
};
pub use query::{
    BatchScript, FedInfo, HostlistExpansion, InfoRequest, JobIdRequest, JobIdResponse,
    JobInfoRequest, JobQuery, JobState, JobStateRequest, JobStateResponse, JobUserInfoRequest,
    LastUpdate, NodeInfoSingleRequest, ReservationInfoRequest, SelectedJob, StepInfoRequest,
};
pub use usage::JobAcct;
