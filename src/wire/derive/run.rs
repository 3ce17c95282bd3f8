//! Neighbouring fields that mostly take few bytes, which are read and written together.
//!
//! All of a stretch share one look at the room there is, and the place reached is handed from one
//! to the next. Those of fixed size that stand next to each other form runs within it, which have
//! one check of what is left instead of one for each field.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::Type;

use crate::emit::{fill_field, guarded, place_of};
use crate::parse::{Declaration, Field};

/// The kinds that implement `flurm_wire::Fixed`.
const FIXED: [&str; 7] = ["u8", "u16", "u32", "u64", "i64", "bool", "UnixTime"];
/// The kinds that implement `flurm_wire::Brief`.
const BRIEF: [&str; 1] = ["Option<Text>"];

/// Statements for fields in this order: `stretch` for as many neighbours as stand in one, `single`
/// for each of the others.
pub(crate) fn in_stretches(
    fields: &[&Field],
    stretch: impl Fn(&[&Field]) -> TokenStream,
    single: impl Fn(&Field) -> TokenStream,
) -> TokenStream {
    let is_short = |field: &Field| is_fixed(field) || is_brief(field);
    let chunks = fields.chunk_by(|a, b| is_short(a) && is_short(b));
    let statements = chunks.map(|chunk| match chunk {
        [field] if !is_short(field) => single(field),
        fields => stretch(fields),
    });
    statements.collect()
}

fn is_plain(field: &Field) -> bool {
    field.constant.is_none() && field.codec.is_none() && field.count.is_none()
}

fn is_fixed(field: &Field) -> bool {
    let Type::Path(path) = &field.kind else { return false };
    is_plain(field) && FIXED.iter().any(|kind| path.path.is_ident(kind))
}

fn is_brief(field: &Field) -> bool {
    let kind = field.kind.to_token_stream().to_string().replace(' ', "");
    is_plain(field) && BRIEF.contains(&kind.as_str())
}

/// Whether both are sent under the same conditions.
fn same_guard(a: &Field, b: &Field) -> bool {
    let when = |field: &Field| field.when.as_ref().map(|when| quote!(#when).to_string());
    let ranges = (a.range.since, a.range.until) == (b.range.since, b.range.until);
    ranges && when(a) == when(b)
}

/// Runs of fixed size, and the others one by one.
fn runs<'a>(stretch: &'a [&'a Field]) -> impl Iterator<Item = &'a [&'a Field]> {
    stretch.chunk_by(|a, b| is_fixed(a) && is_fixed(b) && same_guard(a, b))
}

fn width(run: &[&Field]) -> TokenStream {
    let widths = run.iter().map(|field| {
        let kind = &field.kind;
        match is_fixed(field) {
            true => quote!(<#kind as ::flurm_wire::Fixed>::WIDTH),
            false => quote!(<#kind as ::flurm_wire::Brief>::ROOM),
        }
    });
    quote!({ 0 #(+ #widths)* })
}

/// Writes a stretch.
pub(crate) fn encode(stretch: &[&Field]) -> TokenStream {
    let room = width(stretch);
    let runs = runs(stretch).map(|run| {
        let (width, names) = (width(run), run.iter().map(|field| &field.name));
        let statement = match run {
            [field] if is_brief(field) => {
                let name = &field.name;
                quote!(at = ::flurm_wire::Brief::place(&this.#name, w, at, ROOM);)
            }
            _ => quote! {
                let rest: &mut [u8] = w.run::<#width>(at);
                #(let rest = ::flurm_wire::Fixed::put(this.#names, rest);)*
                let _ = rest;
                at += #width;
            },
        };
        guarded(run[0], true, quote!({ #statement }))
    });
    quote! {
        {
            const ROOM: usize = #room;
            let mut at = w.room(ROOM);
            #(#runs)*
            w.stand_at(at);
        }
    }
}

/// Reads a stretch; where the bytes end within a run, field by field, so that the fault names one.
pub(crate) fn fill(declaration: &Declaration, stretch: &[&Field]) -> TokenStream {
    let runs = runs(stretch).map(|run| {
        let (width, names) = (width(run), run.iter().map(|field| &field.name));
        let statement = match run {
            [field] if is_brief(field) => {
                let (name, place) = (&field.name, place_of(declaration, field));
                quote! {
                    rest = ::flurm_wire::Brief::take(&mut this.#name, rest, r)
                        .map_err(|error| error.within(#place))?;
                }
            }
            _ => {
                let singles = run.iter().map(|field| fill_field(declaration, field));
                quote! {
                    if let ::core::option::Option::Some((run, behind)) =
                        rest.split_first_chunk::<#width>()
                    {
                        let run: &[u8] = run;
                        #(let run = ::flurm_wire::Fixed::get(&mut this.#names, run);)*
                        let _ = run;
                        rest = behind;
                    } else {
                        r.stand_before(rest);
                        #(#singles)*
                        rest = r.ahead();
                    }
                }
            }
        };
        guarded(run[0], true, statement)
    });
    quote! {
        {
            let mut rest = r.ahead();
            #(#runs)*
            r.stand_before(rest);
        }
    }
}
