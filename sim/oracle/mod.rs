//! Oracles: judgements over what crossed a boundary. None of them looks into a component.

use crate::world::Nanos;
use crate::world::history::{Effect, History, SeenJob};

/// What an oracle found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The oracle.
    pub oracle: &'static str,
    /// When.
    pub at: Nanos,
    /// What.
    pub text: String,
}

/// Judges a whole history.
pub trait Oracle {
    /// Its name in scenario files.
    const NAME: &'static str;

    /// The first thing that is wrong.
    fn judge(history: &History) -> Result<(), (Nanos, String)>;
}

macro_rules! oracles {
    ($($file:ident::$oracle:ident),* $(,)?) => {
        $(mod $file;)*

        /// Names of all oracles.
        pub const NAMES: &[&str] = &[$($file::$oracle::NAME),*];

        /// Lets the named oracle judge.
        ///
        /// # Panics
        /// When there is no oracle of this name; scenario files are checked when they are read.
        pub fn judge(name: &str, history: &History) -> Option<Violation> {
            match name {
                $($file::$oracle::NAME => one::<$file::$oracle>(history),)*
                other => unreachable!("scenario files name known oracles only, not {other}"),
            }
        }
    };
}

oracles! {
    job_exists_once::JobExistsOnce,
    no_double_launch::NoDoubleLaunch,
    within_capacity::WithinCapacity,
    every_job_ends::EveryJobEnds,
    reads_never_go_back::ReadsNeverGoBack,
    cancel_is_final::CancelIsFinal,
    over_means_gone::OverMeansGone,
    queue_is_fair::QueueIsFair,
    time_limits_hold::TimeLimitsHold,
    holds_are_kept::HoldsAreKept,
    nothing_is_disturbed::NothingIsDisturbed,
    output_is_whole::OutputIsWhole,
    exit_code_is_told::ExitCodeIsTold,
    arrays_are_whole::ArraysAreWhole,
    success_comes_first::SuccessComesFirst,
    drains_are_kept::DrainsAreKept,
    features_are_met::FeaturesAreMet,
    licenses_suffice::LicensesSuffice,
    devices_are_exclusive::DevicesAreExclusive,
    reservations_are_kept::ReservationsAreKept,
    suspended_jobs_rest::SuspendedJobsRest,
}

fn one<O: Oracle>(history: &History) -> Option<Violation> {
    O::judge(history).err().map(|(at, text)| Violation { oracle: O::NAME, at, text })
}

/// What is still missing after healing; empty when everything is done.
pub fn waiting_for(history: &History) -> Vec<String> {
    every_job_ends::waiting_for(history)
}

/// What people call a state number of Slurm's protocol.
pub fn state_name(number: u32) -> &'static str {
    state::name(number)
}

/// The last listing that was asked for after `since`.
fn last_listing(history: &History, since: Nanos) -> Option<&[SeenJob]> {
    history.effects().iter().rev().find_map(|(_, effect)| match effect {
        Effect::Listed { asked, jobs, .. } if *asked >= since => Some(&jobs[..]),
        _ => None,
    })
}

/// Slurm's base states, as the protocol numbers them.
mod state {
    pub(super) const PENDING: u32 = 0;
    pub(super) const RUNNING: u32 = 1;
    pub(super) const SUSPENDED: u32 = 2;
    pub(super) const COMPLETED: u32 = 3;
    pub(super) const FAILED: u32 = 5;
    const BASE: u32 = 0xff;
    const COMPLETING: u32 = 0x8000;

    /// The base state without its flags.
    pub(super) fn base(state: u32) -> u32 {
        state & BASE
    }

    /// Whether a job in this state is over, its node included.
    pub(super) fn is_over(state: u32) -> bool {
        base(state) >= COMPLETED && state & COMPLETING == 0
    }

    /// How far a job has come.
    pub(super) fn rank(state: u32) -> u32 {
        match base(state) {
            PENDING => 0,
            RUNNING | SUSPENDED => 1,
            _ if state & COMPLETING != 0 => 2,
            _ => 3,
        }
    }

    /// As people call it.
    pub(super) fn name(state: u32) -> &'static str {
        const NAMES: [&str; 12] = [
            "PENDING",
            "RUNNING",
            "SUSPENDED",
            "COMPLETED",
            "CANCELLED",
            "FAILED",
            "TIMEOUT",
            "NODE_FAIL",
            "PREEMPTED",
            "BOOT_FAIL",
            "DEADLINE",
            "OUT_OF_MEMORY",
        ];
        if state & COMPLETING != 0 {
            return "COMPLETING";
        }
        NAMES.get(base(state) as usize).copied().unwrap_or("?")
    }
}

#[cfg(test)]
mod invented {
    //! Invented histories for the tests of oracles.

    use super::*;
    use crate::world::history::{Answer, Gone, JobProcess};
    use crate::world::{MachineId, SECOND};

    /// A history told second by second.
    pub(super) struct Tale {
        history: History,
        second: u64,
    }

    impl Tale {
        pub(super) fn new() -> Self {
            let mut history = History::default();
            for node in 1..=2 {
                history.machines.insert(MachineId(node), (format!("n{node}"), 4, 1000));
            }
            Self { history, second: 0 }
        }

        pub(super) fn then(mut self, effect: Effect) -> Self {
            self.second += 1;
            self.history.push(self.second * SECOND, effect);
            self
        }

        pub(super) fn later(mut self, seconds: u64) -> Self {
            self.second += seconds;
            self
        }

        pub(super) fn submitted(self, key: &str, answer: Answer) -> Self {
            self.then(Effect::Submitting { key: key.into(), tries: 0 })
                .then(Effect::Submitted { key: key.into(), answer })
        }

        pub(super) fn starts(self, process: &JobProcess) -> Self {
            self.then(Effect::Started(process.clone()))
        }

        pub(super) fn ends(self, process: &JobProcess, status: u32) -> Self {
            self.then(Effect::Gone(process.clone(), Gone::Ended(status)))
        }

        pub(super) fn listed(self, client: u32, jobs: &[SeenJob]) -> Self {
            let asked = self.second * SECOND;
            self.then(Effect::Listed { client, asked, jobs: jobs.to_vec() })
        }

        pub(super) fn verdict<O: Oracle>(&self) -> String {
            O::judge(&self.history).err().map_or_else(|| "fine".to_owned(), |(_, text)| text)
        }

        pub(super) fn history(&self) -> &History {
            &self.history
        }
    }

    pub(super) fn on(node: u32, job: u32, attempt: &str) -> JobProcess {
        JobProcess {
            machine: MachineId(node),
            pid: 100 + job,
            job: Some(job),
            attempt: Some(attempt.into()),
            key: Some(format!("k{job}")),
            cpus: 2,
            memory_mib: 100,
            uid: 1001,
            task: None,
            left_behind: false,
            devices: None,
        }
    }

    pub(super) fn seen(job: u32, state: u32) -> SeenJob {
        let (name, reason, nodes) = (format!("k{job}"), "None".to_owned(), String::new());
        SeenJob { job, name, state, restarts: 0, reason, nodes, exit: 0, lasts_s: 0 }
    }
}
