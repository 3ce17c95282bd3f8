//! The seam between a host and whoever orders its commands.
//!
//! A host knows [`OrderedLog`] only. In production that is a [`Node`]; a simulation may order
//! commands by other means, as long as it promises what [`crate`] promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, RwLock};

use flurm_base::Span;
use flurm_rt::Env;

use crate::config::Config;
use crate::error::{ForwardError, ProposeError, ReadError, StartError};
use crate::handshake::Handshake;
use crate::machine::StateMachine;
use crate::node::{Node, Reply};
use crate::server::ForwardHandler;
use crate::status::{Leader, Status, StatusWatch};

/// An answer that is waited for.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An ordered log of opaque commands, as one member of its cluster sees it.
///
/// An object rather than a type parameter: each call waits for disks and peers, so its indirection
/// costs nothing, and every component that uses a log stays generic over [`Env`] alone.
pub trait OrderedLog<E: Env>: Send + Sync + 'static {
    /// Proposes a command and waits until it is committed and applied here.
    fn propose(&self, command: Vec<u8>) -> Pending<'_, Result<Reply, ProposeError>>;

    /// Waits until a read from the state machine is linearizable; the index up to which it is.
    fn read_barrier(&self) -> Pending<'_, Result<u64, ReadError>>;

    /// The leader, as far as known here.
    fn leader(&self) -> Option<Leader>;

    /// The newest status.
    fn status(&self) -> Status;

    /// The term this member leads, once it has applied all that earlier leaders acknowledged.
    fn leading(&self) -> Option<u64>;

    /// Follows the status.
    fn watch(&self) -> StatusWatch<E>;

    /// Says who answers requests that other members forward here. Until then they are refused.
    fn on_forward(&self, handler: ForwardHandler);

    /// Sends a request to another member's forward handler and waits for the answer.
    fn forward(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Pending<'_, Result<Vec<u8>, ForwardError>>;

    /// Stops taking part. Idempotent.
    fn shutdown(&self) -> Pending<'_, ()>;
}

/// A way to agree: makes this process a member.
pub trait Consensus<E: Env>: Send + Sync + 'static {
    /// Restores the state machine (which must be in its first state) and takes part.
    fn start<S: StateMachine, H: Handshake>(
        &self,
        env: E,
        config: Config,
        machine: Arc<RwLock<S>>,
        handshake: H,
    ) -> impl Future<Output = Result<Arc<dyn OrderedLog<E>>, StartError>> + Send;
}

/// Agrees by Raft, among the members of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Replicated;

impl<E: Env> Consensus<E> for Replicated {
    async fn start<S: StateMachine, H: Handshake>(
        &self,
        env: E,
        config: Config,
        machine: Arc<RwLock<S>>,
        handshake: H,
    ) -> Result<Arc<dyn OrderedLog<E>>, StartError> {
        let node = Node::start(env, config, machine, handshake).await?;
        Ok(Arc::new(node))
    }
}

impl<E: Env, S: StateMachine> OrderedLog<E> for Node<E, S> {
    fn propose(&self, command: Vec<u8>) -> Pending<'_, Result<Reply, ProposeError>> {
        Box::pin(Node::propose(self, command))
    }

    fn read_barrier(&self) -> Pending<'_, Result<u64, ReadError>> {
        Box::pin(Node::read_barrier(self))
    }

    fn leader(&self) -> Option<Leader> {
        Node::leader(self)
    }

    fn status(&self) -> Status {
        Node::status(self)
    }

    fn leading(&self) -> Option<u64> {
        Node::leading(self)
    }

    fn watch(&self) -> StatusWatch<E> {
        Node::watch(self)
    }

    fn on_forward(&self, handler: ForwardHandler) {
        self.set_forward_handler(handler);
    }

    fn forward(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Pending<'_, Result<Vec<u8>, ForwardError>> {
        Box::pin(Node::forward(self, peer, request, wait))
    }

    fn shutdown(&self) -> Pending<'_, ()> {
        Box::pin(Node::shutdown(self))
    }
}
