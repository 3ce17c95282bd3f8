//! `flurm-sim histories`: writes down what was seen of each job, a line each, for a model checker.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use super::{Args, Exit, run_fresh};
use crate::run::{Failure, Keep, Outcome};
use crate::scenario::{Scenario, System};

/// Seeds of each scenario unless told otherwise.
const SEEDS_DEFAULT: u64 = 5;

/// Writes the histories of each scenario's seeds; those of a negative scenario are of the first seed
/// that is caught.
pub(super) fn write(args: &Args) -> Result<Exit, String> {
    let out = args.files.out.as_ref().ok_or("histories needs --out")?;
    let told = |error: std::io::Error| format!("could not write {}: {error}", out.display());
    let mut file = std::io::BufWriter::new(std::fs::File::create(out).map_err(told)?);
    let mut exit = Exit::Fine;
    for (path, scenario) in &args.scenarios()? {
        let seeds = scenario.expect.within_seeds.or(args.seeds).unwrap_or(SEEDS_DEFAULT);
        let first = args.seed(scenario);
        let count = if scenario.seed.is_some() { 1 } else { seeds };
        // What was written of other seeds need not be written again.
        let mut written: BTreeSet<Vec<String>> = BTreeSet::new();
        let mut caught = scenario.expect.planted.is_none();
        for seed in first..first.saturating_add(count) {
            let keep = Keep { histories: true, ..Keep::default() };
            let outcome = run_fresh(args.engine, scenario, seed, keep);
            if scenario.expect.planted.is_some() && !is_caught(scenario, &outcome) {
                continue;
            }
            for line in lines(path, scenario, &outcome, &mut written) {
                writeln!(file, "{line}").map_err(told)?;
            }
            if scenario.expect.planted.is_some() {
                caught = true;
                break;
            }
            if let Some(failure) = outcome.failure {
                println!("{}: seed {seed}: {failure}", path.display());
                exit = exit.max(Exit::Oracle);
            }
        }
        if !caught {
            println!("{}: its bug was not caught in {seeds} seeds", path.display());
            exit = exit.max(Exit::Missed);
        }
    }
    file.flush().map_err(told)?;
    Ok(exit)
}

fn is_caught(scenario: &Scenario, outcome: &Outcome) -> bool {
    let caught = outcome.failure.as_ref().map(Failure::kind);
    caught.is_some() && caught == scenario.expect.caught_by.as_deref()
}

fn lines(
    path: &Path,
    scenario: &Scenario,
    outcome: &Outcome,
    written: &mut BTreeSet<Vec<String>>,
) -> Vec<String> {
    let run = format!("{} --seed {}", path.display(), outcome.seed);
    let mut lines = Vec::new();
    // Where no command was agreed on there is nothing to judge.
    if !outcome.histories.log.0.is_empty() {
        lines.push(outcome.histories.log.line(&run));
    }
    // Where the log is all there is it is short enough to be judged entry by entry.
    if scenario.cluster.system == System::Log && !outcome.histories.raft.0.is_empty() {
        lines.push(outcome.histories.raft.line(&run));
    }
    for (job, history) in &outcome.histories.jobs {
        if written.insert(history.events()) {
            lines.push(history.line(&run, job.0));
        }
    }
    lines
}
