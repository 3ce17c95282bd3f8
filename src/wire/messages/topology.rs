//! The network's topology, as `scontrol show topology` shows it.

use crate::{Release, Wire};

/// The number of the topology plugin for a tree of switches.
pub const TOPOLOGY_TREE: u32 = 102;
/// The number of the topology plugin for a torus of three dimensions.
pub const TOPOLOGY_TORUS: u32 = 101;
/// The number of the topology plugin for blocks of nodes.
pub const TOPOLOGY_BLOCK: u32 = 103;
/// The number of the topology plugin for rings of nodes.
pub const TOPOLOGY_RING: u32 = 104;
/// The number of the topology plugin without a structure.
pub const TOPOLOGY_FLAT: u32 = 100;

/// Asks for the topology. 2028.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopologyRequest {
    /// Which one.
    #[wire(since = V25_05)]
    pub name: Option<String>,
}

/// The topology, of whichever plugin is in use. 2029.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopologyResponse {
    /// The plugin that has more to say.
    #[wire(since = V23_11, default = TOPOLOGY_FLAT, sample = plugin)]
    pub plugin_id: u32,
    /// The switches.
    #[wire(when = Self::has_switches)]
    pub switches: Vec<Switch>,
    /// The blocks.
    #[wire(since = V23_11, when = Self::has_blocks)]
    pub blocks: Vec<Block>,
    /// The tori; before 26.05 their plugin has nothing to say.
    #[wire(since = V26_05, when = Self::has_tori)]
    pub tori: Vec<Torus>,
    /// The rings.
    #[wire(since = V26_05, when = Self::has_rings)]
    pub rings: Vec<Ring>,
}

impl TopologyResponse {
    fn has_switches(&self, release: Release) -> bool {
        release < Release::V23_11 || self.plugin_id == TOPOLOGY_TREE
    }

    fn has_blocks(&self, _: Release) -> bool {
        self.plugin_id == TOPOLOGY_BLOCK
    }

    fn has_tori(&self, _: Release) -> bool {
        self.plugin_id == TOPOLOGY_TORUS
    }

    fn has_rings(&self, _: Release) -> bool {
        self.plugin_id == TOPOLOGY_RING
    }
}

fn plugin(g: &mut crate::Gen) -> u32 {
    const OTHERS: [u32; 4] = [TOPOLOGY_FLAT, TOPOLOGY_TORUS, TOPOLOGY_BLOCK, TOPOLOGY_RING];
    if g.coin() { TOPOLOGY_TREE } else { OTHERS[g.below(OTHERS.len() as u64) as usize] }
}

/// One block of nodes, or several that count as one.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Block {
    /// Whether it consists of smaller ones.
    #[wire(since = V24_11)]
    pub aggregated: bool,
    /// Its place.
    pub block_index: u16,
    /// Its name.
    pub name: Option<String>,
    /// Its nodes.
    pub nodes: Option<String>,
    /// How many nodes it has.
    #[wire(since = V24_11)]
    pub size: u32,
}

/// One ring of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Ring {
    /// Its name.
    pub name: Option<String>,
    /// Its nodes.
    pub nodes: Option<String>,
    /// Its place.
    pub ring_index: u16,
    /// How many nodes it has.
    pub size: u16,
}

/// One torus of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Torus {
    /// Its name.
    pub name: Option<String>,
    /// Its nodes.
    pub nodes: Option<String>,
    /// Nodes in the first dimension.
    pub x_size: u16,
    /// Nodes in the second dimension.
    pub y_size: u16,
    /// Nodes in the third dimension.
    pub z_size: u16,
    /// Shapes that jobs may have.
    pub placements: Vec<Placement>,
}

/// A shape within a torus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct Placement {
    /// Nodes in the first dimension.
    pub x_size: u16,
    /// Nodes in the second dimension.
    pub y_size: u16,
    /// Nodes in the third dimension.
    pub z_size: u16,
    /// Places where such a shape may begin.
    pub anchor_count: u32,
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
