//! madsim as a judge: its executor, its timers, its network.
//!
//! Its network knows neither per-link delay nor loss, and closes a killed machine's connections at
//! once; cuts are told to it link by link.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use madsim::net::{Endpoint, NetSim};
use madsim::runtime::{NodeHandle, Runtime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::judge::{self, GroupLauncher, JudgeNet, JudgeRt, Kernel};
use crate::world::env::{Engine, Place};
use crate::world::{self, LocalFuture, MachineId, Nanos, TaskFuture, World};

/// The judge.
#[derive(Debug)]
pub struct Madsim;

thread_local! {
    static NODES: RefCell<Vec<NodeHandle>> = const { RefCell::new(Vec::new()) };
}

/// A byte stream over madsim's reliable channel.
pub struct Stream1 {
    sender: Option<madsim::net::Sender>,
    receiver: madsim::net::Receiver,
    rest: Vec<u8>,
}

impl AsyncRead for Stream1 {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if own.rest.is_empty() {
            match Pin::new(&mut own.receiver).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Ok(payload))) => {
                    let bytes = payload.downcast::<Vec<u8>>();
                    own.rest = *bytes.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                }
            }
        }
        let count = own.rest.len().min(buffer.remaining());
        buffer.put_slice(&own.rest[..count]);
        own.rest.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream1 {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(sender) = &self.sender else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let send = std::pin::pin!(sender.send(Box::new(bytes.to_vec())));
        send.poll(cx).map_ok(|()| bytes.len())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().sender = None;
        Poll::Ready(Ok(()))
    }
}

impl Kernel for Madsim {
    type Sleep = madsim::time::Sleep;
    type Stream = Stream1;
    type Socket = Endpoint;

    fn spawn(machine: MachineId, task: TaskFuture) {
        let node = NODES.with_borrow(|nodes| nodes[machine.0 as usize].clone());
        // The handle is dropped: the task runs on.
        drop(node.spawn(task));
    }

    fn sleep(span: Duration) -> madsim::time::Sleep {
        madsim::time::sleep(span)
    }

    fn now() -> Nanos {
        let elapsed = madsim::time::TimeHandle::try_current().map(|handle| handle.elapsed());
        elapsed.map_or(0, |elapsed| u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    async fn listen(machine: MachineId, port: u16) -> io::Result<(Endpoint, SocketAddr)> {
        let ip = world::with(|w| w.machine(machine).ip);
        let endpoint = Endpoint::bind(SocketAddr::new(ip, port)).await?;
        let addr = endpoint.local_addr()?;
        Ok((endpoint, addr))
    }

    async fn accept(socket: &mut Endpoint) -> io::Result<(Stream1, SocketAddr)> {
        let (sender, receiver, addr) = socket.accept1().await?;
        Ok((Stream1 { sender: Some(sender), receiver, rest: Vec::new() }, addr))
    }

    async fn connect(machine: MachineId, addr: SocketAddr) -> io::Result<Stream1> {
        let ip = world::with(|w| w.machine(machine).ip);
        let endpoint = Endpoint::bind(SocketAddr::new(ip, 0)).await?;
        let (sender, receiver) = endpoint.connect1(addr).await?;
        Ok(Stream1 { sender: Some(sender), receiver, rest: Vec::new() })
    }
}

impl Engine for Madsim {
    const NAME: &'static str = "madsim";
    type Rt = JudgeRt<Self>;
    type Net = JudgeNet<Self>;

    fn net(place: Place) -> JudgeNet<Self> {
        JudgeNet::new(place)
    }

    fn run<T: 'static>(
        mut world: World,
        main: impl FnOnce() -> LocalFuture<T> + 'static,
    ) -> (World, Result<T, String>) {
        let seed = world.seed();
        let ips: Vec<(String, IpAddr)> =
            world.machines.iter().map(|machine| (machine.name.clone(), machine.ip)).collect();
        let mut config = madsim::Config::default();
        let latency = world.net.latency;
        config.net.send_latency = Duration::from_nanos(latency.min)
            ..Duration::from_nanos(latency.max.max(latency.min + 1));
        world.set_launcher(Rc::new(GroupLauncher::<Self>(PhantomData)));
        world.follow_clock(<Self as Kernel>::now);
        world.set_link_hook(Rc::new(|source, target, link| {
            let id = |machine: MachineId| NODES.with_borrow(|n| n[machine.0 as usize].id());
            let (source, target) = (id(source), id(target));
            let net = NetSim::current();
            if link.cut {
                net.clog_link(source, target);
            } else {
                net.unclog_link(source, target);
            }
        }));
        world::install(world);
        let result = super::guarded(|| {
            let runtime = Runtime::with_seed_and_config(seed, config);
            for (name, ip) in ips {
                let node = runtime.create_node().name(name).ip(ip).build();
                NODES.with_borrow_mut(|nodes| nodes.push(node));
            }
            let result = runtime.block_on(async move {
                let main = std::pin::pin!(main());
                let pump = std::pin::pin!(world::pump(<Self as Kernel>::sleep));
                match first_of(main, pump).await {
                    Some(value) => value,
                    None => unreachable!("the pump never ends"),
                }
            });
            judge::clear();
            NODES.with_borrow_mut(Vec::clear);
            result
        });
        judge::clear();
        NODES.with_borrow_mut(Vec::clear);
        let panic = judge::first_panic();
        let world = world::remove().expect("it was installed above");
        (world, panic.map_or(result, Err))
    }
}

/// Waits for the first future; the second is polled beside it.
pub(super) async fn first_of<T>(
    mut main: Pin<&mut impl Future<Output = T>>,
    mut beside: Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = main.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        beside.as_mut().poll(cx).map(|()| None)
    })
    .await
}
