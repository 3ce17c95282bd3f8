//! Linearizable reads: one round of asking a majority serves everyone who asked before it began.

use flurm_base::Span;
use flurm_rt::{AsyncRuntime, Env, Mpsc, MpscReceiver, Oneshot, OneshotSender, TryRecvError};
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::linearizable_read::LinearizerOption;

use crate::error::ReadError;
use crate::link::{StopWatch, stopped};
use crate::machine::StateMachine;
use crate::server::Raft;

/// Reads waiting for the next round.
const WAITING_MAX: usize = 4096;

type Outcome = Result<u64, ReadError>;
type Promise<E> = <<<E as Env>::Rt as AsyncRuntime>::Oneshot as Oneshot>::Sender<Outcome>;
type Queue<E> = <<<E as Env>::Rt as AsyncRuntime>::Mpsc as Mpsc>::Receiver<Promise<E>>;
/// Where reads are asked for.
pub(crate) type Reads<E> = <<<E as Env>::Rt as AsyncRuntime>::Mpsc as Mpsc>::Sender<Promise<E>>;

/// Starts the task that confirms reads.
pub(crate) fn start<E: Env, S: StateMachine>(
    raft: Raft<E, S>,
    wait: Span,
    mut stop: StopWatch<E>,
) -> Reads<E> {
    let (sender, queue) = <E::Rt as AsyncRuntime>::Mpsc::channel(WAITING_MAX);
    drop(E::Rt::spawn(async move {
        let stopping = Box::pin(stopped::<E>(&mut stop));
        let serving = Box::pin(serve::<E, S>(raft, wait, queue));
        // Either way the queue is gone, which tells those who wait.
        E::Rt::select2(stopping, serving).await;
    }));
    sender
}

async fn serve<E: Env, S: StateMachine>(raft: Raft<E, S>, wait: Span, mut queue: Queue<E>) {
    while let Some(first) = queue.recv().await {
        let mut waiting = vec![first];
        while waiting.len() < WAITING_MAX {
            match queue.try_recv() {
                Ok(promise) => waiting.push(promise),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let round = Box::pin(confirm(&raft, wait));
        let outcome = match E::Rt::timeout(wait.duration(), round).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ReadError::NoQuorum),
        };
        for promise in waiting {
            // Whoever asked may have given up.
            drop(promise.send(outcome.clone()));
        }
    }
}

async fn confirm<E: Env, S: StateMachine>(raft: &Raft<E, S>, wait: Span) -> Outcome {
    let zero = std::time::Duration::ZERO;
    let option = LinearizerOption::new(Some(zero), true).with_wait_timeout(wait.duration());
    let linearizer = match raft.get_read_linearizer(option).await {
        Ok(linearizer) => linearizer,
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
            let leader = forward.leader_id.filter(|id| id != raft.node_id());
            return Err(ReadError::NotLeader { leader });
        }
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
            return Err(ReadError::NoQuorum);
        }
        Err(RaftError::Fatal(_)) => return Err(ReadError::Stopped),
    };
    match linearizer.await_ready(raft).await {
        Ok(state) => Ok(state.read_log_id().index()),
        Err(_) => Err(ReadError::Stopped),
    }
}
