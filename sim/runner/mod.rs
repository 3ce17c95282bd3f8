//! The runner: sweeps of seeds, replays, reductions, and checks of determinism.

mod args;
mod bench;
mod candidates;
mod corpus;
mod determinism;
mod from_log;
mod histories;
mod listen;
mod minimize;
mod progress;
mod replay;
mod report;
mod seeds;
mod shrink;
mod state;
mod sweep;
mod tally;
mod timeline;
mod tripwires;

use std::path::PathBuf;
use std::process::ExitCode;

pub use args::{Args, Command, EngineName};

use crate::engine::own::Own;
use crate::run::{Keep, Outcome, run_seed_until};
use crate::scenario::{Scenario, explicit, write};
use crate::world::trace::Break;

/// How the program ends, by kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// The command line or a scenario file is wrong.
    Usage = 2,
    /// An oracle found something.
    Oracle = 10,
    /// Not everything was done in time.
    Unsettled = 11,
    /// Something panicked.
    Panic = 12,
    /// Two runs of one seed differed.
    Nondeterminism = 13,
    /// A state that should be reached was not.
    Unreached = 14,
    /// A planted bug was not caught.
    Missed = 15,
    /// A snapshot is not what its log adds up to.
    SnapshotDiffers = 16,
}

impl Exit {
    const ALL: [Self; 9] = [
        Self::Fine,
        Self::Usage,
        Self::Oracle,
        Self::Unsettled,
        Self::Panic,
        Self::Nondeterminism,
        Self::Unreached,
        Self::Missed,
        Self::SnapshotDiffers,
    ];

    /// The exit with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| *exit as u8 == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs one seed on a thread of its own, so that nothing a thread remembers passes from seed to
/// seed.
pub(crate) fn run_fresh(engine: EngineName, scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    run_fresh_until(engine, scenario, seed, keep, None)
}

/// As [`run_fresh`], with a place where the story stops.
pub(crate) fn run_fresh_until(
    engine: EngineName,
    scenario: &Scenario,
    seed: u64,
    keep: Keep,
    stop: Option<Break>,
) -> Outcome {
    const STACK: usize = 16 << 20;
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let body = move || {
            crate::tripwire::settle_hashing();
            match engine {
                EngineName::Own => run_seed_until::<Own>(scenario, seed, keep, stop),
                #[cfg(madsim)]
                EngineName::Madsim => {
                    run_seed_until::<crate::engine::madsim::Madsim>(scenario, seed, keep, stop)
                }
                #[cfg(madsim)]
                EngineName::Turmoil => {
                    run_seed_until::<crate::engine::turmoil::Turmoil>(scenario, seed, keep, stop)
                }
            }
        };
        let handle = builder.spawn_scoped(scope, body).expect("the system has room for a thread");
        match handle.join() {
            Ok(outcome) => outcome,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}

/// Runs the command line; how the program ends.
pub fn main(arguments: &[String]) -> Exit {
    crate::engine::remember_panics();
    let args = match Args::parse(arguments) {
        Ok(args) => args,
        Err(text) => {
            eprintln!("flurm-sim: {text}\n\n{}", args::USAGE);
            return Exit::Usage;
        }
    };
    let done = match args.command {
        Command::Help => {
            println!("{}", args::USAGE);
            Ok(Exit::Fine)
        }
        Command::Run => Ok(sweep::run(&args)),
        Command::Bench => Ok(bench::bench(&args)),
        Command::Replay => replay::replay(&args),
        Command::Shrink => shrink::shrink(&args),
        Command::Explain => explain(&args),
        Command::FromLog => from_log::from_log(&args),
        Command::Histories => histories::write(&args),
        Command::Digest => determinism::digest(&args),
        Command::CheckDeterminism => determinism::check(&args),
        Command::CheckTripwires => Ok(tripwires::check()),
    };
    done.unwrap_or_else(|text| {
        eprintln!("flurm-sim: {text}");
        Exit::Usage
    })
}

/// The only scenario of a command about one.
fn only_scenario(args: &Args) -> Result<(PathBuf, Scenario), String> {
    let mut scenarios = args.scenarios()?;
    match scenarios.len() {
        1 => Ok(scenarios.remove(0)),
        count => Err(format!("{count} scenarios are given where one is meant")),
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("could not read {}: {error}", path.display()))
}

/// The file of a scenario with everything about one seed written out, in the world of the command
/// line.
fn written_out(args: &Args, path: &std::path::Path, seed: u64) -> Result<toml::Table, String> {
    let mut table = explicit(&read(path)?, seed)?;
    if let Some(world) = args.world {
        let cluster = table.entry("cluster").or_insert_with(|| toml::Table::new().into());
        let cluster = cluster.as_table_mut().ok_or("`cluster` is no table")?;
        cluster.insert("consensus".into(), world.name().into());
    }
    Ok(table)
}

/// Prints a seed's plan as a scenario file.
fn explain(args: &Args) -> Result<Exit, String> {
    let (path, scenario) = only_scenario(args)?;
    let seed = args.seed(&scenario);
    let table = written_out(args, &path, seed)?;
    print!("{}", write(&table, &[format!("seed {seed} of {}", path.display())])?);
    Ok(Exit::Fine)
}
