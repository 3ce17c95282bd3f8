//! Gives histories of simulations to TLC: those of the product must be behaviours of the
//! specification, those of a product with a bug planted must not, and no altered one may be.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tla_eval::Value;

use crate::alter::alter;
use crate::checkers::{Tools, classes, output};
use crate::history::{Told, value_of};
use crate::manifest::{Altered, Histories};
use crate::step::action_of;
use crate::text;
use crate::verdicts::tail;

/// Altered copies of histories, at most so many of each kind.
const ALTERED_MAX: usize = 3;
/// Wrong verdicts that are told.
const WRONG_SHOWN: usize = 12;
/// Seconds after which TLC has failed, for the usual number of histories and for `--deep`.
const LIMIT_S: u64 = 240;
const LIMIT_DEEP_S: u64 = 1_800;

/// What must come of a history.
enum Wanted<'a> {
    /// It is a behaviour.
    Accepted,
    /// It was recorded with a bug of this scenario: one of its histories is refused by these names.
    OneRefused(&'a str, &'a [String]),
    /// It was altered, and is refused by one of these names.
    Refused(&'a Altered),
}

/// What TLC says of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    /// The number of the event, and what forbids it.
    Refused(i64, String),
}

/// Runs the simulations and TLC; a sentence of what was found.
///
/// # Errors
/// A history has another verdict than it should, in words, or something could not be run.
pub(crate) fn judge(tools: &Tools, wanted: &Histories, deep: bool) -> Result<String, String> {
    let sim = tools.sim.as_ref().ok_or("no simulator was given: --sim")?;
    let folder = tools.work.join("histories");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut all: Vec<(Told, Wanted<'_>)> = Vec::new();
    for (nth, sample) in wanted.sample.iter().enumerate() {
        let seeds = if deep { sample.deep_seeds } else { sample.seeds };
        let out = folder.join(format!("sample{nth}"));
        let mut command = Command::new(sim);
        command.arg("histories").args(&sample.scenarios).arg("--out").arg(&out);
        command.args(["--world", &sample.world, "--seeds", &seeds.to_string()]);
        simulated(&mut command)?;
        all.extend(read(&out)?.into_iter().map(|told| (told, Wanted::Accepted)));
    }
    let good = all.len();
    // Of short histories: a copy costs as much as its original.
    let mut short: Vec<usize> = (0..good).collect();
    short.sort_by_key(|nth| all[*nth].0.told.len());
    for altered in &wanted.altered {
        let found = short.iter().filter_map(|nth| alter(&all[*nth].0, altered));
        let found: Vec<Told> = found.take(ALTERED_MAX).collect();
        if found.is_empty() {
            return Err(format!(
                "no history has a {} that could be {}",
                altered.event, altered.how
            ));
        }
        all.extend(found.into_iter().map(|told| (told, Wanted::Refused(altered))));
    }
    let changed = all.len() - good;
    for (scenario, names) in &wanted.planted {
        let out = folder.join("planted");
        let mut command = Command::new(sim);
        command.arg("histories").arg(path_of(scenario)).arg("--out").arg(&out);
        simulated(&mut command)?;
        let told = read(&out)?.into_iter();
        all.extend(told.map(|told| (told, Wanted::OneRefused(scenario, names))));
    }
    let limit_s = if deep { LIMIT_DEEP_S } else { LIMIT_S };
    let mut verdicts: Vec<Option<Verdict>> = all.iter().map(|_| None).collect();
    for judge in &JUDGES {
        let mine = all.iter().enumerate().filter(|(_, (told, _))| told.spec == judge.spec);
        let (numbers, told): (Vec<usize>, Vec<&Told>) =
            mine.map(|(nth, (told, _))| (nth, told)).unzip();
        let found = tlc(tools, &folder.join(judge.spec), judge, &told, limit_s)?;
        for (nth, verdict) in numbers.into_iter().zip(found) {
            verdicts[nth] = Some(verdict);
        }
    }
    let verdicts: Option<Vec<Verdict>> = verdicts.into_iter().collect();
    compare(&all, &verdicts.ok_or("a history is of no specification that judges any")?)?;
    let (planted, runs) = (wanted.planted.len(), runs_of(&all[..good]));
    Ok(format!(
        "TLC accepts {good} histories of {runs} runs, refuses {changed} altered ones, \
         and one at least with each of {planted} bugs"
    ))
}

/// A module that judges histories.
struct Judge {
    /// The specification of which histories are behaviours, and the folder of it.
    spec: &'static str,
    /// The module, and its configuration.
    module: &'static str,
    /// What it extends, beside the histories.
    extends: &'static [&'static str],
}

const JUDGES: [Judge; 3] = [
    Judge { spec: "Step", module: "History", extends: &["Job/Job.tla", "Step/Step.tla"] },
    Judge {
        spec: "Failover",
        module: "FailoverHistory",
        extends: &["Failover/Failover.tla", "Job/Life.tla"],
    },
    Judge { spec: "Raft", module: "RaftHistory", extends: &["Raft/Raft.tla"] },
];

fn path_of(scenario: &str) -> String {
    format!("scenarios/negative/{scenario}.toml")
}

fn runs_of(told: &[(Told, Wanted<'_>)]) -> usize {
    let runs: std::collections::BTreeSet<&str> =
        told.iter().map(|(told, _)| told.run.as_str()).collect();
    runs.len()
}

fn simulated(command: &mut Command) -> Result<(), String> {
    match output(command)? {
        (0, _) => Ok(()),
        (code, text) => Err(format!("{command:?} ended with {code}:\n{}", tail(&text))),
    }
}

fn read(path: &Path) -> Result<Vec<Told>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("could not read {}: {error}", path.display()))?;
    let told: Vec<Told> = text.lines().map(Told::read).collect::<Result<_, _>>()?;
    if told.is_empty() { Err(format!("{} holds no history", path.display())) } else { Ok(told) }
}

/// Compares what TLC says with what it should.
fn compare(all: &[(Told, Wanted<'_>)], verdicts: &[Verdict]) -> Result<(), String> {
    let mut planted: BTreeMap<&str, (&[String], Vec<&Verdict>)> = BTreeMap::new();
    let mut wrong: Vec<String> = Vec::new();
    for ((told, wanted), verdict) in all.iter().zip(verdicts) {
        let of = format!("job {} of {}", told.job, told.run);
        match (wanted, verdict) {
            (Wanted::Accepted, Verdict::Accepted) => {}
            (Wanted::Accepted, Verdict::Refused(at, name)) => {
                let event = usize::try_from(*at - 1).ok().and_then(|at| told.told.get(at));
                let event = event.map_or_else(String::new, Value::to_string);
                wrong.push(format!("{of}: {name} forbids event {at}: {event}"));
            }
            (Wanted::OneRefused(scenario, names), verdict) => {
                planted.entry(scenario).or_insert((names, Vec::new())).1.push(verdict);
            }
            (Wanted::Refused(altered), Verdict::Refused(_, name))
                if altered.refused.contains(name) => {}
            (Wanted::Refused(altered), verdict) => {
                let Altered { event, how, refused, .. } = altered;
                wrong.push(format!("{of}, with a {event} {how}: {verdict:?} for {refused:?}"));
            }
        }
    }
    for (scenario, (names, verdicts)) in planted {
        let named = |verdict: &&&Verdict| matches!(verdict, Verdict::Refused(_, name) if names.contains(name));
        if !verdicts.iter().any(|verdict| named(&verdict)) {
            let others = verdicts.iter().filter(|one| ***one != Verdict::Accepted);
            let others: Vec<_> = others.take(WRONG_SHOWN).collect();
            wrong.push(format!("{scenario}: no history is refused by {names:?}: {others:?}"));
        }
    }
    let more = wrong.len().saturating_sub(WRONG_SHOWN);
    wrong.truncate(WRONG_SHOWN);
    match (wrong.is_empty(), more) {
        (true, _) => Ok(()),
        (false, 0) => Err(wrong.join("\n    ")),
        (false, more) => Err(format!("{}\n    and {more} more", wrong.join("\n    "))),
    }
}

/// Writes the histories as a module and has TLC judge them all.
fn tlc(
    tools: &Tools,
    folder: &Path,
    judge: &Judge,
    told: &[&Told],
    limit_s: u64,
) -> Result<Vec<Verdict>, String> {
    let error_of = |error: std::io::Error| format!("{}: {error}", folder.display());
    let states = folder.join("states");
    std::fs::create_dir_all(&states).map_err(error_of)?;
    let Judge { spec, module, extends } = judge;
    let own = [format!("{spec}/{module}.tla"), format!("{spec}/{module}.cfg")];
    for path in own.iter().map(String::as_str).chain(extends.iter().copied()) {
        let name = Path::new(path).file_name().unwrap_or_default();
        std::fs::copy(tools.specs.join(path), folder.join(name)).map_err(error_of)?;
    }
    std::fs::write(folder.join("Histories.tla"), module_of(told)).map_err(error_of)?;
    let mut command = Command::new("timeout");
    command
        .args(["-k", "5", &limit_s.to_string(), "java", "-XX:+UseSerialGC", "-Xss64m", "-Xmx2g"])
        .arg(format!("-XX:SharedArchiveFile={}", classes(tools).display()))
        .arg(format!("-Djava.io.tmpdir={}", states.display()))
        .arg("-cp")
        .arg(&tools.jar)
        .args(["tlc2.TLC", "-workers", "1", "-deadlock", "-metadir"])
        .arg(&states)
        .args(["-config", &format!("{module}.cfg"), &format!("{module}.tla")])
        .current_dir(folder);
    let (code, text) = output(&mut command)?;
    let clean = text.contains("No error has been found") && text.contains("0 states left on queue");
    if code != 0 || !clean || text.contains("\nError") {
        return Err(format!("TLC of {module} ended with {code}:\n{}", tail(&text)));
    }
    verdicts_of(&text, told.len()).map_err(|error| format!("{module}: {error}"))
}

/// `Told`, the sequence of all that was seen.
fn module_of(told: &[&Told]) -> String {
    let mut text = String::from("---- MODULE Histories ----\nEXTENDS Integers, TLC\n");
    // An operator for each: TLC reads a short one faster than a long one.
    for (nth, one) in told.iter().enumerate() {
        let events: Vec<String> = one.told.iter().map(Value::to_string).collect();
        text.push_str(&format!("T{} == <<{}>>\n", nth + 1, events.join(",\n  ")));
    }
    let names: Vec<String> = (1..=told.len()).map(|nth| format!("T{nth}")).collect();
    text.push_str(&format!("Told == <<{}>>\n====\n", names.join(", ")));
    text
}

/// What TLC printed: exactly one verdict for each history.
fn verdicts_of(text: &str, count: usize) -> Result<Vec<Verdict>, String> {
    let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("<<\"")) {
        let Value::Seq(parts) = text::value(line)? else { continue };
        let (number, verdict) = match parts.as_slice() {
            [Value::Str(word), Value::Int(number)] if word == "accepted" => {
                (number, Verdict::Accepted)
            }
            [Value::Str(word), Value::Int(number), Value::Int(at), Value::Str(name)]
                if word == "refused" =>
            {
                let name = action_of(name).unwrap_or(name);
                (number, Verdict::Refused(*at, String::from(name)))
            }
            _ => continue,
        };
        let number = usize::try_from(*number).map_err(|error| error.to_string())?;
        if verdicts.insert(number, verdict.clone()).is_some_and(|other| other != verdict) {
            return Err(format!("TLC has two verdicts of history {number}"));
        }
    }
    let missing = || format!("TLC has {} verdicts of {count} histories", verdicts.len());
    let all: Option<Vec<Verdict>> = (1..=count).map(|nth| verdicts.get(&nth).cloned()).collect();
    all.filter(|all| all.len() == verdicts.len()).ok_or_else(missing)
}

/// Whether an event is of this kind.
pub(crate) fn is_of_kind(event: &Value, kind: &str) -> bool {
    let is = |value: Option<&Value>| value == Some(&Value::string(kind));
    is(value_of(event, "kind")) || is(value_of(event, "cmd").and_then(|cmd| value_of(cmd, "kind")))
}

#[cfg(test)]
mod tests {
    use super::{Verdict, verdicts_of};

    #[test]
    fn every_history_has_one_verdict() {
        let text = "Starting...\n<<\"accepted\", 2>>\n<<\"refused\", 1, 7, \"epilog\">>\n";
        let refused = Verdict::Refused(7, "EpilogDone".into());
        assert_eq!(verdicts_of(text, 2), Ok(vec![refused, Verdict::Accepted]));
        assert!(verdicts_of(text, 3).unwrap_err().contains("2 verdicts of 3"));
        assert!(verdicts_of(text, 1).is_err(), "a verdict of what was not asked");
        let both = "<<\"accepted\", 1>>\n<<\"refused\", 1, 7, \"StartsOnce\">>\n";
        assert!(verdicts_of(both, 1).is_err());
    }
}
