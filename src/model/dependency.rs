//! What a job waits for of other jobs: `--dependency`, as written, as judged and as shown.
//!
//! The text form is sbatch(1)'s: conditions joined by `,` (all) or `?` (any). How a condition is
//! judged follows slurmctld's `test_job_dependency`: a job that no longer exists holds nobody
//! back.

use flurm_base::{JobId, Span, Time};
use serde::{Deserialize, Serialize};

use crate::{Errno, Reason, Refusal, TaskSet};

/// How many conditions one job may have.
const CONDITIONS_MAX: usize = 1_000;

/// What is asked of the other job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DependencyKind {
    /// `after`: it has started, this many minutes ago, or was cancelled.
    After {
        /// Minutes.
        delay_min: u32,
    },
    /// `afterany`: it has ended.
    AfterAny,
    /// `afterok`: it has completed with exit code zero.
    AfterOk,
    /// `afternotok`: it has ended otherwise.
    AfterNotOk,
    /// `aftercorr`: of two arrays, the task with the same number has completed.
    AfterCorr,
    /// `afterburstbuffer`: it has ended and its data are staged out.
    AfterBurstBuffer,
    /// `singleton`: no earlier job of the same name and user is left.
    Singleton,
}

impl DependencyKind {
    const fn word(self) -> &'static str {
        match self {
            Self::After { .. } => "after",
            Self::AfterAny => "afterany",
            Self::AfterOk => "afterok",
            Self::AfterNotOk => "afternotok",
            Self::AfterCorr => "aftercorr",
            Self::AfterBurstBuffer => "afterburstbuffer",
            Self::Singleton => "singleton",
        }
    }
}

/// Which tasks of the other job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DependencyTasks {
    /// It is no array.
    None,
    /// Its whole array.
    All,
    /// One task.
    One(u32),
}

/// How far a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DependencyState {
    /// Not yet met.
    Waits,
    /// Met from this time on.
    Due(Time),
    /// Met.
    Met,
    /// It can never be met.
    Failed,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What is asked.
    pub kind: DependencyKind,
    /// Of which job; 0 for `singleton`.
    pub job: JobId,
    /// Of which tasks.
    pub tasks: DependencyTasks,
    /// How far it is.
    pub state: DependencyState,
    /// A task of the whole array has ended badly: its record may be gone when the last one ends.
    pub saw_failure: bool,
}

/// All conditions of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependencies {
    /// One of them is enough.
    pub any: bool,
    /// The conditions. Never empty.
    pub list: Vec<Dependency>,
}

impl Dependencies {
    /// Reads the text; `None` asks for nothing. Tasks are numbered below `size_max`.
    pub fn parse(text: &str, size_max: u32) -> Result<Option<Self>, Refusal> {
        if text.is_empty() || text == "0" {
            return Ok(None);
        }
        let mut parsed = Self { any: text.contains('?'), list: Vec::new() };
        for part in split(text) {
            parse_part(part, size_max, &mut parsed.list)?;
            if parsed.list.len() > CONDITIONS_MAX {
                return Err(refuse(format!("more than {CONDITIONS_MAX} conditions")));
            }
        }
        Ok(Some(parsed))
    }

    /// Why the job waits at `now`; `None` once it need not.
    pub fn reason(&self, now: Time) -> Option<Reason> {
        let met = |one: &Dependency| match one.state {
            DependencyState::Met => true,
            DependencyState::Due(at) => at <= now,
            DependencyState::Waits | DependencyState::Failed => false,
        };
        let failed = |one: &Dependency| one.state == DependencyState::Failed;
        let (done, never) = match self.any {
            true => (self.list.iter().any(met), self.list.iter().all(failed)),
            false => (self.list.iter().all(met), self.list.iter().any(failed)),
        };
        match (done, never) {
            (true, _) => None,
            (false, true) => Some(Reason::DependencyNeverSatisfied),
            (false, false) => Some(Reason::Dependency),
        }
    }

    /// The earliest time after which a condition is met by the passing of time alone.
    pub(crate) fn due(&self) -> Option<Time> {
        let due = |one: &Dependency| match one.state {
            DependencyState::Due(at) => Some(at),
            DependencyState::Waits | DependencyState::Met | DependencyState::Failed => None,
        };
        self.list.iter().filter_map(due).min()
    }
}

impl std::fmt::Display for Dependencies {
    /// As squeue's `%E` and scontrol show it: what is met is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let separator = if self.any { "?" } else { "," };
        let open = self.list.iter().filter(|one| one.state != DependencyState::Met);
        for (nth, one) in open.enumerate() {
            f.write_str(if nth == 0 { "" } else { separator })?;
            f.write_str(one.kind.word())?;
            match (one.kind, one.tasks) {
                (DependencyKind::Singleton, _) => {}
                (_, DependencyTasks::None) => write!(f, ":{}", one.job)?,
                (_, DependencyTasks::All) => write!(f, ":{}_*", one.job)?,
                (_, DependencyTasks::One(task)) => write!(f, ":{}_{task}", one.job)?,
            }
            if let DependencyKind::After { delay_min } = one.kind
                && delay_min > 0
            {
                write!(f, "+{delay_min}")?;
            }
            let failed = one.state == DependencyState::Failed;
            f.write_str(if failed { "(failed)" } else { "(unfulfilled)" })?;
        }
        Ok(())
    }
}

/// What another job has come to, as far as conditions ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// It, or one of its tasks, waits.
    pub(crate) pending: bool,
    /// When it started.
    pub(crate) start: Option<Time>,
    /// All of it has ended and is cleaned up.
    pub(crate) ended: bool,
    /// All of it that has ended has completed well.
    pub(crate) well: bool,
    /// It was queued again in special exit state.
    pub(crate) special: bool,
}

/// How far a condition about another job is.
pub(crate) fn judge(kind: DependencyKind, progress: Progress) -> DependencyState {
    use DependencyState::{Due, Failed, Met, Waits};
    let Progress { pending, start, ended, well, special } = progress;
    match kind {
        DependencyKind::After { .. } if pending => Waits,
        DependencyKind::After { delay_min: 0 } => Met,
        DependencyKind::After { delay_min } => {
            start.map_or(Met, |start| Due(start + Span::secs(u64::from(delay_min) * 60)))
        }
        DependencyKind::AfterNotOk if special => Met,
        _ if !ended => Waits,
        DependencyKind::AfterAny | DependencyKind::AfterBurstBuffer => Met,
        DependencyKind::AfterOk | DependencyKind::AfterCorr => {
            if well {
                Met
            } else {
                Failed
            }
        }
        DependencyKind::AfterNotOk => {
            if well {
                Failed
            } else {
                Met
            }
        }
        DependencyKind::Singleton => Waits,
    }
}

fn refuse(text: impl Into<String>) -> Refusal {
    Refusal::new(Errno::Dependency, text)
}

/// Cuts at the separators outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut depth) = (0, 0_u32);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b',' | b'?' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn parse_part(part: &str, size_max: u32, list: &mut Vec<Dependency>) -> Result<(), Refusal> {
    let unknown = || refuse(format!("{part:?} is no condition"));
    let lower = part.to_ascii_lowercase();
    if let Some(("singleton", state)) = parse_state(&lower) {
        add(list, DependencyKind::Singleton, JobId(0), DependencyTasks::None, state);
        return Ok(());
    }
    let (word, jobs) = match lower.split_once(':') {
        Some((word, jobs)) => (word, jobs),
        // The form of old: a number alone.
        None if lower.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) => {
            ("afterany", lower.as_str())
        }
        None => return Err(unknown()),
    };
    for job in jobs.split(':') {
        let (job, state) = parse_state(job).ok_or_else(unknown)?;
        let (job, delay) = match job.split_once('+') {
            Some((job, delay)) => (job, delay.parse::<u32>().ok().filter(|min| *min > 0)),
            None => (job, Some(0)),
        };
        let delay_min = delay.ok_or_else(unknown)?;
        let kind = match word {
            "after" => DependencyKind::After { delay_min },
            "afterany" => DependencyKind::AfterAny,
            "afterok" => DependencyKind::AfterOk,
            "afternotok" => DependencyKind::AfterNotOk,
            "aftercorr" => DependencyKind::AfterCorr,
            "afterburstbuffer" => DependencyKind::AfterBurstBuffer,
            "expand" => {
                return Err(Refusal::new(Errno::NotSupported, "jobs are not expanded"));
            }
            _ => return Err(unknown()),
        };
        parse_job(job, kind, state, size_max, list).ok_or_else(unknown)?;
    }
    Ok(())
}

/// `7`, `7_3`, `7_*` or `7_[1-3]`.
fn parse_job(
    text: &str,
    kind: DependencyKind,
    state: DependencyState,
    size_max: u32,
    list: &mut Vec<Dependency>,
) -> Option<()> {
    let (job, tasks) = match text.split_once('_') {
        None => (text, None),
        Some((job, tasks)) => (job, Some(tasks)),
    };
    let job = JobId(job.parse::<u32>().ok().filter(|job| *job > 0)?);
    match tasks {
        None => add(list, kind, job, DependencyTasks::None, state),
        Some("*") => add(list, kind, job, DependencyTasks::All, state),
        Some(tasks) => {
            for task in TaskSet::parse(tasks, size_max).ok()?.iter().take(CONDITIONS_MAX + 1) {
                add(list, kind, job, DependencyTasks::One(task), state);
            }
        }
    }
    Some(())
}

/// What stands in brackets behind a condition that was copied from scontrol's output.
fn parse_state(text: &str) -> Option<(&str, DependencyState)> {
    match text.split_once('(') {
        None => Some((text, DependencyState::Waits)),
        Some((text, state)) => match state.strip_suffix(')')? {
            "failed" => Some((text, DependencyState::Failed)),
            _ => Some((text, DependencyState::Waits)),
        },
    }
}

/// Adds a condition unless the same one is there.
fn add(
    list: &mut Vec<Dependency>,
    kind: DependencyKind,
    job: JobId,
    tasks: DependencyTasks,
    state: DependencyState,
) {
    let same = |one: &Dependency| (one.kind, one.job, one.tasks) == (kind, job, tasks);
    if !list.iter().any(same) {
        list.push(Dependency { kind, job, tasks, state, saw_failure: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Dependencies::parse(text, 1001) {
            Ok(Some(parsed)) => parsed.to_string(),
            Ok(None) => String::from("nothing"),
            Err(refusal) => format!("{:?}", refusal.errno),
        }
    }

    #[test]
    fn every_form_is_read_and_shown_as_slurm_shows_it() {
        assert_eq!(shown("afterok:7"), "afterok:7(unfulfilled)");
        assert_eq!(shown("AfterAny:7:8"), "afterany:7(unfulfilled),afterany:8(unfulfilled)");
        assert_eq!(shown("after:7+5"), "after:7+5(unfulfilled)");
        assert_eq!(shown("7"), "afterany:7(unfulfilled)");
        assert_eq!(shown("aftercorr:7_*"), "aftercorr:7_*(unfulfilled)");
        assert_eq!(
            shown("afternotok:7_[1-2]?singleton"),
            "afternotok:7_1(unfulfilled)?afternotok:7_2(unfulfilled)?singleton(unfulfilled)"
        );
        assert_eq!(
            shown("afterok:7(failed),afterok:7_3(unfulfilled)"),
            "afterok:7(failed),afterok:7_3(unfulfilled)"
        );
        assert_eq!(
            shown("afterburstbuffer:7,afterburstbuffer:7"),
            "afterburstbuffer:7(unfulfilled)"
        );
        assert_eq!((shown(""), shown("0")), ("nothing".into(), "nothing".into()));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "x",
            "afterok",
            "afterok:",
            "afterok:0",
            "afterok:x",
            "after:7+0",
            "after:7+",
            "afterok:7,",
            ",afterok:7",
            "afterok:7_",
            "afterok:7_x",
            "singleton:7",
            "afterok:7(x",
            "afterwards:7",
            "afterok:4294967296",
        ] {
            assert_eq!(shown(bad), "Dependency", "{bad}");
        }
        assert_eq!(shown("expand:7"), "NotSupported");
    }
}
