//! turmoil as a judge: tokio's own executor per machine, turmoil's timers and TCP.
//!
//! A segment that meets a cut link is lost for good and its connection never recovers, which no
//! other engine does.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::judge::{self, GroupLauncher, JudgeNet, JudgeRt, Kernel};
use super::madsim::first_of;
use crate::world::env::{Engine, Place};
use crate::world::{self, LocalFuture, MachineId, Nanos, TaskFuture, World};

/// Virtual time between two looks at a machine.
const TICK: Duration = Duration::from_millis(1);
/// No story is longer.
const STORY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Segments a connection holds.
const SEGMENTS_MAX: usize = 65_536;

/// The judge.
#[derive(Debug)]
pub struct Turmoil;

/// What a machine's agent does next.
enum Order {
    Start(TaskFuture),
    Drop(TaskFuture),
}

#[derive(Default)]
struct Queue {
    orders: VecDeque<Order>,
    agent: Option<Waker>,
}

thread_local! {
    static QUEUES: RefCell<BTreeMap<MachineId, Queue>> = const { RefCell::new(BTreeMap::new()) };
    static LAST: std::cell::Cell<Nanos> = const { std::cell::Cell::new(0) };
}

/// Starts and drops the tasks of a machine, for ever: sockets must be dropped where they live.
async fn agent(machine: MachineId) -> turmoil::Result {
    loop {
        let order = std::future::poll_fn(|cx| {
            QUEUES.with_borrow_mut(|queues| {
                let queue = queues.entry(machine).or_default();
                match queue.orders.pop_front() {
                    Some(order) => Poll::Ready(order),
                    None => {
                        queue.agent = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            })
        })
        .await;
        match order {
            // The handle is dropped: the task runs on.
            Order::Start(task) => drop(tokio::task::spawn(task)),
            Order::Drop(task) => drop(task),
        }
    }
}

fn order(machine: MachineId, order: Order) {
    let agent = QUEUES.with_borrow_mut(|queues| {
        let queue = queues.entry(machine).or_default();
        queue.orders.push_back(order);
        queue.agent.take()
    });
    if let Some(agent) = agent {
        agent.wake();
    }
}

impl Kernel for Turmoil {
    type Sleep = tokio::time::Sleep;
    type Stream = turmoil::net::TcpStream;
    type Socket = turmoil::net::TcpListener;

    fn spawn(machine: MachineId, task: TaskFuture) {
        order(machine, Order::Start(task));
    }

    fn discard(machine: MachineId, task: TaskFuture) {
        order(machine, Order::Drop(task));
    }

    fn sleep(span: Duration) -> tokio::time::Sleep {
        tokio::time::sleep(span)
    }

    fn now() -> Nanos {
        let elapsed = turmoil::sim_elapsed();
        let now = elapsed.map_or(0, |e| u64::try_from(e.as_nanos()).unwrap_or(u64::MAX));
        LAST.set(LAST.get().max(now));
        LAST.get()
    }

    async fn listen(
        _machine: MachineId,
        port: u16,
    ) -> io::Result<(turmoil::net::TcpListener, SocketAddr)> {
        let any = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port);
        let listener = turmoil::net::TcpListener::bind(any).await?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    }

    async fn accept(
        socket: &mut turmoil::net::TcpListener,
    ) -> io::Result<(turmoil::net::TcpStream, SocketAddr)> {
        socket.accept().await
    }

    async fn connect(_machine: MachineId, addr: SocketAddr) -> io::Result<turmoil::net::TcpStream> {
        turmoil::net::TcpStream::connect(addr).await
    }
}

impl Engine for Turmoil {
    const NAME: &'static str = "turmoil";
    type Rt = JudgeRt<Self>;
    type Net = JudgeNet<Self>;

    fn net(place: Place) -> JudgeNet<Self> {
        JudgeNet::new(place)
    }

    fn run<T: 'static>(
        mut world: World,
        main: impl FnOnce() -> LocalFuture<T> + 'static,
    ) -> (World, Result<T, String>) {
        let machines: Vec<IpAddr> = world.machines.iter().map(|machine| machine.ip).collect();
        let mut builder = turmoil::Builder::new();
        builder.simulation_duration(STORY_MAX).tick_duration(TICK).rng_seed(world.seed());
        builder.min_message_latency(Duration::from_nanos(world.net.latency.min));
        builder.max_message_latency(Duration::from_nanos(world.net.latency.max));
        builder.tcp_capacity(SEGMENTS_MAX).enable_random_order();
        let ips = machines.clone();
        world.set_launcher(Rc::new(GroupLauncher::<Self>(PhantomData)));
        world.follow_clock(<Self as Kernel>::now);
        world.set_link_hook(Rc::new(move |source, target, link| {
            let (source, target) = (ips[source.0 as usize], ips[target.0 as usize]);
            if link.cut {
                turmoil::partition_oneway(source, target);
            } else {
                turmoil::repair_oneway(source, target);
            }
        }));
        world::install(world);
        let outcome = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&outcome);
        let result = super::guarded(move || {
            let mut sim = builder.build();
            for (index, ip) in machines.iter().enumerate() {
                sim.host(*ip, move || agent(MachineId(index as u32)));
            }
            sim.client(IpAddr::from([10, 255, 0, 1]), async move {
                let main = std::pin::pin!(main());
                let pump = std::pin::pin!(world::pump(<Self as Kernel>::sleep));
                *slot.borrow_mut() = first_of(main, pump).await;
                Ok(())
            });
            let ended = sim.run().map_err(|error| error.to_string());
            judge::clear();
            ended
        });
        judge::clear();
        QUEUES.with_borrow_mut(BTreeMap::clear);
        LAST.set(0);
        let panic = judge::first_panic();
        let world = world::remove().expect("it was installed above");
        let value = outcome.borrow_mut().take();
        let result = match (panic, result, value) {
            (Some(text), _, _) | (None, Err(text) | Ok(Err(text)), _) => Err(text),
            (None, Ok(Ok(())), Some(value)) => Ok(value),
            (None, Ok(Ok(())), None) => Err("the story did not end".to_owned()),
        };
        (world, result)
    }
}
