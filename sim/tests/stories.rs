//! The scenario files and the executable, from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use flurm_sim::engine::own::Own;
use flurm_sim::run::{Keep, run_seed};
use flurm_sim::scenario::Scenario;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the scenarios' folder") {
        let path = entry.expect("a name in the scenarios' folder").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

fn scenarios() -> Vec<(PathBuf, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut found = Vec::new();
    files(&folder, &mut found);
    assert!(found.len() >= 8, "{found:?}");
    let load =
        |path: PathBuf| (path.clone(), Scenario::load(&path).expect("a scenario that reads"));
    found.into_iter().map(load).collect()
}

#[test]
fn every_scenario_can_be_read_and_negative_ones_plant_a_bug() {
    for (path, scenario) in scenarios() {
        let negative = path.parent().unwrap().ends_with("negative");
        assert_eq!(negative, scenario.expect.planted.is_some(), "{}", path.display());
    }
}

#[test]
fn every_oracle_is_hunted_for_by_a_negative_scenario() {
    let caught: Vec<String> =
        scenarios().into_iter().filter_map(|(_, scenario)| scenario.expect.caught_by).collect();
    for oracle in flurm_sim::oracle::NAMES {
        let own = caught.iter().any(|name| name == oracle);
        // What never ends is told by the run itself, before the oracle is asked.
        let by_the_run = *oracle == "every_job_ends" && caught.contains(&"unsettled".to_owned());
        assert!(own || by_the_run, "no negative scenario is caught by {oracle}");
    }
}

const SHORT: &str = r#"
    story = "A short life of the replicated log."
    cluster = { system = "log", controllers = 3, nodes = 0 }
    trouble_for = "8s"
    [[workload]]
    name = "submit_with_retry"
    clients = 2
    jobs = 10
    [[fault]]
    name = "kill_controller"
    who = "leader"
    times = 2
    down_for = "100ms..2s"
    [expect]
    oracles = ["job_exists_once", "reads_never_go_back", "every_job_ends"]
"#;

#[test]
fn one_seed_is_one_run_and_a_reader_changes_nothing() {
    let scenario = Scenario::parse(SHORT).unwrap();
    let quiet = run_seed::<Own>(&scenario, 4, Keep::default());
    let read = run_seed::<Own>(&scenario, 4, Keep { lines: true, hashes: true, ..Keep::default() });
    assert_eq!(quiet.failure, None);
    assert_eq!((quiet.accepted, &quiet.digest), (10, &read.digest));
    assert_eq!(read.hashes.len() as u64, read.events);
    assert!(read.lines.iter().any(|line| line.text.contains("fault: kill of the leader")));
    let other = run_seed::<Own>(&scenario, 5, Keep::default());
    assert_ne!(other.digest, quiet.digest);
}

#[cfg(not(madsim))]
#[test]
fn a_simulation_that_reaches_for_the_real_world_is_stopped() {
    let output = Command::new(env!("CARGO_BIN_EXE_flurm-sim")).arg("check-tripwires").output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for what in ["clock", "entropy", "thread"] {
        assert!(text.contains(&format!("stopped: the {what}")), "{text}");
    }
}

#[test]
fn the_exit_code_tells_a_wrong_command_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_flurm-sim")).arg("dance").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`dance` is no command"));
}
