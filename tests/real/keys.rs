//! Keys are changed while the cluster runs: `scontrol reconfigure` and SIGHUP make the daemons take the
//! new ones, and nothing is lost.
//!
//! They judge FLURM only: Debian's 22.05 has no auth/slurm.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flurm_tests::conf::against_slurm;
use flurm_tests::token::{self, Issuer};
use flurm_tests::{Cluster, Release, Shape, eventually};

use crate::slurm_auth::{REFUSED, Recorded, SUBMITTED, now_s};
use crate::{ALICE, ended, reaches};

const OLD: &[u8] = b"the key that was in use until today";
const NEW: &[u8] = b"the key that is in use from today on";

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn jwks(path: &Path, keys: &[(&str, &[u8])]) {
    let key = |(name, bytes): &(&str, &[u8])| {
        let bytes = URL_SAFE_NO_PAD.encode(bytes);
        format!(r#"{{"alg":"HS256","kty":"oct","kid":"{name}","k":"{bytes}"}}"#)
    };
    token::write_jwks(path, &keys.iter().map(key).collect::<Vec<_>>());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What a token signed with a named key is answered with, by every controller.
fn answers(cluster: &Cluster, request: &Recorded, name: &str, key: &[u8]) -> Vec<Result<u16, u32>> {
    let token = token::slurm_named(key, name, &request.claims(now_s()), &request.payload());
    let controllers = cluster.controller_addresses().into_iter();
    controllers.map(|address| request.to(address).with_token(&token).send()).collect()
}

#[test]
fn a_key_of_auth_slurm_is_replaced_while_jobs_run() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::prepared(&Shape::small().auth_slurm(), |folder| {
        jwks(&folder.join("slurm.jwks"), &[("old", OLD)]);
    });
    let file = cluster.folder.join("slurm.jwks");
    let root = cluster.client().release(Release::V24_11);
    let alice = root.clone().user(ALICE);
    let request = Recorded::submission(&cluster);
    let gate = cluster.work().join("gate");
    let script = format!("while ! test -e {}; do sleep 0.1; done; exit 7", gate.display());
    let running = alice.sbatch(&["-o", "/dev/null"], &script);
    reaches(&alice, running, "RUNNING");
    assert_eq!(answers(&cluster, &request, "new", NEW), [Err(REFUSED); 3]);
    assert_eq!(answers(&cluster, &request, "old", OLD), [Ok(SUBMITTED); 3]);

    jwks(&file, &[("new", NEW)]);
    assert_eq!(answers(&cluster, &request, "new", NEW), [Err(REFUSED); 3], "nobody was told yet");
    root.run("scontrol", &["reconfigure"]).ok();
    eventually("every controller takes the new key", || {
        let found = answers(&cluster, &request, "new", NEW);
        if found == [Ok(SUBMITTED); 3] { Ok(()) } else { Err(found) }
    });
    assert_eq!(answers(&cluster, &request, "old", OLD), [Err(REFUSED); 3]);
    // Nodes take launches signed with it, and a step daemon of before reports with it.
    let id = alice.sbatch(&["-o", "/dev/null"], "exit 3");
    assert_eq!(ended(&alice, id).get("ExitCode"), "3:0");
    fs::write(&gate, "").unwrap();
    assert_eq!(ended(&alice, running).get("ExitCode"), "7:0", "nothing is lost");

    fs::write(&file, "{\n \"keys\": [\n  {\"kid\": \"new\", \"kty\": \"RSA\"}\n ]\n}\n").unwrap();
    let complaint = root.run("scontrol", &["reconfigure"]).refused();
    let expected = "slurm.jwks: line 3: key \"new\": kty must be oct";
    let told = |name: &String| fs::read_to_string(cluster.log(name)).unwrap().contains(expected);
    assert!(cluster.controller_names().iter().any(told), "{complaint}");
    assert_eq!(answers(&cluster, &request, "new", NEW), [Ok(SUBMITTED); 3], "it stays in force");
    let id = alice.sbatch(&["-o", "/dev/null"], "exit 4");
    assert_eq!(ended(&alice, id).get("ExitCode"), "4:0");
    cluster.assert_healthy();
}

#[test]
fn a_second_key_is_added_and_the_first_is_taken_away() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::prepared(&Shape::small().auth_slurm(), |folder| {
        jwks(&folder.join("slurm.jwks"), &[("old", OLD)]);
    });
    let file = cluster.folder.join("slurm.jwks");
    let request = Recorded::submission(&cluster);
    let both_then_one: [&[(&str, &[u8])]; 2] = [&[("old", OLD), ("new", NEW)], &[("new", NEW)]];
    for (keys, expected) in both_then_one.into_iter().zip([Ok(SUBMITTED), Err(REFUSED)]) {
        jwks(&file, keys);
        let leader = cluster.wait_leader();
        let names = cluster.controller_names();
        let follower = names.iter().find(|name| **name != leader).unwrap();
        assert!(cluster.daemon(follower).unwrap().signal("HUP"));
        eventually("every controller knows these keys", || {
            let new = answers(&cluster, &request, "new", NEW);
            let old = answers(&cluster, &request, "old", OLD);
            let all = new == [Ok(SUBMITTED); 3] && old == [expected; 3];
            if all { Ok(()) } else { Err((new, old)) }
        });
        let client = cluster.client().release(Release::V26_05).user(ALICE);
        let id = client.sbatch(&["-o", "/dev/null"], "exit 5");
        assert_eq!(ended(&client, id).get("ExitCode"), "5:0");
    }
    cluster.assert_healthy();
}

#[test]
fn a_key_of_auth_jwt_is_replaced() {
    if against_slurm() {
        return;
    }
    let shape = Shape::small().line("AuthAltTypes=auth/jwt");
    let shape = shape.line("AuthAltParameters=jwt_key=FOLDER/jwt.key");
    let cluster = Cluster::prepared(&shape, |folder| write(&folder.join("jwt.key"), OLD));
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let path = cluster.folder.join("no-munge.conf");
    fs::write(&path, text.replace("munge.socket.2", "nothing-here")).unwrap();
    let client = cluster.client().user(ALICE).with("SLURM_CONF", &path.display().to_string());
    let takes = |key: &[u8]| {
        let token = token::signed(key, ALICE, now_s(), now_s() + 600);
        let client = client.clone().with("SLURM_JWT", &token);
        client.run("squeue", &["-h"]).status == 0
    };
    assert_eq!((takes(OLD), takes(NEW)), (true, false));
    write(&cluster.folder.join("jwt.key"), NEW);
    assert_eq!((takes(OLD), takes(NEW)), (true, false), "nobody was told yet");
    cluster.client().run("scontrol", &["reconfigure"]).ok();
    eventually("the new key is taken and the old is not", || {
        let found = (takes(OLD), takes(NEW));
        if found == (false, true) { Ok(()) } else { Err(found) }
    });
    write(&cluster.folder.join("jwt.key"), b"short");
    let complaint = cluster.client().run("scontrol", &["reconfigure"]).refused();
    assert_eq!((takes(OLD), takes(NEW)), (false, true), "{complaint}");
    cluster.assert_healthy();
}

#[test]
fn the_keys_of_an_outside_issuer_are_read_again() {
    if against_slurm() {
        return;
    }
    let shape = Shape::small().line("AuthAltTypes=auth/jwt");
    let shape = shape.line("AuthAltParameters=jwks=FOLDER/issuers.jwks");
    let mut issuers = Vec::new();
    let cluster = Cluster::prepared(&shape, |folder| {
        issuers.extend(["old", "new"].map(|name| Issuer::new(folder, name)));
        token::write_jwks(&folder.join("issuers.jwks"), &[issuers[0].jwk()]);
    });
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let path = cluster.folder.join("no-munge.conf");
    fs::write(&path, text.replace("munge.socket.2", "nothing-here")).unwrap();
    let client = cluster.client().user(ALICE).with("SLURM_CONF", &path.display().to_string());
    let takes = |issuer: &Issuer, name: &str| {
        let token = issuer.sign(name, &format!(r#"{{"exp":{},"sun":"{ALICE}"}}"#, now_s() + 600));
        client.clone().with("SLURM_JWT", &token).run("squeue", &["-h"]).status == 0
    };
    let both = || (takes(&issuers[0], "old"), takes(&issuers[1], "new"));
    assert_eq!(both(), (true, false));
    let file = cluster.folder.join("issuers.jwks");
    token::write_jwks(&file, &[issuers[1].jwk()]);
    assert_eq!(both(), (true, false), "nobody was told yet");
    cluster.client().run("scontrol", &["reconfigure"]).ok();
    eventually("the new key is taken and the old is not", || {
        let found = both();
        if found == (false, true) { Ok(()) } else { Err(found) }
    });
    fs::write(&file, "{}").unwrap();
    cluster.client().run("scontrol", &["reconfigure"]).refused();
    assert_eq!(both(), (false, true), "a file without keys changes nothing");
    cluster.assert_healthy();
}

/// Keys are replaced while a node's daemon is down and a controller stands still: each takes them
/// when it is told, by SIGHUP, or is there again.
#[test]
fn who_was_away_while_keys_were_replaced_takes_them_later() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::prepared(&Shape::small().auth_slurm(), |folder| {
        jwks(&folder.join("slurm.jwks"), &[("old", OLD)]);
    });
    let request = Recorded::submission(&cluster);
    let leader = cluster.wait_leader();
    let names = cluster.controller_names();
    let still = names.iter().find(|name| **name != leader).unwrap();
    for away in [still.as_str(), "n1"] {
        assert!(cluster.daemon(away).unwrap().signal("STOP"));
    }
    jwks(&cluster.folder.join("slurm.jwks"), &[("new", NEW)]);
    assert!(cluster.daemon(&leader).unwrap().signal("HUP"));
    let at_leader = names.iter().position(|name| *name == leader).unwrap();
    let asked = |key: (&str, &[u8])| {
        let token = token::slurm_named(key.1, key.0, &request.claims(now_s()), &request.payload());
        request.to(cluster.controller_addresses()[at_leader]).with_token(&token).send()
    };
    eventually("the leader takes the new key", || {
        let found = asked(("new", NEW));
        if found == Ok(SUBMITTED) { Ok(()) } else { Err(found) }
    });
    for away in [still.as_str(), "n1"] {
        assert!(cluster.daemon(away).unwrap().signal("CONT"));
    }
    // The controller reads them when it applies what it missed.
    eventually("every controller takes the new key only", || {
        let new = answers(&cluster, &request, "new", NEW);
        let old = answers(&cluster, &request, "old", OLD);
        let all = new == [Ok(SUBMITTED); 3] && old == [Err(REFUSED); 3];
        if all { Ok(()) } else { Err((new, old)) }
    });
    assert!(cluster.daemon("n1").unwrap().signal("HUP"));
    let client = cluster.client().release(Release::V24_11).user(ALICE);
    let id = client.sbatch(&["-o", "/dev/null", "-w", "n1"], "exit 6");
    assert_eq!(ended(&client, id).get("ExitCode"), "6:0");
    cluster.assert_healthy();
}

#[test]
fn another_kind_of_credential_counts_from_the_next_start() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small());
    let conf = cluster.slurm_conf();
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.replace("CredType=cred/munge", "CredType=cred/none")).unwrap();
    let client = cluster.client().user(ALICE);
    cluster.client().run("scontrol", &["reconfigure"]).ok();
    let leader = cluster.wait_leader();
    let told =
        "a changed AuthType, AuthAltTypes or CredType counts when the daemon is started again";
    eventually("it is told", || {
        let log = fs::read_to_string(cluster.log(&leader)).unwrap();
        if log.contains(told) { Ok(()) } else { Err("not yet") }
    });
    let id = client.sbatch(&["-o", "/dev/null"], "exit 2");
    assert_eq!(ended(&client, id).get("ExitCode"), "2:0", "what was in force stays so");
    cluster.assert_healthy();
}
