//! Reads a declaration and its `#[wire(...)]` attributes, and refuses contradictions.

use std::collections::BTreeSet;

use syn::ext::IdentExt as _;
use syn::meta::ParseNestedMeta;
use syn::{
    Data, DeriveInput, Error, Expr, Fields, GenericParam, Generics, Ident, Result, Type,
    parenthesized, parse_quote,
};

/// Every release the derive knows, oldest first. The same names are variants of `Release`.
pub(crate) const RELEASES: [&str; 8] =
    ["V22_05", "V23_02", "V23_11", "V24_05", "V24_11", "V25_05", "V25_11", "V26_05"];

/// An inclusive range of releases, as indices into `RELEASES`.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) since: usize,
    pub(crate) until: usize,
}

impl Range {
    const ALL: Self = Self { since: 0, until: RELEASES.len() - 1 };

    fn overlaps(self, other: Self) -> bool {
        self.since <= other.until && other.since <= self.until
    }
}

/// One field.
pub(crate) struct Field {
    pub(crate) name: Ident,
    pub(crate) kind: Type,
    pub(crate) range: Range,
    pub(crate) default: Option<Expr>,
    pub(crate) codec: Option<Type>,
    pub(crate) constant: Option<Expr>,
    pub(crate) when: Option<Expr>,
    pub(crate) count: Option<Expr>,
    pub(crate) sample: Option<Expr>,
}

impl Field {
    /// The field's name as people know it: a raw identifier without its mark.
    pub(crate) fn text(&self) -> String {
        self.name.unraw().to_string()
    }
}

/// A wire order for some releases, as indices into the declared fields.
pub(crate) struct Order {
    pub(crate) range: Range,
    pub(crate) fields: Vec<usize>,
}

/// A whole record.
pub(crate) struct Declaration {
    pub(crate) name: Ident,
    pub(crate) generics: Generics,
    pub(crate) fields: Vec<Field>,
    pub(crate) orders: Vec<Order>,
}

impl Declaration {
    pub(crate) fn from_input(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new_spanned(input, "Wire is for structs"));
        };
        let is_type = |param: &GenericParam| matches!(param, GenericParam::Type(_));
        if !input.generics.params.iter().all(is_type) {
            return Err(Error::new_spanned(&input.generics, "parameters of a record are types"));
        }
        let named = match &data.fields {
            Fields::Named(named) => named.named.iter().collect(),
            Fields::Unit => Vec::new(),
            Fields::Unnamed(_) => {
                return Err(Error::new_spanned(input, "a Wire record has named fields"));
            }
        };
        let fields = named.into_iter().map(read_field).collect::<Result<Vec<_>>>()?;
        let orders = read_orders(input, &fields)?;
        let generics = bounded(&input.generics);
        Ok(Self { name: input.ident.clone(), generics, fields, orders })
    }
}

/// Every parameter is a `Wire` type with a default.
fn bounded(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for param in generics.type_params_mut() {
        param.bounds.push(parse_quote!(::flurm_wire::Wire));
        param.bounds.push(parse_quote!(::core::default::Default));
    }
    generics
}

fn read_release(meta: &ParseNestedMeta<'_>) -> Result<usize> {
    let ident: Ident = meta.value()?.parse()?;
    let index = RELEASES.iter().position(|name| ident == name);
    index.ok_or_else(|| Error::new(ident.span(), "not a release: V22_05 … V26_05"))
}

fn read_field(field: &syn::Field) -> Result<Field> {
    let name = field.ident.clone().ok_or_else(|| Error::new_spanned(field, "no name"))?;
    let mut read = Field {
        name,
        kind: field.ty.clone(),
        range: Range::ALL,
        default: None,
        codec: None,
        constant: None,
        when: None,
        count: None,
        sample: None,
    };
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("wire")) {
        attribute.parse_nested_meta(|meta| read_field_item(&meta, &mut read))?;
    }
    check_field(field, &read)?;
    Ok(read)
}

fn read_field_item(meta: &ParseNestedMeta<'_>, field: &mut Field) -> Result<()> {
    let name = meta.path.require_ident()?.to_string();
    match name.as_str() {
        "since" => field.range.since = read_release(meta)?,
        "until" => field.range.until = read_release(meta)?,
        "default" => field.default = Some(meta.value()?.parse()?),
        "as_" => field.codec = Some(meta.value()?.parse()?),
        "constant" => field.constant = Some(meta.value()?.parse()?),
        "when" => field.when = Some(meta.value()?.parse()?),
        "count" => field.count = Some(meta.value()?.parse()?),
        "sample" => field.sample = Some(meta.value()?.parse()?),
        _ => return Err(meta.error("unknown attribute of a field")),
    }
    Ok(())
}

fn check_field(field: &syn::Field, read: &Field) -> Result<()> {
    if read.range.since > read.range.until {
        return Err(Error::new_spanned(field, "`until` is before `since`"));
    }
    let is_unit = matches!(&read.kind, Type::Tuple(tuple) if tuple.elems.is_empty());
    if is_unit != read.constant.is_some() {
        return Err(Error::new_spanned(field, "`constant` and the type `()` go together"));
    }
    if read.constant.is_some() && (read.codec.is_some() || read.default.is_some()) {
        return Err(Error::new_spanned(field, "a constant has no codec and no default"));
    }
    if read.count.is_some() && (read.codec.is_some() || read.constant.is_some()) {
        return Err(Error::new_spanned(field, "a counted field has no codec and no constant"));
    }
    Ok(())
}

fn read_orders(input: &DeriveInput, fields: &[Field]) -> Result<Vec<Order>> {
    let mut orders: Vec<Order> = Vec::new();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("wire")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("order") {
                return Err(meta.error("unknown attribute of a record"));
            }
            let order = read_order(&meta, fields)?;
            if orders.iter().any(|other| other.range.overlaps(order.range)) {
                return Err(meta.error("two orders for one release"));
            }
            orders.push(order);
            Ok(())
        })?;
    }
    Ok(orders)
}

fn read_order(meta: &ParseNestedMeta<'_>, fields: &[Field]) -> Result<Order> {
    let mut order = Order { range: Range::ALL, fields: Vec::new() };
    meta.parse_nested_meta(|item| {
        let name = item.path.require_ident()?.to_string();
        match name.as_str() {
            "since" => order.range.since = read_release(&item)?,
            "until" => order.range.until = read_release(&item)?,
            "fields" => {
                let content;
                parenthesized!(content in item.input);
                let names = content.parse_terminated(Ident::parse_any, syn::Token![,])?;
                for name in names {
                    let index = fields.iter().position(|field| field.name == name);
                    let missing = || Error::new(name.span(), "no such field");
                    order.fields.push(index.ok_or_else(missing)?);
                }
            }
            _ => return Err(item.error("an order has `since`, `until` and `fields(...)`")),
        }
        Ok(())
    })?;
    check_order(meta, &order, fields)?;
    Ok(order)
}

fn check_order(meta: &ParseNestedMeta<'_>, order: &Order, fields: &[Field]) -> Result<()> {
    let listed: BTreeSet<usize> = order.fields.iter().copied().collect();
    if listed.len() != order.fields.len() {
        return Err(meta.error("an order names a field twice"));
    }
    for (index, field) in fields.iter().enumerate() {
        let present = field.range.overlaps(order.range);
        if present && !listed.contains(&index) {
            return Err(meta.error(format!("the order leaves out `{}`", field.name)));
        }
        if !present && listed.contains(&index) {
            return Err(meta.error(format!("`{}` is in none of these releases", field.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(declaration: &str) -> String {
        let input = syn::parse_str(declaration).expect("the declaration is Rust");
        match Declaration::from_input(&input) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let cases = [
            ("struct A { a: u8 }", "accepted"),
            ("struct A;", "accepted"),
            ("enum A { B }", "Wire is for structs"),
            ("struct A(u8);", "a Wire record has named fields"),
            ("struct A<T> { a: T }", "accepted"),
            ("struct A<'a> { a: &'a u8 }", "parameters of a record are types"),
            ("struct A<const N: u8> { a: [u8; N] }", "parameters of a record are types"),
            ("struct A { #[wire(sense = V22_05)] a: u8 }", "unknown attribute of a field"),
            ("struct A { #[wire(since = V21_08)] a: u8 }", "not a release: V22_05 … V26_05"),
            (
                "struct A { #[wire(since = V24_05, until = V23_11)] a: u8 }",
                "`until` is before `since`",
            ),
            ("struct A { a: () }", "`constant` and the type `()` go together"),
            (
                "struct A { #[wire(constant = 0u8)] a: u8 }",
                "`constant` and the type `()` go together",
            ),
            ("struct A { n: u32, #[wire(count = Self::n)] a: Vec<u8> }", "accepted"),
            (
                "struct A { n: u32, #[wire(count = Self::n, as_ = B)] a: Vec<u8> }",
                "a counted field has no codec and no constant",
            ),
        ];
        for (declaration, expected) in cases {
            assert_eq!(refusal(declaration), expected, "{declaration}");
        }
    }

    #[test]
    fn an_order_must_be_complete() {
        let fields = "{ a: u8, #[wire(since = V24_05)] b: u8 }";
        let cases = [
            ("order(until = V24_05, fields(b, a))", "accepted"),
            ("order(until = V24_05, fields(a))", "the order leaves out `b`"),
            ("order(until = V23_11, fields(b, a))", "`b` is in none of these releases"),
            ("order(until = V24_05, fields(b, a, b))", "an order names a field twice"),
            ("order(until = V24_05, fields(b, a, c))", "no such field"),
            (
                "order(fields(b, a)), order(since = V25_05, fields(a, b))",
                "two orders for one release",
            ),
            ("ordre(fields(b, a))", "unknown attribute of a record"),
        ];
        for (order, expected) in cases {
            assert_eq!(
                refusal(&format!("#[wire({order})] struct A {fields}")),
                expected,
                "{order}"
            );
        }
    }
}
