//! Histories of Raft: what a run shows of the members' votes and logs, as events of `RaftHistory.tla`.

use flurm_raft::witness::{Ballot, Carried, Change, Position, Visible};
use tla_eval::Value;

use crate::history::Told;

/// What was seen of the members of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftHistory(pub Vec<RaftSeen>);

/// Something that was seen of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftSeen {
    /// Which member.
    pub member: u64,
    /// What.
    pub what: Visible,
    /// Where it says that something is on its disk: that it would survive a loss of power.
    pub durable: bool,
}

type Fields = Vec<(&'static str, Value)>;

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn member(id: u64) -> Value {
    Value::string(format!("c{id}"))
}

/// Nobody's vote is the vote of term 0.
fn ballot(vote: Option<Ballot>) -> Fields {
    let of = vote.map_or_else(|| Value::string("none"), |vote| member(vote.candidate));
    vec![
        ("term", number(vote.map_or(0, |vote| vote.term))),
        ("of", of),
        ("elected", Value::Bool(vote.is_some_and(|vote| vote.elected))),
    ]
}

/// An empty log ends at place 0, as one does that holds the first membership alone.
fn position(at: Option<Position>) -> Fields {
    let (index, term) = at.map_or((0, 0), |at| (at.index, at.term));
    vec![("index", number(index)), ("at", number(term))]
}

fn groups(carried: &Carried) -> Value {
    match carried {
        Carried::Blank | Carried::Command => Value::set([]),
        Carried::Members(groups) => {
            let group = |ids: &Vec<u64>| Value::set(ids.iter().map(|id| member(*id)));
            Value::set(groups.iter().map(group))
        }
    }
}

/// The event's kind and fields; `None` where the specification has none.
fn told(seen: &RaftSeen) -> Option<(&'static str, Fields)> {
    let place = |index: &Option<u64>| vec![("index", number(index.unwrap_or(0)))];
    Some(match &seen.what {
        Visible::Opened(vote, last) => ("opened", [ballot(*vote), position(*last)].concat()),
        Visible::Voted(vote) => ("voted", ballot(Some(*vote))),
        Visible::Granted(vote, last) => {
            ("granted", [ballot(Some(*vote)), position(*last)].concat())
        }
        Visible::Appended(at, carried) => {
            let mut fields = position(Some(*at));
            fields.push(("groups", groups(carried)));
            ("appended", fields)
        }
        Visible::Cut(after) => ("cut", place(after)),
        Visible::Purged(upto) => ("purged", position(Some(*upto))),
        Visible::Writes(Change::Entry(at)) if at.index == 0 => return None,
        Visible::Writes(Change::Entry(at)) => ("entry", position(Some(*at))),
        Visible::Writes(Change::Vote(vote)) => ("vote", ballot(Some(*vote))),
        Visible::Writes(Change::Cut(after)) => ("void", place(after)),
        Visible::Writes(Change::Reset(at)) => ("reset", position(Some(*at))),
        Visible::Written => ("written", vec![("durable", Value::Bool(seen.durable))]),
        Visible::Committed(upto) => ("committed", position(Some(*upto))),
        Visible::Applied(..) => return None,
    })
}

impl RaftHistory {
    /// The line that is written down. `run` names the run.
    pub fn line(&self, run: &str) -> String {
        let value = |seen: &RaftSeen| {
            let (kind, fields) = told(seen)?;
            let named = [("kind", Value::string(kind)), ("by", member(seen.member))];
            let fields = named.into_iter().chain(fields);
            Some(Value::record(fields.map(|(name, value)| (String::from(name), value))))
        };
        let told = self.0.iter().filter_map(value).collect();
        Told { spec: "Raft".into(), run: run.into(), job: 0, told }.line()
    }
}
