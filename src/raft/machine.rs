//! What the replicated commands act on.

/// The state every member builds by applying the same commands in the same order.
///
/// Shared with its reader as `Arc<RwLock<S>>`: the log applies under the write lock, one command at
/// a time, so a reader waits for one command at most and must not hold its lock across an await.
pub trait StateMachine: Send + Sync + 'static {
    /// Applies a committed command and says what to answer its proposer.
    ///
    /// Must be total and deterministic: same state and same arguments, same result, on every
    /// member. A panic stops this member (and, being deterministic, the others).
    fn apply(&mut self, index: u64, term: u64, command: &[u8]) -> Vec<u8>;

    /// The whole state, as bytes that [`StateMachine::restore`] understands. Called under the read
    /// lock; applying waits meanwhile.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the whole state. `Err` says why the bytes cannot be read, and stops this member.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), String>;
}
