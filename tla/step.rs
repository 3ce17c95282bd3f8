//! Judges one step of one job by `Step.tla`.
//!
//! The specification is evaluated as it stands, by an evaluator for TLA+. Steps that look alike but
//! for the names of nodes and the numbers of attempts are evaluated once.

use std::collections::{BTreeMap, BTreeSet};

use flurm_model::NodeName;
use tla_eval::{Evaluator, Spec, State, Value};

use crate::job_view::{JobView, absent, record};

const ORACLE: &str = include_str!("Step/StepOracle.tla");
const STEP: &str = include_str!("Step/Step.tla");
const JOB: &str = include_str!("Job/Job.tla");
/// Judged steps that are remembered at most.
const KNOWN_MAX: usize = 100_000;
/// What is shown of the actions that came closest.
const BLOCKED_MAX: usize = 1;

/// A committed command, as far as it is about one job: the record of `Step.tla`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct About<N = NodeName> {
    /// Which command.
    pub kind: &'static str,
    /// It names the job, or its array.
    pub named: bool,
    /// The attempt it names is current.
    pub current: bool,
    /// The node it names.
    pub node: Option<N>,
    /// Nodes of a start, in order; nodes that a configuration leaves out.
    pub places: Vec<N>,
    /// Nodes whose end needs no confirmation.
    pub answered: Vec<N>,
    /// What else is true of it.
    pub marks: BTreeSet<&'static str>,
}

impl<N> About<N> {
    pub(crate) fn renamed<M>(&self, mut name: impl FnMut(&N) -> M) -> About<M> {
        About {
            kind: self.kind,
            named: self.named,
            current: self.current,
            node: self.node.as_ref().map(&mut name),
            places: self.places.iter().map(&mut name).collect(),
            answered: self.answered.iter().map(&mut name).collect(),
            marks: self.marks.clone(),
        }
    }
}

impl<N: AsRef<str>> About<N> {
    pub(crate) fn value(&self) -> Value {
        let node = |node: &N| Value::string(node.as_ref());
        record([
            ("kind", Value::string(self.kind)),
            ("named", Value::Bool(self.named)),
            ("current", Value::Bool(self.current)),
            ("node", self.node.as_ref().map_or_else(|| Value::string("none"), node)),
            ("where", Value::set(self.places.iter().map(node))),
            ("answered", Value::set(self.answered.iter().map(node))),
            ("marks", Value::set(self.marks.iter().map(|mark| Value::string(*mark)))),
        ])
    }
}

/// A step of a job. Nodes are of any kind: names, or numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step<N = NodeName> {
    /// The job before; `None` when there was none.
    pub before: Option<JobView<N>>,
    /// The command.
    pub about: About<N>,
    /// The job after.
    pub after: Option<JobView<N>>,
    /// It has another attempt now.
    pub again: bool,
}

impl Step {
    /// The same with the nodes numbered in the order of their appearance.
    fn numbered(&self) -> Step<String> {
        let mut names: BTreeMap<NodeName, usize> = BTreeMap::new();
        let mut name = |node: &NodeName| {
            let next = names.len() + 1;
            format!("n{}", *names.entry(node.clone()).or_insert(next))
        };
        let before = self.before.as_ref().map(|job| job.renamed(&mut name));
        let after = self.after.as_ref().map(|job| job.renamed(&mut name));
        let about = self.about.renamed(&mut name);
        Step { before, about, after, again: self.again }
    }
}

impl<N: AsRef<str>> Step<N> {
    /// The specification's variables before and after.
    fn states(&self) -> (State, State) {
        let number = if self.again { 2 } else { 1 };
        let side = |job: &Option<JobView<N>>, number: i64| {
            let job = job.as_ref().map_or_else(absent, |job| job.value(number));
            let named = [("job", job), ("cmd", self.about.value())];
            State::from(named.map(|(name, value)| (String::from(name), value)))
        };
        (side(&self.before, 1), side(&self.after, number))
    }
}

/// The action of `Step.tla` that is about each kind of command.
pub(crate) const ACTIONS: [(&str, &str); 17] = [
    ("submit", "Submit"),
    ("divide", "Submit"),
    ("schedule", "Start"),
    ("kill", "Kill"),
    ("over", "GivenBack"),
    ("time-limit", "TimeLimit"),
    ("requeue", "Requeue"),
    ("update", "Update"),
    ("configure", "Configure"),
    ("purge", "Purge"),
    ("confirmed", "Confirmed"),
    ("refused", "Refused"),
    ("complete", "Completed"),
    ("epilog", "EpilogDone"),
    ("registered", "Registered"),
    ("silent", "Silent"),
    ("down", "Down"),
];

pub(crate) fn action_of(kind: &str) -> Option<&'static str> {
    ACTIONS.iter().find(|(known, _)| *known == kind).map(|(_, action)| *action)
}

/// A module and those it extends as one: to extend is to include. The evaluator reads an argument in
/// the module of the operator, where the caller's variables are not declared.
fn as_one(modules: &[&str]) -> String {
    let is_frame = |line: &&str| {
        line.starts_with("EXTENDS ") || line.contains(" MODULE ") || line.starts_with("=====")
    };
    let mut text = String::from("---- MODULE StepOracle ----\nEXTENDS Integers, FiniteSets\n");
    for module in modules {
        for line in module.lines().filter(|line| !is_frame(line)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push_str("====\n");
    text
}

/// The specification of a step, ready to judge.
#[derive(Debug)]
pub struct StepSpec(Spec);

impl StepSpec {
    /// Reads `Step.tla` as this program was built with it.
    ///
    /// # Errors
    /// What the evaluator does not understand.
    pub fn read() -> Result<Self, String> {
        Self::of(STEP)
    }

    fn of(step: &str) -> Result<Self, String> {
        let text = as_one(&[JOB, step, ORACLE]);
        Spec::parse(&text).map(Self).map_err(|error| error.to_string())
    }

    /// Judges by it.
    ///
    /// # Errors
    /// What the evaluator does not understand.
    pub fn judge(&self) -> Result<StepJudge<'_>, String> {
        // The bounds are the model checkers'.
        let none = || Value::set([]);
        let constants = [("Bugs", none()), ("Machines", none()), ("MaxAttempts", Value::Int(0))];
        let constants = constants.map(|(name, value)| (String::from(name), value));
        let evaluator = Evaluator::new(&self.0, BTreeMap::from(constants));
        let evaluator = evaluator.map_err(|error| error.to_string())?;
        Ok(StepJudge { evaluator, allowed: BTreeSet::new() })
    }
}

/// Judges steps, and remembers those that are allowed.
pub struct StepJudge<'a> {
    evaluator: Evaluator<'a>,
    allowed: BTreeSet<Step<String>>,
}

impl std::fmt::Debug for StepJudge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a judge who knows {} steps", self.allowed.len())
    }
}

impl StepJudge<'_> {
    /// Whether the specification has this step.
    ///
    /// # Errors
    /// The action, and the conjunct of it that does not hold.
    pub fn judge(&mut self, step: &Step) -> Result<(), String> {
        let step = step.numbered();
        if self.allowed.contains(&step) {
            return Ok(());
        }
        let (before, after) = step.states();
        match self.evaluator.step_allowed("Allowed", &before, &after) {
            Ok(true) => {
                if self.allowed.len() < KNOWN_MAX {
                    self.allowed.insert(step);
                }
                Ok(())
            }
            Ok(false) => Err(self.refusal(&step, &before, &after)),
            Err(error) => Err(format!("Step.tla cannot be evaluated: {error}")),
        }
    }

    fn refusal(&self, step: &Step<String>, before: &State, after: &State) -> String {
        let step_text = format!("a {} makes {} of {}", before["cmd"], after["job"], before["job"]);
        let Some(action) = action_of(step.about.kind) else {
            return format!("no action: this command leaves jobs alone; {step_text}");
        };
        let blocked = match self.evaluator.why_not("Allowed", before, after) {
            Ok(blocked) => blocked,
            Err(error) => return format!("{action}: {error}; {step_text}"),
        };
        let mine = |blocked: &&tla_eval::Blocked| blocked.action.split('(').next() == Some(action);
        let told: Vec<String> = blocked
            .iter()
            .filter(mine)
            .take(BLOCKED_MAX)
            .map(|one| {
                let (satisfied, total) = (one.satisfied, one.total);
                format!("\"{}\" does not hold ({satisfied} of {total} do)", one.conjunct)
            })
            .collect();
        assert!(!told.is_empty(), "the evaluator looks at every action of Step.tla");
        format!("{action}: {}; {step_text}", told.join("; "))
    }
}

#[cfg(test)]
mod tests;
