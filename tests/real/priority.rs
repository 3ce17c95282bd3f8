//! Priorities of several factors: what they are, what sprio shows of them, and who goes first.

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Shape, eventually};

use crate::{each_release, ended, reaches};

/// Two nodes of four CPUs and 4,000 MB; a CPU comes with 100 MB.
fn weighed() -> Shape {
    Shape::small()
        .line("PriorityType=priority/multifactor")
        .line("PriorityWeightJobSize=1000")
        .line("PriorityWeightPartition=2000")
        .line("PriorityWeightTRES=CPU=1000,Mem=500")
        .partition("PartitionName=low Nodes=ALL PriorityJobFactor=5")
        .partition("PartitionName=high Nodes=ALL PriorityJobFactor=10")
}

/// Fills the cluster, so that whatever comes next waits.
fn fill(client: &Client) -> u32 {
    let all = client.sbatch(&["-N2", "--exclusive", "-t", "60"], "sleep 300");
    reaches(client, all, "RUNNING");
    all
}

/// What sprio shows: job, partition, priority, size, partition's part, resources' parts, nice.
fn shown(client: &Client, more: &[&str]) -> Vec<String> {
    let format = ["-h", "-o", "%i %r %Y %J %P %T %N"];
    let text = client.run("sprio", &[&format, more].concat()).ok();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = text.lines().map(words).collect();
    let job = |line: &String| line.split(' ').next().and_then(|id| id.parse::<u32>().ok());
    lines.sort_by_key(|line| (job(line), line.clone()));
    lines
}

#[track_caller]
fn become_shown(client: &Client, more: &[&str], wanted: &[String]) {
    eventually("the priorities", || {
        let now = shown(client, more);
        if now == wanted { Ok(()) } else { Err(now) }
    });
}

#[test]
fn sprio_tells_what_a_priority_is_made_of() {
    each_release(&weighed(), |cluster, client| {
        let all = fill(client);
        let low = client.sbatch(&["-p", "low"], "exit 0");
        let high = client.sbatch(&["-p", "high", "-n3", "--nice=100"], "exit 0");
        let wide = client.sbatch(&["-N2", "-n8"], "exit 0");
        let held = client.sbatch(&["-H"], "exit 0");
        let later = client.sbatch(&["--begin=now+1hour"], "exit 0");
        let set = client.sbatch(&[], "exit 0");
        let root = cluster.client().release(client.of_release());
        root.run("scontrol", &["update", &format!("JobId={set}"), "Priority=9000"]).ok();
        let lines = [
            format!("{low} low 1443 312 1000 cpu=125,mem=6 0"),
            format!("{high} high 2731 438 2000 cpu=375,mem=19 100"),
            format!("{wide} main 2250 1000 200 cpu=1000,mem=50 0"),
            format!("{set} main 9000 0 0 0"),
        ];
        become_shown(client, &[], &lines);
        // The client of 24.11 cannot read a list of jobs.
        become_shown(client, &["-j", &high.to_string()], &lines[1..2]);
        become_shown(client, &["-p", "low"], &lines[..1]);
        let priority = |id: u32| client.job(id).get("Priority").to_owned();
        assert_eq!(
            [low, high, wide, held, set].map(priority),
            ["1443", "2731", "2250", "0", "9000"]
        );
        let queue = client.run("squeue", &["-h", "-t", "PD", "--sort=-p", "-o", "%i"]).ok();
        let ids: Vec<u32> = queue.lines().filter_map(|line| line.trim().parse().ok()).collect();
        assert_eq!(ids[..4], [set, high, wide, low], "{queue}");
        for id in [held, later, set, high, low, wide, all] {
            client.run("scancel", &[&id.to_string()]).ok();
        }
        cluster.wait_idle();
    });
}

#[test]
fn a_job_has_a_priority_in_each_of_its_partitions() {
    each_release(&weighed(), |cluster, client| {
        let all = fill(client);
        let job = client.sbatch(&["-p", "low,high"], "exit 0");
        let lines = [
            format!("{job} high 2443 312 2000 cpu=125,mem=6 0"),
            format!("{job} low 1443 312 1000 cpu=125,mem=6 0"),
        ];
        become_shown(client, &[], &lines);
        for id in [job, all] {
            client.run("scancel", &[&id.to_string()]).ok();
        }
        cluster.wait_idle();
    });
}

#[test]
fn the_heavier_job_starts_first() {
    let shape = weighed().nodes(1);
    each_release(&shape, |cluster, client| {
        let all = client.sbatch(&["--exclusive", "-t", "60"], "sleep 300");
        reaches(client, all, "RUNNING");
        let exclusive = ["--exclusive", "-t", "5"];
        let low = client.sbatch(&[&exclusive[..], &["-p", "low"]].concat(), "exit 0");
        let high = client.sbatch(&[&exclusive[..], &["-p", "high"]].concat(), "exit 0");
        let nice =
            client.sbatch(&[&exclusive[..], &["-p", "high", "--nice=10"]].concat(), "exit 0");
        client.run("scancel", &[&all.to_string()]).ok();
        let start = |id: u32| {
            let record = ended(client, id);
            assert_eq!(record.get("JobState"), "COMPLETED");
            record.get("StartTime").to_owned()
        };
        let starts = [high, nice, low].map(start);
        assert!(starts.is_sorted(), "{starts:?}");
        cluster.wait_idle();
    });
}

#[test]
fn waiting_counts() {
    if against_slurm() {
        // Slurm lets age count with a database only.
        return;
    }
    let shape = Shape::small()
        .line("PriorityType=priority/multifactor")
        .line("PriorityWeightAge=100000")
        .line("PriorityMaxAge=0-01");
    each_release(&shape, |cluster, client| {
        let all = fill(client);
        let job = client.sbatch(&[], "exit 0");
        let age = || {
            let text = client.run("sprio", &["-h", "-o", "%A", "-j", &job.to_string()]).ok();
            text.trim().parse::<u32>().map_err(|_| text)
        };
        // A second is worth 28.
        eventually("it ages", || match age() {
            Ok(age) if (50..3_000).contains(&age) => Ok(()),
            other => Err(other),
        });
        for id in [job, all] {
            client.run("scancel", &[&id.to_string()]).ok();
        }
        cluster.wait_idle();
    });
}

#[test]
fn without_factors_there_is_nothing_to_show() {
    let shape = Shape::small().line("PriorityType=priority/basic");
    each_release(&shape, |cluster, client| {
        let refused = client.run("sprio", &[]).refused();
        assert!(refused.contains("priority/basic"), "{refused}");
        cluster.wait_idle();
    });
}
