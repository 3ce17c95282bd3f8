//! Unmodified Slurm clients of three releases, run as any user.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::record::Record;

/// Longest a client program may take, seconds.
const CLIENT_MAX_S: u32 = 120;

/// Which release of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// Installed on the machine.
    V22_05,
    /// In a side root.
    V24_11,
    /// In a side root.
    V26_05,
}

impl Release {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V22_05, Self::V24_11, Self::V26_05];

    /// The release's number.
    pub fn number(self) -> &'static str {
        match self {
            Self::V22_05 => "22.05",
            Self::V24_11 => "24.11",
            Self::V26_05 => "26.05",
        }
    }

    /// The side root it lives in, if any.
    fn root(self) -> Option<PathBuf> {
        let cache = std::env::var("FLURM_CACHE").unwrap_or("/var/cache/flurm".to_owned());
        match self {
            Self::V22_05 => None,
            _ => Some(Path::new(&cache).join(format!("side-{}", self.number()))),
        }
    }
}

/// Root of the repository.
pub fn repository() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().expect("the crate lies in the repository").to_owned()
}

/// What a client program did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit status; 128 and more for a signal.
    pub status: i32,
    /// What it printed.
    pub out: String,
    /// What it complained.
    pub err: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// Its output; panics when it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status == 0, "exit status {}: {}{}", self.status, self.out, self.err);
        self.out
    }

    /// Its complaint; panics when it succeeded.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(self.status != 0, "should have been refused: {}{}", self.out, self.err);
        self.err
    }
}

/// Runs clients. Cloning is cheap; the methods named after a change return a changed copy.
#[derive(Clone, Debug)]
pub struct Client {
    release: Release,
    user: Option<String>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// A command that runs the rest of the command line, as `unshare` does.
    before: Vec<String>,
}

impl Client {
    /// A client of the machine's own release, as root, with its working directory in `folder`.
    pub fn new(slurm_conf: &Path, folder: &Path) -> Self {
        let mut new = Self {
            release: Release::V22_05,
            user: None,
            folder: folder.to_owned(),
            environment: Vec::new(),
            before: Vec::new(),
        };
        new.set("SLURM_CONF", &slurm_conf.display().to_string());
        new.set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        new.set("HOME", &folder.display().to_string());
        new.set("SHELL", "/bin/sh");
        new
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Of another release.
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// Which release it is of.
    pub fn of_release(&self) -> Release {
        self.release
    }

    /// As another user of this machine.
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self.set("USER", name);
        self.set("LOGNAME", name);
        self
    }

    /// With another environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Without an environment variable.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self
    }

    /// With a munge folder where clients without a configuration look for it.
    pub fn munge_at_default(mut self, folder: &Path) -> Self {
        let mounts = "mount -t tmpfs none /run && mkdir /run/munge && \
            mount --bind \"$0\" /run/munge && exec \"$@\"";
        self.before = ["unshare", "--mount", "sh", "-c", mounts].map(str::to_owned).to_vec();
        self.before.push(folder.display().to_string());
        self
    }

    /// With a folder where clients look for the socket that gives out tokens of auth/slurm.
    pub fn sack_at_default(mut self, folder: &Path) -> Self {
        let mounts = "mount -t tmpfs none /run && mkdir /run/slurm && \
            mount --bind \"$0\" /run/slurm && exec \"$@\"";
        self.before = ["unshare", "--mount", "sh", "-c", mounts].map(str::to_owned).to_vec();
        self.before.push(folder.display().to_string());
        self
    }

    /// As a client that sees the machine's own `/run`.
    pub fn without_sack(mut self) -> Self {
        self.before.clear();
        self
    }

    /// In another working directory.
    pub fn within(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    /// The command line that runs a program this way.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg("--kill-after=5").arg(CLIENT_MAX_S.to_string()).args(&self.before);
        if let Some(root) = self.release.root() {
            command.arg(repository().join("ci/side-root")).arg("--run").arg(root);
        }
        if let Some(user) = &self.user {
            let (uid, gid) = identity(user);
            command.args(["setpriv", "--init-groups"]);
            command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
        }
        command.args(["env", "-i"]);
        command.args(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(program).args(arguments).current_dir(&self.folder);
        command
    }

    /// Runs a program with nothing on its standard input.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        self.run_with_input(program, arguments, "")
    }

    /// Runs a program with a text on its standard input.
    pub fn run_with_input(&self, program: &str, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(program, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("could not run {program}: {e}"));
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        // A program that ends before it has read everything is judged by its exit status.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("wait for the client");
        let took = started.elapsed();
        let status = output.status.code().unwrap_or(255);
        assert!(status != 124, "{program} {arguments:?} did not end within {CLIENT_MAX_S} s");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { status, out: text(output.stdout), err: text(output.stderr), took }
    }

    /// Submits a script (its body; the first line is added) and returns the job's id.
    #[track_caller]
    pub fn sbatch(&self, options: &[&str], body: &str) -> u32 {
        let printed = self.try_sbatch(options, body).ok();
        submitted(&printed).unwrap_or_else(|| panic!("no job id in {printed:?}"))
    }

    /// As [`Client::sbatch`], for submissions that may be refused.
    pub fn try_sbatch(&self, options: &[&str], body: &str) -> Ran {
        self.run_with_input("sbatch", options, &format!("#!/bin/sh\n{body}\n"))
    }

    /// What `scontrol show job` says; `Err` when it says there is none.
    pub fn find_job(&self, id: u32) -> Result<Record, String> {
        let ran = self.run("scontrol", &["show", "job", &id.to_string()]);
        if ran.status == 0 { Ok(Record::parse(&ran.out)) } else { Err(ran.err) }
    }

    /// What `scontrol show job` says; panics when there is none.
    #[track_caller]
    pub fn job(&self, id: u32) -> Record {
        self.find_job(id).unwrap_or_else(|e| panic!("scontrol show job {id}: {e}"))
    }

    /// What `scontrol show node` says.
    #[track_caller]
    pub fn node(&self, name: &str) -> Record {
        Record::parse(&self.run("scontrol", &["show", "node", name]).ok())
    }
}

/// The job id in sbatch's output.
pub fn submitted(printed: &str) -> Option<u32> {
    let (_, after) = printed.split_once("Submitted batch job ")?;
    after.split_whitespace().next()?.parse().ok()
}

/// User and group id of a user of this machine.
pub fn identity(user: &str) -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let named = fields.next() == Some(user);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        named.then_some((uid, gid))
    });
    found.unwrap_or_else(|| panic!("no user {user} on this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_id_is_found_with_and_without_a_cluster_name() {
        assert_eq!(submitted("Submitted batch job 12\n"), Some(12));
        assert_eq!(submitted("Submitted batch job 13 on cluster a\n"), Some(13));
        assert_eq!(submitted("sbatch: error\n"), None);
    }

    #[test]
    fn users_are_looked_up() {
        assert_eq!(identity("root"), (0, 0));
    }
}
