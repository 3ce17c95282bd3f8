//! Each main capability with the clients of each release.

use std::fs;

use flurm_tests::{Record, Shape};

use crate::{each_release, ended, first_text, reaches};

#[test]
fn clients_of_every_release_submit_and_see_a_job_through() {
    each_release(&Shape::small(), |cluster, client| {
        let go = cluster.work().join("go");
        let options = ["-J", "through", "-o", "out-%j", "-n", "2", "-t", "9", "--mem=200"];
        let body = "echo $SLURM_JOB_ID; while [ ! -e go ]; do sleep 0.1; done; exit 3";
        let id = client.sbatch(&options, body);
        let running = reaches(client, id, "RUNNING");
        assert_eq!(running.get("JobName"), "through");
        assert_eq!(running.get("UserId"), "nobody(65534)");
        assert_eq!(running.get("TimeLimit"), "00:09:00");
        assert_eq!(running.get("NumCPUs"), "2");
        let output = cluster.work().join(format!("out-{id}"));
        assert_eq!(running.get("StdOut"), output.display().to_string());
        assert_eq!(first_text(&output), format!("{id}\n"));
        let queue = client.run("squeue", &["-h", "-o", "%i %j %u %t %N"]).ok();
        assert_eq!(queue.trim(), format!("{id} through nobody R {}", running.get("NodeList")));
        fs::write(&go, "").unwrap();
        let done = ended(client, id);
        assert_eq!((done.get("JobState"), done.get("ExitCode")), ("FAILED", "3:0"));
        fs::remove_file(&go).unwrap();
        cluster.wait_idle();
    });
}

#[test]
fn clients_of_every_release_see_nodes_partitions_and_configuration() {
    each_release(&Shape::small(), |cluster, client| {
        let text = client.run("sinfo", &["-h", "-o", "%P|%a|%l|%D|%T|%N|%C|%m"]).ok();
        assert_eq!(text.trim(), "main*|up|infinite|2|idle|n[1-2]|0/8/0/8|4000");
        let node = client.node("n2");
        assert_eq!((node.get("CPUTot"), node.get("State")), ("4", "IDLE"));
        let text = client.run("scontrol", &["show", "partition", "main"]).ok();
        let partition = Record::parse(&text);
        assert_eq!(partition.get("Nodes"), "n[1-2]");
        assert_eq!(partition.get("TotalCPUs"), "8");
        let config = client.run("scontrol", &["show", "config"]).ok();
        assert!(config.contains("ClusterName             = try\n"), "{config}");
        let ping = client.run("scontrol", &["ping"]).ok();
        let up = ping.lines().filter(|line| line.ends_with(" is UP")).count();
        assert_eq!(up, usize::from(cluster.controllers), "{ping}");
    });
}

#[test]
fn clients_of_every_release_cancel_hold_release_update_and_requeue() {
    each_release(&Shape::small(), |cluster, client| {
        let id = client.sbatch(&["-H", "-t", "5"], "echo x >> lines; sleep 300");
        let number = id.to_string();
        let control = |arguments: &[&str]| client.run("scontrol", arguments).ok();
        assert_eq!(client.job(id).get("Reason"), "JobHeldUser");
        control(&["update", &format!("JobId={number}"), "TimeLimit=8", "JobName=new"]);
        let record = client.job(id);
        assert_eq!((record.get("TimeLimit"), record.get("JobName")), ("00:08:00", "new"));
        control(&["release", &number]);
        reaches(client, id, "RUNNING");
        control(&["requeue", &number]);
        flurm_tests::eventually("the restart is counted", || {
            let record = client.job(id);
            if record.get("Restarts") == "1" { Ok(()) } else { Err(record) }
        });
        client.run("scancel", &[&number]).ok();
        assert_eq!(ended(client, id).get("JobState"), "CANCELLED");
        cluster.wait_idle();
    });
}

#[test]
fn clients_of_every_release_are_refused_with_the_same_words() {
    each_release(&Shape::small(), |_, client| {
        let complaint = client.try_sbatch(&["-p", "nowhere"], "exit 0").refused();
        assert!(complaint.contains("Invalid partition name specified"), "{complaint}");
        let complaint = client.find_job(4_000_000).unwrap_err();
        assert!(complaint.contains("Invalid job id specified"), "{complaint}");
        let foreign = client.run("scontrol", &["shutdown"]);
        assert!(foreign.status != 0, "{foreign:?}");
    });
}
