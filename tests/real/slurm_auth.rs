//! auth/slurm: clients of 23.11 and later need no munge, and tokens that do not hold are refused.
//!
//! Debian's 22.05 has no auth/slurm, so these judge FLURM only.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flurm_tests::cluster::SLURM_KEY;
use flurm_tests::conf::{against_slurm, hostname};
use flurm_tests::process::Daemon;
use flurm_tests::proxy::{Recorder, exchange};
use flurm_tests::token::{self, SlurmClaims};
use flurm_tests::{Client, Cluster, Release, Shape, eventually, ports};

use crate::{ALICE, ended};

/// Releases that know auth/slurm.
const RELEASES: [Release; 2] = [Release::V24_11, Release::V26_05];
/// Any uid may read the token.
const ANY: u32 = u32::MAX;
/// uid of [`ALICE`].
const ALICE_UID: u32 = 65534;
/// `SLURM_PROTOCOL_AUTHENTICATION_ERROR`.
pub(crate) const REFUSED: u32 = 1007;
/// `ESLURM_PROTOCOL_INCOMPLETE_PACKET`.
const UNFIT: u32 = 5003;
/// `RESPONSE_SUBMIT_BATCH_JOB` and `RESPONSE_SLURM_RC`.
pub(crate) const SUBMITTED: u16 = 4004;
const RETURN_CODE: u16 = 8001;

fn alice(cluster: &Cluster, release: Release) -> Client {
    cluster.client().user(ALICE).release(release)
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn clients_of_2311_and_later_need_no_munge() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    assert!(!cluster.folder.join("munge").exists(), "no munged runs");
    for release in RELEASES {
        let client = alice(&cluster, release);
        let id = client.sbatch(&["-o", "who"], "id -un");
        let record = ended(&client, id);
        assert_eq!(record.get("UserId"), "nobody(65534)", "{release:?}");
        assert_eq!(record.get("JobState"), "COMPLETED", "{release:?}");
        assert_eq!(fs::read_to_string(cluster.work().join("who")).unwrap(), "nobody\n");
        let listing = client.run("squeue", &["-h", "-t", "all", "-o", "%i %u %T"]).ok();
        assert!(listing.contains(&format!("{id} nobody COMPLETED")), "{listing}");
        let pinged = client.run("scontrol", &["ping"]).ok();
        assert_eq!(pinged.matches(" is UP").count(), 3, "{pinged}");
        let held = client.sbatch(&["-H"], "exit 0");
        client.run("scontrol", &["update", &format!("JobId={held}"), "Comment=mine"]).ok();
        client.run("scancel", &[&held.to_string()]).ok();
        assert_eq!(ended(&client, held).get("JobState"), "CANCELLED", "{release:?}");
        let denied = client.run("scontrol", &["update", "NodeName=n1", "State=DRAIN", "Reason=x"]);
        let complaint = denied.refused();
        assert!(complaint.contains("Invalid user id"), "{release:?}: {complaint}");
        let root = cluster.client().release(release);
        root.run("scontrol", &["update", "NodeName=n1", "State=DRAIN", "Reason=x"]).ok();
        root.run("scontrol", &["update", "NodeName=n1", "State=RESUME"]).ok();
    }
    let direct = alice(&cluster, Release::V26_05).without_sack();
    assert!(!direct.try_sbatch(&[], "exit 0").refused().is_empty(), "nobody makes its tokens");
    let socket = cluster.sack_folder().join("sack.socket");
    let told = direct.with("SLURM_SACK_SOCKET", &socket.display().to_string());
    let id = told.sbatch(&["-o", "/dev/null"], "exit 0");
    assert_eq!(ended(&cluster.client(), id).get("JobState"), "COMPLETED");
    cluster.assert_healthy();
}

#[test]
fn tokens_are_still_made_when_the_daemon_that_made_them_dies() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    let serving = |name: &String| {
        let log = fs::read_to_string(cluster.log(name)).unwrap_or_default();
        log.contains("serving tokens on")
    };
    let names: Vec<String> =
        cluster.controller_names().into_iter().chain(cluster.node_names()).collect();
    let first: Vec<String> = names.iter().filter(|name| serving(name)).cloned().collect();
    assert_eq!(first.len(), 1, "one daemon of a machine serves: {first:?}");
    cluster.kill(&first[0]);
    eventually("another daemon serves", || {
        let now = names.iter().filter(|name| serving(name)).count();
        if now == 2 { Ok(()) } else { Err(now) }
    });
    let client = alice(&cluster, Release::V24_11);
    let id = client.sbatch(&["-o", "/dev/null", "-H"], "exit 0");
    cluster.start_daemon(&first[0]);
    client.run("scontrol", &["release", &id.to_string()]).ok();
    assert_eq!(ended(&client, id).get("JobState"), "COMPLETED");
    cluster.assert_healthy();
}

#[test]
fn named_keys_sign_and_end() {
    if against_slurm() {
        return;
    }
    let key = |name: &str, bytes: &[u8], more: &str| {
        let bytes = URL_SAFE_NO_PAD.encode(bytes);
        format!(r#"{{"alg":"HS256","kty":"oct","kid":"{name}","k":"{bytes}"{more}}}"#)
    };
    let cluster = Cluster::prepared(&Shape::small().auth_slurm(), |folder| {
        let path = folder.join("slurm.jwks");
        let ended = key("ended", b"a key whose time is over", r#","exp":1000"#);
        let current = key("current", b"the key that is in use", r#","use":"default""#);
        token::write_jwks(&path, &[ended, current]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, mode).unwrap();
    });
    let request = Recorded::submission(&cluster);
    let kid = |token: &str| {
        let header = token.split('.').next().unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
    };
    assert!(kid(&request.token).contains(r#""kid":"current""#), "{}", kid(&request.token));
    let claims = request.claims(now_s());
    for (reason, bytes, name, expected) in [
        ("ended", b"a key whose time is over".as_slice(), "ended", Err(REFUSED)),
        ("unknown", b"the key that is in use", "none", Err(REFUSED)),
        ("crossed", b"a key whose time is over", "current", Err(REFUSED)),
        ("current", b"the key that is in use", "current", Ok(SUBMITTED)),
    ] {
        let forged = token::slurm_named(bytes, name, &claims, &request.payload());
        assert_eq!(request.with_token(&forged).send(), expected, "{reason}");
    }
    cluster.assert_healthy();
}

#[test]
fn tokens_that_do_not_hold_are_refused() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    let request = Recorded::submission(&cluster);
    assert_eq!(job_count(&cluster), 1);
    let (now, payload) = (now_s(), request.payload());
    let fine = request.claims(now);
    let forge = |key: &[u8], claims: &SlurmClaims<'_>| token::slurm(key, claims, &payload);
    let unsigned = {
        let (signed, _) = request.token.rsplit_once('.').unwrap();
        format!("{signed}.")
    };
    let claims_of_none = request.token.split('.').nth(1).unwrap();
    for (reason, token) in [
        ("another key", forge(b"the key of another cluster", &fine)),
        ("expired", forge(SLURM_KEY, &SlurmClaims { expires_s: now - 2, ..fine.clone() })),
        ("another cluster", forge(SLURM_KEY, &SlurmClaims { cluster: "other", ..fine.clone() })),
        ("another reader", forge(SLURM_KEY, &SlurmClaims { reader: 12345, ..fine.clone() })),
        ("a job credential", forge(SLURM_KEY, &SlurmClaims { context: "launch", ..fine.clone() })),
        ("no signature", unsigned),
        ("no algorithm", format!("eyJhbGciOiJub25lIn0.{claims_of_none}.")),
        ("no token", "a.b.c".to_owned()),
        ("nothing", String::new()),
    ] {
        assert_eq!(request.with_token(&token).send(), Err(REFUSED), "{reason}");
    }
    let covers = |payload: &[u8]| token::slurm(SLURM_KEY, &fine, payload);
    for (reason, changed) in [
        ("a changed body", request.with_changed_body()),
        ("no hash", request.with_token(&covers(b""))),
        ("a hash of the type only", request.with_token(&covers(b"\x01\x0f\xa3"))),
        ("another body's hash", request.with_token(&covers(&[2; 33]))),
    ] {
        assert_eq!(changed.send(), Err(UNFIT), "{reason}");
    }
    assert_eq!(job_count(&cluster), 1, "no forgery was taken for a job");
    cluster.assert_healthy();
}

#[test]
fn a_repeated_message_is_told_from_a_second_one_where_the_token_allows_it() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    let request = Recorded::submission(&cluster);
    // A token made by FLURM is like no other: every controller knows the request again.
    for address in cluster.controller_addresses() {
        assert_eq!(request.to(address).send(), Ok(SUBMITTED));
    }
    assert_eq!(job_count(&cluster), 1);
    // Slurm's own tokens are the same for two messages that say the same within a second. Slurm takes
    // them as often as they come while they last, and so does FLURM.
    let token = token::slurm(SLURM_KEY, &request.claims(now_s()), &request.payload());
    for count in [2, 3] {
        assert_eq!(request.with_token(&token).send(), Ok(SUBMITTED));
        assert_eq!(job_count(&cluster), count);
    }
    cluster.assert_healthy();
}

#[test]
fn a_node_daemon_takes_no_orders_from_a_user() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    let request = Recorded::submission(&cluster);
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let (_, after) = text.split_once(" Port=[").unwrap();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let node = SocketAddr::from(([127, 0, 0, 1], digits.parse().unwrap()));
    // ESLURM_USER_ID_MISSING: the token holds, but its user is nobody to a node.
    assert_eq!(Recorded { target: node, ..request.clone() }.send(), Err(2010));
    let munge = Recorded { target: node, ..request }.with_plugin(101);
    assert_eq!(munge.send(), Err(REFUSED), "auth/munge is not configured");
    cluster.assert_healthy();
}

#[test]
fn clients_may_bring_their_names_and_use_the_other_hash() {
    if against_slurm() {
        return;
    }
    let shape = Shape::small().auth_slurm().line("AuthInfo=use_client_ids,ttl=120");
    let cluster = Cluster::start(&shape.line("HashPlugin=hash/sha3"));
    for release in RELEASES {
        let client = alice(&cluster, release);
        let id = client.sbatch(&["-o", "who"], "id -un");
        assert_eq!(ended(&client, id).get("UserId"), "nobody(65534)");
        assert_eq!(fs::read_to_string(cluster.work().join("who")).unwrap(), "nobody\n");
    }
    let request = Recorded::submission(&cluster);
    assert_eq!(request.payload()[0], 4, "clients of 24.11 hash as the file says");
    let claims = request.token_claims();
    assert!(claims.contains(r#""name":"nobody""#), "{claims}");
    cluster.assert_healthy();
}

#[test]
fn a_node_with_nothing_but_the_key_gets_its_configuration() {
    if against_slurm() {
        return;
    }
    let shape = Shape::small().nodes(1).auth_slurm();
    let cluster = Cluster::start(&shape.line("SlurmctldParameters=enable_configless"));
    cluster.stop("n1");
    let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
    let port = text.lines().find_map(|line| line.strip_prefix("SlurmctldPort=")).unwrap();
    // Its own /run, because it is not told that the sockets of this cluster are elsewhere.
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh"]);
    command.arg(flurm_tests::cluster::binary("flurmd")).args(["-D", "-N", "n1"]);
    command.args(["--conf-server", &format!("127.0.0.2:{port}")]).current_dir("/");
    command.env_remove("SLURM_CONF").env("SLURM_SACK_KEY", cluster.folder.join("slurm.key"));
    let node = Foreign(Daemon::start(command, &cluster.log("n1")));
    cluster.wait_idle();
    let client = alice(&cluster, Release::V24_11);
    let id = client.sbatch(&["-o", "/dev/null"], "exit 3");
    assert_eq!(ended(&client, id).get("ExitCode"), "3:0", "the step daemon reports with the key");
    drop(node);
}

/// A daemon beside the cluster's own; it ends with the test.
struct Foreign(Daemon);

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.signal("TERM");
    }
}

impl Foreign {
    fn start(client: &Client, program: &str, arguments: &[&str], log: &Path) -> Self {
        Self(Daemon::start(client.command(program, arguments), log))
    }
}

#[test]
fn tokens_of_slurms_own_sackd_are_taken() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    for release in RELEASES {
        let folder = cluster.folder.join(format!("sackd-{}", release.number()));
        fs::create_dir(&folder).unwrap();
        let sackd = cluster.client().release(release).sack_at_default(&folder);
        let log = cluster.log("sackd");
        let _sackd = Foreign::start(&sackd, "sackd", &["-D"], &log);
        eventually("sackd serves", || {
            let there = folder.join("sack.socket").exists();
            if there { Ok(()) } else { Err(fs::read_to_string(&log)) }
        });
        for client in RELEASES {
            let client = alice(&cluster, client).sack_at_default(&folder);
            let id = client.sbatch(&["-o", "/dev/null"], "exit 0");
            assert_eq!(ended(&client, id).get("UserId"), "nobody(65534)");
        }
    }
    cluster.assert_healthy();
}

#[test]
fn tokens_of_flurm_are_taken_by_slurms_own_controller() {
    if against_slurm() {
        return;
    }
    let cluster = Cluster::start(&Shape::small().auth_slurm());
    let port = ports::hold(ports::CONTROLLERS, 1);
    for release in RELEASES {
        let folder = cluster.folder.join(format!("slurm-{}", release.number()));
        fs::create_dir_all(folder.join("state")).unwrap();
        fs::copy(cluster.folder.join("slurm.key"), folder.join("slurm.key")).unwrap();
        fs::write(folder.join("cgroup.conf"), "CgroupPlugin=disabled\n").unwrap();
        let (name, folder_name) = (hostname(), folder.display());
        let text = format!(
            "ClusterName=try\nSlurmctldHost={name}(127.0.0.1)\nSlurmctldPort={}\n\
             SlurmUser=root\nAuthType=auth/slurm\nCredType=auth/slurm\n\
             StateSaveLocation={folder_name}/state\nSlurmctldPidFile={folder_name}/pid\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
             CommunicationParameters=NoInAddrAny,NoCtldInAddrAny\n\
             NodeName=n1 NodeAddr=127.0.0.1\nPartitionName=main Nodes=ALL Default=YES\n",
            port.first
        );
        let conf = folder.join("slurm.conf");
        fs::write(&conf, text).unwrap();
        let conf = conf.display().to_string();
        let theirs = cluster.client().release(release).with("SLURM_CONF", &conf);
        let log = cluster.log("slurmctld");
        let slurmctld = theirs.clone().sack_at_default(&folder);
        let _slurmctld = Foreign::start(&slurmctld, "slurmctld", &["-D"], &log);
        // FLURM's socket is the only one that these clients see.
        let client = theirs.user(ALICE);
        eventually("Slurm's own controller answers", || {
            let ran = client.run("scontrol", &["ping"]);
            if ran.out.contains("is UP") { Ok(()) } else { Err((ran, fs::read_to_string(&log))) }
        });
        let id = client.sbatch(&["-o", "/dev/null", "-H"], "exit 0");
        assert_eq!(client.job(id).get("UserId"), "nobody(65534)", "{release:?}");
    }
    cluster.assert_healthy();
}

fn job_count(cluster: &Cluster) -> usize {
    let text = cluster.client().run("scontrol", &["show", "job", "-o"]).ok();
    text.lines().filter(|line| line.starts_with("JobId=")).count()
}

/// A real submission on its way to a controller, taken apart around its token.
#[derive(Clone)]
pub(crate) struct Recorded {
    target: SocketAddr,
    /// Header and plugin number.
    before: Vec<u8>,
    token: String,
    body: Vec<u8>,
}

impl Recorded {
    /// Records what a client of 24.11 sends. It is passed on.
    pub(crate) fn submission(cluster: &Cluster) -> Self {
        let text = fs::read_to_string(cluster.slurm_conf()).unwrap();
        let port = text.lines().find_map(|line| line.strip_prefix("SlurmctldPort=")).unwrap();
        let target = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let recorder = Recorder::start("127.0.0.1", target);
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
        let client = alice(cluster, Release::V24_11);
        let client = client.with("SLURM_CONF", &path.display().to_string());
        client.sbatch(&["-o", "/dev/null", "-H"], "exit 0");
        let longest = recorder.sent().into_iter().max_by_key(Vec::len).unwrap();
        Self::parse(target, &longest)
    }

    fn parse(target: SocketAddr, frame: &[u8]) -> Self {
        // version, flags, type, body length, forward count, return count, address family.
        let header = 4 + 2 + 2 + 2 + 4 + 2 + 2 + 2;
        let (before, rest) = frame.split_at(header + 4);
        assert_eq!(before[header..], 103_u32.to_be_bytes(), "a block of auth/slurm");
        let (length, rest) = rest.split_at(4);
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let (token, body) = rest.split_at(length);
        let token = String::from_utf8(token[..length - 1].to_vec()).unwrap();
        Self { target, before: before.to_vec(), token, body: body.to_vec() }
    }

    pub(crate) fn to(&self, address: std::net::IpAddr) -> Self {
        Self { target: SocketAddr::new(address, self.target.port()), ..self.clone() }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    fn with_changed_body(&self) -> Self {
        let mut changed = self.clone();
        let middle = changed.body.len() / 2;
        changed.body[middle] ^= 1;
        changed
    }

    fn with_plugin(mut self, plugin: u32) -> Self {
        let at = self.before.len() - 4;
        self.before[at..].copy_from_slice(&plugin.to_be_bytes());
        self
    }

    /// What the token says.
    fn token_claims(&self) -> String {
        let claims = URL_SAFE_NO_PAD.decode(self.token.split('.').nth(1).unwrap()).unwrap();
        String::from_utf8(claims).unwrap()
    }

    /// The hash block in the token.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let claims = self.token_claims();
        let (_, after) = claims.split_once(r#""payload":""#).unwrap();
        STANDARD.decode(after.split('"').next().unwrap()).unwrap()
    }

    /// What a genuine token of the same user says.
    pub(crate) fn claims(&self, now_s: u64) -> SlurmClaims<'static> {
        SlurmClaims {
            cluster: "try",
            context: "sack",
            uid: ALICE_UID,
            issued_s: now_s,
            expires_s: now_s + 60,
            reader: ANY,
        }
    }

    /// Sends it: the reply's kind, or the error number in it.
    pub(crate) fn send(&self) -> Result<u16, u32> {
        let mut frame = self.before.clone();
        if self.token.is_empty() {
            frame.extend([0; 4]);
        } else {
            frame.extend(u32::try_from(self.token.len() + 1).unwrap().to_be_bytes());
            frame.extend(self.token.as_bytes());
            frame.push(0);
        }
        frame.extend(&self.body);
        let length = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let reply = exchange(self.target, &frame).expect("a reply");
        let kind = u16::from_be_bytes([reply[8], reply[9]]);
        match kind {
            RETURN_CODE => Err(u32::from_be_bytes(reply[reply.len() - 4..].try_into().unwrap())),
            other => Ok(other),
        }
    }
}
