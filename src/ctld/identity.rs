//! Who asks, and what they may do.

use flurm_model::{Actor, Job, Settings};

/// A verified identity: it comes from a credential, never from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

impl Identity {
    /// Root or SlurmUser: may do everything, and is obeyed by nodes.
    pub fn is_slurm_user(self, settings: &Settings) -> bool {
        self.uid == 0 || self.uid == settings.slurm_uid
    }

    /// An operator. Until accounting knows administrator levels, root and SlurmUser.
    pub fn is_operator(self, settings: &Settings) -> bool {
        self.is_slurm_user(settings)
    }

    /// May change, cancel or requeue a job: its owner, or an operator.
    pub fn may_change(self, job: &Job, settings: &Settings) -> bool {
        self.uid == job.spec.uid || self.is_operator(settings)
    }

    /// As commands carry it.
    pub fn actor(self, settings: &Settings) -> Actor {
        Actor { uid: self.uid, privileged: self.is_operator(settings) }
    }
}
