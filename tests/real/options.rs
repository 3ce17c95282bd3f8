//! The table of options: that it leaves out none, that what it says is refused is refused, and that
//! the tests that it names exist.

use std::collections::BTreeSet;
use std::fs;

use flurm_tests::client::repository;
use flurm_tests::conf::against_slurm;
use flurm_tests::{Cluster, Release, Shape};

use crate::alice;

fn table() -> String {
    fs::read_to_string(repository().join("docs/options.md")).expect("the table")
}

/// The texts of all sources in a folder.
fn sources(folder: &str) -> String {
    let files = fs::read_dir(repository().join(folder)).expect("the folder exists");
    let paths = files.map(|file| file.expect("readable").path());
    let rust = paths.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| fs::read_to_string(path).expect("text")).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let table = table();
    let (real, model) = (sources("tests/real"), sources("src/model"));
    let mut named = 0;
    for quoted in table.split('`').skip(1).step_by(2) {
        let (place, name) = match (quoted.strip_prefix("model: "), quoted.split_once("::")) {
            (Some(name), _) if !name.contains('…') && !name.ends_with("_tests") => (&model, name),
            (None, Some((module, name))) => {
                let file = repository().join(format!("tests/real/{module}.rs"));
                assert!(file.exists(), "there is no {}", file.display());
                (&real, name)
            }
            _ => continue,
        };
        assert!(place.contains(&format!("fn {name}()")), "docs/options.md names no test: {name}");
        named += 1;
    }
    assert!(named > 20, "only {named} tests were found in the table");
}

/// The options in a client's help: `  -a, --array=indexes`, and `-n, --ntasks`.
fn options_of(help: &str) -> BTreeSet<String> {
    let shown = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let named = shown.filter_map(|line| line.split_once("--").map(|(_, after)| after));
    let word = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let names = named.filter_map(|after| after.split(word).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_table_leaves_out_no_option_of_any_client() {
    let table = table();
    let cluster = Cluster::start(&Shape::small().nodes(1).controllers(1));
    let mut seen = 0;
    for release in Release::ALL {
        for program in ["sbatch", "salloc", "srun"] {
            let help = cluster.client().release(release).run(program, &["--help"]).ok();
            for option in options_of(&help) {
                let shown = table.contains(&format!("`--{option}`"));
                assert!(shown, "docs/options.md has no --{option} of {program} {release:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "only {seen} options were found");
}

#[test]
fn what_is_not_served_is_refused() {
    if against_slurm() {
        return;
    }
    let table = table();
    let rows = table.lines().filter(|row| {
        row.starts_with('|') && row.contains("options::what_is_not_served_is_refused")
    });
    let cluster = Cluster::start(&Shape::small().nodes(1));
    let mut asked = 0;
    for row in rows {
        let (_, after) =
            row.split_once("| refused: ").expect("the row says what it is refused with");
        let (words, _) = after.split_once(" |").expect("the cell ends");
        let example = row.rsplit('`').nth(1).expect("the row ends with an example");
        let options: Vec<&str> = example.split(' ').collect();
        for release in Release::ALL {
            let ran = alice(&cluster).release(release).try_sbatch(&options, "exit 0");
            assert!(ran.status != 0, "{release:?} {example} was accepted: {}", ran.out);
            assert!(ran.err.contains(words), "{release:?} {example}: {}", ran.err);
            asked += 1;
        }
    }
    assert!(asked > 30, "only {asked} refusals were tried");
    for release in Release::ALL {
        let client = alice(&cluster).release(release);
        for (program, options) in [("sbatch", ["-n1", ":", "-n1"]), ("salloc", ["-n1", ":", "-n1"])]
        {
            let options = [&options[..], &["--wrap=exit 0"]].concat();
            let options = if program == "sbatch" { &options[..] } else { &options[..3] };
            let ran = client.run(program, options);
            let words = "Requested operation not supported on this system";
            assert!(ran.status != 0, "{release:?} {program} {}", ran.out);
            assert!(ran.err.contains(words), "{release:?} {program}: {}", ran.err);
        }
    }
    let queue = alice(&cluster).run("squeue", &["-h"]).ok();
    assert!(queue.is_empty(), "{queue}");
    cluster.assert_healthy();
}
