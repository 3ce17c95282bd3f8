//! Who takes a step's output, gives it input, and hears of its tasks: srun, and whoever attaches
//! later.
//!
//! What cannot be delivered is dropped, and the tasks run on. A client that attaches gets the last of
//! what was written before it came. Source: `slurmd/slurmstepd/io.c`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flurm_node::attach::{AttachOrder, Attached, RunningTask};
use flurm_node::step::StepOrder;
use flurm_rt::{AsyncRuntime, Child, Env, Mutex as AsyncMutex, Proc};
use flurm_wire::io_channel::{self, Header, Introduction, PAYLOAD_BYTES_MAX, Stream};
use flurm_wire::records::Signature;
use flurm_wire::{Errno, Release};
use tokio::io::{AsyncWriteExt, WriteHalf};

use crate::step_io::{self, Downlink, StreamOf};
use crate::task::detach;

/// Bytes of output kept for whoever attaches later (Slurm's `STDIO_MAX_MSG_CACHE` messages).
const RECENT_BYTES_MAX: usize = 128 * PAYLOAD_BYTES_MAX;
/// Clients of one step at once.
const CLIENTS_MAX: usize = 64;
/// A client that has attached must take output within this time, so that it holds up no task. srun
/// itself may take as long as it likes.
const TAKE_MAX: Duration = Duration::from_secs(30);

type Lock<E, T> = <<E as Env>::Rt as AsyncRuntime>::Mutex<T>;
type PipeOf<E> = <<<E as Env>::Proc as Proc>::Child as Child>::Pipe;

/// The clients of a step. Clones are the same ones.
pub(crate) struct Hub<E: Env> {
    inner: Arc<Inner<E>>,
}

impl<E: Env> Clone for Hub<E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

struct Inner<E: Env> {
    node_id: u32,
    talk: Lock<E, Talk<E>>,
    inputs: Lock<E, BTreeMap<u16, PipeOf<E>>>,
    roll: Mutex<Roll>,
}

/// What goes out.
struct Talk<E: Env> {
    clients: Vec<Receiving<E>>,
    recent: VecDeque<Vec<u8>>,
    recent_bytes: usize,
    /// Streams of output and of errors that have not ended.
    open: [u32; 2],
}

struct Receiving<E: Env> {
    half: WriteHalf<StreamOf<E>>,
    is_srun: bool,
}

/// Which tasks run, and who hears of their ends.
#[derive(Default)]
struct Roll {
    running: Vec<RunningTask>,
    listeners: Vec<Listener>,
    /// Clients that may still give input.
    feeders: usize,
}

/// Somebody who hears of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Where.
    pub addr: SocketAddr,
    /// In which release.
    pub release: Release,
}

impl<E: Env> Hub<E> {
    /// The hub of a step, with nobody there yet but srun's wish to hear of tasks.
    pub(crate) fn new(order: &StepOrder) -> Self {
        let count = |through: &dyn Fn(usize) -> bool| {
            let tasks = (0..order.tasks.len()).filter(|task| through(*task)).count();
            u32::try_from(tasks).unwrap_or(u32::MAX)
        };
        let open =
            [count(&|task| order.carries_output(task)), count(&|task| order.carries_errors(task))];
        let srun = order.port_among(&order.response_ports).map(|port| Listener {
            addr: SocketAddr::new(order.srun, port),
            release: release(order.release),
        });
        let roll = Roll { listeners: srun.into_iter().collect(), ..Roll::default() };
        let talk = Talk { clients: Vec::new(), recent: VecDeque::new(), recent_bytes: 0, open };
        let inner = Inner {
            node_id: order.node_id,
            talk: AsyncMutex::new(talk),
            inputs: AsyncMutex::new(BTreeMap::new()),
            roll: Mutex::new(roll),
        };
        Self { inner: Arc::new(inner) }
    }

    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.inner.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to srun, without which no step begins.
    ///
    /// # Errors
    /// Why it cannot be reached, in words.
    pub(crate) async fn join_srun(
        &self,
        env: &E,
        order: &StepOrder,
    ) -> Result<Downlink<E>, String> {
        let port = order.port_among(&order.io_ports);
        let port = port.ok_or_else(|| "srun takes no input or output".to_owned())?;
        let addr = SocketAddr::new(order.srun, port);
        self.join(env, addr, release(order.release), order.io_key.clone(), true).await
    }

    /// Connects to a client, introduces this node, and sends what was written last.
    async fn join(
        &self,
        env: &E,
        addr: SocketAddr,
        release: Release,
        io_key: Option<String>,
        is_srun: bool,
    ) -> Result<Downlink<E>, String> {
        let (downlink, mut half) = step_io::connect(env, addr).await?;
        let mut talk = self.inner.talk.lock().await;
        if talk.clients.len() >= CLIENTS_MAX {
            return Err("too many clients are attached".into());
        }
        let introduction = Introduction {
            release,
            node_id: self.inner.node_id,
            stdout_objs: talk.open[0],
            stderr_objs: talk.open[1],
            io_key: Signature(io_key),
        };
        let mut bytes = introduction.to_bytes();
        talk.recent.iter().for_each(|recent| bytes.extend_from_slice(recent));
        let sent = E::Rt::timeout(TAKE_MAX, half.write_all(&bytes)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(format!("{addr}: {error}")),
            Err(_) => return Err(format!("{addr}: it takes no output")),
        }
        talk.clients.push(Receiving { half, is_srun });
        Ok(downlink)
    }

    /// Sends output of a task to everybody.
    pub(crate) async fn send(&self, bytes: &[u8]) {
        let mut talk = self.inner.talk.lock().await;
        talk.hand_out(bytes).await;
        talk.keep(bytes);
    }

    /// Says that a stream of a task has ended.
    pub(crate) async fn end(&self, stream: Stream, gtaskid: u16, ltaskid: u16) {
        let mut talk = self.inner.talk.lock().await;
        let open = &mut talk.open[usize::from(stream == Stream::Stderr)];
        *open = open.saturating_sub(1);
        talk.hand_out(&io_channel::end(stream, gtaskid, ltaskid)).await;
    }

    /// Takes the tasks' inputs, by task, and those that run; from here on clients may attach.
    pub(crate) async fn begin(
        &self,
        inputs: BTreeMap<u16, PipeOf<E>>,
        running: Vec<RunningTask>,
        srun: Downlink<E>,
    ) {
        *self.inner.inputs.lock().await = inputs;
        self.roll().running = running;
        self.feed(srun);
    }

    /// Hands a client's input to the tasks from now on.
    fn feed(&self, downlink: Downlink<E>) {
        self.roll().feeders += 1;
        let hub = self.clone();
        detach::<E>(async move {
            step_io::feed::<E>(downlink, &hub).await;
            let left = {
                let mut roll = hub.roll();
                roll.feeders -= 1;
                roll.feeders
            };
            if left == 0 {
                hub.inner.inputs.lock().await.clear();
            }
        });
    }

    /// Gives input to the tasks that it is for. Dropping a pipe closes it, which the task sees as
    /// the end of its input.
    pub(crate) async fn take_input(&self, header: &Header, payload: &[u8]) {
        let mut inputs = self.inner.inputs.lock().await;
        let targets: Vec<u16> = match header.stream {
            Stream::AllStdin => inputs.keys().copied().collect(),
            Stream::Stdin => vec![header.gtaskid],
            Stream::Stdout | Stream::Stderr | Stream::ConnectionTest => return,
        };
        for task in targets {
            let Some(pipe) = inputs.get_mut(&task) else { continue };
            if header.ends() || pipe.write_all(payload).await.is_err() {
                inputs.remove(&task);
            }
        }
    }

    /// The tasks that run.
    pub(crate) fn tasks(&self) -> Vec<RunningTask> {
        self.roll().running.clone()
    }

    /// A task has ended: who is to hear of it.
    pub(crate) fn task_ended(&self, task: u32) -> Vec<Listener> {
        let mut roll = self.roll();
        roll.running.retain(|running| running.task != task);
        roll.listeners.clone()
    }

    /// Attaches a client.
    pub(crate) async fn attach(&self, env: &E, order: &AttachOrder) -> Attached {
        let failed = |errno: Errno| Attached { errno: errno.0, tasks: Vec::new() };
        if self.roll().running.is_empty() {
            return failed(Errno::ESLURMD_STEP_NOTRUNNING);
        }
        let node_id = self.inner.node_id;
        let port = AttachOrder::port_among(&order.io_ports, node_id);
        let Some(port) = port else { return failed(Errno::ESLURMD_IO_ERROR) };
        let (release, key) = (release(order.release), order.io_key.clone());
        let addr = SocketAddr::new(order.client, port);
        match self.join(env, addr, release, key, false).await {
            Ok(downlink) => self.feed(downlink),
            Err(text) => {
                tracing::info!("could not attach a client: {text}");
                return failed(Errno::ESLURMD_IO_ERROR);
            }
        }
        tracing::info!("a client attached to the step");
        let hears = AttachOrder::port_among(&order.response_ports, node_id);
        let mut roll = self.roll();
        if let Some(port) = hears {
            roll.listeners.push(Listener { addr: SocketAddr::new(order.client, port), release });
        }
        Attached { errno: 0, tasks: roll.running.clone() }
    }

    /// Lets all clients go.
    pub(crate) async fn close(&self) {
        let mut talk = self.inner.talk.lock().await;
        for mut client in std::mem::take(&mut talk.clients) {
            // It may have closed its side first.
            let _ = client.half.shutdown().await;
        }
    }
}

impl<E: Env> Talk<E> {
    async fn hand_out(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(client) = self.clients.get_mut(at) {
            let sent = match client.is_srun {
                true => client.half.write_all(bytes).await.map_err(|error| error.to_string()),
                false => match E::Rt::timeout(TAKE_MAX, client.half.write_all(bytes)).await {
                    Ok(sent) => sent.map_err(|error| error.to_string()),
                    Err(_) => Err("it takes no output".into()),
                },
            };
            match sent {
                Ok(()) => at += 1,
                Err(text) => {
                    tracing::info!("output of a step is lost to a client: {text}");
                    self.clients.remove(at);
                }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.recent_bytes += bytes.len();
        self.recent.push_back(bytes.to_vec());
        while self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { return };
            self.recent_bytes -= oldest.len();
        }
    }
}

fn release(number: u16) -> Release {
    Release::from_version(number).unwrap_or(Release::NEWEST)
}

/// Which stream of which task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// Output or errors.
    pub stream: Stream,
    /// The task within the step.
    pub gtaskid: u16,
    /// The task within the node.
    pub ltaskid: u16,
    /// Whole lines only.
    pub buffered: bool,
}

impl Source {
    /// Sends a text as if the task had written it.
    pub(crate) async fn say<E: Env>(self, hub: &Hub<E>, text: &str) {
        let Self { stream, gtaskid, ltaskid, .. } = self;
        hub.send(&io_channel::build(stream, gtaskid, ltaskid, text.as_bytes())).await;
    }

    /// Says that nothing more comes.
    pub(crate) async fn end<E: Env>(self, hub: &Hub<E>) {
        hub.end(self.stream, self.gtaskid, self.ltaskid).await;
    }
}
