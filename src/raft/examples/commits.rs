//! Measures commits per second of three members in one process, on real files and loopback
//! sockets: `commits FOLDER PROPOSERS SECONDS BYTES`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement runs on the real machine"
)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use flurm_raft::{Config, Handshake, Member, Node, StateMachine};
use world::{World, within};

struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _index: u64, _term: u64, _command: &[u8]) -> Vec<u8> {
        self.0 += 1;
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0 = u64::from_le_bytes(bytes.try_into().map_err(|_| "not eight bytes")?);
        Ok(())
    }
}

struct Trusting;

impl Handshake for Trusting {
    async fn prove(&self, _challenge: &[u8; 32]) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    async fn verify(&self, _peer: u64, _challenge: &[u8; 32], _proof: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

type Measured = Node<World, Counter>;

async fn start(folder: &Path) -> Vec<(World, Measured)> {
    let member = |id: u16| Member {
        id: u64::from(id),
        name: format!("c{id}"),
        addr: SocketAddr::from(([127, 0, 0, 1], 21290 + id)),
    };
    let members: Vec<Member> = (1..=3).map(member).collect();
    let mut nodes = Vec::new();
    for id in 1..=3 {
        let world = World::default();
        let config = Config::new("bench", id, members.clone(), folder.join(format!("c{id}")));
        let machine = Arc::new(RwLock::new(Counter(0)));
        nodes.push((world.clone(), Node::start(world, config, machine, Trusting).await.unwrap()));
    }
    nodes
}

async fn leader(nodes: &[(World, Measured)]) -> usize {
    loop {
        if let Some(at) = nodes.iter().position(|(_, node)| node.status().ready) {
            return at;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, proposers, seconds, bytes] = arguments.as_slice() else {
        return println!("usage: commits FOLDER PROPOSERS SECONDS BYTES");
    };
    let (proposers, seconds): (usize, u64) = (proposers.parse().unwrap(), seconds.parse().unwrap());
    let bytes: usize = bytes.parse().unwrap();
    let nodes = start(Path::new(folder)).await;
    let at = within(30, "an election", leader(&nodes)).await;
    let (world, node) = nodes[at].clone();
    let syncs = world.syncs();
    let stop = Arc::new(AtomicBool::new(false));
    let propose = |_| {
        let (node, stop) = (node.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                node.propose(vec![7; bytes]).await.unwrap();
                times.push(start.elapsed());
            }
            times
        })
    };
    let tasks: Vec<_> = (0..proposers).map(propose).collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in tasks {
        times.append(&mut task.await.unwrap());
    }
    times.sort();
    let syncs = world.syncs() - syncs;
    let count = times.len();
    let rate = count as u64 / seconds;
    let (p50, p99) = (times[count / 2], times[count * 99 / 100]);
    let per_sync = count as f64 / syncs as f64;
    println!("{proposers} proposers, {bytes} bytes: {rate} commits/s, p50 {p50:?}, p99 {p99:?}");
    println!("{per_sync:.1} commits per sync of the leader");
    let start = Instant::now();
    for _ in 0..200 {
        node.read_barrier().await.unwrap();
    }
    println!("read barrier: {:?} each, one after the other", start.elapsed() / 200);
    for (_, node) in &nodes {
        node.shutdown().await;
    }
}
