//! What operators do all day: hold and release jobs, requeue and update them, drain nodes and put
//! them back, reconfigure, and make partitions and take them away.

use serde::Deserialize;

use super::{Heard, Seat, Workload, one_client};
use crate::scenario::{CountRange, SpanRange};
use crate::system::CONF;
use crate::world::history::{Answer, Order, SeenJob, SeenNode};
use crate::world::{self, MachineId, TaskFuture, net};

fn pause() -> SpanRange {
    SpanRange::micros(200_000, 4_000_000)
}

/// Orders that an operator may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Does {
    /// Holds a waiting job, and releases it later.
    Hold,
    /// Requeues a running job.
    Requeue,
    /// Changes a waiting job's priority.
    Priority,
    /// Changes a job's time limit.
    TimeLimit,
    /// Drains a node, and resumes it later.
    Drain,
    /// Reserves a node for nobody, and gives it back later.
    Reserve,
    /// Reads the configuration files again.
    Reconfigure,
    /// Makes a partition, and takes it away later.
    Partition,
    /// Asks another controller to take over.
    Takeover,
    /// Sets a node DOWN that was seen to have no power, and resumes it later.
    BuryTheDead,
    /// Sets a node DOWN that answers and that every controller reaches, and resumes it later.
    TakeDown,
    /// Sets a node DOWN that does not answer and that has power, wrongly, and resumes it later.
    BuryTheLiving,
    /// Takes the last node out of the configuration, and puts it back later.
    RemoveNode,
}

fn everything() -> Vec<Does> {
    use Does::{Drain, Hold, Partition, Priority, Reconfigure, Requeue, TimeLimit};
    vec![Hold, Requeue, Priority, TimeLimit, Drain, Reconfigure, Partition]
}

/// An operator at work.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operate {
    /// How many operators.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many orders they give together.
    orders: CountRange,
    /// Wait between two orders.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// Which orders.
    #[serde(default = "everything")]
    does: Vec<Does>,
}

/// Base states of Slurm's protocol.
const PENDING: u32 = 0;
const RUNNING: u32 = 1;
/// The flag of a node that does not answer.
const NO_RESPOND: u32 = 1 << 11;
/// Longest time limit that is set, minutes.
const LIMIT_MAX_MIN: u64 = 600;

/// What takes back something done earlier.
enum Undo {
    Order(Order),
    /// The configuration as it was.
    Conf(String),
}

struct Operator {
    seat: Seat,
    later: Vec<Undo>,
    made: u32,
}

/// Whether a machine has power, if there is one.
fn is_up(name: &str) -> Option<bool> {
    world::with(|w| Some(w.machine(w.machine_named(name)?).up))
}

/// Whether every controller can talk to a node.
fn reached_by_all(node: &str) -> bool {
    world::with(|w| {
        let Some(node) = w.machine_named(node) else { return false };
        let is_controller = |machine: &world::Machine| machine.name.starts_with("ctl");
        let ids = (0..).map(MachineId).zip(&w.machines);
        let mut controllers = ids.filter(|(_, machine)| is_controller(machine)).map(|(id, _)| id);
        w.machine(node).up && controllers.all(|id| net::passes_both_ways(w, id, node))
    })
}

/// The configuration on the disk of the first machine.
fn conf() -> Option<String> {
    let bytes = world::with(|w| w.machines.first_mut()?.disk.peek(CONF.as_ref()).ok())?;
    String::from_utf8(bytes).ok()
}

/// Puts a configuration onto every machine.
fn spread(text: &str) {
    world::with(|w| {
        for machine in &mut w.machines {
            let installed = machine.disk.install(CONF.as_ref(), text.as_bytes());
            installed.expect("an administrator's copy has room");
        }
    });
}

/// A configuration without its last node; `None` when there is only one, or when another operator
/// has taken one out: whoever puts back what he found would take that one out for good.
fn without_last_node(text: &str) -> Option<String> {
    let nodes = text.lines().filter(|line| line.starts_with("NodeName=")).count();
    let taken_out = format!("n{}", nodes + 1);
    if nodes < 2 || world::with(|w| w.machine_named(&taken_out).is_some()) {
        return None;
    }
    let last = format!("NodeName=n{nodes} ");
    let kept = text.lines().filter(|line| !line.starts_with(&last));
    let (all, fewer) = (format!("Nodes=n[1-{nodes}]"), format!("Nodes=n[1-{}]", nodes - 1));
    Some(kept.map(|line| line.replace(&all, &fewer) + "\n").collect())
}

impl Operator {
    async fn job_in(&mut self, state: u32) -> Option<SeenJob> {
        let Heard::Answer(jobs) = self.seat.api.list().await else { return None };
        let fit: Vec<SeenJob> = jobs.into_iter().filter(|job| job.state == state).collect();
        self.seat.rng.pick(&fit).cloned()
    }

    async fn node(&mut self) -> Option<String> {
        let Heard::Answer(nodes) = self.seat.api.nodes().await else { return None };
        self.seat.rng.pick(&nodes).map(|node| node.name.clone())
    }

    /// A fit one of the nodes that are silent, or that answer.
    async fn node_that(&mut self, silent: bool, fit: fn(&str) -> bool) -> Option<String> {
        let Heard::Answer(nodes) = self.seat.api.nodes().await else { return None };
        let is_one = |node: &&SeenNode| (node.state & NO_RESPOND != 0) == silent && fit(&node.name);
        let nodes: Vec<&SeenNode> = nodes.iter().filter(is_one).collect();
        Some(self.seat.rng.pick(&nodes)?.name.clone())
    }

    async fn act(&mut self, does: Does) -> Option<()> {
        let (order, undo) = match does {
            Does::RemoveNode => {
                let before = conf()?;
                if self.later.iter().any(|undo| matches!(undo, Undo::Conf(_))) {
                    return None;
                }
                spread(&without_last_node(&before)?);
                self.later.push(Undo::Conf(before));
                (Order::Reconfigure, None)
            }
            Does::BuryTheDead => {
                let node = self.node().await?;
                (!is_up(&node)?).then_some(())?;
                (Order::Down(node.clone()), Some(Order::Resume(node)))
            }
            Does::BuryTheLiving => {
                let node = self.node_that(true, |name| is_up(name) == Some(true)).await?;
                (Order::Down(node.clone()), Some(Order::Resume(node)))
            }
            Does::TakeDown => {
                let node = self.node_that(false, |_| true).await?;
                reached_by_all(&node).then_some(())?;
                (Order::Down(node.clone()), Some(Order::Resume(node)))
            }
            Does::Hold => {
                let job = self.job_in(PENDING).await?.job;
                (Order::Hold(job), Some(Order::Release(job)))
            }
            Does::Requeue => (Order::Requeue(self.job_in(RUNNING).await?.job), None),
            Does::Priority => {
                let job = self.job_in(PENDING).await?.job;
                let priority = self.seat.rng.range(1..=1_000_000) as u32;
                (Order::Priority(job, priority), None)
            }
            Does::TimeLimit => {
                let state = if self.seat.rng.chance(0.5) { PENDING } else { RUNNING };
                let job = self.job_in(state).await?.job;
                let minutes = self.seat.rng.range(LIMIT_MAX_MIN / 2..=LIMIT_MAX_MIN) as u32;
                (Order::TimeLimit(job, minutes), None)
            }
            Does::Drain => {
                let node = self.node().await?;
                (Order::Drain(node.clone()), Some(Order::Resume(node)))
            }
            Does::Reserve => {
                let node = self.node().await?;
                (Order::Reserve(node.clone()), Some(Order::Unreserve(node)))
            }
            Does::Reconfigure => (Order::Reconfigure, None),
            Does::Takeover => (Order::Takeover, None),
            Does::Partition => {
                self.made += 1;
                let name = format!("extra{}x{}", self.seat.client, self.made);
                (Order::CreatePartition(name.clone()), Some(Order::DeletePartition(name)))
            }
        };
        let answer = self.seat.order(order).await;
        if answer != Answer::None {
            flurm_base::sometimes!(answer == Answer::Done, "an operator's order was done");
        }
        self.later.extend(undo.map(Undo::Order));
        Some(())
    }

    async fn take_back(&mut self) {
        let nth = self.seat.rng.index(0..self.later.len());
        let order = match self.later.swap_remove(nth) {
            Undo::Order(order) => order,
            Undo::Conf(text) => {
                spread(&text);
                Order::Reconfigure
            }
        };
        // A refusal is fine: the job may be over by now.
        let _judged_from_the_history = self.seat.order(order).await;
    }
}

impl Workload for Operate {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn operates(&self) -> bool {
        true
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            let orders = seat.share(what.orders);
            let mut operator = Operator { seat, later: Vec::new(), made: 0 };
            for _ in 0..orders {
                operator.seat.pause(what.pause).await;
                if !operator.later.is_empty() && operator.seat.rng.chance(0.5) {
                    operator.take_back().await;
                    continue;
                }
                if let Some(does) = operator.seat.rng.pick(&what.does).copied() {
                    let _nothing_to_do_it_to = operator.act(does).await;
                }
            }
            while !operator.later.is_empty() {
                operator.take_back().await;
            }
        })
    }
}
