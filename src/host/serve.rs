//! What becomes of a verified request: answered here, or by the leader from the replicated state.

use flurm_base::Time;
use flurm_ctld::{Answer, Identity, Refused, Request, Then, Trial};
use flurm_model::{Cluster, Command, JobSpec, Refusal, Reply};
use flurm_rt::{Clock, Env, Ident};
use flurm_sched::{Asked, Forecast, Snapshot};
use flurm_wire::messages::{ControlStatus, ReturnCode};
use flurm_wire::{Errno, Message, Release};

use crate::allocations;
use crate::controller::{Controller, NotTaken};
use crate::peers::{Forwarded, ForwardedAnswer};
use crate::{reconfigure, token_request};

/// Requests that any replica answers by itself: about itself, and about the configuration files.
pub(crate) async fn locally<E: Env>(
    controller: &Controller<E>,
    message: &Message,
    release: Release,
    asker: Identity,
) -> Option<Message> {
    match message {
        Message::RequestAuthToken(ask) => {
            Some(token_request::answer(controller.setup(), asker, ask).await)
        }
        Message::RequestPing => Some(code(Errno::SLURM_SUCCESS)),
        Message::RequestConfig(ask) => Some(controller.setup().config_files(ask.flags).await),
        Message::RequestBuildInfo(_) => Some(build_info(controller, release)),
        Message::RequestControlStatus => Some(control_status(controller)),
        Message::RequestTakeover => Some(code(Errno::ESLURM_NOT_SUPPORTED)),
        _ => None,
    }
}

/// The configuration, with the id of the next job as far as this replica knows.
fn build_info<E: Env>(controller: &Controller<E>, release: Release) -> Message {
    let job_id_next = controller.replica().cluster().job_id_next();
    controller.setup().build_info(job_id_next, release)
}

/// Who leads, by position in the list of controllers.
fn control_status<E: Env>(controller: &Controller<E>) -> Message {
    let leader = controller.raft().leader();
    let position = leader.and_then(|leader| controller.setup().position_of(leader.id));
    let position = position.unwrap_or(controller.position());
    Message::ResponseControlStatus(ControlStatus {
        backup_inx: u16::try_from(position).unwrap_or(u16::MAX),
        control_time: controller.setup().started().into(),
    })
}

/// Answers a request from the replicated state, if this replica leads.
pub(crate) async fn as_leader<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
) -> ForwardedAnswer {
    let Some(release) = Release::from_version(request.release) else {
        return ForwardedAnswer::NotLeader;
    };
    let reply = match Message::decode(request.msg_type, release, &request.body) {
        Ok(message) => answer(controller, request, &message).await,
        Err(error) => {
            tracing::warn!("could not read a forwarded message: {error}");
            Ok(code(Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET))
        }
    };
    match reply {
        Ok(message) => {
            ForwardedAnswer::Reply { msg_type: message.msg_type(), body: message.to_bytes(release) }
        }
        Err(NotTaken::NotLeader | NotTaken::Unknown) => ForwardedAnswer::NotLeader,
        Err(NotTaken::Busy) => reply_code(release, Errno::SLURMCTLD_COMMUNICATIONS_BACKOFF),
        Err(NotTaken::TooLarge) => reply_code(release, Errno::ESLURM_PATHNAME_TOO_LONG),
    }
}

fn reply_code(release: Release, errno: Errno) -> ForwardedAnswer {
    let message = code(errno);
    ForwardedAnswer::Reply { msg_type: message.msg_type(), body: message.to_bytes(release) }
}

async fn answer<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    message: &Message,
) -> Result<Message, NotTaken> {
    // Nothing is answered from a state that may be behind what another leader acknowledged.
    if !answers_anyway(message.msg_type()) {
        let barrier = controller.raft().read_barrier().await;
        barrier.map_err(|_| NotTaken::NotLeader)?;
        if controller.leading().is_none() {
            return Err(NotTaken::NotLeader);
        }
    }
    let sets_up = matches!(message, Message::RequestReconfigure);
    if !sets_up && !controller.replica().cluster().is_configured() {
        // The first leader of all has yet to say which nodes and partitions there are.
        flurm_base::sometimes!("a request came before the cluster was configured");
        return Err(NotTaken::NotLeader);
    }
    if let Some(unknown) = unknown_user(controller, message).await {
        let refused = Refused::because(Errno::ESLURM_USER_ID_MISSING.0, unknown).message();
        audit(request, message, &refused);
        return Ok(refused);
    }
    let group_names = group_names(controller, request, message).await;
    let decided = decide(controller, request, message, group_names);
    match decided {
        Answer::Reply(reply) => Ok(reply),
        Answer::WillRun(trial) => Ok(will_run(controller, &trial)),
        Answer::Elsewhere => Ok(elsewhere(controller, request, message).await),
        Answer::Propose(command, then) => {
            if let Some(refused) = refused_as_impossible(controller, &command) {
                audit(request, message, &refused);
                return Ok(refused);
            }
            if let Some(early) = planted_answer(controller, &command) {
                return Ok(flurm_ctld::committed(&then, &early));
            }
            let reply = controller.propose(&command).await?;
            after(controller, &command, &then, &reply).await;
            allocations::on_answer(controller, &command, &reply);
            let reply = answer_of(controller, &then, &reply).await?;
            audit(request, message, &reply);
            Ok(reply)
        }
        Answer::ProposeMany(commands, gather) => {
            let mut replies = Vec::with_capacity(commands.len());
            for command in commands {
                replies.push(controller.propose(&command).await?);
            }
            Ok(flurm_ctld::committed_many(&gather, &replies))
        }
    }
}

/// The message that a committed command is answered with.
async fn answer_of<E: Env>(
    controller: &Controller<E>,
    then: &Then,
    reply: &Reply,
) -> Result<Message, NotTaken> {
    match (then, reply) {
        (Then::Allocated { immediate }, Reply::Submitted { job, .. }) => {
            allocations::allocated(controller, *job, *immediate).await
        }
        (Then::StepCreated { release }, Reply::StepCreated { job, step }) => {
            Ok(allocations::step_created(controller, *job, *step, *release).await)
        }
        _ => Ok(flurm_ctld::committed(then, reply)),
    }
}

/// Whether a planted bug answers this kind of request from whatever state there is.
pub(crate) fn answers_anyway(msg_type: u16) -> bool {
    msg_type == flurm_wire::names::REQUEST_JOB_INFO
        && flurm_base::planted::is("host_reads_without_a_leader")
}

/// The answer that a planted bug gives while the command is still on its way.
fn planted_answer<E: Env>(controller: &Controller<E>, command: &Command) -> Option<Reply> {
    let early = match command {
        Command::Submit { .. } if flurm_base::planted::is("host_accepts_before_commit") => {
            let job = flurm_base::JobId(controller.replica().cluster().job_id_next());
            let attempt = flurm_base::AttemptId(0);
            Reply::Submitted { job, attempt, repeated: false }
        }
        Command::Kill { .. } if flurm_base::planted::is("host_cancels_before_commit") => {
            Reply::Done
        }
        _ => return None,
    };
    let (controller, command) = (controller.clone(), command.clone());
    crate::task::detach::<E>(async move {
        // Nobody is told what became of it, which is the bug.
        let _lost = controller.propose(&command).await;
    });
    Some(early)
}

/// Names that a reservation is for must be those of users.
async fn unknown_user<E: Env>(controller: &Controller<E>, message: &Message) -> Option<String> {
    let (Message::RequestCreateReservation(change) | Message::RequestUpdateReservation(change)) =
        message
    else {
        return None;
    };
    for name in change.users.as_deref()?.split(',').filter(|name| !name.is_empty()) {
        let name = name.trim_start_matches('-');
        match controller.env().ident().user_by_name(name).await {
            Ok(Some(_)) => {}
            Ok(None) => return Some(format!("there is no user {name}")),
            Err(error) => tracing::warn!("could not look up {name}: {error}"),
        }
    }
    None
}

/// Names of the groups that the rules of partitions ask for. One without a name matches no rule.
async fn group_names<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    message: &Message,
) -> Vec<String> {
    let groups = {
        let replica = controller.replica();
        flurm_ctld::groups_to_name(message, request.user.as_ref(), replica.cluster())
    };
    let mut names = Vec::with_capacity(groups.len());
    for gid in groups {
        match controller.env().ident().group_name(gid).await {
            Ok(name) => names.extend(name),
            Err(error) => tracing::warn!("could not look up gid {gid}: {error}"),
        }
    }
    names
}

fn decide<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    message: &Message,
    group_names: Vec<String>,
) -> Answer {
    let now = controller.env().clock().wall();
    let replica = controller.replica();
    let outlook = controller.outlook();
    let request = Request {
        identity: request.identity(),
        message,
        key: request.key(),
        release: request.release,
        user: request.user.clone(),
        group_names,
        peer: request.peer.clone(),
        private_data: controller.setup().conf().private_data,
        outlook: &outlook,
    };
    let decided = flurm_ctld::answer(&request, replica.cluster(), now);
    if let Answer::Reply(reply) = &decided {
        audit_refusal(request.identity, message, reply);
    }
    decided
}

/// Every act that is refused leaves a line.
fn audit(request: &Forwarded, message: &Message, reply: &Message) {
    audit_refusal(request.identity(), message, reply);
}

fn audit_refusal(asker: Identity, message: &Message, reply: &Message) {
    let errno = match reply {
        Message::ResponseSlurmRc(answer) => Errno(answer.return_code),
        Message::ResponseSlurmRcMsg(answer) => Errno(answer.return_code),
        _ => return,
    };
    if errno != Errno::SLURM_SUCCESS && errno != Errno::SLURM_NO_CHANGE_IN_DATA {
        tracing::info!(uid = asker.uid, "refused {}: {errno}", message.name());
    }
}

/// A submission that no idle cluster could run is refused at once, as Slurm does. A repetition of one
/// that was accepted is not judged again.
fn refused_as_impossible<E: Env>(controller: &Controller<E>, command: &Command) -> Option<Message> {
    let (at, key, spec) = match command {
        Command::Submit { at, key, spec, .. } | Command::Allocate { at, key, spec, .. } => {
            (at, key, spec)
        }
        _ => return None,
    };
    let replica = controller.replica();
    let cluster = replica.cluster();
    if key.is_some_and(|key| cluster.submitted(&key).is_some()) {
        return None;
    }
    impossible(cluster, spec, *at).map(|refusal| Refused::from(refusal).message())
}

/// Why a job could never start, whatever ends.
fn impossible(cluster: &Cluster, spec: &JobSpec, at: Time) -> Option<Refusal> {
    let partitions = match spec.partitions.is_empty() {
        false => spec.partitions.clone(),
        true => cluster.partition_default().map(|it| it.conf.name.clone()).into_iter().collect(),
    };
    let known_partitions = partitions.iter().all(|name| cluster.partition(name).is_some());
    let known_nodes = spec.nodes_required.iter().all(|name| cluster.node(name).is_some());
    if partitions.is_empty() || !known_partitions || !known_nodes {
        // The command itself refuses these, with the right words.
        return None;
    }
    let snapshot = Snapshot::idle(cluster, at);
    flurm_sched::feasible(&snapshot, spec, &partitions).err()
}

/// When a job would start.
fn will_run<E: Env>(controller: &Controller<E>, trial: &Trial) -> Message {
    controller.with_tables(|tables| {
        let (cluster, now) = (tables.cluster, tables.now);
        let (job, asked) = match trial {
            Trial::Waiting(job) => (Some(*job), Asked::Waiting(*job)),
            Trial::New(spec) => {
                if let Some(refusal) = impossible(cluster, spec, now) {
                    return Refused::from(refusal).message();
                }
                (None, Asked::New(spec, &spec.partitions))
            }
        };
        match flurm_sched::forecast(cluster, now, asked) {
            Some(Forecast { start, partition, placements }) => {
                tables.will_run(job, start, &partition, &placements)
            }
            None => Refused::from(flurm_model::Errno::NodeNotAvail).message(),
        }
    })
}

/// What the leader does in the world because a command was committed right now.
async fn after<E: Env>(controller: &Controller<E>, _command: &Command, then: &Then, reply: &Reply) {
    if let (Then::Registered { node, .. }, Reply::Registered { orphans }) = (then, reply) {
        crate::health::heard(controller, node);
        for (job, attempt) in orphans {
            tracing::warn!(
                job = job.0,
                "{node} has attempt {attempt}, which nobody wants: ending it"
            );
        }
    }
}

/// Requests that change nothing in the replicated state but need the leader.
async fn elsewhere<E: Env>(
    controller: &Controller<E>,
    request: &Forwarded,
    message: &Message,
) -> Message {
    let asker = request.identity();
    let operator = controller.setup().auth().is_slurm_user(asker.uid);
    match message {
        Message::RequestReconfigure if operator => match reconfigure::reconfigure(controller).await
        {
            Ok(()) => code(Errno::SLURM_SUCCESS),
            Err(text) => {
                tracing::error!("could not reconfigure: {text}");
                Refused::because(Errno::SLURM_ERROR.0, text).message()
            }
        },
        Message::RequestReconfigure => code(Errno::ESLURM_ACCESS_DENIED),
        Message::RequestJobSbcastCred(wanted) => {
            allocations::sbcast_credential(controller, request, wanted.step_id).await
        }
        Message::RequestJobNotify(wanted) => {
            allocations::show_text(controller, request, wanted).await
        }
        other => {
            tracing::info!(uid = asker.uid, "{} is not served", other.name());
            let text = format!("{} is not supported by this controller", other.name());
            Refused::because(Errno::ESLURM_NOT_SUPPORTED.0, text).message()
        }
    }
}

fn code(errno: Errno) -> Message {
    Message::ResponseSlurmRc(ReturnCode { return_code: errno.0 })
}
