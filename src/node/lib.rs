//! What a node daemon and a step daemon do, as decisions: no process, file or socket is touched here.

pub mod attach;
pub mod batch;
pub mod ledger;
pub mod login;
pub mod machine;
pub mod multi_prog;
pub mod pattern;
pub mod programs;
pub mod record;
pub mod seen;
pub mod step;
pub mod usage;
