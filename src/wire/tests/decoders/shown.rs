//! What a client printed, taken apart into labels and values.

use std::collections::BTreeMap;

/// How a client lays out what it prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `Name=Value Name=Value`, over many lines.
    Pairs,
    /// One value a line, behind this text.
    Lines(&'static str),
    /// A line of names, the first with a `|`, and lines of values, all cut by `|`.
    Columns,
    /// A document.
    Json,
}

/// The values under each label, in the order printed.
pub(crate) type Shown = BTreeMap<String, Vec<String>>;

/// Takes apart what was printed.
pub(crate) fn take_apart(form: Form, text: &str) -> Result<Shown, String> {
    let mut shown = Shown::new();
    let mut put = |label: &str, value: &str| {
        shown.entry(label.trim().to_owned()).or_default().push(value.trim().to_owned());
    };
    match form {
        Form::Pairs => pairs(text, &mut put),
        Form::Lines(sign) => {
            for line in text.lines() {
                let (label, value) = line.split_once(sign).unwrap_or(("", line));
                put(label, value);
            }
        }
        Form::Columns => columns(text, &mut put),
        Form::Json => {
            let start = text.find('{').unwrap_or(0);
            let value = serde_json::from_str(&text[start..]);
            let value = value.map_err(|error| format!("no JSON, {error}: {text:.300}"))?;
            flatten("", &value, &mut put);
        }
    }
    Ok(shown)
}

fn pairs(text: &str, put: &mut impl FnMut(&str, &str)) {
    for token in text.split_whitespace() {
        match token.split_once('=') {
            Some((label, value)) => put(label, value),
            None => put("", token),
        }
    }
}

fn columns(text: &str, put: &mut impl FnMut(&str, &str)) {
    // Reports have a title.
    let mut lines = text.lines().skip_while(|line| !line.contains('|'));
    let names: Vec<&str> = lines.next().unwrap_or_default().split('|').collect();
    for line in lines {
        for (place, value) in line.split('|').enumerate() {
            put(names.get(place).copied().unwrap_or("?"), value);
        }
    }
}

/// Every leaf of a document under the names that lead to it.
pub(crate) fn flatten(path: &str, value: &serde_json::Value, put: &mut impl FnMut(&str, &str)) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), value, put);
            }
        }
        serde_json::Value::Array(elements) => {
            for element in elements {
                flatten(&format!("{path}[]"), element, put);
            }
        }
        serde_json::Value::String(text) => put(path, text),
        other => put(path, &other.to_string()),
    }
}

/// The labels whose values differ: `label: before → after`.
pub(crate) fn changes(before: &Shown, after: &Shown, volatile: &[&str]) -> Vec<String> {
    let none = Vec::new();
    let mut labels: Vec<&String> = before.keys().chain(after.keys()).collect();
    labels.sort();
    labels.dedup();
    let unsteady = |label: &str| {
        volatile.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => label.starts_with(start),
            None => label == *name,
        })
    };
    let steady = labels.into_iter().filter(|label| !unsteady(label));
    let changed = steady.filter_map(|label| {
        let (old, new) = (before.get(label).unwrap_or(&none), after.get(label).unwrap_or(&none));
        (old != new).then(|| format!("{label}: {} → {}", old.join(" "), new.join(" ")))
    });
    changed.collect()
}
