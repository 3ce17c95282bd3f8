//! Reservations: who has their nodes, when, and what is shown of them.

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Record, Shape, eventually};

use crate::{ALICE, BOB, alice, each_release, ended, reaches};

/// The same clients, as root and as another user.
fn others(cluster: &Cluster, client: &Client) -> (Client, Client) {
    let client = |user: Option<&str>| {
        let other = cluster.client().release(client.of_release());
        match user {
            Some(user) => other.user(user),
            None => other,
        }
    };
    (client(None), client(Some(BOB)))
}

fn create(root: &Client, words: &[&str]) -> flurm_tests::client::Ran {
    root.run("scontrol", &[&["create", "reservation"], words].concat())
}

fn shown(client: &Client, name: &str) -> Record {
    Record::parse(&client.run("scontrol", &["show", "reservation", name]).ok())
}

/// The reason of a job, once it is the one.
#[track_caller]
fn waits(client: &Client, id: u32, reason: &str) {
    eventually(&format!("job {id} waits for {reason}"), || {
        let record = client.job(id);
        if record.get("Reason").starts_with(reason) { Ok(()) } else { Err(record) }
    });
}

#[test]
fn reserved_nodes_are_for_those_whom_they_are_reserved_for() {
    each_release(&Shape::small(), |cluster, client| {
        let (root, bob) = others(cluster, client);
        let for_alice = format!("Users={ALICE}");
        let words = ["ReservationName=r", "StartTime=now", "Duration=60", &for_alice, "Nodes=n1"];
        let said = create(&root, &words).ok();
        assert_eq!(said.trim(), "Reservation created: r");
        let record = shown(client, "r");
        assert_eq!((record.get("State"), record.get("Nodes")), ("ACTIVE", "n1"));
        assert_eq!((record.get("Users"), record.get("NodeCnt")), (ALICE, "1"));
        assert_eq!(record.get("Duration"), "01:00:00");
        eventually("the node is shown as reserved", || {
            let state = client.run("sinfo", &["-h", "-n", "n1", "-o", "%T"]).ok();
            if state.trim() == "reserved" { Ok(()) } else { Err(state) }
        });
        let waiting = bob.sbatch(&["-w", "n1", "-t", "5"], "exit 0");
        waits(&bob, waiting, "ReqNodeNotAvail");
        let elsewhere = bob.sbatch(&["-t", "5"], "exit 0");
        assert_eq!(ended(&bob, elsewhere).get("NodeList"), "n2");
        let said = bob.try_sbatch(&["--reservation=r"], "exit 0").refused();
        assert!(said.contains("Access denied to requested reservation"), "{said}");
        let said = client.try_sbatch(&["--reservation=none"], "exit 0").refused();
        assert!(said.contains("Requested reservation is invalid"), "{said}");
        let own = client.sbatch(&["--reservation=r", "-t", "5"], "sleep 300");
        let record = reaches(client, own, "RUNNING");
        assert_eq!((record.get("NodeList"), record.get("Reservation")), ("n1", "r"));
        let delete = || root.run("scontrol", &["delete", "ReservationName=r"]);
        let said = delete().refused();
        assert!(said.contains("Requested reservation is in use"), "{said}");
        client.run("scancel", &[&own.to_string()]).ok();
        ended(client, own);
        eventually("the reservation is deleted", || {
            let ran = delete();
            if ran.status == 0 { Ok(()) } else { Err(ran.err) }
        });
        assert_eq!(ended(&bob, waiting).get("NodeList"), "n1");
        cluster.wait_idle();
    });
}

#[test]
fn no_job_is_started_that_would_run_into_a_reservation() {
    each_release(&Shape::small().nodes(1), |cluster, client| {
        let (root, _) = others(cluster, client);
        let words = ["ReservationName=later", "StartTime=now+20minutes", "Duration=60"];
        create(&root, &[&words[..], &["Users=root", "Nodes=ALL", "Flags=MAINT"]].concat()).ok();
        let record = shown(client, "later");
        assert_eq!(record.get("State"), "INACTIVE");
        assert_eq!(record.get("Flags"), "MAINT,SPEC_NODES,ALL_NODES");
        let long = client.sbatch(&["-t", "30"], "exit 0");
        waits(client, long, "ReqNodeNotAvail");
        let short = client.sbatch(&["-t", "10"], "exit 0");
        assert_eq!(ended(client, short).get("JobState"), "COMPLETED");
        let change = ["update", "ReservationName=later", "StartTime=now"];
        root.run("scontrol", &change).ok();
        eventually("the node is in maintenance", || {
            let state = client.run("sinfo", &["-h", "-o", "%T"]).ok();
            if state.trim() == "maint" { Ok(()) } else { Err(state) }
        });
        root.run("scontrol", &["delete", "ReservationName=later"]).ok();
        assert_eq!(ended(client, long).get("JobState"), "COMPLETED");
        cluster.wait_idle();
    });
}

#[test]
fn reservations_that_cannot_be_are_refused() {
    each_release(&Shape::small(), |cluster, client| {
        let (root, _) = others(cluster, client);
        let times = ["StartTime=now", "Duration=10"];
        let refused = |by: &Client, words: &[&str], wanted: &str| {
            let said = create(by, &[&times, words].concat()).refused();
            assert!(said.contains(wanted), "{words:?}: {said}");
        };
        refused(client, &["Users=root", "Nodes=n1"], "Invalid user id");
        refused(&root, &["Users=nobody-at-all", "Nodes=n1"], "Invalid user id");
        refused(&root, &["Users=root", "Nodes=n9"], "Invalid node name specified");
        refused(&root, &["Users=root", "Nodes=n1", "PartitionName=no"], "Invalid partition name");
        create(&root, &[&times, &["ReservationName=one", "Users=root", "Nodes=n1"][..]].concat())
            .ok();
        let again = ["ReservationName=one", "Users=root", "Nodes=n2"];
        refused(&root, &again, "Duplicate reservation name");
        let overlaps = ["Users=root", "Nodes=n[1-2]"];
        refused(&root, &overlaps, "Requested reservation overlaps with another reservation");
        let counted = create(&root, &[&times, &["Users=root", "NodeCnt=1"][..]].concat()).ok();
        let name = counted.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(name.starts_with("root_"), "{counted}");
        assert_eq!(shown(client, &name).get("Nodes"), "n2");
        for name in ["one", &name] {
            root.run("scontrol", &["delete", &format!("ReservationName={name}")]).ok();
        }
        let said = root.run("scontrol", &["delete", "ReservationName=one"]).refused();
        assert!(said.contains("Requested reservation is invalid"), "{said}");
        cluster.wait_idle();
    });
}

#[test]
fn a_reservation_is_kept_through_failover_and_ends_in_time() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().controllers(3));
    let (client, root) = (alice(&cluster), cluster.client());
    let words = ["ReservationName=r", "StartTime=now", "EndTime=now+20", "Users=root", "Nodes=n1"];
    create(&root, &words).ok();
    let leader = cluster.wait_leader();
    cluster.kill(&leader);
    cluster.start_daemon(&leader);
    cluster.wait_leader();
    assert_eq!(shown(&client, "r").get("State"), "ACTIVE");
    let waiting = client.sbatch(&["-w", "n1", "-t", "5"], "exit 0");
    waits(&client, waiting, "ReqNodeNotAvail");
    assert_eq!(ended(&client, waiting).get("NodeList"), "n1");
    let left = client.run("scontrol", &["show", "reservation"]).out;
    assert!(left.contains("No reservations in the system"), "{left}");
    cluster.assert_healthy();
}

#[test]
fn flags_of_reservations_have_their_effect() {
    each_release(&Shape::small(), |cluster, client| {
        let (root, _) = others(cluster, client);
        let user = format!("Users={ALICE}");
        let words = ["ReservationName=m", "StartTime=now", "Duration=10", &user, "Nodes=n1"];
        create(&root, &[&words, &["Flags=MAGNETIC,HOURLY"][..]].concat()).ok();
        let flags = shown(client, "m").get("Flags").to_owned();
        assert!(flags.contains("HOURLY") && flags.contains("MAGNETIC"), "{flags}");
        let drawn = client.sbatch(&["-w", "n1", "-t", "1"], "exit 0");
        assert_eq!(ended(client, drawn).get("JobState"), "COMPLETED");
        let update = |change: &str| {
            root.run("scontrol", &["update", "ReservationName=m", change]).ok();
            shown(client, "m").get("Duration").to_owned()
        };
        assert_eq!(update("Duration+=5"), "00:15:00");
        assert_eq!(update("Duration-=3"), "00:12:00");
        update("Flags-=MAGNETIC");
        let barred = client.sbatch(&["-w", "n1", "-t", "1"], "exit 0");
        waits(client, barred, "ReqNodeNotAvail");
        root.run("scontrol", &["delete", "ReservationName=m"]).ok();
        assert_eq!(ended(client, barred).get("JobState"), "COMPLETED");
        cluster.wait_idle();
    });
}
