//! Scenario files: a story with a few numbers, read from TOML. Unknown keys are errors; a range is
//! drawn from the seed.

mod explicit;
pub mod kinds;
mod range;

use std::path::Path;

use serde::Deserialize;

pub use explicit::{explicit, write};
pub use range::{CountRange, SpanRange};

use crate::fault::{FaultSpec, Planned};
use crate::workload::WorkloadSpec;

/// A whole scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Why it exists.
    pub story: String,
    /// What stands in the world.
    #[serde(default)]
    pub cluster: ClusterSpec,
    /// How long faults and workloads go on before everything is healed.
    #[serde(default = "default_trouble")]
    pub trouble_for: SpanRange,
    /// How the world behaves when nothing is broken.
    #[serde(default)]
    pub world: WorldSpec,
    /// Whether limits and time-outs of the components are drawn from their legal ranges.
    #[serde(default)]
    pub knobs: Knobs,
    /// What clients do.
    #[serde(default)]
    pub workload: Vec<WorkloadSpec>,
    /// What breaks.
    #[serde(default)]
    pub fault: Vec<FaultSpec>,
    /// What must hold.
    pub expect: Expect,
    /// The one seed that this file is about: a failure that was kept.
    pub seed: Option<u64>,
    /// What breaks, fault by fault, instead of `fault`.
    pub plan: Option<Vec<toml::Table>>,
}

/// What runs on the controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// The whole of FLURM.
    #[default]
    Flurm,
    /// The replicated log alone, with a list of keys as its state.
    Log,
}

/// How controllers agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// By openraft, over the simulated network and disks.
    #[default]
    Full,
    /// By a log that does what failover allows; see [`crate::light`].
    Light,
}

impl Agreement {
    /// Reads a name from the command line.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "light" => Ok(Self::Light),
            _ => Err(format!("a world is full or light, not `{text}`")),
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Light => "light",
        }
    }
}

/// What limits and time-outs the components run with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knobs {
    /// Those of a product.
    #[default]
    Default,
    /// Drawn from their legal ranges.
    Drawn,
}

/// What stands in the world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSpec {
    /// What runs on the controllers.
    pub system: System,
    /// How the controllers agree.
    pub consensus: Agreement,
    /// Controllers.
    pub controllers: u8,
    /// Nodes.
    pub nodes: u16,
    /// CPUs of a node.
    pub cpus: u32,
    /// Memory of a node, MiB.
    pub memory_mib: u64,
    /// Lines added to the generated slurm.conf.
    pub conf: Vec<String>,
    /// Lines of flurm.conf, which is there when there are any.
    pub flurm_conf: Vec<String>,
    /// Lines of gres.conf, which is there when there are any.
    pub gres_conf: Vec<String>,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        let (system, consensus) = (System::default(), Agreement::default());
        Self {
            system,
            consensus,
            controllers: 3,
            nodes: 8,
            cpus: 4,
            memory_mib: 4000,
            conf: Vec::new(),
            flurm_conf: Vec::new(),
            gres_conf: Vec::new(),
        }
    }
}

/// How the world behaves when nothing is broken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldSpec {
    /// Time a segment takes over the network.
    pub latency: SpanRange,
    /// Time a sync takes.
    pub sync: SpanRange,
    /// How wrong each machine's wall clock is, fast or slow.
    pub clock_skew: SpanRange,
    /// How fast or slow each machine's clocks run at most, in parts per million.
    pub clock_drift_ppm: u32,
    /// How often a leading controller shows that it lives; elections wait for three to eight times as
    /// long.
    pub heartbeat: SpanRange,
    /// Probability that an unsynced sector or name survives a power loss.
    pub unsynced_survive: f64,
}

impl Default for WorldSpec {
    fn default() -> Self {
        Self {
            latency: SpanRange::micros(100, 2_000),
            sync: SpanRange::micros(100, 4_000),
            clock_skew: SpanRange::micros(0, 0),
            clock_drift_ppm: 0,
            heartbeat: SpanRange::micros(100_000, 300_000),
            unsynced_survive: 0.5,
        }
    }
}

/// What must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Oracles that judge each run.
    pub oracles: Vec<String>,
    /// Marks that must be reached by at least one seed of a sweep.
    #[serde(default)]
    pub reached: Vec<String>,
    /// How long after healing everything must be done.
    #[serde(default = "default_settle")]
    pub settles_within: SpanRange,
    /// Who is healed at the end; the rest stays broken. Everybody when absent.
    pub core: Option<Core>,
    /// A bug that is planted, in a negative scenario.
    pub planted: Option<String>,
    /// The oracle that must catch it.
    pub caught_by: Option<String>,
    /// The action of `tla/Step/Step.tla` that must refuse a step of it as well, or `any`.
    pub refused: Option<String>,
    /// Seeds within which it must be caught.
    pub within_seeds: Option<u64>,
}

/// The machines that are healed at the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// So many controllers: a majority.
    pub controllers: u8,
    /// So many nodes.
    pub nodes: u16,
}

fn default_trouble() -> SpanRange {
    SpanRange::secs(60, 60)
}

fn default_settle() -> SpanRange {
    SpanRange::secs(180, 180)
}

impl Scenario {
    /// Reads a scenario from text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads a scenario file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("could not read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Names of the machines in the world, in the order of their numbers.
    pub fn machine_names(&self) -> Vec<String> {
        let controllers = (1..=self.cluster.controllers).map(|n| format!("ctl{n}"));
        let nodes = (1..=self.cluster.nodes).map(|n| format!("n{n}"));
        let logins = (1..=crate::run::LOGINS).map(|n| format!("login{n}"));
        controllers.chain(nodes).chain(logins).collect()
    }

    /// The explicit plan of this file.
    pub fn planned(&self) -> Result<Option<Vec<Planned>>, String> {
        let names = self.machine_names();
        let read = |tables: &Vec<toml::Table>| crate::fault::from_tables(tables, &names);
        self.plan.as_ref().map(read).transpose()
    }

    fn check(&self) -> Result<(), String> {
        if self.story.trim().is_empty() {
            return Err("a scenario has a story".into());
        }
        let controllers = self.cluster.controllers;
        if !(1..=9).contains(&controllers) {
            return Err(format!("{controllers} controllers: between 1 and 9 are possible"));
        }
        for name in &self.expect.oracles {
            if !crate::oracle::NAMES.contains(&name.as_str()) {
                let known = crate::oracle::NAMES.join(", ");
                return Err(format!("no oracle is called `{name}`; there are {known}"));
            }
        }
        if self.plan.is_some() && !self.fault.is_empty() {
            return Err("a scenario has `fault` or `plan`, not both".into());
        }
        let late = |planned: &Planned| planned.at > self.trouble_for.high();
        if self.planned()?.unwrap_or_default().iter().any(late) {
            return Err("a planned fault begins when trouble is over already".into());
        }
        if let Some(core) = self.expect.core {
            let all = self.cluster.controllers;
            if core.controllers > all || core.controllers * 2 <= all {
                return Err(format!("a core has a majority of the {all} controllers"));
            }
            if core.nodes == 0 || core.nodes > self.cluster.nodes {
                return Err("a core has nodes, of those there are".into());
            }
        }
        let kinds = ["unsettled", "panic", "workload_check", crate::steps::NAME];
        let is_kind = |kind: &str| kinds.contains(&kind) || crate::oracle::NAMES.contains(&kind);
        if let Some(kind) = self.expect.caught_by.as_deref().filter(|kind| !is_kind(kind)) {
            return Err(format!("nothing called `{kind}` catches bugs"));
        }
        if let Some(bug) = &self.expect.planted {
            if self.expect.within_seeds.is_none() || self.expect.caught_by.is_none() {
                return Err("a planted bug needs `caught_by` and `within_seeds`".into());
            }
            if !flurm_base::planted::known(bug) {
                return Err(format!("no bug called `{bug}` can be planted"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        story = "A client that gets no answer retries; the job must exist once."
        cluster = { controllers = 3, nodes = 8 }
        [[workload]]
        name = "submit_with_retry"
        clients = 4
        jobs = 200
        [[fault]]
        name = "kill_controller"
        who = "leader"
        when = "after_commit_before_reply"
        down_for = "5s..40s"
        [expect]
        oracles = ["job_exists_once", "no_double_launch"]
        settles_within = "3m"
    "#;

    #[test]
    fn the_example_of_the_house_style_is_a_scenario() {
        let scenario = Scenario::parse(SMALL).unwrap();
        assert_eq!(scenario.expect.settles_within, SpanRange::secs(180, 180));
        assert_eq!(scenario.cluster.nodes, 8);
    }

    #[test]
    fn unknown_keys_and_names_are_refused() {
        let refused = |from: &str, to: &str| Scenario::parse(&SMALL.replace(from, to)).unwrap_err();
        assert!(refused("clients = 4", "client = 4").contains("client"));
        assert!(refused("kill_controller", "kill_all").contains("kill_all"));
        assert!(refused("\"3m\"", "\"3\"").contains("needs a unit"));
        assert!(refused("no_double_launch", "no_luck").contains("no_luck"));
        assert!(refused("story =", "tale =").contains("tale"));
        let planted = refused("[expect]", "[expect]\nplanted = \"x\"");
        assert!(planted.contains("caught_by"), "{planted}");
    }
}
