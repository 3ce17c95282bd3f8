//! Systems under test: what runs on the controllers and nodes of a world, and how clients talk to
//! it.

mod flurm;
pub mod log;
mod slurm_client;

use std::rc::Rc;

use flurm_base::Rng;

use self::slurm_client::SlurmClient;
use crate::cluster::{Cluster, MUNGED};
use crate::scenario::{Agreement, Scenario, System};
use crate::workload::{self, ClientApi, Submitting, WorkloadSpec};
use crate::world::env::{Engine, Place, SimEnv};
use crate::world::process::{self, ProcKey};
use crate::world::{self, MachineId, TaskFuture, munged};

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
fn add_munged<X: Engine>(cluster: &Cluster, machine: MachineId, key: u64) {
    let make = move |place: Place| -> TaskFuture {
        Box::pin(async move {
            // munged ends with its process only; an error is a second munged on the same socket.
            let ended = munged::run(SimEnv::<X>::new(place), key).await;
            assert!(ended.is_ok(), "munged could not start: {ended:?}");
        })
    };
    cluster.add(machine, MUNGED, (0, 0), Rc::new(make));
}

/// Starts the system of a scenario.
pub fn start<X: Engine>(scenario: &Scenario, cluster: &Rc<Cluster>, rng: &Rng) {
    let key = rng.child("munge key").next_u64();
    for machine in cluster.machines() {
        add_munged::<X>(cluster, machine, key);
    }
    if scenario.cluster.consensus == Agreement::Light {
        crate::light::begin(rng.child("light"), cluster.peer_port);
    }
    match scenario.cluster.system {
        System::Log => log::start::<X>(scenario, cluster),
        System::Flurm => flurm::start::<X>(scenario, cluster),
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

fn clients_with<X: Engine, C: ClientApi>(
    scenario: &Scenario,
    cluster: &Rc<Cluster>,
    rng: &Rng,
    make: impl Fn(SimEnv<X>, u32, u32) -> C + Copy + Send + 'static,
) -> Vec<ProcKey> {
    let users = world::with(|w| w.users.ordinary());
    let login = |number: u32| cluster.logins[number as usize % cluster.logins.len()];
    let mut working = Vec::new();
    let mut number = 0;
    for (index, workload) in scenario.workload.iter().enumerate() {
        let mut rng = rng.child_at("workload", index as u64);
        match workload.clone() {
            WorkloadSpec::SubmitWithRetry {
                clients,
                jobs,
                pause,
                run,
                cpus,
                stubborn_percent,
                failing_percent,
                cancel_percent,
            } => {
                let jobs = jobs.draw(&mut rng);
                for nth in 0..u64::from(clients) {
                    let share =
                        jobs / u64::from(clients) + u64::from(nth < jobs % u64::from(clients));
                    let what = Submitting {
                        client: number,
                        jobs: share,
                        pause,
                        run,
                        cpus,
                        stubborn_percent,
                        failing_percent,
                        cancel_percent,
                    };
                    let rng = rng.child_at("client", nth);
                    let uid = users[number as usize % users.len()];
                    let client = number;
                    working.push(start_client::<X, _>(login(number), "sbatch", uid, |env| {
                        workload::submit_with_retry(env.clone(), make(env, client, uid), what, rng)
                    }));
                    number += 1;
                }
            }
            WorkloadSpec::ReadQueue { clients, pause } => {
                for nth in 0..u64::from(clients) {
                    let rng = rng.child_at("client", nth);
                    let uid = users[number as usize % users.len()];
                    let client = number;
                    start_client::<X, _>(login(number), "squeue", uid, |env| {
                        workload::observe(env.clone(), make(env, client, uid), client, pause, rng)
                    });
                    number += 1;
                }
            }
        }
    }
    let pause = crate::scenario::SpanRange::secs(2, 4);
    let rng = rng.child("observer");
    start_client::<X, _>(login(0), "observer", 0, |env| {
        workload::observe(env.clone(), make(env, OBSERVER, 0), OBSERVER, pause, rng)
    });
    working
}
