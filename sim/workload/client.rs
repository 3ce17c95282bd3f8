//! What a workload may ask of a system, whatever the system is.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use crate::world::Nanos;
use crate::world::history::{Order, SeenJob, SeenNode};
use crate::world::script::Plan;

/// Something that a client does.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// An answer.
    Answer(T),
    /// A refusal with Slurm's error number.
    Refused(u32),
    /// Nothing in time, or a broken connection.
    Nothing,
}

/// A job as a client wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What the submission is called; the job's name.
    pub key: String,
    /// What the job does, and the CPUs and memory it asks for.
    pub plan: Plan,
    /// The partition; the default one when absent.
    pub partition: Option<String>,
    /// Time limit in minutes; the partition's when absent.
    pub time_limit_min: Option<u32>,
    /// Submitted on hold.
    pub held: bool,
    /// `--array`.
    pub array: Option<String>,
    /// `--dependency`, with `--kill-on-invalid-dep`.
    pub dependency: Option<String>,
    /// `--licenses`.
    pub licenses: Option<String>,
    /// `--gres`.
    pub gres: Option<String>,
    /// `--constraint`.
    pub features: Option<String>,
    /// An allocation, as salloc asks for one, in place of a batch job.
    pub interactive: bool,
    /// Nodes; one when 0.
    pub nodes: u32,
}

/// A step as a client wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepWanted {
    /// The allocation that it is to run in.
    pub job: u32,
    /// What it is called.
    pub name: String,
    /// Nodes.
    pub nodes: u32,
    /// Tasks.
    pub tasks: u32,
    /// What each task does.
    pub plan: Plan,
    /// `--time`, minutes.
    pub time_limit_min: Option<u32>,
    /// Whether its tasks are launched; otherwise the client goes away after it has its step.
    pub launches: bool,
    /// The client asks to cancel the whole job so long after it began to launch.
    pub cancels_after: Option<Nanos>,
    /// How long its tasks are waited for before the step is killed.
    pub patience: Nanos,
}

/// What a client heard of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepSeen {
    /// Its number.
    pub step: u32,
    /// How tasks ended, as `wait(2)` encodes it.
    pub exits: BTreeMap<u32, u32>,
    /// Bytes that tasks wrote to their standard output.
    pub bytes: BTreeMap<u32, u64>,
    /// Tasks whose output came to its end.
    pub whole: BTreeSet<u32>,
}

/// A submission made ready to be sent; sending it twice sends the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared(pub Vec<u8>);

/// A client of a system.
pub trait ClientApi: Send {
    /// Prepares a submission. `None` when this machine cannot (its munged does not answer).
    fn prepare<'a>(&'a mut self, wanted: &'a Wanted) -> Doing<'a, Option<Prepared>>;

    /// Sends a prepared submission once.
    fn submit<'a>(&'a mut self, prepared: &'a Prepared) -> Doing<'a, Heard<u32>>;

    /// Sends a prepared submission and hangs up after a while, whatever came.
    fn hang_up<'a>(&'a mut self, prepared: &'a Prepared, after: Nanos) -> Doing<'a, ()>;

    /// Sends a prepared submission to two controllers at the same time.
    fn submit_twice<'a>(&'a mut self, prepared: &'a Prepared) -> Doing<'a, [Heard<u32>; 2]>;

    /// Whether a refusal only means "not now": the same bytes may be sent again.
    fn may_retry(&self, refusal: u32) -> bool;

    /// Asks to cancel a job.
    fn cancel(&mut self, job: u32) -> Doing<'_, Heard<()>>;

    /// Reads the whole queue.
    fn list(&mut self) -> Doing<'_, Heard<Vec<SeenJob>>>;

    /// Reads the table of nodes.
    fn nodes(&mut self) -> Doing<'_, Heard<Vec<SeenNode>>>;

    /// Gives an order of an operator or of a job's owner.
    fn order<'a>(&'a mut self, order: &'a Order) -> Doing<'a, Heard<()>>;

    /// Whether an allocation has its nodes. A system without allocations refuses.
    fn is_granted(&mut self, _job: u32) -> Doing<'_, Heard<bool>> {
        Box::pin(async { Heard::Refused(0) })
    }

    /// Runs a step in an allocation. A system without steps refuses.
    fn run_step<'a>(&'a mut self, _wanted: &'a StepWanted) -> Doing<'a, Heard<StepSeen>> {
        Box::pin(async { Heard::Refused(0) })
    }

    /// Gives an allocation back. A system without allocations refuses.
    fn give_back(&mut self, _job: u32, _status: u32) -> Doing<'_, Heard<()>> {
        Box::pin(async { Heard::Refused(0) })
    }

    /// Waits for a span of the client's own time.
    fn nap(&self, span: Nanos) -> Doing<'static, ()>;
}
