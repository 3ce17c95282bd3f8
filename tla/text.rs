//! Reads values as TLC prints them.

use std::collections::{BTreeMap, BTreeSet};

use tla_eval::Value;

/// Values nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// A state from TLC's text: conjuncts `/\ name = value`.
///
/// # Errors
/// What stands where something else was expected.
pub(crate) fn state(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut reader = Reader { rest: text };
    let mut state = BTreeMap::new();
    loop {
        reader.space();
        if reader.rest.is_empty() {
            return Ok(state);
        }
        // A specification with one variable is printed without the sign.
        let _ = reader.take("/\\");
        let name = reader.name()?;
        reader.expect("=")?;
        state.insert(name, reader.value(0)?);
    }
}

/// A value from TLC's text.
///
/// # Errors
/// What stands where something else was expected.
pub(crate) fn value(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.space();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.unexpected("the end")) }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.chars().take(30).collect();
        format!("expected {wanted}, found `{found}`")
    }

    fn take(&mut self, sign: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    fn name(&mut self) -> Result<String, String> {
        self.space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.unexpected("a name"));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(String::from(name))
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("a value is nested deeper than {DEPTH_MAX}"));
        }
        self.space();
        if self.take("<<") {
            // Also how a function without arguments is printed, and the evaluator's form of it.
            return Ok(Value::Seq(self.items(">>", depth)?));
        }
        if self.take("{") {
            return Ok(Value::Set(BTreeSet::from_iter(self.items("}", depth)?)));
        }
        if self.take("[") {
            return self.record(depth);
        }
        if self.take("(") {
            return self.function(depth);
        }
        if self.take("\"") {
            let end = self.rest.find('"').ok_or_else(|| self.unexpected("a closing quote"))?;
            let text = Value::string(&self.rest[..end]);
            self.rest = &self.rest[end + 1..];
            return Ok(text);
        }
        if self.rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return self.number();
        }
        match self.name()?.as_str() {
            "TRUE" => Ok(Value::Bool(true)),
            "FALSE" => Ok(Value::Bool(false)),
            other => Err(format!("expected a value, found `{other}`")),
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let end = self.rest[1..].find(|c: char| !c.is_ascii_digit());
        let end = end.map_or(self.rest.len(), |end| end + 1);
        let number = self.rest[..end].parse().map_err(|_| self.unexpected("a number"))?;
        self.rest = &self.rest[end..];
        Ok(Value::Int(number))
    }

    fn items(&mut self, close: &str, depth: usize) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        if self.take(close) {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(close) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn record(&mut self, depth: usize) -> Result<Value, String> {
        let mut fields = BTreeMap::new();
        loop {
            let name = self.name()?;
            self.expect("|->")?;
            fields.insert(Value::string(name), self.value(depth + 1)?);
            if self.take("]") {
                return Ok(Value::function(fields));
            }
            self.expect(",")?;
        }
    }

    fn function(&mut self, depth: usize) -> Result<Value, String> {
        let mut entries = BTreeMap::new();
        loop {
            let key = self.value(depth + 1)?;
            self.expect(":>")?;
            entries.insert(key, self.value(depth + 1)?);
            if self.take(")") {
                return Ok(Value::function(entries));
            }
            self.expect("@@")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{state, value};
    use tla_eval::Value;

    #[test]
    fn values_are_read_as_they_are_printed() {
        for text in [
            "TRUE",
            "-3",
            "\"a b\"",
            "{}",
            "<<1, 2>>",
            "{1, {\"x\"}}",
            "[a |-> 1, b |-> <<>>]",
            "(0 :> 1 @@ 5 :> {2})",
        ] {
            assert_eq!(value(text).unwrap().to_string(), text);
        }
        let spread = value("[ a |->\n   1,\n b |-> << [ c |-> 2 ] >> ]").unwrap();
        assert_eq!(spread, value("[a |-> 1, b |-> <<[c |-> 2]>>]").unwrap());
        assert_eq!(value("(1 :> 7 @@ 2 :> 8)").unwrap(), value("<<7, 8>>").unwrap());
    }

    #[test]
    fn states_are_conjunctions() {
        let read = state("/\\ a = 1\n/\\ bc = {\"/\\\"}\n").unwrap();
        assert_eq!(read["a"], Value::Int(1));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "[a 1]", "<<1", "\"x", "{1 2}", "1 1", "Nat", "(1 :> 2", "-"] {
            assert!(value(text).is_err(), "{text}");
        }
        let deep = "<<".repeat(100_000);
        assert!(value(&deep).is_err());
    }
}
