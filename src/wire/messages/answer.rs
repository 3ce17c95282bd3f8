//! Answers that many requests share.

use crate::Wire;

/// The outcome of a request as a Slurm error number; 0 is success. 8001, 4020.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub struct ReturnCode {
    /// The error number.
    pub return_code: u32,
}

/// The outcome of a request with a text for the user. 8002.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct RcMsg {
    /// The error number.
    pub return_code: u32,
    /// What the client prints.
    pub err_msg: Option<String>,
}
