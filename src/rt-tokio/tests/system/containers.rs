//! Containers of both kinds hold what they should.

use std::time::{Duration, Instant};

use flurm_rt::{Child, Container, Env, Limit, Proc};
use flurm_rt_tokio::{Containment, SystemContainer, Tokio};

use crate::cases::{Folder, eventually, kill, lives, machine, nobody, run, shell};
use crate::harness::{Case, Need, role};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, need, run| Case { name, need, run };
    vec![
        case("cgroup_catches_a_process_that_hides", Need::Cgroup, || hides("best")),
        case("tree_catches_a_process_that_hides", Need::Nothing, || hides("tree")),
        case("cgroup_ends_a_fork_bomb", Need::RootAndCgroup, || bomb("best")),
        case("tree_ends_a_fork_bomb", Need::Root, || bomb("tree")),
        case("cgroup_opens_in_another_process", Need::Cgroup, || opened_elsewhere("best")),
        case("tree_opens_in_another_process", Need::Nothing, || opened_elsewhere("tree")),
        case("cgroup_outlasts_the_process_that_made_it", Need::Cgroup, || maker_dies("best")),
        case("cgroup_signals_and_counts", Need::Cgroup, || signals_and_counts("best")),
        case("tree_signals_and_counts", Need::Nothing, || signals_and_counts("tree")),
        case("tree_keeps_two_containers_apart", Need::Nothing, || two("tree")),
        case("cgroup_keeps_two_containers_apart", Need::Cgroup, || two("best")),
        case(
            "jobs_do_not_inherit_how_their_daemon_stands_to_the_oom_killer",
            Need::Root,
            not_protected,
        ),
        case("tree_collects_orphans", Need::Nothing, orphans_are_collected),
    ]
}

struct Held {
    env: Tokio,
    folder: Folder,
    name: String,
    kind: &'static str,
}

impl Held {
    fn new(kind: &'static str, word: &str) -> Self {
        let env = machine(crate::roles::containment(kind));
        let name = format!("test-{word}-{}", std::process::id());
        Self { env, folder: Folder::new(word), name, kind }
    }

    async fn container(&self) -> SystemContainer {
        self.env.proc().container(&self.name).await.unwrap()
    }

    async fn start(&self, script: &str) -> impl Child {
        let mut spawn = shell(&self.folder, script);
        spawn.container = Some(self.name.clone());
        self.env.proc().spawn(spawn).await.unwrap()
    }

    /// Waits until the script has written a process id into the file `name`.
    async fn told(&self, name: &str) -> u32 {
        let path = self.folder.join(name);
        let read = || std::fs::read_to_string(&path).ok()?.trim().parse::<u32>().ok();
        eventually("the script tells an id", async || read().is_some()).await;
        read().unwrap()
    }
}

/// A grandchild in a session of its own, its parents gone, its environment wiped.
fn hides(kind: &'static str) {
    run(async {
        let held = Held::new(kind, "hides");
        let hidden = "env -i /usr/bin/setsid /bin/sh -c \
                      '/usr/bin/setsid /bin/sh -c \"echo \\$\\$ > pid.new; mv pid.new pid; exec sleep 1000\" &'";
        let mut child = held.start(hidden).await;
        assert_eq!(child.wait().await.unwrap().code(), Some(0), "{}", held.folder.text("err"));
        let pid = held.told("pid").await;
        let container = held.container().await;
        assert_eq!(container.pids().await.unwrap(), [pid]);
        let busy = container.remove().await.unwrap_err();
        assert_eq!(busy.kind(), std::io::ErrorKind::ResourceBusy);
        assert!(container.kill().await.unwrap());
        assert!(!lives(pid));
        assert!(container.pids().await.unwrap().is_empty());
        assert!(!container.kill().await.unwrap(), "nothing is left to kill");
        container.remove().await.unwrap();
    });
}

/// Doubles without end, held by a limit on processes only.
fn bomb(kind: &'static str) {
    run(async {
        let held = Held::new(kind, "bomb");
        let mut user = nobody(&held.env).await;
        // A number nobody else uses, so that the limit counts only these.
        user.uid = 1_999_999_000 + std::process::id() % 1_000;
        let script = "exec perl -e 'while (1) { fork; select undef, undef, undef, 0.001 }'";
        let mut spawn = shell(&held.folder, script);
        spawn.user = Some(user.clone());
        spawn.container = Some(held.name.clone());
        spawn.limits = vec![Limit { name: "NPROC".to_owned(), soft: 300 }];
        spawn.stderr = flurm_rt::Output::Null;
        let mut child = held.env.proc().spawn(spawn).await.unwrap();
        let container = held.container().await;
        let mut most = 0;
        eventually("the bomb goes off", async || {
            most = most.max(container.pids().await.unwrap().len());
            most > 100
        })
        .await;
        let started = Instant::now();
        assert!(container.kill().await.unwrap());
        eventually("the bomb is dead", async || container.pids().await.unwrap().is_empty()).await;
        println!("{most} processes were dead after {} ms", started.elapsed().as_millis());
        assert!(child.wait().await.is_ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(living_of(user.uid), 0, "one escaped");
        container.remove().await.unwrap();
    });
}

fn living_of(uid: u32) -> usize {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|entry| entry.metadata().is_ok_and(|m| m.uid() == uid));
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| lives(*pid)).count()
}

fn opened_elsewhere(kind: &'static str) {
    run(async {
        let held = Held::new(kind, "shared");
        let child = held.start("env -i setsid sleep 1000 & sleep 1000").await;
        let container = held.container().await;
        eventually("both run", async || container.pids().await.unwrap().len() >= 2).await;
        let pids = container.pids().await.unwrap();
        let output = role(&["kill-container", held.kind, &held.name]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "true\n");
        for pid in pids {
            eventually("all are dead", async || !lives(pid)).await;
        }
        assert!(!lives(child.pid()));
        container.remove().await.unwrap();
    });
}

/// A step daemon dies: the node daemon still finds and ends what it has started.
fn maker_dies(kind: &'static str) {
    run(async {
        let held = Held::new(kind, "orphaned");
        let mut child = held.start("setsid sleep 1000 & echo $! > pid.new; mv pid.new pid").await;
        child.wait().await.unwrap();
        let pid = held.told("pid").await;
        let other = Tokio::contained_by(Containment::Best);
        let container = other.proc().container(&held.name).await.unwrap();
        assert_eq!(container.pids().await.unwrap(), [pid]);
        assert!(container.kill().await.unwrap());
        container.remove().await.unwrap();
    });
}

fn signals_and_counts(kind: &'static str) {
    run(async {
        let held = Held::new(kind, "signals");
        let container = held.container().await;
        assert!(!container.signal(0).await.unwrap(), "an empty container hears nothing");
        let script = "trap 'echo usr1 >> heard; exit 5' USR1; \
                      n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; \
                      echo $$ > pid.new; mv pid.new pid; while :; do sleep 0.05; done";
        let mut child = held.start(script).await;
        held.told("pid").await;
        let used = container.usage().await.unwrap();
        assert!(used.user_us > 20_000, "{used:?}");
        assert!(used.max_rss_kib > 100, "{used:?}");
        assert!(container.signal(libc::SIGUSR1).await.unwrap());
        assert_eq!(child.wait().await.unwrap().code(), Some(5));
        assert_eq!(held.folder.text("heard"), "usr1\n");
        let after = container.usage().await.unwrap();
        assert!(after.user_us >= used.user_us, "ended processes count: {after:?} after {used:?}");
        assert!(after.max_rss_kib >= used.max_rss_kib, "{after:?} after {used:?}");
        container.kill().await.unwrap();
        container.remove().await.unwrap();
    });
}

fn two(kind: &'static str) {
    run(async {
        let (first, second) = (Held::new(kind, "first"), Held::new(kind, "second"));
        let left = first.start("sleep 1000 & sleep 1000").await;
        let right = second.start("sleep 1000").await;
        let alone = first.env.proc().spawn(shell(&first.folder, "exec sleep 1000")).await.unwrap();
        assert!(first.container().await.kill().await.unwrap());
        assert!(!lives(left.pid()));
        assert!(lives(right.pid()), "the other container is untouched");
        assert!(lives(alone.pid()), "a process outside containers is untouched");
        assert!(second.container().await.kill().await.unwrap());
        assert!(lives(alone.pid()));
        kill(alone.pid());
        for held in [first, second] {
            held.container().await.remove().await.unwrap();
        }
    });
}

fn not_protected() {
    run(async {
        let held = Held::new("tree", "oom");
        std::fs::write("/proc/self/oom_score_adj", "500").unwrap();
        let script = "cat /proc/self/oom_score_adj";
        let mut alone = held.env.proc().spawn(shell(&held.folder, script)).await.unwrap();
        alone.wait().await.unwrap();
        assert_eq!(held.folder.text("out"), "500\n", "helpers of the daemon are");
        let mut job = held.start(script).await;
        job.wait().await.unwrap();
        assert_eq!(held.folder.text("out"), "0\n");
        held.container().await.remove().await.unwrap();
    });
}

fn orphans_are_collected() {
    run(async {
        let held = Held::new("tree", "orphans");
        let script = "(sleep 0.2 & echo $! > pid.new; mv pid.new pid)";
        let mut child = held.start(script).await;
        child.wait().await.unwrap();
        let pid = held.told("pid").await;
        assert_eq!(crate::cases::parent_of(pid), std::process::id());
        let path = format!("/proc/{pid}");
        eventually("it is collected", async || !std::path::Path::new(&path).exists()).await;
        held.container().await.remove().await.unwrap();
    });
}
