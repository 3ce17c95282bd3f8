//! What a node remembers of the attempts it was asked to run, so that no attempt starts twice, no
//! stale order is obeyed, and an ended attempt stays ended.
//!
//! Input: orders of controllers, each with the term of the leader that gave it. Output: verdicts.
//! The ledger is made durable by `host` before a verdict that starts or ends anything is acted on.
//! It knows nothing of processes; whether an attempt still has any is told to it.

use std::collections::BTreeMap;

use flurm_base::{AttemptId, JobId, Time};
use serde::{Deserialize, Serialize};

use crate::record;

/// Orders to stop or go on remembered at most; beyond it those about the oldest attempts are
/// forgotten. An order is kept until its attempt ends, so there are as many as attempts that live.
pub const PAUSES_MAX: usize = 10_000;

/// Ended attempts remembered at most; beyond it the longest ended are forgotten. A launch order older
/// than this many later ends cannot still be on its way.
pub const ENDED_MAX: usize = 2_000;

/// The format before nodes knew of suspended attempts.
const FORMAT_OLDEST: u16 = 1;
const FORMAT: u16 = 2;
const KIND: [u8; 6] = *b"FLMLDG";

/// Where an attempt stands on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Accepted: its processes were started, or are about to be.
    Launched,
    /// Told to end; processes may remain.
    Ending,
    /// Nothing of it is left, and it must never start again.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    attempt: AttemptId,
    phase: Phase,
    /// When it ended, for forgetting the longest ended first.
    ended_at: Time,
}

/// The verdict on a launch order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchVerdict {
    /// Record it durably, then start it.
    Start,
    /// It was started before: agree, and do nothing.
    AlreadyLaunched,
    /// A newer attempt of the job, or a newer leader, has been seen.
    Stale,
    /// The attempt has ended here, or was told to end before it came.
    Ended,
    /// An older attempt of the job still has processes here.
    OlderAttemptEnding,
    /// The order is for another run of this daemon: it may have been on its way since before the
    /// machine was lost, and what was decided of its attempt since then did not reach this run.
    OtherRun,
}

/// The verdict on an order to end an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminateVerdict {
    /// End its processes, then confirm.
    End,
    /// It is being ended already.
    AlreadyEnding,
    /// Nothing of it is here, and (as recorded now) nothing ever will be.
    NothingHere,
    /// A newer leader has been seen.
    Stale,
}

/// The latest order to stop an attempt or to let it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The attempt.
    pub attempt: AttemptId,
    /// Grows with every such order.
    pub sequence: u32,
    /// It is to be stopped.
    pub stops: bool,
}

/// The verdict on an order to stop an attempt or to let it go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseVerdict {
    /// Record it durably, then obey.
    Obey,
    /// It came before: see that it is obeyed.
    Repeated,
    /// A later order, or another attempt, was seen: there is nothing to do.
    Stale,
}

/// The durable memory of one node daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    term_max: u64,
    start_stamp_last: i64,
    jobs: BTreeMap<JobId, Entry>,
    pauses: BTreeMap<JobId, Pause>,
}

/// The same in format 1.
#[derive(Deserialize)]
struct LedgerBeforePauses {
    term_max: u64,
    start_stamp_last: i64,
    jobs: BTreeMap<JobId, Entry>,
}

impl Ledger {
    /// Judges a launch order and, when it is to start, enters it. `run` is the start stamp of the
    /// run that the controllers knew when they gave the order; `None` where they do not say.
    pub fn on_launch(
        &mut self,
        term: u64,
        run: Option<Time>,
        job: JobId,
        attempt: AttemptId,
    ) -> LaunchVerdict {
        if !self.accept_term(term) {
            return LaunchVerdict::Stale;
        }
        if run.is_some_and(|run| run.secs() != self.start_stamp_last)
            && !flurm_base::planted::is("node_obeys_orders_for_an_earlier_run")
        {
            return LaunchVerdict::OtherRun;
        }
        if let Some(entry) = self.jobs.get(&job) {
            if attempt < entry.attempt && !flurm_base::planted::is("node_starts_older_attempts") {
                return LaunchVerdict::Stale;
            }
            if attempt == entry.attempt {
                return match entry.phase {
                    Phase::Launched => LaunchVerdict::AlreadyLaunched,
                    Phase::Ended if flurm_base::planted::is("node_obeys_a_deposed_leader") => {
                        LaunchVerdict::Start
                    }
                    Phase::Ending | Phase::Ended => LaunchVerdict::Ended,
                };
            }
            if entry.phase != Phase::Ended {
                return LaunchVerdict::OlderAttemptEnding;
            }
        }
        let entry = Entry { attempt, phase: Phase::Launched, ended_at: Time::default() };
        self.jobs.insert(job, entry);
        LaunchVerdict::Start
    }

    /// Judges the launch of a step and, when the attempt has nothing here yet, enters it. The step's
    /// credential was made after the step was committed, so no term has to be asked for.
    pub fn on_step(&mut self, job: JobId, attempt: AttemptId) -> LaunchVerdict {
        if let Some(entry) = self.jobs.get(&job) {
            if attempt < entry.attempt {
                return LaunchVerdict::Stale;
            }
            if attempt == entry.attempt {
                return match entry.phase {
                    Phase::Launched => LaunchVerdict::AlreadyLaunched,
                    Phase::Ending | Phase::Ended => LaunchVerdict::Ended,
                };
            }
            if entry.phase != Phase::Ended {
                return LaunchVerdict::OlderAttemptEnding;
            }
        }
        let entry = Entry { attempt, phase: Phase::Launched, ended_at: Time::default() };
        self.jobs.insert(job, entry);
        LaunchVerdict::Start
    }

    /// Judges an order to end an attempt and enters it. An attempt that was never seen is entered as
    /// ended, so that a launch still on its way finds the door closed.
    pub fn on_terminate(
        &mut self,
        now: Time,
        term: u64,
        job: JobId,
        attempt: AttemptId,
    ) -> TerminateVerdict {
        if !self.accept_term(term) {
            return TerminateVerdict::Stale;
        }
        self.forget_pause(job, attempt);
        let Some(entry) = self.jobs.get_mut(&job) else {
            if flurm_base::planted::is("node_forgets_what_never_came") {
                return TerminateVerdict::NothingHere;
            }
            self.jobs.insert(job, Entry { attempt, phase: Phase::Ended, ended_at: now });
            self.forget_longest_ended();
            return TerminateVerdict::NothingHere;
        };
        if attempt < entry.attempt {
            return TerminateVerdict::NothingHere;
        }
        if attempt > entry.attempt {
            if entry.phase != Phase::Ended {
                // The order names a newer attempt, so the older one has no right to live either.
                entry.phase = Phase::Ending;
                return TerminateVerdict::End;
            }
            *entry = Entry { attempt, phase: Phase::Ended, ended_at: now };
            return TerminateVerdict::NothingHere;
        }
        match entry.phase {
            Phase::Launched => {
                entry.phase = Phase::Ending;
                TerminateVerdict::End
            }
            Phase::Ending => TerminateVerdict::AlreadyEnding,
            Phase::Ended => TerminateVerdict::NothingHere,
        }
    }

    /// That an attempt is to end could not be made durable, so its end was not begun: the order will
    /// be repeated, and must find it as it was.
    pub fn on_end_refused(&mut self, job: JobId, attempt: AttemptId) {
        let entry = self.jobs.get_mut(&job).filter(|entry| entry.attempt == attempt);
        if let Some(entry) = entry.filter(|entry| entry.phase == Phase::Ending) {
            entry.phase = Phase::Launched;
        }
    }

    /// Judges an order to stop an attempt, or to let it go on. It also counts for what comes later of
    /// an attempt that has nothing here yet.
    pub fn on_pause(&mut self, job: JobId, wanted: Pause) -> PauseVerdict {
        let entry = self.jobs.get(&job);
        let over = entry.is_some_and(|entry| {
            let ends = entry.attempt == wanted.attempt && entry.phase != Phase::Launched;
            ends || entry.attempt > wanted.attempt
        });
        if over {
            return PauseVerdict::Stale;
        }
        if let Some(last) = self.pauses.get(&job) {
            let (known, given) = ((last.attempt, last.sequence), (wanted.attempt, wanted.sequence));
            if known == given {
                return PauseVerdict::Repeated;
            }
            if known > given {
                return PauseVerdict::Stale;
            }
        }
        self.pauses.insert(job, wanted);
        if self.pauses.len() > PAUSES_MAX {
            let oldest = self.pauses.iter().min_by_key(|(job, pause)| (pause.attempt, **job));
            let oldest = oldest.map(|(job, _)| *job);
            oldest.map(|job| self.pauses.remove(&job));
        }
        PauseVerdict::Obey
    }

    /// The latest order to stop an attempt or to let it go on.
    pub fn pause(&self, job: JobId, attempt: AttemptId) -> Option<Pause> {
        self.pauses.get(&job).copied().filter(|pause| pause.attempt == attempt)
    }

    /// What is told to end is not to be stopped.
    fn forget_pause(&mut self, job: JobId, attempt: AttemptId) {
        if self.pauses.get(&job).is_some_and(|pause| pause.attempt <= attempt) {
            self.pauses.remove(&job);
        }
    }

    /// Nothing of this attempt is left.
    pub fn on_ended(&mut self, now: Time, job: JobId, attempt: AttemptId) {
        if let Some(entry) = self.jobs.get_mut(&job)
            && entry.attempt == attempt
        {
            entry.phase = Phase::Ended;
            entry.ended_at = now;
            self.forget_pause(job, attempt);
        }
        self.forget_longest_ended();
    }

    /// The attempts that are launched or ending, for registration.
    pub fn live(&self) -> impl Iterator<Item = (JobId, AttemptId, Phase)> + '_ {
        let live = self.jobs.iter().filter(|(_, entry)| entry.phase != Phase::Ended);
        live.map(|(job, entry)| (*job, entry.attempt, entry.phase))
    }

    /// Where an attempt stands, when it is the newest known of its job.
    pub fn phase(&self, job: JobId, attempt: AttemptId) -> Option<Phase> {
        let entry = self.jobs.get(&job).filter(|entry| entry.attempt == attempt)?;
        Some(entry.phase)
    }

    /// A start stamp for this run of the daemon: the wall clock's whole seconds, yet always larger
    /// than that of any earlier run, whatever the wall clock does.
    pub fn next_start_stamp(&mut self, wall: Time) -> Time {
        let stamp = wall.secs().max(self.start_stamp_last + 1);
        self.start_stamp_last = stamp;
        Time::from_secs(stamp)
    }

    /// The bytes to keep on disk.
    pub fn encode(&self) -> Vec<u8> {
        record::encode(KIND, FORMAT, self)
    }

    /// Reads what [`Ledger::encode`] wrote. Anything else is an error: a node that has forgotten what
    /// it ran must not guess.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        if record::format_of(bytes) != Some(FORMAT_OLDEST) {
            return record::decode(KIND, FORMAT, bytes);
        }
        let before: LedgerBeforePauses = record::decode(KIND, FORMAT_OLDEST, bytes)?;
        let LedgerBeforePauses { term_max, start_stamp_last, jobs } = before;
        Ok(Self { term_max, start_stamp_last, jobs, pauses: BTreeMap::new() })
    }

    fn accept_term(&mut self, term: u64) -> bool {
        if term < self.term_max {
            return flurm_base::planted::is("node_obeys_a_deposed_leader");
        }
        self.term_max = term;
        true
    }

    fn forget_longest_ended(&mut self) {
        let ended = self.jobs.values().filter(|entry| entry.phase == Phase::Ended).count();
        if ended <= ENDED_MAX {
            return;
        }
        let by_end = |(job, entry): (&JobId, &Entry)| (entry.ended_at, *job);
        let of_ended = self.jobs.iter().filter(|(_, entry)| entry.phase == Phase::Ended);
        if let Some((_, oldest)) = of_ended.map(by_end).min() {
            self.jobs.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(7);
    const FIRST: AttemptId = AttemptId(100);
    const SECOND: AttemptId = AttemptId(200);
    /// A launch of `FIRST` in term 3, as format 1 kept it.
    const LEDGER_1: &str = "464c4d4c444700019ad5178403000107640000";

    fn at(secs: i64) -> Time {
        Time::from_secs(secs)
    }

    #[test]
    fn a_repeated_launch_starts_once() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.on_launch(1, None, JOB, FIRST), LaunchVerdict::Start);
        assert_eq!(ledger.on_launch(1, None, JOB, FIRST), LaunchVerdict::AlreadyLaunched);
        ledger.on_ended(at(1), JOB, FIRST);
        assert_eq!(ledger.on_launch(1, None, JOB, FIRST), LaunchVerdict::Ended);
    }

    #[test]
    fn a_launch_that_arrives_after_its_end_is_refused() {
        let mut ledger = Ledger::default();
        let verdict = ledger.on_terminate(at(1), 1, JOB, FIRST);
        assert_eq!(verdict, TerminateVerdict::NothingHere);
        assert_eq!(ledger.on_launch(1, None, JOB, FIRST), LaunchVerdict::Ended);
        assert_eq!(ledger.on_launch(1, None, JOB, SECOND), LaunchVerdict::Start);
    }

    #[test]
    fn a_step_joins_its_attempt_and_never_an_ended_one() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.on_step(JOB, FIRST), LaunchVerdict::Start);
        assert_eq!(ledger.on_step(JOB, FIRST), LaunchVerdict::AlreadyLaunched);
        assert_eq!(ledger.on_terminate(at(1), 1, JOB, FIRST), TerminateVerdict::End);
        assert_eq!(ledger.on_step(JOB, FIRST), LaunchVerdict::Ended);
        assert_eq!(ledger.on_step(JOB, SECOND), LaunchVerdict::OlderAttemptEnding);
        ledger.on_ended(at(2), JOB, FIRST);
        assert_eq!(ledger.on_step(JOB, SECOND), LaunchVerdict::Start);
        assert_eq!(ledger.on_step(JOB, FIRST), LaunchVerdict::Stale);
    }

    #[test]
    fn a_deposed_leader_is_not_obeyed() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.on_launch(5, None, JOB, FIRST), LaunchVerdict::Start);
        assert_eq!(ledger.on_launch(4, None, JobId(8), SECOND), LaunchVerdict::Stale);
        assert_eq!(ledger.on_terminate(at(1), 4, JOB, FIRST), TerminateVerdict::Stale);
        assert_eq!(ledger.phase(JOB, FIRST), Some(Phase::Launched));
    }

    #[test]
    fn an_order_for_an_earlier_run_is_not_obeyed() {
        let mut ledger = Ledger::default();
        let first = Some(ledger.next_start_stamp(at(1_000)));
        let second = Some(ledger.next_start_stamp(at(2_000)));
        assert_eq!(ledger.on_launch(1, first, JOB, FIRST), LaunchVerdict::OtherRun);
        assert_eq!(ledger.phase(JOB, FIRST), None);
        assert_eq!(ledger.on_launch(1, second, JOB, FIRST), LaunchVerdict::Start);
        assert_eq!(ledger.on_launch(1, None, JobId(8), FIRST), LaunchVerdict::Start);
    }

    #[test]
    fn an_end_that_was_not_begun_can_be_ordered_again() {
        let mut ledger = Ledger::default();
        ledger.on_launch(1, None, JOB, FIRST);
        assert_eq!(ledger.on_terminate(at(1), 1, JOB, FIRST), TerminateVerdict::End);
        ledger.on_end_refused(JOB, FIRST);
        assert_eq!(ledger.on_terminate(at(2), 1, JOB, FIRST), TerminateVerdict::End);
        assert_eq!(ledger.on_terminate(at(3), 1, JOB, FIRST), TerminateVerdict::AlreadyEnding);
        ledger.on_ended(at(4), JOB, FIRST);
        ledger.on_end_refused(JOB, FIRST);
        assert_eq!(ledger.phase(JOB, FIRST), Some(Phase::Ended));
    }

    #[test]
    fn a_newer_attempt_waits_until_the_older_one_is_gone() {
        let mut ledger = Ledger::default();
        ledger.on_launch(1, None, JOB, FIRST);
        assert_eq!(ledger.on_launch(1, None, JOB, SECOND), LaunchVerdict::OlderAttemptEnding);
        assert_eq!(ledger.on_terminate(at(1), 1, JOB, FIRST), TerminateVerdict::End);
        assert_eq!(ledger.on_launch(1, None, JOB, SECOND), LaunchVerdict::OlderAttemptEnding);
        ledger.on_ended(at(2), JOB, FIRST);
        assert_eq!(ledger.on_launch(1, None, JOB, SECOND), LaunchVerdict::Start);
        assert_eq!(ledger.on_launch(1, None, JOB, FIRST), LaunchVerdict::Stale);
    }

    #[test]
    fn what_was_written_reads_back_and_damage_is_noticed() {
        let mut ledger = Ledger::default();
        ledger.on_launch(3, None, JOB, FIRST);
        let bytes = ledger.encode();
        assert_eq!(Ledger::decode(&bytes).unwrap(), ledger);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Ledger::decode(&damaged).is_err(), "a flipped bit at {at} went unnoticed");
        }
        assert!(Ledger::decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn what_format_1_wrote_is_read() {
        let mut ledger = Ledger::default();
        ledger.on_launch(3, None, JOB, FIRST);
        let bytes = flurm_base::hex::decode(LEDGER_1).expect("hexadecimal");
        assert_eq!(Ledger::decode(&bytes), Ok(ledger));
    }

    fn pause(sequence: u32, stops: bool) -> Pause {
        Pause { attempt: FIRST, sequence, stops }
    }

    #[test]
    fn the_latest_order_to_stop_or_go_on_counts() {
        let mut ledger = Ledger::default();
        ledger.on_launch(1, None, JOB, FIRST);
        assert_eq!(ledger.on_pause(JOB, pause(1, true)), PauseVerdict::Obey);
        assert_eq!(ledger.on_pause(JOB, pause(1, true)), PauseVerdict::Repeated);
        assert_eq!(ledger.on_pause(JOB, pause(2, false)), PauseVerdict::Obey);
        assert_eq!(ledger.on_pause(JOB, pause(1, true)), PauseVerdict::Stale);
        assert_eq!(ledger.pause(JOB, FIRST), Some(pause(2, false)));
        let read = Ledger::decode(&ledger.encode()).unwrap();
        assert_eq!(read.pause(JOB, FIRST), Some(pause(2, false)));
        ledger.on_terminate(at(1), 1, JOB, FIRST);
        assert_eq!(ledger.pause(JOB, FIRST), None);
        assert_eq!(ledger.on_pause(JOB, pause(3, true)), PauseVerdict::Stale);
        let next = Pause { attempt: SECOND, sequence: 1, stops: true };
        assert_eq!(ledger.on_pause(JOB, next), PauseVerdict::Obey, "before it comes");
        assert_eq!(ledger.pause(JOB, FIRST), None);
        ledger.on_ended(at(2), JOB, FIRST);
        assert_eq!(ledger.pause(JOB, SECOND), Some(next));
    }

    #[test]
    fn start_stamps_grow_although_the_clock_goes_back() {
        let mut ledger = Ledger::default();
        let first = ledger.next_start_stamp(at(1_000));
        let second = ledger.next_start_stamp(at(10));
        assert_eq!((first, second), (at(1_000), at(1_001)));
    }

    #[test]
    fn the_longest_ended_are_forgotten_first() {
        let mut ledger = Ledger::default();
        for number in 0..=ENDED_MAX {
            let job = JobId(u32::try_from(number).unwrap() + 1);
            ledger.on_terminate(at(number as i64), 1, job, FIRST);
        }
        assert_eq!(ledger.phase(JobId(1), FIRST), None);
        assert_eq!(ledger.phase(JobId(2), FIRST), Some(Phase::Ended));
    }
}
