//! Alters histories: what was altered must be refused, or the checker would accept anything.

use tla_eval::Value;

use crate::histories::is_of_kind;
use crate::history::Told;
use crate::manifest::Altered;

/// A copy with the first event of a kind altered; `None` where the history has none.
pub(crate) fn alter(told: &Told, altered: &Altered) -> Option<Told> {
    let at = told.told.iter().position(|event| is_of_kind(event, &altered.event))?;
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
        "in another attempt" => change(&mut copy.told[at], &["job"], "att", |value| match value {
            Value::Int(number) => Some(Value::Int(number + 1)),
            _ => None,
        })?,
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
        _ => return None,
    }
    Some(copy)
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
