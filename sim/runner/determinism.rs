//! Checks of determinism: the same seed in this process after other seeds, and in a fresh process,
//! must do the same, event by event.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Args, Exit, run_fresh};
use crate::run::Keep;
use crate::world::trace::clock_text;

/// Prints the digest of one run.
pub(super) fn digest(args: &Args) -> Exit {
    let scenarios = match args.scenarios() {
        Ok(scenarios) => scenarios,
        Err(text) => {
            eprintln!("flurm-sim: {text}");
            return Exit::Usage;
        }
    };
    for (_, scenario) in &scenarios {
        let keep = Keep { hashes: args.events, ..Keep::default() };
        let outcome = run_fresh(args.engine, scenario, args.first, keep);
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for (at, hash) in &outcome.hashes {
            let _reader_may_be_gone = writeln!(out, "{at} {hash:016x}");
        }
        let _reader_may_be_gone = writeln!(out, "{}", outcome.digest);
    }
    Exit::Fine
}

/// Runs pairs.
pub(super) fn check(args: &Args) -> Exit {
    let scenarios = match args.scenarios() {
        Ok(scenarios) => scenarios,
        Err(text) => {
            eprintln!("flurm-sim: {text}");
            return Exit::Usage;
        }
    };
    let mut worst = Exit::Fine;
    for (path, scenario) in &scenarios {
        if scenario.expect.planted.is_some() && !flurm_base::planted::possible() {
            continue;
        }
        let mut differing = 0;
        for seed in args.first..args.first + args.seeds {
            let here = run_fresh(args.engine, scenario, seed, Keep::default()).digest;
            let there = match fresh(args, path, seed, false) {
                Ok(text) => text.trim().to_owned(),
                Err(text) => {
                    eprintln!("flurm-sim: could not start a second process: {text}");
                    return Exit::Usage;
                }
            };
            if here != there {
                differing += 1;
                println!("{}: seed {seed} differs: {here} here, {there} there", path.display());
                if differing == 1 {
                    explain(args, path, scenario, seed);
                }
            }
        }
        println!(
            "{}: {} seeds, {differing} differ between two processes",
            path.display(),
            args.seeds
        );
        if differing > 0 {
            worst = Exit::Nondeterminism;
        }
    }
    worst
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
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// Names the first event at which two runs part.
fn explain(args: &Args, path: &Path, scenario: &crate::scenario::Scenario, seed: u64) {
    let keep = Keep { lines: true, hashes: true, ..Keep::default() };
    let here = run_fresh(args.engine, scenario, seed, keep);
    let Ok(there) = fresh(args, path, seed, true) else { return };
    let ours = here.hashes.iter().map(|(at, hash)| format!("{at} {hash:016x}"));
    let parting = ours.zip(there.lines()).position(|(ours, theirs)| ours != theirs);
    let Some(index) = parting else {
        println!("  the events kept do not differ; the runs have different lengths");
        return;
    };
    let at = here.hashes[index].0;
    println!("  they part at event {index}, at {}", clock_text(at).trim_start());
    for line in here.lines.iter().filter(|line| line.at.abs_diff(at) < 1_000_000) {
        println!("  {} {:<8} {}", clock_text(line.at), line.lane, line.text);
    }
}
