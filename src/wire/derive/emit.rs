//! Writes the implementations for a checked declaration.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::parse::{Declaration, Field, Order, RELEASES, Range};
use crate::run;

const LAST: usize = RELEASES.len() - 1;

/// All generated items.
pub(crate) fn all(declaration: &Declaration) -> TokenStream {
    let name = &declaration.name;
    let encode =
        by_order(declaration, |fields| run::in_stretches(fields, run::encode, encode_field));
    let fill = by_order(declaration, |fields| {
        run::in_stretches(
            fields,
            |stretch| run::fill(declaration, stretch),
            |field| fill_field(declaration, field),
        )
    });
    let trace = by_order(declaration, |fields| {
        fields.iter().map(|field| trace_field(declaration, field)).collect()
    });
    let schema =
        by_order(declaration, |fields| fields.iter().map(|field| schema_field(field)).collect());
    let view = declaration.fields.iter().map(view_field);
    let sample = sample_body(declaration);
    let defaults = declaration.fields.iter().map(|field| {
        let (ident, value) = (&field.name, default_of(field));
        quote!(#ident: #value)
    });
    let infos = declaration.fields.iter().map(field_info);
    let text = name.to_string();
    let reading = reading(&fill, &trace);
    let (generics, arguments, bounds) = declaration.generics.split_for_impl();
    quote! {
        impl #generics ::core::default::Default for #name #arguments #bounds {
            fn default() -> Self {
                Self { #(#defaults,)* }
            }
        }

        impl #generics ::flurm_wire::Record for #name #arguments #bounds {
            const NAME: &'static str = #text;
            const FIELDS: &'static [::flurm_wire::FieldInfo] = &[#(#infos,)*];
        }

        impl #generics ::flurm_wire::Wire for #name #arguments #bounds {
            const KIND: &'static str = #text;

            fn encode(&self, w: &mut ::flurm_wire::Writer) {
                let (release, this) = (w.release(), self);
                let _ = (release, this);
                #encode
            }

            #reading

            fn view(&self, v: &mut dyn ::flurm_wire::Visitor) {
                v.record_begin(#text);
                #(#view)*
                v.record_end();
            }

            fn sample(g: &mut ::flurm_wire::Gen) -> Self {
                #sample
            }

            fn schema(release: ::flurm_wire::Release, s: &mut ::flurm_wire::Schema) {
                let _ = release;
                s.record(#text, <Self as ::flurm_wire::Record>::FIELDS);
                #schema
            }
        }
    }
}

/// The functions of `Wire` that read: with `trace` where offsets are asked for, else with `fill`.
fn reading(fill: &TokenStream, trace: &TokenStream) -> TokenStream {
    quote! {
        fn decode(
            r: &mut ::flurm_wire::Reader<'_>,
        ) -> ::core::result::Result<Self, ::flurm_wire::DecodeError> {
            let mut this = <Self as ::core::default::Default>::default();
            ::flurm_wire::Wire::fill(&mut this, r)?;
            ::core::result::Result::Ok(this)
        }

        fn fill(
            &mut self,
            r: &mut ::flurm_wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::flurm_wire::DecodeError> {
            let (release, this) = (r.release(), self);
            let _ = (release, &this);
            r.enter()?;
            if r.is_traced() {
                #trace
            } else {
                #fill
            }
            r.leave();
            ::core::result::Result::Ok(())
        }

        fn push_onto(
            list: &mut ::std::vec::Vec<Self>,
            r: &mut ::flurm_wire::Reader<'_>,
        ) -> ::core::result::Result<(), ::flurm_wire::DecodeError> {
            list.push(<Self as ::core::default::Default>::default());
            match list.last_mut() {
                ::core::option::Option::Some(last) => ::flurm_wire::Wire::fill(last, r),
                ::core::option::Option::None => ::core::result::Result::Ok(()),
            }
        }

        fn boxed(
            r: &mut ::flurm_wire::Reader<'_>,
        ) -> ::core::result::Result<::std::boxed::Box<Self>, ::flurm_wire::DecodeError> {
            let mut this = <::std::boxed::Box<Self> as ::core::default::Default>::default();
            <Self as ::flurm_wire::Wire>::fill(&mut this, r)?;
            ::core::result::Result::Ok(this)
        }
    }
}

/// The statements for every field, in the order that the release at hand uses.
fn by_order(
    declaration: &Declaration,
    statements: impl Fn(&[&Field]) -> TokenStream,
) -> TokenStream {
    let special = declaration.orders.iter().map(|Order { range, fields }| {
        let condition = range_condition(*range).unwrap_or_else(|| quote!(true));
        let fields: Vec<&Field> = fields.iter().map(|at| &declaration.fields[*at]).collect();
        let statements = statements(&fields);
        quote!(if #condition { #statements } else)
    });
    let declared: Vec<&Field> = declaration.fields.iter().collect();
    let statements = statements(&declared);
    quote!(#(#special)* { #statements })
}

fn release(index: usize) -> TokenStream {
    let ident = format_ident!("{}", RELEASES[index]);
    quote!(::flurm_wire::Release::#ident)
}

/// `None` when the range is all releases.
fn range_condition(range: Range) -> Option<TokenStream> {
    let (since, until) = (release(range.since), release(range.until));
    match (range.since, range.until) {
        (0, LAST) => None,
        (0, _) => Some(quote!(release <= #until)),
        (_, LAST) => Some(quote!(release >= #since)),
        (first, last) if first == last => Some(quote!(release == #since)),
        _ => Some(quote!((release >= #since && release <= #until))),
    }
}

pub(crate) fn guarded(field: &Field, with_when: bool, statement: TokenStream) -> TokenStream {
    let mut guarded = statement;
    if let Some(when) = field.when.as_ref().filter(|_| with_when) {
        guarded = quote!(if ::flurm_wire::predicate(#when, &*this, release) { #guarded });
    }
    match range_condition(field.range) {
        Some(condition) => quote!(if #condition { #guarded }),
        None => guarded,
    }
}

fn encode_field(field: &Field) -> TokenStream {
    let (name, kind) = (&field.name, &field.kind);
    let statement = match (&field.constant, &field.codec, &field.count) {
        (Some(constant), _, _) => quote!(::flurm_wire::Wire::encode(&(#constant), w);),
        (None, Some(codec), _) => {
            quote!(<#codec as ::flurm_wire::Codec<#kind>>::encode(&this.#name, w);)
        }
        (None, None, Some(count)) => {
            let count = quote!(::flurm_wire::count_of(#count, this));
            quote!(<#kind as ::flurm_wire::Counted>::encode(&this.#name, #count, w);)
        }
        (None, None, None) => quote!(<#kind as ::flurm_wire::Wire>::encode(&this.#name, w);),
    };
    let statement = match &field.when {
        Some(when) => {
            quote!(if ::flurm_wire::predicate(#when, this, release) { #statement })
        }
        None => statement,
    };
    guarded(field, false, statement)
}

pub(crate) fn place_of(declaration: &Declaration, field: &Field) -> String {
    format!("{}.{}", declaration.name, field.text())
}

/// Reads a field without a trace.
pub(crate) fn fill_field(declaration: &Declaration, field: &Field) -> TokenStream {
    let (name, kind) = (&field.name, &field.kind);
    let place = place_of(declaration, field);
    let within = quote!(.map_err(|error| error.within(#place))?);
    let statement = match (&field.constant, &field.codec, &field.count) {
        (Some(constant), _, _) => quote!(::flurm_wire::skip_like(|| #constant, r)#within;),
        (None, Some(codec), _) => {
            quote!(this.#name = <#codec as ::flurm_wire::Codec<#kind>>::decode(r)#within;)
        }
        (None, None, Some(count)) => {
            let count = quote!(::flurm_wire::count_of(#count, &*this));
            quote!(this.#name = <#kind as ::flurm_wire::Counted>::decode(#count, r)#within;)
        }
        (None, None, None) => {
            quote!(<#kind as ::flurm_wire::Wire>::fill(&mut this.#name, r)#within;)
        }
    };
    guarded(field, true, statement)
}

/// Reads a field and announces it.
fn trace_field(declaration: &Declaration, field: &Field) -> TokenStream {
    let (name, kind) = (&field.name, &field.kind);
    let (place, text) = (place_of(declaration, field), field.text());
    let (value, show) = match (&field.constant, &field.codec, &field.count) {
        (Some(constant), _, _) => {
            let read = quote!(r.filler(#text, |r| ::flurm_wire::skip_like(|| #constant, r)));
            let statement = quote!(#read.map_err(|error| error.within(#place))?;);
            return guarded(field, true, statement);
        }
        (None, Some(codec), _) => {
            let codec = quote!(<#codec as ::flurm_wire::Codec<#kind>>);
            (quote!(#codec::decode), quote!(#codec::view))
        }
        (None, None, Some(count)) => (
            quote!(|r| {
                let count = ::flurm_wire::count_of(#count, &*this);
                <#kind as ::flurm_wire::Counted>::decode(count, r)
            }),
            quote!(<#kind as ::flurm_wire::Wire>::view),
        ),
        (None, None, None) => {
            let wire = quote!(<#kind as ::flurm_wire::Wire>);
            (quote!(#wire::decode), quote!(#wire::view))
        }
    };
    let read = quote!(r.field_with(#text, #value, #show));
    guarded(field, true, quote!(this.#name = #read.map_err(|error| error.within(#place))?;))
}

fn schema_field(field: &Field) -> TokenStream {
    let (name, kind) = (field.text(), &field.kind);
    let schema = match (&field.constant, &field.codec, &field.count) {
        (Some(constant), _, _) => quote!(::flurm_wire::schema_like(|| #constant, release, s)),
        (None, Some(codec), _) => {
            quote!(<#codec as ::flurm_wire::Codec<#kind>>::schema(release, s))
        }
        (None, None, Some(_)) => quote!(<#kind as ::flurm_wire::Counted>::schema(release, s)),
        (None, None, None) => quote!(<#kind as ::flurm_wire::Wire>::schema(release, s)),
    };
    let name = if field.when.is_some() { format!("{name}?") } else { name };
    let statement = quote! {
        s.enter(#name);
        #schema;
        s.leave();
    };
    guarded(field, false, statement)
}

fn view_field(field: &Field) -> TokenStream {
    let (name, kind) = (&field.name, &field.kind);
    let text = field.text();
    let statement = match (&field.constant, &field.codec) {
        (Some(_), _) => return quote!(),
        (None, Some(codec)) => {
            quote!(<#codec as ::flurm_wire::Codec<#kind>>::view(&self.#name, v);)
        }
        (None, None) => quote!(<#kind as ::flurm_wire::Wire>::view(&self.#name, v);),
    };
    quote!(v.field(#text); #statement)
}

fn sample_body(declaration: &Declaration) -> TokenStream {
    let (conditional, plain): (Vec<_>, Vec<_>) =
        declaration.fields.iter().partition(|field| field.when.is_some() || field.count.is_some());
    let statements = plain.into_iter().chain(conditional).map(sample_field);
    quote! {
        let release = g.release();
        let _ = release;
        let mut sample = <Self as ::core::default::Default>::default();
        {
            let this = &mut sample;
            let _ = &this;
            #(#statements)*
        }
        sample
    }
}

fn sample_field(field: &Field) -> TokenStream {
    let (name, kind) = (&field.name, &field.kind);
    let value = match (&field.constant, &field.sample, &field.codec, &field.count) {
        (Some(_), _, _, _) => return quote!(),
        (None, Some(sample), _, _) => quote!((#sample)(g)),
        (None, None, Some(codec), _) => quote!(<#codec as ::flurm_wire::Codec<#kind>>::sample(g)),
        (None, None, None, Some(count)) => {
            let count = quote!(::flurm_wire::count_of(#count, &*this));
            quote!(<#kind as ::flurm_wire::Counted>::sample(#count, g))
        }
        (None, None, None, None) => quote!(<#kind as ::flurm_wire::Wire>::sample(g)),
    };
    guarded(field, true, quote!(this.#name = #value;))
}

fn default_of(field: &Field) -> TokenStream {
    match (&field.constant, &field.default) {
        (Some(_), _) => quote!(()),
        (None, Some(default)) => quote!(#default),
        (None, None) => quote!(::core::default::Default::default()),
    }
}

fn field_info(field: &Field) -> TokenStream {
    let (name, kind) = (field.text(), &field.kind);
    let (since, until) = (release(field.range.since), release(field.range.until));
    let conditional = field.when.is_some();
    let declared = match (&field.constant, &field.codec) {
        (Some(constant), _) => quote!(#constant),
        (None, _) => quote!(#kind),
    };
    let declared = declared.to_string().replace(' ', "");
    let kind = match (&field.constant, &field.codec, &field.count) {
        (Some(_), _, _) => quote!("filler"),
        (None, Some(codec), _) => quote!(<#codec as ::flurm_wire::Codec<#kind>>::KIND),
        (None, None, Some(_)) => quote!("counted"),
        (None, None, None) => quote!(<#kind as ::flurm_wire::Wire>::KIND),
    };
    quote! {
        ::flurm_wire::FieldInfo {
            name: #name, declared: #declared, kind: #kind, since: #since, until: #until, conditional: #conditional,
        }
    }
}
