//! What operators do to nodes and partitions while the cluster runs.

use std::time::Duration;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Shape, eventually, eventually_within};

use crate::{alice, each_release, ended, reaches};

/// `scontrol update`, as root, of the same release as `like`.
fn change(root: &Client, arguments: &[&str]) {
    root.run("scontrol", &[&["update"], arguments].concat()).ok();
}

/// The complaint of a change that is refused.
#[track_caller]
fn complaint(client: &Client, arguments: &[&str]) -> String {
    let ran = client.run("scontrol", arguments);
    assert!(ran.status != 0, "{arguments:?}: {ran:?}");
    ran.err + &ran.out
}

#[track_caller]
fn refused(client: &Client, arguments: &[&str], words: &str) {
    let said = complaint(client, arguments);
    assert!(said.contains(words), "{arguments:?}: {said}");
}

/// What sinfo says of the node `n1` in one field.
fn told(client: &Client, field: &str) -> String {
    client.run("sinfo", &["-h", "-p", "main", "-n", "n1", "-o", field]).ok().trim().to_owned()
}

fn root(cluster: &Cluster, like: &Client) -> Client {
    cluster.client().release(like.of_release())
}

/// Waits until scontrol shows `n1` in a state.
fn is_in(client: &Client, state: &str) {
    eventually(&format!("n1 is {state}"), || {
        let record = client.node("n1");
        if record.get("State") == state { Ok(()) } else { Err(record) }
    });
}

#[test]
fn a_node_goes_through_every_state_that_an_operator_can_give_it() {
    each_release(&Shape::small().line("ReturnToService=0"), |cluster, client| {
        let root = root(cluster, client);
        change(&root, &["NodeName=n1", "State=DRAIN", "Reason=a new disk"]);
        is_in(client, "IDLE+DRAIN");
        assert!(client.node("n1").get("Reason").starts_with("a new disk [root@"));
        assert_eq!(told(client, "%T"), "drained");
        let listed = client.run("sinfo", &["-h", "-R", "-o", "%E|%u|%N"]).ok();
        assert_eq!(listed.trim(), "a new disk|root|n1");
        change(&root, &["NodeName=n1", "Reason=a newer disk"]);
        assert_eq!(told(client, "%E"), "a newer disk");
        change(&root, &["NodeName=n1", "State=UNDRAIN"]);
        is_in(client, "IDLE");
        assert_eq!(told(client, "%E"), "none");
        change(&root, &["NodeName=n1", "State=FAIL", "Reason=it smells"]);
        is_in(client, "IDLE+FAIL");
        assert_eq!(told(client, "%T"), "fail");
        change(&root, &["NodeName=n1", "State=RESUME"]);
        is_in(client, "IDLE");
        change(&root, &["NodeName=n1", "State=DOWN", "Reason=smoke"]);
        assert!(client.node("n1").get("State").starts_with("DOWN"));
        assert_eq!(told(client, "%T %E"), "down smoke");
        change(&root, &["NodeName=n1", "State=IDLE"]);
        is_in(client, "IDLE");
        assert_eq!(client.run("sinfo", &["-h", "-R", "-o", "%E"]).ok().trim(), "");
        change(&root, &["NodeName=n1", "Reason=nothing is wrong"]);
        assert_eq!(told(client, "%E"), "none", "a node in service has no reason");
        let resume = complaint(&root, &["update", "NodeName=n1", "State=RESUME"]);
        assert!(resume.contains("Invalid node state"), "{resume}");
        cluster.wait_idle();
    });
}

#[test]
fn nodes_have_weights_features_and_notes() {
    each_release(&Shape::small(), |cluster, client| {
        let root = root(cluster, client);
        let shown = |key: &str| client.node("n1").get(key).to_owned();
        change(&root, &["NodeName=n[1-2]", "Weight=7"]);
        assert_eq!((&*shown("Weight"), client.node("n2").get("Weight")), ("7", "7"));
        change(&root, &["NodeName=n1", "Weight=1", "Comment=by the door", "Extra=a=b"]);
        assert_eq!(shown("Comment"), "by the door");
        assert_eq!(shown("Extra"), "a=b");
        change(&root, &["NodeName=n1", "AvailableFeatures=fast,big"]);
        assert_eq!(
            (&*shown("AvailableFeatures"), &*shown("ActiveFeatures")),
            ("fast,big", "fast,big")
        );
        change(&root, &["NodeName=n1", "ActiveFeatures=big"]);
        assert_eq!((&*shown("AvailableFeatures"), &*shown("ActiveFeatures")), ("fast,big", "big"));
        let words = "Active features not subset of available features";
        refused(&root, &["update", "NodeName=n1", "ActiveFeatures=slow"], words);
        let said = client.try_sbatch(&["-C", "fast"], "exit 0").refused();
        assert!(said.contains("Requested node configuration is not available"), "{said}");
        let runs = client.sbatch(&["-C", "big"], "exit 0");
        assert_eq!(ended(client, runs).get("NodeList"), "n1");
        change(&root, &["NodeName=n1", "ActiveFeatures=big,fast"]);
        let runs = client.sbatch(&["-C", "fast"], "exit 0");
        assert_eq!(ended(client, runs).get("NodeList"), "n1");
        change(
            &root,
            &[
                "NodeName=n[1-2]",
                "AvailableFeatures=",
                "ActiveFeatures=",
                "Comment=",
                "Extra=",
                "Weight=1",
            ],
        );
        assert_eq!(
            (&*shown("AvailableFeatures"), client.node("n1").find("Comment")),
            ("(null)", None)
        );
    });
}

#[test]
fn only_an_administrator_changes_nodes_and_partitions() {
    each_release(&Shape::small(), |cluster, client| {
        for change in [
            vec!["update", "NodeName=n1", "State=DRAIN", "Reason=mine"],
            vec!["update", "PartitionName=main", "State=DOWN"],
            vec!["create", "PartitionName=mine", "Nodes=n1"],
            vec!["delete", "PartitionName=main"],
        ] {
            refused(client, &change, "Invalid user id");
        }
        let root = root(cluster, client);
        let unknown = ["update", "NodeName=n[1-9]", "State=DRAIN", "Reason=x"];
        refused(&root, &unknown, "Invalid node name specified");
        change(&root, &["NodeName=n[1-2]", "State=UNDRAIN"]);
        refused(&root, &["update", "PartitionName=no", "State=UP"], "Invalid partition name");
        refused(&root, &["create", "PartitionName=main"], "Invalid partition name");
        refused(&root, &["delete", "PartitionName=no"], "Invalid partition name");
        assert!(client.node("n1").get("State").starts_with("IDLE"));
        cluster.wait_idle();
    });
}

#[test]
fn a_job_that_may_not_be_requeued_ends_with_its_node() {
    let cluster = Cluster::start(&Shape::small().line("ReturnToService=0"));
    let (client, root) = (alice(&cluster), cluster.client());
    let lost = client.sbatch(&["-w", "n1", "--no-requeue"], "sleep 300");
    let kept = client.sbatch(&["-w", "n2", "--no-requeue"], "sleep 300");
    reaches(&client, lost, "RUNNING");
    reaches(&client, kept, "RUNNING");
    change(&root, &["NodeName=n1", "State=DOWN", "Reason=smoke"]);
    let record = ended(&client, lost);
    assert_eq!((record.get("JobState"), record.get("Reason")), ("NODE_FAIL", "NodeDown"));
    assert_eq!(client.job(kept).get("JobState"), "RUNNING");
    change(&root, &["NodeName=n1", "State=RESUME"]);
    client.run("scancel", &[&kept.to_string()]).ok();
    cluster.wait_idle();
}

#[test]
fn a_partition_is_made_opened_closed_and_taken_away() {
    each_release(&Shape::small(), |cluster, client| {
        let root = root(cluster, client);
        let create = ["create", "PartitionName=side", "Nodes=n2", "MaxTime=60", "MaxNodes=1"];
        root.run("scontrol", &create).ok();
        let shown = |key: &str| {
            let text = client.run("scontrol", &["show", "partition", "side"]).ok();
            flurm_tests::Record::parse(&text).get(key).to_owned()
        };
        assert_eq!(
            (&*shown("MaxTime"), &*shown("MaxNodes"), &*shown("State")),
            ("01:00:00", "1", "UP")
        );
        let runs = client.sbatch(&["-p", "side"], "exit 0");
        assert_eq!(ended(client, runs).get("NodeList"), "n2");
        let busy = client.sbatch(&["-p", "side"], "sleep 300");
        reaches(client, busy, "RUNNING");
        change(&root, &["PartitionName=side", "State=DOWN"]);
        assert_eq!(client.run("sinfo", &["-h", "-p", "side", "-o", "%a"]).ok().trim(), "down");
        let waits = client.sbatch(&["-p", "side"], "exit 0");
        waits_for(client, waits, "PartitionDown");
        assert_eq!(client.job(busy).get("JobState"), "RUNNING", "what runs goes on");
        change(&root, &["PartitionName=side", "State=INACTIVE"]);
        waits_for(client, waits, "PartitionInactive");
        let closed = "Required partition not available (inactive or drain)";
        let said = client.try_sbatch(&["-p", "side"], "exit 0").refused();
        assert!(said.contains(closed), "{said}");
        change(&root, &["PartitionName=side", "State=DRAIN"]);
        let said = client.try_sbatch(&["-p", "side"], "exit 0").refused();
        assert!(said.contains(closed), "{said}");
        refused(&root, &["delete", "PartitionName=side"], "Partition is in use");
        assert_eq!(ended(client, waits).get("JobState"), "COMPLETED", "what waited still runs");
        client.run("scancel", &[&busy.to_string()]).ok();
        ended(client, busy);
        eventually("the partition can go", || {
            let ran = root.run("scontrol", &["delete", "PartitionName=side"]);
            if ran.status == 0 { Ok(()) } else { Err(ran) }
        });
        let said = client.try_sbatch(&["-p", "side"], "exit 0").refused();
        assert!(said.contains("Invalid partition name specified"), "{said}");
        assert_eq!(client.job(runs).get("Partition"), "side", "its past stays");
        cluster.wait_idle();
    });
}

/// Waits until a job is said to wait for something.
#[track_caller]
fn waits_for(client: &Client, id: u32, reason: &str) {
    eventually_within(Duration::from_secs(90), &format!("job {id} waits for {reason}"), || {
        let record = client.job(id);
        if record.get("Reason") == reason { Ok(()) } else { Err(record) }
    });
}

#[test]
fn limits_of_a_partition_hold_back_what_they_meet() {
    let cluster = Cluster::start(&Shape::small().partition("PartitionName=side Nodes=ALL"));
    let (client, root) = (alice(&cluster), cluster.client());
    change(&root, &["PartitionName=side", "MaxTime=10", "MaxNodes=1"]);
    let long = client.sbatch(&["-p", "side", "-t", "20"], "exit 0");
    let wide = client.sbatch(&["-p", "side", "-t", "5", "-N", "2"], "exit 0");
    waits_for(&client, long, "PartitionTimeLimit");
    waits_for(&client, wide, "PartitionNodeLimit");
    change(&root, &["PartitionName=side", "MaxTime=INFINITE", "MaxNodes=UNLIMITED"]);
    for id in [long, wide] {
        assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    }
    change(&root, &["PartitionName=side", "DefaultTime=7"]);
    let short = client.sbatch(&["-p", "side", "-H"], "exit 0");
    assert_eq!(client.job(short).get("TimeLimit"), "00:07:00");
}

#[test]
fn a_partition_is_opened_to_some_and_closed_to_others() {
    each_release(&Shape::small().partition("PartitionName=side Nodes=ALL"), |cluster, client| {
        let root = root(cluster, client);
        let tries = |client: &Client, options: &[&str]| {
            let ran = client.try_sbatch(&[&["-p", "side", "-H"], options].concat(), "exit 0");
            if ran.status == 0 { String::new() } else { ran.err }
        };
        change(&root, &["PartitionName=side", "AllowGroups=daemon"]);
        let said = tries(client, &[]);
        assert!(said.contains("User's group not permitted to use this partition"), "{said}");
        change(&root, &["PartitionName=side", "AllowGroups=ALL"]);
        assert_eq!(tries(client, &[]), "");
        change(&root, &["PartitionName=side", "AllowAccounts=physics"]);
        let accounts = [(&["-A", "physics"][..], true), (&["-A", "law"], false)];
        for (account, passes) in accounts {
            // Slurm keeps these lists only where associations are enforced.
            let passes = passes || against_slurm();
            assert_eq!(tries(client, account).is_empty(), passes, "{account:?}");
        }
        change(&root, &["PartitionName=side", "AllowAccounts=ALL", "DenyAccounts=law"]);
        for (account, passes) in accounts {
            // Slurm keeps these lists only where associations are enforced.
            let passes = passes || against_slurm();
            assert_eq!(tries(client, account).is_empty(), passes, "{account:?}");
        }
        change(&root, &["PartitionName=side", "DenyAccounts=", "RootOnly=YES"]);
        let said = tries(client, &[]);
        assert!(said.contains("Access/permission denied"), "{said}");
        assert_eq!(tries(&root, &["-o", "/dev/null"]), "");
        change(&root, &["PartitionName=side", "RootOnly=NO", "Hidden=YES"]);
        let listed = |options: &[&str]| {
            let text = client.run("sinfo", &[&["-h", "-o", "%R"], options].concat()).ok();
            text.contains("side")
        };
        assert!(!listed(&[]) && listed(&["-a"]), "hidden but on demand");
        change(&root, &["PartitionName=side", "Hidden=NO", "Default=YES"]);
        let id = client.sbatch(&["-H"], "exit 0");
        assert_eq!(client.job(id).get("Partition"), "side");
        change(&root, &["PartitionName=main", "Default=YES"]);
        assert_eq!(client.run("sinfo", &["-h", "-o", "%P"]).ok().matches('*').count(), 1);
        for owner in [crate::ALICE, "root"] {
            cluster.client().run("scancel", &["-u", owner]).ok();
        }
    });
}

#[test]
fn changes_of_nodes_and_partitions_outlive_their_controllers() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let (client, root) = (alice(&cluster), cluster.client());
    change(&root, &["NodeName=n1", "AvailableFeatures=fast,big"]);
    change(&root, &["NodeName=n1", "ActiveFeatures=big", "Extra=kept"]);
    change(&root, &["NodeName=n2", "State=DRAIN", "Reason=a new disk"]);
    root.run("scontrol", &["create", "PartitionName=side", "Nodes=n1", "MaxTime=60"]).ok();
    for name in cluster.controller_names() {
        cluster.kill(&name);
    }
    for name in cluster.controller_names() {
        cluster.start_daemon(&name);
    }
    cluster.wait_leader();
    let node = client.node("n1");
    assert_eq!((node.get("ActiveFeatures"), node.get("Extra")), ("big", "kept"));
    assert!(client.node("n2").get("Reason").starts_with("a new disk [root@"));
    let id = client.sbatch(&["-p", "side", "-C", "big"], "exit 0");
    assert_eq!(ended(&client, id).get("NodeList"), "n1");
    cluster.assert_healthy();
}
