//! Plans as text: every fault of one seed, written into a scenario file as `[[plan]]` tables and read
//! from there, to the nanosecond. Machines are named, so that a plan can be read and cut by hand.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use super::act::Act;
use super::plan::Planned;
use crate::world::script::{parse_span, span_text};
use crate::world::{MachineId, Nanos};

/// Begins a machine's number where its name is not known yet.
const NUMBER: &str = "machine #";

impl Serialize for MachineId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{NUMBER}{}", self.0))
    }
}

impl<'de> Deserialize<'de> for MachineId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_prefix(NUMBER).and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| D::Error::custom(format!("there is no machine `{text}`")))
    }
}

/// Replaces machine numbers by names, or names by numbers, wherever a text is one.
fn rename(value: &mut Value, new: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = new(text) {
                *text = name;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, new)),
        Value::Table(table) => table.iter_mut().for_each(|(_, item)| rename(item, new)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn time_of(value: Option<&Value>, key: &str) -> Result<Nanos, String> {
    let text = value.and_then(Value::as_str);
    parse_span(text.ok_or_else(|| format!("a planned fault needs `{key}`, such as \"12.5s\""))?)
}

/// Writes a plan. `names` are the names of the machines, by number.
pub fn to_tables(plan: &[Planned], names: &[String]) -> Result<Vec<Table>, String> {
    let named = |text: &str| {
        let number: usize = text.strip_prefix(NUMBER)?.parse().ok()?;
        names.get(number).cloned()
    };
    let table = |planned: &Planned| {
        let mut act = Value::try_from(&planned.act).map_err(|error| error.to_string())?;
        rename(&mut act, &named);
        let mut table = Table::new();
        table.insert("at".into(), Value::String(span_text(planned.at)));
        table.insert("lasts".into(), Value::String(span_text(planned.lasts)));
        table.insert("act".into(), act);
        Ok(table)
    };
    plan.iter().map(table).collect()
}

/// Reads a plan. `names` are the names of the machines, by number.
pub fn from_tables(tables: &[Table], names: &[String]) -> Result<Vec<Planned>, String> {
    let numbered = |text: &str| {
        let number = names.iter().position(|name| name == text)?;
        Some(format!("{NUMBER}{number}"))
    };
    let planned = |table: &Table| {
        if let Some(key) = table.keys().find(|key| !["at", "lasts", "act"].contains(&key.as_str()))
        {
            return Err(format!("a planned fault has no `{key}`"));
        }
        let mut act = table.get("act").cloned().ok_or("a planned fault needs `act`")?;
        rename(&mut act, &numbered);
        let act: Act = act.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        let at = time_of(table.get("at"), "at")?;
        Ok(Planned { at, act, lasts: time_of(table.get("lasts"), "lasts")? })
    };
    tables.iter().map(planned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{When, Who};
    use super::*;
    use crate::world::net::Link;

    fn names() -> Vec<String> {
        ["ctl1", "ctl2", "n1"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_plan_survives_being_written() {
        let (a, b) = (MachineId(0), MachineId(2));
        let acts = [
            Act::Controller { machine: a, who: Who::Any, when: When::AnyTime, power: true },
            Act::Node { machine: b, power: false },
            Act::Links(vec![(a, b, Link { cut: true, delay: 7, loss: 0.25 })]),
            Act::IsolateLeader,
            Act::Jump(b, -3_000_001),
        ];
        let planned = |(nth, act): (usize, &Act)| Planned {
            at: 12_345_678_901 * (nth as u64 + 1),
            act: act.clone(),
            lasts: 1_000_000_000 * nth as u64,
        };
        let plan: Vec<Planned> = acts.iter().enumerate().map(planned).collect();
        let tables = to_tables(&plan, &names()).unwrap();
        let mut file = Table::new();
        file.insert("plan".into(), Value::Array(tables.into_iter().map(Value::Table).collect()));
        let text = toml::to_string(&file).unwrap();
        assert!(text.contains("at = \"12.345678901s\""), "{text}");
        assert!(text.contains("\"ctl1\""), "{text}");
        let read: Table = toml::from_str(&text).unwrap();
        let tables: Vec<Table> = read["plan"].clone().try_into().unwrap();
        assert_eq!(from_tables(&tables, &names()).unwrap(), plan);
    }

    #[test]
    fn a_plan_with_a_mistake_is_refused() {
        let refused = |text: &str| {
            let table: Table = toml::from_str(text).unwrap();
            from_tables(&[table], &names()).unwrap_err()
        };
        let jump = "act = { jump = [\"n1\", 5] }";
        assert!(refused(jump).contains("needs `at`"));
        assert!(
            refused(&format!("at = \"5\"\nlasts = \"0s\"\n{jump}")).contains("`5` needs a unit")
        );
        let named =
            |name: &str| format!("at = \"5s\"\nlasts = \"0s\"\nact = {{ jump = [\"{name}\", 5] }}");
        assert!(refused(&named("n9")).contains("no machine `n9`"));
        assert!(refused(&format!("{}\nwhat = 1", named("n1"))).contains("no `what`"));
    }
}
