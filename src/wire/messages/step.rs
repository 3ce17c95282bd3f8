//! What becomes of steps: their tasks, usage, changes, and the messages to the srun that waits.

use crate::codec::{Flag8, JobAndStep};
use crate::messages::JobAcct;
use crate::{Gen, JobRef, List, StepId, Wire};

/// Changes a step's time limit. 5007.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct UpdateStep {
    /// The step.
    #[wire(as_ = JobAndStep)]
    pub step_id: StepId,
    /// Minutes.
    pub time_limit: u32,
}

/// A job lost nodes; its step manager ends the steps there. 5003, 26.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepsOfLostNodes {
    /// The nodes.
    pub nodelist: Option<String>,
    /// The job.
    pub step_id: StepId,
}

/// Which step runs a container. 5008, 23.02 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ContainerQuery {
    /// As in `StepInfoRequest`.
    pub show_flags: u16,
    /// The container.
    pub container_id: Option<String>,
    /// Its user.
    pub uid: u32,
}

/// The steps that run a container. 5009, 23.02 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ContainerSteps {
    /// The steps.
    pub steps: List<StepId>,
}

/// A step, or its part on some of its nodes, ended. 5016.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepComplete {
    /// The step.
    pub step_id: StepId,
    /// The first of the nodes that this speaks for, counted within the step.
    pub range_first: u32,
    /// The last of them.
    pub range_last: u32,
    /// The largest exit status of any task.
    pub step_rc: u32,
    /// What they used.
    #[wire(as_ = Flag8)]
    pub jobacct: Option<JobAcct>,
    /// Whether a step manager is to be told instead of the controller.
    #[wire(since = V24_05)]
    pub send_to_stepmgr: bool,
}

/// What a step uses on one node at present. 5020.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepStat {
    /// 0 or why it is not known.
    pub return_code: u32,
    /// Tasks on this node.
    pub num_tasks: u32,
    /// What they used.
    #[wire(as_ = Flag8)]
    pub jobacct: Option<JobAcct>,
    /// Their processes.
    pub step_pids: StepPids,
}

/// The processes of a step on one node. 5028.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepPids {
    /// The node.
    pub node_name: Option<String>,
    /// The processes.
    pub pids: Vec<u32>,
}

/// Stops or continues a job's processes on a node. 5031.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(order(since = V23_11, until = V25_05, fields(job, op)))]
pub struct SuspendProcesses {
    /// Whether the job keeps its resources.
    #[wire(until = V23_02)]
    pub indf_susp: u8,
    /// Its specialised cores.
    #[wire(until = V23_02)]
    pub job_core_spec: u16,
    /// The job.
    pub job: JobRef,
    /// 0 suspends, 1 resumes.
    pub op: u16,
}

/// Asks a step manager to say when the last step has ended. 5043, 26.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct StepsDrainedSubscribe {
    /// Where to say it.
    pub host: Option<String>,
    /// The port there.
    pub port: u16,
    /// The job.
    pub step_id: StepId,
    /// The certificate there.
    pub tls_cert: Option<String>,
}

/// A node started a step's tasks, or failed to. 6002, to srun.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct LaunchedTasks {
    /// The step.
    pub step_id: StepId,
    /// 0 or why not.
    pub return_code: u32,
    /// The node.
    pub node_name: Option<String>,
    /// The length of the two arrays.
    pub count_of_pids: u32,
    /// The tasks' processes.
    pub local_pids: Vec<u32>,
    /// The tasks, numbered within the step.
    pub task_ids: Vec<u32>,
}

/// Tasks of a step ended with the same status. 6003, to srun.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TaskExit {
    /// The status, as `wait` gives it.
    pub return_code: u32,
    /// How many.
    pub num_tasks: u32,
    /// Which, numbered within the step.
    pub task_ids: Vec<u32>,
    /// The step.
    pub step_id: StepId,
}

/// A job's memory limit becomes another one. 6010, 26.05 and later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct UpdateJobMem {
    /// The job.
    pub step_id: StepId,
    /// MiB of each node.
    pub job_mem_per_node: u64,
    /// Whether the controller wants to hear of it.
    pub notify_ctld: bool,
}

/// A job's memory limit became another one on a node. 6015, 26.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct UpdatedJobMem {
    /// The job.
    pub step_id: StepId,
    /// The node.
    pub node_name: Option<String>,
    /// MiB of each node.
    pub job_mem_per_node: u64,
    /// Whether it holds for all nodes of the job.
    pub all_nodes: bool,
    /// 0 or why not.
    pub return_code: u32,
}

/// What a job uses on a node. 6020, 26.05 and later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct JobMemUsage {
    /// The job.
    pub step_id: StepId,
    /// Bytes.
    pub mem_usage: u64,
}

/// A node runs a step that was attached to. 6008.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Reattached {
    /// The node.
    pub node_name: Option<String>,
    /// 0 or why not.
    pub return_code: u32,
    /// Tasks there.
    #[wire(sample = Gen::few)]
    pub ntasks: u32,
    /// Their numbers within the step.
    pub gtids: Vec<u32>,
    /// Their processes.
    pub local_pids: Vec<u32>,
    /// Their programs.
    #[wire(count = Self::tasks)]
    pub executable_names: Vec<Option<String>>,
}

impl Reattached {
    const fn tasks(&self) -> u32 {
        self.ntasks
    }
}

/// Nodes of a step failed, or do not know it. 7003, 7007.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SrunNodes {
    /// The step.
    pub step_id: StepId,
    /// The nodes.
    pub nodelist: Option<String>,
}

/// A text for the user of a job. 7005.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SrunUserMsg {
    /// The job.
    pub job: JobRef,
    /// The text.
    pub msg: Option<String>,
}

/// Asks srun to pass a connection on, for X11. 7010.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NetForward {
    /// The job.
    pub job: JobRef,
    /// Reserved.
    pub flags: u32,
    /// The port to connect to.
    pub port: u16,
    /// The host, or a socket's path.
    pub target: Option<String>,
}

/// Asks for a credential to send a file to nodes without a job. 4029, 24.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SbcastNodes {
    /// The nodes.
    pub node_list: Option<String>,
}
