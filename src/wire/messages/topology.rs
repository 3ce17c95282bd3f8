//! The network's topology, as `scontrol show topology` shows it.

use crate::{Release, Wire};

/// The number of the topology plugin for a tree of switches.
pub const TOPOLOGY_TREE: u32 = 102;
/// The number of the topology plugin without a structure.
pub const TOPOLOGY_FLAT: u32 = 100;

/// Asks for the topology. 2028.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopologyRequest {
    /// Which one.
    #[wire(since = V25_05)]
    pub name: Option<String>,
}

/// The topology: of none or of switches. 2029.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopologyResponse {
    /// The plugin that has more to say.
    #[wire(since = V23_11, default = TOPOLOGY_FLAT, sample = plugin)]
    pub plugin_id: u32,
    /// The switches.
    #[wire(when = Self::has_switches)]
    pub switches: Vec<Switch>,
}

impl TopologyResponse {
    fn has_switches(&self, release: Release) -> bool {
        release < Release::V23_11 || self.plugin_id == TOPOLOGY_TREE
    }
}

fn plugin(g: &mut crate::Gen) -> u32 {
    if g.coin() { TOPOLOGY_TREE } else { TOPOLOGY_FLAT }
}

/// One switch.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Switch {
    /// 0 for a leaf.
    pub level: u16,
    /// Its speed.
    pub link_speed: u32,
    /// Its name.
    pub name: Option<String>,
    /// All nodes below it.
    pub nodes: Option<String>,
    /// The switches right below it.
    pub switches: Option<String>,
}

/// The topology as a configuration file would say it. 2012, 25.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopologyConfig {
    /// The text.
    pub config: Option<String>,
}
