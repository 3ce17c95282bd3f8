//! What `srun` does inside an allocation: asks for a step, launches its tasks on every node of it,
//! takes their output, and hears how each of them ended.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flurm_base::hostlist::Hostlist;
use flurm_rt::{Addr, AsyncRuntime, Env, Listener, Net};
use flurm_wire::io_channel::{
    self, ALL_TASKS, HEADER_BYTES, Header, INIT_LENGTH_BYTES, Introduction, Stream,
};
use flurm_wire::messages::{JobStepKill, StepComplete};
use flurm_wire::records::{LaunchTasks, NodeTasks, StepCreate, StepCreated, StepLayout};
use flurm_wire::{Errno, Message, NO_VAL, NO_VAL16, StepId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::slurm_client::{SlurmClient, error_of, read_message};
use crate::workload::{Heard, StepSeen, StepWanted};
use crate::world::{self, MILLI, Nanos, SECOND};

/// Port of node daemons.
const SLURMD_PORT: u16 = 6818;
/// How often tasks that ended are looked for, and how long a listener waits before it looks whether
/// it is still wanted.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Times a step is asked for.
const CREATE_TRIES: u32 = 20;
/// Times a launch is sent to a node.
const LAUNCH_TRIES: u32 = 3;
/// Times the kill of a step is asked for.
const KILL_TRIES: u32 = 3;
const SIGKILL: u16 = 9;
/// The plugin mpi/none.
const MPI_NONE: u32 = 101;
/// What srun tells of a node that did not start its tasks: exit code 1.
const NOT_STARTED: u32 = 1 << 8;
/// `--distribution=block`.
const DIST_BLOCK: u32 = 2;

/// What came for a step.
#[derive(Default)]
struct Told {
    launched: BTreeSet<String>,
    exits: BTreeMap<u32, u32>,
    bytes: BTreeMap<u32, u64>,
    whole: BTreeSet<u32>,
    over: bool,
}

type Shared = Arc<Mutex<Told>>;
type ListenerOf<E> = <<E as Env>::Net as Net>::Listener;
type StreamOf<E> = <<E as Env>::Net as Net>::Stream;

fn with<R>(told: &Shared, look: impl FnOnce(&mut Told) -> R) -> R {
    look(&mut told.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Where a step may be told of.
struct Ears<E: Env> {
    told: Shared,
    messages: u16,
    output: u16,
    of: PhantomData<E>,
}

impl<E: Env> Drop for Ears<E> {
    fn drop(&mut self) {
        with(&self.told, |told| told.over = true);
    }
}

async fn listen<E: Env>(env: &E) -> Option<(ListenerOf<E>, u16)> {
    let own = env.hostname();
    let ip = world::with(|w| w.machine_named(&own).map(|id| w.machine(id).ip))?;
    let listener = env.net().listen(&Addr::Ip(SocketAddr::new(ip, 0))).await.ok()?;
    match listener.local_addr().ok()? {
        Addr::Ip(addr) => Some((listener, addr.port())),
        Addr::Local(_) => None,
    }
}

impl<E: Env> Ears<E> {
    async fn open(env: &E) -> Option<Self> {
        let told = Shared::default();
        let (listener, messages) = listen(env).await?;
        drop(E::Rt::spawn(hear::<E>(listener, told.clone())));
        let (listener, output) = listen(env).await?;
        drop(E::Rt::spawn(take_output::<E>(listener, told.clone())));
        Some(Self { told, messages, output, of: PhantomData })
    }

    /// Waits until all tasks have ended; false when that takes longer than `patience`.
    async fn wait(&self, tasks: u32, patience: Nanos) -> bool {
        let all = async {
            while with(&self.told, |told| told.exits.len()) < tasks as usize {
                E::Rt::sleep(LOOK_AGAIN).await;
            }
            // What tasks wrote last may still be on its way.
            E::Rt::sleep(LOOK_AGAIN).await;
        };
        E::Rt::timeout(Duration::from_nanos(patience), all).await.is_ok()
    }
}

async fn hear<E: Env>(mut listener: ListenerOf<E>, told: Shared) {
    while !with(&told, |told| told.over) {
        let Ok(Ok((mut stream, _))) = E::Rt::timeout(LOOK_AGAIN, listener.accept()).await else {
            continue;
        };
        // srun hangs up where a message needs no answer.
        let message = E::Rt::timeout(Duration::from_secs(2), read_message(&mut stream)).await;
        match message.ok().flatten() {
            Some(Message::ResponseLaunchTasks(answer)) => {
                with(&told, |told| told.launched.extend(answer.node_name));
            }
            Some(Message::MessageTaskExit(exit)) => with(&told, |told| {
                told.exits.extend(exit.task_ids.iter().map(|task| (*task, exit.return_code)));
            }),
            _ => {}
        }
    }
}

async fn take_output<E: Env>(mut listener: ListenerOf<E>, told: Shared) {
    while !with(&told, |told| told.over) {
        if let Ok(Ok((stream, _))) = E::Rt::timeout(LOOK_AGAIN, listener.accept()).await {
            let told = told.clone();
            drop(E::Rt::spawn(async move {
                let _whatever_broke = channel::<E>(stream, &told).await;
            }));
        }
    }
}

/// Takes what one node sends, to its end.
async fn channel<E: Env>(mut stream: StreamOf<E>, told: &Shared) -> Option<()> {
    let mut prefix = [0; INIT_LENGTH_BYTES];
    stream.read_exact(&mut prefix).await.ok()?;
    let mut introduction = vec![0; Introduction::length(prefix).ok()?];
    stream.read_exact(&mut introduction).await.ok()?;
    Introduction::from_bytes(&introduction).ok()?;
    let nothing = io_channel::end(Stream::AllStdin, ALL_TASKS, ALL_TASKS);
    stream.write_all(&nothing).await.ok()?;
    loop {
        let mut start = [0; HEADER_BYTES];
        stream.read_exact(&mut start).await.ok()?;
        let header = Header::from_bytes(start).ok()?;
        let mut payload = vec![0; usize::from(header.length)];
        stream.read_exact(&mut payload).await.ok()?;
        if header.stream != Stream::Stdout {
            continue;
        }
        let task = u32::from(header.gtaskid);
        with(told, |told| {
            *told.bytes.entry(task).or_default() += u64::from(header.length);
            if header.ends() {
                told.whole.insert(task);
            }
        });
    }
}

/// A node of a step, and the tasks it is to start.
struct Part {
    range: u32,
    addr: SocketAddr,
}

fn parts(layout: &StepLayout) -> Option<Vec<Part>> {
    let hosts = Hostlist::parse(layout.node_list.as_deref()?).ok()?;
    let part = |(range, host): (usize, &str)| {
        let ip = world::with(|w| w.machine_named(host).map(|id| w.machine(id).ip))?;
        Some(Part { range: u32::try_from(range).ok()?, addr: SocketAddr::new(ip, SLURMD_PORT) })
    };
    let names: Vec<String> = hosts.iter().map(|host| host.to_string()).collect();
    names.iter().map(String::as_str).enumerate().map(part).collect()
}

fn launch(wanted: &StepWanted, ears: (u16, u16), uid: u32, created: &StepCreated) -> LaunchTasks {
    let step = created.step_id.step_id;
    let layout = created.step_layout.clone().unwrap_or_default();
    let tasks = |ids: &Vec<u32>| NodeTasks {
        tasks_to_launch: u16::try_from(ids.len()).unwrap_or(u16::MAX),
        global_task_ids: ids.clone(),
    };
    let credential = created.cred.as_ref().map(|credential| (**credential).clone());
    LaunchTasks {
        step_id: StepId::step(wanted.job, step).with_sluid(created.step_id.sluid),
        uid,
        gid: uid,
        mpi_plugin_id: MPI_NONE,
        ntasks: layout.task_cnt,
        nnodes: layout.node_cnt,
        tasks: layout.tids.iter().map(tasks).collect(),
        cred: credential.unwrap_or_default().into(),
        cpus_per_task: 1,
        task_dist: layout.task_dist,
        env: vec![
            "PATH=/usr/bin:/bin".into(),
            format!("SLURM_JOB_ID={}", wanted.job),
            format!("SLURM_STEP_ID={step}"),
        ],
        cwd: Some("/home".into()),
        argv: wanted.plan.argv(),
        resp_port: vec![ears.0],
        io_port: vec![ears.1],
        complete_nodelist: layout.node_list,
        ..LaunchTasks::default()
    }
}

impl<E: Env> SlurmClient<E> {
    /// Asks for a step until there is one, or none can be.
    async fn create(&mut self, wanted: &StepWanted, port: u16) -> Heard<Box<StepCreated>> {
        let host = self.env.hostname();
        let ask = Message::RequestJobStepCreate(Box::new(StepCreate {
            step_id: StepId::step(wanted.job, NO_VAL),
            user_id: self.uid,
            min_nodes: wanted.nodes,
            max_nodes: wanted.nodes,
            cpu_count: wanted.tasks,
            num_tasks: wanted.tasks,
            task_dist: DIST_BLOCK,
            plane_size: NO_VAL16,
            relative: NO_VAL16,
            time_limit: wanted.time_limit_min.unwrap_or(NO_VAL),
            name: Some(wanted.name.clone()),
            host: Some(host),
            port,
            ..StepCreate::default()
        }));
        let mut bytes = self.frame(&ask).await;
        for _ in 0..CREATE_TRIES {
            let Some(frame) = &bytes else { return Heard::Nothing };
            match self.exchange(frame).await {
                Some(Message::ResponseJobStepCreate(created)) => return Heard::Answer(created),
                Some(reply) => match error_of(&reply) {
                    Some(error) if error == Errno::SLURM_PROTOCOL_AUTHENTICATION_ERROR.0 => {
                        // Seen before by this controller's munged, and the command did not come
                        // to pass: nothing was made from it, or it is about to be forgotten.
                        bytes = self.frame(&ask).await;
                    }
                    Some(error) if waits(error) || super::slurm_client::goes_elsewhere(error) => {}
                    other => return Heard::Refused(other.unwrap_or(0)),
                },
                None => {}
            }
            E::Rt::sleep(Duration::from_millis(700)).await;
        }
        Heard::Nothing
    }

    /// Runs a step; returns when its tasks have ended, or the client's patience.
    pub(super) async fn srun(&mut self, wanted: &StepWanted) -> Heard<StepSeen> {
        let env = self.env.clone();
        let Some(ears) = Ears::open(&env).await else { return Heard::Nothing };
        let created = match self.create(wanted, ears.messages).await {
            Heard::Answer(created) => created,
            Heard::Refused(error) => return Heard::Refused(error),
            Heard::Nothing => return Heard::Nothing,
        };
        let step = StepId::step(wanted.job, created.step_id.step_id);
        let step = step.with_sluid(created.step_id.sluid);
        if wanted.launches {
            let cancelling = self.cancel_after(wanted);
            let launching = self.launch_all(wanted, &ears, &created);
            futures_util::future::join(launching, cancelling).await;
            if !ears.wait(wanted.tasks, wanted.patience).await {
                self.kill_step(step).await;
                ears.wait(wanted.tasks, 10 * SECOND).await;
            }
        } else {
            self.kill_step(step).await;
        }
        Heard::Answer(with(&ears.told, |told| StepSeen {
            step: step.step_id,
            exits: told.exits.clone(),
            bytes: told.bytes.clone(),
            whole: told.whole.clone(),
        }))
    }

    /// Cancels the job while its step is launched, where the client is to do so.
    async fn cancel_after(&self, wanted: &StepWanted) {
        let Some(after) = wanted.cancels_after else { return };
        let kill = JobStepKill {
            sjob_id: Some(wanted.job.to_string()),
            signal: SIGKILL,
            ..JobStepKill::default()
        };
        let Some(bytes) = self.frame(&Message::RequestKillJob(kill)).await else { return };
        E::Rt::sleep(Duration::from_nanos(after)).await;
        let _asked_again_at_the_end = self.talk(self.next, &bytes).await;
    }

    async fn launch_all(&self, wanted: &StepWanted, ears: &Ears<E>, created: &StepCreated) {
        let Some(parts) = created.step_layout.as_ref().and_then(parts) else { return };
        let launch = launch(wanted, (ears.messages, ears.output), self.uid, created);
        let step = launch.step_id;
        let message = Message::RequestLaunchTasks(Box::new(launch));
        for part in parts {
            let mut started = false;
            for _ in 0..LAUNCH_TRIES {
                // With a credential of its own each time, as srun does: a node takes one once.
                let Some(bytes) = self.frame(&message).await else { break };
                match self.talk_to(part.addr, &bytes).await.as_ref().and_then(error_of) {
                    Some(0) => started = true,
                    // Sent before, and the answer got lost.
                    Some(error) if error == Errno::ESLURMD_STEP_EXISTS.0 => started = true,
                    Some(_) | None => {
                        E::Rt::sleep(Duration::from_nanos(500 * MILLI)).await;
                        continue;
                    }
                }
                break;
            }
            if !started {
                self.not_started(step, part.range).await;
            }
        }
    }

    /// srun tells the controllers of a node that did not take its part.
    async fn not_started(&self, step: StepId, range: u32) {
        let end = Message::RequestStepComplete(Box::new(StepComplete {
            step_id: step,
            range_first: range,
            range_last: range,
            step_rc: NOT_STARTED,
            ..StepComplete::default()
        }));
        if let Some(bytes) = self.frame(&end).await {
            let _the_job_ends_all_the_same = self.talk(self.next, &bytes).await;
        }
    }

    async fn kill_step(&mut self, step: StepId) {
        let kill = JobStepKill { step_id: step, signal: SIGKILL, ..JobStepKill::default() };
        let kill = Message::RequestCancelJobStep(kill);
        for _ in 0..KILL_TRIES {
            if self.ask(&kill).await.as_ref().and_then(error_of) == Some(0) {
                return;
            }
            E::Rt::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Errors that srun answers by asking again some time later.
fn waits(error: u32) -> bool {
    [
        Errno::ESLURM_NODES_BUSY.0,
        Errno::ESLURM_PORTS_BUSY.0,
        Errno::ESLURM_DISABLED.0,
        Errno::ESLURM_PROLOG_RUNNING.0,
    ]
    .contains(&error)
}
