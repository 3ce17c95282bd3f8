//! What is seen of leaders and of the log: which member applied what, believed to lead which term,
//! had a proposal answered, and answered a read. Given to a model checker, which judges it by
//! `tla/Failover/FailoverHistory.tla`.

use std::sync::Arc;

use flurm_base::Span;
use flurm_raft::{
    ForwardError, ForwardHandler, Leader, OrderedLog, Pending, ProposeError, ReadError, Reply,
    Status, StatusWatch,
};
use flurm_rt::Env;
use flurm_tla::LogSeen;

use crate::steps::seen;

/// A member's log with whatever crosses it watched.
pub(crate) struct WatchedLog<E: Env> {
    member: u64,
    log: Arc<dyn OrderedLog<E>>,
}

impl<E: Env> WatchedLog<E> {
    pub(crate) fn new(member: u64, log: Arc<dyn OrderedLog<E>>) -> Self {
        Self { member, log }
    }

    /// Notes the term that this member believes to lead.
    fn note_belief(&self, leader: Option<Leader>) {
        if let Some(leader) = leader.filter(|leader| leader.id == self.member) {
            seen(LogSeen::Leads { member: self.member, term: leader.term });
        }
    }
}

impl<E: Env> OrderedLog<E> for WatchedLog<E> {
    fn propose(&self, command: Vec<u8>) -> Pending<'_, Result<Reply, ProposeError>> {
        self.note_belief(self.log.leader());
        Box::pin(async move {
            let answer = self.log.propose(command).await;
            if let Ok(reply) = &answer {
                seen(LogSeen::Acknowledged { member: self.member, index: reply.index });
            }
            answer
        })
    }

    fn read_barrier(&self) -> Pending<'_, Result<u64, ReadError>> {
        self.note_belief(self.log.leader());
        let read = seen(LogSeen::Asked { member: self.member });
        Box::pin(async move {
            let answer = self.log.read_barrier().await;
            if let (Ok(index), Some(read)) = (&answer, read) {
                let index = self.log.status().applied.unwrap_or(0).max(*index);
                seen(LogSeen::Answered { member: self.member, read, index });
            }
            answer
        })
    }

    fn leader(&self) -> Option<Leader> {
        let leader = self.log.leader();
        self.note_belief(leader);
        leader
    }

    fn status(&self) -> Status {
        self.log.status()
    }

    fn leading(&self) -> Option<u64> {
        let term = self.log.leading();
        self.note_belief(term.map(|term| Leader { id: self.member, term }));
        term
    }

    fn watch(&self) -> StatusWatch<E> {
        self.log.watch()
    }

    fn on_forward(&self, handler: ForwardHandler) {
        self.log.on_forward(handler);
    }

    fn forward(
        &self,
        peer: u64,
        request: Vec<u8>,
        wait: Span,
    ) -> Pending<'_, Result<Vec<u8>, ForwardError>> {
        self.log.forward(peer, request, wait)
    }

    fn shutdown(&self) -> Pending<'_, ()> {
        self.log.shutdown()
    }
}
