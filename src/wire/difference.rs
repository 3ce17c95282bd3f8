//! Where two values differ, field by field.

use std::fmt;

use crate::Value;

/// Differences of one comparison that are told at most; the rest is only counted.
pub const DIFFERENCES_MAX: usize = 10_000;

/// One place in which two values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Names and positions from the outside in, as `body.jobs[2].user_id`.
    pub path: String,
    /// What the first one says there; `None` where it has nothing in that place.
    pub left: Option<Value>,
    /// What the second one says there.
    pub right: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told =
            |value: &Option<Value>| value.as_ref().map_or("(absent)".to_owned(), Value::to_json);
        write!(f, "{}: {} != {}", self.path, told(&self.left), told(&self.right))
    }
}

/// Every place in which two values differ, in the order of the first one, except where a field of
/// one of the `ignored` names stands. Such a name is a field's (`last_update`) or a path's end
/// without positions (`jobs.user_id`).
pub fn differences(left: &Value, right: &Value, ignored: &[String]) -> Vec<Difference> {
    let mut comparison =
        Comparison { ignored, path: String::new(), plain: String::new(), found: Vec::new() };
    comparison.compare(Some(left), Some(right));
    comparison.found
}

struct Comparison<'a> {
    ignored: &'a [String],
    path: String,
    /// The path without positions.
    plain: String,
    found: Vec<Difference>,
}

impl Comparison<'_> {
    fn compare(&mut self, left: Option<&Value>, right: Option<&Value>) {
        if self.found.len() >= DIFFERENCES_MAX || self.is_ignored() {
            return;
        }
        match (left, right) {
            (Some(Value::Record(ours)), Some(Value::Record(theirs))) => {
                self.records(ours, theirs);
            }
            (Some(Value::List(ours)), Some(Value::List(theirs))) => {
                for index in 0..ours.len().max(theirs.len()) {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    self.compare(ours.get(index), theirs.get(index));
                    self.path.truncate(length);
                }
            }
            // Compared as text, in which a fraction that is no number equals itself.
            (Some(ours), Some(theirs)) if ours.to_json() == theirs.to_json() => {}
            _ => {
                let path = self.path.clone();
                self.found.push(Difference { path, left: left.cloned(), right: right.cloned() });
            }
        }
    }

    fn records(&mut self, ours: &[(&'static str, Value)], theirs: &[(&'static str, Value)]) {
        let in_theirs = |name| theirs.iter().find(|(other, _)| *other == name).map(|(_, v)| v);
        for (name, value) in ours {
            self.field(name, Some(value), in_theirs(*name));
        }
        for (name, value) in theirs {
            if !ours.iter().any(|(other, _)| other == name) {
                self.field(name, None, Some(value));
            }
        }
    }

    fn field(&mut self, name: &str, left: Option<&Value>, right: Option<&Value>) {
        let (length, plain_length) = (self.path.len(), self.plain.len());
        for path in [&mut self.path, &mut self.plain] {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        }
        self.compare(left, right);
        self.path.truncate(length);
        self.plain.truncate(plain_length);
    }

    fn is_ignored(&self) -> bool {
        self.ignored.iter().any(|ignored| {
            let before = self.plain.strip_suffix(ignored.as_str());
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(user_id: u64, name: &str) -> Value {
        let name = Value::Text(name.to_owned());
        Value::Record(vec![("user_id", Value::Unsigned(user_id)), ("name", name)])
    }

    fn body(jobs: Vec<Value>) -> Value {
        Value::Record(vec![("last_update", Value::Signed(1)), ("jobs", Value::List(jobs))])
    }

    fn told(left: &Value, right: &Value, ignored: &[&str]) -> Vec<String> {
        let ignored: Vec<String> = ignored.iter().map(|name| (*name).to_owned()).collect();
        differences(left, right, &ignored).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_difference_has_its_path() {
        let (left, right) = (body(vec![job(1, "a"), job(2, "b")]), body(vec![job(1, "c")]));
        let expected =
            [r#"jobs[0].name: "a" != "c""#, r#"jobs[1]: {"user_id":2,"name":"b"} != (absent)"#];
        assert_eq!(told(&left, &right, &[]), expected);
        assert!(told(&left, &left, &[]).is_empty());
    }

    #[test]
    fn ignored_fields_are_whole_names_or_ends_of_paths() {
        let (left, right) = (body(vec![job(1, "a")]), body(vec![job(2, "b")]));
        assert_eq!(told(&left, &right, &["name"]), ["jobs[0].user_id: 1 != 2"]);
        assert_eq!(told(&left, &right, &["jobs.name", "er_id"]), ["jobs[0].user_id: 1 != 2"]);
        assert!(told(&left, &right, &["jobs"]).is_empty());
    }

    #[test]
    fn a_field_that_one_side_lacks_is_a_difference() {
        let (left, right) = (Value::Record(vec![]), Value::Record(vec![("x", Value::Null)]));
        assert_eq!(told(&left, &right, &[]), ["x: (absent) != null"]);
        assert_eq!(told(&right, &left, &[]), ["x: null != (absent)"]);
    }
}
