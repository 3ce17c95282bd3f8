//! Whose jobs have a node: for jobs that share nodes only with jobs of their own user.

use serde::{Deserialize, Serialize};

/// The users of a node's jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tenants {
    /// No job is there.
    #[default]
    Nobody,
    /// Jobs of one user are there.
    One {
        /// The user.
        uid: u32,
        /// One of them keeps jobs of other users off.
        closed: bool,
    },
    /// Jobs of several users are there.
    Several,
}

impl Tenants {
    /// Whether a job of this user may come, which keeps off other users itself if it is `closed`.
    pub fn admit(self, uid: u32, closed: bool) -> bool {
        match self {
            Self::Nobody => true,
            Self::One { uid: other, closed: theirs } => other == uid || !(closed || theirs),
            Self::Several => !closed,
        }
    }

    /// With one more job.
    #[must_use]
    pub fn with(self, uid: u32, closed: bool) -> Self {
        match self {
            Self::Nobody => Self::One { uid, closed },
            Self::One { uid: other, closed: theirs } if other == uid => {
                Self::One { uid, closed: closed || theirs }
            }
            Self::One { .. } | Self::Several => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_job_and_another_user_keep_each_other_off() {
        let alice = Tenants::default().with(1, false);
        assert!(alice.admit(1, true) && alice.admit(2, false) && !alice.admit(2, true));
        let closed = alice.with(1, true);
        assert!(closed.admit(1, false) && !closed.admit(2, false));
        let both = alice.with(2, false);
        assert!(both.admit(3, false) && !both.admit(1, true));
    }
}
