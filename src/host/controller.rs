//! The controller: serves Slurm's clients and nodes from any replica, and leads from one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};

use flurm_base::Span;
use flurm_ctld::{Outlook, Tables};
use flurm_model::{Command, Reply};
use flurm_raft::{Consensus, OrderedLog, ProposeError, Replicated};
use flurm_rt::{AsyncRuntime, Clock, Env, Fs, Select2};

use crate::allocations::Waiters;
use crate::auth_settings::{Own, Role};
use crate::bell::Bell;
use crate::health::Health;
use crate::kiosk;
use crate::leader;
use crate::peers::PeerProof;
use crate::reconfigure;
use crate::replica::Replica;
use crate::session;
use crate::setup::Setup;
use crate::task::detach;

/// What a controller is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// slurm.conf.
    pub conf: PathBuf,
    /// Which `SlurmctldHost` this is; `None` goes by the machine's host name.
    pub host: Option<String>,
    /// Who this daemon runs as.
    pub own: Own,
    /// Rung when the daemon is to read its files again.
    pub bell: Bell,
}

/// A running controller. Clones are the same one.
pub struct Controller<E: Env> {
    inner: Arc<Inner<E>>,
}

struct Inner<E: Env> {
    setup: Setup<E>,
    raft: Arc<dyn OrderedLog<E>>,
    replica: Arc<RwLock<Replica>>,
    /// Position in the list of `SlurmctldHost`.
    position: usize,
    health: Mutex<Health>,
    waiters: Waiters,
    /// What this replica planned ahead while it leads.
    outlook: Mutex<Arc<Outlook>>,
}

impl<E: Env> Clone for Controller<E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

/// A controller that may be gone.
pub(crate) struct WeakController<E: Env> {
    inner: Weak<Inner<E>>,
}

impl<E: Env> WeakController<E> {
    /// The controller, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<Controller<E>> {
        self.inner.upgrade().map(|inner| Controller { inner })
    }
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// This replica does not lead: nothing was proposed.
    NotLeader,
    /// It may or may not be committed one day.
    Unknown,
    /// Too many commands are waiting: nothing was proposed.
    Busy,
    /// The command is larger than the log takes: nothing was proposed.
    TooLarge,
}

/// Runs a controller until `stop` is done.
pub async fn run<E: Env>(
    env: E,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    run_over(env, options, Replicated, stop).await
}

/// Runs a controller that agrees with the others by `consensus` until `stop` is done.
pub async fn run_over<E: Env>(
    env: E,
    options: Options,
    consensus: impl Consensus<E>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    let setup = Setup::load(env.clone(), &options.conf, &options.own, Role::Controller).await?;
    let position = setup.controller_position(options.host.as_deref())?;
    let config = setup.raft_config(position).await?;
    let created = env.fs().create_folder(&config.folder, 0o700).await;
    created.map_err(|error| format!("could not create {}: {error}", config.folder.display()))?;
    let replica = Arc::new(RwLock::new(Replica::default()));
    let proof = PeerProof::new(setup.auth_cell().clone());
    let raft = consensus.start(env, config, replica.clone(), proof).await;
    let raft = raft.map_err(|error| error.to_string())?;
    let controller = Controller {
        inner: Arc::new(Inner {
            setup,
            raft,
            replica,
            position,
            health: Mutex::default(),
            waiters: Waiters::default(),
            outlook: Mutex::default(),
        }),
    };
    session::serve_forwarded(&controller);
    let listeners = session::listen(&controller).await?;
    for listener in listeners {
        detach::<E>(session::accept(controller.clone(), listener));
    }
    if controller.setup().auth().serves_tokens() {
        let path = controller.setup().sack_socket();
        let path = path.unwrap_or_else(|| kiosk::CONTROLLER_SOCKET.into());
        detach::<E>(kiosk::run(
            controller.env().clone(),
            controller.setup().auth_cell().clone(),
            path,
        ));
    }
    detach::<E>(leader::run(controller.clone()));
    detach::<E>(reconfigure::obey(controller.clone(), options.bell));
    let stopped = controller.stopped();
    let outcome = match E::Rt::select2(Box::pin(stop), Box::pin(stopped)).await {
        Select2::First(()) => Ok(()),
        Select2::Second(reason) => Err(format!("replication stopped: {reason}")),
    };
    controller.inner.raft.shutdown().await;
    outcome
}

impl<E: Env> Controller<E> {
    /// A handle that does not keep the controller alive.
    pub(crate) fn downgrade(&self) -> WeakController<E> {
        WeakController { inner: Arc::downgrade(&self.inner) }
    }

    /// Configuration and credentials.
    pub fn setup(&self) -> &Setup<E> {
        &self.inner.setup
    }

    /// The world.
    pub fn env(&self) -> &E {
        self.inner.setup.env()
    }

    /// Sruns that wait for CPUs of their job, as far as this replica was asked.
    pub(crate) fn waiters(&self) -> &Waiters {
        &self.inner.waiters
    }

    /// What this replica planned ahead; nothing unless it leads.
    pub(crate) fn outlook(&self) -> Arc<Outlook> {
        self.inner.outlook.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what was planned ahead, for views.
    pub(crate) fn expect(&self, outlook: Outlook) {
        let mut kept = self.inner.outlook.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Arc::new(outlook);
    }

    /// Replication.
    pub fn raft(&self) -> &dyn OrderedLog<E> {
        &*self.inner.raft
    }

    /// Position in the list of `SlurmctldHost`.
    pub fn position(&self) -> usize {
        self.inner.position
    }

    /// What this leader knows of the nodes' health.
    pub(crate) fn health(&self) -> &Mutex<Health> {
        &self.inner.health
    }

    /// The replicated state. Must not be held across an await.
    pub fn replica(&self) -> RwLockReadGuard<'_, Replica> {
        // A poisoned lock means that applying panicked, which stops this replica anyway.
        self.inner.replica.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state as tables for views.
    pub fn with_tables<T>(&self, look: impl FnOnce(&Tables<'_>) -> T) -> T {
        let replica = self.replica();
        let tables = Tables::new(replica.cluster(), self.env().clock().wall());
        look(&tables)
    }

    /// The term this replica leads, once it has caught up with everything earlier leaders
    /// acknowledged.
    pub fn leading(&self) -> Option<u64> {
        self.inner.raft.leading()
    }

    /// Proposes a command and waits for what it did.
    pub async fn propose(&self, command: &Command) -> Result<Reply, NotTaken> {
        match self.inner.raft.propose(command.encode()).await {
            Ok(reply) => {
                let reply = Replica::reply(&reply.bytes);
                Ok(reply.expect("a reply was encoded by this same program"))
            }
            Err(ProposeError::NotLeader { .. }) => Err(NotTaken::NotLeader),
            Err(ProposeError::Busy) => Err(NotTaken::Busy),
            Err(ProposeError::TooLarge { bytes, max }) => {
                tracing::warn!("a command of {bytes} bytes is over the log's limit of {max}");
                Err(NotTaken::TooLarge)
            }
            Err(ProposeError::Unknown | ProposeError::Stopped) => Err(NotTaken::Unknown),
        }
    }

    async fn stopped(&self) -> String {
        let mut watch = self.inner.raft.watch();
        let status = watch.until(|status| status.stopped.is_some()).await;
        status.and_then(|status| status.stopped).unwrap_or_else(|| "the node is gone".into())
    }

    /// How long a request may wait for a leader: within `MessageTimeout`, with room for the reply.
    pub fn hold_max(&self) -> Span {
        self.setup().hold_time()
    }
}
