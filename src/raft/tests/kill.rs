//! Members killed at arbitrary moments under a stream of proposals.
#![expect(clippy::unwrap_used, reason = "a test may fail at once")]

mod journal;
mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use flurm_raft::{Config, Member, Node, ProposeError};
use journal::{Folder, Journal, Secret};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;
use world::{World, within};

const KILLS: u32 = 25;

/// A member on a runtime of its own: dropping the runtime ends every task where it waits, as a
/// SIGKILL would; what was written stays in the page cache.
struct Alive {
    runtime: Runtime,
    world: World,
    node: Node<World, Journal>,
    journal: Arc<RwLock<Journal>>,
}

type Places = Arc<Mutex<BTreeMap<u64, Alive>>>;

fn members() -> Vec<Member> {
    let addr = |id: u64| SocketAddr::from(([127, 0, 0, 1], 21303 + id as u16));
    (1..=3).map(|id| Member { id, name: format!("c{id}"), addr: addr(id) }).collect()
}

async fn start(folder: &Folder, id: u64) -> Alive {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let journal: Arc<RwLock<Journal>> = Arc::default();
    let mut config = Config::new("kill", id, members(), folder.0.join(format!("c{id}")));
    config.snapshot_every = 200;
    config.keep_behind_snapshot = 20;
    config.limits.segment_bytes = 32 << 10;
    let machine = Arc::clone(&journal);
    let world = World::default();
    let starting = Node::start(world.clone(), config, machine, Secret(3));
    let node = runtime.spawn(starting).await.unwrap().unwrap();
    Alive { runtime, world, node, journal }
}

fn leader(places: &Places) -> Option<(u64, Node<World, Journal>)> {
    let places = places.lock().unwrap();
    let mut found = places.iter().filter(|(_, alive)| alive.node.status().ready);
    found.next().map(|(id, alive)| (*id, alive.node.clone()))
}

/// Proposes numbers, each once, until told to stop; tells which were confirmed.
async fn client(places: Places, stop: Arc<std::sync::atomic::AtomicBool>, from: u32) -> Vec<u32> {
    let mut confirmed = Vec::new();
    let mut next = from;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let Some((_, node)) = leader(&places) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let proposal = next.to_le_bytes().to_vec();
        let proposing = node.propose(proposal);
        match tokio::time::timeout(Duration::from_secs(3), proposing).await {
            Ok(Ok(_)) => {
                confirmed.push(next);
                next += 1;
            }
            // Not proposed: the same number may be tried again.
            Ok(Err(ProposeError::NotLeader { .. } | ProposeError::Busy)) => {}
            Ok(Err(_)) | Err(_) => next += 1,
        }
    }
    confirmed
}

async fn settle(places: &Places) -> Vec<Vec<Vec<u8>>> {
    let last = within(20, "a last proposal", async {
        loop {
            if let Some((_, node)) = leader(places)
                && let Ok(reply) = node.propose(b"last".to_vec()).await
            {
                return reply.index;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let caught_up = || {
        let places = places.lock().unwrap();
        places.values().all(|alive| last <= alive.node.applied_index())
    };
    within(20, "catching up", async {
        while !caught_up() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let places = places.lock().unwrap();
    places.values().map(|alive| alive.journal.read().unwrap().commands.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_is_applied_once_whoever_is_killed() {
    let folder = Folder::new("kill");
    let places: Places = Arc::default();
    for id in 1..=3 {
        let alive = start(&folder, id).await;
        places.lock().unwrap().insert(id, alive);
    }
    let stop = Arc::default();
    let clients: Vec<_> = (0..4)
        .map(|at| tokio::spawn(client(Arc::clone(&places), Arc::clone(&stop), at * 1_000_000)))
        .collect();
    let mut rng = StdRng::seed_from_u64(11);
    for kill in 0..KILLS {
        let id = loop {
            match leader(&places) {
                Some((id, _)) => break id,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        // Mostly the leader, sometimes a follower.
        let id = if kill % 4 == 3 { id % 3 + 1 } else { id };
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
        let killed = places.lock().unwrap().remove(&id).unwrap();
        killed.runtime.shutdown_background();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
        let alive = within(20, "a restart", start(&folder, id)).await;
        places.lock().unwrap().insert(id, alive);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut confirmed = Vec::new();
    for client in clients {
        confirmed.append(&mut within(20, "a client", client).await.unwrap());
    }
    let journals = settle(&places).await;
    assert!(journals[1..].iter().all(|journal| journal == &journals[0]), "members differ");
    let mut counts: BTreeMap<&[u8], u32> = BTreeMap::new();
    for command in &journals[0] {
        *counts.entry(command).or_default() += 1;
    }
    for number in &confirmed {
        assert_eq!(counts.get(number.to_le_bytes().as_slice()), Some(&1), "proposal {number}");
    }
    let twice = counts.iter().filter(|(command, count)| 1 < **count && **command != b"last");
    assert_eq!(twice.count(), 0);
    let syncs: u64 = places.lock().unwrap().values().map(|alive| alive.world.syncs()).sum();
    println!("{} confirmed over {KILLS} kills; {syncs} syncs since", confirmed.len());
    assert!(500 < confirmed.len());
    let places = std::mem::take(&mut *places.lock().unwrap());
    for alive in places.into_values() {
        alive.node.shutdown().await;
        alive.runtime.shutdown_background();
    }
}
