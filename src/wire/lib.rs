//! Slurm's protocol, releases 22.05 to 26.05: bytes to messages and back.
//!
//! A record is declared once with `#[derive(Wire)]`; its layout in every release follows from the
//! declaration. Nothing here knows what a message means, verifies a credential, or waits.

extern crate self as flurm_wire;

pub mod auth;
mod bits;
mod bytes;
pub mod codec;
pub mod dbd;
pub mod difference;
pub mod dissect;
mod errno;
mod few;
pub mod frame;
pub mod hash;
pub mod header;
mod ids;
pub mod io_channel;
mod kinds;
pub mod messages;
pub mod names;
mod packed;
pub mod persist;
pub mod records;
mod registry;
mod release;
pub mod sack;
mod sample;
mod schema;
mod shared;
pub mod stream;
pub mod text;
pub mod token;
mod trace;
mod value;
mod view;
mod wire;

pub use auth::AuthBlock;
pub use bits::Bits;
pub use bytes::{
    BITMAP_BITS_MAX, BLOCK_BYTES_MAX, DEPTH_MAX, DecodeError, ELEMENTS_MAX, Fault, Limits,
    Malformed, Reader, Writer,
};
pub use dbd::DbdMessage;
pub use errno::Errno;
pub use few::{Few, Few16, Few32, Few64};
pub use flurm_wire_derive::Wire;
pub use frame::{Frame, FrameError};
pub use header::{Forward, Header, Returned};
pub use ids::{BATCH_STEP, EXTERN_STEP, INTERACTIVE_STEP, JobRef, PENDING_STEP, StepId, WireAddr};
pub use kinds::{
    INFINITE, INFINITE8, INFINITE16, INFINITE64, List, LongDouble, Mem, NO_VAL, NO_VAL8, NO_VAL16,
    NO_VAL64, UnixTime,
};
pub use packed::Packed;
pub use registry::{Message, Registered, Registry};
pub use release::{Release, Unsupported};
pub use sample::Gen;
pub use schema::Schema;
pub use shared::Text;
pub use trace::{Content, Part};
pub use value::Value;
pub use view::{Json, Visitor};
pub use wire::{
    Brief, Codec, Counted, FieldInfo, Fixed, Record, Wire, count_of, predicate, schema_like,
    skip_like,
};
