//! The command line.

use std::path::{Path, PathBuf};

use crate::scenario::{Agreement, Scenario};

/// How to use the program.
pub(super) const USAGE: &str = "\
flurm-sim run <scenario or folder>... [--seeds N] [--first S] [--jobs N] [--engine E] [--world W] [--keep-going]
    runs seeds S to S+N-1 of each scenario; a negative scenario must fail
flurm-sim replay <scenario> --seed S [--engine E] [--only WORD] [--quiet]
    tells one seed as a story on one time line; --only shows lines that contain the word
flurm-sim check-determinism <scenario>... [--seeds N] [--first S] [--engine E]
    runs each seed in this process and in a fresh one, and compares all that happened
flurm-sim bench <scenario>... [--seeds N] [--first S] [--engine E] [--world W] [--events]
    tells what a seed costs in processor time, with --events also on which tasks
flurm-sim check-tripwires
    reaches for the real clock, entropy and a thread from inside a simulation
flurm-sim digest <scenario> --seed S [--events]
    prints the hash of one run, with --events the hash after every event

E is own, or in a judges' build madsim or turmoil. W is full or light, instead of what the
scenario says.
exit codes: 0 fine, 2 usage, 10 an oracle was violated, 11 not done in time, 12 panic,
            13 nondeterminism, 14 a mark was not reached, 15 a planted bug was not caught";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sweep seeds.
    Run,
    /// Measure.
    Bench,
    /// Tell one seed.
    Replay,
    /// Print a hash.
    Digest,
    /// Compare runs.
    CheckDeterminism,
    /// Reach for what is forbidden.
    CheckTripwires,
    /// Explain.
    Help,
}

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineName {
    /// Our own.
    Own,
    /// madsim.
    #[cfg(madsim)]
    Madsim,
    /// turmoil.
    #[cfg(madsim)]
    Turmoil,
}

impl EngineName {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "own" => Ok(Self::Own),
            #[cfg(madsim)]
            "madsim" => Ok(Self::Madsim),
            #[cfg(madsim)]
            "turmoil" => Ok(Self::Turmoil),
            #[cfg(not(madsim))]
            "madsim" | "turmoil" => {
                Err(format!("{text} is in a judges' build only; see docs/simulation.md"))
            }
            _ => Err(format!("`{text}` is no engine")),
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            #[cfg(madsim)]
            Self::Madsim => "madsim",
            #[cfg(madsim)]
            Self::Turmoil => "turmoil",
        }
    }
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// What to do.
    pub command: Command,
    /// Scenario files or folders.
    pub paths: Vec<PathBuf>,
    /// How many seeds.
    pub seeds: u64,
    /// The first seed.
    pub first: u64,
    /// Seeds at the same time.
    pub jobs: usize,
    /// The engine.
    pub engine: EngineName,
    /// How controllers agree, instead of what the scenario says.
    pub world: Option<Agreement>,
    /// Go on after a failure.
    pub keep_going: bool,
    /// Show only lines with this word.
    pub only: Option<String>,
    /// Print no lines.
    pub quiet: bool,
    /// Print hashes of events.
    pub events: bool,
}

impl Args {
    /// Reads the arguments after the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut words = arguments.iter();
        let command = match words.next().map(String::as_str) {
            Some("run") => Command::Run,
            Some("bench") => Command::Bench,
            Some("replay") => Command::Replay,
            Some("digest") => Command::Digest,
            Some("check-determinism") => Command::CheckDeterminism,
            Some("check-tripwires") => Command::CheckTripwires,
            None | Some("help" | "--help" | "-h") => Command::Help,
            Some(other) => return Err(format!("`{other}` is no command")),
        };
        let mut args = Self {
            command,
            paths: Vec::new(),
            seeds: if command == Command::CheckDeterminism { 5 } else { 100 },
            first: 0,
            jobs: 1,
            engine: EngineName::Own,
            world: None,
            keep_going: false,
            only: None,
            quiet: false,
            events: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--seeds" => args.seeds = number(value()?)?,
                "--first" | "--seed" => args.first = number(value()?)?,
                "--jobs" => args.jobs = number(value()?)?.clamp(1, 256) as usize,
                "--engine" => args.engine = EngineName::parse(value()?)?,
                "--world" => args.world = Some(Agreement::parse(value()?)?),
                "--only" => args.only = Some(value()?.clone()),
                "--keep-going" => args.keep_going = true,
                "--quiet" => args.quiet = true,
                "--events" => args.events = true,
                option if option.starts_with("--") => return Err(format!("unknown option {word}")),
                path => args.paths.push(PathBuf::from(path)),
            }
        }
        let needs_scenario = !matches!(command, Command::Help | Command::CheckTripwires);
        if needs_scenario && args.paths.is_empty() {
            return Err("no scenario is given".into());
        }
        Ok(args)
    }

    /// The scenario files that are meant, folders opened, in order.
    pub fn scenarios(&self) -> Result<Vec<(PathBuf, Scenario)>, String> {
        let mut found = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                collect(path, &mut found)?;
            } else {
                found.push(path.clone());
            }
        }
        let load = |path: PathBuf| {
            let mut scenario = Scenario::load(&path)?;
            if let Some(world) = self.world {
                scenario.cluster.consensus = world;
            }
            Ok((path, scenario))
        };
        found.into_iter().map(load).collect()
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is no number"))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Args::parse(&words)
    }

    #[test]
    fn a_sweep_is_described_by_its_words() {
        let args = parse("run a.toml b --seeds 10_000 --first 7 --jobs 2 --keep-going").unwrap();
        assert_eq!((args.seeds, args.first, args.jobs, args.keep_going), (10_000, 7, 2, true));
        assert_eq!(args.paths, [PathBuf::from("a.toml"), PathBuf::from("b")]);
    }

    #[test]
    fn mistakes_are_explained() {
        assert_eq!(parse("run").unwrap_err(), "no scenario is given");
        assert_eq!(parse("walk x").unwrap_err(), "`walk` is no command");
        assert_eq!(parse("run x --seeds").unwrap_err(), "--seeds needs a value");
        assert_eq!(parse("run x --speed 3").unwrap_err(), "unknown option --speed");
        #[cfg(not(madsim))]
        assert!(parse("run x --engine madsim").unwrap_err().contains("judges"));
    }
}
