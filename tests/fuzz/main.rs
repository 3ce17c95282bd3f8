//! Feeds a fuzz target whatever libFuzzer invents. `FUZZ_TARGET` names the target.

#![no_main]

#[path = "../../src/wire/tests/targets/mod.rs"]
#[expect(dead_code, reason = "inputs are put together by the tests")]
mod targets;

use std::sync::OnceLock;

static TARGET: OnceLock<targets::Act> = OnceLock::new();

fn chosen() -> targets::Act {
    let wanted = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let found = targets::TARGETS.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("there is no target {wanted}")).1
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(chosen)(bytes));
