//! The environment a job finds is the one Slurm gives, variable by variable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use flurm_tests::{Cluster, Shape};

use crate::{alice, ended};

/// Variables whose values differ between any two runs or clusters, with the reason.
const RUN_DEPENDENT: [(&str, &str); 5] = [
    ("SLURM_TASK_PID", "a process id"),
    ("SLURM_CONF", "the cluster's folder"),
    ("SLURM_WORKING_CLUSTER", "holds the controller's port"),
    ("SLURM_TOPOLOGY_ADDR", "the node that was chosen"),
    ("SLURM_NODE_ALIASES", "the node that was chosen"),
];

/// Variables that newer releases set and 22.05 does not, with the release that introduced them.
/// FLURM speaks the node protocol of 26.05 and may set them.
const NEWER: [(&str, &str); 14] = [
    ("SLURM_JOB_START_TIME", "23.02"),
    ("SLURM_JOB_END_TIME", "23.02"),
    ("SLURM_OOM_KILL_STEP", "24.05"),
    ("SLURM_JOB_SLUID", "25.11"),
    ("SLURM_JOB_OVERSUBSCRIBE", "25.11"),
    ("SLURM_JOB_EXCLUSIVE", "25.11"),
    ("SLURM_STEP_ID", "25.11"),
    ("SLURM_STEPID", "25.11"),
    ("HYDRA_BOOTSTRAP", "23.11"),
    ("HYDRA_LAUNCHER_EXTRA_ARGS", "23.11"),
    ("I_MPI_HYDRA_BOOTSTRAP", "23.11"),
    ("I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS", "23.11"),
    ("OMPI_MCA_plm_slurm_args", "23.11"),
    ("PRTE_MCA_plm_slurm_args", "23.11"),
];

/// Variables of 22.05 that later releases set no more, with the release that dropped them.
const DROPPED: [(&str, &str); 2] =
    [("SLURM_NODE_ALIASES", "23.11"), ("SLURM_WORKING_CLUSTER", "24.05")];

type Variables = BTreeMap<String, String>;

/// Submits a job with the same options and returns what it found in its environment.
fn variables(cluster: &Cluster, options: &[&str]) -> Variables {
    let client = alice(cluster).with("MARK", "two words").with("SLURM_MARK", "kept");
    let mut all = vec!["-J", "env", "-w", "n1", "-o", "env"];
    all.extend(options);
    let id = client.sbatch(&all, "env -0");
    let record = ended(&client, id);
    assert_eq!(record.get("JobState"), "COMPLETED", "{record:?}");
    let bytes = fs::read(cluster.work().join("env")).unwrap();
    let folder = cluster.folder.display().to_string();
    let text = String::from_utf8(bytes).unwrap().replace(&folder, "FOLDER");
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn listed(list: &[(&str, &str)]) -> BTreeSet<String> {
    list.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// What differs, one line a variable.
fn differences(ours: &Variables, real: &Variables) -> Vec<String> {
    let (newer, dropped, varying) = (listed(&NEWER), listed(&DROPPED), listed(&RUN_DEPENDENT));
    let names: BTreeSet<&String> = ours.keys().chain(real.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (ours.get(name), real.get(name)) {
            (None, Some(value)) if !dropped.contains(name) => {
                lines.push(format!("{name} is missing; Slurm has {value:?}"));
            }
            (Some(value), None) if !newer.contains(name) => {
                lines.push(format!("{name} is {value:?}; Slurm has none"));
            }
            (Some(ours), Some(real)) if ours != real && !varying.contains(name) => {
                lines.push(format!("{name} is {ours:?}; Slurm has {real:?}"));
            }
            _ => {}
        }
    }
    lines
}

#[test]
fn the_environment_of_a_batch_job_is_that_of_slurm() {
    let ours = Cluster::start(&Shape::small());
    let real = Cluster::start(&Shape::small().real());
    for options in [
        [].as_slice(),
        &["-n", "3"],
        &["-N", "2", "--ntasks-per-node=2"],
        &["-c", "2", "--mem=300"],
        &["--mem-per-cpu=150", "-n", "2"],
        &["--export=NONE"],
        &["--export=NONE"],
        &["--export=MARK,OTHER=set"],
        &["-t", "10", "--no-requeue", "-A", "acct", "--comment=hello"],
    ] {
        let found = differences(&variables(&ours, options), &variables(&real, options));
        assert!(found.is_empty(), "{options:?}:\n{}", found.join("\n"));
    }
}

#[test]
fn a_variable_may_hold_anything_but_a_nul() {
    let cluster = Cluster::start(&Shape::small());
    let long = "x".repeat(100_000);
    let odd = "line one\nline two\t=\"quoted\" \u{e9}";
    let client = alice(&cluster).with("ODD", odd).with("LONG", &long).with("EMPTY", "");
    let body = "printf %s \"$ODD\" > odd; printf %s \"$LONG\" | wc -c > long; \
        [ -z \"${EMPTY-unset}\" ] && echo yes > empty";
    let id = client.sbatch(&[], body);
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    let read = |name: &str| fs::read_to_string(cluster.work().join(name)).unwrap();
    assert_eq!(read("odd"), odd);
    assert_eq!(read("long").trim(), "100000");
    assert_eq!(read("empty"), "yes\n");
}
