//! The typed settings of a cluster.

use std::collections::BTreeMap;

use flurm_base::Span;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::{Limit, Memory, NodeConf, Parameters, PartitionConf};

/// Everything slurm.conf says, with Slurm's defaults for what it does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conf {
    /// `ClusterName`, in lower case.
    pub cluster_name: String,
    /// The `SlurmctldHost` lines in order: the order in which clients try them.
    pub controllers: Vec<ControllerHost>,
    /// `SlurmctldPort`.
    pub slurmctld_ports: PortRange,
    /// `SlurmdPort`, of nodes that have none of their own.
    pub slurmd_port: u16,
    /// `SlurmUser`.
    pub slurm_user: String,
    /// `SlurmdUser`.
    pub slurmd_user: String,
    /// `AuthType`.
    pub auth_type: String,
    /// `AuthAltTypes`.
    pub auth_alt_types: Vec<String>,
    /// `AuthAltParameters`.
    pub auth_alt_parameters: Parameters,
    /// `AuthInfo`.
    pub auth_info: Parameters,
    /// `CredType`.
    pub cred_type: String,
    /// Folders, files and programs.
    pub paths: Paths,
    /// How long things may take.
    pub times: Times,
    /// What jobs get and how many there may be.
    pub jobs: JobRules,
    /// `ReturnToService`.
    pub return_to_service: ReturnToService,
    /// `SchedulerType`.
    pub scheduler_type: String,
    /// `SchedulerParameters`.
    pub scheduler_parameters: Parameters,
    /// `Licenses`: names and counts.
    pub licenses: Vec<(String, u32)>,
    /// `GresTypes`.
    pub gres_types: Vec<String>,
    /// `DependencyParameters`.
    pub dependency_parameters: Parameters,
    /// `SelectType`.
    pub select_type: String,
    /// `SelectTypeParameters` as Slurm's bits.
    pub select_type_parameters: u16,
    /// `PriorityType`.
    pub priority_type: String,
    /// `PreemptType`; empty for none.
    pub preempt_type: String,
    /// `PreemptMode` as Slurm's bits.
    pub preempt_mode: u16,
    /// `ProctrackType`.
    pub proctrack_type: String,
    /// `TaskPlugin`.
    pub task_plugins: Vec<String>,
    /// `PrologFlags` as Slurm's bits.
    pub prolog_flags: u16,
    /// `PrivateData` as Slurm's bits.
    pub private_data: u16,
    /// `PropagateResourceLimits` or its opposite.
    pub propagate_limits: PropagateLimits,
    /// `LaunchParameters`.
    pub launch_parameters: Parameters,
    /// `SlurmctldParameters`.
    pub slurmctld_parameters: Parameters,
    /// `SlurmdParameters`.
    pub slurmd_parameters: Parameters,
    /// `CommunicationParameters`.
    pub communication_parameters: Parameters,
    /// `TreeWidth`.
    pub tree_width: u16,
    /// `AccountingStorageType`; empty for none.
    pub accounting_storage_type: String,
    /// `JobCompType`; empty for none.
    pub job_comp_type: String,
    /// The nodes, in natural order of their names, as Slurm lists them.
    pub nodes: Vec<NodeConf>,
    /// The partitions, in the order of their lines.
    pub partitions: Vec<PartitionConf>,
    /// Every key that stands alone, with its effective value.
    pub settings: BTreeMap<String, Setting>,
    /// The files that were read, slurm.conf first.
    pub files: Vec<String>,
    /// Slurm's check sum of the files.
    pub hash: u32,
    /// What an administrator should know about the files.
    pub warnings: Vec<Diagnostic>,
}

impl Conf {
    /// The effective value of a key as text: empty when it has none. `key` is a name of the table in
    /// its own spelling.
    pub fn text(&self, key: &str) -> &str {
        self.settings.get(key).map_or("", |setting| setting.text.as_str())
    }

    /// The effective value of a key as a number: of a flag 0 or 1, of a time its seconds, of words
    /// their bits.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.settings.get(key).and_then(|setting| setting.number)
    }

    /// Whether a file sets the key.
    pub fn is_set(&self, key: &str) -> bool {
        self.settings.get(key).is_some_and(|setting| setting.set)
    }

    /// Where the controller `name` stands in the list.
    pub fn controller(&self, name: &str) -> Option<usize> {
        self.controllers.iter().position(|host| host.name == name)
    }

    /// The node `name`.
    pub fn node(&self, name: &str) -> Option<&NodeConf> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The partition `name`.
    pub fn partition(&self, name: &str) -> Option<&PartitionConf> {
        self.partitions.iter().find(|partition| partition.name == name)
    }

    /// Where munge's socket is, when `AuthInfo` says.
    pub fn munge_socket(&self) -> Option<&str> {
        self.auth_info.value("socket")
    }
}

/// The effective value of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// As text, in the manual's spelling.
    pub text: String,
    /// As a number, where its kind has one.
    pub number: Option<u64>,
    /// Whether a file sets it.
    pub set: bool,
}

/// One controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerHost {
    /// Its host name.
    pub name: String,
    /// Where it is reached: the name unless `name(address)` is written.
    pub addr: String,
}

/// Ports in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// The ports.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

/// Folders, files and programs. An empty text means none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// `StateSaveLocation`.
    pub state_save_location: String,
    /// `SlurmdSpoolDir` with its patterns; see [`Paths::slurmd_spool_dir`].
    pub slurmd_spool_pattern: String,
    /// `SlurmctldPidFile`.
    pub slurmctld_pid_file: String,
    /// `SlurmdPidFile` with its patterns; see [`Paths::for_node`].
    pub slurmd_pid_file: String,
    /// `SlurmctldLogFile`.
    pub slurmctld_log_file: String,
    /// `SlurmdLogFile` with its patterns; see [`Paths::for_node`].
    pub slurmd_log_file: String,
    /// `TmpFS`.
    pub tmp_fs: String,
    /// `Prolog` programs of a node.
    pub prolog: Vec<String>,
    /// `Epilog` programs of a node.
    pub epilog: Vec<String>,
    /// `PrologSlurmctld` programs.
    pub prolog_slurmctld: Vec<String>,
    /// `EpilogSlurmctld` programs.
    pub epilog_slurmctld: Vec<String>,
    /// `TaskProlog`.
    pub task_prolog: String,
    /// `TaskEpilog`.
    pub task_epilog: String,
    /// `UnkillableStepProgram`.
    pub unkillable_step_program: String,
    /// `HealthCheckProgram`.
    pub health_check_program: String,
    /// `MailProg`.
    pub mail_prog: String,
}

impl Paths {
    /// The spool folder of one node.
    pub fn slurmd_spool_dir(&self, node: &NodeConf) -> String {
        Self::for_node(&self.slurmd_spool_pattern, node)
    }

    /// Replaces `%n` by the node's name and `%h` by its host name.
    pub fn for_node(pattern: &str, node: &NodeConf) -> String {
        let short = node.hostname.split('.').next().unwrap_or_default();
        pattern.replace("%h", short).replace("%n", &node.name)
    }
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// `KillWait`: from SIGTERM to SIGKILL.
    pub kill_wait: Span,
    /// `MinJobAge`: how long a finished job stays listed.
    pub min_job_age: Span,
    /// `SlurmdTimeout`: a node that is silent for so long is down. `None` means never.
    pub slurmd_timeout: Option<Span>,
    /// `SlurmctldTimeout`.
    pub slurmctld_timeout: Span,
    /// `MessageTimeout`.
    pub message_timeout: Span,
    /// `TCPTimeout`.
    pub tcp_timeout: Span,
    /// `InactiveLimit`. `None` means none.
    pub inactive_limit: Option<Span>,
    /// `BatchStartTimeout`.
    pub batch_start_timeout: Span,
    /// `UnkillableStepTimeout`.
    pub unkillable_step_timeout: Span,
    /// `CompleteWait`.
    pub complete_wait: Span,
    /// `PrologTimeout`, else `PrologEpilogTimeout`. `None` means no limit.
    pub prolog_timeout: Option<Span>,
    /// `EpilogTimeout`, else `PrologEpilogTimeout`. `None` means no limit.
    pub epilog_timeout: Option<Span>,
    /// `HealthCheckInterval`. `None` means never.
    pub health_check_interval: Option<Span>,
    /// `ResumeTimeout`.
    pub resume_timeout: Span,
    /// `SuspendTimeout`.
    pub suspend_timeout: Span,
    /// `SuspendTime` in seconds.
    pub suspend_time_s: Limit,
}

/// What jobs get and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRules {
    /// `MaxJobCount`.
    pub count_max: u32,
    /// `FirstJobId`.
    pub first_id: u32,
    /// `MaxJobId`.
    pub last_id: u32,
    /// `MaxArraySize`: task numbers are below it.
    pub array_size_max: u32,
    /// `MaxStepCount`.
    pub steps_max: u32,
    /// `MaxTasksPerNode`.
    pub tasks_per_node_max: u16,
    /// `MaxBatchRequeue`.
    pub requeues_max: u32,
    /// `DefMemPerCPU` or `DefMemPerNode`; `None` means all of a node's.
    pub default_memory: Option<Memory>,
    /// `MaxMemPerCPU` or `MaxMemPerNode`; `None` means no limit.
    pub max_memory: Option<Memory>,
    /// `EnforcePartLimits`.
    pub enforce_part_limits: EnforcePartLimits,
    /// `JobRequeue`: whether a job is put back into the queue when its node fails, unless it says.
    pub requeue: bool,
    /// `JobFileAppend`: whether output files are appended to, unless the job says.
    pub file_append: bool,
    /// `DisableRootJobs`.
    pub root_disabled: bool,
    /// `KillOnBadExit`.
    pub kill_on_bad_exit: bool,
    /// `OverTimeLimit` in minutes.
    pub over_time_limit_min: Limit,
    /// `RequeueExit`, as written.
    pub requeue_exit: String,
    /// `RequeueExitHold`, as written.
    pub requeue_exit_hold: String,
    /// `TrackWCKey`.
    pub track_wckey: bool,
}

/// Whether a submission beyond a partition's limits is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnforcePartLimits {
    /// It waits.
    No,
    /// It is refused unless all its partitions allow it.
    All,
    /// It is refused unless one of its partitions allows it.
    Any,
}

/// When a node that was down is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReturnToService {
    /// When an operator says so.
    Never,
    /// When it registers and was down for silence only.
    AfterSilence,
    /// When it registers, whatever the reason.
    Always,
}

/// Which limits of the submitting process a job gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropagateLimits {
    /// A bit for each limit: see [`crate::words::RESOURCE_LIMITS`].
    pub bits: u32,
}

impl PropagateLimits {
    /// Whether the limit named as in `PropagateResourceLimits` is passed on.
    pub fn contains(self, name: &str) -> bool {
        let words = crate::words::RESOURCE_LIMITS.iter();
        let bit = words.filter(|(word, _)| *word == name).map(|(_, bit)| *bit).next();
        bit.is_some_and(|bit| bit != 0 && u64::from(self.bits) & bit == bit)
    }
}
