//! A message as a tree of plain values: what a visitor was shown, kept.

use crate::Visitor;
use crate::view::{push_bytes, push_fraction, push_quoted};

/// Longest line that holds a whole list or record.
const LINE_COLUMNS_MAX: usize = 100;
/// What each container moves its content to the right by.
const INDENT_COLUMNS: usize = 2;

/// A value without its Rust type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A truth value.
    Boolean(bool),
    /// An unsigned number.
    Unsigned(u64),
    /// A signed number.
    Signed(i64),
    /// A fraction.
    Fraction(f64),
    /// Text.
    Text(String),
    /// Bytes without meaning here.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// Fields in the order in which they were shown.
    Record(Vec<(&'static str, Self)>),
}

impl Value {
    /// What `show` shows.
    pub fn of(show: impl FnOnce(&mut dyn Visitor)) -> Self {
        let mut builder = Builder::default();
        show(&mut builder);
        builder.done
    }

    /// Whether it is neither a list nor a record.
    pub const fn is_plain(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Record(_))
    }

    /// The field of that name, if this is a record that has it.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Record(fields) = self else { return None };
        fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// Appends JSON without blanks. Bytes become hexadecimal text.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Unsigned(value) => out.push_str(&value.to_string()),
            Self::Signed(value) => out.push_str(&value.to_string()),
            Self::Fraction(value) => push_fraction(*value, out),
            Self::Text(text) => push_quoted(text, out),
            Self::Bytes(bytes) => push_bytes(bytes, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.push_json(out);
                }
                out.push(']');
            }
            Self::Record(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    push_quoted(name, out);
                    out.push(':');
                    value.push_json(out);
                }
                out.push('}');
            }
        }
    }

    /// JSON for people: what fits in a line stands in one.
    pub fn to_pretty_json(&self) -> String {
        let mut out = String::new();
        self.push_pretty(0, 0, &mut out);
        out
    }

    /// `depth` is the number of containers around it, `used` the columns before it.
    fn push_pretty(&self, depth: usize, used: usize, out: &mut String) {
        let start = out.len();
        self.push_line(out);
        let fits = used + (out.len() - start) <= LINE_COLUMNS_MAX;
        let (open, close, count) = match self {
            Self::List(items) => ('[', ']', items.len()),
            Self::Record(fields) => ('{', '}', fields.len()),
            _ => return,
        };
        if fits || count == 0 {
            return;
        }
        out.truncate(start);
        out.push(open);
        for index in 0..count {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            let line = out.len();
            out.extend(std::iter::repeat_n(' ', (depth + 1) * INDENT_COLUMNS));
            let item = match self {
                Self::Record(fields) => {
                    push_quoted(fields[index].0, out);
                    out.push_str(": ");
                    &fields[index].1
                }
                Self::List(items) => &items[index],
                _ => unreachable!("anything else has returned"),
            };
            item.push_pretty(depth + 1, out.len() - line, out);
        }
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth * INDENT_COLUMNS));
        out.push(close);
    }

    /// All in one line, with blanks.
    fn push_line(&self, out: &mut String) {
        match self {
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    item.push_line(out);
                }
                out.push(']');
            }
            Self::Record(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    push_quoted(name, out);
                    out.push_str(": ");
                    value.push_line(out);
                }
                out.push('}');
            }
            plain => plain.push_json(out),
        }
    }

    /// JSON without blanks.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.push_json(&mut out);
        out
    }
}

/// Builds a value out of what it is shown.
#[derive(Debug, Default)]
struct Builder {
    open: Vec<(Option<&'static str>, Value)>,
    name: Option<&'static str>,
    done: Value,
}

impl Builder {
    fn put(&mut self, value: Value) {
        let name = self.name.take();
        match self.open.last_mut() {
            Some((_, Value::List(items))) => items.push(value),
            Some((_, Value::Record(fields))) => fields.push((name.unwrap_or_default(), value)),
            _ => self.done = value,
        }
    }

    fn begin(&mut self, value: Value) {
        let name = self.name.take();
        self.open.push((name, value));
    }

    fn end(&mut self) {
        let (name, value) = self.open.pop().expect("begin and end are paired");
        self.name = name;
        self.put(value);
    }
}

impl Visitor for Builder {
    fn record_begin(&mut self, _: &'static str) {
        self.begin(Value::Record(Vec::new()));
    }

    fn field(&mut self, name: &'static str) {
        self.name = Some(name);
    }

    fn record_end(&mut self) {
        self.end();
    }

    fn list_begin(&mut self, _: usize) {
        self.begin(Value::List(Vec::new()));
    }

    fn list_end(&mut self) {
        self.end();
    }

    fn unsigned(&mut self, value: u64) {
        self.put(Value::Unsigned(value));
    }

    fn signed(&mut self, value: i64) {
        self.put(Value::Signed(value));
    }

    fn fraction(&mut self, value: f64) {
        self.put(Value::Fraction(value));
    }

    fn boolean(&mut self, value: bool) {
        self.put(Value::Boolean(value));
    }

    fn text(&mut self, value: &str) {
        self.put(Value::Text(value.to_owned()));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.put(Value::Bytes(value.to_vec()));
    }

    fn null(&mut self) {
        self.put(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gen, Json, Message, StepId, Wire};

    #[test]
    fn a_value_says_the_same_as_the_json_view() {
        for entry in Message::REGISTERED {
            let release = entry.until;
            let message = entry.sample(&mut Gen::new(release, 5));
            let mut json = Json::default();
            message.view(&mut json);
            assert_eq!(Value::of(|v| message.view(v)).to_json(), json.text(), "{}", entry.name);
        }
    }

    #[test]
    fn fields_are_found_by_name() {
        let value = Value::of(|v| StepId::step(7, 1).view(v));
        assert_eq!(value.field("job_id"), Some(&Value::Unsigned(7)));
        assert_eq!(value.field("nonsense"), None);
        assert_eq!(Value::Null.field("job_id"), None);
    }
}
