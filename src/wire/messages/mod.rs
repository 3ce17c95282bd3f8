//! The bodies of messages, grouped by what they are about. Large records are in `records`.

mod admin;
mod answer;
mod container;
mod control;
mod crontab;
mod daemon;
mod federation;
mod job;
mod priority;
mod query;
mod step;
mod topology;
mod usage;

pub use admin::{
    AssocMgrInfoRequest, DampeningFactor, DebugFlags, DebugLevel, JobNotify, RebootNodes,
    SuspendExceptions, TlsCertRequest, TlsCertResponse, TokenRequest, TokenResponse, Trigger,
    Triggers,
};
pub use answer::{RcMsg, ReturnCode};
pub use container::{
    ContainerDelete, ContainerExec, ContainerSignal, ContainerStarted, ContainerState,
};
pub use control::{ConfigFile, ConfigRequest, ConfigResponse, ControlStatus, PingSlurmd, Shutdown};
pub use crontab::{CrontabRequest, CrontabResponse, CrontabUpdate, CrontabUpdateResponse};
pub use daemon::{
    EnergyRequest, ForwardData, NetworkCallerId, NetworkCallerIdAnswer, NodeAddrs, NodeAddrsAnswer,
    NodeEnergy, NodeGres, NodeHealth, NodeResources, ResourceLayout, RunPowerAction, SlurmdStatus,
};
pub use federation::{
    Dependency, MultiMessage, SendDependency, SiblingHead, SiblingMessage, UpdateOriginDependency,
};
pub use job::{
    CompleteBatchScript, CompleteJobAllocation, EpilogComplete, JobAllocInfo, JobArrayError,
    JobArrayErrors, JobStepKill, KillJobs, KillJobsResponse, KilledJob, Requeue, SelectedStep,
    SignalTasks, SrunTimeout, SubmitResponse, Suspend, TopJob, kill_flags,
};
pub use priority::{
    AssociationShares, JobPriority, PriorityFactorsRequest, PriorityFactorsResponse, SharesRequest,
    SharesResponse,
};
pub use query::{
    BatchScript, HostlistExpansion, InfoRequest, JobIdRequest, JobIdResponse, JobInfoRequest,
    JobQuery, JobState, JobStateRequest, JobStateResponse, JobUserInfoRequest, LastUpdate,
    NodeInfoSingleRequest, ReservationInfoRequest, SelectedJob, StepInfoRequest,
};
pub use step::{
    ContainerQuery, ContainerSteps, JobMemUsage, LaunchedTasks, NetForward, Reattached,
    SbcastNodes, SrunNodes, SrunUserMsg, StepComplete, StepPids, StepStat, StepsDrainedSubscribe,
    StepsOfLostNodes, SuspendProcesses, TaskExit, UpdateJobMem, UpdateStep, UpdatedJobMem,
};
pub use topology::{
    Block, Placement, Ring, Switch, TOPOLOGY_BLOCK, TOPOLOGY_FLAT, TOPOLOGY_RING, TOPOLOGY_TORUS,
    TOPOLOGY_TREE, TopologyConfig, TopologyRequest, TopologyResponse, Torus,
};
pub use usage::JobAcct;
