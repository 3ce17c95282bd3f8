//! Processes of a cluster: started in their own session, found again by the cluster's folder.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::wait::eventually_within;

/// How long a killed process may take to vanish.
const VANISH: Duration = Duration::from_secs(10);

/// A daemon that was started and is known by its process id, also to a later program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Process id.
    pub pid: u32,
    /// Its start time in clock ticks, so that a reused id is not taken for it.
    pub born: u64,
}

impl Daemon {
    /// Starts `command` in a process group of its own; what it prints goes to `log`, appended.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("open the log");
        let err = out.try_clone().expect("share the log");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("could not start {:?}: {e}", command.get_program()));
        let pid = child.id();
        let born = born(pid).expect("a process that nobody waited for is in /proc");
        // Somebody must wait for it, or it stays as a zombie after its end.
        std::thread::spawn(move || child.wait());
        Self { pid, born }
    }

    /// A daemon that another program started; `None` when it has ended.
    pub fn found(pid: u32) -> Option<Self> {
        Some(Self { pid, born: born(pid)? })
    }

    /// True while it runs.
    pub fn alive(&self) -> bool {
        born(self.pid) == Some(self.born)
    }

    /// Sends a signal by name, such as `KILL`; false when it has ended already.
    pub fn signal(&self, name: &str) -> bool {
        self.alive() && signal(self.pid, name)
    }

    /// Kills it without warning and waits until it is gone.
    pub fn kill(&self) {
        self.signal("KILL");
        self.wait_gone();
    }

    /// Waits until it is gone.
    pub fn wait_gone(&self) {
        eventually_within(VANISH, &format!("process {} is gone", self.pid), || {
            if self.alive() { Err("still there") } else { Ok(()) }
        });
    }
}

/// Sends a signal to a process; false when there is none.
pub fn signal(pid: u32, name: &str) -> bool {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("run kill");
    status.success()
}

/// Start time of a process in clock ticks since boot; `None` for one that ended or is a zombie.
fn born(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the fields are counted after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // A process whose first thread has ended holds its ports until the last one has.
    let threads: u32 = fields.get(17)?.parse().ok()?;
    let ended = match *fields.first()? {
        "X" => true,
        "Z" => threads <= 1,
        _ => false,
    };
    if ended { None } else { fields.get(19)?.parse().ok() }
}

/// Programs that belong to a cluster when their arguments or environment name its folder.
const DAEMONS: [&str; 7] =
    ["flurmctld", "flurmd", "flurmstepd", "munged", "slurmctld", "slurmd", "slurmstepd"];

/// Every process of the cluster in `folder`: daemons that name it, and everything its jobs started.
/// A shell or a client that merely has `SLURM_CONF` set is none of them.
pub fn of_cluster(folder: &Path) -> Vec<u32> {
    let needle = folder.display().to_string();
    assert!(needle.len() > 4, "too short to tell clusters apart: {needle}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("list /proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if born(pid).is_none() {
            continue;
        }
        let has = |file: &str, wanted: &str| {
            let bytes = fs::read(entry.path().join(file)).unwrap_or_default();
            bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
        };
        let program = arguments(pid).first().cloned().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default().trim_end_matches(':');
        let named = has("cmdline", &needle) || has("environ", &needle);
        let of_job = has("environ", "SLURM_JOB_ID=") && has("environ", "SLURMD_NODENAME=");
        if named && (DAEMONS.contains(&program) || of_job) {
            found.push(pid);
        }
    }
    found
}

/// Argument strings of a process; empty when it has ended.
pub fn arguments(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_daemon_is_seen_to_be_gone() {
        let log = std::env::temp_dir().join(format!("flurm-process-{}", std::process::id()));
        let mut command = Command::new("sleep");
        command.arg("1000");
        let daemon = Daemon::start(command, &log);
        assert!(daemon.alive());
        daemon.kill();
        assert!(!daemon.alive());
        assert!(!daemon.signal("KILL"));
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_job_belongs_to_its_cluster_and_a_shell_with_its_configuration_does_not() {
        let folder = std::env::temp_dir().join(format!("flurm-belongs-{}", std::process::id()));
        let log = std::env::temp_dir().join(format!("flurm-belongs-{}.log", std::process::id()));
        let sleeper = |more: &[(&str, &str)]| {
            let mut command = Command::new("sleep");
            command.arg("1000").env("SLURM_CONF", folder.join("slurm.conf"));
            command.envs(more.iter().copied());
            Daemon::start(command, &log)
        };
        let shell = sleeper(&[]);
        let job = sleeper(&[("SLURM_JOB_ID", "1"), ("SLURMD_NODENAME", "n1")]);
        let found = of_cluster(&folder);
        shell.kill();
        job.kill();
        assert_eq!(found, [job.pid]);
        fs::remove_file(log).unwrap();
    }
}
