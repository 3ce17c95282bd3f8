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
