//! Steps: the parts of a job that srun launches, and the client that waits for an allocation.
//!
//! They are filed beside the jobs, by job. A step holds CPUs and memory of its job's shares until
//! every node it runs on has said that its part ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use flurm_base::{AttemptId, RequestKey, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{Limit, Memory, NodeName, SignalRequest};

/// Slurm's number of an interactive step (slurm.h, `SLURM_INTERACTIVE_STEP`).
pub const INTERACTIVE_STEP: u32 = 0xffff_fffa;

/// Bits of [`StepSpec::flags`] (slurm.h, `SSF_*`).
pub mod step_flags {
    /// CPUs are not shared with other steps.
    pub const EXCLUSIVE: u32 = 1 << 0;
    /// A failed node does not end the step.
    pub const NO_KILL: u32 = 1 << 1;
    /// More tasks than CPUs.
    pub const OVERCOMMIT: u32 = 1 << 2;
    /// Every CPU the job has on a node.
    pub const WHOLE: u32 = 1 << 3;
    /// The step of an interactive shell.
    pub const INTERACTIVE: u32 = 1 << 4;
    /// All of the job's memory, uncounted.
    pub const MEM_ZERO: u32 = 1 << 5;
    /// Neither waits for other steps nor makes them wait.
    pub const OVERLAP: u32 = 1 << 6;
}

/// Where the srun or salloc of an allocation listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocClient {
    /// Its host: a name or an address.
    pub host: String,
    /// Where it waits for the allocation; 0 for nowhere.
    pub allocation_port: u16,
    /// Where it hears of what becomes of the job; 0 for nowhere.
    pub message_port: u16,
    /// The protocol number of its release.
    pub release: u16,
}

/// What the client of an allocation is to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum News {
    /// The job has its nodes.
    Allocated,
    /// The job is over.
    Over,
}

/// What srun asks of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// The number it shall have; `None` takes the next.
    pub number: Option<u32>,
    /// Nodes, at least; `None` asks for all of the job's.
    pub nodes_min: Option<u32>,
    /// Nodes, at most; 0 for as many as the job has.
    pub nodes_max: u32,
    /// Nodes that must be among them.
    pub nodes_required: Vec<NodeName>,
    /// One entry for each task, in the tasks' order, with `--distribution=arbitrary`.
    pub nodes_of_tasks: Vec<NodeName>,
    /// Nodes that must not be among them.
    pub nodes_excluded: Vec<NodeName>,
    /// The job's first nodes to leave out.
    pub relative: Option<u16>,
    /// CPUs; 0 for no matter how many.
    pub cpus: u32,
    /// Tasks.
    pub tasks: u32,
    /// Memory.
    pub memory: Option<Memory>,
    /// See [`step_flags`].
    pub flags: u32,
    /// Slurm's encoding of `--distribution`.
    pub distribution: u32,
    /// Tasks of a plane.
    pub plane_size: u16,
    /// Minutes it may run.
    pub time_limit: Option<Limit>,
    /// Its name; empty takes the job's.
    pub name: String,
    /// Its srun's host.
    pub host: Option<String>,
    /// Where its srun listens.
    pub port: u16,
    /// Its srun's process.
    pub srun_pid: u32,
    /// The command line.
    pub submit_line: Option<String>,
    /// Working directory, where the client tells.
    pub work_dir: Option<String>,
    /// Input, output and error files, where the client tells.
    pub std_streams: [Option<String>; 3],
    /// Protocol number of its srun's release.
    pub client_release: u16,
    /// Generic resources; without any it shares all that its job has.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub gres: Vec<crate::GresWish>,
}

impl StepSpec {
    /// Whether a flag is set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A step's part on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPart {
    /// The node.
    pub node: NodeName,
    /// CPUs its tasks may use.
    pub cpus: u32,
    /// CPUs that other steps cannot have meanwhile.
    pub cpus_counted: u32,
    /// Memory that other steps cannot have meanwhile, MB.
    pub memory_counted_mb: u64,
    /// Memory it may use, MB; 0 for as much as the job.
    pub memory_mb: u64,
    /// Its tasks, numbered within the step.
    pub tasks: Vec<u32>,
    /// Whether the node has said that nothing is left of it.
    pub ended: bool,
    /// Generic resources that it may use.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub gres: Vec<crate::GresHeld>,
    /// Whether other steps cannot have those meanwhile.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub gres_counted: bool,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its number within the job.
    pub number: u32,
    /// What was asked for.
    pub spec: Arc<StepSpec>,
    /// Ties repetitions of the request together.
    pub key: Option<RequestKey>,
    /// When it was made.
    pub start: Time,
    /// CPUs of each task.
    pub cpus_per_task: u16,
    /// Its parts, in the nodes' order. Never empty.
    pub parts: Vec<StepPart>,
    /// Highest status that an ended part reported, as `wait` gives it.
    pub status: u32,
    /// It passed its time limit, and its nodes were told to end it.
    pub timed_out: bool,
    /// Signals its nodes are still to be told of.
    pub signals: Vec<SignalRequest>,
    /// Next signal's number.
    pub signal_next: u32,
    /// How long its job was suspended since it was made, until it last went on.
    #[serde(deserialize_with = "crate::codec::since::<6, _, _>")]
    pub paused: Span,
}

impl Step {
    /// Whether it is the step of an interactive shell, which counts for nothing.
    pub const fn is_interactive(&self) -> bool {
        self.number == INTERACTIVE_STEP
    }

    /// When its own time limit ends it.
    pub fn time_limit_end(&self) -> Option<Time> {
        match self.spec.time_limit.filter(|_| !self.timed_out)? {
            Limit::Max(minutes) => {
                Some(self.start + self.paused + Span::secs(u64::from(minutes) * 60))
            }
            Limit::Unlimited => None,
        }
    }

    /// Nodes that have not said that their part ended.
    pub fn nodes_open(&self) -> Vec<NodeName> {
        let open = self.parts.iter().filter(|part| !part.ended);
        open.map(|part| part.node.clone()).collect()
    }

    /// CPUs over all nodes.
    pub fn cpus(&self) -> u32 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.cpus))
    }
}

/// The steps of a job, and the client that its allocation is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSteps {
    /// The attempt that the steps belong to.
    pub attempt: AttemptId,
    /// The client of an allocation.
    pub client: Option<AllocClient>,
    /// What the client is still to hear, in order.
    pub news: Vec<News>,
    /// The next step's number.
    pub next: u32,
    /// Steps that run, or whose nodes still clean up.
    pub running: BTreeMap<u32, Step>,
    /// Since when the job is suspended.
    #[serde(deserialize_with = "crate::codec::since::<6, _, _>")]
    pub paused_at: Option<Time>,
}

impl Default for JobSteps {
    fn default() -> Self {
        Self {
            attempt: AttemptId(0),
            client: None,
            news: Vec::new(),
            next: 0,
            running: BTreeMap::new(),
            paused_at: None,
        }
    }
}

impl JobSteps {
    /// Whether somebody has to be told something.
    pub(crate) fn has_orders(&self) -> bool {
        !self.news.is_empty() || self.running.values().any(|step| !step.signals.is_empty())
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self { attempt: self.attempt, ..Self::default() }
    }

    /// The earliest end of a time limit.
    pub(crate) fn time_limit_next(&self) -> Option<Time> {
        let stopped = self.paused_at.is_some();
        self.running.values().filter_map(Step::time_limit_end).min().filter(|_| !stopped)
    }

    /// CPUs and memory that steps take of a node.
    pub fn used_on(&self, node: &NodeName) -> (u32, u64) {
        let parts = self.running.values().flat_map(|step| &step.parts);
        let parts = parts.filter(|part| !part.ended && part.node == *node);
        parts.fold((0, 0), |(cpus, memory), part| {
            let memory_mb = part.memory_counted_mb;
            (u32::saturating_add(cpus, part.cpus_counted), u64::saturating_add(memory, memory_mb))
        })
    }

    /// Generic resources that steps take of a node.
    pub(crate) fn gres_on(&self, node: &NodeName) -> crate::GresUses {
        let mut uses = crate::GresUses::new();
        let parts = self.running.values().flat_map(|step| &step.parts);
        let open = parts.filter(|part| !part.ended && part.gres_counted && part.node == *node);
        for held in open.flat_map(|part| &part.gres) {
            let used = uses.entry((held.name.clone(), held.kind.clone())).or_default();
            used.count = used.count.saturating_add(held.count);
            used.devices.extend(&held.devices);
        }
        uses
    }

    /// Whether a step runs on a node, idle or not.
    pub(crate) fn is_busy(&self, node: &NodeName) -> bool {
        let steps = self.running.values().filter(|step| !step.is_interactive());
        steps.flat_map(|step| &step.parts).any(|part| !part.ended && part.node == *node)
    }
}
