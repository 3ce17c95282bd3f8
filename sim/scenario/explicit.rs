//! Scenario files about one seed: everything that the seed decides about faults is written out as a
//! plan, so that the file can be kept, read, cut by hand or by the shrinker, and run again.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::Scenario;
use crate::fault;
use crate::run::plan_of;
use crate::world::script::span_text;

/// Keys that come first in a written file, in this order.
const FIRST_KEYS: [&str; 3] = ["story", "seed", "trouble_for"];

/// A scenario file's content with the faults of `seed` written out.
pub fn explicit(text: &str, seed: u64) -> Result<Table, String> {
    let scenario = Scenario::parse(text)?;
    let mut table: Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let (trouble, plan) = plan_of(&scenario, seed);
    let plan = fault::to_tables(&plan, &scenario.machine_names())?;
    let seed = i64::try_from(seed).map_err(|_| format!("seed {seed} is too large for a file"))?;
    table.remove("fault");
    table.insert("seed".into(), Value::Integer(seed));
    table.insert("trouble_for".into(), Value::String(span_text(trouble)));
    table.insert("plan".into(), Value::Array(plan.into_iter().map(Value::Table).collect()));
    // One seed need not reach what a sweep must.
    if let Some(Value::Table(expect)) = table.get_mut("expect") {
        expect.remove("reached");
    }
    Ok(table)
}

/// Writes such a file: remarks, the story, the plan with a fault on each line, and the rest.
pub fn write(table: &Table, remarks: &[String]) -> Result<String, String> {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        writeln!(text, "{words}").expect("writing to a string cannot fail");
    };
    for remark in remarks {
        line(format_args!("# {}", remark.replace('\n', " ")));
    }
    let mut rest = table.clone();
    for key in FIRST_KEYS {
        if let Some(value) = rest.remove(key) {
            line(format_args!("{key} = {value}"));
        }
    }
    if let Some(Value::Array(plan)) = rest.remove("plan") {
        line(format_args!("plan = ["));
        for planned in plan {
            line(format_args!("    {planned},"));
        }
        line(format_args!("]"));
    }
    line(format_args!(""));
    text.push_str(&toml::to_string(&rest).map_err(|error| error.to_string())?);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WILD: &str = r#"
        story = "Much breaks."
        cluster = { controllers = 3, nodes = 4 }
        trouble_for = "30s..60s"
        [[workload]]
        name = "submit_with_retry"
        jobs = "3..9"
        [[fault]]
        name = "swizzle"
        group = "all"
        within = "150ms"
        down_for = "1ms..400ms"
        [[fault]]
        name = "partition"
        times = "1..3"
        [[fault]]
        name = "clock_jump"
        by = "1s..9s"
        [expect]
        oracles = ["job_exists_once"]
        reached = ["something rare"]
    "#;

    #[test]
    fn a_written_out_seed_is_the_same_plan() {
        for seed in 0..20 {
            let table = explicit(WILD, seed).unwrap();
            let text = write(&table, &["kept".into()]).unwrap();
            let again = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(again.seed, Some(seed));
            assert!(again.fault.is_empty());
            assert!(again.expect.reached.is_empty());
            let wild = Scenario::parse(WILD).unwrap();
            assert_eq!(plan_of(&again, seed), plan_of(&wild, seed), "{text}");
        }
    }

    #[test]
    fn a_file_has_a_plan_or_faults() {
        let both = format!("plan = []\n{WILD}");
        assert!(Scenario::parse(&both).unwrap_err().contains("not both"));
    }
}
