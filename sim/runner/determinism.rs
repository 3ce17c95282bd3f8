//! Checks of determinism: the same seed in this process, beside and after other seeds, and in a
//! fresh process, must do the same, event by event.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::args::{Args, Shard};
use super::seeds::{Limits, Ranges, Seeds};
use super::{Exit, only_scenario, run_fresh};
use crate::run::{Keep, Outcome};
use crate::scenario::Scenario;
use crate::world::trace::clock_text;

/// Seeds of each scenario unless told otherwise.
const SEEDS_DEFAULT: u64 = 5;
/// Lines of the story told before the first event that differs.
const LINES_BEFORE: usize = 8;

/// Everything that is told of an event, a line each: what two runs are compared by.
fn events_of(outcome: &Outcome) -> Vec<String> {
    let mut words: std::collections::BTreeMap<u64, String> = std::collections::BTreeMap::new();
    for line in outcome.lines.iter().filter(|line| line.kind.name() != "log") {
        words.insert(line.event, format!("{} {}", line.lane, line.text));
    }
    let told = |(nth, stamp): (usize, &crate::world::trace::Stamp)| {
        let words = words.get(&(nth as u64 + 1)).map_or("", String::as_str);
        format!("{} {:016x} {} {words}", stamp.at, stamp.hash, stamp.kind.name())
    };
    outcome.hashes.iter().enumerate().map(told).collect()
}

/// Prints the digest of one run.
pub(super) fn digest(args: &Args) -> Result<Exit, String> {
    let (_, scenario) = only_scenario(args)?;
    let keep = Keep { lines: args.events, hashes: args.events, ..Keep::default() };
    let outcome = run_fresh(args.engine, &scenario, args.seed(&scenario), keep);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for event in events_of(&outcome) {
        let _reader_may_be_gone = writeln!(out, "{event}");
    }
    let _reader_may_be_gone = writeln!(out, "{}", outcome.digest);
    Ok(Exit::Fine)
}

/// Runs pairs.
pub(super) fn check(args: &Args) -> Result<Exit, String> {
    let mut worst = Exit::Fine;
    for (path, scenario) in &args.scenarios()? {
        if scenario.expect.planted.is_some() && !flurm_base::planted::possible() {
            continue;
        }
        let (seeds, differing) = pairs(args, path, scenario)?;
        if let Some(seed) = differing.first() {
            explain(args, path, scenario, *seed)?;
            worst = Exit::Nondeterminism;
        }
        let differing = differing.len();
        println!("{}: {seeds} seeds, {differing} differ between two processes", path.display());
    }
    Ok(worst)
}

/// Runs each seed here, on several threads one after the other, and in a fresh process; how many
/// there were, and those that differ.
fn pairs(args: &Args, path: &Path, scenario: &Scenario) -> Result<(u64, Vec<u64>), String> {
    let first = args.seed(scenario);
    let count = if scenario.seed.is_some() { 1 } else { args.seeds.unwrap_or(SEEDS_DEFAULT) };
    let limits = Limits { first, seeds: Some(count), deadline: None, shard: Shard::WHOLE };
    let seeds = Seeds::new(limits, Ranges::default());
    let found = Mutex::new((Vec::new(), None));
    let work = || {
        while let Some((_, seed)) = seeds.next() {
            let here = run_fresh(args.engine, scenario, seed, Keep::default()).digest;
            let there = fresh(args, path, seed, false);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match there {
                Ok(there) if there.trim() == here => {}
                Ok(there) => {
                    println!(
                        "{}: seed {seed} differs: {here} here, {} there",
                        path.display(),
                        there.trim()
                    );
                    found.0.push(seed);
                }
                Err(text) => {
                    found.1 = Some(format!("could not start a second process: {text}"));
                    seeds.stop();
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(work);
        }
    });
    let (mut differing, trouble) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    differing.sort_unstable();
    match trouble {
        Some(trouble) => Err(trouble),
        None => Ok((count, differing)),
    }
}

fn fresh(args: &Args, path: &Path, seed: u64, events: bool) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg("digest").arg(path).arg("--seed").arg(seed.to_string());
    command.arg("--engine").arg(args.engine.name()).stderr(Stdio::inherit());
    if let Some(world) = args.world {
        command.arg("--world").arg(world.name());
    }
    if events {
        command.arg("--events");
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// Where two runs part: the number of the first event that differs, from 1, and what each says.
fn parting<'a>(ours: &'a [String], theirs: &[&'a str]) -> Option<(usize, &'a str, &'a str)> {
    let none = "the run is over";
    let most = ours.len().max(theirs.len());
    (0..most).find_map(|nth| {
        let (left, right) = (ours.get(nth), theirs.get(nth));
        let (left, right) = (left.map_or(none, String::as_str), right.copied().unwrap_or(none));
        (left != right).then_some((nth + 1, left, right))
    })
}

/// Names the first event at which two runs part.
fn explain(args: &Args, path: &Path, scenario: &Scenario, seed: u64) -> Result<(), String> {
    let keep = Keep { lines: true, hashes: true, ..Keep::default() };
    let here = run_fresh(args.engine, scenario, seed, keep);
    let ours = events_of(&here);
    let there = fresh(args, path, seed, true)?;
    let mut theirs: Vec<&str> = there.lines().collect();
    // The last line is the digest.
    theirs.pop();
    let Some((number, left, right)) = parting(&ours, &theirs) else {
        println!("  run once more, they do not differ: something was left over from other seeds");
        return Ok(());
    };
    println!("  they part at event #{number}");
    println!("    here:  {left}");
    println!("    there: {right}");
    let before: Vec<_> = here.lines.iter().filter(|line| line.event < number as u64).collect();
    for line in &before[before.len().saturating_sub(LINES_BEFORE)..] {
        println!("  {} {:<8} {}", clock_text(line.at), line.lane, line.text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_that_differs_is_named() {
        let ours = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(parting(&ours, &["a", "b", "c"]), None);
        assert_eq!(parting(&ours, &["a", "x", "c"]), Some((2, "b", "x")));
        assert_eq!(parting(&ours, &["a", "b"]), Some((3, "c", "the run is over")));
    }
}
