//! Where a node daemon and its step daemons keep what they must not forget.
//!
//! `SlurmdSpoolDir` holds the ledger and one folder for each attempt: the launch record, the script,
//! the step daemon's process, its socket, and how the attempt ended.

use std::path::{Path, PathBuf};

use flurm_base::{AttemptId, JobId};

/// Largest launch record read back, bytes.
pub(crate) const RECORD_MAX: usize = 128 * 1024 * 1024;

/// What the name of a step's folder begins with.
const STEP_PREFIX: &str = "step";

/// The spool of one node daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spool {
    root: PathBuf,
}

/// The folder of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptFolder {
    path: PathBuf,
}

impl Spool {
    /// The spool in this folder.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The ledger of attempts.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// The folder of an attempt.
    pub(crate) fn attempt(&self, job: JobId, attempt: AttemptId) -> AttemptFolder {
        AttemptFolder { path: self.root.join(format!("job{:05}.{:x}", job.0, attempt.0)) }
    }

    /// The attempt whose folder has this name, if it is one.
    pub(crate) fn parse(name: &str) -> Option<(JobId, AttemptId)> {
        let (job, attempt) = name.strip_prefix("job")?.split_once('.')?;
        let attempt = u64::from_str_radix(attempt, 16).ok()?;
        Some((JobId(job.parse().ok()?), AttemptId(attempt)))
    }
}

impl AttemptFolder {
    /// The folder at this path.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The order, written and synced before anything starts.
    pub(crate) fn launch(&self) -> PathBuf {
        self.path.join("launch")
    }

    /// What programs of the site are told of the job.
    pub(crate) fn facts(&self) -> PathBuf {
        self.path.join("job")
    }

    /// How the prolog stands, where one is due.
    pub(crate) fn prolog(&self) -> PathBuf {
        self.path.join("prolog")
    }

    /// The user's script.
    pub(crate) fn script(&self) -> PathBuf {
        self.path.join("slurm_script")
    }

    /// How the attempt ended.
    pub(crate) fn end(&self) -> PathBuf {
        self.path.join("end")
    }

    /// There once a controller has taken the report of the end.
    pub(crate) fn reported(&self) -> PathBuf {
        self.path.join("reported")
    }

    /// The folder of one of the attempt's steps.
    pub(crate) fn step(&self, number: u32) -> Self {
        Self { path: self.path.join(format!("{STEP_PREFIX}{number}")) }
    }

    /// The step whose folder has this name, if it is one.
    pub(crate) fn parse_step(name: &str) -> Option<u32> {
        name.strip_prefix(STEP_PREFIX)?.parse().ok()
    }

    /// Where the step daemon listens while it lives.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("sock")
    }
}

/// The name of the container of an attempt, unique among all node daemons of a machine.
pub(crate) fn container_name(cluster: &str, node: &str, job: JobId, attempt: AttemptId) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    format!("flurm_{}_{}_job{}_{:x}", plain(cluster), plain(node), job.0, attempt.0)
}

/// The name of the container of a step, by that of its attempt.
pub(crate) fn step_container(of_attempt: &str, step: u32) -> String {
    format!("{of_attempt}_step{step}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_name_tells_its_attempt() {
        let spool = Spool::new(Path::new("/spool"));
        let folder = spool.attempt(JobId(12), AttemptId(0xab));
        assert_eq!(folder.path(), Path::new("/spool/job00012.ab"));
        assert_eq!(Spool::parse("job00012.ab"), Some((JobId(12), AttemptId(0xab))));
        assert_eq!(Spool::parse("ledger"), None);
        assert_eq!(Spool::parse("job12"), None);
        assert_eq!(folder.step(3).path(), Path::new("/spool/job00012.ab/step3"));
        assert_eq!(AttemptFolder::parse_step("step3"), Some(3));
        assert_eq!(AttemptFolder::parse_step("slurm_script"), None);
    }
}
