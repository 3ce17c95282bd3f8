//! Programs that a site has run around jobs and tasks: when, as whom, with which environment, and
//! what becomes of a job when one of them fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Cluster, Shape, eventually};

use crate::{alice, each_release, ended, first_text, reaches};

/// Puts programs into the folder of a cluster that is to start.
fn prepared(shape: &Shape, programs: &[(&str, &str)]) -> Cluster {
    Cluster::prepared(shape, |folder| {
        for (name, body) in programs {
            let body = body.replace("WORK", &folder.join("work").display().to_string());
            let body = body.replace("FOLDER", &folder.display().to_string());
            program(&folder.join(name), &body);
        }
    })
}

fn program(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What a program of the site found in its environment, in order, without what differs between any
/// two clusters.
fn seen(cluster: &Cluster, name: &str) -> Vec<String> {
    let path = cluster.folder.join("work").join(name);
    let text = eventually(&format!("{name} is there"), || {
        fs::read_to_string(&path).map_err(|error| error.to_string())
    });
    let text = text.replace(&cluster.folder.display().to_string(), "FOLDER");
    let varying = ["PWD=", "SLURM_CONF=", "_=", "OLDPWD=", "SHLVL=", "PATH="];
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !varying.iter().any(|name| line.starts_with(name)))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

/// Variables that Slurm sets since later releases.
const NEWER: [&str; 10] = [
    "SLURM_JOB_NODELIST=",
    "SLURM_JOB_CORE_SPEC_COUNT=",
    "SLURM_JOB_CORE_SPEC_TYPE=",
    "SLURM_JOB_END_TIME=",
    "SLURM_JOB_START_TIME=",
    "SLURM_JOB_EXTRA=",
    "SLURM_JOB_LICENSES=",
    "SLURM_JOB_NTASKS=",
    "SLURM_JOB_OVERSUBSCRIBE=",
    "SLURM_JOB_RESERVATION=",
];

/// Leaves its environment and who it ran as.
const WRITES: &str = "name=$(basename $0).$SLURM_JOB_ID; (env; echo user=$(id -un)) > FOLDER/new.$name; \
    mv FOLDER/new.$name WORK/$name";

fn around_jobs(cluster: &Cluster) -> Vec<Vec<String>> {
    let client = alice(cluster);
    let id = client.sbatch(&["-w", "n1", "-A", "acct", "--comment", "hello"], "exit 3");
    ended(&client, id);
    client.run("srun", &["-w", "n1", "true"]).ok();
    let names = ["prolog.1", "epilog.1", "prolog.2", "epilog.2"];
    let of = |name: &&str| {
        let mut lines = seen(cluster, name);
        lines.retain(|line| !NEWER.iter().any(|newer| line.starts_with(newer)));
        lines
    };
    names.iter().map(of).collect()
}

#[test]
fn prolog_and_epilog_run_once_a_job_as_root_with_slurms_environment() {
    let shape = |shape: Shape| shape.line("Prolog=FOLDER/prolog").line("Epilog=FOLDER/epilog");
    let programs = [("prolog", WRITES), ("epilog", WRITES)];
    let ours = prepared(&shape(Shape::small()), &programs);
    let real = prepared(&shape(Shape::small().real()), &programs);
    let found = around_jobs(&ours);
    assert!(found.iter().all(|lines| lines.contains(&"user=root".to_owned())), "{found:?}");
    for (ours, real) in found.iter().zip(&around_jobs(&real)) {
        assert_eq!(ours, real);
    }
}

#[test]
fn a_job_starts_after_its_prolog_and_a_prolog_runs_once_for_all_steps() {
    let body = "sleep 1; echo prolog >> WORK/order";
    let shape = Shape::small().line("Prolog=FOLDER/prolog");
    let cluster = prepared(&shape, &[("prolog", body)]);
    let order = cluster.work().join("order");
    fs::write(&order, "").unwrap();
    let client = alice(&cluster);
    fs::set_permissions(&order, fs::Permissions::from_mode(0o666)).unwrap();
    let script = "echo script >> order; srun -n1 sh -c 'echo step >> order'; srun -n1 true";
    let id = client.sbatch(&["-w", "n1"], script);
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    assert_eq!(fs::read_to_string(&order).unwrap(), "prolog\nscript\nstep\n");
    fs::write(&order, "").unwrap();
    client.run("salloc", &["-w", "n1", "sh", "-c", "srun true; srun true"]).ok();
    assert_eq!(fs::read_to_string(&order).unwrap(), "prolog\n");
    cluster.wait_idle();
    cluster.assert_healthy();
}

#[test]
fn a_failed_prolog_drains_its_node_and_holds_the_job() {
    let shape = Shape::small().line("Prolog=FOLDER/prolog");
    let cluster = prepared(&shape, &[("prolog", "[ $SLURMD_NODENAME = n2 ]")]);
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], "echo ran > ran");
    let record = eventually("the job is held", || {
        let record = client.job(id);
        let held = record.get("Priority") == "0" && record.get("JobState") == "PENDING";
        if held { Ok(record) } else { Err(record) }
    });
    assert_eq!(record.get("Reason"), "launch_failed_requeued_held");
    assert_eq!(record.get("Requeue"), "1");
    let node = cluster.client().node("n1");
    assert!(node.get("State").contains("DRAIN"), "{node:?}");
    assert!(node.get("Reason").starts_with("Prolog error"), "{node:?}");
    assert!(!cluster.work().join("ran").exists());
    // Another node is none the worse for it.
    let other = client.sbatch(&["-w", "n2"], "true");
    assert_eq!(ended(&client, other).get("JobState"), "COMPLETED");
    client.run("scancel", &[&id.to_string()]).ok();
}

#[test]
fn a_failed_prolog_fails_the_step_that_came_first() {
    let shape = Shape::small().line("Prolog=FOLDER/prolog");
    let cluster = prepared(&shape, &[("prolog", "exit 1")]);
    let client = alice(&cluster);
    let ran = client.run("srun", &["-w", "n1", "true"]);
    assert_ne!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("Prolog failed") || ran.err.contains("prolog failed"), "{}", ran.err);
    eventually("the node is drained", || {
        let node = cluster.client().node("n1");
        let drained =
            node.get("State").contains("DRAIN") && node.get("Reason").starts_with("Prolog error");
        if drained { Ok(()) } else { Err(node) }
    });
}

#[test]
fn a_failed_epilog_drains_its_node() {
    let shape = Shape::small().line("Epilog=FOLDER/epilog");
    let cluster = prepared(&shape, &[("epilog", "exit 2")]);
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], "true");
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    eventually("the node is drained", || {
        let node = cluster.client().node("n1");
        let drained =
            node.get("State").contains("DRAIN") && node.get("Reason").starts_with("Epilog error");
        if drained { Ok(()) } else { Err(node) }
    });
}

#[test]
fn a_job_that_is_cancelled_in_its_prolog_never_runs() {
    let shape = Shape::small().line("Prolog=FOLDER/prolog").line("Epilog=FOLDER/epilog");
    let prolog = "echo up > WORK/up; sleep 3; echo prolog >> WORK/order";
    let programs = [("prolog", prolog), ("epilog", "echo epilog >> WORK/order")];
    let cluster = prepared(&shape, &programs);
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], "echo ran > ran");
    first_text(&cluster.work().join("up"));
    client.run("scancel", &[&id.to_string()]).ok();
    reaches(&client, id, "CANCELLED");
    cluster.wait_idle();
    assert_eq!(fs::read_to_string(cluster.work().join("order")).unwrap(), "prolog\nepilog\n");
    assert!(!cluster.work().join("ran").exists());
    cluster.assert_healthy();
}

#[test]
fn a_prolog_that_takes_too_long_has_failed() {
    let shape = Shape::small().line("Prolog=FOLDER/prolog").line("PrologEpilogTimeout=2");
    let cluster = prepared(&shape, &[("prolog", "sleep 1000")]);
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], "true");
    eventually("the node is drained", || {
        let node = cluster.client().node("n1");
        if node.get("State").contains("DRAIN") { Ok(()) } else { Err(node) }
    });
    client.run("scancel", &[&id.to_string()]).ok();
}

#[test]
fn a_prolog_begins_again_where_its_node_daemon_died() {
    if against_slurm() {
        return;
    }
    let shape = Shape::small().line("Prolog=FOLDER/prolog");
    let body = "echo begun >> WORK/begun; [ -e WORK/go ] || sleep 1000";
    let cluster = prepared(&shape, &[("prolog", body)]);
    let client = alice(&cluster);
    let id = client.sbatch(&["-w", "n1"], "echo ran > ran");
    first_text(&cluster.work().join("begun"));
    cluster.kill("n1");
    fs::write(cluster.work().join("go"), "").unwrap();
    cluster.start_daemon("n1");
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    assert_eq!(fs::read_to_string(cluster.work().join("begun")).unwrap(), "begun\nbegun\n");
    assert_eq!(first_text(&cluster.work().join("ran")), "ran\n");
}

#[test]
fn programs_of_a_folder_run_from_the_last_name_to_the_first() {
    let shape = Shape::small().line("Prolog=FOLDER/prolog.d/*.sh");
    let cluster = Cluster::prepared(&shape, |folder| {
        fs::create_dir(folder.join("prolog.d")).unwrap();
        for name in ["a.sh", "b.sh", "c.sh", "d.txt"] {
            let body = format!("echo {name} >> {}/order", folder.join("work").display());
            program(&folder.join("prolog.d").join(name), &body);
        }
    });
    alice(&cluster).run("srun", &["true"]).ok();
    let order = fs::read_to_string(cluster.work().join("order")).unwrap();
    assert_eq!(order, "c.sh\nb.sh\na.sh\n");
}

/// A task prolog that changes the environment and says something.
const TASK_PROLOG: &str = "echo print hello from $SLURM_SCRIPT_CONTEXT $(id -un); echo nonsense; \
    echo export ADDED=by prolog; echo unset DROPPED";

#[test]
fn a_task_prolog_changes_what_its_task_finds() {
    let shape = Shape::small().line("TaskProlog=FOLDER/prolog").line("TaskEpilog=FOLDER/epilog");
    let epilog = "echo $SLURM_SCRIPT_CONTEXT $SLURM_PROCID $(id -un) >> epilogs";
    let programs = [("prolog", TASK_PROLOG), ("epilog", epilog)];
    let cluster = prepared(&shape, &programs);
    let client = alice(&cluster).with("DROPPED", "yes");
    let body = "echo $ADDED ${DROPPED-dropped} $SLURM_SCRIPT_CONTEXT";
    let said = "hello from prolog_task nobody\nby prolog dropped prolog_task\n";
    let epilogs = cluster.work().join("epilogs");
    assert_eq!(client.run("srun", &["sh", "-c", body]).ok(), said);
    assert_eq!(first_text(&epilogs), "epilog_task 0 nobody\n");
    fs::remove_file(&epilogs).unwrap();
    client.run("srun", &["-o", "out", "sh", "-c", body]).ok();
    assert_eq!(fs::read_to_string(cluster.work().join("out")).unwrap(), said);
    fs::remove_file(&epilogs).unwrap();
    let id = client.sbatch(&["-o", "batch"], body);
    ended(&client, id);
    assert_eq!(fs::read_to_string(cluster.work().join("batch")).unwrap(), said);
    assert_eq!(first_text(&epilogs), "epilog_task 0 nobody\n");
}

#[test]
fn a_users_own_task_prolog_and_epilog_run_and_a_failure_ends_the_task() {
    each_release(&Shape::small(), |cluster, client| {
        program(&cluster.work().join("mine"), "echo print mine; echo export ADDED=x");
        program(&cluster.work().join("after"), "echo after > after.out");
        program(&cluster.work().join("fails"), "exit 4");
        let work = cluster.work().display().to_string();
        let mine = format!("--task-prolog={work}/mine");
        let after = format!("--task-epilog={work}/after");
        let ran = client.run("srun", &[&mine, &after, "sh", "-c", "echo $ADDED"]);
        assert_eq!(ran.ok(), "mine\nx\n");
        assert_eq!(first_text(&cluster.work().join("after.out")), "after\n");
        fs::remove_file(cluster.work().join("after.out")).unwrap();
        let fails = format!("--task-prolog={work}/fails");
        let ran = client.run("srun", &[&fails, "echo", "ran"]);
        assert_eq!((ran.status, ran.out.as_str()), (4, ""), "{}", ran.err);
        assert!(ran.err.contains("--task-prolog failed status=4"), "{}", ran.err);
    });
}

#[test]
fn srun_runs_its_own_prolog_and_epilog() {
    let shape = Shape::small().line("SrunProlog=FOLDER/before").line("SrunEpilog=FOLDER/after");
    let programs = [
        ("before", "echo before >> order"),
        ("after", "echo after >> order; echo $SLURM_SCRIPT_CONTEXT >> order"),
    ];
    let cluster = prepared(&shape, &programs);
    let client = alice(&cluster);
    client.run("srun", &["sh", "-c", "echo task >> order"]).ok();
    let order = fs::read_to_string(cluster.work().join("order")).unwrap();
    assert_eq!(order, "before\ntask\nafter\nepilog_srun\n");
}
