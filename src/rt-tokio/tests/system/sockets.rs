//! Sockets between and within machines.

use std::net::SocketAddr;
use std::time::Duration;

use flurm_rt::{Addr, Env, Listener, Net};
use flurm_rt_tokio::{Network, Stream, Tokio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cases::{Folder, eventually, run};
use crate::harness::{Case, Need};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, need, run| Case { name, need, run };
    vec![
        case("tcp_carries_bytes_without_delay", Need::Nothing, tcp),
        case("a_client_that_hung_up_is_noticed_over_tcp", Need::Nothing, || hung_up(true)),
        case("a_client_that_hung_up_is_noticed_locally", Need::Nothing, || hung_up(false)),
        case("a_reset_connection_has_hung_up", Need::Nothing, reset),
        case("local_sockets_know_both_ends", Need::Nothing, credentials),
        case("a_stale_socket_file_is_replaced", Need::Nothing, stale),
        case("a_live_socket_is_left_alone", Need::Nothing, live),
        case("of_many_that_want_a_path_one_listens", Need::Nothing, wanted),
        case("a_file_that_is_no_socket_is_left_alone", Need::Nothing, not_a_socket),
        case("a_socket_may_lie_deep", Need::Nothing, deep),
        case("a_full_queue_is_waited_for", Need::Nothing, full_queue),
        case("names_are_resolved", Need::Nothing, resolve),
        case("a_refused_connection_is_an_error", Need::Nothing, refused),
    ]
}

fn any_port() -> Addr {
    Addr::Ip(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Both ends of a connection.
async fn pair(addr: &Addr) -> (Stream, Stream) {
    let env = Tokio::new();
    let mut listener = env.net().listen(addr).await.unwrap();
    let bound = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(env.net().connect(&bound), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

fn tcp() {
    run(async {
        let (mut near, mut far) = pair(&any_port()).await;
        for end in [&near, &far] {
            let Stream::Tcp(stream) = end else { panic!("not TCP: {end:?}") };
            assert!(stream.nodelay().unwrap());
            assert_eq!(end.credential().unwrap(), None);
        }
        near.write_all(b"question").await.unwrap();
        let mut text = [0; 8];
        far.read_exact(&mut text).await.unwrap();
        far.write_all(b"answer").await.unwrap();
        drop(far);
        let mut text = Vec::new();
        near.read_to_end(&mut text).await.unwrap();
        assert_eq!(text, b"answer");
    });
}

fn hung_up(tcp: bool) {
    run(async {
        let folder = Folder::new("hung-up");
        let addr = if tcp { any_port() } else { Addr::Local(folder.join("sock")) };
        let (mut near, mut far) = pair(&addr).await;
        assert!(!Network::hung_up(&far));
        near.write_all(b"ab").await.unwrap();
        near.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!Network::hung_up(&far), "two bytes are still to be read");
        assert_eq!(far.read_u8().await.unwrap(), b'a', "looking consumes nothing");
        assert!(!Network::hung_up(&far), "one byte is still to be read");
        assert_eq!(far.read_u8().await.unwrap(), b'b');
        eventually("the end is seen", async || Network::hung_up(&far)).await;
        far.write_all(b"late answer").await.unwrap();
        assert!(!Network::hung_up(&near), "the other direction is open");
        let mut text = [0; 11];
        near.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"late answer");
        drop(far);
        eventually("a dropped end is seen", async || Network::hung_up(&near)).await;
    });
}

fn reset() {
    run(async {
        let (near, mut far) = pair(&any_port()).await;
        let Stream::Tcp(stream) = near else { panic!("not TCP") };
        let std_stream = stream.into_std().unwrap();
        rustix::net::sockopt::set_socket_linger(&std_stream, Some(Duration::ZERO)).unwrap();
        drop(std_stream);
        eventually("the reset is seen", async || Network::hung_up(&far)).await;
        assert!(far.read_u8().await.is_err());
    });
}

fn credentials() {
    run(async {
        let (env, folder) = (Tokio::new(), Folder::new("credentials"));
        let addr = Addr::Local(folder.join("sock"));
        let mut listener = env.net().listen(&addr).await.unwrap();
        let (near, far) = tokio::join!(env.net().connect(&addr), listener.accept());
        let (far, peer) = far.unwrap();
        let told = peer.credential.expect("the kernel tells who it is");
        assert_eq!(told.pid, std::process::id());
        assert_eq!(told.uid, rustix::process::geteuid().as_raw());
        assert_eq!(told.gid, rustix::process::getegid().as_raw());
        assert_eq!(peer.addr, addr);
        assert_eq!(near.unwrap().credential().unwrap(), Some(told));
        assert_eq!(far.credential().unwrap(), Some(told));
    });
}

fn stale() {
    run(async {
        let (env, folder) = (Tokio::new(), Folder::new("stale"));
        let addr = Addr::Local(folder.join("sock"));
        drop(env.net().listen(&addr).await.unwrap());
        assert!(folder.join("sock").exists(), "a dead daemon leaves its file");
        let refused = env.net().connect(&addr).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        let (_near, _far) = pair(&addr).await;
    });
}

fn live() {
    run(async {
        let (env, folder) = (Tokio::new(), Folder::new("live"));
        let addr = Addr::Local(folder.join("sock"));
        let mut listener = env.net().listen(&addr).await.unwrap();
        let error = env.net().listen(&addr).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        // The attempt knocked once; after it the first listener still answers.
        listener.accept().await.unwrap();
        let (near, far) = tokio::join!(env.net().connect(&addr), listener.accept());
        assert!(near.is_ok() && far.is_ok());
    });
}

/// Daemons that start together, over a leftover and over nothing.
fn wanted() {
    const DAEMONS: usize = 8;
    const ROUNDS: usize = 50;
    let folder = Folder::new("wanted");
    for round in 0..ROUNDS {
        let path = folder.join(&format!("sock-{round}"));
        if round % 2 == 0 {
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        }
        let addr = Addr::Local(path);
        let start = std::sync::Barrier::new(DAEMONS);
        let want = || {
            start.wait();
            run(async { Tokio::new().net().listen(&addr).await.map(|held| (held, addr.clone())) })
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let wanting: Vec<_> = (0..DAEMONS).map(|_| scope.spawn(want)).collect();
            wanting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        let kinds: Vec<_> = failed.map(std::io::Error::kind).collect();
        assert_eq!(kinds, [std::io::ErrorKind::AddrInUse; DAEMONS - 1], "round {round}");
    }
}

fn not_a_socket() {
    run(async {
        let (env, folder) = (Tokio::new(), Folder::new("file"));
        std::fs::write(folder.join("sock"), "precious").unwrap();
        let error = env.net().listen(&Addr::Local(folder.join("sock"))).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(folder.text("sock"), "precious");
    });
}

fn deep() {
    run(async {
        let folder = Folder::new("deep");
        let below = folder.join(&"d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&below).unwrap();
        let addr = Addr::Local(below.join("sock"));
        let (mut near, mut far) = pair(&addr).await;
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
        drop((near, far));
        let (_near, _far) = pair(&addr).await;
    });
}

fn full_queue() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    run(async {
        let (env, folder) = (Tokio::new(), Folder::new("queue"));
        let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(folder.join("sock")).unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        let addr = Addr::Local(folder.join("sock"));
        let _first = env.net().connect(&addr).await.unwrap();
        let second = env.net().connect(&addr);
        tokio::pin!(second);
        let wait = tokio::time::timeout(Duration::from_millis(100), &mut second);
        assert!(wait.await.is_err(), "there is room for one only");
        let _accepted = rustix::net::accept(&listener).unwrap();
        second.await.unwrap();
    });
}

fn resolve() {
    run(async {
        let net = Network;
        let literal = net.resolve("127.0.0.1", 6817).await.unwrap();
        assert_eq!(literal, [SocketAddr::from(([127, 0, 0, 1], 6817))]);
        let named = net.resolve("localhost", 6817).await.unwrap();
        assert!(named.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 6817));
        assert!(!named.is_empty());
        assert!(net.resolve("no such host", 1).await.is_err());
    });
}

fn refused() {
    run(async {
        let env = Tokio::new();
        let listener = env.net().listen(&any_port()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let error = env.net().connect(&addr).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
