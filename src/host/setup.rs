//! What every daemon reads when it starts: configuration, identities, credentials, addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use flurm_base::{Span, Time};
use flurm_conf::associations::Associations;
use flurm_conf::{Conf, FILE_BYTES_MAX, FlurmConf};
use flurm_ctld::BuildFacts;
use flurm_raft::{Config as RaftConfig, Member};
use flurm_rt::{Clock, Env, Fs, Ident, Net};
use flurm_wire::messages::{ConfigFile, ConfigResponse};
use flurm_wire::{Message, Release};

use crate::auth::Auth;
use crate::auth_cell::AuthCell;
use crate::auth_settings::{AuthSettings, Own, Role};
use crate::conf_files::{read_associations, read_conf, read_flurm_conf};
use crate::rpc::{Controllers, Rpc};

/// Files that configless clients and nodes get, beside slurm.conf and what it includes.
const CONFIG_FILES: [&str; 5] =
    ["plugstack.conf", "topology.conf", "topology.yaml", "oci.conf", "cli_filter.lua"];
/// Files that only nodes get.
const NODE_CONFIG_FILES: [&str; 6] = [
    "cgroup.conf",
    "gres.conf",
    "acct_gather.conf",
    "job_container.conf",
    "mpi.conf",
    "helpers.conf",
];
/// Who asks for configuration files: a node daemon (slurm_protocol_defs.h, `CONFIG_REQUEST_*`).
const ASKER_SLURMD: u32 = 1;

/// The configuration as one daemon sees it. Clones share it.
#[derive(Clone)]
pub struct Setup<E: Env> {
    env: E,
    conf_path: PathBuf,
    conf: Arc<RwLock<Arc<Conf>>>,
    flurm: Arc<FlurmConf>,
    auth: AuthCell<E>,
    own: Own,
    role: Role,
    slurm_uid: u32,
    slurmd_uid: u32,
    started: Time,
    controllers: Controllers<E>,
}

impl<E: Env> Setup<E> {
    /// Reads slurm.conf, flurm.conf beside it, and the keys they name. A controller does not start
    /// with an associations.conf that it could not read as leader either.
    pub async fn load(env: E, conf_path: &Path, own: &Own, role: Role) -> Result<Self, String> {
        let conf = read_conf(&env, conf_path).await?;
        let flurm = read_flurm_conf(&env, conf_path, &conf).await?;
        if role == Role::Controller {
            read_associations(&env, conf_path).await?;
        }
        let slurm_uid = uid_of(&env, &conf.slurm_user, "SlurmUser").await?;
        let slurmd_uid = uid_of(&env, &conf.slurmd_user, "SlurmdUser").await?;
        let settings = AuthSettings::of(&env, &conf, conf_path, slurm_uid, own, role).await?;
        let auth = AuthCell::new(Auth::load(env.clone(), settings).await?);
        let mut addrs = Vec::new();
        for host in &conf.controllers {
            let port = conf.slurmctld_ports.first;
            addrs.push(resolve(&env, &host.addr, port).await?);
        }
        let rpc = Rpc::new(env.clone(), auth.clone());
        let wait = conf.times.message_timeout.duration();
        let controllers = Controllers::new(rpc, addrs, slurm_uid, wait);
        let started = env.clock().wall();
        Ok(Self {
            env,
            conf_path: conf_path.to_path_buf(),
            conf: Arc::new(RwLock::new(conf)),
            flurm,
            auth,
            own: own.clone(),
            role,
            slurm_uid,
            slurmd_uid,
            started,
            controllers,
        })
    }

    /// The world.
    pub fn env(&self) -> &E {
        &self.env
    }

    /// slurm.conf as last read.
    pub fn conf(&self) -> Arc<Conf> {
        self.conf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where slurm.conf is.
    pub fn conf_path(&self) -> &Path {
        &self.conf_path
    }

    /// Authentication as it is in force.
    pub fn auth(&self) -> Arc<Auth<E>> {
        self.auth.now()
    }

    /// The authentication in force, now and later.
    pub(crate) fn auth_cell(&self) -> &AuthCell<E> {
        &self.auth
    }

    /// Asks other daemons.
    pub fn rpc(&self) -> Rpc<E> {
        Rpc::new(self.env.clone(), self.auth.clone())
    }

    /// The controllers, as nodes ask them.
    pub fn controllers(&self) -> Controllers<E> {
        self.controllers.clone()
    }

    /// uid of SlurmUser.
    pub fn slurm_uid(&self) -> u32 {
        self.slurm_uid
    }

    /// uid of SlurmdUser: who may open what is sent to nodes.
    pub fn slurmd_uid(&self) -> u32 {
        self.slurmd_uid
    }

    /// The configuration as `scontrol show config` of a release reads it.
    pub fn build_info(&self, job_id_next: u32, release: Release) -> Message {
        let facts = BuildFacts {
            conf_path: self.conf_path.to_string_lossy().into_owned(),
            started: self.started,
            now: self.env.clock().wall(),
            slurm_uid: self.slurm_uid,
            slurmd_uid: self.slurmd_uid,
            job_id_next,
            release,
        };
        Message::ResponseBuildInfo(Box::new(flurm_ctld::build_info(&self.conf(), &facts)))
    }

    /// When this daemon read its configuration first.
    pub fn started(&self) -> Time {
        self.started
    }

    /// `ClusterName`.
    pub fn cluster_name(&self) -> String {
        self.conf().cluster_name.clone()
    }

    /// Address and port of the first controller.
    pub fn first_controller(&self) -> (String, u16) {
        let conf = self.conf();
        let addr = conf.controllers.first().map_or(String::new(), |host| host.addr.clone());
        (addr, conf.slurmctld_ports.first)
    }

    /// `MessageTimeout`.
    pub fn message_timeout(&self) -> Span {
        self.conf().times.message_timeout
    }

    /// Where tokens of auth/slurm are served, if flurm.conf says (`SackSocket`).
    pub fn sack_socket(&self) -> Option<PathBuf> {
        self.flurm.sack_socket.as_ref().map(PathBuf::from)
    }

    /// How long a request waits for a leader (`HoldTime`).
    pub fn hold_time(&self) -> Span {
        self.flurm.hold_time
    }

    /// `SlurmdTimeout`; zero means never.
    pub fn slurmd_timeout(&self) -> Span {
        self.conf().times.slurmd_timeout.unwrap_or(Span(0))
    }

    /// Reads slurm.conf and the keys again, for `scontrol reconfigure`, SIGHUP and a new leader, and
    /// gives what belongs into the replicated state. What is wrong leaves everything as it was.
    pub async fn reload(&self) -> Result<flurm_model::Config, String> {
        let conf = read_conf(&self.env, &self.conf_path).await?;
        self.reload_keys(&conf).await?;
        let mut config = flurm_ctld::cluster_config(&conf, self.slurm_uid);
        let associations = read_associations(&self.env, &self.conf_path).await?;
        let accounting = &mut config.settings.accounting;
        accounting.uids = self.uids_of(&associations).await;
        accounting.associations = associations;
        *self.conf.write().unwrap_or_else(PoisonError::into_inner) = conf;
        Ok(config)
    }

    /// Numbers of the users that have associations; whoever is unknown here cannot submit here.
    async fn uids_of(&self, associations: &Associations) -> BTreeMap<String, u32> {
        let names = associations.list.iter().map(|one| &one.user).filter(|name| !name.is_empty());
        let names: BTreeSet<&String> = names.collect();
        let mut uids = BTreeMap::new();
        for name in names {
            match self.env.ident().user_by_name(name).await {
                Ok(Some(user)) => drop(uids.insert(name.clone(), user.uid)),
                Ok(None) => tracing::warn!("associations.conf: there is no user {name}"),
                Err(error) => tracing::warn!("could not look up user {name}: {error}"),
            }
        }
        uids
    }

    /// Reads the keys again, and nothing else.
    pub(crate) async fn reread_keys(&self) -> Result<(), String> {
        self.reload_keys(&self.conf()).await
    }

    async fn reload_keys(&self, conf: &Conf) -> Result<(), String> {
        let Self { env, conf_path, own, role, .. } = self;
        let settings = AuthSettings::of(env, conf, conf_path, self.slurm_uid, own, *role).await?;
        self.auth.reload(env, settings).await
    }

    /// Which of the controllers this is: by name, or by the machine's host name.
    pub fn controller_position(&self, name: Option<&str>) -> Result<usize, String> {
        let conf = self.conf();
        let hostname = self.env.hostname();
        let wanted = name.unwrap_or(&hostname);
        let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        let found = conf.controller(wanted).or_else(|| {
            conf.controllers.iter().position(|host| short(&host.name) == short(wanted))
        });
        found.ok_or_else(|| {
            let names: Vec<&str> = conf.controllers.iter().map(|host| host.name.as_str()).collect();
            format!("{wanted} is none of the SlurmctldHost: {}", names.join(", "))
        })
    }

    /// Where the controller at a position listens for clients: where flurm.conf says (`ListenAddr`),
    /// else everywhere, or with `CommunicationParameters=NoCtldInAddrAny` on its own address only.
    pub async fn controller_listen_addrs(
        &self,
        position: usize,
    ) -> Result<Vec<SocketAddr>, String> {
        let conf = self.conf();
        let mut addrs = Vec::new();
        for port in conf.slurmctld_ports.iter() {
            if !self.flurm.listen_addrs.is_empty() {
                for host in &self.flurm.listen_addrs {
                    addrs.push(resolve(&self.env, host, port).await?);
                }
            } else if conf.communication_parameters.has("NoCtldInAddrAny") {
                addrs.push(resolve(&self.env, &conf.controllers[position].addr, port).await?);
            } else {
                addrs.push(SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port));
            }
        }
        Ok(addrs)
    }

    /// How the controller at a position takes part in Raft.
    pub async fn raft_config(&self, position: usize) -> Result<RaftConfig, String> {
        let conf = self.conf();
        let mut members = Vec::new();
        for peer in &self.flurm.peers {
            let addr = resolve(&self.env, &peer.addr, peer.port).await?;
            members.push(Member { id: peer.id, name: peer.name.clone(), addr });
        }
        let own = &self.flurm.peers[position];
        let folder = PathBuf::from(self.flurm.data_dir(&own.name));
        let mut config = RaftConfig::new(&conf.cluster_name, own.id, members, folder);
        config.heartbeat = self.flurm.heartbeat_interval;
        config.election_min = self.flurm.election_timeout_min;
        config.election_max = self.flurm.election_timeout_max;
        config.snapshot_every = self.flurm.snapshot_every;
        Ok(config)
    }

    /// The position among the controllers of a Raft member.
    pub fn position_of(&self, member: u64) -> Option<usize> {
        self.flurm.peers.iter().position(|peer| peer.id == member)
    }

    /// Resolves a host, preferring IPv4 as Slurm does unless IPv6 is enabled.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, String> {
        resolve(&self.env, host, port).await
    }

    /// The configuration files for a configless client or node.
    pub async fn config_files(&self, asker: u32) -> Message {
        let conf = self.conf();
        let folder = self.conf_path.parent().unwrap_or(Path::new("/"));
        let mut files = Vec::new();
        for (at, path) in conf.files.iter().enumerate() {
            let name = if at == 0 { "slurm.conf" } else { file_name(path) };
            files.push(self.config_file(Path::new(path), name).await);
        }
        let for_node = if asker == ASKER_SLURMD { NODE_CONFIG_FILES.as_slice() } else { &[] };
        for name in CONFIG_FILES.iter().chain(for_node) {
            files.push(self.config_file(&folder.join(name), name).await);
        }
        let spool = (asker == ASKER_SLURMD).then(|| conf.paths.slurmd_spool_pattern.clone());
        Message::ResponseConfig(ConfigResponse {
            config_files: Some(files),
            slurmd_spooldir: spool,
        })
    }

    async fn config_file(&self, path: &Path, name: &str) -> ConfigFile {
        let text = self.env.fs().read(path, FILE_BYTES_MAX).await.ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        ConfigFile {
            exists: text.is_some(),
            execute: false,
            file_name: Some(name.to_owned()),
            file_content: text,
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

async fn uid_of<E: Env>(env: &E, name: &str, key: &str) -> Result<u32, String> {
    if let Ok(uid) = name.parse::<u32>() {
        return Ok(uid);
    }
    match env.ident().user_by_name(name).await {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) => Err(format!("{key}={name}: there is no such user")),
        Err(error) => Err(format!("{key}={name}: could not look it up: {error}")),
    }
}

async fn resolve<E: Env>(env: &E, host: &str, port: u16) -> Result<SocketAddr, String> {
    let found = env.net().resolve(host, port).await;
    let found = found.map_err(|error| format!("could not resolve {host}: {error}"))?;
    let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("{host} has no address"))
}
