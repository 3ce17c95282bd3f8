//! Allocations and steps: salloc, srun, and what becomes of them when something dies.

use std::fs;
use std::process::Stdio;

use flurm_tests::conf::against_slurm;
use flurm_tests::process::{self, Daemon};
use flurm_tests::{Client, Cluster, Shape, eventually};

use crate::{alice, first_text};

/// Runs a story with the clients of each release. Slurm 22.05 itself refuses newer clients.
fn each_release(story: impl Fn(&Cluster, &Client)) {
    crate::each_release(&Shape::small().nodes(4), |cluster, client| {
        story(cluster, client);
        cluster.wait_idle();
    });
}

/// The lines of a text in order.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn srun_runs_tasks_on_several_nodes_as_the_user() {
    each_release(|_, client| {
        let ran = client.run("srun", &["-N4", "-n4", "-l", "sh", "-c", "echo $SLURMD_NODENAME"]);
        assert_eq!(sorted(&ran.ok()), ["0: n1", "1: n2", "2: n3", "3: n4"]);
        assert_eq!(client.run("srun", &["id", "-un"]).ok().trim(), "nobody");
    });
}

#[test]
fn input_output_and_exit_codes_pass_through_srun() {
    each_release(|cluster, client| {
        let ran = client.run_with_input("srun", &["-n2", "cat"], "some\ninput\n");
        assert_eq!(sorted(&ran.ok()), ["input", "input", "some", "some"]);
        let ran = client.run_with_input("srun", &["-n2", "-i", "1", "-l", "cat"], "one\n");
        assert_eq!(ran.ok(), "1: one\n");
        let ran = client.run("srun", &["-n2", "sh", "-c", "echo e >&2; exit $SLURM_PROCID"]);
        assert_eq!(ran.status, 1, "{}", ran.err);
        assert!(ran.err.contains("task 1: Exited with exit code 1"), "{}", ran.err);
        assert_eq!(ran.err.lines().filter(|line| *line == "e").count(), 2, "{}", ran.err);
        let ran = client.run("srun", &["sh", "-c", "kill -9 $$"]);
        assert_eq!(ran.status, 137, "{}", ran.err);
        assert!(ran.err.contains("task 0: Killed"), "{}", ran.err);
        let ran = client.run("srun", &["no-such-program"]);
        assert_eq!(ran.status, 2, "{}", ran.err);
        let text = "execve(): no-such-program: No such file or directory";
        assert!(ran.err.contains(text), "{}", ran.err);
        let big = "0123456789abcdef".repeat(64 * 1024);
        assert!(client.run_with_input("srun", &["cat"], &big).ok() == big, "a MiB comes back");
        client.run("srun", &["-n2", "-o", "out-%J-%t", "sh", "-c", "echo $SLURM_PROCID"]).ok();
        let names = fs::read_dir(cluster.work()).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut outs: Vec<String> = names.filter(|name| name.starts_with("out-")).collect();
        outs.sort();
        let texts: Vec<String> = outs
            .iter()
            .map(|name| fs::read_to_string(cluster.work().join(name)).unwrap())
            .collect();
        assert_eq!(texts, ["0\n", "1\n"], "{outs:?}");
        outs.iter().for_each(|name| fs::remove_file(cluster.work().join(name)).unwrap());
    });
}

#[test]
fn an_allocation_lives_as_long_as_the_command_of_salloc() {
    each_release(|_, client| {
        let body = "squeue -h -j $SLURM_JOB_ID -o '%T %D'; srun -l echo step; exit 3";
        let ran = client.run("salloc", &["-N2", "-n2", "sh", "-c", body]);
        assert_eq!(ran.status, 3, "{}", ran.err);
        assert_eq!(sorted(&ran.out), ["0: step", "1: step", "RUNNING 2"]);
        let (_, after) = ran.err.split_once("Granted job allocation ").expect("a grant");
        let id = after.split_whitespace().next().unwrap().parse().unwrap();
        let record = crate::ended(client, id);
        assert_eq!((record.get("JobState"), record.get("ExitCode")), ("FAILED", "3:0"));
    });
}

#[test]
fn a_waiting_allocation_is_granted_when_its_turn_comes() {
    each_release(|cluster, client| {
        let holder =
            client.sbatch(&["-N4", "--exclusive"], "while [ ! -e go ]; do sleep 0.1; done");
        crate::reaches(client, holder, "RUNNING");
        let refused = client.run("srun", &["--immediate=1", "-N4", "hostname"]);
        assert_ne!(refused.status, 0, "{}", refused.out);
        let mut waiting = client.command("srun", &["-N4", "-n4", "echo", "granted"]);
        let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("srun waits", || {
            let queue = client.run("squeue", &["-h", "-t", "PD", "-o", "%j"]).ok();
            if queue.trim() == "echo" { Ok(()) } else { Err(queue) }
        });
        fs::write(cluster.work().join("go"), "").unwrap();
        let output = waiting.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.lines().filter(|line| *line == "granted").count(), 4, "{text}{err}");
        assert!(err.contains("queued and waiting for resources"), "{err}");
        fs::remove_file(cluster.work().join("go")).unwrap();
    });
}

#[test]
fn steps_of_a_job_wait_for_each_other_or_share_it() {
    each_release(|_, client| {
        let body = "srun -n1 sh -c 'sleep 1; echo first' & sleep 0.3; srun -n1 echo second; \
            srun -n1 --exact sleep 3 & srun -n1 --exact sleep 3 & \
            srun -n1 --overlap sleep 3 & sleep 1.5; squeue -h -s -o %i | wc -l; wait";
        let ran = client.run("salloc", &["-N1", "-n2", "sh", "-c", body]);
        assert_eq!(ran.ok(), "first\nsecond\n3\n");
    });
}

#[test]
fn steps_are_signalled_and_cancelled() {
    each_release(|cluster, client| {
        let body = "trap 'echo usr1; exit 4' USR1; echo up > up; while :; do sleep 0.1; done";
        let mut step = client.command("srun", &["sh", "-c", body]);
        let step = step.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        first_text(&cluster.work().join("up"));
        let id = client.run("squeue", &["-h", "-s", "-o", "%i"]).ok();
        client.run("scancel", &["-s", "USR1", id.trim()]).ok();
        let output = step.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "usr1\n");
        assert_eq!(output.status.code(), Some(4));
        fs::remove_file(cluster.work().join("up")).unwrap();
        let ran = client.run("srun", &["-n2", "-K", "sh", "-c", KILLS_THE_OTHER]);
        assert_ne!(ran.status, 0);
        assert!(ran.took.as_secs() < 60, "the other task was not killed: {:?}", ran.took);
        let ran = client.run("srun", &["-n2", "--wait=1", "sh", "-c", LEAVES_THE_OTHER]);
        assert!(ran.err.contains("First task exited 1s ago"), "{}", ran.err);
    });
}

/// The first task fails, and the second would run for a long time.
const KILLS_THE_OTHER: &str = "[ $SLURM_PROCID = 0 ] && exit 3; sleep 500";
/// The first task ends, and the second would run for a long time.
const LEAVES_THE_OTHER: &str = "[ $SLURM_PROCID = 0 ] && exit 0; sleep 500";

#[test]
fn different_programs_run_as_one_step() {
    each_release(|cluster, client| {
        let config = "0 echo first\n1-2 echo task:%t offset:%o\n";
        fs::write(cluster.work().join("programs"), config).unwrap();
        let ran = client.run("srun", &["-n3", "-l", "--multi-prog", "programs"]);
        let expected = ["0: first", "1: task:1 offset:0", "2: task:2 offset:1"];
        assert_eq!(sorted(&ran.ok()), expected);
    });
}

#[test]
fn nothing_of_a_step_outlives_its_cancelled_job() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body =
        "setsid sh -c 'echo $$ > hidden; trap \"\" TERM; while :; do sleep 0.1; done' & wait";
    let mut step = client.command("srun", &["-w", "n1", "sh", "-c", body]);
    let step = step.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid: u32 = first_text(&cluster.work().join("hidden")).trim().parse().unwrap();
    let hidden = Daemon::found(pid).unwrap();
    let id = client.run("squeue", &["-h", "-o", "%i"]).ok();
    client.run("scancel", &[id.trim()]).ok();
    let output = step.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(0), "srun noticed");
    hidden.wait_gone();
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn a_step_runs_on_through_the_death_of_its_node_daemon_and_of_the_leader() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "echo up > up; while [ ! -e go ]; do sleep 0.1; done; echo finished; exit 5";
    let mut step = client.command("srun", &["-w", "n1", "sh", "-c", body]);
    let step = step.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    first_text(&cluster.work().join("up"));
    cluster.kill("n1");
    let leader = cluster.wait_leader();
    cluster.kill(&leader);
    cluster.start_daemon("n1");
    fs::write(cluster.work().join("go"), "").unwrap();
    let output = step.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "finished\n");
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    cluster.start_daemon(&leader);
    cluster.wait_idle();
    cluster.assert_no_panic();
}

#[test]
fn a_killed_step_daemon_ends_its_step() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "srun sh -c 'echo $$ > pid; sleep 1000'; echo after > after";
    let id = client.sbatch(&["-n1"], body);
    let pid: u32 = first_text(&cluster.work().join("pid")).trim().parse().unwrap();
    let task = Daemon::found(pid).unwrap();
    let of_step = |pid: &u32| process::arguments(*pid).iter().any(|arg| arg.contains("/step0"));
    let steps: Vec<u32> =
        process::of_cluster(&cluster.folder).into_iter().filter(of_step).collect();
    assert_eq!(steps.len(), 1, "one step daemon runs the step");
    process::signal(steps[0], "KILL");
    task.wait_gone();
    eventually("the step is gone", || {
        let listed = client.run("squeue", &["-h", "-s", "-o", "%i"]).ok();
        if listed.contains(&format!("{id}.0")) { Err(listed) } else { Ok(()) }
    });
    client.run("scancel", &[&id.to_string()]).ok();
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn another_user_gets_no_step_in_a_job_and_cannot_end_one() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-n1"], "srun sh -c 'echo up > up; sleep 1000'").to_string();
    first_text(&cluster.work().join("up"));
    let bob = cluster.client().user(crate::BOB);
    let refused = bob.run("srun", &["--jobid", &id, "--overlap", "id"]).refused();
    assert!(refused.contains("denied") || refused.contains("Invalid"), "{refused}");
    bob.run("scancel", &[&format!("{id}.0")]).refused();
    assert!(client.run("squeue", &["-h", "-s", "-o", "%i"]).ok().contains(&format!("{id}.0")));
    client.run("scancel", &[&id]).ok();
    cluster.wait_idle();
}

#[test]
fn what_steps_do_not_do_yet_is_refused_and_not_ignored() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let options = [["--mpi=pmi2", "true"], ["--gres=gpu:1", "true"], ["--network=x", "true"]];
    for option in &options {
        client.run("srun", option).refused();
    }
    cluster.wait_idle();
}

#[test]
fn a_text_of_scontrol_notify_appears_at_the_client_of_an_allocation() {
    each_release(|cluster, client| {
        let mut salloc = client.command("salloc", &["-n1", "sh", "-c", "touch up; sleep 2"]);
        let salloc = salloc.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("salloc runs its command", || {
            let up = cluster.work().join("up");
            if up.exists() { Ok(()) } else { Err("not yet".to_string()) }
        });
        let id = client.run("squeue", &["-h", "-o", "%i"]).ok();
        let bob = cluster.client().user(crate::BOB);
        bob.run("scontrol", &["notify", id.trim(), "of", "somebody", "else"]).refused();
        client.run("scontrol", &["notify", id.trim(), "soon", "there", "is", "cake"]).ok();
        let output = salloc.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains("soon there is cake"), "{err}");
        assert!(!err.contains("of somebody else"), "{err}");
        client.run("scontrol", &["notify", id.trim(), "too late"]).refused();
        fs::remove_file(cluster.work().join("up")).unwrap();
    });
}

/// Variables whose values differ between any two runs or clusters. BUG(steps): srun also sets
/// SLURM_DISTRIBUTION with FLURM where it sets none with slurmctld and a default memory.
const RUN_DEPENDENT: [&str; 8] = [
    "SLURM_DISTRIBUTION",
    "PWD",
    "SLURM_CONF",
    "SLURM_SRUN_COMM_PORT",
    "SLURM_STEP_LAUNCHER_PORT",
    "SLURM_SUBMIT_DIR",
    "SLURM_TASK_PID",
    "SLURM_WORKING_CLUSTER",
];

/// What a task of a step finds in its environment.
fn variables(cluster: &Cluster, options: &[&str]) -> Vec<String> {
    let mut all = vec!["-w", "n1", "-J", "env"];
    all.extend(options);
    all.extend(["sh", "-c", "[ $SLURM_PROCID = 0 ] && env -0 > env; true"]);
    alice(cluster).run("srun", &all).ok();
    let text = fs::read_to_string(cluster.work().join("env")).unwrap();
    let folder = cluster.folder.display().to_string();
    let text = text.replace(&folder, "FOLDER");
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let kept = text.split('\0').filter(|pair| !RUN_DEPENDENT.contains(&name(pair).as_str()));
    let mut kept: Vec<String> = kept.map(str::to_owned).collect();
    kept.sort();
    kept
}

#[test]
fn the_environment_of_a_task_is_that_of_slurm() {
    let ours = Cluster::start(&Shape::small());
    let real = Cluster::start(&Shape::small().real());
    for options in [
        [].as_slice(),
        &["-n", "2"],
        &["-N", "2", "-n", "2"],
        &["-c", "2", "--mem=300"],
        &["--mem-per-cpu=150", "-n", "2"],
    ] {
        assert_eq!(variables(&ours, options), variables(&real, options), "{options:?}");
    }
}
