//! What is checked, and what must come of it: `manifest.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// All checks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// In their order.
    pub check: Vec<Check>,
    /// What is judged of simulations.
    pub histories: Histories,
}

/// Histories of simulations that TLC judges.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histories {
    /// Runs of the product: all their histories are behaviours.
    pub sample: Vec<Sample>,
    /// Changes of histories, after each of which they are none.
    pub altered: Vec<Altered>,
    /// Scenarios of `scenarios/negative`, and by what a history of a run with the bug is refused.
    pub planted: BTreeMap<String, Vec<String>>,
}

/// Simulations to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Files.
    pub scenarios: Vec<String>,
    /// `full` or `light`.
    pub world: String,
    /// Seeds of each.
    pub seeds: u64,
    /// The same with `--deep`.
    pub deep_seeds: u64,
}

/// A change of a history.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Altered {
    /// The specification of which it is a history.
    #[serde(default = "step")]
    pub spec: String,
    /// The kind of the event: of a command, or any other.
    pub event: String,
    /// What becomes of the first one: `crate::alter` knows the words.
    pub how: String,
    /// What refuses the history then.
    pub refused: Vec<String>,
}

/// One configuration of one specification.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The specification: a folder here, and the module in it.
    pub spec: String,
    /// The configuration: `<spec>/<config>.cfg`.
    pub config: String,
    /// Everything must hold, in so many distinct states.
    pub states: Option<u64>,
    /// This invariant, action property or liveness property must not hold.
    pub violates: Option<String>,
    /// The alias under which the specification has a more abstract one, which it refines or, where
    /// something must be violated, does not: `Refines` and the alias is the property.
    pub refines: Option<String>,
    /// Why tla-checker does not judge this one: it would take too long.
    pub first_only: Option<String>,
    /// Seconds after which a checker has failed.
    #[serde(default = "limit_default")]
    pub limit_s: u64,
    /// Checked by `--deep` only: larger constants.
    #[serde(default)]
    pub deep: bool,
    /// The product's code is walked within the same constants: its graph must be the same.
    #[serde(default)]
    pub walk: bool,
    /// Bugs of `flurm_base::planted` with which that walk must leave the specification's graph.
    #[serde(default)]
    pub(crate) planted: Vec<String>,
}

fn step() -> String {
    "Step".into()
}

const fn limit_default() -> u64 {
    120
}

impl Manifest {
    /// Reads the manifest of a folder of specifications.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join("manifest.toml");
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| told(&error))?;
        let manifest: Self = toml::from_str(&text).map_err(|error| told(&error))?;
        for check in &manifest.check {
            if check.states.is_some() == check.violates.is_some() {
                let text = format!("{}: either `states` or `violates`", check.name());
                return Err(told(&text));
            }
        }
        Ok(manifest)
    }
}

impl Check {
    /// Specification and configuration.
    pub fn name(&self) -> String {
        format!("{}/{}", self.spec, self.config)
    }
}
