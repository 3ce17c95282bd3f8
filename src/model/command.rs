//! Commands: everything that can change the cluster. They are what the replicated log holds.
//!
//! New kinds and new variants go at the end: a stored log names them by position.

use flurm_base::{AttemptId, JobId, RequestKey, Time};
use serde::{Deserialize, Serialize};

use crate::{
    AllocClient, Config, JobSpec, Limit, Memory, News, NodeFacts, NodeName, PartitionConf,
    PartitionName, Reason, Refusal, Sharing, StepSpec, TaskSet,
};

/// Who asks. Whether they may is decided before a command is proposed; who they are decides what
/// it does (a user's hold, an administrator's hold).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Their uid.
    pub uid: u32,
    /// Operator, SlurmUser or root.
    pub privileged: bool,
}

/// A start that the planner decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The job.
    pub job: JobId,
    /// The attempt that was pending when the decision was taken.
    pub attempt: AttemptId,
    /// Where.
    pub partition: PartitionName,
    /// What it gets, in the nodes' order; the first runs the batch script.
    pub placements: Vec<Placement>,
    /// Minutes that it may run instead of its time limit, but no less than it asks for at least.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub time_limit: Option<u32>,
}

/// A part of a node given to a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The node.
    pub node: NodeName,
    /// CPUs taken.
    pub cpus: u32,
    /// Memory taken, MB.
    pub memory_mb: u64,
    /// Tasks placed.
    pub tasks: u32,
    /// Keep other jobs off the node.
    pub whole_node: bool,
    /// Generic resources.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub gres: Vec<crate::GresTake>,
}

/// A change of a job's priority: hold, release, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PriorityChange {
    /// `scontrol hold` (priority 0). By an operator it is an administrator's hold unless
    /// `as_user` (`scontrol uhold`).
    Hold {
        /// Make it a user's hold even when an operator asks.
        as_user: bool,
    },
    /// `scontrol release` (priority INFINITE).
    Release,
    /// A number above 0. A held job keeps its hold and refuses this.
    Set(u32),
}

/// Fields of a job to change. `None` leaves one alone; an empty text clears one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobChanges {
    /// `Priority`, hold and release.
    pub priority: Option<PriorityChange>,
    /// `Nice`.
    pub nice: Option<i32>,
    /// `TimeLimit`, minutes.
    pub time_limit: Option<Limit>,
    /// `TimeMin`, minutes.
    pub time_min: Option<u32>,
    /// `EndTime`.
    pub end: Option<Time>,
    /// `StartTime`, `EligibleTime`.
    pub begin: Option<Time>,
    /// `Deadline`.
    pub deadline: Option<Time>,
    /// `JobName`.
    pub name: Option<String>,
    /// `Partition`.
    pub partitions: Option<Vec<PartitionName>>,
    /// `Account`.
    pub account: Option<String>,
    /// `QOS`.
    pub qos: Option<String>,
    /// `Comment`.
    pub comment: Option<String>,
    /// `AdminComment`.
    pub admin_comment: Option<String>,
    /// `Extra`.
    pub extra: Option<String>,
    /// `WorkDir`.
    pub work_dir: Option<String>,
    /// `StdIn`.
    pub std_in: Option<String>,
    /// `StdOut`.
    pub std_out: Option<String>,
    /// `StdErr`.
    pub std_err: Option<String>,
    /// `Features`.
    pub features: Option<String>,
    /// `ReqNodeList`, expanded.
    pub nodes_required: Option<Vec<NodeName>>,
    /// `ExcNodeList`, expanded.
    pub nodes_excluded: Option<Vec<NodeName>>,
    /// `NumNodes`: least and most.
    pub nodes: Option<(u32, Option<u32>)>,
    /// `NumCPUs`: least and most.
    pub cpus: Option<(u32, Option<u32>)>,
    /// `NumTasks`.
    pub tasks: Option<u32>,
    /// `CPUsPerTask`.
    pub cpus_per_task: Option<u16>,
    /// `MinCPUsNode`.
    pub cpus_per_node_min: Option<u16>,
    /// `NtasksPerNode`.
    pub tasks_per_node: Option<u16>,
    /// `MinMemoryNode`, `MinMemoryCPU`.
    pub memory: Option<Memory>,
    /// `MinTmpDiskNode`, MB.
    pub tmp_disk_mb: Option<u32>,
    /// `OverSubscribe`, `Exclusive`.
    pub sharing: Option<Sharing>,
    /// `Contiguous`.
    pub contiguous: Option<bool>,
    /// `Requeue`.
    pub requeue: Option<bool>,
    /// `Licenses`.
    pub licenses: Option<String>,
    /// `Dependency`.
    pub dependency: Option<String>,
    /// `ReservationName`.
    pub reservation: Option<String>,
    /// `WCKey`.
    pub wckey: Option<String>,
    /// `MailType`, Slurm's bits.
    pub mail_types: Option<u16>,
    /// `MailUser`.
    pub mail_user: Option<String>,
    /// `ArrayTaskThrottle`; 0 lifts the limit.
    #[serde(deserialize_with = "crate::codec::since::<2, _, _>")]
    pub array_running_max: Option<u32>,
}

/// What an operator does to a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeStateChange {
    /// DOWN: jobs there end.
    Down,
    /// DRAIN: no new work.
    Drain,
    /// RESUME: usable again; ends DRAIN, DOWN and FAIL.
    Resume,
    /// UNDRAIN: ends DRAIN only.
    Undrain,
    /// FAIL: no new work, expected to fail.
    Fail,
    /// IDLE, ALLOCATED, MIXED by hand: like RESUME for a DOWN node.
    Idle,
    /// NORESP: marks it as not answering.
    NoRespond,
    /// FUTURE.
    Future,
}

/// Changes to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChanges {
    /// `State`.
    pub state: Option<NodeStateChange>,
    /// `Reason`; an empty text clears it.
    pub reason: Option<String>,
    /// `Weight`.
    pub weight: Option<u32>,
    /// `AvailableFeatures`.
    pub features: Option<Vec<String>>,
    /// `Comment`.
    pub comment: Option<String>,
    /// `NodeAddr`.
    pub address: Option<String>,
    /// `NodeHostname`.
    pub hostname: Option<String>,
    /// `ActiveFeatures`; where only `AvailableFeatures` are given, all of them are active.
    #[serde(deserialize_with = "crate::codec::since::<5, _, _>")]
    pub features_active: Option<Vec<String>>,
    /// `Extra`.
    #[serde(deserialize_with = "crate::codec::since::<5, _, _>")]
    pub extra: Option<String>,
}

/// Why the controller itself takes a node out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownCause {
    /// It was silent for `SlurmdTimeout`.
    Silence,
    /// It restarted unexpectedly.
    Reboot,
}

/// How to requeue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequeueFlags {
    /// Hold it afterwards: `scontrol requeuehold`.
    pub hold: bool,
    /// And mark it: `State=SpecialExit`.
    pub special_exit: bool,
    /// Only when it has not succeeded (`Incomplete`).
    pub incomplete_only: bool,
}

/// A batch script's end, as its node reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchEnd {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The node that ran it.
    pub node: NodeName,
    /// The script's status, as `wait` gives it.
    pub status: u32,
    /// Slurm's error when the script could not be run; 0 otherwise.
    pub errno: u32,
    /// The kernel ended something of it for lack of memory.
    pub out_of_memory: bool,
    /// The node restarted while it ran: its record had no process left.
    pub node_restarted: bool,
}

/// A change of the cluster, as the replicated log holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The configuration was read. Idempotent.
    Configure {
        /// When.
        at: Time,
        /// The whole of it.
        config: Box<Config>,
    },
    /// A job is submitted.
    Submit {
        /// When.
        at: Time,
        /// Ties retries together.
        key: Option<RequestKey>,
        /// Who submits.
        by: Actor,
        /// What.
        spec: Box<JobSpec>,
    },
    /// A job is changed, held or released.
    Update {
        /// When.
        at: Time,
        /// Which.
        job: JobId,
        /// By whom.
        by: Actor,
        /// What.
        changes: Box<JobChanges>,
    },
    /// A job is to run again.
    Requeue {
        /// When.
        at: Time,
        /// Which.
        job: JobId,
        /// By whom.
        by: Actor,
        /// How.
        flags: RequeueFlags,
    },
    /// A job is signalled; SIGKILL without flags ends it.
    Kill {
        /// When.
        at: Time,
        /// Which.
        job: JobId,
        /// By whom.
        by: Actor,
        /// The signal.
        signal: u16,
        /// Slurm's `KILL_*` flags.
        flags: u16,
    },
    /// The planner's decisions.
    Schedule {
        /// When.
        at: Time,
        /// Jobs to start, in order.
        starts: Vec<Start>,
        /// Why others wait.
        reasons: Vec<(JobId, Reason)>,
    },
    /// A node has taken an attempt's batch step.
    LaunchConfirmed {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The node.
        node: NodeName,
    },
    /// A node refused an attempt's batch step.
    LaunchFailed {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The node.
        node: NodeName,
        /// Slurm's error.
        errno: u32,
    },
    /// A batch script ended.
    BatchComplete {
        /// When it was reported.
        at: Time,
        /// How.
        end: BatchEnd,
    },
    /// A node holds nothing of an attempt any more: its epilog ran, or it answered a termination
    /// with "already complete" and remembers to refuse a late launch.
    EpilogComplete {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The node.
        node: NodeName,
        /// The epilog's own result; other than 0 drains the node.
        rc: u32,
    },
    /// A signal was handed to a job's nodes.
    SignalDelivered {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// Which of its signals.
        sequence: u32,
    },
    /// The leader saw a job pass its time limit or its deadline.
    TimeLimitReached {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// A node registered.
    NodeRegistered {
        /// When.
        at: Time,
        /// The node.
        node: NodeName,
        /// What it said of itself.
        facts: Box<NodeFacts>,
        /// Attempts that it still has something of.
        running: Vec<(JobId, AttemptId)>,
    },
    /// A node has not answered of late.
    NodeNotResponding {
        /// When.
        at: Time,
        /// The node.
        node: NodeName,
    },
    /// A node answers again (a ping) without having to register.
    NodeResponding {
        /// When.
        at: Time,
        /// The node.
        node: NodeName,
        /// Load times 100, where told.
        cpu_load: Option<u32>,
        /// Free memory in MB, where told.
        free_memory_mb: Option<u64>,
    },
    /// The leader takes a node out of service.
    NodeDown {
        /// When.
        at: Time,
        /// The node.
        node: NodeName,
        /// Why.
        cause: DownCause,
    },
    /// An operator changes a node.
    UpdateNode {
        /// When.
        at: Time,
        /// The node.
        node: NodeName,
        /// Who.
        by: Actor,
        /// What.
        changes: Box<NodeChanges>,
    },
    /// An operator changes or creates a partition.
    UpdatePartition {
        /// When.
        at: Time,
        /// Who.
        by: Actor,
        /// Create it rather than change it.
        create: bool,
        /// The partition as it shall be.
        partition: Box<PartitionConf>,
    },
    /// An operator deletes a partition.
    DeletePartition {
        /// When.
        at: Time,
        /// Who.
        by: Actor,
        /// Which.
        partition: PartitionName,
    },
    /// Jobs that ended long ago, and old request keys, may be forgotten.
    Purge {
        /// When.
        at: Time,
    },
    /// The leader saw that a running attempt is due the signal that announces its end.
    Warn {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
    },
    /// Tasks of a job array are changed, requeued or signalled.
    OfTasks {
        /// When.
        at: Time,
        /// By whom.
        by: Actor,
        /// The array.
        array: JobId,
        /// Which of its tasks; `None` is the whole array.
        tasks: Option<TaskSet>,
        /// What.
        act: TaskAct,
    },
    /// An allocation is asked for: a job without a script, for a client that waits.
    Allocate {
        /// When.
        at: Time,
        /// Ties retries together.
        key: Option<RequestKey>,
        /// Who asks.
        by: Actor,
        /// What.
        spec: Box<JobSpec>,
        /// Where the client listens.
        client: Box<AllocClient>,
    },
    /// The client of an allocation gives it back.
    AllocationOver {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// By whom.
        by: Actor,
        /// The status the client ends with, as `wait` gives it.
        status: u32,
    },
    /// The client of an allocation was told, or cannot be.
    NewsTold {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// What.
        news: News,
    },
    /// A step is asked for.
    CreateStep {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// Ties retries together.
        key: Option<RequestKey>,
        /// What.
        spec: Box<StepSpec>,
    },
    /// Nothing is left of a step on some of its nodes.
    StepPartEnded {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: u32,
        /// The first and the last of the nodes, counted within the step.
        range: (u32, u32),
        /// The highest status of its tasks there, as `wait` gives it.
        status: u32,
    },
    /// A step is signalled.
    SignalStep {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The step.
        step: u32,
        /// The signal.
        signal: u16,
        /// Slurm's `KILL_*` flags.
        flags: u16,
    },
    /// A signal was handed to a step's nodes.
    StepSignalDelivered {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: u32,
        /// Which of its signals.
        sequence: u32,
    },
    /// The leader saw a step pass its time limit.
    StepTimeLimitReached {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The step.
        step: u32,
    },
    /// A job is suspended, or goes on.
    Suspend {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// By whom.
        by: Actor,
        /// Let it go on.
        resume: bool,
    },
    /// A node has stopped what it has of an attempt, or lets it go on.
    SuspensionTold {
        /// When.
        at: Time,
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: AttemptId,
        /// The node.
        node: NodeName,
        /// Which of the attempt's orders to suspend or go on.
        sequence: u32,
    },
    /// Jobs go before the others of their user.
    Top {
        /// When.
        at: Time,
        /// By whom.
        by: Actor,
        /// Which, the first one first.
        jobs: Vec<JobId>,
    },
    /// A reservation is made or changed.
    PutReservation {
        /// When.
        at: Time,
        /// By whom.
        by: Actor,
        /// Make it rather than change it.
        create: bool,
        /// The reservation as it shall be.
        reservation: Box<crate::Reservation>,
    },
    /// A reservation is deleted.
    DeleteReservation {
        /// When.
        at: Time,
        /// By whom.
        by: Actor,
        /// Which.
        name: String,
    },
    /// The leader saw the time of a reservation pass.
    ReservationOver {
        /// When.
        at: Time,
        /// Which.
        name: String,
    },
}

/// What is done to tasks of an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskAct {
    /// Changed, held or released.
    Update(Box<JobChanges>),
    /// Queued to run again.
    Requeue(RequeueFlags),
    /// Signalled; SIGKILL without flags ends them.
    Kill {
        /// The signal.
        signal: u16,
        /// Slurm's `KILL_*` flags.
        flags: u16,
    },
    /// Suspended, or allowed to go on.
    Suspend {
        /// Let them go on.
        resume: bool,
    },
}

/// What became of some tasks of an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// The tasks.
    pub tasks: TaskSet,
    /// Why not; `None` where it was done.
    pub refusal: Option<Refusal>,
}

/// Why a start was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartRefusal {
    /// The job is gone, not pending, held, before its begin time, or another attempt is current.
    NotPending,
    /// The partition is gone, does not start jobs, or is not one of the job's.
    Partition,
    /// A node is gone, not usable, or not in the partition.
    Node,
    /// A node has not enough left.
    Resources,
    /// The placement is not one the job could have: too few CPUs, or a node twice.
    Shape,
    /// A licence is not free.
    Licenses,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// A job was accepted.
    Submitted {
        /// Its number.
        job: JobId,
        /// The first attempt.
        attempt: AttemptId,
        /// The same request had been accepted earlier: nothing was changed.
        repeated: bool,
    },
    /// Decisions were taken over.
    Scheduled {
        /// Jobs that started.
        started: Vec<JobId>,
        /// Starts that no longer held.
        refused: Vec<(JobId, StartRefusal)>,
    },
    /// A node is registered.
    Registered {
        /// Attempts it has that nobody wants: to be terminated there.
        orphans: Vec<(JobId, AttemptId)>,
    },
    /// A late or repeated report: nothing was changed, and there is no reason to repeat it.
    Stale,
    /// Not done.
    Refused(Refusal),
    /// What became of the tasks of an array.
    Tasks {
        /// The array.
        array: JobId,
        /// In order of the tasks.
        outcomes: Vec<TaskOutcome>,
    },
    /// A step was made.
    StepCreated {
        /// The job.
        job: JobId,
        /// Its number.
        step: u32,
    },
}

/// What changed. Whoever waits is told; the state itself says what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The configuration.
    Configured,
    /// A job exists.
    JobSubmitted(JobId),
    /// A job's fields changed.
    JobChanged(JobId),
    /// An attempt has resources.
    JobStarted(JobId, AttemptId),
    /// An attempt is over and its nodes clean up.
    JobEnding(JobId, AttemptId),
    /// A job has ended and nothing of it is left.
    JobEnded(JobId, AttemptId),
    /// A job waits again, with this new attempt.
    JobRequeued(JobId, AttemptId),
    /// A job is forgotten.
    JobPurged(JobId),
    /// A node changed.
    NodeChanged(NodeName),
    /// A node is forgotten.
    NodeRemoved(NodeName),
    /// A partition changed.
    PartitionChanged(PartitionName),
    /// A partition is gone.
    PartitionRemoved(PartitionName),
    /// Nothing is left of a step.
    StepEnded(JobId, u32),
    /// A step was made, changed, or lost a part.
    StepChanged(JobId, u32),
    /// An attempt was suspended.
    JobSuspended(JobId, AttemptId),
    /// An attempt goes on after it was suspended.
    JobResumed(JobId, AttemptId),
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer.
    pub reply: Reply,
    /// What changed, in order.
    pub events: Vec<Event>,
}
