//! What slurm.conf says about one node.

use serde::{Deserialize, Serialize};

/// One node of a `NodeName=` line, with every default applied and sizes made consistent as Slurm
/// makes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConf {
    /// `NodeName`: the name users see.
    pub name: String,
    /// `NodeHostname`: what `hostname -s` prints there.
    pub hostname: String,
    /// `NodeAddr`: where its daemon is reached.
    pub addr: String,
    /// `BcastAddr`: another address for broadcast, if any.
    pub bcast_addr: Option<String>,
    /// `Port` of its daemon.
    pub port: u16,
    /// `CPUs`: what a job can be given on the node.
    pub cpus: u16,
    /// `Boards`.
    pub boards: u16,
    /// Sockets of all boards together.
    pub sockets: u16,
    /// `CoresPerSocket`.
    pub cores_per_socket: u16,
    /// `ThreadsPerCore`.
    pub threads_per_core: u16,
    /// `RealMemory` in MiB.
    pub real_memory_mib: u64,
    /// `TmpDisk` in MiB.
    pub tmp_disk_mib: u32,
    /// `Weight`: nodes of a lower weight are used first.
    pub weight: u32,
    /// `Features`.
    pub features: Vec<String>,
    /// `Gres`, as written.
    pub gres: Option<String>,
    /// `State` at the first start.
    pub state: NodeState,
    /// `Reason` of a state that takes the node out of service.
    pub reason: Option<String>,
    /// `CoreSpecCount`: cores kept for the system.
    pub core_spec_count: u16,
    /// `CpuSpecList`: CPUs kept for the system, as written.
    pub cpu_spec_list: Option<String>,
    /// `MemSpecLimit`: MiB kept for the system.
    pub mem_spec_limit_mib: u64,
    /// `RestrictedCoresPerGPU`.
    pub restricted_cores_per_gpu: u16,
    /// `CpuBind`, as written.
    pub cpu_bind: Option<String>,
    /// `TRESWeights`, as written.
    pub tres_weights: Option<String>,
    /// `Topology`, as written.
    pub topology: Option<String>,
    /// `Parameters`, as written.
    pub parameters: Option<String>,
}

impl NodeConf {
    /// Cores of all sockets together.
    pub fn cores(&self) -> u32 {
        u32::from(self.sockets) * u32::from(self.cores_per_socket)
    }

    /// CPUs that jobs may use: all but those kept for the system by `CoreSpecCount`.
    pub fn cpus_effective(&self) -> u16 {
        let per_core = u32::from(self.cpus) / self.cores().max(1);
        let kept = u32::from(self.core_spec_count) * per_core.max(1);
        self.cpus.saturating_sub(u16::try_from(kept).unwrap_or(u16::MAX))
    }

    /// Memory that jobs may use in MiB.
    pub fn memory_effective_mib(&self) -> u64 {
        self.real_memory_mib.saturating_sub(self.mem_spec_limit_mib)
    }
}

/// In what state a node starts its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeState {
    /// Not known before its daemon registers; the ordinary case.
    #[default]
    Unknown,
    /// Not to be used.
    Down,
    /// Usable at once, without waiting for its daemon.
    Idle,
    /// No new jobs.
    Drain,
    /// Expected to fail: no new jobs.
    Fail,
    /// Described but absent; becomes real when its daemon registers.
    Future,
    /// Started on demand in a cloud.
    Cloud,
    /// Managed by something else than Slurm.
    External,
}

impl NodeState {
    /// Each state with the text that names it.
    pub const NAMES: &[(&str, Self)] = &[
        ("UNKNOWN", Self::Unknown),
        ("DOWN", Self::Down),
        ("IDLE", Self::Idle),
        ("DRAIN", Self::Drain),
        ("FAIL", Self::Fail),
        ("FUTURE", Self::Future),
        ("CLOUD", Self::Cloud),
        ("EXTERNAL", Self::External),
    ];

    /// Reads a state as Slurm does: in any case, and by its beginning where Slurm looks no further
    /// (`DRAINING`, `FAILING`).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        let exact = Self::NAMES.iter().find(|(name, _)| *name == text);
        let by_start = || {
            let open_ended = [Self::Cloud, Self::External, Self::Drain, Self::Fail];
            let mut starts = Self::NAMES.iter().filter(|(_, state)| open_ended.contains(state));
            starts.find(|(name, _)| text.starts_with(name))
        };
        exact.or_else(by_start).map(|(_, state)| *state)
    }

    /// The text that names it.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, state)| *state == self);
        named.expect("every state has a name").0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_from_its_name() {
        for (name, state) in NodeState::NAMES {
            assert_eq!(NodeState::parse(&name.to_ascii_lowercase()), Some(*state));
            assert_eq!(state.name(), *name);
        }
        assert_eq!(NodeState::parse("DRAINED"), Some(NodeState::Drain));
        assert_eq!(NodeState::parse("Failing"), Some(NodeState::Fail));
        assert_eq!(NodeState::parse("DOWNISH"), None);
        assert_eq!(NodeState::parse(""), None);
    }
}
