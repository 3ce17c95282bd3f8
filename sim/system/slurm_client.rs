//! A client that speaks Slurm's protocol: what `sbatch`, `squeue` and `scancel` send, byte for byte
//! the same when it is sent again.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flurm_host::munge::{Munge, SOCKET_DEFAULT, UID_ANY};
use flurm_rt::{Addr, AsyncRuntime, Env, Net};
use flurm_wire::hash::{HashKind, hash_block};
use flurm_wire::messages::{JobInfoRequest, JobStepKill};
use flurm_wire::records::JobDesc;
use flurm_wire::{AuthBlock, Errno, Header, List, Message, Release, UnixTime, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::workload::{ClientApi, Heard};
use crate::world::history::SeenJob;
use crate::world::script::Plan;
use crate::world::{self, MachineId};

/// Slurm's `MessageTimeout`: a client waits this long for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Slurm's `TCPTimeout`.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Signal of `scancel`.
const SIGKILL: u16 = 9;

/// A client.
pub(super) struct SlurmClient<E: Env> {
    env: E,
    addrs: Vec<SocketAddr>,
    next: usize,
    release: Release,
    uid: u32,
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

    async fn frame(&self, message: &Message) -> Option<Vec<u8>> {
        let body = message.to_bytes(self.release);
        let payload = hash_block(HashKind::K12, &body, message.msg_type());
        let munge = Munge::new(self.env.clone(), Path::new(SOCKET_DEFAULT));
        let credential = munge.make(&payload, UID_ANY, 0).await.ok()?;
        let auth = AuthBlock::Munge { credential: Some(credential) };
        let header = Header::new(self.release, message.msg_type());
        Some(frame::build(header, Some(&auth), &body))
    }

    /// Sends a frame to the next controller and waits for its reply.
    async fn exchange(&mut self, bytes: &[u8]) -> Option<Message> {
        let addr = Addr::Ip(self.addrs[self.next % self.addrs.len()]);
        let talk = async {
            let connect = self.env.net().connect(&addr);
            let mut stream = E::Rt::timeout(CONNECT_MAX, connect).await.ok()?.ok()?;
            stream.write_all(bytes).await.ok()?;
            let mut prefix = [0; frame::LENGTH_BYTES];
            stream.read_exact(&mut prefix).await.ok()?;
            let length = frame::length(prefix, frame::REPLY_BYTES_MAX).ok()?;
            let mut reply = vec![0; length];
            stream.read_exact(&mut reply).await.ok()?;
            frame::split(&reply).ok()?.message().ok()
        };
        let reply = E::Rt::timeout(ANSWER_MAX, talk).await.ok().flatten();
        if reply.as_ref().is_none_or(|reply| error_of(reply).is_some_and(goes_elsewhere)) {
            self.next += 1;
        }
        reply
    }

    async fn ask(&mut self, message: &Message) -> Option<Message> {
        let bytes = self.frame(message).await?;
        self.exchange(&bytes).await
    }
}

fn error_of(reply: &Message) -> Option<u32> {
    match reply {
        Message::ResponseSlurmRc(answer) => Some(answer.return_code),
        Message::ResponseSlurmRcMsg(answer) => Some(answer.return_code),
        _ => None,
    }
}

/// Errors that mean "another controller, or later".
fn goes_elsewhere(error: u32) -> bool {
    [
        Errno::ESLURM_IN_STANDBY_MODE.0,
        Errno::ESLURM_IN_STANDBY_USE_BACKUP.0,
        Errno::SLURMCTLD_COMMUNICATIONS_BACKOFF.0,
    ]
    .contains(&error)
}

fn job_desc(key: &str, plan: &Plan, uid: u32) -> JobDesc {
    JobDesc {
        name: Some(key.to_owned()),
        script: Some(plan.script()),
        environment: vec!["PATH=/usr/bin:/bin".into()],
        work_dir: Some("/home".into()),
        user_id: uid,
        group_id: uid,
        min_cpus: plan.cpus,
        num_tasks: plan.cpus,
        min_nodes: 1,
        max_nodes: 1,
        ..JobDesc::default()
    }
}

impl<E: Env> ClientApi for SlurmClient<E> {
    type Prepared = Vec<u8>;

    async fn prepare(&mut self, key: &str, plan: &Plan) -> Option<Vec<u8>> {
        let desc = job_desc(key, plan, self.uid);
        self.frame(&Message::RequestSubmitBatchJob(Box::new(desc))).await
    }

    async fn submit(&mut self, prepared: &Vec<u8>) -> Heard<u32> {
        match self.exchange(prepared).await {
            Some(Message::ResponseSubmitBatchJob(answer)) => Heard::Answer(answer.step_id.job_id),
            Some(reply) => error_of(&reply).map_or(Heard::Nothing, Heard::Refused),
            None => Heard::Nothing,
        }
    }

    fn may_retry(&self, refusal: u32) -> bool {
        // A credential that munged has seen, of a submission this controller does not know (yet):
        // another controller may.
        goes_elsewhere(refusal) || refusal == Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR.0
    }

    async fn cancel(&mut self, job: u32) -> Heard<()> {
        let kill = JobStepKill {
            sjob_id: Some(job.to_string()),
            signal: SIGKILL,
            ..JobStepKill::default()
        };
        match self.ask(&Message::RequestKillJob(kill)).await {
            Some(reply) => match error_of(&reply) {
                Some(0) => Heard::Answer(()),
                Some(error) => Heard::Refused(error),
                None => Heard::Nothing,
            },
            None => Heard::Nothing,
        }
    }

    async fn list(&mut self) -> Heard<Vec<SeenJob>> {
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
}

fn seen(job: &flurm_wire::records::JobInfo) -> SeenJob {
    let job_id = if job.step_id.job_id == flurm_wire::NO_VAL || job.step_id.job_id == 0 {
        job.job_id
    } else {
        job.step_id.job_id
    };
    SeenJob {
        job: job_id,
        name: job.name.clone().unwrap_or_default(),
        state: job.job_state,
        restarts: u32::from(job.restart_cnt),
        reason: job.state_desc.clone().unwrap_or_else(|| format!("reason {}", job.state_reason)),
        nodes: job.nodes.clone().unwrap_or_default(),
    }
}
