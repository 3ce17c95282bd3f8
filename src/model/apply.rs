//! Commands take effect.

use crate::{Applied, Cluster, Command, Errno, Refusal, Reply};

impl Cluster {
    /// Changes the cluster as a committed command says. Never fails: what cannot be done is
    /// answered with a refusal and changes nothing.
    pub fn apply(&mut self, command: &Command) -> Applied {
        let _ = command;
        let refusal = Refusal::from(Errno::NotSupported);
        Applied { reply: Reply::Refused(refusal), events: Vec::new() }
    }

    /// Whether everything that must be true is: the first thing that is not, in words.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}
