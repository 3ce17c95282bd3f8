//! Starting processes and knowing them again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use flurm_rt::{Proc, Spawn, SpawnError, SpawnStage};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::child::{Plan, REPORT_BYTES, Report};
use crate::container::{Backing, Containment, Ledger, SystemContainer};
use crate::procfs::Stat;
use crate::wait::SystemChild;
use crate::{cgroup, spawner, tree};

/// The processes of this machine.
///
/// A process that starts others into containers of the process-tree kind receives orphans and
/// collects them, so it must start all its children through here.
#[derive(Debug)]
pub struct Processes {
    containment: Containment,
    chosen: OnceLock<Backing>,
    ledger: Ledger,
}

impl Processes {
    pub(crate) fn new(containment: Containment) -> Self {
        Self { containment, chosen: OnceLock::new(), ledger: Ledger::default() }
    }

    /// Says in the log what contains jobs here, for a daemon that starts.
    pub fn log_containment(&self) {
        match self.backing() {
            Backing::Cgroup(parent) => {
                tracing::info!("jobs are contained by cgroups (version 2) in {}", parent.display());
            }
            Backing::Tree => tracing::warn!(
                "jobs are contained by process tree, since no cgroup (version 2) may be made here: \
                 a process that hides well can escape"
            ),
        }
    }

    /// The kind of container in use. May block the first time.
    fn backing(&self) -> &Backing {
        self.chosen.get_or_init(|| Backing::choose(self.containment))
    }

    /// Lays out a start and prepares its container.
    fn plan(&self, spawn: &Spawn) -> Result<Plan, SpawnError> {
        let in_fork = |source| SpawnError { stage: SpawnStage::Fork, source };
        if spawn.detached && spawn.container.is_some() {
            let text = "a detached process starts outside containers";
            return Err(in_fork(io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        match (self.backing(), &spawn.container) {
            (Backing::Cgroup(parent), Some(name)) => {
                let opened = SystemContainer::open(self.backing(), name, &self.ledger)
                    .and_then(|_| cgroup::procs_for_writing(&parent.join(name)));
                Plan::new(spawn, Some(opened.map_err(in_fork)?), None)
            }
            (Backing::Cgroup(_), None) => Plan::new(spawn, None, None),
            (Backing::Tree, Some(name)) => {
                SystemContainer::open(self.backing(), name, &self.ledger)
                    .and_then(|_| tree::become_reaper(name, &self.ledger))
                    .map_err(in_fork)?;
                Plan::new(spawn, None, Some((tree::MARK, name)))
            }
            (Backing::Tree, None) => Plan::new(spawn, None, Some((tree::MARK, tree::MARK_OUTSIDE))),
        }
    }
}

impl Proc for Processes {
    type Child = SystemChild;
    type Container = SystemContainer;

    async fn spawn(&self, spawn: Spawn) -> Result<SystemChild, SpawnError> {
        let in_fork = |source| SpawnError { stage: SpawnStage::Fork, source };
        let mut plan = self.plan(&spawn)?;
        let own_ends = std::mem::take(&mut plan.own_ends);
        let own_terminal = plan.own_terminal.take();
        let mut forked = spawner::fork(plan).await.map_err(in_fork)?;
        let report = forked.report.take().expect("a fork comes with a report");
        let told = told(report).await.map_err(in_fork)?;
        let Some(pid) = forked.pid else {
            let pid = told.map_err(|(stage, source)| SpawnError { stage, source })?;
            let pid = pid.ok_or_else(|| in_fork(io::Error::other("the process said no id")))?;
            return Ok(SystemChild::detached(pid));
        };
        if let (Ok(_), Backing::Tree, Some(name)) = (&told, self.backing(), &spawn.container) {
            tree::add_root(name, pid).map_err(in_fork)?;
        }
        let (ledger, name) = (self.ledger.clone(), spawn.container);
        forked.handed_over = true;
        let child = SystemChild::collected(pid, forked.pidfd.take(), move |ended| {
            if let Some(name) = name {
                ledger.add(&name, ended.usage);
            }
        });
        match told {
            Ok(_) => child.with_ends(own_ends, own_terminal).map_err(in_fork),
            Err((stage, source)) => Err(SpawnError { stage, source }),
        }
    }

    async fn container(&self, name: &str) -> io::Result<SystemContainer> {
        SystemContainer::open(self.backing(), name, &self.ledger)
    }

    fn alive(&self, pid: u32, started: u64) -> bool {
        self.started_at(pid) == Some(started)
    }

    fn started_at(&self, pid: u32) -> Option<u64> {
        Stat::of(pid).filter(Stat::living).map(|stat| stat.stamp())
    }

    fn own_pid(&self) -> u32 {
        std::process::id()
    }
}

type Told = Result<Option<u32>, (SpawnStage, io::Error)>;

/// Reads what the child reports until it has become its program, or has failed.
async fn told(report: OwnedFd) -> io::Result<Told> {
    let mut receiver = Receiver::from_owned_fd(report)?;
    let mut pid = None;
    loop {
        let mut bytes = [0u8; REPORT_BYTES];
        match receiver.read_exact(&mut bytes).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Ok(pid)),
            Err(error) => return Err(error),
        }
        match Report::read(bytes) {
            Report::Pid(told) => pid = Some(told),
            Report::Failed(stage, errno) => {
                return Ok(Err((stage, io::Error::from_raw_os_error(errno))));
            }
        }
    }
}
