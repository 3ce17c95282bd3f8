//! The table of options names tests: judges that they exist.

use std::fs;

use flurm_tests::client::repository;

/// The texts of all sources in a folder.
fn sources(folder: &str) -> String {
    let files = fs::read_dir(repository().join(folder)).expect("the folder exists");
    let paths = files.map(|file| file.expect("readable").path());
    let rust = paths.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| fs::read_to_string(path).expect("text")).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let table = fs::read_to_string(repository().join("docs/options.md")).expect("the table");
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
