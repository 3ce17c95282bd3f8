//! A node: what the configuration says, what it reported, and whether it may be used.

use std::collections::BTreeSet;

use flurm_base::{AttemptId, JobId, Time};
use serde::{Deserialize, Serialize};

use crate::NodeName;

/// A node as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConf {
    /// `NodeName`.
    pub name: NodeName,
    /// `NodeHostname`.
    pub hostname: String,
    /// `NodeAddr`.
    pub address: String,
    /// `Port`.
    pub port: u16,
    /// `CPUs`: logical processors that jobs may use.
    pub cpus: u32,
    /// `Boards`.
    pub boards: u16,
    /// Sockets on all boards.
    pub sockets: u16,
    /// `CoresPerSocket`.
    pub cores_per_socket: u16,
    /// `ThreadsPerCore`.
    pub threads_per_core: u16,
    /// `RealMemory`, MB.
    pub real_memory_mb: u64,
    /// `MemSpecLimit`, MB kept from jobs.
    pub spec_memory_mb: u64,
    /// `CoreSpecCount`.
    pub spec_cores: u16,
    /// `TmpDisk`, MB.
    pub tmp_disk_mb: u32,
    /// `Weight`: lighter nodes are taken first.
    pub weight: u32,
    /// `Features`.
    pub features: Vec<String>,
    /// `Gres`.
    pub gres: Option<String>,
    /// `State` of the configuration.
    pub initial: InitialState,
    /// `Reason` of the configuration.
    pub reason: Option<String>,
}

impl Default for NodeConf {
    fn default() -> Self {
        Self {
            name: NodeName::from(""),
            hostname: String::new(),
            address: String::new(),
            port: 6818,
            cpus: 1,
            boards: 1,
            sockets: 1,
            cores_per_socket: 1,
            threads_per_core: 1,
            real_memory_mb: 1,
            spec_memory_mb: 0,
            spec_cores: 0,
            tmp_disk_mb: 0,
            weight: 1,
            features: Vec::new(),
            gres: None,
            initial: InitialState::Unknown,
            reason: None,
        }
    }
}

impl NodeConf {
    /// Memory that jobs may take, MB.
    pub fn usable_memory_mb(&self) -> u64 {
        self.real_memory_mb.saturating_sub(self.spec_memory_mb)
    }

    /// CPUs that jobs may take.
    pub fn usable_cpus(&self) -> u32 {
        let kept = u32::from(self.spec_cores) * u32::from(self.threads_per_core.max(1));
        self.cpus.saturating_sub(kept)
    }
}

/// `State=` of a node's configuration line: where it starts the first time it is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitialState {
    /// Usable once it registers.
    #[default]
    Unknown,
    /// DOWN until an operator resumes it.
    Down,
    /// Drained until an operator resumes it.
    Drain,
    /// Failing until an operator resumes it.
    Fail,
    /// Not there yet.
    Future,
    /// Comes from a cloud.
    Cloud,
}

/// A node's base state. IDLE, ALLOCATED and MIXED all are `Up`: what runs there decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeBase {
    /// Never heard of.
    Unknown,
    /// May be used.
    Up,
    /// May not be used.
    Down,
    /// Not there yet.
    Future,
}

/// Slurm's node state flags, at Slurm's bits. COMPLETING is derived and never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFlags(pub u32);

impl NodeFlags {
    /// In a reservation.
    pub const RESERVED: u32 = 1 << 5;
    /// Comes from a cloud.
    pub const CLOUD: u32 = 1 << 7;
    /// Takes no new work.
    pub const DRAIN: u32 = 1 << 9;
    /// Ends some job's work.
    pub const COMPLETING: u32 = 1 << 10;
    /// Does not answer.
    pub const NO_RESPOND: u32 = 1 << 11;
    /// Is failing: takes no new work.
    pub const FAIL: u32 = 1 << 13;
    /// In a maintenance reservation.
    pub const MAINT: u32 = 1 << 15;
    /// Registered with less than the configuration says.
    pub const INVALID_REG: u32 = 1 << 22;

    /// Whether all bits of `flag` are set.
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag == flag
    }

    pub(crate) fn set(&mut self, flag: u32, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }
}

/// What a node reported of itself when it registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Logical processors.
    pub cpus: u32,
    /// Boards.
    pub boards: u16,
    /// Sockets on all boards.
    pub sockets: u16,
    /// Cores of each socket.
    pub cores_per_socket: u16,
    /// Threads of each core.
    pub threads_per_core: u16,
    /// Memory, MB.
    pub real_memory_mb: u64,
    /// Scratch disk, MB.
    pub tmp_disk_mb: u32,
    /// Memory not in use, MB.
    pub free_memory_mb: Option<u64>,
    /// Load times 100.
    pub cpu_load: Option<u32>,
    /// When the machine booted, by its own clock.
    pub boot: Option<Time>,
    /// When its daemon started, by its own clock.
    pub daemon_start: Option<Time>,
    /// Machine architecture.
    pub arch: Option<String>,
    /// Operating system.
    pub os: Option<String>,
    /// Release of its daemon.
    pub version: Option<String>,
    /// Generic resources it found.
    pub gres: Option<String>,
    /// Text the node sets about itself (`--extra`).
    pub extra: Option<String>,
}

/// A node and everything the cluster knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What the configuration says, with later changes by hand.
    pub conf: NodeConf,
    /// As last configured: tells a reconfiguration what was changed by hand.
    pub configured: NodeConf,
    /// CPUs and MB that jobs held when the node's size last changed: they may exceed a smaller
    /// size until they end.
    pub overhang: (u32, u64),
    /// Place in the configuration: Slurm's node index.
    pub index: u32,
    /// Base state.
    pub base: NodeBase,
    /// State flags.
    pub flags: NodeFlags,
    /// Why it is DOWN, drained or failing; empty where there is none.
    pub reason: String,
    /// Who set the reason.
    pub reason_uid: u32,
    /// When the reason was set.
    pub reason_at: Option<Time>,
    /// Set by hand, `scontrol update node … comment`.
    pub comment: String,
    /// An operator answers for it: set DOWN by hand while it did not answer, and silent since. What
    /// ran there counts as ended.
    pub operator_down: bool,
    /// Removed from the configuration, kept while jobs may still run there.
    pub removed: bool,
    /// What it reported at its last registration.
    pub facts: Option<NodeFacts>,
    /// When it last registered.
    pub registered: Option<Time>,
    /// When it last began to do something after having been idle, or was last idle.
    pub last_busy: Option<Time>,
    /// Features that are active, set by hand; `None` where all available ones are.
    #[serde(deserialize_with = "crate::codec::since::<5, _, _>")]
    pub features_active: Option<Vec<String>>,
    /// Set by hand, `scontrol update node … extra`: outranks what the node says of itself.
    #[serde(deserialize_with = "crate::codec::since::<5, _, _>")]
    pub extra: Option<String>,
    /// Attempts that may still be alive here although nobody wants them: an operator answered for
    /// them, or the node named them. Each is to be ended, and stays until the node confirmed that.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub orphans: BTreeSet<(JobId, AttemptId)>,
}

impl Node {
    /// Whether new work may be placed here: what is left of others would run beside it.
    pub fn is_usable(&self) -> bool {
        let careless = flurm_base::planted::is("model_starts_beside_orphans");
        if !self.orphans.is_empty() && !careless {
            return false;
        }
        let blind = flurm_base::planted::is("model_starts_on_drained_nodes");
        let drained = if blind { 0 } else { NodeFlags::DRAIN };
        let deaf = flurm_base::planted::is("model_starts_on_silent_nodes");
        let silent = if deaf { 0 } else { NodeFlags::NO_RESPOND };
        let barred = drained | silent | NodeFlags::FAIL;
        self.base == NodeBase::Up && self.flags.0 & barred == 0 && !self.removed
    }

    /// Features that are active: jobs are placed by them.
    pub fn features_active(&self) -> &[String] {
        self.features_active.as_deref().unwrap_or(&self.conf.features)
    }

    /// Whether it is out of service, or to go out of it: only then a reason is kept.
    pub fn is_barred(&self) -> bool {
        let barred = NodeFlags::DRAIN | NodeFlags::FAIL;
        self.is_down() || self.flags.0 & barred != 0
    }

    /// Whether an operator's word stands for a node that cannot say itself that its jobs ended.
    pub fn is_answered_for(&self) -> bool {
        let word = self.operator_down || flurm_base::planted::is("model_needs_no_operators_word");
        let silent =
            !self.is_responding() || flurm_base::planted::is("model_frees_on_nodes_that_answer");
        word && silent
    }

    /// Whether its jobs would be ended rather than left alone.
    pub fn is_down(&self) -> bool {
        matches!(self.base, NodeBase::Down | NodeBase::Future)
    }

    pub(crate) fn set_reason(&mut self, at: Time, uid: u32, reason: &str) {
        self.reason = String::from(reason);
        self.reason_uid = uid;
        self.reason_at = Some(at);
    }

    pub(crate) fn clear_reason(&mut self) {
        self.reason.clear();
        self.reason_uid = 0;
        self.reason_at = None;
    }

    /// The run of its daemon that registered last: the start stamp.
    pub fn run(&self) -> Option<Time> {
        self.facts.as_ref().and_then(|facts| facts.daemon_start)
    }

    /// Whether it answers, as far as known.
    pub fn is_responding(&self) -> bool {
        self.registered.is_some() && !self.flags.has(NodeFlags::NO_RESPOND)
    }
}

/// What a node's jobs take of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    /// CPUs taken; a suspended job takes none.
    pub cpus: u32,
    /// Memory taken, MB.
    pub memory_mb: u64,
    /// Jobs with a share here that are not suspended.
    pub jobs: u32,
    /// Jobs that keep others off.
    pub whole_node_jobs: u32,
    /// Shares that are being ended.
    pub ending: u32,
}
