//! Showing a message to something that prints, compares or filters it.

use std::fmt::Write as _;

/// Is shown a value piece by piece.
pub trait Visitor {
    /// A record starts.
    fn record_begin(&mut self, name: &'static str);
    /// The next value is this field's.
    fn field(&mut self, name: &'static str);
    /// The record ends.
    fn record_end(&mut self);
    /// A list starts.
    fn list_begin(&mut self, length: usize);
    /// The list ends.
    fn list_end(&mut self);
    /// An unsigned number.
    fn unsigned(&mut self, value: u64);
    /// A signed number.
    fn signed(&mut self, value: i64);
    /// A fraction.
    fn fraction(&mut self, value: f64);
    /// A truth value.
    fn boolean(&mut self, value: bool);
    /// Text.
    fn text(&mut self, value: &str);
    /// Bytes without meaning here.
    fn bytes(&mut self, value: &[u8]);
    /// Nothing.
    fn null(&mut self);
}

/// Writes a value as JSON.
#[derive(Debug, Default)]
pub struct Json {
    out: String,
    comma: bool,
    lists: Vec<bool>,
}

impl Json {
    /// The text of `value`.
    pub fn of(value: &impl crate::Wire) -> String {
        let mut json = Self::default();
        value.view(&mut json);
        json.out
    }

    fn separate(&mut self) {
        if self.comma && self.lists.last() == Some(&true) {
            self.out.push(',');
        }
        self.comma = true;
    }

    fn push(&mut self, text: &str) {
        self.separate();
        self.out.push_str(text);
    }

    fn quote(&mut self, text: &str) {
        push_quoted(text, &mut self.out);
    }
}

/// Appends text as a JSON string.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes all");
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends bytes as a JSON string of hexadecimal digits.
pub(crate) fn push_bytes(bytes: &[u8], out: &mut String) {
    out.reserve(bytes.len() * 2 + 2);
    out.push('"');
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a String takes all");
    }
    out.push('"');
}

/// Appends a fraction as JSON, which has no word for what is not finite.
pub(crate) fn push_fraction(value: f64, out: &mut String) {
    match value.is_finite() {
        true => write!(out, "{value:?}").expect("a String takes all"),
        false => out.push_str("null"),
    }
}

impl Visitor for Json {
    fn record_begin(&mut self, _: &'static str) {
        self.push("{");
        self.lists.push(false);
        self.comma = false;
    }

    fn field(&mut self, name: &'static str) {
        if self.comma {
            self.out.push(',');
        }
        self.quote(name);
        self.out.push(':');
        self.comma = true;
    }

    fn record_end(&mut self) {
        self.lists.pop();
        self.out.push('}');
        self.comma = true;
    }

    fn list_begin(&mut self, _: usize) {
        self.push("[");
        self.lists.push(true);
        self.comma = false;
    }

    fn list_end(&mut self) {
        self.lists.pop();
        self.out.push(']');
        self.comma = true;
    }

    fn unsigned(&mut self, value: u64) {
        self.push(&value.to_string());
    }

    fn signed(&mut self, value: i64) {
        self.push(&value.to_string());
    }

    fn fraction(&mut self, value: f64) {
        self.separate();
        push_fraction(value, &mut self.out);
    }

    fn boolean(&mut self, value: bool) {
        self.push(if value { "true" } else { "false" });
    }

    fn text(&mut self, value: &str) {
        self.separate();
        self.quote(value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.separate();
        push_bytes(value, &mut self.out);
    }

    fn null(&mut self) {
        self.push("null");
    }
}

impl Json {
    /// What was written so far.
    pub fn text(&self) -> &str {
        &self.out
    }

    /// Whether every record and list has been closed.
    pub fn is_balanced(&self) -> bool {
        self.lists.is_empty()
    }
}
