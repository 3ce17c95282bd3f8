//! The smallest shared things: ids, time, host lists, bit sets, seeded randomness.
//!
//! Knows nothing of clocks, files or the network.

mod ids;
mod time;

pub use ids::{AttemptId, JobId};
pub use time::{Span, Time};
