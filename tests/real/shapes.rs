//! The size of a job, and what it says of itself.

use std::time::Instant;

use flurm_tests::{Client, Cluster, Shape};

use crate::{alice, each_release, ended, reaches};

const UNAVAILABLE: &str = "Requested node configuration is not available";

/// Four nodes of four CPUs.
fn shape() -> Shape {
    Shape::small().nodes(4)
}

#[track_caller]
fn shown(client: &Client, options: &[&str], keys: &[&str]) -> Vec<String> {
    let id = client.sbatch(options, "exit 0");
    let record = ended(client, id);
    keys.iter().map(|key| record.get(key).to_owned()).collect()
}

#[test]
fn a_job_gets_the_cpus_and_tasks_it_asks_for() {
    each_release(&shape(), |_, client| {
        for (options, wanted) in [
            (&["-n3"][..], ["1", "3", "3"]),
            (&["-n2", "-c2"], ["1", "4", "2"]),
            (&["-c3"], ["1", "3", "1"]),
            (&["-N2"], ["2", "2", "2"]),
            (&["-N2", "--ntasks-per-node=2"], ["2", "4", "4"]),
            (&["-N2-3", "-n6"], ["3", "6", "6"]),
            (&["-N1-9", "-n2"], ["2", "2", "2"]),
            (&["-N1-3", "--use-min-nodes", "-n4"], ["1", "4", "4"]),
            (&["-n8"], ["2", "8", "8"]),
            (&["-N1", "--mincpus=3"], ["1", "3", "1"]),
            (&["-N1", "-n6", "-O"], ["1", "1", "6"]),
        ] {
            let found = shown(client, options, &["NumNodes", "NumCPUs", "NumTasks"]);
            assert_eq!(found, wanted, "{options:?}");
        }
    });
}

#[test]
fn a_waiting_job_shows_how_many_nodes_it_is_going_to_take() {
    each_release(&shape(), |_, client| {
        for (options, wanted) in [
            (&["-n4"][..], "1"),
            (&["-n5"], "2"),
            (&["-n2", "-c3"], "2"),
            (&["-n4", "--ntasks-per-node=2"], "2"),
            (&["-N3", "-n6"], "3"),
            (&["-n6", "-O"], "2"),
        ] {
            let id = client.sbatch(&[&["-H"], options].concat(), "exit 0").to_string();
            let shown = client.run("squeue", &["-h", "-j", &id, "-o", "%D"]).ok();
            assert_eq!(shown.trim(), wanted, "{options:?}");
            client.run("scancel", &[&id]).ok();
        }
    });
}

#[test]
fn a_script_with_more_tasks_than_cpus_starts_them_all() {
    let cluster = Cluster::start(&shape());
    let client = cluster.client();
    let body = "echo over=$SLURM_OVERCOMMIT; srun sh -c 'echo task'";
    let id = client.sbatch(&["-N1", "-n10", "-O", "-o", "told"], body);
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    let told = std::fs::read_to_string(cluster.work().join("told")).unwrap();
    assert_eq!(told, format!("over=1\n{}", "task\n".repeat(10)));
}

#[test]
fn an_unknown_partition_is_named_as_slurm_names_it() {
    each_release(&shape(), |_, client| {
        let said = client.try_sbatch(&["-p", "nosuch"], "exit 0").refused();
        assert!(said.contains("invalid partition specified: nosuch"), "{said}");
        assert!(said.contains("Invalid partition name specified"), "{said}");
    });
}

#[test]
fn sizes_choose_the_nodes_that_can_give_them() {
    each_release(&shape(), |_, client| {
        let blocker = client.sbatch(&["-w", "n2", "-n4"], "sleep 1000");
        reaches(client, blocker, "RUNNING");
        assert_eq!(shown(client, &["-N2", "--contiguous"], &["NodeList"]), ["n[3-4]"]);
        client.run("scancel", &[&blocker.to_string()]).ok();
        ended(client, blocker);
        for options in [["--sockets-per-node=9"], ["--threads-per-core=9"], ["-B9:1:1"]] {
            let said = client.try_sbatch(&options, "exit 0").refused();
            assert!(said.contains(UNAVAILABLE), "{options:?}: {said}");
        }
    });
}

#[test]
fn sizes_that_no_node_has_are_refused() {
    each_release(&shape(), |_, client| {
        for options in [&["--mem=4001"][..], &["--tmp=1T"], &["-N1", "--mincpus=9"], &["-c9"]] {
            let said = client.try_sbatch(options, "exit 0").refused();
            assert!(said.contains(UNAVAILABLE), "{options:?}: {said}");
        }
    });
}

#[test]
fn remarks_are_shown() {
    each_release(&shape(), |_, client| {
        let id = client.sbatch(&["-A", "acct", "--comment=two words"], "exit 0");
        let record = ended(client, id);
        assert_eq!(record.get("Account"), "acct");
        assert_eq!(record.get("Comment"), "two words");
        let listed =
            client.run("squeue", &["-h", "-t", "all", "-j", &id.to_string(), "-o", "%a %k"]);
        assert_eq!(listed.ok().trim(), "acct two words");
    });
}

#[test]
fn users_may_only_be_nice() {
    each_release(&shape(), |cluster, client| {
        let nice = client.sbatch(&["--nice=7", "-H"], "exit 0");
        assert_eq!(client.job(nice).get("Nice"), "7");
        let said = client.try_sbatch(&["--nice=-7"], "exit 0").refused();
        assert!(said.contains("Invalid --nice value"), "{said}");
        let root = cluster.client().release(client.of_release());
        let first = root.sbatch(&["--priority=4321", "--begin=now+1hour"], "exit 0");
        assert_eq!(root.job(first).get("Priority"), "4321");
        for id in [nice, first] {
            root.run("scancel", &[&id.to_string()]).ok();
        }
    });
}

#[test]
fn root_submits_for_others() {
    let cluster = Cluster::start(&shape());
    let root = cluster.client();
    let id = root.sbatch(&["--uid=nobody", "--gid=nogroup", "-o", "who"], "id -u; id -g");
    let record = ended(&root, id);
    assert_eq!(record.get("JobState"), "COMPLETED");
    assert_eq!(record.get("UserId"), "nobody(65534)");
    let text = std::fs::read_to_string(cluster.work().join("who")).unwrap();
    assert_eq!(text, "65534\n65534\n");
}

#[test]
fn a_signal_announces_the_end() {
    let cluster = Cluster::start(&shape());
    let client = alice(&cluster);
    let traps = "trap 'echo told; exit 5' USR1\nfor i in $(seq 600); do sleep 0.2; done";
    let id = client.sbatch(&["-t1", "--signal=B:USR1@58", "-o", "told"], traps);
    let record = ended(&client, id);
    assert_eq!(record.get("ExitCode"), "5:0");
    assert_eq!(std::fs::read_to_string(cluster.work().join("told")).unwrap(), "told\n");
}

#[test]
fn sbatch_waits_for_the_end() {
    each_release(&shape(), |_, client| {
        let started = Instant::now();
        let ran = client.try_sbatch(&["--wait"], "sleep 2; exit 3");
        assert!(started.elapsed().as_secs() >= 2, "it came back before the job's end");
        assert_eq!(ran.status, 3, "{}{}", ran.out, ran.err);
        assert_eq!(client.try_sbatch(&["-W"], "exit 0").status, 0);
    });
}
