//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scenario::{Agreement, Scenario};
use crate::world::Nanos;
use crate::world::script::parse_span;

/// How to use the program.
pub(super) const USAGE: &str = "\
flurm-sim run <scenario or folder>... [--seeds N] [--for SPAN] [--first S] [--jobs N] [--keep-going]
        [--shard I/N] [--state FILE] [--json FILE] [--junit FILE] [--corpus DIR] [--marks all|FILE]
        [--reached FILE]
    runs N seeds of each scenario (100 unless told), from S on. --for spends a span of real time
    instead, shared by the scenarios, on fresh seeds. --shard takes every Nth seed. --state remembers
    what is done, so that an interrupted run goes on. --corpus keeps failing and rarest seeds as files
    that can be run and replayed. --marks names marks that must all be reached; --reached
    keeps those reached by this run and earlier ones with the same file. A negative scenario must
    fail.
flurm-sim replay <scenario> [--seed S] [--only WORD] [--machine M] [--kind K] [--from T] [--until T]
        [--numbers] [--quiet] [--break-at EVENT] [--html FILE] [--disks DIR]
    tells one seed as a story on one time line. --only, --machine and --kind choose lines and may be
    repeated. --break-at stops at a time (12.5s), an event (#1234) or the first line with a text, and
    shows the state of the world. --html writes a timeline; --disks what is on the disks at the end.
    kinds: fault client process send read connection disk log credential poll
flurm-sim shrink <scenario> --seed S [--out FILE] [--for SPAN] [--jobs N]
    reduces a failing run while it fails in the same way, and writes it as a scenario file
flurm-sim explain <scenario> [--seed S]
    prints the scenario file with every fault of the seed written out
flurm-sim from-log <folder>... [--until INDEX or TIME] [--json] [--quiet]
    replays the replicated log of a controller (its data folder) and shows commands, events and the
    state; compares the state with every snapshot on the way
flurm-sim histories <scenario>... --out FILE [--seeds N] [--first S]
    writes down what was seen of each job, a line each, for a model checker (see docs/specs.md); of a
    negative scenario those of the first seed that is caught
flurm-sim check-determinism <scenario>... [--seeds N] [--first S] [--jobs N]
    runs each seed in this process, beside and after others, and in a fresh one; compares all events
flurm-sim bench <scenario>... [--seeds N] [--first S] [--events]
    tells what a seed costs in processor time, with --events also on which tasks
flurm-sim check-tripwires
    reaches for the real clock, entropy and a thread from inside a simulation
flurm-sim digest <scenario> [--seed S] [--events]
    prints the hash of one run, with --events the hash after every event

--engine E, for all: own, or in a judges' build madsim or turmoil.
--world W, for all: full or light, instead of what the scenario says.
exit codes: 0 fine, 2 usage, 10 an oracle was violated, 11 not done in time, 12 panic,
            13 nondeterminism, 14 a mark was not reached, 15 a planted bug was not caught,
            16 a snapshot differs from the log";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sweep seeds.
    Run,
    /// Measure.
    Bench,
    /// Tell one seed.
    Replay,
    /// Reduce a failing seed.
    Shrink,
    /// Write a seed's plan out.
    Explain,
    /// Replay a production log.
    FromLog,
    /// Write histories for a model checker.
    Histories,
    /// Print a hash.
    Digest,
    /// Compare runs.
    CheckDeterminism,
    /// Reach for what is forbidden.
    CheckTripwires,
    /// Explain.
    Help,
}

const COMMANDS: [(&str, Command); 13] = [
    ("run", Command::Run),
    ("bench", Command::Bench),
    ("replay", Command::Replay),
    ("shrink", Command::Shrink),
    ("explain", Command::Explain),
    ("from-log", Command::FromLog),
    ("histories", Command::Histories),
    ("digest", Command::Digest),
    ("check-determinism", Command::CheckDeterminism),
    ("check-tripwires", Command::CheckTripwires),
    ("help", Command::Help),
    ("--help", Command::Help),
    ("-h", Command::Help),
];

/// Which engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineName {
    /// Our own.
    #[default]
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

/// One part of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 0.
    pub index: u64,
    /// Of how many.
    pub count: u64,
}

impl Shard {
    /// The whole.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no shard, such as 3/64");
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let (index, count) = (number(index)?, number(count)?);
        if index == 0 || index > count {
            return Err(wrong());
        }
        Ok(Self { index: index - 1, count })
    }
}

/// Which lines of a story are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Lines with all these words.
    pub only: Vec<String>,
    /// Of these machines; of all when empty.
    pub machines: Vec<String>,
    /// Of these kinds; of all when empty.
    pub kinds: Vec<String>,
    /// Not before.
    pub from: Option<Nanos>,
    /// Not after.
    pub until: Option<Nanos>,
    /// None at all.
    pub quiet: bool,
    /// With the numbers of events.
    pub numbers: bool,
}

/// Files that are read or written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// What is done.
    pub state: Option<PathBuf>,
    /// A report for programs.
    pub json: Option<PathBuf>,
    /// A report for CI servers.
    pub junit: Option<PathBuf>,
    /// Failing and rarest seeds.
    pub corpus: Option<PathBuf>,
    /// Marks that must be reached.
    pub marks: Option<PathBuf>,
    /// Marks that were reached, by earlier runs too.
    pub reached: Option<PathBuf>,
    /// A timeline.
    pub html: Option<PathBuf>,
    /// The disks at the end.
    pub disks: Option<PathBuf>,
    /// The reduced scenario.
    pub out: Option<PathBuf>,
}

/// A parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// What to do.
    pub command: Command,
    /// Scenario files or folders.
    pub paths: Vec<PathBuf>,
    /// How many seeds.
    pub seeds: Option<u64>,
    /// The first seed, or the only one.
    pub first: Option<u64>,
    /// Real time to spend.
    pub time: Option<Duration>,
    /// Which part of the seeds.
    pub shard: Shard,
    /// Seeds at the same time.
    pub jobs: usize,
    /// The engine.
    pub engine: EngineName,
    /// How controllers agree, instead of what the scenario says.
    pub world: Option<Agreement>,
    /// Go on after a failure.
    pub keep_going: bool,
    /// Which lines to show.
    pub choice: Choice,
    /// Files.
    pub files: Files,
    /// Where a story stops.
    pub break_at: Option<String>,
    /// Up to where a log is replayed.
    pub until: Option<String>,
    /// Print hashes of events.
    pub events: bool,
    /// Print JSON.
    pub as_json: bool,
}

/// Seeds at the same time, at most.
const JOBS_MAX: u64 = 256;

impl Args {
    fn empty(command: Command) -> Self {
        Self {
            command,
            paths: Vec::new(),
            seeds: None,
            first: None,
            time: None,
            shard: Shard::WHOLE,
            jobs: 1,
            engine: EngineName::default(),
            world: None,
            keep_going: false,
            choice: Choice::default(),
            files: Files::default(),
            break_at: None,
            until: None,
            events: false,
            as_json: false,
        }
    }

    /// Reads the arguments after the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut words = arguments.iter();
        let name = words.next().map_or("help", String::as_str);
        let known = COMMANDS.iter().find(|(known, _)| *known == name);
        let command = known.ok_or_else(|| format!("`{name}` is no command"))?.1;
        let mut args = Self::empty(command);
        while let Some(word) = words.next() {
            if args.flag(word) {
                continue;
            }
            if word.starts_with("--") {
                args.option(word, words.next())?;
            } else {
                args.paths.push(PathBuf::from(word));
            }
        }
        let needs_path = !matches!(command, Command::Help | Command::CheckTripwires);
        if needs_path && args.paths.is_empty() {
            let what = if command == Command::FromLog { "folder" } else { "scenario" };
            return Err(format!("no {what} is given"));
        }
        Ok(args)
    }

    fn flag(&mut self, word: &str) -> bool {
        match word {
            "--keep-going" => self.keep_going = true,
            "--quiet" => self.choice.quiet = true,
            "--numbers" => self.choice.numbers = true,
            "--events" => self.events = true,
            // from-log writes JSON to its output; elsewhere --json names a file.
            "--json" if self.command == Command::FromLog => self.as_json = true,
            _ => return false,
        }
        true
    }

    fn option(&mut self, word: &str, value: Option<&String>) -> Result<(), String> {
        let known = OPTIONS.iter().find(|(name, _)| *name == word);
        let (_, set) = known.ok_or_else(|| format!("unknown option {word}"))?;
        let value = value.ok_or_else(|| format!("{word} needs a value"))?;
        set(self, value)
    }

    /// Engine and world, as words of a command line.
    pub fn how(&self) -> String {
        let world = self.world.map_or_else(String::new, |w| format!(" --world {}", w.name()));
        format!("{}{world}", self.engine.name())
    }

    /// The seed of a command about one seed: as given, else the scenario's own, else 0.
    pub fn seed(&self, scenario: &Scenario) -> u64 {
        self.first.or(scenario.seed).unwrap_or(0)
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

type Set = fn(&mut Args, &str) -> Result<(), String>;

fn words(value: &str) -> impl Iterator<Item = String> + '_ {
    value.split(',').map(str::to_owned)
}

fn file(value: &str) -> Option<PathBuf> {
    Some(PathBuf::from(value))
}

/// Options with a value, and what they set.
const OPTIONS: &[(&str, Set)] = &[
    ("--seeds", |args, value| number(value).map(|seeds| args.seeds = Some(seeds))),
    ("--first", |args, value| number(value).map(|first| args.first = Some(first))),
    ("--seed", |args, value| number(value).map(|seed| args.first = Some(seed))),
    ("--jobs", |args, value| {
        number(value).map(|jobs| args.jobs = jobs.clamp(1, JOBS_MAX) as usize)
    }),
    ("--for", |args, value| {
        parse_span(value).map(|span| args.time = Some(Duration::from_nanos(span)))
    }),
    ("--shard", |args, value| Shard::parse(value).map(|shard| args.shard = shard)),
    ("--engine", |args, value| EngineName::parse(value).map(|engine| args.engine = engine)),
    ("--world", |args, value| Agreement::parse(value).map(|world| args.world = Some(world))),
    ("--only", |args, value| {
        args.choice.only.push(value.to_owned());
        Ok(())
    }),
    ("--machine", |args, value| {
        args.choice.machines.extend(words(value));
        Ok(())
    }),
    ("--kind", |args, value| {
        let known = |kind: &String| crate::world::trace::Kind::is_named(kind);
        args.choice.kinds.extend(words(value));
        match args.choice.kinds.iter().find(|kind| !known(kind)) {
            Some(kind) => Err(format!("`{kind}` is no kind of line")),
            None => Ok(()),
        }
    }),
    ("--from", |args, value| time(value).map(|at| args.choice.from = Some(at))),
    ("--until", |args, value| {
        args.until = Some(value.to_owned());
        if args.command == Command::FromLog {
            return Ok(());
        }
        time(value).map(|at| args.choice.until = Some(at))
    }),
    ("--break-at", |args, value| {
        args.break_at = Some(value.to_owned());
        Ok(())
    }),
    ("--state", |args, value| {
        args.files.state = file(value);
        Ok(())
    }),
    ("--json", |args, value| {
        args.files.json = file(value);
        Ok(())
    }),
    ("--junit", |args, value| {
        args.files.junit = file(value);
        Ok(())
    }),
    ("--corpus", |args, value| {
        args.files.corpus = file(value);
        Ok(())
    }),
    ("--marks", |args, value| {
        args.files.marks = file(value);
        Ok(())
    }),
    ("--reached", |args, value| {
        args.files.reached = file(value);
        Ok(())
    }),
    ("--html", |args, value| {
        args.files.html = file(value);
        Ok(())
    }),
    ("--disks", |args, value| {
        args.files.disks = file(value);
        Ok(())
    }),
    ("--out", |args, value| {
        args.files.out = file(value);
        Ok(())
    }),
];

fn number(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is no number"))
}

/// A point in virtual time: `12.5s`, or seconds without a unit.
pub(super) fn time(text: &str) -> Result<Nanos, String> {
    let plain = text.trim().chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { parse_span(&format!("{}s", text.trim())) } else { parse_span(text.trim()) }
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
        let line = "run a.toml b --seeds 10_000 --first 7 --jobs 2 --keep-going --shard 3/64";
        let args = parse(line).unwrap();
        assert_eq!((args.seeds, args.first, args.jobs), (Some(10_000), Some(7), 2));
        assert_eq!(args.paths, [PathBuf::from("a.toml"), PathBuf::from("b")]);
        assert_eq!((args.keep_going, args.shard), (true, Shard { index: 2, count: 64 }));
        let args = parse("run a --for 10m --json out.json").unwrap();
        assert_eq!(args.time, Some(Duration::from_secs(600)));
        assert_eq!(args.files.json, Some(PathBuf::from("out.json")));
    }

    #[test]
    fn a_story_is_chosen_by_words_machines_kinds_and_times() {
        let line = "replay a --only job=3 --machine n1,n2 --kind fault,log --from 2 --until 1.5m";
        let choice = parse(line).unwrap().choice;
        assert_eq!(
            (choice.only, choice.machines.len(), choice.kinds.len()),
            (vec!["job=3".to_owned()], 2, 2)
        );
        assert_eq!((choice.from, choice.until), (Some(2_000_000_000), Some(90_000_000_000)));
        assert_eq!(parse("replay a --kind gossip").unwrap_err(), "`gossip` is no kind of line");
    }

    #[test]
    fn mistakes_are_explained() {
        assert_eq!(parse("run").unwrap_err(), "no scenario is given");
        assert_eq!(parse("from-log").unwrap_err(), "no folder is given");
        assert_eq!(parse("walk x").unwrap_err(), "`walk` is no command");
        assert_eq!(parse("run x --seeds").unwrap_err(), "--seeds needs a value");
        assert_eq!(parse("run x --speed 3").unwrap_err(), "unknown option --speed");
        assert_eq!(parse("run x --shard 0/4").unwrap_err(), "`0/4` is no shard, such as 3/64");
        assert_eq!(parse("run x --shard 5/4").unwrap_err(), "`5/4` is no shard, such as 3/64");
        #[cfg(not(madsim))]
        assert!(parse("run x --engine madsim").unwrap_err().contains("judges"));
    }
}
