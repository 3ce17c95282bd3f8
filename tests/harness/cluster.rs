//! A whole cluster: munged, controllers, node daemons, in one folder.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::client::{self, Client, Release};
use crate::conf::{self, Shape};
use crate::process::{self, Daemon};
use crate::wait::{eventually, eventually_within};
use crate::{munge, ports};

/// Whose daemons run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemons {
    /// FLURM's, from `FLURM_BIN_DIR` or `target/release`.
    Flurm,
    /// Debian's slurmctld and slurmd 22.05.
    Slurm,
}

/// The key of clusters with auth/slurm.
pub const SLURM_KEY: &[u8] = b"the key of a test cluster, which keeps no secret";
/// The number of lines of each log that a failed test prints.
const LOG_TAIL: usize = 60;
/// Ports from SlurmctldPort on that a controller may use: its Raft port lies 13 above.
const CONTROLLER_PORTS: u16 = 14;
/// What the harness writes into a log when it starts a daemon.
const STARTED: &str = "=== started";
/// How long a stopped daemon may take before it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A running cluster. Dropping it ends every process of it and removes its folder, but keeps the
/// folder when the test failed or `FLURM_KEEP` is set.
#[derive(Debug)]
pub struct Cluster {
    /// Where everything of it lives.
    pub folder: PathBuf,
    /// Number of controllers.
    pub controllers: u16,
    /// Number of nodes.
    pub nodes: u16,
    daemons: Daemons,
    auth_slurm: bool,
    lasting: bool,
    _ports: Vec<ports::Held>,
}

impl Cluster {
    /// Starts a cluster in a fresh folder and waits until its nodes are idle.
    pub fn start(shape: &Shape) -> Self {
        Self::prepared(shape, |_| {})
    }

    /// As [`Cluster::start`], after `prepare` has put further files into the cluster's folder.
    pub fn prepared(shape: &Shape, prepare: impl FnOnce(&Path)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("flurm-{}-{number}", std::process::id());
        let cluster = Self::lay_out(shape, &std::env::temp_dir().join(name));
        prepare(&cluster.folder);
        cluster.start_all();
        cluster.wait_idle();
        cluster
    }

    /// Writes the configuration of a cluster and starts its munged, but no daemon yet.
    pub fn lay_out(shape: &Shape, folder: &Path) -> Self {
        let controller_port = ports::hold(ports::CONTROLLERS, CONTROLLER_PORTS);
        let node_port = ports::hold(ports::NODES, shape.nodes);
        for part in ["", "state", "spool", "log", "pid", "work"] {
            fs::create_dir_all(folder.join(part)).expect("make the cluster's folder");
        }
        open(folder, 0o755);
        open(&folder.join("work"), 0o1777);
        let text = conf::slurm_conf(shape, folder, controller_port.first, node_port.first);
        fs::write(folder.join("slurm.conf"), text).expect("write slurm.conf");
        fs::write(folder.join("cgroup.conf"), "CgroupPlugin=cgroup/v1\n").expect("cgroup.conf");
        for node in 1..=shape.nodes {
            fs::create_dir_all(folder.join(format!("spool/n{node}"))).expect("make a spool");
        }
        let cluster = Self {
            folder: folder.to_owned(),
            controllers: shape.controllers,
            nodes: shape.nodes,
            daemons: shape.daemons,
            auth_slurm: shape.auth_slurm,
            lasting: false,
            _ports: vec![controller_port, node_port],
        };
        if shape.auth_slurm {
            cluster.lay_out_auth_slurm();
        } else {
            cluster.remember("munged", &munge::start(&folder.join("munge")));
        }
        cluster
    }

    /// A cluster that another program started in `folder`; it is left running when dropped.
    pub fn adopt(folder: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(folder.join("slurm.conf"))
            .map_err(|e| format!("no cluster in {}: {e}", folder.display()))?;
        let count = |prefix: &str| {
            let names = fs::read_dir(folder.join("pid")).into_iter().flatten().flatten();
            names.filter(|entry| numbered(&entry.file_name().to_string_lossy(), prefix)).count()
        };
        let flurm = text.contains("SlurmctldHost=c1(");
        Ok(Self {
            folder: folder.to_owned(),
            controllers: u16::try_from(count("c")).unwrap_or(u16::MAX),
            nodes: u16::try_from(count("n")).unwrap_or(u16::MAX),
            daemons: if flurm { Daemons::Flurm } else { Daemons::Slurm },
            auth_slurm: text.contains("AuthType=auth/slurm"),
            lasting: true,
            _ports: Vec::new(),
        })
    }

    /// Leaves the cluster running when this value is dropped.
    pub fn leave_running(&mut self) {
        self.lasting = true;
    }

    /// Path of its `slurm.conf`.
    pub fn slurm_conf(&self) -> PathBuf {
        self.folder.join("slurm.conf")
    }

    /// The folder in which any user may write.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Clients of the machine's release, as root; of 24.11 where those do not know how to prove who
    /// they are.
    pub fn client(&self) -> Client {
        let client = Client::new(&self.slurm_conf(), &self.work());
        match self.auth_slurm {
            true => client.release(Release::V24_11).sack_at_default(&self.sack_folder()),
            false => client,
        }
    }

    /// The folder with the socket that gives out tokens of auth/slurm.
    pub fn sack_folder(&self) -> PathBuf {
        self.folder.join("sack")
    }

    /// A key, and a place of the cluster's own for the socket: many clusters run on this machine.
    fn lay_out_auth_slurm(&self) {
        let sack = self.sack_folder();
        fs::create_dir_all(&sack).expect("make the socket's folder");
        open(&sack, 0o755);
        let key = self.folder.join("slurm.key");
        fs::write(&key, SLURM_KEY).expect("write a key");
        open(&key, 0o600);
        let line = format!("SackSocket={}\n", sack.join("sack.socket").display());
        fs::write(self.folder.join("flurm.conf"), line).expect("write flurm.conf");
    }

    /// Names of its controllers: `c1`, `c2`, …
    pub fn controller_names(&self) -> Vec<String> {
        (1..=self.controllers).map(|number| format!("c{number}")).collect()
    }

    /// Addresses of its controllers, in the same order.
    pub fn controller_addresses(&self) -> Vec<IpAddr> {
        (1..=self.controllers)
            .map(|number| conf::controller(self.daemons, number).1)
            .map(|address| address.parse().expect("controllers have literal addresses"))
            .collect()
    }

    /// Names of its nodes: `n1`, `n2`, …
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| format!("n{number}")).collect()
    }

    /// Starts every daemon.
    pub fn start_all(&self) {
        for name in self.controller_names().iter().chain(&self.node_names()) {
            self.start_daemon(name);
        }
    }

    /// Starts one daemon by name: `c2` or `n1`.
    pub fn start_daemon(&self, name: &str) {
        let (program, option, own_name) = match (self.daemons, name.starts_with('c')) {
            (Daemons::Flurm, true) => (binary("flurmctld"), "--host", name),
            (Daemons::Flurm, false) => (binary("flurmd"), "-N", name),
            (Daemons::Slurm, true) => (PathBuf::from("slurmctld"), "-v", "-v"),
            (Daemons::Slurm, false) => (PathBuf::from("slurmd"), "-N", name),
        };
        let mut command = Command::new(program);
        command.args(["-D", option, own_name]).current_dir("/");
        command.env("SLURM_CONF", self.slurm_conf());
        let log = self.log(name);
        let mut file =
            fs::File::options().create(true).append(true).open(&log).expect("open a log");
        writeln!(file, "{STARTED} {name}").expect("write to a log");
        self.remember(name, &Daemon::start(command, &log));
    }

    /// The daemon of that name.
    pub fn daemon(&self, name: &str) -> Option<Daemon> {
        let text = fs::read_to_string(self.folder.join("pid").join(name)).ok()?;
        let (pid, born) = text.trim().split_once(' ')?;
        Some(Daemon { pid: pid.parse().ok()?, born: born.parse().ok()? })
    }

    /// Kills one daemon with SIGKILL.
    pub fn kill(&self, name: &str) {
        let daemon = self.daemon(name).unwrap_or_else(|| panic!("no daemon {name}"));
        assert!(daemon.alive(), "{name} had ended before it was killed: {}", self.tail(name));
        daemon.kill();
    }

    /// Asks one daemon to stop, and waits for it.
    pub fn stop(&self, name: &str) {
        let daemon = self.daemon(name).unwrap_or_else(|| panic!("no daemon {name}"));
        daemon.signal("TERM");
        daemon.wait_gone();
    }

    /// Waits until every node is idle and no job is left.
    #[track_caller]
    pub fn wait_idle(&self) {
        let nodes = usize::from(self.nodes);
        let client = self.client();
        eventually("every node is idle", || {
            let ran = client.run("sinfo", &["-h", "-N", "-p", "main", "-o", "%T"]);
            let idle = ran.out.lines().filter(|state| *state == "idle").count();
            if idle == nodes {
                Ok(())
            } else {
                Err(format!("{}{}{}", ran.out, ran.err, self.ends()))
            }
        });
    }

    /// Name of the controller that leads; `None` while none does.
    pub fn leader(&self) -> Option<String> {
        let alive = |name: &String| self.daemon(name).is_some_and(|daemon| daemon.alive());
        let names = self.controller_names().into_iter().filter(alive);
        let leading = names.filter_map(|name| Some((self.leads_in_term(&name)?, name)));
        leading.max().map(|(_, name)| name)
    }

    /// The term in which a controller leads, by what it logged since it was started.
    fn leads_in_term(&self, name: &str) -> Option<u64> {
        let bytes = fs::read(self.log(name)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.rsplit(STARTED).next()?;
        let last = text.lines().rfind(|line| {
            line.contains("this controller leads")
                || line.contains("this controller no longer leads")
        })?;
        let (_, after) = last.split_once("this controller leads")?;
        let digits: String = after.chars().filter(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    /// Name of the controller that leads, waiting for one.
    pub fn wait_leader(&self) -> String {
        eventually("some controller leads", || self.leader().ok_or("none"))
    }

    /// Log file of a daemon.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join("log").join(name)
    }

    /// The last lines of a daemon's log.
    pub fn tail(&self, name: &str) -> String {
        let bytes = fs::read(self.log(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// Which daemons have ended, and their last words.
    fn ends(&self) -> String {
        let names = self.controller_names().into_iter().chain(self.node_names());
        let ended = names.filter(|name| self.daemon(name).is_some_and(|daemon| !daemon.alive()));
        ended.map(|name| format!("\n{name} has ended: {}", self.tail(&name))).collect()
    }

    /// Panics when a daemon has ended or has logged a panic.
    #[track_caller]
    pub fn assert_healthy(&self) {
        for name in self.controller_names().into_iter().chain(self.node_names()) {
            let daemon = self.daemon(&name).unwrap_or_else(|| panic!("no daemon {name}"));
            assert!(daemon.alive(), "{name} has ended: {}", self.tail(&name));
        }
        self.assert_no_panic();
    }

    /// Panics when any daemon has logged a panic.
    #[track_caller]
    pub fn assert_no_panic(&self) {
        for entry in fs::read_dir(self.folder.join("log")).expect("list the logs").flatten() {
            let text = fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains("panicked at"), "{}: {text}", entry.path().display());
        }
    }

    /// Ends every process of the cluster: daemons, step daemons, jobs.
    pub fn stop_all(&self) {
        let names = self.controller_names().into_iter().chain(self.node_names());
        let running: Vec<Daemon> = names.filter_map(|name| self.daemon(&name)).collect();
        for daemon in &running {
            daemon.signal("TERM");
        }
        let started = std::time::Instant::now();
        while running.iter().any(Daemon::alive) && started.elapsed() < STOP_MAX {
            std::thread::sleep(Duration::from_millis(20));
        }
        // A process may start another one while it is being ended: look again until none is left.
        eventually_within(STOP_MAX, "every process of the cluster is gone", || {
            let left = process::of_cluster(&self.folder);
            for pid in &left {
                process::signal(*pid, "KILL");
            }
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }

    fn remember(&self, name: &str, daemon: &Daemon) {
        let text = format!("{} {}\n", daemon.pid, daemon.born);
        fs::write(self.folder.join("pid").join(name), text).expect("write a pid file");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.lasting {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the cluster of the failed test is kept in {}", self.folder.display());
            for name in self.controller_names().into_iter().chain(self.node_names()) {
                eprintln!("--- {name}\n{}", self.tail(&name));
            }
        }
        self.stop_all();
        if !std::thread::panicking() && std::env::var_os("FLURM_KEEP").is_none() {
            fs::remove_dir_all(&self.folder).expect("remove the cluster's folder");
        }
    }
}

/// Path of one of FLURM's programs.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLURM_BIN_DIR")
        .map_or_else(|| client::repository().join("target/release"), PathBuf::from);
    folder.join(name)
}

fn numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<u16>().is_ok())
}

fn open(folder: &Path, mode: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("set permissions");
}
