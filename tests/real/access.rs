//! Other ways in: tokens instead of munge, and clients without a configuration file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Release, Shape, token};

use crate::{ALICE, BOB, ended};

const KEY: &[u8] = b"a key of thirty-two bytes, or more";

/// A cluster that takes tokens, and a client configuration with which munge cannot work.
fn cluster_with_tokens() -> (Cluster, Client) {
    let shape = Shape::small()
        .line("AuthAltTypes=auth/jwt")
        .line("AuthAltParameters=jwt_key=FOLDER/jwt.key");
    let cluster = Cluster::prepared(&shape, |folder| {
        let key = folder.join("jwt.key");
        fs::write(&key, KEY).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    });
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let path = cluster.folder.join("no-munge.conf");
    fs::write(&path, text.replace("munge.socket.2", "nothing-here")).unwrap();
    let client = cluster.client().with("SLURM_CONF", &path.display().to_string());
    (cluster, client)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_token_stands_for_its_user() {
    let (cluster, client) = cluster_with_tokens();
    let token = token::signed(KEY, ALICE, now_s(), now_s() + 600);
    for release in Release::ALL {
        if against_slurm() && release != Release::V22_05 {
            continue;
        }
        let client = client.clone().release(release).user(ALICE).with("SLURM_JWT", &token);
        let id = client.sbatch(&["-o", "who"], "id -un");
        let record = ended(&client, id);
        assert_eq!(record.get("UserId"), "nobody(65534)");
        assert_eq!(record.get("JobState"), "COMPLETED");
        assert_eq!(fs::read_to_string(cluster.work().join("who")).unwrap(), "nobody\n");
    }
    cluster.assert_healthy();
}

#[test]
fn tokens_that_do_not_hold_are_refused() {
    let (cluster, client) = cluster_with_tokens();
    let fine = token::signed(KEY, ALICE, now_s(), now_s() + 600);
    let (body, _) = fine.rsplit_once('.').unwrap();
    let unsigned = "eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTksInN1biI6Im5vYm9keSJ9.";
    for (reason, token) in [
        ("another key", token::signed(b"another key", ALICE, now_s(), now_s() + 600)),
        ("expired", token::signed(KEY, ALICE, now_s() - 700, now_s() - 100)),
        ("no such user", token::signed(KEY, "no-such-user", now_s(), now_s() + 600)),
        ("another user", token::signed(KEY, BOB, now_s(), now_s() + 600)),
        ("no signature", format!("{body}.")),
        ("no algorithm", unsigned.to_owned()),
        ("no token at all", "a.b.c".to_owned()),
    ] {
        let client = client.clone().user(ALICE).with("SLURM_JWT", &token);
        let ran = client.try_sbatch(&[], "touch forged");
        assert!(ran.status != 0, "{reason}: {ran:?}");
    }
    let listing = cluster.client().run("squeue", &["-h", "-t", "all"]).ok();
    assert_eq!(listing, "");
    assert!(!cluster.work().join("forged").exists());
    cluster.assert_healthy();
}

#[test]
fn clients_without_a_configuration_fetch_it_from_a_controller() {
    let cluster = Cluster::start(&Shape::small().line("SlurmctldParameters=enable_configless"));
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let port = text.lines().find_map(|line| line.strip_prefix("SlurmctldPort=")).unwrap();
    for address in cluster.controller_addresses() {
        for release in Release::ALL {
            if against_slurm() && release != Release::V22_05 {
                continue;
            }
            let client = configless(&cluster, &format!("{address}:{port}")).release(release);
            let text = client.run("sinfo", &["-h", "-o", "%P %D %T"]).ok();
            assert_eq!(text.trim(), "main* 2 idle", "{address}, {}", release.number());
            let id = client.sbatch(&["-o", "/dev/null"], "exit 0");
            assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
        }
    }
    cluster.assert_healthy();
}

fn configless(cluster: &Cluster, server: &str) -> Client {
    assert!(!Path::new("/etc/slurm/slurm.conf").exists(), "clients would take that one");
    let client = cluster.client().user(ALICE).without("SLURM_CONF");
    client.with("SLURM_CONF_SERVER", server).munge_at_default(&cluster.folder.join("munge"))
}
