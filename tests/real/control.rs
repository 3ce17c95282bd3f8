//! Cancelling, holding, releasing, requeueing and changing jobs.

use std::fs;

use flurm_tests::conf::against_slurm;
use flurm_tests::process::{self, Daemon};
use flurm_tests::{Cluster, Shape, eventually, eventually_within};
use std::time::Duration;

use crate::{alice, ended, first_text, reaches};

#[test]
fn scancel_ends_the_whole_process_tree() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let tree = "\
        trap '' TERM HUP\n\
        setsid sh -c 'trap \"\" TERM HUP; echo $$ >> pids; sleep 1000 & echo $! >> pids; wait' &\n\
        (setsid sh -c 'echo $$ >> pids; sleep 1000' &) &\n\
        echo $$ >> pids; sleep 0.5; echo ready > ready; sleep 1000";
    let id = client.sbatch(&[], tree);
    first_text(&cluster.work().join("ready"));
    let text = fs::read_to_string(cluster.work().join("pids")).unwrap();
    let running: Vec<Daemon> =
        text.lines().filter_map(|pid| Daemon::found(pid.parse().unwrap())).collect();
    assert_eq!(running.len(), 4, "the whole tree runs: {text}");
    client.run("scancel", &[&id.to_string()]).ok();
    assert_eq!(ended(&client, id).get("JobState"), "CANCELLED");
    cluster.wait_idle();
    let left: Vec<_> = running.iter().filter(|one| one.alive()).collect();
    // Slurm's own linuxproc tracker loses the one that was orphaned into a session of its own.
    let lost = usize::from(against_slurm());
    assert!(left.len() <= lost, "still running: {left:?}");
    left.iter().for_each(|one| one.kill());
}

#[test]
fn a_cancelled_job_has_kill_wait_to_tidy_up() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "trap 'echo tidied > tidy; exit 3' TERM\necho begun > begun\nsleep 100 & wait";
    let id = client.sbatch(&[], body);
    first_text(&cluster.work().join("begun"));
    client.run("scancel", &[&id.to_string()]).ok();
    let record = ended(&client, id);
    assert_eq!(record.get("JobState"), "CANCELLED");
    assert_eq!(first_text(&cluster.work().join("tidy")), "tidied\n");
}

#[test]
fn a_pending_job_is_cancelled_and_never_runs() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-H"], "touch ran");
    client.run("scancel", &[&id.to_string()]).ok();
    let record = ended(&client, id);
    assert_eq!(record.get("JobState"), "CANCELLED");
    assert_eq!(record.get("ExitCode"), "0:0");
    let again = client.run("scontrol", &["release", &id.to_string()]);
    assert!(again.status != 0, "{again:?}");
    assert!(!cluster.work().join("ran").exists());
}

#[test]
fn a_chosen_signal_reaches_the_batch_script() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "trap 'echo got > got' USR1\necho begun > begun\n\
        while [ ! -e got ]; do sleep 0.1; done";
    let id = client.sbatch(&[], body);
    first_text(&cluster.work().join("begun"));
    client.run("scancel", &["--batch", "--signal=USR1", &id.to_string()]).ok();
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    assert_eq!(first_text(&cluster.work().join("got")), "got\n");
}

#[test]
fn scancel_by_user_and_state_takes_only_those_jobs() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let held = client.sbatch(&["-H"], "exit 0");
    let running = client.sbatch(&[], "sleep 300");
    let foreign = cluster.client().sbatch(&[], "sleep 300");
    reaches(&client, running, "RUNNING");
    reaches(&client, foreign, "RUNNING");
    cluster.client().run("scancel", &["-u", crate::ALICE, "-t", "PENDING"]).ok();
    assert_eq!(ended(&client, held).get("JobState"), "CANCELLED");
    assert_eq!(client.job(running).get("JobState"), "RUNNING");
    cluster.client().run("scancel", &["-u", crate::ALICE]).ok();
    assert_eq!(ended(&client, running).get("JobState"), "CANCELLED");
    assert_eq!(client.job(foreign).get("JobState"), "RUNNING");
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let blocker = client.sbatch(&["-N", "2", "--exclusive"], "sleep 300");
    reaches(&client, blocker, "RUNNING");
    let id = client.sbatch(&[], "exit 0");
    let number = id.to_string();
    client.run("scontrol", &["hold", &number]).ok();
    let held = client.job(id);
    assert_eq!((held.get("Priority"), held.get("Reason")), ("0", "JobHeldUser"));
    client.run("scancel", &[&blocker.to_string()]).ok();
    cluster.wait_idle();
    assert_eq!(client.job(id).get("JobState"), "PENDING");
    client.run("scontrol", &["release", &number]).ok();
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
}

#[test]
fn a_job_held_by_root_is_not_released_by_its_owner() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["--begin=now+1hour"], "exit 0");
    let number = id.to_string();
    cluster.client().run("scontrol", &["hold", &number]).ok();
    assert_eq!(client.job(id).get("Reason"), "JobHeldAdmin");
    let ran = client.run("scontrol", &["release", &number]);
    assert!(ran.status != 0, "{ran:?}");
    assert_eq!(client.job(id).get("Reason"), "JobHeldAdmin");
}

#[test]
fn a_requeued_job_runs_again_with_its_restart_counted() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "echo ${SLURM_RESTART_COUNT:-0} >> runs; [ -e second ] || { sleep 300; }";
    let id = client.sbatch(&[], body);
    first_text(&cluster.work().join("runs"));
    fs::write(cluster.work().join("second"), "").unwrap();
    client.run("scontrol", &["requeue", &id.to_string()]).ok();
    // Slurm delays a requeued batch job so that its node can settle.
    let record = eventually_within(Duration::from_secs(180), "the second run ends", || {
        let record = client.job(id);
        if record.get("JobState") == "COMPLETED" { Ok(record) } else { Err(record) }
    });
    assert_eq!(record.get("Restarts"), "1");
    assert_eq!(fs::read_to_string(cluster.work().join("runs")).unwrap(), "0\n1\n");
}

#[test]
fn a_job_requeued_and_held_waits_in_the_state_it_was_given() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    for (state, shown) in
        [(&["requeuehold"][..], "PENDING"), (&["requeuehold", "State=SpecialExit"], "SPECIAL_EXIT")]
    {
        let id = client.sbatch(&[], "[ -e go ] || sleep 300");
        let number = id.to_string();
        reaches(&client, id, "RUNNING");
        client.run("scontrol", &[state, &[&number]].concat()).ok();
        let held = eventually_within(Duration::from_secs(60), "the job is held", || {
            let record = client.job(id);
            if record.get("JobState") == shown { Ok(record) } else { Err(record) }
        });
        assert_eq!(held.get("Restarts"), "1");
        let reasons = ["JobHeldUser", "job_requeued_in_held_state"];
        assert!(reasons.contains(&held.get("Reason")), "{held:?}");
        assert_eq!(held.get("Priority"), "0");
        client.run("scancel", &[&number]).ok();
        assert_eq!(ended(&client, id).get("JobState"), "CANCELLED");
    }
}

#[test]
fn pending_jobs_can_be_changed_by_their_owner() {
    let cluster = Cluster::start(&Shape::small().partition("PartitionName=side Nodes=n2"));
    let client = alice(&cluster);
    let id = client.sbatch(&["-H", "-t", "5"], "exit 0");
    let number = id.to_string();
    for (change, key, value) in [
        ("TimeLimit=9", "TimeLimit", "00:09:00"),
        ("JobName=renamed", "JobName", "renamed"),
        ("Partition=side", "Partition", "side"),
        ("Comment=noted", "Comment", "noted"),
        ("Nice=100", "Nice", "100"),
    ] {
        client.run("scontrol", &["update", "JobId", &number, change]).ok();
        assert_eq!(client.job(id).get(key), value, "{change}");
    }
    client.run("scontrol", &["release", &number]).ok();
    assert_eq!(ended(&client, id).get("NodeList"), "n2");
}

#[test]
fn a_job_over_its_time_limit_is_ended() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-t", "1"], "trap '' TERM; sleep 1000 & wait; sleep 1000");
    reaches(&client, id, "RUNNING");
    let record = eventually_within(Duration::from_secs(150), "the time limit strikes", || {
        let record = client.job(id);
        if record.ended() { Ok(record) } else { Err(record) }
    });
    assert_eq!(record.get("JobState"), "TIMEOUT");
    assert_eq!(record.get("Reason"), "TimeLimit");
    assert_eq!(record.get("ExitCode"), "0:9", "it ignored SIGTERM");
    cluster.wait_idle();
    let jobs = process::of_cluster(&cluster.folder)
        .into_iter()
        .filter(|pid| process::arguments(*pid).iter().any(|argument| argument == "1000"));
    assert_eq!(jobs.count(), 0, "the job's processes are gone");
}

#[test]
fn a_job_waits_for_its_begin_time() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["--begin=now+5"], "exit 0");
    let record = client.job(id);
    assert_eq!((record.get("JobState"), record.get("Reason")), ("PENDING", "BeginTime"));
    eventually("it runs after its begin time", || {
        let record = client.job(id);
        if record.get("JobState") == "COMPLETED" { Ok(()) } else { Err(record) }
    });
}
