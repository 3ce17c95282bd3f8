//! Runs the model checkers: TLC, and tla-checker as a second opinion. Both must come to the expected
//! verdict, and to the same number of states.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use crate::dump::Graph;
use crate::histories;
use crate::manifest::{Check, Histories, Manifest};
use crate::walk::Difference;
use crate::worlds::AnyWorld;

/// Where the tools are, and how to use them.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `tla2tools.jar`.
    pub jar: PathBuf,
    /// tla-checker's `tla`.
    pub second: PathBuf,
    /// The folder of specifications.
    pub specs: PathBuf,
    /// A folder for what comes up on the way.
    pub work: PathBuf,
    /// `flurm-sim`, of a build that can plant bugs.
    pub sim: Option<PathBuf>,
}

/// How many times an action was taken, by TLC's name of it.
type Coverage = BTreeMap<String, u64>;

/// What became of a check.
struct Outcome {
    line: String,
    failed: bool,
    coverage: Coverage,
}

/// Something to do.
#[derive(Clone, Copy)]
enum Work<'a> {
    Check(&'a Check),
    Histories(&'a Histories),
}

/// The name of the check of histories.
const HISTORIES: &str = "Histories";

impl Work<'_> {
    fn spec(&self) -> &str {
        match self {
            Self::Check(check) => &check.spec,
            Self::Histories(_) => HISTORIES,
        }
    }

    fn run(&self, tools: &Tools, deep: bool) -> Outcome {
        let begun = Instant::now();
        let (name, verdict) = match self {
            Self::Check(check) => (check.name(), judge(tools, check)),
            Self::Histories(wanted) => {
                let text = histories::judge(tools, wanted, deep);
                (HISTORIES.into(), text.map(|text| (text, Coverage::new())))
            }
        };
        let took = begun.elapsed().as_secs_f64();
        let (failed, text, coverage) = match verdict {
            Ok((text, coverage)) => (false, text, coverage),
            Err(text) => (true, text, Coverage::new()),
        };
        let word = if failed { "FAILED " } else { "ok     " };
        Outcome { line: format!("{word} {name:<36} {took:5.1}s  {text}"), failed, coverage }
    }
}

/// Runs all checks, two at a time, and prints a line for each. Returns how many failed.
///
/// # Errors
/// Nothing could be run at all.
pub fn check_all(tools: &Tools, deep: bool, only: Option<&str>) -> Result<usize, String> {
    let manifest = Manifest::read(&tools.specs)?;
    let named = |name: &str| only.is_none_or(|only| name.starts_with(only));
    let mut all: Vec<Work<'_>> = Vec::new();
    if named(HISTORIES) {
        all.push(Work::Histories(&manifest.histories));
    }
    let chosen = |check: &&Check| (deep || !check.deep) && named(&check.name());
    all.extend(manifest.check.iter().filter(chosen).map(Work::Check));
    if all.is_empty() {
        return Err("no check has that name".into());
    }
    gather(tools)?;
    let queue = Mutex::new(all.iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next().copied());
                    let Some(work) = next else { return };
                    let outcome = work.run(tools, deep);
                    println!("{}", outcome.line);
                    if let Ok(mut done) = done.lock() {
                        done.push((String::from(work.spec()), outcome));
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|_| "a check panicked")?;
    let mut failed = done.iter().filter(|(_, outcome)| outcome.failed).count();
    if done.len() != all.len() {
        return Err("a check panicked".into());
    }
    if only.is_none() {
        failed += never_taken(&done);
        failed += guards_without_a_walk(&manifest);
    }
    println!("CI: specifications: {} checks, {failed} failed", done.len());
    Ok(failed)
}

/// An action that no passing check of its specification ever takes proves nothing.
fn never_taken(done: &[(String, Outcome)]) -> usize {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (spec, outcome) in done {
        for (action, count) in &outcome.coverage {
            *sums.entry((spec, action)).or_default() += count;
        }
    }
    let never: Vec<_> = sums.iter().filter(|(_, count)| **count == 0).collect();
    for ((spec, action), _) in &never {
        println!("FAILED  {spec}: no check takes {action}");
    }
    never.len()
}

/// A guard that no walk misses when it is taken away might as well not be there.
fn guards_without_a_walk(manifest: &Manifest) -> usize {
    let walked: Vec<&String> = manifest.check.iter().flat_map(|check| &check.planted).collect();
    let guards = flurm_base::planted::GUARDS.iter().map(|(name, _)| *name);
    let missing: Vec<_> = guards.filter(|name| !walked.iter().any(|one| one == name)).collect();
    for name in &missing {
        println!("FAILED  no walk is made without the guard `{name}`");
    }
    missing.len()
}

/// All modules and configurations in one folder: both checkers look for modules beside the first.
fn gather(tools: &Tools) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", tools.work.display());
    let flat = tools.work.join("flat");
    if flat.exists() {
        std::fs::remove_dir_all(&flat).map_err(told)?;
    }
    std::fs::create_dir_all(&flat).map_err(told)?;
    for folder in std::fs::read_dir(&tools.specs).map_err(told)? {
        let folder = folder.map_err(told)?.path();
        let spec = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(files) = std::fs::read_dir(&folder) else { continue };
        for file in files {
            let file = file.map_err(told)?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let target = match file.extension().and_then(|end| end.to_str()) {
                Some("tla") => name,
                Some("cfg") => format!("{spec}.{name}"),
                _ => continue,
            };
            std::fs::copy(&file, flat.join(target)).map_err(told)?;
        }
    }
    Ok(())
}

fn judge(tools: &Tools, check: &Check) -> Result<(String, Coverage), String> {
    let dump = tools.work.join(format!("{}-{}", check.spec, check.config));
    let dump = check.walk.then_some(dump);
    let first = tlc(tools, check, dump.as_deref())?;
    let wanted = match (&check.states, &check.violates) {
        (Some(states), _) => Verdict::Holds(*states),
        (None, Some(name)) => Verdict::Violated(name.clone()),
        (None, None) => return Err("nothing is expected".into()),
    };
    if first.verdict != wanted {
        return Err(format!("TLC: {}, expected: {wanted}", first.verdict));
    }
    let mut text = wanted.to_string();
    match &check.first_only {
        Some(reason) => text.push_str(&format!("; TLC alone says so: {reason}")),
        None => {
            let second = second(tools, check)?;
            if second != wanted {
                return Err(format!("tla-checker: {second}, expected: {wanted}"));
            }
        }
    }
    if let Some(dump) = dump {
        let path = PathBuf::from(format!("{}.dot", dump.display()));
        let dot = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let spec = Graph::parse(&dot)?;
        let world = AnyWorld::of(tools, check)?;
        let code = world.clone().graph()?;
        let difference = Difference::between(&spec, &code);
        if !difference.is_none() {
            return Err(format!("the code's graph is another one: {difference:#?}"));
        }
        let (states, steps) = (code.states.len(), code.steps.len());
        text.push_str(&format!("; the code walks the same {states} states and {steps} steps"));
        text.push_str(&leaves_when_planted(check, &world, &spec)?);
    }
    Ok((text, first.coverage))
}

/// With each of the check's bugs planted the code must leave the specification's graph.
#[cfg(flurm_planted)]
fn leaves_when_planted(check: &Check, world: &AnyWorld, spec: &Graph) -> Result<String, String> {
    use flurm_base::planted;
    for bug in &check.planted {
        planted::clear();
        if !planted::plant(bug) {
            return Err(format!("there is no bug `{bug}` to plant"));
        }
        let departs = world.clone().departs(spec);
        planted::clear();
        if !departs {
            return Err(format!("with `{bug}` planted the code still walks the same graph"));
        }
    }
    Ok(format!(", and another one with each of {} bugs", check.planted.len()))
}

#[cfg(not(flurm_planted))]
fn leaves_when_planted(check: &Check, _world: &AnyWorld, _spec: &Graph) -> Result<String, String> {
    let count = check.planted.len();
    Ok(if count == 0 { String::new() } else { format!("; {count} bugs not planted: wrong build") })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Holds(u64),
    Violated(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Holds(states) => write!(f, "holds in {states} states"),
            Self::Violated(name) => write!(f, "{name} is violated"),
        }
    }
}

struct First {
    verdict: Verdict,
    coverage: Coverage,
}

/// TLC's exit codes (`EC.ExitStatus`).
const TLC_OK: i32 = 0;
const TLC_INVARIANT: i32 = 12;
const TLC_PROPERTY: i32 = 13;
/// Of timeout(1).
const TIMED_OUT: i32 = 124;

fn tlc(tools: &Tools, check: &Check, dump: Option<&Path>) -> Result<First, String> {
    let states = tools.work.join(format!("tlc-{}-{}", check.spec, check.config));
    std::fs::create_dir_all(&states)
        .map_err(|error| format!("could not make {}: {error}", states.display()))?;
    let mut command = Command::new("timeout");
    command
        .args(["-k", "5", &check.limit_s.to_string(), "java"])
        .args(["-XX:+UseSerialGC", "-Xss16m", "-Xmx2g"])
        // A violation is found before a better compiler has paid for itself.
        .args(check.violates.as_ref().map(|_| "-XX:TieredStopAtLevel=1"))
        // TLC unpacks its own modules there; beside another TLC it once found them gone.
        .arg(format!("-Djava.io.tmpdir={}", states.display()))
        .arg("-cp")
        .arg(&tools.jar)
        .args(["tlc2.TLC", "-workers", "1", "-deadlock", "-coverage", "1", "-metadir"])
        .arg(&states);
    if let Some(dump) = dump {
        command.args(["-dump", "dot,actionlabels"]).arg(dump);
    }
    command.arg("-config").arg(format!("{}.{}.cfg", check.spec, check.config));
    command.arg(format!("{}.tla", check.spec)).current_dir(tools.work.join("flat"));
    let (code, text) = output(&mut command)?;
    // What it kept on disk is of no use afterwards, and its absence no error.
    let _ = std::fs::remove_dir_all(&states);
    let coverage = coverage_of(&text);
    let clean = text.contains("No error has been found") && text.contains("0 states left on queue");
    let verdict = match code {
        TLC_OK if clean && !text.contains("\nError") => {
            let states = between(&text, "states generated, ", " distinct states found, 0 ");
            let states = states.and_then(|states| states.replace(',', "").parse().ok());
            Verdict::Holds(states.ok_or("TLC did not say how many states there are")?)
        }
        TLC_PROPERTY if check.refines.is_some() => refinement_of(&text, check)?,
        TLC_INVARIANT => named_by(&text, "Error: Invariant ")?,
        TLC_PROPERTY if text.contains("Temporal properties were violated") => {
            // It does not say which: the configuration has only one.
            Verdict::Violated(check.violates.clone().unwrap_or_else(|| "a property".into()))
        }
        TLC_PROPERTY => named_by(&text, "Error: Action property ")?,
        TIMED_OUT => return Err(format!("TLC was not done after {} s", check.limit_s)),
        code => return Err(format!("TLC ended with {code}:\n{}", tail(&text))),
    };
    Ok(First { verdict, coverage })
}

/// TLC says where the abstract specification has the step that is missing, not what it is called.
fn refinement_of(text: &str, check: &Check) -> Result<Verdict, String> {
    let alias = check.refines.as_deref().unwrap_or_default();
    let place = between(text, "Action property line ", " is violated");
    let of = format!(" of module {alias}");
    match place {
        Some(place) if place.ends_with(&of) => Ok(Verdict::Violated(format!("Refines{alias}"))),
        _ => Err(format!("TLC does not say that {alias} is not refined:\n{}", tail(text))),
    }
}

fn named_by(text: &str, prefix: &str) -> Result<Verdict, String> {
    let name = between(text, prefix, " is violated");
    let name = name.ok_or_else(|| format!("TLC does not say what is violated:\n{}", tail(text)))?;
    Ok(Verdict::Violated(String::from(name)))
}

/// Counts of the last report: `<Action line …>: distinct:total`.
fn coverage_of(text: &str) -> Coverage {
    let mut coverage = Coverage::new();
    for line in text.lines().filter(|line| line.starts_with('<')) {
        let Some((name, counts)) = line.split_once(">: ") else { continue };
        let Some(total) = counts.split_once(':').and_then(|(_, total)| total.parse().ok()) else {
            continue;
        };
        coverage.insert(String::from(name.trim_start_matches('<')), total);
    }
    coverage
}

fn second(tools: &Tools, check: &Check) -> Result<Verdict, String> {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", &check.limit_s.to_string()]).arg(&tools.second);
    command.arg(format!("{}.tla", check.spec)).arg("--config");
    let flat = tools.work.join("flat");
    let config = format!("{}.{}.cfg", check.spec, check.config);
    match &check.refines {
        // It takes the alias, not a property.
        Some(alias) => {
            let told = |error: std::io::Error| format!("{config}: {error}");
            let text = std::fs::read_to_string(flat.join(&config)).map_err(told)?;
            let property = format!("PROPERTIES Refines{alias}");
            if !text.contains(&property) {
                return Err(format!("{config} does not check `{property}`"));
            }
            let short = format!("{config}.short");
            std::fs::write(flat.join(&short), text.replace(&property, "")).map_err(told)?;
            command.arg(short).args(["--check-refinement", alias]);
        }
        None => drop(command.arg(config)),
    }
    command.args(["--allow-deadlock", "--max-states", "5000000", "--max-depth", "100000"]);
    command.current_dir(flat);
    let (code, text) = output(&mut command)?;
    let violated = |prefix: &str, suffix: &str| between(&text, prefix, suffix).map(String::from);
    match code {
        0 if text.contains("No errors found") => {
            let states = between(&text, "Reachable states: ", "\n");
            let states = states.and_then(|states| states.trim().parse().ok());
            Ok(Verdict::Holds(states.ok_or("tla-checker did not count the states")?))
        }
        1 => {
            let refined = violated("a transition is neither a ", "!Next step nor a stutter");
            let name = refined
                .map(|alias| format!("Refines{alias}"))
                .or_else(|| violated("Liveness property violated: ", "\n"))
                .or_else(|| violated("Action property ", " is violated"))
                .or_else(|| invariant_of(&text));
            name.map(Verdict::Violated).ok_or_else(|| format!("tla-checker:\n{}", tail(&text)))
        }
        TIMED_OUT => Err(format!("tla-checker was not done after {} s", check.limit_s)),
        code => Err(format!("tla-checker ended with {code}:\n{}", tail(&text))),
    }
}

/// `Invariant 0 (Name) violated!`
fn invariant_of(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("Invariant") && line.contains("violated"))?;
    between(line, "(", ")").map(String::from)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    // The last one counts: TLC reports its progress in the same words.
    let (_, rest) = text.rsplit_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

pub(crate) fn output(command: &mut Command) -> Result<(i32, String), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().unwrap_or(-1), text))
}
