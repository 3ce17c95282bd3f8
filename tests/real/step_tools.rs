//! Tools around steps: sstat, sbcast.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use flurm_tests::{Client, Cluster, Release, Shape};

use crate::{alice, each_release, ended, first_text};

/// A cluster whose clients believe that what steps use is counted.
fn counting() -> Shape {
    Shape::small().line("JobAcctGatherType=jobacct_gather/linux").line("JobAcctGatherFrequency=1")
}

/// What sstat says in its columns.
fn sstat(client: &Client, options: &[&str], columns: &str) -> Vec<String> {
    let mut all = vec!["-n", "-P", "--noconvert", "-o", columns];
    all.extend(options);
    let ran = client.run("sstat", &all);
    assert_eq!(ran.status, 0, "{}", ran.err);
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn sstat_tells_what_a_step_uses() {
    each_release(&counting(), |cluster, client| {
        let body = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); \
            i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; \
            echo up.$SLURM_PROCID > up.$SLURM_PROCID; while [ ! -e go ]; do sleep 0.1; done";
        let mut step = client.command("srun", &["-w", "n1", "-n2", "sh", "-c", body]);
        let step = step.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let step = step.spawn().unwrap();
        first_text(&cluster.work().join("up.0"));
        first_text(&cluster.work().join("up.1"));
        std::thread::sleep(std::time::Duration::from_secs(2));
        let id = client.run("squeue", &["-h", "-s", "-o", "%i"]).ok().trim().to_owned();
        let lines = sstat(client, &["-j", &id], "JobID,NTasks,Nodelist,MaxRSS,AveRSS,MaxRSSNode");
        let fields: Vec<&str> = lines[0].split('|').collect();
        let [job, tasks, nodes, most, average, node] = &fields[..] else { panic!("{lines:?}") };
        assert_eq!((*job, *tasks, *nodes, *node), (id.as_str(), "2", "n1", "n1"));
        let bytes = |text: &str| text.trim_end_matches('K').parse::<u64>().unwrap();
        let unit = if most.ends_with('K') { 1024 } else { 1 };
        for value in [most, average] {
            let used = bytes(value) * unit;
            assert!((30_000_000..200_000_000).contains(&used), "{lines:?}");
        }
        let lines = sstat(client, &["-j", &id, "-i"], "JobID,Nodelist,Pids");
        let pids: Vec<&str> = lines[0].split('|').collect();
        assert_eq!((pids[0], pids[1]), (id.as_str(), "n1"));
        let all: Vec<u32> = pids[2].split(',').map(|pid| pid.parse().unwrap()).collect();
        assert!(all.len() >= 2, "{lines:?}");
        assert!(all.iter().any(|pid| fs::metadata(format!("/proc/{pid}")).is_ok()), "{lines:?}");
        fs::write(cluster.work().join("go"), "").unwrap();
        step.wait_with_output().unwrap();
        for name in ["go", "up.0", "up.1"] {
            fs::remove_file(cluster.work().join(name)).unwrap();
        }
    });
}

#[test]
fn sstat_looks_at_batch_scripts_and_only_at_ones_own() {
    let cluster = Cluster::start(&counting());
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], "echo up > up; while [ ! -e go ]; do sleep 0.1; done");
    first_text(&cluster.work().join("up"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    let batch = format!("{id}.batch");
    let lines = sstat(&client, &["-j", &batch], "JobID,NTasks,Nodelist");
    assert_eq!(lines, [format!("{batch}|1|n1")]);
    let bob = cluster.client().user(crate::BOB).release(Release::V22_05);
    let seen = bob.run("sstat", &["-n", "-P", "-o", "JobID,NTasks,MaxRSS", "-j", &batch]);
    assert!(!seen.out.contains("|1|"), "{}{}", seen.out, seen.err);
    fs::write(cluster.work().join("go"), "").unwrap();
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn sbcast_copies_a_file_to_every_node_of_a_job_as_its_user() {
    each_release(&Shape::small(), |cluster, client| {
        let source = cluster.work().join("source");
        let content: Vec<u8> =
            (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        fs::write(&source, &content).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
        let target = cluster.work().join("target");
        let target_name = target.display().to_string();
        // Both nodes are this machine, so one is enough to look at the file.
        let body = format!(
            "chmod 755 source; sbcast -p source {target_name} && sbcast source \
            {target_name}; echo again $?; sbcast -f source {target_name}; echo forced $?"
        );
        std::os::unix::fs::chown(&source, Some(65534), Some(65534)).unwrap();
        let ran = client.run("salloc", &["-w", "n1", "sh", "-c", &body]);
        let out = ran.clone().ok();
        let again = out.lines().find_map(|line| line.strip_prefix("again ")).expect("it ran");
        assert_ne!(again, "0", "{out}{}", ran.err);
        assert!(ran.err.contains("File exists"), "{}", ran.err);
        assert!(out.contains("forced 0"), "{out}{}", ran.err);
        assert!(fs::read(&target).unwrap() == content, "the file arrives whole");
        let found = fs::metadata(&target).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, 0o755);
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&found), 65534);
        fs::remove_file(&target).unwrap();
        fs::remove_file(&source).unwrap();
    });
}

#[test]
fn sbcast_writes_nothing_that_its_user_could_not_and_only_in_ones_own_job() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    fs::write(cluster.work().join("source"), "text").unwrap();
    let forbidden = cluster.folder.join("forbidden").display().to_string();
    let body = format!("sbcast source {forbidden}; echo status $?");
    let ran = client.run("salloc", &["-w", "n1", "sh", "-c", &body]);
    assert!(!ran.out.contains("status 0"), "{}{}", ran.out, ran.err);
    assert!(!fs::exists(&forbidden).unwrap());
    let id = client.sbatch(&["-w", "n1"], "echo up > up; while [ ! -e go ]; do sleep 0.1; done");
    first_text(&cluster.work().join("up"));
    let bob = cluster.client().user(crate::BOB);
    let target = cluster.work().join("target").display().to_string();
    bob.run("sbcast", &["-j", &id.to_string(), "source", &target]).refused();
    assert!(!fs::exists(&target).unwrap());
    fs::write(cluster.work().join("go"), "").unwrap();
    cluster.wait_idle();
}

#[test]
fn pidinfo_finds_the_job_of_a_process() {
    let cluster = Cluster::start(&Shape::small());
    let client = cluster.client();
    let body = "scontrol pidinfo $$; srun sh -c 'scontrol pidinfo $$'; scontrol pidinfo 1";
    let id = client.sbatch(&["-t", "5", "-o", "told"], body);
    assert_eq!(ended(&client, id).get("JobState"), "FAILED");
    let told = fs::read_to_string(cluster.work().join("told")).unwrap();
    let lines: Vec<_> = told.lines().collect();
    let begin = format!("Slurm JobId={id} ends at ");
    for pair in [0, 2] {
        assert!(lines[pair].starts_with(&begin), "{told}");
        let left = lines[pair + 1].strip_prefix("Job remaining time is ").unwrap();
        let left: u32 = left.strip_suffix(" seconds").unwrap().parse().unwrap();
        assert!((240..=300).contains(&left), "{told}");
    }
    assert_eq!(lines[4], "Failed to locate job for requested pid", "{told}");
}
