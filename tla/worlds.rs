//! The worlds that can be walked, by the specifications' names, and their constants: read from the
//! configuration that the model checkers read.

use serde::de::DeserializeOwned;
use tla_eval::Value;

use crate::allocation::Allocation;
use crate::checkers::Tools;
use crate::dump::Graph;
use crate::fence::Fence;
use crate::job_life::JobLife;
use crate::manifest::Check;
use crate::text;
#[cfg(flurm_planted)]
use crate::walk::departs;
use crate::walk::graph_of;

/// One of them, where its behaviours begin.
#[derive(Clone)]
pub(crate) enum AnyWorld {
    /// Of `Allocation.tla`.
    Allocation(Box<Allocation>),
    /// Of `JobLife.tla`.
    JobLife(Box<JobLife>),
    /// Of `Fence.tla`.
    Fence(Box<Fence>),
}

impl AnyWorld {
    /// The world of a check.
    ///
    /// # Errors
    /// The specification has none, its configuration cannot be read, or the product refuses it.
    pub(crate) fn of(tools: &Tools, check: &Check) -> Result<Self, String> {
        let path = tools.specs.join(&check.spec).join(format!("{}.cfg", check.config));
        let told = |error: String| format!("{}: {error}", path.display());
        let config = std::fs::read_to_string(&path).map_err(|error| told(error.to_string()))?;
        match check.spec.as_str() {
            "Allocation" => {
                let world = constants(&config).and_then(Allocation::new).map_err(told)?;
                Ok(Self::Allocation(Box::new(world)))
            }
            "JobLife" => {
                let world = constants(&config).and_then(JobLife::new).map_err(told)?;
                Ok(Self::JobLife(Box::new(world)))
            }
            "Fence" => {
                let world = constants(&config).and_then(Fence::new).map_err(told)?;
                Ok(Self::Fence(Box::new(world)))
            }
            other => Err(format!("the code has no world for {other}")),
        }
    }

    /// Everything it can do.
    ///
    /// # Errors
    /// It is too much.
    pub(crate) fn graph(self) -> Result<Graph, String> {
        match self {
            Self::Allocation(world) => graph_of(*world),
            Self::JobLife(world) => graph_of(*world),
            Self::Fence(world) => graph_of(*world),
        }
    }

    /// Whether it leaves a specification's graph, or does not fill it.
    #[cfg(flurm_planted)]
    pub(crate) fn departs(self, spec: &Graph) -> bool {
        match self {
            Self::Allocation(world) => departs(*world, spec),
            Self::JobLife(world) => departs(*world, spec),
            Self::Fence(world) => departs(*world, spec),
        }
    }
}

/// The constants of a configuration: `name = value`, a line each, below `CONSTANTS`.
fn constants<T: DeserializeOwned>(config: &str) -> Result<T, String> {
    let mut table = toml::Table::new();
    let lines = config.lines().skip_while(|line| line.trim() != "CONSTANTS").skip(1);
    for line in lines {
        let Some((name, value)) = line.split_once(" = ") else { break };
        let value = text::value(value.trim()).and_then(plain)?;
        table.insert(String::from(name.trim()), value);
    }
    table.try_into().map_err(|error: toml::de::Error| error.to_string())
}

fn plain(value: Value) -> Result<toml::Value, String> {
    Ok(match value {
        Value::Bool(value) => toml::Value::Boolean(value),
        Value::Int(value) => toml::Value::Integer(value),
        Value::Str(value) => toml::Value::String(value),
        Value::Set(values) => {
            let values: Result<Vec<toml::Value>, String> = values.into_iter().map(plain).collect();
            toml::Value::Array(values?)
        }
        other => return Err(format!("{other} is not understood in a configuration")),
    })
}

#[cfg(test)]
mod tests {
    use super::constants;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "PascalCase")]
    struct Bounds {
        machines: Vec<String>,
        max_attempts: i64,
        cancels: bool,
    }

    #[test]
    fn constants_are_those_of_the_checkers() {
        let config = "CONSTANTS\n    Machines = {\"n1\", \"n2\"}\n    MaxAttempts = 2\n    \
                      Cancels = TRUE\nSPECIFICATION Spec\n";
        let machines = vec![String::from("n1"), String::from("n2")];
        let wanted = Bounds { machines, max_attempts: 2, cancels: true };
        assert_eq!(constants::<Bounds>(config), Ok(wanted));
        assert!(constants::<Bounds>("CONSTANTS\n    Cancels = TRUE\n").is_err());
    }
}
