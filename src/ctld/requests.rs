//! Every request that a controller answers from the replicated state.

use flurm_base::{AttemptId, JobId, RequestKey, Time};
use flurm_model::{
    BatchEnd, Cluster, Command, Errno, Event, Job, NodeFacts, NodeName, Reply, RequeueFlags,
    TaskAct,
};
use flurm_wire::messages::{
    BatchScript, CompleteBatchScript, EpilogComplete, JobStateResponse, JobStepKill, KillJobs,
    KillJobsResponse, KilledJob, Requeue, ReturnCode, SelectedStep, SubmitResponse,
};
use flurm_wire::records::{
    JobDesc, JobInfoMsg, NodeInfoMsg, NodeRegistration, NodeRegistrationAnswer, PartitionInfoMsg,
    TresRecord,
};
use flurm_wire::{BATCH_STEP, Errno as WireErrno, Message, NO_VAL, StepId, UnixTime};

use crate::Outlook;
use crate::access::{self, Applicant};
use crate::identity::Identity;
use crate::refused::Refused;
use crate::sight::Sight;
use crate::submit::{Submitter, batch_job, owner_uid};
use crate::tables::Tables;
use crate::target::{self, Found, Target};
use crate::{node_update, partition_update, update};

/// Job state bits in a requeue's flags: hold afterwards, hold as special, only unless it succeeded
/// (scontrol sends the running state's number for that).
const JOB_REQUEUE_HOLD: u32 = 1 << 11;
const JOB_SPECIAL_EXIT: u32 = 1 << 12;
const JOB_INCOMPLETE: u32 = 1;
/// Registration flags of a node daemon (slurm_protocol_defs.h, `SLURMD_REG_FLAG_*`).
const REGISTRATION_WANTS_TRES: u16 = 1 << 1;
/// The largest signal number.
const SIGNAL_MAX: u16 = 64;

/// One request, with what the host knows about it.
pub struct Request<'a> {
    /// Who asks.
    pub identity: Identity,
    /// What.
    pub message: &'a Message,
    /// Ties retries together.
    pub key: Option<RequestKey>,
    /// Protocol number of the asker's release.
    pub release: u16,
    /// The asker's login name and groups, where known.
    pub user: Option<(String, Vec<u32>)>,
    /// Names of the groups that [`groups_to_name`] asks for.
    pub group_names: Vec<String>,
    /// The address that the asker connected from; empty where it is not known.
    pub peer: String,
    /// `PrivateData` as bits.
    pub private_data: u16,
    /// What the planner expects of waiting jobs.
    pub outlook: &'a Outlook,
}

/// The groups whose names decide about a request: those of a job's owner, where a partition asks for
/// them.
pub fn groups_to_name(
    message: &Message,
    user: Option<&(String, Vec<u32>)>,
    cluster: &Cluster,
) -> Vec<u32> {
    if !access::asks_for_groups(cluster) {
        return Vec::new();
    }
    match message {
        Message::RequestSubmitBatchJob(_)
        | Message::RequestResourceAllocation(_)
        | Message::RequestJobWillRun(_) => user.map(|(_, groups)| groups.clone()),
        Message::RequestUpdateJob(desc) => {
            let found = update::target_of(desc, cluster).and_then(|target| target.find(cluster));
            found.ok().map(|(_, job)| job.spec.groups.clone())
        }
        _ => None,
    }
    .unwrap_or_default()
}

/// How to answer.
#[derive(Debug)]
pub enum Answer {
    /// Nothing changes: this is the reply.
    Reply(Message),
    /// Propose the command, then answer with [`committed`].
    Propose(Box<Command>, Then),
    /// Propose the commands one after the other; the reply is made by [`committed_many`].
    ProposeMany(Vec<Box<Command>>, Gather),
    /// Ask the planner when this job would start.
    WillRun(crate::will_run::Trial),
    /// Not a request that the replicated state answers.
    Elsewhere,
}

/// How the replies of several commands become one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gather {
    /// A return code: the first refusal's, if there is one.
    FirstRefusal,
    /// One outcome a job.
    Killed(Vec<JobId>),
}

/// How a committed command's reply becomes a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// A submission's answer.
    Submitted,
    /// A return code.
    Code,
    /// What became of the tasks of an array, by error.
    Tasks,
    /// A return code of an array that is signalled as a whole: what is over already is left out.
    ArrayKilled,
    /// A return code of tasks that are signalled: the worst.
    TasksKilled,
    /// An allocation's answer: the host makes it once the planner has looked at the job.
    Allocated {
        /// Refuse it when it could not start at once.
        immediate: bool,
    },
    /// A step's answer: the host makes it, since it needs a signature.
    StepCreated {
        /// Protocol number of the asker's release.
        release: u16,
    },
    /// The name of the reservation that was made.
    Reserved(String),
    /// A return code; a late report is success, since there is no reason to repeat it.
    Report,
    /// A node's registration: its answer, if it asked for one.
    Registered {
        /// The node.
        node: NodeName,
        /// It wants the list of trackable resources.
        wants_tres: bool,
    },
}

/// Answers a request from the state, or says what to propose.
pub fn answer(request: &Request<'_>, cluster: &Cluster, now: Time) -> Answer {
    match decide(request, cluster, now) {
        Ok(answer) => answer,
        Err(refused) => Answer::Reply(refused.message()),
    }
}

/// The reply once a command is committed and applied.
pub fn committed(then: &Then, reply: &Reply) -> Message {
    match (then, reply) {
        (_, Reply::Refused(refusal)) => Refused::from(refusal.clone()).message(),
        (Then::Submitted, Reply::Submitted { job, attempt, .. }) => {
            let step = StepId::step(job.0, BATCH_STEP).with_sluid(attempt.0);
            let response =
                SubmitResponse { step_id: step, error_code: 0, job_submit_user_msg: None };
            Message::ResponseSubmitBatchJob(response)
        }
        (Then::Registered { node, wants_tres: true }, _) => {
            Message::ResponseNodeRegistration(NodeRegistrationAnswer {
                tres_list: Some(tres_records()),
                node_name: Some(node.to_string()),
            })
        }
        (Then::Reserved(name), _) => crate::reservation::created(name),
        (_, Reply::Tasks { .. }) => target::told(then, reply).expect("it tells of tasks"),
        (_, _) => code(WireErrno::SLURM_SUCCESS.0),
    }
}

/// What changed, in words for the log; most events need none.
pub fn audit(event: &Event) -> Option<String> {
    match event {
        Event::JobSubmitted(job) => Some(format!("job {job} submitted")),
        Event::JobStarted(job, attempt) => Some(format!("job {job} started, attempt {attempt}")),
        Event::JobEnded(job, _) => Some(format!("job {job} ended")),
        Event::JobSuspended(job, attempt) => Some(format!("job {job} suspended ({attempt})")),
        Event::JobResumed(job, attempt) => Some(format!("job {job} goes on ({attempt})")),
        Event::JobRequeued(job, attempt) => Some(format!("job {job} requeued as {attempt}")),
        _ => None,
    }
}

fn decide(request: &Request<'_>, cluster: &Cluster, now: Time) -> Result<Answer, Refused> {
    let outlook = request.outlook;
    let tables = || Tables::new(cluster, now).read_by(request.release).expecting(outlook);
    let asker = request.identity;
    let sight = Sight::new(cluster, asker, request.private_data);
    match request.message {
        Message::RequestSubmitBatchJob(desc) => submit(request, desc, cluster, now),
        Message::RequestUpdateJob(desc) => update_job(request, desc, cluster, now),
        Message::RequestKillJob(kill) => kill_job(asker, kill, cluster, now),
        Message::RequestCancelJobStep(kill) => cancel_step(asker, kill, cluster, now),
        Message::RequestKillJobs(kill) => kill_jobs(asker, kill, cluster, now),
        Message::RequestJobRequeue(requeue) => requeue_job(asker, requeue, cluster, now),
        Message::RequestUpdateNode(change) => node_update::answer(asker, change, cluster, now),
        Message::RequestUpdatePartition(change) => {
            partition_update::answer(asker, change, false, cluster, now)
        }
        Message::RequestCreatePartition(change) => {
            partition_update::answer(asker, change, true, cluster, now)
        }
        Message::RequestDeletePartition(delete) => {
            partition_update::delete(asker, delete, cluster, now)
        }
        Message::RequestJobInfo(ask) => {
            unless_unchanged(ask.last_update, cluster.updated().jobs)?;
            let wanted = ask.job_ids.as_deref().filter(|ids| !ids.is_empty());
            Ok(jobs(&tables(), |job| {
                let of_array = |id: &u32| job.array.as_ref().is_some_and(|it| it.job.0 == *id);
                let named = |id: &u32| *id == job.id.0 || of_array(id);
                let named = wanted.is_none_or(|ids| ids.iter().any(named));
                named && sight.lists_job(job, ask.show_flags)
            }))
        }
        Message::RequestJobUserInfo(ask) => {
            Ok(jobs(&tables(), |job| job.spec.uid == ask.user_id && sight.job(job)))
        }
        Message::RequestJobInfoSingle(ask) => {
            let id = ask.job.0.job_id;
            let (_, job) = Target::number(id).find(cluster)?;
            if !sight.job(job) {
                return Err(Errno::InvalidJobId.into());
            }
            Ok(records(&tables(), JobId(id)))
        }
        Message::RequestJobState(ask) => Ok(job_states(cluster, &ask.job_ids, sight)),
        Message::RequestBatchScript(ask) => script(asker, ask.job.0.job_id, cluster),
        Message::RequestNodeInfo(ask) => {
            sight.nodes()?;
            unless_unchanged(ask.last_update, cluster.updated().nodes)?;
            Ok(nodes(&tables()))
        }
        Message::RequestNodeInfoSingle(_) => sight.nodes().map(|()| nodes(&tables())),
        Message::RequestPartitionInfo(ask) => {
            sight.partitions()?;
            unless_unchanged(ask.last_update, cluster.updated().partitions)?;
            Ok(partitions(&tables(), sight, ask.show_flags))
        }
        Message::MessageNodeRegistrationStatus(registration) => {
            register(asker, registration, cluster, now)
        }
        Message::RequestCompleteBatchScript(end) => batch_complete(asker, end, cluster, now),
        Message::MessageEpilogComplete(end) => epilog_complete(asker, end, cluster, now),
        other => {
            if let Some(answer) = decide_of_operators(request, cluster, now)? {
                return Ok(answer);
            }
            let about_steps = crate::steps::decide(request, cluster, now)?;
            Ok(about_steps.unwrap_or_else(|| nothing_of(other)))
        }
    }
}

/// Requests about the queue, suspended jobs, reservations and licences; `None` for others.
fn decide_of_operators(
    request: &Request<'_>,
    cluster: &Cluster,
    now: Time,
) -> Result<Option<Answer>, Refused> {
    let tables = || Tables::new(cluster, now).read_by(request.release);
    let asker = request.identity;
    let answer = match request.message {
        Message::RequestSubmitBatchHetJob(_) | Message::RequestHetJobAllocation(_) => {
            let text = "heterogeneous jobs are not supported by this controller";
            return Err(Refused::because(Errno::NotSupported.number(), text));
        }
        Message::RequestJobWillRun(desc) => crate::will_run::decide(request, desc, cluster, now)?,
        Message::RequestPriorityFactors(ask) => {
            let sight = Sight::new(cluster, asker, request.private_data);
            Answer::Reply(tables().priorities(ask, sight))
        }
        Message::RequestShareInfo(ask) => {
            let sight = Sight::new(cluster, asker, request.private_data);
            Answer::Reply(tables().shares(ask, sight))
        }
        Message::RequestTopJob(ask) => crate::top::answer(asker, ask, cluster, now)?,
        Message::RequestSuspend(ask) => crate::suspend::answer(asker, ask, cluster, now)?,
        Message::RequestReservationInfo(_) => Answer::Reply(tables().reservations()),
        Message::RequestCreateReservation(change) => {
            crate::reservation::answer(asker, change, true, cluster, now)?
        }
        Message::RequestUpdateReservation(change) => {
            crate::reservation::answer(asker, change, false, cluster, now)?
        }
        Message::RequestDeleteReservation(ask) => {
            crate::reservation::delete(asker, ask, cluster, now)?
        }
        Message::RequestLicenseInfo(ask) => {
            let updated = cluster.updated();
            unless_unchanged(ask.last_update, updated.jobs.max(updated.config))?;
            Answer::Reply(tables().licenses())
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// Listings of what no cluster here has any of, so far.
fn nothing_of(message: &Message) -> Answer {
    match message {
        Message::RequestFedInfo => Answer::Reply(Message::ResponseFedInfo(Box::default())),
        _ => Answer::Elsewhere,
    }
}

fn code(return_code: u32) -> Message {
    Message::ResponseSlurmRc(ReturnCode { return_code })
}

fn known(cluster: &Cluster, id: u32) -> Result<&Job, Refused> {
    cluster.job(JobId(id)).ok_or_else(|| Errno::InvalidJobId.into())
}

/// The job, provided the asker may change it.
pub(crate) fn own(asker: Identity, cluster: &Cluster, id: JobId) -> Result<&Job, Refused> {
    let job = known(cluster, id.0)?;
    if !asker.may_change(job, cluster.settings()) {
        return Err(Errno::AccessDenied.into());
    }
    Ok(job)
}

/// What a request is about, provided the asker may change it.
fn own_target<'a>(
    asker: Identity,
    cluster: &'a Cluster,
    target: &Target,
) -> Result<(Found, &'a Job), Refused> {
    let (found, job) = target.find(cluster)?;
    if !asker.may_change(job, cluster.settings()) {
        return Err(Errno::AccessDenied.into());
    }
    Ok((found, job))
}

/// A client that has seen everything is told so. Times are whole seconds on the wire, so only a
/// change in an earlier second counts as seen.
fn unless_unchanged(seen: UnixTime, updated: Time) -> Result<(), Refused> {
    if seen.0 != 0 && updated.secs() < seen.0 {
        return Err(Refused::plain(WireErrno::SLURM_NO_CHANGE_IN_DATA.0));
    }
    Ok(())
}

/// Who submits. Names and groups are told of those only for whom the asker may speak.
pub(crate) fn submitter_of<'a>(
    request: &'a Request<'_>,
    desc: &JobDesc,
    cluster: &'a Cluster,
) -> Submitter<'a> {
    let asker = &request.identity;
    let settings = cluster.settings();
    let privileged = asker.is_operator(settings);
    let for_self = owner_uid(desc, asker.uid) == asker.uid;
    let user = request.user.as_ref().filter(|_| for_self || privileged);
    Submitter {
        identity: asker,
        user_name: user.map(|(name, _)| name.clone()),
        groups: user.map(|(_, groups)| groups.clone()).unwrap_or_default(),
        privileged,
        client_release: request.release,
        array_size_max: settings.array_size_max(),
        gres_types: &settings.gres_types,
    }
}

/// Whether the partitions let the job's owner in, and the features it names exist.
pub(crate) fn check_access(
    request: &Request<'_>,
    spec: &flurm_model::JobSpec,
    cluster: &Cluster,
) -> Result<(), Refused> {
    let applicant = Applicant {
        asker: request.identity,
        owner_uid: spec.uid,
        groups: &request.group_names,
        account: spec.account.as_deref(),
        qos: spec.qos.as_deref(),
    };
    access::check(cluster, &spec.partitions, &applicant)?;
    crate::constraint::check(cluster, spec.features.as_deref(), Errno::InvalidFeature)?;
    crate::constraint::check(cluster, spec.requests.prefer.as_deref(), Errno::InvalidPrefer)
}

fn submit(
    request: &Request<'_>,
    desc: &JobDesc,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let asker = request.identity;
    let settings = cluster.settings();
    let spec = Box::new(batch_job(desc, &submitter_of(request, desc, cluster))?);
    check_access(request, &spec, cluster)?;
    let by = asker.actor(settings);
    let command = Command::Submit { at: now, key: request.key, by, spec };
    Ok(Answer::Propose(Box::new(command), Then::Submitted))
}

fn update_job(
    request: &Request<'_>,
    desc: &JobDesc,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let asker = request.identity;
    let (found, job) = own_target(asker, cluster, &update::target_of(desc, cluster)?)?;
    let settings = cluster.settings();
    let changes = Box::new(update::changes(desc, asker.is_operator(settings))?);
    let features = changes.features.as_deref().filter(|text| !text.is_empty());
    crate::constraint::check(cluster, features, Errno::InvalidFeature)?;
    let moved = changes.partitions.is_some() || changes.account.is_some() || changes.qos.is_some();
    if moved && !asker.is_operator(settings) {
        let applicant = Applicant {
            asker,
            owner_uid: job.spec.uid,
            groups: &request.group_names,
            account: changes.account.as_deref().or(job.spec.account.as_deref()),
            qos: changes.qos.as_deref().or(job.spec.qos.as_deref()),
        };
        access::check(cluster, changes.partitions.as_ref().unwrap_or(&job.partitions), &applicant)?;
    }
    let act = TaskAct::Update(changes);
    let (command, then) = found.command(now, asker.actor(settings), act);
    Ok(Answer::Propose(Box::new(command), then))
}

fn kill_job(
    asker: Identity,
    kill: &JobStepKill,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let named = kill.sjob_id.as_deref().filter(|text| !text.is_empty());
    let target = match named {
        Some(text) => Target::parse(text, cluster.settings().array_size_max())?,
        None => Target::number(kill.step_id.job_id),
    };
    let (found, _) = own_target(asker, cluster, &target)?;
    check_signal(kill.signal)?;
    let act = TaskAct::Kill { signal: kill.signal, flags: kill.flags };
    let (command, then) = found.command(now, asker.actor(cluster.settings()), act);
    Ok(Answer::Propose(Box::new(command), then))
}

/// Cancels or signals a step.
fn cancel_step(
    asker: Identity,
    kill: &JobStepKill,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let job = own(asker, cluster, JobId(kill.step_id.job_id))?;
    let command = match crate::steps::signal(job, kill, now)? {
        Some(command) => command,
        None => kill_command(asker, job.id, kill, cluster, now)?,
    };
    Ok(Answer::Propose(Box::new(command), Then::Code))
}

fn kill_command(
    asker: Identity,
    job: JobId,
    kill: &JobStepKill,
    cluster: &Cluster,
    now: Time,
) -> Result<Command, Refused> {
    check_signal(kill.signal)?;
    let by = asker.actor(cluster.settings());
    Ok(Command::Kill { at: now, job, by, signal: kill.signal, flags: kill.flags })
}

fn check_signal(signal: u16) -> Result<(), Refused> {
    if signal > SIGNAL_MAX {
        let text = format!("signal {signal} does not exist");
        return Err(Refused::because(Errno::NotSupported.number(), text));
    }
    Ok(())
}

/// `scancel --ctld`: every job that fits and that the asker may change.
fn kill_jobs(
    asker: Identity,
    kill: &KillJobs,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    check_signal(kill.signal)?;
    let settings = cluster.settings();
    let by = asker.actor(settings);
    let act = || TaskAct::Kill { signal: kill.signal, flags: kill.flags };
    let mut commands = Vec::new();
    let mut ids = Vec::new();
    let mut records = Vec::new();
    for text in &kill.jobs {
        let (found, job) =
            own_target(asker, cluster, &Target::parse(text, settings.array_size_max())?)?;
        match found {
            Found::Job(id) => records.push(id),
            Found::Tasks(array, None) => {
                records.extend(cluster.array(array).iter().flat_map(|known| &known.records));
            }
            Found::Tasks(array, tasks) if fits(kill, job) => {
                ids.push(array);
                commands.push(Box::new(Found::Tasks(array, tasks).command(now, by, act()).0));
            }
            Found::Tasks(..) => {}
        }
    }
    let listed = |job: &&Job| kill.jobs.is_empty() || records.contains(&job.id);
    let mine = cluster.jobs().filter(listed).filter(|job| fits(kill, job));
    for job in mine.filter(|job| asker.may_change(job, settings)) {
        ids.push(job.id);
        commands.push(Box::new(Found::Job(job.id).command(now, by, act()).0));
    }
    Ok(Answer::ProposeMany(commands, Gather::Killed(ids)))
}

/// Whether a job passes the filters of `scancel --ctld`.
fn fits(kill: &KillJobs, job: &Job) -> bool {
    let same = |wanted: &Option<String>, have: &str| match wanted {
        Some(text) if !text.is_empty() => text == have,
        Some(_) | None => true,
    };
    let spec = &job.spec;
    let of_user = kill.user_id == NO_VAL || kill.user_id == spec.uid;
    let state = kill.state == NO_VAL
        || kill.state == 0 && kill.jobs.is_empty()
        || kill.state == job.base.number();
    of_user
        && state
        && !job.base.is_terminal()
        && same(&kill.job_name, &spec.name)
        && same(&kill.partition, &job.partition)
        && same(&kill.account, spec.account.as_deref().unwrap_or(""))
        && same(&kill.qos, spec.qos.as_deref().unwrap_or(""))
}

/// The reply once several commands are committed; `replies` stand in the commands' order.
pub fn committed_many(gather: &Gather, replies: &[Reply]) -> Message {
    let errno = |reply: &Reply| match reply {
        Reply::Refused(refusal) => refusal.errno.number(),
        Reply::Tasks { outcomes, .. } => {
            let refusals = outcomes.iter().filter_map(|outcome| outcome.refusal.as_ref());
            refusals.map(|refusal| refusal.errno.number()).max().unwrap_or(0)
        }
        _ => WireErrno::SLURM_SUCCESS.0,
    };
    let jobs = match gather {
        Gather::FirstRefusal => {
            let refused = replies.iter().find_map(|reply| match reply {
                Reply::Refused(refusal) => Some(Refused::from(refusal.clone())),
                _ => None,
            });
            return refused.map_or_else(|| code(0), |refused| refused.message());
        }
        Gather::Killed(jobs) => jobs,
    };
    let outcome = |(job, reply): (&JobId, &Reply)| KilledJob {
        error_code: errno(reply),
        error_msg: None,
        id: SelectedStep { step_id: StepId::job(job.0), ..SelectedStep::default() },
        real_job_id: job.0,
        sibling_name: None,
    };
    let jobs = jobs.iter().zip(replies).map(outcome).collect();
    Message::ResponseKillJobs(KillJobsResponse { jobs })
}

fn requeue_job(
    asker: Identity,
    requeue: &Requeue,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    let named = requeue.job_id_str.as_deref().filter(|text| !text.is_empty());
    let target = match named {
        Some(text) => Target::parse(text, cluster.settings().array_size_max())?,
        None => Target::number(requeue.job.0.job_id),
    };
    let (found, _) = own_target(asker, cluster, &target)?;
    let flags = RequeueFlags {
        hold: requeue.flags & (JOB_REQUEUE_HOLD | JOB_SPECIAL_EXIT) != 0,
        special_exit: requeue.flags & JOB_SPECIAL_EXIT != 0,
        incomplete_only: requeue.flags & JOB_INCOMPLETE != 0,
    };
    let act = TaskAct::Requeue(flags);
    let (command, then) = found.command(now, asker.actor(cluster.settings()), act);
    Ok(Answer::Propose(Box::new(command), then))
}

fn jobs(tables: &Tables<'_>, wanted: impl Fn(&Job) -> bool) -> Answer {
    let jobs = tables.cluster.jobs().filter(|job| wanted(job)).map(|job| tables.job(job));
    let last_update = UnixTime(tables.now.secs());
    Answer::Reply(Message::ResponseJobInfo(JobInfoMsg {
        last_update,
        last_backfill: tables.last_backfill(),
        jobs: jobs.collect(),
    }))
}

/// A job, or everything of an array.
fn records(tables: &Tables<'_>, id: JobId) -> Answer {
    let array = tables.cluster.array(id);
    let ids = array.map_or_else(|| vec![id], |array| array.records.iter().copied().collect());
    let jobs = ids.iter().filter_map(|id| tables.cluster.job(*id)).map(|job| tables.job(job));
    let last_update = UnixTime(tables.now.secs());
    let (last_backfill, jobs) = (tables.last_backfill(), jobs.collect());
    Answer::Reply(Message::ResponseJobInfo(JobInfoMsg { last_update, last_backfill, jobs }))
}

fn job_states(
    cluster: &Cluster,
    wanted: &[flurm_wire::messages::SelectedJob],
    sight: Sight<'_>,
) -> Answer {
    let asked = |ask: &flurm_wire::messages::SelectedJob, job: &Job| {
        let Some(array) = &job.array else { return ask.job_id == job.id.0 };
        let task = ask.array_task_id;
        let whole = task == NO_VAL || array.task == Some(task) || array.undivided.contains(task);
        ask.job_id == job.id.0 || (ask.job_id == array.job.0 && whole)
    };
    let named = |job: &Job| wanted.is_empty() || wanted.iter().any(|ask| asked(ask, job));
    let listed = |job: &&Job| named(job) && sight.job(job);
    let jobs = cluster.jobs().filter(listed).map(crate::array_view::state).collect();
    Answer::Reply(Message::ResponseJobState(JobStateResponse { jobs }))
}

fn script(asker: Identity, id: u32, cluster: &Cluster) -> Result<Answer, Refused> {
    let job = own(asker, cluster, JobId(id))?;
    let batch = job.spec.batch.as_ref().ok_or_else(|| {
        let text = format!("job {id} has no batch script");
        Refused::because(WireErrno::ESLURM_JOB_SCRIPT_MISSING.0, text)
    })?;
    let script = Some(batch.script.clone());
    Ok(Answer::Reply(Message::ResponseBatchScript(BatchScript { script })))
}

fn nodes(tables: &Tables<'_>) -> Answer {
    let nodes = tables.cluster.nodes().map(|node| tables.node(node)).collect();
    let last_update = UnixTime(tables.now.secs());
    Answer::Reply(Message::ResponseNodeInfo(NodeInfoMsg { last_update, hidden_nodes: None, nodes }))
}

/// Partitions; hidden ones only on demand (`-a`) or for operators.
fn partitions(tables: &Tables<'_>, sight: Sight<'_>, show_flags: u16) -> Answer {
    let listed = tables.cluster.partitions();
    let listed = listed.filter(|partition| sight.lists_partition(partition, show_flags));
    let partitions = listed.map(|partition| tables.partition(partition)).collect();
    let last_update = UnixTime(tables.now.secs());
    Answer::Reply(Message::ResponsePartitionInfo(PartitionInfoMsg { last_update, partitions }))
}

/// Only SlurmUser and root speak for nodes.
fn from_node(asker: Identity, cluster: &Cluster) -> Result<(), Refused> {
    if asker.is_slurm_user(cluster.settings()) {
        return Ok(());
    }
    Err(Refused::plain(WireErrno::ESLURM_USER_ID_MISSING.0))
}

fn register(
    asker: Identity,
    registration: &NodeRegistration,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    from_node(asker, cluster)?;
    let name = registration.node_name.as_deref().unwrap_or("");
    let node = cluster.node(name).ok_or_else(|| Refused::from(Errno::InvalidNodeName))?;
    let node = node.conf.name.clone();
    let running =
        registration.step_id.iter().map(|step| (JobId(step.job_id), AttemptId(step.sluid)));
    let command = Command::NodeRegistered {
        at: now,
        node: node.clone(),
        facts: Box::new(facts(registration)),
        running: running.collect(),
    };
    let wants_tres = registration.flags & REGISTRATION_WANTS_TRES != 0;
    Ok(Answer::Propose(Box::new(command), Then::Registered { node, wants_tres }))
}

fn facts(registration: &NodeRegistration) -> NodeFacts {
    let time = |time: UnixTime| (time.0 != 0).then(|| Time::from_secs(time.0));
    let boot = registration.timestamp.0 - i64::from(registration.up_time);
    NodeFacts {
        cpus: u32::from(registration.cpus),
        boards: registration.boards,
        sockets: registration.sockets,
        cores_per_socket: registration.cores,
        threads_per_core: registration.threads,
        real_memory_mb: registration.real_memory,
        tmp_disk_mb: registration.tmp_disk,
        free_memory_mb: Some(registration.free_mem),
        cpu_load: Some(registration.cpu_load),
        boot: Some(Time::from_secs(boot)),
        daemon_start: time(registration.slurmd_start_time),
        arch: registration.arch.clone(),
        os: registration.os.clone(),
        version: registration.version.clone(),
        gres: crate::gres::found(&registration.gres_info),
        extra: registration.extra.clone(),
    }
}

fn batch_complete(
    asker: Identity,
    end: &CompleteBatchScript,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    from_node(asker, cluster)?;
    let step = end.step_id.0;
    let lost = end.slurm_rc == WireErrno::ESLURMD_STEP_NOTRUNNING.0;
    let end = BatchEnd {
        job: JobId(step.job_id),
        attempt: AttemptId(step.sluid),
        node: NodeName::from(end.node_name.as_deref().unwrap_or("")),
        status: end.job_rc,
        errno: if lost { 0 } else { end.slurm_rc },
        out_of_memory: false,
        node_restarted: lost,
    };
    Ok(Answer::Propose(Box::new(Command::BatchComplete { at: now, end }), Then::Report))
}

fn epilog_complete(
    asker: Identity,
    end: &EpilogComplete,
    cluster: &Cluster,
    now: Time,
) -> Result<Answer, Refused> {
    from_node(asker, cluster)?;
    let step = end.job.0;
    let command = Command::EpilogComplete {
        at: now,
        job: JobId(step.job_id),
        attempt: AttemptId(step.sluid),
        node: NodeName::from(end.node_name.as_deref().unwrap_or("")),
        rc: end.return_code,
    };
    Ok(Answer::Propose(Box::new(command), Then::Report))
}

/// The kinds of trackable resources, numbered as Slurm numbers them.
fn tres_records() -> Vec<TresRecord> {
    let kinds = [
        (1, "cpu", None),
        (2, "mem", None),
        (3, "energy", None),
        (4, "node", None),
        (5, "billing", None),
        (6, "fs", Some("disk")),
        (7, "vmem", None),
        (8, "pages", None),
    ];
    let record = |(id, kind, name): (u32, &str, Option<&str>)| TresRecord {
        alloc_secs: 0,
        count: 0,
        id,
        name: name.map(str::to_owned),
        r#type: Some(kind.to_owned()),
    };
    kinds.into_iter().map(record).collect()
}
