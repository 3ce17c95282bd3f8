//! What controllers ask of a node, one request a connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{AttemptId, JobId};
use flurm_ctld::{Identity, SuspendOrder, run_of, term_of};
use flurm_node::batch::{BatchOrder, OPEN_MODE_APPEND};
use flurm_node::ledger::{LaunchVerdict, TerminateVerdict};
use flurm_node::machine;
use flurm_node::programs::{Ended, JobFacts};
use flurm_rt::{Addr, AsyncRuntime, Clock, Container, Env, Listener, Net, Peer, Proc};
use flurm_wire::messages::{PingSlurmd, ReturnCode, SignalTasks, kill_flags};
use flurm_wire::records::{BatchJobLaunch, CredentialBody, KillJob};
use flurm_wire::{Errno, Frame, Header, Message, Release, UnixTime, WireAddr, frame};

use crate::frame_io::{read_frame, write_frame};
use crate::launcher::TRY_AGAIN;
use crate::node::NodeDaemon;
use crate::node_gres;
use crate::spool::container_name;
use crate::task::detach;
use crate::{
    node_attempts, node_bcast, node_prolog, node_register, node_stat, node_steps, node_suspend,
};

/// Connections served at once.
static SESSIONS_MAX: Knob<usize> = Knob::new("host.node_serve.sessions_max", 256, 4, 256);
/// A request must have come whole, and its reply be taken, within this time.
static EXCHANGE_MAX: Knob<Duration> = Knob::new(
    "host.node_serve.exchange_max",
    Duration::from_secs(20),
    Duration::from_secs(5),
    Duration::from_secs(60),
);
/// Ends a process at once.
const SIGKILL: u16 = 9;
/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for ever.
pub(crate) async fn accept<E: Env>(daemon: NodeDaemon<E>, mut listener: <E::Net as Net>::Listener) {
    let sessions = Arc::new(AtomicUsize::new(0));
    loop {
        if sessions.load(Ordering::Relaxed) >= SESSIONS_MAX.get() {
            E::Rt::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                sessions.fetch_add(1, Ordering::Relaxed);
                let (daemon, sessions) = (daemon.clone(), sessions.clone());
                detach::<E>(async move {
                    session(&daemon, stream, &peer).await;
                    sessions.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Err(error) => {
                tracing::warn!("could not accept a connection: {error}");
                E::Rt::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn session<E: Env>(daemon: &NodeDaemon<E>, mut stream: <E::Net as Net>::Stream, peer: &Peer) {
    let bytes = match read_frame::<E, _>(&mut stream, EXCHANGE_MAX.get()).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::debug!("no request: {error}");
            return;
        }
    };
    let (release, message, reader) = match frame::split(&bytes) {
        Ok(frame) => {
            let (message, reader) = respond(daemon, &frame, peer).await;
            (frame.header.release, message, reader)
        }
        Err(error) => {
            tracing::info!("refused a message: {error}");
            let message = code(Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET);
            (Release::NEWEST, message, crate::munge::UID_ANY)
        }
    };
    let body = message.to_bytes(release);
    let signed = daemon.setup().auth().sign(release, message.msg_type(), &body, reader).await;
    let Ok(auth) = signed else { return };
    let bytes = frame::build(Header::new(release, message.msg_type()), Some(&auth), &body);
    if let Err(error) = write_frame::<E, _>(&mut stream, &bytes, EXCHANGE_MAX.get()).await {
        tracing::debug!("could not send a reply: {error}");
    }
}

async fn respond<E: Env>(daemon: &NodeDaemon<E>, frame: &Frame<'_>, peer: &Peer) -> (Message, u32) {
    let any = crate::munge::UID_ANY;
    let auth = daemon.setup().auth();
    let msg_type = frame.header.msg_type;
    let verified = match auth.verify(frame.auth.as_ref(), msg_type, frame.body).await {
        Ok(verified) => verified,
        Err(unverified) => {
            tracing::warn!(msg_type, "refused a message: {unverified}");
            return (code(unverified.errno), any);
        }
    };
    let uid = verified.identity.uid;
    if is_of_users(msg_type) {
        let again = verified.key.is_some_and(|key| !daemon.is_new(key));
        if again && verified.replayed {
            tracing::warn!(msg_type, uid, "refused a replayed credential");
            return (code(Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR), uid);
        }
        return (act_for_user(daemon, frame, verified.identity, peer).await, uid);
    }
    if verified.replayed {
        tracing::warn!(msg_type, uid, "refused a replayed credential");
        return (code(Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR), uid);
    }
    if !auth.is_slurm_user(uid) {
        tracing::warn!(msg_type, uid, "refused a message: only SlurmUser and root give orders");
        return (code(Errno::ESLURM_USER_ID_MISSING), uid);
    }
    match frame.message() {
        Ok(message) => (act(daemon, frame.header.release, message).await, uid),
        Err(error) => {
            tracing::info!(msg_type, "refused a message: {error}");
            (code(Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET), uid)
        }
    }
}

/// Requests that users send themselves, through srun and scancel. What they may do the handlers say.
/// A credential that munged has seen before is no fault here by itself: several daemons of a machine,
/// which share a munged, get the same forwarded message. Each of them takes it once.
fn is_of_users(msg_type: u16) -> bool {
    use flurm_wire::names as n;
    let of_users = [
        n::REQUEST_LAUNCH_TASKS,
        n::REQUEST_SIGNAL_TASKS,
        n::REQUEST_TERMINATE_TASKS,
        n::REQUEST_REATTACH_TASKS,
        n::REQUEST_FILE_BCAST,
        n::REQUEST_JOB_STEP_STAT,
        n::REQUEST_JOB_STEP_PIDS,
        n::REQUEST_JOB_ID,
    ];
    of_users.contains(&msg_type)
}

async fn act_for_user<E: Env>(
    daemon: &NodeDaemon<E>,
    frame: &Frame<'_>,
    asker: Identity,
    peer: &Peer,
) -> Message {
    let release = frame.header.release;
    if frame.header.forward.is_some() {
        return code(Errno::ESLURM_NOT_SUPPORTED);
    }
    match frame.message() {
        Ok(Message::RequestLaunchTasks(launch)) => {
            let Some(srun) = origin(frame, peer) else { return code(Errno::ESLURM_NOT_SUPPORTED) };
            code(node_steps::launch(daemon, release, *launch, asker, srun).await)
        }
        Ok(Message::RequestReattachTasks(asked)) => {
            let Some(client) = origin(frame, peer) else {
                return code(Errno::ESLURM_NOT_SUPPORTED);
            };
            let attached = node_steps::attach(daemon, release, asked, asker, client).await;
            Message::ResponseReattachTasks(attached)
        }
        Ok(Message::RequestFileBcast(block)) => {
            code(node_bcast::take(daemon, release, &block, asker).await)
        }
        Ok(Message::RequestJobStepStat(step)) => node_stat::stat(daemon, step, asker).await,
        Ok(Message::RequestJobStepPids(step)) => node_stat::pids(daemon, step, asker).await,
        Ok(Message::RequestJobId(process)) => node_stat::job_of(daemon, process.job_pid).await,
        Ok(Message::RequestSignalTasks(signal)) => code(signal_tasks(daemon, &signal, asker).await),
        Ok(Message::RequestTerminateTasks(signal)) => {
            let kill = SignalTasks { signal: SIGKILL, ..signal };
            code(signal_tasks(daemon, &kill, asker).await)
        }
        Ok(other) => {
            tracing::info!("{} is not served by this node daemon", other.name());
            code(Errno::ESLURM_NOT_SUPPORTED)
        }
        Err(error) => {
            tracing::info!("refused a message: {error}");
            code(Errno::ESLURM_PROTOCOL_INCOMPLETE_PACKET)
        }
    }
}

/// Where the program is that a request began with.
fn origin(frame: &Frame<'_>, peer: &Peer) -> Option<IpAddr> {
    match (frame.header.orig_addr, &peer.addr) {
        (WireAddr::V4(ip, _), _) => Some(IpAddr::from(ip)),
        (WireAddr::V6(ip, _), _) => Some(IpAddr::from(ip)),
        (_, Addr::Ip(addr)) => Some(addr.ip()),
        (_, Addr::Local(_)) => None,
    }
}

/// Signals of controllers, of srun and of scancel: for a job's script, for its steps, or for both.
async fn signal_tasks<E: Env>(
    daemon: &NodeDaemon<E>,
    wanted: &SignalTasks,
    asker: Identity,
) -> Errno {
    let of_job = wanted.step_id.step_id == flurm_wire::BATCH_STEP;
    let rules = daemon.setup().auth().is_slurm_user(asker.uid);
    // The steps first: a script that ends with the signal ends its steps too.
    let steps = match node_steps::concerns_steps(wanted) {
        true => node_steps::signal(daemon, wanted, asker).await,
        false if rules => Errno::SLURM_SUCCESS,
        false => Errno::ESLURM_USER_ID_MISSING,
    };
    if of_job && rules { signal_job(daemon, wanted).await } else { steps }
}

async fn act<E: Env>(daemon: &NodeDaemon<E>, release: Release, message: Message) -> Message {
    match message {
        Message::RequestPing => ping(daemon).await,
        Message::RequestNodeRegistrationStatus => {
            detach::<E>(node_register::register_now(daemon.clone()));
            code(Errno::SLURM_SUCCESS)
        }
        Message::RequestBatchJobLaunch(launch) => {
            code(launch_batch(daemon, release, *launch).await)
        }
        Message::RequestTerminateJob(kill)
        | Message::RequestKillTimelimit(kill)
        | Message::RequestKillPreempted(kill)
        | Message::RequestAbortJob(kill) => code(terminate(daemon, &kill).await),
        Message::RequestSuspendInt(suspend) => match SuspendOrder::of(&suspend) {
            Some(order) => code(node_suspend::obey(daemon, order).await),
            None => code(Errno::ESLURM_NOT_SUPPORTED),
        },
        Message::RequestReconfigure => {
            // Answered with the keys that the request was signed with.
            daemon.bell().ring();
            code(Errno::SLURM_SUCCESS)
        }
        Message::RequestHealthCheck => code(Errno::SLURM_SUCCESS),
        other => {
            tracing::info!("{} is not served by this node daemon", other.name());
            code(Errno::ESLURM_NOT_SUPPORTED)
        }
    }
}

async fn ping<E: Env>(daemon: &NodeDaemon<E>) -> Message {
    let (meminfo, loadavg) = node_register::texts(daemon).await;
    Message::ResponsePingSlurmd(PingSlurmd {
        cpu_load: machine::load_hundredths(&loadavg).unwrap_or(0),
        free_mem: machine::memory(&meminfo).free_mib,
        node_name: Some(daemon.conf().name.clone()),
    })
}

async fn launch_batch<E: Env>(
    daemon: &NodeDaemon<E>,
    release: Release,
    launch: BatchJobLaunch,
) -> Errno {
    if !daemon.registrar().is_introduced() {
        return TRY_AGAIN;
    }
    let credential = match open_credential(daemon, release, &launch).await {
        Ok(credential) => credential,
        Err(text) => {
            tracing::warn!("refused a launch: {text}");
            return Errno::ESLURMD_INVALID_JOB_CREDENTIAL;
        }
    };
    let order = batch_order(daemon, &launch, &credential);
    let (job, attempt, term) = (order.job, order.attempt, term_of(&launch.spank_job_env));
    let obeys = flurm_base::planted::is("node_obeys_a_deposed_leader");
    let known = daemon.ledger().phase(job, attempt).is_some() && !obeys;
    if !known && let Err(text) = node_attempts::write_order(daemon, &order).await {
        tracing::error!(job = job.0, "{text}");
        return Errno::ESLURMD_CREATE_BATCH_DIR_ERROR;
    }
    let facts = JobFacts::of(&credential, attempt, &order.work_dir);
    if !known && let Err(text) = node_prolog::prepare(daemon, &facts).await {
        tracing::error!(job = job.0, "{text}");
        return Errno::ESLURMD_CREATE_BATCH_DIR_ERROR;
    }
    let run = run_of(&launch.spank_job_env);
    let verdict = daemon.ledger().on_launch(term, run, job, attempt);
    match verdict {
        LaunchVerdict::Start => {}
        LaunchVerdict::AlreadyLaunched => {
            flurm_base::sometimes!("a launch was repeated");
            return Errno::SLURM_SUCCESS;
        }
        LaunchVerdict::Stale | LaunchVerdict::Ended => {
            flurm_base::sometimes!("a stale launch was refused");
            tracing::info!(job = job.0, "refused to launch attempt {attempt}: {verdict:?}");
            return Errno::ESLURMD_CREDENTIAL_REVOKED;
        }
        LaunchVerdict::OtherRun => {
            flurm_base::sometimes!("a launch for an earlier run of a node was not obeyed");
            return TRY_AGAIN;
        }
        LaunchVerdict::OlderAttemptEnding => return TRY_AGAIN,
    }
    let forgets = flurm_base::planted::is("host_starts_before_it_remembers");
    if !forgets && let Err(text) = daemon.save_ledger().await {
        // Not durable, so not started, now or ever: the controller decides what becomes of it.
        flurm_base::sometimes!("a node could not record a launch");
        let now = daemon.env().clock().wall();
        daemon.ledger().on_ended(now, job, attempt);
        tracing::error!(job = job.0, "{text}");
        return Errno::ESLURMD_CREATE_BATCH_DIR_ERROR;
    }
    tracing::info!(job = job.0, "launching attempt {attempt} for uid {}", order.uid);
    match node_prolog::start_batch(daemon, &order).await {
        Ok(()) => Errno::SLURM_SUCCESS,
        Err(text) => {
            // The node cannot make processes: said now, so that it gets no more jobs to lose.
            tracing::error!(job = job.0, "{text}");
            Errno::ESLURMD_SETUP_ENVIRONMENT_ERROR
        }
    }
}

/// A credential must be signed by SlurmUser or root, name this node, and be about the same job.
async fn open_credential<E: Env>(
    daemon: &NodeDaemon<E>,
    message_release: Release,
    launch: &BatchJobLaunch,
) -> Result<CredentialBody, String> {
    let release = launch.cred.release.unwrap_or(message_release);
    let opened = daemon.setup().auth().open_credential(&launch.cred.credential, release).await;
    let body = opened?;
    let hosts = body.job_hostlist.as_deref().unwrap_or("");
    let hosts = flurm_base::Hostlist::parse(hosts).map_err(|error| error.to_string())?;
    if !hosts.contains(&daemon.conf().name) {
        return Err(format!("the credential is for other nodes: {hosts}"));
    }
    Ok(body)
}

fn batch_order<E: Env>(
    daemon: &NodeDaemon<E>,
    launch: &BatchJobLaunch,
    body: &CredentialBody,
) -> BatchOrder {
    let array = (launch.array_task_id != flurm_wire::NO_VAL).then_some(launch.array_task_id);
    let runs = launch.cpus_per_node.values.iter().zip(&launch.cpus_per_node.repeats);
    let time = |time: UnixTime| flurm_base::Time::from_secs(time.0);
    let mut own = node_gres::of_job(body, 0);
    // For the script's srun (source: `setup_env`).
    own.extend((launch.overcommit != 0).then(|| "SLURM_OVERCOMMIT=1".to_owned()));
    BatchOrder {
        job: JobId(body.step_id.job_id),
        attempt: AttemptId(body.step_id.sluid),
        restart_count: launch.restart_cnt,
        uid: body.id.uid,
        gid: body.id.gid,
        user_name: body.id.pw_name.clone().unwrap_or_else(|| body.id.uid.to_string()),
        groups: body.id.gids.clone(),
        nodes: launch.nodes.clone().unwrap_or_default(),
        node_name: daemon.conf().name.clone(),
        cpus_per_node: runs.map(|(cpus, nodes)| (*cpus, *nodes)).collect(),
        ntasks: launch.ntasks,
        cpus_per_task: launch.cpus_per_task,
        pn_min_memory: launch.pn_min_memory,
        partition: launch.partition.clone().unwrap_or_default(),
        account: launch.account.clone(),
        qos: launch.qos.clone(),
        reservation: launch.resv_name.clone(),
        array_job_id: array.map(|_| launch.array_job_id),
        array_task_id: array,
        script: launch.script.clone().unwrap_or_default(),
        argv: launch.argv.clone(),
        // The script runs on the first node of its job.
        environment: node_gres::put(&launch.environment, own),
        work_dir: launch.work_dir.clone().unwrap_or_else(|| "/tmp".into()),
        std_in: launch.std_in.clone(),
        std_out: launch.std_out.clone(),
        std_err: launch.std_err.clone(),
        open_mode: match launch.open_mode {
            0 if daemon.setup().conf().jobs.file_append => OPEN_MODE_APPEND,
            asked => asked,
        },
        tres_per_task: launch.tres_per_task.clone(),
        start_time: time(body.job_start_time),
        end_time: (body.job_end_time.0 != 0).then(|| time(body.job_end_time)),
    }
}

async fn terminate<E: Env>(daemon: &NodeDaemon<E>, kill: &KillJob) -> Errno {
    let (job, attempt) = (JobId(kill.step_id.job_id), AttemptId(kill.step_id.sluid));
    let term = term_of(&kill.spank_job_env);
    let now = daemon.env().clock().wall();
    let verdict = daemon.ledger().on_terminate(now, term, job, attempt);
    if verdict == TerminateVerdict::Stale {
        return Errno::ESLURMD_CREDENTIAL_REVOKED;
    }
    // Also an attempt that never came must be refused after a restart, before anybody relies on it.
    if verdict != TerminateVerdict::AlreadyEnding
        && let Err(text) = daemon.save_ledger().await
    {
        flurm_base::sometimes!("a node could not record that an attempt is to end");
        tracing::error!(job = job.0, "{text}");
        let newest = daemon.ledger().live().find(|(id, ..)| *id == job);
        if let Some((_, ending, _)) = newest.filter(|_| verdict == TerminateVerdict::End) {
            daemon.ledger().on_end_refused(job, ending);
        }
        return Errno::ESLURMD_KILL_TASK_FAILED;
    }
    match verdict {
        TerminateVerdict::NothingHere => Errno::ESLURMD_KILL_JOB_ALREADY_COMPLETE,
        TerminateVerdict::AlreadyEnding => Errno::SLURM_SUCCESS,
        TerminateVerdict::End => {
            tracing::info!(job = job.0, "ending attempt {attempt}");
            let ended = Ended { status: kill.exit_code, derived: kill.derived_ec };
            detach::<E>(node_attempts::end(daemon.clone(), job, Some(ended)));
            Errno::SLURM_SUCCESS
        }
        TerminateVerdict::Stale => Errno::ESLURMD_CREDENTIAL_REVOKED,
    }
}

/// Signals of `scancel --signal` for the batch script, and for what it has started.
async fn signal_job<E: Env>(daemon: &NodeDaemon<E>, wanted: &SignalTasks) -> Errno {
    let (job, attempt) = (JobId(wanted.step_id.job_id), AttemptId(wanted.step_id.sluid));
    if daemon.ledger().phase(job, attempt).is_none() {
        return Errno::ESLURM_INVALID_JOB_ID;
    }
    if wanted.flags & (kill_flags::BATCH | kill_flags::FULL_JOB) == 0 {
        return Errno::SLURM_SUCCESS;
    }
    let name = container_name(&daemon.setup().cluster_name(), &daemon.conf().name, job, attempt);
    let container = match daemon.env().proc().container(&name).await {
        Ok(container) => container,
        Err(error) => {
            tracing::warn!(job = job.0, "could not open the container: {error}");
            return Errno::ESLURMD_KILL_TASK_FAILED;
        }
    };
    // With the batch flag alone the signal is for the script, not for what the script has started.
    let signal = i32::from(wanted.signal);
    let sent = match wanted.flags & kill_flags::FULL_JOB {
        0 => container.signal_first(signal).await,
        _ => container.signal(signal).await,
    };
    match sent {
        Ok(true) => Errno::SLURM_SUCCESS,
        Ok(false) => Errno::ESLURM_ALREADY_DONE,
        Err(error) => {
            tracing::warn!(job = job.0, "could not signal: {error}");
            Errno::ESLURMD_KILL_TASK_FAILED
        }
    }
}

fn code(errno: Errno) -> Message {
    Message::ResponseSlurmRc(ReturnCode { return_code: errno.0 })
}
