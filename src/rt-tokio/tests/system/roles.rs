//! The parts this executable plays when a case starts it again.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flurm_rt::{Child, Container, Env, Proc};
use flurm_rt_tokio::{Containment, Readiness, Tokio, detach};

use crate::cases::{Folder, machine, nobody, run, shell};

/// Longest life of a part whose case has died.
const LIFE: Duration = Duration::from_secs(60);

pub(crate) fn play(args: &[String]) {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["report-cgroup"] => run(report_cgroup()),
        ["start-child"] => run(start(false, false)),
        ["start-child-as-nobody"] => run(start(false, true)),
        ["start-detached"] => run(start(true, false)),
        ["kill-container", kind, name] => run(kill_container(kind, name)),
        ["replace", path] => crate::files::replace_once(Path::new(path)),
        ["daemon", note] => daemon(Path::new(note)),
        ["daemon-that-fails"] => {
            let _readiness: Readiness = detach().unwrap();
            std::process::exit(0);
        }
        _ => panic!("no such part: {args:?}"),
    }
}

pub(crate) fn containment(kind: &str) -> Containment {
    match kind {
        "best" => Containment::Best,
        "tree" => Containment::ProcessTree,
        _ => panic!("no such containment: {kind}"),
    }
}

async fn report_cgroup() {
    let (env, folder) = (Tokio::new(), Folder::new("probe"));
    let mut spawn = shell(&folder, "cat /proc/self/cgroup");
    let name = format!("probe-{}", std::process::id());
    spawn.container = Some(name.clone());
    let mut child = env.proc().spawn(spawn).await.unwrap();
    child.wait().await.unwrap();
    env.proc().container(&name).await.unwrap().remove().await.unwrap();
    println!("{}", folder.text("out"));
}

async fn start(detached: bool, as_nobody: bool) {
    let (env, folder) = (Tokio::new(), Folder::new("start"));
    let mut spawn = shell(&folder, "exec sleep 1000");
    spawn.detached = detached;
    if as_nobody {
        spawn.user = Some(nobody(&env).await);
    }
    let child = env.proc().spawn(spawn).await.unwrap();
    println!("{}", child.pid());
    std::io::stdout().flush().unwrap();
    tokio::time::sleep(LIFE).await;
}

async fn kill_container(kind: &str, name: &str) {
    let env = machine(containment(kind));
    let container = env.proc().container(name).await.unwrap();
    let killed = container.kill().await.unwrap();
    println!("{killed}");
}

fn daemon(note: &Path) {
    let readiness = detach().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    std::fs::write(note, std::process::id().to_string()).unwrap();
    readiness.announce().unwrap();
    std::thread::sleep(LIFE);
}
