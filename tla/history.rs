//! Histories of a simulation, written down so that a model checker can judge them.
//!
//! A history is what was seen of one job in one run: the commands that changed it, with the job after
//! each, and the processes of its script. It is a line of text: a record of the specifications'
//! values, with nodes numbered in the order of their appearance.

use std::collections::BTreeMap;

use flurm_model::NodeName;
use tla_eval::Value;

use crate::job_view::{absent, record};
use crate::step::Step;
use crate::text;

/// Something that was seen of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A committed command changed it.
    Command(Step),
    /// Its script started, of the attempt with this number.
    Begins(i64, NodeName),
    /// Its script ended, or was lost with its machine.
    Ends(i64, NodeName),
}

/// What was seen of one job, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobHistory(pub Vec<Seen>);

impl JobHistory {
    /// As values of `History.tla`, one for each thing that was seen.
    fn values(&self) -> Vec<Value> {
        let mut names: BTreeMap<NodeName, usize> = BTreeMap::new();
        let mut name = |node: &NodeName| {
            let next = names.len() + 1;
            format!("n{}", *names.entry(node.clone()).or_insert(next))
        };
        let mut attempt = 0;
        let mut values = Vec::new();
        for seen in &self.0 {
            let place = |kind: &str, attempt: i64, node: String| {
                record([
                    ("kind", Value::string(kind)),
                    ("att", Value::Int(attempt)),
                    ("node", Value::string(node)),
                ])
            };
            values.push(match seen {
                Seen::Command(step) => {
                    attempt = match (&step.before, &step.after) {
                        (None, _) => 1,
                        (Some(_), _) => attempt + i64::from(step.again),
                    };
                    let job = step.after.as_ref().map(|job| job.renamed(&mut name));
                    let job = job.map_or_else(absent, |job| job.value(attempt));
                    let cmd = step.about.renamed(&mut name).value();
                    record([("kind", Value::string("command")), ("cmd", cmd), ("job", job)])
                }
                Seen::Begins(attempt, node) => place("begins", *attempt, name(node)),
                Seen::Ends(attempt, node) => place("ends", *attempt, name(node)),
            });
        }
        values
    }

    /// What was seen, as text: the same for jobs that differ in names alone.
    pub fn events(&self) -> Vec<String> {
        self.values().iter().map(Value::to_string).collect()
    }

    /// The line that is written down. `run` names the run, `job` the job.
    pub fn line(&self, run: &str, job: u32) -> String {
        Told { spec: "Step".into(), run: run.into(), job: i64::from(job), told: self.values() }
            .line()
    }
}

/// A history as it is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The specification that judges it.
    pub(crate) spec: String,
    /// The run.
    pub(crate) run: String,
    /// The job; 0 where it is about no job.
    pub(crate) job: i64,
    /// What was seen.
    pub(crate) told: Vec<Value>,
}

impl Told {
    pub(crate) fn line(&self) -> String {
        let fields = [
            ("spec", Value::string(&self.spec)),
            ("run", Value::string(&self.run)),
            ("job", Value::Int(self.job)),
            ("told", Value::Seq(self.told.clone())),
        ];
        record(fields).to_string()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let value = text::value(line)?;
        let field = |name: &str| {
            value_of(&value, name).cloned().ok_or_else(|| format!("a history without `{name}`"))
        };
        let words = |name: &str| match field(name)? {
            Value::Str(text) => Ok(text.to_string()),
            other => Err(format!("`{name}` of a history is {other}")),
        };
        let (Value::Int(job), Value::Seq(told)) = (field("job")?, field("told")?) else {
            return Err("a history needs a job's number, and what was seen of it".into());
        };
        Ok(Self { spec: words("spec")?, run: words("run")?, job, told })
    }
}

/// A field of a record.
pub(crate) fn value_of<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Record(fields) => fields.get(name),
        _ => None,
    }
}
