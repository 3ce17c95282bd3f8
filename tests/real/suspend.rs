//! Suspended jobs: what stands still, what others get meanwhile, and how it goes on.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Shape, eventually};

use crate::{alice, each_release, ended, reaches};

/// Adds to the file `ticks` for ever, or until there is a file `go`.
const TICKS: &str = "while [ ! -e go ]; do echo x >> ticks; sleep 0.1; done";
/// How long a file must stay as it is, to be taken for one that nobody writes to.
const STILL: Duration = Duration::from_millis(700);

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

#[track_caller]
fn grows(path: &Path) {
    let before = length(path);
    eventually("something is written", || if length(path) > before { Ok(()) } else { Err(before) });
}

#[track_caller]
fn stands_still(path: &Path) {
    eventually("nothing is written any more", || {
        let before = length(path);
        thread::sleep(STILL);
        if length(path) == before { Ok(()) } else { Err(before) }
    });
}

/// The same clients, as root.
fn root(cluster: &Cluster, client: &Client) -> Client {
    cluster.client().release(client.of_release())
}

fn remove(cluster: &Cluster, names: &[&str]) {
    for name in names {
        fs::remove_file(cluster.work().join(name)).unwrap_or_default();
    }
}

#[test]
fn a_suspended_job_stands_still_gives_its_cpus_away_and_goes_on() {
    each_release(&Shape::small(), |cluster, client| {
        let (root, ticks) = (root(cluster, client), cluster.work().join("ticks"));
        let id = client.sbatch(&["-n4", "-w", "n1"], TICKS);
        let name = id.to_string();
        grows(&ticks);
        let denied = client.run("scontrol", &["suspend", &name]).refused();
        assert!(denied.contains("Access/permission denied"), "{denied}");
        root.run("scontrol", &["suspend", &name]).ok();
        let shown = client.job(id);
        assert_eq!((shown.get("JobState"), shown.get("Priority")), ("SUSPENDED", "0"));
        assert!(!shown.get("SuspendTime").starts_with("None"), "{shown:?}");
        stands_still(&ticks);
        assert_eq!(client.run("squeue", &["-h", "-o", "%t", "-j", &name]).ok().trim(), "S");
        assert_eq!(client.run("sinfo", &["-h", "-n", "n1", "-o", "%T"]).ok().trim(), "idle");
        let other = client.sbatch(&["-n4", "-w", "n1"], "exit 0");
        assert_eq!(ended(client, other).get("JobState"), "COMPLETED");
        root.run("scontrol", &["resume", &name]).ok();
        assert_eq!(client.job(id).get("JobState"), "RUNNING");
        grows(&ticks);
        fs::write(cluster.work().join("go"), "").unwrap();
        assert_eq!(ended(client, id).get("JobState"), "COMPLETED");
        remove(cluster, &["go", "ticks"]);
        cluster.wait_idle();
    });
}

#[test]
fn what_does_not_run_is_not_suspended() {
    each_release(&Shape::small(), |cluster, client| {
        let root = root(cluster, client);
        let refused = |what: &str, id: u32, words: &str| {
            let said = root.run("scontrol", &[what, &id.to_string()]).refused();
            assert!(said.contains(words), "{what}: {said}");
        };
        let held = client.sbatch(&["-H"], "exit 0");
        refused("suspend", held, "Job is pending execution");
        refused("resume", held, "Job is pending execution");
        if !against_slurm() {
            refused("suspend", 4_000_000, "Invalid job id specified");
        }
        let runs = client.sbatch(&[], "sleep 300");
        reaches(client, runs, "RUNNING");
        refused("resume", runs, "Job is not suspended");
        client.run("scancel", &[&runs.to_string(), &held.to_string()]).ok();
        ended(client, runs);
        refused("suspend", runs, "Job/step already completing or completed");
        cluster.wait_idle();
    });
}

#[test]
fn a_suspended_job_is_cancelled_or_requeued_like_any_other() {
    each_release(&Shape::small(), |cluster, client| {
        let root = root(cluster, client);
        let suspend = |id: u32| {
            reaches(client, id, "RUNNING");
            root.run("scontrol", &["suspend", &id.to_string()]).ok();
            reaches(client, id, "SUSPENDED");
        };
        let first = client.sbatch(&[], "sleep 300");
        suspend(first);
        client.run("scancel", &[&first.to_string()]).ok();
        assert_eq!(ended(client, first).get("JobState"), "CANCELLED");
        let again = client.sbatch(&[], "[ ${SLURM_RESTART_COUNT:-0} = 1 ] || sleep 300");
        suspend(again);
        client.run("scontrol", &["requeue", &again.to_string()]).ok();
        assert_eq!(client.job(again).get("Restarts"), "1");
        // A requeued job may have to wait before it is considered again.
        client.run("scancel", &[&again.to_string()]).ok();
        ended(client, again);
        cluster.wait_idle();
    });
}

#[test]
fn tasks_of_an_array_are_suspended_alone_or_all_at_once() {
    each_release(&Shape::small(), |cluster, client| {
        let root = root(cluster, client);
        let id = client.sbatch(&["--array=1-3%2"], "sleep 300");
        let states = || {
            let text = client.run("squeue", &["-h", "-r", "-o", "%K %t", "-j", &id.to_string()]);
            let mut lines: Vec<String> = text.ok().lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let become_so = |wanted: [&str; 3]| {
            eventually("the tasks' states", || {
                if states() == wanted { Ok(()) } else { Err(states()) }
            });
        };
        become_so(["1 R", "2 R", "3 PD"]);
        root.run("scontrol", &["suspend", &format!("{id}_2")]).ok();
        become_so(["1 R", "2 S", "3 PD"]);
        let said = root.run("scontrol", &["suspend", &id.to_string()]);
        assert!(said.err.contains("Job is pending execution"), "{said:?}");
        become_so(["1 S", "2 S", "3 PD"]);
        root.run("scontrol", &["resume", &format!("{id}_[1-2]")]);
        become_so(["1 R", "2 R", "3 PD"]);
        client.run("scancel", &[&id.to_string()]).ok();
        cluster.wait_idle();
    });
}

#[test]
fn the_steps_of_a_suspended_job_stand_still_on_every_node() {
    each_release(&Shape::small(), |cluster, client| {
        let root = root(cluster, client);
        let ticks = |node: u32| cluster.work().join(format!("ticks-{node}"));
        let task = "while [ ! -e go ]; do echo x >> ticks-$((SLURM_NODEID+1)); sleep 0.1; done";
        let id = client.sbatch(&["-N2", "-n2"], &format!("srun -N2 -n2 sh -c '{task}'"));
        [1, 2].iter().for_each(|node| grows(&ticks(*node)));
        root.run("scontrol", &["suspend", &id.to_string()]).ok();
        [1, 2].iter().for_each(|node| stands_still(&ticks(*node)));
        root.run("scontrol", &["resume", &id.to_string()]).ok();
        [1, 2].iter().for_each(|node| grows(&ticks(*node)));
        fs::write(cluster.work().join("go"), "").unwrap();
        assert_eq!(ended(client, id).get("JobState"), "COMPLETED");
        remove(cluster, &["go", "ticks-1", "ticks-2"]);
        cluster.wait_idle();
    });
}

#[test]
fn a_suspended_job_stays_so_when_daemons_and_leaders_die() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().controllers(3));
    let (client, root) = (alice(&cluster), cluster.client());
    let ticks = cluster.work().join("ticks");
    let id = client.sbatch(&["-w", "n1"], TICKS);
    grows(&ticks);
    root.run("scontrol", &["suspend", &id.to_string()]).ok();
    stands_still(&ticks);
    let leader = cluster.wait_leader();
    cluster.kill(&leader);
    cluster.kill("n1");
    cluster.start_daemon("n1");
    cluster.start_daemon(&leader);
    cluster.wait_leader();
    reaches(&client, id, "SUSPENDED");
    stands_still(&ticks);
    root.run("scontrol", &["resume", &id.to_string()]).ok();
    grows(&ticks);
    fs::write(cluster.work().join("go"), "").unwrap();
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    cluster.assert_healthy();
}
