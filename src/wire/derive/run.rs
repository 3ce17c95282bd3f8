//! Neighbouring fields of fixed size, which are read and written at once.
//!
//! A run has one check of what is left or of the room there is, instead of one for each field.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Type;

use crate::emit::{fill_field, guarded};
use crate::parse::{Declaration, Field};

/// The kinds that implement `flurm_wire::Fixed`.
const FIXED: [&str; 7] = ["u8", "u16", "u32", "u64", "i64", "bool", "UnixTime"];

/// Statements for fields in this order: `run` for as many neighbours as stand in one, `single` for
/// each of the others.
pub(crate) fn in_runs(
    fields: &[&Field],
    run: impl Fn(&[&Field]) -> TokenStream,
    single: impl Fn(&Field) -> TokenStream,
) -> TokenStream {
    let stand_together = |a: &&Field, b: &&Field| is_fixed(a) && is_fixed(b) && same_guard(a, b);
    let chunks = fields.chunk_by(stand_together);
    let statements = chunks.map(|chunk| match chunk {
        [field] => single(field),
        fields => run(fields),
    });
    statements.collect()
}

fn is_fixed(field: &Field) -> bool {
    let Type::Path(path) = &field.kind else { return false };
    let is_odd = field.constant.is_some() || field.codec.is_some() || field.count.is_some();
    !is_odd && FIXED.iter().any(|kind| path.path.is_ident(kind))
}

/// Whether both are sent under the same conditions.
fn same_guard(a: &Field, b: &Field) -> bool {
    let when = |field: &Field| field.when.as_ref().map(|when| quote!(#when).to_string());
    let ranges = (a.range.since, a.range.until) == (b.range.since, b.range.until);
    ranges && when(a) == when(b)
}

fn width(run: &[&Field]) -> TokenStream {
    let widths = run.iter().map(|field| {
        let kind = &field.kind;
        quote!(<#kind as ::flurm_wire::Fixed>::WIDTH)
    });
    quote!({ 0 #(+ #widths)* })
}

/// Writes a run.
pub(crate) fn encode(run: &[&Field]) -> TokenStream {
    let (width, names) = (width(run), run.iter().map(|field| &field.name));
    guarded(
        run[0],
        true,
        quote!({
            let rest: &mut [u8] = w.run::<#width>();
            #(let rest = ::flurm_wire::Fixed::put(this.#names, rest);)*
            let _ = rest;
        }),
    )
}

/// Reads a run; where the bytes end within it, field by field, so that the fault names one.
pub(crate) fn fill(declaration: &Declaration, run: &[&Field]) -> TokenStream {
    let (width, names) = (width(run), run.iter().map(|field| &field.name));
    let singles = run.iter().map(|field| fill_field(declaration, field));
    guarded(
        run[0],
        true,
        quote!({
            if let ::core::option::Option::Some(run) = r.run::<#width>() {
                let rest: &[u8] = run;
                #(let rest = ::flurm_wire::Fixed::get(&mut this.#names, rest);)*
                let _ = rest;
            } else {
                #(#singles)*
            }
        }),
    )
}
