//! Engines: runtimes with virtual time under which a world runs.

#[cfg(madsim)]
pub mod judge;
#[cfg(madsim)]
pub mod madsim;
pub mod own;
#[cfg(madsim)]
pub mod turmoil;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics inside simulations quiet and remembered; others are printed as ever.
pub fn remember_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !crate::world::present() && !crate::tripwire::armed() {
            before(info);
            return;
        }
        let text = info.payload_as_str().unwrap_or("a panic without words");
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        let text = format!("{text}{place}");
        LAST_PANIC.with_borrow_mut(|last| {
            last.get_or_insert(text);
        });
    }));
}

/// Runs `f`; a panic becomes words.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    LAST_PANIC.with_borrow_mut(|last| *last = None);
    let _before = crate::tripwire::take_tripped();
    let result = {
        let _armed = crate::tripwire::Armed::new();
        catch_unwind(AssertUnwindSafe(f))
    };
    let tripped = crate::tripwire::take_tripped();
    let result = result.map_err(|payload| {
        let told = LAST_PANIC.with_borrow_mut(Option::take);
        let words = payload.downcast_ref::<String>().cloned();
        let words = words.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        told.or(words).unwrap_or_else(|| "a panic without words".to_owned())
    });
    match tripped {
        Some(what) => Err(format!("a simulation reached for {what}")),
        None => result,
    }
}

/// What the last panic on this thread said.
#[cfg(madsim)]
pub(crate) fn last_panic() -> String {
    let told = LAST_PANIC.with_borrow(Clone::clone);
    told.unwrap_or_else(|| "a panic without words".to_owned())
}
