//! A member of the cluster, as the host programs against it.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, RwLock};

use flurm_base::Span;
use flurm_rt::Env;

use crate::config::Config;
use crate::error::{ForwardError, ProposeError, ReadError, StartError};
use crate::handshake::Handshake;
use crate::machine::StateMachine;
use crate::status::{Leader, Status, StatusWatch};

/// What a committed command brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Index of its entry.
    pub index: u64,
    /// Term of its entry.
    pub term: u64,
    /// What [`StateMachine::apply`] returned.
    pub bytes: Vec<u8>,
}

/// A running member of the cluster. Clones are the same member.
pub struct Node<E: Env, S: StateMachine> {
    env: PhantomData<(E, S)>,
}

impl<E: Env, S: StateMachine> Clone for Node<E, S> {
    fn clone(&self) -> Self {
        todo!()
    }
}

impl<E: Env, S: StateMachine> Node<E, S> {
    /// Opens the data folder, restores the state machine, listens on the Raft port and takes part.
    ///
    /// A cluster starts its life once, when every member of the configuration has answered that it
    /// holds nothing yet; a restart never starts it again, and a member whose folder was lost gets
    /// everything from the leader and has no vote until it has.
    pub async fn start<H: Handshake>(
        env: E,
        config: Config,
        machine: Arc<RwLock<S>>,
        handshake: H,
    ) -> Result<Self, StartError> {
        let _ = (env, config, machine, handshake);
        todo!()
    }

    /// Proposes a command and waits until it is committed and applied here.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Reply, ProposeError> {
        let _ = command;
        todo!()
    }

    /// Makes a read from the state machine linearizable: confirms with a majority that this member
    /// leads, waits until everything committed before the call is applied, and returns the index
    /// up to which it is.
    pub async fn read_barrier(&self) -> Result<u64, ReadError> {
        todo!()
    }

    /// The leader, as far as known here.
    pub fn leader(&self) -> Option<Leader> {
        todo!()
    }

    /// The newest status.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// Follows the status.
    pub fn watch(&self) -> StatusWatch<E> {
        todo!()
    }

    /// Index of the last applied entry, 0 when there is none.
    pub fn applied_index(&self) -> u64 {
        todo!()
    }

    /// Says who answers requests that other members forward here. Until then they are refused.
    pub fn on_forward<F, Fut>(&self, handler: F)
    where
        F: Fn(u64, Vec<u8>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<u8>> + Send + 'static,
    {
        let _ = handler;
        todo!()
    }

    /// Sends a request to another member's forward handler and waits for the answer.
    pub async fn forward(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Result<Vec<u8>, ForwardError> {
        let _ = (peer, request, wait);
        todo!()
    }

    /// Stops taking part, writes out what is pending and closes the files. Idempotent.
    pub async fn shutdown(&self) {
        todo!()
    }
}
