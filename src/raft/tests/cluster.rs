//! Three members over loopback sockets and real files: elections, restarts, losses, reads.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run on the real machine and may fail at once"
)]

mod journal;
mod world;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use flurm_base::Span;
use flurm_raft::{Config, ForwardError, Member, Node, ProposeError, ReadError, StartError, Status};
use journal::{Folder, Journal, Secret};
use world::{World, within};

type TestNode = Node<World, Journal>;

struct Place {
    id: u64,
    world: World,
    journal: Arc<RwLock<Journal>>,
    node: Option<TestNode>,
    secret: Secret,
}

impl Place {
    fn node(&self) -> &TestNode {
        self.node.as_ref().unwrap()
    }

    fn commands(&self) -> Vec<Vec<u8>> {
        self.journal.read().unwrap().commands.clone()
    }
}

struct Cluster {
    folder: Folder,
    members: Vec<Member>,
    places: Vec<Place>,
    shape: fn(&mut Config),
}

impl Cluster {
    /// `first_port` is where this test's ports start.
    fn new(name: &str, first_port: u16, count: u64, shape: fn(&mut Config)) -> Self {
        let member = |id: u64| Member {
            id,
            name: format!("c{id}"),
            addr: SocketAddr::from(([127, 0, 0, 1], first_port + id as u16)),
        };
        let place = |id| Place {
            id,
            world: World::default(),
            journal: Arc::default(),
            node: None,
            secret: Secret(0x5A),
        };
        Self {
            folder: Folder::new(name),
            members: (1..=count).map(member).collect(),
            places: (1..=count).map(place).collect(),
            shape,
        }
    }

    async fn started(name: &str, first_port: u16, count: u64, shape: fn(&mut Config)) -> Self {
        let mut cluster = Self::new(name, first_port, count, shape);
        for at in 0..cluster.places.len() {
            cluster.start(at).await.unwrap();
        }
        cluster
    }

    fn path(&self, at: usize) -> PathBuf {
        self.folder.0.join(format!("c{}", self.places[at].id))
    }

    async fn start(&mut self, at: usize) -> Result<(), StartError> {
        let path = self.path(at);
        let place = &mut self.places[at];
        place.journal = Arc::default();
        place.world = World::default();
        let mut config = Config::new("test", place.id, self.members.clone(), path);
        (self.shape)(&mut config);
        let journal = Arc::clone(&place.journal);
        let secret = place.secret.clone();
        place.node = Some(Node::start(place.world.clone(), config, journal, secret).await?);
        Ok(())
    }

    async fn stop(&mut self, at: usize) {
        let node = self.places[at].node.take().unwrap();
        within(10, "shutting down", node.shutdown()).await;
    }

    fn alive(&self) -> impl Iterator<Item = (usize, &Place)> {
        self.places.iter().enumerate().filter(|(_, place)| place.node.is_some())
    }

    /// Waits for a ready leader among those that run.
    async fn leader(&self) -> usize {
        let search = async {
            loop {
                for (at, place) in self.alive() {
                    if place.node().status().ready {
                        return at;
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        within(20, "an election", search).await
    }

    /// Proposes until it is confirmed. Only for commands that may be applied twice.
    async fn propose(&self, command: &[u8]) -> u64 {
        let trying = async {
            loop {
                let leader = self.leader().await;
                if let Ok(reply) = self.places[leader].node().propose(command.to_vec()).await {
                    return reply.index;
                }
            }
        };
        within(30, "a proposal", trying).await
    }

    async fn settled(&self, index: u64) {
        let waiting = async {
            for (_, place) in self.alive() {
                while place.node().applied_index() < index {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        within(20, "catching up", waiting).await;
    }

    fn assert_all_equal(&self) {
        let journals: Vec<_> = self.alive().map(|(_, place)| place.commands()).collect();
        for journal in &journals {
            assert!(journal == &journals[0], "members applied different commands");
        }
    }
}

fn plain(_config: &mut Config) {}

fn number(at: u32) -> Vec<u8> {
    at.to_le_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_agree_and_remember() {
    let mut cluster = Cluster::started("agree", 21300, 3, plain).await;
    let mut last = 0;
    for at in 0..50 {
        last = cluster.propose(&number(at)).await;
    }
    cluster.settled(last).await;
    cluster.assert_all_equal();
    let commands = cluster.places[0].commands();
    assert_eq!(commands, (0..50).map(number).collect::<Vec<_>>());
    for at in 0..3 {
        cluster.stop(at).await;
    }
    for at in 0..3 {
        cluster.start(at).await.unwrap();
    }
    let last = cluster.propose(b"after").await;
    cluster.settled(last).await;
    cluster.assert_all_equal();
    assert_eq!(cluster.places[1].commands().len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_member_is_a_cluster() {
    let mut cluster = Cluster::started("single", 21310, 1, plain).await;
    let last = cluster.propose(b"one").await;
    cluster.settled(last).await;
    cluster.stop(0).await;
    cluster.start(0).await.unwrap();
    let last = cluster.propose(b"two").await;
    cluster.settled(last).await;
    assert_eq!(cluster.places[0].commands(), [b"one".to_vec(), b"two".to_vec()]);
    let node = cluster.places[0].node();
    assert_eq!(node.read_barrier().await, Ok(last));
    assert_eq!(node.status().voters, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_is_replaced_within_a_second_and_nothing_is_lost() {
    let mut cluster = Cluster::started("failover", 21320, 3, plain).await;
    let mut confirmed = BTreeSet::new();
    let mut times = Vec::new();
    let mut command = 0;
    for _ in 0..5 {
        for _ in 0..10 {
            let leader = cluster.leader().await;
            let proposal = number(command);
            command += 1;
            if cluster.places[leader].node().propose(proposal.clone()).await.is_ok() {
                confirmed.insert(proposal);
            }
        }
        let leader = cluster.leader().await;
        let term = cluster.places[leader].node().leader().unwrap().term;
        let start = Instant::now();
        cluster.stop(leader).await;
        let next = cluster.leader().await;
        times.push(start.elapsed());
        assert!(term < cluster.places[next].node().leader().unwrap().term);
        cluster.start(leader).await.unwrap();
    }
    times.sort();
    println!("failover: {times:?}");
    assert!(times[2] < Duration::from_millis(1500), "median of {times:?}");
    let last = cluster.propose(&number(u32::MAX)).await;
    cluster.settled(last).await;
    cluster.assert_all_equal();
    let commands = cluster.places[0].commands();
    for proposal in confirmed {
        assert_eq!(commands.iter().filter(|found| **found == proposal).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_refuse_and_name_the_leader() {
    let cluster = Cluster::started("refuse", 21330, 3, |config| {
        config.limits.command_bytes_max = 1000;
    })
    .await;
    let leader = cluster.leader().await;
    let last = cluster.propose(b"x").await;
    cluster.settled(last).await;
    let leader_id = Some(cluster.places[leader].id);
    let follower = cluster.places[(leader + 1) % 3].node();
    let refused = follower.propose(b"y".to_vec()).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: leader_id }));
    let refused = follower.read_barrier().await;
    assert_eq!(refused, Err(ReadError::NotLeader { leader: leader_id }));
    let node = cluster.places[leader].node();
    let refused = node.propose(vec![0; 1001]).await;
    assert_eq!(refused, Err(ProposeError::TooLarge { bytes: 1001, max: 1000 }));
    let reads = (0..100).map(|_| node.read_barrier());
    for read in futures_util::future::join_all(reads).await {
        assert!(last <= read.unwrap());
    }
    assert_eq!(cluster.places[leader].commands().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_forwarded_to_the_peers_handler() {
    let cluster = Cluster::started("forward", 21340, 3, |config| {
        config.limits.forward_bytes_max = 3 << 20;
    })
    .await;
    cluster.leader().await;
    let (one, two) = (cluster.places[0].node(), cluster.places[1].node());
    let wait = Span::secs(5);
    let refused = one.forward(2, b"early".to_vec(), wait).await;
    assert!(matches!(refused, Err(ForwardError::Refused(_))), "{refused:?}");
    two.on_forward(|peer, request| async move {
        if request == b"slow" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        [peer.to_le_bytes().to_vec(), request].concat()
    });
    let large = vec![7; 2 << 20];
    let answer = one.forward(2, large.clone(), wait).await.unwrap();
    assert_eq!(answer, [1_u64.to_le_bytes().to_vec(), large].concat());
    let start = Instant::now();
    let lost = one.forward(2, b"slow".to_vec(), Span::millis(200)).await;
    assert_eq!(lost, Err(ForwardError::Unknown));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(one.forward(9, Vec::new(), wait).await, Err(ForwardError::Unreachable));
    let refused = one.forward(2, vec![0; (3 << 20) + 1], wait).await;
    assert!(matches!(refused, Err(ForwardError::Refused(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_far_behind_gets_a_snapshot() {
    let mut cluster = Cluster::started("snapshot", 21350, 3, |config| {
        config.snapshot_every = 50;
        config.keep_behind_snapshot = 10;
        config.limits.segment_bytes = 8192;
    })
    .await;
    cluster.propose(b"first").await;
    let behind = (cluster.leader().await + 1) % 3;
    cluster.stop(behind).await;
    let mut last = 0;
    for at in 0..400 {
        last = cluster.propose(&number(at)).await;
    }
    let purged = |status: &Status| status.purged.is_some_and(|purged| 100 < purged);
    let leader = cluster.leader().await;
    let mut watch = cluster.places[leader].node().watch();
    within(10, "purging", watch.until(purged)).await.unwrap();
    cluster.start(behind).await.unwrap();
    cluster.settled(last).await;
    cluster.assert_all_equal();
    let status = cluster.places[behind].node().status();
    assert!(status.snapshot.is_some_and(|snapshot| 100 < snapshot), "{status:?}");
    // A restart reads the snapshot and the log behind it.
    cluster.stop(behind).await;
    cluster.start(behind).await.unwrap();
    let last = cluster.propose(b"last").await;
    cluster.settled(last).await;
    cluster.assert_all_equal();
    println!("syncs of the leader: {}", cluster.places[leader].world.syncs());
    let segments = std::fs::read_dir(cluster.path(behind)).unwrap().count();
    assert!(segments < 20, "old segments are removed, {segments} files are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_commands_bring_a_snapshot_early() {
    let cluster = Cluster::started("large", 21355, 1, |config| {
        config.limits.snapshot_after_bytes = 4 << 20;
        config.keep_behind_snapshot = 2;
    })
    .await;
    for at in 0..30_u8 {
        cluster.propose(&vec![at; 512 << 10]).await;
    }
    let mut watch = cluster.places[0].node().watch();
    let kept = |status: &Status| status.purged.is_some_and(|purged| 10 < purged);
    within(10, "a snapshot", watch.until(kept)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_disk_gets_everything_again() {
    let mut cluster = Cluster::started("lost", 21360, 3, plain).await;
    let mut last = 0;
    for at in 0..30 {
        last = cluster.propose(&number(at)).await;
    }
    cluster.settled(last).await;
    let lost = (cluster.leader().await + 1) % 3;
    cluster.stop(lost).await;
    std::fs::remove_dir_all(cluster.path(lost)).unwrap();
    cluster.start(lost).await.unwrap();
    cluster.settled(last).await;
    cluster.assert_all_equal();
    let joined = async {
        while cluster.path(lost).join("joining").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(10, "joining", joined).await;
    // It counts again: with another member gone there is still a majority.
    let other = (0..3).find(|at| *at != lost && *at != cluster_leader(&cluster)).unwrap();
    cluster.stop(other).await;
    let last = cluster.propose(b"with two").await;
    cluster.settled(last).await;
    cluster.assert_all_equal();
}

fn cluster_leader(cluster: &Cluster) -> usize {
    cluster.alive().find(|(_, place)| place.node().status().ready).map_or(0, |(at, _)| at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_empty_members_do_not_start_a_cluster() {
    let mut cluster = Cluster::new("patience", 21370, 3, plain);
    cluster.start(0).await.unwrap();
    cluster.start(1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(cluster.places[0].node().leader(), None);
    cluster.start(2).await.unwrap();
    let last = cluster.propose(b"together").await;
    cluster.settled(last).await;
    cluster.assert_all_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_the_wrong_secret_stays_outside() {
    let mut cluster = Cluster::new("secret", 21380, 3, plain);
    cluster.places[2].secret = Secret(1);
    for at in 0..3 {
        cluster.start(at).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(cluster.places[0].node().leader(), None);
    cluster.stop(2).await;
    cluster.places[2].secret = Secret(0x5A);
    cluster.start(2).await.unwrap();
    cluster.propose(b"inside").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_bytes_on_the_port_do_no_harm() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cluster = Cluster::started("strange", 21385, 1, plain).await;
    cluster.propose(b"before").await;
    let addr = cluster.members[0].addr;
    for seed in 0..60_u64 {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let noise: Vec<u8> =
            (0..seed * 7).map(|at| (at.wrapping_mul(seed * 2_654_435_761) >> 16) as u8).collect();
        drop(stream.write_all(&noise).await);
        drop(stream.shutdown().await);
        let mut rest = Vec::new();
        drop(within(10, "being dropped", stream.read_to_end(&mut rest)).await);
    }
    cluster.propose(b"after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_stops_a_member_and_the_others_go_on() {
    let mut cluster = Cluster::started("disk", 21390, 3, plain).await;
    cluster.propose(b"good").await;
    let leader = cluster.leader().await;
    cluster.places[leader].world.fs.syncs.fail.store(true, Ordering::Relaxed);
    let outcome = cluster.places[leader].node().propose(b"doubtful".to_vec()).await;
    assert!(matches!(outcome, Err(ProposeError::Stopped | ProposeError::Unknown)), "{outcome:?}");
    let mut watch = cluster.places[leader].node().watch();
    let stopped = within(10, "stopping", watch.until(|status| status.stopped.is_some())).await;
    assert!(stopped.unwrap().stopped.unwrap().contains("sync fail"));
    cluster.stop(leader).await;
    let last = cluster.propose(b"elsewhere").await;
    cluster.settled(last).await;
    cluster.start(leader).await.unwrap();
    let last = cluster.propose(b"healed").await;
    cluster.settled(last).await;
    cluster.assert_all_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_refused_at_the_start() {
    let mut cluster = Cluster::started("damaged", 21395, 1, plain).await;
    for at in 0..20 {
        cluster.propose(&number(at)).await;
    }
    cluster.stop(0).await;
    let path = cluster.path(0).join("log-0000000000000001");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[512 * 5 + 40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = cluster.start(0).await.unwrap_err().to_string();
    assert!(error.contains("the log is damaged"), "{error}");
    assert!(error.contains("offset 2560"), "{error}");
}

/// Passes connections on; those made before `freeze` is raised stop moving bytes but stay open, as
/// when packets vanish.
async fn freezing_proxy(
    from: SocketAddr,
    to: SocketAddr,
    freeze: tokio::sync::watch::Receiver<u64>,
) {
    let listener = tokio::net::TcpListener::bind(from).await.unwrap();
    loop {
        let (inner, _) = listener.accept().await.unwrap();
        let mut freeze = freeze.clone();
        freeze.mark_unchanged();
        tokio::spawn(async move {
            let Ok(outer) = tokio::net::TcpStream::connect(to).await else { return };
            let (mut inner, mut outer) = (inner, outer);
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
                _ = freeze.changed() => {
                    // Held open, moving nothing.
                    tokio::time::sleep(Duration::from_secs(600)).await;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_on_which_packets_vanish_are_replaced() {
    let real = SocketAddr::from(([127, 0, 0, 1], 21369));
    let mut cluster = Cluster::new("vanish", 21365, 3, |config| {
        config.listen = (config.id == 2).then(|| SocketAddr::from(([127, 0, 0, 1], 21369)));
    });
    let (freeze, frozen) = tokio::sync::watch::channel(0);
    tokio::spawn(freezing_proxy(cluster.members[1].addr, real, frozen));
    for at in 0..3 {
        cluster.start(at).await.unwrap();
    }
    if cluster.leader().await == 1 {
        // Its own connections do not go through the proxy, so it must not lead.
        cluster.stop(1).await;
        cluster.leader().await;
        cluster.start(1).await.unwrap();
    }
    let last = cluster.propose(b"before").await;
    cluster.settled(last).await;
    freeze.send(1).unwrap();
    let start = Instant::now();
    let stop = start + Duration::from_secs(3);
    let mut last = 0;
    while Instant::now() < stop {
        // Steady requests, so that the links are never idle.
        last = cluster.propose(b"meanwhile").await;
    }
    cluster.settled(last).await;
    println!("healed after at most {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(8));
    cluster.assert_all_equal();
}
