//! Sweeps: many seeds of each scenario, on several threads.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::args::Args;
use super::progress::{Goal, Progress as Bar};
use super::report::{self, Report, Verdict};
use super::seeds::{Limits, Ranges, Seeds};
use super::state::{Progress, State};
use super::tally::Tally;
use super::{Exit, corpus, run_fresh};
use crate::marks;
use crate::run::{Failure, Keep, Outcome};
use crate::scenario::Scenario;

/// Failures told in full.
const FAILURES_SHOWN: usize = 10;
/// Seeds of each scenario unless told otherwise.
const SEEDS_DEFAULT: u64 = 100;
/// Between two writes of the state file.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Fresh seeds begin below this number, so that they are easy to read and to type.
const FRESH_BELOW: u64 = 1_000_000_000_000;

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

/// Runs the sweep of the command line.
pub(super) fn run(args: &Args) -> Exit {
    match Sweep::new(args).and_then(Sweep::run) {
        Ok(exit) => exit,
        Err(text) => {
            eprintln!("flurm-sim: {text}");
            Exit::Usage
        }
    }
}

struct Sweep<'a> {
    args: &'a Args,
    state: State,
    /// First seed where no scenario says its own.
    first: u64,
    deadline: Option<Instant>,
    verdicts: Vec<Verdict>,
    reached: BTreeSet<String>,
}

/// A seed that nobody has chosen: this process's own entropy, outside of every simulation.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0_u8) % FRESH_BELOW
}

/// What the threads of one sweep share.
struct Shared<'a> {
    tally: Tally,
    done: Ranges,
    bar: Bar,
    state: &'a mut State,
    saved: Instant,
    trouble: Option<String>,
}

impl<'a> Sweep<'a> {
    fn new(args: &'a Args) -> Result<Self, String> {
        let first = match (args.first, args.time) {
            (Some(first), _) => first,
            (None, Some(_)) => fresh_seed(),
            (None, None) => 0,
        };
        if args.first.is_none() && args.time.is_some() {
            println!("fresh seeds from {first} on");
        }
        let deadline = args.time.map(|time| Instant::now() + time);
        let state = State::open(args)?;
        let (verdicts, reached) = (Vec::new(), BTreeSet::new());
        Ok(Self { args, state, first, deadline, verdicts, reached })
    }

    fn run(mut self) -> Result<Exit, String> {
        let scenarios = self.args.scenarios()?;
        let must_reach = self.args.files.marks.as_deref().map(marks_of).transpose()?;
        let mut worst = Exit::Fine;
        for (nth, (path, scenario)) in scenarios.iter().enumerate() {
            let left = u32::try_from(scenarios.len() - nth).unwrap_or(u32::MAX);
            let exit = match &scenario.expect.planted {
                Some(_) if !flurm_base::planted::possible() => {
                    println!("{}: skipped, this build cannot plant bugs", path.display());
                    let verdict = Verdict::new(path, &self.engine(), 0, &Tally::default());
                    self.verdicts.push(verdict.ends("skipped", Exit::Fine));
                    Exit::Fine
                }
                Some(_) => self.hunt(path, scenario)?,
                None => self.sweep(path, scenario, left)?,
            };
            worst = worst.max(exit);
            if worst != Exit::Fine && !self.args.keep_going {
                break;
            }
        }
        if let Some(path) = self.args.files.reached.as_deref() {
            self.remember(path)?;
        }
        let never: Vec<String> = must_reach
            .map(|marks| marks.into_iter().filter(|mark| !self.reached.contains(mark)).collect())
            .unwrap_or_default();
        for mark in &never {
            println!("never reached by any scenario: {mark}");
        }
        if worst == Exit::Fine && !never.is_empty() {
            worst = Exit::Unreached;
        }
        self.report(worst, never)?;
        Ok(worst)
    }

    /// Adds the marks of earlier runs to those of this one, and writes all of them.
    fn remember(&mut self, path: &Path) -> Result<(), String> {
        if path.exists() {
            self.reached.extend(lines_of(path)?);
        }
        let text: String = self.reached.iter().map(|mark| format!("{mark}\n")).collect();
        write_file(path, &text)
    }

    fn engine(&self) -> String {
        self.args.how()
    }

    fn report(self, exit: Exit, never_reached: Vec<String>) -> Result<(), String> {
        let shard = format!("{}/{}", self.args.shard.index + 1, self.args.shard.count);
        let (engine, exit) = (self.engine(), exit as u8);
        let report = Report { engine, shard, exit, never_reached, scenarios: self.verdicts };
        let files = &self.args.files;
        if let Some(path) = &files.json {
            write_file(path, &report::json(&report))?;
        }
        if let Some(path) = &files.junit {
            write_file(path, &report::junit(&report))?;
        }
        Ok(())
    }

    /// What one scenario may run. A file about one seed is about that seed.
    fn limits(&self, scenario: &Scenario, known: &Progress, scenarios_left: u32) -> Limits {
        if let Some(seed) = scenario.seed {
            let shard = super::args::Shard::WHOLE;
            return Limits { first: seed, seeds: Some(1), deadline: None, shard };
        }
        let now = Instant::now();
        let share = |deadline: Instant| {
            now + deadline.saturating_duration_since(now) / scenarios_left.max(1)
        };
        let deadline = self.deadline.map(share);
        let seeds = match (self.args.seeds, self.args.time) {
            (Some(seeds), _) => Some(seeds),
            (None, Some(_)) => None,
            (None, None) => Some(SEEDS_DEFAULT),
        };
        Limits { first: known.first, seeds, deadline, shard: self.args.shard }
    }

    fn gather(
        &mut self,
        path: &Path,
        scenario: &Scenario,
        known: &Progress,
        limits: Limits,
        until: Until<'_>,
    ) -> Result<Tally, String> {
        let begun = Instant::now();
        let before = known.tally.took_ms;
        let source = Seeds::new(limits, known.done());
        let time = limits.deadline.map(|deadline| deadline.saturating_duration_since(begun));
        let bar = Bar::new(path.display().to_string(), Goal { seeds: source.count(), time });
        let shared = Mutex::new(Shared {
            tally: known.tally.clone(),
            done: known.done(),
            bar,
            state: &mut self.state,
            saved: begun,
            trouble: None,
        });
        let took = || before + u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let work = || {
            while let Some((number, seed)) = source.next() {
                let outcome = run_fresh(self.args.engine, scenario, seed, Keep::default());
                if outcome.failure.as_ref().is_some_and(|failure| until.is_met(failure)) {
                    source.stop();
                }
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                shared.add(number, outcome, took());
                if shared.saved.elapsed() > SAVE_EVERY && shared.save(path, known) {
                    source.stop();
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.args.jobs {
                scope.spawn(work);
            }
        });
        let mut shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        shared.bar.end();
        shared.tally.took_ms = took();
        shared.save(path, known);
        match shared.trouble {
            Some(trouble) => Err(trouble),
            None => Ok(shared.tally),
        }
    }

    fn sweep(&mut self, path: &Path, scenario: &Scenario, left: u32) -> Result<Exit, String> {
        let known = self.state.of(path, self.first)?;
        let until = if self.args.keep_going { Until::Done } else { Until::Failure };
        let limits = self.limits(scenario, &known, left);
        let tally = self.gather(path, scenario, &known, limits, until)?;
        self.reached.extend(tally.marks.keys().cloned());
        print_sweep(path, &self.engine(), &tally);
        let unreached: Vec<String> = match scenario.seed {
            Some(_) => Vec::new(),
            None => {
                let reached = |mark: &&String| tally.marks.contains_key(mark.as_str());
                scenario.expect.reached.iter().filter(|mark| !reached(mark)).cloned().collect()
            }
        };
        for mark in &unreached {
            println!("  never reached: {mark}");
        }
        if let Some(folder) = self.args.files.corpus.as_deref().filter(|_| scenario.seed.is_none())
        {
            let written = corpus::keep(self.args, folder, path, &tally)?;
            println!("  kept {} seeds in {}", written.len(), folder.display());
        }
        let verdict = Verdict::new(path, &self.engine(), limits.first, &tally);
        let verdict = match tally.worst() {
            Some(exit) => verdict.ends("failed", exit),
            None if !unreached.is_empty() => verdict.ends("unreached", Exit::Unreached),
            None => verdict,
        };
        let exit = Exit::from_code(verdict.exit).expect("verdicts have known exit codes");
        self.verdicts.push(Verdict { unreached, ..verdict });
        Ok(exit)
    }

    /// A negative scenario: its bug must be caught, by its oracle, within its seeds.
    fn hunt(&mut self, path: &Path, scenario: &Scenario) -> Result<Exit, String> {
        let oracle = scenario.expect.caught_by.as_deref().unwrap_or("");
        let bug = scenario.expect.planted.as_deref().unwrap_or("");
        let seeds = scenario.expect.within_seeds.or(self.args.seeds).unwrap_or(SEEDS_DEFAULT);
        let known = Progress::from(self.args.first.unwrap_or(0));
        let limits = Limits {
            first: scenario.seed.unwrap_or(known.first),
            seeds: Some(if scenario.seed.is_some() { 1 } else { seeds }),
            deadline: None,
            shard: super::args::Shard::WHOLE,
        };
        let begun = Instant::now();
        let tally = self.gather(path, scenario, &known, limits, Until::Caught(oracle))?;
        let verdict = Verdict::new(path, &self.engine(), limits.first, &tally);
        let caught = tally.failures.get(oracle).and_then(|failures| failures.kept.first());
        let Some(failed) = caught else {
            println!("{}: `{bug}` not caught by {oracle} in {} seeds", path.display(), tally.done);
            let others = tally.failures.values().flat_map(|failures| &failures.kept);
            for failed in others.take(FAILURES_SHOWN) {
                println!("  instead, seed {}: {}", failed.seed, failed.text);
            }
            self.verdicts.push(verdict.ends("missed", Exit::Missed));
            return Ok(Exit::Missed);
        };
        let (done, rate) = (tally.done, tally.rate(begun.elapsed()));
        println!("{}: `{bug}` caught after {done} seeds, {rate}", path.display());
        println!("  seed {}: {}", failed.seed, failed.text);
        for refused in tally.refused.values() {
            println!("  as a step, seed {}: {}", refused.seed, refused.text);
        }
        let refused = |action: &String| match action.as_str() {
            "any" => !tally.refused.is_empty(),
            action => tally.refused.contains_key(action),
        };
        if let Some(action) = scenario.expect.refused.as_ref().filter(|action| !refused(action)) {
            println!("{}: `{bug}` not caught by {action} of Step.tla", path.display());
            self.verdicts.push(verdict.ends("missed", Exit::Missed));
            return Ok(Exit::Missed);
        }
        self.verdicts.push(verdict.ends("caught", Exit::Fine));
        Ok(Exit::Fine)
    }
}

impl Shared<'_> {
    fn add(&mut self, number: u64, outcome: Outcome, took_ms: u64) {
        self.tally.add(outcome);
        self.tally.took_ms = took_ms;
        self.done.add(number);
        self.bar.show(&self.tally);
    }

    /// Writes the state file; true when that failed, so that nobody counts on it.
    fn save(&mut self, path: &Path, known: &Progress) -> bool {
        self.saved = Instant::now();
        if let Err(text) = self.state.save(path, known, &self.done, &self.tally) {
            self.trouble = Some(text);
        }
        self.trouble.is_some()
    }
}

fn print_sweep(path: &Path, engine: &str, tally: &Tally) {
    let rate = tally.rate(Duration::from_millis(tally.took_ms));
    println!(
        "{} on {engine}: {} seeds, {} failed, {rate}, {} jobs accepted, {} processes, {} events",
        path.display(),
        tally.done,
        tally.failed(),
        tally.accepted,
        tally.started,
        tally.events,
    );
    let (situations, newest) = (tally.situations.len(), tally.newest_at);
    println!("  {situations} situations, the newest after {newest} seeds");
    for (mark, by) in &tally.marks {
        println!("  reached in {:>6} seeds: {mark}", by.seeds);
    }
    for failures in tally.failures.values() {
        for failed in failures.kept.iter().take(FAILURES_SHOWN) {
            println!("  seed {}: {}", failed.seed, failed.text);
            let at = path.display();
            println!("    flurm-sim replay {at} --seed {} --engine {engine}", failed.seed);
        }
        if failures.count > FAILURES_SHOWN as u64 {
            println!("  and {} more of this kind", failures.count - FAILURES_SHOWN as u64);
        }
    }
    let kinds: BTreeMap<&String, u64> =
        tally.failures.iter().map(|(kind, failures)| (kind, failures.count)).collect();
    if kinds.len() > 1 {
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        println!("  failures by kind: {}", kinds.join(", "));
    }
}

/// The marks of a list, a line each, `#` begins a remark; or, for the word `all`, every known one.
fn marks_of(path: &Path) -> Result<Vec<String>, String> {
    if path.as_os_str() == "all" {
        return Ok(marks::KNOWN.iter().map(|mark| (*mark).to_owned()).collect());
    }
    lines_of(path)
}

/// The lines of a file that say something.
fn lines_of(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("could not read {}: {error}", path.display()))?;
    let lines = text.lines().map(str::trim);
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

fn write_file(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text)
        .map_err(|error| format!("could not write {}: {error}", path.display()))
}
