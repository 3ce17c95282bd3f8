//! A node tells the controllers who it is and what it still has.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_node::machine;
use flurm_rt::{AsyncRuntime, Clock, Env, Fs};
use flurm_wire::records::NodeRegistration;
use flurm_wire::{BATCH_STEP, Errno, Message, StepId, UnixTime};

use crate::node::NodeDaemon;
use crate::rpc::return_code;

/// Asks for the list of trackable resources (slurm_protocol_defs.h, `SLURMD_REG_FLAG_RESP`).
const FLAG_WANTS_ANSWER: u16 = 2;
/// First pause between two tries; doubled up to [`PAUSE_MAX`].
static PAUSE_MIN: Knob<Duration> = Knob::new(
    "host.node_register.pause_min",
    Duration::from_millis(100),
    Duration::from_millis(1),
    Duration::from_secs(2),
);
/// Longest pause between two tries.
static PAUSE_MAX: Knob<Duration> = Knob::new(
    "host.node_register.pause_max",
    Duration::from_secs(5),
    Duration::from_secs(2),
    Duration::from_secs(20),
);
/// Largest of the kernel's texts about the machine, bytes.
const TEXT_MAX: usize = 1 << 20;

/// Whether the controllers know this run of the daemon.
#[derive(Default)]
pub(crate) struct Registrar {
    introduced: AtomicBool,
    busy: AtomicBool,
}

impl Registrar {
    /// The controllers have taken the first registration of this run. Until then no launch is
    /// accepted: what the registration lists is all there is.
    pub(crate) fn is_introduced(&self) -> bool {
        self.introduced.load(Ordering::Acquire)
    }
}

/// Registers until the controllers have taken it.
pub(crate) async fn introduce<E: Env>(daemon: NodeDaemon<E>) {
    let mut pause = PAUSE_MIN.get();
    while !register(&daemon).await {
        E::Rt::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX.get());
    }
    tracing::info!("node {} is registered", daemon.conf().name);
}

/// Registers once more, because a controller asked for it; one at a time.
pub(crate) async fn register_now<E: Env>(daemon: NodeDaemon<E>) {
    let registrar = daemon.registrar();
    if !registrar.is_introduced() || registrar.busy.swap(true, Ordering::AcqRel) {
        return;
    }
    register(&daemon).await;
    daemon.registrar().busy.store(false, Ordering::Release);
}

async fn register<E: Env>(daemon: &NodeDaemon<E>) -> bool {
    let message = Message::MessageNodeRegistrationStatus(Box::new(registration(daemon).await));
    let mut first = 0;
    let taken = match daemon.setup().controllers().ask(&message, &mut first).await {
        Ok(Message::ResponseNodeRegistration(_)) => true,
        Ok(reply) => match return_code(&reply) {
            Ok(Errno::SLURM_SUCCESS) => true,
            Ok(errno) => {
                tracing::warn!("the controllers refuse this node: {errno}");
                false
            }
            Err(error) => {
                tracing::warn!("registration: {error}");
                false
            }
        },
        Err(error) => {
            tracing::debug!("registration: {error}");
            false
        }
    };
    if taken {
        daemon.registrar().introduced.store(true, Ordering::Release);
    }
    taken
}

/// The kernel's texts about memory and load; empty where there are none.
pub(crate) async fn texts<E: Env>(daemon: &NodeDaemon<E>) -> (String, String) {
    (text(daemon, "/proc/meminfo").await, text(daemon, "/proc/loadavg").await)
}

async fn text<E: Env>(daemon: &NodeDaemon<E>, path: &str) -> String {
    let bytes = daemon.env().fs().read(Path::new(path), TEXT_MAX).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

async fn registration<E: Env>(daemon: &NodeDaemon<E>) -> NodeRegistration {
    let conf = daemon.conf();
    let clock = daemon.env().clock();
    let now = clock.wall();
    let (meminfo, loadavg) = texts(daemon).await;
    let memory = machine::memory(&meminfo);
    let found = machine::processors(&text(daemon, "/proc/cpuinfo").await);
    let found = found.unwrap_or(machine::Processors {
        cpus: conf.cpus,
        sockets: conf.sockets,
        cores_per_socket: conf.cores_per_socket,
        threads_per_core: conf.threads_per_core,
    });
    let release = text(daemon, "/proc/sys/kernel/osrelease").await;
    let version = text(daemon, "/proc/sys/kernel/version").await;
    let os = text(daemon, "/proc/sys/kernel/ostype").await;
    let live: Vec<_> = daemon.ledger().live().collect();
    let step = |job: u32, attempt: u64| StepId::step(job, BATCH_STEP).with_sluid(attempt);
    NodeRegistration {
        timestamp: UnixTime(now.secs()),
        slurmd_start_time: UnixTime(daemon.started().secs()),
        hostname: Some(daemon.env().hostname()),
        node_name: Some(conf.name.clone()),
        arch: Some(std::env::consts::ARCH.to_owned()),
        os: (!os.is_empty()).then(|| format!("{os} {release} {version}")),
        cpus: found.cpus,
        boards: 1,
        sockets: found.sockets,
        cores: found.cores_per_socket,
        threads: found.threads_per_core,
        real_memory: if memory.total_mib > 0 { memory.total_mib } else { conf.real_memory_mib },
        tmp_disk: conf.tmp_disk_mib,
        up_time: u32::try_from(now.since(clock.boot()).as_secs()).unwrap_or(u32::MAX),
        hash_val: daemon.setup().conf().hash,
        cpu_load: machine::load_hundredths(&loadavg).unwrap_or(0),
        free_mem: memory.free_mib,
        step_id: live.iter().map(|(job, attempt, _)| step(job.0, attempt.0)).collect(),
        flags: FLAG_WANTS_ANSWER,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        gres_info: crate::node_gres::registered(daemon),
        ..NodeRegistration::default()
    }
}
