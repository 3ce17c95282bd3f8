//! The command lines of workflow tools and portals, letter by letter, and what those tools look for in
//! the answers. Sources: the tools' own code, as each test names it. Tools that ask `sacct` are here
//! only with what they ask the controllers.

use std::fs;

use flurm_tests::{Client, Release, Shape, eventually};

use crate::{BOB, each_release, ended, reaches};

/// The number alone, as `--parsable` prints it.
#[track_caller]
fn parsable(printed: &str) -> u32 {
    let first = printed.trim().split(';').next().unwrap_or("");
    first.parse().unwrap_or_else(|_| panic!("no job number in {printed:?}"))
}

/// Lines that a command prints, without blanks at their ends.
#[track_caller]
fn lines(client: &Client, program: &str, arguments: &[&str]) -> Vec<String> {
    let printed = client.run(program, arguments).ok();
    printed.lines().map(|line| line.trim().to_owned()).collect()
}

/// Nextflow: `SlurmExecutor.groovy`.
#[test]
fn nextflow_submits_polls_and_cancels() {
    each_release(&Shape::small(), |cluster, client| {
        // squeue of 26.05 takes nobody for no user.
        let client = &cluster.client().release(client.of_release()).user(BOB);
        let script = "#!/bin/bash\n#SBATCH -J nf-task_(1)\n#SBATCH -o .command.log\n\
                      #SBATCH --no-requeue\n#SBATCH --signal B:USR2@30\n#SBATCH -c 2\n\
                      #SBATCH -t 01:00:00\n#SBATCH --mem 200M\n#SBATCH -p main\nsleep 300\n";
        fs::write(cluster.work().join(".command.run"), script).unwrap();
        let id = flurm_tests::client::submitted(&client.run("sbatch", &[".command.run"]).ok());
        let id = id.expect("a number after the words that it looks for");
        reaches(client, id, "RUNNING");
        let poll = ["--noheader", "-o", "%i %t", "-t", "all", "-p", "main", "-u", BOB];
        let listed = lines(client, "squeue", &poll);
        assert!(listed.contains(&format!("{id} R")), "{listed:?}");
        if client.of_release() != Release::V22_05 {
            let poll = ["--noheader", "-o", "%i %t", "-t", "all", "--only-job-state"];
            let listed = lines(client, "squeue", &poll);
            assert!(listed.contains(&format!("{id} R")), "{listed:?}");
        }
        client.run("scancel", &[&id.to_string()]).ok();
        ended(client, id);
        assert!(lines(client, "squeue", &poll).contains(&format!("{id} CA")));
        let array = ["--array", "0-1", "-o", "/dev/null", "--no-requeue", "-t", "00:01:00"];
        let array = client.sbatch(&array, "exit 0");
        eventually("both tasks are told apart", || {
            let listed = lines(client, "squeue", &poll);
            let has = |task: u32| listed.contains(&format!("{array}_{task} CD"));
            if has(0) && has(1) { Ok(()) } else { Err(listed) }
        });
    });
}

/// Snakemake: `snakemake-executor-plugin-slurm`.
#[test]
fn snakemake_submits_with_its_script_on_standard_input() {
    each_release(&Shape::small(), |cluster, client| {
        let name = "0a1b2c3d-run";
        let log = cluster.work().join("%j.log").display().to_string();
        let options = [
            "--parsable",
            "--job-name",
            name,
            "--output",
            &log,
            "--export=ALL",
            "--comment",
            "rule_all_wildcards_x",
            "-A",
            "acct",
            "-p",
            "main",
            "-t",
            "10",
            "--mem-per-cpu",
            "50",
            "--ntasks=1",
            "--cpus-per-task=2",
            "-D",
            &cluster.work().display().to_string(),
        ];
        let ran = client.run_with_input("sbatch", &options, "#!/bin/sh\necho done\n").ok();
        let id = parsable(&ran);
        assert_eq!(ended(client, id).get("JobState"), "COMPLETED");
        let ask = ["--format=%i|%T", "--states=all", "--noheader", "--name", name];
        assert!(lines(client, "squeue", &ask).contains(&format!("{id}|COMPLETED")));
        let text = fs::read_to_string(cluster.work().join(format!("{id}.log"))).unwrap();
        assert_eq!(text, "done\n");
        let shown = client.run("scontrol", &["show", "config"]).ok();
        let age = shown.lines().find(|line| line.starts_with("MinJobAge")).expect("MinJobAge");
        assert!(age.ends_with("300 sec"), "{age}");
        assert_eq!(lines(client, "sinfo", &["-o", "%P"]), ["PARTITION", "main*"]);
        assert!(client.run("scontrol", &["show", "partition"]).ok().contains("PartitionName=main"));
    });
}

/// dask-jobqueue, submitit and torchx: files with `#SBATCH` lines, in-job variables, signals.
#[test]
fn python_tools_submit_files_and_send_signals() {
    each_release(&Shape::small(), |cluster, client| {
        let script = "#!/usr/bin/env bash\n\n#SBATCH -J dask-worker\n#SBATCH -e dask-worker-%J.err\n\
            #SBATCH -o dask-worker-%J.out\n#SBATCH -n 1\n#SBATCH -N 1\n#SBATCH --cpus-per-task=2\n\
            #SBATCH --mem=300M\n#SBATCH -t 00:30:00\n#SBATCH --open-mode=append\n\
            #SBATCH --signal=USR2@90\n#SBATCH --wckey=submitit\n\
            trap 'echo preempted; exit 0' USR2\n\
            echo $SLURM_JOB_ID $SLURM_NTASKS $SLURM_JOB_NUM_NODES $SLURM_JOB_NODELIST\n\
            for i in $(seq 1500); do sleep 0.2; done\n";
        fs::write(cluster.work().join("worker.sh"), script).unwrap();
        let id = flurm_tests::client::submitted(&client.run("sbatch", &["worker.sh"]).ok());
        let id = id.expect("a number");
        let output = cluster.work().join(format!("dask-worker-{id}.out"));
        let first = crate::first_text(&output);
        assert!(first.starts_with(&format!("{id} 1 1 n")), "{first}");
        client.run("scancel", &[&id.to_string(), "--signal", "USR2", "--batch"]).ok();
        assert_eq!(ended(client, id).get("JobState"), "COMPLETED");
        assert!(fs::read_to_string(&output).unwrap().ends_with("preempted\n"));
        let ids = client.run("scontrol", &["requeue", &id.to_string()]).ok();
        assert_eq!(ids, "", "submitit requeues what was preempted");
        client.run("scancel", &[&id.to_string()]).ok();
    });
}

/// AiiDA, toil, cylc, ReFrame and SkyPilot: polls with many fields.
#[test]
fn polls_with_many_fields_are_answered() {
    each_release(&Shape::small(), |_, client| {
        let id = client.sbatch(&["-J", "poll", "-t", "5"], "sleep 300");
        reaches(client, id, "RUNNING");
        let standard = client.clone().with("SLURM_TIME_FORMAT", "standard");
        let format = "%i^^^%t^^^%r^^^%B^^^%u^^^%D^^^%C^^^%R^^^%P^^^%l^^^%M^^^%S^^^%j^^^%V";
        let twice = format!("--jobs={id},{id}");
        let listed = lines(&standard, "squeue", &["--noheader", "-o", format, &twice]);
        let fields: Vec<&str> = listed[0].split("^^^").collect();
        assert_eq!(fields.len(), 14, "{listed:?}");
        assert_eq!((fields[1], fields[4], fields[5], fields[9]), ("R", "nobody", "1", "5:00"));
        let unknown = standard.run("squeue", &["--noheader", "-o", format, "--jobs=99999,99999"]);
        assert_eq!((unknown.status, unknown.out.as_str()), (0, ""), "{}", unknown.err);
        let one = client.run("squeue", &["-h", "-j", "99999"]);
        assert!(one.status != 0 && one.err.contains("Invalid job id specified"), "{}", one.err);
        let toil = lines(client, "squeue", &["-h", "--format", "%i %t %M"]);
        assert!(toil[0].starts_with(&format!("{id} R 0:")), "{toil:?}");
        let reframe = ["-h", "-j", &id.to_string(), "-o", "%i|%T|%N|%r"];
        let listed = lines(client, "squeue", &reframe);
        assert!(listed[0].starts_with(&format!("{id}|RUNNING|n")), "{listed:?}");
        assert!(listed[0].ends_with("|None"), "{listed:?}");
        let spawner = lines(client, "squeue", &["-h", "-j", &id.to_string(), "-o", "%T %B"]);
        assert!(spawner[0].starts_with("RUNNING n"), "{spawner:?}");
        let sizes = lines(client, "sinfo", &["-a", "-o", "%P %G %l %p %c %m"]);
        assert_eq!(sizes[1], "main* (null) infinite 1 4 4000");
        let nodes = "%N\u{1f}%t\u{1f}%G\u{1f}%c\u{1f}%m\u{1f}%P";
        assert_eq!(lines(client, "sinfo", &["-h", "--Node", "-o", nodes]).len(), 2);
        for what in ["nodes", "partitions"] {
            let shown = client.run("scontrol", &["-a", "show", "-o", what]).ok();
            assert!(shown.lines().count() >= 1, "{shown}");
        }
        let none = client.run("scontrol", &["-a", "show", "-o", "reservations"]).ok();
        assert!(none.contains("No reservations in the system"), "{none}");
        let tried = client.run("srun", &["-n1", "--test-only", "true"]);
        assert!(tried.err.contains("in partition main"), "ReFrame looks for it: {}", tried.err);
        let named = client.run("scancel", &["--name", "poll", "--signal", "TERM", "--full"]);
        assert_eq!(named.status, 0, "{}", named.err);
        ended(client, id);
    });
}

/// Open OnDemand (`ood_core`), FireCREST, and exporters of metrics.
#[test]
fn portals_and_exporters_are_answered() {
    each_release(&Shape::small(), |cluster, client| {
        let id = parsable(
            &client
                .run_with_input(
                    "sbatch",
                    &[
                        "--parsable",
                        "-H",
                        "-D",
                        "/tmp",
                        "-J",
                        "ood",
                        "-o",
                        "/dev/null",
                        "-t",
                        "00:10:00",
                        "--export",
                        "NONE",
                        "-n",
                        "1",
                    ],
                    "#!/bin/sh\nsleep 300\n",
                )
                .ok(),
        );
        client.run("scontrol", &["release", &id.to_string()]).ok();
        reaches(client, id, "RUNNING");
        client.run("scontrol", &["hold", &id.to_string()]);
        let fields = "Account:\u{1f},JobID:\u{1f},NumNodes:\u{1f},State:\u{1f},UserName:\u{1f},\
                      tres-alloc:\u{1f}";
        let all = ["--all", "--states=all", "--noconvert", "-O", fields, "-j", &id.to_string()];
        let listed = lines(client, "squeue", &all);
        assert!(listed[1].contains("RUNNING\u{1f}nobody\u{1f}cpu=1,"), "{listed:?}");
        assert!(lines(client, "sinfo", &["-aho", "%F/%C"])[0].starts_with("1/1/0/2/1/7/0/8"));
        let nodes = ["-ahNO", "nodehost:100,gres:512,gresused:512,statelong"];
        assert!(!lines(client, "sinfo", &nodes).is_empty());
        let exporter = ["-a", "-r", "-h", "-o", "%A|%u|%T|%C"];
        assert!(lines(client, "squeue", &exporter).contains(&format!("{id}|nobody|RUNNING|1")));
        assert_eq!(lines(client, "sinfo", &["-h", "-o", "%C"]), ["1/7/0/8"]);
        let format = "%z|%c|%O|%e|%f|%N|%o|%n|%T|%R|%w|%v|%m|%C";
        let format = format!("--format={format}");
        let crest = lines(client, "sinfo", &["-a", "-N", "--noheader", &format]);
        assert_eq!(crest.len(), 2, "{crest:?}");
        assert!(crest.iter().all(|line| line.split('|').count() == 14), "{crest:?}");
        let ping = client.run("scontrol", &["ping"]).ok();
        assert!(ping.contains(" is UP"), "{ping}");
        let batch = client.run("scontrol", &["write", "batch_script", &id.to_string(), "-"]).ok();
        assert!(batch.starts_with("#!/bin/sh\nsleep 300"), "{batch}");
        client.run("scancel", &["--verbose", &id.to_string()]).ok();
        ended(client, id);
        cluster.wait_idle();
    });
}
