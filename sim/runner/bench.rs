//! `flurm-sim bench`: what a seed costs, and what it is spent on.
//!
//! Times are processor time of this process, so that a busy machine says the same as an idle one.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Args, Exit, run_fresh};
use crate::run::{Keep, Outcome};
use crate::scenario::Scenario;
use crate::world::SECOND;

/// Seeds of each scenario unless told otherwise.
const SEEDS_DEFAULT: u64 = 100;
/// Kinds of tasks shown.
const TASKS_SHOWN: usize = 25;
/// Microseconds of a tick in `/proc/self/stat`: Linux counts a hundred a second for programs.
const TICK_US: u64 = 10_000;

/// Processor time of this process, microseconds.
fn cpu_us() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may contain anything.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let user_and_system = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    user_and_system.sum::<u64>() * TICK_US
}

/// A line of `/proc/self/status`, KiB.
fn memory_kib(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[derive(Default)]
struct Sums {
    seeds: u64,
    failed: u64,
    simulated: u64,
    events: u64,
    polls: u64,
    accepted: u64,
    kinds: BTreeMap<&'static str, u64>,
    tasks: BTreeMap<&'static str, u64>,
}

impl Sums {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.failed += u64::from(outcome.failure.is_some());
        self.simulated += outcome.simulated;
        self.events += outcome.events;
        self.accepted += outcome.accepted;
        for (kind, count) in outcome.kinds {
            self.polls += if kind == "poll" { count } else { 0 };
            *self.kinds.entry(kind).or_insert(0) += count;
        }
        for (task, count) in outcome.tasks {
            *self.tasks.entry(task).or_insert(0) += count;
        }
    }
}

/// Measures each scenario.
pub(super) fn bench(args: &Args) -> Exit {
    let scenarios = match args.scenarios() {
        Ok(scenarios) => scenarios,
        Err(text) => {
            eprintln!("flurm-sim: {text}");
            return Exit::Usage;
        }
    };
    for (path, scenario) in &scenarios {
        measure(args, path, scenario);
    }
    Exit::Fine
}

fn measure(args: &Args, path: &Path, scenario: &Scenario) {
    let before_kib = memory_kib("VmRSS:");
    let keep = Keep { tasks: args.events, ..Keep::default() };
    let mut sums = Sums::default();
    let begun = cpu_us();
    let first = args.seed(scenario);
    for seed in first..first + args.seeds.unwrap_or(SEEDS_DEFAULT) {
        sums.add(run_fresh(args.engine, scenario, seed, keep));
    }
    let spent = (cpu_us() - begun).max(1) as f64 / 1e6;
    let seeds = sums.seeds.max(1);
    let rate = sums.seeds as f64 / spent;
    let simulated = sums.simulated as f64 / SECOND as f64;
    let (world, engine) = (scenario.cluster.consensus.name(), args.engine.name());
    println!("{} ({world} worlds on {engine}):", path.display());
    println!(
        "  {rate:.1} seeds/s/core, {:.0} simulated s/s, {} failed",
        simulated / spent,
        sums.failed
    );
    println!(
        "  a seed: {:.2} ms, {:.1} simulated s, {} events, {} polls, {} jobs",
        spent * 1e3 / seeds as f64,
        simulated / seeds as f64,
        sums.events / seeds,
        sums.polls / seeds,
        sums.accepted / seeds,
    );
    let peak_kib = memory_kib("VmHWM:");
    println!(
        "  memory: {:.1} MB above the start",
        peak_kib.saturating_sub(before_kib) as f64 / 1024.0
    );
    for (kind, count) in &sums.kinds {
        println!("  {:>9} {kind}", count / seeds);
    }
    let mut tasks: Vec<_> = sums.tasks.into_iter().collect();
    tasks.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    for (name, count) in tasks.into_iter().take(TASKS_SHOWN) {
        println!("  {:>9} polls of {}", count / seeds, shortened(name));
    }
}

/// A type's name without its parameters.
fn shortened(name: &str) -> String {
    let mut depth = 0_u32;
    let mut short = String::new();
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            other if depth == 0 => short.push(other),
            _ => {}
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_parameters() {
        assert_eq!(shortened("a::B<c::D<E>>::run::{{closure}}"), "a::B::run::{{closure}}");
    }

    #[test]
    fn processor_time_is_read() {
        let mut sum = 0_u64;
        let before = cpu_us();
        while cpu_us() < before + 2 * TICK_US {
            sum = sum.wrapping_add(1);
        }
        assert!(memory_kib("VmHWM:") > 0, "{sum}");
    }
}
