//! Systems under test: what runs on the controllers and nodes of a world, and how clients talk to
//! it.

mod flurm;
pub mod log;
mod slurm_client;
mod srun;

use std::rc::Rc;

use flurm_base::Rng;

pub(crate) use self::flurm::CONF;
use self::slurm_client::SlurmClient;
use crate::cluster::{Cluster, MUNGED};
use crate::scenario::{Agreement, Scenario, System};
use crate::workload::{ClientApi, Seat, WorkloadSpec};
use crate::world::env::{Engine, Place, SimEnv};
use crate::world::process::{self, ProcKey};
use crate::world::{self, MachineId, TaskFuture, munged};
use flurm_rt::Env;

/// Starts a component on a client's machine.
fn start_client<X: Engine, F>(
    machine: MachineId,
    name: &str,
    uid: u32,
    body: impl FnOnce(SimEnv<X>) -> F,
) -> ProcKey
where
    F: Future<Output = ()> + Send + 'static,
{
    process::start_component(machine, name, (uid, uid), |process| -> TaskFuture {
        Box::pin(body(SimEnv::<X>::new(Place { machine, process })))
    })
}

/// Starts munged on a machine, and with each of its boots.
fn add_munged(cluster: &Cluster, machine: MachineId, key: u64) {
    let make = move |place: Place| -> TaskFuture {
        Box::pin(async move {
            // munged ends with its process only; an error is a second munged on the same socket.
            let ended = munged::run(place.machine, key).await;
            assert!(ended.is_ok(), "munged could not start: {ended:?}");
        })
    };
    cluster.add(machine, MUNGED, (0, 0), Rc::new(make));
}

/// Starts the system of a scenario.
pub fn start<X: Engine>(scenario: &Scenario, cluster: &Rc<Cluster>, rng: &Rng) {
    let key = rng.child("munge key").next_u64();
    for machine in cluster.machines() {
        add_munged(cluster, machine, key);
    }
    if scenario.cluster.consensus == Agreement::Light {
        crate::light::begin(rng.child("light"), cluster.peer_port);
    }
    match scenario.cluster.system {
        System::Log => log::start::<X>(scenario, cluster),
        System::Flurm => flurm::start::<X>(scenario, cluster, &mut rng.child("flurm.conf")),
    }
}

/// Starts the clients of a scenario; the processes that end when their work is done.
pub fn start_clients<X: Engine>(
    scenario: &Scenario,
    cluster: &Rc<Cluster>,
    rng: &Rng,
) -> Vec<ProcKey> {
    match scenario.cluster.system {
        System::Log => {
            let make = |env: SimEnv<X>, number, _uid| log::Client::new(env, number);
            clients_with::<X, _>(scenario, cluster, rng, make)
        }
        System::Flurm => clients_with::<X, _>(scenario, cluster, rng, SlurmClient::new),
    }
}

/// Numbers of clients that belong to no workload.
const OBSERVER: u32 = 1_000;

fn clients_with<X: Engine, C: ClientApi + 'static>(
    scenario: &Scenario,
    cluster: &Rc<Cluster>,
    rng: &Rng,
    make: impl Fn(SimEnv<X>, u32, u32) -> C + Copy + Send + 'static,
) -> Vec<ProcKey> {
    let users = world::with(|w| w.users.ordinary());
    let mut working = Vec::new();
    let mut number = 0;
    for (index, spec) in scenario.workload.iter().enumerate() {
        let rng = rng.child_at("workload", index as u64);
        let of = u64::from(spec.workload().clients());
        for nth in 0..of {
            let operates = spec.workload().operates();
            let uid = if operates { 0 } else { users[number as usize % users.len()] };
            let place = Sitter { client: number, nth, of, uid };
            let process = sit_down::<X, C>(cluster, spec, place, &rng, make);
            if spec.workload().ends() {
                working.push(process);
            }
            number += 1;
        }
    }
    let rng = rng.child("observer");
    let place = Sitter { client: OBSERVER, nth: 0, of: 1, uid: 0 };
    sit_down::<X, C>(cluster, &WorkloadSpec::observer(), place, &rng, make);
    working
}

/// Which client, and as whom.
#[derive(Clone, Copy)]
struct Sitter {
    client: u32,
    nth: u64,
    of: u64,
    uid: u32,
}

/// Starts one client of a workload on its machine.
fn sit_down<X: Engine, C: ClientApi + 'static>(
    cluster: &Rc<Cluster>,
    spec: &WorkloadSpec,
    who: Sitter,
    rng: &Rng,
    make: impl Fn(SimEnv<X>, u32, u32) -> C + Copy + Send + 'static,
) -> ProcKey {
    let Sitter { client, nth, of, uid } = who;
    let machine = cluster.logins[client as usize % cluster.logins.len()];
    start_client::<X, _>(machine, "client", uid, |env| {
        let lane = env.hostname();
        let api = Box::new(make(env, client, uid));
        let own = rng.child_at("client", nth);
        let seat = Seat { client, nth, of, lane, api, rng: own, shared: rng.clone() };
        spec.workload().start(seat)
    })
}
