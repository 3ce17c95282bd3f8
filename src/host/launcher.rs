//! Makes nodes do what the replicated state says: launches, terminations, signals.
//!
//! The state says what is outstanding; every order is sent until its node has confirmed it and the
//! confirmation is committed. An order has at most one task at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{AttemptId, JobId, Span};
use flurm_ctld::{SuspendOrder, UnsignedLaunch};
use flurm_model::{Command, Job, NodeName, Order};
use flurm_rt::{Clock, Env};
use flurm_wire::messages::SignalTasks;
use flurm_wire::{BATCH_STEP, Errno, Message, Release, StepId};

use crate::allocations;
use crate::controller::Controller;
use crate::rpc::{Rpc, RpcError, return_code};
use crate::task::detach;

/// Orders on their way at once.
static ORDERS_MAX: Knob<usize> = Knob::new("host.launcher.orders_max", 256, 1, 1024);
/// A node must answer within this time.
static ANSWER_MAX: Knob<Duration> = Knob::new(
    "host.launcher.answer_max",
    Duration::from_secs(10),
    Duration::from_secs(2),
    Duration::from_secs(20),
);
/// First pause before an order is repeated; doubled up to [`RETRY_MAX`].
static RETRY_MIN: Knob<Span> =
    Knob::new("host.launcher.retry_min", Span::millis(100), Span::millis(1), Span::secs(2));
/// Longest pause before an order is repeated.
static RETRY_MAX: Knob<Span> =
    Knob::new("host.launcher.retry_max", Span::secs(5), Span::millis(200), Span::secs(20));
/// A node that is still introducing itself asks to be asked again (EAGAIN).
pub(crate) const TRY_AGAIN: Errno = Errno(11);

/// Where each order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// On its way.
    Sent,
    /// To be repeated then (monotonic time), after so many failures.
    Waits(Span, u32),
}

/// The orders of one leader's term.
pub(crate) struct Orders {
    term: u64,
    standing: Arc<Mutex<BTreeMap<Order, Standing>>>,
}

impl Orders {
    /// No order is on its way.
    pub(crate) fn new(term: u64) -> Self {
        Self { term, standing: Arc::new(Mutex::new(BTreeMap::new())) }
    }

    /// Sends every outstanding order that is not on its way.
    pub(crate) fn carry_out<E: Env>(&mut self, controller: &Controller<E>) {
        let now = controller.env().clock().monotonic();
        let outstanding: Vec<Order> = controller.replica().cluster().outstanding().collect();
        let mut standing = lock(&self.standing);
        standing.retain(|order, at| *at == Standing::Sent || outstanding.contains(order));
        let mut sent = standing.values().filter(|at| **at == Standing::Sent).count();
        for order in outstanding {
            let failures = match standing.get(&order) {
                Some(Standing::Sent) => continue,
                Some(Standing::Waits(at, _)) if *at > now => continue,
                Some(Standing::Waits(_, failures)) => *failures,
                None => 0,
            };
            if sent >= ORDERS_MAX.get() {
                break;
            }
            sent += 1;
            standing.insert(order.clone(), Standing::Sent);
            let task = carry_out(controller.clone(), self.term, order, failures);
            let standing = self.standing.clone();
            detach::<E>(async move {
                let (order, outcome) = task.await;
                let mut standing = lock(&standing);
                match outcome {
                    Some(at) => standing.insert(order, at),
                    None => standing.remove(&order),
                };
            });
        }
    }

    /// How long until an order is to be repeated.
    pub(crate) fn next_retry(&self, now: Span) -> Option<Span> {
        let standing = lock(&self.standing);
        let retries = standing.values().filter_map(|at| match at {
            Standing::Waits(at, _) => Some(*at - now),
            Standing::Sent => None,
        });
        retries.min()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries out one order once. `None` when it is done or obsolete.
async fn carry_out<E: Env>(
    controller: Controller<E>,
    term: u64,
    order: Order,
    failures: u32,
) -> (Order, Option<Standing>) {
    let outcome = match &order {
        Order::Launch { job, attempt, node } => {
            launch(&controller, term, *job, *attempt, node).await
        }
        Order::Terminate { job, attempt, node, cause, .. } => {
            terminate(&controller, term, *job, *attempt, node, *cause).await
        }
        Order::EndOrphan { job, attempt, node } => {
            end_orphan(&controller, term, *job, *attempt, node).await
        }
        Order::Signal { job, attempt, nodes, signal, flags, sequence } => {
            let wanted = SignalTasks {
                step_id: StepId::step(job.0, BATCH_STEP).with_sluid(attempt.0),
                flags: *flags,
                signal: *signal,
            };
            deliver(&controller, *job, *attempt, nodes, wanted, *sequence).await
        }
        Order::Tell { job, attempt, news } => {
            allocations::tell(&controller, term, *job, *attempt, *news, failures).await
        }
        Order::SignalStep { job, attempt, step, nodes, signal, flags, sequence } => {
            let wanted = allocations::StepSignal {
                step: *step,
                nodes,
                signal: *signal,
                flags: *flags,
                sequence: *sequence,
            };
            allocations::signal_step(&controller, *job, *attempt, wanted).await
        }
        Order::Suspend { job, attempt, node, resume, sequence } => {
            let (job, attempt, sequence, resume) = (*job, *attempt, *sequence, *resume);
            suspend(&controller, SuspendOrder { job, attempt, sequence, resume }, node).await
        }
    };
    let failed = match outcome {
        Ok(()) => return (order, None),
        Err(text) => text,
    };
    tracing::debug!(failures, "{order:?}: {failed}");
    if flurm_base::planted::is("host_never_repeats_an_order") {
        return (order, Some(Standing::Sent));
    }
    let pause = Span(RETRY_MIN.get().0.saturating_mul(1 << failures.min(10))).min(RETRY_MAX.get());
    let at = controller.env().clock().monotonic() + pause;
    (order, Some(Standing::Waits(at, failures.saturating_add(1))))
}

/// The job, if the order still holds.
pub(crate) fn current<T>(
    controller: &Controller<impl Env>,
    term: u64,
    job: JobId,
    attempt: AttemptId,
    read: impl FnOnce(&flurm_ctld::Tables<'_>, &Job) -> T,
) -> Result<Option<T>, String> {
    if controller.leading() != Some(term) {
        return Err("no longer the leader".into());
    }
    Ok(controller.with_tables(|tables| {
        let job = tables.cluster.job(job).filter(|job| job.attempt == attempt)?;
        Some(read(tables, job))
    }))
}

async fn launch<E: Env>(
    controller: &Controller<E>,
    term: u64,
    job: JobId,
    attempt: AttemptId,
    node: &NodeName,
) -> Result<(), String> {
    let unsigned = current(controller, term, job, attempt, |tables, job| tables.launch(job, term))?;
    let Some(unsigned) = unsigned.flatten() else { return Ok(()) };
    let message = sign(controller, unsigned).await?;
    let reply = ask(controller, node, &message).await?;
    let errno = return_code(&reply).map_err(|error| error.to_string())?;
    let at = controller.env().clock().wall();
    let node = node.clone();
    let command = if errno == Errno::SLURM_SUCCESS {
        Command::LaunchConfirmed { at, job, attempt, node }
    } else if errno == TRY_AGAIN {
        return Err("the node is not ready yet".into());
    } else {
        tracing::warn!(job = job.0, "{node} refused the launch: {errno}");
        Command::LaunchFailed { at, job, attempt, node, errno: errno.0 }
    };
    commit(controller, &command).await
}

async fn sign<E: Env>(
    controller: &Controller<E>,
    unsigned: UnsignedLaunch,
) -> Result<Message, String> {
    let UnsignedLaunch { mut launch, credential } = unsigned;
    let reader = controller.setup().slurmd_uid();
    let signed =
        controller.setup().auth().sign_credential(credential, Release::NEWEST, reader).await;
    launch.cred = signed.map_err(|error| error.to_string())?.into();
    Ok(Message::RequestBatchJobLaunch(Box::new(launch)))
}

async fn terminate<E: Env>(
    controller: &Controller<E>,
    term: u64,
    job: JobId,
    attempt: AttemptId,
    node: &NodeName,
    cause: flurm_model::EndCause,
) -> Result<(), String> {
    let kill = current(controller, term, job, attempt, |tables, job| {
        Box::new(tables.terminate(job, cause, term))
    })?;
    let Some(kill) = kill else { return Ok(()) };
    let message = match cause {
        flurm_model::EndCause::TimeLimit => Message::RequestKillTimelimit(kill),
        flurm_model::EndCause::Finished | flurm_model::EndCause::Killed => {
            Message::RequestTerminateJob(kill)
        }
    };
    end(controller, job, attempt, node, &message).await
}

/// Has a node end an attempt. An error until it confirmed that nothing is left.
async fn end<E: Env>(
    controller: &Controller<E>,
    job: JobId,
    attempt: AttemptId,
    node: &NodeName,
    message: &Message,
) -> Result<(), String> {
    let reply = ask(controller, node, message).await?;
    match return_code(&reply).map_err(|error| error.to_string())? {
        Errno::ESLURMD_KILL_JOB_ALREADY_COMPLETE => {
            let at = controller.env().clock().wall();
            let node = node.clone();
            let done = Command::EpilogComplete { at, job, attempt, node, rc: 0 };
            commit(controller, &done).await
        }
        // The node reports when nothing is left; until then the order stays and is repeated.
        Errno::SLURM_SUCCESS => Err("being ended".into()),
        errno => Err(format!("refused: {errno}")),
    }
}

async fn deliver<E: Env>(
    controller: &Controller<E>,
    job: JobId,
    attempt: AttemptId,
    nodes: &[NodeName],
    wanted: SignalTasks,
    sequence: u32,
) -> Result<(), String> {
    for node in nodes {
        let reply = ask(controller, node, &Message::RequestSignalTasks(wanted)).await?;
        let errno = return_code(&reply).map_err(|error| error.to_string())?;
        if errno != Errno::SLURM_SUCCESS {
            tracing::debug!(job = job.0, "{node} did not signal: {errno}");
        }
    }
    commit(controller, &Command::SignalDelivered { job, attempt, sequence }).await
}

async fn suspend<E: Env>(
    controller: &Controller<E>,
    order: SuspendOrder,
    node: &NodeName,
) -> Result<(), String> {
    let reply = ask(controller, node, &Message::RequestSuspendInt(order.message())).await?;
    match return_code(&reply).map_err(|error| error.to_string())? {
        Errno::SLURM_SUCCESS => {
            let SuspendOrder { job, attempt, sequence, .. } = order;
            let (at, node) = (controller.env().clock().wall(), node.clone());
            commit(controller, &Command::SuspensionTold { at, job, attempt, node, sequence }).await
        }
        errno => Err(format!("not done: {errno}")),
    }
}

/// Ends an attempt that a node may have and nobody wants.
async fn end_orphan<E: Env>(
    controller: &Controller<E>,
    term: u64,
    job: JobId,
    attempt: AttemptId,
    node: &NodeName,
) -> Result<(), String> {
    if controller.leading() != Some(term) {
        return Err("no longer the leader".into());
    }
    let now = controller.env().clock().wall();
    let kill = flurm_ctld::terminate_orphan(job.0, attempt.0, node, term, now);
    end(controller, job, attempt, node, &Message::RequestTerminateJob(Box::new(kill))).await
}

/// Proposes what an order has brought about.
pub(crate) async fn commit<E: Env>(
    controller: &Controller<E>,
    command: &Command,
) -> Result<(), String> {
    let taken = controller.propose(command).await;
    taken.map(|_| ()).map_err(|error| format!("not committed: {error:?}"))
}

/// Asks a node daemon, and notes that it answered.
pub(crate) async fn ask<E: Env>(
    controller: &Controller<E>,
    node: &NodeName,
    message: &Message,
) -> Result<Message, String> {
    ask_by(&controller.setup().rpc(), controller, node, message).await
}

/// The same signed as `rpc` signs.
pub(crate) async fn ask_by<E: Env>(
    rpc: &Rpc<E>,
    controller: &Controller<E>,
    node: &NodeName,
    message: &Message,
) -> Result<Message, String> {
    let place = {
        let replica = controller.replica();
        let found = replica.cluster().node(node).map(|node| &node.conf);
        found.map(|conf| (conf.address.clone(), conf.port))
    };
    let (host, port) = place.ok_or_else(|| format!("{node} is gone"))?;
    let addr = controller.setup().resolve(&host, port).await?;
    let reader = controller.setup().slurmd_uid();
    let reply = rpc.call(addr, message, reader, ANSWER_MAX.get()).await;
    match reply {
        Ok(reply) => {
            crate::health::heard(controller, node);
            Ok(reply)
        }
        Err(error @ (RpcError::NotSent(_) | RpcError::NoReply(_))) => Err(error.to_string()),
    }
}
