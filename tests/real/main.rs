//! Real clients against real daemons: what a user of Slurm sees of FLURM.
//!
//! Run by `ci/test` as root with built daemons. With `FLURM_AGAINST=slurm` the same tests judge
//! Debian's own Slurm 22.05, which shows that they state Slurm's behaviour; the modules about
//! failover and restarts of several controllers then have nothing to judge.

mod access;
mod accounts;
mod administration;
mod arrays;
mod backfill;
mod constraints;
mod control;
mod dependencies;
mod ecosystem;
mod environment;
mod failover;
mod gres;
mod hostile;
mod interactive;
mod keys;
mod licenses;
mod nodes;
mod options;
mod ownership;
mod priority;
mod programs;
mod releases;
mod reservations;
mod shapes;
mod slurm_auth;
mod step_tools;
mod steps;
mod submission;
mod suspend;
mod times;
mod truth;

use std::path::Path;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Record, Release, Shape, eventually};

/// An ordinary user that every Debian machine has.
const ALICE: &str = "nobody";
/// Another one.
const BOB: &str = "daemon";

/// Waits for a job's end and returns its last record.
#[track_caller]
fn ended(client: &Client, id: u32) -> Record {
    eventually(&format!("job {id} ends"), || {
        let record = client.job(id);
        if record.ended() { Ok(record) } else { Err(record) }
    })
}

/// Waits until a job is in a state.
#[track_caller]
fn reaches(client: &Client, id: u32, state: &str) -> Record {
    eventually(&format!("job {id} is {state}"), || {
        let record = client.job(id);
        if record.get("JobState") == state { Ok(record) } else { Err(record) }
    })
}

/// The text of a file once it holds at least one line.
#[track_caller]
fn first_text(path: &Path) -> String {
    eventually(&format!("{} has a line", path.display()), || {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        if text.ends_with('\n') { Ok(text) } else { Err(text) }
    })
}

/// Runs a story with the clients of each release. Slurm 22.05 itself refuses newer clients.
fn each_release(shape: &Shape, story: impl Fn(&Cluster, &Client)) {
    each_release_on(Cluster::start(shape), story);
}

/// The same on a cluster of its own.
fn each_release_on(cluster: Cluster, story: impl Fn(&Cluster, &Client)) {
    for release in Release::ALL {
        if against_slurm() && release != Release::V22_05 {
            continue;
        }
        println!("clients of {}", release.number());
        story(&cluster, &alice(&cluster).release(release));
    }
    cluster.assert_healthy();
}

/// Clients of the ordinary user.
fn alice(cluster: &Cluster) -> Client {
    cluster.client().user(ALICE)
}
