//! A batch job as the node sees it: the order to run it, and what exactly to start.
//!
//! The environment is that of slurmd 22.05 and later for a batch step (srun(1) and sbatch(1), "output
//! environment variables"), on top of what the controller passed on from the submitter.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId, Time};
use serde::{Deserialize, Serialize};

use crate::pattern::{self, Names};
use crate::record;

/// `open_mode` asking for appending (slurm.h, `OPEN_MODE_APPEND`).
pub const OPEN_MODE_APPEND: u8 = 1;
/// Marks a memory amount as per CPU (slurm.h, `MEM_PER_CPU`).
pub const MEM_PER_CPU: u64 = 0x8000_0000_0000_0000;
/// Longest environment entry passed to a job, in bytes: the kernel's own limit for one string.
const ENTRY_MAX: usize = 128 * 1024;

const LAUNCH_KIND: [u8; 6] = *b"FLMLCH";
const LAUNCH_FORMAT: u16 = 1;
const EXIT_KIND: [u8; 6] = *b"FLMEXT";
const EXIT_FORMAT: u16 = 1;

/// The order to run one attempt of one batch job on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchOrder {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Times the job was requeued before.
    pub restart_count: u16,
    /// The submitting user.
    pub uid: u32,
    /// Primary group of the job.
    pub gid: u32,
    /// Login name, as the controller resolved it.
    pub user_name: String,
    /// Supplementary groups, as the controller resolved them; empty lets the node resolve them.
    pub groups: Vec<u32>,
    /// Host list of the allocation.
    pub nodes: String,
    /// This node's name.
    pub node_name: String,
    /// CPUs allocated on each node, run-length encoded in node order: (CPUs, nodes).
    pub cpus_per_node: Vec<(u16, u32)>,
    /// Number of tasks asked for (0 when not).
    pub ntasks: u32,
    /// CPUs per task (0 when not asked for).
    pub cpus_per_task: u16,
    /// Memory asked for, in MB, with [`MEM_PER_CPU`].
    pub pn_min_memory: u64,
    /// Partition.
    pub partition: String,
    /// Account.
    pub account: Option<String>,
    /// Quality of service.
    pub qos: Option<String>,
    /// Reservation.
    pub reservation: Option<String>,
    /// Array job id, of an array task.
    pub array_job_id: Option<u32>,
    /// Array index, of an array task.
    pub array_task_id: Option<u32>,
    /// The script.
    pub script: String,
    /// Arguments, the script's submitted name first.
    pub argv: Vec<String>,
    /// The submitter's environment and what the controller added.
    pub environment: Vec<String>,
    /// Working directory.
    pub work_dir: String,
    /// `--input`.
    pub std_in: Option<String>,
    /// `--output`.
    pub std_out: Option<String>,
    /// `--error`.
    pub std_err: Option<String>,
    /// `--open-mode`.
    pub open_mode: u8,
    /// `--tres-per-task`.
    pub tres_per_task: Option<String>,
    /// When the attempt started.
    pub start_time: Time,
    /// When its time limit ends it; `None` without limit.
    pub end_time: Option<Time>,
}

/// What the node knows besides the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// `ClusterName`.
    pub cluster_name: &'a str,
    /// Path of slurm.conf as the job should see it.
    pub slurm_conf: &'a str,
    /// First controller's address and port.
    pub controller: (&'a str, u16),
    /// Where the script was written.
    pub script_path: &'a str,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Arguments; the first is the script's path, which is also the program.
    pub argv: Vec<String>,
    /// The whole environment.
    pub environment: Vec<String>,
    /// Input file; `None` is `/dev/null`.
    pub stdin: Option<String>,
    /// Output file.
    pub stdout: String,
    /// Error file; `None` is the same as output.
    pub stderr: Option<String>,
    /// Append to the files instead of truncating them.
    pub append: bool,
    /// File creation mask (`SLURM_UMASK`).
    pub umask: Option<u32>,
    /// Soft limits to propagate (`SLURM_RLIMIT_*`), by name without prefix.
    pub limits: Vec<(String, u64)>,
}

impl BatchOrder {
    /// Number of nodes of the allocation.
    pub fn node_count(&self) -> u32 {
        self.cpus_per_node.iter().map(|(_, nodes)| *nodes).sum()
    }

    /// The name of the job, as the submitter's environment carries it.
    pub fn job_name(&self) -> &str {
        self.variable("SLURM_JOB_NAME").unwrap_or("sbatch")
    }

    /// Decides everything about the process to start.
    pub fn start(&self, facts: &Facts<'_>) -> Start {
        let names = self.names();
        let expand = |name: &String| pattern::expand(name, &names);
        let mut argv = vec![facts.script_path.to_owned()];
        argv.extend(self.argv.iter().skip(1).cloned());
        let stdout = self.std_out.as_ref().map(expand);
        Start {
            argv,
            environment: self.environment(facts),
            stdin: self.std_in.as_ref().map(expand).filter(|path| path != "/dev/null"),
            stdout: stdout.unwrap_or_else(|| pattern::default_output(&names)),
            stderr: self.std_err.as_ref().map(expand),
            append: self.open_mode == OPEN_MODE_APPEND
                || (self.restart_count > 0 && !flurm_base::planted::is("node_truncates_output")),
            umask: self.variable("SLURM_UMASK").and_then(|mask| u32::from_str_radix(mask, 8).ok()),
            limits: self.limits(),
        }
    }

    /// The values of the file name patterns.
    pub fn names(&self) -> Names<'_> {
        Names {
            job_id: self.job.0,
            array_job_id: self.array_job_id,
            array_task_id: self.array_task_id,
            job_name: self.job_name(),
            user_name: &self.user_name,
            node_name: &self.node_name,
            node_rank: 0,
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let mut entries = self.environment.iter().filter_map(|entry| entry.split_once('='));
        entries.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn limits(&self) -> Vec<(String, u64)> {
        let mut limits = Vec::new();
        for (key, value) in self.environment.iter().filter_map(|entry| entry.split_once('=')) {
            let Some(name) = key.strip_prefix("SLURM_RLIMIT_") else { continue };
            // `--propagate` marks the values of the limits that the user asked for.
            let value = value.strip_prefix('U').unwrap_or(value);
            if let Ok(value) = value.parse::<u64>() {
                limits.push((name.to_owned(), value));
            }
        }
        limits
    }

    fn environment(&self, facts: &Facts<'_>) -> Vec<String> {
        let mut env = BTreeMap::new();
        for (key, value) in self.environment.iter().filter_map(|entry| entry.split_once('=')) {
            let propagated = key.starts_with("SLURM_RLIMIT_") || key == "SLURM_UMASK";
            if !propagated && key.len() + value.len() < ENTRY_MAX {
                env.insert(key.to_owned(), value.to_owned());
            }
        }
        self.add_job(&mut env, facts);
        self.add_sizes(&mut env);
        self.add_task(&mut env, facts);
        env.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    fn add_job(&self, env: &mut BTreeMap<String, String>, facts: &Facts<'_>) {
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        set("SLURM_CLUSTER_NAME", facts.cluster_name.into());
        set("SLURM_CONF", facts.slurm_conf.into());
        set("SLURM_JOB_ID", self.job.to_string());
        set("SLURM_JOBID", self.job.to_string());
        set("SLURM_JOB_NODELIST", self.nodes.clone());
        set("SLURM_NODELIST", self.nodes.clone());
        set("SLURM_JOB_PARTITION", self.partition.clone());
        set("SLURM_JOB_UID", self.uid.to_string());
        set("SLURM_JOB_GID", self.gid.to_string());
        set("SLURM_JOB_USER", self.user_name.clone());
        set("SLURM_JOB_START_TIME", self.start_time.secs().to_string());
        if let Some(end) = self.end_time {
            set("SLURM_JOB_END_TIME", end.secs().to_string());
        }
        if let (Some(job), Some(task)) = (self.array_job_id, self.array_task_id) {
            set("SLURM_ARRAY_JOB_ID", job.to_string());
            set("SLURM_ARRAY_TASK_ID", task.to_string());
        }
        let named = [
            ("SLURM_JOB_ACCOUNT", &self.account),
            ("SLURM_JOB_QOS", &self.qos),
            ("SLURM_JOB_RESERVATION", &self.reservation),
            ("SLURM_TRES_PER_TASK", &self.tres_per_task),
        ];
        for (key, value) in named {
            if let Some(value) = value {
                set(key, value.clone());
            }
        }
        if self.restart_count > 0 {
            set("SLURM_RESTART_COUNT", self.restart_count.to_string());
        }
    }

    fn add_sizes(&self, env: &mut BTreeMap<String, String>) {
        let node_count = self.node_count();
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        set("SLURM_JOB_NUM_NODES", node_count.to_string());
        set("SLURM_NNODES", node_count.to_string());
        set("SLURM_JOB_CPUS_PER_NODE", compressed(&self.cpus_per_node));
        let own_cpus = self.cpus_per_node.first().map_or(1, |(cpus, _)| *cpus);
        set("SLURM_CPUS_ON_NODE", own_cpus.to_string());
        let mut ntasks = self.ntasks;
        if ntasks == 0
            && let Some(per_node) = self.variable("SLURM_NTASKS_PER_NODE")
        {
            ntasks = per_node.parse::<u32>().unwrap_or(0).saturating_mul(node_count);
        }
        if ntasks > 0 {
            set("SLURM_NTASKS", ntasks.to_string());
            set("SLURM_NPROCS", ntasks.to_string());
        }
        let per_task = self.cpus_per_task.max(1);
        if self.variable("SLURM_CPUS_PER_TASK").is_some() {
            set("SLURM_CPUS_PER_TASK", per_task.to_string());
        }
        set("SLURM_TASKS_PER_NODE", self.tasks_per_node(ntasks, per_task));
        if self.pn_min_memory & MEM_PER_CPU != 0 {
            set("SLURM_MEM_PER_CPU", (self.pn_min_memory & !MEM_PER_CPU).to_string());
        } else if self.pn_min_memory != 0 {
            set("SLURM_MEM_PER_NODE", self.pn_min_memory.to_string());
        }
    }

    /// Tasks on each node: a block distribution over the allocated CPUs, at least one a node.
    fn tasks_per_node(&self, ntasks: u32, per_task: u16) -> String {
        let mut slots = Vec::new();
        for (cpus, nodes) in &self.cpus_per_node {
            for _ in 0..*nodes {
                slots.push(u32::from((cpus / per_task).max(1)));
            }
        }
        if ntasks == 0 {
            return compressed(&run_length(&slots));
        }
        let nodes = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let mut tasks = vec![u32::from(ntasks >= nodes); slots.len()];
        let mut left = ntasks.saturating_sub(tasks.iter().sum());
        for (at, slot) in slots.iter().enumerate() {
            let more = slot.saturating_sub(tasks[at]).min(left);
            tasks[at] += more;
            left -= more;
        }
        if let Some(first) = tasks.first_mut() {
            *first += left;
        }
        compressed(&run_length(&tasks))
    }

    fn add_task(&self, env: &mut BTreeMap<String, String>, facts: &Facts<'_>) {
        let mut set = |key: &str, value: &str| env.insert(key.to_owned(), value.to_owned());
        set("ENVIRONMENT", "BATCH");
        set("HOSTNAME", &self.node_name);
        set("SLURMD_NODENAME", &self.node_name);
        set("SLURM_GTIDS", "0");
        set("SLURM_LOCALID", "0");
        set("SLURM_NODEID", "0");
        set("SLURM_PROCID", "0");
        set("SLURM_NODE_ALIASES", "(null)");
        set("SLURM_TOPOLOGY_ADDR", &self.node_name);
        set("SLURM_TOPOLOGY_ADDR_PATTERN", "node");
        let (address, port) = facts.controller;
        let cluster = facts.cluster_name;
        set("SLURM_WORKING_CLUSTER", &format!("{cluster}:{address}:{port}:9728:109"));
        if self.variable("TMPDIR").is_none() {
            set("TMPDIR", "/tmp");
        }
    }

    /// The bytes of the launch record in the node's spool.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(LAUNCH_KIND, LAUNCH_FORMAT, self)
    }

    /// Reads a launch record; a damaged one is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(LAUNCH_KIND, LAUNCH_FORMAT, bytes)
    }
}

/// How an attempt's batch script ended, as the step daemon records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchEnd {
    /// Wait status of the script (0 when it never started).
    pub status: u32,
    /// Slurm's error number when the node could not run it, else 0.
    pub slurm_rc: u32,
    /// When it ended.
    pub ended_at: Time,
    /// User CPU time of everything in the container, microseconds.
    pub user_us: u64,
    /// System CPU time, microseconds.
    pub system_us: u64,
    /// Largest resident set, KiB.
    pub max_rss_kib: u64,
}

impl BatchEnd {
    /// The bytes of the exit record.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(EXIT_KIND, EXIT_FORMAT, self)
    }

    /// Reads an exit record; a damaged one is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(EXIT_KIND, EXIT_FORMAT, bytes)
    }
}

fn run_length(values: &[u32]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((last, count)) if last == value => *count += 1,
            Some(_) | None => runs.push((*value, 1)),
        }
    }
    runs
}

/// Slurm's compressed form of per-node counts: `4(x2),2`.
pub(crate) fn compressed<T: Copy + Into<u32>>(runs: &[(T, u32)]) -> String {
    let one = |(value, count): &(T, u32)| {
        let value: u32 = (*value).into();
        if *count == 1 { value.to_string() } else { format!("{value}(x{count})") }
    };
    runs.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> BatchOrder {
        BatchOrder {
            job: JobId(12),
            attempt: AttemptId(5),
            restart_count: 0,
            uid: 1000,
            gid: 100,
            user_name: "alice".into(),
            groups: vec![100],
            nodes: "n[1-2]".into(),
            node_name: "n1".into(),
            cpus_per_node: vec![(4, 2)],
            ntasks: 6,
            cpus_per_task: 1,
            pn_min_memory: 200,
            partition: "p".into(),
            account: None,
            qos: None,
            reservation: None,
            array_job_id: None,
            array_task_id: None,
            script: "#!/bin/sh\n".into(),
            argv: vec!["job.sh".into(), "a b".into()],
            environment: vec![
                "PATH=/bin".into(),
                "SLURM_JOB_NAME=fit".into(),
                "SLURM_UMASK=0027".into(),
                "SLURM_RLIMIT_NOFILE=1024".into(),
                "SLURM_RLIMIT_CORE=U0".into(),
            ],
            work_dir: "/home/alice".into(),
            std_in: Some("/dev/null".into()),
            std_out: Some("%x-%j.out".into()),
            std_err: None,
            open_mode: 0,
            tres_per_task: None,
            start_time: Time::from_secs(1_000),
            end_time: None,
        }
    }

    const FACTS: Facts<'static> = Facts {
        cluster_name: "c",
        slurm_conf: "/etc/slurm/slurm.conf",
        controller: ("127.0.0.1", 6817),
        script_path: "/spool/job00012/slurm_script",
    };

    fn value<'a>(start: &'a Start, key: &str) -> Option<&'a str> {
        let mut entries = start.environment.iter().filter_map(|entry| entry.split_once('='));
        entries.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    #[test]
    fn a_start_carries_arguments_files_mask_and_limits() {
        let start = order().start(&FACTS);
        assert_eq!(start.argv, ["/spool/job00012/slurm_script", "a b"]);
        assert_eq!(start.stdout, "fit-12.out");
        assert_eq!(start.stdin, None);
        assert_eq!(start.umask, Some(0o27));
        assert_eq!(start.limits, [("NOFILE".to_owned(), 1024), ("CORE".to_owned(), 0)]);
        assert_eq!(value(&start, "SLURM_UMASK"), None);
        assert_eq!(value(&start, "SLURM_RLIMIT_NOFILE"), None);
    }

    #[test]
    fn sizes_are_those_of_the_allocation() {
        let start = order().start(&FACTS);
        assert_eq!(value(&start, "SLURM_JOB_NUM_NODES"), Some("2"));
        assert_eq!(value(&start, "SLURM_JOB_CPUS_PER_NODE"), Some("4(x2)"));
        assert_eq!(value(&start, "SLURM_TASKS_PER_NODE"), Some("4,2"));
        assert_eq!(value(&start, "SLURM_MEM_PER_NODE"), Some("200"));
        assert_eq!(value(&start, "SLURM_NTASKS"), Some("6"));
    }

    #[test]
    fn a_restarted_job_appends_and_knows_its_count() {
        let start = BatchOrder { restart_count: 2, ..order() }.start(&FACTS);
        assert!(start.append);
        assert_eq!(value(&start, "SLURM_RESTART_COUNT"), Some("2"));
    }

    #[test]
    fn a_launch_record_reads_back_and_damage_is_noticed() {
        let bytes = order().encode();
        assert_eq!(BatchOrder::decode(&bytes).unwrap(), order());
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(BatchOrder::decode(&damaged).is_err(), "damage at {at} went unnoticed");
        }
    }
}
