//! `flurm wire diff`: two captures, field by field.

use std::process::ExitCode;

use flurm_wire::Value;
use flurm_wire::difference::{DIFFERENCES_MAX, Difference, differences};

use super::{decode, values};
use crate::arguments::Given;

/// What `diff` ends with when there is nothing to compare, as diff(1) does.
const TROUBLE: u8 = 2;

/// Compares, prints the differences, and gives the exit status.
pub(super) fn run(given: &Given, left: &str, right: &str) -> ExitCode {
    match compare(given, left, right) {
        Ok(found) => {
            for difference in &found {
                println!("{difference}");
            }
            if found.len() >= DIFFERENCES_MAX {
                println!("and more");
            }
            if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(text) => {
            eprintln!("flurm: {text}");
            ExitCode::from(TROUBLE)
        }
    }
}

fn compare(given: &Given, left: &str, right: &str) -> Result<Vec<Difference>, String> {
    let speech = decode::speech(given)?;
    let [ours, theirs] = [decode::values(left, speech)?, decode::values(right, speech)?];
    let ignored = values(given, 'i');
    // A capture of one message is the usual case, whose paths need no position.
    if let ([ours], [theirs]) = (ours.as_slice(), theirs.as_slice()) {
        return Ok(differences(ours, theirs, &ignored));
    }
    Ok(differences(&Value::List(ours), &Value::List(theirs), &ignored))
}
