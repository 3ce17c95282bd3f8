//! The layers: which crate may depend on which, what a core may use, where unsafe code may live.
//!
//! `ci/layers.toml` is the list of what is allowed; cargo's metadata tells what is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::tree::Files;
use crate::{Finding, blank};

const RULES: &str = "ci/layers.toml";

/// `ci/layers.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Outside crates a core may use.
    pub pure_outside: BTreeSet<String>,
    /// Outside crates any crate may use in its tests.
    pub tests_outside: BTreeSet<String>,
    /// The crates of the workspace.
    #[serde(rename = "crate")]
    pub crates: BTreeMap<String, Layer>,
}

/// What one crate may do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Crates of the workspace it may depend on.
    pub uses: BTreeSet<String>,
    /// Further ones its tests may use.
    #[serde(default)]
    pub tests: BTreeSet<String>,
    /// True for a core.
    #[serde(default)]
    pub pure: bool,
    /// True when it may contain unsafe code.
    #[serde(default, rename = "unsafe")]
    pub allows_unsafe: bool,
}

/// `cargo metadata`, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// The members of the workspace.
    pub packages: Vec<Package>,
}

/// One member.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Path of its `Cargo.toml`.
    pub manifest_path: String,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Its cargo features.
    #[serde(default)]
    pub features: BTreeMap<String, Vec<String>>,
}

/// One dependency.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    /// Name of the crate depended on.
    pub name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub kind: Option<String>,
}

/// Checks the whole tree.
pub fn check(root: &Path, files: &Files) -> Result<Vec<Finding>, String> {
    let text = files.get(RULES).cloned().flatten().ok_or(format!("{RULES} is missing"))?;
    let rules: Rules = toml::from_str(&text).map_err(|e| format!("{RULES}: {e}"))?;
    let metadata = metadata(root)?;
    let mut findings = edges(&rules, &metadata);
    let base = std::fs::canonicalize(root).map_err(|e| format!("could not find the root: {e}"))?;
    for package in &metadata.packages {
        let folder = Path::new(&package.manifest_path)
            .parent()
            .and_then(|folder| folder.strip_prefix(&base).ok())
            .map(|folder| format!("{}/", folder.display()))
            .ok_or(format!("{} lies outside the repository", package.name))?;
        let Some(layer) = rules.crates.get(&package.name) else { continue };
        findings.extend(sources(layer, &folder, &member_files(&folder, &metadata, &base, files)));
        findings.extend(lints(&folder, files));
    }
    Ok(findings)
}

fn metadata(root: &Path) -> Result<Metadata, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("could not run cargo: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

/// Compares the arrows with the rules.
pub fn edges(rules: &Rules, metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    let members: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    for name in rules.crates.keys().filter(|name| !members.contains(name.as_str())) {
        findings.push(Finding::whole(RULES, format!("{name} is no member of the workspace")));
    }
    for package in &metadata.packages {
        let Some(layer) = rules.crates.get(&package.name) else {
            findings.push(Finding::whole(&package.name, format!("is not listed in {RULES}")));
            continue;
        };
        if !package.features.is_empty() {
            findings.push(Finding::whole(&package.name, "has cargo features; the house has none"));
        }
        for dependency in &package.dependencies {
            if let Some(text) = judge(rules, layer, &members, dependency) {
                findings.push(Finding::whole(&package.name, text));
            }
        }
    }
    findings
}

/// Says what is wrong with one dependency, if anything.
fn judge(
    rules: &Rules,
    layer: &Layer,
    members: &BTreeSet<&str>,
    dependency: &Dependency,
) -> Option<String> {
    let name = &dependency.name;
    let for_tests = dependency.kind.as_deref() == Some("dev");
    let inside = members.contains(name.as_str());
    let allowed = match (inside, for_tests) {
        (true, false) => layer.uses.contains(name),
        (true, true) => layer.uses.contains(name) || layer.tests.contains(name),
        (false, _) if !layer.pure => true,
        (false, false) => rules.pure_outside.contains(name),
        (false, true) => rules.pure_outside.contains(name) || rules.tests_outside.contains(name),
    };
    let role = if for_tests { "its tests may not use" } else { "may not use" };
    let reason = if inside { "ci/layers.toml lists the arrows" } else { "it is a core" };
    (!allowed).then(|| format!("{role} {name}: {reason}"))
}

/// The files of one member, without those of members that lie in folders below it.
fn member_files<'a>(
    folder: &str,
    metadata: &Metadata,
    base: &Path,
    files: &'a Files,
) -> BTreeMap<&'a str, &'a str> {
    let below: Vec<String> = metadata
        .packages
        .iter()
        .filter_map(|p| Path::new(&p.manifest_path).parent()?.strip_prefix(base).ok())
        .map(|other| format!("{}/", other.display()))
        .filter(|other| other.len() > folder.len() && other.starts_with(folder))
        .collect();
    files
        .iter()
        .filter(|(name, _)| name.starts_with(folder) && name.ends_with(".rs"))
        .filter(|(name, _)| !below.iter().any(|other| name.starts_with(other)))
        .filter_map(|(name, text)| Some((name.as_str(), text.as_deref()?)))
        .collect()
}

/// Searches a member's code for words its layer does not allow.
pub fn sources(layer: &Layer, folder: &str, files: &BTreeMap<&str, &str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, text) in files {
        let code = blank::blanked(text);
        for (index, line) in code.lines().enumerate() {
            let has = |wanted: &str| words(line).any(|word| word == wanted);
            if has("unsafe") && !layer.allows_unsafe {
                findings.push(Finding::at(name, index + 1, "unsafe code outside rt-tokio"));
            }
            if layer.pure && (has("async") || has("await")) {
                let text = format!("async code in {folder}, which is a core");
                findings.push(Finding::at(name, index + 1, text));
            }
        }
    }
    findings
}

/// Every member takes the workspace's lints.
fn lints(folder: &str, files: &Files) -> Option<Finding> {
    let name = format!("{folder}Cargo.toml");
    let manifest: toml::Table = files.get(&name)?.as_ref()?.parse().ok()?;
    let inherited = manifest.get("lints")?.get("workspace").and_then(toml::Value::as_bool);
    let missing = inherited != Some(true);
    missing.then(|| Finding::whole(&name, "must say [lints] workspace = true"))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        toml::from_str(
            r#"
            pure_outside = ["serde"]
            tests_outside = ["proptest"]
            [crate.base]
            uses = []
            pure = true
            [crate.core]
            uses = ["base"]
            tests = ["host"]
            pure = true
            [crate.host]
            uses = ["base", "core"]
            [crate.rt]
            uses = []
            unsafe = true
            "#,
        )
        .unwrap()
    }

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: format!("/r/{name}/Cargo.toml"),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
            features: BTreeMap::new(),
        }
    }

    fn found(packages: Vec<Package>) -> Vec<String> {
        let mut packages = packages;
        for name in ["base", "core", "host", "rt"] {
            if !packages.iter().any(|p| p.name == name) {
                packages.push(package(name, &[]));
            }
        }
        edges(&rules(), &Metadata { packages }).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn listed_arrows_are_allowed() {
        let host = package("host", &[("core", None), ("base", None), ("tokio", None)]);
        let core = package("core", &[("base", None), ("serde", None)]);
        assert_eq!(found(vec![host, core]), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_against_the_layers_is_refused() {
        assert_eq!(
            found(vec![package("core", &[("host", None)])]),
            ["core: may not use host: ci/layers.toml lists the arrows"]
        );
    }

    #[test]
    fn tests_may_look_further_than_the_code() {
        let dev = Some("dev");
        assert_eq!(found(vec![package("core", &[("host", dev), ("proptest", dev)])]).len(), 0);
        assert_eq!(
            found(vec![package("base", &[("host", dev)])]),
            ["base: its tests may not use host: ci/layers.toml lists the arrows"]
        );
    }

    #[test]
    fn a_core_may_not_use_a_crate_that_sees_the_world() {
        assert_eq!(
            found(vec![package("core", &[("tokio", None)])]),
            ["core: may not use tokio: it is a core"]
        );
    }

    #[test]
    fn unlisted_and_vanished_crates_are_both_told() {
        assert_eq!(found(vec![package("new", &[])]), ["new: is not listed in ci/layers.toml"]);
        let few = Metadata { packages: vec![package("base", &[])] };
        assert_eq!(edges(&rules(), &few).len(), 3);
    }

    #[test]
    fn a_crate_with_features_is_refused() {
        let mut host = package("host", &[]);
        host.features.insert("fast".to_owned(), Vec::new());
        assert_eq!(found(vec![host]), ["host: has cargo features; the house has none"]);
    }

    #[test]
    fn unsafe_and_async_are_found_in_code_only() {
        let text = "// unsafe\nlet s = \"async\";\nunsafe { f() }\nasync fn g() {}\n";
        let files = BTreeMap::from([("core/a.rs", text)]);
        let rules = rules();
        let lines = |layer: &str| -> Vec<usize> {
            sources(&rules.crates[layer], "core/", &files).iter().map(|f| f.line).collect()
        };
        assert_eq!(lines("core"), [3, 4]);
        assert_eq!(lines("host"), [3]);
        assert_eq!(lines("rt"), [0_usize; 0]);
    }
}
