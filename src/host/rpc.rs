//! One request to a Slurm daemon and its reply: what controllers, node daemons and step daemons ask
//! each other.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_rt::{Addr, AsyncRuntime, Env, Net};
use flurm_wire::messages::ReturnCode;
use flurm_wire::{Errno, Header, Message, Release, frame};

use crate::auth_cell::AuthCell;
use crate::frame_io::{read_frame, write_frame};

/// Connecting to a daemon may take this long (`TCPTimeout`'s default).
static CONNECT_MAX: Knob<Duration> = Knob::new(
    "host.rpc.connect_max",
    Duration::from_secs(2),
    Duration::from_millis(500),
    Duration::from_secs(5),
);

/// Why there is no reply.
#[derive(Debug)]
pub enum RpcError {
    /// The request was never sent: the peer has not acted on it.
    NotSent(String),
    /// The request was sent, and no reply came: the peer may have acted on it.
    NoReply(String),
}

impl std::fmt::Display for RpcError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(text) => write!(f, "not sent: {text}"),
            Self::NoReply(text) => write!(f, "no reply: {text}"),
        }
    }
}

impl std::error::Error for RpcError {}

/// Asks Slurm daemons.
#[derive(Clone)]
pub struct Rpc<E: Env> {
    env: E,
    auth: AuthCell<E>,
}

impl<E: Env> Rpc<E> {
    /// Signs with `auth`.
    pub(crate) fn new(env: E, auth: AuthCell<E>) -> Self {
        Self { env, auth }
    }

    /// Sends one request in the node protocol's release and waits for its reply.
    pub async fn call(
        &self,
        addr: SocketAddr,
        message: &Message,
        reader: u32,
        wait: Duration,
    ) -> Result<Message, RpcError> {
        self.call_in(Release::NEWEST, addr, message, reader, wait).await
    }

    /// The same in the release of a client that listens.
    pub async fn call_in(
        &self,
        release: Release,
        addr: SocketAddr,
        message: &Message,
        reader: u32,
        wait: Duration,
    ) -> Result<Message, RpcError> {
        let body = message.to_bytes(release);
        let msg_type = message.msg_type();
        let auth = self.auth.now().sign(release, msg_type, &body, reader).await;
        flurm_base::sometimes!(auth.is_err(), "a daemon could not sign a request");
        let auth = auth.map_err(|error| RpcError::NotSent(error.to_string()))?;
        let bytes = frame::build(Header::new(release, msg_type), Some(&auth), &body);
        let target = Addr::Ip(addr);
        let connect = self.env.net().connect(&target);
        let mut stream = match E::Rt::timeout(CONNECT_MAX.get(), connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(RpcError::NotSent(format!("{addr}: {error}"))),
            Err(_) => return Err(RpcError::NotSent(format!("{addr}: connection timed out"))),
        };
        let lost = |error: io::Error| RpcError::NoReply(format!("{addr}: {error}"));
        write_frame::<E, _>(&mut stream, &bytes, wait).await.map_err(lost)?;
        let reply = read_frame::<E, _>(&mut stream, wait).await;
        let reply = reply.map_err(|error| RpcError::NoReply(format!("{addr}: {error}")))?;
        let reply = frame::split(&reply)
            .map_err(|error| RpcError::NoReply(format!("{addr}: {error}")))?
            .message();
        reply.map_err(|error| RpcError::NoReply(format!("{addr}: {error}")))
    }
}

/// The number in a return code reply; an error for any other reply.
pub(crate) fn return_code(reply: &Message) -> Result<Errno, RpcError> {
    match reply {
        Message::ResponseSlurmRc(ReturnCode { return_code }) => Ok(Errno(*return_code)),
        Message::ResponseSlurmRcMsg(answer) => Ok(Errno(answer.return_code)),
        other => Err(RpcError::NoReply(format!("unexpected reply {}", other.name()))),
    }
}

/// The controllers of the cluster, as nodes see them.
#[derive(Clone)]
pub struct Controllers<E: Env> {
    rpc: Rpc<E>,
    addrs: Vec<SocketAddr>,
    /// uid that may open the requests.
    reader: u32,
    wait: Duration,
}

impl<E: Env> Controllers<E> {
    /// Controllers in the configuration's order.
    pub fn new(rpc: Rpc<E>, addrs: Vec<SocketAddr>, reader: u32, wait: Duration) -> Self {
        assert!(!addrs.is_empty(), "a cluster has at least one controller");
        Self { rpc, addrs, reader, wait }
    }

    /// Asks one controller after the other until one answers for the cluster. `first` is where to
    /// begin, and is moved to the one that answered.
    pub async fn ask(&self, message: &Message, first: &mut usize) -> Result<Message, RpcError> {
        let mut last = None;
        for step in 0..self.addrs.len() {
            let at = (*first + step) % self.addrs.len();
            match self.rpc.call(self.addrs[at], message, self.reader, self.wait).await {
                Ok(reply) if is_standby(&reply) => {
                    last = Some(RpcError::NotSent("controller in standby".into()));
                }
                Ok(reply) => {
                    *first = at;
                    return Ok(reply);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| RpcError::NotSent("no controller".into())))
    }
}

fn is_standby(reply: &Message) -> bool {
    let code = return_code(reply).unwrap_or(Errno::SLURM_SUCCESS);
    let waits = [
        Errno::ESLURM_IN_STANDBY_MODE,
        Errno::ESLURM_IN_STANDBY_USE_BACKUP,
        Errno::SLURMCTLD_COMMUNICATIONS_BACKOFF,
    ];
    waits.contains(&code)
}
