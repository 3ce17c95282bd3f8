//! What a controller owes the clients of allocations and steps: answers that wait for the planner,
//! credentials, and news on the ports where they listen.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{AttemptId, JobId, Span};
use flurm_ctld::Refused;
use flurm_model::{AllocClient, Command, JobBase, News, NodeName, Reason, StepSpec};
use flurm_rt::{AsyncRuntime, Clock, Env, Select2};
use flurm_wire::messages::{JobNotify, JobStepKill, ReturnCode, SignalTasks, SrunUserMsg};
use flurm_wire::records::SbcastAnswer;
use flurm_wire::{Errno, JobRef, Message, Release, StepId};

use crate::controller::{Controller, NotTaken};
use crate::launcher::{ask, commit, current};
use crate::munge::UID_ANY;
use crate::peers::Forwarded;
use crate::rpc::return_code;
use crate::task::detach;

/// How long a client's first answer waits for the planner: most allocations start at once.
static PLANNER_MAX: Knob<Span> =
    Knob::new("host.allocations.planner_max", Span::millis(800), Span::millis(100), Span::secs(2));
/// Longest pause between two looks at a job that the planner is to look at.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Ends a process at once.
const SIGKILL: u16 = 9;
/// A client must take its news within this time.
const TELL_MAX: Duration = Duration::from_secs(10);
/// Tries before a client counts as gone.
const TELL_TRIES_MAX: u32 = 6;
/// Steps that wait for others, over all jobs; beyond it clients find out by asking again.
const WAITERS_MAX: usize = 4_096;

/// The sruns that wait for CPUs of their job.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: Mutex<BTreeMap<JobId, Vec<Waiter>>>,
}

struct Waiter {
    host: String,
    port: u16,
    release: u16,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Vec<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, job: JobId, spec: &StepSpec) {
        let Some(host) = spec.host.clone().filter(|_| spec.port != 0) else { return };
        let mut waiting = self.lock();
        if waiting.values().map(Vec::len).sum::<usize>() < WAITERS_MAX {
            let waiter = Waiter { host, port: spec.port, release: spec.client_release };
            waiting.entry(job).or_default().push(waiter);
        }
    }

    fn take(&self, job: JobId) -> Vec<Waiter> {
        self.lock().remove(&job).unwrap_or_default()
    }
}

/// The answer to a request for an allocation that was accepted.
pub(crate) async fn allocated<E: Env>(
    controller: &Controller<E>,
    job: JobId,
    immediate: bool,
) -> Result<Message, NotTaken> {
    planner_has_looked(controller, job).await;
    let found = controller.with_tables(|tables| {
        let job = tables.cluster.job(job)?;
        Some((job.base == JobBase::Pending, Box::new(tables.allocation(job))))
    });
    let Some((waits, allocation)) = found else { return Ok(flurm_ctld::not_now()) };
    if waits && immediate {
        let (at, by) =
            (controller.env().clock().wall(), flurm_model::Actor { uid: 0, privileged: true });
        let over = Command::AllocationOver { at, job, by, status: 0 };
        controller.propose(&over).await?;
        return Ok(flurm_ctld::not_now());
    }
    Ok(Message::ResponseResourceAllocation(allocation))
}

/// Waits until a job has started or has been told why not, but no longer than a client would like.
async fn planner_has_looked<E: Env>(controller: &Controller<E>, job: JobId) {
    let clock = controller.env().clock();
    let deadline = clock.monotonic() + PLANNER_MAX.get();
    let mut watch = controller.raft().watch();
    loop {
        let _ = watch.current();
        let looked = {
            let replica = controller.replica();
            let job = replica.cluster().job(job);
            job.is_none_or(|job| job.base != JobBase::Pending || job.reason != Reason::None)
        };
        if looked || clock.monotonic() >= deadline {
            return;
        }
        let pause = E::Rt::sleep(LOOK_PAUSE);
        match E::Rt::select2(Box::pin(watch.changed()), Box::pin(pause)).await {
            Select2::First(_) | Select2::Second(()) => {}
        }
    }
}

/// The answer to a request for a step that was made: with its credential.
pub(crate) async fn step_created<E: Env>(
    controller: &Controller<E>,
    job: JobId,
    step: u32,
    release: u16,
) -> Message {
    let release = Release::from_version(release).unwrap_or(Release::NEWEST);
    let body = controller.with_tables(|tables| {
        let made = tables.cluster.step(job, step)?;
        Some(tables.step_credential(tables.cluster.job(job)?, made, release))
    });
    let gone = || Refused::plain(Errno::ESLURM_ALREADY_DONE.0).message();
    let Some(body) = body else { return gone() };
    let reader = controller.setup().slurmd_uid();
    let signed = controller.setup().auth().sign_credential(body, release, reader).await;
    let credential = match signed {
        Ok(credential) => credential,
        Err(error) => {
            tracing::error!(job = job.0, "could not sign a step's credential: {error}");
            return Refused::plain(Errno::ESLURM_INVALID_JOB_CREDENTIAL.0).message();
        }
    };
    let created = controller.with_tables(|tables| {
        let made = tables.cluster.step(job, step)?;
        Some(tables.step_created(tables.cluster.job(job)?, made, credential))
    });
    created.map_or_else(gone, |created| Message::ResponseJobStepCreate(Box::new(created)))
}

/// What sbcast shows to the nodes of a job, to its owner alone.
pub(crate) async fn sbcast_credential<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    step: StepId,
) -> Message {
    let asker = request.identity();
    let refused = |errno: Errno| Refused::plain(errno.0).message();
    let body = controller.with_tables(|tables| {
        let job = tables.cluster.job(JobId(step.job_id)).ok_or(Errno::ESLURM_INVALID_JOB_ID)?;
        if job.spec.uid != asker.uid {
            return Err(Errno::ESLURM_USER_ID_MISSING);
        }
        match job.base {
            JobBase::Running => tables.sbcast(job, step.step_id).ok_or(Errno::ESLURM_JOB_PENDING),
            JobBase::Pending | JobBase::Suspended => Err(Errno::ESLURM_JOB_PENDING),
            _ => Err(Errno::ESLURM_ALREADY_DONE),
        }
    });
    let body = match body {
        Ok(body) => body,
        Err(errno) => return refused(errno),
    };
    let node_list = body.nodes.clone();
    let release = Release::from_version(request.release).unwrap_or(Release::NEWEST);
    match controller.setup().auth().sign_sbcast(body, release).await {
        Ok(sbcast_cred) => Message::ResponseJobSbcastCred(SbcastAnswer {
            job_id: step.job_id,
            node_list,
            node_cnt: 0,
            sbcast_cred,
        }),
        Err(text) => {
            tracing::error!(job = step.job_id, "could not sign a credential for sbcast: {text}");
            Refused::because(Errno::ESLURM_NOT_SUPPORTED.0, text).message()
        }
    }
}

/// Shows a text to whoever holds an allocation (`scontrol notify`), for its owner and operators.
///
/// Sent once: like Slurm, nobody promises that a client which is being restarted shows it.
pub(crate) async fn show_text<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    wanted: &JobNotify,
) -> Message {
    let id = JobId(wanted.step_id.job_id);
    let client = controller.with_tables(|tables| {
        let job = tables.cluster.job(id).ok_or(Errno::ESLURM_INVALID_JOB_ID)?;
        if !request.identity().may_change(job, tables.cluster.settings()) {
            return Err(Errno::ESLURM_USER_ID_MISSING);
        }
        if !matches!(job.base, JobBase::Pending | JobBase::Running) {
            return Err(Errno::ESLURM_ALREADY_DONE);
        }
        Ok(tables.cluster.steps_of(id).and_then(|steps| steps.client.clone()))
    });
    let client = match client {
        Ok(Some(client)) => client,
        Ok(None) => {
            let text = "only salloc and srun can be shown a text".to_string();
            return Refused::because(Errno::ESLURM_NOT_SUPPORTED.0, text).message();
        }
        Err(errno) => return Refused::plain(errno.0).message(),
    };
    let text = SrunUserMsg { job: JobRef::job(id.0), msg: wanted.message.clone() };
    let AllocClient { host, message_port, release, .. } = client;
    let controller = controller.clone();
    detach::<E>(async move {
        let message = Message::SrunUserMsg(text);
        if let Err(text) = send(&controller, &host, message_port, release, &message).await {
            tracing::info!(job = id.0, "its client was shown no text: {text}");
        }
    });
    Message::ResponseSlurmRc(ReturnCode { return_code: Errno::SLURM_SUCCESS.0 })
}

/// Remembers a step that has to wait for others, and tells those that wait when one has ended.
pub(crate) fn on_answer<E: Env>(
    controller: &Controller<E>,
    command: &Command,
    reply: &flurm_model::Reply,
) {
    match (command, reply) {
        (Command::CreateStep { job, spec, .. }, flurm_model::Reply::Refused(refusal))
            if refusal.errno == flurm_model::Errno::NodesBusy =>
        {
            controller.waiters().add(*job, spec);
        }
        (Command::StepPartEnded { job, .. }, flurm_model::Reply::Done) => wake(controller, *job),
        _ => {}
    }
}

/// Tells the sruns that wait for CPUs of a job to ask again.
fn wake<E: Env>(controller: &Controller<E>, job: JobId) {
    for waiter in controller.waiters().take(job) {
        let controller = controller.clone();
        detach::<E>(async move {
            let message = Message::SrunStepSignal(JobStepKill {
                step_id: StepId::job(job.0),
                sjob_id: None,
                sibling: None,
                signal: 0,
                flags: 0,
            });
            let told = send(&controller, &waiter.host, waiter.port, waiter.release, &message).await;
            if let Err(text) = told {
                tracing::debug!(job = job.0, "a step that waits was not told: {text}");
            }
        });
    }
}

/// Tells the client of an allocation. One that cannot be reached counts as told after some tries.
pub(crate) async fn tell<E: Env>(
    controller: &Controller<E>,
    term: u64,
    job: JobId,
    attempt: AttemptId,
    news: News,
    failures: u32,
) -> Result<(), String> {
    let found = current(controller, term, job, attempt, |tables, job| {
        let client = tables.cluster.steps_of(job.id)?.client.clone()?;
        Some((client, Box::new(tables.allocation(job))))
    })?;
    if let Some((client, allocation)) = found.flatten() {
        let AllocClient { host, allocation_port, message_port, release } = &client;
        let (port, message) = match news {
            News::Allocated => (*allocation_port, Message::ResponseResourceAllocation(allocation)),
            News::Over => {
                let over = StepId::job(job.0).with_sluid(attempt.0);
                (*message_port, Message::SrunJobComplete(over))
            }
        };
        if let Err(text) = send(controller, host, port, *release, &message).await {
            if failures < TELL_TRIES_MAX {
                return Err(text);
            }
            flurm_base::sometimes!("the client of an allocation could not be told");
            tracing::info!(job = job.0, "its client does not listen any more: {text}");
        }
    }
    let at = controller.env().clock().wall();
    commit(controller, &Command::NewsTold { at, job, attempt, news }).await
}

/// Sends a message to a client's port.
async fn send<E: Env>(
    controller: &Controller<E>,
    host: &str,
    port: u16,
    release: u16,
    message: &Message,
) -> Result<(), String> {
    let release = Release::from_version(release).unwrap_or(Release::NEWEST);
    let addr = controller.setup().resolve(host, port).await?;
    let rpc = controller.setup().rpc();
    let reply = rpc.call_in(release, addr, message, UID_ANY, TELL_MAX).await;
    match reply {
        Ok(_) => Ok(()),
        // Some messages get no answer: what was sent was heard.
        Err(crate::rpc::RpcError::NoReply(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// A signal for a step, as its nodes are to be told of it.
pub(crate) struct StepSignal<'a> {
    /// The step.
    pub step: u32,
    /// Nodes that may have something of it.
    pub nodes: &'a [NodeName],
    /// The signal.
    pub signal: u16,
    /// Slurm's flags.
    pub flags: u16,
    /// Which of the step's signals.
    pub sequence: u32,
}

/// A node has nothing of a step, and will refuse it should it still come.
async fn part_is_over<E: Env>(
    controller: &Controller<E>,
    job: JobId,
    attempt: AttemptId,
    step: u32,
    node: &NodeName,
) -> Result<(), String> {
    let place = {
        let replica = controller.replica();
        let found = replica.cluster().step(job, step);
        found.and_then(|found| found.parts.iter().position(|part| part.node == *node))
    };
    let Some(place) = place.and_then(|place| u32::try_from(place).ok()) else { return Ok(()) };
    let at = controller.env().clock().wall();
    let (range, status) = ((place, place), u32::from(SIGKILL));
    let ended = Command::StepPartEnded { at, job, attempt, step, range, status };
    commit(controller, &ended).await?;
    wake(controller, job);
    Ok(())
}

/// Signals a step on its nodes.
pub(crate) async fn signal_step<E: Env>(
    controller: &Controller<E>,
    job: JobId,
    attempt: AttemptId,
    wanted: StepSignal<'_>,
) -> Result<(), String> {
    let StepSignal { step, nodes, signal, flags, sequence } = wanted;
    let step_id = StepId::step(job.0, step).with_sluid(attempt.0);
    for node in nodes {
        let tasks = Message::RequestSignalTasks(SignalTasks { step_id, flags, signal });
        let reply = ask(controller, node, &tasks).await?;
        let errno = return_code(&reply).map_err(|error| error.to_string())?;
        if errno == crate::launcher::TRY_AGAIN {
            return Err("the step is being started".into());
        }
        if errno == Errno::ESLURMD_STEP_NOTRUNNING && signal == SIGKILL {
            flurm_base::sometimes!("a step was killed that never came to its node");
            part_is_over(controller, job, attempt, step, node).await?;
        } else if errno != Errno::SLURM_SUCCESS {
            tracing::debug!(job = job.0, "{node} did not signal step {step}: {errno}");
        }
    }
    commit(controller, &Command::StepSignalDelivered { job, attempt, step, sequence }).await
}
