//! Daemons asking about and steering each other: pings, shutdown, configuration.

use crate::{List, UnixTime, Wire};

/// A node daemon's answer to a ping. 1016.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct PingSlurmd {
    /// Load average in hundredths.
    pub cpu_load: u32,
    /// Free memory in MiB.
    pub free_mem: u64,
    /// The node.
    #[wire(since = V26_05)]
    pub node_name: Option<String>,
}

/// Asks a daemon to end. 1005.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct Shutdown {
    /// 0: controllers and nodes, 1: with a core dump, 2: the controller only.
    pub options: u16,
}

/// Which controller leads, and since when. 2054.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ControlStatus {
    /// The leader's place in the list of controllers.
    pub backup_inx: u16,
    /// When it took over.
    pub control_time: UnixTime,
}

/// Asks for configuration files. 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ConfigRequest {
    /// Who asks: 0 a client, 1 a node daemon, 2 a credential daemon.
    pub flags: u32,
    /// Where the asking daemon listens for changes.
    #[wire(since = V25_05)]
    pub port: u16,
}

/// Configuration files. 2016, 1004, 1006.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ConfigResponse {
    /// The files.
    pub config_files: List<ConfigFile>,
    /// Where the node daemon keeps its files; `None` when the asker is not one.
    pub slurmd_spooldir: Option<String>,
}

/// One configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ConfigFile {
    /// Whether there is such a file.
    #[wire(default = true)]
    pub exists: bool,
    /// Whether it is a program.
    #[wire(since = V23_11)]
    pub execute: bool,
    /// Its name, without a folder.
    pub file_name: Option<String>,
    /// Its text.
    pub file_content: Option<String>,
}
