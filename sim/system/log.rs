//! The replicated log alone: replicas of `flurm-raft` that keep a list of keys, and clients that
//! add keys. It judges the engines and the log before anything is built on them.
//!
//! A client sends one line and reads one: `A <key>` is answered `I <number>`, `L` is answered with
//! all keys in order; `N` means "not here, not now".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use flurm_raft::{Config, Consensus, Handshake, Member, OrderedLog, Replicated, StateMachine};
use flurm_rt::{Addr, AsyncRuntime, Env, Listener, Net};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::cluster::{CONTROLLER, Cluster};
use crate::light::Light;
use crate::scenario::{Agreement, Scenario};
use crate::steps::Tap;
use crate::workload::{ClientApi, Doing, Heard, Prepared, Wanted};
use crate::world::env::{Engine, Place, SimEnv};
use crate::world::history::{Order, SeenJob, SeenNode};
use crate::world::{self, Nanos, TaskFuture};

/// A client waits this long for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Entries between two snapshots: few, so that snapshots are exercised.
const SNAPSHOT_EVERY: u64 = 40;
/// Entries kept behind a snapshot.
const KEEP_BEHIND: u64 = 10;
/// The state that stands for "over" in Slurm's protocol without claiming that anything ran.
const CANCELLED: u32 = 4;

/// The replicated list of keys.
#[derive(Debug, Default)]
struct Keys {
    order: Vec<String>,
    number: BTreeMap<String, u32>,
}

impl Keys {
    fn add(&mut self, key: &str) -> u32 {
        let next = self.order.len() as u32 + 1;
        let number = *self.number.entry(key.to_owned()).or_insert(next);
        if number == next {
            self.order.push(key.to_owned());
        }
        assert!(self.order[number as usize - 1] == key, "the list and its index agree");
        number
    }
}

impl StateMachine for Keys {
    fn apply(&mut self, _index: u64, _term: u64, command: &[u8]) -> Vec<u8> {
        let key = String::from_utf8_lossy(command).into_owned();
        self.add(&key).to_be_bytes().to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.order.join("\n").into_bytes()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        *self = Self::default();
        for key in text.lines() {
            self.add(key);
        }
        Ok(())
    }
}

/// Members of one simulated cluster trust each other.
struct Trust;

impl Handshake for Trust {
    async fn prove(&self, challenge: &[u8; 32]) -> Result<Vec<u8>, String> {
        Ok(challenge.to_vec())
    }

    async fn verify(&self, _peer: u64, challenge: &[u8; 32], proof: &[u8]) -> Result<(), String> {
        if proof == challenge { Ok(()) } else { Err("the proof is for another challenge".into()) }
    }
}

fn members(cluster: &Cluster) -> Vec<Member> {
    let ids = cluster.controllers.iter().enumerate();
    let member = |(index, machine): (usize, &world::MachineId)| {
        let (name, ip) = world::with(|w| {
            let machine = w.machine(*machine);
            (machine.name.clone(), machine.ip)
        });
        Member { id: index as u64 + 1, name, addr: SocketAddr::new(ip, cluster.peer_port) }
    };
    ids.map(member).collect()
}

/// Starts a replica on every controller.
pub fn start<X: Engine>(scenario: &Scenario, cluster: &Rc<Cluster>) {
    let agreement = scenario.cluster.consensus;
    let members = members(cluster);
    for (index, machine) in cluster.controllers.iter().enumerate() {
        let folder = PathBuf::from("/var/lib/flurm");
        world::with(|w| w.machine_mut(*machine).disk.install_folder(&folder))
            .expect("a new disk has room for a folder");
        let mut config = Config::new("sim", index as u64 + 1, members.clone(), folder);
        config.snapshot_every = SNAPSHOT_EVERY;
        config.keep_behind_snapshot = KEEP_BEHIND;
        config.limits.segment_bytes = 8 * 1024;
        let port = cluster.client_port;
        let make = move |place: Place| -> TaskFuture {
            let (env, config) = (SimEnv::<X>::new(place), config.clone());
            Box::pin(async move {
                let ended = match agreement {
                    Agreement::Full => replica(env, config, port, Tap(Replicated)).await,
                    Agreement::Light => replica(env, config, port, Tap(Light)).await,
                };
                if let Err(reason) = ended {
                    tracing::error!("the replica stopped: {reason}");
                }
            })
        };
        cluster.add(*machine, CONTROLLER, (0, 0), Rc::new(make));
    }
}

async fn replica<E: Env>(
    env: E,
    config: Config,
    port: u16,
    consensus: impl Consensus<E>,
) -> Result<(), String> {
    let keys = Arc::new(RwLock::new(Keys::default()));
    let node = consensus.start(env.clone(), config, Arc::clone(&keys), Trust).await;
    let node = node.map_err(|error| error.to_string())?;
    let addr = Addr::Ip(SocketAddr::from(([0, 0, 0, 0], port)));
    let mut listener = env.net().listen(&addr).await.map_err(|error| error.to_string())?;
    let mut watch = node.watch();
    let accepting = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let serving = serve::<E>(Arc::clone(&node), Arc::clone(&keys), stream);
            // The handle is dropped: the session ends by itself.
            drop(E::Rt::spawn(serving));
        }
    };
    let stopping = watch.until(|status| status.stopped.is_some());
    match E::Rt::select2(accepting, stopping).await {
        flurm_rt::Select2::First(()) => Ok(()),
        flurm_rt::Select2::Second(status) => {
            Err(status.and_then(|status| status.stopped).unwrap_or_default())
        }
    }
}

async fn serve<E: Env>(
    node: Arc<dyn OrderedLog<E>>,
    keys: Arc<RwLock<Keys>>,
    stream: <E::Net as Net>::Stream,
) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).await.is_err() {
        return;
    }
    let answer = match line.trim_end().split_once(' ') {
        Some(("A", key)) => match node.propose(key.as_bytes().to_vec()).await {
            Ok(reply) => {
                let number = reply.bytes.try_into().map_or(0, u32::from_be_bytes);
                format!("I {number}\n")
            }
            Err(flurm_raft::ProposeError::NotLeader { .. }) => "N\n".to_owned(),
            Err(_) => return,
        },
        _ => match node.read_barrier().await {
            Ok(_) => {
                let keys = keys.read().unwrap_or_else(PoisonError::into_inner);
                format!("L {}\n", keys.order.join(" "))
            }
            Err(_) => "N\n".to_owned(),
        },
    };
    // The client may be gone; it asks again.
    let mut stream = stream.into_inner();
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let _the_client_may_be_gone = stream.shutdown().await;
    }
}

/// A client of the log.
#[derive(Clone)]
pub struct Client<E: Env> {
    env: E,
    addrs: Vec<SocketAddr>,
    next: usize,
}

impl<E: Env> Client<E> {
    /// The `number`th client.
    pub fn new(env: E, number: u32) -> Self {
        let cluster = crate::cluster::current().expect("clients are started within a cluster");
        let addr = |machine: &world::MachineId| {
            SocketAddr::new(world::with(|w| w.machine(*machine).ip), cluster.client_port)
        };
        let addrs = cluster.controllers.iter().map(addr).collect();
        Self { env, addrs, next: number as usize }
    }

    async fn exchange(&mut self, line: &str) -> Option<String> {
        let addr = Addr::Ip(self.addrs[self.next % self.addrs.len()]);
        let talk = async {
            let mut stream = self.env.net().connect(&addr).await.ok()?;
            stream.write_all(line.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            answer.ends_with('\n').then(|| answer.trim_end().to_owned())
        };
        let answer = E::Rt::timeout(ANSWER_MAX, talk).await.ok().flatten();
        if answer.as_deref().is_none_or(|answer| answer == "N") {
            self.next += 1;
        }
        answer.filter(|answer| answer != "N")
    }
}

impl<E: Env> Client<E> {
    async fn add(&mut self, prepared: &Prepared) -> Heard<u32> {
        let line = String::from_utf8_lossy(&prepared.0).into_owned();
        let answer = self.exchange(&line).await;
        let number = answer.and_then(|answer| answer.strip_prefix("I ")?.parse().ok());
        number.map_or(Heard::Nothing, Heard::Answer)
    }

    async fn read(&mut self) -> Heard<Vec<SeenJob>> {
        let Some(answer) = self.exchange("L\n").await else { return Heard::Nothing };
        let Some(keys) = answer.strip_prefix('L') else { return Heard::Nothing };
        let seen = |(index, key): (usize, &str)| SeenJob {
            job: index as u32 + 1,
            name: key.to_owned(),
            state: CANCELLED,
            restarts: 0,
            reason: String::new(),
            nodes: String::new(),
            exit: 0,
            lasts_s: 0,
        };
        Heard::Answer(keys.split_whitespace().enumerate().map(seen).collect())
    }
}

impl<E: Env> ClientApi for Client<E> {
    fn prepare<'a>(&'a mut self, wanted: &'a Wanted) -> Doing<'a, Option<Prepared>> {
        Box::pin(async move { Some(Prepared(format!("A {}\n", wanted.key).into_bytes())) })
    }

    fn submit<'a>(&'a mut self, prepared: &'a Prepared) -> Doing<'a, Heard<u32>> {
        Box::pin(self.add(prepared))
    }

    fn hang_up<'a>(&'a mut self, prepared: &'a Prepared, after: Nanos) -> Doing<'a, ()> {
        Box::pin(async move {
            let adding = Box::pin(self.add(prepared));
            let _whatever_came = E::Rt::timeout(Duration::from_nanos(after), adding).await;
        })
    }

    fn submit_twice<'a>(&'a mut self, prepared: &'a Prepared) -> Doing<'a, [Heard<u32>; 2]> {
        Box::pin(async move {
            let mut other = Self::clone(self);
            other.next += 1;
            let both = futures_util::future::join(self.add(prepared), other.add(prepared)).await;
            both.into()
        })
    }

    fn may_retry(&self, _refusal: u32) -> bool {
        true
    }

    fn cancel(&mut self, _job: u32) -> Doing<'_, Heard<()>> {
        Box::pin(async { Heard::Refused(0) })
    }

    fn list(&mut self) -> Doing<'_, Heard<Vec<SeenJob>>> {
        Box::pin(self.read())
    }

    fn nodes(&mut self) -> Doing<'_, Heard<Vec<SeenNode>>> {
        Box::pin(async { Heard::Refused(0) })
    }

    fn order<'a>(&'a mut self, _order: &'a Order) -> Doing<'a, Heard<()>> {
        Box::pin(async { Heard::Refused(0) })
    }

    fn nap(&self, span: Nanos) -> Doing<'static, ()> {
        Box::pin(E::Rt::sleep(Duration::from_nanos(span)))
    }
}
