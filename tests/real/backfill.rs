//! Who waits for whom: smaller jobs fill gaps, and never delay the job that comes first.

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Shape, eventually};

use crate::{each_release, ended, reaches};

/// Waits until a job waits for this reason.
#[track_caller]
fn waits(client: &Client, id: u32, reason: &str) {
    eventually("the reason", || {
        let record = client.job(id);
        if record.get("Reason") == reason { Ok(()) } else { Err(record) }
    });
}

#[test]
fn short_jobs_fill_the_gap_before_the_job_that_comes_first() {
    each_release(&Shape::small(), |cluster, client| {
        let long = client.sbatch(&["-w", "n1", "--exclusive", "-t", "10"], "sleep 300");
        reaches(client, long, "RUNNING");
        let first = client.sbatch(&["-N2", "--exclusive", "-t", "5"], "exit 0");
        waits(client, first, "Resources");
        if !against_slurm() {
            let expected = client.job(first).get("StartTime").to_owned();
            assert_eq!(expected, client.job(long).get("EndTime"), "all run as long as they may");
            let listed = client.run("squeue", &["--start", "-h", "-o", "%i %S %Y"]).ok();
            let line = format!("{first} {expected} n[1-2]");
            assert!(listed.lines().any(|one| one == line), "{line} in {listed}");
        }
        let late = client.sbatch(&["--exclusive", "-t", "20"], "exit 0");
        let short = client.sbatch(&["--exclusive", "-t", "1"], "exit 0");
        let record = ended(client, short);
        assert_eq!((record.get("JobState"), record.get("NodeList")), ("COMPLETED", "n2"));
        waits(client, late, "Priority");
        assert_eq!(client.job(first).get("JobState"), "PENDING");
        client.run("scancel", &[&long.to_string()]).ok();
        for job in [first, late] {
            assert_eq!(ended(client, job).get("JobState"), "COMPLETED");
        }
        cluster.wait_idle();
    });
}

#[test]
fn nobody_overtakes_where_the_site_wants_it_so() {
    let mut shape = Shape::small();
    shape.lines.push("SchedulerType=sched/builtin".into());
    each_release(&shape, |cluster, client| {
        let long = client.sbatch(&["-w", "n1", "--exclusive", "-t", "10"], "sleep 300");
        reaches(client, long, "RUNNING");
        let first = client.sbatch(&["-N2", "--exclusive", "-t", "5"], "exit 0");
        waits(client, first, "Resources");
        let short = client.sbatch(&["--exclusive", "-t", "1"], "exit 0");
        waits(client, short, "Priority");
        client.run("scancel", &[&long.to_string()]).ok();
        for job in [first, short] {
            assert_eq!(ended(client, job).get("JobState"), "COMPLETED");
        }
        cluster.wait_idle();
    });
}

#[test]
fn a_job_that_needs_less_time_takes_what_the_gap_has() {
    let mut shape = Shape::small();
    shape.lines.push("SchedulerParameters=bf_interval=1,bf_resolution=1".into());
    each_release(&shape, |cluster, client| {
        let long = client.sbatch(&["-w", "n1", "--exclusive", "-t", "30"], "sleep 300");
        reaches(client, long, "RUNNING");
        let first = client.sbatch(&["-N2", "--exclusive", "-t", "5"], "exit 0");
        waits(client, first, "Resources");
        let options = ["--exclusive", "-t", "2:00:00", "--time-min=10"];
        let short = client.sbatch(&options, "sleep 300");
        let record = reaches(client, short, "RUNNING");
        let minutes: u32 = record.get("TimeLimit").split(':').nth(1).unwrap().parse().unwrap();
        assert_eq!(record.get("TimeMin"), "00:10:00");
        assert!((10..=30).contains(&minutes), "{record:?}");
        assert_eq!(client.job(first).get("JobState"), "PENDING");
        for job in [first, short, long] {
            client.run("scancel", &[&job.to_string()]).ok();
            ended(client, job);
        }
        cluster.wait_idle();
    });
}
