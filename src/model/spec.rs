//! What a user asked of a job: the submission in the cluster's own words.

use std::sync::Arc;

use flurm_base::Time;
use serde::{Deserialize, Serialize};

use crate::{ArrayRequest, Limit, Memory, NodeName, PartitionName};

/// How output files are opened, `--open-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenMode {
    /// Add at the end: Slurm's 1.
    Append,
    /// Empty first: Slurm's 2.
    Truncate,
}

/// How a job shares its nodes with others: `--exclusive`, `--oversubscribe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Whole nodes.
    Exclusive,
    /// Resources may be shared with other jobs.
    Oversubscribe,
    /// Nodes only with jobs of the same user.
    User,
    /// Nodes only with jobs of the same MCS label.
    Mcs,
    /// Whole topology blocks.
    Topology,
}

/// The files a batch script reads and writes, with Slurm's `%` patterns unexpanded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// `--input`.
    pub std_in: Option<String>,
    /// `--output`.
    pub std_out: Option<String>,
    /// `--error`.
    pub std_err: Option<String>,
    /// `--open-mode`.
    pub open_mode: Option<OpenMode>,
}

/// What the batch step runs: script, arguments and environment. Shared by all copies of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The script's text.
    pub script: String,
    /// Arguments; the first one is the script's name as the user gave it.
    pub argv: Vec<String>,
    /// `NAME=value` entries in the order sent. Umask and limits travel as `SLURM_UMASK` and
    /// `SLURM_RLIMIT_*` entries.
    pub environment: Vec<String>,
    /// `NAME=value` entries that SPANK plugins add for prolog and epilog.
    pub spank_environment: Vec<String>,
}

/// How many resources a job needs. `None` and zero as documented per field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// CPUs over all nodes, at least. Never 0 in a submitted job.
    pub cpus_min: u32,
    /// CPUs over all nodes, at most.
    pub cpus_max: Option<u32>,
    /// Nodes, at least. Never 0 in a submitted job.
    pub nodes_min: u32,
    /// Nodes, at most.
    pub nodes_max: Option<u32>,
    /// `--ntasks`; `None` when the user gave none.
    pub tasks: Option<u32>,
    /// `--ntasks-per-node`.
    pub tasks_per_node: Option<u16>,
    /// `--ntasks-per-socket`.
    pub tasks_per_socket: Option<u16>,
    /// `--ntasks-per-core`.
    pub tasks_per_core: Option<u16>,
    /// Tasks per board.
    pub tasks_per_board: Option<u16>,
    /// `--ntasks-per-gpu`.
    pub tasks_per_tres: Option<u16>,
    /// `--cpus-per-task`.
    pub cpus_per_task: Option<u16>,
    /// `--mincpus`.
    pub cpus_per_node_min: Option<u16>,
    /// `--mem`, `--mem-per-cpu`.
    pub memory: Option<Memory>,
    /// `--tmp`, MB on each node.
    pub tmp_disk_mb: u32,
    /// Boards per node.
    pub boards_per_node: Option<u16>,
    /// Sockets per board.
    pub sockets_per_board: Option<u16>,
    /// `--sockets-per-node`.
    pub sockets_per_node: Option<u16>,
    /// `--cores-per-socket`.
    pub cores_per_socket: Option<u16>,
    /// `--threads-per-core`.
    pub threads_per_core: Option<u16>,
    /// `--overcommit`.
    pub overcommit: bool,
    /// `--core-spec`, `--thread-spec` in Slurm's encoding.
    pub core_spec: Option<u16>,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            cpus_min: 1,
            cpus_max: None,
            nodes_min: 1,
            nodes_max: None,
            tasks: None,
            tasks_per_node: None,
            tasks_per_socket: None,
            tasks_per_core: None,
            tasks_per_board: None,
            tasks_per_tres: None,
            cpus_per_task: None,
            cpus_per_node_min: None,
            memory: None,
            tmp_disk_mb: 0,
            boards_per_node: None,
            sockets_per_board: None,
            sockets_per_node: None,
            cores_per_socket: None,
            threads_per_core: None,
            overcommit: false,
            core_spec: None,
        }
    }
}

impl Size {
    /// Tasks the job starts: what was asked, or one per node.
    pub fn tasks_or_default(&self) -> u32 {
        let per_node = u32::from(self.tasks_per_node.unwrap_or(1)).max(1);
        self.tasks.unwrap_or_else(|| self.nodes_min.saturating_mul(per_node))
    }

    /// CPUs of each task, at least one.
    pub fn cpus_per_task_or_default(&self) -> u32 {
        u32::from(self.cpus_per_task.unwrap_or(1)).max(1)
    }
}

/// Requests that are kept and shown as the user wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// `--licenses`.
    pub licenses: Option<String>,
    /// `--reservation`.
    pub reservation: Option<String>,
    /// `--wckey`.
    pub wckey: Option<String>,
    /// `--mcs-label`.
    pub mcs_label: Option<String>,
    /// `--dependency`.
    pub dependency: Option<String>,
    /// `--network`.
    pub network: Option<String>,
    /// `--bb`.
    pub burst_buffer: Option<String>,
    /// `--batch`.
    pub batch_features: Option<String>,
    /// `--cluster-constraint`.
    pub cluster_features: Option<String>,
    /// `--prefer`.
    pub prefer: Option<String>,
    /// `--extra`.
    pub extra: Option<String>,
    /// `--container`.
    pub container: Option<String>,
    /// `--container-id`.
    pub container_id: Option<String>,
    /// `--cpus-per-gpu` and kin.
    pub cpus_per_tres: Option<String>,
    /// `--mem-per-gpu` and kin.
    pub mem_per_tres: Option<String>,
    /// `--tres-bind`, `--gpu-bind`.
    pub tres_bind: Option<String>,
    /// `--gpu-freq`.
    pub tres_freq: Option<String>,
    /// `--gpus`.
    pub tres_per_job: Option<String>,
    /// `--gres`, `--gpus-per-node`.
    pub tres_per_node: Option<String>,
    /// `--gpus-per-socket`.
    pub tres_per_socket: Option<String>,
    /// `--gpus-per-task`, `--tres-per-task`.
    pub tres_per_task: Option<String>,
    /// `--acctg-freq`.
    pub acctg_freq: Option<String>,
    /// `--cpu-bind`.
    pub cpu_bind: Option<String>,
    /// `--cpu-bind`, Slurm's bits.
    pub cpu_bind_type: Option<u16>,
    /// `--mem-bind`.
    pub mem_bind: Option<String>,
    /// `--mem-bind`, Slurm's bits.
    pub mem_bind_type: Option<u16>,
    /// `--cpu-freq`, Slurm's encoding: least, most, governor.
    pub cpu_freq: [Option<u32>; 3],
    /// `--distribution`, Slurm's encoding.
    pub task_dist: Option<u32>,
    /// `--distribution=plane=`.
    pub plane_size: Option<u16>,
    /// `--switches`: count and longest wait in seconds.
    pub switches: Option<(u32, Option<u32>)>,
    /// `--profile`, Slurm's bits.
    pub profile: Option<u32>,
    /// `--delay-boot` in seconds.
    pub delay_boot_s: Option<u32>,
    /// `--selinux-context`.
    pub selinux_context: Option<String>,
    /// `--x11`, Slurm's bits.
    pub x11: u16,
    /// Which step manager and such: Slurm's `bitflags`, numbered as in 26.05.
    pub bitflags: u64,
}

/// Mail to send, `--mail-type` and `--mail-user`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Slurm's `MAIL_JOB_*` bits.
    pub types: u16,
    /// Receiver.
    pub user: Option<String>,
}

/// A signal before the time limit, `--signal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The signal.
    pub signal: u16,
    /// Seconds before the end.
    pub before_s: u16,
    /// Slurm's flags (`KILL_JOB_BATCH` and others).
    pub flags: u16,
}

/// What a user asked of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// `--job-name`.
    pub name: String,
    /// The user the job runs as.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// The user's name, where the submitter or the controller knew it.
    pub user_name: Option<String>,
    /// Supplementary groups, where known.
    pub groups: Vec<u32>,
    /// `--account`.
    pub account: Option<String>,
    /// `--partition`, in the order given; empty asks for the default one.
    pub partitions: Vec<PartitionName>,
    /// `--qos`.
    pub qos: Option<String>,
    /// `--comment`.
    pub comment: Option<String>,
    /// `AdminComment`.
    pub admin_comment: Option<String>,
    /// `--chdir`.
    pub work_dir: String,
    /// Input and output files.
    pub streams: Streams,
    /// The batch script; `None` for an allocation without one.
    pub batch: Option<Arc<Batch>>,
    /// Resources needed.
    pub size: Size,
    /// `--time` in minutes; `None` takes the partition's default.
    pub time_limit: Option<Limit>,
    /// `--time-min` in minutes.
    pub time_min: Option<u32>,
    /// Priority asked for; `Some(0)` submits held.
    pub priority: Option<u32>,
    /// `--nice`; positive lowers the priority.
    pub nice: i32,
    /// `--begin`.
    pub begin: Option<Time>,
    /// `--deadline`.
    pub deadline: Option<Time>,
    /// `--nodelist`, expanded.
    pub nodes_required: Vec<NodeName>,
    /// `--exclude`, expanded.
    pub nodes_excluded: Vec<NodeName>,
    /// `--constraint` as written; [`crate::Constraint`] reads it.
    pub features: Option<String>,
    /// `--exclusive`, `--oversubscribe`; `None` takes the partition's way.
    pub sharing: Option<Sharing>,
    /// `--contiguous`.
    pub contiguous: bool,
    /// `--requeue`, `--no-requeue`; `None` takes `JobRequeue`.
    pub requeue: Option<bool>,
    /// End the job when one of its nodes fails; `--no-kill` clears it.
    pub kill_on_node_fail: bool,
    /// `--kill-on-invalid-dep`.
    pub kill_on_invalid_dependency: Option<bool>,
    /// Mail to send.
    pub mail: Mail,
    /// `--signal`.
    pub warning: Option<Warning>,
    /// `--reboot`.
    pub reboot: bool,
    /// `--wait-all-nodes`.
    pub wait_all_nodes: Option<bool>,
    /// Start at once or refuse: `--immediate`.
    pub immediate: bool,
    /// Requests kept as written.
    pub requests: Requests,
    /// Where the submission came from.
    pub submit_host: Option<String>,
    /// The command line that submitted.
    pub submit_line: Option<String>,
    /// Session id of the submitting shell.
    pub alloc_sid: u32,
    /// Slurm release of the submitting client, as its protocol number.
    pub client_release: u16,
    /// `--array`.
    #[serde(deserialize_with = "crate::codec::since::<2, _, _>")]
    pub array: Option<ArrayRequest>,
}

impl Default for JobSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            uid: 0,
            gid: 0,
            user_name: None,
            groups: Vec::new(),
            account: None,
            partitions: Vec::new(),
            qos: None,
            comment: None,
            admin_comment: None,
            work_dir: String::from("/"),
            streams: Streams::default(),
            batch: None,
            size: Size::default(),
            time_limit: None,
            time_min: None,
            priority: None,
            nice: 0,
            begin: None,
            deadline: None,
            nodes_required: Vec::new(),
            nodes_excluded: Vec::new(),
            features: None,
            sharing: None,
            contiguous: false,
            requeue: None,
            kill_on_node_fail: true,
            kill_on_invalid_dependency: None,
            mail: Mail::default(),
            warning: None,
            reboot: false,
            wait_all_nodes: None,
            immediate: false,
            requests: Requests::default(),
            submit_host: None,
            submit_line: None,
            alloc_sid: 0,
            client_release: 0,
            array: None,
        }
    }
}
