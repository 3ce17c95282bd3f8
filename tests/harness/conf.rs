//! The `slurm.conf` of a test cluster: one text for FLURM and for Debian's own Slurm.

use std::path::Path;

use crate::cluster::Daemons;
use crate::munge;

/// How a cluster looks.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Whose daemons run.
    pub daemons: Daemons,
    /// Number of controllers, 1 to 5. Real Slurm gets one.
    pub controllers: u16,
    /// Number of nodes, named `n1`, `n2`, …
    pub nodes: u16,
    /// CPUs of each node.
    pub cpus: u16,
    /// Memory of each node, MiB.
    pub memory_mib: u32,
    /// Further lines, put before the node lines.
    pub lines: Vec<String>,
    /// What further partitions there are, as whole lines.
    pub partitions: Vec<String>,
    /// Whether daemons and clients use auth/slurm and know nothing of munge.
    pub auth_slurm: bool,
    /// What else the line of the nodes says.
    pub node_words: String,
}

impl Shape {
    /// Three controllers and two nodes of four CPUs. `FLURM_AGAINST=slurm` makes it a cluster of
    /// Debian's own Slurm, which shows whether a test states Slurm's behaviour or only ours.
    pub fn small() -> Self {
        let flurm = Self {
            daemons: Daemons::Flurm,
            controllers: 3,
            nodes: 2,
            cpus: 4,
            memory_mib: 4000,
            lines: Vec::new(),
            partitions: Vec::new(),
            auth_slurm: false,
            node_words: String::new(),
        };
        if against_slurm() { flurm.real() } else { flurm }
    }

    /// As many controllers.
    pub fn controllers(mut self, count: u16) -> Self {
        self.controllers = if self.daemons == Daemons::Slurm { 1 } else { count };
        self
    }

    /// As many nodes.
    pub fn nodes(mut self, count: u16) -> Self {
        self.nodes = count;
        self
    }

    /// As many CPUs a node.
    pub fn cpus(mut self, count: u16) -> Self {
        self.cpus = count;
        self
    }

    /// As much memory a node, MiB.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// A line for `slurm.conf`, instead of the usual one with that key; `FOLDER` in it stands for the cluster's folder.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Further words of the nodes' line, such as `Gres=gpu:2`.
    pub fn node_words(mut self, words: &str) -> Self {
        self.node_words = format!(" {words}");
        self
    }

    /// One more `PartitionName=` line.
    pub fn partition(mut self, line: impl Into<String>) -> Self {
        self.partitions.push(line.into());
        self
    }

    /// With auth/slurm instead of munge, and a key of its own. Its clients are of 24.11, because those
    /// of 22.05 do not know it.
    pub fn auth_slurm(mut self) -> Self {
        self.auth_slurm = true;
        self.line("AuthType=auth/slurm").line("CredType=auth/slurm").line("AuthInfo=ttl=60")
    }

    /// The same cluster run by Debian's own slurmctld and slurmd.
    pub fn real(mut self) -> Self {
        self.daemons = Daemons::Slurm;
        self.controllers = 1;
        self
    }
}

/// True when the tests are to judge Debian's own Slurm instead of FLURM.
pub fn against_slurm() -> bool {
    std::env::var("FLURM_AGAINST").is_ok_and(|value| value == "slurm")
}

/// Name and address of a controller, from 1.
pub fn controller(daemons: Daemons, number: u16) -> (String, String) {
    assert!((1..=5).contains(&number), "controllers are numbered from 1 to 5");
    let name = match daemons {
        Daemons::Flurm => format!("c{number}"),
        // Real slurmctld finds itself by the machine's own name.
        Daemons::Slurm => hostname(),
    };
    (name, format!("127.0.0.{number}"))
}

/// This machine's name without its domain.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("read the host name");
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

/// `n1`, or `n[1-9]`.
fn range(prefix: &str, first: u16, count: u16) -> String {
    match count {
        1 => format!("{prefix}{first}"),
        _ => format!("{prefix}[{first}-{}]", first + count - 1),
    }
}

/// The text of `slurm.conf`.
pub fn slurm_conf(shape: &Shape, folder: &Path, controller_port: u16, node_port: u16) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let own: Vec<String> = shape.lines.iter().map(|line| key(line)).collect();
    let mut lines = usual_lines(shape, folder, controller_port);
    lines.retain(|line| !own.contains(&key(line)));
    let folder_name = folder.display().to_string();
    lines.extend(shape.lines.iter().map(|line| line.replace("FOLDER", &folder_name)));
    lines.push(format!(
        "NodeName={} NodeHostname={} NodeAddr=127.0.0.1 Port={} CPUs={} RealMemory={}{}",
        range("n", 1, shape.nodes),
        hostname(),
        range("", node_port, shape.nodes),
        shape.cpus,
        shape.memory_mib,
        shape.node_words,
    ));
    lines.push("PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP".to_owned());
    lines.extend(shape.partitions.iter().cloned());
    lines.join("\n") + "\n"
}

/// What stands in every cluster's file unless the shape says otherwise.
fn usual_lines(shape: &Shape, folder: &Path, controller_port: u16) -> Vec<String> {
    let controllers = (1..=shape.controllers).map(|number| controller(shape.daemons, number));
    let mut lines: Vec<String> =
        controllers.map(|(name, address)| format!("SlurmctldHost={name}({address})")).collect();
    let socket = munge::socket(&folder.join("munge"));
    let folder = folder.display();
    lines.extend([
        "ClusterName=try".to_owned(),
        format!("SlurmctldPort={controller_port}"),
        "SlurmUser=root".to_owned(),
        "AuthType=auth/munge".to_owned(),
        "CredType=cred/munge".to_owned(),
        format!("AuthInfo=socket={}", socket.display()),
        format!("StateSaveLocation={folder}/state"),
        format!("SlurmdSpoolDir={folder}/spool/%n"),
        format!("SlurmctldPidFile={folder}/slurmctld.pid"),
        format!("SlurmdPidFile={folder}/slurmd-%n.pid"),
        "ProctrackType=proctrack/linuxproc".to_owned(),
        "TaskPlugin=task/none".to_owned(),
        "JobAcctGatherType=jobacct_gather/none".to_owned(),
        "SelectType=select/cons_tres".to_owned(),
        "SelectTypeParameters=CR_CPU_Memory".to_owned(),
        "DefMemPerCPU=100".to_owned(),
        "ReturnToService=2".to_owned(),
        "SlurmdParameters=config_overrides".to_owned(),
        "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny".to_owned(),
        "MpiDefault=none".to_owned(),
        "KillWait=3".to_owned(),
    ]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_has_no_brackets_and_several_have() {
        let folder = Path::new("/f");
        let one = slurm_conf(&Shape::small().nodes(1), folder, 21_500, 17_001);
        assert!(one.contains("NodeName=n1 ") && one.contains(" Port=17001 "), "{one}");
        let many = slurm_conf(&Shape::small().nodes(9), folder, 21_500, 17_001);
        assert!(many.contains("NodeName=n[1-9] ") && many.contains(" Port=[17001-17009] "));
        assert!(many.contains("SlurmctldHost=c3(127.0.0.3)\n"));
    }
}
