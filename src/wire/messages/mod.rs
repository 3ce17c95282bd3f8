//! The bodies of messages, grouped by what they are about.

mod answer;

pub use answer::{RcMsg, ReturnCode};
