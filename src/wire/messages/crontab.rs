//! Users' crontabs, as `scrontab` edits them.

use crate::Wire;
use crate::codec::Count16;
use crate::records::JobDesc;

/// Asks for a user's crontab. 2200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct CrontabRequest {
    /// The user.
    pub uid: u32,
}

/// A user's crontab. 2201.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct CrontabResponse {
    /// Its text.
    pub crontab: Option<String>,
    /// Lines whose jobs were cancelled, as numbers with commas.
    pub disabled_lines: Option<String>,
}

/// Replaces a user's crontab. 2202.
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct CrontabUpdate {
    /// Its text.
    pub crontab: Option<String>,
    /// A job for each line that holds a command.
    #[wire(as_ = Count16)]
    pub jobs: Vec<JobDesc>,
    /// The user.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
}

/// What became of a replaced crontab. 2203.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct CrontabUpdateResponse {
    /// Why not.
    pub err_msg: Option<String>,
    /// What the submission plugin says to the user.
    #[wire(since = V23_02)]
    pub job_submit_user_msg: Option<String>,
    /// Lines that were refused, as numbers with commas.
    pub failed_lines: Option<String>,
    /// The jobs, in the order of their lines.
    pub jobids: Vec<u32>,
    /// 0 or why not.
    pub return_code: u32,
}
