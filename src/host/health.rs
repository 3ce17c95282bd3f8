//! Whether nodes answer. Judged by the leader alone, and only by time in which it led: what a node
//! did while there was no leader is nobody's evidence.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flurm_base::Span;
use flurm_base::knob::Knob;
use flurm_ctld::Silence;
use flurm_model::{Command, NodeBase, NodeName};
use flurm_rt::{AsyncRuntime, Clock, Env};
use flurm_wire::Message;
use flurm_wire::messages::PingSlurmd;

use crate::controller::Controller;
use crate::launcher::ask;
use crate::task::detach;

/// Nodes asked at the same time.
static ASKED_MAX: Knob<usize> = Knob::new("host.health.asked_max", 64, 1, 256);
/// Shortest round of pings.
static ROUND_MIN: Knob<Span> =
    Knob::new("host.health.round_min", Span::millis(500), Span::millis(50), Span::secs(2));
/// Every so many rounds a node is asked for everything it has, not only whether it lives: whatever was
/// missed before is noticed then.
static WHOLE_EVERY: Knob<u64> = Knob::new("host.health.whole_every", 10, 1, 40);
/// Longest round of pings.
const ROUND_MAX: Span = Span::secs(100);

/// What this leader has heard of nodes.
pub(crate) type Health = Silence;

/// A node has answered.
pub(crate) fn heard<E: Env>(controller: &Controller<E>, node: &NodeName) {
    let now = clock_now(controller);
    lock(controller.health()).heard(now, node);
}

/// Watches over the nodes for one term.
pub(crate) fn begin<E: Env>(controller: &Controller<E>, term: u64) {
    *lock(controller.health()) = Silence::new(term, clock_now(controller));
    let controller = controller.clone();
    detach::<E>(async move { watch_over(&controller, term).await });
}

async fn watch_over<E: Env>(controller: &Controller<E>, term: u64) {
    let silence_max = controller.setup().slurmd_timeout();
    let round = Span(silence_max.0 / 3).clamp(ROUND_MIN.get(), ROUND_MAX);
    if flurm_base::planted::is("host_takes_nodes_of_a_new_leader_for_silent") {
        *lock(controller.health()) = Silence::new(term, Span(0));
        judge(controller, term, silence_max).await;
        *lock(controller.health()) = Silence::new(term, clock_now(controller));
    }
    let mut rounds: u64 = 0;
    while controller.leading() == Some(term) {
        let nodes: Vec<(NodeName, bool)> = {
            let replica = controller.replica();
            let nodes = replica.cluster().nodes().filter(|node| node.base != NodeBase::Future);
            nodes.map(|node| (node.conf.name.clone(), node.is_responding())).collect()
        };
        for group in nodes.chunks(ASKED_MAX.get()) {
            let asked: Vec<_> = group
                .iter()
                .map(|(node, responding)| {
                    let whole = rounds.is_multiple_of(WHOLE_EVERY.get()) || !responding;
                    E::Rt::spawn(look(controller.clone(), term, node.clone(), whole))
                })
                .collect();
            for task in asked {
                let _ = task.await;
            }
        }
        judge(controller, term, silence_max).await;
        rounds += 1;
        E::Rt::sleep(pause(round)).await;
    }
}

/// The leader's own time, which no clock adjustment moves.
fn clock_now<E: Env>(controller: &Controller<E>) -> Span {
    let clock = controller.env().clock();
    if flurm_base::planted::is("host_judges_silence_by_the_wall_clock") {
        return Span(u64::try_from(clock.wall().0).unwrap_or(0));
    }
    clock.monotonic()
}

fn pause(round: Span) -> Duration {
    round.duration()
}

/// Asks one node whether it lives; a new leader and a node that was silent exchange everything.
async fn look<E: Env>(controller: Controller<E>, term: u64, node: NodeName, whole: bool) {
    let request = if whole { Message::RequestNodeRegistrationStatus } else { Message::RequestPing };
    let Ok(reply) = ask(&controller, &node, &request).await else { return };
    let Message::ResponsePingSlurmd(ping) = reply else { return };
    if controller.leading() != Some(term) {
        return;
    }
    if !is_news(&controller, &node, &ping) {
        return;
    }
    let at = controller.env().clock().wall();
    let (cpu_load, free_memory_mb) = (Some(ping.cpu_load), Some(ping.free_mem));
    let command = Command::NodeResponding { at, node, cpu_load, free_memory_mb };
    if let Err(error) = controller.propose(&command).await {
        tracing::debug!("a node's answer was not committed: {error:?}");
    }
}

/// Whether a node's answer says anything that the replicated state does not: an idle node that goes on
/// as before costs no commit.
fn is_news<E: Env>(controller: &Controller<E>, node: &NodeName, ping: &PingSlurmd) -> bool {
    let replica = controller.replica();
    let Some(known) = replica.cluster().node(node.as_str()) else { return false };
    let facts = known.facts.as_ref();
    let load = facts.and_then(|facts| facts.cpu_load);
    let memory = facts.and_then(|facts| facts.free_memory_mb);
    !known.is_responding() || load != Some(ping.cpu_load) || memory != Some(ping.free_mem)
}

/// Says of nodes that they are silent, where they are.
async fn judge<E: Env>(controller: &Controller<E>, term: u64, silence_max: Span) {
    let now = clock_now(controller);
    let suspects: Vec<Command> = {
        let at = controller.env().clock().wall();
        let health = lock(controller.health());
        if health.term() != term {
            return;
        }
        health.judge(controller.replica().cluster(), now, silence_max, at)
    };
    for command in suspects {
        flurm_base::sometimes!("a node was judged for its silence");
        if controller.leading() != Some(term) || controller.propose(&command).await.is_err() {
            return;
        }
    }
}

fn lock(health: &Mutex<Health>) -> std::sync::MutexGuard<'_, Health> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}
