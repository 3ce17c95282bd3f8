//! Reduces a failing run while it fails in the same way: fewer faults, clients, jobs and nodes, a
//! shorter time. What is left is a scenario file that replays.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use toml::{Table, Value};

use super::args::Args;
use super::candidates::{candidates, links_of, plan, simpler_faults, with_plan};
use super::minimize::minimize;
use super::{EngineName, Exit, only_scenario, run_fresh, written_out};
use crate::run::{Failure, Keep};
use crate::scenario::{Scenario, write};

/// Real time spent unless told otherwise.
const TIME_DEFAULT: Duration = Duration::from_secs(50);
/// Other seeds tried when a simpler version does not fail under the one at hand. They only change
/// what is drawn, never the plan.
const OTHER_SEEDS: u64 = 3;

/// What must stay the same about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kind {
    name: String,
    /// Where it panicked: another panic is another failure.
    place: Option<String>,
}

fn kind_of(failure: &Failure) -> Kind {
    let place = match failure {
        Failure::Panic(text) => text.rsplit_once(" at ").map(|(_, place)| place.to_owned()),
        Failure::Oracle(_) | Failure::Unsettled(_) => None,
    };
    Kind { name: failure.kind().to_owned(), place }
}

/// Tries versions of a run.
struct Trier {
    engine: EngineName,
    kind: Kind,
    deadline: Instant,
    runs: u64,
}

impl Trier {
    fn out_of_time(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn fails_under(&mut self, table: &Table, seed: u64) -> Option<Failure> {
        if self.out_of_time() {
            return None;
        }
        let text = toml::to_string(table).ok()?;
        let scenario = Scenario::parse(&text).ok()?;
        self.runs += 1;
        let outcome = run_fresh(self.engine, &scenario, seed, Keep::default());
        outcome.failure.filter(|failure| kind_of(failure) == self.kind)
    }

    /// The version, with the seed under which it fails, when it does.
    fn fails(&mut self, mut table: Table, others: u64) -> Option<Table> {
        let seed = table.get("seed").and_then(Value::as_integer)?;
        for seed in seed..=seed.saturating_add(i64::try_from(others).ok()?) {
            table.insert("seed".into(), Value::Integer(seed));
            if self.fails_under(&table, u64::try_from(seed).ok()?).is_some() {
                return Some(table);
            }
        }
        None
    }

    /// As few faults as possible.
    fn fewer_faults(&mut self, table: Table) -> Table {
        let faults = plan(&table).to_vec();
        let rest = minimize(&faults, |part| self.fails(with_plan(&table, part), 0).is_some());
        with_plan(&table, &rest)
    }

    /// Of each fault between machines, as few links as possible.
    fn fewer_links(&mut self, mut table: Table) -> Table {
        for nth in 0..plan(&table).len() {
            let faults = plan(&table).to_vec();
            let Some(links) = links_of(&mut faults[nth].clone()).cloned() else { continue };
            let with = |links: &[Value]| {
                let mut faults = faults.clone();
                *links_of(&mut faults[nth]).expect("it has links") = links.to_vec();
                with_plan(&table, &faults)
            };
            let works = |trier: &mut Self, part: &[Value]| {
                !part.is_empty() && trier.fails(with(part), 0).is_some()
            };
            let rest = minimize(&links, |part| works(self, part));
            table = with(&rest);
        }
        table
    }

    /// Takes simpler versions over until none fails any more.
    fn simpler(
        &mut self,
        mut table: Table,
        versions: fn(&Table) -> Vec<super::candidates::Candidate>,
        others: u64,
    ) -> Table {
        let mut from = 0;
        loop {
            let all = versions(&table);
            let count = all.len();
            let mut taken = None;
            // What follows the last success is tried before what failed before it.
            for step in 0..count {
                let nth = (from + step) % count;
                if let Some(better) = self.fails(all[nth].table.clone(), others) {
                    println!("    {}", all[nth].what);
                    taken = Some((nth, better));
                    break;
                }
            }
            match taken {
                Some((nth, better)) => (from, table) = (nth, better),
                None => return table,
            }
        }
    }

    fn reduce(&mut self, table: Table) -> Table {
        let table = self.fewer_faults(table);
        let table = self.simpler(table, candidates, OTHER_SEEDS);
        let table = self.fewer_faults(table);
        let table = self.fewer_links(table);
        let table = self.simpler(table, simpler_faults, 0);
        self.simpler(table, candidates, 0)
    }
}

/// How large a run is, in words.
fn size(table: &Table) -> Result<String, String> {
    let text = toml::to_string(table).map_err(|error| error.to_string())?;
    let scenario = Scenario::parse(&text)?;
    let (faults, workloads) = (plan(table).len(), scenario.workload.len());
    let cluster = &scenario.cluster;
    let trouble = table.get("trouble_for").map_or_else(String::new, Value::to_string);
    Ok(format!(
        "{faults} faults, {workloads} workloads, {} controllers, {} nodes, trouble for {trouble}",
        cluster.controllers, cluster.nodes
    ))
}

fn out_path(args: &Args, path: &Path, seed: u64) -> PathBuf {
    let stem = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    args.files.out.clone().unwrap_or_else(|| PathBuf::from(format!("{stem}-{seed}-small.toml")))
}

/// Reduces the seed of the command line.
pub(super) fn shrink(args: &Args) -> Result<Exit, String> {
    let begun = Instant::now();
    let (path, scenario) = only_scenario(args)?;
    let seed = args.seed(&scenario);
    let outcome = run_fresh(args.engine, &scenario, seed, Keep::default());
    let Some(failure) = outcome.failure else {
        return Err(format!("seed {seed} of {} does not fail", path.display()));
    };
    println!("seed {seed} fails: {failure}");
    let table = written_out(args, &path, seed)?;
    let deadline = begun + args.time.unwrap_or(TIME_DEFAULT);
    let mut trier = Trier { engine: args.engine, kind: kind_of(&failure), deadline, runs: 0 };
    if trier.fails_under(&table, seed).is_none() {
        return Err("with its plan written out, the seed does not fail in the same way".into());
    }
    println!("  {}", size(&table)?);
    let small = trier.reduce(table);
    let ended = if trier.out_of_time() { "; the time was up" } else { "" };
    let (runs, took) = (trier.runs, begun.elapsed().as_secs_f64());
    println!("  {}", size(&small)?);
    println!("  {runs} runs in {took:.1} s{ended}");
    let out = out_path(args, &path, seed);
    let remark = format!("seed {seed} of {}, reduced; it fails: {failure}", path.display());
    let text = write(&small, &[remark])?;
    std::fs::write(&out, &text)
        .map_err(|error| format!("could not write {}: {error}", out.display()))?;
    let kept = Scenario::parse(&text)?;
    let again = run_fresh(args.engine, &kept, kept.seed.unwrap_or(0), Keep::default()).failure;
    match again.filter(|again| kind_of(again) == kind_of(&failure)) {
        Some(again) => println!("{} fails: {again}", out.display()),
        None => return Err(format!("{} does not fail any more", out.display())),
    }
    println!("  flurm-sim replay {} --engine {}", out.display(), args.engine.name());
    Ok(Exit::Fine)
}
