//! The runner: sweeps of seeds, replays, and checks of determinism.

mod args;
mod bench;
mod determinism;
mod replay;
mod sweep;
mod tripwires;

use std::process::ExitCode;

pub use args::{Args, Command, EngineName};

use crate::engine::own::Own;
use crate::run::{Keep, Outcome, run_seed};
use crate::scenario::Scenario;

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
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs one seed on a thread of its own, so that nothing a thread remembers passes from seed to
/// seed.
pub(crate) fn run_fresh(engine: EngineName, scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    const STACK: usize = 16 << 20;
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK);
        let body = || {
            crate::tripwire::settle_hashing();
            match engine {
                EngineName::Own => run_seed::<Own>(scenario, seed, keep),
                #[cfg(madsim)]
                EngineName::Madsim => {
                    run_seed::<crate::engine::madsim::Madsim>(scenario, seed, keep)
                }
                #[cfg(madsim)]
                EngineName::Turmoil => {
                    run_seed::<crate::engine::turmoil::Turmoil>(scenario, seed, keep)
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
    match args.command {
        Command::Help => {
            println!("{}", args::USAGE);
            Exit::Fine
        }
        Command::Run => sweep::run(&args),
        Command::Bench => bench::bench(&args),
        Command::Replay => replay::replay(&args),
        Command::Digest => determinism::digest(&args),
        Command::CheckDeterminism => determinism::check(&args),
        Command::CheckTripwires => tripwires::check(),
    }
}
