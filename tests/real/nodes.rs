//! Node daemons that stop, die and come back; nodes that are drained and resumed.

use std::fs;

use flurm_tests::conf::against_slurm;
use flurm_tests::process::{self, Daemon};
use flurm_tests::{Cluster, Shape, eventually};

use crate::{alice, ended, first_text, reaches};

/// A job that runs until the file `go` appears, and tells its process id.
const UNTIL_GO: &str = "echo $$ > pid; while [ ! -e go ]; do sleep 0.1; done; echo done > done";

#[test]
fn a_restarted_node_daemon_finds_its_running_job_again() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], UNTIL_GO);
    first_text(&cluster.work().join("pid"));
    cluster.stop("n1");
    assert_eq!(client.job(id).get("JobState"), "RUNNING");
    cluster.start_daemon("n1");
    fs::write(cluster.work().join("go"), "").unwrap();
    let record = ended(&client, id);
    assert_eq!((record.get("JobState"), record.get("Restarts")), ("COMPLETED", "0"));
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn a_job_that_ends_while_its_node_daemon_is_dead_is_reported_once_it_is_back() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], &format!("{UNTIL_GO}; exit 5"));
    first_text(&cluster.work().join("pid"));
    cluster.kill("n1");
    fs::write(cluster.work().join("go"), "").unwrap();
    first_text(&cluster.work().join("done"));
    cluster.start_daemon("n1");
    let record = ended(&client, id);
    assert_eq!((record.get("JobState"), record.get("ExitCode")), ("FAILED", "5:0"));
    assert_eq!(record.get("Restarts"), "0");
    cluster.wait_idle();
}

#[test]
fn a_job_is_cancelled_after_its_node_daemon_was_killed_and_came_back() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], UNTIL_GO);
    let pid: u32 = first_text(&cluster.work().join("pid")).trim().parse().unwrap();
    let script = Daemon::found(pid).unwrap();
    cluster.kill("n1");
    client.run("scancel", &[&id.to_string()]).ok();
    assert!(script.alive(), "nobody could end it yet");
    cluster.start_daemon("n1");
    assert_eq!(ended(&client, id).get("JobState"), "CANCELLED");
    cluster.wait_idle();
    script.wait_gone();
}

#[test]
fn a_killed_step_daemon_ends_its_job_and_frees_the_node() {
    // Slurm itself notices the loss of a step daemon only when it next asks the node for the job.
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1", "--no-requeue"], "echo $$ > pid; sleep 1000");
    first_text(&cluster.work().join("pid"));
    let steps: Vec<u32> = process::of_cluster(&cluster.folder)
        .into_iter()
        .filter(|pid| process::arguments(*pid).first().is_some_and(|name| name.contains("stepd")))
        .collect();
    assert_eq!(steps.len(), 1, "one step daemon runs");
    process::signal(steps[0], "KILL");
    let record = ended(&client, id);
    assert!(["FAILED", "NODE_FAIL", "CANCELLED"].contains(&record.get("JobState")), "{record:?}");
    cluster.wait_idle();
}

#[test]
fn a_drained_node_gets_no_job_and_a_resumed_one_does() {
    let cluster = Cluster::start(&Shape::small().nodes(1));
    let (client, root) = (alice(&cluster), cluster.client());
    let running = client.sbatch(&[], UNTIL_GO);
    reaches(&client, running, "RUNNING");
    root.run("scontrol", &["update", "NodeName=n1", "State=DRAIN", "Reason=a new disk"]).ok();
    assert_eq!(client.node("n1").get("State"), "MIXED+DRAIN");
    assert!(client.node("n1").get("Reason").starts_with("a new disk [root@"));
    let waiting = client.sbatch(&[], "exit 0");
    fs::write(cluster.work().join("go"), "").unwrap();
    assert_eq!(ended(&client, running).get("JobState"), "COMPLETED");
    eventually("the node is drained", || {
        let record = client.node("n1");
        if record.get("State") == "IDLE+DRAIN" { Ok(()) } else { Err(record) }
    });
    assert_eq!(client.run("sinfo", &["-h", "-o", "%t"]).ok().trim(), "drain");
    assert_eq!(client.job(waiting).get("JobState"), "PENDING");
    root.run("scontrol", &["update", "NodeName=n1", "State=RESUME"]).ok();
    assert_eq!(ended(&client, waiting).get("JobState"), "COMPLETED");
}

#[test]
fn a_job_of_a_node_set_down_is_requeued_and_runs_elsewhere() {
    // The node daemon lives; with another setting its next registration ends the DOWN state.
    let cluster = Cluster::start(&Shape::small().line("ReturnToService=0"));
    let (client, root) = (alice(&cluster), cluster.client());
    let id = client.sbatch(&["--requeue"], "echo $SLURMD_NODENAME >> ran; sleep 2");
    let first = reaches(&client, id, "RUNNING").get("NodeList").to_owned();
    let update = format!("NodeName={first}");
    root.run("scontrol", &["update", &update, "State=DOWN", "Reason=smoke"]).ok();
    let state = client.node(&first).get("State").to_owned();
    assert!(state.starts_with("DOWN"), "{state}");
    let record = flurm_tests::eventually_within(
        std::time::Duration::from_secs(180),
        "the second run ends",
        || {
            let record = client.job(id);
            if record.get("JobState") == "COMPLETED" { Ok(record) } else { Err(record) }
        },
    );
    assert_ne!(record.get("NodeList"), first);
    assert_eq!(record.get("Restarts"), "1");
}
