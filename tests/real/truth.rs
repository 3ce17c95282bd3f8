//! squeue, scontrol and sinfo tell the truth about jobs, nodes and partitions throughout.

use std::fs;

use flurm_tests::{Cluster, Shape, eventually};

use crate::{alice, ended, first_text, reaches};

#[test]
fn a_job_is_told_pending_then_running_then_completed() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let options = ["-H", "-J", "story", "-o", "story", "-n", "2", "-t", "7"];
    let id = client.sbatch(&options, "echo begun; while [ ! -e go ]; do sleep 0.1; done");
    let pending = client.job(id);
    for (key, value) in [
        ("JobState", "PENDING"),
        ("Reason", "JobHeldUser"),
        ("Priority", "0"),
        ("JobName", "story"),
        ("TimeLimit", "00:07:00"),
        ("NumCPUs", "2"),
        ("NumTasks", "2"),
        ("CPUs/Task", "1"),
        ("Partition", "main"),
        ("NodeList", ""),
        ("StartTime", "Unknown"),
        ("EndTime", "Unknown"),
        ("BatchFlag", "1"),
        ("Restarts", "0"),
        ("StdIn", "/dev/null"),
        ("RunTime", "00:00:00"),
    ] {
        assert_eq!(pending.get(key), value, "{key} of {pending:?}");
    }
    let queue = client.run("squeue", &["-h", "-o", "%i|%P|%j|%u|%t|%D|%C|%R"]).ok();
    assert_eq!(queue.trim(), format!("{id}|main|story|nobody|PD|1|2|(JobHeldUser)"));

    client.run("scontrol", &["release", &id.to_string()]).ok();
    first_text(&cluster.work().join("story"));
    let running = reaches(&client, id, "RUNNING");
    let node = running.get("NodeList").to_owned();
    assert_eq!(running.get("BatchHost"), node);
    assert_eq!(running.get("Reason"), "None");
    assert_eq!(running.get("NumNodes"), "1");
    assert_ne!(running.get("StartTime"), "Unknown");
    assert_eq!(running.get("WorkDir"), cluster.work().display().to_string());
    assert_eq!(running.get("StdOut"), cluster.work().join("story").display().to_string());
    let queue = client.run("squeue", &["-h", "-o", "%i|%t|%R|%l"]).ok();
    assert_eq!(queue.trim(), format!("{id}|R|{node}|7:00"));
    assert_eq!(client.node(&node).get("CPUAlloc"), "2");
    assert_eq!(client.node(&node).get("AllocMem"), "200");
    assert_eq!(client.node(&node).get("State"), "MIXED");

    fs::write(cluster.work().join("go"), "").unwrap();
    let done = ended(&client, id);
    assert_eq!(done.get("JobState"), "COMPLETED");
    assert_ne!(done.get("EndTime"), "Unknown");
    assert_eq!(client.run("squeue", &["-h"]).ok().trim(), "");
    cluster.wait_idle();
    assert_eq!(client.node(&node).get("CPUAlloc"), "0");
    assert_eq!(client.node(&node).get("AllocMem"), "0");
}

#[test]
fn sinfo_counts_cpus_and_states_as_jobs_come_and_go() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let cpus = || client.run("sinfo", &["-h", "-p", "main", "-o", "%C %D"]).ok();
    assert_eq!(cpus().trim(), "0/8/0/8 2");
    let whole = client.sbatch(&["-n", "4", "-w", "n1"], "sleep 300");
    let part = client.sbatch(&["-n", "1", "-w", "n2"], "sleep 300");
    reaches(&client, whole, "RUNNING");
    reaches(&client, part, "RUNNING");
    assert_eq!(cpus().trim(), "5/3/0/8 2");
    let states = client.run("sinfo", &["-h", "-N", "-p", "main", "-o", "%N %t"]).ok();
    assert_eq!(states, "n1 alloc\nn2 mix\n");
    client.run("scancel", &[&whole.to_string(), &part.to_string()]).ok();
    ended(&client, whole);
    cluster.wait_idle();
    assert_eq!(cpus().trim(), "0/8/0/8 2");
}

#[test]
fn jobs_wait_for_resources_and_start_in_order() {
    let cluster = Cluster::start(&Shape::small().nodes(1));
    let client = alice(&cluster);
    let body = "echo $SLURM_JOB_ID >> order; sleep 1";
    let ids: Vec<u32> = (0..3).map(|_| client.sbatch(&["-n", "4"], body)).collect();
    let second = eventually("the second job waits for resources", || {
        let record = client.job(ids[1]);
        let waits = record.get("JobState") == "PENDING" && record.get("Reason") == "Resources";
        if waits { Ok(record) } else { Err(record) }
    });
    assert_eq!(second.get("NodeList"), "");
    for id in &ids {
        assert_eq!(ended(&client, *id).get("JobState"), "COMPLETED");
    }
    let order = fs::read_to_string(cluster.work().join("order")).unwrap();
    let order: Vec<u32> = order.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(order, ids);
}

#[test]
fn memory_is_consumed_and_never_oversubscribed() {
    let cluster = Cluster::start(&Shape::small().nodes(1));
    let client = alice(&cluster);
    let options = ["-n", "1", "--mem=2500"];
    let first = client.sbatch(&options, "sleep 300");
    let second = client.sbatch(&options, "sleep 300");
    reaches(&client, first, "RUNNING");
    eventually("the second job waits for memory", || {
        let record = client.job(second);
        if record.get("Reason") == "Resources" { Ok(()) } else { Err(record) }
    });
    assert_eq!(client.node("n1").get("AllocMem"), "2500");
    client.run("scancel", &[&first.to_string()]).ok();
    reaches(&client, second, "RUNNING");
}

#[test]
fn partitions_and_nodes_are_shown_as_configured() {
    let line = "PartitionName=small Nodes=n2 MaxTime=30 DefaultTime=10 State=UP";
    let cluster = Cluster::start(&Shape::small().partition(line));
    let client = alice(&cluster);
    let show = |what: &[&str]| {
        let mut arguments = vec!["show"];
        arguments.extend(what);
        flurm_tests::Record::parse(&client.run("scontrol", &arguments).ok())
    };
    let small = show(&["partition", "small"]);
    for (key, value) in [
        ("PartitionName", "small"),
        ("Nodes", "n2"),
        ("MaxTime", "00:30:00"),
        ("DefaultTime", "00:10:00"),
        ("Default", "NO"),
        ("State", "UP"),
        ("TotalCPUs", "4"),
        ("TotalNodes", "1"),
    ] {
        assert_eq!(small.get(key), value, "{key}");
    }
    let node = show(&["node", "n2"]);
    for (key, value) in [
        ("NodeName", "n2"),
        ("CPUTot", "4"),
        ("RealMemory", "4000"),
        ("NodeAddr", "127.0.0.1"),
        ("State", "IDLE"),
        ("Partitions", "main,small"),
        ("ThreadsPerCore", "1"),
    ] {
        assert_eq!(node.get(key), value, "{key}");
    }
    let text = client.run("sinfo", &["-h", "-o", "%P|%a|%l|%D|%T|%N"]).ok();
    assert_eq!(text, "main*|up|infinite|2|idle|n[1-2]\nsmall|up|30:00|1|idle|n2\n");
    let id = client.sbatch(&["-p", "small"], "sleep 300");
    assert_eq!(client.job(id).get("TimeLimit"), "00:10:00");
    reaches(&client, id, "RUNNING");
    assert_eq!(client.job(id).get("NodeList"), "n2");
}

#[test]
fn the_configuration_is_shown_and_every_controller_answers_ping() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let config = client.run("scontrol", &["show", "config"]).ok();
    let value = |key: &str| {
        let line = config.lines().find(|line| line.split_whitespace().next() == Some(key));
        let line = line.unwrap_or_else(|| panic!("no {key} in {config}"));
        line.split_once('=').unwrap().1.trim().to_owned()
    };
    assert_eq!(value("ClusterName"), "try");
    assert_eq!(value("SlurmUser"), "root(0)");
    assert_eq!(value("KillWait"), "3 sec");
    assert_eq!(value("SelectTypeParameters"), "CR_CPU_MEMORY");
    assert_eq!(value("AuthType"), "auth/munge");
    let ping = client.run("scontrol", &["ping"]).ok();
    let up = ping.lines().filter(|line| line.ends_with(" is UP")).count();
    assert_eq!(up, usize::from(cluster.controllers), "{ping}");
}

#[test]
fn unknown_jobs_nodes_and_partitions_are_named_as_unknown() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let refusal = client.find_job(4_000_000).unwrap_err();
    assert!(refusal.contains("Invalid job id specified"), "{refusal}");
    let ran = client.run("scontrol", &["show", "node", "n77"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("Node n77 not found"), "{ran:?}");
    let ran = client.run("scontrol", &["show", "partition", "none"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("Partition none not found"), "{ran:?}");
    let ran = client.run("scontrol", &["hold", "4000000"]);
    assert!(ran.err.contains("Invalid job id specified"), "{ran:?}");
}
