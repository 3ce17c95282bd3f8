//! Other ways in: tokens instead of munge, and clients without a configuration file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use flurm_tests::conf::against_slurm;
use flurm_tests::token::{self, Issuer};
use flurm_tests::{Client, Cluster, Release, Shape};

use crate::{ALICE, BOB, ended};

const KEY: &[u8] = b"a key of thirty-two bytes, or more";

/// A cluster that takes tokens, and a client configuration with which munge cannot work.
fn cluster_with_tokens() -> (Cluster, Client) {
    cluster_with("jwt_key=FOLDER/jwt.key", |_| {})
}

/// The same with other `AuthAltParameters`.
fn cluster_with(parameters: &str, prepare: impl FnOnce(&Path)) -> (Cluster, Client) {
    let shape = Shape::small()
        .line("AuthAltTypes=auth/jwt")
        .line(format!("AuthAltParameters={parameters}"));
    let cluster = Cluster::prepared(&shape, |folder| {
        let key = folder.join("jwt.key");
        fs::write(&key, KEY).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        prepare(folder);
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
fn a_token_of_an_outside_issuer_stands_for_its_user() {
    let mut issuers = Vec::new();
    let (cluster, client) =
        cluster_with("jwks=FOLDER/issuers.jwks,userclaimfield=preferred_username", |folder| {
            issuers.extend(["first", "second"].map(|name| Issuer::new(folder, name)));
            let keys: Vec<String> = issuers.iter().map(Issuer::jwk).collect();
            token::write_jwks(&folder.join("issuers.jwks"), &keys);
        });
    let [first, second] = issuers.as_slice() else { unreachable!("two were made") };
    let claims = |field: &str, user: &str, from_now: i64| {
        let expires = i64::try_from(now_s()).unwrap() + from_now;
        format!(r#"{{"exp":{expires},"{field}":"{user}"}}"#)
    };
    let mine = claims("sun", ALICE, 600);
    for release in Release::ALL {
        if against_slurm() && release != Release::V22_05 {
            continue;
        }
        for token in [
            first.sign("first", &mine),
            second.sign("second", &claims("username", ALICE, 600)),
            second.sign("second", &claims("preferred_username", ALICE, 600)),
        ] {
            let client = client.clone().release(release).user(ALICE).with("SLURM_JWT", &token);
            let id = client.sbatch(&["-o", "/dev/null", "-H"], "exit 0");
            assert_eq!(client.job(id).get("UserId"), "nobody(65534)");
            client.run("scancel", &[&id.to_string()]).ok();
        }
    }
    let before = cluster.client().run("squeue", &["-h", "-t", "all"]).ok();
    for (reason, token) in [
        ("the other's key", second.sign("first", &mine)),
        ("an unknown key", first.sign("third", &mine)),
        ("expired", first.sign("first", &claims("sun", ALICE, -60))),
        ("no user", first.sign("first", &claims("email", ALICE, 600))),
        ("a shared key, where there is none", token::hs256(KEY, &mine)),
        ("the public key as a shared one", token::hs256(first.jwk().as_bytes(), &mine)),
    ] {
        let client = client.clone().user(ALICE).with("SLURM_JWT", &token);
        let ran = client.try_sbatch(&[], "touch forged");
        assert!(ran.status != 0, "{reason}: {ran:?}");
    }
    assert_eq!(cluster.client().run("squeue", &["-h", "-t", "all"]).ok(), before);
    cluster.assert_healthy();
}

/// What `scontrol token` prints.
fn printed_token(printed: &str) -> &str {
    printed.trim().strip_prefix("SLURM_JWT=").unwrap_or_else(|| panic!("no token: {printed}"))
}

#[test]
fn controllers_make_tokens_on_demand() {
    let (cluster, tokens_only) =
        cluster_with("jwt_key=FOLDER/jwt.key,max_token_lifespan=1000", |_| {});
    for release in Release::ALL {
        if against_slurm() && release != Release::V22_05 {
            continue;
        }
        let alice = cluster.client().release(release).user(ALICE);
        for arguments in [
            &["token"][..],
            &["token", "lifespan=1000"],
            &["token", "username=nobody", "lifespan=60"],
        ] {
            let printed = alice.run("scontrol", arguments).ok();
            let client = tokens_only.clone().release(release).user(ALICE);
            let client = client.with("SLURM_JWT", printed_token(&printed));
            let id = client.sbatch(&["-o", "/dev/null", "-H"], "exit 0");
            assert_eq!(client.job(id).get("UserId"), "nobody(65534)");
            client.run("scancel", &[&id.to_string()]).ok();
        }
        for (arguments, complaint) in [
            (&["token", "username=root"][..], "Invalid user id"),
            (&["token", "lifespan=1001"], "time limit"),
        ] {
            let refused = alice.run("scontrol", arguments).refused();
            assert!(refused.contains(complaint), "{arguments:?}: {refused}");
        }
        let root = cluster.client().release(release);
        let printed = root.run("scontrol", &["token", "username=nobody", "lifespan=2000"]).ok();
        let bearer =
            tokens_only.clone().release(release).with("SLURM_JWT", printed_token(&printed));
        let denied = bearer.run("scontrol", &["update", "NodeName=n1", "State=DRAIN", "Reason=x"]);
        assert!(!denied.refused().is_empty(), "root's token for nobody makes no root");
    }
    cluster.assert_healthy();
}

#[test]
fn a_site_may_keep_users_from_making_tokens() {
    let (cluster, _) = cluster_with("jwt_key=FOLDER/jwt.key,disable_token_creation", |_| {});
    let refused = cluster.client().user(ALICE).run("scontrol", &["token"]).refused();
    assert!(refused.contains("Access/permission denied"), "{refused}");
    printed_token(&cluster.client().run("scontrol", &["token", "username=nobody"]).ok());
    cluster.assert_healthy();
}

#[test]
fn a_token_where_none_is_configured_is_refused() {
    let cluster = Cluster::start(&Shape::small());
    let token = token::signed(KEY, ALICE, now_s(), now_s() + 600);
    for release in Release::ALL {
        if against_slurm() && release != Release::V22_05 {
            continue;
        }
        let client = cluster.client().release(release).user(ALICE).with("SLURM_JWT", &token);
        assert!(!client.try_sbatch(&[], "touch forged").refused().is_empty());
    }
    assert_eq!(cluster.client().run("squeue", &["-h", "-t", "all"]).ok(), "");
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
