//! Alters histories: what was altered must be refused, or the checker would accept anything.

use tla_eval::Value;

use crate::histories::is_of_kind;
use crate::history::{Told, value_of};
use crate::manifest::Altered;

/// A copy with the first event of a kind altered; `None` where the history has none.
pub(crate) fn alter(told: &Told, altered: &Altered) -> Option<Told> {
    if told.spec != altered.spec {
        return None;
    }
    let is_it = |event: &&Value| is_of_kind(event, &altered.event);
    // Place 0 of a log is the same in every run.
    let counts = |event: &Value| value_of(event, "index") != Some(&Value::Int(0));
    let mut events = told.told.iter();
    let at = events.position(|event| is_it(&event) && counts(event));
    let at = at.or_else(|| told.told.iter().position(|event| is_it(&event)))?;
    let mut copy = told.clone();
    match altered.how.as_str() {
        "dropped" => {
            // What nothing follows is not missed.
            if at + 1 == copy.told.len() {
                return None;
            }
            copy.told.remove(at);
        }
        "doubled" => copy.told.insert(at, copy.told[at].clone()),
        "in another attempt" => {
            change(&mut copy.told[at], &["job"], "att", |value| moved(value, 1))?;
        }
        "with its nodes free" => change(&mut copy.told[at], &["job"], "shares", freed)?,
        "on another node" => {
            change(&mut copy.told[at], &[], "node", |_| Some(Value::string("n99")))?;
        }
        "of a held job" => {
            change(&mut copy.told[at], &["job"], "held", |_| Some(Value::Bool(true)))?;
        }
        "of a former attempt" => {
            change(&mut copy.told[at], &["cmd"], "current", |_| Some(Value::Bool(false)))?;
        }
        "all dropped" => copy.told.retain(|event| !is_it(&event)),
        "by two" => {
            copy.told.insert(at, copy.told[at].clone());
            change(&mut copy.told[at], &[], "by", |_| Some(Value::string("c9")))?;
        }
        "not on the disk" => {
            change(&mut copy.told[at], &[], "durable", |_| Some(Value::Bool(false)))?;
        }
        "one too far" => change(&mut copy.told[at], &[], "index", |value| moved(value, 1))?,
        "one too short" => change(&mut copy.told[at], &[], "index", |value| moved(value, -1))?,
        "of another state" => change(&mut copy.told[at], &[], "index", |value| moved(value, 999))?,
        "in another term" => change(&mut copy.told[at], &[], "term", |value| moved(value, 1))?,
        "of another term" => change(&mut copy.told[at], &[], "at", |value| moved(value, 1))?,
        _ => return None,
    }
    Some(copy)
}

fn moved(number: &Value, by: i64) -> Option<Value> {
    match number {
        Value::Int(number) => Some(Value::Int(number + by)),
        _ => None,
    }
}

fn freed(shares: &Value) -> Option<Value> {
    let free = |_: &Value| Value::string("freed");
    match shares {
        Value::Record(nodes) if !nodes.is_empty() => {
            let nodes = nodes.iter().map(|(node, share)| (node.clone(), free(share)));
            Some(Value::record(nodes))
        }
        _ => None,
    }
}

/// Changes a field of a record, or of a record within it.
fn change(
    event: &mut Value,
    path: &[&str],
    name: &str,
    new: impl FnOnce(&Value) -> Option<Value>,
) -> Option<()> {
    let Value::Record(fields) = event else { return None };
    match path.split_first() {
        Some((first, rest)) => change(fields.get_mut(*first)?, rest, name, new),
        None => {
            let field = fields.get_mut(name)?;
            let value = new(field)?;
            if *field == value {
                return None;
            }
            *field = value;
            Some(())
        }
    }
}
