//! Heterogeneous jobs: several components submitted, started, changed and ended as one.

use std::collections::BTreeMap;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Record, Shape, eventually};

use crate::{each_release, first_text};

fn shape() -> Shape {
    Shape::small().nodes(3)
}

/// What squeue says of all components, one line for each, sorted.
fn queue(client: &Client, id: u32, format: &str) -> Vec<String> {
    let id = id.to_string();
    let text = client.run("squeue", &["-h", "-t", "all", "-o", format, "-j", &id]).ok();
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

/// Waits until squeue says this of the components.
#[track_caller]
fn shows(client: &Client, id: u32, state: &str, count: u32) {
    let wanted: Vec<String> = (0..count).map(|offset| format!("{id}+{offset} {state}")).collect();
    eventually(&format!("{id} is {state}"), || {
        let shown = queue(client, id, "%i %T");
        if shown == wanted { Ok(()) } else { Err(shown) }
    });
}

fn submit(client: &Client, options: &[&str], body: &str) -> u32 {
    client.sbatch(options, body)
}

#[test]
fn components_start_together_and_know_of_each_other() {
    each_release(&shape(), |cluster, client| {
        let names = "env | grep '_HET_GROUP_\\|SLURM_HET_SIZE' | sort > env.$SLURM_JOB_ID.tmp
            mv env.$SLURM_JOB_ID.tmp env.$SLURM_JOB_ID; sleep 600";
        let options = ["-Jmixed", "-n1", "-wn1", ":", "-n2", "-N2", "-wn[2-3]"];
        let id = submit(client, &options, names);
        shows(client, id, "RUNNING", 2);
        let text = first_text(&cluster.work().join(format!("env.{id}")));
        let told: BTreeMap<&str, &str> = text.lines().filter_map(|l| l.split_once('=')).collect();
        let component = (id + 1).to_string();
        let wanted = [
            ("SLURM_HET_SIZE", "2"),
            ("SLURM_JOB_ID_HET_GROUP_0", &id.to_string()),
            ("SLURM_JOB_ID_HET_GROUP_1", &component),
            ("SLURM_JOB_NODELIST_HET_GROUP_0", "n1"),
            ("SLURM_JOB_NODELIST_HET_GROUP_1", "n[2-3]"),
            ("SLURM_JOB_NUM_NODES_HET_GROUP_1", "2"),
            ("SLURM_TASKS_PER_NODE_HET_GROUP_1", "1(x2)"),
            ("SLURM_JOB_NAME_HET_GROUP_1", "mixed"),
            ("SLURM_JOB_PARTITION_HET_GROUP_1", told["SLURM_JOB_PARTITION_HET_GROUP_0"]),
        ];
        for (name, value) in wanted {
            assert_eq!(told.get(name), Some(&value), "{name}: {text}");
        }
        let shown = client.run("scontrol", &["show", "job", &id.to_string()]).ok();
        let shown = Record::parse_all(&shown);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[1].get("HetJobId"), id.to_string());
        assert_eq!(shown[1].get("HetJobOffset"), "1");
        assert_eq!(shown[1].get("HetJobIdSet"), format!("{id}-{component}"));
        assert_eq!(shown[1].get("StartTime"), shown[0].get("StartTime"));
        client.run("scancel", &[&id.to_string()]).ok();
        shows(client, id, "CANCELLED", 2);
        cluster.wait_idle();
    });
}

#[test]
fn no_component_starts_before_all_can() {
    each_release(&shape(), |cluster, client| {
        let blocker = client.sbatch(&["--exclusive", "-wn3"], "sleep 600");
        crate::reaches(client, blocker, "RUNNING");
        let id = submit(client, &["-wn1", ":", "-wn3"], "exit 0");
        eventually("the components say why they wait", || {
            let shown = queue(client, id, "%i %T %r");
            let waits = |line: &String| line.contains(" PENDING ") && !line.ends_with(" None");
            if shown.len() == 2 && shown.iter().all(waits) { Ok(()) } else { Err(shown) }
        });
        client.run("scancel", &[&blocker.to_string()]).ok();
        shows(client, id, "COMPLETED", 2);
        cluster.wait_idle();
    });
}

#[test]
fn a_job_is_held_released_requeued_and_cancelled_as_a_whole() {
    each_release(&shape(), |cluster, client| {
        let id = submit(client, &["-H", "-n1", ":", "-H", "-n1"], "sleep 600");
        shows(client, id, "PENDING", 2);
        let name = id.to_string();
        let part = client.run("scancel", &[&format!("{id}+1")]).refused();
        let words = "Operation not permitted on individual component of heterogeneous job";
        assert!(part.contains(words), "{part}");
        client.run("scontrol", &["release", &name]).ok();
        shows(client, id, "RUNNING", 2);
        client.run("scontrol", &["requeuehold", &name]).ok();
        shows(client, id, "REQUEUE_HOLD", 2);
        client.run("scontrol", &["release", &name]).ok();
        shows(client, id, "RUNNING", 2);
        client.run("scancel", &[&format!("{id}+1")]).ok();
        eventually("one component is cancelled", || {
            let shown = queue(client, id, "%i %T");
            let wanted = [format!("{id}+0 RUNNING"), format!("{id}+1 CANCELLED")];
            if shown == wanted { Ok(()) } else { Err(shown) }
        });
        client.run("scancel", &[&name]).ok();
        shows(client, id, "CANCELLED", 2);
        cluster.wait_idle();
    });
}

#[test]
fn what_cannot_be_is_refused() {
    each_release(&shape(), |_, client| {
        let refused = |options: &[&str]| client.try_sbatch(options, "exit 0").refused();
        let array = refused(&["-n1", ":", "--array=1-2", "-n1"]);
        assert!(array.contains("Invalid job array specification"), "{array}");
        if !against_slurm() {
            // Slurm takes it, and it waits for ever.
            let never = refused(&["-n1", ":", "-N50"]);
            assert!(never.contains("Requested node configuration is not available"), "{never}");
        }
        let none = client.run("squeue", &["-h"]).ok();
        assert_eq!(none, "", "a part of a refused job is left");
    });
}

#[test]
fn salloc_waits_for_all_components_and_srun_runs_in_the_first() {
    each_release(&shape(), |cluster, client| {
        let body = "echo $SLURM_HET_SIZE $SLURM_JOB_ID_HET_GROUP_1; srun -n1 hostname -s >/dev/null \
            && echo ran";
        let options = ["-n1", "-wn1", ":", "-n1", "-wn2", "sh", "-c", body];
        let ran = client.run("salloc", &options);
        let out = ran.ok();
        assert!(out.starts_with("2 "), "{out}");
        assert!(out.contains("ran"), "{out}");
        if !against_slurm() {
            cluster.wait_idle();
        }
    });
}
