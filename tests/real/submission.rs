//! A batch job from `sbatch` to its output file.

use std::fs;

use flurm_tests::client::identity;
use flurm_tests::{Cluster, Shape};

use crate::{ALICE, alice, ended};

#[test]
fn a_job_of_an_ordinary_user_runs_as_that_user_in_the_folder_it_was_submitted_from() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-J", "mine"], "id -u; id -g; id -G; pwd; umask; echo $0 >&2");
    let record = ended(&client, id);
    assert_eq!(record.get("JobState"), "COMPLETED");
    assert_eq!(record.get("ExitCode"), "0:0");
    assert_eq!(record.get("UserId"), "nobody(65534)");
    let output = cluster.work().join(format!("slurm-{id}.out"));
    let text = fs::read_to_string(&output).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["65534", "65534", "65534"], "{text}");
    assert_eq!(lines[3], cluster.work().display().to_string());
    assert_eq!(lines[4], "0022");
    assert!(lines[5].ends_with("/slurm_script"), "standard error goes to the same file: {text}");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&output).unwrap());
    assert_eq!(owner, identity(ALICE).0);
    cluster.assert_healthy();
}

#[test]
fn output_patterns_name_the_files() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let out = "o-%j-%x-%N-%u-%A-%%-%4j.txt";
    let id = client.sbatch(&["-J", "pat", "-o", out, "-e", "e-%J.txt"], "echo out; echo err >&2");
    let node = ended(&client, id).get("NodeList").to_owned();
    let read = |name: &str| fs::read_to_string(cluster.work().join(name)).ok();
    // %N is the short host name; all nodes of this cluster are on one host.
    let named = |node: &str| read(&format!("o-{id}-pat-{node}-nobody-{id}-%-{id:04}.txt"));
    let text = named(&flurm_tests::conf::hostname()).or_else(|| named(&node));
    assert_eq!(text.as_deref(), Some("out\n"));
    assert_eq!(read(&format!("e-{id}.txt")).as_deref(), Some("err\n"));
}

#[test]
fn open_mode_decides_whether_output_is_kept() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let path = cluster.work().join("kept");
    let run = |mode: &str, word: &str| {
        let mode = format!("--open-mode={mode}");
        let id = client.sbatch(&["-o", "kept", &mode], &format!("echo {word}"));
        ended(&client, id);
        fs::read_to_string(&path).unwrap()
    };
    assert_eq!(run("truncate", "one"), "one\n");
    assert_eq!(run("append", "two"), "one\ntwo\n");
    assert_eq!(run("truncate", "three"), "three\n");
}

#[test]
fn exit_codes_and_signals_are_told_as_slurm_tells_them() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    for (body, state, code) in [
        ("exit 0", "COMPLETED", "0:0"),
        ("exit 7", "FAILED", "7:0"),
        ("exit 255", "FAILED", "255:0"),
        ("kill -KILL $$", "FAILED", "0:9"),
        ("kill -TERM $$", "FAILED", "0:15"),
        ("sh -c 'kill -KILL $$'; exit $?", "FAILED", "137:0"),
    ] {
        let record = ended(&client, client.sbatch(&[], body));
        assert_eq!((record.get("JobState"), record.get("ExitCode")), (state, code), "{body}");
    }
}

#[test]
fn script_arguments_folder_and_stdin_reach_the_job() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let script = cluster.work().join("job.sh");
    fs::write(&script, "#!/bin/sh\necho \"$# $1 $3\"; pwd; cat\n").unwrap();
    let input = cluster.work().join("input");
    fs::write(&input, "fed\n").unwrap();
    let input = input.display().to_string();
    let output = cluster.work().join("args").display().to_string();
    let options = ["-o", &output, "-i", &input, "-D", "/usr", "job.sh", "a b", "", "c*"];
    let id = flurm_tests::client::submitted(&client.run("sbatch", &options).ok()).unwrap();
    let record = ended(&client, id);
    assert_eq!(fs::read_to_string(&output).unwrap(), "3 a b c*\n/usr\nfed\n");
    assert_eq!(record.get("WorkDir"), "/usr");
    assert_eq!(record.get("Command"), "job.sh a b  c*");
}

#[test]
fn standard_input_is_empty_unless_named() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-o", "in"], "wc -c");
    ended(&client, id);
    assert_eq!(fs::read_to_string(cluster.work().join("in")).unwrap().trim(), "0");
}

#[test]
fn the_submitters_limits_and_umask_reach_the_job() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let script = "#!/bin/sh\nulimit -S -n; ulimit -S -c; umask\n";
    fs::write(cluster.work().join("limits.sh"), script).unwrap();
    let submit = "umask 027; ulimit -S -n 333; ulimit -S -c 0; sbatch -o limits limits.sh";
    let printed = client.run("sh", &["-c", submit]).ok();
    ended(&client, flurm_tests::client::submitted(&printed).unwrap());
    let text = fs::read_to_string(cluster.work().join("limits")).unwrap();
    assert_eq!(text, "333\n0\n0027\n");
}

#[test]
fn a_burst_of_jobs_all_run() {
    let cluster = Cluster::start(&Shape::small().nodes(1).cpus(64).memory(32_000));
    let client = alice(&cluster);
    let script = "#!/bin/sh\necho $SLURM_JOB_ID >> ran\n";
    fs::write(cluster.work().join("burst.sh"), script).unwrap();
    let submit = "for i in $(seq 60); do sbatch -o /dev/null burst.sh & done; wait";
    let printed = client.run("sh", &["-c", submit]).ok();
    let mut ids: Vec<u32> = printed.lines().filter_map(flurm_tests::client::submitted).collect();
    assert_eq!(ids.len(), 60, "{printed}");
    for id in &ids {
        let record = ended(&client, *id);
        assert_eq!(record.get("JobState"), "COMPLETED", "{record:?}");
    }
    let ran = fs::read_to_string(cluster.work().join("ran")).unwrap();
    let mut ran: Vec<u32> = ran.lines().map(|line| line.parse().unwrap()).collect();
    ids.sort_unstable();
    ran.sort_unstable();
    assert_eq!(ran, ids);
}

#[test]
fn a_job_whose_output_cannot_be_opened_fails_and_the_node_stays_up() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let record = ended(&client, client.sbatch(&["-o", "/nonexistent/out"], "echo lost"));
    assert_eq!(record.get("JobState"), "FAILED");
    assert_eq!(ended(&client, client.sbatch(&[], "exit 0")).get("JobState"), "COMPLETED");
    cluster.wait_idle();
}

#[test]
fn a_job_whose_folder_is_gone_runs_in_tmp() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let output = cluster.work().join("where").display().to_string();
    let id = client.sbatch(&["-D", "/nonexistent/folder", "-o", &output], "pwd");
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    let text = fs::read_to_string(output).unwrap();
    assert_eq!(text.lines().last(), Some("/tmp"), "{text}");
}

#[test]
fn a_program_that_cannot_be_executed_fails_the_job() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let script = "#!/nonexistent/interpreter\n";
    let printed = client.run_with_input("sbatch", &[], script).ok();
    let record = ended(&client, flurm_tests::client::submitted(&printed).unwrap());
    assert_eq!(record.get("JobState"), "FAILED");
    cluster.wait_idle();
}

#[test]
fn requests_that_can_never_run_are_refused_with_slurms_words() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    for (options, words) in [
        (["-p", "nowhere"].as_slice(), "Invalid partition name specified"),
        (&["-w", "n99"], "Invalid node name specified"),
        (&["--mem=1T"], "Requested node configuration is not available"),
    ] {
        let complaint = client.try_sbatch(options, "exit 0").refused();
        assert!(complaint.contains(words), "{options:?}: {complaint}");
    }
    cluster.assert_healthy();
}
