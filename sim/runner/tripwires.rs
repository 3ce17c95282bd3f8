//! Shows that the tripwires work: each forbidden thing is reached for within a small world.

use std::net::IpAddr;

use super::Exit;
use crate::engine::own::Own;
use crate::world::World;
use crate::world::env::Engine;

fn stopped(reach: impl FnOnce() + 'static) -> bool {
    let mut world = World::new(1, false);
    world.add_machine("alone", IpAddr::from([10, 0, 0, 1]), 1, 1);
    let (_, result) = Own::run(world, move || Box::pin(async move { reach() }));
    result.is_err_and(|text| text.contains("a simulation reached for"))
}

/// Reaches for the clock, entropy and a thread.
pub(super) fn check() -> Exit {
    let checks: [(&str, fn()); 3] = [
        ("clock", || {
            let _now = std::time::Instant::now();
        }),
        ("entropy", || {
            // The first one of a thread draws its keys.
            let _keys = std::hash::RandomState::new();
        }),
        ("thread", || drop(std::thread::spawn(|| {}))),
    ];
    let mut exit = Exit::Fine;
    for (what, reach) in checks {
        let held = std::thread::scope(|scope| scope.spawn(|| stopped(reach)).join());
        let held = held.unwrap_or(false);
        let verdict = if held { "stopped" } else { "NOT stopped" };
        println!("{verdict}: the {what}");
        if !held {
            exit = Exit::Nondeterminism;
        }
    }
    exit
}
