//! `#[derive(Wire)]`: one declaration of a record gives everything the protocol needs of it.
//!
//! ```text
//! use crate::{Bits, Release, StepId, UnixTime, Wire, NO_VAL};
//!
//! /// Asks nodes to restart.
//! #[derive(Clone, Debug, PartialEq, Wire)]           // not `Default`: the derive writes it
//! #[wire(order(until = V24_05, fields(next_state, node_list, unused, reason, weight)))]
//! pub struct RebootNodes {
//!     /// Fields stand in the wire order of the newest release; the Rust type is the wire kind.
//!     pub node_list: Option<String>,
//!     /// The value of a field that a release does not carry (and of `Default`).
//!     #[wire(default = NO_VAL)]
//!     pub next_state: u32,
//!     /// First release that has the field (inclusive).
//!     #[wire(since = V26_05)]
//!     pub power_action: Option<String>,
//!     /// Last release that has the field (inclusive). A `()` field with `constant` is filler that
//!     /// is written as that constant (its type is its width) and skipped when read.
//!     #[wire(until = V23_02, constant = 0u16)]
//!     pub unused: (),
//!     /// Present only if the predicate over the fields decoded so far says so:
//!     /// `fn(&Self, Release) -> bool`. When absent the field has its default.
//!     #[wire(when = Self::has_reason)]
//!     pub reason: Option<String>,
//!     /// An odd encoding: a type that implements `Codec<FieldType>`.
//!     #[wire(as_ = codec::U16As32)]
//!     pub weight: u32,
//! }
//! ```
//!
//! # Attributes of a field
//! | attribute | meaning |
//! |---|---|
//! | `since = V23_11` | first release that carries the field |
//! | `until = V24_05` | last release that carries the field (inclusive) |
//! | `default = EXPR` | value in `Default`, and when a release or a predicate leaves the field out |
//! | `as_ = Type` | encode through `<Type as Codec<FieldType>>` |
//! | `constant = EXPR` | filler: the field's type must be `()`; the expression's type is its width |
//! | `when = EXPR` | `fn(&Self, Release) -> bool`; looks at earlier fields only |
//! | `count = EXPR` | `fn(&Self) -> u32` over earlier fields: the number of elements, which are sent without a count of their own |
//! | `sample = EXPR` | `fn(&mut Gen) -> FieldType`: values for property tests, where `T::sample` would break a rule between fields |
//!
//! Several attributes may share one `#[wire(...)]`.
//!
//! # Attributes of a struct
//! `order(since = R, until = R, fields(a, b, c))`, repeatable: the complete wire order for those
//! releases (either bound may be left out). The list must name exactly the fields which are present
//! in at least one of those releases; the derive checks it. Every other release uses the
//! declaration's order.
//!
//! A record may have type parameters, each of which must be `Wire + Default`; it goes by one name
//! whatever they are.
//!
//! # What is generated
//! `impl Wire` (encode, decode, view, sample, schema), `impl Default`, and `impl Record` with
//! `NAME` and `FIELDS`. Fields must be documented like any public item, but `FIELDS` needs nothing
//! from the documentation.

mod emit;
mod parse;
mod run;

use proc_macro::TokenStream;

/// Derives `Wire`, `Record` and `Default` for a struct with named fields. See the crate's text.
#[proc_macro_derive(Wire, attributes(wire))]
pub fn derive_wire(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    parse::Declaration::from_input(&input)
        .map(|declaration| emit::all(&declaration))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
