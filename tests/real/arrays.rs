//! Job arrays as users see them: numbers, environment, squeue, and acts on parts of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use flurm_tests::{Client, Cluster, Record, Shape, eventually};

use crate::{alice, each_release, first_text};

/// What squeue says of an array, one line for each record or task, sorted.
fn queue(client: &Client, id: u32, options: &[&str]) -> Vec<String> {
    let id = id.to_string();
    let fixed = ["-h", "-t", "all", "-o", "%i %T %r", "-j", &id];
    let text = client.run("squeue", &[&fixed[..], options].concat()).ok();
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    lines
}

/// All records that scontrol shows of an array, by task.
fn records(client: &Client, id: u32) -> Vec<Record> {
    let text = client.run("scontrol", &["show", "job", &id.to_string()]).ok();
    Record::parse_all(&text)
}

fn all_ended(client: &Client, id: u32) {
    eventually(&format!("array {id} ends"), || {
        let records = records(client, id);
        if records.iter().all(Record::ended) { Ok(()) } else { Err(records) }
    });
}

#[test]
fn each_task_runs_with_its_own_number_environment_and_output() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "echo $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_TASK_COUNT \
            $SLURM_ARRAY_TASK_MIN $SLURM_ARRAY_TASK_MAX $SLURM_ARRAY_TASK_STEP $SLURM_JOB_ID";
        let id = client.sbatch(&["--array=1-7:2,20"], body);
        let path = |task: u32| cluster.work().join(format!("slurm-{id}_{task}.out"));
        let mut numbers = BTreeSet::new();
        for task in [1, 3, 5, 7, 20] {
            let text = first_text(&path(task));
            let (told, number) = text.trim().rsplit_once(' ').unwrap();
            assert_eq!(told, format!("{id} {task} 5 1 20 2"));
            numbers.insert(number.parse::<u32>().unwrap());
        }
        let expected: BTreeSet<u32> = (id..id + 5).collect();
        assert_eq!(numbers, expected, "the array's number and the next ones");
        all_ended(client, id);
        let last = records(client, id).into_iter().find(|one| one.get("ArrayTaskId") == "20");
        assert_eq!(last.unwrap().get("JobId"), id.to_string(), "the last one keeps it");
        cluster.wait_idle();
    });
}

#[test]
fn a_waiting_array_is_one_line_and_its_tasks_are_told_apart_on_demand() {
    each_release(&Shape::small(), |_, client| {
        let id = client.sbatch(&["-H", "--array=1-4,9%2", "-J", "many"], "exit 0");
        assert_eq!(queue(client, id, &[]), [format!("{id}_[1-4,9%2] PENDING JobHeldUser")]);
        let each = [1, 2, 3, 4, 9].map(|task| format!("{id}_{task} PENDING JobHeldUser"));
        assert_eq!(queue(client, id, &["-r"]), each);
        let shown = &records(client, id)[0];
        assert_eq!(shown.get("ArrayJobId"), id.to_string());
        assert_eq!(shown.get("ArrayTaskId"), "1-4,9%2");
        assert_eq!(shown.get("ArrayTaskThrottle"), "2");
        client.run("scontrol", &["update", &format!("JobId={id}"), "ArrayTaskThrottle=3"]).ok();
        assert_eq!(queue(client, id, &[]), [format!("{id}_[1-4,9%3] PENDING JobHeldUser")]);
        client.run("scancel", &[&id.to_string()]).ok();
        assert!(queue(client, id, &[])[0].contains("CANCELLED"));
    });
}

#[test]
fn tasks_are_held_released_changed_and_cancelled_alone() {
    each_release(&Shape::small(), |_, client| {
        let id = client.sbatch(&["--begin=now+1hour", "--array=1-6"], "exit 0");
        let control = |arguments: &[&str]| client.run("scontrol", arguments).ok();
        control(&["hold", &format!("{id}_2")]);
        control(&["update", &format!("JobId={id}_[4-5]"), "JobName=other"]);
        client.run("scancel", &[&format!("{id}_[3,6]")]).ok();
        // Slurm says why a task waits only once its planner has looked at it.
        let states = |line: &String| line.rsplit_once(' ').unwrap().0.to_owned();
        let lines: Vec<String> = queue(client, id, &["-r"]).iter().map(states).collect();
        assert_eq!(lines, [1, 2, 4, 5].map(|task| format!("{id}_{task} PENDING")));
        assert!(queue(client, id, &["-r"]).contains(&format!("{id}_2 PENDING JobHeldUser")));
        let named = |task: &str| {
            let shown = client.run("scontrol", &["show", "job", &format!("{id}_{task}")]).ok();
            Record::parse(&shown).get("JobName").to_owned()
        };
        assert_eq!((&*named("4"), &*named("5")), ("other", "other"));
        assert_ne!(named("2"), "other");
        control(&["release", &format!("{id}_2")]);
        assert!(!queue(client, id, &["-r"]).iter().any(|line| line.contains("Held")));
        let wrong = client.run("scontrol", &["hold", &format!("{id}_99")]);
        assert!(wrong.status != 0, "{wrong:?}");
        assert!(wrong.err.contains("Invalid job id specified"), "{}", wrong.err);
        client.run("scancel", &[&id.to_string()]).ok();
        all_ended(client, id);
    });
}

#[test]
fn no_more_tasks_run_at_once_than_the_percent_sign_allows() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "echo x > began-$SLURM_ARRAY_TASK_ID; while [ ! -e go ]; do sleep 0.1; done";
    let id = client.sbatch(&["--array=0-4%2"], body);
    let began = |task: u32| cluster.work().join(format!("began-{task}"));
    first_text(&began(0));
    first_text(&began(1));
    eventually("the rest waits for the limit", || {
        let lines = queue(&client, id, &["-t", "PENDING"]);
        let said = lines == [format!("{id}_[2-4%2] PENDING JobArrayTaskLimit")];
        if said { Ok(()) } else { Err(lines) }
    });
    assert!(!began(2).exists());
    fs::write(cluster.work().join("go"), "").unwrap();
    all_ended(&client, id);
    let ran: Vec<PathBuf> = (0..5).map(began).filter(|path| path.exists()).collect();
    assert_eq!(ran.len(), 5);
}

#[test]
fn a_running_task_is_requeued_and_cancelled_alone() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let body = "echo $SLURM_ARRAY_TASK_ID ${SLURM_RESTART_COUNT:-0} >> runs; sleep 300";
    let id = client.sbatch(&["--array=1-3"], body);
    let runs = || fs::read_to_string(cluster.work().join("runs")).unwrap_or_default();
    let has = |count: usize| {
        eventually(
            "tasks run",
            || if runs().lines().count() >= count { Ok(()) } else { Err(runs()) },
        );
    };
    has(3);
    client.run("scancel", &[&format!("{id}_2")]).ok();
    eventually("task 2 ends", || {
        let lines = queue(&client, id, &[]);
        let ended = lines.iter().any(|line| line.starts_with(&format!("{id}_2 CANCELLED")));
        if ended { Ok(()) } else { Err(lines) }
    });
    client.run("scontrol", &["requeue", &format!("{id}_1")]).ok();
    let restarts = |task: u32| {
        let shown = client.run("scontrol", &["show", "job", &format!("{id}_{task}")]).ok();
        Record::parse(&shown).get("Restarts").to_owned()
    };
    assert_eq!((&*restarts(1), &*restarts(3)), ("1", "0"));
    client.run("scancel", &[&id.to_string()]).ok();
    all_ended(&client, id);
}

#[test]
fn arrays_that_the_site_does_not_take_are_refused_in_slurms_words() {
    let cluster = Cluster::start(&Shape::small().line("MaxArraySize=20"));
    let client = alice(&cluster);
    for bad in ["20", "1-", "5-3", "x", "1-9:0"] {
        let complaint = client.try_sbatch(&[&format!("--array={bad}")], "exit 0").refused();
        assert!(complaint.contains("Invalid job array specification"), "{bad}: {complaint}");
    }
    let id = client.sbatch(&["-H", "--array=0-19"], "exit 0");
    assert_eq!(queue(&client, id, &["-r"]).len(), 20);
}

#[test]
fn another_user_cannot_touch_an_array() {
    let cluster = Cluster::start(&Shape::small());
    let client = alice(&cluster);
    let id = client.sbatch(&["-H", "--array=1-3"], "exit 0");
    let bob = cluster.client().user(crate::BOB);
    for (program, arguments) in [
        ("scancel", vec![format!("{id}_[1-2]")]),
        ("scancel", vec![format!("{id}")]),
        ("scontrol", vec!["release".to_owned(), format!("{id}_1")]),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = bob.run(program, &arguments);
        let words = ["Access/permission denied", "Invalid user id"];
        let denied = ran.status != 0 && words.iter().any(|words| ran.err.contains(words));
        assert!(denied, "{program} {arguments:?}: {ran:?}");
    }
    assert_eq!(queue(&client, id, &[]), [format!("{id}_[1-3] PENDING JobHeldUser")]);
}
