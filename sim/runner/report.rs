//! Reports of a whole run for programs: JSON, and JUnit's XML for CI servers.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Exit;
use super::tally::{Failed, Tally};

/// What became of one scenario.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) scenario: String,
    /// passed, failed, unreached, caught, missed or skipped.
    pub(super) outcome: &'static str,
    pub(super) exit: u8,
    pub(super) first: u64,
    /// Real time, seconds.
    pub(super) took_s: f64,
    pub(super) seeds: u64,
    pub(super) simulated_s: f64,
    pub(super) events: u64,
    pub(super) jobs_accepted: u64,
    pub(super) processes_started: u64,
    pub(super) situations: usize,
    /// In how many seeds each mark was reached.
    pub(super) marks: std::collections::BTreeMap<String, u64>,
    pub(super) unreached: Vec<String>,
    pub(super) failures: Vec<Finding>,
}

/// One failure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) kind: String,
    #[serde(flatten)]
    pub(super) failed: Failed,
    /// The command that tells its story.
    pub(super) replay: String,
}

impl Verdict {
    pub(super) fn new(path: &Path, engine: &str, first: u64, tally: &Tally) -> Self {
        let at = path.display();
        let finding = |(kind, failed): (&String, &Failed)| Finding {
            kind: kind.clone(),
            failed: failed.clone(),
            replay: format!("flurm-sim replay {at} --seed {} --engine {engine}", failed.seed),
        };
        let kinds = tally.failures.iter();
        let all = kinds.flat_map(|(kind, failures)| failures.kept.iter().map(move |f| (kind, f)));
        Self {
            scenario: at.to_string(),
            outcome: "passed",
            exit: Exit::Fine as u8,
            first,
            took_s: tally.took_ms as f64 / 1000.0,
            seeds: tally.done,
            simulated_s: tally.simulated as f64 / 1e9,
            events: tally.events,
            jobs_accepted: tally.accepted,
            processes_started: tally.started,
            situations: tally.situations.len(),
            marks: tally.marks.iter().map(|(mark, by)| (mark.clone(), by.seeds)).collect(),
            unreached: Vec::new(),
            failures: all.map(finding).collect(),
        }
    }

    pub(super) fn ends(mut self, outcome: &'static str, exit: Exit) -> Self {
        self.outcome = outcome;
        self.exit = exit as u8;
        self
    }
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) engine: String,
    pub(super) shard: String,
    pub(super) exit: u8,
    /// Marks of the list that no scenario reached.
    pub(super) never_reached: Vec<String>,
    pub(super) scenarios: Vec<Verdict>,
}

/// The report as JSON.
pub(super) fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("a report has texts as keys only")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no way to write other control characters.
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

fn test_case(out: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let path = Path::new(&verdict.scenario);
    let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
    let class = path.parent().map_or_else(String::new, |p| p.display().to_string());
    let (class, name) = (escaped(&class.replace('/', ".")), escaped(&name));
    let took = verdict.took_s;
    writeln!(out, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{took:.3}\">")?;
    match verdict.outcome {
        "skipped" => writeln!(out, "      <skipped message=\"this build cannot plant bugs\"/>")?,
        "passed" | "caught" => {}
        outcome => {
            let first = verdict.failures.first().map_or(outcome, |f| &f.failed.text);
            writeln!(out, "      <failure type=\"{outcome}\" message=\"{}\">", escaped(first))?;
            for finding in &verdict.failures {
                let (seed, text) = (finding.failed.seed, escaped(&finding.failed.text));
                writeln!(out, "seed {seed}: {text}\n  {}", escaped(&finding.replay))?;
            }
            for mark in &verdict.unreached {
                writeln!(out, "never reached: {}", escaped(mark))?;
            }
            writeln!(out, "      </failure>")?;
        }
    }
    writeln!(out, "      <system-out>")?;
    writeln!(out, "{} seeds, {} situations", verdict.seeds, verdict.situations)?;
    for (mark, seeds) in &verdict.marks {
        writeln!(out, "reached in {seeds} seeds: {}", escaped(mark))?;
    }
    writeln!(out, "      </system-out>\n    </testcase>")
}

/// The report as JUnit's XML: each scenario is a test case.
pub(super) fn junit(report: &Report) -> String {
    let count =
        |wanted: fn(&Verdict) -> bool| report.scenarios.iter().filter(|v| wanted(v)).count();
    let failed = count(|verdict| verdict.exit != 0);
    let skipped = count(|verdict| verdict.outcome == "skipped");
    let took: f64 = report.scenarios.iter().map(|verdict| verdict.took_s).sum();
    let facts = format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{took:.3}\"",
        report.scenarios.len()
    );
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let written = (|| {
        writeln!(out, "<testsuites {facts}>")?;
        writeln!(out, "  <testsuite name=\"flurm-sim on {}\" {facts}>", report.engine)?;
        report.scenarios.iter().try_for_each(|verdict| test_case(&mut out, verdict))?;
        writeln!(out, "  </testsuite>\n</testsuites>")
    })();
    written.expect("writing to a string cannot fail");
    out
}

#[cfg(test)]
mod tests {
    use super::super::tally::Failures;
    use super::*;

    fn report() -> Report {
        let mut tally = Tally { done: 10, took_ms: 1500, ..Tally::default() };
        let failed = Failed { seed: 7, text: "a <job> \u{1}ran & ran".into(), exit: 10 };
        let failures = Failures { count: 1, kept: vec![failed] };
        tally.failures.insert("no_double_launch".into(), failures);
        let bad = Verdict::new(Path::new("scenarios/fast/a.toml"), "own", 0, &tally);
        let good = Verdict::new(Path::new("b.toml"), "own", 0, &Tally::default());
        Report {
            engine: "own".into(),
            shard: "1/1".into(),
            exit: 10,
            never_reached: Vec::new(),
            scenarios: vec![bad.ends("failed", Exit::Oracle), good],
        }
    }

    #[test]
    fn a_ci_server_is_told_what_failed_and_how_to_see_it() {
        let text = junit(&report());
        assert!(
            text.contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"1.500\"")
        );
        assert!(text.contains("classname=\"scenarios.fast\" name=\"a\""), "{text}");
        assert!(text.contains("message=\"a &lt;job&gt; ?ran &amp; ran\""), "{text}");
        assert!(text.contains("replay scenarios/fast/a.toml --seed 7 --engine own"), "{text}");
    }

    #[test]
    fn the_json_report_reads_back() {
        let value: serde_json::Value = serde_json::from_str(&json(&report())).unwrap();
        assert_eq!(value["scenarios"][0]["failures"][0]["seed"], 7);
        assert_eq!(value["scenarios"][1]["outcome"], "passed");
        assert_eq!(value["exit"], 10);
    }
}
