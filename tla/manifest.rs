//! What is checked, and what must come of it: `manifest.toml`.

use std::path::Path;

use serde::Deserialize;

/// All checks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// In their order.
    pub check: Vec<Check>,
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
