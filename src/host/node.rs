//! The node daemon: takes orders from controllers, runs each attempt under a step daemon of its own,
//! and reports.
//!
//! What it must not forget is in its spool before it acts. It may die at any time: the step daemons
//! live on, and the next node daemon finds them again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flurm_base::{AttemptId, JobId, RequestKey, Time};
use flurm_conf::NodeConf;
use flurm_node::ledger::Ledger;
use flurm_node::seen::Seen;
use flurm_rt::{Addr, AsyncRuntime, Clock, Env, Fs, Listener, Mutex as AsyncMutex, Net, Proc};
use flurm_wire::records::GresNodeRecord;

use crate::auth_settings::{Kind, Own, Role};
use crate::bell::Bell;
use crate::keyring::KeyFiles;
use crate::kiosk;
use crate::node_attempts;
use crate::node_bcast::Transfers;
use crate::node_gres;
use crate::node_register::{self, Registrar};
use crate::node_serve;
use crate::reconfigure;
use crate::setup::Setup;
use crate::spool::{RECORD_MAX, Spool};
use crate::task::detach;

/// What a node daemon is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// slurm.conf.
    pub conf: PathBuf,
    /// `-N`: which node this is; `None` goes by the machine's host name.
    pub node_name: Option<String>,
    /// The step daemon's executable.
    pub stepd: PathBuf,
    /// Who this daemon runs as.
    pub own: Own,
    /// Rung when the daemon is to read its files again.
    pub bell: Bell,
}

type ChildOf<E> = <<E as Env>::Proc as Proc>::Child;
type TransfersLock<E> = <<E as Env>::Rt as AsyncRuntime>::Mutex<Transfers<ChildOf<E>>>;
type SaveLock<E> = <<E as Env>::Rt as AsyncRuntime>::Mutex<()>;
/// Held by whoever runs something that must run once at a time.
pub(crate) type Turn<E> = Arc<SaveLock<E>>;

/// A running node daemon. Clones are the same one.
pub struct NodeDaemon<E: Env> {
    inner: Arc<Inner<E>>,
}

struct Inner<E: Env> {
    setup: Setup<E>,
    node: NodeConf,
    spool: Spool,
    stepd: PathBuf,
    /// Keys that this daemon was given by hand.
    keys: KeyFiles,
    started: Time,
    ledger: Mutex<Ledger>,
    /// Held while the ledger is written, so that an older state never follows a newer one.
    saving: SaveLock<E>,
    registrar: Registrar,
    bell: Bell,
    /// One prolog of an attempt at a time.
    prologs: Mutex<BTreeMap<(JobId, AttemptId), Turn<E>>>,
    /// Held while a program of the site runs, where they run one at a time.
    one_program: SaveLock<E>,
    /// Requests of users that were taken.
    seen: Mutex<Seen>,
    /// Files that are being copied here.
    transfers: TransfersLock<E>,
    gres: Mutex<Arc<[GresNodeRecord]>>,
}

impl<E: Env> Clone for NodeDaemon<E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

/// Runs a node daemon until `stop` is done. Step daemons stay.
pub async fn run<E: Env>(
    env: E,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), String> {
    let setup = Setup::load(env.clone(), &options.conf, &options.own, Role::Node).await?;
    let node = own_node(&setup, options.node_name.as_deref())?;
    let gres = node_gres::load(&env, &options.conf, &node).await?;
    let spool = Spool::new(&PathBuf::from(setup.conf().paths.slurmd_spool_dir(&node)));
    create_durably(&env, spool.root()).await?;
    let mut ledger = read_ledger(&env, &spool).await?;
    let started = ledger.next_start_stamp(env.clock().wall());
    let daemon = NodeDaemon {
        inner: Arc::new(Inner {
            setup,
            node,
            spool,
            stepd: options.stepd,
            keys: options.own.keys,
            started,
            ledger: Mutex::new(ledger),
            saving: AsyncMutex::new(()),
            registrar: Registrar::default(),
            bell: options.bell,
            prologs: Mutex::new(BTreeMap::new()),
            one_program: AsyncMutex::new(()),
            seen: Mutex::new(Seen::default()),
            transfers: AsyncMutex::new(Transfers::new()),
            gres: Mutex::new(gres.into()),
        }),
    };
    daemon.save_ledger().await?;
    daemon.copy_keys().await?;
    node_attempts::recover(&daemon).await?;
    let listener = listen(&daemon).await?;
    detach::<E>(node_serve::accept(daemon.clone(), listener));
    detach::<E>(node_register::introduce(daemon.clone()));
    detach::<E>(reconfigure::obey_on_node(daemon.clone()));
    if daemon.setup().auth().serves_tokens() {
        let path = daemon.setup().sack_socket().unwrap_or_else(|| kiosk::NODE_SOCKET.into());
        detach::<E>(kiosk::run(env.clone(), daemon.setup().auth_cell().clone(), path));
    }
    stop.await;
    Ok(())
}

/// Creates a folder that outlives a power loss: a spool that vanished with the power would take what
/// must not be forgotten with it.
async fn create_durably<E: Env>(env: &E, folder: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("could not create {}: {error}", folder.display());
    env.fs().create_folder(folder, 0o755).await.map_err(failed)?;
    for parent in folder.ancestors().skip(1) {
        match env.fs().sync_dir(parent).await {
            Ok(()) => {}
            // Not ours to open, so not made by us either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

async fn listen<E: Env>(daemon: &NodeDaemon<E>) -> Result<<E::Net as Net>::Listener, String> {
    let conf = daemon.setup().conf();
    let any = !conf.communication_parameters.has("NoInAddrAny");
    let host = if any { "0.0.0.0" } else { daemon.conf().addr.as_str() };
    let addr = daemon.setup().resolve(host, daemon.conf().port).await?;
    let listener = daemon.env().net().listen(&Addr::Ip(addr)).await;
    let listener = listener.map_err(|error| format!("could not listen on {addr}: {error}"))?;
    let at = listener.local_addr().map(|at| format!("{at:?}")).unwrap_or_default();
    tracing::info!("node {} serves controllers on {at}", daemon.conf().name);
    Ok(listener)
}

fn own_node<E: Env>(setup: &Setup<E>, name: Option<&str>) -> Result<NodeConf, String> {
    let conf = setup.conf();
    if let Some(name) = name {
        let found = conf.node(name).cloned();
        return found.ok_or_else(|| format!("slurm.conf has no NodeName={name}"));
    }
    let hostname = setup.env().hostname();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let mine = conf.nodes.iter().find(|node| short(&node.hostname) == short(&hostname));
    mine.cloned().ok_or_else(|| format!("slurm.conf has no node with NodeHostname={hostname}"))
}

/// The ledger of earlier runs. Only a spool that never had one begins with an empty one.
async fn read_ledger<E: Env>(env: &E, spool: &Spool) -> Result<Ledger, String> {
    if flurm_base::planted::is("node_forgets_its_ledger") {
        return Ok(Ledger::default());
    }
    let path = spool.ledger();
    match env.fs().read(&path, RECORD_MAX).await {
        Ok(bytes) => Ledger::decode(&bytes).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Ledger::default()),
        Err(error) => Err(format!("could not read {}: {error}", path.display())),
    }
}

impl<E: Env> NodeDaemon<E> {
    /// Configuration and credentials.
    pub(crate) fn setup(&self) -> &Setup<E> {
        &self.inner.setup
    }

    /// The world.
    pub(crate) fn env(&self) -> &E {
        self.inner.setup.env()
    }

    /// This node's line in slurm.conf.
    pub(crate) fn conf(&self) -> &NodeConf {
        &self.inner.node
    }

    /// What must not be forgotten.
    pub(crate) fn spool(&self) -> &Spool {
        &self.inner.spool
    }

    /// The step daemon's executable.
    pub(crate) fn stepd(&self) -> &PathBuf {
        &self.inner.stepd
    }

    /// Keys for step daemons: copies of those in force, so that a wrong file keeps none from
    /// starting.
    pub(crate) fn keys(&self) -> KeyFiles {
        match self.keys_in_force() {
            Some(files) => files.copied_to(self.spool().root()),
            None => self.inner.keys.clone(),
        }
    }

    /// Copies the keys in force for step daemons.
    pub(crate) async fn copy_keys(&self) -> Result<(), String> {
        match self.keys_in_force() {
            Some(files) => files.copy(self.env(), self.spool().root()).await,
            None => Ok(()),
        }
    }

    fn keys_in_force(&self) -> Option<KeyFiles> {
        let auth = self.setup().auth();
        let settings = auth.settings();
        (settings.primary == Kind::Slurm).then(|| settings.slurm_keys.clone()).flatten()
    }

    /// The stamp of this run; larger than that of any earlier one.
    pub(crate) fn started(&self) -> Time {
        self.inner.started
    }

    /// Asks this daemon to read its files again.
    pub(crate) fn bell(&self) -> &Bell {
        &self.inner.bell
    }

    /// Generic resources that this node has.
    pub(crate) fn gres(&self) -> Arc<[GresNodeRecord]> {
        self.inner.gres.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads gres.conf again; what is wrong leaves everything as it was.
    pub(crate) async fn reload_gres(&self) -> Result<(), String> {
        let gres = node_gres::load(self.env(), self.setup().conf_path(), self.conf()).await?;
        *self.inner.gres.lock().unwrap_or_else(PoisonError::into_inner) = gres.into();
        Ok(())
    }

    /// Registration with the controllers.
    pub(crate) fn registrar(&self) -> &Registrar {
        &self.inner.registrar
    }

    /// Held while the prolog of an attempt runs.
    pub(crate) fn prolog_turn(&self, job: JobId, attempt: AttemptId) -> Turn<E> {
        let mut prologs = self.inner.prologs.lock().unwrap_or_else(PoisonError::into_inner);
        prologs.entry((job, attempt)).or_insert_with(|| Arc::new(AsyncMutex::new(()))).clone()
    }

    /// Nobody waits for the prolog of an attempt any more.
    pub(crate) fn forget_prolog(&self, job: JobId, attempt: AttemptId) {
        let mut prologs = self.inner.prologs.lock().unwrap_or_else(PoisonError::into_inner);
        prologs.remove(&(job, attempt));
    }

    /// Held while a program of the site runs, where they run one at a time.
    pub(crate) fn one_program(&self) -> &SaveLock<E> {
        &self.inner.one_program
    }

    /// Notes a request of a user; false where this daemon has taken it before.
    pub(crate) fn is_new(&self, key: RequestKey) -> bool {
        let now = self.env().clock().wall();
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner).note(now, key)
    }

    /// Files that are being copied here.
    pub(crate) fn transfers(&self) -> &TransfersLock<E> {
        &self.inner.transfers
    }

    /// The ledger. Must not be held across an await.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.inner.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the ledger durable as it is when its turn comes.
    pub(crate) async fn save_ledger(&self) -> Result<(), String> {
        let _turn = self.inner.saving.lock().await;
        let bytes = self.ledger().encode();
        let saved = self.env().fs().replace(&self.spool().ledger(), &bytes, 0o600).await;
        saved.map_err(|error| format!("could not write the ledger: {error}"))
    }

    /// Notes durably that nothing of an attempt is left.
    pub(crate) async fn note_ended(&self, job: JobId, attempt: AttemptId) {
        let now = self.env().clock().wall();
        self.ledger().on_ended(now, job, attempt);
        if let Err(error) = self.save_ledger().await {
            tracing::error!(job = job.0, "{error}");
        }
    }
}
