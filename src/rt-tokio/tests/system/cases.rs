//! The list of all cases, and what they share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flurm_rt::{Env, Ident, Output, Spawn, User};
use flurm_rt_tokio::{Containment, Tokio};

use crate::harness::Case;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn all() -> Vec<Case> {
    let parts = [
        crate::identity::cases(),
        crate::processes::cases(),
        crate::containers::cases(),
        crate::sockets::cases(),
        crate::files::cases(),
        crate::munge::cases(),
    ];
    parts.into_iter().flatten().collect()
}

/// Runs a future on a runtime like the daemons'.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

pub(crate) fn machine(containment: Containment) -> Tokio {
    Tokio::contained_by(containment)
}

/// A folder of this case's own, open to every user, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(word: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let name = format!("flurm-rt-{word}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Of a daemon that was killed, when process numbers have come round again.
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o1777)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A shell that runs `script` in `folder` and writes to the files `out` and `err` there.
pub(crate) fn shell(folder: &Folder, script: &str) -> Spawn {
    Spawn {
        program: "/bin/sh".into(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        environment: vec!["PATH=/usr/bin:/bin:/usr/sbin:/sbin".to_owned()],
        own_pid_variable: None,
        work_dir: folder.path().to_path_buf(),
        user: None,
        umask: None,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::File { path: "out".into(), append: false },
        stderr: Output::File { path: "err".into(), append: false },
        container: None,
        terminal: None,
        detached: false,
    }
}

pub(crate) async fn nobody(env: &Tokio) -> User {
    env.ident().user_by_name("nobody").await.unwrap().expect("every Linux has nobody")
}

/// Waits for a condition, and fails with its name when it does not come true.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// True while the process exists and has not ended.
pub(crate) fn lives(pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let rest = text.rsplit(')').next().unwrap().trim_start();
    !rest.starts_with(['Z', 'X'])
}

pub(crate) fn parent_of(pid: u32) -> u32 {
    stat_after_name(pid, 1)
}

/// The session a process is in: the process number of its first leader.
pub(crate) fn session_of(pid: u32) -> u32 {
    stat_after_name(pid, 3)
}

/// A number of `/proc/<pid>/stat`, counted from the state on (proc(5)).
fn stat_after_name(pid: u32, field: usize) -> u32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = text.rsplit(')').next().unwrap();
    rest.split_ascii_whitespace().nth(field).unwrap().parse().unwrap()
}

/// Sends SIGKILL through kill(1), for processes that are no children of ours.
pub(crate) fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success(), "no process {pid} to kill");
}
