//! A client that speaks Slurm's protocol: what `sbatch`, `squeue` and `scancel` send, byte for byte
//! the same when it is sent again.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flurm_host::munge::{Munge, SOCKET_DEFAULT, UID_ANY};
use flurm_rt::{Addr, AsyncRuntime, Env, Net};
use flurm_wire::hash::{HashKind, hash_block};
use flurm_wire::messages::{
    CompleteJobAllocation, InfoRequest, JobAllocInfo, JobInfoRequest, JobStepKill, Requeue, Suspend,
};
use flurm_wire::records::{
    DeletePartition, JobDesc, ReservationName, UpdateNode, UpdatePartition, UpdateReservation,
};
use flurm_wire::{
    AuthBlock, Errno, Header, JobRef, List, Message, Release, StepId, UnixTime, frame,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::workload::{ClientApi, Doing, Heard, Prepared, StepSeen, StepWanted, Wanted};
use crate::world::history::{Order, SeenJob, SeenNode};
use crate::world::{self, MachineId, Nanos};

/// Slurm's `MessageTimeout`: a client waits this long for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Slurm's `TCPTimeout`.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Node states that `scontrol update` sends (slurm.h, `NODE_STATE_*`).
const NODE_STATE_DOWN: u32 = 1;
const NODE_STATE_RESUME: u32 = 1 << 8;
const NODE_STATE_DRAIN: u32 = 1 << 9;
/// What `scontrol suspend` and `scontrol resume` send (slurm.h, `suspend_opts`).
const SUSPEND_JOB: u16 = 0;
const RESUME_JOB: u16 = 1;
/// A reservation of nodes that jobs run on (slurm.h, `RESERVE_FLAG_IGN_JOBS`).
const IGNORE_JOBS: u64 = 1 << 6;
/// `--kill-on-invalid-dep` (slurm.h).
const KILL_INV_DEP: u64 = 1 << 0;
/// A port that no client listens on.
const DEAF_PORT: u16 = 7;
/// Signal of `scancel`.
const SIGKILL: u16 = 9;

/// A client.
pub(super) struct SlurmClient<E: Env> {
    pub(super) env: E,
    addrs: Vec<SocketAddr>,
    pub(super) next: usize,
    release: Release,
    pub(super) uid: u32,
}

impl<E: Env> SlurmClient<E> {
    /// The `number`th client: each speaks another release.
    pub(super) fn new(env: E, number: u32, uid: u32) -> Self {
        let cluster = crate::cluster::current().expect("clients are started within a cluster");
        let addr = |machine: &MachineId| {
            SocketAddr::new(world::with(|w| w.machine(*machine).ip), cluster.client_port)
        };
        let addrs = cluster.controllers.iter().map(addr).collect();
        let releases = Release::ALL;
        let release = releases[number as usize % releases.len()];
        Self { env, addrs, next: number as usize, release, uid }
    }

    pub(super) async fn frame(&self, message: &Message) -> Option<Vec<u8>> {
        let body = message.to_bytes(self.release);
        let payload = hash_block(HashKind::K12, &body, message.msg_type());
        let munge = Munge::new(self.env.clone(), Path::new(SOCKET_DEFAULT));
        let credential = munge.make(&payload, UID_ANY, 0).await.ok()?;
        let auth = AuthBlock::Munge { credential: Some(credential) };
        let header = Header::new(self.release, message.msg_type());
        Some(frame::build(header, Some(&auth), &body))
    }

    /// Sends a frame to a controller and waits for its reply.
    pub(super) async fn talk(&self, at: usize, bytes: &[u8]) -> Option<Message> {
        self.talk_to(self.addrs[at % self.addrs.len()], bytes).await
    }

    /// Sends a frame to a daemon and waits for its reply.
    pub(super) async fn talk_to(&self, addr: SocketAddr, bytes: &[u8]) -> Option<Message> {
        let addr = Addr::Ip(addr);
        let talk = async {
            let connect = self.env.net().connect(&addr);
            let mut stream = E::Rt::timeout(CONNECT_MAX, connect).await.ok()?.ok()?;
            stream.write_all(bytes).await.ok()?;
            read_message(&mut stream).await
        };
        E::Rt::timeout(ANSWER_MAX, Box::pin(talk)).await.ok().flatten()
    }

    /// Sends a frame to the next controller and waits for its reply.
    pub(super) async fn exchange(&mut self, bytes: &[u8]) -> Option<Message> {
        let reply = self.talk(self.next, bytes).await;
        if reply.as_ref().is_none_or(|reply| error_of(reply).is_some_and(goes_elsewhere)) {
            self.next += 1;
        }
        reply
    }

    pub(super) async fn ask(&mut self, message: &Message) -> Option<Message> {
        let bytes = self.frame(message).await?;
        self.exchange(&bytes).await
    }
}

/// Reads one message from a connection.
pub(super) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<Message> {
    let mut prefix = [0; frame::LENGTH_BYTES];
    stream.read_exact(&mut prefix).await.ok()?;
    let length = frame::length(prefix, frame::REPLY_BYTES_MAX).ok()?;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    frame::split(&bytes).ok()?.message().ok()
}

pub(super) fn error_of(reply: &Message) -> Option<u32> {
    match reply {
        Message::ResponseSlurmRc(answer) => Some(answer.return_code),
        Message::ResponseSlurmRcMsg(answer) => Some(answer.return_code),
        _ => None,
    }
}

/// Errors that mean "another controller, or later".
pub(super) fn goes_elsewhere(error: u32) -> bool {
    [
        Errno::ESLURM_IN_STANDBY_MODE.0,
        Errno::ESLURM_IN_STANDBY_USE_BACKUP.0,
        Errno::SLURMCTLD_COMMUNICATIONS_BACKOFF.0,
    ]
    .contains(&error)
}

fn job_desc(wanted: &Wanted, uid: u32) -> JobDesc {
    let plan = &wanted.plan;
    let memory = (plan.memory_mib > 0).then_some(plan.memory_mib);
    JobDesc {
        name: Some(wanted.key.clone().into()),
        script: Some(plan.script().into()),
        environment: vec!["PATH=/usr/bin:/bin".into()],
        work_dir: Some("/home".into()),
        user_id: uid,
        group_id: uid,
        partition: wanted.partition.clone().map(Into::into),
        time_limit: wanted.time_limit_min.unwrap_or(flurm_wire::NO_VAL),
        priority: if wanted.held { 0 } else { flurm_wire::NO_VAL },
        pn_min_memory: memory.unwrap_or(flurm_wire::NO_VAL64),
        min_cpus: plan.cpus,
        num_tasks: plan.cpus,
        min_nodes: wanted.nodes.max(1),
        max_nodes: wanted.nodes.max(1),
        array_inx: wanted.array.clone().map(Into::into),
        dependency: wanted.dependency.clone().map(Into::into),
        features: wanted.features.clone().map(Into::into),
        licenses: wanted.licenses.clone().map(Into::into),
        tres_per_node: wanted.gres.clone().map(Into::into),
        bitflags: if wanted.dependency.is_some() { KILL_INV_DEP } else { 0 },
        ..JobDesc::default()
    }
}

/// What `scontrol` sends for an order.
fn order_message(order: &Order) -> Message {
    let job = |job: u32| JobDesc { job_id_str: Some(job.to_string().into()), ..JobDesc::default() };
    let node = |name: &String, node_state: u32| {
        let node_names = Some(name.clone());
        let reason = Some("simulated work".to_owned());
        Message::RequestUpdateNode(Box::new(UpdateNode {
            node_names,
            node_state,
            reason,
            ..UpdateNode::default()
        }))
    };
    let suspend = |id: u32, op: u16| {
        Message::RequestSuspend(Suspend {
            job: JobRef(StepId::job(flurm_wire::NO_VAL)),
            op,
            job_id_str: Some(id.to_string()),
        })
    };
    let update = |desc: JobDesc| Message::RequestUpdateJob(Box::new(desc));
    match order {
        Order::Hold(id) => update(JobDesc { priority: 0, ..job(*id) }),
        Order::Release(id) => update(JobDesc { priority: flurm_wire::INFINITE, ..job(*id) }),
        Order::Priority(id, priority) => update(JobDesc { priority: *priority, ..job(*id) }),
        Order::TimeLimit(id, minutes) => update(JobDesc { time_limit: *minutes, ..job(*id) }),
        Order::Requeue(id) => Message::RequestJobRequeue(Requeue {
            job: JobRef(StepId::job(*id)),
            job_id_str: Some(id.to_string()),
            flags: 0,
        }),
        Order::SuspendJob(id) => suspend(*id, SUSPEND_JOB),
        Order::ResumeJob(id) => suspend(*id, RESUME_JOB),
        Order::Drain(name) => node(name, NODE_STATE_DRAIN),
        Order::Resume(name) => node(name, NODE_STATE_RESUME),
        Order::Reserve(name) => Message::RequestCreateReservation(Box::new(UpdateReservation {
            name: Some(format!("of-{name}")),
            node_list: Some(name.clone()),
            accounts: Some("nobody".into()),
            flags: IGNORE_JOBS,
            ..UpdateReservation::default()
        })),
        Order::Unreserve(name) => {
            let name = Some(format!("of-{name}"));
            Message::RequestDeleteReservation(ReservationName { name })
        }
        Order::Down(name) => node(name, NODE_STATE_DOWN),
        Order::Reconfigure => Message::RequestReconfigure,
        Order::Takeover => Message::RequestTakeover,
        Order::CreatePartition(name) => {
            Message::RequestCreatePartition(Box::new(UpdatePartition {
                name: Some(name.clone()),
                nodes: Some("ALL".into()),
                ..UpdatePartition::default()
            }))
        }
        Order::DeletePartition(name) => {
            Message::RequestDeletePartition(DeletePartition { name: Some(name.clone()) })
        }
    }
}

impl<E: Env> SlurmClient<E> {
    async fn make(&mut self, wanted: &Wanted) -> Option<Prepared> {
        let desc = Box::new(job_desc(wanted, self.uid));
        let message = if wanted.interactive {
            Message::RequestResourceAllocation(Box::new(JobDesc {
                script: None,
                // Nobody listens there: this client asks.
                alloc_resp_port: DEAF_PORT,
                ..*desc
            }))
        } else {
            Message::RequestSubmitBatchJob(desc)
        };
        self.frame(&message).await.map(Prepared)
    }

    async fn submit_once(&mut self, prepared: &Prepared) -> Heard<u32> {
        submitted(self.exchange(&prepared.0).await)
    }

    async fn done(&mut self, message: &Message) -> Heard<()> {
        let reply = self.ask(message).await;
        if let Some(Message::ResponseCreateReservation(_)) = reply {
            return Heard::Answer(());
        }
        match reply.as_ref().and_then(error_of) {
            Some(0) => Heard::Answer(()),
            Some(error) => Heard::Refused(error),
            None => Heard::Nothing,
        }
    }

    async fn read_jobs(&mut self) -> Heard<Vec<SeenJob>> {
        let request =
            JobInfoRequest { last_update: UnixTime(0), show_flags: 1, job_ids: List::default() };
        match self.ask(&Message::RequestJobInfo(request)).await {
            Some(Message::ResponseJobInfo(listing)) => {
                Heard::Answer(listing.jobs.iter().map(seen).collect())
            }
            Some(reply) => error_of(&reply).map_or(Heard::Nothing, Heard::Refused),
            None => Heard::Nothing,
        }
    }

    async fn read_nodes(&mut self) -> Heard<Vec<SeenNode>> {
        let request = InfoRequest { last_update: UnixTime(0), show_flags: 1 };
        match self.ask(&Message::RequestNodeInfo(request)).await {
            Some(Message::ResponseNodeInfo(listing)) => {
                let seen = |node: &flurm_wire::records::NodeInfo| SeenNode {
                    name: node.name.clone().unwrap_or_default().into(),
                    state: node.node_state,
                };
                Heard::Answer(listing.nodes.iter().map(seen).collect())
            }
            Some(reply) => error_of(&reply).map_or(Heard::Nothing, Heard::Refused),
            None => Heard::Nothing,
        }
    }
}

fn submitted(reply: Option<Message>) -> Heard<u32> {
    match reply {
        Some(Message::ResponseSubmitBatchJob(answer)) => Heard::Answer(answer.step_id.job_id),
        Some(Message::ResponseResourceAllocation(answer)) => {
            let id = if answer.job_id == 0 { answer.step_id.job_id } else { answer.job_id };
            Heard::Answer(id)
        }
        Some(reply) => error_of(&reply).map_or(Heard::Nothing, Heard::Refused),
        None => Heard::Nothing,
    }
}

impl<E: Env> ClientApi for SlurmClient<E> {
    fn prepare<'a>(&'a mut self, wanted: &'a Wanted) -> Doing<'a, Option<Prepared>> {
        Box::pin(self.make(wanted))
    }

    fn submit<'a>(&'a mut self, prepared: &'a Prepared) -> Doing<'a, Heard<u32>> {
        Box::pin(self.submit_once(prepared))
    }

    fn hang_up<'a>(&'a mut self, prepared: &'a Prepared, after: Nanos) -> Doing<'a, ()> {
        Box::pin(async move {
            let talking = Box::pin(self.exchange(&prepared.0));
            let _whatever_came = E::Rt::timeout(Duration::from_nanos(after), talking).await;
        })
    }

    fn submit_twice<'a>(&'a mut self, prepared: &'a Prepared) -> Doing<'a, [Heard<u32>; 2]> {
        Box::pin(async move {
            let (one, two) =
                (self.talk(self.next, &prepared.0), self.talk(self.next + 1, &prepared.0));
            let (one, two) = futures_util::future::join(one, two).await;
            [submitted(one), submitted(two)]
        })
    }

    fn may_retry(&self, refusal: u32) -> bool {
        // A credential that munged has seen, of a submission this controller does not know (yet):
        // another controller may.
        goes_elsewhere(refusal) || refusal == Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR.0
    }

    fn cancel(&mut self, job: u32) -> Doing<'_, Heard<()>> {
        let kill = JobStepKill {
            sjob_id: Some(job.to_string()),
            signal: SIGKILL,
            ..JobStepKill::default()
        };
        Box::pin(async move { self.done(&Message::RequestKillJob(kill)).await })
    }

    fn list(&mut self) -> Doing<'_, Heard<Vec<SeenJob>>> {
        Box::pin(self.read_jobs())
    }

    fn nodes(&mut self) -> Doing<'_, Heard<Vec<SeenNode>>> {
        Box::pin(self.read_nodes())
    }

    fn order<'a>(&'a mut self, order: &'a Order) -> Doing<'a, Heard<()>> {
        Box::pin(async move { self.done(&order_message(order)).await })
    }

    fn is_granted(&mut self, job: u32) -> Doing<'_, Heard<bool>> {
        Box::pin(async move {
            let ask = JobAllocInfo { job: JobRef(StepId::job(job)), req_cluster: None };
            match self.ask(&Message::RequestJobAllocationInfo(ask)).await {
                Some(Message::ResponseJobAllocationInfo(_)) => Heard::Answer(true),
                Some(reply) => match error_of(&reply) {
                    Some(error) if error == Errno::ESLURM_JOB_PENDING.0 => Heard::Answer(false),
                    error => error.map_or(Heard::Nothing, Heard::Refused),
                },
                None => Heard::Nothing,
            }
        })
    }

    fn run_step<'a>(&'a mut self, wanted: &'a StepWanted) -> Doing<'a, Heard<StepSeen>> {
        Box::pin(self.srun(wanted))
    }

    fn give_back(&mut self, job: u32, status: u32) -> Doing<'_, Heard<()>> {
        let end = CompleteJobAllocation { job: JobRef(StepId::job(job)), job_rc: status };
        Box::pin(async move { self.done(&Message::RequestCompleteJobAllocation(end)).await })
    }

    fn nap(&self, span: Nanos) -> Doing<'static, ()> {
        Box::pin(E::Rt::sleep(Duration::from_nanos(span)))
    }
}

fn seen(job: &flurm_wire::records::JobInfo) -> SeenJob {
    let job_id = if job.step_id.job_id == flurm_wire::NO_VAL || job.step_id.job_id == 0 {
        job.job_id
    } else {
        job.step_id.job_id
    };
    SeenJob {
        job: job_id,
        name: job.name.clone().unwrap_or_default().into(),
        state: job.job_state,
        restarts: u32::from(job.restart_cnt),
        reason: job
            .state_desc
            .clone()
            .map_or_else(|| format!("reason {}", job.state_reason), String::from),
        nodes: job.nodes.clone().unwrap_or_default().into(),
        exit: job.exit_code,
        lasts_s: u64::try_from(job.end_time.0.saturating_sub(job.start_time.0)).unwrap_or(0),
    }
}
