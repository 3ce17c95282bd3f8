//! Controllers that die: nothing acknowledged is lost, nothing runs twice.
//!
//! Slurm has one controller in these tests, so this module judges FLURM only.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flurm_tests::client::submitted;
use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Release, Shape, eventually, eventually_within};

use crate::{alice, ended, first_text, reaches};

/// Times the leader is killed under load.
const KILLS: u32 = 20;
/// Clients that submit all the while.
const SUBMITTERS: u32 = 3;
/// Pause between two kills: time for an election and for some submissions.
const BETWEEN_KILLS: Duration = Duration::from_millis(2500);
/// Slurm's clients give up after MessageTimeout; a failover must stay below it.
const FAILOVER_MAX: Duration = Duration::from_secs(10);

/// What sbatch says when its connection ends before the answer.
const CUT_OFF: [&str; 5] = [
    "Zero Bytes were transmitted or received",
    "Transport endpoint is not connected",
    "Connection reset by peer",
    "Broken pipe",
    "Unexpected missing socket error",
];

/// What one submitter saw.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: Vec<u32>,
    refused: Vec<String>,
}

/// Submits until told to stop. Each job adds its id to a file of its own submitter.
fn submit_until(stop: &AtomicBool, client: &Client, number: u32) -> Tally {
    let mut tally = Tally::default();
    let body = format!("#!/bin/sh\necho $SLURM_JOB_ID >> ran-{number}\n");
    while !stop.load(Ordering::Relaxed) {
        let name = format!("s{number}");
        let ran = client.run_with_input("sbatch", &["-J", &name, "-o", "/dev/null"], &body);
        match submitted(&ran.out) {
            Some(id) if ran.status == 0 => tally.acknowledged.push(id),
            _ => tally.refused.push(ran.err),
        }
    }
    tally
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_leader_is_killed_twenty_times() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().cpus(16).line("MinJobAge=3600"));
    let client = alice(&cluster);
    let stop = AtomicBool::new(false);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let (stop, client) = (&stop, &client);
        let threads: Vec<_> = (0..SUBMITTERS)
            .map(|number| scope.spawn(move || submit_until(stop, client, number)))
            .collect();
        for _ in 0..KILLS {
            let leader = cluster.wait_leader();
            cluster.kill(&leader);
            thread::sleep(BETWEEN_KILLS);
            cluster.start_daemon(&leader);
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("a submitter ends")).collect()
    });
    let acknowledged: Vec<u32> =
        tallies.iter().flat_map(|tally| tally.acknowledged.clone()).collect();
    let refused: Vec<&String> = tallies.iter().flat_map(|tally| &tally.refused).collect();
    println!("{} acknowledged, {} refused", acknowledged.len(), refused.len());
    assert!(acknowledged.len() as u32 > KILLS, "the stream went on: {refused:?}");
    // A client whose connection the kill cut off cannot know whether it was heard, and says so; no
    // other submission may fail.
    let cut_off = |complaint: &&&String| CUT_OFF.iter().any(|words| complaint.contains(words));
    let others: Vec<_> = refused.iter().filter(|complaint| !cut_off(complaint)).collect();
    assert!(others.is_empty(), "every submission was held through the failover: {others:?}");
    assert!(refused.len() as u32 <= KILLS * SUBMITTERS, "one for each connection cut: {refused:?}");

    drained(&client, Duration::from_secs(300));
    let listing = client.run("scontrol", &["show", "job", "-o"]).ok();
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    for line in listing.lines() {
        let record = flurm_tests::Record::parse(line);
        let id = record.get("JobId").parse().unwrap();
        *seen.entry(id).or_default() += 1;
        assert_eq!(record.get("JobState"), "COMPLETED", "{line}");
    }
    let ran = runs(&cluster);
    for id in &acknowledged {
        assert_eq!(seen.get(id), Some(&1), "job {id} is listed once");
        assert_eq!(ran.get(id), Some(&1), "job {id} ran once");
    }
    for (id, times) in &ran {
        assert_eq!(*times, 1, "job {id} ran once");
    }
    let mut unique = acknowledged.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), acknowledged.len(), "no id was given twice");
    let untold = seen.len() - unique.len();
    assert!(untold <= refused.len(), "{untold} jobs exist that nobody was told of");
    cluster.assert_no_panic();
}

/// How often each job wrote its id.
fn runs(cluster: &Cluster) -> BTreeMap<u32, u32> {
    let mut ran = BTreeMap::new();
    for number in 0..SUBMITTERS {
        let text = fs::read_to_string(cluster.work().join(format!("ran-{number}")));
        for line in text.unwrap_or_default().lines() {
            *ran.entry(line.parse().unwrap()).or_default() += 1;
        }
    }
    ran
}

/// Waits until the queue is empty.
fn drained(client: &Client, patience: Duration) {
    eventually_within(patience, "every job has ended", || {
        let ran = client.run("squeue", &["-h"]);
        if ran.status == 0 && ran.out.trim().is_empty() { Ok(()) } else { Err(ran) }
    });
}

#[test]
fn a_submission_right_after_the_leaders_death_is_held_and_accepted() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    for release in Release::ALL {
        let client = alice(&cluster).release(release);
        let leader = cluster.wait_leader();
        cluster.kill(&leader);
        let started = Instant::now();
        let id = client.sbatch(&[], "exit 0");
        let took = started.elapsed();
        println!("{}: failover in {took:?}", release.number());
        assert!(took < FAILOVER_MAX, "{took:?}");
        cluster.start_daemon(&leader);
        assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    }
    cluster.assert_healthy();
}

#[test]
fn every_controller_takes_any_request() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    for number in 1..=cluster.controllers {
        // A configuration that knows this controller only.
        let only = format!("SlurmctldHost=c{number}(");
        let kept = |line: &&str| !line.starts_with("SlurmctldHost=") || line.starts_with(&only);
        let lines: Vec<&str> = text.lines().filter(kept).collect();
        let path = cluster.folder.join(format!("only-c{number}.conf"));
        fs::write(&path, lines.join("\n")).unwrap();
        let client = alice(&cluster).with("SLURM_CONF", &path.display().to_string());
        let id = client.sbatch(&[], "exit 0");
        assert_eq!(client.job(id).get("UserId"), "nobody(65534)");
        assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
        let held = client.sbatch(&["-H"], "exit 0");
        client.run("scancel", &[&held.to_string()]).ok();
        assert_eq!(client.job(held).get("JobState"), "CANCELLED", "a client sees its own write");
    }
}

#[test]
fn a_running_job_neither_stops_nor_restarts_when_all_controllers_die() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "echo $$ >> pids; while [ ! -e go ]; do sleep 0.1; done; exit 4";
    let id = client.sbatch(&[], body);
    let pids = first_text(&cluster.work().join("pids"));
    let queued = client.sbatch(&["-H", "-J", "queued"], "exit 0");
    for name in cluster.controller_names() {
        cluster.kill(&name);
    }
    fs::write(cluster.work().join("go"), "").unwrap();
    thread::sleep(Duration::from_secs(1));
    for name in cluster.controller_names() {
        cluster.start_daemon(&name);
    }
    eventually("the job's end is told", || {
        let record = client.find_job(id)?;
        if record.ended() { Ok(()) } else { Err(format!("{record:?}")) }
    });
    let record = client.job(id);
    assert_eq!((record.get("JobState"), record.get("ExitCode")), ("FAILED", "4:0"));
    assert_eq!(fs::read_to_string(cluster.work().join("pids")).unwrap(), pids, "it ran once");
    assert_eq!(client.job(queued).get("JobName"), "queued");
    let next = client.sbatch(&["-H"], "exit 0");
    assert!(next > queued, "job ids go on: {next} after {queued}");
    cluster.wait_idle();
}

#[test]
fn a_cluster_of_one_controller_keeps_everything_over_its_death() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().controllers(1));
    let client = alice(&cluster);
    let held = client.sbatch(&["-H", "-J", "kept"], "exit 0");
    let running = client.sbatch(&[], "while [ ! -e go ]; do sleep 0.1; done");
    reaches(&client, running, "RUNNING");
    cluster.kill("c1");
    cluster.start_daemon("c1");
    let record = eventually("the controller answers again", || client.find_job(held));
    assert_eq!(record.get("JobName"), "kept");
    fs::write(cluster.work().join("go"), "").unwrap();
    assert_eq!(ended(&client, running).get("JobState"), "COMPLETED");
    client.run("scontrol", &["release", &held.to_string()]).ok();
    assert_eq!(ended(&client, held).get("JobState"), "COMPLETED");
}

#[test]
fn a_cluster_of_five_controllers_works_with_two_of_them_dead() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().controllers(5));
    let client = alice(&cluster);
    let first = cluster.wait_leader();
    cluster.kill(&first);
    let id = client.sbatch(&[], "exit 0");
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    let second = eventually("another one leads", || {
        cluster.leader().filter(|name| *name != first).ok_or("none")
    });
    cluster.kill(&second);
    let id = client.sbatch(&[], "exit 0");
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    let ping = client.run("scontrol", &["ping"]);
    assert_eq!(ping.out.matches(" is UP").count(), 3, "{ping:?}");
    assert_eq!(ping.out.matches(" is DOWN").count(), 2, "{ping:?}");
}

#[test]
fn a_minority_accepts_nothing() {
    if against_slurm() {
        return;
    }
    // A client that is told of a standby controller waits half this time before it tries again.
    let cluster = Cluster::start(&Shape::small().line("SlurmctldTimeout=10"));
    let client = alice(&cluster);
    let before = client.sbatch(&["-H"], "exit 0");
    cluster.kill("c1");
    cluster.kill("c2");
    let ran = client.try_sbatch(&["-H", "-J", "lost"], "exit 0");
    assert!(ran.status != 0, "two of three are dead: {ran:?}");
    cluster.start_daemon("c1");
    cluster.start_daemon("c2");
    let after = eventually("it accepts again", || {
        submitted(&client.try_sbatch(&["-H"], "exit 0").out).ok_or("not yet")
    });
    assert!(after > before);
    let names = client.run("squeue", &["-h", "-o", "%j"]).ok();
    assert!(!names.contains("lost"), "a refused submission must not appear later: {names}");
}
