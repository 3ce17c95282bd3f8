//! Light worlds: consensus as an ordered log that does what failover allows, and nothing else.
//!
//! A full world runs openraft: messages, codecs, connections, segments on a disk. A light world
//! keeps what these amount to. Members hold logs of entries, and a handful of steps, each atomic,
//! say how logs, terms and beliefs change. `docs/simulation.md` lists the steps as rules; their
//! names are the names of the functions in [`ensemble`].
//!
//! Nothing here decides by looking at the whole: a leader commits because a majority of members
//! has stored an entry, and what a crash or a cut link makes of that is whatever follows. The only
//! look from above is an assertion: a committed entry never changes.

mod ensemble;
mod entries;
mod member;
mod state;
mod vote;

use std::cell::RefCell;

use flurm_base::Rng;

use ensemble::Ensemble;
pub use member::Light;

thread_local! {
    static ENSEMBLE: RefCell<Option<Ensemble>> = const { RefCell::new(None) };
}

/// Readies this thread's world for a light log. `port` is where members would reach each other: the
/// tap sees a leader's messages there.
pub(crate) fn begin(rng: Rng, port: u16) {
    ENSEMBLE.with_borrow_mut(|slot| {
        let ensemble = slot.insert(Ensemble::new(rng, port));
        ensemble.plan_suspicions();
    });
}

/// Forgets the log of this thread's world.
pub(crate) fn end() {
    let before = ENSEMBLE.with_borrow_mut(Option::take);
    drop(before);
}

/// Links or machines changed: who was cut off may go on, and who lost its leader may notice.
pub(crate) fn disturbed() {
    with(Ensemble::disturbed);
}

/// Looks at or changes the log. Must not be called from within a borrow of the world.
fn with<R>(f: impl FnOnce(&mut Ensemble) -> R) -> Option<R> {
    ENSEMBLE.with_borrow_mut(|slot| slot.as_mut().map(f))
}
