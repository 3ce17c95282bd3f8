//! A request that is not granted: Slurm's error number, and where it helps one more sentence.

use flurm_model::{Errno, Refusal};
use flurm_wire::Message;
use flurm_wire::messages::{RcMsg, ReturnCode};

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Slurm's error number.
    pub errno: u32,
    /// What the client prints beside Slurm's own text; empty where that says it all.
    pub text: String,
}

impl Refused {
    /// Slurm's own text says it all.
    pub fn plain(errno: u32) -> Self {
        Self { errno, text: String::new() }
    }

    /// With a sentence of its own.
    pub fn because(errno: u32, text: impl Into<String>) -> Self {
        Self { errno, text: text.into() }
    }

    /// The message that tells the client.
    pub fn message(&self) -> Message {
        if self.text.is_empty() {
            return Message::ResponseSlurmRc(ReturnCode { return_code: self.errno });
        }
        let err_msg = Some(self.text.clone());
        Message::ResponseSlurmRcMsg(RcMsg { return_code: self.errno, err_msg })
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { errno: refusal.errno.number(), text: refusal.text }
    }
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::plain(errno.number())
    }
}
