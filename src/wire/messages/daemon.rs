//! What is asked of and told by a node daemon apart from jobs: health, energy, power, addresses.

use crate::codec::Count16;
use crate::records::Energy;
use crate::{Bits, Codec, DecodeError, Gen, JobRef, List, Mem, Reader, Release, Visitor, Wire};
use crate::{UnixTime, WireAddr, Writer};

/// What a node's sensors measured. 1018, 1020.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct NodeEnergy {
    /// The node.
    pub node_name: Option<String>,
    /// One element for each sensor.
    #[wire(as_ = Count16)]
    pub energy: Vec<Energy>,
}

/// Asks a node for its sensors. 1019.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct EnergyRequest {
    /// The plugin that is asked.
    pub context_id: u16,
    /// Seconds that the last measurement may be old.
    pub delta: u16,
}

/// Tells a node whether the controller counts it as healthy. 1029, 26.05 and later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct NodeHealth {
    /// Whether it does.
    pub healthy: bool,
}

/// Has a node run a program that changes its power. 3010, 26.05 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct RunPowerAction {
    /// The action's name in the configuration.
    pub action_name: Option<String>,
    /// A file for the program.
    pub file_content: Option<String>,
    /// The variable that tells the program where the file is.
    pub file_env_name: Option<String>,
}

/// The addresses of nodes. 3016, 23.11 and later, which names nodes only; and what the credential
/// in 3017, in step layouts and in forwarding holds.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeAddrs {
    /// The nodes' addresses.
    pub node_addrs: Vec<WireAddr>,
    /// How many nodes.
    pub node_cnt: u32,
    /// The nodes.
    pub node_list: Option<String>,
}

impl NodeAddrs {
    /// The bytes that a credential of addresses is made of with cred/munge.
    pub fn signed_bytes(&self, release: Release) -> Vec<u8> {
        let mut w = Writer::new(release);
        self.encode(&mut w);
        w.into_bytes()
    }
}

/// The addresses of nodes as a credential: a munge credential whose payload is a `NodeAddrs`, or a
/// token. 3017, 23.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeAddrsAnswer {
    /// The credential.
    pub net_cred: Option<String>,
}

/// What each node of a job gives it. 4008, 25.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ResourceLayout {
    /// The nodes.
    pub nodes: List<NodeResources>,
}

/// What one node gives a job.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeResources {
    /// The node.
    pub node: Option<String>,
    /// MiB.
    pub mem_alloc: u64,
    /// Its sockets.
    pub sockets_per_node: u16,
    /// The cores of each.
    pub cores_per_socket: u16,
    /// The channel of a switch plugin.
    pub channel: u32,
    /// The cores given, as ranges.
    pub core_bitmap: Option<String>,
    /// The generic resources given.
    pub gres: List<NodeGres>,
}

/// What one node gives a job of a generic resource.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NodeGres {
    /// Its name.
    pub name: Option<String>,
    /// Its type.
    pub r#type: Option<String>,
    /// How much.
    pub count: u64,
    /// Whether `index` is known.
    pub has_index: bool,
    /// Which.
    #[wire(when = Self::has_index)]
    pub index: Option<Bits>,
}

impl NodeGres {
    const fn has_index(&self, _: Release) -> bool {
        self.has_index
    }
}

/// What a node daemon says of itself. 5025.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SlurmdStatus {
    /// When it started.
    pub booted: UnixTime,
    /// When the controller last spoke to it.
    pub last_slurmctld_msg: UnixTime,
    /// How much it logs.
    pub slurmd_debug: u16,
    /// Processors found.
    pub actual_cpus: u16,
    /// Boards found.
    pub actual_boards: u16,
    /// Sockets found.
    pub actual_sockets: u16,
    /// Cores of each socket.
    pub actual_cores: u16,
    /// Threads of each core.
    pub actual_threads: u16,
    /// MiB of memory.
    pub actual_real_mem: u64,
    /// MiB of temporary space.
    pub actual_tmp_disk: u32,
    /// Its process.
    pub pid: u32,
    /// Its host.
    pub hostname: Option<String>,
    /// Where it logs.
    pub slurmd_logfile: Option<String>,
    /// The steps that run there, as text.
    pub step_list: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// Bytes for a socket on the node's host, as PMI2 sends them. 5029.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ForwardData {
    /// The socket's path.
    pub address: Option<String>,
    /// The bytes.
    #[wire(as_ = LengthTwice)]
    pub data: Mem,
}

/// Which job a network connection belongs to. 5035.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NetworkCallerId {
    /// The address that connects, 16 bytes of which an IPv4 address takes the first four.
    pub ip_src: Mem,
    /// The address connected to.
    pub ip_dst: Mem,
    /// The port that connects.
    pub port_src: u32,
    /// The port connected to.
    pub port_dst: u32,
    /// The address family's number in the C library.
    pub af: u32,
}

/// The job that a network connection belongs to. 5036.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct NetworkCallerIdAnswer {
    /// The job.
    pub job: JobRef,
    /// 0 or why it is not known.
    pub return_code: u32,
    /// The node that it runs on.
    pub node_name: Option<String>,
}

/// A length, and a block with its own.
struct LengthTwice;

impl Codec<Mem> for LengthTwice {
    const KIND: &'static str = "length and mem";

    fn encode(value: &Mem, w: &mut Writer) {
        w.count(value.0.len());
        value.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Mem, DecodeError> {
        let length = r.u32()?;
        let block = Mem::decode(r)?;
        if block.0.len() != length as usize {
            return Err(r.invalid("a block does not have its announced length"));
        }
        Ok(block)
    }

    fn sample(g: &mut Gen) -> Mem {
        Mem::sample(g)
    }

    fn view(value: &Mem, v: &mut dyn Visitor) {
        value.view(v);
    }
}
