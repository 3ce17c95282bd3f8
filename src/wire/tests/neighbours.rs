//! Releases without packages, judged by their neighbours: what was captured from an older and from a
//! newer release is written in the release between and read again, and every field that both have
//! by declaration must come back with its value. A field that is too narrow there, or stands under
//! another's name, does not.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

#[path = "shared/mod.rs"]
mod shared;

use std::collections::BTreeSet;

use flurm_wire::{DbdMessage, Message, Registry, Release};
use shared::{Captured, EXCEPT, NATIVE, NOTHING, Shared};

/// Captures with "slurm" in their names hold tokens of auth/slurm, which is as old as this.
const TOKENS_SINCE: Release = Release::V23_11;

/// Whether a captured release is the nearest one on its side.
fn are_neighbours(native: Release, between: Release) -> bool {
    let other =
        |one: &Release| (native < *one && *one < between) || (between < *one && *one < native);
    !NATIVE.iter().any(other)
}

/// What came out of the comparison of one kind of messages.
#[derive(Default)]
struct Outcome {
    faults: Vec<String>,
    left_out: BTreeSet<usize>,
    compared: usize,
}

fn compare<M: Registry>(persistent: bool, outcome: &mut Outcome) {
    let Outcome { faults, left_out, compared } = outcome;
    let mut records = shared::records::<Message>();
    records.extend(shared::records::<M>());
    for Captured { file, release, message, body } in shared::captured::<M>(persistent) {
        assert!(message.to_bytes(release) == body, "{release} {file} is not reproduced");
        for between in Release::ALL.into_iter().filter(|one| !NATIVE.contains(one)) {
            let known = M::registered(message.msg_type(), between).is_some();
            let foreign = file.contains("slurm") && between < TOKENS_SINCE;
            if !known || foreign || !are_neighbours(release, between) {
                continue;
            }
            let bytes = message.to_bytes(between);
            let back = match M::decode(message.msg_type(), between, &bytes) {
                Ok(back) => back,
                Err(error) => {
                    faults.push(format!("{release} {file} in {between}: {error}"));
                    continue;
                }
            };
            let (sent, excepted) = Shared::of(&message, &records, [release, between]);
            let (read, _) = Shared::of(&back, &records, [release, between]);
            if sent == [NOTHING] {
                continue;
            }
            left_out.extend(excepted);
            *compared += sent.len();
            let differ = sent.iter().zip(&read).find(|(sent, read)| sent != read);
            if let Some((sent, read)) = differ {
                faults.push(format!("{release} {file} in {between}: {sent} became {read}"));
            } else if sent.len() != read.len() {
                faults.push(format!("{release} {file} in {between}: another number of values"));
            }
        }
    }
}

#[test]
fn a_release_between_says_what_its_neighbours_say() {
    let mut outcome = Outcome::default();
    compare::<Message>(false, &mut outcome);
    compare::<DbdMessage>(true, &mut outcome);
    let Outcome { faults, left_out, compared } = outcome;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(compared > 50_000, "only {compared} values were compared");
    let unused: Vec<_> = (0..EXCEPT.len()).filter(|at| !left_out.contains(at)).collect();
    assert!(unused.is_empty(), "exceptions {unused:?} are of no use");
}
