//! Preemption: jobs that run make room for a job that comes before them.
//!
//! The planner chooses victims, the cluster checks the choice once more: every victim must still run,
//! be of lower rank than the job that waits, and have had its exempt time. All of a choice is done or
//! nothing. A victim with a grace time is warned and ends when that is over; what it holds is free as
//! for every end only once its nodes have confirmed. docs/preemption.md states the protocol.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::{AttemptId, JobId, Span, Time};
use serde::{Deserialize, Serialize};

use crate::apply::Events;
use crate::life::Ending;
use crate::signals::{SIGCONT, SIGTERM};
use crate::{
    Cluster, EndCause, Event, Hold, Job, JobBase, PartitionName, Reason, Reply, SignalRequest,
};

/// `PreemptType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreemptType {
    /// Nobody makes room.
    #[default]
    None,
    /// `preempt/partition_prio`: jobs of lower `PriorityTier`.
    Partition,
    /// `preempt/qos`: jobs whose quality of service is in the `Preempt` list of the other's.
    Qos,
}

/// What becomes of a job that makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreemptMode {
    /// It ends.
    Cancel,
    /// It waits again; a job that cannot run twice ends.
    Requeue,
}

impl PreemptMode {
    /// From Slurm's bits (slurm.h, `PREEMPT_MODE_*`); `None` where jobs make no room.
    pub const fn of_bits(bits: u16) -> Option<Self> {
        const REQUEUE: u16 = 2;
        const CANCEL: u16 = 8;
        match bits & (REQUEUE | CANCEL) {
            REQUEUE => Some(Self::Requeue),
            CANCEL => Some(Self::Cancel),
            _ => None,
        }
    }

    /// From the word of a quality of service.
    fn of_word(word: &str) -> Option<Self> {
        match word {
            "requeue" => Some(Self::Requeue),
            "cancel" => Some(Self::Cancel),
            _ => None,
        }
    }
}

/// Cluster-wide rules of preemption.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preemption {
    /// `PreemptType`.
    pub kind: PreemptType,
    /// `PreemptMode`; `None` where jobs make no room, or would be suspended.
    pub mode: Option<PreemptMode>,
    /// `PreemptExemptTime`: how long a job may run before it makes room.
    pub exempt: Span,
    /// `youngest_first`: who started last makes room first.
    pub youngest_first: bool,
    /// `send_user_signal`: a warning is the signal that the job asked for.
    pub user_signal: bool,
}

/// That an attempt was told to make room and has until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakingRoom {
    /// For which job.
    pub job: JobId,
    /// What becomes of the attempt.
    pub mode: PreemptMode,
    /// When its grace time is over.
    pub until: Time,
}

/// Where a job stands among those that may preempt each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rank {
    /// `PriorityTier` of its partition.
    pub tier: u16,
    /// Its quality of service.
    pub qos: String,
}

/// Who comes before whom. Empty without preemption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranks {
    kind: PreemptType,
    lists: BTreeMap<String, BTreeSet<String>>,
}

impl Ranks {
    /// Ranks by tier alone, for tests of the planner.
    pub fn by_tier() -> Self {
        Self { kind: PreemptType::Partition, lists: BTreeMap::new() }
    }

    /// Whether tiers of partitions decide.
    pub fn are_tiers(&self) -> bool {
        self.kind == PreemptType::Partition
    }

    /// Whether nobody makes room.
    pub fn is_off(&self) -> bool {
        self.kind == PreemptType::None
    }

    /// Whether jobs of one rank make room for a job of the other. Never both ways.
    pub fn yields(&self, victim: &Rank, other: &Rank) -> bool {
        let lists = |one: &Rank, other: &Rank| {
            self.lists.get(&one.qos).is_some_and(|list| list.contains(&other.qos))
        };
        match self.kind {
            PreemptType::None => false,
            PreemptType::Partition => victim.tier < other.tier,
            PreemptType::Qos => {
                let within = victim.qos == other.qos;
                !within && lists(other, victim) && !lists(victim, other)
            }
        }
    }
}

impl Cluster {
    /// Who comes before whom.
    pub fn ranks(&self) -> Ranks {
        let kind = self.settings().preemption.kind;
        let lists = match kind {
            PreemptType::None | PreemptType::Partition => BTreeMap::new(),
            PreemptType::Qos => {
                let list = |qos: &flurm_conf::associations::Qos| {
                    (qos.name.clone(), qos.preempts.iter().cloned().collect())
                };
                self.qos_all().iter().map(list).collect()
            }
        };
        Ranks { kind, lists }
    }

    /// Where a job stands in a partition.
    pub fn rank(&self, job: &Job, partition: &PartitionName) -> Rank {
        let tier = self.partition(partition).map_or(0, |one| one.conf.priority_tier);
        Rank { tier, qos: job.spec.qos.clone().unwrap_or_default() }
    }

    /// What becomes of a job that makes room; `None` where it makes none.
    pub fn preempt_mode(&self, job: &Job) -> Option<PreemptMode> {
        let rules = &self.settings().preemption;
        let mode = match rules.kind {
            PreemptType::None => None,
            PreemptType::Partition => {
                let own = self.partition(&job.partition).and_then(|one| one.conf.preempt_mode);
                own.map_or(rules.mode, PreemptMode::of_bits)
            }
            PreemptType::Qos => {
                let qos = job.spec.qos.as_deref().and_then(|name| self.qos(name));
                let word = qos.map_or("", |qos| qos.preempt_mode.as_str());
                match word {
                    "" | "cluster" => rules.mode,
                    word => PreemptMode::of_word(word),
                }
            }
        };
        let once = job.spec.requeue != Some(true) || !job.is_batch();
        mode.map(|mode| if once { PreemptMode::Cancel } else { mode })
    }

    /// From when on a job that runs may be told to make room (`acct_policy_get_preemptable_time`).
    pub fn preemptable_from(&self, job: &Job) -> Option<Time> {
        let start = job.start?;
        let qos = job.spec.qos.as_deref().and_then(|name| self.qos(name));
        let own = qos.and_then(|qos| qos.exempt_s).map(|seconds| Span::secs(u64::from(seconds)));
        Some(start + own.unwrap_or(self.settings().preemption.exempt))
    }

    fn grace(&self, job: &Job) -> Span {
        let seconds = match self.settings().preemption.kind {
            PreemptType::None => 0,
            PreemptType::Partition => {
                self.partition(&job.partition).map_or(0, |one| one.conf.grace_time_s)
            }
            PreemptType::Qos => {
                let qos = job.spec.qos.as_deref().and_then(|name| self.qos(name));
                qos.map_or(0, |qos| qos.grace_s)
            }
        };
        Span::secs(u64::from(seconds))
    }

    /// Whether a job that runs is to make room and was not told so.
    fn must_yield(
        &self,
        at: Time,
        id: JobId,
        attempt: AttemptId,
        ranks: &Ranks,
        to: &Rank,
    ) -> bool {
        let Some(job) = self.jobs.get(&id).filter(|job| job.attempt == attempt) else {
            return false;
        };
        let runs = job.base == JobBase::Running && job.making_room.is_none();
        let had_its_time = self.preemptable_from(job).is_some_and(|from| from <= at);
        let lower = ranks.yields(&self.rank(job, &job.partition), to);
        runs && had_its_time && lower && self.preempt_mode(job).is_some()
    }

    /// Jobs make room for one that waits: all of them, or none where one no longer has to.
    pub(crate) fn preempt(
        &mut self,
        at: Time,
        waiting: (JobId, AttemptId),
        partition: &PartitionName,
        victims: &[(JobId, AttemptId)],
        events: &mut Events,
    ) -> Reply {
        let (id, attempt) = waiting;
        let Some(job) = self.jobs.get(&id).filter(|job| job.attempt == attempt) else {
            return Reply::Stale;
        };
        let waits = job.is_startable() && job.hold == Hold::None;
        if !waits || !job.partitions.contains(partition) {
            return Reply::Stale;
        }
        let (ranks, rank) = (self.ranks(), self.rank(job, partition));
        let all: BTreeMap<JobId, AttemptId> = victims.iter().copied().collect();
        let yields =
            |(id, attempt): (&JobId, &AttemptId)| self.must_yield(at, *id, *attempt, &ranks, &rank);
        if all.is_empty() || !all.iter().all(yields) {
            return Reply::Stale;
        }
        for victim in all.into_keys() {
            self.tell_to_make_room(at, victim, id, events);
        }
        Reply::Done
    }

    fn tell_to_make_room(&mut self, at: Time, id: JobId, waiting: JobId, events: &mut Events) {
        let job = &self.jobs[&id];
        let mode = self.preempt_mode(job).expect("the caller asked");
        let grace = self.grace(job);
        let wanted = job.spec.warning.filter(|warning| warning.signal > 0 && !job.warned);
        let wanted = wanted.filter(|_| self.settings.preemption.user_signal);
        self.change_job(at, id, |job, _| {
            job.preempt = Some(at);
            job.making_room = Some(MakingRoom { job: waiting, mode, until: at + grace });
            if grace.0 == 0 {
                return;
            }
            let warning = match wanted {
                Some(warning) => (warning.signal, warning.flags),
                None => (SIGTERM, 0),
            };
            job.warned |= wanted.is_some();
            for (signal, flags) in [(SIGCONT, 0), warning] {
                let sequence = job.signal_next;
                job.signal_next = job.signal_next.wrapping_add(1);
                job.signals.push(SignalRequest { sequence, signal, flags, at });
            }
        });
        events.push(Event::JobChanged(id));
        if grace.0 == 0 {
            self.make_room(at, id, events);
        } else {
            flurm_base::sometimes!("a job got time to make room");
        }
    }

    /// The grace time of a job that makes room is over.
    pub(crate) fn make_room(&mut self, at: Time, id: JobId, events: &mut Events) {
        let Some(room) = self.jobs[&id].making_room else { return };
        flurm_base::sometimes!("a job made room for another");
        match room.mode {
            PreemptMode::Cancel => {
                let ending = Ending::new(JobBase::Preempted, EndCause::Preempted, Reason::None);
                self.end_attempt(at, id, ending, events);
            }
            PreemptMode::Requeue => {
                let ending = Ending::new(JobBase::Pending, EndCause::Preempted, Reason::None);
                self.change_job(at, id, |job, _| job.restarts = job.restarts.saturating_add(1));
                self.end_attempt(at, id, ending, events);
            }
        }
    }
}
