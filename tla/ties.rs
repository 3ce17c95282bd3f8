//! Which tie sees which bug: the table of `docs/specs.md`, made of what is checked. The manifest says
//! with which bug a walk leaves a graph and a history is refused, `scenarios/negative` which steps the
//! oracle refuses; `ci/tla` and `ci/test planted` fail where that is not so.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::manifest::Manifest;

/// Before and after the table.
const BEGIN: &str = "<!-- which tie sees which bug -->\n";
const END: &str = "<!-- made by `UPDATE=1 cargo test -p flurm-tla ties` -->\n";

/// A scenario, as far as it matters here.
#[derive(Deserialize)]
struct Scenario {
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    planted: Option<String>,
    refused: Option<String>,
}

/// What sees a bug.
#[derive(Default)]
struct Seen {
    graphs: Vec<String>,
    steps: Vec<String>,
    histories: Vec<String>,
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "–".into() } else { quoted.join(", ") }
}

/// The table.
///
/// # Errors
/// A scenario cannot be read, or has no bug.
fn table(manifest: &Manifest, negative: &Path) -> Result<String, String> {
    let all = flurm_base::planted::KNOWN.iter().chain(flurm_base::planted::GUARDS);
    let mut seen: BTreeMap<&str, Seen> = all.map(|(name, _)| (*name, Seen::default())).collect();
    for check in &manifest.check {
        for bug in &check.planted {
            let row = seen.get_mut(bug.as_str()).ok_or_else(|| format!("no bug is {bug}"))?;
            row.graphs.push(check.name());
        }
    }
    let mut told = manifest.histories.planted.clone();
    let files = std::fs::read_dir(negative).map_err(|error| error.to_string())?;
    for file in files {
        let path = file.map_err(|error| error.to_string())?.path();
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let scenario: Scenario = toml::from_str(&text).map_err(|error| error.to_string())?;
        let bug =
            scenario.expect.planted.ok_or_else(|| format!("{} plants none", path.display()))?;
        let row = seen.get_mut(bug.as_str()).ok_or_else(|| format!("no bug is {bug}"))?;
        row.steps.extend(scenario.expect.refused);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        row.histories.extend(told.remove(&name).into_iter().flatten());
    }
    if let Some(name) = told.into_keys().next() {
        return Err(format!("there is no scenario negative/{name}"));
    }
    let mut text =
        String::from("| bug | graph of | step oracle | histories |\n|---|---|---|---|\n");
    let (some, none): (Vec<_>, Vec<_>) = seen.iter().partition(|(_, row)| {
        !(row.graphs.is_empty() && row.steps.is_empty() && row.histories.is_empty())
    });
    for (bug, row) in some {
        let (graphs, steps, histories) =
            (list(&row.graphs), list(&row.steps), list(&row.histories));
        text.push_str(&format!("| `{bug}` | {graphs} | {steps} | {histories} |\n"));
    }
    let none: Vec<String> = none.into_iter().map(|(bug, _)| String::from(*bug)).collect();
    text.push_str(&format!(
        "\nSeen by an oracle of the simulator, and by no tie: {}.\n",
        list(&none)
    ));
    Ok(text)
}

/// The document with its table made anew.
fn renewed(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[test]
fn the_table_says_what_is_checked() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = here.join("../docs/specs.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let manifest = Manifest::read(here).unwrap();
    let table = table(&manifest, &here.join("../scenarios/negative")).unwrap();
    let renewed = renewed(&document, &table).expect("docs/specs.md has a place for the table");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &renewed).unwrap();
    }
    let text = "docs/specs.md is old: UPDATE=1 cargo test -p flurm-tla ties";
    assert!(std::fs::read_to_string(&path).unwrap() == renewed, "{text}");
}

/// The text of every specification.
fn specifications(folder: &Path) -> String {
    let mut text = String::new();
    for spec in std::fs::read_dir(folder).unwrap() {
        let Ok(files) = std::fs::read_dir(spec.unwrap().path()) else { continue };
        let files = files.map(|file| file.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|end| end == "tla")) {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

/// Whatever refuses a step or a history has the name that a specification has for it.
#[test]
fn refusals_are_named_as_the_specifications_name_them() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = specifications(here);
    let is_defined = |name: &String| {
        let (plain, with) = (format!("{name} =="), format!("{name}("));
        text.lines().any(|line| line.starts_with(&plain) || line.starts_with(&with))
    };
    let manifest = Manifest::read(here).unwrap();
    let of_histories = manifest.histories.planted.values().flatten();
    let of_altered = manifest.histories.altered.iter().flat_map(|altered| &altered.refused);
    let of_checks = manifest.check.iter().filter_map(|check| check.violates.as_ref());
    let mut names: Vec<String> = of_histories.chain(of_altered).chain(of_checks).cloned().collect();
    names.extend(crate::step::ACTIONS.iter().map(|(_, action)| String::from(*action)));
    for file in std::fs::read_dir(here.join("../scenarios/negative")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let scenario: Scenario = toml::from_str(&text).unwrap();
        // Any action at all.
        names.extend(scenario.expect.refused.filter(|name| name != "any"));
    }
    names.retain(|name| !is_defined(name));
    assert_eq!(names, [""; 0], "no specification has these names");
    assert!(!is_defined(&String::from("Sta")), "a beginning is no name");
}
