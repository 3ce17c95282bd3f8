//! Histories of the log: what a run shows of it, as events of `FailoverHistory.tla`.

use std::collections::{BTreeMap, BTreeSet};

use tla_eval::Value;

use crate::history::Told;
use crate::job_view::record;

/// Something that was seen of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSeen {
    /// A member's process began.
    Started {
        /// Which member.
        member: u64,
    },
    /// A member applied a command.
    Applied {
        /// Which member.
        member: u64,
        /// The command's place.
        index: u64,
        /// The term of its entry.
        term: u64,
    },
    /// A member applied the entry that a leader began with.
    Began {
        /// Which member.
        member: u64,
        /// The entry's place.
        index: u64,
        /// The leader's term.
        term: u64,
    },
    /// A member wrote its state down, as a snapshot.
    Kept {
        /// Which member.
        member: u64,
        /// Tells states apart.
        state: u64,
    },
    /// A member took its state from a snapshot.
    Restored {
        /// Which member.
        member: u64,
        /// Tells states apart.
        state: u64,
    },
    /// A member believes that it leads, or was elected.
    Leads {
        /// Which member.
        member: u64,
        /// The term.
        term: u64,
    },
    /// A proposal was answered: it is committed.
    Acknowledged {
        /// By which member.
        member: u64,
        /// The command's place.
        index: u64,
    },
    /// A member was asked to read.
    Asked {
        /// Which member.
        member: u64,
    },
    /// A read may be answered.
    Answered {
        /// By which member.
        member: u64,
        /// Which of the things seen asked for it.
        read: usize,
        /// Up to where the state shows the log.
        index: u64,
    },
}

/// What was seen of a run's log, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogHistory(pub Vec<LogSeen>);

/// An entry: its term, and whether a leader begins with it.
#[derive(Clone, Copy)]
struct Entry {
    term: u64,
    first: bool,
}

/// The whole log of a run, from what members applied of it.
struct Log {
    entries: BTreeMap<u64, Entry>,
    leaders: BTreeMap<u64, u64>,
    /// The numbers of terms.
    numbers: BTreeMap<u64, u64>,
}

impl Log {
    fn of(history: &[LogSeen]) -> Self {
        let (mut entries, mut leaders) = (BTreeMap::new(), BTreeMap::new());
        for seen in history {
            match *seen {
                LogSeen::Applied { index, term, .. } => {
                    entries.entry(index).or_insert(Entry { term, first: false });
                }
                LogSeen::Began { index, term, .. } => {
                    entries.entry(index).or_insert(Entry { term, first: true });
                }
                LogSeen::Leads { member, term } => drop(leaders.entry(term).or_insert(member)),
                LogSeen::Started { .. }
                | LogSeen::Kept { .. }
                | LogSeen::Restored { .. }
                | LogSeen::Acknowledged { .. }
                | LogSeen::Asked { .. }
                | LogSeen::Answered { .. } => {}
            }
        }
        let terms: BTreeSet<u64> = entries.values().map(|entry: &Entry| entry.term).collect();
        let numbers = (1..).zip(terms).map(|(number, term)| (term, number)).collect();
        Self { entries, leaders, numbers }
    }

    /// A term whose leader was never seen has none that a later event could fit.
    fn leader(&self, term: u64) -> u64 {
        self.leaders.get(&term).copied().unwrap_or(0)
    }
}

/// Puts events into the order in which they must have happened.
struct Teller<'a> {
    log: &'a Log,
    committed: u64,
    /// What each member has applied, and how much of it was told.
    applied: BTreeMap<u64, (u64, u64)>,
    told: Vec<Value>,
}

impl Teller<'_> {
    fn event(&mut self, kind: &str, member: u64, term: u64, index: u64) {
        let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        self.told.push(record([
            ("kind", Value::string(kind)),
            ("by", Value::string(format!("c{member}"))),
            ("term", number(term)),
            ("index", number(index)),
        ]));
    }

    /// Entries up to here are committed.
    fn commit(&mut self, upto: u64) {
        while self.committed < upto {
            self.committed += 1;
            let Some(entry) = self.log.entries.get(&self.committed) else { continue };
            let kind = if entry.first { "elected" } else { "committed" };
            let (leader, number) = (self.log.leader(entry.term), self.log.numbers[&entry.term]);
            self.event(kind, leader, number, self.committed);
        }
    }

    /// A member has applied entries up to here, the last one of this term.
    fn apply(&mut self, member: u64, upto: u64, term: Option<u64>) {
        self.commit(upto);
        let (applied, _) = self.applied.entry(member).or_default();
        *applied = (*applied).max(upto);
        let of_log = self.log.entries.get(&upto).map(|entry| entry.term);
        if let Some(term) = term.filter(|term| Some(*term) != of_log) {
            let number = self.log.numbers.get(&term).copied().unwrap_or(0);
            self.event("applied", member, number, upto);
        }
    }

    /// Tells what a member has applied, before it says anything.
    fn catch_up(&mut self, member: u64) {
        let (applied, told) = self.applied.get(&member).copied().unwrap_or_default();
        if told < applied {
            self.applied.insert(member, (applied, applied));
            let term =
                self.log.entries.get(&applied).map_or(0, |entry| self.log.numbers[&entry.term]);
            self.event("applied", member, term, applied);
        }
    }

    fn tell(&mut self, nth: usize, seen: LogSeen, reads: &BTreeSet<usize>) {
        match seen {
            LogSeen::Started { member } => {
                if self.applied.remove(&member).is_some() {
                    self.event("restarted", member, 0, 0);
                }
            }
            LogSeen::Applied { member, index, term } | LogSeen::Began { member, index, term } => {
                self.apply(member, index, Some(term));
            }
            LogSeen::Kept { member, state } => self.event("kept", member, 0, state),
            LogSeen::Restored { member, state } => self.event("restored", member, 0, state),
            LogSeen::Leads { member, term } => {
                if let Some(number) = self.log.numbers.get(&term).copied() {
                    self.event("leads", member, number, 0);
                }
            }
            LogSeen::Acknowledged { member, index } => {
                self.catch_up(member);
                self.event("acknowledged", member, 0, index);
            }
            LogSeen::Asked { member } if reads.contains(&nth) => {
                self.catch_up(member);
                self.event("asked", member, 0, 0);
            }
            LogSeen::Answered { member, read, index } if reads.contains(&read) => {
                self.apply(member, index, None);
                self.catch_up(member);
                self.event("answered", member, 0, index);
            }
            LogSeen::Asked { .. } | LogSeen::Answered { .. } => {}
        }
    }
}

impl LogHistory {
    /// Reads that were answered by the process that was asked, one at a time for each member.
    fn reads(&self) -> BTreeSet<usize> {
        let (mut reads, mut until) = (BTreeSet::new(), BTreeMap::<u64, usize>::new());
        for (nth, seen) in self.0.iter().enumerate() {
            let LogSeen::Answered { member, read, .. } = *seen else { continue };
            let restarts = |seen: &LogSeen| *seen == LogSeen::Started { member };
            let free = until.get(&member).is_none_or(|until| *until < read);
            if free && !self.0[read..nth].iter().any(restarts) {
                reads.insert(read);
                until.insert(member, nth);
            }
        }
        reads
    }

    /// The line that is written down. `run` names the run.
    pub fn line(&self, run: &str) -> String {
        let log = Log::of(&self.0);
        let (applied, told) = (BTreeMap::new(), Vec::new());
        let mut teller = Teller { log: &log, committed: 0, applied, told };
        let reads = self.reads();
        let mut last: BTreeMap<u64, LogSeen> = BTreeMap::new();
        for (nth, seen) in self.0.iter().enumerate() {
            // A belief is told once.
            if let LogSeen::Leads { member, .. } = seen
                && last.insert(*member, *seen) == Some(*seen)
            {
                continue;
            }
            teller.tell(nth, *seen, &reads);
        }
        let told = teller.told;
        Told { spec: "Failover".into(), run: run.into(), job: 0, told }.line()
    }
}
