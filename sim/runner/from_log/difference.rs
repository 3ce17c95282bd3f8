//! Where two values part.

use serde_json::Value;

/// Longest part of a value that is shown.
const SHOWN_MAX: usize = 120;

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// The first place where two values differ, in words; `None` when they are equal.
pub(super) fn first_difference(ours: &Value, theirs: &Value) -> Option<String> {
    differ(ours, theirs, "")
}

fn differ(ours: &Value, theirs: &Value, path: &str) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            keys.filter_map(|key| match (left.get(key), right.get(key)) {
                (Some(left), Some(right)) => differ(left, right, &format!("{path}/{key}")),
                (Some(_), None) => Some(format!("{path}/{key} is in the log's state only")),
                (None, _) => Some(format!("{path}/{key} is in the snapshot only")),
            })
            .next()
        }
        (Value::Array(left), Value::Array(right)) => {
            let items = left.iter().zip(right).enumerate();
            let inside = |(at, (left, right)): (usize, (&Value, &Value))| {
                differ(left, right, &format!("{path}/{at}"))
            };
            let lengths = || {
                let (left, right) = (left.len(), right.len());
                (left != right).then(|| format!("{path} has {left} items here, {right} there"))
            };
            items.filter_map(inside).next().or_else(lengths)
        }
        (left, right) if left == right => None,
        (left, right) => {
            Some(format!("{path} is {} by the log, {} in the snapshot", short(left), short(right)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_place_of_a_difference_is_named() {
        let ours = json!({ "jobs": { "1": { "base": "Running", "shares": [1, 2] } } });
        assert_eq!(first_difference(&ours, &ours.clone()), None);
        let theirs = json!({ "jobs": { "1": { "base": "Failed", "shares": [1, 2] } } });
        let told = first_difference(&ours, &theirs).unwrap();
        assert_eq!(told, "/jobs/1/base is \"Running\" by the log, \"Failed\" in the snapshot");
        let longer = json!({ "jobs": { "1": { "base": "Running", "shares": [1, 2, 3] } } });
        let told = first_difference(&ours, &longer).unwrap();
        assert_eq!(told, "/jobs/1/shares has 2 items here, 3 there");
        let told = first_difference(&ours, &json!({ "jobs": {}, "x": 1 })).unwrap();
        assert_eq!(told, "/jobs/1 is in the log's state only");
    }
}
