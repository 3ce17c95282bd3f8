//! When jobs start: asked beforehand, not before a time, not after one, at once, before others.

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Shape, eventually};

use crate::{alice, each_release, ended, reaches};

/// Takes all nodes for some minutes.
fn busy(client: &Client, minutes: &str) -> u32 {
    let id = client.sbatch(&["-N2", "--exclusive", "-t", minutes], "sleep 300");
    reaches(client, id, "RUNNING");
    id
}

/// The time, the CPUs and the nodes in what `--test-only` prints.
#[track_caller]
fn foreseen(said: &str) -> (String, String, String) {
    let (_, after) = said.split_once(" to start at ").unwrap_or_else(|| panic!("{said}"));
    // 24.11 puts one more word behind the time.
    let words: Vec<&str> = after.split_whitespace().filter(|word| *word != "a").collect();
    let [time, "using", cpus, "processors", "on", "nodes", nodes, ..] = words[..] else {
        panic!("{said}")
    };
    (time.to_owned(), cpus.to_owned(), nodes.to_owned())
}

#[test]
fn test_only_says_when_and_where_a_job_would_start() {
    each_release(&Shape::small(), |cluster, client| {
        let (_, cpus, nodes) = foreseen(&client.try_sbatch(&["--test-only", "-n2"], "exit 0").err);
        assert_eq!((&*cpus, &*nodes), ("2", "n1"));
        let id = busy(client, "10");
        let said = client.try_sbatch(&["--test-only", "-w", "n2"], "exit 0").err;
        let (time, cpus, nodes) = foreseen(&said);
        assert_eq!((&*cpus, &*nodes), ("1", "n2"));
        assert_eq!(time, client.job(id).get("EndTime"), "{said}");
        let said = client.run("srun", &["--test-only", "-N2", "true"]).err;
        assert_eq!(foreseen(&said).2, "n[1-2]");
        let waiting = client.sbatch(&["-N2", "--exclusive", "-t", "20"], "exit 0");
        if !against_slurm() {
            let later = foreseen(&client.try_sbatch(&["--test-only"], "exit 0").err).0;
            assert!(later > time, "{later}: the one that waits comes first");
        }
        let jobs = client.run("squeue", &["-h", "-o", "%i"]).ok();
        assert_eq!(jobs.lines().count(), 2, "nothing was submitted: {jobs}");
        let said = client.try_sbatch(&["--test-only", "-C", "none"], "exit 0").refused();
        assert!(said.contains("Invalid feature specification"), "{said}");
        client.run("scancel", &[&id.to_string(), &waiting.to_string()]).ok();
        cluster.wait_idle();
    });
}

#[test]
fn a_begin_time_can_be_changed_while_a_job_waits() {
    each_release(&Shape::small(), |cluster, client| {
        let id = client.sbatch(&["-b", "now+1hour"], "exit 0");
        let says = |wanted: &str| {
            eventually("the reason", || {
                let record = client.job(id);
                if record.get("Reason") == wanted { Ok(record) } else { Err(record) }
            })
        };
        let first = says("BeginTime").get("StartTime").to_owned();
        let update = |time: &str| {
            let (job, time) = (format!("JobId={id}"), format!("StartTime={time}"));
            client.run("scontrol", &["update", &job, &time]).ok();
        };
        update("now+2hours");
        assert!(*says("BeginTime").get("StartTime") > *first);
        update("now");
        assert_eq!(ended(client, id).get("JobState"), "COMPLETED");
        cluster.wait_idle();
    });
}

#[test]
fn a_job_that_cannot_end_before_its_deadline_is_refused_or_given_up() {
    each_release(&Shape::small(), |cluster, client| {
        if !against_slurm() {
            let ran = client.try_sbatch(&["-t", "10", "--deadline=now+5minutes"], "exit 0");
            let said = ran.refused();
            assert!(said.contains("Requested time limit is invalid"), "{said}");
        }
        let id = client.sbatch(&["-H", "-t", "1", "--deadline=now+1hour"], "exit 0");
        assert!(!client.job(id).get("Deadline").starts_with("N/A"));
        let root = cluster.client().release(client.of_release());
        let job = format!("JobId={id}");
        let denied = client.run("scontrol", &["update", &job, "Deadline=now+2hours"]).refused();
        assert!(denied.contains("Access/permission denied"), "{denied}");
        root.run("scontrol", &["update", &job, "Deadline=now+2hours"]).ok();
        client.run("scancel", &[&id.to_string()]).ok();
        if against_slurm() {
            // Its scheduler looks at waiting jobs once a minute only.
            return;
        }
        let taken = busy(client, "10");
        let late = client.sbatch(&["-t", "1", "--deadline=now+64"], "exit 0");
        assert_eq!(ended(client, late).get("JobState"), "DEADLINE");
        client.run("scancel", &[&taken.to_string()]).ok();
        cluster.wait_idle();
    });
}

#[test]
fn an_immediate_allocation_is_given_at_once_or_never() {
    each_release(&Shape::small(), |cluster, client| {
        assert_eq!(client.run("srun", &["--immediate=5", "-n1", "echo", "ran"]).ok(), "ran\n");
        let id = busy(client, "10");
        let ran = client.run("salloc", &["--immediate=1", "-n1", "true"]);
        assert!(ran.status != 0 && ran.err.contains("Unable to allocate resources"), "{ran:?}");
        client.run("scancel", &[&id.to_string()]).ok();
        cluster.wait_idle();
    });
}

/// Jobs that wait, first things first.
fn queue(client: &Client) -> Vec<u32> {
    let text = client.run("squeue", &["-h", "-t", "PD", "-S", "-p", "-o", "%i"]).ok();
    text.lines().map(|line| line.trim().parse().expect("a job's number")).collect()
}

#[test]
fn jobs_at_the_top_go_before_others_of_their_user() {
    let shape = Shape::small().line("SchedulerParameters=enable_user_top");
    each_release(&shape, |cluster, client| {
        let taken = busy(client, "10");
        let [a, b, c] = [(); 3].map(|()| client.sbatch(&["-N2", "--exclusive"], "exit 0"));
        assert_eq!(queue(client), [a, b, c]);
        client.run("scontrol", &["top", &c.to_string()]).ok();
        assert_eq!(queue(client), [c, a, b]);
        client.run("scontrol", &["top", &format!("{b},{a}")]).ok();
        assert_eq!(queue(client), [b, a, c]);
        let bob = cluster.client().user(crate::BOB).release(client.of_release());
        let denied = bob.run("scontrol", &["top", &a.to_string()]).refused();
        assert!(denied.contains("Access/permission denied"), "{denied}");
        client.run("scontrol", &["hold", &a.to_string()]).ok();
        let held = client.run("scontrol", &["top", &a.to_string()]).refused();
        assert!(held.contains("Job is in held state"), "{held}");
        let runs = client.run("scontrol", &["top", &taken.to_string()]).refused();
        assert!(runs.contains("Job is no longer pending execution"), "{runs}");
        let ids = [taken, a, b, c].map(|id| id.to_string());
        client.run("scancel", &ids.each_ref().map(String::as_str)).ok();
        cluster.wait_idle();
    });
}

#[test]
fn only_operators_put_jobs_at_the_top_unless_the_site_lets_users() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let [a, b] = [(); 2].map(|()| client.sbatch(&["-b", "now+1hour"], "exit 0"));
    let denied = client.run("scontrol", &["top", &b.to_string()]).refused();
    assert!(denied.contains("Access/permission denied"), "{denied}");
    cluster.client().run("scontrol", &["top", &b.to_string()]).ok();
    assert_eq!(queue(&client), [b, a]);
}
