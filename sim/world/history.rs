//! What crossed a boundary of the system under test: what clients asked and were told, and what
//! processes ran where. Oracles see this and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{MachineId, Nanos};

/// A process that runs a job, as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobProcess {
    /// Where.
    pub machine: MachineId,
    /// Process id; unique on a machine between two boots.
    pub pid: u32,
    /// `SLURM_JOB_ID` of its environment.
    pub job: Option<u32>,
    /// What tells attempts of one job apart in its environment.
    pub attempt: Option<String>,
    /// The submission, as the client wrote it into the script.
    pub key: Option<String>,
    /// CPUs the client asked for, as it wrote them into the script.
    pub cpus: u32,
    /// Memory in MiB the client asked for, as it wrote it into the script.
    pub memory_mib: u64,
    /// The user it runs as.
    pub uid: u32,
    /// The step and the task within it, for tasks that srun started.
    pub task: Option<(u32, u32)>,
    /// A process that the job's script left behind, not the script itself.
    pub left_behind: bool,
    /// The devices that its environment names (`CUDA_VISIBLE_DEVICES`).
    pub devices: Option<String>,
}

/// Why a process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It ended with this wait status.
    Ended(u32),
    /// Its machine lost power.
    PowerLost,
}

/// How a request of a client ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The submission was accepted under this id.
    Accepted(u32),
    /// The request was done.
    Done,
    /// The request was refused with this Slurm error.
    Refused(u32),
    /// No answer came.
    None,
}

/// A job as a reply to a query told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJob {
    /// Its id.
    pub job: u32,
    /// Its name: the submission's key.
    pub name: String,
    /// Base state number of Slurm's protocol.
    pub state: u32,
    /// Times it was requeued.
    pub restarts: u32,
    /// Slurm's reason, for people.
    pub reason: String,
    /// Where it runs or ran.
    pub nodes: String,
    /// How its script ended, as `wait(2)` encodes it.
    pub exit: u32,
    /// From its start to its end as told, or to its time limit; seconds.
    pub lasts_s: u64,
}

/// A node as a reply to a query told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNode {
    /// Its name.
    pub name: String,
    /// State and flags of Slurm's protocol.
    pub state: u32,
}

/// An order of an operator, or of a job's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `scontrol hold`.
    Hold(u32),
    /// `scontrol release`.
    Release(u32),
    /// `scontrol requeue`.
    Requeue(u32),
    /// `scontrol update job Priority=`.
    Priority(u32, u32),
    /// `scontrol update job TimeLimit=`, in minutes.
    TimeLimit(u32, u32),
    /// `scontrol suspend`.
    SuspendJob(u32),
    /// `scontrol resume`.
    ResumeJob(u32),
    /// `scontrol update node State=DRAIN`.
    Drain(String),
    /// `scontrol update node State=RESUME`.
    Resume(String),
    /// `scontrol update node State=DOWN`: the operator answers for it.
    Down(String),
    /// `scontrol create reservation`, of a node, for nobody.
    Reserve(String),
    /// `scontrol delete reservation`.
    Unreserve(String),
    /// `scontrol reconfigure`.
    Reconfigure,
    /// `scontrol create partition`, of all nodes.
    CreatePartition(String),
    /// `scontrol delete partition`.
    DeletePartition(String),
    /// `scontrol takeover`.
    Takeover,
}

impl Order {
    /// The job it is about.
    pub fn job(&self) -> Option<u32> {
        match self {
            Self::Hold(job)
            | Self::Release(job)
            | Self::Requeue(job)
            | Self::Priority(job, _)
            | Self::SuspendJob(job)
            | Self::ResumeJob(job)
            | Self::TimeLimit(job, _) => Some(*job),
            Self::Drain(_)
            | Self::Resume(_)
            | Self::Reserve(_)
            | Self::Unreserve(_)
            | Self::Down(_)
            | Self::Reconfigure
            | Self::CreatePartition(_)
            | Self::DeletePartition(_)
            | Self::Takeover => None,
        }
    }
}

/// Something that crossed a boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A job's process started.
    Started(JobProcess),
    /// A job's process is gone.
    Gone(JobProcess, Gone),
    /// A client is about to submit a job.
    Wanted {
        /// Which submission.
        key: String,
        /// CPUs it asks for.
        cpus: u32,
        /// Memory it asks for, MiB; 0 is the default.
        memory_mib: u64,
        /// The partition, unless the default one.
        partition: Option<String>,
        /// Time limit in minutes, unless the default one.
        time_limit_min: Option<u32>,
        /// Submitted on hold.
        held: bool,
    },
    /// A client sent a submission (again).
    Submitting {
        /// Which submission.
        key: String,
        /// How often it was sent before.
        tries: u32,
    },
    /// A submission was answered, or given up.
    Submitted {
        /// Which submission.
        key: String,
        /// How.
        answer: Answer,
    },
    /// A client asks to cancel a job.
    Cancelling {
        /// Which job.
        job: u32,
    },
    /// A client asked to cancel a job and was answered.
    Cancelled {
        /// Which job.
        job: u32,
        /// How.
        answer: Answer,
    },
    /// A client read the queue.
    Listed {
        /// Which client.
        client: u32,
        /// When the request was sent.
        asked: Nanos,
        /// What it saw.
        jobs: Vec<SeenJob>,
    },
    /// Somebody gives an order.
    Ordering(Order),
    /// An order was answered, or given up.
    Ordered(Order, Answer),
    /// A client read the table of nodes.
    NodesListed {
        /// Which client.
        client: u32,
        /// What it saw.
        nodes: Vec<SeenNode>,
    },
    /// At the end, a job's output file was looked at.
    OutputRead {
        /// Where.
        machine: MachineId,
        /// Which file.
        path: PathBuf,
        /// What processes wrote to it.
        written: Content,
        /// What it holds.
        found: Content,
    },
    /// Any other named observation of a workload, for its own oracle.
    Observed {
        /// Which workload or client.
        who: String,
        /// What.
        what: String,
        /// How much.
        value: u64,
    },
    /// Faults have stopped; what was broken is healed.
    Healed,
}

/// Bytes, as far as telling them apart needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// How many.
    pub len: u64,
    digest: u64,
}

impl Default for Content {
    fn default() -> Self {
        Self { len: 0, digest: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Content {
    /// What these bytes are.
    pub fn of(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.add(bytes);
        content
    }

    /// Adds bytes at the end (FNV-1a).
    pub fn add(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// All effects in the order they happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    effects: Vec<(Nanos, Effect)>,
    /// Host names and capacities of machines, for words and for the capacity oracle.
    pub machines: BTreeMap<MachineId, (String, u32, u64)>,
    /// What processes wrote to each output file since its machine had power.
    pub outputs: BTreeMap<(MachineId, PathBuf), Content>,
    /// Machines that were left broken when the others were healed.
    pub left_broken: BTreeSet<String>,
    /// How far the wall clocks of machines were apart at most, with all they jumped.
    pub clocks_wrong: Nanos,
}

impl History {
    /// Adds an effect.
    pub fn push(&mut self, at: Nanos, effect: Effect) {
        if let Some((last, _)) = self.effects.last() {
            assert!(*last <= at, "effects happen in order");
        }
        self.effects.push((at, effect));
    }

    /// All effects.
    pub fn effects(&self) -> &[(Nanos, Effect)] {
        &self.effects
    }

    /// A machine's name.
    pub fn machine_name(&self, id: MachineId) -> &str {
        self.machines.get(&id).map_or("?", |(name, _, _)| name)
    }

    /// Virtual time of healing, once it came.
    pub fn healed_at(&self) -> Option<Nanos> {
        let healed = |(at, effect): &(Nanos, Effect)| (*effect == Effect::Healed).then_some(*at);
        self.effects.iter().find_map(healed)
    }
}
