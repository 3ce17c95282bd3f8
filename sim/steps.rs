//! The step oracle: every committed command makes of each job what `tla/Step/Step.tla` allows.
//!
//! It stands between the log and the replicated state of every controller, sees each committed command
//! once, when the first member applies it, and looks at the jobs before and after. Jobs before are
//! those after the last command, on whichever member that was applied: so what a snapshot or a restart
//! loses shows, too. And an entry of the log that was applied once is never another one.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use flurm_base::JobId;
use flurm_host::Replica;
use flurm_model::Command;
use flurm_raft::witness::{self, Carried, Visible};
use flurm_raft::{Config, Consensus, Handshake, OrderedLog, StartError, StateMachine};
use flurm_rt::Env;
use flurm_tla::{AttemptNumbers, LogSeen, RaftSeen, Step, StepJudge, StepSpec, Steps};

use crate::leaders::WatchedLog;
use crate::oracle::Violation;
use crate::world;
use crate::world::history::Content;

/// The kind of failure that a refused step is.
pub const NAME: &str = "step_is_allowed";

/// How the files of a replicated log begin (`flurm_raft`).
const LOG_FILES: &str = "log-";

static SPEC: OnceLock<StepSpec> = OnceLock::new();

thread_local! {
    static JUDGE: RefCell<Option<StepJudge<'static>>> = const { RefCell::new(None) };
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// What was seen of one run.
#[derive(Default)]
struct Watch {
    steps: Steps,
    /// Term and length of every entry that was applied.
    applied: BTreeMap<u64, (u64, usize)>,
    refused: Option<Violation>,
    /// All steps, when they are kept.
    kept: Option<Kept>,
}

/// The steps of a run.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Each with how many effects the world had seen before it.
    pub(crate) steps: Vec<(usize, JobId, Step)>,
    /// The attempts of all jobs, by number.
    pub(crate) attempts: AttemptNumbers,
    /// What was seen of the log.
    pub(crate) log: Vec<LogSeen>,
    /// What was seen of the members' votes and logs.
    pub(crate) raft: Vec<RaftSeen>,
    /// States that were written down or read again; their places are their numbers.
    states: Vec<Content>,
}

impl Kept {
    /// A state's number.
    fn state(&mut self, bytes: &[u8]) -> u64 {
        let state = Content::of(bytes);
        let known = self.states.iter().position(|other| *other == state);
        let place = known.unwrap_or_else(|| {
            self.states.push(state);
            self.states.len() - 1
        });
        place as u64
    }

    fn shown(&mut self, member: u64, what: Visible) {
        match &what {
            Visible::Applied(at, Carried::Blank) => {
                self.log.push(LogSeen::Began { member, index: at.index, term: at.term });
            }
            Visible::Voted(vote) if vote.elected && vote.candidate == member => {
                self.log.push(LogSeen::Leads { member, term: vote.term });
            }
            _ => {}
        }
        let durable = what != Visible::Written || is_durable(member);
        self.raft.push(RaftSeen { member, what, durable });
    }
}

/// What was seen of a run.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// The first step that was refused.
    pub(crate) refused: Option<Violation>,
    /// All steps, when they were kept.
    pub(crate) kept: Option<Kept>,
}

/// Begins to watch this thread's run. `keep`: the steps are wanted in the end.
pub(crate) fn begin(keep: bool) {
    JUDGE.with_borrow_mut(|judge| {
        judge.get_or_insert_with(|| {
            let spec = SPEC.get_or_init(|| StepSpec::read().expect("Step.tla can be evaluated"));
            spec.judge().expect("Step.tla has the constants that it is given")
        });
    });
    let kept = keep.then(Kept::default);
    WATCH.set(Some(Watch { kept, ..Watch::default() }));
    if keep {
        witness::watch(|member, what| with_kept(|kept| kept.shown(member, what)).unwrap_or(()));
    }
}

/// Ends it.
pub(crate) fn end() -> Watched {
    witness::unwatch();
    let seen = |watch: Watch| Watched { refused: watch.refused, kept: watch.kept };
    WATCH.take().map(seen).unwrap_or_default()
}

/// Notes what was seen of the log, when it is wanted; its number.
pub(crate) fn seen(what: LogSeen) -> Option<usize> {
    with_kept(|kept| {
        kept.log.push(what);
        kept.log.len() - 1
    })
}

/// Notes a state that a member writes down, or with `restored` that it reads again.
fn noted_state(member: u64, bytes: &[u8], restored: bool) {
    with_kept(|kept| {
        let state = kept.state(bytes);
        kept.log.push(match restored {
            true => LogSeen::Restored { member, state },
            false => LogSeen::Kept { member, state },
        });
    });
}

fn with_kept<T>(note: impl FnOnce(&mut Kept) -> T) -> Option<T> {
    WATCH.with_borrow_mut(|watch| watch.as_mut().and_then(|watch| watch.kept.as_mut()).map(note))
}

/// Whether the log of a member is on its disk. Members are the first machines, in order.
fn is_durable(member: u64) -> bool {
    let place = usize::try_from(member.saturating_sub(1)).unwrap_or(usize::MAX);
    world::with(|w| w.machines.get(place).is_some_and(|machine| machine.disk.is_durable(LOG_FILES)))
}

/// A way to agree, with whatever it agrees on watched.
#[derive(Clone, Copy, Debug)]
pub struct Tap<C>(pub C);

impl<E: Env, C: Consensus<E>> Consensus<E> for Tap<C> {
    async fn start<S: StateMachine, H: Handshake>(
        &self,
        env: E,
        config: Config,
        machine: Arc<RwLock<S>>,
        handshake: H,
    ) -> Result<Arc<dyn OrderedLog<E>>, StartError> {
        let any: &(dyn Any + Send + Sync) = &machine;
        match any.downcast_ref::<Arc<RwLock<Replica>>>() {
            Some(replica) => {
                let member = config.id;
                seen(LogSeen::Started { member });
                let tapped = Tapped { member, replica: Arc::clone(replica) };
                let tapped = Arc::new(RwLock::new(tapped));
                let log = self.0.start(env, config, tapped, handshake).await?;
                Ok(Arc::new(WatchedLog::new(member, log)))
            }
            None => {
                let member = config.id;
                seen(LogSeen::Started { member });
                let noted = Arc::new(RwLock::new(Noted { member, machine }));
                let log = self.0.start(env, config, noted, handshake).await?;
                Ok(Arc::new(WatchedLog::new(member, log)))
            }
        }
    }
}

/// Any other state machine: only that a command was applied is noted.
struct Noted<S> {
    member: u64,
    machine: Arc<RwLock<S>>,
}

impl<S: StateMachine> StateMachine for Noted<S> {
    fn apply(&mut self, index: u64, term: u64, command: &[u8]) -> Vec<u8> {
        seen(LogSeen::Applied { member: self.member, index, term });
        self.machine.write().unwrap_or_else(PoisonError::into_inner).apply(index, term, command)
    }

    fn snapshot(&self) -> Vec<u8> {
        let bytes = self.machine.read().unwrap_or_else(PoisonError::into_inner).snapshot();
        noted_state(self.member, &bytes, false);
        bytes
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        noted_state(self.member, bytes, true);
        self.machine.write().unwrap_or_else(PoisonError::into_inner).restore(bytes)
    }
}

/// A controller's replica, with each command that it applies looked at.
struct Tapped {
    member: u64,
    replica: Arc<RwLock<Replica>>,
}

impl StateMachine for Tapped {
    fn apply(&mut self, index: u64, term: u64, command: &[u8]) -> Vec<u8> {
        let mut replica = self.replica.write().unwrap_or_else(PoisonError::into_inner);
        let answer = replica.apply(index, term, command);
        seen(LogSeen::Applied { member: self.member, index, term });
        WATCH.with_borrow_mut(|watch| {
            if let Some(watch) = watch {
                watch.applied(index, term, command, &replica);
            }
        });
        answer
    }

    fn snapshot(&self) -> Vec<u8> {
        let bytes = self.replica.read().unwrap_or_else(PoisonError::into_inner).snapshot();
        noted_state(self.member, &bytes, false);
        bytes
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        noted_state(self.member, bytes, true);
        self.replica.write().unwrap_or_else(PoisonError::into_inner).restore(bytes)
    }
}

impl Watch {
    fn applied(&mut self, index: u64, term: u64, bytes: &[u8], replica: &Replica) {
        let entry = (term, bytes.len());
        if let Some(earlier) = self.applied.get(&index) {
            if *earlier != entry {
                let text = "StateMachineSafety: an entry that was applied is another one";
                self.refuse(format!("{text}: {index}, of term {}, then {term}", earlier.0));
            }
            return;
        }
        let newest = self.applied.last_key_value().is_none_or(|(last, _)| *last < index);
        self.applied.insert(index, entry);
        if !newest {
            return;
        }
        // What cannot be decoded has stopped the replica.
        let Ok(command) = Command::decode(bytes) else { return };
        for (job, step) in self.steps.after(&command, replica.cluster()) {
            let verdict = JUDGE.with_borrow_mut(|judge| match judge {
                Some(judge) => judge.judge(&step),
                None => Ok(()),
            });
            if let Err(text) = verdict {
                self.refuse(format!("entry {index}, job {job}: {text}"));
            }
            if let Some(kept) = &mut self.kept {
                if let Some(job) = replica.cluster().job(job) {
                    kept.attempts.learn(job);
                }
                let effects = world::with(|w| w.history.effects().len());
                kept.steps.push((effects, job, step));
            }
        }
    }

    fn refuse(&mut self, text: String) {
        if self.refused.is_none() {
            let at = world::with(|w| w.now());
            self.refused = Some(Violation { oracle: NAME, at, text });
        }
    }
}
