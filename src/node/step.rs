//! A step as one node sees it: the order to run its tasks there, and what exactly to start.
//!
//! Input: what srun sent, as far as the credential allows it. Output: programs, environments and
//! files of tasks. Source of names and values: `slurmd/slurmstepd/task.c` and `fname.c`, and what
//! tasks of slurmd 22.05 find.

use std::collections::BTreeMap;
use std::net::IpAddr;

use flurm_base::{AttemptId, JobId};
use serde::{Deserialize, Serialize};

use crate::pattern::expand_with;
use crate::record;

/// Bits of [`StepOrder::flags`] (slurm.h, `LAUNCH_*`).
pub mod launch_flags {
    /// Tasks run different programs.
    pub const MULTI_PROG: u32 = 1 << 1;
    /// The first task has a terminal.
    pub const PTY: u32 = 1 << 2;
    /// Output is sent line by line.
    pub const BUFFERED_IO: u32 = 1 << 3;
    /// Lines of files carry their task's number.
    pub const LABEL_IO: u32 = 1 << 4;
    /// A debugger attaches before the program starts.
    pub const PARALLEL_DEBUG: u32 = 1 << 0;
    /// Without an allocation.
    pub const NO_ALLOC: u32 = 1 << 6;
}

const ORDER_KIND: [u8; 6] = *b"FLMSTP";
const ORDER_FORMAT: u16 = 2;
const END_KIND: [u8; 6] = *b"FLMSTE";
const END_FORMAT: u16 = 1;

/// The order to run a step's tasks on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOrder {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
    /// The step.
    pub step: u32,
    /// The user.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Login name.
    pub user_name: String,
    /// Supplementary groups; empty lets the node resolve them.
    pub groups: Vec<u32>,
    /// This node's name.
    pub node_name: String,
    /// This node's place in the step.
    pub node_id: u32,
    /// Tasks of the whole step.
    pub ntasks: u32,
    /// Tasks of this node, numbered within the step.
    pub tasks: Vec<u32>,
    /// CPUs the job has on this node.
    pub cpus_on_node: u32,
    /// Partition.
    pub partition: String,
    /// Program and arguments; with `MULTI_PROG` the second is the configuration.
    pub argv: Vec<String>,
    /// srun's environment and what srun added.
    pub environment: Vec<String>,
    /// Working directory.
    pub work_dir: String,
    /// See [`launch_flags`].
    pub flags: u32,
    /// Input, output and error files; `None` goes through srun.
    pub files: [Option<String>; 3],
    /// `--open-mode`.
    pub append: bool,
    /// Where srun is.
    pub srun: IpAddr,
    /// Where srun takes input and output.
    pub io_ports: Vec<u16>,
    /// Where srun hears of tasks.
    pub response_ports: Vec<u16>,
    /// What proves this node to srun.
    pub io_key: Option<String>,
    /// The protocol number of srun's release.
    pub release: u16,
    /// Slurm's encoding of `--cpu-bind`.
    pub cpu_bind_type: u16,
    /// `--task-prolog`.
    pub task_prolog: Option<String>,
    /// `--task-epilog`.
    pub task_epilog: Option<String>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

impl Window {
    /// Bytes of a change of size that srun sends (`pty_winsz_t`).
    pub const BYTES: usize = 4;

    /// Reads a change of size.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d] = bytes;
        Self { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) }
    }
}

/// What the node knows besides the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFacts<'a> {
    /// `ClusterName`.
    pub cluster_name: &'a str,
    /// Path of slurm.conf as the task should see it.
    pub slurm_conf: &'a str,
}

impl StepOrder {
    /// srun's port for this node among those it listens on.
    pub fn port_among(&self, ports: &[u16]) -> Option<u16> {
        let at = (self.node_id as usize).checked_rem(ports.len())?;
        ports.get(at).copied()
    }

    /// A variable of the environment that srun sent.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut entries = self.environment.iter().filter_map(|entry| entry.split_once('='));
        entries.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The terminal that a task has in place of its three streams (`--pty`): the first task alone.
    pub fn terminal(&self, local_id: usize) -> Option<Window> {
        let first = self.tasks.get(local_id) == Some(&0);
        let size = |name| self.variable(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        (first && self.has_terminal())
            .then(|| Window { rows: size("SLURM_PTY_WIN_ROW"), columns: size("SLURM_PTY_WIN_COL") })
    }

    /// Where srun tells of changes of its terminal's size.
    pub fn window_port(&self) -> Option<u16> {
        self.variable("SLURM_PTY_PORT")?.parse().ok().filter(|port| *port != 0)
    }

    fn has_terminal(&self) -> bool {
        self.flags & launch_flags::PTY != 0
    }

    /// Whether a task's output goes through srun.
    pub fn carries_output(&self, local_id: usize) -> bool {
        self.file(1, local_id).is_none()
    }

    /// Whether a task's errors go through srun: they go where the output goes when only the output
    /// has a file, and a terminal has but one stream.
    pub fn carries_errors(&self, local_id: usize) -> bool {
        self.terminal(local_id).is_none()
            && self.file(2, local_id).is_none()
            && (self.files[2].is_some() || self.carries_output(local_id))
    }

    /// File creation mask (`SLURM_UMASK`).
    pub fn umask(&self) -> Option<u32> {
        self.variable("SLURM_UMASK").and_then(|mask| u32::from_str_radix(mask, 8).ok())
    }

    /// Soft limits to set (`SLURM_RLIMIT_*`), by name without prefix.
    pub fn limits(&self) -> Vec<(String, u64)> {
        let entries = self.environment.iter().filter_map(|entry| entry.split_once('='));
        let limit = |(key, value): (&str, &str)| {
            let name = key.strip_prefix("SLURM_RLIMIT_")?;
            let value = value.strip_prefix('U').unwrap_or(value).parse().ok()?;
            Some((name.to_owned(), value))
        };
        entries.filter_map(limit).collect()
    }

    /// The environment of a task.
    pub fn environment_of(&self, facts: &StepFacts<'_>, local_id: usize) -> Vec<String> {
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in self.environment.iter().filter_map(|entry| entry.split_once('=')) {
            // What mpi/none and slurmstepd take out; the mask stays where tasks see it.
            let taken = key.starts_with("SLURM_RLIMIT_") || key == "SLURM_MPI_TYPE";
            if !taken {
                env.insert(key.to_owned(), value.to_owned());
            }
        }
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        let gtids: Vec<String> = self.tasks.iter().map(u32::to_string).collect();
        set("SLURM_GTIDS", gtids.join(","));
        set("SLURM_LOCALID", local_id.to_string());
        set("SLURM_PROCID", self.tasks.get(local_id).copied().unwrap_or(0).to_string());
        set("SLURM_NODEID", self.node_id.to_string());
        set("SLURM_CPUS_ON_NODE", self.cpus_on_node.to_string());
        set("SLURMD_NODENAME", self.node_name.clone());
        set("SLURM_TOPOLOGY_ADDR", self.node_name.clone());
        set("SLURM_TOPOLOGY_ADDR_PATTERN", "node".to_owned());
        set("SLURM_LAUNCH_NODE_IPADDR", self.srun.to_string());
        set("SLURM_SRUN_COMM_HOST", self.srun.to_string());
        set("SLURM_CLUSTER_NAME", facts.cluster_name.to_owned());
        set("SLURM_CONF", facts.slurm_conf.to_owned());
        set("SLURM_JOB_PARTITION", self.partition.clone());
        set("SLURM_JOB_USER", self.user_name.clone());
        set("SLURM_JOB_UID", self.uid.to_string());
        set("SLURM_JOB_GID", self.gid.to_string());
        if local_id == 0 {
            // slurmstepd makes sure of the folder once, with its first task.
            env.entry("TMPDIR".to_owned()).or_insert_with(|| "/tmp".to_owned());
        }
        env.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// A file of a task, patterns expanded; `None` where it goes through srun.
    pub fn file(&self, stream: usize, local_id: usize) -> Option<String> {
        if self.has_terminal() {
            return self.terminal(local_id).is_none().then(|| "/dev/null".to_owned());
        }
        let name = self.files.get(stream)?.as_deref()?;
        let task = self.tasks.get(local_id).copied().unwrap_or(0);
        // A task's number in place of a name: srun carries the stream of that task alone.
        if let Some(only) = name.parse::<u32>().ok().filter(|only| *only < self.ntasks) {
            return (only != task).then(|| "/dev/null".to_owned());
        }
        Some(self.expand(name, task))
    }

    /// Replaces the patterns of srun(1) in a file name. A backslash switches all replacement off.
    fn expand(&self, name: &str, task: u32) -> String {
        expand_with(name, |letter, width| self.replacement(letter, width, task))
    }

    fn replacement(&self, letter: char, width: usize, task: u32) -> Option<String> {
        let number = |value: u32| Some(format!("{value:0width$}"));
        match letter {
            '%' => Some("%".into()),
            'j' | 'A' => number(self.job.0),
            'J' => Some(format!("{}.{}", self.job.0, self.step)),
            's' => number(self.step),
            't' => number(task),
            'n' => number(self.node_id),
            'N' => Some(self.node_name.clone()),
            'u' => Some(self.user_name.clone()),
            'x' => Some(self.variable("SLURM_JOB_NAME").unwrap_or_default().to_owned()),
            _ => None,
        }
    }

    /// Program and arguments of a task.
    ///
    /// # Errors
    /// What is wrong with the configuration of `--multi-prog`, in words.
    pub fn argv_of(&self, local_id: usize) -> Result<Vec<String>, String> {
        if self.flags & launch_flags::MULTI_PROG == 0 {
            return Ok(self.argv.clone());
        }
        let config = self.argv.get(1).ok_or("no configuration of programs")?;
        let task = self.tasks.get(local_id).copied().unwrap_or(0);
        let mut argv = crate::multi_prog::argv(config, task)?;
        argv.extend(self.argv.iter().skip(2).cloned());
        Ok(argv)
    }

    /// Where a program may be, in the order to look: itself where it has a path, else in `PATH`.
    pub fn program_candidates(environment: &[String], name: &str) -> Vec<String> {
        if name.contains('/') {
            return vec![name.to_owned()];
        }
        // Without a path slurmstepd finds nothing either (`--export=NONE`).
        let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH="));
        let Some(path) = path else { return vec![name.to_owned()] };
        path.split(':').map(|folder| format!("{folder}/{name}")).collect()
    }

    /// The bytes of the launch record in the node's spool.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(ORDER_KIND, ORDER_FORMAT, self)
    }

    /// Reads a launch record; a damaged one is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(ORDER_KIND, ORDER_FORMAT, bytes)
    }

    /// Whether a launch record is that of a step.
    pub fn is_in(bytes: &[u8]) -> bool {
        bytes.starts_with(&ORDER_KIND)
    }
}

/// How a step ended on this node, as its step daemon records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEnd {
    /// The highest wait status of its tasks.
    pub status: u32,
    /// User CPU time of everything in the container, microseconds.
    pub user_us: u64,
    /// System CPU time, microseconds.
    pub system_us: u64,
}

impl StepEnd {
    /// The bytes of the exit record.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(END_KIND, END_FORMAT, self)
    }

    /// Reads an exit record; a damaged one is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        record::decode(END_KIND, END_FORMAT, bytes)
    }
}

/// Cuts what a task has written into what is sent now and what is kept for more to come: whole lines
/// where output is buffered, everything otherwise or when it has grown long.
pub fn sendable(buffered: bool, pending: &[u8], longest: usize) -> usize {
    if !buffered || pending.len() >= longest {
        return pending.len();
    }
    pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> StepOrder {
        StepOrder {
            job: JobId(12),
            attempt: AttemptId(5),
            step: 3,
            uid: 1000,
            gid: 100,
            user_name: "alice".into(),
            groups: vec![100],
            node_name: "n2".into(),
            node_id: 1,
            ntasks: 4,
            tasks: vec![2, 3],
            cpus_on_node: 4,
            partition: "p".into(),
            argv: vec!["hostname".into()],
            environment: ["A=1", "SLURM_UMASK=0022", "SLURM_RLIMIT_CORE=0", "PATH=/a:/b"]
                .map(str::to_owned)
                .to_vec(),
            work_dir: "/tmp".into(),
            flags: 0,
            files: [None, Some("out-%J-%2t-%n-%N".into()), None],
            append: false,
            srun: IpAddr::from([127, 0, 0, 1]),
            io_ports: vec![10, 11],
            response_ports: vec![20],
            io_key: None,
            release: 0x2600,
            cpu_bind_type: 0,
            task_prolog: None,
            task_epilog: None,
        }
    }

    #[test]
    fn a_record_reads_back_and_damage_is_noticed() {
        let bytes = order().encode();
        assert!(StepOrder::is_in(&bytes));
        assert_eq!(StepOrder::decode(&bytes).unwrap(), order());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(StepOrder::decode(&damaged).is_err(), "damage at {at} went unnoticed");
        }
        let end = StepEnd { status: 256, user_us: 1, system_us: 2 };
        assert_eq!(StepEnd::decode(&end.encode()), Ok(end));
    }

    #[test]
    fn files_are_named_by_task_node_and_step() {
        assert_eq!(order().file(1, 1).as_deref(), Some("out-12.3-03-1-n2"));
        assert_eq!(order().file(0, 0), None);
        let only = StepOrder { files: [Some("3".into()), None, None], ..order() };
        assert_eq!((only.file(0, 1), only.file(0, 0).as_deref()), (None, Some("/dev/null")));
    }

    #[test]
    fn the_first_task_alone_has_the_terminal() {
        let mut order = StepOrder { flags: launch_flags::PTY, tasks: vec![0, 3], ..order() };
        order.files = [None, None, None];
        assert_eq!(order.terminal(0), Some(Window { rows: 0, columns: 0 }));
        let sizes = ["SLURM_PTY_WIN_COL=132", "SLURM_PTY_WIN_ROW=50", "SLURM_PTY_PORT=4000"];
        order.environment.extend(sizes.map(str::to_owned));
        assert_eq!(order.terminal(0), Some(Window { rows: 50, columns: 132 }));
        assert_eq!((order.terminal(1), order.window_port()), (None, Some(4000)));
        assert_eq!((order.carries_output(0), order.carries_errors(0)), (true, false));
        assert_eq!((order.carries_output(1), order.carries_errors(1)), (false, false));
        assert_eq!(order.file(0, 1).as_deref(), Some("/dev/null"));
        assert_eq!(Window::from_bytes([0, 100, 0, 40]), Window { rows: 40, columns: 100 });
    }

    #[test]
    fn a_task_knows_its_place() {
        let facts = StepFacts { cluster_name: "c", slurm_conf: "/etc/slurm.conf" };
        let env = order().environment_of(&facts, 1);
        for entry in ["SLURM_PROCID=3", "SLURM_LOCALID=1", "SLURM_GTIDS=2,3", "SLURM_NODEID=1"] {
            assert!(env.iter().any(|one| one == entry), "{entry}");
        }
        assert!(!env.iter().any(|one| one.starts_with("SLURM_RLIMIT")));
        assert_eq!(order().umask(), Some(0o22));
        assert_eq!(order().limits(), [("CORE".to_owned(), 0)]);
    }

    #[test]
    fn ports_are_shared_out_by_node() {
        let order = order();
        assert_eq!(order.port_among(&order.io_ports), Some(11));
        assert_eq!(order.port_among(&order.response_ports), Some(20));
        assert_eq!(order.port_among(&[]), None);
    }

    #[test]
    fn buffered_output_is_sent_in_whole_lines() {
        assert_eq!(sendable(true, b"ab\ncd", 1024), 3);
        assert_eq!(sendable(true, b"abcd", 1024), 0);
        assert_eq!(sendable(true, b"abcd", 4), 4);
        assert_eq!(sendable(false, b"abcd", 1024), 4);
    }

    #[test]
    fn programs_are_looked_for_in_the_path_of_the_user() {
        let env = order().environment;
        let found = StepOrder::program_candidates(&env, "hostname");
        assert_eq!(found, ["/a/hostname", "/b/hostname"]);
        assert_eq!(StepOrder::program_candidates(&env, "./x"), ["./x"]);
    }
}
