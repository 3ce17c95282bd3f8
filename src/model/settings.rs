//! Cluster-wide settings that decide how commands apply.

use flurm_base::Span;
use serde::{Deserialize, Serialize};

use crate::{Accounting, Limit, Memory, Multifactor, NodeConf, PartitionConf};

/// `EnforcePartLimits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnforcePartLimits {
    /// A job over a partition's limits waits.
    #[default]
    No,
    /// It is refused unless one partition's limits allow it.
    Any,
    /// It is refused unless all its partitions' limits allow it.
    All,
}

/// What the planner hands out, `SelectType` and `SelectTypeParameters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Select {
    /// The smallest part of a node that a job can have.
    pub unit: SelectUnit,
    /// Whether memory is handed out too.
    pub memory: bool,
}

/// The smallest part of a node that a job can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SelectUnit {
    /// Whole nodes: `select/linear`.
    Node,
    /// Whole sockets: `CR_Socket`.
    Socket,
    /// Whole cores: `CR_Core`.
    Core,
    /// Logical processors: `CR_CPU`.
    Cpu,
}

/// `ReturnToService`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReturnToService {
    /// An operator must resume a DOWN node.
    #[default]
    ByHand,
    /// A node that is DOWN for silence returns when it registers.
    AfterSilence,
    /// Any DOWN node returns when it registers.
    Always,
}

/// Cluster-wide settings that decide how commands apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `ClusterName`.
    pub cluster_name: String,
    /// `SlurmUser`.
    pub slurm_uid: u32,
    /// `FirstJobId`.
    pub job_id_first: u32,
    /// `MaxJobId`.
    pub job_id_max: u32,
    /// `MaxJobCount`.
    pub job_count_max: u32,
    /// `MinJobAge`: how long an ended job is shown; zero keeps it.
    pub job_age_min: Span,
    /// `EnforcePartLimits`.
    pub enforce_part_limits: EnforcePartLimits,
    /// `DefMemPerCPU`, `DefMemPerNode`.
    pub memory_default: Option<Memory>,
    /// `MaxMemPerCPU`, `MaxMemPerNode`.
    pub memory_max: Option<Memory>,
    /// `JobRequeue`.
    pub requeue_default: bool,
    /// `OverTimeLimit`, minutes.
    pub over_time_limit: Limit,
    /// `ReturnToService`.
    pub return_to_service: ReturnToService,
    /// `SelectType`.
    pub select: Select,
    /// `SlurmdParameters=config_overrides`: the configuration outranks what nodes report.
    pub config_overrides: bool,
    /// Launch failures in a row after which a job is held (`max_batch_requeue`).
    pub batch_requeue_max: u16,
    /// `MaxArraySize`: array tasks are numbered below it; 0 takes no arrays. `None` where an older
    /// log did not say: Slurm's 1001.
    #[serde(deserialize_with = "crate::codec::since::<2, _, _>")]
    pub array_size_max: Option<u32>,
    /// `SchedulerParameters=max_array_tasks`.
    #[serde(deserialize_with = "crate::codec::since::<2, _, _>")]
    pub array_tasks_max: Option<u32>,
    /// `kill_invalid_depend`: a job whose dependency can never be met is cancelled.
    #[serde(deserialize_with = "crate::codec::since::<3, _, _>")]
    pub kill_invalid_dependency: bool,
    /// `SchedulerParameters=enable_user_top`.
    #[serde(deserialize_with = "crate::codec::since::<7, _, _>")]
    pub user_top: bool,
    /// `Licenses`: names and counts.
    #[serde(deserialize_with = "crate::codec::since::<8, _, _>")]
    pub licenses: Vec<(String, u32)>,
    /// For how many waiting jobs a start is planned ahead, `SchedulerParameters=bf_max_job_test`.
    /// Zero under `SchedulerType=sched/builtin`: jobs start in their order only.
    #[serde(deserialize_with = "crate::codec::since::<10, _, _>")]
    pub jobs_planned_max: u32,
    /// How jobs are weighed; `None` under `PriorityType=priority/basic`: each one comes after those
    /// before it.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub priority: Option<Multifactor>,
    /// Accounts and limits.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub accounting: Accounting,
    /// `GresTypes`.
    #[serde(deserialize_with = "crate::codec::since::<11, _, _>")]
    pub gres_types: Vec<String>,
}

impl Settings {
    /// `MaxArraySize`.
    pub fn array_size_max(&self) -> u32 {
        self.array_size_max.unwrap_or(ARRAY_SIZE_MAX)
    }
}

/// Slurm's default of `MaxArraySize`.
const ARRAY_SIZE_MAX: u32 = 1001;

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_name: String::from("cluster"),
            slurm_uid: 0,
            job_id_first: 1,
            job_id_max: 0x03ff_0000,
            job_count_max: 10_000,
            job_age_min: Span::secs(300),
            enforce_part_limits: EnforcePartLimits::No,
            memory_default: None,
            memory_max: None,
            requeue_default: true,
            over_time_limit: Limit::Max(0),
            return_to_service: ReturnToService::ByHand,
            select: Select { unit: SelectUnit::Core, memory: true },
            config_overrides: false,
            batch_requeue_max: 5,
            array_size_max: None,
            array_tasks_max: None,
            kill_invalid_dependency: false,
            user_top: false,
            licenses: Vec::new(),
            jobs_planned_max: 0,
            priority: None,
            accounting: Accounting::default(),
            gres_types: Vec::new(),
        }
    }
}

/// One whole configuration, as a command carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Settings.
    pub settings: Settings,
    /// Nodes in their order.
    pub nodes: Vec<NodeConf>,
    /// Partitions in their order.
    pub partitions: Vec<PartitionConf>,
}
