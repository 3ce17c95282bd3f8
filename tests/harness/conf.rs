//! The `slurm.conf` of a test cluster: one text for FLURM and for Debian's own Slurm.

use std::fmt::Write as _;
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

    /// One more line for `slurm.conf`; `FOLDER` in it stands for the cluster's folder.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// One more `PartitionName=` line.
    pub fn partition(mut self, line: impl Into<String>) -> Self {
        self.partitions.push(line.into());
        self
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
    let mut text = String::new();
    let folder_name = folder.display();
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).expect("text grows");
        text.push('\n');
    };
    line(format_args!("ClusterName=try"));
    for number in 1..=shape.controllers {
        let (name, address) = controller(shape.daemons, number);
        line(format_args!("SlurmctldHost={name}({address})"));
    }
    line(format_args!("SlurmctldPort={controller_port}"));
    line(format_args!("SlurmUser=root"));
    line(format_args!("AuthType=auth/munge"));
    line(format_args!("CredType=cred/munge"));
    line(format_args!("AuthInfo=socket={}", munge::socket(&folder.join("munge")).display()));
    line(format_args!("StateSaveLocation={folder_name}/state"));
    line(format_args!("SlurmdSpoolDir={folder_name}/spool/%n"));
    line(format_args!("SlurmctldPidFile={folder_name}/slurmctld.pid"));
    line(format_args!("SlurmdPidFile={folder_name}/slurmd-%n.pid"));
    line(format_args!("ProctrackType=proctrack/linuxproc"));
    line(format_args!("TaskPlugin=task/none"));
    line(format_args!("JobAcctGatherType=jobacct_gather/none"));
    line(format_args!("SelectType=select/cons_tres"));
    line(format_args!("SelectTypeParameters=CR_CPU_Memory"));
    line(format_args!("DefMemPerCPU=100"));
    line(format_args!("ReturnToService=2"));
    line(format_args!("SlurmdParameters=config_overrides"));
    line(format_args!("CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"));
    line(format_args!("MpiDefault=none"));
    line(format_args!("KillWait=3"));
    for extra in &shape.lines {
        let extra = extra.replace("FOLDER", &folder_name.to_string());
        line(format_args!("{extra}"));
    }
    line(format_args!(
        "NodeName={} NodeHostname={} NodeAddr=127.0.0.1 Port={} CPUs={} RealMemory={}",
        range("n", 1, shape.nodes),
        hostname(),
        range("", node_port, shape.nodes),
        shape.cpus,
        shape.memory_mib,
    ));
    line(format_args!("PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"));
    for partition in &shape.partitions {
        line(format_args!("{partition}"));
    }
    text
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
