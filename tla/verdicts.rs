//! Reads what the model checkers say. Nothing but a complete search is a verdict: a crash, a limit, or
//! words that are not known are errors.

use std::collections::BTreeMap;

use crate::manifest::Check;

/// How many times an action was taken, by TLC's name of it.
pub(crate) type Coverage = BTreeMap<String, u64>;

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
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

/// TLC's exit codes (`EC.ExitStatus`).
const TLC_OK: i32 = 0;
const TLC_INVARIANT: i32 = 12;
const TLC_PROPERTY: i32 = 13;
/// Of timeout(1).
const TIMED_OUT: i32 = 124;

/// What TLC found.
///
/// # Errors
/// It crashed, ran into a limit, left something undone, or said something unknown.
pub(crate) fn verdict_of_tlc(code: i32, text: &str, check: &Check) -> Result<Verdict, String> {
    let clean = text.contains("No error has been found") && text.contains("0 states left on queue");
    match code {
        TLC_OK if clean && !text.contains("\nError") => {
            let states = between(text, "states generated, ", " distinct states found, 0 ");
            let states = states.and_then(|states| states.replace(',', "").parse().ok());
            Ok(Verdict::Holds(states.ok_or("TLC did not say how many states there are")?))
        }
        TLC_PROPERTY if check.refines.is_some() => refinement_of(text, check),
        TLC_INVARIANT => named_by(text, "Error: Invariant "),
        TLC_PROPERTY if text.contains("Temporal properties were violated") => {
            // It does not say which: a configuration that must fail has only one.
            Ok(Verdict::Violated(check.violates.clone().unwrap_or_else(|| "a property".into())))
        }
        TLC_PROPERTY => named_by(text, "Error: Action property "),
        TIMED_OUT => Err(format!("TLC was not done after {} s", check.limit_s)),
        code => Err(format!("TLC ended with {code}:\n{}", tail(text))),
    }
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
pub(crate) fn coverage_of(text: &str) -> Coverage {
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

/// What tla-checker found.
///
/// # Errors
/// As for TLC.
pub(crate) fn verdict_of_second(code: i32, text: &str, check: &Check) -> Result<Verdict, String> {
    let violated = |prefix: &str, suffix: &str| between(text, prefix, suffix).map(String::from);
    match code {
        0 if text.contains("No errors found") => {
            let states = between(text, "Reachable states: ", "\n");
            let states = states.and_then(|states| states.trim().parse().ok());
            Ok(Verdict::Holds(states.ok_or("tla-checker did not count the states")?))
        }
        1 => {
            let refined = violated("a transition is neither a ", "!Next step nor a stutter");
            let name = refined
                .map(|alias| format!("Refines{alias}"))
                .or_else(|| violated("Liveness property violated: ", "\n"))
                .or_else(|| violated("Action property ", " is violated"))
                .or_else(|| invariant_of(text));
            name.map(Verdict::Violated).ok_or_else(|| format!("tla-checker:\n{}", tail(text)))
        }
        TIMED_OUT => Err(format!("tla-checker was not done after {} s", check.limit_s)),
        code => Err(format!("tla-checker ended with {code}:\n{}", tail(text))),
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

#[cfg(test)]
mod tests {
    use super::{Verdict, coverage_of, verdict_of_second, verdict_of_tlc};
    use crate::manifest::Check;

    fn check(rest: &str) -> Check {
        toml::from_str(&format!("spec = \"S\"\nconfig = \"c\"\nlimit_s = 9\n{rest}")).unwrap()
    }

    const GOOD: &str = "Model checking completed. No error has been found.\n\
        1,200 states generated, 1,100 distinct states found, 0 states left on queue.\n";

    #[test]
    fn only_a_complete_search_holds() {
        let check = check("states = 1100");
        let tlc = |code: i32, text: &str| verdict_of_tlc(code, text, &check);
        assert_eq!(tlc(0, GOOD), Ok(Verdict::Holds(1100)));
        let left = GOOD.replace(", 0 states", ", 7 states");
        for (code, text) in [
            (1, GOOD),
            (124, GOOD),
            (75, "Error: evaluating\n"),
            (150, ""),
            (-1, GOOD),
            (0, ""),
            (0, left.as_str()),
            (0, &format!("{GOOD}\nError: something\n")),
        ] {
            assert!(tlc(code, text).is_err(), "{code} {text}");
        }
        assert_eq!(tlc(124, GOOD).unwrap_err(), "TLC was not done after 9 s");
    }

    #[test]
    fn the_second_checker_is_believed_no_more() {
        let check = check("states = 7");
        let second = |code: i32, text: &str| verdict_of_second(code, text, &check);
        let good = "No errors found.\n  Reachable states: 7\n";
        assert_eq!(second(0, good), Ok(Verdict::Holds(7)));
        for (code, text) in [
            (0, "Reachable states: 7\n"),
            (0, "No errors found.\n"),
            (0, "State limit reached\n  Reachable states: 7\n"),
            (1, good),
            (2, good),
            (101, "panicked"),
            (124, good),
        ] {
            assert!(second(code, text).is_err(), "{code} {text}");
        }
    }

    #[test]
    fn what_is_violated_has_its_name() {
        let plain = check("violates = \"Safe\"");
        let named = |name: &str| Ok(Verdict::Violated(String::from(name)));
        assert_eq!(
            verdict_of_tlc(12, "Error: Invariant Safe is violated.\n", &plain),
            named("Safe")
        );
        let action = "Error: Action property Grows is violated.\n";
        assert_eq!(verdict_of_tlc(13, action, &plain), named("Grows"));
        assert!(verdict_of_tlc(12, "Error: something else\n", &plain).is_err());
        let text = "Invariant 0 (Safe) violated!\n";
        assert_eq!(verdict_of_second(1, text, &plain), named("Safe"));
        let refined = check("violates = \"RefinesLife\"\nrefines = \"Life\"");
        let place = "Error: Action property line 4, col 1 to line 4, col 9 of module";
        let of =
            |module: &str| verdict_of_tlc(13, &format!("{place} {module} is violated."), &refined);
        assert_eq!(of("Life"), named("RefinesLife"));
        assert!(of("Fence").is_err());
        let text = "a transition is neither a Life!Next step nor a stutter\n";
        assert_eq!(verdict_of_second(1, text, &refined), named("RefinesLife"));
    }

    #[test]
    fn the_last_count_of_an_action_counts() {
        let text = "<Go line 1 of module S>: 0:0\n<Go line 1 of module S>: 2:5\n<Stay l>: 0:0\n";
        let coverage = coverage_of(text);
        assert_eq!(coverage["Go line 1 of module S"], 5);
        assert_eq!(coverage["Stay l"], 0);
    }
}
