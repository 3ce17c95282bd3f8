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
use crate::promises;
use crate::verdicts::{Coverage, Verdict, coverage_of, verdict_of_second, verdict_of_tlc};
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
    // The longest first, so that none is left alone in the end.
    let mut checks: Vec<&Check> = manifest.check.iter().filter(chosen).collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.states));
    all.extend(checks.into_iter().map(Work::Check));
    if all.is_empty() {
        return Err("no check has that name".into());
    }
    gather(tools)?;
    share_classes(tools)?;
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
        let unbroken = promises::unbroken(&tools.specs, &manifest)?;
        unbroken.iter().for_each(|text| println!("FAILED  {text}"));
        failed += unbroken.len();
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

/// Where TLC's classes are kept as the Java machine wants them: it starts faster with them.
pub(crate) fn classes(tools: &Tools) -> PathBuf {
    tools.jar.with_extension("jsa")
}

/// Keeps TLC's classes, those of a small check. Without them everything works, and takes longer.
fn share_classes(tools: &Tools) -> Result<(), String> {
    if classes(tools).exists() {
        return Ok(());
    }
    let states = tools.work.join("tlc-classes");
    let kept = format!("-XX:ArchiveClassesAtExit={}", classes(tools).display());
    let mut command = Command::new("java");
    command.args(["-XX:+UseSerialGC", "-Xss16m", &kept, "-cp"]).arg(&tools.jar);
    command.args(["tlc2.TLC", "-workers", "1", "-deadlock", "-coverage", "1", "-metadir"]);
    command.arg(&states).args(["-dump", "dot,actionlabels"]).arg(tools.work.join("classes"));
    command.args(["-config", "JobLife.live.cfg", "JobLife.tla"]);
    output(command.current_dir(tools.work.join("flat"))).map(drop)
}

fn judge(tools: &Tools, check: &Check) -> Result<(String, Coverage), String> {
    let dump = tools.work.join(format!("{}-{}", check.spec, check.config));
    let dump = check.walk.then_some(dump);
    let mut clock = Laps::begin();
    let first = tlc(tools, check, dump.as_deref())?;
    clock.lap("TLC");
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
            clock.lap("tla-checker");
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
        clock.lap("walk");
        let (states, steps) = (code.states.len(), code.steps.len());
        text.push_str(&format!("; the code walks the same {states} states and {steps} steps"));
        text.push_str(&leaves_when_planted(check, &world, &spec)?);
        clock.lap("planted");
    }
    text.push_str(&clock.told());
    Ok((text, first.coverage))
}

/// What took how long.
struct Laps {
    begun: Instant,
    laps: Vec<String>,
}

impl Laps {
    fn begin() -> Self {
        Self { begun: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, what: &str) {
        let took = self.begun.elapsed().as_secs_f64();
        self.laps.push(format!("{what} {took:.1}"));
        self.begun = Instant::now();
    }

    fn told(&self) -> String {
        format!(" ({} s)", self.laps.join(", "))
    }
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

struct First {
    verdict: Verdict,
    coverage: Coverage,
}

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
        .arg(format!("-XX:SharedArchiveFile={}", classes(tools).display()))
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
    let (verdict, coverage) = (verdict_of_tlc(code, &text, check)?, coverage_of(&text));
    Ok(First { verdict, coverage })
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
    verdict_of_second(code, &text, check)
}

pub(crate) fn output(command: &mut Command) -> Result<(i32, String), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code().unwrap_or(-1), text))
}

#[cfg(test)]
mod tests {
    use super::{Coverage, Outcome, guards_without_a_walk, never_taken};
    use crate::manifest::Manifest;

    fn taken(actions: &[(&str, u64)]) -> (String, Outcome) {
        let coverage = actions.iter().map(|(name, count)| (String::from(*name), *count));
        let coverage: Coverage = coverage.collect();
        (String::from("S"), Outcome { line: String::new(), failed: false, coverage })
    }

    #[test]
    fn an_action_that_nothing_takes_is_a_failure() {
        let done = [taken(&[("Go", 0), ("Stay", 3)]), taken(&[("Go", 1), ("Stop", 0)])];
        assert_eq!(never_taken(&done), 1);
        assert_eq!(never_taken(&done[..1]), 1);
        assert_eq!(never_taken(&[taken(&[("Go", 1)])]), 0);
    }

    #[test]
    fn a_guard_that_no_walk_misses_is_a_failure() {
        let specs = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut manifest = Manifest::read(specs).unwrap();
        assert_eq!(guards_without_a_walk(&manifest), 0);
        manifest.check.retain(|check| check.name() != "JobLife/held");
        assert_eq!(guards_without_a_walk(&manifest), 1);
    }
}
