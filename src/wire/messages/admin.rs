//! Operators' requests: logging, rebooting, notices, triggers, tokens.

use crate::{List, NO_VAL, StepId, Wire};

/// Sets how much is logged. 1010, and 1013 for the scheduler's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct DebugLevel {
    /// 0 quiet … 9 debug5.
    pub debug_level: u32,
}

/// Turns kinds of logging on and off. 1014.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct DebugFlags {
    /// Off.
    pub debug_flags_minus: u64,
    /// On.
    pub debug_flags_plus: u64,
}

/// Reboots nodes. 1015.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct RebootNodes {
    /// Into these features.
    pub features: Option<String>,
    /// How.
    pub flags: u16,
    /// The state afterwards.
    #[wire(default = NO_VAL)]
    pub next_state: u32,
    /// The nodes.
    pub node_list: Option<String>,
    /// Which of the configured power actions.
    #[wire(since = V26_05)]
    pub power_action_name: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Changes what power saving leaves alone. 1025 nodes, 1026 partitions, 1027 states; 23.02 and
/// later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct SuspendExceptions {
    /// The change.
    pub update_str: Option<String>,
    /// Whether it replaces, adds or removes.
    pub mode: u32,
}

/// Sets how much an account's fair share counts for its parent's. 1023.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct DampeningFactor {
    /// The factor.
    pub dampening_factor: u16,
}

/// Asks for a signed certificate. 2300, 24.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TlsCertRequest {
    /// The request for signing.
    pub csr: Option<String>,
    /// The node that the certificate is for.
    pub node_name: Option<String>,
    /// What shows that the asker may have it.
    pub token: Option<String>,
}

/// A signed certificate. 2301, 24.11 and later.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TlsCertResponse {
    /// The certificate.
    pub signed_cert: Option<String>,
}

/// Shows a text to a job's user. 4022.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct JobNotify {
    /// The job or step.
    pub step_id: StepId,
    /// The text.
    pub message: Option<String>,
}

/// Event triggers. 2017, 2018, 2019, 2020, 2030.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Triggers {
    /// The triggers.
    pub triggers: Vec<Trigger>,
}

/// One event trigger.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Trigger {
    /// Whether it stays after it fired.
    pub flags: u16,
    /// Its number.
    pub trig_id: u32,
    /// What it watches: job, node, controller, and so on.
    pub res_type: u16,
    /// Which one.
    pub res_id: Option<String>,
    /// The events.
    pub trig_type: u32,
    /// Which controller.
    pub control_inx: u32,
    /// Seconds before or after, plus 0x8000.
    pub offset: u16,
    /// Its owner.
    pub user_id: u32,
    /// What it runs.
    pub program: Option<String>,
}

/// Asks for a token. 5039.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TokenRequest {
    /// Seconds that it shall be valid.
    pub lifespan: u32,
    /// For whom.
    pub username: Option<String>,
}

/// A token. 5040.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TokenResponse {
    /// The token.
    pub token: Option<String>,
}

/// Asks about accounts, users and qualities of service that the controller holds. 2043.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct AssocMgrInfoRequest {
    /// Only these accounts.
    pub acct_list: List<String>,
    /// What is wanted.
    pub flags: u32,
    /// Only these qualities of service.
    pub qos_list: List<String>,
    /// Only these users.
    pub user_list: List<String>,
}
