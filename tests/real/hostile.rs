//! Bytes that no honest client sends, credentials that do not hold, requests sent twice.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flurm_tests::conf::against_slurm;
use flurm_tests::proxy::{Recorder, exchange};
use flurm_tests::{Cluster, Shape, munge};

use crate::{ALICE, alice, ended};

/// A number generator that needs no seed from outside: the same bytes in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Where a controller listens.
fn controller(cluster: &Cluster) -> SocketAddr {
    port(cluster, "SlurmctldPort=")
}

/// Where the first node daemon listens.
fn node(cluster: &Cluster) -> SocketAddr {
    port(cluster, " Port=[")
}

fn port(cluster: &Cluster, before: &str) -> SocketAddr {
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let (_, after) = text.split_once(before).unwrap();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    SocketAddr::from(([127, 0, 0, 1], digits.parse().unwrap()))
}

/// Sends bytes, closes the sending side and drains whatever comes back.
fn throw(target: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(target).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    // The daemon may refuse early and close: then a write or a read fails, which is an answer too.
    let _closed = stream.write_all(bytes);
    let _closed = stream.shutdown(std::net::Shutdown::Write);
    let mut sink = vec![0; 1 << 16];
    let _closed = stream.read(&mut sink);
}

/// Bytes of one real submission, taken on its way to the controller. It is passed on.
fn recorded_submission(cluster: &Cluster) -> (u32, Vec<u8>) {
    let recorder = Recorder::start("127.0.0.1", controller(cluster));
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let lines: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("SlurmctldHost=c") || line.contains("(127.0.0.1)"))
        .map(|line| match line.starts_with("SlurmctldPort=") {
            true => format!("SlurmctldPort={}", recorder.port),
            false => line.to_owned(),
        })
        .collect();
    let path = cluster.folder.join("recorded.conf");
    fs::write(&path, lines.join("\n")).unwrap();
    let client = alice(cluster).with("SLURM_CONF", &path.display().to_string());
    let id = client.sbatch(&["-o", "/dev/null"], "echo $SLURM_JOB_ID >> ran");
    let sent = recorder.sent();
    let longest = sent.into_iter().max_by_key(Vec::len).unwrap();
    (id, longest)
}

fn job_count(cluster: &Cluster) -> usize {
    let text = cluster.client().run("scontrol", &["show", "job", "-o"]).ok();
    text.lines().filter(|line| line.starts_with("JobId=")).count()
}

#[test]
fn garbage_is_survived_by_controllers_and_node_daemons() {
    let cluster = Cluster::start(&Shape::small());
    let mut noise = Noise(0x5eed_0001);
    for target in [controller(&cluster), node(&cluster)] {
        throw(target, b"");
        throw(target, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        throw(target, &[0xff; 64]);
        throw(target, &[0; 4]);
        throw(target, &u32::MAX.to_be_bytes());
        for len in [1_usize, 3, 5, 14, 40, 300, 5000] {
            throw(target, &noise.bytes(len));
            let mut framed = u32::try_from(len).unwrap().to_be_bytes().to_vec();
            framed.extend(noise.bytes(len));
            throw(target, &framed);
        }
    }
    cluster.assert_healthy();
    let client = alice(&cluster);
    assert_eq!(ended(&client, client.sbatch(&[], "exit 0")).get("JobState"), "COMPLETED");
}

#[test]
fn a_real_request_cut_or_changed_anywhere_is_refused_and_survived() {
    let cluster = Cluster::start(&Shape::small());
    let (id, bytes) = recorded_submission(&cluster);
    ended(&alice(&cluster), id);
    let target = controller(&cluster);
    let mut noise = Noise(0x5eed_0002);
    for at in (0..bytes.len()).step_by(bytes.len().div_ceil(60)) {
        throw(target, &bytes[..at]);
        let mut cut = bytes[..at].to_vec();
        let len = u32::try_from(cut.len().saturating_sub(4)).unwrap();
        cut.splice(..at.min(4), len.to_be_bytes().into_iter().take(at.min(4)));
        throw(target, &cut);
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (noise.next() % 8);
        throw(target, &changed);
    }
    cluster.assert_healthy();
    assert_eq!(job_count(&cluster), 1, "no damaged request was taken for a job");
}

#[test]
fn a_request_sent_a_second_time_is_refused() {
    // Debian builds Slurm for several slurmd on one host, and such a build takes replays.
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let (id, bytes) = recorded_submission(&cluster);
    ended(&alice(&cluster), id);
    for address in cluster.controller_addresses() {
        let target = SocketAddr::new(address, controller(&cluster).port());
        let reply = exchange(target, &bytes);
        // Slurm closes the connection or answers with an authentication error; never with success.
        println!("{address}: {:?}", reply.map(|bytes| bytes.len()));
    }
    cluster.wait_idle();
    assert_eq!(job_count(&cluster), 1);
    let ran = fs::read_to_string(cluster.work().join("ran")).unwrap();
    assert_eq!(ran, format!("{id}\n"));
    cluster.assert_healthy();
}

#[test]
fn a_credential_made_with_another_key_is_refused() {
    let cluster = Cluster::start(&Shape::small());
    let other = cluster.folder.join("foreign");
    let munged = munge::start(&other);
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let socket = |folder: &std::path::Path| munge::socket(folder).display().to_string();
    let foreign = text.replace(&socket(&cluster.folder.join("munge")), &socket(&other));
    assert_ne!(foreign, text);
    let path = cluster.folder.join("foreign.conf");
    fs::write(&path, foreign).unwrap();
    let client = cluster.client().user(ALICE).with("SLURM_CONF", &path.display().to_string());
    let complaint = client.try_sbatch(&[], "touch forged").refused();
    munged.kill();
    assert!(!complaint.is_empty());
    assert_eq!(job_count(&cluster), 0);
    cluster.assert_healthy();
}

#[test]
fn a_thousand_idle_connections_keep_nobody_out() {
    // Slurm 22.05 has a thread for each of at most 256 connections.
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let target = controller(&cluster);
    let idle: Vec<TcpStream> = (0..1000).map_while(|_| TcpStream::connect(target).ok()).collect();
    let client = alice(&cluster);
    let id = client.sbatch(&[], "exit 0");
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    drop(idle);
    cluster.assert_healthy();
}
