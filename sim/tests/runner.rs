//! The runner's commands, as whoever types them sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

const SHORT: &str = r#"
    story = "A short life of the replicated log."
    cluster = { system = "log", controllers = 3, nodes = 0 }
    trouble_for = "6s..8s"
    [[workload]]
    name = "submit_with_retry"
    clients = 2
    jobs = "4..8"
    [[fault]]
    name = "kill_controller"
    who = "leader"
    times = 2
    down_for = "100ms..2s"
    [[fault]]
    name = "partition"
    [expect]
    oracles = ["job_exists_once", "reads_never_go_back", "every_job_ends"]
"#;

/// A folder of one test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _there_may_be_none = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("a file for the test");
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("the program wrote this file")
    }
}

/// Runs the program: exit code and output.
fn sim(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flurm-sim")).args(words).output();
    let output = output.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_seed_written_out_is_the_same_run() {
    let place = Place::new("explain");
    let wild = place.file("wild.toml", SHORT);
    let (code, text) = sim(&["explain", &wild, "--seed", "4"]);
    assert_eq!(code, Some(0), "{text}");
    let tame = place.file("tame.toml", &text);
    assert_eq!(sim(&["digest", &wild, "--seed", "4"]), sim(&["digest", &tame]));
    assert_ne!(sim(&["digest", &wild, "--seed", "5"]), sim(&["digest", &tame]));
}

#[test]
fn a_sweep_reports_resumes_and_keeps_rare_seeds() {
    let place = Place::new("sweep");
    let scenario = place.file("short.toml", SHORT);
    let (state, json) = (place.path("state"), place.path("report.json"));
    let (junit, corpus) = (place.path("report.xml"), place.path("corpus"));
    let run = |seeds: &str| {
        let words = ["run", &scenario, "--jobs", "2", "--seeds", seeds, "--state", &state];
        let files = ["--json", &json, "--junit", &junit, "--corpus", &corpus];
        sim(&[&words[..], &files[..]].concat())
    };
    let (code, text) = run("3");
    assert_eq!(code, Some(0), "{text}");
    let report = |place: &Place| -> serde_json::Value {
        serde_json::from_str(&place.read("report.json")).unwrap()
    };
    let first = report(&place)["scenarios"][0].clone();
    assert_eq!((&first["seeds"], &first["outcome"]), (&3.into(), &"passed".into()));
    assert!(first["situations"].as_u64() > Some(5), "{first}");
    assert!(place.read("report.xml").contains("failures=\"0\""));
    // What was done before counts and is not done again.
    let stored = place.read("state");
    assert!(stored.contains("\"done\":[[0,3]]"), "{stored}");
    let (code, text) = run("4");
    assert_eq!((code, &report(&place)["scenarios"][0]["seeds"]), (Some(0), &4.into()), "{text}");
    assert!(place.read("state").contains("\"done\":[[0,4]]"));
    let kept = std::fs::read_dir(place.0.join("corpus/rare")).unwrap().count();
    assert!((1..=12).contains(&kept), "{kept} kept");
    let (code, text) = sim(&["run", &place.path("corpus")]);
    assert_eq!((code, text.matches(": 1 seeds, 0 failed").count()), (Some(0), kept), "{text}");
}

#[test]
fn a_mark_of_the_list_that_nobody_reaches_is_told() {
    let place = Place::new("marks");
    let scenario = place.file("short.toml", SHORT);
    let marks = place.file("marks", "# marks\nnobody ever reaches this\n");
    let (code, text) = sim(&["run", &scenario, "--seeds", "1", "--marks", &marks]);
    assert_eq!(code, Some(14), "{text}");
    assert!(text.contains("never reached by any scenario: nobody ever reaches this"), "{text}");
}

#[test]
fn a_story_is_filtered_stopped_and_drawn() {
    let place = Place::new("story");
    let scenario = place.file("short.toml", SHORT);
    let html = place.path("run.html");
    let words = ["replay", &scenario, "--seed", "4", "--kind", "fault", "--break-at"];
    let (code, text) = sim(&[&words[..], &["fault: kill of", "--html", &html]].concat());
    assert_eq!(code, Some(0), "{text}");
    let (before, after) = text.split_once("-- stopped at event #").expect("it stopped");
    assert_eq!(before.matches("fault: kill of").count(), 1, "{before}");
    assert!(!before.contains("client:"), "{before}");
    for wanted in ["machine  ctl1", "seems to lead", "service  ctl2     flurmctld runs", "digest "]
    {
        assert!(after.contains(wanted), "{wanted}: {after}");
    }
    let page = place.read("run.html");
    for wanted in ["\"title\":\"short\"", "heartbeat, term", "kill of the leader", "</html>"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert!(!page.contains("/*DATA*/"));
    assert!(!page.contains("http"), "a page has no outside parts");
    let (_, unstopped) = sim(&["replay", &scenario, "--seed", "4", "--quiet"]);
    let digest = |text: &str| text.split_once("digest ").map(|(_, rest)| rest[..32].to_owned());
    assert_eq!(digest(&unstopped), digest(&text), "who looks changes nothing");
}

#[test]
fn a_failing_run_is_reduced_to_what_makes_it_fail() {
    let place = Place::new("shrink");
    // The clients cannot be done in time, whatever breaks.
    let slow = SHORT.replace("clients = 2", "clients = 2\npause = \"60s..70s\"");
    let slow = format!("{slow}\nsettles_within = \"10s\"");
    let scenario = place.file("slow.toml", &slow);
    let small = place.path("small.toml");
    let (code, text) = sim(&["shrink", &scenario, "--seed", "3", "--out", &small, "--for", "20s"]);
    assert_eq!(code, Some(0), "{text}");
    // How far it comes in its time depends on the machine; the faults go first.
    assert!(text.contains("  0 faults, 1 workloads, "), "{text}");
    let kept = place.read("small.toml");
    assert!(kept.contains("plan = [\n]"), "{kept}");
    assert_eq!(sim(&["replay", &small, "--quiet"]).0, Some(11));
    let (code, text) = sim(&["shrink", &place.file("fine.toml", SHORT), "--seed", "3"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("does not fail"), "{text}");
}

const WORK: &str = r#"
    story = "A few jobs on one node."
    cluster = { controllers = 1, nodes = 1 }
    trouble_for = "4s"
    [[workload]]
    name = "submit_with_retry"
    jobs = 2
    pause = "20ms..200ms"
    run = "100ms..500ms"
    [expect]
    oracles = ["job_exists_once", "every_job_ends"]
"#;

fn data_folder(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    if paths.iter().any(|path| path.ends_with("log-mark")) {
        return Some(folder.to_owned());
    }
    paths.iter().find_map(|path| data_folder(path))
}

#[test]
fn a_log_written_by_a_controller_is_replayed_into_its_states() {
    let place = Place::new("log");
    let scenario = place.file("work.toml", WORK);
    let disks = place.path("disks");
    let (code, text) = sim(&["replay", &scenario, "--quiet", "--disks", &disks]);
    assert_eq!(code, Some(0), "{text}");
    let data = data_folder(&place.0.join("disks/ctl1")).expect("a controller has a data folder");
    let data = data.display().to_string();
    let (code, text) = sim(&["from-log", &data]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("member 1 of \"sim\", entries 0 to"), "{text}");
    let (commands, state) = text.split_once("the state at ").expect("the state is told");
    assert_eq!(commands.matches(" Submit ").count(), 2, "{commands}");
    assert!(commands.contains("JobSubmitted"), "{commands}");
    assert_eq!(state.matches("Completed").count(), 2, "{state}");
    let (_, json) = sim(&["from-log", &data, "--json", "--quiet"]);
    let values: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = values.iter().find(|value| value.get("state").is_some()).unwrap();
    assert_eq!(last["state"]["jobs"].as_object().unwrap().len(), 2, "{last}");
    // Up to the entry before the first submission there is no job.
    let at = commands.lines().find(|line| line.contains(" Submit ")).unwrap();
    let index: u64 = at.split_whitespace().next().unwrap().parse().unwrap();
    let until = (index - 1).to_string();
    let (code, text) = sim(&["from-log", &data, "--until", &until, "--quiet"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("the state at {until}")), "{text}");
    assert!(text.contains("  0 jobs, next 1"), "{text}");
    assert_eq!(sim(&["from-log", &data, "--until", "999999"]).0, Some(2));
}

#[test]
fn pairs_of_processes_agree() {
    let place = Place::new("pairs");
    let scenario = place.file("short.toml", SHORT);
    let (code, text) = sim(&["check-determinism", &scenario, "--seeds", "2", "--jobs", "2"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 seeds, 0 differ between two processes"), "{text}");
}
