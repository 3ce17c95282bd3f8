//! Which nodes a job gets: features, node lists, partition lists, nodes to itself.

use flurm_tests::{Client, Cluster, Shape};

use crate::{BOB, each_release, ended, reaches};

/// Four nodes with features: `a,x a,y b,x b,y,z`.
fn featured(cluster: &Cluster) {
    let features = [("n1", "a,x"), ("n2", "a,y"), ("n3", "b,x"), ("n4", "b,y,z")];
    for (node, features) in features {
        let change =
            ["update", &format!("NodeName={node}"), &format!("AvailableFeatures={features}")];
        cluster.client().run("scontrol", &change).ok();
    }
}

/// Where a job with these options runs.
#[track_caller]
fn runs_on(client: &Client, options: &[&str]) -> String {
    let id = client.sbatch(options, "exit 0");
    ended(client, id).get("NodeList").to_owned()
}

#[track_caller]
fn refused(client: &Client, options: &[&str], words: &str) {
    let said = client.try_sbatch(options, "exit 0").refused();
    assert!(said.contains(words), "{options:?}: {said}");
}

const UNAVAILABLE: &str = "Requested node configuration is not available";

#[test]
fn a_constraint_chooses_the_nodes() {
    each_release(&Shape::small().nodes(4), |cluster, client| {
        featured(cluster);
        for (options, nodes) in [
            (&["-C", "z"][..], "n4"),
            (&["-C", "a&y"], "n2"),
            (&["-C", "b,x"], "n3"),
            (&["-N2", "-C", "y"], "n[2,4]"),
            (&["-N2", "-C", "z|(a&y)"], "n[2,4]"),
            (&["-N2", "-C", "[a|b]", "-x", "n1"], "n[3-4]"),
            (&["-N2", "-C", "[b|a]", "-x", "n4"], "n[1-2]"),
            (&["-N3", "-C", "[a*1&b*2]", "-x", "n1"], "n[2-4]"),
            (&["-N2", "-C", "z*1", "-x", "n1,n2"], "n[3-4]"),
            (&["-N2", "-C", "x&[a|b]", "-x", "n1", "-w", "n3"], ""),
        ] {
            if nodes.is_empty() {
                refused(client, options, UNAVAILABLE);
            } else {
                assert_eq!(runs_on(client, options), nodes, "{options:?}");
            }
        }
        for options in [
            &["-C", "a&b"][..],
            &["-N3", "-C", "[a|b]"],
            &["-N3", "-C", "[z*2&a*1]"],
            &["-N2", "-C", "[a|b]", "-x", "n1,n3"],
        ] {
            refused(client, options, UNAVAILABLE);
        }
    });
}

#[test]
fn a_constraint_that_means_nothing_is_refused() {
    each_release(&Shape::small().nodes(4), |cluster, client| {
        featured(cluster);
        for odd in
            ["nope", "a&nope", "a&&b", "[a", "(a", "a)", "[a&b]", "[a*1|b]", "a*0", "[a]&[b]"]
        {
            refused(client, &["-C", odd], "Invalid feature specification");
        }
        let id = client.sbatch(&["-H", "-C", "a"], "exit 0").to_string();
        let update = ["update", "JobId", &id, "Features=nope"];
        let said = client.run("scontrol", &update).refused();
        assert!(said.contains("Invalid feature specification"), "{said}");
        client.run("scontrol", &["update", "JobId", &id, "Features=z"]).ok();
        client.run("scontrol", &["release", &id]).ok();
        assert_eq!(ended(client, id.parse().unwrap()).get("NodeList"), "n4");
    });
}

#[test]
fn preferred_features_are_taken_where_there_is_room() {
    each_release(&Shape::small().nodes(4), |cluster, client| {
        featured(cluster);
        assert_eq!(runs_on(client, &["--prefer=z"]), "n4");
        let busy = client.sbatch(&["-w", "n4", "--exclusive"], "sleep 300");
        reaches(client, busy, "RUNNING");
        assert_ne!(runs_on(client, &["--prefer=z"]), "n4");
        refused(client, &["--prefer=nope"], "Invalid");
        client.run("scancel", &[&busy.to_string()]).ok();
        cluster.wait_idle();
    });
}

#[test]
fn named_nodes_are_taken_and_excluded_ones_are_not() {
    each_release(&Shape::small(), |cluster, client| {
        assert_eq!(runs_on(client, &["-w", "n2"]), "n2");
        assert_eq!(runs_on(client, &["-x", "n1"]), "n2");
        assert_eq!(runs_on(client, &["-N2", "-w", "n2"]), "n[1-2]");
        refused(client, &["-x", "n[1-2]"], UNAVAILABLE);
        refused(client, &["-w", "n2", "-x", "n2"], "Invalid node name specified");
        refused(client, &["-w", "n9"], "Invalid node name specified");
        cluster.wait_idle();
    });
}

#[test]
fn the_first_partition_with_room_takes_the_job() {
    let shape = Shape::small()
        .partition("PartitionName=one Nodes=n1")
        .partition("PartitionName=two Nodes=n2");
    each_release(&shape, |cluster, client| {
        let first = client.sbatch(&["-p", "one,two", "--exclusive"], "sleep 300");
        let second = client.sbatch(&["-p", "one,two", "--exclusive"], "sleep 300");
        let partition = |id| reaches(client, id, "RUNNING").get("Partition").to_owned();
        assert_eq!((&*partition(first), &*partition(second)), ("one", "two"));
        let third = client.sbatch(&["-p", "two,one"], "exit 0");
        assert_eq!(client.job(third).get("Partition"), "two,one");
        client.run("scancel", &[&first.to_string()]).ok();
        assert_eq!(ended(client, third).get("Partition"), "one");
        client.run("scancel", &[&second.to_string()]).ok();
        refused(client, &["-p", "one,none"], "Invalid partition name specified");
        refused(client, &["-p", "one", "-w", "n2"], "");
        cluster.wait_idle();
    });
}

#[test]
fn an_exclusive_job_has_its_node_to_itself() {
    each_release(&Shape::small().nodes(1), |cluster, client| {
        let alone = client.sbatch(&["-n1", "--exclusive"], "sleep 300");
        let record = reaches(client, alone, "RUNNING");
        assert_eq!((record.get("NumCPUs"), record.get("OverSubscribe")), ("4", "NO"));
        let waits = client.sbatch(&["-n1", "--oversubscribe"], "exit 0");
        assert_eq!(client.job(waits).get("JobState"), "PENDING");
        assert_eq!(client.job(waits).get("OverSubscribe"), "YES");
        client.run("scancel", &[&alone.to_string()]).ok();
        assert_eq!(ended(client, waits).get("JobState"), "COMPLETED");
        cluster.wait_idle();
    });
}

#[test]
fn jobs_of_one_user_may_keep_the_others_off() {
    each_release(&Shape::small().nodes(1), |cluster, client| {
        let bob = cluster.client().release(client.of_release()).user(BOB);
        let apart = client.sbatch(&["-n1", "--exclusive=user"], "sleep 300");
        let record = reaches(client, apart, "RUNNING");
        // 26.05 tells the two apart.
        let shown = record.find("Exclusive").unwrap_or(record.get("OverSubscribe"));
        assert_eq!((record.get("NumCPUs"), shown.to_uppercase().as_str()), ("1", "USER"));
        let other = bob.sbatch(&["-n1", "-o", "/dev/null"], "sleep 300");
        let own = client.sbatch(&["-n1"], "exit 0");
        assert_eq!(ended(client, own).get("JobState"), "COMPLETED");
        assert_eq!(client.job(other).get("JobState"), "PENDING");
        client.run("scancel", &[&apart.to_string()]).ok();
        reaches(client, other, "RUNNING");
        let apart = client.sbatch(&["-n1", "--exclusive=user"], "exit 0");
        let own = client.sbatch(&["-n1", "--begin=now"], "exit 0");
        assert_eq!(client.job(apart).get("JobState"), "PENDING");
        bob.run("scancel", &[&other.to_string()]).ok();
        for job in [apart, own] {
            assert_eq!(ended(client, job).get("JobState"), "COMPLETED");
        }
        cluster.wait_idle();
    });
}
