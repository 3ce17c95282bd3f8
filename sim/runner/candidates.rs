//! Simpler versions of a scenario about one seed: fewer clients, jobs and nodes, a shorter time, a
//! world without quirks, shorter faults between fewer machines.
//!
//! They are made of the file's own keys and numbers, so a workload or fault that is added later is
//! reduced as well.

use toml::{Table, Value};

use crate::fault;
use crate::scenario::Scenario;
use crate::world::script::{parse_span, span_text};
use crate::world::{MILLI, Nanos, SECOND};

/// A simpler version, and what is simpler.
pub(super) struct Candidate {
    pub(super) what: String,
    pub(super) table: Table,
}

fn changed(table: &Table, what: String, change: impl FnOnce(&mut Table)) -> Candidate {
    let mut table = table.clone();
    change(&mut table);
    Candidate { what, table }
}

fn section<'t>(table: &'t mut Table, name: &str) -> &'t mut Table {
    let value = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    value.as_table_mut().expect("a section of a scenario that was read is a table")
}

fn list<'t>(table: &'t mut Table, name: &str) -> &'t mut Vec<Value> {
    let value = table.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    value.as_array_mut().expect("a list of a scenario that was read is an array")
}

fn items<'t>(table: &'t Table, name: &str) -> &'t [Value] {
    table.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The planned faults.
pub(super) fn plan(table: &Table) -> &[Value] {
    items(table, "plan")
}

/// With another plan.
pub(super) fn with_plan(table: &Table, plan: &[Value]) -> Table {
    changed(table, String::new(), |table| *list(table, "plan") = plan.to_vec()).table
}

/// Simpler values than this one, simplest first. A range becomes its low end.
fn simpler(value: &Value) -> Vec<Value> {
    match value {
        Value::Integer(number) if *number > 1 => {
            let mut numbers = vec![1, number / 4, number / 2, number - 1];
            numbers.retain(|n| *n >= 1 && n < number);
            numbers.dedup();
            numbers.into_iter().map(Value::Integer).collect()
        }
        Value::String(text) => match text.split_once("..") {
            Some((low, high)) => {
                let one = |text: &str| match text.trim().parse() {
                    Ok(number) => Value::Integer(number),
                    Err(_) => Value::String(text.trim().to_owned()),
                };
                vec![one(low), one(high)]
            }
            None => Vec::new(),
        },
        Value::Boolean(true) => vec![Value::Boolean(false)],
        _ => Vec::new(),
    }
}

/// Simpler versions, those that save most first.
pub(super) fn candidates(table: &Table) -> Vec<Candidate> {
    let mut found = Vec::new();
    times(table, &mut found);
    workloads(table, &mut found);
    cluster(table, &mut found);
    quirks(table, &mut found);
    found
}

fn span(table: &Table, key: &str) -> Option<Nanos> {
    let text = table.get(key)?.as_str()?;
    parse_span(text.rsplit("..").next()?).ok()
}

/// The time until everything is healed, and the time it may take to settle.
fn times(table: &Table, found: &mut Vec<Candidate>) {
    let last_fault = plan(table).iter().filter_map(|fault| span(fault.as_table()?, "at")).max();
    let trouble = span(table, "trouble_for").unwrap_or(0);
    for shorter in [SECOND, trouble / 8, trouble / 4, trouble / 2, trouble * 3 / 4] {
        // A whole number of seconds, and not before the last fault: that would be another plan.
        let shorter = shorter.max(last_fault.unwrap_or(0)).div_ceil(SECOND) * SECOND;
        if shorter < trouble {
            let text = span_text(shorter);
            found.push(changed(table, format!("trouble for {text} only"), |table| {
                table.insert("trouble_for".into(), Value::String(text.clone()));
            }));
        }
    }
    let settles = table.get("expect").and_then(Value::as_table);
    let settles = settles.and_then(|expect| span(expect, "settles_within")).unwrap_or(180 * SECOND);
    // A quarter at a time: less than the system's own time-outs would be a failure of its own.
    if settles > 60 * SECOND {
        let text = span_text((settles / 4).max(60 * SECOND));
        found.push(changed(table, format!("{text} to settle"), |table| {
            section(table, "expect").insert("settles_within".into(), Value::String(text.clone()));
        }));
    }
}

fn workloads(table: &Table, found: &mut Vec<Candidate>) {
    for (nth, workload) in items(table, "workload").iter().enumerate() {
        let Some(workload) = workload.as_table() else { continue };
        let name = workload.get("name").and_then(Value::as_str).unwrap_or("?");
        found.push(changed(table, format!("without {name}"), |table| {
            list(table, "workload").remove(nth);
        }));
        for (key, value) in workload.iter().filter(|(key, _)| *key != "name") {
            let set = |table: &mut Table, value: Option<Value>| {
                let workload = list(table, "workload")[nth].as_table_mut();
                let workload = workload.expect("it was looked at just now");
                match value {
                    Some(value) => workload.insert(key.clone(), value),
                    None => workload.remove(key),
                };
            };
            if key.ends_with("_percent") {
                let what = format!("{name} without {key}");
                found.push(changed(table, what, |table| set(table, None)));
            }
            for simple in simpler(value) {
                let what = format!("{name} with {key} = {simple}");
                found.push(changed(table, what, |table| set(table, Some(simple))));
            }
        }
    }
}

fn cluster(table: &Table, found: &mut Vec<Candidate>) {
    let Ok(scenario) =
        toml::to_string(table).map_err(|e| e.to_string()).and_then(|text| Scenario::parse(&text))
    else {
        return;
    };
    let sizes = [
        ("nodes", i64::from(scenario.cluster.nodes)),
        ("controllers", i64::from(scenario.cluster.controllers)),
        ("cpus", i64::from(scenario.cluster.cpus)),
    ];
    for (key, size) in sizes {
        for simple in simpler(&Value::Integer(size)) {
            found.push(changed(table, format!("{key} = {simple}"), |table| {
                section(table, "cluster").insert(key.into(), simple.clone());
                forget_machines(table);
            }));
        }
    }
    for (nth, line) in scenario.cluster.conf.iter().enumerate() {
        found.push(changed(table, format!("without {line}"), |table| {
            list(section(table, "cluster"), "conf").remove(nth);
        }));
    }
}

/// Takes planned faults of machines that do not exist (any more) out of the plan; of a fault between
/// many machines, what is between those that do.
fn forget_machines(table: &mut Table) {
    let planned = std::mem::take(list(table, "plan"));
    let names = toml::to_string(table).ok().and_then(|text| Scenario::parse(&text).ok());
    let Some(names) = names.map(|scenario| scenario.machine_names()) else { return };
    let reads = |fault: &Value| {
        let table = fault.as_table().cloned().unwrap_or_default();
        fault::from_tables(&[table], &names).is_ok()
    };
    let keep = |mut fault: Value| {
        if reads(&fault) {
            return Some(fault);
        }
        let links = links_of(&mut fault)?;
        let known =
            |end: &Value| end.as_str().is_none_or(|name| names.iter().any(|known| known == name));
        links.retain(|link| link.as_array().is_some_and(|ends| ends.iter().all(known)));
        (!links.is_empty() && reads(&fault)).then_some(fault)
    };
    *list(table, "plan") = planned.into_iter().filter_map(keep).collect();
}

/// The links of a fault between machines.
pub(super) fn links_of(fault: &mut Value) -> Option<&mut Vec<Value>> {
    fault.get_mut("act")?.get_mut("links")?.as_array_mut()
}

/// What is peculiar about the world, the configuration of it, and keys that this file does not know.
fn quirks(table: &Table, found: &mut Vec<Candidate>) {
    let world = table.get("world").and_then(Value::as_table);
    for key in world.into_iter().flat_map(|world| world.keys()) {
        found.push(changed(table, format!("without {key}"), |table| {
            section(table, "world").remove(key);
        }));
    }
    let known = ["story", "cluster", "trouble_for", "world", "workload", "expect", "seed", "plan"];
    for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
        found.push(changed(table, format!("without {key}"), |table| {
            table.remove(key);
        }));
    }
}

/// Simpler versions of the planned faults: at round times, shorter, without their power loss.
pub(super) fn simpler_faults(table: &Table) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (nth, fault) in plan(table).iter().enumerate() {
        let Some(fault) = fault.as_table() else { continue };
        let set = |key: &str, value: Value| {
            changed(table, format!("fault {}: {key} = {value}", nth + 1), |table| {
                let fault = list(table, "plan")[nth].as_table_mut();
                fault.expect("it was looked at just now").insert(key.into(), value.clone());
            })
        };
        for (key, coarse) in [("lasts", SECOND), ("lasts", 100 * MILLI), ("at", SECOND)] {
            let Some(exact) = span(fault, key) else { continue };
            let round = exact.div_ceil(coarse) * coarse;
            if round != exact {
                found.push(set(key, Value::String(span_text(round))));
            }
        }
        let Some(act) = fault.get("act") else { continue };
        let mut plain = act.clone();
        if calm(&mut plain) {
            found.push(set("act", plain));
        }
    }
    found
}

/// Turns what is on in an act off; whether there was anything.
fn calm(value: &mut Value) -> bool {
    match value {
        Value::Boolean(on) => std::mem::take(on),
        Value::Table(table) => {
            table.iter_mut().fold(false, |any, (key, value)| (key != "cut" && calm(value)) | any)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        story = "Small."
        seed = 3
        trouble_for = "40s"
        cluster = { controllers = 3, nodes = 4 }
        plan = [
            { at = "9.25s", lasts = "2s", act = { node = { machine = "n4", power = true } } },
            { at = "11s", lasts = "1s", act = { links = [
                ["ctl1", "n1", { cut = true, delay = 0, loss = 0.0 }],
                ["n4", "ctl1", { cut = true, delay = 0, loss = 0.0 }],
            ] } },
        ]
        [[workload]]
        name = "submit_with_retry"
        jobs = "8..20"
        cancel_percent = 5
        [expect]
        oracles = ["job_exists_once"]
    "#;

    fn file() -> Table {
        toml::from_str(FILE).unwrap()
    }

    #[test]
    fn every_simpler_version_is_a_scenario() {
        let all: Vec<Candidate> =
            candidates(&file()).into_iter().chain(simpler_faults(&file())).collect();
        let whats: Vec<&str> = all.iter().map(|candidate| candidate.what.as_str()).collect();
        for wanted in [
            "trouble for 20s only",
            "submit_with_retry with jobs = 8",
            "submit_with_retry without cancel_percent",
            "nodes = 1",
            "without submit_with_retry",
            "fault 1: at = \"10s\"",
        ] {
            assert!(whats.contains(&wanted), "{wanted} is not among {whats:?}");
        }
        for candidate in &all {
            let text = toml::to_string(&candidate.table).unwrap();
            let what = &candidate.what;
            Scenario::parse(&text).unwrap_or_else(|error| panic!("{what}: {error}\n{text}"));
        }
    }

    #[test]
    fn faults_of_machines_that_are_gone_are_gone() {
        let small = candidates(&file()).into_iter().find(|c| c.what == "nodes = 1").unwrap();
        let plan = plan(&small.table);
        assert_eq!(plan.len(), 1);
        assert_eq!(links_of(&mut plan[0].clone()).unwrap().len(), 1);
    }
}
