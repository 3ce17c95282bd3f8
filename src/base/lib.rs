//! The smallest shared things: ids, time, host lists, bit sets, seeded randomness.
//!
//! Knows nothing of clocks, files or the network.

pub mod bitset;
pub mod codec;
pub mod count;
pub mod hex;
pub mod hostlist;
mod ids;
pub mod knob;
pub mod license;
pub mod mark;
pub mod natural;
pub mod planted;
pub mod rng;
mod time;

pub use bitset::BitSet;
pub use hostlist::Hostlist;
pub use ids::{AttemptId, JobId, NotAKey, RequestKey};
pub use rng::Rng;
pub use time::{Span, Time};
