//! The whole of FLURM: controllers, node daemons and step daemons, configured as a site would.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;

use flurm_base::Rng;
use flurm_ctld::Identity;
use flurm_host::{controller, node, stepd};
use flurm_raft::Replicated;

use crate::cluster::{CONTROLLER, Cluster, NODE};
use crate::light::Light;
use crate::scenario::{Agreement, Scenario};
use crate::steps::Tap;
use crate::world::env::{Engine, Place, SimEnv};
use crate::world::process::Start;
use crate::world::{self, MILLI, MachineId, TaskFuture};

/// Where every machine has its slurm.conf.
pub(crate) const CONF: &str = "/etc/slurm/slurm.conf";
/// What the cluster shares for auth/slurm, in scenarios that use it.
const SLURM_KEY: &[u8] = b"the key that all simulated machines share";
/// Where every controller has its flurm.conf.
const FLURM_CONF: &str = "/etc/slurm/flurm.conf";
/// uid and gid of SlurmUser, as [`world::ident::Users`] knows it.
const SLURM: (u32, u32) = (64030, 64030);

fn slurm_conf(scenario: &Scenario, cluster: &Cluster) -> String {
    let mut text = String::from("ClusterName=sim\n");
    let facts = |id: MachineId| {
        world::with(|w| {
            let machine = w.machine(id);
            (machine.name.clone(), machine.ip)
        })
    };
    let mut line = |words: std::fmt::Arguments<'_>| {
        writeln!(text, "{words}").expect("writing to a string cannot fail");
    };
    for id in &cluster.controllers {
        let (name, ip) = facts(*id);
        line(format_args!("SlurmctldHost={name}({ip})"));
    }
    line(format_args!("SlurmctldPort={}", cluster.client_port));
    for fixed in [
        "SlurmUser=slurm",
        "AuthType=auth/munge",
        "StateSaveLocation=/var/lib/flurm",
        "SlurmdSpoolDir=/var/spool/slurmd",
        "SlurmdTimeout=30",
        "KillWait=3",
        "MinJobAge=1000000",
        "ReturnToService=2",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        "DefMemPerCPU=1",
    ] {
        line(format_args!("{fixed}"));
    }
    for extra in &scenario.cluster.conf {
        line(format_args!("{extra}"));
    }
    for (nth, id) in cluster.nodes.iter().enumerate() {
        let (name, ip) = facts(*id);
        let feature = crate::workload::feature_of(nth + 1);
        let (cpus, memory) = (scenario.cluster.cpus, scenario.cluster.memory_mib);
        line(format_args!(
            "NodeName={name} NodeAddr={ip} CPUs={cpus} RealMemory={memory} Feature={feature}"
        ));
    }
    let last = cluster.nodes.len();
    line(format_args!(
        "PartitionName=main Nodes=n[1-{last}] Default=YES MaxTime=INFINITE State=UP"
    ));
    text
}

/// Times of the controllers' own: any that a site may set.
fn flurm_conf(scenario: &Scenario, rng: &mut Rng) -> String {
    let heartbeat_ms = scenario.world.heartbeat.draw(rng) / MILLI;
    let (least, most) = (heartbeat_ms * 3, heartbeat_ms * 8);
    let mut text = format!(
        "HeartbeatInterval={heartbeat_ms}ms\nElectionTimeoutMin={least}ms\n\
         ElectionTimeoutMax={most}ms\n"
    );
    for extra in &scenario.cluster.flurm_conf {
        text.push_str(extra);
        text.push('\n');
    }
    text
}

/// What Linux would say about a simulated machine.
fn install_machine_facts(machine: MachineId) {
    world::with(|w| {
        let (cpus, memory) = (w.machine(machine).cpus, w.machine(machine).memory_mib);
        let mut cpuinfo = String::new();
        for cpu in 0..cpus {
            write!(cpuinfo, "processor\t: {cpu}\nphysical id\t: 0\ncore id\t: {cpu}\n\n")
                .expect("writing to a string cannot fail");
        }
        let kib = memory * 1024;
        let meminfo = format!("MemTotal: {kib} kB\nMemFree: {kib} kB\nMemAvailable: {kib} kB\n");
        let disk = &mut w.machine_mut(machine).disk;
        for (path, text) in [("/proc/cpuinfo", cpuinfo), ("/proc/meminfo", meminfo)] {
            disk.install(PathBuf::from(path).as_path(), text.as_bytes())
                .expect("a new disk has room for small files");
        }
    });
}

/// Starts all daemons.
pub(super) fn start<X: Engine>(scenario: &Scenario, cluster: &Rc<Cluster>, rng: &mut Rng) {
    let conf = slurm_conf(scenario, cluster);
    let flurm_conf = flurm_conf(scenario, rng);
    for machine in &cluster.controllers {
        let path = PathBuf::from(FLURM_CONF);
        world::with(|w| w.machine_mut(*machine).disk.install(&path, flurm_conf.as_bytes()))
            .expect("a new disk has room for a configuration");
    }
    let others_conf = scenario.cluster.flurm_conf.join("\n") + "\n";
    for machine in cluster.machines() {
        let path = PathBuf::from(CONF);
        world::with(|w| {
            let disk = &mut w.machine_mut(machine).disk;
            disk.install(&path, conf.as_bytes())?;
            disk.install(&path.with_file_name("slurm.key"), SLURM_KEY)
        })
        .expect("a new disk has room for a configuration");
        if !scenario.cluster.flurm_conf.is_empty() && !cluster.controllers.contains(&machine) {
            let path = PathBuf::from(CONF).with_file_name("flurm.conf");
            world::with(|w| w.machine_mut(machine).disk.install(&path, others_conf.as_bytes()))
                .expect("a new disk has room for a configuration");
        }
        if !scenario.cluster.gres_conf.is_empty() {
            let text = scenario.cluster.gres_conf.join("\n") + "\n";
            let path = PathBuf::from(CONF).with_file_name("gres.conf");
            world::with(|w| w.machine_mut(machine).disk.install(&path, text.as_bytes()))
                .expect("a new disk has room for a configuration");
        }
        install_machine_facts(machine);
    }
    let agreement = scenario.cluster.consensus;
    world::with(|w| w.set_programs(Rc::new(program::<X>)));
    for machine in &cluster.controllers {
        let make = move |place: Place| -> TaskFuture {
            let env = SimEnv::<X>::new(place);
            Box::pin(async move {
                let own = Identity { uid: SLURM.0, gid: SLURM.1 }.into();
                let conf = PathBuf::from(CONF);
                let bell = flurm_host::Bell::default();
                let options = controller::Options { conf, host: None, own, bell };
                let never = std::future::pending();
                let ended = match agreement {
                    Agreement::Full => {
                        controller::run_over(env, options, Tap(Replicated), never).await
                    }
                    Agreement::Light => controller::run_over(env, options, Tap(Light), never).await,
                };
                told("flurmctld", ended);
            })
        };
        cluster.add(*machine, CONTROLLER, SLURM, Rc::new(make));
    }
    for machine in &cluster.nodes {
        let make = |place: Place| -> TaskFuture {
            let env = SimEnv::<X>::new(place);
            Box::pin(async move {
                let options = node::Options {
                    conf: PathBuf::from(CONF),
                    node_name: None,
                    stepd: PathBuf::from("/usr/sbin/flurmstepd"),
                    own: Identity { uid: 0, gid: 0 }.into(),
                    bell: flurm_host::Bell::default(),
                };
                told("flurmd", node::run(env, options, std::future::pending()).await);
            })
        };
        cluster.add(*machine, NODE, (0, 0), Rc::new(make));
    }
}

/// A daemon that ends says why in its log.
fn told(daemon: &str, ended: Result<(), String>) {
    if let Err(reason) = ended {
        tracing::error!("{daemon} ended: {reason}");
    }
}

/// The step daemon, when a node daemon starts it.
fn program<X: Engine>(start: &Start) -> Option<TaskFuture> {
    let argument = |name: &str| {
        let at = start.spawn.argv.iter().position(|word| word == name)?;
        start.spawn.argv.get(at + 1).map(PathBuf::from)
    };
    let (folder, conf) = (argument("--folder")?, argument("-f")?);
    let env = SimEnv::<X>::new(Place { machine: start.machine, process: start.key });
    Some(Box::pin(async move {
        let options = stepd::Options { conf, folder, own: Identity { uid: 0, gid: 0 }.into() };
        told("flurmstepd", stepd::run(env, options).await);
    }))
}
