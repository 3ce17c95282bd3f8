//! Terminals and attaching: `srun --pty`, `srun --unbuffered`, sattach.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Shape, eventually};

use crate::{alice, each_release, first_text};

/// A shell line of a client before a terminal of its own.
fn terminal(client: &Client, line: &str) -> Command {
    let line = format!("stty rows 30 cols 100; {line}");
    let inner = client.command("sh", &["-c", &line]);
    let words = [inner.get_program()].into_iter().chain(inner.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")));
    let quoted: Vec<String> = quoted.collect();
    // In place of the shell that `script` starts, which may be any of the caller's: behind a shell
    // that stays, `timeout` would move the client out of the terminal's foreground group, and the
    // client would be stopped as soon as it set the terminal.
    let line = format!("exec {}", quoted.join(" "));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("SHELL", "/bin/sh");
    command.current_dir(inner.get_current_dir().expect("clients run in a folder"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a shell line before a terminal of its own, and returns what appears there.
fn before_terminal(client: &Client, line: &str) -> String {
    let mut child = terminal(client, line).spawn().expect("script runs");
    // Open until the end: an end of its input would appear as a key pressed.
    let _stdin = child.stdin.take();
    let output = child.wait_with_output().expect("wait for script");
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

/// Puts a shell script where the tasks find it.
fn script(cluster: &Cluster, name: &str, text: &str) {
    fs::write(cluster.work().join(name), text).unwrap();
}

#[test]
fn the_first_task_has_a_terminal_as_large_as_sruns() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "test -t 0 && test -t 1 && test -t 2 && echo all; stty size; ps -o tty= -p $$; \
            stat -c %U $(tty); echo error >&2; exit 3\n";
        script(cluster, "task.sh", body);
        let seen = before_terminal(client, "srun --pty sh task.sh; echo status $?");
        let lines: Vec<&str> = seen.lines().map(str::trim).collect();
        let [all, size, tty, owner, error, rest @ ..] = &lines[..] else { panic!("{seen}") };
        assert_eq!((*all, *size, *owner, *error), ("all", "30 100", crate::ALICE, "error"));
        assert!(tty.starts_with("pts/"), "the terminal controls the task: {seen}");
        assert_eq!(rest.last(), Some(&"status 3"), "{seen}");
    });
}

#[test]
fn only_the_first_task_has_the_terminal() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "if test -t 0; then tty=yes; else tty=no; fi; \
            echo $SLURM_PROCID $tty > tty.$SLURM_PROCID; echo out\n";
        script(cluster, "task.sh", body);
        let seen = before_terminal(client, "srun -n2 --pty sh task.sh");
        assert_eq!(seen.lines().filter(|line| *line == "out").count(), 1, "{seen}");
        assert_eq!(first_text(&cluster.work().join("tty.0")), "0 yes\n");
        assert_eq!(first_text(&cluster.work().join("tty.1")), "1 no\n");
        fs::remove_file(cluster.work().join("tty.0")).unwrap();
        fs::remove_file(cluster.work().join("tty.1")).unwrap();
    });
}

#[test]
fn a_window_that_grows_is_seen_by_the_task() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "trap 'stty size; exit 0' WINCH; echo up > up; while :; do sleep 0.1; done\n";
        script(cluster, "task.sh", body);
        let resize = "(while [ ! -e up ]; do sleep 0.1; done; sleep 0.5; \
            stty rows 40 cols 120 <&3) & srun --pty sh task.sh";
        let seen = before_terminal(client, &format!("exec 3<&0; {resize}"));
        assert!(seen.contains("40 120"), "{seen}");
        fs::remove_file(cluster.work().join("up")).unwrap();
    });
}

#[test]
fn a_shell_before_a_terminal_takes_input_and_signals() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "trap 'echo caught; exit 5' INT; echo ready > up; read line; echo \"got $line\"; \
            while :; do sleep 0.1; done\n";
        script(cluster, "task.sh", body);
        let line = "srun --pty sh task.sh; echo status $?";
        let mut child = terminal(client, line).spawn().unwrap();
        first_text(&cluster.work().join("up"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"hello\n").unwrap();
        stdin.flush().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(500));
        // What Ctrl-C sends, which is for the task and not for srun.
        stdin.write_all(b"\x03").unwrap();
        stdin.flush().unwrap();
        let output = child.wait_with_output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        for text in ["got hello", "caught", "status 5"] {
            assert!(seen.contains(text), "{text}: {seen}");
        }
        fs::remove_file(cluster.work().join("up")).unwrap();
    });
}

#[test]
fn unbuffered_output_is_written_to_a_terminal() {
    each_release(&Shape::small(), |_, client| {
        let body = "test -t 1 && echo terminal; test -t 0 || echo pipe; printf 'a\\nb\\n'";
        let ran = client.run("srun", &["-u", "sh", "-c", body]);
        assert_eq!(ran.ok(), "terminal\npipe\na\nb\n");
        assert_eq!(client.run("srun", &["sh", "-c", "test -t 1 || echo pipe"]).ok(), "pipe\n");
    });
}

/// Starts a step that writes a line, waits for a file, echoes a line of its input, and fails.
fn start_step(cluster: &Cluster, client: &Client) -> (std::process::Child, String) {
    let body =
        "echo first; echo up > up; while [ ! -e go ]; do sleep 0.1; done; echo second; exit 7";
    let mut step = client.command("srun", &["sh", "-c", body]);
    let step = step.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let step = step.spawn().unwrap();
    first_text(&cluster.work().join("up"));
    let id = client.run("squeue", &["-h", "-s", "-o", "%i"]).ok();
    (step, id.trim().to_owned())
}

#[test]
fn sattach_shows_what_was_written_before_and_after_it_came() {
    each_release(&Shape::small(), |cluster, client| {
        let (step, id) = start_step(cluster, client);
        let layout = client.run("sattach", &["--layout", &id]).ok();
        assert!(layout.contains("1 tasks, 1 nodes"), "{layout}");
        let mut attach = client.command("sattach", &[&id]);
        let attach = attach.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let attach = attach.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(2));
        fs::write(cluster.work().join("go"), "").unwrap();
        let attached = attach.wait_with_output().unwrap();
        let ran = step.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&ran.stdout), "first\nsecond\n");
        assert_eq!(text(&attached.stdout), "first\nsecond\n", "{}", text(&attached.stderr));
        assert_eq!((ran.status.code(), attached.status.code()), (Some(7), Some(7)));
        fs::remove_file(cluster.work().join("go")).unwrap();
        fs::remove_file(cluster.work().join("up")).unwrap();
    });
}

#[test]
fn sattach_of_another_user_or_of_no_step_is_refused() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let (step, id) = start_step(&cluster, &client);
    let bob = cluster.client().user(crate::BOB);
    let refused = bob.run("sattach", &[&id]);
    assert!(!refused.out.contains("first"), "{}", refused.out);
    let none = client.run("sattach", &["--layout", "4711.0"]).refused();
    assert!(none.contains("Invalid job id") || none.contains("Job/step"), "{none}");
    fs::write(cluster.work().join("go"), "").unwrap();
    step.wait_with_output().unwrap();
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn a_client_that_is_gone_holds_up_no_task() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let (step, id) = start_step(&cluster, &client);
    let mut attach = client.command("sattach", &[&id]);
    let attach = attach.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut attach = attach.spawn().unwrap();
    eventually("sattach is attached", || {
        let log = fs::read_to_string(cluster.log("n1")).unwrap();
        if log.contains("a client attached") { Ok(()) } else { Err(log) }
    });
    attach.kill().unwrap();
    attach.wait().unwrap();
    fs::write(cluster.work().join("go"), "").unwrap();
    let ran = step.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "first\nsecond\n");
    assert_eq!(ran.status.code(), Some(7));
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn salloc_gives_a_shell_on_the_first_node_as_an_interactive_step() {
    let shape = Shape::small().line("LaunchParameters=use_interactive_step");
    each_release(&shape, |cluster, client| {
        let mut child = terminal(client, "salloc -w n2; echo status $?").spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let lines = "test -t 0 && echo node:$SLURMD_NODENAME > where\n\
            squeue -h -s -j $SLURM_JOB_ID -o %i > step\nsrun -n1 sh -c 'echo step > within' < /dev/null\n\
            echo done > done\n";
        std::thread::sleep(std::time::Duration::from_secs(2));
        stdin.write_all(lines.as_bytes()).unwrap();
        stdin.flush().unwrap();
        first_text(&cluster.work().join("done"));
        stdin.write_all(b"exit 3\n").unwrap();
        stdin.flush().unwrap();
        let output = child.wait_with_output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        assert_eq!(first_text(&cluster.work().join("where")), "node:n2\n", "{seen}");
        let step = first_text(&cluster.work().join("step"));
        assert!(step.trim().ends_with(".interactive"), "{step}{seen}");
        assert_eq!(first_text(&cluster.work().join("within")), "step\n", "{seen}");
        assert!(seen.contains("status 3"), "{seen}");
        for name in ["where", "step", "within", "done"] {
            fs::remove_file(cluster.work().join(name)).unwrap();
        }
    });
}
