//! Who may do what to whose job.

use flurm_tests::{Cluster, Shape};

use crate::{BOB, alice, ended, reaches};

/// Slurm has two ways to say no to the wrong user: one for most requests, one for updates.
fn denied(complaint: &str) -> bool {
    ["Access/permission denied", "Invalid user id"].iter().any(|words| complaint.contains(words))
}

#[test]
fn another_user_can_neither_cancel_nor_change_a_job() {
    let cluster = Cluster::start(&Shape::small());
    let (alice, bob) = (alice(&cluster), cluster.client().user(BOB));
    let id = alice.sbatch(&["-t", "10"], "sleep 300");
    reaches(&alice, id, "RUNNING");
    let number = id.to_string();
    let ran = bob.run("scancel", &[&number]);
    assert!(denied(&ran.err), "{ran:?}");
    for change in [
        vec!["hold", &number],
        vec!["release", &number],
        vec!["requeue", &number],
        vec!["update", "JobId", &number, "TimeLimit=5"],
        vec!["update", "JobId", &number, "JobName=stolen"],
    ] {
        let ran = bob.run("scontrol", &change);
        assert!(ran.status != 0, "{change:?}: {ran:?}");
        assert!(denied(&ran.err), "{change:?}: {ran:?}");
    }
    let record = alice.job(id);
    assert_eq!(record.get("JobState"), "RUNNING");
    assert_eq!(record.get("TimeLimit"), "00:10:00");
    assert_ne!(record.get("JobName"), "stolen");
}

#[test]
fn root_may_cancel_any_job() {
    let cluster = Cluster::start(&Shape::small());
    let alice = alice(&cluster);
    let id = alice.sbatch(&[], "sleep 300");
    reaches(&alice, id, "RUNNING");
    cluster.client().run("scancel", &[&id.to_string()]).ok();
    let record = ended(&alice, id);
    assert_eq!(record.get("JobState"), "CANCELLED");
}

#[test]
fn an_ordinary_user_cannot_change_nodes_or_partitions() {
    let cluster = Cluster::start(&Shape::small());
    let alice = alice(&cluster);
    for change in [
        vec!["update", "NodeName=n1", "State=DRAIN", "Reason=mine"],
        vec!["update", "PartitionName=main", "State=DOWN"],
        vec!["shutdown"],
        vec!["reconfigure"],
    ] {
        let ran = alice.run("scontrol", &change);
        assert!(ran.status != 0, "{change:?}: {ran:?}");
    }
    assert_eq!(alice.node("n1").get("State"), "IDLE");
    cluster.assert_healthy();
}

#[test]
fn an_ordinary_user_cannot_submit_for_another_or_raise_a_priority() {
    let cluster = Cluster::start(&Shape::small());
    let alice = alice(&cluster);
    let complaint = alice.try_sbatch(&["--uid=root"], "id").refused();
    assert!(!complaint.is_empty());
    let id = alice.sbatch(&["-H"], "exit 0");
    let before = alice.job(id).get("Priority").to_owned();
    let ran = alice.run("scontrol", &["update", "JobId", &id.to_string(), "Priority=4000000000"]);
    assert!(ran.status != 0, "{ran:?}");
    assert_eq!(alice.job(id).get("Priority"), before);
    let ran = alice.run("scontrol", &["update", "JobId", &id.to_string(), "Nice=-500"]);
    assert!(ran.status != 0, "{ran:?}");
}

#[test]
fn a_user_cannot_extend_a_running_jobs_time_limit_but_may_lower_it() {
    let cluster = Cluster::start(&Shape::small());
    let alice = alice(&cluster);
    let id = alice.sbatch(&["-t", "10"], "sleep 300");
    reaches(&alice, id, "RUNNING");
    let number = id.to_string();
    let update = |limit: &str| alice.run("scontrol", &["update", "JobId", &number, limit]);
    let ran = update("TimeLimit=20");
    assert!(denied(&ran.err), "{ran:?}");
    update("TimeLimit=5").ok();
    assert_eq!(alice.job(id).get("TimeLimit"), "00:05:00");
    cluster.client().run("scontrol", &["update", "JobId", &number, "TimeLimit=30"]).ok();
    assert_eq!(alice.job(id).get("TimeLimit"), "00:30:00");
}
