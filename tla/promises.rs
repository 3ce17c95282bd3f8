//! Whether the manifest shows that each promise can be broken: every invariant and property that a
//! passing configuration checks has one that violates it by name, and every one that needs fairness
//! one without fairness.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::manifest::{Check, Manifest};

/// A configuration, as far as it matters here.
struct Config {
    promises: BTreeSet<String>,
    fair: bool,
    bugs: bool,
}

impl Config {
    fn read(specs: &Path, check: &Check) -> Result<Self, String> {
        let path = specs.join(&check.spec).join(format!("{}.cfg", check.config));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("could not read {}: {error}", path.display()))?;
        let words = |key: &str| {
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix(key));
            lines.flat_map(str::split_whitespace).map(String::from).collect::<Vec<_>>()
        };
        let promises = words("INVARIANTS").into_iter().chain(words("PROPERTIES")).collect();
        let fair = words("SPECIFICATION") == ["FairSpec"];
        Ok(Self { promises, fair, bugs: words("Bugs =") != ["{}"] })
    }
}

/// What is missing, a line each.
///
/// # Errors
/// A configuration cannot be read.
pub(crate) fn unbroken(specs: &Path, manifest: &Manifest) -> Result<Vec<String>, String> {
    let mut missing = Vec::new();
    let (mut held, mut broken) = (BTreeSet::new(), BTreeSet::new());
    let (mut fair, mut unfair) = (BTreeSet::new(), BTreeSet::new());
    for check in &manifest.check {
        let config = Config::read(specs, check)?;
        let named = |name: &String| (check.spec.clone(), name.clone());
        match &check.violates {
            None if config.bugs => {
                missing.push(format!("{} has bugs switched on and must hold", check.name()));
            }
            None => {
                held.extend(config.promises.iter().map(named));
                if config.fair {
                    fair.extend(config.promises.iter().map(named));
                }
            }
            // Only then is it certain which one was violated.
            Some(name) if config.promises != BTreeSet::from([name.clone()]) => {
                missing.push(format!("{} must check {name} and nothing else", check.name()));
            }
            Some(name) => {
                broken.insert(named(name));
                if !config.fair && !config.bugs {
                    unfair.insert(named(name));
                }
            }
        }
    }
    let of = |text: &str, names: &BTreeSet<(String, String)>| {
        names.iter().map(|(spec, name)| format!("{spec}: {text} {name}")).collect::<Vec<_>>()
    };
    missing.extend(of("no mutant violates", &held.difference(&broken).cloned().collect()));
    // An invariant beside them needs no fairness: it is violated by a mutant.
    let states: BTreeSet<_> = invariants(specs, manifest)?;
    let live = fair.difference(&states).cloned().collect::<BTreeSet<_>>();
    missing.extend(of("nothing shows that fairness is needed for", &(&live - &unfair)));
    Ok(missing)
}

/// Promises that some configuration without fairness shows to hold: they need none.
fn invariants(specs: &Path, manifest: &Manifest) -> Result<BTreeSet<(String, String)>, String> {
    let mut found: BTreeMap<(String, String), bool> = BTreeMap::new();
    for check in manifest.check.iter().filter(|check| check.violates.is_none()) {
        let config = Config::read(specs, check)?;
        for name in config.promises.into_iter().filter(|_| !config.fair) {
            found.insert((check.spec.clone(), name), true);
        }
    }
    Ok(found.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::unbroken;
    use crate::manifest::Manifest;

    fn specs() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn every_promise_is_shown_to_be_breakable() {
        let manifest = Manifest::read(specs()).unwrap();
        assert_eq!(unbroken(specs(), &manifest), Ok(Vec::new()));
    }

    #[test]
    fn a_promise_without_a_mutant_is_told() {
        let mut manifest = Manifest::read(specs()).unwrap();
        manifest.check.retain(|check| {
            check.name() != "Fence/bug_keep_word" && check.name() != "JobLife/unfair_jobs"
        });
        let told = unbroken(specs(), &manifest).unwrap();
        assert_eq!(
            told,
            [
                "Fence: no mutant violates WordIsForDown",
                "JobLife: no mutant violates EveryJobEnds",
                "JobLife: nothing shows that fairness is needed for EveryJobEnds",
            ]
        );
    }
}
