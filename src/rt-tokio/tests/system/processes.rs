//! Starting, ending and outliving.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use flurm_rt::{Child, Env, ExitStatus, Output, Proc, SpawnStage};
use flurm_rt_tokio::Containment;

use crate::cases::{Folder, eventually, kill, lives, machine, parent_of, run, session_of, shell};
use crate::harness::{Case, Need, role};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, need, run| Case { name, need, run };
    vec![
        case("a_program_sees_its_environment_and_no_other", Need::Nothing, environment),
        case("no_descriptor_of_the_daemon_leaks", Need::Nothing, descriptors),
        case("signals_start_at_their_defaults", Need::Nothing, signals),
        case("a_program_leads_its_own_session", Need::Nothing, session),
        case("exit_codes_and_signals_are_told_apart", Need::Nothing, exits),
        case("a_crowd_starts_and_ends_and_leaves_nothing", Need::Nothing, crowd),
        case("waiting_may_be_broken_off_and_taken_up", Need::Nothing, interrupted_wait),
        case("failures_name_their_stage", Need::Nothing, stages),
        case("output_is_appended_or_truncated", Need::Nothing, append),
        case("a_start_that_hangs_hinders_no_other_and_can_be_given_up", Need::Nothing, hanging),
        case("children_die_with_their_daemon", Need::Nothing, die_with_parent),
        case("children_of_another_user_die_with_their_daemon", Need::Root, user_dies_with_parent),
        case("detached_processes_outlive_their_daemon", Need::Nothing, outlive),
        case("detached_processes_report_their_failures", Need::Nothing, detached_failure),
        case("a_stamp_tells_a_process_from_its_successors", Need::Nothing, stamps),
        case("a_daemon_detaches_when_it_is_ready", Need::Nothing, daemon_ready),
        case("a_daemon_that_fails_to_start_is_seen", Need::Nothing, daemon_fails),
    ]
}

fn environment() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("env"));
        let mut spawn = shell(&folder, "");
        spawn.program = "/usr/bin/env".into();
        spawn.argv = vec!["env".to_owned()];
        spawn.environment =
            ["A=1", "B=two words", "C=", "FLURM_CONTAINER=foreign"].map(str::to_owned).to_vec();
        let mut child = env.proc().spawn(spawn).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
        let mut lines: Vec<String> = folder.text("out").lines().map(str::to_owned).collect();
        lines.retain(|line| line != "FLURM_CONTAINER=-");
        assert_eq!(lines, ["A=1", "B=two words", "C="]);
    });
}

fn descriptors() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("fds"));
        let careless = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::empty()).unwrap();
        let mut spawn = shell(&folder, "");
        spawn.program = "/bin/ls".into();
        spawn.argv = ["ls", "-l", "/proc/self/fd"].map(str::to_owned).to_vec();
        let mut child = env.proc().spawn(spawn).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
        drop(careless);
        let text = folder.text("out");
        let open: Vec<&str> = text.lines().filter_map(|l| l.split(" -> ").nth(1)).collect();
        let out = folder.join("out");
        let err = folder.join("err");
        let expected = ["/dev/null", out.to_str().unwrap(), err.to_str().unwrap()];
        assert_eq!(open[..3], expected);
        assert_eq!(open.len(), 4, "the fourth is the listing itself: {text}");
    });
}

fn signals() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("signals"));
        let mut spawn = shell(&folder, "");
        spawn.program = "/bin/grep".into();
        spawn.argv =
            ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"].map(str::to_owned).to_vec();
        let mut child = env.proc().spawn(spawn).await.unwrap();
        child.wait().await.unwrap();
        assert_eq!(
            folder.text("out"),
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
            "this process itself ignores SIGPIPE, as all Rust programs do"
        );
    });
}

fn session() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("session"));
        let spawn = shell(&folder, "cut -d' ' -f1,5,6,7 /proc/$$/stat");
        let mut child = env.proc().spawn(spawn).await.unwrap();
        child.wait().await.unwrap();
        let pid = child.pid();
        assert_eq!(folder.text("out"), format!("{pid} {pid} {pid} 0\n"));
    });
}

fn exits() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("exits"));
        for (script, expected) in [
            ("exit 0", ExitStatus::exited(0)),
            ("exit 7", ExitStatus::exited(7)),
            ("exit 255", ExitStatus::exited(255)),
            ("kill -TERM $$", ExitStatus::signaled(15)),
            ("kill -KILL $$", ExitStatus::signaled(9)),
        ] {
            let mut child = env.proc().spawn(shell(&folder, script)).await.unwrap();
            assert_eq!(child.wait().await.unwrap(), expected, "{script}");
            assert_eq!(child.wait().await.unwrap(), expected, "{script}, asked again");
            assert!(!lives(child.pid()));
        }
    });
}

fn crowd() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("crowd"));
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mut warm = env.proc().spawn(shell(&folder, "true")).await.unwrap();
        warm.wait().await.unwrap();
        let before = open();
        let mut starts = Vec::new();
        for number in 0..100u8 {
            let (env, spawn) = (env.clone(), shell(&folder, &format!("exit {number}")));
            starts.push(tokio::spawn(async move {
                let mut child = env.proc().spawn(spawn).await.unwrap();
                (number, child.wait().await.unwrap())
            }));
        }
        for start in starts {
            let (number, status) = start.await.unwrap();
            assert_eq!(status.code(), Some(number));
        }
        assert!(children_of_own().is_empty());
        // The first child's own descriptor may have been open still when they were counted.
        eventually("every descriptor is closed", async || open() <= before).await;
    });
}

fn interrupted_wait() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("wait"));
        let mut child =
            env.proc().spawn(shell(&folder, "read x < fifo || sleep 0.2; exit 3")).await.unwrap();
        let soon = tokio::time::timeout(Duration::from_millis(20), child.wait()).await;
        assert!(soon.is_err());
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        let dropped = env.proc().spawn(shell(&folder, "true")).await.unwrap();
        let pid = dropped.pid();
        drop(dropped);
        let gone = format!("/proc/{pid}");
        eventually("a dropped child is collected", async || !std::path::Path::new(&gone).exists())
            .await;
    });
}

fn stages() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("stages"));
        let missing = || Output::File { path: "none/file".into(), append: false };
        for stage in [
            SpawnStage::WorkDir,
            SpawnStage::Stdin,
            SpawnStage::Stdout,
            SpawnStage::Stderr,
            SpawnStage::Exec,
        ] {
            let mut spawn = shell(&folder, "true");
            match stage {
                SpawnStage::WorkDir => spawn.work_dir = folder.join("none"),
                SpawnStage::Stdin => spawn.stdin = missing(),
                SpawnStage::Stdout => spawn.stdout = missing(),
                SpawnStage::Stderr => spawn.stderr = missing(),
                _ => spawn.program = folder.join("none"),
            }
            let error = env.proc().spawn(spawn).await.unwrap_err();
            assert_eq!(error.stage, stage, "{error}");
            assert_eq!(error.source.raw_os_error(), Some(libc::ENOENT), "{error}");
        }
        let mut spawn = shell(&folder, "true");
        spawn.environment.push("A=\0".to_owned());
        let error = env.proc().spawn(spawn).await.unwrap_err();
        assert_eq!(error.stage, SpawnStage::Exec);
    });
}

fn append() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("append"));
        std::fs::write(folder.join("out"), "old\n").unwrap();
        for (append, expected) in [(true, "old\na\nb\n"), (false, "a\nb\n")] {
            let mut spawn = shell(&folder, "echo a; echo b >&2");
            spawn.stdout = Output::File { path: "out".into(), append };
            spawn.stderr = Output::SameAsStdout;
            let mut child = env.proc().spawn(spawn).await.unwrap();
            child.wait().await.unwrap();
            assert_eq!(folder.text("out"), expected);
        }
    });
}

fn hanging() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("fifo"));
        let fifo = folder.join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        let mut spawn = shell(&folder, "true");
        spawn.stdout = Output::File { path: "fifo".into(), append: false };
        let hanging = env.proc().spawn(spawn);
        let given_up = tokio::time::timeout(Duration::from_millis(300), hanging);
        let beside = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut child = env.proc().spawn(shell(&folder, "exit 4")).await.unwrap();
            child.wait().await.unwrap()
        };
        let (given_up, beside) = tokio::join!(given_up, beside);
        assert!(given_up.is_err());
        assert_eq!(beside.code(), Some(4));
        eventually("the hanging child is gone", async || children_of_own().is_empty()).await;
    });
}

fn children_of_own() -> Vec<u32> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|r| r.split_ascii_whitespace().nth(1));
        if parent == Some(own.to_string().as_str()) {
            found.push(pid);
        }
    }
    found
}

/// Starts a daemon that starts a process, and returns both.
fn daemon_with_child(kind: &str) -> (std::process::Child, u32) {
    let mut daemon = role(&[kind]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (daemon, line.trim().parse().expect("the daemon tells its child's id"))
}

fn die_with_parent() {
    dies_with_parent("start-child");
}

fn user_dies_with_parent() {
    dies_with_parent("start-child-as-nobody");
}

fn dies_with_parent(kind: &str) {
    run(async {
        let (mut daemon, child) = daemon_with_child(kind);
        // Long enough for idle threads of the daemon's runtime to end: that must not count.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(lives(child));
        daemon.kill().unwrap();
        assert_eq!(daemon.wait().unwrap().signal(), Some(9));
        eventually("the child dies", async || !lives(child)).await;
    });
}

fn outlive() {
    run(async {
        let (mut daemon, child) = daemon_with_child("start-detached");
        assert!(lives(child));
        assert_ne!(parent_of(child), daemon.id());
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(lives(child), "the detached process must survive");
        kill(child);
        eventually("it can be killed", async || !lives(child)).await;
    });
}

fn detached_failure() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("detached"));
        let mut spawn = shell(&folder, "true");
        spawn.detached = true;
        let mut child = env.proc().spawn(spawn.clone()).await.unwrap();
        let unsupported = child.wait().await.unwrap_err();
        assert_eq!(unsupported.kind(), std::io::ErrorKind::Unsupported);
        spawn.program = folder.join("none");
        let error = env.proc().spawn(spawn).await.unwrap_err();
        assert_eq!(error.stage, SpawnStage::Exec);
        assert_eq!(error.source.raw_os_error(), Some(libc::ENOENT));
        assert!(children_of_own().is_empty(), "nothing detached is our child");
    });
}

fn stamps() {
    run(async {
        let (env, folder) = (machine(Containment::Best), Folder::new("stamps"));
        let proc = env.proc();
        let own = proc.started_at(proc.own_pid()).unwrap();
        assert!(proc.alive(proc.own_pid(), own));
        assert!(!proc.alive(proc.own_pid(), own + 1));
        assert_eq!(proc.started_at(u32::MAX), None);
        // Stamps count hundredths of a second.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut child = proc.spawn(shell(&folder, "exec sleep 1000")).await.unwrap();
        let stamp = proc.started_at(child.pid()).unwrap();
        assert_ne!(stamp, own);
        kill(child.pid());
        child.wait().await.unwrap();
        assert!(!proc.alive(child.pid(), stamp));
        // A process that has ended but was not collected is not alive either.
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        eventually("a zombie is dead", async || proc.started_at(ended.id()).is_none()).await;
        ended.wait().unwrap();
    });
}

fn daemon_ready() {
    run(async {
        let folder = Folder::new("daemon");
        let note = folder.join("note");
        let started = role(&["daemon", note.to_str().unwrap()]).status().unwrap();
        assert!(started.success());
        // The starting command ends only when the daemon is ready, so the note is there.
        let pid: u32 = folder.text("note").trim().parse().unwrap();
        assert!(lives(pid));
        assert_ne!(parent_of(pid), std::process::id());
        let session = session_of(pid);
        assert_ne!(session, pid, "a session leader could acquire a terminal");
        // Ours may be 0: its leader may live outside of our namespace.
        assert_ne!(session, session_of(std::process::id()));
        kill(pid);
    });
}

fn daemon_fails() {
    let status = role(&["daemon-that-fails"]).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
