//! Containers that scrun keeps: what its anchor is asked and what it answers. 23.02 and later.

use crate::records::KeyPair;
use crate::{List, StepId, Wire};

/// A container was started, or was not. 12002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ContainerStarted {
    /// 0 or why not.
    pub rc: u32,
    /// The step that runs it.
    pub step_id: StepId,
}

/// Runs a program in a container. 12005.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ContainerExec {
    /// The program with its arguments, as JSON.
    pub args: Option<String>,
    /// Its environment, as JSON.
    pub env: Option<String>,
}

/// Signals a container. 12007.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ContainerSignal {
    /// The signal.
    pub signal: u32,
}

/// Ends a container. 12009.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ContainerDelete {
    /// Even while it runs.
    pub force: bool,
}

/// What a container is and does. 12012.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct ContainerState {
    /// The version of the OCI runtime specification.
    pub oci_version: Option<String>,
    /// The container.
    pub id: Option<String>,
    /// Its state.
    pub status: u32,
    /// The anchor's process.
    pub pid: u32,
    /// The folder of its bundle.
    pub bundle: Option<String>,
    /// What its maker noted.
    pub annotations: List<KeyPair>,
}
