//! Generic resources: who gets which devices, what jobs and steps are told of them, who waits.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Shape, eventually};

use crate::{alice, each_release_on, ended, first_text, reaches};

/// What scripts print of themselves.
const SHOW: &str = "env | grep -E '^(CUDA_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL|ROCR_VISIBLE_DEVICES|\
                    ZE_AFFINITY_MASK|SLURM_GPUS_ON_NODE|SLURM_JOB_GPUS|SLURM_STEP_GPUS|\
                    SLURM_GPUS_PER_TASK)=' | sort";

/// Four devices of two types and something that is counted only on each of two nodes.
fn with_devices() -> Shape {
    let gres = "Gres=gpu:tesla:2,gpu:kepler:2,craynet:3";
    Shape::small().line("GresTypes=gpu,craynet").node_words(gres)
}

fn prepare(folder: &Path) {
    let devices = folder.join("devices");
    fs::create_dir_all(&devices).unwrap();
    // Slurm itself takes device files only: those of null, zero, full and random, by other names.
    for (number, minor) in ["3", "5", "7", "8"].into_iter().enumerate() {
        let device = devices.join(format!("gpu{number}"));
        let made = Command::new("mknod").arg(device).args(["c", "1", minor]).status();
        assert!(made.expect("mknod is there").success(), "device files can be made");
    }
    let devices = devices.display();
    let text = format!(
        "NodeName=n[1-2] Name=gpu Type=tesla File={devices}/gpu[0-1]\n\
         NodeName=n[1-2] Name=gpu Type=kepler File={devices}/gpu[2-3]\n\
         NodeName=n[1-2] Name=craynet Count=3\n"
    );
    fs::write(folder.join("gres.conf"), text).unwrap();
}

fn each_release(story: impl Fn(&Cluster, &Client)) {
    let cluster = Cluster::prepared(&with_devices(), prepare);
    each_release_on(cluster, |cluster, client| {
        story(cluster, client);
        cluster.wait_idle();
    });
}

/// `GresUsed` of a node.
fn used(client: &Client, node: &str) -> String {
    let text = client.run("scontrol", &["-d", "-o", "show", "node", node]).ok();
    let words = text.split_whitespace().find_map(|word| word.strip_prefix("GresUsed="));
    words.unwrap_or_default().to_owned()
}

#[track_caller]
fn becomes_used(client: &Client, node: &str, wanted: &str) {
    eventually("what is used of a node", || {
        let now = used(client, node);
        if now == wanted { Ok(()) } else { Err(now) }
    });
}

/// Variables that a job printed into its output.
fn printed(cluster: &Cluster, id: u32) -> BTreeMap<String, String> {
    let text = first_text(&cluster.work().join(format!("slurm-{id}.out")));
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn cancel(client: &Client, ids: &[u32]) {
    let texts: Vec<String> = ids.iter().map(u32::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    client.run("scancel", &texts).ok();
    ids.iter().for_each(|id| drop(ended(client, *id)));
}

/// A script that shows its variables and stays.
fn stays() -> String {
    format!("{SHOW}; sleep 300")
}

const NONE: &str = "gpu:tesla:0(IDX:N/A),gpu:kepler:0(IDX:N/A),craynet:0";

#[test]
fn jobs_have_devices_of_their_own() {
    each_release(|cluster, client| {
        becomes_used(client, "n1", NONE);
        let first = client.sbatch(&["-w", "n1", "--gres=gpu:kepler:1,craynet:2"], &stays());
        reaches(client, first, "RUNNING");
        let told = printed(cluster, first);
        let names = ["CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES"];
        for name in names.iter().chain(&["ZE_AFFINITY_MASK", "SLURM_JOB_GPUS"]) {
            assert_eq!(told.get(*name).map(String::as_str), Some("2"), "{name}: {told:?}");
        }
        assert_eq!(told["SLURM_GPUS_ON_NODE"], "1");
        becomes_used(client, "n1", "gpu:tesla:0(IDX:N/A),gpu:kepler:1(IDX:2),craynet:2");
        let second = client.sbatch(&["-w", "n1", "--gres=gpu:3"], &stays());
        reaches(client, second, "RUNNING");
        assert_eq!(printed(cluster, second)["CUDA_VISIBLE_DEVICES"], "0,1,3");
        becomes_used(client, "n1", "gpu:tesla:2(IDX:0-1),gpu:kepler:2(IDX:2-3),craynet:2");
        let third = client.sbatch(&["-w", "n1", "--gres=gpu:1"], &stays());
        let fourth = client.sbatch(&["-w", "n1", "--gres=craynet:2"], "true");
        eventually("the third waits for resources", || {
            let record = client.job(third);
            let waits = ["Resources", "Priority"].contains(&record.get("Reason"));
            if waits { Ok(()) } else { Err(record) }
        });
        assert_eq!(client.job(fourth).get("JobState"), "PENDING");
        cancel(client, &[first]);
        reaches(client, third, "RUNNING");
        assert_eq!(printed(cluster, third)["CUDA_VISIBLE_DEVICES"], "2");
        assert_eq!(ended(client, fourth).get("JobState"), "COMPLETED");
        cancel(client, &[second, third]);
        becomes_used(client, "n1", NONE);
    });
}

#[test]
fn totals_and_counts_for_tasks_choose_nodes() {
    each_release(|cluster, client| {
        let id = client.sbatch(&["--gpus=6"], &stays());
        let record = reaches(client, id, "RUNNING");
        assert_eq!(record.get("NumNodes"), "2");
        assert_eq!(printed(cluster, id)["CUDA_VISIBLE_DEVICES"], "0,1,2,3");
        becomes_used(client, "n2", "gpu:tesla:2(IDX:0-1),gpu:kepler:0(IDX:N/A),craynet:0");
        cancel(client, &[id]);
        let id = client.sbatch(&["--gpus=3", "-N2"], &stays());
        reaches(client, id, "RUNNING");
        assert_eq!(printed(cluster, id)["CUDA_VISIBLE_DEVICES"], "0,1");
        becomes_used(client, "n2", "gpu:tesla:1(IDX:0),gpu:kepler:0(IDX:N/A),craynet:0");
        cancel(client, &[id]);
        let id = client.sbatch(&["--gpus-per-task=1", "-n6"], &stays());
        let record = reaches(client, id, "RUNNING");
        assert_eq!((record.get("NumNodes"), record.get("NumCPUs")), ("2", "6"));
        assert_eq!(printed(cluster, id)["SLURM_GPUS_ON_NODE"], "4");
        cancel(client, &[id]);
        let id = client.sbatch(&["--gpus-per-task=1", "--gpus=2"], &stays());
        let record = reaches(client, id, "RUNNING");
        assert_eq!((record.get("NumTasks"), record.get("NumCPUs")), ("2", "2"));
        cancel(client, &[id]);
        let id = client.sbatch(&["--gpus-per-node=kepler:2", "-N2"], &stays());
        reaches(client, id, "RUNNING");
        assert_eq!(printed(cluster, id)["CUDA_VISIBLE_DEVICES"], "2,3");
        cancel(client, &[id]);
        let beside = ["--gpus=2", "--cpus-per-gpu=2", "--mem-per-gpu=100"];
        let id = client.sbatch(&beside, &stays());
        let record = reaches(client, id, "RUNNING");
        assert_eq!(record.get("NumCPUs"), "4");
        let tres = record.find("TRES").or(record.find("AllocTRES")).unwrap_or_default();
        assert!(tres.starts_with("cpu=4,mem=200M,node=1"), "{record:?}");
        cancel(client, &[id]);
    });
}

#[test]
fn what_cannot_be_had_is_refused() {
    each_release(|_, client| {
        let said = |options: &[&str]| client.try_sbatch(options, "true").refused();
        let config = "Requested node configuration is not available";
        let impossible: [&[&str]; 5] = [
            &["--gres=gpu:5"],
            &["--gres=gpu:fermi:1"],
            &["--gpus=9"],
            &["-w", "n1", "--gres=craynet:4"],
            &["--gres=gpu:tesla:3"],
        ];
        for options in impossible {
            let said = said(options);
            assert!(said.contains(config), "{options:?}: {said}");
        }
        let said = said(&["--gres=gpu:tesla:1,gpu:1"]);
        assert!(said.contains("Invalid GRES specification"), "{said}");
        let nothing = client.sbatch(&["--gres=gpu:0"], &format!("{SHOW}; echo end=1"));
        assert_eq!(ended(client, nothing).get("JobState"), "COMPLETED");
    });
}

#[test]
fn steps_have_a_part_of_their_jobs_devices() {
    each_release(|cluster, client| {
        let one = "srun --exact --gres=gpu:1 -n1 -c1";
        let step =
            format!("{one} sh -c 'echo s$1=$SLURM_STEP_GPUS,$CUDA_VISIBLE_DEVICES; sleep 2' -");
        let all = "srun -n1 sh -c 'echo all=$SLURM_STEP_GPUS,$SLURM_GPUS_ON_NODE'";
        let body = format!("{step} 0 & {step} 1 & wait; {all}");
        let id = client.sbatch(&["--gres=gpu:kepler:2", "-n2"], &body);
        // As Slurm has it: a step asks for the type that its job has.
        let typed = body.replace("gpu:1", "gpu:kepler:1");
        cancel(client, &[id]);
        let id = client.sbatch(&["--gres=gpu:kepler:2", "-n2"], &typed);
        assert_eq!(ended(client, id).get("JobState"), "COMPLETED");
        let told = printed(cluster, id);
        let mut own = [told["s0"].as_str(), told["s1"].as_str()];
        own.sort_unstable();
        assert_eq!(own, ["2,2", "3,3"]);
        assert_eq!(told["all"], "2,3,2");
        let without = client.sbatch(&[], "srun --gres=gpu:1 true");
        assert_eq!(ended(client, without).get("JobState"), "FAILED");
        let text = first_text(&cluster.work().join(format!("slurm-{without}.out")));
        assert!(text.contains("Invalid generic resource (gres) specification"), "{text}");
    });
}

#[test]
fn devices_stay_with_their_job_through_failover() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::prepared(&with_devices(), prepare);
    let client = alice(&cluster);
    let first = client.sbatch(&["-w", "n1", "--gres=gpu:tesla:1"], &stays());
    reaches(&client, first, "RUNNING");
    let leader = cluster.wait_leader();
    cluster.kill(&leader);
    cluster.start_daemon(&leader);
    cluster.wait_leader();
    let second = client.sbatch(&["-w", "n1", "--gres=gpu:tesla:1"], &stays());
    reaches(&client, second, "RUNNING");
    assert_eq!(printed(&cluster, first)["CUDA_VISIBLE_DEVICES"], "0");
    assert_eq!(printed(&cluster, second)["CUDA_VISIBLE_DEVICES"], "1");
    let exclusive = client.sbatch(&["-w", "n2", "--exclusive"], &stays());
    reaches(&client, exclusive, "RUNNING");
    becomes_used(&client, "n2", "gpu:tesla:2(IDX:0-1),gpu:kepler:2(IDX:2-3),craynet:3");
    cancel(&client, &[first, second, exclusive]);
    cluster.assert_healthy();
}
