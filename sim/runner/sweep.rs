//! Sweeps: many seeds of each scenario, on several threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Args, Exit, run_fresh};
use crate::run::{Failure, Keep, Outcome};
use crate::scenario::Scenario;
use crate::world::SECOND;

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// Failures told in full.
const FAILURES_SHOWN: usize = 10;

#[derive(Default)]
struct Tally {
    done: u64,
    simulated: u64,
    events: u64,
    accepted: u64,
    started: u64,
    marks: BTreeMap<&'static str, u64>,
    failures: BTreeMap<&'static str, Vec<(u64, Failure)>>,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        self.done += 1;
        self.simulated += outcome.simulated;
        self.events += outcome.events;
        self.accepted += outcome.accepted;
        self.started += outcome.started;
        for mark in outcome.marks.into_keys() {
            *self.marks.entry(mark).or_insert(0) += 1;
        }
        if let Some(failure) = outcome.failure {
            self.failures.entry(failure.kind()).or_default().push((outcome.seed, failure));
        }
    }

    fn failed(&self) -> usize {
        self.failures.values().map(Vec::len).sum()
    }

    fn rate(&self, took: Duration) -> String {
        let took = took.as_secs_f64().max(1e-9);
        let seeds = self.done as f64 / took;
        let simulated = self.simulated as f64 / SECOND as f64 / took;
        format!("{seeds:.1} seeds/s, {simulated:.0} simulated s per wall s")
    }
}

/// Runs the sweep of the command line.
pub(super) fn run(args: &Args) -> Exit {
    let scenarios = match args.scenarios() {
        Ok(scenarios) => scenarios,
        Err(text) => {
            eprintln!("flurm-sim: {text}");
            return Exit::Usage;
        }
    };
    let mut worst = Exit::Fine;
    for (path, scenario) in &scenarios {
        let exit = match &scenario.expect.planted {
            Some(_) if !flurm_base::planted::possible() => {
                println!("{}: skipped, this build cannot plant bugs", path.display());
                Exit::Fine
            }
            Some(_) => hunt(args, path, scenario),
            None => sweep(args, path, scenario),
        };
        worst = worst.max(exit);
        if worst != Exit::Fine && !args.keep_going {
            break;
        }
    }
    worst
}

/// When a sweep ends before its last seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until<'a> {
    /// Never.
    Done,
    /// At the first failure.
    Failure,
    /// At the first failure of this kind.
    Caught(&'a str),
}

impl Until<'_> {
    fn is_met(self, failure: &Failure) -> bool {
        match self {
            Self::Done => false,
            Self::Failure => true,
            Self::Caught(kind) => failure.kind() == kind,
        }
    }
}

fn gather(
    args: &Args,
    path: &Path,
    scenario: &Scenario,
    seeds: u64,
    until: Until<'_>,
) -> (Tally, Duration) {
    let begun = Instant::now();
    let next = AtomicU64::new(args.first);
    let end = args.first.saturating_add(seeds);
    let stop = AtomicBool::new(false);
    let tally = Mutex::new((Tally::default(), begun));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let outcome = run_fresh(args.engine, scenario, seed, Keep::default());
            if outcome.failure.as_ref().is_some_and(|failure| until.is_met(failure)) {
                stop.store(true, Ordering::Relaxed);
            }
            let mut guard = tally.lock().unwrap_or_else(PoisonError::into_inner);
            let (tally, told) = &mut *guard;
            tally.add(outcome);
            if told.elapsed() > PROGRESS_EVERY {
                *told = Instant::now();
                let (done, failed) = (tally.done, tally.failed());
                let rate = tally.rate(begun.elapsed());
                eprintln!("{}: {done} of {seeds}, {failed} failed, {rate}", path.display());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(work);
        }
    });
    let (tally, _) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    (tally, begun.elapsed())
}

fn sweep(args: &Args, path: &Path, scenario: &Scenario) -> Exit {
    let until = if args.keep_going { Until::Done } else { Until::Failure };
    let (tally, took) = gather(args, path, scenario, args.seeds, until);
    let rate = tally.rate(took);
    println!(
        "{} on {}: {} seeds, {} failed, {rate}, {} jobs accepted, {} processes, {} events",
        path.display(),
        args.engine.name(),
        tally.done,
        tally.failed(),
        tally.accepted,
        tally.started,
        tally.events,
    );
    for (mark, seeds) in &tally.marks {
        println!("  reached in {seeds:>6} seeds: {mark}");
    }
    for failures in tally.failures.values() {
        for (seed, failure) in failures.iter().take(FAILURES_SHOWN) {
            println!("  seed {seed}: {failure}");
            let at = path.display();
            let world = args.world.map_or(String::new(), |it| format!(" --world {}", it.name()));
            let engine = args.engine.name();
            println!("    flurm-sim replay {at} --seed {seed} --engine {engine}{world}");
        }
        if failures.len() > FAILURES_SHOWN {
            println!("  and {} more of this kind", failures.len() - FAILURES_SHOWN);
        }
    }
    let failed = tally.failures.values().flatten().map(|(_, failure)| exit_of(failure)).max();
    let unreached: Vec<&String> = scenario
        .expect
        .reached
        .iter()
        .filter(|mark| !tally.marks.contains_key(mark.as_str()))
        .collect();
    for mark in &unreached {
        println!("  never reached: {mark}");
    }
    match failed {
        Some(exit) => exit,
        None if !unreached.is_empty() => Exit::Unreached,
        None => Exit::Fine,
    }
}

/// A negative scenario: its bug must be caught, by its oracle, within its seeds.
fn hunt(args: &Args, path: &Path, scenario: &Scenario) -> Exit {
    let seeds = scenario.expect.within_seeds.unwrap_or(args.seeds);
    let oracle = scenario.expect.caught_by.as_deref().unwrap_or("");
    let bug = scenario.expect.planted.as_deref().unwrap_or("");
    let (tally, took) = gather(args, path, scenario, seeds, Until::Caught(oracle));
    let caught = tally.failures.get(oracle).and_then(|failures| failures.first());
    match caught {
        Some((seed, failure)) => {
            let (done, rate) = (tally.done, tally.rate(took));
            println!("{}: `{bug}` caught after {done} seeds, {rate}", path.display());
            println!("  seed {seed}: {failure}");
            Exit::Fine
        }
        None => {
            println!("{}: `{bug}` not caught by {oracle} in {} seeds", path.display(), tally.done);
            for (seed, failure) in tally.failures.values().flatten().take(FAILURES_SHOWN) {
                println!("  instead, seed {seed}: {failure}");
            }
            Exit::Missed
        }
    }
}

pub(super) fn exit_of(failure: &Failure) -> Exit {
    match failure {
        Failure::Oracle(_) => Exit::Oracle,
        Failure::Unsettled(_) => Exit::Unsettled,
        Failure::Panic(_) => Exit::Panic,
    }
}
